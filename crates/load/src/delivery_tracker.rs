//! Every sequence number of every publisher at every member: lost, doubled and reordered
//! messages.
//!
//! ```text
//!                publisher 0   1    2  …            a number arrives:
//!   member 0     [ next │ next │ next │ ]           = next   in order      
//!   member 1     [ next │ next │ next │ ]           > next   the numbers between are missing
//!   …                                               < next   missing: late; else doubled
//! ```
//!
//! Without faults a cell is one `u32`, the next expected number:
//! 4 bytes × members × publishers (10,000 members and 10 publishers: 400 kB).
//! Skipped numbers are kept as ranges, to distinguish a late number from a doubled one.
//! [`MISSING_RANGES_MAX`] limits them; a number beyond the limit stays lost even if it
//! arrives late.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Range};

/// The cells of some members: all of a fan-out's publishers each, or only the
/// member itself for an echo.
#[derive(Debug)]
pub(super) struct DeliveryTracker {
    publishers: usize,
    next: Vec<u32>,
    /// Cell and first missing number → the number after the last missing one.
    missing: BTreeMap<(usize, u32), u32>,
}

/// The classification of a received number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// The next one.
    Next,
    /// A later one: this many before it are missing.
    Gap(u32),
    /// One that was missing.
    Late,
    /// One that had arrived already.
    Doubled,
}

/// Messages that did not arrive as they were sent. Any number except zero means that the
/// server has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub lost: u64,
    pub doubled: u64,
    pub out_of_order: u64,
    /// Of this run, with changed bytes.
    pub corrupted: u64,
    /// An echo that arrived on another connection than its sender's.
    pub misdelivered: u64,
}

/// Maximum number of remembered ranges of missing numbers: some 4 MB.
pub(super) const MISSING_RANGES_MAX: usize = 1 << 17;

impl DeliveryTracker {
    /// Cells for this many members and publishers, all at 0.
    pub(super) fn new(members: usize, publishers: usize) -> DeliveryTracker {
        DeliveryTracker {
            publishers,
            next: vec![0; members.saturating_mul(publishers)],
            missing: BTreeMap::new(),
        }
    }

    /// Records the arrival of a number, which is below `u32::MAX`. `None`: there is no such
    /// cell.
    #[inline]
    pub(super) fn record(
        &mut self,
        member: usize,
        publisher: usize,
        number: u32,
    ) -> Option<Receipt> {
        if publisher >= self.publishers {
            return None;
        }
        let cell = member * self.publishers + publisher;
        let next = self.next.get_mut(cell)?;
        if number == *next {
            *next += 1;
            return Some(Receipt::Next);
        }
        Some(self.record_irregular(cell, number))
    }

    /// The number that this member expects next from this publisher.
    pub(super) fn next(&self, member: usize, publisher: usize) -> u32 {
        let cell = member * self.publishers + publisher;
        self.next.get(cell).copied().unwrap_or_default()
    }

    #[cold]
    fn record_irregular(&mut self, cell: usize, number: u32) -> Receipt {
        let next = self.next[cell];
        if number > next {
            self.next[cell] = number + 1;
            self.remember(cell, next..number);
            return Receipt::Gap(number - next);
        }
        match self.recall(cell, number) {
            true => Receipt::Late,
            false => Receipt::Doubled,
        }
    }

    fn remember(&mut self, cell: usize, range: Range<u32>) {
        if !range.is_empty() && self.missing.len() < MISSING_RANGES_MAX {
            self.missing.insert((cell, range.start), range.end);
        }
    }

    /// True: it was missing. It no longer is.
    fn recall(&mut self, cell: usize, number: u32) -> bool {
        let before = self.missing.range(..=(cell, number)).next_back();
        let Some((&(found, start), &end)) = before else {
            return false;
        };
        if found != cell || number >= end {
            return false;
        }
        self.missing.remove(&(found, start));
        self.remember(cell, start..number);
        self.remember(cell, number + 1..end);
        true
    }
}

impl Faults {
    /// Counts a receipt that is not [`Receipt::Next`].
    pub(super) fn count(&mut self, receipt: Receipt) {
        match receipt {
            Receipt::Next => {}
            Receipt::Gap(missing) => self.lost += u64::from(missing),
            Receipt::Late => {
                self.out_of_order += 1;
                self.lost = self.lost.saturating_sub(1);
            }
            Receipt::Doubled => self.doubled += 1,
        }
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Faults) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.corrupted += other.corrupted;
        self.misdelivered += other.misdelivered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn faults(numbers: &[u32]) -> Faults {
        let mut tracker = DeliveryTracker::new(1, 1);
        let mut faults = Faults::default();
        for &number in numbers {
            faults.count(tracker.record(0, 0, number).expect("a cell"));
        }
        faults
    }

    fn expected(lost: u64, doubled: u64, out_of_order: u64) -> Faults {
        Faults {
            lost,
            doubled,
            out_of_order,
            ..Faults::default()
        }
    }

    #[test]
    fn numbers_in_order_are_no_fault() {
        assert_eq!(faults(&[0, 1, 2, 3]), Faults::default());
    }

    #[test]
    fn number_that_never_arrives_is_lost() {
        assert_eq!(faults(&[0, 3]), expected(2, 0, 0));
        assert_eq!(faults(&[1, 2]), expected(1, 0, 0));
    }

    #[test]
    fn number_that_arrives_late_is_out_of_order_and_not_lost() {
        assert_eq!(faults(&[0, 2, 1, 3]), expected(0, 0, 1));
        assert_eq!(faults(&[4, 2, 0]), expected(2, 0, 2));
    }

    #[test]
    fn number_that_arrives_twice_is_doubled_at_any_time() {
        assert_eq!(faults(&[0, 0, 1]), expected(0, 1, 0));
        assert_eq!(faults(&[0, 1, 2, 0]), expected(0, 1, 0));
        assert_eq!(faults(&[0, 2, 1, 1]), expected(0, 1, 1));
    }

    #[test]
    fn cells_are_independent() {
        let mut tracker = DeliveryTracker::new(2, 2);
        assert_eq!(tracker.record(0, 1, 0), Some(Receipt::Next));
        assert_eq!(tracker.record(1, 1, 1), Some(Receipt::Gap(1)));
        assert_eq!(tracker.record(0, 1, 1), Some(Receipt::Next));
        assert_eq!((tracker.next(0, 1), tracker.next(1, 1)), (2, 2));
        assert_eq!((tracker.next(0, 0), tracker.next(1, 0)), (0, 0));
    }

    #[test]
    fn unknown_publisher_has_no_cell() {
        let mut tracker = DeliveryTracker::new(2, 2);
        assert_eq!(tracker.record(0, 2, 0), None);
        assert_eq!(tracker.record(2, 0, 0), None);
    }

    #[test]
    fn memory_for_missing_numbers_is_limited() {
        let mut tracker = DeliveryTracker::new(1, 1);
        let ranges = u32::try_from(MISSING_RANGES_MAX).expect("it fits");
        // Every second number is missing: each is a separate range.
        for number in 0..=ranges {
            tracker.record(0, 0, number * 2 + 1);
        }
        assert_eq!(tracker.missing.len(), MISSING_RANGES_MAX);
        // The last one is remembered, and the one past it is not.
        assert_eq!(tracker.record(0, 0, ranges * 2 - 2), Some(Receipt::Late));
        assert_eq!(tracker.record(0, 0, ranges * 2), Some(Receipt::Doubled));
    }

    proptest! {
        #[test]
        fn tracker_counts_as_a_set_of_all_arrived_numbers_does(
            numbers in prop::collection::vec(0..30_u32, 0..60),
        ) {
            let mut came = HashSet::new();
            let mut wanted = Faults::default();
            let mut highest = 0;
            for &number in &numbers {
                match (came.insert(number), number < highest) {
                    (false, _) => wanted.doubled += 1,
                    (true, true) => wanted.out_of_order += 1,
                    (true, false) => {}
                }
                highest = highest.max(number + 1);
            }
            wanted.lost = u64::from(highest) - came.len() as u64;
            prop_assert_eq!(faults(&numbers), wanted);
        }
    }
}
