//! The pages of the console: what the house knows of itself, shown to people and to programs.
//!
//! The crate sees the house through [`Console`] only. A page takes what that gives at one moment and renders it; nothing here
//! has a clock, a file or a thread of its own.

mod assets;
mod explain;
mod facts;
mod guard;
mod kept;
mod ledger;
mod nodes;
mod openapi;
mod overview;
mod pieces;
mod places;
mod status;
mod telemetry;
mod tenants;
#[cfg(test)]
mod tests;
mod texts;
mod wish;

use std::future::ready;
use std::ops::RangeInclusive;
use std::sync::Arc;

use actix_web::middleware::{Compress, from_fn};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::cache::{Listed, Purge, Purged, Stats};
use domain::date::Day;
use domain::key::KeyFacts;
use domain::ledger::{self as books, EntryId, Filter, Format, Line};
use domain::telemetry::Telemetry;
use domain::tenant::Tenant;

pub use facts::{
    Asker, CacheEntries, Candidate, Chosen, DecidedBy, Decision, DroppedRow, FoundNodes, FoundRow, HealthRow, KeyName,
    KeyWish, Keys, LedgerLine, LedgerPage, LedgerSummary, LedgerSums, ModelRow, NewKey, NodeName, NodeRow, Nodes,
    Overview, PairWish, PairingCode, Parts, PlaceRow, Places, PolicyRow, Question, RefusalRow, RepriceWish, Repriced,
    Rotation, RouterRow, SiteRow, TenantName, Tenants, UpstreamRow, UpstreamState, WrongAnswer,
};

/// What runs and what needs the owner.
const STATUS: &str = "/api/v1/status";
/// Graphics cards and machine.
const TELEMETRY: &str = "/api/v1/telemetry";
/// How the places that answer do.
const PLACES: &str = "/api/v1/places";
/// Where a request would go.
const EXPLAIN: &str = "/api/v1/explain";
/// The machines of the house.
const NODES: &str = "/api/v1/nodes";
/// Who announces itself as a node.
const FIND: &str = "/api/v1/nodes/find";
/// Takes a node in.
const PAIR: &str = "/api/v1/nodes/pair";
/// Ends a pair.
const FORGET: &str = "/api/v1/nodes/forget";
/// Makes a pairing code on a node.
const CODE: &str = "/api/v1/nodes/code";
/// How many answers are kept.
const CACHE: &str = "/api/v1/cache";
/// What the kept answers are about.
const CACHE_ENTRIES: &str = "/api/v1/cache/entries";
/// Throws kept answers away.
const CACHE_PURGE: &str = "/api/v1/cache/purge";
/// Says that a kept answer was wrong.
const CACHE_WRONG: &str = "/api/v1/cache/wrong";
/// How the ledger does.
const LEDGER: &str = "/api/v1/ledger";
/// What was asked, request by request.
const LEDGER_ENTRIES: &str = "/api/v1/ledger/entries";
/// What it adds up to.
const LEDGER_SUMMARY: &str = "/api/v1/ledger/summary";
/// All of it, for programs of others.
const LEDGER_EXPORT: &str = "/api/v1/ledger/export";
/// Reckons anew what requests cost.
const LEDGER_REPRICE: &str = "/api/v1/ledger/reprice";
/// Who pays.
const TENANTS: &str = "/api/v1/tenants";
/// Puts a tenant in.
const TENANTS_SET: &str = "/api/v1/tenants/set";
/// Removes a tenant.
const TENANTS_REMOVE: &str = "/api/v1/tenants/remove";
/// With what clients prove who they are.
const KEYS: &str = "/api/v1/keys";
/// Makes a key.
const KEYS_CREATE: &str = "/api/v1/keys/create";
/// Makes a key in the place of another.
const KEYS_ROTATE: &str = "/api/v1/keys/rotate";
/// Takes a key back.
const KEYS_REVOKE: &str = "/api/v1/keys/revoke";
/// The description of all of these.
const OPENAPI: &str = "/api/v1/openapi.json";

/// The pieces of an export, or a sentence that says why it ends too early. Making one blocks.
pub type LedgerPieces = Box<dyn Iterator<Item = Result<String, String>> + Send>;

/// What the pages ask of the house. A call must not wait: it reads what is known; those that give a future may.
pub trait Console {
    /// What is true at this moment.
    fn overview(&self) -> Overview;

    /// Graphics cards and machine as they were last read.
    fn telemetry(&self) -> Arc<Telemetry>;

    /// How the places that answer do.
    fn places(&self) -> Places;

    /// Where a request would go.
    ///
    /// # Errors
    /// Its body is wrong; a sentence says in what.
    fn explain(&self, question: &Question) -> Result<Decision, String>;

    /// The machines of the house, this one first.
    fn nodes(&self) -> Nodes;

    /// Looks who announces itself on the network as a node; takes seconds.
    ///
    /// # Errors
    /// The network cannot be searched; a sentence says why.
    fn find_nodes(&self) -> impl Future<Output = Result<FoundNodes, String>>;

    /// Pairs with a node; gives its name here.
    ///
    /// # Errors
    /// A sentence says what to do.
    fn pair_node(&self, wish: &PairWish) -> impl Future<Output = Result<String, String>>;

    /// Ends the pair with a node, or on a node that with its router.
    ///
    /// # Errors
    /// There is none of that name.
    fn forget_node(&self, name: &str) -> Result<(), String>;

    /// Another pairing code of this node.
    ///
    /// # Errors
    /// This machine is no node.
    fn pairing_code(&self) -> Result<String, String>;

    /// How many answers are kept, and how the database does.
    fn cache_stats(&self) -> Stats;

    /// The newest entries that `filter` names, or of all where it names nothing; so many at most.
    ///
    /// # Errors
    /// They cannot be read; a sentence says why.
    fn cache_entries(&self, filter: Purge, max: usize) -> impl Future<Output = Result<Vec<Listed>, String>>;

    /// Throws away what is named.
    ///
    /// # Errors
    /// Not everything could be; a sentence says why.
    fn purge_cache(&self, purge: Purge) -> impl Future<Output = Result<Purged, String>>;

    /// Says that the answer to this request was wrong, which was kept for a question in other words.
    ///
    /// # Errors
    /// No such answer was given of late; a sentence says so.
    fn wrong_answer(&self, request_id: &str) -> Result<(), String>;

    /// How the ledger does.
    fn ledger_stats(&self) -> books::Stats;

    /// The newest entries before `after` that `filter` names; so many at most, and at most a thousand.
    ///
    /// # Errors
    /// They cannot be read; a sentence says why.
    fn ledger_entries(
        &self,
        filter: Filter,
        after: Option<EntryId>,
        max: usize,
    ) -> impl Future<Output = Result<LedgerPage, String>>;

    /// What these days add up to by tenant, model and upstream, of one tenant or of all; the dearest first.
    ///
    /// # Errors
    /// They cannot be read; a sentence says why.
    fn ledger_sums(
        &self,
        days: RangeInclusive<Day>,
        tenant: Option<String>,
    ) -> impl Future<Output = Result<Vec<Line>, String>>;

    /// All entries that `filter` names, the newest first.
    fn ledger_export(&self, filter: Filter, format: Format) -> impl Future<Output = LedgerPieces>;

    /// Reckons anew what the entries that `filter` names cost, by the prices that hold now; takes a minute for each million.
    ///
    /// # Errors
    /// A sentence says why it stopped; what was done until then stays done.
    fn reprice(&self, filter: Filter) -> impl Future<Output = Result<Repriced, String>>;

    /// All tenants, by name.
    fn tenants(&self) -> Vec<Tenant>;

    /// Puts a tenant in, or in the place of the one of the same name.
    ///
    /// # Errors
    /// It cannot be one, or the disk fails; a sentence says so.
    fn set_tenant(&self, tenant: Tenant) -> impl Future<Output = Result<(), String>>;

    /// Removes a tenant and revokes its keys.
    ///
    /// # Errors
    /// There is none of this name, or the disk fails; a sentence says so.
    fn remove_tenant(&self, name: String) -> impl Future<Output = Result<(), String>>;

    /// All keys, the newest first.
    fn keys(&self) -> Vec<KeyFacts>;

    /// Makes a key.
    ///
    /// # Errors
    /// A sentence says why there is none.
    fn create_key(&self, wish: KeyWish) -> impl Future<Output = Result<NewKey, String>>;

    /// Makes a key in the place of another, which is good for a while more.
    ///
    /// # Errors
    /// A sentence says why there is none.
    fn rotate_key(&self, wish: Rotation) -> impl Future<Output = Result<NewKey, String>>;

    /// Takes a key back, at once.
    ///
    /// # Errors
    /// There is none of this name, or the disk fails; a sentence says so.
    fn revoke_key(&self, id: String) -> impl Future<Output = Result<KeyFacts, String>>;

    /// Largest body of a [`Question`].
    fn body_bytes_max(&self) -> usize;
}

/// Adds all pages, their assets and the JSON for programs. Every path of the app belongs to the console: what no page
/// answers gets its 404, with the same security headers. The app data must hold a [`web::Data`] of `C`.
pub fn pages<C: Console + 'static>(config: &mut web::ServiceConfig) {
    let scope = web::scope("")
        .wrap(Compress::default())
        .wrap(from_fn(guard::own_host_only))
        .wrap(guard::headers())
        .service(readable("/", |console: web::Data<C>| {
            ready(overview::page(&console.overview(), &console.telemetry(), &console.nodes(), &console.places()))
        }))
        .service(readable(STATUS, |console: web::Data<C>| ready(status::json(&console.overview()))))
        .service(readable(TELEMETRY, |console: web::Data<C>| ready(telemetry::json(&console.telemetry()))))
        .service(readable(PLACES, |console: web::Data<C>| ready(places::json(&console.places()))))
        .service(
            web::resource(EXPLAIN)
                .route(web::post().to(explain::post::<C>))
                .default_service(web::to(|| ready(explain::only_post()))),
        )
        .service(readable(NODES, |console: web::Data<C>| ready(nodes::json(&console.nodes()))))
        .service(posted(FIND).route(web::post().to(nodes::find::<C>)))
        .service(posted(PAIR).route(web::post().to(nodes::pair::<C>)))
        .service(posted(FORGET).route(web::post().to(nodes::forget::<C>)))
        .service(
            posted(CODE).route(
                web::post()
                    .to(|console: web::Data<C>, request: HttpRequest| ready(nodes::code(console.get_ref(), &request))),
            ),
        )
        .service(readable(CACHE, |console: web::Data<C>| ready(kept::stats(&console.cache_stats()))))
        .service(readable(CACHE_ENTRIES, kept::entries::<C>))
        .service(posted(CACHE_PURGE).route(web::post().to(kept::purge::<C>)))
        .service(posted(CACHE_WRONG).route(web::post().to(kept::wrong::<C>)))
        .service(readable(LEDGER, |console: web::Data<C>| ready(ledger::stats(&console.ledger_stats()))))
        .service(readable(LEDGER_ENTRIES, ledger::entries::<C>))
        .service(readable(LEDGER_SUMMARY, ledger::summary::<C>))
        .service(readable(LEDGER_EXPORT, ledger::export::<C>))
        .service(posted(LEDGER_REPRICE).route(web::post().to(ledger::reprice::<C>)))
        .service(readable(TENANTS, |console: web::Data<C>| ready(tenants::json(console.tenants()))))
        .service(posted(TENANTS_SET).route(web::post().to(tenants::set::<C>)))
        .service(posted(TENANTS_REMOVE).route(web::post().to(tenants::remove::<C>)))
        .service(readable(KEYS, |console: web::Data<C>| ready(tenants::keys(console.get_ref()))))
        .service(posted(KEYS_CREATE).route(web::post().to(tenants::create::<C>)))
        .service(posted(KEYS_ROTATE).route(web::post().to(tenants::rotate::<C>)))
        .service(posted(KEYS_REVOKE).route(web::post().to(tenants::revoke::<C>)))
        .service(readable(OPENAPI, || ready(openapi::json())))
        .service(readable(assets::STYLE.path(), || ready(assets::STYLE.answer())))
        .service(readable(assets::ICON.path(), || ready(assets::ICON.answer())))
        .default_service(web::to(|| ready(HttpResponse::NotFound().body(texts::NOT_FOUND))));
    config.service(scope);
}

/// A resource that is asked with POST, and nothing else.
fn posted(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(|| ready(wish::only_post())))
}

/// A resource that is read with GET or HEAD, and nothing else.
fn readable<F, Args>(path: &str, handler: F) -> actix_web::Resource
where
    F: actix_web::Handler<Args> + Clone,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    web::resource(path).route(web::get().to(handler.clone())).route(web::head().to(handler))
}
