//! Looks at the house's own upstreams while nobody asks them: are they there, what have they loaded, whom else do they
//! serve, who presses their GPUs?

mod owners;
mod press;
mod teller;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::health::{Permission, Symptom};
use domain::moment::Moment;
use domain::places::seed;
use domain::reading::Engine;
use domain::upstream::Upstream;
use futures_util::future::{join, join_all};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::press::Pressers;
use self::teller::Teller;
use crate::dispatch::Dispatcher;
use crate::live::{Live, Snapshot};
use crate::upstreams::{Answered, Clients, Health, Question, Untold, health};

/// How often is decided who is looked at, and how long an answer is waited for. A server that works for us, or for others,
/// is looked at each time: so one that freezes is found within three ticks, less than two seconds.
const TICK: Duration = Duration::from_millis(600);
/// How often a server is looked at that has nothing to do for us.
const IDLE_EVERY: Duration = Duration::from_secs(10);
/// The same for one that tells of its requests: others may come at any time.
const READ_EVERY: Duration = Duration::from_secs(3);
/// Looks without an answer after which a server is taken for gone: a stopped one still accepts connections. A busy one
/// may miss a single look.
const MISSES_MAX: u32 = 2;

/// Watches the upstreams.
pub(crate) struct Probes {
    live: Arc<Live>,
    clients: Arc<Clients>,
    dispatcher: Arc<Dispatcher>,
    looked: HashMap<String, Looked>,
    pressers: Pressers,
}

struct Looked {
    at: Option<Instant>,
    misses: u32,
    teller: Teller,
    /// It works for others, or loads a model.
    is_active: bool,
}

/// What a look found.
struct Found {
    health: Health,
    /// The answer to the question, if one was asked.
    told: Option<Result<Answered, Untold>>,
    asked: Moment,
}

impl Probes {
    pub(crate) fn new(live: Arc<Live>, clients: Arc<Clients>, dispatcher: Arc<Dispatcher>) -> Self {
        Self { live, clients, dispatcher, looked: HashMap::new(), pressers: Pressers::default() }
    }

    /// Works for ever.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let snapshot = self.live.now();
            self.dispatcher.see(&snapshot);
            for (upstream, press) in self.pressers.look(&self.live, &snapshot).await {
                self.dispatcher.pressed(upstream, press);
            }
            self.look(&snapshot).await;
        }
    }

    /// Looks at those whose turn it is, all at once.
    async fn look(&mut self, snapshot: &Snapshot) {
        self.looked.retain(|name, _| snapshot.config.upstream(name).is_some());
        let now = Instant::now();
        let mut due: Vec<(&Upstream, Option<Question>)> = Vec::new();
        for upstream in &snapshot.config.upstreams {
            if !self.is_due(upstream) {
                continue;
            }
            let known = self.looked.entry(upstream.name.clone()).or_insert_with(|| Looked::new(&upstream.name));
            known.at = Some(now);
            due.push((upstream, known.teller.question(engine_of(snapshot, upstream), now)));
        }
        let (clients, asked) = (&self.clients, self.dispatcher.now());
        let looks = due.into_iter().map(|(upstream, question)| async move {
            (upstream.name.as_str(), look(clients, upstream, question, asked).await)
        });
        for (name, found) in join_all(looks.collect::<Vec<_>>()).await {
            self.note(name, found);
        }
    }

    fn note(&mut self, name: &str, found: Found) {
        let Some(known) = self.looked.get_mut(name) else { return };
        let is_miss = matches!(found.health, Err((Symptom::Failing, _)));
        known.misses = if is_miss { known.misses.saturating_add(1) } else { 0 };
        let health = match found.health {
            Err((Symptom::Failing, _)) if known.misses < MISSES_MAX => None,
            Err((Symptom::Failing, cause)) => Some(Err((Symptom::Unreachable, cause))),
            told => Some(told),
        };
        let is_gone = matches!(health, Some(Err((Symptom::Unreachable, _))));
        if let Some(Ok(answered)) = &found.told {
            known.is_active = self.dispatcher.told(name, answered.engine, &answered.reading, found.asked);
        }
        let is_stale = known.teller.note(found.told.map(|told| told.map(|answered| answered.engine)), Instant::now());
        if is_gone || is_stale {
            // Another server may stand there when somebody answers again.
            if is_gone {
                known.teller = Teller::new(seed(name, ""));
            }
            known.is_active = false;
            self.dispatcher.untold(name);
        }
        if let Some(health) = health {
            self.dispatcher.probed(name, health);
        }
    }

    fn is_due(&self, upstream: &Upstream) -> bool {
        // Clouds are not looked at: their health shows in the requests, and they count every call. Nodes report.
        if !upstream.is_shared() {
            return false;
        }
        if self.dispatcher.is_waking(&upstream.name) {
            return true;
        }
        let permission = self
            .dispatcher
            .with(|dispatch, now| dispatch.places.site(&upstream.name).map(|site| site.health.permission(now)));
        match permission {
            Some(Permission::Trial) => true,
            // A request may be there as a trial, or from before: it must not wait for the end of the pause to learn that
            // nobody answers.
            Some(Permission::Not { .. }) => self.dispatcher.calls_at(&upstream.name) > 0,
            Some(Permission::Yes) | None => {
                let looked = self.looked.get(&upstream.name);
                looked.is_none_or(Looked::is_due) || self.dispatcher.works_at(&upstream.name)
            }
        }
    }
}

impl Looked {
    fn new(name: &str) -> Self {
        Self { at: None, misses: 0, teller: Teller::new(seed(name, "")), is_active: false }
    }

    fn is_due(&self) -> bool {
        let pause = if self.teller.is_eager() { READ_EVERY } else { IDLE_EVERY };
        self.misses > 0 || self.is_active || self.at.is_none_or(|at| at.elapsed() >= pause)
    }
}

/// The engine that an upstream's list of models tells; `None` while there is no list.
fn engine_of(snapshot: &Snapshot, upstream: &Upstream) -> Option<Option<Engine>> {
    let mut own = snapshot.catalogue.listed().iter().filter(|listed| listed.upstream == upstream.name).peekable();
    own.peek()?;
    Some(Engine::of(upstream.kind, own.filter_map(|listed| listed.info.owned_by.as_deref())))
}

/// One look at a server, with the question in the same request where that shows its health as well.
async fn look(clients: &Clients, upstream: &Upstream, question: Option<Question>, asked: Moment) -> Found {
    let Some(question) = question else {
        return Found { health: clients.probe(upstream, TICK).await, told: None, asked };
    };
    if !question.is_sign_of_life() {
        let (health, told) = join(clients.probe(upstream, TICK), clients.ask(upstream, question, TICK)).await;
        return Found { health, told: Some(told), asked };
    }
    let told = clients.ask(upstream, question, TICK).await;
    let health = match &told {
        // Whoever does not know the question is there to say so.
        Ok(_) | Err(Untold::Never) => Ok(()),
        Err(Untold::NotNow(error)) => health(error),
    };
    Found { health, told: Some(told), asked }
}
