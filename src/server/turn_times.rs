//! How long turns and deliveries take, for the histograms of the metrics.
//!
//! ```text
//!   woken ─▶ read, publish ─▶ flush ─▶ turn_ended: the clock is read once more
//!   └────────── a turn; every delivery of the turn took at most as long ───┘
//! ```
//!
//! A batch that is not flushed when its turn ends (`Config::batch_delay`, or more than a turn may write) goes on in a later turn. Its deliveries then
//! count from the begin of the first turn, rounded to a millisecond. Costs one look at the clock for a turn, whatever it has done.

use super::metrics::MetricsSnapshot;
use crate::reactor::Io;
use crate::time::Timestamp;

/// What of a worker's deliveries is in the histograms.
#[derive(Debug, Default)]
pub(super) struct TurnTimes {
    /// How many deliveries are.
    counted: u64,
    /// The turn in which the first of the others was published, if that is not this one.
    waiting_since: Option<Timestamp>,
}

impl TurnTimes {
    /// A turn has flushed what it flushes. `deliveries`: so far; `is_dirty`: some are not offered to all subscribers yet.
    pub(super) fn turn_ended(
        &mut self,
        io: &Io,
        deliveries: u64,
        is_dirty: bool,
        snapshot: &MetricsSnapshot,
    ) {
        let elapsed = io.elapsed_in_turn();
        snapshot.count_turn(elapsed);
        let new = deliveries.wrapping_sub(self.counted);
        if new == 0 {
            return;
        }
        if is_dirty {
            self.waiting_since.get_or_insert(io.now());
            return;
        }
        let waited = self.waiting_since.take();
        let waited = waited.map_or_else(Default::default, |since| io.now().since(since));
        snapshot.count_deliveries(elapsed + waited, new);
        self.counted = deliveries;
    }
}
