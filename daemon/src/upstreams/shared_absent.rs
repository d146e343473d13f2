//! A build without HTTP/2: each request has an HTTP/1.1 connection for itself.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_rustls::builderstates::{WantsProtocols1, WantsProtocols2};

use super::client::{Stream, Unanswered};
use super::connection::DrivenBody;

/// No connection.
#[derive(Default)]
pub(super) struct Shared(());

/// What cannot be.
pub(super) struct Sender(Infallible);

/// What becomes of a fresh stream.
pub(super) enum Begun {
    /// What cannot be.
    #[expect(dead_code, reason = "as where there is HTTP/2")]
    Shared(Sender),
    /// It carries one request at a time.
    Alone(Box<Stream>),
}

/// The versions that are offered to an upstream.
pub(super) fn versions(builder: HttpsConnectorBuilder<WantsProtocols1>) -> HttpsConnectorBuilder<WantsProtocols2> {
    builder.enable_http1()
}

#[expect(clippy::unused_self, reason = "as where there is HTTP/2")]
impl Shared {
    /// There is none.
    pub(super) const fn get(&self) -> Option<Sender> {
        None
    }

    /// It stays as it is.
    #[expect(clippy::unused_async, reason = "as where there is HTTP/2")]
    pub(super) async fn begin(&self, stream: Stream, _: &str) -> Result<Begun, hyper::Error> {
        Ok(Begun::Alone(Box::new(stream)))
    }
}

impl Sender {
    /// Nobody can call it.
    #[expect(clippy::unused_async, reason = "as where there is HTTP/2")]
    pub(super) async fn send(self, _: &Uri, _: Request<Full<Bytes>>) -> Result<Response<DrivenBody>, Unanswered> {
        match self.0 {}
    }
}
