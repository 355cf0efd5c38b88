//! Exercise 5: one log, many cursors.

use std::collections::BTreeMap;

/// The messages of a room, and how far each member is.
#[derive(Debug, Default)]
pub struct Room {
    log: Vec<u8>,
    /// The position of the log's first byte.
    start: usize,
    cursors: BTreeMap<usize, usize>,
    members: usize,
}

impl Room {
    /// A new member, which gets everything that is published from now on. Returns its number.
    pub fn join(&mut self) -> usize {
        let member = self.members;
        self.members += 1;
        self.cursors.insert(member, self.start + self.log.len());
        member
    }

    /// The member is gone.
    pub fn leave(&mut self, member: usize) {
        self.cursors.remove(&member);
        self.free();
    }

    /// Appends a frame for all members, once.
    pub fn publish(&mut self, frame: &[u8]) {
        self.log.extend_from_slice(frame);
        self.free(); // if there is no member
    }

    /// All bytes that the member does not have.
    pub fn waiting(&self, member: usize) -> &[u8] {
        &self.log[self.cursors[&member] - self.start..]
    }

    /// The member's socket has taken so many of the waiting bytes.
    pub fn taken(&mut self, member: usize, bytes: usize) {
        if let Some(cursor) = self.cursors.get_mut(&member) {
            *cursor += bytes;
        }
        self.free();
    }

    /// The bytes that the room holds, for all members together.
    pub fn held_bytes(&self) -> usize {
        self.log.len()
    }

    fn free(&mut self) {
        let head = self.start + self.log.len();
        let slowest = self.cursors.values().copied().min().unwrap_or(head);
        self.log.drain(..slowest - self.start);
        self.start = slowest;
    }
}
