//! Stage 1: each message is encoded and written for each member.
//!
//! There is no place for what a socket does not take, so a member that is slow for one moment
//! is disconnected.

use crate::FanOut;
use yamabiko::reactor::{Io, SocketKey};
use yamabiko::websocket::Message;
use yamabiko::websocket::frame::{Opcode, encode};

#[derive(Default)]
pub struct Naive {
    members: Vec<SocketKey>,
}

impl FanOut for Naive {
    fn join(&mut self, key: SocketKey) {
        self.members.push(key);
    }

    fn leave(&mut self, key: SocketKey) {
        self.members.retain(|&member| member != key);
    }

    fn publish(&mut self, io: &mut Io, message: Message<'_>) {
        self.members.retain(|&member| {
            let frame = frame(message);
            write_all_or_close(io, member, &frame)
        });
    }

    fn send(&mut self, io: &mut Io, key: SocketKey, bytes: &[u8]) -> bool {
        write_all_or_close(io, key, bytes)
    }

    fn writable(&mut self, _io: &mut Io, _key: SocketKey) {}
}

fn write_all_or_close(io: &mut Io, key: SocketKey, bytes: &[u8]) -> bool {
    let all = io.write(key, bytes) == bytes.len();
    if !all {
        // Half a frame cannot be repaired. The reactor reports the end of a failed socket.
        io.shutdown_write(key);
    }
    all
}

/// A message as a server sends it: not masked, so the same bytes for everyone.
pub fn frame(message: Message<'_>) -> Vec<u8> {
    let opcode = match message {
        Message::Text(_) => Opcode::Text,
        Message::Binary(_) => Opcode::Binary,
    };
    let mut frame = Vec::new();
    encode(true, opcode, None, message.as_bytes(), &mut frame);
    frame
}
