//! Metrics: what the server has done, and which rooms have subscriptions that are behind.
//!
//! Each worker counts for itself and publishes a snapshot of its counts at the end of a turn. So counting costs no lock and
//! no shared cache line per message.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a server has done since it was bound, all workers together. Counts only rise: take two and subtract.
///
/// Every message that was published to a room is a delivery for each subscriber. A delivery ends in one of three ways: the
/// kernel took it, it was `skipped`, or it was `abandoned`. Until then it waits in the room's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// TCP connections that were accepted and served.
    pub accepted: u64,
    /// TCP connections beyond [`Config::connections_max`](super::Config), `connections_per_address`
    /// or `connections_per_second`, which were answered with 503 or closed. They are not among the `accepted`.
    pub refused: u64,
    /// WebSocket connections that were opened.
    pub opened: u64,
    /// WebSocket connections that have ended.
    pub closed: u64,
    /// Messages that came from clients.
    pub received: u64,
    /// Plain HTTP requests that the application has answered.
    pub requests: u64,
    /// Published messages, each times the number of its subscribers.
    pub deliveries: u64,
    /// Deliveries that were skipped because the subscriber was too slow.
    pub skipped: u64,
    /// Deliveries that were still waiting when the subscriber left the room or its connection ended.
    pub abandoned: u64,
    /// Connections that were closed because a subscription was too slow.
    pub disconnected: u64,
    /// Times that a client was not read for a while, because it exceeded a rate
    /// ([`Config::rates`](super::Config)).
    pub slowed: u64,
    /// Panics in the application's methods. Each has ended one connection.
    pub panics: u64,
    /// Compressed frames that were made, each once for all of its receivers: one for
    /// a message of a room, or two if the room also has subscribers with small windows.
    pub compressed: u64,
    /// Bytes of their payloads before compression.
    pub compressed_from_bytes: u64,
    /// Bytes of these frames, headers included.
    pub compressed_to_bytes: u64,
}

/// A room in which a subscription is behind, on one worker. All encodings are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomLag {
    /// The room.
    pub room: Arc<str>,
    /// Subscribers on this worker.
    pub subscribers: usize,
    /// How many of them are behind.
    pub behind: usize,
    /// How far the slowest subscriber is behind, in the bytes of its encoding: from the oldest chunk that the log holds for it
    /// to the newest message, so up to one chunk (64 KiB) more than it has not received.
    pub bytes: u64,
    /// Memory that the room's logs hold for them.
    pub held_bytes: usize,
}

/// What one worker has counted about connections.
#[derive(Debug, Default)]
pub(super) struct ConnectionCounts {
    accepted: u64,
    refused: u64,
    opened: u64,
    closed: u64,
    received: u64,
    requests: u64,
    disconnected: u64,
    slowed: u64,
    panics: u64,
}

impl ConnectionCounts {
    /// A TCP connection was accepted.
    pub(super) fn count_accepted(&mut self) {
        self.accepted += 1;
    }

    /// A TCP connection was beyond the limit.
    pub(super) fn count_refused(&mut self) {
        self.refused += 1;
    }

    /// A WebSocket connection was opened.
    pub(super) fn count_opened(&mut self) {
        self.opened += 1;
    }

    /// A WebSocket connection has ended.
    pub(super) fn count_closed(&mut self) {
        self.closed += 1;
    }

    /// A message came.
    #[inline(always)]
    pub(super) fn count_received(&mut self) {
        self.received += 1;
    }

    /// A plain HTTP request was answered.
    pub(super) fn count_request(&mut self) {
        self.requests += 1;
    }

    /// A connection was closed because a subscription was too slow.
    pub(super) fn count_disconnected(&mut self) {
        self.disconnected += 1;
    }

    /// A client is not read for a while, because it exceeded a rate.
    pub(super) fn count_slowed(&mut self) {
        self.slowed += 1;
    }

    /// A method of the application has panicked.
    pub(super) fn count_panic(&mut self) {
        self.panics += 1;
    }

    /// All counts of the worker, with those that its rooms have kept.
    pub(super) fn with_rooms(&self, rooms: RoomCounts, compressed: CompressionCounts) -> Metrics {
        Metrics {
            accepted: self.accepted,
            refused: self.refused,
            opened: self.opened,
            closed: self.closed,
            received: self.received,
            requests: self.requests,
            deliveries: rooms.deliveries,
            skipped: rooms.skipped,
            abandoned: rooms.abandoned,
            disconnected: self.disconnected,
            slowed: self.slowed,
            panics: self.panics,
            compressed: compressed.frames,
            compressed_from_bytes: compressed.from_bytes,
            compressed_to_bytes: compressed.to_bytes,
        }
    }
}

/// What one worker's rooms have counted: see the fields of [`Metrics`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoomCounts {
    pub(super) deliveries: u64,
    pub(super) skipped: u64,
    pub(super) abandoned: u64,
}

/// What one worker's compressor has counted: see the fields of [`Metrics`] that begin with `compressed`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CompressionCounts {
    pub(super) frames: u64,
    pub(super) from_bytes: u64,
    pub(super) to_bytes: u64,
}

/// What one worker has published of its metrics, for other threads to read.
#[derive(Debug, Default)]
pub(super) struct MetricsSnapshot {
    counts: [AtomicU64; COUNTS],
    lags: Mutex<HashMap<Arc<str>, RoomLag>>,
}

/// The memory of the logs of rooms in which a subscription is behind: all that a worker's logs hold between two turns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LaggingBytes(usize);

impl LaggingBytes {
    pub(super) fn get(self) -> usize {
        self.0
    }

    fn change(&mut self, before: Option<RoomLag>, now: usize) {
        let before = before.map_or(0, |lag| lag.held_bytes);
        self.0 = self.0.wrapping_sub(before).wrapping_add(now);
    }
}

impl MetricsSnapshot {
    /// Publishes the counts. Only the snapshot's own worker calls this.
    pub(super) fn publish(&self, mut metrics: Metrics) {
        for (published, count) in self.counts.iter().zip(metrics.counts_mut()) {
            published.store(*count, Ordering::Relaxed);
        }
    }

    /// Publishes how far a room is behind.
    pub(super) fn publish_lag(&self, lag: RoomLag, bytes: &mut LaggingBytes) {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        let held_bytes = lag.held_bytes;
        bytes.change(lags.insert(lag.room.clone(), lag), held_bytes);
    }

    /// Publishes that nobody in the room is behind.
    pub(super) fn remove_lag(&self, room: &str, bytes: &mut LaggingBytes) {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.change(lags.remove(room), 0);
    }

    /// The counts of all workers together.
    pub(super) fn sum(snapshots: &[Arc<MetricsSnapshot>]) -> Metrics {
        let mut sum = Metrics::default();
        for snapshot in snapshots {
            for (total, published) in sum.counts_mut().into_iter().zip(&snapshot.counts) {
                *total += published.load(Ordering::Relaxed);
            }
        }
        sum
    }

    /// The rooms that are behind, on all workers.
    pub(super) fn lags(snapshots: &[Arc<MetricsSnapshot>]) -> Vec<RoomLag> {
        let lags_of = |snapshot: &Arc<MetricsSnapshot>| -> Vec<RoomLag> {
            let lags = snapshot.lags.lock().unwrap_or_else(PoisonError::into_inner);
            lags.values().cloned().collect()
        };
        snapshots.iter().flat_map(lags_of).collect()
    }
}

impl Metrics {
    /// All counts, in the order of the snapshot.
    fn counts_mut(&mut self) -> [&mut u64; COUNTS] {
        let Metrics {
            accepted,
            refused,
            opened,
            closed,
            received,
            requests,
            deliveries,
            skipped,
            abandoned,
            disconnected,
            slowed,
            panics,
            compressed,
            compressed_from_bytes,
            compressed_to_bytes,
        } = self;
        [
            accepted,
            refused,
            opened,
            closed,
            received,
            requests,
            deliveries,
            skipped,
            abandoned,
            disconnected,
            slowed,
            panics,
            compressed,
            compressed_from_bytes,
            compressed_to_bytes,
        ]
    }
}

const COUNTS: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_has_every_count_of_every_worker() {
        let mut metrics = Metrics::default();
        for (count, number) in metrics.counts_mut().into_iter().zip(1..) {
            *count = number;
        }
        let snapshots = [(); 2].map(|()| Arc::new(MetricsSnapshot::default()));
        snapshots.iter().for_each(|one| one.publish(metrics));
        let mut expected = metrics;
        for count in expected.counts_mut() {
            *count *= 2;
        }
        assert_eq!(MetricsSnapshot::sum(&snapshots), expected);
        assert_eq!(expected.compressed_to_bytes, 30);
    }
}
