//! Metrics: what the server has done, and which rooms have subscriptions that are behind.
//!
//! Each worker counts for itself and publishes a snapshot of its counts at the end of a turn. So counting costs no lock and
//! no shared cache line per message. What is rare is counted in the snapshot itself: refusals, ends, histograms. Reading takes some
//! hundred loads for each worker, however many connections there are.

use super::close_counts::{self, ClosedBy};
use super::failure::Failure;
use super::histogram::{Histogram, SharedHistogram, add};
use super::refusal_reason::RefusalReason;
use crate::websocket::Ended;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a server has done since it was bound, and what it holds at the moment; all workers together. Counts only rise: take two and
/// subtract. The fields from `sockets` on are no counts.
///
/// The workers count on while the fields are read one by one. So two fields may be of different turns, and a sum of some need not equal
/// another one, until the server is idle.
///
/// Every message that was published to a room is a delivery for each subscriber. A delivery ends in one of three ways: the
/// kernel took it, it was `skipped`, or it was `abandoned`. Until then it waits in the room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Messages that were sent to one client ([`Context::send`](super::Context::send)), without those of rooms.
    pub sent: u64,
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
    /// Bytes that have come from all sockets, HTTP included.
    pub received_bytes: u64,
    /// Bytes that the kernel has taken for all sockets, HTTP included.
    pub sent_bytes: u64,
    /// Writes to sockets, nearly always one system call each. `deliveries` divided by this is the number of messages in a write.
    pub writes: u64,
    /// How long the turns of the event loops took, without the time in which they slept.
    pub turns: Histogram,
    /// How long deliveries took: from the begin of the turn that read the message, or took it from another worker, until it was offered to
    /// the sockets of all subscribers that keep up. Each delivery is one observation.
    pub latencies: Histogram,
    /// Open sockets.
    pub sockets: u64,
    /// Rooms with subscribers. A room with subscribers on two workers counts twice.
    pub rooms: u64,
    /// Subscriptions of all rooms.
    pub subscriptions: u64,
    /// Rooms in which a subscription is behind, by worker as `rooms`.
    pub lagging_rooms: u64,
    /// Subscriptions that are behind.
    pub lagging_subscriptions: u64,
    /// Memory that the logs hold for them.
    pub lagging_bytes: u64,
    /// By [`RefusalReason::index`].
    refusals: [u64; RefusalReason::ALL.len()],
    /// By `close_counts::place`.
    closes: [u64; close_counts::PLACES],
    /// By [`Failure::index`].
    failures: [u64; Failure::NAMES.len()],
}

impl Metrics {
    /// How many connections and requests were refused, by reason.
    pub fn refusals(&self) -> impl Iterator<Item = (RefusalReason, u64)> + use<> {
        RefusalReason::ALL.into_iter().zip(self.refusals)
    }

    /// How many WebSocket connections have ended, by the end that closed and the code of the first Close. No code: one of an application
    /// (4000 to 4999), or another one that is not listed.
    pub fn closes(&self) -> impl Iterator<Item = (ClosedBy, Option<u16>, u64)> + use<> {
        let counts = self.closes.into_iter().enumerate();
        counts.map(|(place, count)| {
            let (by, code) = close_counts::at(place);
            (by, code, count)
        })
    }

    /// How many WebSocket connections have failed, by the name of the failure ([`Failure::name`]).
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        Failure::NAMES.into_iter().zip(self.failures)
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::ZERO
    }
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

    /// All counts of the worker, with those that its rooms and its sockets have kept.
    pub(super) fn with_others(
        &self,
        rooms: RoomCounts,
        compressed: CompressionCounts,
        sockets: SocketCounts,
    ) -> Metrics {
        Metrics {
            accepted: self.accepted,
            refused: self.refused,
            opened: self.opened,
            closed: self.closed,
            received: self.received,
            sent: rooms.sent,
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
            received_bytes: sockets.received_bytes,
            sent_bytes: sockets.sent_bytes,
            writes: sockets.writes,
            sockets: sockets.open,
            rooms: rooms.rooms,
            subscriptions: rooms.subscriptions,
            lagging_rooms: rooms.lagging.rooms,
            lagging_subscriptions: rooms.lagging.subscriptions,
            lagging_bytes: rooms.lagging.held_bytes as u64,
            ..Metrics::ZERO
        }
    }
}

/// What one worker's rooms have counted: see the fields of [`Metrics`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoomCounts {
    pub(super) deliveries: u64,
    pub(super) skipped: u64,
    pub(super) abandoned: u64,
    pub(super) sent: u64,
    pub(super) rooms: u64,
    pub(super) subscriptions: u64,
    pub(super) lagging: Lagging,
}

/// What one worker's event loop has counted: see the fields of [`Metrics`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SocketCounts {
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) writes: u64,
    pub(super) open: u64,
}

/// What one worker's compressor has counted: see the fields of [`Metrics`] that begin with `compressed`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CompressionCounts {
    pub(super) frames: u64,
    pub(super) from_bytes: u64,
    pub(super) to_bytes: u64,
}

/// What one worker has published of its metrics, for other threads to read.
#[derive(Debug)]
pub(super) struct MetricsSnapshot {
    counts: [AtomicU64; COUNTS],
    turns: SharedHistogram,
    latencies: SharedHistogram,
    refusals: [AtomicU64; RefusalReason::ALL.len()],
    closes: [AtomicU64; close_counts::PLACES],
    failures: [AtomicU64; Failure::NAMES.len()],
    lags: Mutex<HashMap<Arc<str>, RoomLag>>,
}

impl Default for MetricsSnapshot {
    fn default() -> MetricsSnapshot {
        MetricsSnapshot {
            counts: [const { AtomicU64::new(0) }; COUNTS],
            turns: SharedHistogram::default(),
            latencies: SharedHistogram::default(),
            refusals: [const { AtomicU64::new(0) }; RefusalReason::ALL.len()],
            closes: [const { AtomicU64::new(0) }; close_counts::PLACES],
            failures: [const { AtomicU64::new(0) }; Failure::NAMES.len()],
            lags: Mutex::default(),
        }
    }
}

/// The rooms of a worker in which a subscription is behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lagging {
    rooms: u64,
    subscriptions: u64,
    /// The memory of their logs: all that a worker's logs hold between two turns.
    held_bytes: usize,
}

impl Lagging {
    pub(super) fn held_bytes(self) -> usize {
        self.held_bytes
    }

    fn change(&mut self, before: Option<RoomLag>, now: Option<&RoomLag>) {
        let (rooms, subscriptions, bytes) = Lagging::of(before.as_ref());
        self.rooms = self.rooms.wrapping_sub(rooms);
        self.subscriptions = self.subscriptions.wrapping_sub(subscriptions);
        self.held_bytes = self.held_bytes.wrapping_sub(bytes);
        let (rooms, subscriptions, bytes) = Lagging::of(now);
        self.rooms = self.rooms.wrapping_add(rooms);
        self.subscriptions = self.subscriptions.wrapping_add(subscriptions);
        self.held_bytes = self.held_bytes.wrapping_add(bytes);
    }

    fn of(lag: Option<&RoomLag>) -> (u64, u64, usize) {
        lag.map_or((0, 0, 0), |lag| (1, lag.behind as u64, lag.held_bytes))
    }
}

// Only the snapshot's own worker calls these.
impl MetricsSnapshot {
    /// Publishes the counts.
    pub(super) fn publish(&self, mut metrics: Metrics) {
        for (published, count) in self.counts.iter().zip(metrics.counts_mut()) {
            published.store(*count, Ordering::Relaxed);
        }
    }

    /// A turn has taken so long.
    pub(super) fn count_turn(&self, time: Duration) {
        self.turns.observe(time, 1);
    }

    /// So many deliveries have taken so long.
    pub(super) fn count_deliveries(&self, time: Duration, count: u64) {
        self.latencies.observe(time, count);
    }

    /// A connection or a request was refused.
    pub(super) fn count_refusal(&self, reason: RefusalReason) {
        add(&self.refusals[reason.index()], 1);
    }

    /// A WebSocket connection has ended.
    pub(super) fn count_close(&self, ended: &Ended, failure: Option<&Failure>) {
        add(&self.closes[close_counts::place(ended)], 1);
        if let Some(failure) = failure {
            add(&self.failures[failure.index()], 1);
        }
    }

    /// Publishes how far a room is behind.
    pub(super) fn publish_lag(&self, lag: RoomLag, all: &mut Lagging) {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        let before = lags.insert(lag.room.clone(), lag.clone());
        all.change(before, Some(&lag));
    }

    /// Publishes that nobody in the room is behind.
    pub(super) fn remove_lag(&self, room: &str, all: &mut Lagging) {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        all.change(lags.remove(room), None);
    }
}

impl MetricsSnapshot {
    /// The counts of all workers together.
    pub(super) fn sum(snapshots: &[Arc<MetricsSnapshot>]) -> Metrics {
        let mut sum = Metrics::default();
        for snapshot in snapshots {
            add_all(sum.counts_mut(), &snapshot.counts);
            add_all(sum.refusals.each_mut(), &snapshot.refusals);
            add_all(sum.closes.each_mut(), &snapshot.closes);
            add_all(sum.failures.each_mut(), &snapshot.failures);
            snapshot.turns.add_to(&mut sum.turns);
            snapshot.latencies.add_to(&mut sum.latencies);
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

fn add_all<const N: usize>(totals: [&mut u64; N], counts: &[AtomicU64; N]) {
    for (total, count) in totals.into_iter().zip(counts) {
        *total += count.load(Ordering::Relaxed);
    }
}

impl Metrics {
    /// All counts are 0.
    const ZERO: Metrics = Metrics {
        accepted: 0,
        refused: 0,
        opened: 0,
        closed: 0,
        received: 0,
        sent: 0,
        requests: 0,
        deliveries: 0,
        skipped: 0,
        abandoned: 0,
        disconnected: 0,
        slowed: 0,
        panics: 0,
        compressed: 0,
        compressed_from_bytes: 0,
        compressed_to_bytes: 0,
        received_bytes: 0,
        sent_bytes: 0,
        writes: 0,
        turns: Histogram::EMPTY,
        latencies: Histogram::EMPTY,
        sockets: 0,
        rooms: 0,
        subscriptions: 0,
        lagging_rooms: 0,
        lagging_subscriptions: 0,
        lagging_bytes: 0,
        refusals: [0; RefusalReason::ALL.len()],
        closes: [0; close_counts::PLACES],
        failures: [0; Failure::NAMES.len()],
    };

    /// All counts that a turn publishes, in the order of the snapshot.
    fn counts_mut(&mut self) -> [&mut u64; COUNTS] {
        let Metrics {
            accepted,
            refused,
            opened,
            closed,
            received,
            sent,
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
            received_bytes,
            sent_bytes,
            writes,
            sockets,
            rooms,
            subscriptions,
            lagging_rooms,
            lagging_subscriptions,
            lagging_bytes,
            turns: _,
            latencies: _,
            refusals: _,
            closes: _,
            failures: _,
        } = self;
        [
            accepted,
            refused,
            opened,
            closed,
            received,
            sent,
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
            received_bytes,
            sent_bytes,
            writes,
            sockets,
            rooms,
            subscriptions,
            lagging_rooms,
            lagging_subscriptions,
            lagging_bytes,
        ]
    }
}

const COUNTS: usize = 25;

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
        assert_eq!(expected.lagging_bytes, 50);
    }

    #[test]
    fn refusals_ends_and_times_are_summed_over_all_workers() {
        let snapshots = [(); 2].map(|()| Arc::new(MetricsSnapshot::default()));
        for snapshot in &snapshots {
            snapshot.count_refusal(RefusalReason::Origin);
            snapshot.count_close(&Ended::default(), Some(&Failure::EndOfInput));
            snapshot.count_turn(Duration::from_millis(1));
            snapshot.count_deliveries(Duration::from_millis(2), 100);
        }
        let sum = MetricsSnapshot::sum(&snapshots);
        let counted = |(_, count): &(RefusalReason, u64)| *count > 0;
        let refusals: Vec<_> = sum.refusals().filter(counted).collect();
        assert_eq!(refusals, [(RefusalReason::Origin, 2)]);
        let closes: Vec<_> = sum.closes().filter(|(_, _, count)| *count > 0).collect();
        assert_eq!(closes, [(ClosedBy::Neither, Some(1006), 2)]);
        let failures: Vec<_> = sum.failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(failures, [("end_of_input", 2)]);
        assert_eq!((sum.turns.count(), sum.latencies.count()), (2, 200));
    }

    #[test]
    fn rooms_that_are_behind_are_counted_until_they_have_caught_up() {
        let lag = |room: &str, behind, held_bytes| RoomLag {
            room: room.into(),
            subscribers: 9,
            behind,
            bytes: 1,
            held_bytes,
        };
        let (snapshot, mut all) = (MetricsSnapshot::default(), Lagging::default());
        snapshot.publish_lag(lag("a", 2, 100), &mut all);
        snapshot.publish_lag(lag("b", 3, 50), &mut all);
        snapshot.publish_lag(lag("a", 1, 70), &mut all);
        assert_eq!(
            (all.rooms, all.subscriptions, all.held_bytes()),
            (2, 4, 120)
        );
        snapshot.remove_lag("a", &mut all);
        snapshot.remove_lag("b", &mut all);
        assert_eq!((all.rooms, all.subscriptions, all.held_bytes()), (0, 0, 0));
    }
}
