//! The timer wheel: one deadline per socket, set and cleared in O(1).
//!
//! A server's deadlines are nearly all moved or cleared before they come (each
//! message that arrives puts off the idle timeout), so what counts is the price of
//! `set` and `clear`: here a few stores, no search and no heap entry.
//!
//! ```text
//!   level 0   64 buckets of 1 ms      │ the next 64 ms
//!   level 1   64 buckets of 64 ms     │ the next 4 s
//!   level 2   64 buckets of 4,096 ms  │ the next 4 minutes
//!   …
//!   level 10  16 buckets              │ up to the last u64: no deadline is too far
//! ```
//!
//! Read the time that has elapsed and a deadline as numbers of eleven digits in
//! base 64. The highest digit in which they differ is the deadline's level, and
//! the deadline's digit there is its bucket:
//!
//! ```text
//!   elapsed   0 0 0 0 0 0 0 0  3 17 60
//!   deadline  0 0 0 0 0 0 0 0  3 25  2    level 1, bucket 25
//! ```
//!
//! When time reaches the first millisecond of a bucket, its deadlines move to
//! lower levels, and from level 0 to the list of those that are due. So each
//! deadline is moved at most eleven times (three times, if it is 25 s away),
//! and it is always true that
//!
//! - a linked deadline lies in the bucket that the rule above names, whatever
//!   has elapsed since it was set; or in the due list once it has come;
//! - every bucket in use lies ahead of the elapsed time, hence the earliest one
//!   is the lowest used bucket of the lowest used level: two `trailing_zeros`;
//! - deadlines of the same millisecond come in the order in which they were set.
//!
//! A bucket is a circular list through an array of nodes: the first nodes are
//! the buckets' own ends, and behind them each socket has one, at its index.
//! A node is in one list at most and knows its neighbours, so taking it out
//! needs neither its bucket nor a special case.
//!
//! Cost: 16 bytes per socket, 11 KiB per wheel. There is no thread here, and
//! the clock is never read: time is an argument.

use crate::time::Timestamp;

/// One deadline per socket index. See the module's text.
pub(super) struct Wheel {
    /// The ends of the buckets' lists, of the due list, then a node per socket.
    nodes: Vec<Node>,
    /// Bit `b` of `used[l]`: bucket `b` of level `l` is not empty.
    used: [u64; LEVELS],
    /// Every deadline up to here is in the due list, none after it.
    elapsed: u64,
}

/// A place in a circular list. Alone, it is its own neighbour.
#[derive(Clone, Copy)]
struct Node {
    at: u64,
    previous: u32,
    next: u32,
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel {
            nodes: (0..FIRST_SOCKET).map(Node::alone).collect(),
            used: [0; LEVELS],
            elapsed: 0,
        }
    }

    /// Sets the socket's deadline, in place of any that it had. One that is not
    /// in the future comes with the next millisecond: so what is set while the
    /// due ones are worked off does not prolong that work.
    pub(super) fn set(&mut self, index: u32, at: Timestamp) {
        let node = FIRST_SOCKET + index;
        self.make_room_for(node);
        self.unlink(node);
        self.nodes[node as usize].at = at.0.max(self.elapsed.saturating_add(1));
        self.link(node);
    }

    /// Takes the socket's deadline away, if it has one, due or not.
    pub(super) fn clear(&mut self, index: u32) {
        let node = FIRST_SOCKET + index;
        if (node as usize) < self.nodes.len() {
            self.unlink(node);
        }
    }

    /// Time has come to `now`: moves what has come to the due list.
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

    /// Takes the next due deadline and gives the index of its socket: in the
    /// order of time, and of setting within a millisecond.
    pub(super) fn pop_due(&mut self) -> Option<u32> {
        let node = self.nodes[DUE as usize].next;
        self.unlink(node);
        node.checked_sub(FIRST_SOCKET)
    }

    /// When `advance` has work again: never after the earliest deadline, and at
    /// that deadline exactly when it is less than 64 ms away (before that, where
    /// its bucket begins). `None`: there is no deadline at all.
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

    /// Empties a bucket that time has reached, in order. Each of its deadlines
    /// now shares one more digit with the elapsed time: it goes to a lower level
    /// or is due, and never back into this bucket.
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

    /// Where a deadline belongs: see the module's text.
    fn bucket_of(&self, at: u64) -> u32 {
        if at <= self.elapsed {
            return DUE;
        }
        let highest_difference = u64::BITS - 1 - (self.elapsed ^ at).leading_zeros();
        let level = highest_difference / DIGIT_BITS;
        let digit = (at >> (level * DIGIT_BITS)) & u64::from(BUCKETS_PER_LEVEL - 1);
        level * BUCKETS_PER_LEVEL + digit as u32
    }

    /// Puts a lone node last in the list where its deadline belongs.
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

    /// Takes a node out of its list; a lone node stays as it is.
    fn unlink(&mut self, node: u32) {
        let Node { previous, next, .. } = self.nodes[node as usize];
        self.nodes[previous as usize].next = next;
        self.nodes[next as usize].previous = previous;
        self.nodes[node as usize].previous = node;
        self.nodes[node as usize].next = node;
        // Both neighbours are one: it was the last, and this is its bucket's end.
        if previous == next && next < DUE {
            self.used[(next / BUCKETS_PER_LEVEL) as usize] &= !(1 << (next % BUCKETS_PER_LEVEL));
        }
    }

    /// Node numbers stay below 2^32 as `node` does: nothing is truncated.
    fn make_room_for(&mut self, node: u32) {
        while self.nodes.len() <= node as usize {
            self.nodes.push(Node::alone(self.nodes.len() as u32));
        }
    }
}

impl Node {
    fn alone(node: u32) -> Node {
        Node {
            at: 0,
            previous: node,
            next: node,
        }
    }
}

/// What a socket takes here.
#[cfg(test)]
pub(super) const BYTES_PER_SOCKET: usize = size_of::<Node>();

/// The nodes before the sockets' own; indices stay so far below 2^32.
pub(super) const FIRST_SOCKET: u32 = DUE + 1;

const DIGIT_BITS: u32 = 6;
const BUCKETS_PER_LEVEL: u32 = 1 << DIGIT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;
/// The end of the due list, behind the ends of all buckets.
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
    fn deadlines_come_in_the_order_of_time_and_not_before() {
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
    fn deadlines_of_one_millisecond_come_in_the_order_of_setting() {
        let mut wheel = Wheel::new();
        for index in [5, 3, 4] {
            wheel.set(index, Timestamp(5_000));
        }
        wheel.advance(Timestamp(4_990));
        wheel.set(1, Timestamp(5_000));
        assert_eq!(due_at(&mut wheel, 5_000), [5, 3, 4, 1]);
    }

    #[test]
    fn a_deadline_set_again_is_moved() {
        let mut wheel = Wheel::new();
        wheel.set(7, Timestamp(10));
        wheel.set(7, Timestamp(100_000));
        assert_eq!(due_at(&mut wheel, 99_999), NONE);
        wheel.set(7, Timestamp(100_001));
        assert_eq!(due_at(&mut wheel, 100_000), NONE);
        assert_eq!(due_at(&mut wheel, 100_001), [7]);
    }

    #[test]
    fn a_cleared_deadline_does_not_come_even_when_it_was_due() {
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
    fn a_past_deadline_comes_with_the_next_millisecond_and_not_in_this_round() {
        let mut wheel = Wheel::new();
        wheel.advance(Timestamp(100));
        wheel.set(0, Timestamp(0));
        wheel.set(1, Timestamp(100));
        assert_eq!(due(&mut wheel), NONE);
        assert_eq!(wheel.next_deadline(), Some(Timestamp(101)));
        assert_eq!(due_at(&mut wheel, 101), [0, 1]);
    }

    #[test]
    fn far_deadlines_come_on_their_millisecond_after_many_rounds() {
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
    fn the_end_of_time_is_a_deadline_like_any_other() {
        let mut wheel = Wheel::new();
        wheel.set(0, Timestamp(u64::MAX));
        assert_eq!(due_at(&mut wheel, u64::MAX - 1), NONE);
        assert_eq!(due_at(&mut wheel, u64::MAX), [0]);
        wheel.set(0, Timestamp(u64::MAX));
        assert_eq!(due(&mut wheel), [0]);
    }

    #[test]
    fn sleeping_until_next_deadline_wakes_a_few_times_for_a_far_one() {
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
    fn thousands_of_deadlines_come_each_once() {
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

    /// Spans of every magnitude, many of them at the borders of the buckets.
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

    /// The obvious timer: a sorted map from (deadline, order of setting).
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
        fn the_wheel_does_as_a_sorted_map(steps in vec(step(), 1..200), start in span()) {
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
