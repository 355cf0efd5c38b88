//! Numbers about a running server: what it did, and who is behind.
//!
//! Each worker counts for itself and publishes its counts at the end of a turn,
//! so counting costs no lock and no shared cache line on the way of a message.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a server has done since it was bound, all workers together. Counts only
/// rise; take two and subtract.
///
/// Every message that was published to a room is a delivery for each member. A
/// delivery ends in one of three ways: the kernel took it, it was `skipped`, or
/// it was `abandoned`. Until then it waits in the room's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// TCP connections that were accepted and served.
    pub accepted: u64,
    /// TCP connections beyond [`Config::connections_max`](super::Config), which were
    /// answered with 503 or closed; they are not among the `accepted`.
    pub refused: u64,
    /// WebSockets that were opened.
    pub opened: u64,
    /// WebSockets that have ended.
    pub closed: u64,
    /// Messages that came from clients.
    pub received: u64,
    /// Messages of rooms times the members that they were for.
    pub deliveries: u64,
    /// Deliveries that a reader missed because it was too slow.
    pub skipped: u64,
    /// Deliveries that were on their way to a member when it left or was closed.
    pub abandoned: u64,
    /// Readers that were closed because they were too slow.
    pub disconnected: u64,
    /// Panics in the application's methods; each has ended one connection.
    pub panics: u64,
    /// Compressed frames that were written, each once, whoever it was for: one for
    /// a message of a room, or two if the room also has members with small windows.
    pub compressed: u64,
    /// Bytes of their payloads before that.
    pub compressed_from_bytes: u64,
    /// Bytes of these frames, headers included.
    pub compressed_to_bytes: u64,
}

/// A room in which somebody is behind, on one worker. Members with compression
/// and without are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomLag {
    /// The room.
    pub room: Arc<str>,
    /// Members that this worker serves.
    pub members: usize,
    /// Those of them that are behind.
    pub behind: usize,
    /// Bytes from the slowest of them to the newest message, as they would go to it:
    /// compressed or not.
    pub bytes: u64,
    /// Memory that the room's logs hold for them.
    pub held_bytes: usize,
}

/// What one worker shows to others.
#[derive(Debug, Default)]
pub(super) struct Board {
    counts: [AtomicU64; COUNTS],
    lags: Mutex<HashMap<Arc<str>, RoomLag>>,
}

impl Board {
    /// Shows the counts; only the board's own worker calls this.
    pub(super) fn show(&self, metrics: &Metrics) {
        for (shown, count) in self.counts.iter().zip(metrics.counts()) {
            shown.store(count, Ordering::Relaxed);
        }
    }

    pub(super) fn show_lag(&self, lag: RoomLag) {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        lags.insert(lag.room.clone(), lag);
    }

    pub(super) fn drop_lag(&self, room: &str) {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        lags.remove(room);
    }

    /// All boards together.
    pub(super) fn sum(boards: &[Arc<Board>]) -> Metrics {
        let mut sum = [0; COUNTS];
        for board in boards {
            for (sum, shown) in sum.iter_mut().zip(&board.counts) {
                *sum += shown.load(Ordering::Relaxed);
            }
        }
        Metrics::from_counts(sum)
    }

    pub(super) fn lags(boards: &[Arc<Board>]) -> Vec<RoomLag> {
        let lags_of = |board: &Arc<Board>| -> Vec<RoomLag> {
            let lags = board.lags.lock().unwrap_or_else(PoisonError::into_inner);
            lags.values().cloned().collect()
        };
        boards.iter().flat_map(lags_of).collect()
    }
}

const COUNTS: usize = 13;

impl Metrics {
    fn counts(&self) -> [u64; COUNTS] {
        let Metrics {
            accepted,
            refused,
            opened,
            closed,
            received,
            deliveries,
            skipped,
            abandoned,
            disconnected,
            panics,
            compressed,
            compressed_from_bytes,
            compressed_to_bytes,
        } = *self;
        [
            accepted,
            refused,
            opened,
            closed,
            received,
            deliveries,
            skipped,
            abandoned,
            disconnected,
            panics,
            compressed,
            compressed_from_bytes,
            compressed_to_bytes,
        ]
    }

    fn from_counts(counts: [u64; COUNTS]) -> Metrics {
        let [
            accepted,
            refused,
            opened,
            closed,
            received,
            deliveries,
            skipped,
            abandoned,
            disconnected,
            panics,
            compressed,
            compressed_from_bytes,
            compressed_to_bytes,
        ] = counts;
        Metrics {
            accepted,
            refused,
            opened,
            closed,
            received,
            deliveries,
            skipped,
            abandoned,
            disconnected,
            panics,
            compressed,
            compressed_from_bytes,
            compressed_to_bytes,
        }
    }
}
