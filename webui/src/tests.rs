//! The pages as a browser gets them, through a console that knows one house.

mod api;
mod houses;
mod ledger;
mod machines;

use std::ops::RangeInclusive;
use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::test::{self as service, TestRequest};
use actix_web::{App, rt, web};
use domain::cache::{Listed, Purge, Purged, Stats};
use domain::date::Day;
use domain::key::KeyFacts;
use domain::ledger::{EntryId, Filter, Format, Line, Stats as LedgerStats};
use domain::telemetry::Telemetry;
use domain::tenant::Tenant;

use crate::{
    CacheEntries, Console, Decision, FoundNodes, KeyWish, LedgerPage, LedgerPieces, NewKey, Nodes, Overview, PairWish,
    Places, Question, Repriced, Rotation, assets, pages,
};

struct Fake(Overview, Arc<Telemetry>);

impl Console for Fake {
    fn overview(&self) -> Overview {
        self.0.clone()
    }

    fn telemetry(&self) -> Arc<Telemetry> {
        self.1.clone()
    }

    fn places(&self) -> Places {
        // Where there is no upstream, none works.
        if self.0.upstreams.is_empty() { Places::default() } else { houses::places() }
    }

    fn explain(&self, question: &Question) -> Result<Decision, String> {
        if question.body.starts_with(b"{") { Ok(houses::decision(question)) } else { Err("no JSON object".to_owned()) }
    }

    fn nodes(&self) -> Nodes {
        houses::nodes(&self.0, &self.1)
    }

    async fn find_nodes(&self) -> Result<FoundNodes, String> {
        std::future::ready(Ok(houses::found())).await
    }

    async fn pair_node(&self, wish: &PairWish) -> Result<String, String> {
        let right = wish.code == "4711-0815";
        std::future::ready(if right { Ok(wish.node.clone()) } else { Err("the code is wrong".to_owned()) }).await
    }

    fn forget_node(&self, name: &str) -> Result<(), String> {
        if name == "gpu-box" { Ok(()) } else { Err("nothing of that name is paired".to_owned()) }
    }

    fn pairing_code(&self) -> Result<String, String> {
        Ok("4711-0815".to_owned())
    }

    fn cache_stats(&self) -> Stats {
        houses::cache()
    }

    async fn cache_entries(&self, filter: Purge, max: usize) -> Result<Vec<Listed>, String> {
        let kept =
            houses::kept().into_iter().filter(|listed| filter.tenant.as_ref().is_none_or(|of| *of == listed.tenant));
        let is_known = filter.model.is_none();
        let kept = if is_known { Ok(kept.take(max).collect()) } else { Err("the disk is full".to_owned()) };
        std::future::ready(kept).await
    }

    async fn purge_cache(&self, purge: Purge) -> Result<Purged, String> {
        let purged = if purge.all { Ok(Purged { entries: 2, bytes: 3 }) } else { Err("the disk is full".to_owned()) };
        std::future::ready(purged).await
    }

    fn wrong_answer(&self, request_id: &str) -> Result<(), String> {
        if request_id == "a" { Ok(()) } else { Err("no such answer was given of late".to_owned()) }
    }

    fn ledger_stats(&self) -> LedgerStats {
        ledger::stats()
    }

    async fn ledger_entries(&self, filter: Filter, after: Option<EntryId>, max: usize) -> Result<LedgerPage, String> {
        std::future::ready(ledger::page(&filter, after, max)).await
    }

    async fn ledger_sums(&self, days: RangeInclusive<Day>, tenant: Option<String>) -> Result<Vec<Line>, String> {
        std::future::ready(ledger::sums(&days, tenant.as_deref())).await
    }

    async fn ledger_export(&self, filter: Filter, format: Format) -> LedgerPieces {
        std::future::ready(ledger::pieces(&filter, format)).await
    }

    async fn reprice(&self, filter: Filter) -> Result<Repriced, String> {
        let ill = || "the ledger cannot be read".to_owned();
        std::future::ready(
            (filter.tenant.as_deref() != Some("ill")).then_some(Repriced { looked: 2, changed: 1 }).ok_or_else(ill),
        )
        .await
    }

    fn tenants(&self) -> Vec<Tenant> {
        vec![Tenant { name: "anna".to_owned(), groups: vec!["kids".to_owned()], devices: vec!["10.0.0.8".to_owned()] }]
    }

    async fn set_tenant(&self, tenant: Tenant) -> Result<(), String> {
        std::future::ready(tenant.check().map(drop)).await
    }

    async fn remove_tenant(&self, name: String) -> Result<(), String> {
        std::future::ready(if name == "anna" { Ok(()) } else { Err("there is no such tenant".to_owned()) }).await
    }

    fn keys(&self) -> Vec<KeyFacts> {
        vec![houses::key()]
    }

    async fn create_key(&self, wish: KeyWish) -> Result<NewKey, String> {
        let facts = KeyFacts { tenant: wish.tenant, ..houses::key() };
        std::future::ready(Ok(NewKey { key: "sk-airlane-abcdefgh-x".to_owned(), facts })).await
    }

    async fn rotate_key(&self, wish: Rotation) -> Result<NewKey, String> {
        let new = NewKey { key: "sk-airlane-abcdefgh-x".to_owned(), facts: houses::key() };
        std::future::ready(if wish.id == "abcdefgh" { Ok(new) } else { Err("there is no such key".to_owned()) }).await
    }

    async fn revoke_key(&self, id: String) -> Result<KeyFacts, String> {
        std::future::ready(if id == "abcdefgh" { Ok(houses::key()) } else { Err("there is no such key".to_owned()) })
            .await
    }

    fn body_bytes_max(&self) -> usize {
        1 << 20
    }
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn ask(house: Overview, request: TestRequest) -> Got {
    ask_with(house, Telemetry::default(), request)
}

fn ask_with(house: Overview, telemetry: Telemetry, request: TestRequest) -> Got {
    rt::System::new().block_on(async move {
        let fake = Fake(house, Arc::new(telemetry));
        let app = App::new().app_data(web::Data::new(fake)).configure(pages::<Fake>);
        let app = service::init_service(app).await;
        let response = service::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = String::from_utf8_lossy(&service::read_body(response).await).into_owned();
        Got { status, headers, body }
    })
}

fn get(house: Overview, path: &str) -> Got {
    ask(house, TestRequest::get().uri(path).insert_header(("Host", "127.0.0.1:8485")))
}

/// The overview without what changes whenever a file does.
fn overview(house: Overview) -> String {
    overview_with(house, Telemetry::default())
}

fn overview_with(house: Overview, telemetry: Telemetry) -> String {
    let request = TestRequest::get().uri("/").insert_header(("Host", "127.0.0.1:8485"));
    let got = ask_with(house, telemetry, request);
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.header("Content-Type"), "text/html; charset=utf-8");
    got.body.replace(assets::STYLE.path(), "/assets/style.css").replace(assets::ICON.path(), "/assets/icon.svg")
}

#[test]
fn an_empty_house_is_told_how_to_begin() {
    insta::assert_snapshot!(overview(houses::empty()));
}

#[test]
fn a_busy_house_shows_its_url_and_models() {
    insta::assert_snapshot!(overview(houses::busy()));
}

#[test]
fn a_house_on_fire_says_what_to_do() {
    insta::assert_snapshot!(overview(houses::on_fire()));
}

#[test]
fn hostile_texts_stay_texts() {
    let page = overview_with(houses::hostile(), machines::hostile());
    assert!(!page.contains("<script"));
    assert!(page.contains("&#60;script&#62;"));
    assert!(!page.contains("\"'&"), "quotes and ampersands are escaped as well");
}

#[test]
fn every_answer_binds_the_browser() {
    for path in [
        "/",
        "/api/v1/status",
        "/api/v1/telemetry",
        "/api/v1/places",
        "/api/v1/explain",
        "/api/v1/openapi.json",
        assets::STYLE.path(),
        assets::ICON.path(),
        "/nowhere",
        "/assets/style.css",
    ] {
        let got = get(houses::busy(), path);
        let policy = got.header("Content-Security-Policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(got.header("X-Frame-Options"), "DENY", "{path}");
        assert_eq!(got.header("X-Content-Type-Options"), "nosniff", "{path}");
        assert_eq!(got.header("Referrer-Policy"), "no-referrer", "{path}");
    }
}

#[test]
fn pages_hold_nothing_that_the_policy_forbids() {
    for house in [houses::empty(), houses::busy(), houses::on_fire(), houses::hostile()] {
        let page = overview_with(house, machines::hostile());
        for forbidden in ["<script", "<style", "style=\"", "onclick", "http-equiv", "src=\"http", "href=\"http"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}

#[test]
fn assets_are_kept_and_pages_are_not() {
    let style = get(houses::empty(), assets::STYLE.path());
    assert_eq!(style.header("Content-Type"), "text/css; charset=utf-8");
    assert_eq!(style.header("Cache-Control"), "public, max-age=31536000, immutable");
    assert_eq!(get(houses::empty(), assets::ICON.path()).header("Content-Type"), "image/svg+xml");
    for path in ["/", "/api/v1/status", "/api/v1/telemetry", "/nowhere"] {
        assert_eq!(get(houses::empty(), path).header("Cache-Control"), "no-store", "{path}");
    }
}

#[test]
fn pages_are_only_read() {
    let host = ("Host", "localhost:8485");
    let cases = [
        (TestRequest::with_uri("/").method(Method::HEAD), StatusCode::OK),
        (TestRequest::with_uri("/").method(Method::POST), StatusCode::METHOD_NOT_ALLOWED),
        (TestRequest::with_uri("/api/v1/places").method(Method::POST), StatusCode::METHOD_NOT_ALLOWED),
        (TestRequest::with_uri("/api/v1/explain"), StatusCode::METHOD_NOT_ALLOWED),
        (TestRequest::with_uri("/nowhere"), StatusCode::NOT_FOUND),
    ];
    for (request, status) in cases {
        assert_eq!(ask(houses::empty(), request.insert_header(host)).status, status);
    }
}

#[test]
fn foreign_host_names_get_nothing() {
    for path in ["/", "/api/v1/status", "/api/v1/telemetry", "/api/v1/places", "/api/v1/openapi.json"] {
        let request = TestRequest::get().uri(path).insert_header(("Host", "evil.example:8485"));
        let got = ask(houses::busy(), request);
        assert_eq!(got.status, StatusCode::MISDIRECTED_REQUEST);
        assert!(!got.body.contains("gpu-box"));
        assert_eq!(got.header("X-Frame-Options"), "DENY");
    }
    assert_eq!(ask(houses::busy(), TestRequest::get().uri("/")).status, StatusCode::MISDIRECTED_REQUEST);
}

#[test]
fn the_status_has_its_shape_and_can_be_read_back() {
    let got = get(houses::on_fire(), "/api/v1/status");
    assert_eq!(got.header("Content-Type"), "application/json");
    let read: Overview = serde_json::from_str(&got.body).unwrap();
    assert_eq!(read, houses::on_fire());
    insta::assert_json_snapshot!(serde_json::from_str::<serde_json::Value>(&got.body).unwrap());
}

/// The sections about cards and machine, and what is said of them on top.
fn hardware(telemetry: Telemetry) -> String {
    let page = overview_with(houses::busy(), telemetry);
    let (start, end) = (page.find("<section class=\"gpus\""), page.find("<section class=\"models\""));
    let ills = page.find("<section class=\"ills\"").map(|start| &page[start..]);
    let ills = ills.and_then(|rest| rest.split_inclusive("</section>").next()).unwrap_or_default();
    format!("{ills}\n{}", &page[start.unwrap()..end.unwrap()])
}

#[test]
fn cards_are_shown_with_what_uses_them() {
    insta::assert_snapshot!(hardware(machines::gaming()));
}

#[test]
fn cards_that_fail_say_what_to_do() {
    insta::assert_snapshot!(hardware(machines::broken()));
}

#[test]
fn a_machine_without_a_card_says_so_in_one_sentence() {
    insta::assert_snapshot!(hardware(machines::router()));
}

#[test]
fn the_telemetry_has_its_shape_and_can_be_read_back() {
    for telemetry in [machines::gaming(), machines::broken(), machines::router(), Telemetry::default()] {
        let request = TestRequest::get().uri("/api/v1/telemetry").insert_header(("Host", "localhost"));
        let got = ask_with(houses::busy(), telemetry.clone(), request);
        assert_eq!((got.status, got.header("Content-Type")), (StatusCode::OK, "application/json"));
        let read: Telemetry = serde_json::from_str(&got.body).unwrap();
        assert_eq!(read, telemetry);
        if telemetry == machines::gaming() {
            insta::assert_json_snapshot!(serde_json::from_str::<serde_json::Value>(&got.body).unwrap());
        }
    }
}
