//! The two servers, for clients and for the owner: bound, served, drained.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Server, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use domain::config::Config;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::listener::{accepted, server_tls};
use super::{Parts, memory};
use crate::console::House;
use crate::gateway::{self, Gateway, Peer};
use crate::nodes;
use crate::upstreams::SWEEP_EVERY;

/// The running servers.
pub(super) struct Servers {
    endpoint: Running,
    console: Option<Running>,
    scheme: &'static str,
}

struct Running {
    addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    task: Mutex<JoinHandle<std::io::Result<()>>>,
}

/// Keep an idle client connection this long: longer than the pools of the SDKs do, so that they close it, not we.
const KEEP_ALIVE: Duration = Duration::from_secs(180);
/// Longest wait for a request's head.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(10);

impl Servers {
    /// Binds the listeners and begins to serve.
    ///
    /// # Errors
    /// An address is taken, or a certificate cannot be read.
    pub(super) fn bind(config: &Config, parts: &Arc<Parts>) -> anyhow::Result<Self> {
        let scheme = if config.endpoint.tls.is_some() { "https" } else { "http" };
        let endpoint = bind_endpoint(config, parts)?;
        let urls = client_urls(&endpoint.addresses, scheme);
        let console = if config.console.listen.is_empty() { None } else { Some(bind_console(config, parts, urls)?) };
        Ok(Self { endpoint, console, scheme })
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let console = self.console.iter().flat_map(|console| &console.addresses);
        self.endpoint.addresses.iter().chain(console).copied().collect()
    }

    /// Where the endpoint speaks plain HTTP.
    pub(super) fn plain_addresses(&self) -> Vec<SocketAddr> {
        if self.scheme == "http" { self.endpoint.addresses.clone() } else { Vec::new() }
    }

    /// Base URLs that work on this machine.
    pub(super) fn endpoint_urls(&self) -> Vec<String> {
        self.endpoint.addresses.iter().map(|address| format!("{}://{}", self.scheme, reachable(*address))).collect()
    }

    /// Base URLs that work on this machine.
    pub(super) fn console_urls(&self) -> Vec<String> {
        let console = self.console.iter().flat_map(|console| &console.addresses);
        console.map(|address| format!("http://{}", reachable(*address))).collect()
    }

    /// Waits for a server to end by itself, which it should not.
    pub(super) async fn ended(&self) -> anyhow::Result<()> {
        let mut endpoint = self.endpoint.task.lock().await;
        let ended = match &self.console {
            None => (&mut *endpoint).await,
            Some(console) => {
                let mut console = console.task.lock().await;
                tokio::select! { ended = &mut *endpoint => ended, ended = &mut *console => ended }
            }
        };
        Ok(ended.context("a server's task failed")??)
    }

    /// Lets the requests in flight end, for at most `limit` or until the owner gets impatient.
    pub(super) async fn drain(self, parts: &Parts, limit: Duration, impatient: impl Future<Output = ()>) {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        let streams = parts.metrics.in_flight.get();
        tracing::info!(streams, "stopping: no further requests; streams in flight may end (a second signal cuts them)");
        let idle = async {
            while parts.metrics.in_flight.get() + parts.metrics.waiting.get() + parts.metrics.listening.get() > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let ended = tokio::select! {
            () = idle => true,
            () = tokio::time::sleep(limit) => false,
            () = impatient => false,
        };
        if !ended {
            tracing::warn!(streams = parts.metrics.in_flight.get(), "streams are cut: they did not end in time");
        }
        // What is still on its way into sockets gets a second.
        self.endpoint.handle.stop(ended).await;
        if let Some(console) = self.console {
            console.handle.stop(false).await;
        }
    }
}

fn bind_endpoint(config: &Config, parts: &Arc<Parts>) -> anyhow::Result<Running> {
    let endpoint = &config.endpoint;
    let workers = match endpoint.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    };
    let (parts, origins) = (parts.clone(), Arc::<[String]>::from(endpoint.cors_origins.clone()));
    let client_timeout = endpoint.client_timeout;
    let mut server = HttpServer::new(move || {
        let gateway = Rc::new(parts.gateway());
        keep_tidy(&gateway);
        memory::keep_giving_back();
        App::new()
            .app_data(gateway)
            .app_data(web::Data::from(parts.nodes.clone()))
            .wrap(cors(origins.clone()))
            .configure(nodes::configure)
            .configure(gateway::configure)
    })
    .workers(workers)
    .max_connections(endpoint.max_connections.div_ceil(workers))
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(client_timeout.min(HEAD_WAIT_MAX))
    // A client that has left is noticed at once only so; half-closing HTTP clients are rare.
    .h1_allow_half_closed(false)
    .on_connect(move |connection, data| accepted(connection, data, client_timeout))
    .shutdown_timeout(1)
    .disable_signals();
    let tls = endpoint.tls.as_ref().map(server_tls).transpose()?;
    for address in endpoint.listen.iter().chain(&endpoint.ollama_listen) {
        let bound = match &tls {
            Some(tls) => server.bind_rustls_0_23(address, tls.clone()),
            None => server.bind(address),
        };
        server = bound.map_err(|error| cannot_listen(*address, "--listen or [endpoint] listen", &error))?;
    }
    Ok(Running::start(server.addrs(), server.run()))
}

/// Closes a worker's unused connections from time to time, as long as the worker lives.
fn keep_tidy(gateway: &Rc<Gateway>) {
    let gateway = Rc::downgrade(gateway);
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            match gateway.upgrade() {
                Some(gateway) => gateway.clients.sweep(),
                None => return,
            }
        }
    });
}

fn bind_console(config: &Config, parts: &Arc<Parts>, urls: Vec<String>) -> anyhow::Result<Running> {
    let client_timeout = config.endpoint.client_timeout;
    let house = web::Data::new(House {
        live: parts.live.clone(),
        dispatcher: parts.dispatcher.clone(),
        cache: parts.cache.clone(),
        ledger: parts.ledger.clone(),
        metrics: parts.metrics.clone(),
        nodes: parts.nodes.clone(),
        clock: parts.clock.clone(),
        tenants: parts.tenants.clone(),
        started: parts.started,
        base_urls: urls,
    });
    let mut server = HttpServer::new(move || {
        App::new().app_data(house.clone()).wrap(from_fn(this_machine_only)).configure(webui::pages::<House>)
    })
    .workers(1)
    .on_connect(move |connection, data| accepted(connection, data, client_timeout))
    .shutdown_timeout(1)
    .disable_signals();
    for address in &config.console.listen {
        server =
            server.bind(address).map_err(|error| cannot_listen(*address, "--console or [console] listen", &error))?;
    }
    Ok(Running::start(server.addrs(), server.run()))
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "the task is awaited by Servers::ended")]
    fn start(addresses: Vec<SocketAddr>, server: Server) -> Self {
        Self { addresses, handle: server.handle(), task: Mutex::new(tokio::spawn(server)) }
    }
}

fn cannot_listen(address: SocketAddr, keys: &str, error: &io::Error) -> anyhow::Error {
    let reason = if error.kind() == io::ErrorKind::AddrInUse {
        "is another airlane running, or another program on this port?"
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        "this machine has no such address; 0.0.0.0 stands for all that it has."
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "ports below 1024 are root's."
    } else {
        "it did not work."
    };
    anyhow::anyhow!("cannot listen on {address}: {reason} Choose another with {keys}: {error}")
}

/// Our own headers that pages may read.
const EXPOSED: [&str; 11] = [
    "age",
    "cache-status",
    "x-request-id",
    "x-airlane-upstream",
    "x-airlane-model",
    "x-airlane-reason",
    "x-airlane-attempts",
    "x-airlane-queue-ms",
    "x-airlane-estimated",
    "server-timing",
    "retry-after",
];

fn cors(origins: Arc<[String]>) -> Cors {
    Cors::default()
        .allowed_origin_fn(move |origin, _| {
            let origin = origin.to_str().unwrap_or_default();
            origins.iter().any(|pattern| domain::upstream::matches(pattern, origin))
        })
        .allowed_methods(["GET", "HEAD", "POST", "OPTIONS"])
        .allow_any_header()
        .expose_headers(EXPOSED)
        // Answers differ by origin in these headers only, and nobody caches them.
        .disable_vary_header()
        .max_age(86_400)
}

/// The console has no accounts, so whoever sits at this machine is the owner, and nobody else is.
async fn this_machine_only<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let is_here = request.conn_data::<Peer>().is_some_and(|peer| peer.peer.ip().to_canonical().is_loopback());
    if is_here {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refusal = HttpResponse::Forbidden().body(
        "Airlane's console answers only to the machine it runs on. From elsewhere: ssh -L 8485:127.0.0.1:8485 BOX\n",
    );
    Ok(request.into_response(refusal).map_into_right_body())
}

/// An address that can be called on this machine: "all addresses" is called on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port())),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}

/// Base URLs as clients write them, those of the LAN first.
fn client_urls(addresses: &[SocketAddr], scheme: &str) -> Vec<String> {
    let mut urls = Vec::new();
    for address in addresses.iter().filter(|address| address.ip().is_unspecified()) {
        urls.extend(lan_address(*address).map(|lan| format!("{scheme}://{lan}")));
    }
    urls.extend(addresses.iter().map(|address| format!("{scheme}://{}", reachable(*address))));
    urls
}

/// Our address towards the default route, as the kernel would choose it; nothing is sent.
fn lan_address(listening: SocketAddr) -> Option<SocketAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): routed like any other, reached by no one.
    let (ours, theirs) = if listening.is_ipv4() { ("0.0.0.0:0", "192.0.2.1:9") } else { ("[::]:0", "[2001:db8::1]:9") };
    let socket = UdpSocket::bind(ours).ok()?;
    socket.connect(theirs).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| SocketAddr::new(address, listening.port()))
}
