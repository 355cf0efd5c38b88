//! What a connection has received: [`Event`].

use super::frame::CloseFrame;
use super::message::{Message, OwnedMessage};
use super::piece::Piece;
use alloc::borrow::Cow;

/// What the peer has sent.
///
/// An event borrows the caller's input and nothing else. A payload that lies whole in the
/// input is a slice of it. A message that came in pieces, or compressed, is owned by the
/// event, with the buffer in which it was put together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
// A tag of a whole word, apart from the payload: a match and the end of an event ask this word
// alone, and an event is moved in whole words. A tag of one byte leaves seven bytes that are moved
// in two parts, which takes up to 5 % more for a short message.
#[repr(usize)]
pub enum Event<'b> {
    /// A whole text message.
    Text(Cow<'b, str>),
    /// A whole binary message.
    Binary(Cow<'b, [u8]>),
    /// A piece of a message; only from a connection that was made to hand out messages in
    /// pieces ([`Connection::with_pieces`](super::Connection::with_pieces)), which has no
    /// `Text` and no `Binary`.
    Piece(Piece<'b>),
    /// A ping, answered already.
    Ping(Cow<'b, [u8]>),
    /// A pong, asked for or not.
    Pong(Cow<'b, [u8]>),
    /// The peer's Close, answered already unless it was itself the answer. No further event
    /// comes.
    Close(CloseFrame<'b>),
}

impl Event<'_> {
    /// The message, if the event is a whole one.
    ///
    /// ```
    /// use yamabiko::websocket::{Event, Message};
    ///
    /// let event = Event::Text("Hello".into());
    /// assert_eq!(event.message(), Some(Message::Text("Hello")));
    /// assert_eq!(Event::Ping(b"Hello".into()).message(), None);
    /// ```
    #[inline]
    pub fn message(&self) -> Option<Message<'_>> {
        match self {
            Event::Text(text) => Some(Message::Text(text)),
            Event::Binary(bytes) => Some(Message::Binary(bytes)),
            Event::Piece(_) | Event::Ping(_) | Event::Pong(_) | Event::Close(_) => None,
        }
    }

    /// The message with a payload of its own, if the event is a whole one. A payload that the
    /// event owns already is not copied.
    pub fn into_message(self) -> Option<OwnedMessage> {
        match self {
            Event::Text(text) => Some(OwnedMessage::Text(text.into_owned())),
            Event::Binary(bytes) => Some(OwnedMessage::Binary(bytes.into_owned())),
            Event::Piece(_) | Event::Ping(_) | Event::Pong(_) | Event::Close(_) => None,
        }
    }
}

impl From<OwnedMessage> for Event<'_> {
    fn from(message: OwnedMessage) -> Self {
        match message {
            OwnedMessage::Text(text) => Event::Text(Cow::Owned(text)),
            OwnedMessage::Binary(bytes) => Event::Binary(Cow::Owned(bytes)),
        }
    }
}
