//! A message that is sent in several frames: [`Fragment`], and the rules for a sequence of them
//! (RFC 6455 §5.4).

use super::error::SendError;
use super::frame::Opcode;
use super::piece::Piece;
use super::utf8::Utf8Validator;

/// A part of a message that is sent in several frames, each when its part is there: one frame.
///
/// All fragments of a message are of one type, and the last one is marked. It may be empty.
///
/// ```
/// use yamabiko::websocket::{Connection, Fragment, Limits};
///
/// let mut server = Connection::server(Limits::default());
/// let mut wire = Vec::new();
/// server.send_fragment(Fragment::text(b"Hel"), &mut wire)?;
/// server.send_fragment(Fragment::text(b"lo").last(), &mut wire)?;
/// assert_eq!(wire, b"\x01\x03Hel\x80\x02lo"); // RFC 6455 §5.7
/// # Ok::<(), yamabiko::websocket::SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    bytes: &'a [u8],
    is_text: bool,
    is_last: bool,
}

impl<'a> Fragment<'a> {
    /// A part of a text; it may be cut inside a character. Not the last one.
    pub const fn text(bytes: &'a [u8]) -> Fragment<'a> {
        Fragment {
            bytes,
            is_text: true,
            is_last: false,
        }
    }

    /// A part of a binary message. Not the last one.
    pub const fn binary(bytes: &'a [u8]) -> Fragment<'a> {
        Fragment {
            bytes,
            is_text: false,
            is_last: false,
        }
    }

    /// The same as the last fragment of its message.
    #[must_use]
    pub const fn last(self) -> Fragment<'a> {
        self.last_if(true)
    }

    /// The same; the last fragment of its message if the condition is true.
    #[must_use]
    pub const fn last_if(self, condition: bool) -> Fragment<'a> {
        Fragment {
            is_last: condition,
            ..self
        }
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the message is a text.
    pub const fn is_text(&self) -> bool {
        self.is_text
    }

    /// Whether the message ends with this fragment.
    pub const fn is_last(&self) -> bool {
        self.is_last
    }

    /// The opcode of the message.
    const fn opcode(self) -> Opcode {
        match self.is_text {
            true => Opcode::Text,
            false => Opcode::Binary,
        }
    }
}

/// A piece that was received, to be sent on; the last one if it was the last one.
impl<'a> From<&'a Piece<'_>> for Fragment<'a> {
    fn from(piece: &'a Piece<'_>) -> Fragment<'a> {
        let fragment = match piece.is_text() {
            true => Fragment::text(piece.as_bytes()),
            false => Fragment::binary(piece.as_bytes()),
        };
        fragment.last_if(piece.is_last())
    }
}

/// The message that is being sent in fragments, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FragmentedMessage(Option<UnderWay>);

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    opcode: Opcode,
    utf8: Utf8Validator,
}

impl FragmentedMessage {
    /// Whether fragments have been sent, and no last one.
    #[inline]
    pub(crate) const fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// One more fragment. Returns the opcode of its frame.
    ///
    /// # Errors
    /// It may not be sent. Nothing has changed.
    pub(crate) fn add(&mut self, fragment: Fragment<'_>) -> Result<Opcode, SendError> {
        let opcode = fragment.opcode();
        let mut message = self.0.unwrap_or(UnderWay {
            opcode,
            utf8: Utf8Validator::default(),
        });
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# the type
        //# for all fragments in a message MUST be either text, binary, or one
        //# of the reserved opcodes.
        if opcode != message.opcode {
            return Err(SendError::FragmentOfOtherType);
        }
        message.check_text(fragment)?;
        let is_first = !self.is_under_way();
        self.0 = (!fragment.is_last).then_some(message);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
        //# The opcode (frame-opcode) of the first frame containing the
        //# data MUST be set to the appropriate value from Section 5.2
        Ok(match is_first {
            true => opcode,
            false => Opcode::Continuation,
        })
    }
}

impl UnderWay {
    /// A text is UTF-8 so far, and at its end.
    fn check_text(&mut self, fragment: Fragment<'_>) -> Result<(), SendError> {
        if self.opcode == Opcode::Text {
            let pushed = self.utf8.push(fragment.bytes);
            pushed.map_err(|_| SendError::TextNotUtf8)?;
            if fragment.is_last {
                self.utf8.finish().map_err(|_| SendError::TextNotUtf8)?;
            }
        }
        Ok(())
    }
}
