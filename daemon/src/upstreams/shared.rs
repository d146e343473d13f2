//! HTTP/2: one connection that carries all requests to an upstream.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Request, Response, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_rustls::builderstates::{WantsProtocols1, WantsProtocols3};
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tracing::debug;

use super::client::{Stream, Unanswered, innermost};
use super::connection::DrivenBody;

/// The connection, while there is one.
#[derive(Default)]
pub(super) struct Shared(Mutex<Option<SendRequest<Full<Bytes>>>>);

/// Sends requests over it.
pub(super) struct Sender(SendRequest<Full<Bytes>>);

/// What becomes of a fresh stream.
pub(super) enum Begun {
    /// It is the connection.
    Shared(Sender),
    /// The upstream does not speak HTTP/2.
    Alone(Box<Stream>),
}

/// The versions that are offered to an upstream.
pub(super) fn versions(builder: HttpsConnectorBuilder<WantsProtocols1>) -> HttpsConnectorBuilder<WantsProtocols3> {
    builder.enable_all_versions()
}

impl Shared {
    /// The connection, if there is one that still stands.
    pub(super) fn get(&self) -> Option<Sender> {
        self.lock().as_ref().filter(|shared| !shared.is_closed()).cloned().map(Sender)
    }

    /// Makes a fresh stream the connection, if both sides agreed on HTTP/2.
    pub(super) async fn begin(&self, stream: Stream, origin: &str) -> Result<Begun, hyper::Error> {
        if !stream.connected().is_negotiated_h2() {
            return Ok(Begun::Alone(Box::new(stream)));
        }
        let (sender, connection) =
            http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(stream).await?;
        debug!(upstream = %origin, "connected over HTTP/2");
        hyper::rt::Executor::execute(&TokioExecutor::new(), async move {
            // Its end shows in the requests.
            let _ = connection.await;
        });
        *self.lock() = Some(sender.clone());
        Ok(Begun::Shared(Sender(sender)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<SendRequest<Full<Bytes>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Sends a request, whose URI is path and query only, and waits for the response's head. HTTP/2 names the server in the URI
    /// instead of in a header.
    pub(super) async fn send(
        mut self,
        origin: &Uri,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<DrivenBody>, Unanswered> {
        request.headers_mut().remove(HOST);
        let mut parts = origin.clone().into_parts();
        parts.path_and_query = request.uri().path_and_query().cloned();
        match Uri::from_parts(parts) {
            Ok(uri) => *request.uri_mut() = uri,
            Err(error) => return Err(Unanswered::Connect(format!("its address: {error}"))),
        }
        match self.0.send_request(request).await {
            Ok(response) => Ok(response.map(DrivenBody::by_itself)),
            Err(error) => Err(Unanswered::Broken(innermost(&error))),
        }
    }
}
