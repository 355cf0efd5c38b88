//! What each connection has received and sent, if [`Config::connection_totals`](super::Config) asks for it.
//!
//! What comes from a client is counted here, by the index of its socket: 24 bytes for each connection, and two additions for a
//! message. What goes to it is counted where it is sent: `rooms/sent.rs`.
//! Without the setting nothing is kept, and a message costs one comparison.

use super::rooms::Sent;
use crate::time::Timestamp;
use std::time::Duration;

/// What a WebSocket connection has received and sent in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionTotals {
    /// Since the response 101.
    pub open_for: Duration,
    /// Messages of the client.
    pub messages_received: u64,
    /// Bytes of all frames of the client, with their headers, as they came.
    pub bytes_received: u64,
    /// Messages to the client, its rooms' messages included. Not those that were skipped, or were still waiting when it ended.
    pub messages_sent: u64,
    /// Bytes of the frames of these messages, with their headers, as they were sent.
    pub bytes_sent: u64,
}

/// What the clients of a worker have sent, by the index of their socket.
#[derive(Debug, Default)]
pub(super) struct Totals {
    is_on: bool,
    received: Vec<Received>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Received {
    opened_at: Timestamp,
    messages: u64,
    bytes: u64,
}

impl Totals {
    pub(super) fn new(is_on: bool) -> Totals {
        Totals {
            is_on,
            received: Vec::new(),
        }
    }

    /// A connection opens.
    pub(super) fn opened(&mut self, index: usize, now: Timestamp) {
        if !self.is_on {
            return;
        }
        if self.received.len() <= index {
            self.received.resize(index + 1, Received::default());
        }
        self.received[index] = Received {
            opened_at: now,
            ..Received::default()
        };
    }

    /// Bytes of frames came.
    #[inline(always)]
    pub(super) fn received(&mut self, index: usize, bytes: usize) {
        if self.is_on {
            self.add(index, 0, bytes);
        }
    }

    /// A message came, whose bytes are counted.
    #[inline(always)]
    pub(super) fn message(&mut self, index: usize) {
        if self.is_on {
            self.add(index, 1, 0);
        }
    }

    #[inline(never)]
    fn add(&mut self, index: usize, messages: u64, bytes: usize) {
        if let Some(received) = self.received.get_mut(index) {
            received.messages += messages;
            received.bytes += bytes as u64;
        }
    }

    /// The totals of a connection that ends. `None`: they are not counted.
    pub(super) fn closed(
        &self,
        index: usize,
        sent: Sent,
        now: Timestamp,
    ) -> Option<ConnectionTotals> {
        let received = self.received.get(index)?;
        Some(ConnectionTotals {
            open_for: now.since(received.opened_at),
            messages_received: received.messages,
            bytes_received: received.bytes,
            messages_sent: sent.messages,
            bytes_sent: sent.bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_begin_anew_in_the_slot_of_an_ended_connection() {
        let mut totals = Totals::new(true);
        totals.opened(2, Timestamp(1_000));
        totals.received(2, 7);
        totals.message(2);
        let sent = Sent::default();
        let first = totals.closed(2, sent, Timestamp(3_500)).expect("counted");
        assert_eq!(first.open_for, Duration::from_millis(2_500));
        assert_eq!((first.messages_received, first.bytes_received), (1, 7));
        totals.opened(2, Timestamp(4_000));
        let second = totals.closed(2, sent, Timestamp(4_000)).expect("counted");
        assert_eq!(second, ConnectionTotals::default());
    }

    #[test]
    fn nothing_is_kept_without_the_setting() {
        let mut totals = Totals::new(false);
        totals.opened(2, Timestamp(0));
        totals.received(2, 7);
        totals.message(2);
        assert_eq!(totals.received.capacity(), 0);
        assert_eq!(totals.closed(2, Sent::default(), Timestamp(9)), None);
    }
}
