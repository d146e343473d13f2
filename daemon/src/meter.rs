//! Who is served now: places, and a bounded wait for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::config::Endpoint;
use domain::refusal::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Hands out places to requests.
pub(crate) struct Meter {
    places: Arc<Semaphore>,
    places_total: usize,
    waiting: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// A place. Dropping it gives the place back.
pub(crate) struct Permit {
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

/// One that waits; counted until it is dropped, also when its client leaves.
struct Waiting<'a>(&'a Meter);

impl<'a> Waiting<'a> {
    fn new(meter: &'a Meter) -> Self {
        meter.waiting.fetch_add(1, Ordering::Relaxed);
        meter.metrics.waiting.inc();
        Self(meter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.waiting.dec();
    }
}

/// When to come back while all places are taken: about the length of a short answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl Meter {
    pub(crate) fn new(endpoint: &Endpoint, metrics: Arc<Metrics>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(endpoint.max_concurrent)),
            places_total: endpoint.max_concurrent,
            waiting: AtomicUsize::new(0),
            metrics,
        }
    }

    /// Waits for a place, first come first served.
    ///
    /// # Errors
    /// Too many wait already, or the wait is over.
    pub(crate) async fn admit(&self, endpoint: &Endpoint) -> Result<Permit, Refusal> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(self.permit(place));
        }
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting >= endpoint.max_waiting {
            return Err(Refusal::QueueFull { waiting, retry_after: RETRY_AFTER });
        }
        let _waiting = Waiting::new(self);
        match tokio::time::timeout(endpoint.queue_wait, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(self.permit(place)),
            // The semaphore is never closed; a closed one would mean that no place comes.
            Ok(Err(_)) | Err(_) => Err(Refusal::Busy {
                running: self.places_total,
                waited_s: endpoint.queue_wait.as_secs(),
                retry_after: RETRY_AFTER,
            }),
        }
    }

    fn permit(&self, place: OwnedSemaphorePermit) -> Permit {
        self.metrics.in_flight.inc();
        Permit { metrics: self.metrics.clone(), _place: place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(max_concurrent: usize) -> (Meter, Endpoint) {
        let endpoint =
            Endpoint { max_concurrent, max_waiting: 1, queue_wait: Duration::from_secs(30), ..Endpoint::default() };
        (Meter::new(&endpoint, Arc::new(Metrics::new())), endpoint)
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_and_given_back() {
        let (meter, endpoint) = meter(1);
        let permit = meter.admit(&endpoint).await.unwrap();
        assert_eq!(meter.metrics.in_flight.get(), 1);
        let busy = meter.admit(&endpoint).await.err().unwrap();
        assert!(matches!(busy, Refusal::Busy { running: 1, waited_s: 30, .. }), "{busy}");
        drop(permit);
        assert!(meter.admit(&endpoint).await.is_ok());
        assert_eq!((meter.metrics.in_flight.get(), meter.metrics.waiting.get()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_in_order() {
        let (meter, endpoint) = meter(1);
        let permit = meter.admit(&endpoint).await.unwrap();
        let (first, second) = tokio::join!(meter.admit(&endpoint), async {
            let second = meter.admit(&endpoint).await;
            drop(permit);
            second
        });
        assert!(first.is_ok());
        assert!(matches!(second, Err(Refusal::QueueFull { waiting: 1, .. })));
    }
}
