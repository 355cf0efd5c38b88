//! Flushing: writes the queues and the logs to the sockets, and enforces the lag policy for subscribers that are too slow.
//!
//! ```text
//!   write queues ──▶ dirty logs ──▶ too slow? ──▶ disconnect, or skip: Handler::missed may publish
//!        ▲                                                                      │
//!        └────────────────── a flush is owed: at most 4 in a turn ◀─────────────┘
//! ```
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
use super::rooms::{LogId, TooSlow};
use crate::reactor::{Io, SocketKey};

/// Writes what waits in the write queues and the logs of one worker.
#[derive(Default)]
pub(super) struct Flusher {
    /// Subscriptions beyond a limit; empty between two calls, kept for its memory.
    too_slow: Vec<TooSlow>,
}

impl Flusher {
    /// Writes everything that waits, also the messages that handlers publish and send meanwhile because messages were skipped.
    /// True: the turn still owes a flush. A handler that publishes whenever messages were skipped could go on for ever.
    pub(super) fn flush<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) -> bool {
        for _ in 0..FLUSHES_PER_TURN_MAX {
            flush_write_queues(io, connections, environment);
            let (rooms, delay) = (&environment.fan_out.rooms, environment.config.batch_delay);
            if environment.pending.batch_is_due(rooms, io.now(), delay) {
                self.flush_logs(io, connections, environment);
            }
            self.enforce_ages(io, connections, environment);
            if !environment.pending.owes_flush(&environment.fan_out.rooms) {
                return false;
            }
        }
        true
    }

    /// Writes in the middle of a turn, because the logs would grow beyond their bound.
    pub(super) fn flush_early<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) {
        flush_write_queues(io, connections, environment);
        environment.pending.end_batch();
        self.flush_logs(io, connections, environment);
    }

    fn flush_logs<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &mut Environment<H>,
    ) {
        let dirty = environment.fan_out.rooms.take_dirty();
        for &log in &dirty {
            let now = io.now();
            environment
                .fan_out
                .rooms
                .flush(log, now, |subscriber, backlog| {
                    write_backlog(io, SocketKey::from_bits(subscriber), backlog)
                });
            self.enforce(log, io, connections, environment);
        }
        environment.fan_out.rooms.reuse_dirty(dirty);
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
            match slow.action {
                LagAction::Disconnect => disconnect(&slow, io, connections, environment),
                LagAction::Skip => skip(&slow, false, io, connections, environment),
                LagAction::Latest => skip(&slow, true, io, connections, environment),
            }
        }
    }
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

/// Flushes at the end of one turn: the first one, one for what handlers have published when messages were skipped, and two
/// more for what follows from that.
pub(super) const FLUSHES_PER_TURN_MAX: usize = 4;
