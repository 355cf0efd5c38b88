//! One memory budget for the buffers of all connections and rooms of the process.
//!
//! ```text
//!   worker 0: held ─┐
//!   worker 1: held ─┼─▶ sum ── 7/8 of the budget ──▶ new connections get 503, and then the worker that holds the most frees
//!        …         ─┘      │                          memory for the next ones
//!                           ├── the budget ─────────▶ that worker frees the excess
//!                           └── 17/16 of it ────────▶ each worker frees its share of the excess
//! ```
//!
//! Counted are unfinished messages and HTTP requests, write queues, the windows of compression, the logs that slow subscribers hold, the
//! histories of rooms, messages that the backplane has not answered, and input that was left for a later turn. Not counted is what has a limit for each worker or for each connection without regard to what
//! it does: the connection itself, request heads, cross-worker messages, buffers for reuse.
//!
//! Each worker counts for itself and publishes its sum at the end of a turn, and in the middle of one whenever it has grown by
//! 1 MiB. So the budget can be exceeded by that much for each worker, and for as long as a turn takes.
//!
//! It costs two additions for a read or a write that leaves something in a buffer, and a comparison for all others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What each worker of the server holds, in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldBytes {
    workers: Arc<[AtomicUsize]>,
    /// The budget was exceeded, and not enough has been freed since.
    is_exceeded: Arc<AtomicBool>,
    /// A new connection was refused, and no worker has freed memory since.
    newcomer_was_refused: Arc<AtomicBool>,
}

/// What a worker has to free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// So many bytes, for new connections: from clients that stand still.
    ForNewcomers(usize),
    /// So many bytes, from any client.
    ForAll(usize),
}

impl HeldBytes {
    pub(super) fn new(workers: usize) -> HeldBytes {
        HeldBytes {
            workers: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            is_exceeded: Arc::default(),
            newcomer_was_refused: Arc::default(),
        }
    }

    /// Of all workers together.
    pub(super) fn total(&self) -> usize {
        let held = self.workers.iter().map(|held| held.load(Ordering::Relaxed));
        held.fold(0, usize::saturating_add)
    }
}

/// One worker's view of the budget.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    /// `None`: no budget.
    max: Option<usize>,
    held: HeldBytes,
    own: usize,
    /// Held by this worker's connections.
    connections_bytes: usize,
    /// How much they have grown since the last publication.
    grown_bytes: usize,
    /// The worker has told the others that the budget is exceeded.
    has_told: bool,
}

impl MemoryBudget {
    pub(super) fn new(max: Option<usize>, held: HeldBytes, own: usize) -> MemoryBudget {
        MemoryBudget {
            max,
            held,
            own,
            connections_bytes: 0,
            grown_bytes: 0,
            has_told: false,
        }
    }

    /// The budget is another one from now on.
    pub(super) fn replace_max(&mut self, max: Option<usize>) {
        self.max = max;
    }

    /// A connection of this worker holds `now` bytes instead of `before`.
    #[inline(always)]
    pub(super) fn changed(&mut self, before: usize, now: usize) {
        self.connections_bytes = self
            .connections_bytes
            .wrapping_sub(before)
            .wrapping_add(now);
        self.grown_bytes = self.grown_bytes.saturating_add(now.saturating_sub(before));
    }

    /// Whether to publish in the middle of a turn.
    #[inline(always)]
    pub(super) fn must_publish(&self) -> bool {
        self.grown_bytes >= GROWN_BYTES_MAX
    }

    /// Publishes what this worker holds: its connections, and `other_bytes`.
    pub(super) fn publish(&mut self, other_bytes: usize) {
        self.grown_bytes = 0;
        if let Some(held) = self.held.workers.get(self.own) {
            let bytes = self.connections_bytes.saturating_add(other_bytes);
            // Most turns change nothing, and the other workers read it.
            if held.load(Ordering::Relaxed) != bytes {
                held.store(bytes, Ordering::Relaxed);
            }
        }
    }

    /// Whether new connections are refused.
    pub(super) fn is_nearly_used(&self) -> bool {
        self.max
            .is_some_and(|max| self.held.total() >= refused_from(max))
    }

    /// A new connection is refused. True: the other workers are to be woken, because one of them may hold the most.
    pub(super) fn newcomer_is_refused(&self) -> bool {
        let before = self.held.newcomer_was_refused.swap(true, Ordering::Relaxed);
        !before
    }

    /// What this worker has to free.
    ///
    /// Once the budget is exceeded: what is held beyond fifteen sixteenths of it, so that the search for what to free is not repeated
    /// at once. The worker that holds the most frees all of it, so that not each of them ends a connection; unless that is not
    /// enough, because this worker is blocked or others grow faster.
    ///
    /// Once a new connection was refused: a sixteenth of the budget, so that the next ones find room.
    pub(super) fn need(&mut self) -> Need {
        let Some(max) = self.max else {
            return Need::Nothing;
        };
        let total = self.held.total();
        if !self.is_exceeded(max, total) {
            self.has_told = false;
            return self.need_of_newcomers(max, total);
        }
        let own = self.own_bytes();
        let excess = total - (max - max / FREED_PART);
        if self.holds_the_most(own) {
            return Need::ForAll(excess);
        }
        if total <= max + max / FREED_PART {
            return Need::Nothing;
        }
        // own ≤ total, so the share is at most the excess.
        let share = (excess as u128 * own as u128).div_ceil(total as u128);
        match usize::try_from(share).unwrap_or(usize::MAX) {
            0 => Need::Nothing,
            share => Need::ForAll(share),
        }
    }

    /// From one byte more than the budget until a sixteenth of it is free.
    fn is_exceeded(&self, max: usize, total: usize) -> bool {
        let is_exceeded = &self.held.is_exceeded;
        if total > max {
            is_exceeded.store(true, Ordering::Relaxed);
        } else if total <= max - max / FREED_PART {
            // Nearly always it is false already, and other workers read it.
            if is_exceeded.load(Ordering::Relaxed) {
                is_exceeded.store(false, Ordering::Relaxed);
            }
        }
        is_exceeded.load(Ordering::Relaxed)
    }

    /// There was nothing to free on this worker. If it holds the most, the search is not repeated before the budget is exceeded again.
    pub(super) fn nothing_was_freed(&self) {
        if self.holds_the_most(self.own_bytes()) {
            self.held.is_exceeded.store(false, Ordering::Relaxed);
        }
    }

    fn need_of_newcomers(&self, max: usize, total: usize) -> Need {
        let was_refused = &self.held.newcomer_was_refused;
        if !was_refused.load(Ordering::Relaxed) || !self.holds_the_most(self.own_bytes()) {
            return Need::Nothing;
        }
        was_refused.store(false, Ordering::Relaxed);
        let room_from = refused_from(max) - max / FREED_PART;
        match total >= refused_from(max) {
            true => Need::ForNewcomers(total - room_from),
            false => Need::Nothing,
        }
    }

    fn own_bytes(&self) -> usize {
        let own = self.held.workers.get(self.own);
        own.map_or(0, |held| held.load(Ordering::Relaxed))
    }

    fn holds_the_most(&self, own: usize) -> bool {
        let mut workers = self.held.workers.iter();
        workers.all(|held| held.load(Ordering::Relaxed) <= own)
    }

    /// True once while the budget is exceeded: the other workers are to be woken, because a worker without events does not look.
    pub(super) fn must_tell(&mut self) -> bool {
        !std::mem::replace(&mut self.has_told, true)
    }
}

/// From so many bytes on, new connections are refused.
fn refused_from(max: usize) -> usize {
    max - max / REFUSED_PART
}

/// From the budget less this part of it on, new connections are refused.
const REFUSED_PART: usize = 8;
/// This part of the budget is freed beyond the excess, and for new connections.
const FREED_PART: usize = 16;
/// A worker that has grown by so much publishes that before its turn ends.
const GROWN_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(max: usize) -> [MemoryBudget; 2] {
        let held = HeldBytes::new(2);
        [0, 1].map(|own| MemoryBudget::new(Some(max), held.clone(), own))
    }

    #[test]
    fn connections_are_refused_from_seven_eighths_on_and_memory_is_freed_past_the_budget() {
        let [mut one, mut other] = budgets(1600);
        one.changed(0, 1000);
        one.publish(0);
        other.changed(0, 399);
        other.publish(0);
        assert!(!one.is_nearly_used() && !other.is_nearly_used());
        other.publish(1);
        assert!(one.is_nearly_used() && other.is_nearly_used());
        other.changed(399, 600);
        other.publish(0);
        assert_eq!(
            (one.need(), other.need()),
            (Need::Nothing, Need::Nothing),
            "at the budget"
        );
        other.publish(1);
        // 101 bytes beyond 1,500.
        assert_eq!(
            (one.need(), other.need()),
            (Need::ForAll(101), Need::Nothing)
        );
        other.publish(100);
        assert_eq!(
            (one.need(), other.need()),
            (Need::ForAll(200), Need::Nothing)
        );
        other.publish(101);
        assert_eq!(
            (one.need(), other.need()),
            (Need::ForAll(201), Need::ForAll(83))
        );
        assert!(one.must_tell() && !one.must_tell() && other.must_tell());
        one.changed(1000, 800);
        one.publish(0);
        // Within the budget, but not yet a sixteenth below it.
        assert_eq!((one.need(), other.need()), (Need::ForAll(1), Need::Nothing));
        other.nothing_was_freed();
        assert_eq!(one.need(), Need::ForAll(1), "another worker has something");
        one.changed(800, 799);
        one.publish(0);
        assert_eq!((one.need(), other.need()), (Need::Nothing, Need::Nothing));
        assert!(one.must_tell());
    }

    #[test]
    fn worker_that_holds_nothing_has_no_share_and_one_with_nothing_to_free_searches_once() {
        let [mut one, mut other] = budgets(1600);
        one.publish(1800);
        assert_eq!(
            (other.need(), one.need()),
            (Need::Nothing, Need::ForAll(300))
        );
        one.publish(1600);
        assert_eq!(one.need(), Need::ForAll(100));
        one.nothing_was_freed();
        assert_eq!(one.need(), Need::Nothing);
    }

    #[test]
    fn refused_newcomer_makes_the_worker_that_holds_the_most_free_a_sixteenth_of_the_budget() {
        let [mut one, mut other] = budgets(1600);
        one.changed(0, 800);
        one.publish(0);
        other.publish(599);
        assert!(one.newcomer_is_refused() && !other.newcomer_is_refused());
        assert_eq!((other.need(), one.need()), (Need::Nothing, Need::Nothing));
        other.publish(600);
        assert_eq!(one.need(), Need::Nothing, "nobody was refused since");
        assert!(other.newcomer_is_refused());
        // 1,400 is seven eighths, and 1,300 a sixteenth less.
        assert_eq!(
            (other.need(), one.need()),
            (Need::Nothing, Need::ForNewcomers(100))
        );
        assert_eq!(one.need(), Need::Nothing, "once");
        assert!(one.newcomer_is_refused());
        other.publish(801);
        assert_eq!(
            (one.need(), other.need()),
            (Need::Nothing, Need::ForAll(101))
        );
    }

    #[test]
    fn without_a_budget_nothing_is_refused_or_freed() {
        let held = HeldBytes::new(1);
        let mut memory = MemoryBudget::new(None, held.clone(), 0);
        memory.changed(0, usize::MAX / 2);
        memory.publish(usize::MAX);
        assert_eq!(held.total(), usize::MAX);
        assert!(!memory.is_nearly_used());
        assert_eq!(memory.need(), Need::Nothing);
    }

    #[test]
    fn worker_publishes_in_the_middle_of_a_turn_when_it_has_grown_by_1_mib() {
        let [mut one, _] = budgets(1);
        one.changed(0, GROWN_BYTES_MAX - 1);
        assert!(!one.must_publish());
        one.changed(GROWN_BYTES_MAX - 1, 0);
        assert!(!one.must_publish());
        one.changed(0, 1);
        assert!(one.must_publish());
        one.publish(0);
        assert!(!one.must_publish());
    }
}
