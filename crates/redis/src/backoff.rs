//! The pauses between attempts to connect: each up to twice as long as the last, and random, so that the nodes of a cluster do
//! not come back to Redis at the same moment.

use std::time::Duration;

/// The next pause is random below `ceiling`.
#[derive(Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff { ceiling: FIRST }
    }

    /// The pause before the next attempt. `random`: any number.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(LONGEST);
        // From a quarter: an engine that has just gone is not asked at once.
        let span = u64::try_from(ceiling.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        ceiling / 4 + Duration::from_millis(random % span) * 3 / 4
    }

    /// An attempt has succeeded.
    pub(crate) fn reset(&mut self) {
        *self = Backoff::new();
    }
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pauses_grow_to_a_bound_and_differ(randoms in prop::collection::vec(any::<u64>(), 1..20)) {
            let mut backoff = Backoff::new();
            let mut ceiling = FIRST;
            for random in randoms {
                let pause = backoff.next(random);
                prop_assert!(ceiling / 4 <= pause && pause <= ceiling);
                ceiling = (ceiling * 2).min(LONGEST);
            }
            backoff.reset();
            prop_assert!(backoff.next(0) <= FIRST);
        }
    }
}
