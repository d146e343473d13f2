//! Long tasks by name. The end of a vital one stops the daemon; an optional one is started again.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{error, warn};

/// What a task means to the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// The daemon cannot go on without it.
    Vital,
    /// It is started again after a pause.
    Optional,
}

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
    /// Starts a task. `make` is called again whenever an optional task has ended.
    pub(crate) fn start<F>(&mut self, name: &'static str, rank: Rank, mut make: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.set.spawn(async move {
            let mut pause = PAUSE_MIN;
            loop {
                let mut inner = JoinSet::new();
                inner.spawn(make());
                let ended = inner.join_next().await;
                if rank == Rank::Vital {
                    return name;
                }
                if let Some(Err(failure)) = ended {
                    warn!(task = name, failure = %failure, "a task failed; it is started again");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(start_paused = true)]
    async fn optional_tasks_come_back_and_vital_ones_end_the_house() {
        let starts = Arc::new(AtomicUsize::new(0));
        let mut tasks = Tasks::default();
        let counter = starts.clone();
        tasks.start("sensor", Rank::Optional, move || {
            let counter = counter.clone();
            async move {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        tasks.start("heart", Rank::Vital, || tokio::time::sleep(Duration::from_secs(10)));
        assert_eq!(tasks.vital_end().await, "heart");
        assert!(starts.load(Ordering::SeqCst) >= 3);
    }
}
