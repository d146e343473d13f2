//! Calls in flight that are shared: whoever asks the same as a call that is under way gets its answer, from the beginning.
//!
//! The call is carried by a task of its own (the pilot), which writes what the upstream says on a tape. Every client, the
//! first one too, reads the tape and translates it for itself, so that one that is slow or leaves holds up nobody. When the
//! last one has left, the call ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::cache::{Entry, Key};
use domain::catalogue::Target;
use domain::lane::Lane;
use domain::refusal::Refusal;
use domain::surface::Surface;
use tokio::sync::watch;

use super::answer_error::ServeError;
use super::job::Waiting;
use crate::upstreams::Fault;

/// All calls in flight that may be shared.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, Arc<Flight>>>);

/// One call.
struct Flight {
    lane: Lane,
    /// Purges of kept answers when it began.
    purges: u64,
    /// What its pilot waits for.
    waits: Arc<Waiting>,
    tape: Mutex<Tape>,
    /// Tells readers that something was written.
    news: watch::Sender<()>,
}

/// What the upstream said.
#[derive(Default)]
struct Tape {
    head: Option<Arc<Head>>,
    chunks: Vec<Bytes>,
    bytes: usize,
    end: Option<End>,
}

/// Longest stream that is shared: it is in memory until its last reader has it. No model writes a tenth of it.
const STREAM_BYTES_MAX: usize = 64 << 20;

impl Tape {
    fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }
}

#[derive(Clone)]
enum End {
    /// The answer is complete.
    Complete {
        /// It is kept.
        is_kept: bool,
    },
    Failed(Arc<ServeError>),
}

/// Who answers, and how.
pub(super) struct Head {
    pub(super) far: Surface,
    /// The chunks are a stream, and not one whole answer.
    pub(super) is_stream: bool,
    pub(super) target: Target,
    pub(super) reason: String,
    pub(super) attempts: u32,
    pub(super) queued: Duration,
}

/// Who wants to share a call.
pub(super) struct Passenger<'a> {
    /// A call that is less urgent is not shared: it may wait for longer than this request has to.
    pub(super) lane: Lane,
    /// What the request waits for.
    pub(super) waits: &'a Arc<Waiting>,
    /// Purges of kept answers so far: a call that began before one is not shared after it.
    pub(super) purges: u64,
    /// False for who wants an answer that is made from now on.
    pub(super) joins: bool,
}

/// What comes of wanting to share.
pub(super) enum Boarded {
    /// A call that asks the same has just ended, and its answer is kept.
    Kept(Arc<Entry>),
    /// It is under way.
    Joined(Reader),
    /// There is none: this request is to make it.
    First(Reader, Recorder),
}

impl Flights {
    /// Shares the call of this key, or begins one. `kept` looks once more for a kept answer, since one may have been made
    /// since it was looked for.
    pub(super) fn board(
        self: &Arc<Self>,
        key: &Key,
        who: Passenger<'_>,
        kept: impl FnOnce() -> Option<Arc<Entry>>,
    ) -> Boarded {
        let Passenger { lane, waits, purges, joins } = who;
        let mut flights = self.lock();
        if joins {
            let fits = |flight: &&Arc<Flight>| flight.lane <= lane && flight.purges == purges;
            if let Some(flight) = flights.get(key).filter(fits) {
                return Boarded::Joined(Reader::new(flight.clone()));
            }
            if let Some(entry) = kept() {
                return Boarded::Kept(entry);
            }
        }
        let (news, _) = watch::channel(());
        let flight = Arc::new(Flight { lane, purges, waits: waits.clone(), tape: Mutex::default(), news });
        flights.insert(key.clone(), flight.clone());
        drop(flights);
        let reader = Reader::new(flight.clone());
        Boarded::First(reader, Recorder { flights: self.clone(), key: key.clone(), flight })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pilot's end of a tape. Dropping it before the answer is complete is a failure.
pub(super) struct Recorder {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
}

impl Recorder {
    /// Writes who answers, and what it has said so far.
    pub(super) fn begin(&self, head: Head, chunks: impl IntoIterator<Item = Bytes>) {
        let mut tape = self.flight.tape();
        tape.head = Some(Arc::new(head));
        chunks.into_iter().for_each(|chunk| tape.push(chunk));
        drop(tape);
        self.flight.news.send_replace(());
    }

    /// Writes what comes next.
    ///
    /// # Errors
    /// The stream has become longer than [`STREAM_BYTES_MAX`].
    pub(super) fn write(&self, chunk: &Bytes) -> Result<(), Fault> {
        let mut tape = self.flight.tape();
        tape.push(chunk.clone());
        let is_endless = tape.bytes > STREAM_BYTES_MAX;
        drop(tape);
        self.flight.news.send_replace(());
        if is_endless {
            return Err(Fault::NotAnAnswer(format!("its stream is longer than {STREAM_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// All that was said, and whether it is a stream.
    pub(super) fn said(&self) -> (Vec<Bytes>, bool) {
        let tape = self.flight.tape();
        (tape.chunks.clone(), tape.head.as_ref().is_some_and(|head| head.is_stream))
    }

    /// The answer is complete.
    pub(super) fn complete(&self, is_kept: bool) {
        self.end(End::Complete { is_kept });
    }

    /// There will be no answer, or no more of it.
    pub(super) fn fail(&self, error: ServeError) {
        self.end(End::Failed(Arc::new(error)));
    }

    /// Resolves when nobody reads any more.
    pub(super) fn deserted(&self) -> impl Future<Output = ()> + use<> {
        let flight = self.flight.clone();
        async move { flight.news.closed().await }
    }

    fn end(&self, end: End) {
        // First, so that nobody joins one that has ended: who comes now finds the kept answer, or begins anew.
        let mut flights = self.flights.lock();
        if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(&self.key);
        }
        drop(flights);
        self.flight.tape().end.get_or_insert(end);
        self.flight.news.send_replace(());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.flight.tape().end.is_none() {
            self.fail(Refusal::Stopping { retry_after: Duration::from_secs(1) }.into());
        }
    }
}

/// A client's end of a tape.
pub(super) struct Reader {
    flight: Arc<Flight>,
    news: watch::Receiver<()>,
    /// Chunks read.
    position: usize,
}

/// What a reader comes to.
pub(super) enum Read {
    Chunk(Bytes),
    Complete { is_kept: bool },
    Failed(Arc<ServeError>),
}

impl Reader {
    fn new(flight: Arc<Flight>) -> Self {
        let news = flight.news.subscribe();
        Self { flight, news, position: 0 }
    }

    /// A tape that holds a kept answer.
    pub(super) fn of_kept(entry: &Entry) -> Self {
        let head = Head {
            far: entry.surface,
            is_stream: false,
            target: entry.target.clone(),
            reason: "kept".to_owned(),
            attempts: 0,
            queued: Duration::ZERO,
        };
        let tape = Tape {
            head: Some(Arc::new(head)),
            chunks: vec![entry.body.clone()],
            bytes: entry.body.len(),
            end: Some(End::Complete { is_kept: true }),
        };
        let (news, _) = watch::channel(());
        Self::new(Arc::new(Flight {
            lane: Lane::default(),
            purges: 0,
            waits: Arc::default(),
            tape: Mutex::new(tape),
            news,
        }))
    }

    /// What the call waits for.
    pub(super) fn waits(&self) -> Arc<Waiting> {
        self.flight.waits.clone()
    }

    /// Waits until somebody answers. Safe to drop and call again.
    ///
    /// # Errors
    /// Nobody does.
    pub(super) async fn head(&mut self) -> Result<Arc<Head>, Arc<ServeError>> {
        self.wait(|tape, _| match (&tape.head, &tape.end) {
            (Some(head), _) => Some(Ok(head.clone())),
            (None, Some(End::Failed(error))) => Some(Err(error.clone())),
            (None, Some(End::Complete { .. }) | None) => None,
        })
        .await
    }

    /// What was said next. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Read {
        let read = self.wait(|tape, position| match (tape.chunks.get(position), &tape.end) {
            (Some(chunk), _) => Some(Read::Chunk(chunk.clone())),
            (None, Some(End::Complete { is_kept })) => Some(Read::Complete { is_kept: *is_kept }),
            (None, Some(End::Failed(error))) => Some(Read::Failed(error.clone())),
            (None, None) => None,
        });
        let read = read.await;
        if matches!(read, Read::Chunk(_)) {
            self.position += 1;
        }
        read
    }

    async fn wait<T>(&mut self, look: impl Fn(&Tape, usize) -> Option<T>) -> T {
        loop {
            self.news.mark_unchanged();
            if let Some(found) = look(&self.flight.tape(), self.position) {
                return found;
            }
            // It cannot be closed: the flight, which we hold, holds the other end.
            let _ = self.news.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(flights: &Arc<Flights>, key: &Key, lane: Lane, purges: u64) -> Boarded {
        flights.board(key, Passenger { lane, waits: &Arc::default(), purges, joins: true }, || None)
    }

    fn first(flights: &Arc<Flights>, key: &Key, lane: Lane) -> (Reader, Recorder) {
        match board(flights, key, lane, 0) {
            Boarded::First(reader, recorder) => (reader, recorder),
            Boarded::Kept(_) | Boarded::Joined(_) => panic!("it is the first"),
        }
    }

    fn key() -> Key {
        Key { scope: "house".into(), digest: [7; 32] }
    }

    fn head() -> Head {
        Head {
            far: Surface::OpenaiChat,
            is_stream: true,
            target: Target::new("box", "m"),
            reason: String::new(),
            attempts: 1,
            queued: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn a_stream_without_end_is_ended() {
        let flights = Arc::new(Flights::default());
        let (mut reader, recorder) = first(&flights, &key(), Lane::Normal);
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        recorder.begin(head(), [chunk.clone()]);
        let written = (0..100).take_while(|_| recorder.write(&chunk).is_ok()).count();
        assert_eq!(written, 63);
        drop(recorder);
        for _ in 0..65 {
            assert!(matches!(reader.next().await, Read::Chunk(_)));
        }
        assert!(matches!(reader.next().await, Read::Failed(_)), "and that is told");
    }

    #[tokio::test]
    async fn what_has_ended_is_joined_by_nobody() {
        let flights = Arc::new(Flights::default());
        for complete in [true, false] {
            let (mut reader, recorder) = first(&flights, &key(), Lane::Normal);
            let joined = board(&flights, &key(), Lane::Normal, 0);
            assert!(matches!(joined, Boarded::Joined(_)));
            recorder.begin(head(), []);
            if complete {
                recorder.complete(true);
            }
            drop(recorder);
            let read = reader.next().await;
            assert_eq!(matches!(read, Read::Complete { is_kept: true }), complete);
        }
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn an_older_call_does_not_end_a_newer_one() {
        let flights = Arc::new(Flights::default());
        let (_, bulk) = first(&flights, &key(), Lane::Bulk);
        let (_, urgent) = first(&flights, &key(), Lane::Interactive);
        drop(bulk);
        let joined = board(&flights, &key(), Lane::Bulk, 0);
        assert!(matches!(joined, Boarded::Joined(_)), "the urgent one is under way");
        assert!(matches!(board(&flights, &key(), Lane::Bulk, 1), Boarded::First(..)), "something was purged since");
        drop((joined, urgent));
        assert!(flights.lock().is_empty());
    }
}
