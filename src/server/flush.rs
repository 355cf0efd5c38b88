//! Flushing: writes the queues and the logs to the sockets, and enforces the lag policy for subscribers that are too slow.
//!
//! ```text
//!   write queues ──▶ dirty logs ──▶ too slow? ──▶ disconnect, or skip: Handler::missed may publish
//!        ▲                                                                      │
//!        └────────────────── a flush is owed: at most 4 in a turn ◀─────────────┘
//! ```
//!
//! A turn has a budget for the logs: 192 KiB, where each write costs 2 KiB besides its bytes. Each of several dirty logs gets a share of
//! 16 KiB in turn, until the budget is used up. The next turn goes on where this one stopped, after it has read the sockets. So a large
//! broadcast does not make the other clients wait for all of its writes.
//!
//! After each 64 KiB the flush checks for clients that have become ready, and ends if there are some: they are read at once. It does not end for
//! clients of the rooms that it is writing to, because their messages would only make these writes more, and not before it has cost as
//! much as the reads of this turn. What a turn has left comes behind the logs with new messages, but not twice in succession. A check is a
//! system call: when some checks have found nobody, the flush checks only now and then, until it finds a client again.
//!
//! Clients that publish to a log of which 1 MiB is not flushed are not read until it is: otherwise they could fill the memory. With 16 MiB
//! in all logs the flush knows no budget. Clients that publish to a room with
//! a healthy subscriber that is behind are not read either (`rooms/waits.rs`).
//!
//! The write queues go first. A full socket takes no bytes until epoll reports it writable, so nothing of a log can get into the
//! middle of a queued frame.
//!
//! Cost: one system call for each connection with a write queue, and one for each subscription of a dirty log, however many
//! messages the batch has. All functions in these loops are inlined: a return across a system call costs 0.4 µs, a tenth of a small
//! delivery (`reactor/calls.rs`).

use super::connection::too_slow;
use super::connections::Connections;
use super::environment::Environment;
use super::handler::Handler;
use super::lag::LagAction;
use super::recipient::write_backlog;
use super::rooms::{LogId, PublisherWait, TooSlow};
use crate::broadcast::{Backlog, FlushBudget};
use crate::reactor::{Io, SocketKey};

/// Writes what waits in the write queues and the logs of one worker.
pub(super) struct Flusher {
    /// What the logs may write in the rest of this turn.
    budget: FlushBudget,
    /// What the logs wrote in the last turn, with what each write costs.
    last_cost: usize,
    looks: Looks,
    /// Subscribers that may be disconnected in the rest of this turn because they are too slow.
    disconnects_left: usize,
    left: LeftLogs,
    /// Clients that are not read, each with the log to which it has published.
    waiting: Vec<(SocketKey, PublisherWait)>,
    /// Clients that are not read, each with the room to whose subscribers it has published.
    waiting_for_subscribers: Vec<(SocketKey, PublisherWait)>,
    /// How often the publishers of a room could go on when these clients were looked at last.
    backpressure_ends: usize,
    /// Subscriptions beyond a limit; empty between two calls, kept for its memory.
    too_slow: Vec<TooSlow>,
    /// Logs that have used up their share, and have more to write; empty between two calls.
    unfinished: Vec<LogId>,
}

/// The logs that a flush has left for the next one. They are the first in the set of dirty logs then.
#[derive(Debug, Default)]
struct LeftLogs {
    count: usize,
    /// They came behind the others in the last flush.
    were_last: bool,
}

impl LeftLogs {
    /// Puts the logs with new messages before those that were left, unless these came last in the last flush, too.
    fn order<T>(&mut self, logs: &mut [T]) {
        let has_both = (1..logs.len()).contains(&self.count);
        self.were_last = has_both && !self.were_last;
        if self.were_last {
            logs.rotate_left(self.count);
        }
    }
}

/// When a flush looks for clients of other rooms that have become ready: after each step of a turn, as long as that finds some; otherwise only now and
/// then, in whatever turn that is.
#[derive(Debug)]
struct Looks {
    /// What the logs may write before the next one.
    left_bytes: usize,
    /// So many in succession have found nobody.
    in_vain: u32,
}

impl Looks {
    fn new() -> Looks {
        Looks {
            left_bytes: STEP_BYTES,
            in_vain: 0,
        }
    }

    #[inline]
    fn written(&mut self, bytes: usize) {
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
    }

    /// Whether it is time for one; true once.
    #[inline]
    fn take_due(&mut self) -> bool {
        let is_due = self.left_bytes == 0;
        if is_due {
            self.left_bytes = STEP_BYTES;
        }
        is_due
    }

    /// A look was made.
    fn made(&mut self, found: bool) {
        self.in_vain = match found {
            true => 0,
            false => self.in_vain.saturating_add(1),
        };
        if self.are_rare() {
            self.left_bytes = RARE_STEP_BYTES;
        }
    }

    fn are_rare(&self) -> bool {
        self.in_vain >= VAIN_LOOKS_MAX
    }

    /// The next turn begins with a look for all events, so its first step is a whole one.
    fn turn_ended(&mut self) {
        if !self.are_rare() {
            self.left_bytes = STEP_BYTES;
        }
    }
}

/// Whether something still waits when the turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    Nothing,
    /// A flush after a short time: a handler that publishes whenever messages were skipped could go on for ever.
    Later,
    /// A flush in the next turn, which begins at once.
    NextTurn,
}

impl Flusher {
    pub(super) fn new() -> Flusher {
        Flusher {
            budget: TURN_BUDGET,
            last_cost: 0,
            looks: Looks::new(),
            disconnects_left: DISCONNECTS_PER_TURN_MAX,
            left: LeftLogs::default(),
            waiting: Vec::new(),
            waiting_for_subscribers: Vec::new(),
            backpressure_ends: 0,
            too_slow: Vec::new(),
            unfinished: Vec::new(),
        }
    }

    /// Writes what waits when the turn ends, as far as the budget allows, also the messages that handlers publish and send meanwhile
    /// because messages were skipped.
    pub(super) fn flush<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) -> Owed {
        let owed = self.flush_until_nothing_is_owed(io, connections, environment);
        self.last_cost = TURN_BUDGET.bytes.saturating_sub(self.budget.bytes);
        self.budget = TURN_BUDGET;
        self.looks.turn_ended();
        self.disconnects_left = DISCONNECTS_PER_TURN_MAX;
        if environment.fan_out.rooms.update_waits(io.now()) {
            environment.fan_out.outbound.wake_others();
        }
        self.resume_publishers(io, connections, environment);
        owed
    }

    /// What the last flush cost, in bytes of writes, a short write 2 KiB: 192 KiB at most.
    pub(super) fn last_cost(&self) -> usize {
        self.last_cost
    }

    fn flush_until_nothing_is_owed<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) -> Owed {
        for _ in 0..FLUSHES_PER_TURN_MAX {
            flush_write_queues(io, connections, environment);
            let (rooms, delay) = (&environment.fan_out.rooms, environment.config.batch_delay);
            if self.is_behind() || environment.pending.batch_is_due(rooms, io.now(), delay) {
                self.flush_logs(io, connections, environment);
            }
            self.enforce_ages(io, connections, environment);
            if self.is_behind() {
                return Owed::NextTurn;
            }
            if !environment.pending.owes_flush(&environment.fan_out.rooms) {
                return Owed::Nothing;
            }
        }
        Owed::Later
    }

    /// Writes in the middle of a turn, if the logs would grow beyond their bound.
    pub(super) fn flush_early<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) {
        if !environment.fan_out.rooms.must_flush() {
            return;
        }
        if environment.fan_out.rooms.must_flush_all() {
            return self.flush_all(io, connections, environment);
        }
        flush_write_queues(io, connections, environment);
        environment.pending.end_batch();
        self.flush_logs(io, connections, environment);
    }

    /// The same without a budget.
    fn flush_all<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) {
        let budget = std::mem::replace(&mut self.budget, FlushBudget::UNLIMITED);
        flush_write_queues(io, connections, environment);
        environment.pending.end_batch();
        self.flush_logs(io, connections, environment);
        self.budget = budget;
    }

    /// Each dirty log in turn gets a share of the budget, until all are flushed or the budget is used up.
    fn flush_logs<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) {
        let mut logs = environment.fan_out.rooms.take_dirty();
        self.left.order(&mut logs);
        let mut served = 0;
        while served < logs.len()
            && self.budget.bytes > 0
            && !self.ends_early(io, connections, environment)
        {
            let log = logs[served];
            served += 1;
            let is_alone = logs.len() == 1 && self.unfinished.is_empty();
            let finished = self.flush_log(log, is_alone, io, environment);
            if !finished {
                self.unfinished.push(log);
            }
            // Not after each step of one large room.
            if finished || !is_alone || self.budget.bytes == 0 {
                self.enforce(log, io, connections, environment);
            }
            if served == logs.len() {
                logs.clear();
                logs.append(&mut self.unfinished);
                served = 0;
            }
        }
        let unserved = logs.drain(served..);
        let waiting = unserved.chain(self.unfinished.drain(..));
        self.left.count = 0;
        for log in waiting {
            self.left.count += 1;
            environment.fan_out.rooms.still_dirty(log);
        }
        environment.fan_out.rooms.reuse_dirty(logs);
    }

    /// Whether the flush ends here, because clients of other rooms have become ready.
    #[inline]
    fn ends_early<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &Environment<H>,
    ) -> bool {
        if !self.looks.take_due() {
            return false;
        }
        // A flush without a budget does not end.
        let written = TURN_BUDGET.bytes.checked_sub(self.budget.bytes);
        if written.is_none_or(|written| written < io.read_cost_of_turn()) {
            return false;
        }
        let found = others_wait(io, connections, environment);
        self.looks.made(found);
        found
    }

    /// Whether the budget of this turn was too small for all logs.
    fn is_behind(&self) -> bool {
        self.left.count > 0
    }

    /// Writes one log's share. False: it has more to write.
    #[inline(always)]
    fn flush_log<H: Handler>(
        &mut self,
        log: LogId,
        is_alone: bool,
        io: &mut Io,
        environment: &mut Environment<H>,
    ) -> bool {
        let share = match is_alone {
            true => self.budget.bytes.min(self.looks.left_bytes),
            false => self.budget.bytes.min(LOG_SHARE_BYTES),
        };
        let mut budget = FlushBudget {
            bytes: share,
            ..self.budget
        };
        let (rooms, now) = (&mut environment.fan_out.rooms, io.now());
        let mut finished = rooms.flush(log, now, &mut budget, |subscriber, backlog| {
            write_backlog(io, SocketKey::from_bits(subscriber), backlog)
        });
        if rooms.keeps(log) {
            let write = |subscriber, backlog: Backlog<'_>| {
                write_backlog(io, SocketKey::from_bits(subscriber), backlog)
            };
            finished = rooms.catch_up(log, now, &mut budget, write) && finished;
        }
        let written = share - budget.bytes;
        self.budget.bytes -= written;
        self.looks.written(written);
        finished
    }

    /// A client has published. True: too much of a log is not flushed, or a subscriber is behind, and the client is not read until that
    /// has changed.
    pub(super) fn publisher_waits<H: Handler>(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) -> bool {
        let Some(wait) = environment.fan_out.rooms.take_publisher_wait() else {
            return false;
        };
        if environment.shutdown.awaits_answers() {
            return false;
        }
        let connection = connections.open_mut(key);
        if connection.is_some_and(|connection| connection.pause_for_workers(io, key)) {
            match wait {
                PublisherWait::Flush(_) => self.waiting.push((key, wait)),
                PublisherWait::Subscribers(_) => self.waiting_for_subscribers.push((key, wait)),
            }
        }
        true
    }

    /// Clients are read again that have nothing to wait for any more.
    fn resume_publishers<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) {
        resume(&mut self.waiting, io, connections, environment);
        let ends = environment.fan_out.rooms.backpressure_ends();
        if ends != self.backpressure_ends || environment.shutdown.awaits_answers() {
            self.backpressure_ends = ends;
            resume(
                &mut self.waiting_for_subscribers,
                io,
                connections,
                environment,
            );
        }
    }

    /// Enforces the lag policy where nothing was published: waiting messages get older, too.
    fn enforce_ages<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) {
        for log in environment.fan_out.rooms.take_due(io.now()) {
            self.enforce(log, io, connections, environment);
        }
    }

    /// Takes the action of the lag policy for the subscriptions of a log that are beyond a limit.
    fn enforce<H: Handler>(
        &mut self,
        log: LogId,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) {
        let rooms = &mut environment.fan_out.rooms;
        rooms.find_too_slow(log, io.now(), &mut self.too_slow);
        for slow in self.too_slow.drain(..) {
            // It is not slow: its turn to be written has not come.
            if slow.lag.bytes <= PACED_LAG_BYTES_MAX && io.awaits_turn(slow.key) {
                environment.fan_out.rooms.still_dirty(log);
                continue;
            }
            match slow.action {
                LagAction::Disconnect if self.disconnects_left == 0 => {
                    // A later turn finds it again.
                    environment.fan_out.rooms.still_dirty(log);
                }
                LagAction::Disconnect => {
                    self.disconnects_left -= 1;
                    disconnect(&slow, io, connections, environment);
                }
                LagAction::Skip => skip(&slow, false, io, connections, environment),
                LagAction::Latest => skip(&slow, true, io, connections, environment),
            }
        }
    }
}

/// Reads those clients again that have nothing to wait for any more.
fn resume<H: Handler>(
    waiting: &mut Vec<(SocketKey, PublisherWait)>,
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) {
    let awaits_answers = environment.shutdown.awaits_answers();
    waiting.retain(|(key, wait)| {
        if environment.fan_out.rooms.must_wait(wait) && !awaits_answers {
            return true;
        }
        if let Some(connection) = connections.open_mut(*key) {
            connection.resume_after_workers(io, *key, environment);
            io.resume_reading(*key);
        }
        false
    });
}

/// Whether clients have become ready that are in none of the rooms that have something to write.
#[cold]
fn others_wait<H: Handler>(
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &Environment<H>,
) -> bool {
    let rooms = &environment.fan_out.rooms;
    io.poll_ready().iter().any(|&key| {
        let connection = connections.open_mut(key);
        !connection.is_some_and(|connection| rooms.writes_to(connection.subscriptions()))
    })
}

fn flush_write_queues<H: Handler>(
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) {
    let pending = environment.pending.take();
    for &key in &pending {
        if let Some(connection) = connections.open_mut(key) {
            connection.flush_queue(io, key, environment);
        }
    }
    environment.pending.reuse(pending);
}

fn disconnect<H: Handler>(
    slow: &TooSlow,
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) {
    if connections.open_mut(slow.key).is_some() {
        environment.counts.count_disconnected();
        let end = too_slow(slow.lag.bytes);
        connections.end(io, slow.key, end, environment);
    }
}

fn skip<H: Handler>(
    slow: &TooSlow,
    keep_latest: bool,
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) {
    let Some(connection) = connections.open_mut(slow.key) else {
        return;
    };
    let rooms = &mut environment.fan_out.rooms;
    let Some(room) = rooms.name(slow.subscription) else {
        return;
    };
    let skipped = rooms.skip(slow.subscription, keep_latest);
    if let Err(end) = connection.missed(io, slow.key, &room, skipped, environment) {
        connections.end(io, slow.key, end, environment);
    }
}

/// What the logs of a worker may write in a turn. On the machine where a short write takes 4 µs and 1 MiB takes 1.6 ms, this takes
/// 300 µs: 96 short messages, or 72 writes of ten messages each.
///
/// With 128 KiB, ten publishers and 1,000 members a delivery needed a sixth more writes: a publisher that has its own copy sends its
/// next message before the others have theirs, and then fewer messages share a write.
const TURN_BUDGET: FlushBudget = FlushBudget {
    bytes: 192 << 10,
    call_bytes: 2 << 10,
};

/// After so much of it, the flush looks for clients of other rooms that have become ready: 100 µs.
const STEP_BYTES: usize = 64 << 10;

/// The same when looks are rare: of eight turns.
const RARE_STEP_BYTES: usize = 8 * TURN_BUDGET.bytes;

/// So many looks in succession find nobody before they become rare. While clients of other rooms send, about every second one finds some.
const VAIN_LOOKS_MAX: u32 = 16;

/// Subscribers that are disconnected in one turn because they are too slow: many can be so at the same time, and the application is told of each.
const DISCONNECTS_PER_TURN_MAX: usize = 16;

/// A log's share of it, before the next log is served: eight short messages.
const LOG_SHARE_BYTES: usize = 16 << 10;

/// How far a subscription may be behind because others are written first. The log is one for all of them.
const PACED_LAG_BYTES_MAX: u64 = 16 << 20;

/// Flushes at the end of one turn: the first one, one for what handlers have published when messages were skipped, and two
/// more for what follows from that.
pub(super) const FLUSHES_PER_TURN_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_with_new_messages_come_before_those_that_were_left_but_not_twice_in_succession() {
        let mut left = LeftLogs {
            count: 2,
            were_last: false,
        };
        let orders = [(); 3].map(|()| {
            let mut logs = ["left", "left too", "new"];
            left.order(&mut logs);
            logs[0]
        });
        assert_eq!(orders, ["new", "left", "new"]);
    }

    /// Writes one step of a turn, and looks if it is time for it.
    fn looks_after(looks: &mut Looks, found: bool) -> bool {
        looks.written(STEP_BYTES);
        let looks_now = looks.take_due();
        if looks_now {
            looks.made(found);
        }
        looks_now
    }

    #[test]
    fn sixteen_looks_in_vain_are_made_after_a_step_each_and_further_ones_after_24_steps_until_one_finds_a_client()
     {
        let mut looks = Looks::new();
        for _ in 0..VAIN_LOOKS_MAX {
            assert!(looks_after(&mut looks, false));
            looks.turn_ended();
        }
        for found in [false, true] {
            for step in 1..24 {
                assert!(!looks_after(&mut looks, false), "{step}");
                // The distance is that of all turns together.
                looks.turn_ended();
            }
            assert!(looks_after(&mut looks, found));
        }
        looks.turn_ended();
        assert!(looks_after(&mut looks, false));
    }

    #[test]
    fn look_that_finds_a_client_begins_the_count_again() {
        let mut looks = Looks::new();
        for _ in 0..3 {
            for _ in 1..VAIN_LOOKS_MAX {
                assert!(looks_after(&mut looks, false));
            }
            assert!(looks_after(&mut looks, true));
        }
    }

    #[test]
    fn step_is_one_of_its_turn_while_looks_are_frequent() {
        let mut looks = Looks::new();
        for _ in 0..100 {
            looks.written(STEP_BYTES - 1);
            assert!(!looks.take_due());
            looks.turn_ended();
        }
    }

    #[test]
    fn logs_stay_in_order_if_all_or_none_were_left() {
        for count in [0, 2, 3] {
            let mut left = LeftLogs {
                count,
                were_last: false,
            };
            let mut logs = [1, 2];
            left.order(&mut logs);
            assert_eq!((logs, left.were_last), ([1, 2], false), "of {count}");
        }
    }
}
