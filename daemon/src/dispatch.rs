//! The house's traffic as it is: holds the decisions' state, lets those that wait go, and gives each call its slot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::catalogue::{Catalogue, Target};
use domain::config::Config;
use domain::dispatch::{Dispatch, Entered, Entry, Grant, House, Outcome, Turn};
use domain::gpu::Press;
use domain::health::Symptom;
use domain::moment::Moment;
use domain::node::ServedModel;
use domain::reading::{Engine, Load, Reading};
use domain::refusal::Refusal;
use domain::route::Route;
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use crate::live::{Live, Snapshot};
use crate::metrics::Metrics;
use crate::wake;

/// Lets requests in, one decision at a time. Its lock is held for a decision, never across an `await`.
pub(crate) struct Dispatcher {
    state: Mutex<State>,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    started: Instant,
}

/// What one that waited is told, if it still waits.
type Told = (Option<oneshot::Sender<Result<Slot, Refusal>>>, Result<Slot, Refusal>);

#[derive(Default)]
struct State {
    dispatch: Dispatch,
    /// Who is to be told, by ticket.
    waiting: HashMap<u64, oneshot::Sender<Result<Slot, Refusal>>>,
    /// The snapshot whose models are known.
    told: Option<Arc<Snapshot>>,
    /// By upstream: tells the calls in progress there that it is gone.
    gone: HashMap<String, watch::Sender<()>>,
}

/// Leave to call a place. Dropping it gives the place back.
pub(crate) struct Slot {
    dispatcher: Arc<Dispatcher>,
    grant: Grant,
    outcome: Outcome,
    began: Instant,
    gone: watch::Receiver<()>,
}

/// One that waits. Dropping it leaves the queue.
struct Waiting<'a> {
    dispatcher: &'a Dispatcher,
    ticket: u64,
}

/// How often those that wait are looked at even though nothing happened: pauses end, and models may be swapped.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Dispatcher {
    pub(crate) fn new(live: Arc<Live>, metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), live, metrics, started: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of a decision.
    pub(crate) fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    /// Waits for a place that may be called. `waits` is told the ticket as soon as there is one.
    ///
    /// # Errors
    /// Nobody can serve it, too many wait already, or the wait is over.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        entry: Entry,
        snapshot: &Arc<Snapshot>,
        waits: impl FnOnce(u64),
    ) -> Result<Slot, Refusal> {
        let house = house(&snapshot.config, &snapshot.catalogue);
        let (since, until) = (entry.since, entry.until);
        let (ticket, mut patience, mut receiver) = {
            let mut state = self.lock();
            state.tell(snapshot, &self.live);
            match state.dispatch.enter(entry, house, self.now())? {
                Entered::Go(grant) => return Ok(self.slot(&mut state, grant)),
                Entered::Wait(ticket) => {
                    let (sender, receiver) = oneshot::channel();
                    state.waiting.insert(ticket, sender);
                    (ticket, state.dispatch.patience(ticket, self.now()), receiver)
                }
            }
        };
        waits(ticket);
        let _waiting = Waiting::new(self, ticket);
        let began = Instant::now();
        while !patience.is_zero() {
            match tokio::time::timeout(patience, &mut receiver).await {
                Ok(Ok(result)) => return result,
                Ok(Err(_)) => break,
                // Its place may have turned out to need longer.
                Err(_) => patience = self.with(|dispatch, now| dispatch.patience(ticket, now)),
            }
        }
        Err(self.busy(began.elapsed(), since, until))
    }

    /// Why one that waited for so long is not served.
    fn busy(&self, waited: Duration, since: Moment, until: Option<Moment>) -> Refusal {
        let (state, now) = (self.lock(), self.now());
        let retry_after = state.dispatch.owed_max(now);
        if let Some(until) = until.filter(|until| *until <= now) {
            return Refusal::Late { timeout_s: until.since(since).as_secs(), wait: waited + retry_after, retry_after };
        }
        Refusal::Busy { running: state.dispatch.running(), waited_s: waited.as_secs(), retry_after }
    }

    /// The decision for an entry, without acting on it.
    ///
    /// # Errors
    /// Nobody can serve it.
    pub(crate) fn choose(&self, entry: &Entry, snapshot: &Arc<Snapshot>) -> Result<Route, Refusal> {
        let mut state = self.lock();
        state.tell(snapshot, &self.live);
        state.dispatch.choose(entry, house(&snapshot.config, &snapshot.catalogue), self.now())
    }

    /// Whether a place loads its model, and a request waits for that.
    pub(crate) fn is_awaited(&self, target: &Target, snapshot: &Snapshot) -> bool {
        self.with(|dispatch, now| dispatch.is_awaited(target, house(&snapshot.config, &snapshot.catalogue), now))
    }

    /// What there is to say to one that waits.
    pub(crate) fn turn(&self, ticket: u64) -> Option<Turn> {
        self.lock().dispatch.turn(ticket, self.now())
    }

    /// A place for the second copy of a call that is late, if there is one that costs nothing.
    pub(crate) fn hedge(self: &Arc<Self>, entry: &Entry, first: &Slot, snapshot: &Snapshot) -> Option<Slot> {
        let mut state = self.lock();
        let house = house(&snapshot.config, &snapshot.catalogue);
        let grant = state.dispatch.hedge(entry, &first.grant, house, self.now())?;
        self.metrics.hedged(&grant.leg.target.upstream);
        Some(self.slot(&mut state, grant))
    }

    /// The second copy was answered first.
    pub(crate) fn hedge_won(&self, entry: &Entry, slot: &Slot) {
        self.metrics.hedge_won(&slot.grant.leg.target.upstream);
        self.lock().dispatch.hedge_won(entry, &slot.grant, self.now());
    }

    fn slot(self: &Arc<Self>, state: &mut State, grant: Grant) -> Slot {
        let upstream = &grant.leg.target.upstream;
        let gone = match state.gone.get(upstream) {
            Some(sender) => sender.subscribe(),
            None => state.gone.entry(upstream.clone()).or_default().subscribe(),
        };
        self.metrics.in_flight.inc();
        Slot { dispatcher: self.clone(), grant, outcome: Outcome::Unsent, began: Instant::now(), gone }
    }

    /// Changes something, and lets go whoever may because of that, before anybody else decides: the predictions for
    /// those that wait are always as new as what they are made of.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, Moment) -> T) -> T {
        let (changed, woken) = {
            let mut state = self.lock();
            let changed = change(&mut state, self.now());
            let woken = if state.dispatch.waiting() > 0 { self.let_go(&mut state) } else { Vec::new() };
            (changed, woken)
        };
        // Who has left meanwhile gives its slot back when it is dropped here, without the lock.
        for (sender, result) in woken {
            if let Some(sender) = sender {
                drop(sender.send(result));
            }
        }
        changed
    }

    /// Those that wait and may go now, with what they are told.
    fn let_go(self: &Arc<Self>, state: &mut State) -> Vec<Told> {
        let snapshot = self.live.now();
        let woken = state.dispatch.wake(house(&snapshot.config, &snapshot.catalogue), self.now());
        let told = woken.into_iter().map(|woken| {
            let result = woken.result.map(|grant| self.slot(state, grant));
            (state.waiting.remove(&woken.ticket), result)
        });
        told.collect()
    }

    /// Takes over what is offered now, also where nobody asks for anything.
    pub(crate) fn see(&self, snapshot: &Arc<Snapshot>) {
        self.lock().tell(snapshot, &self.live);
    }

    /// Looks at those that wait from time to time, for ever.
    pub(crate) async fn keep_looking(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.change(|state, _| state.dispatch.waiting()) > 0 {
                self.call_sleepers();
            }
        }
    }

    /// Wakes the machines for which somebody waits.
    fn call_sleepers(&self) {
        let called = self.lock().dispatch.calls_to_wake(self.now());
        let snapshot = self.live.now();
        for upstream in called.iter().filter_map(|name| snapshot.config.upstream(name)) {
            let Some(wake) = &upstream.wake else { continue };
            match wake::call(wake) {
                Ok(()) => info!(upstream = %upstream.name, "its machine is woken, since a request waits for it"),
                Err(error) => warn!(upstream = %upstream.name, %error, "its machine cannot be woken; see wake_address"),
            }
        }
    }

    /// How a look at an upstream ended.
    pub(crate) fn probed(self: &Arc<Self>, upstream: &str, result: Result<(), (Symptom, String)>) {
        let is_gone = matches!(result, Err((Symptom::Unreachable, _)));
        self.change(|state, now| {
            state.dispatch.probed(upstream, result, now);
            if is_gone && let Some(gone) = state.gone.get(upstream) {
                // Those that have seen nothing yet try elsewhere; the others see their stream break.
                gone.send_replace(());
            }
        });
    }

    /// What a node tells of its models, as far as they are offered.
    /// It was made after `asked`.
    pub(crate) fn reported<'a>(
        self: &Arc<Self>,
        node: &str,
        models: impl Iterator<Item = &'a ServedModel>,
        asked: Moment,
    ) {
        let snapshot = self.live.now();
        let mut reading = Reading::default();
        let mut state = self.lock();
        for model in models {
            let target = Target::new(node, &model.id);
            if snapshot.catalogue.info(&target).is_some() {
                state.dispatch.told(&target, model.slots, model.resident, true);
                reading.loads.push(Load {
                    model: Some(model.id.clone()),
                    running: model.running,
                    waiting: Some(model.waiting),
                    slots: model.slots,
                    ..Load::default()
                });
            }
        }
        drop(state);
        self.told(node, Engine::Airlane, &reading, asked);
    }

    /// Whether the machine of an upstream is being woken.
    pub(crate) fn is_waking(&self, upstream: &str) -> bool {
        self.with(|dispatch, now| dispatch.places.site(upstream).is_some_and(|site| site.sleep.is_waking(now)))
    }

    /// Whether an upstream has something to do for us, or may have: calls, and cancelled ones with which it may go on.
    pub(crate) fn works_at(&self, upstream: &str) -> bool {
        self.calls_at(upstream) > 0 || self.with(|dispatch, _| dispatch.watches(upstream))
    }

    /// What the cards of an upstream mean for it.
    pub(crate) fn pressed(&self, upstream: &str, press: Press) {
        let mut state = self.lock();
        if press.by_servers && state.dispatch.busy_by_itself(upstream, self.now()) {
            say_ignores_cancel(upstream);
        }
        // Most are pressed by nothing, and need no record for that.
        if press == Press::default() && state.dispatch.places.site(upstream).is_none() {
            return;
        }
        let site = state.dispatch.places.site_mut(upstream);
        (site.pressure, site.throttled, site.ailing) = (press.pressure, press.throttled, press.ailing);
    }

    /// What an upstream told of itself when it was asked at `asked`. Gives whether it works for others, or loads a model.
    pub(crate) fn told(self: &Arc<Self>, upstream: &str, engine: Engine, reading: &Reading, asked: Moment) -> bool {
        let heard = self.change(|state, now| state.dispatch.read(upstream, engine, reading, asked, now));
        self.metrics.others(upstream, heard.others);
        match heard.ignores_cancel {
            Some(true) => say_ignores_cancel(upstream),
            Some(false) => info!(upstream, "stops cancelled work again"),
            None => {}
        }
        heard.is_active
    }

    /// An upstream tells nothing of itself any more.
    pub(crate) fn untold(&self, upstream: &str) {
        self.lock().dispatch.unread(upstream);
        self.metrics.others(upstream, None);
    }

    /// Calls that an upstream works on.
    pub(crate) fn calls_at(&self, upstream: &str) -> usize {
        self.lock().dispatch.places.running_at(upstream)
    }

    /// Reads the state as it is.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Dispatch, Moment) -> T) -> T {
        read(&self.lock().dispatch, self.now())
    }
}

impl State {
    /// Takes over what the upstreams told of their models, once for each catalogue. A request may still use one from
    /// before: what has come since then is not forgotten for it.
    fn tell(&mut self, used: &Arc<Snapshot>, live: &Live) {
        let is_told =
            |told: &Option<Arc<Snapshot>>, snapshot| told.as_ref().is_some_and(|told| Arc::ptr_eq(told, snapshot));
        if is_told(&self.told, used) {
            return;
        }
        let snapshot = &live.now();
        if is_told(&self.told, snapshot) {
            return;
        }
        for listed in snapshot.catalogue.listed() {
            let Some(upstream) = snapshot.config.upstream(&listed.upstream) else { continue };
            // A node reports what it has, every second.
            if upstream.is_node {
                continue;
            }
            let target = Target::new(&upstream.name, &listed.info.id);
            let slots = upstream.slots.or(listed.info.slots);
            self.dispatch.told(&target, slots, listed.info.loaded, upstream.local);
        }
        for upstream in &snapshot.config.upstreams {
            let guess = upstream.wake.map(|wake| wake.guess);
            if guess.is_some() || self.dispatch.places.site(&upstream.name).is_some() {
                self.dispatch.places.site_mut(&upstream.name).sleep.guess = guess;
            }
        }
        // Clients may name models of an upstream that has not told its own: what is not offered is forgotten.
        let is_offered = |target: &Target| snapshot.catalogue.info(target).is_some();
        self.dispatch.retain(is_offered, |name| snapshot.config.upstream(name).is_some());
        self.gone.retain(|name, _| snapshot.config.upstream(name).is_some());
        self.told = Some(snapshot.clone());
    }
}

fn say_ignores_cancel(upstream: &str) {
    warn!(
        upstream,
        "does not stop cancelled work: its slots stay taken until that ends; a newer version of it may stop"
    );
}

fn house<'a>(config: &'a Config, catalogue: &'a Catalogue) -> House<'a> {
    House { config, catalogue }
}

impl<'a> Waiting<'a> {
    fn new(dispatcher: &'a Dispatcher, ticket: u64) -> Self {
        dispatcher.metrics.waiting.inc();
        Self { dispatcher, ticket }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.dispatcher.metrics.waiting.dec();
        let mut state = self.dispatcher.lock();
        state.dispatch.leave(self.ticket);
        // With the lock held only the sender goes; a slot that was sent lies with the receiver.
        state.waiting.remove(&self.ticket);
    }
}

impl Slot {
    /// Where to call, and why there.
    pub(crate) const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// When it was given.
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// The call is sent: if nothing else is noted, the client has left.
    pub(crate) fn sends(&mut self) {
        self.outcome = Outcome::Left;
    }

    /// Notes how the call ended.
    pub(crate) fn note(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// The first token has come.
    pub(crate) fn first_token(&self) {
        let now = self.dispatcher.now();
        self.dispatcher.lock().dispatch.first_token(&self.grant, now);
    }

    /// Changes when the upstream is found to be gone.
    pub(crate) fn gone(&self) -> watch::Receiver<()> {
        self.gone.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Unsent);
        self.dispatcher.metrics.in_flight.dec();
        self.dispatcher.change(|state, now| state.dispatch.ended(&self.grant, outcome, now));
    }
}
