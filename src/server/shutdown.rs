//! Shutdown: how a server ends, and how far a worker has come with it.
//!
//! ```text
//!   drain(30 s) ──▶ accepting stops; each connection gets a time within 30 s ──▶ its Close goes out at that time ──┐
//!   shutdown() ───▶ accepting stops; every Close goes out now ───────────────────────────────────────────────────┐ │
//!                                                                                                                ▼ ▼
//!                                 all connections of all workers have ended, or drain_timeout is over ──▶ workers stop
//!   cut() ────────────────────────────────────────────────────────────────────────────────────────────────▲
//! ```
//!
//! [`Stopping`] is shared by all workers and the handles. Each worker looks at it at the end of a turn ([`Shutdown::next`]).
//! A request does not wake a worker, so each worker also gets a cross-worker message that wakes it. `worker.rs` takes the steps.
//!
//! **The times of the Closes.** With n connections, the window is cut into n equal parts, in a random order of the connections,
//! and each Close goes out at a random time within its part. So the rate at which clients come back is even over the whole window,
//! and does not follow the order in which they connected. Each worker does this for its own connections.
//!
//! **The end.** A worker that has no connections may still have to order the messages of rooms for the others, and to serve a
//! connection that another worker has accepted for it. So workers stop together: [`Stopping::alive`] counts what is left, and
//! cannot rise again once it is 0.

use crate::reactor::SocketKey;
use crate::time::Timestamp;
use crate::websocket::frame::{CloseCode, CloseFrame};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How a server drains: over which time, and what its clients are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// The window in which the Closes are sent.
    pub(super) over: Duration,
    pub(super) outlook: Outlook,
}

/// What clients find when they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Perhaps no server: 1001.
    Stops,
    /// A server that has taken over: 1012. It has the listening sockets, so the files of Unix sockets stay.
    Restarts,
}

/// How connections have ended since the server began to stop: see [`ServerHandle::drained`](super::ServerHandle::drained).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// WebSockets whose closing handshake was completed.
    pub closed: usize,
    /// WebSockets that their clients ended without a closing handshake, or that failed.
    pub lost: usize,
    /// WebSockets and HTTP requests that the server ended because they took too long, or because of
    /// [`ServerHandle::cut`](super::ServerHandle::cut).
    pub cut: usize,
}

/// How a WebSocket has ended while the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrainedAs {
    Closed,
    Lost,
    Cut,
}

/// What all workers and handles share.
#[derive(Debug)]
pub(super) struct Stopping {
    /// The first request to end counts.
    drain: OnceLock<Drain>,
    /// Everything that is not closed yet is closed now.
    at_once: AtomicBool,
    /// Every connection is ended without a closing handshake.
    cut: AtomicBool,
    /// Workers that have not begun to drain, connections of those that have, and accepted connections on their way to a worker.
    alive: AtomicUsize,
    /// A worker has ended before the others: `alive` does not become 0.
    worker_ended: AtomicBool,
    ends: [AtomicUsize; 3],
}

impl Stopping {
    pub(super) fn new(workers: usize) -> Stopping {
        Stopping {
            drain: OnceLock::new(),
            at_once: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            alive: AtomicUsize::new(workers),
            worker_ended: AtomicBool::new(false),
            ends: Default::default(),
        }
    }

    /// Requests to drain. No effect if the server stops already.
    pub(super) fn request(&self, drain: Drain) {
        let over = drain.over.min(OVER_MAX);
        let _ = self.drain.set(Drain { over, ..drain });
    }

    /// Requests to close everything now.
    pub(super) fn request_at_once(&self) {
        self.request(Drain {
            over: Duration::ZERO,
            outlook: Outlook::Stops,
        });
        self.at_once.store(true, Ordering::Release);
    }

    /// Requests to end everything without closing handshakes.
    pub(super) fn request_cut(&self) {
        self.request_at_once();
        self.cut.store(true, Ordering::Release);
    }

    pub(super) fn is_requested(&self) -> bool {
        self.drain.get().is_some()
    }

    /// A thread that is no worker is about to send an accepted connection to a worker. False: the workers stop, or have stopped.
    pub(super) fn sends_connection(&self) -> bool {
        let one_more = |alive: usize| (alive > 0).then_some(alive + 1);
        !self.is_requested()
            && self
                .alive
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
                .is_ok()
    }

    /// The connection was not sent. True: nothing else is alive, so the workers are to be woken, to stop.
    pub(super) fn keeps_connection(&self) -> bool {
        self.alive.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(super) fn worker_ended(&self) {
        self.worker_ended.store(true, Ordering::Release);
    }

    pub(super) fn drained(&self) -> Drained {
        let count = |how: DrainedAs| self.ends[how as usize].load(Ordering::Relaxed);
        Drained {
            closed: count(DrainedAs::Closed),
            lost: count(DrainedAs::Lost),
            cut: count(DrainedAs::Cut),
        }
    }
}

/// One worker's view of the shutdown.
#[derive(Debug)]
pub(super) struct Shutdown {
    stopping: Arc<Stopping>,
    phase: Phase,
    /// What this worker has last counted in [`Stopping::alive`]: one while it serves.
    counted: usize,
    /// Connections that others have accepted, taken from the mailbox in this turn.
    arrived: usize,
}

#[derive(Debug)]
enum Phase {
    Serving,
    Draining {
        drain: Drain,
        /// When each connection is to be closed.
        times: BinaryHeap<Reverse<(Timestamp, SocketKey)>>,
        window_ends_at: Timestamp,
        /// When the remaining connections are cut.
        ends_at: Timestamp,
        random: Random,
        at_once: bool,
    },
}

/// What a worker has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Stop accepting, then call [`Shutdown::begin`].
    Begin(Outlook),
    /// The time of this connection has come.
    Close(SocketKey),
    /// End all connections, and stop.
    Cut,
}

impl Shutdown {
    pub(super) fn new(stopping: Arc<Stopping>) -> Shutdown {
        Shutdown {
            stopping,
            phase: Phase::Serving,
            counted: 1,
            arrived: 0,
        }
    }

    /// What is to be done now; `None`: nothing more in this turn.
    pub(super) fn next(&mut self, now: Timestamp, drain_timeout: Duration) -> Option<Step> {
        let outlook = self.stopping.drain.get()?.outlook;
        self.hurry_if_requested(now, drain_timeout);
        let Phase::Draining {
            times,
            ends_at,
            at_once,
            ..
        } = &mut self.phase
        else {
            return Some(Step::Begin(outlook));
        };
        if *ends_at <= now || self.stopping.cut.load(Ordering::Acquire) {
            return Some(Step::Cut);
        }
        let Reverse((at, key)) = times.peek()?;
        let key = (*at_once || *at <= now).then_some(*key)?;
        times.pop();
        Some(Step::Close(key))
    }

    /// This worker begins to drain these connections.
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        mut keys: Vec<SocketKey>,
        drain_timeout: Duration,
    ) {
        let Some(&drain) = self.stopping.drain.get() else {
            return;
        };
        let mut random = Random::new();
        random.shuffle(&mut keys);
        let count = keys.len() as u64;
        let keys = keys.into_iter().zip(0..);
        let times =
            keys.map(|(key, part)| Reverse((random.time_in(now, drain.over, part, count), key)));
        let times = times.collect();
        let window_ends_at = now.plus(drain.over);
        self.phase = Phase::Draining {
            drain,
            times,
            window_ends_at,
            ends_at: window_ends_at.plus(drain_timeout),
            random,
            at_once: false,
        };
        self.hurry_if_requested(now, drain_timeout);
    }

    /// A `shutdown` during a long drain.
    fn hurry_if_requested(&mut self, now: Timestamp, drain_timeout: Duration) {
        if let Phase::Draining {
            window_ends_at,
            ends_at,
            at_once,
            ..
        } = &mut self.phase
            && !*at_once
            && self.stopping.at_once.load(Ordering::Acquire)
        {
            *at_once = true;
            *window_ends_at = now;
            *ends_at = now.plus(drain_timeout).min(*ends_at);
        }
    }

    /// A connection has become a WebSocket, or has come from another worker, while this worker drains.
    pub(super) fn schedule(&mut self, now: Timestamp, key: SocketKey) {
        if let Phase::Draining {
            times,
            window_ends_at,
            random,
            ..
        } = &mut self.phase
        {
            let at = random.time_in(now, window_ends_at.since(now), 0, 1);
            times.push(Reverse((at, key)));
        }
    }

    /// An accepted connection is about to be sent to another worker.
    pub(super) fn sends_connection(&self) {
        self.stopping.alive.fetch_add(1, Ordering::AcqRel);
    }

    /// This worker serves it itself.
    pub(super) fn keeps_connection(&self) {
        self.stopping.alive.fetch_sub(1, Ordering::AcqRel);
    }

    /// A connection that another worker, or another part of the program, has accepted was taken from the mailbox.
    pub(super) fn connection_arrived(&mut self) {
        self.arrived += 1;
    }

    /// At the end of a turn with so many connections, or other things that keep it alive: whether the workers stop together.
    pub(super) fn may_stop(&mut self, connections: usize) -> MayStop {
        let arrived = std::mem::take(&mut self.arrived);
        if !self.is_draining() {
            if arrived > 0 {
                self.stopping.alive.fetch_sub(arrived, Ordering::AcqRel);
            }
            return MayStop::No;
        }
        let (before, now) = (self.counted + arrived, connections);
        self.counted = now;
        let alive = &self.stopping.alive;
        let left = match now.checked_sub(before) {
            Some(more) => alive.fetch_add(more, Ordering::AcqRel) + more,
            None => alive.fetch_sub(before - now, Ordering::AcqRel) - (before - now),
        };
        let none_left = left == 0 || self.stopping.worker_ended.load(Ordering::Acquire);
        match (none_left && connections == 0, before > now) {
            (false, _) => MayStop::No,
            (true, false) => MayStop::Yes,
            (true, true) => MayStop::YesAndTheOthers,
        }
    }

    /// Whether this worker has stopped accepting.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// Whether the server has been asked to stop: this worker gives no connection to another one any more, and each response is the last
    /// of its connection, also before this worker has begun to drain.
    pub(super) fn is_requested(&self) -> bool {
        self.stopping.is_requested()
    }

    /// Whether connections that have not asked for anything are still served: a Close would not tell their clients to come back.
    pub(super) fn serves_newcomers(&self) -> bool {
        match &self.phase {
            Phase::Serving => true,
            Phase::Draining { drain, at_once, .. } => {
                !at_once && (drain.outlook == Outlook::Restarts || !drain.over.is_zero())
            }
        }
    }

    /// Whether every Close was sent, so that only the clients' answers are awaited.
    pub(super) fn awaits_answers(&self) -> bool {
        match &self.phase {
            Phase::Serving => false,
            Phase::Draining { times, .. } => times.is_empty(),
        }
    }

    /// What clients are told.
    pub(super) fn close_frame(&self) -> CloseFrame<'static> {
        match &self.phase {
            Phase::Draining { drain, .. } if drain.outlook == Outlook::Restarts => {
                CloseFrame::new(CloseCode::SERVICE_RESTART, "the server is restarting")
            }
            _ => CloseFrame::new(CloseCode::GOING_AWAY, "the server is stopping"),
        }
    }

    /// When [`Shutdown::next`] has something to do.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Serving => None,
            Phase::Draining { times, ends_at, .. } => {
                let next = times.peek().map(|Reverse((at, _))| *at);
                Some(next.map_or(*ends_at, |at| at.min(*ends_at)))
            }
        }
    }

    /// A connection has ended in this way while this worker drains.
    pub(super) fn count_end(&self, how: DrainedAs) {
        if self.is_draining() {
            self.stopping.ends[how as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether the workers may stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayStop {
    No,
    Yes,
    /// This worker had the last connection: the others are to be woken.
    YesAndTheOthers,
}

/// The longest window: longer than any connection lasts.
const OVER_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Random numbers for times: SplitMix64, from a seed that the standard library takes from the system.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(RandomState::new().hash_one(0))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random order.
    fn shuffle(&mut self, keys: &mut [SocketKey]) {
        for last in (1..keys.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            keys.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }

    /// A random time in one of `parts` equal parts of a window: 0 ≤ `part` < `parts`.
    fn time_in(&mut self, from: Timestamp, window: Duration, part: u64, parts: u64) -> Timestamp {
        let within = u128::from(self.next() >> 32);
        let position = (u128::from(part) << 32) + within;
        let nanoseconds = window.as_nanos() * position / (u128::from(parts.max(1)) << 32);
        from.plus(Duration::from_nanos(
            u64::try_from(nanoseconds).unwrap_or(u64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(5);
    const TIMEOUT: Duration = Duration::from_secs(1);

    fn workers<const N: usize>() -> (Arc<Stopping>, [Shutdown; N]) {
        let stopping = Arc::new(Stopping::new(N));
        let workers = [(); N].map(|()| Shutdown::new(Arc::clone(&stopping)));
        (stopping, workers)
    }

    fn stops(over: Duration) -> Drain {
        Drain {
            over,
            outlook: Outlook::Stops,
        }
    }

    fn keys(count: u64) -> Vec<SocketKey> {
        (0..count).map(SocketKey::from_bits).collect()
    }

    fn step(worker: &mut Shutdown, at: u64) -> Option<Step> {
        worker.next(Timestamp(at), TIMEOUT)
    }

    fn begin(worker: &mut Shutdown, at: u64, connections: u64) {
        assert!(matches!(step(worker, at), Some(Step::Begin(_))));
        worker.begin(Timestamp(at), keys(connections), TIMEOUT);
    }

    /// How many connections are closed up to this time.
    fn closes(worker: &mut Shutdown, until: u64) -> usize {
        std::iter::from_fn(|| step(worker, until))
            .take_while(|step| matches!(step, Step::Close(_)))
            .count()
    }

    #[test]
    fn each_worker_begins_to_drain_once_after_the_request() {
        let (stopping, mut workers) = workers::<2>();
        assert_eq!(step(&mut workers[0], 1), None);
        assert!(!stopping.is_requested());
        stopping.request(stops(Duration::ZERO));
        for worker in &mut workers {
            assert!(!worker.is_draining());
            begin(worker, 2, 0);
            assert!(worker.is_draining());
            assert_eq!(step(worker, 3), None);
            assert_eq!(worker.next_at(), Some(Timestamp(1_002)));
        }
    }

    #[test]
    fn each_part_of_the_window_has_its_share_of_the_closes() {
        let (stopping, [mut worker]) = workers();
        stopping.request(stops(WINDOW));
        begin(&mut worker, 0, 1_000);
        for half_second in 1..=10 {
            let closes = closes(&mut worker, 500 * half_second);
            // A random time within each part of 5 ms, rounded up: one more or less at either end.
            assert!((98..=102).contains(&closes), "{closes} in 500 ms");
        }
        assert!(worker.awaits_answers());
    }

    #[test]
    fn order_of_the_closes_is_not_the_order_of_the_connections() {
        let (stopping, [mut worker]) = workers();
        stopping.request(stops(WINDOW));
        begin(&mut worker, 0, 100);
        let order: Vec<_> = std::iter::from_fn(|| step(&mut worker, 5_000)).collect();
        let by_number = keys(100).into_iter().map(Step::Close);
        assert_eq!(order.len(), 100);
        // By chance once in 100! times.
        assert!(order != by_number.collect::<Vec<_>>());
    }

    #[test]
    fn connections_are_cut_when_the_window_and_the_timeout_are_over_and_not_before() {
        let (stopping, [mut worker]) = workers();
        stopping.request(stops(WINDOW));
        begin(&mut worker, 10, 1);
        closes(&mut worker, 5_010);
        assert_eq!(step(&mut worker, 6_009), None);
        assert_eq!(worker.next_at(), Some(Timestamp(6_010)));
        assert_eq!(step(&mut worker, 6_010), Some(Step::Cut));
    }

    #[test]
    fn shutdown_during_a_drain_closes_the_rest_now() {
        let (stopping, [mut worker]) = workers();
        stopping.request(stops(WINDOW));
        begin(&mut worker, 0, 100);
        let before = closes(&mut worker, 2_500);
        stopping.request_at_once();
        assert_eq!(before + closes(&mut worker, 2_500), 100);
        assert_eq!(step(&mut worker, 3_499), None);
        assert_eq!(step(&mut worker, 3_500), Some(Step::Cut));
    }

    #[test]
    fn shutdown_during_the_last_wait_does_not_make_it_longer() {
        let (stopping, [mut worker]) = workers();
        stopping.request(stops(Duration::ZERO));
        begin(&mut worker, 0, 0);
        stopping.request_at_once();
        assert_eq!(step(&mut worker, 999), None);
        assert_eq!(step(&mut worker, 1_000), Some(Step::Cut));
    }

    #[test]
    fn cut_ends_everything_in_the_next_turn() {
        let (stopping, [mut worker]) = workers();
        stopping.request(stops(WINDOW));
        begin(&mut worker, 0, 3);
        stopping.request_cut();
        assert_eq!(step(&mut worker, 0), Some(Step::Cut));
    }

    #[test]
    fn longest_window_is_limited_and_its_times_are_exact() {
        let (stopping, [mut worker]) = workers();
        stopping.request(stops(Duration::MAX));
        begin(&mut worker, 0, 1 << 10);
        assert_eq!(step(&mut worker, 0), None);
        let end = Timestamp(0).plus(OVER_MAX);
        assert!(worker.next_at().is_some_and(|at| at < end));
        assert_eq!(closes(&mut worker, end.0), 1 << 10);
    }

    #[test]
    fn connection_that_opens_during_a_drain_is_closed_within_the_window() {
        let (stopping, [mut worker]) = workers();
        stopping.request(stops(WINDOW));
        begin(&mut worker, 0, 0);
        assert!(worker.awaits_answers());
        for key in keys(50) {
            worker.schedule(Timestamp(4_000), key);
        }
        assert!(!worker.awaits_answers());
        assert_eq!(closes(&mut worker, 3_999), 0);
        assert_eq!(closes(&mut worker, 5_000), 50);
    }

    #[test]
    fn workers_stop_together_when_the_last_connection_has_ended() {
        let (stopping, [mut first, mut second]) = workers();
        stopping.request(stops(Duration::ZERO));
        begin(&mut first, 0, 1);
        assert_eq!(first.may_stop(0), MayStop::No, "the second serves");
        begin(&mut second, 0, 2);
        assert_eq!(second.may_stop(2), MayStop::No);
        assert_eq!(first.may_stop(0), MayStop::No, "it may own a room");
        assert_eq!(second.may_stop(1), MayStop::No);
        assert_eq!(second.may_stop(0), MayStop::YesAndTheOthers);
        assert_eq!(first.may_stop(0), MayStop::Yes);
    }

    #[test]
    fn workers_wait_for_a_connection_that_is_on_its_way_to_one_of_them() {
        let (stopping, [mut first, mut second]) = workers();
        first.sends_connection();
        stopping.request(stops(WINDOW));
        for worker in [&mut first, &mut second] {
            begin(worker, 0, 0);
            assert_eq!(worker.may_stop(0), MayStop::No);
        }
        second.connection_arrived();
        assert_eq!(second.may_stop(1), MayStop::No);
        assert_eq!(first.may_stop(0), MayStop::No);
        assert_eq!(second.may_stop(0), MayStop::YesAndTheOthers);
    }

    #[test]
    fn connection_that_arrives_while_its_worker_serves_counts_with_the_worker() {
        let (stopping, [mut first, mut second]) = workers();
        first.sends_connection();
        second.connection_arrived();
        assert_eq!(second.may_stop(1), MayStop::No);
        stopping.request(stops(WINDOW));
        begin(&mut first, 0, 0);
        begin(&mut second, 0, 1);
        assert_eq!(first.may_stop(0), MayStop::No);
        assert_eq!(second.may_stop(0), MayStop::YesAndTheOthers);
    }

    #[test]
    fn worker_without_connections_stops_if_another_one_has_failed() {
        let (stopping, [_failed, mut other]) = workers();
        stopping.worker_ended();
        stopping.request_at_once();
        begin(&mut other, 0, 1);
        assert_eq!(other.may_stop(1), MayStop::No);
        assert_ne!(other.may_stop(0), MayStop::No);
    }

    #[test]
    fn newcomers_are_served_in_a_window_or_when_a_successor_serves() {
        for (drain, served) in [
            (stops(Duration::ZERO), false),
            (stops(WINDOW), true),
            (
                Drain {
                    over: Duration::ZERO,
                    outlook: Outlook::Restarts,
                },
                true,
            ),
        ] {
            let (stopping, [mut worker]) = workers();
            assert!(worker.serves_newcomers());
            stopping.request(drain);
            begin(&mut worker, 0, 0);
            assert_eq!(worker.serves_newcomers(), served, "{drain:?}");
            stopping.request_at_once();
            assert_eq!(step(&mut worker, 0), None);
            assert!(!worker.serves_newcomers());
        }
    }
}
