//! The lanes of a room: its members and a log of theirs, for each way in which its
//! messages are encoded.
//!
//! ```text
//!                        ┌ plain     log ── A, B            members without compression
//!   "lobby" ── a message ┼ deflate   log ── C, D, E, F      nearly all others
//!                        └ narrow    log ── G               small windows
//! ```
//!
//! A message is appended to each lane that somebody is in, and to none other. A
//! member is in one lane, and every lane has all messages in the room's order, so
//! all members hear the same. Each lane has its cursors, its slow readers and its
//! backlog, counted in the bytes of its own log.

use super::compressor::Variant;

/// Where the lanes of one room are in the worker's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lanes([u32; Variant::ALL.len()]);

impl Lanes {
    /// A room without members.
    pub(super) const NONE: Lanes = Lanes([NO_LANE; Variant::ALL.len()]);

    /// The lane of this variant, if somebody is in it.
    pub(super) fn get(&self, variant: Variant) -> Option<u32> {
        Some(self.0[variant as usize]).filter(|&lane| lane != NO_LANE)
    }

    /// All lanes that somebody is in.
    pub(super) fn iter(self) -> impl Iterator<Item = (Variant, u32)> {
        Variant::ALL
            .into_iter()
            .zip(self.0)
            .filter(|&(_, lane)| lane != NO_LANE)
    }

    /// Whether this is one of them.
    pub(super) fn contains(&self, lane: u32) -> bool {
        self.0.contains(&lane)
    }

    pub(super) fn add(&mut self, variant: Variant, lane: u32) {
        self.0[variant as usize] = lane;
    }

    pub(super) fn remove(&mut self, variant: Variant) {
        self.0[variant as usize] = NO_LANE;
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Lanes::NONE
    }
}

/// No lane has this index: each has a member with a socket.
const NO_LANE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_come_and_go() {
        let mut lanes = Lanes::NONE;
        assert!(lanes.is_empty());
        lanes.add(Variant::Narrow, 7);
        lanes.add(Variant::Plain, 0);
        assert_eq!(lanes.get(Variant::Plain), Some(0));
        assert_eq!(lanes.get(Variant::Deflate), None);
        assert!(lanes.contains(7) && !lanes.contains(1));
        let all: Vec<_> = lanes.iter().collect();
        assert_eq!(all, [(Variant::Plain, 0), (Variant::Narrow, 7)]);
        lanes.remove(Variant::Plain);
        lanes.remove(Variant::Narrow);
        assert!(lanes.is_empty());
    }
}
