//! What the writer is to do, in the order in which it was asked: a purge comes after what was kept before it.

use std::sync::Arc;

use domain::cache::{Entry, Key, Purge, Purged};
use tokio::sync::oneshot;

use super::ENTRY_BYTES_MAX;
use super::question::Asked;
use crate::sqlite;

/// Rows that are written together at most.
const ROWS_MAX: usize = 100;
/// The queue holds no more than this, and less where the memory for kept answers is less: what it holds is mostly held there
/// as well.
const BYTES_MAX: usize = 32 << 20;
/// What waits to be written.
pub(super) type Queue = sqlite::Queue<Job>;

/// What a job takes besides its entry, in bytes.
const JOB_BYTES: usize = 200;

pub(super) enum Job {
    /// Write this answer.
    Keep(Key, Arc<Entry>),
    /// Change what stands there.
    Change(Change),
    /// Not to be gathered with others.
    Control(Control),
}

/// What happens to an answer that was kept before.
pub(super) enum Change {
    /// It was asked for in this hour.
    Used(Key),
    /// What stands there is not what was written.
    Bad(Key),
    /// This question of the partition leads there.
    Ask([u8; 32], Asked),
    /// The question of this text does not lead there any more.
    Unask(Key, Arc<str>),
    /// What was learned of it.
    Bar(Key, Vec<u8>),
    /// The question with this number is not what was written.
    BadQuestion(i64),
}

pub(super) enum Control {
    /// Throw away what is named. Nothing is read before this is dropped.
    Purge(Box<Purge>, oneshot::Sender<Result<Purged, String>>, Arc<()>),
    /// Say when all before it is done.
    Flush(oneshot::Sender<()>),
    /// Nothing comes after it.
    Close(oneshot::Sender<()>),
    /// The file of this generation is damaged.
    Damaged(u64),
}

impl sqlite::Job for Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Keep(key, entry) => JOB_BYTES + key.scope.len() + entry.size(),
            Self::Change(change) => JOB_BYTES + change.bytes(),
            // Few, and must not be lost.
            Self::Control(_) => 0,
        }
    }

    fn is_control(&self) -> bool {
        matches!(self, Self::Control(_))
    }
}

impl Change {
    /// What it takes besides itself, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Used(key) | Self::Bad(key) => key.scope.len(),
            Self::Ask(_, Asked { key, text, vector }) => key.scope.len() + text.len() + 2 * vector.dimensions(),
            Self::Unask(key, text) => key.scope.len() + text.len(),
            Self::Bar(key, bytes) => key.scope.len() + bytes.len(),
            Self::BadQuestion(_) => 0,
        }
    }
}

/// The queue of a house whose kept answers take so much memory.
pub(super) fn new(memory_max_bytes: u64) -> Queue {
    let share = usize::try_from(memory_max_bytes / 2).unwrap_or(BYTES_MAX);
    // The largest answer must fit.
    Queue::new(ROWS_MAX, share.clamp(2 * ENTRY_BYTES_MAX, BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{clock, entry, key};
    use super::*;
    use crate::sqlite::Job as _;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_hundred_rows_or_a_purge_are_not_waited_for() {
        let queue = new(32 << 20);
        let keep = |number| Job::Keep(key("house", number), Arc::new(entry("a", "one", &clock())));
        assert!((0..250).all(|number| queue.push(keep(number))));
        assert_eq!(queue.take(LONG, LONG).len(), 100);
        assert_eq!(queue.take(LONG, LONG).len(), 100);
        let (done, _answer) = oneshot::channel();
        assert!(queue.push(Job::Control(Control::Flush(done))));
        let last = queue.take(LONG, LONG);
        assert!(last.len() == 51 && last[50].is_control(), "in order");
        assert!(queue.take(Duration::ZERO, LONG).is_empty());
    }

    #[test]
    fn the_queue_is_bounded_by_bytes() {
        let queue = new(0);
        let entry = Arc::new(entry("a", &"x".repeat(ENTRY_BYTES_MAX - 1_000), &clock()));
        let pushed = (0..9).filter(|number| queue.push(Job::Keep(key("house", *number), entry.clone()))).count();
        assert_eq!(pushed, 2, "four MiB at least");
        let (done, _answer) = oneshot::channel();
        assert!(queue.push(Job::Control(Control::Flush(done))), "what is asked for is not lost");
        assert_eq!(queue.take(LONG, LONG).len(), 3);
        assert!(queue.push(Job::Keep(key("house", 9), entry)), "there is room again");
    }
}
