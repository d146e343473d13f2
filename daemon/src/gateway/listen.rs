//! A client of a shared call: reads its tape, and hears it in its own words.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use bytes::Bytes;
use domain::cache::Status;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;
use wire::exchange::{Answer, Ask, Step, Transcoder, answer, replay, whole_as_stream, whole_of_stream};
use wire::reply::ReplyContext;

use super::answer_error::ServeError;
use super::flight::{Head, Read, Reader};
use super::headers::{Said, headers, stream_headers, whole_headers};
use super::job::Job;
use super::quota::Told;
use super::recall::{Recalled, again};
use super::relay::{First, Signs, relay};
use super::serve::answered;
use crate::metrics::Listening;
use crate::upstreams::{CallError, Fault};

/// Carries a shared call, for as long as somebody reads its tape.
pub(super) fn fly(job: Job) {
    let Some(tape) = &job.tape else { return };
    let deserted = tape.deserted();
    actix_web::rt::spawn(async move {
        tokio::select! {
            biased;
            () = deserted => {}
            () = pilot(job) => {}
        }
    });
}

async fn pilot(mut job: Job) {
    if !job.ask.stream {
        if let Err(error) = answered(&mut job).await {
            job.fails(error);
        }
        return;
    }
    let signs = Signs::new(&job);
    match job.next_live().await {
        Err(error) => job.fails(error),
        Ok(live) => {
            // What it would say to a client, nobody hears: the readers of the tape say it in their own words.
            let mut said = std::pin::pin!(relay(First::Begun(Box::new((job, live))), signs));
            while said.next().await.is_some() {}
        }
    }
}

/// What it takes to hear an answer in a client's own words.
pub(super) struct Ear {
    ask: Rc<Ask>,
    context: ReplyContext,
    signs: Signs,
    started: Instant,
    pub(super) cache: Option<Status>,
    told: Option<Told>,
    _listening: Listening,
}

impl Ear {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            ask: job.ask.clone(),
            context: job.context.clone(),
            signs: Signs::new(job),
            started: job.settlement.started(),
            cache: job.cache,
            told: job.settlement.told(),
            _listening: job.gateway.metrics.listening(),
        }
    }
}

/// One client of a shared call.
pub(super) struct Listener {
    ear: Ear,
    reader: Reader,
    /// What one that joined would make a call of its own with; it settles when it is dropped. The first one's request
    /// settles with the call.
    joined: Option<Box<Job>>,
    /// It has seen a call fail.
    is_second: bool,
}

impl Listener {
    pub(super) fn new(ear: Ear, reader: Reader, joined: Option<Job>) -> Self {
        let mut listener = Self { ear, reader, joined: joined.map(Box::new), is_second: false };
        listener.ear.signs.waits = listener.reader.waits();
        listener
    }

    /// Answers the client.
    ///
    /// # Errors
    /// The call failed before there was anything to see, and so did the next one.
    pub(super) async fn serve(self) -> Result<HttpResponse, Arc<ServeError>> {
        if self.ear.ask.stream { self.stream().await } else { self.whole().await }
    }

    fn elapsed(&self) -> Duration {
        self.ear.started.elapsed()
    }

    /// The call has failed, and this client has seen nothing of it: whether it is worth another call. A failure is
    /// shared only by those for whom it is the last.
    fn goes_on(&mut self, error: &ServeError) -> bool {
        if self.is_second || !error.may_pass() {
            return false;
        }
        let Some(job) = self.joined.take() else { return false };
        self.is_second = true;
        match again(*job) {
            Recalled::Own(job) => {
                self.joined = Some(Box::new(job));
                return false;
            }
            Recalled::Kept(mut job, entry, how) => {
                let ttl = entry.fresh_for(job.gateway.clock.unix_ms());
                job.tells(Status::Hit { ttl, how });
                self.ear.cache = job.cache;
                self.reader = Reader::of_kept(&entry);
                self.joined = Some(Box::new(job));
            }
            Recalled::Shared(next) => {
                self.ear.cache = next.ear.cache;
                self.reader = next.reader;
                self.joined = next.joined;
            }
        }
        self.ear.signs.waits = self.reader.waits();
        true
    }

    fn fails(&mut self, error: &ServeError) {
        if let Some(job) = &mut self.joined {
            job.settlement.fail(error.kind());
        }
    }

    /// The request is answered; what it took is paid by the call.
    fn completes(&mut self) {
        if let Some(job) = &mut self.joined {
            job.settlement.complete();
        }
    }

    fn sees(&mut self, pieces: u32, usage: domain::usage::Usage) {
        if let Some(job) = &mut self.joined {
            job.settlement.saw(pieces);
            job.settlement.usage = if usage.saved.is_some() { usage } else { usage.as_saved() };
        }
    }

    async fn whole(mut self) -> Result<HttpResponse, Arc<ServeError>> {
        loop {
            let error = match self.all().await {
                Ok((head, answer, is_kept)) => {
                    self.sees(0, answer.usage);
                    self.completes();
                    let mut response = HttpResponse::Ok();
                    if is_kept {
                        self.ear.cache = self.ear.cache.map(Status::kept);
                    }
                    self.say(&mut response, Some(&head));
                    whole_headers(&mut response);
                    return Ok(response.body(answer.body));
                }
                Err(error) => error,
            };
            if !self.goes_on(&error) {
                self.fails(&error);
                return Err(error);
            }
        }
    }

    /// The whole answer, and whether it is kept.
    async fn all(&mut self) -> Result<(Arc<Head>, Answer, bool), Arc<ServeError>> {
        let head = self.reader.head().await?;
        let mut chunks = Vec::new();
        let is_kept = loop {
            match self.reader.next().await {
                Read::Chunk(chunk) => chunks.push(chunk),
                Read::Complete { is_kept } => break is_kept,
                Read::Failed(error) => return Err(error),
            }
        };
        let body = if head.is_stream {
            whole_of_stream(head.far, &chunks).map(|whole| whole.body)
        } else {
            chunks.into_iter().next()
        };
        let body =
            body.ok_or_else(|| Arc::new(unreadable(&head, "the stream cannot be read as a whole".to_owned())))?;
        // Who shares it pays nothing, and has an id of its own.
        let give = if self.joined.is_some() { replay } else { answer };
        match give(&self.ear.ask, head.far, &body, &self.ear.context, self.elapsed()) {
            Ok(answer) => Ok((head, answer, is_kept)),
            Err(bad) => Err(Arc::new(unreadable(&head, bad.to_string()))),
        }
    }

    /// Errors that come before the first sign of life still have their HTTP status.
    async fn stream(mut self) -> Result<HttpResponse, Arc<ServeError>> {
        let until = tokio::time::Instant::now() + self.ear.signs.heartbeat_every;
        let head = loop {
            match tokio::time::timeout_at(until, self.reader.head()).await {
                Err(_) => break None,
                Ok(Ok(head)) => break Some(head),
                Ok(Err(error)) if self.goes_on(&error) => {}
                Ok(Err(error)) => {
                    self.fails(&error);
                    return Err(error);
                }
            }
        };
        let mut response = HttpResponse::Ok();
        self.say(&mut response, head.as_deref());
        stream_headers(&mut response, self.ear.signs.dialect);
        Ok(response.streaming(self.frames(head)))
    }

    fn say(&self, response: &mut actix_web::HttpResponseBuilder, head: Option<&Head>) {
        let said = Said {
            request_id: &self.ear.signs.request_id,
            cache: self.ear.cache,
            answers: head.map(|head| (&head.target, &head.reason as &dyn std::fmt::Display)),
            attempts: head.map_or(0, |head| head.attempts),
            queued: head.map_or(Duration::ZERO, |head| head.queued),
            elapsed: self.elapsed(),
            told: self.ear.told.as_ref(),
        };
        headers(response, &said);
    }

    /// The client's stream.
    fn frames(mut self, mut known: Option<Arc<Head>>) -> impl Stream<Item = Result<Bytes, Infallible>> {
        async_stream::stream! {
            let patience = self.ear.signs.heartbeat_every;
            let head = loop {
                let found = match known.take() {
                    Some(head) => Ok(head),
                    // Said at once: the head was waited for as long before.
                    None => loop {
                        yield Ok(self.ear.signs.heartbeat());
                        if let Ok(found) = timeout(patience, self.reader.head()).await {
                            break found;
                        }
                    },
                };
                match found {
                    Ok(head) => break head,
                    Err(error) if self.goes_on(&error) => {}
                    Err(error) => {
                        self.fails(&error);
                        yield Ok(self.ear.signs.fail(&error));
                        return;
                    }
                }
            };
            let mut voice = Voice::new(&self.ear, &head);
            loop {
                let read = match timeout(patience, self.reader.next()).await {
                    Err(_) => {
                        yield Ok(voice.transcoder.heartbeat());
                        continue;
                    }
                    Ok(read) => read,
                };
                let is_over = !matches!(read, Read::Chunk(_));
                let error = match voice.take(&self.ear, &head, read) {
                    Ok(step) => {
                        self.sees(step.visible, voice.usage());
                        let bytes = step.all();
                        if !bytes.is_empty() {
                            yield Ok(bytes);
                        }
                        if is_over {
                            self.completes();
                            return;
                        }
                        continue;
                    }
                    Err(error) => error,
                };
                self.fails(&error);
                yield Ok(voice.transcoder.fail(&error.body(Some(&self.ear.signs.request_id))));
                return;
            }
        }
    }
}

/// Says what is on the tape in the client's words.
struct Voice {
    transcoder: Transcoder,
    /// Of an answer that is on the tape in one piece.
    usage: Option<domain::usage::Usage>,
}

impl Voice {
    fn new(ear: &Ear, head: &Head) -> Self {
        Self { transcoder: Transcoder::new(&ear.ask, head.far, ear.context.clone()), usage: None }
    }

    fn usage(&self) -> domain::usage::Usage {
        self.usage.unwrap_or_else(|| self.transcoder.usage())
    }

    fn take(&mut self, ear: &Ear, head: &Head, read: Read) -> Result<Step, Arc<ServeError>> {
        let elapsed = ear.started.elapsed();
        let step = match read {
            Read::Failed(error) => return Err(error),
            Read::Chunk(body) if !head.is_stream => {
                let whole = whole_as_stream(&ear.ask, head.far, &body, ear.context.clone(), elapsed);
                let (preamble, answer) = whole.map_err(|bad| Arc::new(unreadable(head, bad.to_string())))?;
                self.usage = Some(answer.usage);
                return Ok(Step { preamble, bytes: answer.body, visible: 1, failure: None });
            }
            Read::Complete { .. } if !head.is_stream || self.transcoder.is_done() => return Ok(Step::default()),
            Read::Complete { .. } => self.transcoder.finish(elapsed),
            Read::Chunk(chunk) => self.transcoder.feed(&chunk, elapsed),
        };
        step.map_err(|malformed| Arc::new(unreadable(head, malformed.to_string())))
    }
}

fn unreadable(head: &Head, why: String) -> ServeError {
    ServeError::call(CallError { upstream: head.target.upstream.clone(), fault: Fault::NotAnAnswer(why) })
}
