//! The pauses between attempts to connect: each up to twice as long as the last, and random, so that the nodes of a cluster do
//! not come back to Redis at the same moment.
//!
//! A pause begins with its attempt: behind one that has waited for a silent Redis for seconds the next one follows at once. So there is always one
//! on its way, and when Redis goes on, all nodes are there again together. A node that came some hundred milliseconds later could find more
//! messages of the others than a room keeps, and its members would be told of a gap.

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

    /// The pause before the next attempt, if the last one has taken so long. `random`: any number.
    pub(crate) fn next(&mut self, random: u64, taken: Duration) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(LONGEST);
        // From a quarter: an engine that has just gone is not asked at once.
        let span = u64::try_from(ceiling.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let pause = ceiling / 4 + Duration::from_millis(random % span) * 3 / 4;
        pause.saturating_sub(taken)
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
                let pause = backoff.next(random, Duration::ZERO);
                prop_assert!(ceiling / 4 <= pause && pause <= ceiling);
                ceiling = (ceiling * 2).min(LONGEST);
            }
            backoff.reset();
            prop_assert!(backoff.next(0, Duration::ZERO) <= FIRST);
        }

        #[test]
        fn pause_begins_with_its_attempt(attempts in prop::collection::vec((any::<u64>(), 0..3000_u64), 1..20)) {
            let (mut waits, mut whole) = (Backoff::new(), Backoff::new());
            for (random, taken) in attempts {
                let taken = Duration::from_millis(taken);
                let pause = whole.next(random, Duration::ZERO);
                let left = waits.next(random, taken);
                prop_assert_eq!(left, pause.saturating_sub(taken));
                prop_assert!(taken < LONGEST || left.is_zero());
            }
        }
    }
}
