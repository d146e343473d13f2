//! One node as it really is. Nothing here is known to the dispatcher but what a real server would tell it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Nanos;
use super::cache::Cache;
use super::load::Request;

/// What a node can do.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name as an upstream.
    pub name: String,
    /// Requests that it works on at once.
    pub slots: usize,
    /// Prompt tokens read a second; one prompt is read at a time.
    pub prefill_per_s: f64,
    /// Tokens generated a second for a request that is alone.
    pub decode_per_s: f64,
    /// Each further request beside it slows reading and generating down by this share.
    pub contention: f64,
    /// Seconds to load a model.
    pub load_s: f64,
    /// It holds one model at a time, and answers for several.
    pub one_model: bool,
    /// What its prompt cache holds, in tokens.
    pub cache_tokens: u64,
    /// What happens to it, in the order of time.
    pub changes: Vec<(Nanos, Change)>,
}

/// Something that happens to a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It dies, with everything that it works on.
    Dies,
    /// It is back, with nothing in memory.
    Returns,
    /// Somebody else takes its card: this share of its speed is left.
    Eases(f64),
}

/// What a node did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    FirstToken,
    Ended,
}

/// A request at the node.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: u32,
    talk: u32,
    model: u8,
    prompt: u64,
    /// Tokens of the prompt that an earlier turn of its conversation has had.
    shared: u64,
    output: u64,
    read_left: f64,
    write_left: f64,
    /// Tokens that were in the cache when reading began.
    pub(super) warm: u64,
    /// When reading began.
    pub(super) began: Nanos,
    /// It had to wait for its model to be loaded.
    pub(super) was_cold: bool,
}

impl Job {
    pub(super) fn new(id: u32, request: &Request) -> Self {
        Self {
            id,
            talk: request.talk,
            model: request.model,
            prompt: request.prompt,
            shared: request.shared,
            output: request.output,
            read_left: f64::NAN,
            write_left: request.output as f64,
            warm: 0,
            began: 0,
            was_cold: false,
        }
    }
}

/// A node and what it is doing. A clone of it is its future, as long as nobody else comes.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) spec: Arc<Spec>,
    pub(super) is_up: bool,
    /// Share of its speed that is left to us.
    ease: f64,
    /// The model in memory; only for those that hold one.
    pub(super) holds: Option<u8>,
    /// The model that is being loaded, and when that is done.
    loading: Option<(u8, Nanos)>,
    /// Accepted, without a slot.
    queue: VecDeque<Job>,
    /// In slots; the first one's prompt is being read.
    reading: VecDeque<Job>,
    writing: Vec<Job>,
    /// Shared with the futures that are played of it, as long as these change nothing there.
    cache: Arc<Cache>,
    at: Nanos,
    /// How many of its changes have happened.
    changed: usize,
    /// Slots in use times nanoseconds.
    pub(super) used: u128,
}

/// Less than this is rounding: a millionth of a token.
const NOTHING: f64 = 1e-6;

impl Node {
    pub(super) fn new(spec: &Spec) -> Self {
        Self {
            spec: Arc::new(spec.clone()),
            is_up: true,
            ease: 1.0,
            holds: None,
            loading: None,
            queue: VecDeque::new(),
            reading: VecDeque::new(),
            writing: Vec::new(),
            cache: Arc::new(Cache::new(spec.cache_tokens)),
            at: 0,
            changed: 0,
            used: 0,
        }
    }

    /// Requests that it has accepted and not ended.
    pub(super) fn load(&self) -> usize {
        self.queue.len() + self.reading.len() + self.writing.len()
    }

    /// Share of its speed that is left to us.
    pub(super) const fn ease(&self) -> f64 {
        self.ease
    }

    fn busy(&self) -> usize {
        self.reading.len() + self.writing.len()
    }

    /// Whether a request of this model would have to wait for it to be loaded.
    pub(super) fn lacks(&self, model: u8) -> bool {
        self.spec.one_model && self.holds != Some(model)
    }

    /// The shortest time in which it could give this request its first token, in seconds.
    pub(super) fn soonest_s(&self, request: &Request) -> f64 {
        let warm = self.cache.warm(request.talk).min(request.shared);
        (request.prompt - warm) as f64 / self.spec.prefill_per_s
    }

    /// Takes a request; it must be up. What is due at this very moment is told by the next forecast.
    pub(super) fn accept(&mut self, job: Job, now: Nanos) {
        self.pass(now);
        self.queue.push_back(job);
        self.admit();
    }

    /// Loses everything that it works on, and gives their numbers.
    fn die(&mut self) -> Vec<u32> {
        let lost = self.queue.drain(..).chain(self.reading.drain(..)).chain(self.writing.drain(..));
        let lost = lost.map(|job| job.id).collect();
        Arc::make_mut(&mut self.cache).clear();
        (self.is_up, self.holds, self.loading) = (false, None, None);
        lost
    }

    /// The next change that will happen to it.
    pub(super) fn next_change(&self) -> Option<(Nanos, Change)> {
        self.spec.changes.get(self.changed).copied()
    }

    /// Lets its next change happen, and gives the requests that are lost by it.
    pub(super) fn change(&mut self) -> Vec<u32> {
        let Some((_, change)) = self.next_change() else { return Vec::new() };
        self.changed += 1;
        match change {
            Change::Dies => return self.die(),
            Change::Returns => self.is_up = true,
            Change::Eases(share) => self.ease = share,
        }
        Vec::new()
    }

    /// Gives slots to those that wait, first come first served, and loads what the first one needs.
    fn admit(&mut self) {
        while self.busy() < self.spec.slots && self.loading.is_none() {
            let Some(first) = self.queue.front() else { break };
            if self.spec.one_model && self.holds != Some(first.model) {
                if self.busy() == 0 {
                    self.loading = Some((first.model, self.at + nanos(self.spec.load_s)));
                }
                break;
            }
            self.reading.extend(self.queue.pop_front());
        }
        if let Some(first) = self.reading.front_mut().filter(|first| first.read_left.is_nan()) {
            first.began = self.at;
            first.warm = self.cache.warm(first.talk).min(first.shared);
            // The last token is always read again: it is what the first one of the answer follows from.
            first.read_left = (first.prompt - first.warm).max(1) as f64;
        }
    }

    fn slowed(&self) -> f64 {
        self.ease / (1.0 + self.spec.contention * self.busy().saturating_sub(1) as f64)
    }

    /// When something happens here next, if nobody else comes.
    pub(super) fn next(&self) -> Option<Nanos> {
        let slowed = self.slowed();
        let reading = self.reading.front().map(|job| job.read_left / (self.spec.prefill_per_s * slowed));
        let writing = self.writing.iter().map(|job| job.write_left / (self.spec.decode_per_s * slowed));
        let soonest = writing.chain(reading).min_by(f64::total_cmp).map(|seconds| self.at + nanos(seconds).max(1));
        [soonest, self.loading.map(|(_, done)| done)].into_iter().flatten().min()
    }

    /// Works until then.
    pub(super) fn advance(&mut self, to: Nanos, mut tell: impl FnMut(&Job, Deed, Nanos)) {
        while let Some(next) = self.next().filter(|next| *next <= to) {
            self.pass(next);
            self.settle(&mut tell);
        }
        self.pass(to);
    }

    fn pass(&mut self, to: Nanos) {
        let span = to.saturating_sub(self.at);
        let seconds = span as f64 / 1e9 * self.slowed();
        if let Some(first) = self.reading.front_mut() {
            first.read_left -= seconds * self.spec.prefill_per_s;
        }
        for job in &mut self.writing {
            job.write_left -= seconds * self.spec.decode_per_s;
        }
        self.used += u128::from(span) * self.busy() as u128;
        self.at = self.at.max(to);
    }

    /// What is done by now.
    fn settle(&mut self, tell: &mut impl FnMut(&Job, Deed, Nanos)) {
        if let Some((model, _)) = self.loading.filter(|(_, done)| *done <= self.at) {
            (self.holds, self.loading) = (Some(model), None);
            Arc::make_mut(&mut self.cache).clear();
            // All that wait for this model have seen it load.
            self.queue.iter_mut().filter(|job| job.model == model).for_each(|job| job.was_cold = true);
        }
        // A token takes at least microseconds, so what ends within the same nanosecond has this much left at most.
        let near = NOTHING.max(self.spec.prefill_per_s.max(self.spec.decode_per_s) * 2e-9);
        if self.reading.front().is_some_and(|job| job.read_left <= near)
            && let Some(job) = self.reading.pop_front()
        {
            Arc::make_mut(&mut self.cache).keep(job.talk, job.prompt);
            tell(&job, Deed::FirstToken, self.at);
            self.writing.push(job);
        }
        let mut position = 0;
        while position < self.writing.len() {
            if self.writing[position].write_left <= near {
                let job = self.writing.remove(position);
                Arc::make_mut(&mut self.cache).keep(job.talk, job.prompt + job.output);
                tell(&job, Deed::Ended, self.at);
            } else {
                position += 1;
            }
        }
        self.admit();
    }
}

pub(super) fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9).ceil() as Nanos
}
