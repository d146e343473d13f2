//! Long tasks by name. The end of a vital one stops the daemon; an optional one is started again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{error, warn};

/// All long tasks.
#[derive(Default)]
pub(crate) struct Tasks {
    set: JoinSet<&'static str>,
}

/// First pause before an optional task is started again; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Tasks {
    /// Starts a task without which a part is missing, but the house stands: whenever it has ended it is made again,
    /// after a pause.
    pub(crate) fn optional<F>(&mut self, name: &'static str, mut make: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.set.spawn(async move {
            let mut pause = PAUSE_MIN;
            loop {
                let mut inner = JoinSet::new();
                inner.spawn(make());
                if let Some(Err(failure)) = inner.join_next().await {
                    warn!(task = name, failure = %failure, "a task failed; it is started again");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        });
    }

    /// Starts a thread for work that blocks. The house stands without it: when it has ended it is started again, after
    /// a pause.
    pub(crate) fn thread(&mut self, name: &'static str, work: impl Fn() + Send + Sync + 'static) {
        let work = Arc::new(work);
        self.optional(name, move || {
            let work = work.clone();
            async move {
                let (alive, ended) = oneshot::channel::<()>();
                let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                    // Dropped at the end of the thread, also when it panics.
                    let _alive = alive;
                    work();
                });
                match thread {
                    // The thread never sends; the channel closes with it.
                    Ok(_) => drop(ended.await),
                    Err(error) => warn!(task = name, %error, "no thread can be started"),
                }
                warn!(task = name, "a thread ended; it is started again");
            }
        });
    }

    /// Starts a task without which the daemon cannot go on.
    pub(crate) fn vital(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits until a vital task has ended, and gives its name. Pending as long as all is well.
    pub(crate) async fn vital_end(&mut self) -> &'static str {
        match self.set.join_next().await {
            Some(Ok(name)) => {
                error!(task = name, "a vital task ended");
                name
            }
            Some(Err(failure)) => {
                error!(failure = %failure, "a vital task failed");
                "unknown"
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_panics_comes_back() {
        let starts = Arc::new(AtomicUsize::new(0));
        let mut tasks = Tasks::default();
        let counter = starts.clone();
        tasks.thread("sensor", move || {
            if counter.fetch_add(1, Ordering::SeqCst) < 2 {
                panic!("as a sensor may");
            }
            std::thread::park();
        });
        let third = async {
            while starts.load(Ordering::SeqCst) < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! { () = third => {} _ = tasks.vital_end() => panic!("no vital task was started") }
    }

    #[tokio::test(start_paused = true)]
    async fn optional_tasks_come_back_and_vital_ones_end_the_house() {
        let starts = Arc::new(AtomicUsize::new(0));
        let mut tasks = Tasks::default();
        let counter = starts.clone();
        tasks.optional("sensor", move || {
            let counter = counter.clone();
            async move {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        tasks.vital("heart", tokio::time::sleep(Duration::from_secs(10)));
        assert_eq!(tasks.vital_end().await, "heart");
        assert!(starts.load(Ordering::SeqCst) >= 3);
    }
}
