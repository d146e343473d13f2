//! The only file that sees every room: makes the parts, hands them to each other, names the tasks.

mod data_dir;
mod listener;
mod memory;
mod quotas;
mod servers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::info;

use crate::cache::Cache;
use crate::dispatch::Dispatcher;
use crate::edges::{Clock, SystemClock};
use crate::gateway::{Flights, Gateway, Judges};
use crate::keeper::Keeper;
use crate::ledger::Ledger;
use crate::live::Live;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::probes::Probes;
use crate::settings::{self, Source};
use crate::tasks::Tasks;
use crate::tenants::Tenants;
use crate::upstreams::{Clients, Refresh, Trust};
use crate::{exporters, gpu, machine, telemetry};
use servers::Servers;

pub(crate) use data_dir::{DaemonFile, candidates as data_dirs};

/// Longest wait for upstreams at start before clients are served all the same.
const FIRST_ROUND_MAX: Duration = Duration::from_millis(1_500);

/// Longest wait at the end for the disk with the kept answers: they can be asked for again.
const CACHE_CLOSE_MAX: Duration = Duration::from_secs(5);

/// Longest wait at the end for the disk with the ledger: what is not written is lost.
const LEDGER_CLOSE_MAX: Duration = Duration::from_secs(20);

/// Everything that workers share.
pub(crate) struct Parts {
    pub(crate) live: Arc<Live>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) flights: Arc<Flights>,
    judges: Arc<Judges>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) stopping: Arc<AtomicBool>,
    pub(crate) started: Instant,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Parts {
    /// The gateway of one worker.
    pub(crate) fn gateway(&self) -> Gateway {
        Gateway {
            live: self.live.clone(),
            dispatcher: self.dispatcher.clone(),
            cache: self.cache.clone(),
            flights: self.flights.clone(),
            ledger: self.ledger.clone(),
            tenants: self.tenants.clone(),
            judges: self.judges.clone(),
            meter: self.meter.clone(),
            metrics: self.metrics.clone(),
            clients: Clients::new(self.trust.clone()),
            clock: self.clock.clone(),
            ready: self.ready.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// It cannot start, or a part without which it cannot go on has ended.
pub(crate) async fn run(source: Source) -> anyhow::Result<()> {
    let config = source.load()?;
    raise_open_files();
    crate::logging::start(&config.log);
    let data = data_dir::open(&config.data.dir, source.file.is_some() || source.overrides.data.is_some())?;
    let metrics = Arc::new(Metrics::new());
    let live = Arc::new(Live::new(Arc::new(config.clone())));
    let dispatcher = Arc::new(Dispatcher::new(live.clone(), metrics.clone()));
    let trust = Arc::new(Trust::default());
    let clients = Clients::new(trust.clone());
    let nodes = Arc::new(Nodes::new(&config, data.path(), live.clone(), dispatcher.clone(), clients));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let tenants = Arc::new(Tenants::open(data.path(), clock.clone())?);
    let parts = Arc::new(Parts {
        dispatcher,
        cache: Cache::open(&config.cache, data.path(), clock.clone()),
        flights: Arc::default(),
        judges: Arc::default(),
        meter: Arc::new(Meter::new(quotas::STRANGERS_MAX)),
        live,
        metrics,
        nodes,
        ledger: Arc::new(Ledger::new(&config.ledger, data.path(), clock.clone())),
        tenants,
        trust,
        ready: Arc::new(AtomicBool::new(false)),
        stopping: Arc::new(AtomicBool::new(false)),
        started: Instant::now(),
        clock,
    });
    // Before anybody can know of us, so that no signal finds us without an ear.
    let mut signals = Signals::new()?;
    let servers = Servers::bind(&config, &parts)?;
    parts.nodes.listens(servers.plain_addresses());
    let mut tasks = Tasks::default();
    let wishes = start_tasks(&mut tasks, &source, &config, &parts, servers.addresses()).await?;
    let _ = tokio::time::timeout(FIRST_ROUND_MAX, parts.live.first_round()).await;
    quotas::restore(&parts, &config).await;
    parts.ready.store(true, Ordering::Relaxed);
    data.publish(&servers.endpoint_urls(), &servers.console_urls())?;
    parts.nodes.begin();
    info!(endpoint = servers.endpoint_urls().join(" "), console = servers.console_urls().join(" "), "ready");
    let ended = wait(&mut tasks, &servers, &wishes, &mut signals).await;
    parts.ready.store(false, Ordering::Relaxed);
    data.withdraw();
    parts.stopping.store(true, Ordering::Relaxed);
    servers.drain(&parts, config.endpoint.drain, signals.stop()).await;
    parts.cache.close(CACHE_CLOSE_MAX).await;
    parts.ledger.close(LEDGER_CLOSE_MAX).await;
    info!("stopped");
    ended
}

/// A stream takes two sockets, and many systems begin with 1,024: takes all that the system lets us have.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Without it we serve fewer streams at once.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Starts everything that works beside the requests.
async fn start_tasks(
    tasks: &mut Tasks,
    source: &Source,
    config: &domain::config::Config,
    parts: &Arc<Parts>,
    own: Vec<SocketAddr>,
) -> anyhow::Result<mpsc::Sender<()>> {
    let clients = Arc::new(Clients::new(parts.trust.clone()));
    let (mut keeper, configs) =
        Keeper::new(source.clone(), config.clone(), clients.clone(), parts.live.clone(), own, parts.nodes.upstreams());
    keeper.begin().await;
    let probes = Probes::new(parts.live.clone(), clients.clone(), parts.dispatcher.clone());
    let exporters = (parts.live.clone(), clients.clone(), parts.metrics.clone());
    tasks.optional("exporters", move || {
        let (live, clients, metrics) = exporters.clone();
        exporters::keep(live, clients, metrics)
    });
    let refresh = Refresh::new(parts.live.clone(), clients, parts.metrics.clone(), configs, parts.nodes.lists());
    // Wishes for a reload may be lost when many wait: one reload serves them all.
    let (wishes, wished) = mpsc::channel(4);
    tasks.vital("catalogue", refresh.run());
    tasks.vital("config", keeper.run(wished));
    tasks.vital("probes", probes.run());
    tasks.vital("dispatch", parts.dispatcher.clone().keep_looking());
    if let Some(file) = source.file.clone() {
        let wishes = wishes.clone();
        tasks.optional("config-watch", move || settings::watch(file.clone(), wishes.clone()));
    }
    start_cache(tasks, parts);
    let ledger = parts.ledger.clone();
    tasks.thread("ledger", move || ledger.write());
    let sweeping = parts.clone();
    tasks.optional("quotas", move || quotas::sweep(sweeping.clone()));
    start_nodes(tasks, parts);
    start_sensors(tasks, config, parts);
    Ok(wishes)
}

/// Starts the threads of the database with the kept answers.
fn start_cache(tasks: &mut Tasks, parts: &Arc<Parts>) {
    if parts.cache.is_enabled() {
        let (writes, reads, asks) = (parts.cache.clone(), parts.cache.clone(), parts.cache.clone());
        tasks.thread("cache-writer", move || writes.write());
        tasks.thread("cache-reader", move || reads.read());
        if cfg!(feature = "semantic") {
            tasks.thread("cache-questions", move || asks.ask());
        }
    }
}

/// Starts what listens to nodes, and what makes a node of this machine.
fn start_nodes(tasks: &mut Tasks, parts: &Arc<Parts>) {
    let nodes = parts.nodes.clone();
    tasks.optional("nodes", move || nodes.clone().watch());
    let nodes = parts.nodes.clone();
    tasks.optional("node-calls", move || nodes.clone().call_silent());
    let nodes = parts.nodes.clone();
    tasks.optional("node-reports", move || nodes.clone().report());
    let nodes = parts.nodes.clone();
    tasks.optional("node-announcement", move || nodes.clone().announce());
}

/// Starts what reads the cards and the machine, and the task that makes one sum of it.
fn start_sensors(tasks: &mut Tasks, config: &domain::config::Config, parts: &Arc<Parts>) {
    let (cards, cards_read) = watch::channel(domain::gpu::Gpus::default());
    let (facts, facts_read) = watch::channel(None);
    let settings = config.gpu.clone();
    match gpu::unread(&settings) {
        Some(state) => drop(cards.send_replace(domain::gpu::Gpus { state, ..domain::gpu::Gpus::default() })),
        None => tasks.thread("gpu", move || gpu::watch_cards(&settings, &cards)),
    }
    tasks.thread("machine", move || machine::watch_machine(&facts));
    let parts = parts.clone();
    tasks.optional("telemetry", move || {
        telemetry::keep(parts.live.clone(), parts.metrics.clone(), cards_read.clone(), facts_read.clone())
    });
}

/// The signals that we listen to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind, name| signal(kind).with_context(|| format!("cannot listen for {name}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            hang_up: listen(SignalKind::hangup(), "SIGHUP")?,
        })
    }

    /// Waits for a wish to stop.
    async fn stop(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {} _ = self.interrupt.recv() => {} }
    }
}

/// Waits for the end: a signal, or the failure of a part.
async fn wait(
    tasks: &mut Tasks,
    servers: &Servers,
    wishes: &mpsc::Sender<()>,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            _ = signals.hang_up.recv() => { let _ = wishes.try_send(()); }
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            name = tasks.vital_end() => {
                bail!("the task {name:?} ended; this should not happen, please report it with the log")
            }
            result = servers.ended() => { result.context("a listener failed")?; bail!("a listener ended"); }
        }
    }
}
