//! Which kept answers were given to whom of late, so that who asked can say that one was wrong.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::semantic::Match;

use super::questions::Place;

/// So many are remembered: whoever reads an answer says within minutes that it is wrong.
const REMEMBERED_MAX: usize = 4_096;

#[derive(Default)]
pub(super) struct Given(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_request: HashMap<String, (Place, Match)>,
    order: VecDeque<String>,
}

impl Given {
    pub(super) fn put(&self, request_id: &str, place: Place, found: Match) {
        let mut inner = self.lock();
        // A client may give all its requests one name: then the newest is meant.
        if inner.by_request.insert(request_id.to_owned(), (place, found)).is_none() {
            inner.order.push_back(request_id.to_owned());
        }
        if inner.order.len() > REMEMBERED_MAX
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.by_request.remove(&oldest);
        }
    }

    pub(super) fn take(&self, request_id: &str) -> Option<(Place, Match)> {
        // Its place in the order stays, and goes in its time.
        self.lock().by_request.remove(request_id)
    }

    pub(super) fn clear(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::cache::Key;
    use domain::semantic::Asked;

    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let given = Given::default();
        let found = |number: u8| {
            let asked = Asked { key: Key { scope: "house".into(), digest: [number; 32] }, text: "q".into() };
            (Place { scope: "house".into(), partition: [0; 32] }, Match { asked, likeness: 0.9 })
        };
        let put = |id: &str, number| {
            let (place, found) = found(number);
            given.put(id, place, found);
        };
        put("a", 1);
        put("a", 2);
        assert_eq!(given.take("a"), Some(found(2)));
        assert_eq!(given.take("a"), None);
        put("a", 3);
        (0..REMEMBERED_MAX).for_each(|number| put(&number.to_string(), 4));
        assert_eq!((given.take("a"), given.take("0")), (None, Some(found(4))));
        given.clear();
        assert_eq!(given.take("1"), None);
    }
}
