//! Connections: one pool for each worker thread and upstream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::upstream::Upstream;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::connection::{DrivenBody, Http1, Idle};
use super::shared::{self, Begun, Shared};
use super::trust::Trust;

/// The pools of one worker thread: one for each worker, so that no wake-up crosses threads and nobody waits for a lock.
pub(crate) struct Clients {
    trust: Arc<Trust>,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
}

/// The connections to one upstream.
pub(super) struct Pool {
    /// What the pool was made for; another one is made when the config has changed.
    made_for: Connect,
    connector: HttpsConnector<HttpConnector>,
    /// Scheme, host and port.
    origin: Uri,
    /// The same as `Host`, without the scheme's usual port.
    host: HeaderValue,
    idle: Arc<Idle>,
    /// The one connection that carries all requests, where the upstream speaks HTTP/2.
    shared: Shared,
}

/// What of an upstream its connections depend on.
struct Connect {
    origin: String,
    ca_file: Option<String>,
    timeout: Duration,
}

impl Connect {
    fn is_of(&self, upstream: &Upstream) -> bool {
        self.origin == upstream.origin && self.ca_file == upstream.ca_file && self.timeout == upstream.connect_timeout
    }
}

/// Why a request got no response.
pub(super) enum Unanswered {
    /// There is no connection; nothing was sent.
    Connect(String),
    /// The connection broke.
    Broken(String),
    /// A kept connection broke before a byte of a response came: most likely its server was just closing it.
    Stale,
}

/// On which connection a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// One that was used before, if there is one.
    Kept,
    /// A fresh one.
    Fresh,
}

pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// How often unused connections are looked through.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(20);

impl Clients {
    pub(crate) fn new(trust: Arc<Trust>) -> Self {
        Self { trust, pools: Mutex::default() }
    }

    /// The pool for an upstream.
    ///
    /// # Errors
    /// Its certificates cannot be read.
    pub(super) fn get(&self, upstream: &Upstream) -> Result<Arc<Pool>, String> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&upstream.name).filter(|pool| pool.made_for.is_of(upstream)) {
            return Ok(pool.clone());
        }
        let origin: Uri = format!("{}/", upstream.origin).parse().map_err(|error| format!("its address: {error}"))?;
        let pool = Arc::new(Pool {
            made_for: Connect {
                origin: upstream.origin.clone(),
                ca_file: upstream.ca_file.clone(),
                timeout: upstream.connect_timeout,
            },
            connector: connector(upstream, &self.trust)?,
            host: host(&origin)?,
            origin,
            idle: Arc::default(),
            shared: Shared::default(),
        });
        pools.insert(upstream.name.clone(), pool.clone());
        Ok(pool)
    }

    /// Closes connections that were not used for long.
    pub(crate) fn sweep(&self) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.values().for_each(|pool| pool.idle.sweep());
    }
}

fn host(origin: &Uri) -> Result<HeaderValue, String> {
    let host = origin.host().unwrap_or_default();
    let text = match (origin.scheme_str(), origin.port_u16()) {
        (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    };
    HeaderValue::from_str(&text).map_err(|error| format!("its address: {error}"))
}

fn connector(upstream: &Upstream, trust: &Trust) -> Result<HttpsConnector<HttpConnector>, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Without it the first token of a reused connection waits 40 ms for a delayed ACK.
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    tcp.set_connect_timeout(Some(upstream.connect_timeout));
    let tls = if upstream.origin.starts_with("https:") {
        trust.config(upstream.ca_file.as_deref())?
    } else {
        rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    };
    Ok(shared::versions(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http()).wrap_connector(tcp))
}

impl Pool {
    /// Sends a request, whose URI is path and query only, and waits for the response's head. Dropping the future, or the response's body before its end,
    /// ends the request at the upstream as well.
    ///
    /// # Errors
    /// No connection, or one that broke.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        via: Via,
    ) -> Result<Response<DrivenBody>, Unanswered> {
        if let Some(shared) = self.shared.get() {
            return shared.send(&self.origin, request).await;
        }
        request.headers_mut().insert(HOST, self.host.clone());
        // One of them may be closed without that having been noticed; then the request comes back unsent.
        while via == Via::Kept
            && let Some(connection) = self.idle.take()
        {
            match connection.send(request, &self.idle).await {
                Ok(response) => return Ok(response),
                Err((_, None)) => return Err(Unanswered::Stale),
                Err((_, Some(unsent))) => request = *unsent,
            }
        }
        // Rare and large: in a box, so that requests over kept connections stay small.
        Box::pin(self.open_and_send(request)).await
    }

    async fn open_and_send(&self, request: Request<Full<Bytes>>) -> Result<Response<DrivenBody>, Unanswered> {
        let stream = self.connect().await.map_err(Unanswered::Connect)?;
        let broken = |error: hyper::Error| Unanswered::Broken(innermost(&error));
        let stream = match self.shared.begin(stream, &self.made_for.origin).await.map_err(broken)? {
            Begun::Shared(sender) => return sender.send(&self.origin, request).await,
            Begun::Alone(stream) => stream,
        };
        let (sender, connection) = http1::handshake(*stream).await.map_err(broken)?;
        let sent = Http1::new(sender, connection).send(request, &self.idle).await;
        sent.map_err(|(error, _)| Unanswered::Broken(error))
    }

    /// Connects within the upstream's limit, name look-up and TLS handshake included.
    async fn connect(&self) -> Result<Stream, String> {
        let limit = self.made_for.timeout;
        match tokio::time::timeout(limit, self.connector.clone().call(self.origin.clone())).await {
            Ok(connected) => connected.map_err(|error| innermost(error.as_ref())),
            Err(_) => Err(format!("no connection within {} s", limit.as_secs())),
        }
    }
}

/// The words of the innermost cause: the outer ones only say "client error".
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
