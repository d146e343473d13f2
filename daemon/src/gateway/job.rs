//! One request on its way through the upstreams of its route.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::cache::{Directives, Status};
use domain::catalogue::Target;
use domain::dispatch::{Attempt, Entry, Outcome};
use domain::pace::Measured;
use domain::policy::Effective;
use domain::refusal::Refusal;
use domain::route::{LEGS_MAX, Leg};
use domain::tenant::Identity;
use tracing::debug;
use wire::exchange::Ask;
use wire::reply::ReplyContext;

use super::Gateway;
use super::answer_error::ServeError;
use super::client::Client;
use super::flight::{Head, Recorder};
use super::forward::Forwarded;
use super::hedge::Hedge;
use super::quota;
use super::recall::Keeping;
use super::semantic::Alike;
use super::settle::{Phase, Settlement};
use crate::dispatch::Slot;
use crate::live::Snapshot;
use crate::upstreams::{CallError, Fault, Reply};

/// A request that is being served. Dropping it gives its place back, ends its upstream call and settles it.
pub(super) struct Job {
    pub(super) gateway: Rc<Gateway>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) forwarded: Forwarded,
    pub(super) request_id: Rc<str>,
    pub(super) ask: Rc<Ask>,
    /// The first place shall fail.
    pub(super) mock_fallbacks: bool,
    pub(super) settlement: Settlement,
    /// What encoders need to know: the same for all attempts, so that ids do not change under the client.
    pub(super) context: ReplyContext,
    pub(super) entry: Entry,
    /// What it waits for; shared with whoever writes signs of life.
    pub(super) waits: Arc<Waiting>,
    /// Longest silence of a stream, below what its client bears.
    pub(super) heartbeat_every: Duration,
    /// The place that has its second copy.
    pub(super) copied: RefCell<Option<Target>>,
    /// Who asks.
    pub(super) identity: Rc<Identity>,
    /// What holds for it.
    pub(super) policy: Arc<Effective>,
    /// What its client says about kept answers.
    pub(super) wishes: Directives,
    /// How it met the kept answers.
    pub(super) cache: Option<Status>,
    /// Under what its answer is kept.
    pub(super) keeping: Option<Keeping>,
    /// What it is among questions in other words.
    pub(super) alike: Option<Box<Alike>>,
    /// Purges of kept answers when its call began.
    pub(super) purges: u64,
    /// Where the answer is written for all who share it.
    pub(super) tape: Option<Recorder>,
    /// All places failed once and are tried again.
    second_round: bool,
    failure: Option<ServeError>,
    /// What failed before, in few words.
    before: Vec<String>,
}

/// What a request waits for, for all who tell somebody of it.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Waits>);

impl Waiting {
    pub(super) fn set(&self, waits: Waits) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waits;
    }

    pub(super) fn get(&self) -> Waits {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request waits for, as far as its client can be told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Waits {
    /// For nothing that has a name.
    #[default]
    Unnamed,
    /// For its turn, under this number.
    Queued(u64),
    /// For its model, which is being loaded and will be there at about this time.
    Loads(Instant),
}

/// An upstream that has accepted the request.
pub(super) struct Live {
    pub(super) slot: Slot,
    pub(super) reply: Reply,
    pub(super) hedge: Hedge,
}

/// Why a failure was the last one although there are other places.
const RETRIES_SPENT: &str = "; no other place is tried, since so much fails in this house at the moment";
const TIME_OVER: &str = "; no other place is tried, since the client's time does not suffice for it";

impl Live {
    pub(super) const fn leg(&self) -> &Leg {
        &self.slot.grant().leg
    }
}

/// Signs of life do not come more often than this, however impatient the client is.
const HEARTBEAT_MIN: Duration = Duration::from_millis(500);
/// Longest `Retry-After` that is waited out here instead of by the client.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// The request as the queue sees it.
pub(super) fn entry(gateway: &Gateway, ask: &Ask, client: &Client) -> Entry {
    let since = gateway.dispatcher.now();
    Entry {
        near: ask.near,
        wish: ask.wish.clone(),
        lane: client.lane,
        client: client.identity.tenant.clone(),
        since,
        tried: Vec::new(),
        is_stream: ask.stream,
        until: client.patience.answer.map(|answer| since + answer),
        attempt: Attempt::First,
    }
}

impl Job {
    pub(super) fn new(
        gateway: Rc<Gateway>,
        snapshot: Arc<Snapshot>,
        client: Client,
        request_id: Rc<str>,
        mut ask: Ask,
        settlement: Settlement,
    ) -> Self {
        let context = ReplyContext {
            unique: gateway.clock.unique(),
            model: ask.model().to_owned(),
            created_ms: gateway.clock.unix_ms(),
            include_usage: ask.include_usage,
        };
        let wish = Arc::make_mut(&mut ask.wish);
        wish.provider.keep_known(&snapshot.config);
        client.policy.bind(wish);
        if client.forwarded.hops > 0 {
            // Another Airlane sends it, which has its own way to all but our own servers: nothing goes round.
            let others = snapshot.config.upstreams.iter().filter(|upstream| !upstream.is_shared());
            wish.provider.ignore.extend(others.map(|upstream| upstream.name.clone()));
        }
        let entry = entry(&gateway, &ask, &client);
        let mut settlement = settlement;
        if let Some(account) = &mut settlement.account {
            account.of(&client, ask.model(), ask.wish.prompt_tokens);
        }
        let heartbeat = snapshot.config.endpoint.heartbeat;
        let heartbeat_every = match client.patience.silence {
            Some(silence) => heartbeat.min((silence / 2).max(HEARTBEAT_MIN)),
            None => heartbeat,
        };
        Self {
            gateway,
            snapshot,
            forwarded: client.forwarded,
            request_id,
            mock_fallbacks: ask.mock_fallbacks,
            ask: Rc::new(ask),
            settlement,
            context,
            entry,
            waits: Arc::default(),
            heartbeat_every,
            copied: RefCell::default(),
            identity: client.identity,
            policy: client.policy,
            wishes: client.wishes,
            cache: None,
            keeping: None,
            alike: None,
            purges: 0,
            tape: None,
            second_round: false,
            failure: None,
            before: Vec::new(),
        }
    }

    /// A budget wants it to be served in the house.
    pub(super) fn stays_in_house(&mut self) {
        self.policy = Arc::new(self.policy.kept_in_house());
        self.policy.bind(Arc::make_mut(&mut self.entry.wish));
    }

    /// Chooses among the places that are left, waits for one, calls it; up to the first that accepts.
    ///
    /// # Errors
    /// No place, no route, no upstream that accepts, or one that failed in a way in which every other would.
    pub(super) async fn next_live(&mut self) -> Result<Live, ServeError> {
        if std::mem::take(&mut self.mock_fallbacks) {
            self.mock_failure()?;
        }
        loop {
            let slot = match self.next_slot().await {
                Ok(slot) => slot,
                Err(refusal) => {
                    let Some(failure) = self.failure.take() else { return Err(refusal.into()) };
                    if let Some(end) = self.end_of_attempts(&refusal) {
                        return Err(failure.ending(end));
                    }
                    if self.second_round || !self.wait_for_second_round(&failure).await {
                        return Err(failure);
                    }
                    continue;
                }
            };
            let target = slot.grant().leg.target.clone();
            self.entry.tried.push(target.clone());
            // One that has no room left is passed over like one that fails.
            let called = match quota::join(self, &target) {
                Ok(()) => self.call(slot).await,
                Err(error) => Err(error),
            };
            match called {
                Ok(live) => {
                    self.goes(&live);
                    self.waits.set(Waits::Unnamed);
                    self.settlement.phase = Phase::Prefill;
                    return Ok(live);
                }
                Err(ServeError::Call { error, .. }) => {
                    self.failed(*error)?;
                    // It has not begun, and is waited for where no other place can serve.
                    if self.gateway.dispatcher.is_awaited(&target, &self.snapshot) {
                        self.entry.tried.pop();
                        self.entry.attempt = Attempt::AfterLoss;
                    }
                }
                Err(error) => {
                    self.entry.attempt = Attempt::AfterLoss;
                    self.failure = Some(error);
                }
            }
        }
    }

    /// An upstream has accepted: the ledger is told why it was this one.
    fn goes(&mut self, live: &Live) {
        quota::lower(self, &live.leg().target);
        if let Some(account) = &mut self.settlement.account {
            account.reason = live.leg().reason().to_string().as_str().into();
        }
    }

    /// After a failure: the second copy, if one is on its way, or else the next place.
    ///
    /// # Errors
    /// As [`Job::next_live`].
    pub(super) async fn go_on(&mut self, hedge: Hedge) -> Result<Live, ServeError> {
        match hedge.rest().await {
            Some(won) => Ok(self.take_over(won)),
            None => self.next_live().await,
        }
    }

    /// Why there is no further attempt although there is a place, if that is so.
    fn end_of_attempts(&self, refusal: &Refusal) -> Option<&'static str> {
        if matches!(refusal, Refusal::RetriesSpent { .. }) {
            self.gateway.metrics.retry_refused();
            return Some(RETRIES_SPENT);
        }
        matches!(refusal, Refusal::Late { .. }).then_some(TIME_OVER)
    }

    /// Lets the best place fail without calling it. Nothing is counted or held against it: it has done nothing.
    fn mock_failure(&mut self) -> Result<(), ServeError> {
        let target = self.choose()?.target;
        self.settlement.attempt();
        self.before.push(format!("{} (mocked)", target.upstream));
        let error = CallError { upstream: target.upstream.clone(), fault: Fault::mocked() };
        self.failure = Some(ServeError::call(error));
        self.entry.tried.push(target);
        self.entry.attempt = Attempt::AfterLoss;
        Ok(())
    }

    /// Waits for the best place that was not tried yet.
    async fn next_slot(&mut self) -> Result<Slot, Refusal> {
        self.entry.tried.extend(self.copied.take());
        if self.entry.tried.len() >= LEGS_MAX {
            return Err(Refusal::NoModelNamed);
        }
        self.settlement.phase = Phase::Queued;
        let waiting = Instant::now();
        let waits = self.waits.clone();
        let queued = |ticket| waits.set(Waits::Queued(ticket));
        let entered = self.gateway.dispatcher.enter(self.entry.clone(), &self.snapshot, queued).await;
        self.waits.set(Waits::Unnamed);
        self.settlement.queued += waiting.elapsed();
        entered
    }

    /// The place to which the request would go now.
    ///
    /// # Errors
    /// Nobody offers the model, or can do with it what is asked.
    pub(super) fn choose(&self) -> Result<Leg, ServeError> {
        let route = self.gateway.dispatcher.choose(&self.entry, &self.snapshot)?;
        route.legs.into_iter().next().ok_or(ServeError::Refused(Refusal::NoModelNamed))
    }

    /// Notes that an upstream failed.
    ///
    /// # Errors
    /// No other upstream would do better.
    pub(super) fn failed(&mut self, error: CallError) -> Result<(), ServeError> {
        self.gateway.metrics.failed(&error.upstream, error.kind());
        let may_retry = error.may_retry();
        debug!(request.id = %self.request_id, upstream = %error.upstream, kind = error.kind(), error = %error, "attempt failed");
        let short = format!("{} ({})", error.upstream, error.kind());
        self.entry.attempt = if error.is_loss() { Attempt::AfterLoss } else { Attempt::AfterFailure };
        let error = ServeError::Call { error: Box::new(error), before: self.before.clone(), end: "" };
        // One that is waited for says the same again and again.
        if self.before.last() != Some(&short) {
            self.before.push(short);
        }
        if may_retry {
            self.failure = Some(error);
            return Ok(());
        }
        Err(error)
    }

    /// When the last upstream said that it will be free in a moment, waits for it once.
    async fn wait_for_second_round(&mut self, failure: &ServeError) -> bool {
        let ServeError::Call { error, .. } = failure else { return false };
        let Fault::Status { retry_after: Some(wait), .. } = &error.fault else { return false };
        let Ok(wait) = wait.parse().map(Duration::from_secs) else { return false };
        let is_late = self.entry.until.is_some_and(|until| until <= self.gateway.dispatcher.now() + wait);
        if wait > RETRY_WAIT_MAX || is_late {
            return false;
        }
        self.second_round = true;
        self.entry.tried.clear();
        tokio::time::sleep(wait).await;
        true
    }

    /// Resolves when the upstream is found to be gone while another place could take over; without one, hope is better
    /// than an error.
    pub(super) async fn gone(&self, slot: &Slot) {
        let mut gone = slot.gone();
        loop {
            if gone.changed().await.is_err() {
                // The owner has taken the upstream out of the config: its calls come to their end.
                std::future::pending::<()>().await;
            }
            let route = self.gateway.dispatcher.choose(&self.entry, &self.snapshot);
            if route.is_ok_and(|route| route.legs.iter().any(|leg| !leg.is_last_resort)) {
                return;
            }
        }
    }

    /// The reason for which the last upstream failed.
    pub(super) fn take_failure(&mut self) -> ServeError {
        self.failure.take().unwrap_or(ServeError::Refused(Refusal::NoModelNamed))
    }

    /// An error of an upstream of this job, which is held against it.
    pub(super) fn call_error(&self, live: &mut Live, fault: Fault) -> CallError {
        let error = match self.snapshot.config.upstream(&live.leg().target.upstream) {
            Some(upstream) => CallError::new(upstream, fault),
            None => CallError { upstream: live.leg().target.upstream.clone(), fault },
        };
        live.slot.note(error.outcome());
        error
    }

    /// An upstream has something to show: from now on its answer goes on the tape, if there is one.
    pub(super) fn tapes(&self, live: &Live, is_stream: bool, said: impl IntoIterator<Item = Bytes>) {
        let Some(tape) = &self.tape else { return };
        let leg = live.leg();
        let head = Head {
            far: leg.far,
            is_stream,
            target: leg.target.clone(),
            reason: leg.reason().to_string(),
            attempts: self.settlement.attempts.get(),
            queued: self.settlement.queued,
        };
        tape.begin(head, said);
    }

    /// The request has failed for good.
    pub(super) fn fails(&mut self, error: ServeError) {
        self.settlement.fail(error.kind());
        if let Some(tape) = self.tape.take() {
            tape.fail(error);
        }
    }

    /// The answer is complete: the request is settled, and the place's speed is known better.
    pub(super) fn complete(&mut self, live: &mut Live) {
        let usage = self.settlement.usage;
        let prompt_tokens = usage.input.unwrap_or(self.entry.wish.prompt_tokens);
        let cached_tokens = usage.cached_read.unwrap_or(live.leg().score.warm_tokens);
        live.slot.note(Outcome::Answered(Measured {
            prompt_tokens: prompt_tokens.saturating_sub(cached_tokens),
            output_tokens: usage.output.unwrap_or(self.settlement.pieces.into()),
            first_token: self.settlement.first_piece.map(|first| first.duration_since(live.slot.began())),
            total: live.slot.began().elapsed(),
            was_cold: !live.leg().score.load.is_zero(),
        }));
        self.settlement.complete();
        if let Some(tape) = self.tape.take() {
            let (said, is_stream) = tape.said();
            tape.complete(self.keep(live, is_stream, &said));
        }
    }
}
