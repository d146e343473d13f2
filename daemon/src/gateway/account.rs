//! What the ledger is told of a request.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use domain::catalogue::Target;
use domain::ledger::{Entry, Estimated, Text};
use domain::price::Prices;
use domain::surface::Surface;
use domain::tenant::Identity;
use domain::usage::Usage;

use super::Gateway;
use super::client::Client;
use super::quota::cautious;
use super::settle::Phase;
use crate::ledger::Ledger;
use crate::live::Snapshot;

/// Servers of the house are paid for with current, which nobody bills by the request.
static HOUSE: LazyLock<Option<Arc<Prices>>> =
    LazyLock::new(|| Prices::from_line("input 0 output 0 | this house | ").map(Arc::new));

/// A request's account: closed once, when it is settled.
pub(super) struct Account {
    ledger: Arc<Ledger>,
    snapshot: Arc<Snapshot>,
    identity: Rc<Identity>,
    app: Text,
    asked: Text,
    lane: &'static str,
    prompt_tokens: u64,
    /// Why it went where it went last.
    pub(super) reason: Text,
    /// Bytes of it that left the house.
    bytes_out: Cell<u64>,
}

/// What a request comes to, for limits and budgets.
pub(super) struct Spent {
    pub(super) tokens: u64,
    pub(super) cost_micro_usd: u64,
    /// The time of its entry.
    pub(super) unix_s: i64,
}

/// How a request went.
pub(super) struct Course<'a> {
    pub(super) surface: Surface,
    pub(super) target: Option<&'a Target>,
    pub(super) outcome: &'static str,
    pub(super) cache: Option<&'static str>,
    pub(super) phase: Phase,
    pub(super) usage: Usage,
    /// Visible pieces of the answer.
    pub(super) pieces: u32,
    pub(super) queued: Duration,
    pub(super) first_token: Option<Duration>,
    pub(super) total: Duration,
}

impl Account {
    /// Of a request of which it is known who asks.
    pub(super) fn new(gateway: &Gateway, snapshot: Arc<Snapshot>, identity: Rc<Identity>) -> Self {
        Self {
            ledger: gateway.ledger.clone(),
            snapshot,
            identity,
            app: Text::default(),
            asked: Text::default(),
            lane: "",
            prompt_tokens: 0,
            reason: Text::default(),
            bytes_out: Cell::default(),
        }
    }

    /// It has been read, and is served.
    pub(super) fn of(&mut self, client: &Client, model: &str, prompt_tokens: u64) {
        self.app = client.app.clone();
        self.asked = model.into();
        self.lane = client.lane.name();
        self.prompt_tokens = prompt_tokens;
    }

    /// A body of so many bytes goes to this upstream.
    pub(super) fn sends(&self, upstream: &str, bytes: usize) {
        if !self.is_local(upstream) {
            self.bytes_out.set(self.bytes_out.get().saturating_add(bytes as u64));
        }
    }

    fn is_local(&self, upstream: &str) -> bool {
        self.snapshot.config.upstream(upstream).is_some_and(|upstream| upstream.local)
    }

    /// Writes it down, and tells what it comes to: where all is known, what the ledger says to the micro-dollar.
    pub(super) fn close(self, course: &Course<'_>) -> Spent {
        let (usage, estimated) = self.used(course);
        let prices = course.target.and_then(|target| self.prices(target));
        let mut entry = Entry {
            tenant: Text::new(self.identity.tenant.clone()),
            key: self.identity.key.clone().map_or_else(Text::default, Text::new),
            app: self.app,
            client: Text::new(self.identity.device.clone()),
            surface: course.surface.path().into(),
            asked: self.asked,
            upstream: course.target.map_or_else(Text::default, |target| Text::new(target.upstream.clone())),
            answered: course.target.map_or_else(Text::default, |target| Text::new(target.model.clone())),
            lane: self.lane.into(),
            outcome: course.outcome.into(),
            cache: course.cache.unwrap_or_default().into(),
            reason: self.reason,
            usage,
            estimated,
            queue: course.queued,
            first_token: course.first_token,
            total: course.total,
            bytes_out: self.bytes_out.get(),
            ..Entry::new(self.ledger.id())
        };
        entry.reckon(prices, None);
        let known = entry.known_cost().map(|known| u64::try_from(known.0).unwrap_or(0));
        let spent = Spent {
            tokens: entry.usage.total(),
            cost_micro_usd: known.unwrap_or_else(|| cautious(&entry.usage)),
            unix_s: i64::try_from(entry.id.unix_ms() / 1_000).unwrap_or(i64::MAX),
        };
        self.ledger.append(entry);
        spent
    }

    /// What the upstream told, and where it told nothing, what is likely: it has read the prompt once it accepted the request,
    /// and written the pieces that were seen.
    fn used(&self, course: &Course<'_>) -> (Usage, Estimated) {
        let Usage { input, output, saved, .. } = course.usage;
        if course.target.is_none() || saved.is_some() {
            return (course.usage, Estimated::default());
        }
        let has_begun = course.outcome == "ok" || matches!(course.phase, Phase::Prefill | Phase::Answering);
        let likely = |tokens: u64| if has_begun { tokens } else { 0 };
        let usage = Usage {
            input: input.or_else(|| Some(likely(self.prompt_tokens))),
            output: output.or_else(|| Some(likely(course.pieces.into()))),
            ..course.usage
        };
        (usage, Estimated { input: input.is_none() && has_begun, output: output.is_none() && has_begun })
    }

    pub(super) fn prices(&self, target: &Target) -> Option<Arc<Prices>> {
        let told = self.snapshot.catalogue.info(target).and_then(|info| info.prices.clone());
        told.or_else(|| if self.is_local(&target.upstream) { HOUSE.clone() } else { None })
    }
}
