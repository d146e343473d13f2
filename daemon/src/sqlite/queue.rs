//! What a writer is to do, in the order in which it was asked.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lock;

/// Something for a writer to do.
pub(crate) trait Job {
    /// What it takes while it waits, in bytes; nothing for what is asked for seldom and must not be lost.
    fn bytes(&self) -> usize;

    /// Whether it is not to be gathered with others.
    fn is_control(&self) -> bool;
}

struct Waiting<J> {
    jobs: VecDeque<J>,
    bytes: usize,
    controls: usize,
}

/// Bounded by what the jobs in it take.
pub(crate) struct Queue<J> {
    waiting: Mutex<Waiting<J>>,
    changed: Condvar,
    /// Rows that are written together at most.
    rows_max: usize,
    bytes_max: usize,
}

impl<J: Job> Queue<J> {
    pub(crate) fn new(rows_max: usize, bytes_max: usize) -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), bytes: 0, controls: 0 };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new(), rows_max, bytes_max }
    }

    /// Whether it is taken. Never waits.
    pub(crate) fn push(&self, job: J) -> bool {
        self.push_if(job, || true) == Some(true)
    }

    /// The same, if something is still so at the moment in which it takes its place in the order; `None` if it is not.
    pub(crate) fn push_if(&self, job: J, is_due: impl FnOnce() -> bool) -> Option<bool> {
        let mut waiting = lock(&self.waiting);
        let bytes = job.bytes();
        if !is_due() {
            return None;
        }
        if bytes > 0 && waiting.bytes + bytes > self.bytes_max {
            return Some(false);
        }
        waiting.bytes += bytes;
        waiting.controls += usize::from(job.is_control());
        waiting.jobs.push_back(job);
        let (is_first, is_enough) = (waiting.jobs.len() == 1, self.is_enough(&waiting));
        drop(waiting);
        if is_first || is_enough {
            self.changed.notify_one();
        }
        Some(true)
    }

    /// What is to be done next: waits for the first job up to `idle`, and for more to write with it up to `gather`.
    pub(crate) fn take(&self, idle: Duration, gather: Duration) -> Vec<J> {
        let waiting = lock(&self.waiting);
        let (waiting, _) = self
            .changed
            .wait_timeout_while(waiting, idle, |waiting| waiting.jobs.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.jobs.is_empty() {
            return Vec::new();
        }
        let until = Instant::now() + gather;
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(waiting, until - Instant::now(), |waiting| !self.is_enough(waiting))
            .unwrap_or_else(PoisonError::into_inner);
        let count = waiting.jobs.len().min(self.rows_max);
        let batch: Vec<J> = waiting.jobs.drain(..count).collect();
        waiting.bytes -= batch.iter().map(Job::bytes).sum::<usize>();
        waiting.controls -= batch.iter().filter(|job| job.is_control()).count();
        batch
    }

    fn is_enough(&self, waiting: &Waiting<J>) -> bool {
        waiting.jobs.len() >= self.rows_max || waiting.controls > 0
    }
}
