//! The logs of one room: one for each encoding that a subscriber needs.
//!
//! ```text
//!                        ┌ plain     log ── A, B            no compression
//!   "lobby" ── a message ┼ deflate   log ── C, D, E, F      nearly all clients that take compression
//!                        └ narrow    log ── G               small windows
//! ```
//!
//! A message is appended to each of these logs and to no other. A subscription is a cursor in one of them, and each log has
//! all messages in the room's order, so all subscribers receive the same messages. Each log has limits on lag of its own,
//! counted in its own bytes.

use super::encoding::Encoding;
use super::log_set::LogId;

/// The logs of one room, by encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoomLogs([LogId; Encoding::ALL.len()]);

impl RoomLogs {
    /// A room without subscribers.
    pub(super) const NONE: RoomLogs = RoomLogs([LogId::NONE; Encoding::ALL.len()]);

    /// The log of this encoding, if it has a subscriber.
    pub(super) fn get(&self, encoding: Encoding) -> Option<LogId> {
        Some(self.0[encoding as usize]).filter(|&log| log != LogId::NONE)
    }

    /// All logs that have a subscriber.
    pub(super) fn iter(self) -> impl Iterator<Item = (Encoding, LogId)> {
        Encoding::ALL
            .into_iter()
            .zip(self.0)
            .filter(|&(_, log)| log != LogId::NONE)
    }

    /// Whether this is one of them.
    pub(super) fn contains(&self, log: LogId) -> bool {
        self.0.contains(&log)
    }

    pub(super) fn add(&mut self, encoding: Encoding, log: LogId) {
        self.0[encoding as usize] = log;
    }

    pub(super) fn remove(&mut self, encoding: Encoding) {
        self.0[encoding as usize] = LogId::NONE;
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == RoomLogs::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_found_by_encoding_until_they_are_removed() {
        let mut logs = RoomLogs::NONE;
        assert!(logs.is_empty());
        let [zero, one, seven] = [0, 1, 7].map(LogId::new);
        logs.add(Encoding::NarrowDeflate, seven);
        logs.add(Encoding::Plain, zero);
        assert_eq!(logs.get(Encoding::Plain), Some(zero));
        assert_eq!(logs.get(Encoding::Deflate), None);
        assert!(logs.contains(seven) && !logs.contains(one));
        let all: Vec<_> = logs.iter().collect();
        assert_eq!(
            all,
            [(Encoding::Plain, zero), (Encoding::NarrowDeflate, seven)]
        );
        logs.remove(Encoding::Plain);
        logs.remove(Encoding::NarrowDeflate);
        assert!(logs.is_empty());
    }
}
