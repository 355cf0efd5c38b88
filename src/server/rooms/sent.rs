//! What each connection was sent, if that is counted.
//!
//! ```text
//!   log            | 17 records, 940 bytes | … | 25 records, 1500 bytes |
//!                                          ^ subscribed                 ^ unsubscribed: 8 messages, 560 bytes
//! ```
//!
//! A delivery costs nothing here: the log counts its records and bytes anyway, and a subscription remembers where it began. Messages
//! that it did not get move that place forward. Costs 16 bytes for a subscription and 16 for a connection.

use super::subscription::Subscription;
use crate::broadcast::{SharedLog, Skipped};
use std::collections::HashMap;
use std::sync::Arc;

/// Messages to a connection, and the bytes of their frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl From<&Skipped> for Sent {
    fn from(skipped: &Skipped) -> Sent {
        Sent {
            messages: skipped.records,
            bytes: skipped.bytes,
        }
    }
}

/// The messages to the connections of a worker.
#[derive(Debug, Default)]
pub(super) struct SentTable {
    is_on: bool,
    /// By the index of the socket.
    connections: Vec<Sent>,
    /// The rooms of connections whose subscriptions have all ended and that have not ended themselves, by their keys.
    rooms: HashMap<u64, Arc<str>>,
}

/// Where the subscriptions of a log began, by their slots.
#[derive(Debug, Default)]
pub(super) struct Beginnings(Vec<Sent>);

impl Beginnings {
    fn of(&mut self, subscription: Subscription) -> &mut Sent {
        let slot = subscription.id.slot() as usize;
        if self.0.len() <= slot {
            self.0.resize(slot + 1, Sent::default());
        }
        &mut self.0[slot]
    }
}

impl SentTable {
    pub(super) fn new(is_on: bool) -> SentTable {
        SentTable {
            is_on,
            ..SentTable::default()
        }
    }

    /// A subscription begins in its log, so much before the head.
    pub(super) fn subscribed(
        &self,
        to: Subscription,
        past: Sent,
        log: &SharedLog,
        at: &mut Beginnings,
    ) {
        if self.is_on {
            let head = head(log);
            *at.of(to) = Sent {
                messages: head.messages - past.messages,
                bytes: head.bytes - past.bytes,
            };
        }
    }

    /// A subscription does not get these messages.
    #[inline]
    pub(super) fn excepted(&self, subscription: Subscription, of: Sent, at: &mut Beginnings) {
        if self.is_on {
            let began = at.of(subscription);
            began.messages += of.messages;
            began.bytes += of.bytes;
        }
    }

    /// A subscription of the connection with this index ends. It has got all messages of the log since it began but these.
    pub(super) fn unsubscribed(
        &mut self,
        index: usize,
        from: Subscription,
        missed: Sent,
        log: &SharedLog,
        at: &mut Beginnings,
    ) {
        if !self.is_on {
            return;
        }
        let (head, began) = (head(log), *at.of(from));
        let not_sent = (began.messages + missed.messages, began.bytes + missed.bytes);
        self.add(
            index,
            Sent {
                messages: head.messages.saturating_sub(not_sent.0),
                bytes: head.bytes.saturating_sub(not_sent.1),
            },
        );
    }

    /// A frame for one client. `is_last`: the message ends with it.
    #[inline(always)]
    pub(super) fn frame(&mut self, index: usize, bytes: usize, is_last: bool) {
        if self.is_on {
            let (messages, bytes) = (u64::from(is_last), bytes as u64);
            self.add(index, Sent { messages, bytes });
        }
    }

    #[inline(never)]
    fn add(&mut self, index: usize, sent: Sent) {
        if self.connections.len() <= index {
            self.connections.resize(index + 1, Sent::default());
        }
        let total = &mut self.connections[index];
        total.messages += sent.messages;
        total.bytes += sent.bytes;
    }

    /// All subscriptions of a connection end; the first one is to this room.
    pub(super) fn left(&mut self, key: u64, room: &Arc<str>) {
        if self.is_on {
            self.rooms.insert(key, room.clone());
        }
    }

    /// Takes what a connection that ends was sent, and the room that it was in.
    pub(super) fn take(&mut self, index: usize, key: u64) -> (Sent, Option<Arc<str>>) {
        let sent = self.connections.get_mut(index).map(std::mem::take);
        (sent.unwrap_or_default(), self.rooms.remove(&key))
    }
}

fn head(log: &SharedLog) -> Sent {
    Sent {
        messages: log.log().records(),
        bytes: log.log().head(),
    }
}
