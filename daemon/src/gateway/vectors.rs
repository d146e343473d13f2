//! How many vectors are asked for at once, and which models were late to make them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Vectors that may be asked for at once: a model that is slower gets no further ones, and the questions are new ones.
const AT_ONCE_MAX: usize = 64;

/// All vectors of the house that models make.
pub(super) struct Vectors {
    places: Arc<Semaphore>,
    /// Models whose last vector came late; config names so many at most.
    late: Mutex<BTreeSet<String>>,
}

impl Default for Vectors {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE_MAX)), late: Mutex::default() }
    }
}

impl Vectors {
    /// A place to ask for one, if there is any.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// A place, if nobody else has one.
    pub(super) fn only_place(&self) -> Option<OwnedSemaphorePermit> {
        (self.places.available_permits() == AT_ONCE_MAX).then(|| self.place())?
    }

    /// Whether this model's last vector was late.
    pub(super) fn is_late(&self, model: &str) -> bool {
        self.lock().contains(model)
    }

    /// Notes whether a model's vector was late.
    pub(super) fn took(&self, model: String, is_late: bool) {
        if is_late {
            self.lock().insert(model)
        } else {
            self.lock().remove(&model)
        };
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_lateness_is_noted() {
        let vectors = Vectors::default();
        let only = vectors.only_place();
        assert!(only.is_some() && vectors.only_place().is_none() && vectors.place().is_some());
        drop(only);
        let all: Vec<_> = (0..AT_ONCE_MAX).map(|_| vectors.place()).collect();
        assert!(all.iter().all(Option::is_some) && vectors.place().is_none());
        vectors.took("slow".to_owned(), true);
        assert!(vectors.is_late("slow") && !vectors.is_late("quick"));
        vectors.took("slow".to_owned(), false);
        assert!(!vectors.is_late("slow"));
    }
}
