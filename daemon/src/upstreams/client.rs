//! Connections: one pool for each worker thread and upstream.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use domain::upstream::Upstream;
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::trust::Trust;

pub(super) type HttpClient = Client<Deadline<HttpsConnector<HttpConnector>>, Full<Bytes>>;

/// The pools of one worker thread: one for each worker, so that no wake-up crosses threads and nobody waits for a lock.
pub(crate) struct Clients {
    trust: Arc<Trust>,
    pools: Mutex<HashMap<String, Pool>>,
}

struct Pool {
    /// What the pool was made for; another one is made when the config has changed.
    upstream: Upstream,
    client: HttpClient,
}

/// How long an unused connection is kept: below the 75 s after which nginx and the 5 min after which NATs close one.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Unused connections kept for one upstream and worker.
const IDLE_CONNECTIONS_MAX: usize = 128;

impl Clients {
    pub(crate) fn new(trust: Arc<Trust>) -> Self {
        Self { trust, pools: Mutex::default() }
    }

    /// The pool for an upstream.
    ///
    /// # Errors
    /// Its certificates cannot be read.
    pub(super) fn get(&self, upstream: &Upstream) -> Result<HttpClient, String> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&upstream.name).filter(|pool| pool.upstream == *upstream) {
            return Ok(pool.client.clone());
        }
        let client = connect(upstream, &self.trust)?;
        pools.insert(upstream.name.clone(), Pool { upstream: upstream.clone(), client: client.clone() });
        Ok(client)
    }
}

fn connect(upstream: &Upstream, trust: &Trust) -> Result<HttpClient, String> {
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
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .build(Deadline { inner: connector, limit: upstream.connect_timeout }))
}

/// Bounds a whole connect, name look-up and TLS handshake included.
#[derive(Clone)]
pub(super) struct Deadline<C> {
    inner: C,
    limit: Duration,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<C> Service<Uri> for Deadline<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.limit;
        let connecting = self.inner.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(format!("no connection within {} s", limit.as_secs()).into()),
            }
        })
    }
}
