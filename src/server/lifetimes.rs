//! When connections end that have an end: the expiry of a token, or the longest time that a connection may be open. A connection without one costs nothing
//! unless it takes the slot of a socket below one that has an end: then 8 bytes.

use crate::time::Timestamp;

/// The ends of a worker's connections, by the index of their socket.
#[derive(Debug, Default)]
pub(super) struct Lifetimes {
    ends: Vec<Timestamp>,
}

impl Lifetimes {
    /// A connection opens. `None`: without an end.
    pub(super) fn opened(&mut self, index: usize, ends_at: Option<Timestamp>) {
        if self.ends.len() <= index {
            if ends_at.is_none() {
                return;
            }
            self.ends.resize(index + 1, NEVER);
        }
        self.ends[index] = ends_at.unwrap_or(NEVER);
    }

    /// When the connection ends.
    #[inline]
    pub(super) fn ends_at(&self, index: usize) -> Option<Timestamp> {
        let end = self.ends.get(index).copied();
        end.filter(|end| *end != NEVER)
    }

    /// True, once: the connection's end has come.
    pub(super) fn end_if_due(&mut self, index: usize, now: Timestamp) -> bool {
        let is_due = self.ends_at(index).is_some_and(|end| end <= now);
        if is_due {
            self.ends[index] = NEVER;
        }
        is_due
    }
}

const NEVER: Timestamp = Timestamp(u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_is_due_once_and_not_before_its_time() {
        let mut lifetimes = Lifetimes::default();
        lifetimes.opened(3, Some(Timestamp(10)));
        assert_eq!(lifetimes.ends_at(3), Some(Timestamp(10)));
        assert!(!lifetimes.end_if_due(3, Timestamp(9)));
        assert!(lifetimes.end_if_due(3, Timestamp(10)));
        assert!(!lifetimes.end_if_due(3, Timestamp(11)));
    }

    #[test]
    fn connection_in_the_slot_of_an_ended_one_has_its_own_end() {
        let mut lifetimes = Lifetimes::default();
        lifetimes.opened(5, None);
        assert_eq!((lifetimes.ends_at(5), lifetimes.ends.len()), (None, 0));
        lifetimes.opened(1, Some(Timestamp(10)));
        assert_eq!(
            (lifetimes.ends_at(0), lifetimes.ends_at(1)),
            (None, Some(Timestamp(10)))
        );
        lifetimes.opened(1, None);
        assert_eq!(lifetimes.ends_at(1), None);
    }
}
