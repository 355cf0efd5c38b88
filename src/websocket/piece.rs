//! A part of a message, received before the message is whole: [`Piece`].

use alloc::boxed::Box;
use core::fmt;

/// A piece of a message, from a connection that hands out messages in pieces
/// ([`Connection::with_pieces`](super::Connection::with_pieces)).
///
/// The pieces of a message are all texts or all binary, and joined they are the message.
/// How many there are depends on how the message arrives. The first and the last one are
/// marked, and no other is empty. A message that has come as one piece is both.
///
/// A piece of a text is text: a character that was cut comes whole with a later piece. A
/// piece of a text that is not the last one can still belong to a message that turns out
/// not to be UTF-8; the connection fails then, and no last piece comes.
///
/// A plain piece is a slice of the input. A piece of a compressed message has a buffer of
/// its own, of at most 64 KiB.
///
/// To send a piece on:
///
/// ```
/// use yamabiko::websocket::{Connection, Event, Fragment, Limits};
///
/// let mut connection = Connection::server(Limits::default()).with_pieces();
/// let mut bytes = *b"\x81\x85\0\0\0\0Hello";
/// let mut output = Vec::new();
/// for bytes in bytes.chunks_mut(8) {
///     let mut input = bytes;
///     while let Some(event) = connection.receive(&mut input, &mut output)? {
///         if let Event::Piece(piece) = event {
///             connection.send_fragment(Fragment::from(&piece), &mut output)?;
///         }
///     }
/// }
/// assert_eq!(output, b"\x01\x02He\x80\x03llo");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Piece<'b>(Content<'b>);

/// The bytes of a piece. The marks are in each variant, where they fit beside its tag: so a
/// piece has three words, and enlarges no event.
#[derive(Clone)]
pub(crate) enum Content<'b> {
    Text(&'b str, Marks),
    Binary(&'b [u8], Marks),
    /// A character that came in parts: its UTF-8, 1 ≤ length ≤ 4.
    Character {
        utf8: [u8; 4],
        length: u8,
        marks: Marks,
    },
    InflatedText(Box<str>, Marks),
    InflatedBinary(Box<[u8]>, Marks),
}

/// Which end of its message a piece is.
#[derive(Clone, Copy)]
pub(crate) struct Marks {
    is_first: bool,
    is_last: bool,
}

impl<'b> Piece<'b> {
    pub(crate) fn new(mut content: Content<'b>, is_first: bool, is_last: bool) -> Piece<'b> {
        *content.marks_mut() = Marks { is_first, is_last };
        Piece(content)
    }
}

impl Piece<'_> {
    /// The bytes; those of a text are UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, if the message is one.
    ///
    /// ```
    /// # use yamabiko::websocket::{Connection, Event, Limits};
    /// let mut client = Connection::client(Limits::default(), || [0; 4]).with_pieces();
    /// let mut bytes = *b"\x81\x04a\xe5\xb1\xb1"; // "a山", cut in its second character
    /// let (mut first, mut second) = bytes.split_at_mut(4);
    /// for (input, text, is_last) in [(&mut first, "a", false), (&mut second, "山", true)] {
    ///     let Some(Event::Piece(piece)) = client.receive(input, &mut Vec::new())? else {
    ///         unreachable!("a piece has come");
    ///     };
    ///     assert_eq!((piece.as_text(), piece.is_last()), (Some(text), is_last));
    /// }
    /// # Ok::<(), yamabiko::websocket::ProtocolError>(())
    /// ```
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Content::Text(text, _) => Some(text),
            Content::InflatedText(text, _) => Some(text),
            // UTF-8, as a `char` has encoded it.
            Content::Character { .. } => core::str::from_utf8(self.as_bytes()).ok(),
            Content::Binary(..) | Content::InflatedBinary(..) => None,
        }
    }

    /// Whether the message is a text.
    pub fn is_text(&self) -> bool {
        !matches!(self.0, Content::Binary(..) | Content::InflatedBinary(..))
    }

    /// Whether the message begins with this piece.
    pub fn is_first(&self) -> bool {
        self.0.marks().is_first
    }

    /// Whether the message ends with this piece: it is whole now, and valid.
    pub fn is_last(&self) -> bool {
        self.0.marks().is_last
    }
}

impl<'b> Content<'b> {
    pub(crate) const fn text(text: &'b str) -> Content<'b> {
        Content::Text(text, Marks::NONE)
    }

    pub(crate) const fn binary(bytes: &'b [u8]) -> Content<'b> {
        Content::Binary(bytes, Marks::NONE)
    }

    pub(crate) const fn inflated_text(text: Box<str>) -> Content<'b> {
        Content::InflatedText(text, Marks::NONE)
    }

    pub(crate) const fn inflated_binary(bytes: Box<[u8]>) -> Content<'b> {
        Content::InflatedBinary(bytes, Marks::NONE)
    }

    /// A character that came in parts.
    pub(crate) fn character(character: char) -> Content<'b> {
        let mut utf8 = [0; 4];
        let length = character.encode_utf8(&mut utf8).len() as u8;
        let marks = Marks::NONE;
        Content::Character {
            utf8,
            length,
            marks,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Content::Text(text, _) => text.as_bytes(),
            Content::Binary(bytes, _) => bytes,
            Content::Character { utf8, length, .. } => &utf8[..usize::from(*length)],
            Content::InflatedText(text, _) => text.as_bytes(),
            Content::InflatedBinary(bytes, _) => bytes,
        }
    }

    fn marks(&self) -> Marks {
        match self {
            Content::Text(_, marks)
            | Content::Binary(_, marks)
            | Content::Character { marks, .. }
            | Content::InflatedText(_, marks)
            | Content::InflatedBinary(_, marks) => *marks,
        }
    }

    fn marks_mut(&mut self) -> &mut Marks {
        match self {
            Content::Text(_, marks)
            | Content::Binary(_, marks)
            | Content::Character { marks, .. }
            | Content::InflatedText(_, marks)
            | Content::InflatedBinary(_, marks) => marks,
        }
    }
}

impl Marks {
    const NONE: Marks = Marks {
        is_first: false,
        is_last: false,
    };
}

/// Equal if they are the same part of the same message; where the bytes lie does not count.
impl PartialEq for Piece<'_> {
    fn eq(&self, other: &Piece<'_>) -> bool {
        self.is_text() == other.is_text()
            && self.is_first() == other.is_first()
            && self.is_last() == other.is_last()
            && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Piece<'_> {}

impl fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Piece");
        match self.as_text() {
            Some(text) => shown.field("text", &text),
            None => shown.field("bytes", &self.as_bytes()),
        };
        shown
            .field("is_first", &self.is_first())
            .field("is_last", &self.is_last())
            .finish()
    }
}
