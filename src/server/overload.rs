//! Overload: which connections end when the memory budget is exceeded, or new connections need a part of it.
//!
//! ```text
//!   histories of rooms ──▶ HTTP connections that hold the most ──▶ the longest unfinished messages ──▶ the slowest subscribers
//!     ──▶ the longest write queues                                                                     until enough is free
//! ```
//!
//! The history goes first that was published to longest ago: a client that comes back is told of a gap. An unfinished HTTP request gets a 503. A connection ends with 1013. One with a long write queue ends without it: the Close would wait behind the queue, which is the
//! memory that is needed. For new connections a message ends only if it has stood still for a second: one that is on its way will be
//! complete soon. Cost: nothing while the budget is kept; then one look at each connection and each log of the worker, and
//! not again before a sixteenth of the budget has been used.

use super::connection::{Connection, End, overloaded};
use super::connections::{ConnectionState, Connections};
use super::environment::Environment;
use super::failure::Failure;
use super::handler::Handler;
use super::memory::Need;
use crate::reactor::{Io, SocketKey};
use std::time::Duration;

/// Publishes what this worker holds, and frees what it has to.
pub(super) fn keep_budget<H: Handler>(
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) {
    environment.publish_memory(io);
    let (excess, standing) = match environment.memory.need() {
        Need::Nothing => return,
        Need::ForNewcomers(bytes) => (bytes, STANDING),
        Need::ForAll(bytes) => {
            if environment.memory.must_tell() {
                environment.fan_out.outbound.wake_all();
            }
            (bytes, Duration::ZERO)
        }
    };
    let mut freed = environment.fan_out.rooms.drop_histories(excess);
    if freed < excess {
        freed += end_http(excess - freed, io, connections, environment);
    }
    if freed < excess {
        freed += end_unfinished_messages(excess - freed, standing, io, connections, environment);
    }
    if freed < excess {
        freed += end_slow_subscribers(excess - freed, io, connections, environment);
    }
    if freed < excess {
        freed += end_long_queues(excess - freed, io, connections, environment);
    }
    if freed == 0 {
        environment.memory.nothing_was_freed();
    }
    environment.fan_out.rooms.publish_lags();
    environment.publish_memory(io);
}

/// Those with an unfinished request, or with responses that the client does not take.
fn end_http<H: Handler>(
    excess: usize,
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) -> usize {
    let close_timeout = environment.config.close_timeout;
    let mut freed = 0;
    for (bytes, key) in http_by_bytes(io, connections) {
        if freed >= excess {
            break;
        }
        let Some(ConnectionState::Opening(opening)) = connections.get_mut(key) else {
            continue;
        };
        match opening.end_overloaded(io, environment) {
            Some(ending) => connections.refuse(io, key, ending, close_timeout),
            None => connections.close(io, key),
        }
        freed += bytes;
    }
    freed
}

/// Those that have stood still for so long.
fn end_unfinished_messages<H: Handler>(
    excess: usize,
    standing: Duration,
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) -> usize {
    let now = io.now();
    let longest = by_bytes(connections, |connection| {
        match connection.message_stands_for(now) >= standing {
            true => connection.unfinished_bytes(),
            false => 0,
        }
    });
    let mut freed = 0;
    for (bytes, key) in longest {
        if freed >= excess {
            break;
        }
        connections.end(io, key, overloaded(), environment);
        freed += bytes;
    }
    freed
}

fn end_slow_subscribers<H: Handler>(
    excess: usize,
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) -> usize {
    let mut freed = 0;
    while freed < excess {
        let slowest = environment.fan_out.rooms.slowest();
        let Some(bytes) = slowest.iter().map(|slow| slow.lag.bytes).max() else {
            break;
        };
        for slow in slowest {
            environment.counts.count_disconnected();
            connections.end(io, slow.key, overloaded(), environment);
        }
        let bytes = usize::try_from(bytes / 2).unwrap_or(usize::MAX);
        freed = freed.saturating_add(bytes.max(1));
    }
    freed
}

fn end_long_queues<H: Handler>(
    excess: usize,
    io: &mut Io,
    connections: &mut Connections<H>,
    environment: &mut Environment<H>,
) -> usize {
    let mut freed = 0;
    for (bytes, key) in by_bytes(connections, Connection::queue_bytes) {
        if freed >= excess {
            break;
        }
        connections.end(io, key, End::Abandon(Failure::Overloaded), environment);
        freed += bytes;
    }
    freed
}

/// New connections end an unfinished message that has made no progress for so long.
const STANDING: Duration = Duration::from_secs(1);

/// The HTTP connections that hold something, the largest first.
fn http_by_bytes<H: Handler>(io: &Io, connections: &mut Connections<H>) -> Vec<(usize, SocketKey)> {
    let mut found = Vec::new();
    for key in connections.keys() {
        if let Some(ConnectionState::Opening(opening)) = connections.get_mut(key) {
            found.push((opening.held_bytes() + io.secured_bytes_of(key), key));
        }
    }
    found.retain(|(bytes, _)| *bytes > 0);
    found.sort_unstable_by(|one, other| other.cmp(one));
    found
}

/// The connections that hold something, the largest first.
fn by_bytes<H: Handler>(
    connections: &mut Connections<H>,
    bytes_of: impl Fn(&Connection<H>) -> usize,
) -> Vec<(usize, SocketKey)> {
    let mut found = Vec::new();
    for key in connections.keys() {
        let bytes = connections.open_mut(key).map_or(0, |open| bytes_of(open));
        if bytes > 0 {
            found.push((bytes, key));
        }
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    found
}
