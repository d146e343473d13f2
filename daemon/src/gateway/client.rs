//! Who asks, how urgently, and what of the request goes on: read once, so that the request need not be kept.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, USER_AGENT};
use domain::cache::Directives;
use domain::lane::Lane;
use domain::ledger::Text;
use domain::policy::{Asks, Effective};
use domain::refusal::Refusal;
use domain::tenant::{Identity, Unknown};
use tracing::warn;
use wire::exchange::Ask;

use super::Gateway;
use super::forward::Forwarded;
use crate::live::Snapshot;

/// The client's side of a request.
pub(super) struct Client {
    pub(super) forwarded: Forwarded,
    pub(super) lane: Lane,
    /// Who asks; the house shares fairly among tenants.
    pub(super) identity: Rc<Identity>,
    /// What the program calls itself.
    pub(super) app: Text,
    /// How long it waits for an answer, if it says so.
    pub(super) patience: Patience,
    /// What holds for it.
    pub(super) policy: Arc<Effective>,
    /// What it says about kept answers.
    pub(super) wishes: Directives,
}

/// How long a client waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Patience {
    /// For the first token of a stream, or for an answer in one piece: then it gives up.
    pub(super) answer: Option<Duration>,
    /// For the next byte: a stream shows signs of life more often than that.
    pub(super) silence: Option<Duration>,
}

impl Patience {
    /// Our own header means the answer. The libraries of OpenAI and Anthropic (`x-stainless-read-timeout` of those for
    /// Python, `x-stainless-timeout` of those for JavaScript) mean the next byte, which is the answer where it comes in
    /// one piece.
    fn of(header: impl Fn(&HeaderName) -> Option<Duration>, is_stream: bool) -> Self {
        static OWN: HeaderName = HeaderName::from_static("x-airlane-timeout");
        static PYTHON: HeaderName = HeaderName::from_static("x-stainless-read-timeout");
        static JAVASCRIPT: HeaderName = HeaderName::from_static("x-stainless-timeout");
        let silence = header(&PYTHON).or_else(|| header(&JAVASCRIPT));
        let answer = header(&OWN).or(if is_stream { None } else { silence });
        Self { answer, silence }
    }
}

impl Client {
    /// # Errors
    /// A policy serves no such request, or none at this time.
    pub(super) fn of(
        request: &HttpRequest,
        gateway: &Gateway,
        snapshot: &Snapshot,
        ask: &Ask,
        identity: Rc<Identity>,
    ) -> Result<Self, Refusal> {
        static CACHE: HeaderName = HeaderName::from_static("x-airlane-cache");
        let config = &snapshot.config;
        let asks = Asks {
            tenant: &identity.tenant,
            is_stranger: !identity.is_known && config.endpoint.unknown_devices == Unknown::Local,
            key: identity.key.as_deref(),
            groups: &identity.groups,
            app: app(request),
            client: identity.device.parse().ok(),
            models: &ask.wish.models,
            traits: ask.traits(),
            unix_s: i64::try_from(gateway.clock.unix_ms() / 1_000).unwrap_or(i64::MAX),
            pulse: gateway.live.pulse(snapshot, gateway.metrics.waiting.get()),
        };
        let policy = config.policy(&asks, |policy, why| {
            if gateway.metrics.policy_slipped(policy) {
                warn!(
                    policy,
                    why,
                    "its condition cannot be worked out for some requests, so that it holds for them; correct when"
                );
            }
        });
        if let Some(refusal) = policy.refusal(&asks) {
            return Err(refusal);
        }
        let mut wishes = ask.cache.clone();
        for header in request.headers().get_all(CACHE_CONTROL).filter_map(|value| value.to_str().ok()) {
            wishes.read_header(header);
        }
        if let Some(header) = request.headers().get(&CACHE).and_then(|value| value.to_str().ok()) {
            wishes.read_own_header(header);
        }
        let lane = if config.route.client_lanes { lane(request) } else { None };
        Ok(Self {
            forwarded: Forwarded::of(request),
            lane: policy.lane_of(lane.unwrap_or_default()),
            app: app(request).into(),
            identity,
            patience: Patience::of(|name| seconds(request.headers().get(name)?.to_str().ok()?), ask.stream),
            policy,
            wishes,
        })
    }
}

/// What the program calls itself: OpenRouter's `x-title`, or the product that its `user-agent` begins with.
fn app(request: &HttpRequest) -> &str {
    static TITLE: HeaderName = HeaderName::from_static("x-title");
    let header = |name: &HeaderName| request.headers().get(name)?.to_str().ok();
    let product = |agent: &'_ str| agent.find(['/', ' ']).unwrap_or(agent.len());
    header(&TITLE).or_else(|| header(&USER_AGENT).map(|agent| &agent[..product(agent)])).unwrap_or_default()
}

/// A span in seconds, whole or not; what is none, or longer than a day, is no wish.
fn seconds(header: &str) -> Option<Duration> {
    let seconds: f64 = header.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|span| !span.is_zero() && span.as_secs() <= 86_400)
}

/// The lane that the client asks for, in our own words or in those of RFC 9218.
fn lane(request: &HttpRequest) -> Option<Lane> {
    static LANE: HeaderName = HeaderName::from_static("x-airlane-lane");
    static PRIORITY: HeaderName = HeaderName::from_static("priority");
    let header = |name: &HeaderName| request.headers().get(name)?.to_str().ok();
    if let Some(lane) = header(&LANE).and_then(|name| Lane::of_name(name.trim())) {
        return Some(lane);
    }
    header(&PRIORITY).and_then(urgency).map(Lane::of_urgency)
}

/// The member `u` of a `Priority` header (a dictionary of RFC 9651), from 0 to 7.
fn urgency(header: &str) -> Option<u8> {
    let value = header.split(',').filter_map(|member| member.trim().strip_prefix("u=")).next_back()?;
    let digits = value.split(';').next().unwrap_or(value).trim();
    digits.parse().ok().filter(|urgency| *urgency <= 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_read() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (own, read, whole, is_stream, answer, silence) in [
            (None, None, None, false, None, None),
            (Some("30"), Some("600.0"), None, true, ms(30_000), ms(600_000)),
            (Some("30"), Some("600"), None, false, ms(30_000), ms(600_000)),
            (None, Some("0.5"), Some("9"), false, ms(500), ms(500)),
            (None, None, Some("9"), false, ms(9_000), ms(9_000)),
            (None, None, Some("9"), true, None, ms(9_000)),
            (Some("soon"), Some("NOT_GIVEN"), Some("-1"), false, None, None),
            (Some("inf"), Some("NaN"), Some("0"), false, None, None),
            (Some("1e300"), Some("86401"), None, false, None, None),
        ] {
            let header = |name: &HeaderName| match name.as_str() {
                "x-airlane-timeout" => own.and_then(seconds),
                "x-stainless-read-timeout" => read.and_then(seconds),
                _ => whole.and_then(seconds),
            };
            assert_eq!(Patience::of(header, is_stream), Patience { answer, silence }, "{own:?} {read:?} {whole:?}");
        }
    }

    #[test]
    fn urgencies_are_read() {
        for (header, want) in [
            ("u=1", Some(1)),
            ("i, u=5", Some(5)),
            ("u=2;x=y, i", Some(2)),
            ("u=1, u=6", Some(6)),
            ("u=8", None),
            ("u=-1", None),
            ("i", None),
            ("", None),
        ] {
            assert_eq!(urgency(header), want, "{header}");
        }
    }
}
