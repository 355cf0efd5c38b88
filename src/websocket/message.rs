//! A message, as an application sends and receives it (RFC 6455 §5.6).
//!
//! One type for the protocol core, the server and the client. [`Message`] borrows its payload and is two words and a
//! tag; [`OwnedMessage`] has its own. Neither knows frames: a Ping and a Pong are no messages, they have methods of
//! their own ([`Connection::ping`](super::Connection::ping), [`Connection::pong`](super::Connection::pong)).

use super::frame::Opcode;
use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A whole message, borrowed: for sending, and as received.
///
/// Where a message is sent, anything that borrows as one will do: a `&str`, a `&String` and
/// a `&Cow<str>` are texts; a `&[u8]`, an array of bytes, a `&Vec<u8>` and a `&Cow<[u8]>`
/// are binary messages; and so is an `&OwnedMessage`, of either kind.
///
/// ```
/// use yamabiko::websocket::{Message, OwnedMessage};
///
/// let message = Message::from("Hello");
/// assert_eq!(message, Message::Text("Hello"));
/// assert_eq!(message.as_bytes(), b"Hello");
///
/// let kept: OwnedMessage = message.into_owned();
/// assert_eq!(Message::from(&kept), message);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes whose meaning the application defines.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload's bytes; those of a text are UTF-8.
    #[inline]
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The text of a text message.
    pub const fn as_text(self) -> Option<&'a str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// A copy that owns its payload: one allocation.
    pub fn into_owned(self) -> OwnedMessage {
        match self {
            Message::Text(text) => OwnedMessage::Text(text.to_owned()),
            Message::Binary(bytes) => OwnedMessage::Binary(bytes.to_owned()),
        }
    }

    /// The opcode of the message's first frame.
    #[inline]
    pub(crate) const fn opcode(self) -> Opcode {
        match self {
            Message::Text(_) => Opcode::Text,
            Message::Binary(_) => Opcode::Binary,
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Message<'a> {
        Message::Text(text)
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Message<'a> {
        Message::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Message<'a> {
        Message::Binary(bytes)
    }
}

impl<'a, const LENGTH: usize> From<&'a [u8; LENGTH]> for Message<'a> {
    fn from(bytes: &'a [u8; LENGTH]) -> Message<'a> {
        Message::Binary(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Message<'a> {
        Message::Binary(bytes)
    }
}

impl<'a> From<&'a Cow<'_, str>> for Message<'a> {
    fn from(text: &'a Cow<'_, str>) -> Message<'a> {
        Message::Text(text)
    }
}

impl<'a> From<&'a Cow<'_, [u8]>> for Message<'a> {
    fn from(bytes: &'a Cow<'_, [u8]>) -> Message<'a> {
        Message::Binary(bytes)
    }
}

impl<'a> From<&'a OwnedMessage> for Message<'a> {
    fn from(message: &'a OwnedMessage) -> Message<'a> {
        message.as_message()
    }
}

/// A text as it is; of a binary message the number of bytes.
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Text(text) => f.pad(text),
            Message::Binary(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

/// A whole message that owns its payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnedMessage {
    /// Text.
    Text(String),
    /// Bytes whose meaning the application defines.
    Binary(Vec<u8>),
}

impl OwnedMessage {
    /// The same message, borrowed.
    pub fn as_message(&self) -> Message<'_> {
        match self {
            OwnedMessage::Text(text) => Message::Text(text),
            OwnedMessage::Binary(bytes) => Message::Binary(bytes),
        }
    }

    /// The payload's bytes; those of a text are UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        self.as_message().as_bytes()
    }

    /// The text of a text message.
    pub fn as_text(&self) -> Option<&str> {
        self.as_message().as_text()
    }

    /// The payload's bytes, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            OwnedMessage::Text(text) => text.into_bytes(),
            OwnedMessage::Binary(bytes) => bytes,
        }
    }
}

impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> OwnedMessage {
        message.into_owned()
    }
}

impl From<String> for OwnedMessage {
    fn from(text: String) -> OwnedMessage {
        OwnedMessage::Text(text)
    }
}

impl From<&str> for OwnedMessage {
    fn from(text: &str) -> OwnedMessage {
        Message::Text(text).into_owned()
    }
}

impl From<Cow<'_, str>> for OwnedMessage {
    fn from(text: Cow<'_, str>) -> OwnedMessage {
        OwnedMessage::Text(text.into_owned())
    }
}

impl From<Cow<'_, [u8]>> for OwnedMessage {
    fn from(bytes: Cow<'_, [u8]>) -> OwnedMessage {
        OwnedMessage::Binary(bytes.into_owned())
    }
}

impl From<Vec<u8>> for OwnedMessage {
    fn from(bytes: Vec<u8>) -> OwnedMessage {
        OwnedMessage::Binary(bytes)
    }
}

impl From<&[u8]> for OwnedMessage {
    fn from(bytes: &[u8]) -> OwnedMessage {
        Message::Binary(bytes).into_owned()
    }
}

impl<const LENGTH: usize> From<&[u8; LENGTH]> for OwnedMessage {
    fn from(bytes: &[u8; LENGTH]) -> OwnedMessage {
        Message::Binary(bytes).into_owned()
    }
}

/// As [`Message`].
impl fmt::Display for OwnedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_message().fmt(f)
    }
}

/// So that a received message is compared with an expected one as it is written in a test.
impl PartialEq<Message<'_>> for OwnedMessage {
    fn eq(&self, other: &Message<'_>) -> bool {
        self.as_message() == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_texts_and_byte_strings_are_binary() {
        for message in [
            Message::from("山"),
            Message::from(&String::from("山")),
            Message::from(&Cow::from("山")),
        ] {
            assert_eq!(message, Message::Text("山"));
        }
        let bytes = vec![1, 2];
        for message in [
            Message::from(&[1, 2]),
            Message::from(&bytes),
            Message::from(&bytes[..]),
            Message::from(&Cow::from(&bytes[..])),
        ] {
            assert_eq!(message, Message::Binary(&[1, 2]));
        }
        assert_eq!(
            OwnedMessage::from("山"),
            OwnedMessage::from("山".to_owned())
        );
        let owned = OwnedMessage::from(Cow::from(&bytes[..]));
        assert_eq!(OwnedMessage::from(&bytes[..]), owned);
        assert_eq!(owned, OwnedMessage::from(bytes));
        assert_eq!(
            OwnedMessage::from(Cow::from("山")),
            OwnedMessage::from("山")
        );
    }

    #[test]
    fn display_shows_a_text_and_counts_bytes() {
        let owned = OwnedMessage::from(&[0; 3]);
        assert_eq!(owned.to_string(), "3 bytes");
        assert_eq!(format!("{:>3}", Message::Text("山")), "  山");
    }

    #[test]
    fn message_is_the_same_when_it_is_owned_and_borrowed_again() {
        for message in [Message::Text("山"), Message::Binary("山".as_bytes())] {
            let owned = message.into_owned();
            assert_eq!(owned, message);
            assert_eq!(owned.as_message(), message);
            assert_eq!(owned.as_text(), message.as_text());
            assert_eq!(owned.as_bytes(), message.as_bytes());
            assert_eq!(owned.into_bytes(), message.as_bytes());
        }
    }
}
