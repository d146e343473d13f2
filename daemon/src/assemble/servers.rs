//! The listeners: bound, served, drained.

use std::any::Any;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::{Extensions, Server, ServerHandle};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer};
use anyhow::Context;
use domain::config::{Config, TlsFiles};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::SockRef;
use tokio::sync::Mutex;

use super::Parts;
use crate::gateway::{self, Peer};

/// The running listeners.
pub(super) struct Servers {
    endpoint: Vec<SocketAddr>,
    scheme: &'static str,
    console: Vec<SocketAddr>,
    handle: ServerHandle,
    running: Mutex<tokio::task::JoinHandle<std::io::Result<()>>>,
}

/// Keep an idle client connection this long: longer than the pools of the SDKs do, so that they close it, not we.
const KEEP_ALIVE: Duration = Duration::from_secs(180);
/// Longest wait for a request's head.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(10);

/// Binds the listeners and begins to serve.
pub(super) fn bind(config: &Config, parts: &Arc<Parts>) -> anyhow::Result<Servers> {
    let endpoint = &config.endpoint;
    let workers = match endpoint.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    };
    let for_workers = parts.clone();
    let origins: Arc<[String]> = endpoint.cors_origins.clone().into();
    let client_timeout = endpoint.client_timeout;
    let mut server = HttpServer::new(move || {
        let gateway = Rc::new(for_workers.gateway());
        App::new().app_data(gateway).wrap(cors(origins.clone())).configure(gateway::configure)
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
        server = bound.with_context(|| cannot_listen(*address))?;
    }
    let endpoint_addresses = server.addrs();
    let server = server.run();
    Ok(Servers {
        scheme: if tls.is_some() { "https" } else { "http" },
        endpoint: endpoint_addresses,
        console: Vec::new(),
        handle: server.handle(),
        running: Mutex::new(spawn(server)),
    })
}

#[expect(clippy::disallowed_methods, reason = "the server is awaited by Servers::ended")]
fn spawn(server: Server) -> tokio::task::JoinHandle<std::io::Result<()>> {
    tokio::spawn(server)
}

fn cannot_listen(address: SocketAddr) -> String {
    format!(
        "cannot listen on {address}: is another airlane running, or another program on this port? \
         Choose another with --listen or [endpoint] listen"
    )
}

/// Notes both ends of a new connection and sets its socket up.
fn accepted(connection: &dyn Any, data: &mut Extensions, client_timeout: Duration) {
    let plain = connection.downcast_ref::<TcpStream>();
    let secured = || connection.downcast_ref::<actix_tls::accept::rustls_0_23::TlsStream<TcpStream>>();
    let Some(socket) = plain.or_else(|| secured().map(|stream| stream.get_ref().0)) else { return };
    let socket_ref = SockRef::from(socket);
    // Tokens must not wait for each other's acknowledgement.
    let _ = socket_ref.set_tcp_nodelay(true);
    // The kernel ends the connection of a client that no longer reads: we then see it gone like any other.
    let _ = socket_ref.set_tcp_user_timeout(Some(client_timeout));
    if let (Ok(peer), Ok(local)) = (socket.peer_addr(), socket.local_addr()) {
        data.insert(Peer { peer, local });
    }
}

fn server_tls(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
    let certificates: Vec<CertificateDer> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("[endpoint] tls_cert: {} cannot be read", files.cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("[endpoint] tls_key: {} cannot be read", files.key.display()))?;
    // actix adds the ALPN names of HTTP/2 and HTTP/1.1.
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("[endpoint] tls_cert and tls_key do not fit together")
}

fn cors(origins: Arc<[String]>) -> Cors {
    Cors::default()
        .allowed_origin_fn(move |origin, _| {
            let origin = origin.to_str().unwrap_or_default();
            origins.iter().any(|pattern| domain::upstream::matches(pattern, origin))
        })
        .allowed_methods(["GET", "HEAD", "POST", "OPTIONS"])
        .allow_any_header()
        .expose_any_header()
        .max_age(86_400)
}

impl Servers {
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.endpoint.iter().chain(&self.console).copied().collect()
    }

    pub(super) fn endpoint_urls(&self) -> Vec<String> {
        self.endpoint.iter().map(|address| format!("{}://{}", self.scheme, reachable(*address))).collect()
    }

    pub(super) fn console_urls(&self) -> Vec<String> {
        self.console.iter().map(|address| format!("http://{}", reachable(*address))).collect()
    }

    /// Waits for a listener to end by itself, which it should not.
    pub(super) async fn ended(&self) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        Ok((&mut *running).await.context("the server's task failed")??)
    }

    /// Lets the requests in flight end, for at most `limit`.
    pub(super) async fn drain(self, parts: &Parts, limit: Duration) {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        self.handle.pause().await;
        let idle = async {
            while parts.metrics.in_flight.get() + parts.metrics.waiting.get() > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(limit, idle).await.is_err() {
            tracing::warn!(streams = parts.metrics.in_flight.get(), "streams are cut: they did not end in time");
            self.handle.stop(false).await;
        } else {
            // What is still on its way into sockets gets a second.
            self.handle.stop(true).await;
        }
    }
}

/// An address that can be called: "all addresses" is called on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port())),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}
