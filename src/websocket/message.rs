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
/// Where a message is sent, strings and bytes will do as they are ([`AsMessage`]).
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

/// A value that can be sent as a message: strings are texts, bytes are binary messages.
///
/// | text | binary | either |
/// |---|---|---|
/// | `str`, `String`, `Cow<str>` | `[u8]`, `[u8; N]`, `Vec<u8>`, `Cow<[u8]>` | [`Message`], [`OwnedMessage`] |
///
/// Each of them, and a reference to it. A type of the application can implement it, too.
///
/// ```
/// use yamabiko::websocket::{Connection, Limits};
///
/// let mut server = Connection::server(Limits::default());
/// let mut output = Vec::new();
/// let text = format!("{} mountains", 3);
/// server.send(&text, &mut output)?; // borrowed
/// server.send(text, &mut output)?; // or given away
/// server.send([1, 2, 3], &mut output)?;
/// # Ok::<(), yamabiko::websocket::SendError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a message",
    note = "strings are sent as texts and bytes (`&[u8]`, `Vec<u8>`) as binary messages; \
            other values have to be encoded first, for example with `to_string()`"
)]
pub trait AsMessage {
    /// The value as a message.
    fn as_message(&self) -> Message<'_>;
}

impl<T: AsMessage + ?Sized> AsMessage for &T {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        (**self).as_message()
    }
}

impl AsMessage for Message<'_> {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        *self
    }
}

impl AsMessage for OwnedMessage {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        OwnedMessage::as_message(self)
    }
}

impl AsMessage for str {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Text(self)
    }
}

impl AsMessage for String {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Text(self)
    }
}

impl AsMessage for Cow<'_, str> {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Text(self)
    }
}

impl AsMessage for [u8] {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

impl<const LENGTH: usize> AsMessage for [u8; LENGTH] {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

impl AsMessage for Vec<u8> {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

impl AsMessage for Cow<'_, [u8]> {
    #[inline]
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
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
    fn strings_and_bytes_are_sent_owned_and_borrowed() {
        fn sent(message: impl AsMessage) -> OwnedMessage {
            message.as_message().into_owned()
        }
        let (text, owned, bytes) = ("山".to_owned(), OwnedMessage::from("山"), vec![1, 2]);
        assert_eq!(sent(&text), Message::Text("山"));
        assert_eq!(sent(&owned), Message::Text("山"));
        assert_eq!(sent(&bytes), Message::Binary(&[1, 2]));
        for text in [
            sent("山"),
            sent(String::from("山")),
            sent("山".to_owned().as_str()),
            sent(Cow::from("山")),
            sent(Message::Text("山")),
            sent(OwnedMessage::from("山")),
        ] {
            assert_eq!(text, Message::Text("山"));
        }
        for bytes in [
            sent([1, 2]),
            sent(b"\x01\x02"),
            sent(vec![1, 2]),
            sent(&[1, 2][..]),
            sent(Cow::from(&[1, 2][..])),
        ] {
            assert_eq!(bytes, Message::Binary(&[1, 2]));
        }
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
