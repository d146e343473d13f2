//! An upstream's body, in chunks as they come.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt};
use http_body_util::{BodyExt, BodyStream};
use hyper::body::Body as _;
use tokio::time::Instant;
use tokio_util::io::{ReaderStream, StreamReader};

use super::call::Fault;
use super::connection::DrivenBody;

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The rest of an upstream's answer. Dropping it before its end closes the connection.
pub(crate) struct ReplyBody {
    source: Source,
    /// When the next byte must be there. The first one may take as long as the prompt is long.
    deadline: Instant,
    idle_timeout: Duration,
    /// Chunks that were looked at, and come again.
    unread: VecDeque<Bytes>,
    /// What [`ReplyBody::collect`] has so far: a first chunk as it came, and then blocks that are filled up.
    first: Bytes,
    blocks: Vec<BytesMut>,
    /// Chunks since the others of this worker had their turn.
    in_a_row: u32,
}

/// Most chunks that are taken before others have their turn. A flood of small ones is always ready: without a pause the
/// worker would not even hear that the client has left.
const IN_A_ROW_MAX: u32 = 64;

enum Source {
    Plain(DrivenBody),
    Made(Chunks),
}

impl std::fmt::Debug for ReplyBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ReplyBody")
    }
}

impl ReplyBody {
    /// Reads `body`, unpacking it if the upstream packed it although it was asked not to.
    pub(super) fn new(
        body: DrivenBody,
        encoding: Option<&str>,
        first_byte: Instant,
        idle_timeout: Duration,
    ) -> Result<Self, Fault> {
        let source = match encoding.map(str::trim) {
            None | Some("" | "identity") => Source::Plain(body),
            Some("gzip" | "x-gzip") => {
                let mut unpacked = GzipDecoder::new(reader(body));
                unpacked.multiple_members(true);
                Source::Made(Box::pin(ReaderStream::new(unpacked)))
            }
            Some("deflate") => Source::Made(Box::pin(ReaderStream::new(ZlibDecoder::new(reader(body))))),
            Some(other) => {
                return Err(Fault::NotAnAnswer(format!("its content-encoding {other:?} was not asked for")));
            }
        };
        Ok(Self::from(source, first_byte, idle_timeout))
    }

    /// A body that is made here.
    pub(super) fn made(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        // Far enough: what is made here comes or ends.
        let idle_timeout = Duration::from_secs(86_400);
        let source = Source::Made(Box::pin(chunks.map(Ok)));
        Self::from(source, Instant::now() + idle_timeout, idle_timeout)
    }

    fn from(source: Source, deadline: Instant, idle_timeout: Duration) -> Self {
        let (unread, first, blocks) = (VecDeque::new(), Bytes::new(), Vec::new());
        Self { source, deadline, idle_timeout, unread, first, blocks, in_a_row: 0 }
    }

    /// Gives chunks back that were looked at: they are the next ones.
    pub(crate) fn give_back(&mut self, chunks: VecDeque<Bytes>) {
        self.unread = chunks;
    }

    /// The next chunk; `None` at the proper end. Waits for ever: see [`ReplyBody::deadline`]. Safe to drop and call
    /// again.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        self.in_a_row += 1;
        if self.in_a_row > IN_A_ROW_MAX {
            self.in_a_row = 0;
            tokio::task::yield_now().await;
        }
        if let Some(chunk) = self.unread.pop_front() {
            return Ok(Some(chunk));
        }
        match self.source.next().await {
            Some(Ok(chunk)) => {
                self.deadline = Instant::now() + self.idle_timeout;
                Ok(Some(chunk))
            }
            Some(Err(reason)) => Err(Fault::Broken(reason)),
            None => Ok(None),
        }
    }

    /// When the next chunk must be there.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The fault of an upstream whose deadline has passed.
    pub(crate) const fn silence(&self) -> Fault {
        Fault::Timeout { waiting_for: "further byte", waited: self.idle_timeout }
    }

    /// The next chunk; `None` at the proper end. Safe to drop and call again.
    ///
    /// # Errors
    /// The connection broke or was silent for too long.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        match tokio::time::timeout_at(self.deadline, self.next()).await {
            Ok(chunk) => chunk,
            Err(_) => Err(self.silence()),
        }
    }

    /// The whole body. Safe to drop and call again.
    ///
    /// # Errors
    /// It is larger than `bytes_max`, or its end never comes.
    pub(crate) async fn collect(&mut self, bytes_max: usize) -> Result<Bytes, Fault> {
        let too_large = || Fault::NotAnAnswer(format!("its body is larger than {bytes_max} bytes"));
        if self.source.told_bytes() > bytes_max as u64 {
            return Err(too_large());
        }
        let kept = |body: &Self| body.first.len() + body.blocks.iter().map(BytesMut::len).sum::<usize>();
        let mut length = kept(self);
        while let Some(chunk) = self.chunk().await? {
            length = length.saturating_add(chunk.len());
            if length > bytes_max {
                self.blocks.clear();
                return Err(too_large());
            }
            // The usual answer comes in one piece and is taken over without copying.
            if self.first.is_empty() && self.blocks.is_empty() {
                self.first = chunk;
            } else {
                self.keep(&chunk);
            }
        }
        let first = std::mem::take(&mut self.first);
        if self.blocks.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        std::mem::take(&mut self.blocks).iter().for_each(|block| whole.extend_from_slice(block));
        Ok(whole.freeze())
    }

    /// Copies a chunk into the last block, or a new one: one large buffer would be copied again and again as it grows, and
    /// a list of chunks would cost more than its text where chunks are small.
    fn keep(&mut self, chunk: &Bytes) {
        match self.blocks.last_mut() {
            Some(block) if block.capacity() - block.len() >= chunk.len() => block.extend_from_slice(chunk),
            _ => {
                let doubled = self.blocks.last().map_or(BLOCK_BYTES_MIN, |block| block.len() * 2);
                let mut block = BytesMut::with_capacity(doubled.min(BLOCK_BYTES_MAX).max(chunk.len()));
                block.extend_from_slice(chunk);
                self.blocks.push(block);
            }
        }
    }
}

/// First and largest block in which a long answer is collected.
const BLOCK_BYTES_MIN: usize = 16 * 1024;
const BLOCK_BYTES_MAX: usize = 1024 * 1024;

impl Source {
    /// Bytes that are sure to come: all of them, if the upstream told its body's length.
    fn told_bytes(&self) -> u64 {
        match self {
            Self::Plain(body) => body.size_hint().lower(),
            Self::Made(_) => 0,
        }
    }

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

fn reader(body: DrivenBody) -> impl tokio::io::AsyncBufRead + Send {
    let chunks = BodyStream::new(body).filter_map(|frame| async {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(io::Error::other(error))),
        }
    });
    StreamReader::new(Box::pin(chunks))
}
