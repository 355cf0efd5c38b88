//! The timer wheel: one deadline per socket, set and cleared in O(1).
//!
//! Nearly all deadlines of a server are moved or cleared before they are due (each message
//! that arrives postpones the idle timeout). So the cost of `set` and `clear` matters: here a
//! few stores, no search and no heap entry.
//!
//! ```text
//!   level 0   64 buckets of 1 ms      │ the next 64 ms
//!   level 1   64 buckets of 64 ms     │ the next 4 s
//!   level 2   64 buckets of 4,096 ms  │ the next 4 minutes
//!   …
//!   level 10  16 buckets              │ up to u64::MAX: every deadline fits
//! ```
//!
//! Write the elapsed time and a deadline as numbers of eleven digits in base 64. The highest
//! digit in which they differ gives the deadline's level, and the deadline's digit at this
//! position gives its bucket:
//!
//! ```text
//!   elapsed   0 0 0 0 0 0 0 0  3 17 60
//!   deadline  0 0 0 0 0 0 0 0  3 25  2    level 1, bucket 25
//! ```
//!
//! When time reaches the first millisecond of a bucket, its deadlines move to lower levels,
//! and from level 0 to the list of due deadlines. So each deadline is moved at most eleven
//! times (three times if it is 25 s away). It is always true that
//!
//! - a linked deadline is in the bucket that the rule above gives, whatever time has elapsed
//!   since it was set, or in the due list when it has come;
//! - every bucket in use is ahead of the elapsed time, so the earliest one is the lowest used
//!   bucket of the lowest used level: two `trailing_zeros`;
//! - deadlines of the same millisecond are due in the order in which they were set.
//!
//! A bucket is a circular list through an array of nodes: the first nodes are the ends of the
//! buckets; after them each socket has one node, at its index. A node is in at most one list
//! and knows its neighbours, so it can be removed without its bucket and without special
//! cases.
//!
//! Cost: 16 bytes per socket, 11 KiB per wheel. There is no thread here and no clock: the
//! time is an argument.

use crate::time::Timestamp;

/// One deadline per socket index: see the description of this file.
pub(super) struct Wheel {
    /// The ends of the buckets' lists and of the due list, then a node per socket.
    nodes: Vec<Node>,
    /// Bit `b` of `used[l]`: bucket `b` of level `l` is not empty.
    used: [u64; LEVELS],
    /// Every deadline up to this time is in the due list, and no later one.
    elapsed: u64,
}

/// A node of a circular list. A node that is in no list is its own neighbour.
#[derive(Clone, Copy)]
struct Node {
    at: u64,
    previous: u32,
    next: u32,
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel {
            nodes: (0..FIRST_SOCKET).map(Node::unlinked).collect(),
            used: [0; LEVELS],
            elapsed: 0,
        }
    }

    /// Sets the socket's deadline and replaces an earlier one. A deadline that is not in the
    /// future is due at the next millisecond: so a deadline that is set while the due ones are
    /// processed does not prolong this processing.
    pub(super) fn set(&mut self, index: u32, at: Timestamp) {
        let node = FIRST_SOCKET + index;
        self.make_room_for(node);
        self.unlink(node);
        self.nodes[node as usize].at = at.0.max(self.elapsed.saturating_add(1));
        self.link(node);
    }

    /// Removes the socket's deadline, if it has one, due or not.
    pub(super) fn clear(&mut self, index: u32) {
        let node = FIRST_SOCKET + index;
        if (node as usize) < self.nodes.len() {
            self.unlink(node);
        }
    }

    /// The time is `now`: moves the deadlines that have come to the due list.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while let Some((bucket, start)) = self.earliest() {
            if start > now.0 {
                break;
            }
            self.elapsed = start;
            self.redistribute(bucket);
        }
        self.elapsed = self.elapsed.max(now.0);
    }

    /// Removes the next due deadline and returns the index of its socket: in the order of
    /// time, and within a millisecond in the order of setting.
    pub(super) fn pop_due(&mut self) -> Option<u32> {
        let node = self.nodes[DUE as usize].next;
        self.unlink(node);
        node.checked_sub(FIRST_SOCKET)
    }

    /// When `advance` has to be called: at the earliest deadline if it is less than 64 ms
    /// away, otherwise at the beginning of its bucket. `None`: there is no deadline.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.nodes[DUE as usize].next != DUE {
            return Some(Timestamp(self.elapsed));
        }
        self.earliest().map(|(_, start)| Timestamp(start))
    }

    /// The used bucket that time reaches first, and its first millisecond.
    fn earliest(&self) -> Option<(u32, u64)> {
        let level = self.used.iter().position(|&buckets| buckets != 0)?;
        let digit = self.used[level].trailing_zeros();
        let shift = DIGIT_BITS * level as u32;
        let shift_above = shift + DIGIT_BITS;
        let above = self.elapsed.checked_shr(shift_above).unwrap_or(0);
        let above = above.checked_shl(shift_above).unwrap_or(0);
        let bucket = level as u32 * BUCKETS_PER_LEVEL + digit;
        Some((bucket, above | (u64::from(digit) << shift)))
    }

    /// Empties a bucket that time has reached, in order. Each of its deadlines now shares one
    /// more digit with the elapsed time: it moves to a lower level or is due, and never back
    /// into this bucket.
    fn redistribute(&mut self, bucket: u32) {
        loop {
            let node = self.nodes[bucket as usize].next;
            if node == bucket {
                return;
            }
            self.unlink(node);
            self.link(node);
        }
    }

    /// The bucket of a deadline: see the description of this file.
    fn bucket_of(&self, at: u64) -> u32 {
        if at <= self.elapsed {
            return DUE;
        }
        let highest_difference = u64::BITS - 1 - (self.elapsed ^ at).leading_zeros();
        let level = highest_difference / DIGIT_BITS;
        let digit = (at >> (level * DIGIT_BITS)) & u64::from(BUCKETS_PER_LEVEL - 1);
        level * BUCKETS_PER_LEVEL + digit as u32
    }

    /// Appends a node that is in no list to the list of its deadline.
    fn link(&mut self, node: u32) {
        let end = self.bucket_of(self.nodes[node as usize].at);
        let last = self.nodes[end as usize].previous;
        self.nodes[node as usize].previous = last;
        self.nodes[node as usize].next = end;
        self.nodes[last as usize].next = node;
        self.nodes[end as usize].previous = node;
        if end != DUE {
            self.used[(end / BUCKETS_PER_LEVEL) as usize] |= 1 << (end % BUCKETS_PER_LEVEL);
        }
    }

    /// Removes a node from its list, if it is in one.
    fn unlink(&mut self, node: u32) {
        let Node { previous, next, .. } = self.nodes[node as usize];
        self.nodes[previous as usize].next = next;
        self.nodes[next as usize].previous = previous;
        self.nodes[node as usize].previous = node;
        self.nodes[node as usize].next = node;
        // Both neighbours are the same node: the list's end, and the list is now empty.
        if previous == next && next < DUE {
            self.used[(next / BUCKETS_PER_LEVEL) as usize] &= !(1 << (next % BUCKETS_PER_LEVEL));
        }
    }

    /// Node numbers stay below 2^32, as `node` does: nothing is truncated.
    fn make_room_for(&mut self, node: u32) {
        while self.nodes.len() <= node as usize {
            self.nodes.push(Node::unlinked(self.nodes.len() as u32));
        }
    }
}

impl Node {
    fn unlinked(node: u32) -> Node {
        Node {
            at: 0,
            previous: node,
            next: node,
        }
    }
}

/// The memory of one socket's deadline.
#[cfg(test)]
pub(super) const BYTES_PER_SOCKET: usize = size_of::<Node>();

/// The number of nodes before those of the sockets. Socket indices are so much less than
/// 2^32.
pub(super) const FIRST_SOCKET: u32 = DUE + 1;

const DIGIT_BITS: u32 = 6;
const BUCKETS_PER_LEVEL: u32 = 1 << DIGIT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;
/// The end of the due list, after the ends of all buckets.
const DUE: u32 = LEVELS as u32 * BUCKETS_PER_LEVEL;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const NONE: [u32; 0] = [];

    fn due(wheel: &mut Wheel) -> Vec<u32> {
        std::iter::from_fn(|| wheel.pop_due()).collect()
    }

    fn due_at(wheel: &mut Wheel, now: u64) -> Vec<u32> {
        wheel.advance(Timestamp(now));
        due(wheel)
    }

    #[test]
    fn deadlines_are_due_in_the_order_of_time_and_not_early() {
        let mut wheel = Wheel::new();
        wheel.set(0, Timestamp(30));
        wheel.set(1, Timestamp(10));
        wheel.set(2, Timestamp(20));
        assert_eq!(due_at(&mut wheel, 9), NONE);
        assert_eq!(due_at(&mut wheel, 10), [1]);
        assert_eq!(due_at(&mut wheel, 30), [2, 0]);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn deadlines_of_one_millisecond_are_due_in_the_order_of_setting() {
        let mut wheel = Wheel::new();
        for index in [5, 3, 4] {
            wheel.set(index, Timestamp(5_000));
        }
        wheel.advance(Timestamp(4_990));
        wheel.set(1, Timestamp(5_000));
        assert_eq!(due_at(&mut wheel, 5_000), [5, 3, 4, 1]);
    }

    #[test]
    fn deadline_set_again_is_moved() {
        let mut wheel = Wheel::new();
        wheel.set(7, Timestamp(10));
        wheel.set(7, Timestamp(100_000));
        assert_eq!(due_at(&mut wheel, 99_999), NONE);
        wheel.set(7, Timestamp(100_001));
        assert_eq!(due_at(&mut wheel, 100_000), NONE);
        assert_eq!(due_at(&mut wheel, 100_001), [7]);
    }

    #[test]
    fn cleared_deadline_is_not_returned_even_if_it_was_due() {
        let mut wheel = Wheel::new();
        wheel.clear(9);
        wheel.set(0, Timestamp(10));
        wheel.set(1, Timestamp(10));
        wheel.set(2, Timestamp(11));
        wheel.clear(2);
        wheel.advance(Timestamp(20));
        wheel.clear(0);
        assert_eq!(due(&mut wheel), [1]);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn past_deadline_is_due_at_the_next_millisecond() {
        let mut wheel = Wheel::new();
        wheel.advance(Timestamp(100));
        wheel.set(0, Timestamp(0));
        wheel.set(1, Timestamp(100));
        assert_eq!(due(&mut wheel), NONE);
        assert_eq!(wheel.next_deadline(), Some(Timestamp(101)));
        assert_eq!(due_at(&mut wheel, 101), [0, 1]);
    }

    #[test]
    fn far_deadlines_are_due_at_their_millisecond() {
        let mut wheel = Wheel::new();
        let deadlines: Vec<u64> = (0..63).map(|bit| (1 << bit) + 5).collect();
        for (index, &at) in deadlines.iter().enumerate() {
            wheel.set(index as u32, Timestamp(at));
        }
        for (index, &at) in deadlines.iter().enumerate() {
            assert_eq!(due_at(&mut wheel, at - 1), NONE);
            assert_eq!(due_at(&mut wheel, at), [index as u32]);
        }
    }

    #[test]
    fn last_u64_is_a_deadline_like_any_other() {
        let mut wheel = Wheel::new();
        wheel.set(0, Timestamp(u64::MAX));
        assert_eq!(due_at(&mut wheel, u64::MAX - 1), NONE);
        assert_eq!(due_at(&mut wheel, u64::MAX), [0]);
        wheel.set(0, Timestamp(u64::MAX));
        assert_eq!(due(&mut wheel), [0]);
    }

    #[test]
    fn far_deadline_needs_at_most_three_wakes() {
        let mut wheel = Wheel::new();
        wheel.advance(Timestamp(777));
        wheel.set(0, Timestamp(25_777));
        let mut wakes = 0;
        while let Some(at) = wheel.next_deadline() {
            assert!(at <= Timestamp(25_777));
            wheel.advance(at);
            wakes += 1;
            if wheel.pop_due().is_some() {
                assert_eq!(at, Timestamp(25_777));
            }
        }
        assert!(wakes <= 3, "{wakes} wakes");
    }

    #[test]
    fn each_of_20_000_deadlines_is_due_once() {
        const SOCKETS: u32 = 20_000;
        let mut wheel = Wheel::new();
        for index in 0..SOCKETS {
            wheel.set(index, Timestamp(1 + u64::from(index) * 7919 % 60_000));
        }
        let mut come = vec![0_u8; SOCKETS as usize];
        for now in (0..=60_000).step_by(100) {
            for index in due_at(&mut wheel, now) {
                let at = 1 + u64::from(index) * 7919 % 60_000;
                assert!(at <= now && at + 100 > now);
                come[index as usize] += 1;
            }
        }
        assert!(come.iter().all(|&times| times == 1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set { index: u32, ahead: u64 },
        Clear { index: u32 },
        Advance { by: u64 },
    }

    /// Times of every magnitude, many of them at the bounds of the buckets.
    fn span() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..70_u64,
            0..5_000_u64,
            0..1_000_000_u64,
            (0..40_u32, 0..3_u64).prop_map(|(bit, more)| ((1_u64 << bit) + more).saturating_sub(1)),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..12_u32, span()).prop_map(|(index, ahead)| Step::Set { index, ahead }),
            1 => (0..12_u32).prop_map(|index| Step::Clear { index }),
            3 => span().prop_map(|by| Step::Advance { by }),
        ]
    }

    /// The reference: a sorted map from (deadline, order of setting).
    #[derive(Default)]
    struct Model {
        deadlines: BTreeMap<(u64, u64), u32>,
        settings: u64,
    }

    impl Model {
        fn clear(&mut self, index: u32) {
            self.deadlines.retain(|_, &mut other| other != index);
        }

        fn set(&mut self, index: u32, at: u64) {
            self.clear(index);
            self.settings += 1;
            self.deadlines.insert((at, self.settings), index);
        }

        fn due_at(&mut self, now: u64) -> Vec<u32> {
            let later = self.deadlines.split_off(&(now + 1, 0));
            std::mem::replace(&mut self.deadlines, later)
                .into_values()
                .collect()
        }
    }

    proptest! {
        #[test]
        fn wheel_behaves_as_a_sorted_map(steps in vec(step(), 1..200), start in span()) {
            let mut wheel = Wheel::new();
            let mut model = Model::default();
            let mut now = start;
            wheel.advance(Timestamp(now));
            for step in steps {
                match step {
                    Step::Set { index, ahead } => {
                        wheel.set(index, Timestamp(now + ahead));
                        model.set(index, now + ahead.max(1));
                    }
                    Step::Clear { index } => {
                        wheel.clear(index);
                        model.clear(index);
                    }
                    Step::Advance { by } => {
                        now += by;
                        prop_assert_eq!(due_at(&mut wheel, now), model.due_at(now));
                    }
                }
                let earliest = model.deadlines.keys().next().map(|&(at, _)| at);
                match (wheel.next_deadline(), earliest) {
                    (None, None) => {}
                    (Some(wake), Some(at)) => prop_assert!(now < wake.0 && wake.0 <= at),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}
