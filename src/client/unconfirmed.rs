//! Messages that were sent, and that the server may not have received: [`Unconfirmed`].
//!
//! ```text
//!   sent      1  2  3  ping(3)  4  5        pong(3)         ping(5) …
//!   held      1  1‥2  1‥3       1‥4  1‥5    4‥5: 1‥3 are confirmed
//! ```
//!
//! TCP tells no program what has arrived. A pong does: an endpoint answers a ping when it has
//! received everything before it (RFC 6455 §5.5.3). So behind the messages a ping with a number
//! is sent, one at a time, and its pong confirms all messages before it. This costs a ping and a pong for
//! each round trip in which messages were sent, and a copy of each message until then.
//!
//! Limit: a confirmed message has been received by the server's end of the connection. Only a
//! reply of the application can tell what it has done with it.

use std::collections::VecDeque;

use crate::websocket::OwnedMessage;

/// The messages that are not confirmed, within a limit in bytes. For a client that connects again
/// on other I/O than that of [`ReconnectingClient`](super::ReconnectingClient).
///
/// ```
/// use yamabiko::client::{OwnedMessage, Unconfirmed};
///
/// let mut unconfirmed = Unconfirmed::new(1 << 20);
/// for text in ["one", "two"] {
///     unconfirmed.push(text.into()).expect("room");
/// }
/// let ping = unconfirmed.ping().expect("messages wait");
/// unconfirmed.push("three".into()).expect("room");
/// assert_eq!(unconfirmed.ping(), None); // one at a time
/// assert_eq!(unconfirmed.pong(&ping), 2);
/// assert_eq!(unconfirmed.take(), [OwnedMessage::from("three")]); // the connection was lost
/// ```
#[derive(Clone, Debug)]
pub struct Unconfirmed {
    /// The one at the front has the number `first`.
    messages: VecDeque<OwnedMessage>,
    first: u64,
    /// 0 ≤ bytes ≤ bytes_max
    bytes: usize,
    bytes_max: usize,
    /// The pong with this number is awaited.
    asked: Option<u64>,
}

impl Unconfirmed {
    /// Holds at most so many bytes; each message counts 64 more than its payload.
    pub fn new(bytes_max: usize) -> Unconfirmed {
        Unconfirmed {
            messages: VecDeque::new(),
            first: 0,
            bytes: 0,
            bytes_max,
            asked: None,
        }
    }

    /// The message is going to be sent.
    ///
    /// # Errors
    /// There is no room for it; it is given back.
    pub fn push(&mut self, message: OwnedMessage) -> Result<(), OwnedMessage> {
        let bytes = self.bytes.saturating_add(held_bytes(&message));
        if bytes > self.bytes_max {
            return Err(message);
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        Ok(())
    }

    /// Whether there is room for this message.
    pub fn has_room(&self, message: &OwnedMessage) -> bool {
        self.bytes.saturating_add(held_bytes(message)) <= self.bytes_max
    }

    /// The payload of a ping to send now. `None`: a pong is awaited, or nothing is held.
    pub fn ping(&mut self) -> Option<[u8; 8]> {
        if self.asked.is_some() || self.messages.is_empty() {
            return None;
        }
        let next = self.first + self.messages.len() as u64;
        self.asked = Some(next);
        Some(next.to_be_bytes())
    }

    /// A pong has come. Returns the number of messages that it confirms: 0 if it has nothing to
    /// do with them.
    pub fn pong(&mut self, payload: &[u8]) -> usize {
        let Some(next) = self.asked.filter(|next| next.to_be_bytes() == payload) else {
            return 0;
        };
        self.asked = None;
        let count = usize::try_from(next - self.first).unwrap_or(usize::MAX);
        let confirmed = self.messages.drain(..count.min(self.messages.len()));
        self.bytes -= confirmed.map(|message| held_bytes(&message)).sum::<usize>();
        self.first = next;
        count
    }

    /// The connection was lost: the messages that it has not confirmed, in their order. Nothing
    /// is held from here on.
    pub fn take(&mut self) -> Vec<OwnedMessage> {
        self.first += self.messages.len() as u64;
        self.asked = None;
        self.bytes = 0;
        self.messages.drain(..).collect()
    }

    /// How many messages are not confirmed.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether all messages are confirmed.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

fn held_bytes(message: &OwnedMessage) -> usize {
    message.as_bytes().len().saturating_add(MESSAGE_BYTES)
}

/// What a message costs besides its payload: its entry and its allocation.
const MESSAGE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_counts_each_message_and_not_one_byte_more_fits() {
        let mut unconfirmed = Unconfirmed::new(2 * MESSAGE_BYTES + 3);
        unconfirmed.push("ab".into()).expect("room");
        assert_eq!(unconfirmed.push("ab".into()), Err("ab".into()));
        unconfirmed.push("a".into()).expect("room");
        assert_eq!(unconfirmed.push("".into()), Err("".into()));
        let ping = unconfirmed.ping().expect("messages are held");
        assert_eq!(unconfirmed.pong(&ping), 2);
        assert!(unconfirmed.is_empty() && unconfirmed.bytes == 0);
        unconfirmed.push("abc".into()).expect("room again");
    }

    #[test]
    fn pong_that_was_not_asked_for_confirms_nothing() {
        let mut unconfirmed = Unconfirmed::new(1 << 10);
        unconfirmed.push("a".into()).expect("room");
        assert_eq!(unconfirmed.pong(&1_u64.to_be_bytes()), 0);
        let ping = unconfirmed.ping().expect("a message is held");
        assert_eq!(unconfirmed.pong(b""), 0);
        assert_eq!(unconfirmed.pong(&[0; 8]), 0);
        assert_eq!(unconfirmed.take(), [OwnedMessage::from("a")]);
        // It belongs to the connection that was lost.
        unconfirmed.push("b".into()).expect("room");
        assert_eq!(unconfirmed.pong(&ping), 0);
        let ping = unconfirmed.ping().expect("a message is held");
        assert_eq!(unconfirmed.pong(&ping), 1);
    }
}
