//! A stream on its way to the client: bytes at once, comments in silence, the next upstream while nothing was seen.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use domain::surface::Dialect;
use futures_util::Stream;
use tokio::time::Instant;
use wire::exchange::{Transcoder, whole_as_stream};

use super::job::{Job, Live};
use super::serve::{ANSWER_BYTES_MAX, Beginning};
use crate::upstreams::Fault;

/// What is known of a stream before its upstream is.
pub(super) struct Signs {
    pub(super) dialect: Dialect,
    pub(super) request_id: String,
    pub(super) heartbeat_every: Duration,
    /// Writes signs of life and errors while there is no upstream.
    idle: Transcoder,
}

impl Signs {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            dialect: job.ask.near.dialect(),
            request_id: job.request_id.clone(),
            heartbeat_every: job.snapshot.config.endpoint.heartbeat,
            idle: Transcoder::new(&job.ask, job.ask.near, job.context()),
        }
    }
}

/// How far the request came before the client got its first bytes.
pub(super) enum First {
    /// An upstream has accepted.
    Begun(Box<(Job, Live)>),
    /// None has yet.
    Waiting(Beginning),
}

/// How one upstream's part of a stream ended.
enum End {
    Complete,
    Failed(Fault),
}

/// The client's stream. Dropping it ends the upstream call.
pub(super) fn relay(first: First, mut signs: Signs) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        let (mut job, mut begun) = match first {
            First::Begun(begun) => (begun.0, Ok(begun.1)),
            First::Waiting(mut beginning) => loop {
                yield Ok(signs.idle.heartbeat());
                if let Ok(begun) = tokio::time::timeout(signs.heartbeat_every, &mut beginning).await {
                    break begun;
                }
            },
        };
        loop {
            let mut live = match begun {
                Ok(live) => live,
                Err(error) => {
                    job.settlement.fail(error.kind());
                    yield Ok(signs.idle.fail(&error.body(Some(&signs.request_id))));
                    return;
                }
            };
            let mut leg = Passage::new(&job, &live, signs.heartbeat_every);
            let end = loop {
                match leg.next(&mut job, &mut live).await {
                    Next::Bytes(bytes) => yield Ok(bytes),
                    Next::End(bytes, end) => {
                        if !bytes.is_empty() {
                            yield Ok(bytes);
                        }
                        break end;
                    }
                }
            };
            let fault = match end {
                End::Complete => {
                    job.settlement.complete();
                    return;
                }
                End::Failed(fault) => fault,
            };
            let error = job.call_error(&live, fault);
            drop(live);
            let seen = job.settlement.is_visible();
            let failed = job.failed(error);
            begun = match failed {
                Err(error) => Err(error),
                // What was seen cannot be taken back: another upstream would begin anew.
                Ok(()) if seen => Err(job.take_failure()),
                Ok(()) => job.next_live().await,
            };
            if let Err(error) = &begun && seen {
                job.settlement.fail(error.kind());
                yield Ok(leg.transcoder.fail(&error.body(Some(&signs.request_id))));
                return;
            }
        }
    }
}

/// One upstream's stream on its way through.
struct Passage {
    transcoder: Transcoder,
    /// Frames that nobody would see, kept until the first visible one: until then another upstream may take over.
    held: Vec<u8>,
    heartbeat_every: Duration,
    silent_since: Instant,
    whole: bool,
}

enum Next {
    Bytes(Bytes),
    End(Bytes, End),
}

impl Passage {
    fn new(job: &Job, live: &Live, heartbeat_every: Duration) -> Self {
        Self {
            transcoder: Transcoder::new(&job.ask, live.leg.far, job.context()),
            held: Vec::new(),
            heartbeat_every,
            silent_since: Instant::now(),
            whole: live.leg.far.dialect() != Dialect::Ollama && !live.reply.is_stream,
        }
    }

    /// The next bytes for the client.
    async fn next(&mut self, job: &mut Job, live: &mut Live) -> Next {
        if self.whole {
            return self.whole(job, live).await;
        }
        loop {
            let chunk = match tokio::time::timeout_at(self.silent_since + self.heartbeat_every, live.reply.body.chunk())
                .await
            {
                Err(_) => {
                    self.silent_since = Instant::now();
                    return Next::Bytes(self.transcoder.heartbeat());
                }
                Ok(chunk) => chunk,
            };
            let (chunk, at_end) = match chunk {
                Ok(Some(chunk)) => (chunk, false),
                Ok(None) => (Bytes::new(), true),
                Err(fault) => return Next::End(Bytes::new(), End::Failed(fault)),
            };
            if let Some(next) = self.take(job, &chunk, at_end) {
                return next;
            }
        }
    }

    /// Takes one chunk, or the end; `None` if there is nothing to send yet.
    fn take(&mut self, job: &mut Job, chunk: &Bytes, at_end: bool) -> Option<Next> {
        let elapsed = job.settlement.elapsed();
        let step = if at_end { self.transcoder.finish(elapsed) } else { self.transcoder.feed(chunk, elapsed) };
        let step = match step {
            Ok(step) => step,
            Err(malformed) => {
                return Some(Next::End(Bytes::new(), End::Failed(Fault::NotAnAnswer(malformed.to_string()))));
            }
        };
        job.settlement.saw(step.visible);
        job.settlement.usage = self.transcoder.usage();
        let is_done = self.transcoder.is_done();
        let bytes = if job.settlement.is_visible() || (is_done && step.failure.is_none()) {
            self.release(step.bytes)
        } else {
            self.held.extend_from_slice(&step.bytes);
            Bytes::new()
        };
        if !bytes.is_empty() {
            self.silent_since = Instant::now();
        }
        match step.failure {
            Some(failure) => Some(Next::End(bytes, End::Failed(Fault::Reported(failure)))),
            None if is_done => Some(Next::End(bytes, End::Complete)),
            None if at_end => {
                let cut = Fault::Broken("the stream ended before the answer was complete".to_owned());
                Some(Next::End(bytes, End::Failed(cut)))
            }
            None => (!bytes.is_empty()).then_some(Next::Bytes(bytes)),
        }
    }

    fn release(&mut self, bytes: Bytes) -> Bytes {
        if self.held.is_empty() {
            return bytes;
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(&bytes);
        all.into()
    }

    /// An upstream that answers in one piece although a stream was asked of it.
    async fn whole(&mut self, job: &mut Job, live: &mut Live) -> Next {
        let body = match tokio::time::timeout(self.heartbeat_every, live.reply.body.collect(ANSWER_BYTES_MAX)).await {
            Err(_) => return Next::Bytes(self.transcoder.heartbeat()),
            Ok(Err(fault)) => return Next::End(Bytes::new(), End::Failed(fault)),
            Ok(Ok(body)) => body,
        };
        match whole_as_stream(&job.ask, live.leg.far, &body, job.context(), job.settlement.elapsed()) {
            Ok(answer) => {
                job.settlement.saw(1);
                job.settlement.usage = answer.usage;
                Next::End(answer.body, End::Complete)
            }
            Err(bad) => Next::End(Bytes::new(), End::Failed(bad.into())),
        }
    }
}
