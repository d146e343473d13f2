//! The name of a place, cheap to copy and to look up: a decision handles it a dozen times.

use std::hash::{BuildHasher as _, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use foldhash::fast::FixedState;

/// A model at an upstream. A copy shares the names, and their hash is known from the start.
#[derive(Debug, Clone)]
pub struct Target(Arc<Names>);

/// The two names of a [`Target`].
#[derive(Debug)]
pub struct Names {
    /// The upstream's name.
    pub upstream: String,
    /// The upstream's own id of the model.
    pub model: String,
    hash: u64,
}

impl Target {
    /// The place of this model at this upstream.
    #[must_use]
    pub fn new(upstream: &str, model: &str) -> Self {
        let hash = FixedState::with_seed(0).hash_one((upstream, model));
        Self(Arc::new(Names { upstream: upstream.to_owned(), model: model.to_owned(), hash }))
    }
}

impl Deref for Target {
    type Target = Names;

    fn deref(&self) -> &Names {
        &self.0
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.hash == other.hash && self.model == other.model && self.upstream == other.upstream)
    }
}

impl Eq for Target {}

impl Hash for Target {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_its_names() {
        let target = Target::new("gpu", "m");
        let hash = |target: &Target| FixedState::with_seed(1).hash_one(target);
        assert_eq!((&target, hash(&target)), (&Target::new("gpu", "m"), hash(&Target::new("gpu", "m"))));
        for other in
            [Target::new("gpu", "n"), Target::new("cpu", "m"), Target::new("gp", "um"), Target::new("", "gpum")]
        {
            assert_ne!(target, other);
        }
    }
}
