//! A stream on its way to the client: bytes at once, comments in silence, the next upstream while nothing was seen.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::dispatch::Turn;
use domain::surface::Dialect;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};
use wire::exchange::{Transcoder, whole_as_stream};

use super::answer_error::ServeError;
use super::hedge::{Hedge, Won};
use super::job::{Job, Live, Waiting, Waits};
use super::serve::{ANSWER_BYTES_MAX, Beginning};
use crate::dispatch::Dispatcher;
use crate::upstreams::Fault;

/// Most bytes of a stream that are kept while none of them can be seen.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is known of a stream before its upstream is.
pub(super) struct Signs {
    pub(super) dialect: Dialect,
    pub(super) request_id: Rc<str>,
    pub(super) heartbeat_every: Duration,
    /// Writes signs of life and errors while there is no upstream.
    idle: Transcoder,
    /// The model as the client named it.
    model: String,
    pub(super) waits: Arc<Waiting>,
    dispatcher: Arc<Dispatcher>,
}

impl Signs {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            dialect: job.ask.near.dialect(),
            request_id: job.request_id.clone(),
            heartbeat_every: job.heartbeat_every,
            idle: Transcoder::new(&job.ask, job.ask.near, job.context.clone()),
            model: job.context.model.clone(),
            waits: job.waits.clone(),
            dispatcher: job.gateway.dispatcher.clone(),
        }
    }

    /// The end of a stream of which nothing came.
    pub(super) fn fail(&mut self, error: &ServeError) -> Bytes {
        self.idle.fail(&error.body(Some(&self.request_id)))
    }

    /// A sign of life while there is no upstream; who waits is told what for.
    pub(super) fn heartbeat(&mut self) -> Bytes {
        let said = match self.waits.get() {
            Waits::Unnamed => None,
            Waits::Queued(ticket) => self.dispatcher.turn(ticket).map(|turn| queued(&turn, &self.model)),
            Waits::Loads(ready) => {
                Some(loading(&self.model, ready.saturating_duration_since(std::time::Instant::now())))
            }
        };
        match said {
            Some(said) => self.idle.heartbeat_saying(&said),
            None => self.idle.heartbeat(),
        }
    }
}

fn queued(turn: &Turn, model: &str) -> String {
    let mut said = format!("queued, {} before this one", turn.ahead);
    if let Some(wakes_in) = turn.wakes_in {
        said.push_str(&format!("; the machine is woken, ready in about {} s", wakes_in.as_secs()));
    }
    if let Some(loads_in) = turn.loads_in {
        said.push_str(&format!("; {}", loading(model, loads_in)));
    }
    said
}

fn loading(model: &str, left: Duration) -> String {
    format!("loading {model}, ready in about {} s", left.as_secs())
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
                yield Ok(signs.heartbeat());
                if let Ok(begun) = tokio::time::timeout(signs.heartbeat_every, &mut beginning).await {
                    break begun;
                }
            },
        };
        let (mut begins, mut last) = (true, None::<Passage>);
        loop {
            let mut live = match begun {
                Ok(live) => live,
                Err(error) => {
                    // In the words of whoever began the stream.
                    let end = match &mut last {
                        Some(leg) if !leg.begins => leg.transcoder.fail(&error.body(Some(&signs.request_id))),
                        _ => signs.fail(&error),
                    };
                    job.fails(error);
                    yield Ok(end);
                    return;
                }
            };
            let mut leg = Passage::new(&job, &live, signs.heartbeat_every, begins);
            let end = loop {
                match leg.next(&mut job, &mut live).await {
                    Next::Bytes(bytes) => yield Ok(bytes),
                    Next::Won(won) => {
                        live = job.take_over(*won);
                        leg = Passage::new(&job, &live, signs.heartbeat_every, leg.begins);
                    }
                    Next::End(bytes, end) => {
                        if !bytes.is_empty() {
                            yield Ok(bytes);
                        }
                        break end;
                    }
                }
            };
            begins = leg.begins;
            let fault = match end {
                End::Complete => {
                    job.complete(&mut live);
                    return;
                }
                End::Failed(fault) => fault,
            };
            let error = job.call_error(&mut live, fault);
            let hedge = std::mem::take(&mut live.hedge);
            drop(live);
            let seen = job.settlement.is_visible();
            let failed = job.failed(error);
            begun = match failed {
                Err(error) => Err(error),
                // What was seen cannot be taken back: another upstream would begin anew.
                Ok(()) if seen => Err(job.take_failure()),
                Ok(()) => {
                    let mut next = Box::pin(job.go_on(hedge));
                    loop {
                        match tokio::time::timeout(signs.heartbeat_every, &mut next).await {
                            Ok(next) => break next,
                            Err(_) if begins => yield Ok(signs.heartbeat()),
                            Err(_) => yield Ok(leg.transcoder.heartbeat()),
                        }
                    }
                }
            };
            last = Some(leg);
        }
    }
}

/// One upstream's stream on its way through.
struct Passage {
    transcoder: Transcoder,
    /// The client has nothing of an answer yet, not even its first frame.
    begins: bool,
    /// Frames that nobody would see, kept until the first visible one: until then another upstream may take over.
    held: Vec<u8>,
    /// What the upstream said meanwhile, for the tape.
    unshown: Vec<Bytes>,
    is_taped: bool,
    heartbeat_every: Duration,
    sent: Instant,
    /// Wakes for the next sign of life or the end of patience, whichever is first. Chunks do not move it: it looks
    /// for itself, when it fires, whether they came.
    alarm: Pin<Box<Sleep>>,
    whole: bool,
}

enum Next {
    Bytes(Bytes),
    /// The second copy has something to show.
    Won(Box<Won>),
    End(Bytes, End),
}

impl Passage {
    fn new(job: &Job, live: &Live, heartbeat_every: Duration, begins: bool) -> Self {
        let transcoder = Transcoder::new(&job.ask, live.leg().far, job.context.clone());
        let sent = Instant::now();
        Self {
            transcoder: if begins { transcoder } else { transcoder.resumed() },
            begins,
            held: Vec::new(),
            unshown: Vec::new(),
            is_taped: false,
            heartbeat_every,
            sent,
            alarm: Box::pin(tokio::time::sleep_until((sent + heartbeat_every).min(live.reply.body.deadline()))),
            whole: live.leg().far.dialect() != Dialect::Ollama && !live.reply.is_stream,
        }
    }

    /// The next bytes for the client.
    async fn next(&mut self, job: &mut Job, live: &mut Live) -> Next {
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = live.reply.body.next() => chunk,
                () = job.gone(&live.slot), if !job.settlement.is_visible() => Err(Fault::gone()),
                won = live.hedge.won(job, &live.slot), if !job.settlement.is_visible() => {
                    return Next::Won(Box::new(won));
                }
                () = &mut self.alarm => match self.alarmed(live, job.settlement.is_visible()) {
                    Some(next) => return next,
                    None => continue,
                },
            };
            let next = match chunk {
                Err(fault) => Some(Next::End(Bytes::new(), End::Failed(fault))),
                Ok(chunk) if self.whole => self.whole(job, live, chunk),
                Ok(Some(chunk)) => self.take(job, live, &chunk, false),
                Ok(None) => self.take(job, live, &Bytes::new(), true),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// What the alarm is good for: a sign of life, or the end of patience with the upstream.
    fn alarmed(&mut self, live: &Live, is_visible: bool) -> Option<Next> {
        let now = Instant::now();
        if now >= live.reply.body.deadline() {
            return Some(Next::End(Bytes::new(), End::Failed(live.reply.body.silence())));
        }
        let is_silent = now >= self.sent + self.heartbeat_every;
        if is_silent {
            self.sent = now;
        }
        self.alarm.as_mut().reset((self.sent + self.heartbeat_every).min(live.reply.body.deadline()));
        is_silent.then(|| Next::Bytes(self.heartbeat(live, is_visible)))
    }

    /// A sign of life; while a model is being loaded, it says so.
    fn heartbeat(&mut self, live: &Live, is_visible: bool) -> Bytes {
        let score = &live.leg().score;
        if is_visible || score.load.is_zero() {
            return self.transcoder.heartbeat();
        }
        let left = (score.wait + score.load).saturating_sub(live.slot.began().elapsed());
        self.transcoder.heartbeat_saying(&loading(&live.leg().target.model, left))
    }

    /// Takes one chunk, or the end; `None` if there is nothing to send yet.
    fn take(&mut self, job: &mut Job, live: &mut Live, chunk: &Bytes, at_end: bool) -> Option<Next> {
        let elapsed = job.settlement.elapsed();
        let step = if at_end { self.transcoder.finish(elapsed) } else { self.transcoder.feed(chunk, elapsed) };
        let step = match step {
            Ok(step) => step,
            Err(malformed) => {
                let fault = Fault::NotAnAnswer(malformed.to_string());
                return Some(Next::End(Bytes::new(), End::Failed(fault)));
            }
        };
        if step.visible > 0 && !job.settlement.is_visible() {
            live.slot.first_token();
            // Whoever was asked besides is left.
            live.hedge = Hedge::Over;
        }
        job.settlement.saw(step.visible);
        job.settlement.usage = self.transcoder.usage();
        let is_done = self.transcoder.is_done();
        let may_go = job.settlement.is_visible() || (is_done && step.failure.is_none());
        if let Err(fault) = self.tape(job, live, chunk, may_go) {
            return Some(Next::End(Bytes::new(), End::Failed(fault)));
        }
        let bytes = self.pass(step.preamble, step.bytes, may_go);
        match step.failure {
            Some(failure) => Some(Next::End(bytes, End::Failed(Fault::Reported(failure)))),
            None if is_done => Some(Next::End(bytes, End::Complete)),
            None if at_end => {
                let cut = Fault::Broken("the stream ended before the answer was complete".to_owned());
                Some(Next::End(bytes, End::Failed(cut)))
            }
            None if self.held.len() > HELD_BYTES_MAX => {
                let fault = Fault::NotAnAnswer(format!("it said nothing in {HELD_BYTES_MAX} bytes"));
                Some(Next::End(bytes, End::Failed(fault)))
            }
            None => (!bytes.is_empty()).then_some(Next::Bytes(bytes)),
        }
    }

    /// Writes on the tape what may be seen.
    fn tape(&mut self, job: &Job, live: &Live, chunk: &Bytes, may_go: bool) -> Result<(), Fault> {
        let Some(tape) = &job.tape else { return Ok(()) };
        if self.is_taped {
            return tape.write(chunk);
        }
        self.unshown.push(chunk.clone());
        if may_go {
            self.is_taped = true;
            job.tapes(live, true, std::mem::take(&mut self.unshown));
        }
        Ok(())
    }

    /// What goes to the client now; the rest is held.
    fn pass(&mut self, preamble: Bytes, bytes: Bytes, may_go: bool) -> Bytes {
        self.begins &= preamble.is_empty();
        let out = match (may_go, self.held.is_empty()) {
            (true, true) if preamble.is_empty() => bytes,
            (true, _) => [preamble, std::mem::take(&mut self.held).into(), bytes].concat().into(),
            (false, _) => {
                self.held.extend_from_slice(&bytes);
                preamble
            }
        };
        if !out.is_empty() {
            self.sent = Instant::now();
        }
        out
    }

    /// An upstream that answers in one piece although a stream was asked of it: collects until the end, then streams.
    fn whole(&mut self, job: &mut Job, live: &Live, chunk: Option<Bytes>) -> Option<Next> {
        let Some(chunk) = chunk else { return Some(self.whole_end(job, live)) };
        if self.held.len() + chunk.len() > ANSWER_BYTES_MAX {
            let fault = Fault::NotAnAnswer(format!("its answer is larger than {ANSWER_BYTES_MAX} bytes"));
            return Some(Next::End(Bytes::new(), End::Failed(fault)));
        }
        self.held.extend_from_slice(&chunk);
        None
    }

    fn whole_end(&mut self, job: &mut Job, live: &Live) -> Next {
        let whole = Bytes::from(std::mem::take(&mut self.held));
        match whole_as_stream(&job.ask, live.leg().far, &whole, job.context.clone(), job.settlement.elapsed()) {
            Ok((preamble, answer)) => {
                job.settlement.saw(1);
                job.settlement.usage = answer.usage;
                job.tapes(live, false, [whole]);
                // The client may have the first frames from another upstream.
                let body = if self.begins { [preamble, answer.body].concat().into() } else { answer.body };
                Next::End(body, End::Complete)
            }
            Err(bad) => Next::End(Bytes::new(), End::Failed(bad.into())),
        }
    }
}
