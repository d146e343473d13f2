//! An upstream's body, in chunks as they come.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt};
use http_body_util::{BodyExt, BodyStream};
use hyper::body::Incoming;
use tokio_util::io::{ReaderStream, StreamReader};

use super::call::Fault;

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The rest of an upstream's answer. Dropping it before its end closes the connection.
pub(crate) struct ReplyBody {
    source: Source,
    idle_timeout: Duration,
}

enum Source {
    Plain(Incoming),
    Made(Chunks),
}

impl std::fmt::Debug for ReplyBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ReplyBody")
    }
}

impl ReplyBody {
    /// Reads `body`, unpacking it if the upstream packed it although it was asked not to.
    pub(super) fn new(body: Incoming, encoding: Option<&str>, idle_timeout: Duration) -> Result<Self, Fault> {
        let source = match encoding.map(str::trim) {
            None | Some("" | "identity") => Source::Plain(body),
            Some("gzip" | "x-gzip") => Source::Made(Box::pin(ReaderStream::new(GzipDecoder::new(reader(body))))),
            Some("deflate") => Source::Made(Box::pin(ReaderStream::new(ZlibDecoder::new(reader(body))))),
            Some(other) => {
                return Err(Fault::NotAnAnswer(format!("its content-encoding {other:?} was not asked for")));
            }
        };
        Ok(Self { source, idle_timeout })
    }

    /// A body that is made here.
    pub(super) fn made(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self { source: Source::Made(Box::pin(chunks.map(Ok))), idle_timeout: Duration::MAX }
    }

    /// The next chunk; `None` at the proper end. Safe to drop and call again.
    ///
    /// # Errors
    /// The connection broke or was silent for too long.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let idle = self.idle_timeout;
        match tokio::time::timeout(idle, self.source.next()).await {
            Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
            Ok(Some(Err(reason))) => Err(Fault::Broken(reason)),
            Ok(None) => Ok(None),
            Err(_) => Err(Fault::Timeout { waiting_for: "further byte", waited: idle }),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// It is larger than `bytes_max`, or its end never comes.
    pub(crate) async fn collect(&mut self, bytes_max: usize) -> Result<Bytes, Fault> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let fits = |size: usize| {
            if size <= bytes_max { Ok(()) } else { Err(Fault::NotAnAnswer(format!("its body is larger than {bytes_max} bytes"))) }
        };
        fits(first.len())?;
        // The usual answer comes in one chunk and is handed on without copying.
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut whole = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            fits(whole.len() + chunk.len())?;
            whole.extend_from_slice(&chunk);
            next = self.chunk().await?;
        }
        Ok(whole.freeze())
    }
}

impl Source {
    async fn next(&mut self) -> Option<Result<Bytes, String>> {
        match self {
            Self::Plain(body) => loop {
                match body.frame().await? {
                    Ok(frame) => {
                        if let Ok(data) = frame.into_data() {
                            return Some(Ok(data));
                        }
                    }
                    Err(error) => return Some(Err(error.to_string())),
                }
            },
            Self::Made(chunks) => Some(chunks.next().await?.map_err(|error| error.to_string())),
        }
    }
}

fn reader(body: Incoming) -> impl tokio::io::AsyncBufRead + Send {
    let chunks = BodyStream::new(body).filter_map(|frame| async {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(io::Error::other(error))),
        }
    });
    StreamReader::new(Box::pin(chunks))
}
