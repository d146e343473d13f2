//! One HTTP/1.1 connection, moved on by whoever waits for its response: no task of its own, and so no wake-up of another
//! task for each head and each chunk.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper::{Request, Response};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::client::innermost;

type Inner = Connection<MaybeHttpsStream<TokioIo<TcpStream>>, Full<Bytes>>;

/// A connection that carries one request at a time.
pub(super) struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    /// Does all reading and writing, when it is polled; `None` once it is closed.
    inner: Option<Box<Inner>>,
}

/// Connections that wait for their next request, the one used last at the end.
#[derive(Default)]
pub(super) struct Idle {
    connections: Mutex<VecDeque<(Http1, Instant)>>,
}

/// How long an unused connection is kept: below the 75 s after which nginx and the 5 min after which NATs close one.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Unused connections kept for one upstream and worker.
const IDLE_CONNECTIONS_MAX: usize = 128;

impl Idle {
    /// The connection that was used last and is still open.
    pub(super) fn take(&self) -> Option<Http1> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((mut connection, since)) = connections.pop_back() {
            if since.elapsed() < IDLE_MAX && connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&self, connection: Http1) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push_back((connection, Instant::now()));
        if connections.len() > IDLE_CONNECTIONS_MAX {
            connections.pop_front();
        }
    }

    /// Closes those that are closed at the other end or were not used for too long.
    pub(super) fn sweep(&self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain_mut(|(connection, since)| since.elapsed() < IDLE_MAX && connection.is_open());
    }
}

impl Http1 {
    pub(super) fn new(sender: SendRequest<Full<Bytes>>, inner: Inner) -> Self {
        Self { sender, inner: Some(Box::new(inner)) }
    }

    /// Reads and writes what there is; notes its end.
    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(inner) = &mut self.inner
            && Pin::new(inner.as_mut()).poll(context).is_ready()
        {
            self.inner = None;
        }
    }

    /// Whether the upstream has kept it open.
    fn is_open(&mut self) -> bool {
        // Nobody waits for an idle connection, so nobody is to be woken.
        self.poll(&mut Context::from_waker(Waker::noop()));
        self.inner.is_some() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of the response. The connection goes to `idle` when the body has ended.
    ///
    /// # Errors
    /// The connection broke; with the request, if nothing of it was sent.
    pub(super) async fn send(
        mut self,
        request: Request<Full<Bytes>>,
        idle: &Arc<Idle>,
    ) -> Result<Response<DrivenBody>, (String, Option<Box<Request<Full<Bytes>>>>)> {
        let mut response = std::pin::pin!(self.sender.try_send_request(request));
        let inner = &mut self.inner;
        let answered = std::future::poll_fn(|context| {
            if let Some(open) = inner
                && Pin::new(open.as_mut()).poll(context).is_ready()
            {
                *inner = None;
            }
            // The response only comes by moving the connection on, which is done here: it need not wake anybody.
            response.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await;
        match answered {
            Ok(response) => Ok(response.map(|body| DrivenBody { body, driver: Some((self, idle.clone())) })),
            Err(mut error) => {
                let unsent = error.take_message().map(Box::new);
                Err((innermost(error.error()), unsent))
            }
        }
    }
}

/// The body of a response. Dropping it before its end closes an HTTP/1.1 connection and resets an HTTP/2 stream.
pub(super) struct DrivenBody {
    body: Incoming,
    /// The connection that has to be moved on, and where it goes at the end.
    driver: Option<(Http1, Arc<Idle>)>,
}

impl DrivenBody {
    /// The body of a connection that has a task of its own.
    #[cfg(feature = "http2")]
    pub(super) const fn by_itself(body: Incoming) -> Self {
        Self { body, driver: None }
    }

    /// Gives the connection back, if it can carry another request.
    fn finish(&mut self, context: &mut Context<'_>) {
        let Some((mut connection, idle)) = self.driver.take() else { return };
        connection.poll(context);
        if connection.inner.is_some() && connection.sender.is_ready() {
            idle.put(connection);
        }
    }
}

impl Drop for DrivenBody {
    /// Readers of streams leave at their last event, when the body's own end has often come with it.
    fn drop(&mut self) {
        if self.driver.is_some() {
            let _ = Pin::new(self).poll_frame(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl Body for DrivenBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some((connection, _)) = &mut this.driver else { return Pin::new(&mut this.body).poll_frame(context) };
        // As above: chunks come by moving the connection on.
        let mut quiet = Context::from_waker(Waker::noop());
        let mut frame = Pin::new(&mut this.body).poll_frame(&mut quiet);
        if frame.is_pending() {
            connection.poll(context);
            frame = Pin::new(&mut this.body).poll_frame(&mut quiet);
        }
        if matches!(frame, Poll::Ready(None)) {
            this.finish(context);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
