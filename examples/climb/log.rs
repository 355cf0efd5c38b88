//! Stages 3 and 4: one log for the room, and a position in it for each member.
//!
//! ```text
//!   log     | m1 | m2 | m3 | m4 | m5 |
//!   start   ^         ^              ^  head
//!           a slow member            the others
//! ```
//!
//! Stage 3 writes when a message is published, stage 4 when the turn ends: then one write takes
//! all messages between a member's position and the head.

use crate::naive::frame;
use crate::{BACKLOG_BYTES_MAX, FanOut};
use std::collections::{HashMap, VecDeque};
use yamabiko::reactor::{Io, SocketKey};
use yamabiko::websocket::Message;

pub struct Log {
    write_at_once: bool,
    /// The frames that some member still needs.
    bytes: Vec<u8>,
    /// The position of the first byte in `bytes`; positions count from the first frame ever.
    start: u64,
    /// The positions at which the frames in `bytes` end.
    ends: VecDeque<u64>,
    members: Vec<(SocketKey, u64)>,
    /// The rest of a frame that was written in part, and what is for one socket alone. They go
    /// before the log.
    rests: HashMap<SocketKey, Vec<u8>>,
}

impl Log {
    pub fn written_at_once() -> Log {
        Log {
            write_at_once: true,
            bytes: Vec::new(),
            start: 0,
            ends: VecDeque::new(),
            members: Vec::new(),
            rests: HashMap::new(),
        }
    }

    pub fn written_when_the_turn_ends() -> Log {
        Log {
            write_at_once: false,
            ..Log::written_at_once()
        }
    }

    fn head(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Offers every member what it does not have, and frees what all have.
    fn flush(&mut self, io: &mut Io) {
        let mut members = std::mem::take(&mut self.members);
        members.retain_mut(|(key, position)| self.write(io, *key, position));
        let slowest = members.iter().map(|&(_, position)| position).min();
        self.members = members;
        self.free(slowest.unwrap_or(self.head()));
    }

    /// One write of everything from `position` on. `false`: the member is too slow, and gets
    /// nothing more.
    fn write(&mut self, io: &mut Io, key: SocketKey, position: &mut u64) -> bool {
        if self.write_rest(io, key) && *position < self.head() {
            let waiting = &self.bytes[(*position - self.start) as usize..];
            *position += io.write(key, waiting) as u64;
            self.keep_rest_of_frame(key, position);
        }
        let is_slow = self.head() - *position > BACKLOG_BYTES_MAX as u64;
        if is_slow {
            io.shutdown_write(key);
        }
        !is_slow
    }

    /// `true`: nothing is left.
    fn write_rest(&mut self, io: &mut Io, key: SocketKey) -> bool {
        let Some(rest) = self.rests.get_mut(&key) else {
            return true;
        };
        let written = io.write(key, rest);
        rest.drain(..written);
        let is_empty = rest.is_empty();
        if is_empty {
            self.rests.remove(&key);
        }
        is_empty
    }

    /// A position inside a frame moves to the frame's end, and the rest of the frame is kept:
    /// nothing may be written between its parts.
    fn keep_rest_of_frame(&mut self, key: SocketKey, position: &mut u64) {
        let begun = self.ends.partition_point(|&end| end < *position);
        let (begins, ends) = match begun {
            0 => (self.start, self.ends[0]),
            _ => (self.ends[begun - 1], self.ends[begun]),
        };
        if begins < *position && *position < ends {
            let rest = (*position - self.start) as usize..(ends - self.start) as usize;
            self.rests.insert(key, self.bytes[rest].to_vec());
            *position = ends;
        }
    }

    fn free(&mut self, position: u64) {
        while self.ends.front().is_some_and(|&end| end <= position) {
            self.ends.pop_front();
        }
        self.bytes.drain(..(position - self.start) as usize);
        self.start = position;
    }
}

impl FanOut for Log {
    fn join(&mut self, key: SocketKey) {
        let head = self.head();
        self.members.push((key, head));
    }

    fn leave(&mut self, key: SocketKey) {
        self.members.retain(|&(member, _)| member != key);
        self.rests.remove(&key);
    }

    fn publish(&mut self, io: &mut Io, message: Message<'_>) {
        self.bytes.extend_from_slice(&frame(message));
        self.ends.push_back(self.head());
        if self.write_at_once {
            self.flush(io);
        }
    }

    fn send(&mut self, io: &mut Io, key: SocketKey, bytes: &[u8]) -> bool {
        let rest = self.rests.entry(key).or_default();
        rest.extend_from_slice(bytes);
        let is_slow = rest.len() > BACKLOG_BYTES_MAX;
        self.write_rest(io, key);
        !is_slow
    }

    fn writable(&mut self, io: &mut Io, key: SocketKey) {
        let member = self.members.iter().position(|&(member, _)| member == key);
        match member {
            None => {
                self.write_rest(io, key);
            }
            Some(index) => {
                let (key, mut position) = self.members[index];
                match self.write(io, key, &mut position) {
                    true => self.members[index].1 = position,
                    false => {
                        self.members.swap_remove(index);
                    }
                }
            }
        }
    }

    fn turn_ended(&mut self, io: &mut Io) {
        self.flush(io);
    }
}
