//! Stage 2: each message is encoded once, and copied into a queue of each member.
//!
//! A slow member only makes its own queue longer, up to a bound. The copy is made for every
//! member, also for one that takes it at once.

use crate::naive::frame;
use crate::{BACKLOG_BYTES_MAX, FanOut};
use std::collections::HashMap;
use yamabiko::reactor::{Io, SocketKey};
use yamabiko::websocket::Message;

#[derive(Default)]
pub struct Queues {
    members: Vec<SocketKey>,
    /// For members, and for sockets that are not members yet.
    queues: HashMap<SocketKey, Vec<u8>>,
}

impl FanOut for Queues {
    fn join(&mut self, key: SocketKey) {
        self.members.push(key);
    }

    fn leave(&mut self, key: SocketKey) {
        self.members.retain(|&member| member != key);
        self.queues.remove(&key);
    }

    fn publish(&mut self, io: &mut Io, message: Message<'_>) {
        let frame = frame(message);
        let Queues { members, queues } = self;
        members
            .retain(|&member| write_behind(io, member, queues.entry(member).or_default(), &frame));
    }

    fn send(&mut self, io: &mut Io, key: SocketKey, bytes: &[u8]) -> bool {
        write_behind(io, key, self.queues.entry(key).or_default(), bytes)
    }

    fn writable(&mut self, io: &mut Io, key: SocketKey) {
        write_behind(io, key, self.queues.entry(key).or_default(), b"");
    }
}

/// Appends `bytes` to the queue, and writes what the socket takes. `false`: too much waits, and
/// the socket gets nothing more.
fn write_behind(io: &mut Io, key: SocketKey, queue: &mut Vec<u8>, bytes: &[u8]) -> bool {
    queue.extend_from_slice(bytes);
    let written = io.write(key, queue);
    queue.drain(..written);
    let is_slow = queue.len() > BACKLOG_BYTES_MAX;
    if is_slow {
        io.shutdown_write(key);
    }
    !is_slow
}
