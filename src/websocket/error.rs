//! The rules that a peer can break on an established connection, and the calls that are
//! not allowed.
//!
//! Each [`ProtocolError`] names the broken rule and has the code of the Close frame that
//! the core has already written. A normal ending is no
//! error; it is [`Event::Close`](super::Event::Close).

use super::frame::{CloseBodyError, CloseCode, FrameError};
use super::rule::Rule;
use super::utf8::InvalidUtf8;
use core::fmt;

/// A rule of RFC 6455 that the peer broke, or a limit that it went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A single frame is illegal: 1002.
    Frame(FrameError),
    /// A continuation frame, and no message is under way (§5.4): 1002.
    ContinuationWithoutMessage,
    /// A new data frame before the last message has ended (§5.4): 1002.
    MessageInsideMessage,
    /// A Close body of a single byte (§5.5.1): 1002.
    CloseBodyOneByte,
    /// A status code that must not be sent (§7.4): 1002.
    CloseCodeForbidden(u16),
    /// The reason in a Close frame is not UTF-8 (§5.5.1): 1007.
    CloseReasonNotUtf8,
    /// A text message is not UTF-8 (§8.1): 1007.
    TextNotUtf8,
    /// A compressed message cannot be inflated (RFC 7692 §7.2.2): 1007,
    /// because RSV1 announced compressed data, and it is not.
    CompressedDataCorrupt,
    /// A message over [`Limits::message_bytes_max`](super::Limits): 1009.
    MessageTooBig,
    /// A compressed message over [`Limits::inflate_ratio_max`](super::Limits): 1009.
    InflatedTooMuch,
    /// A message over [`Limits::fragments_max`](super::Limits): 1008.
    TooManyFragments,
    /// A compressed message in which more streams end (BFINAL) than 8, and one for each 64 of its bytes: 1008, because each
    /// costs as much as a hundred bytes of text.
    TooManyStreams,
}

impl ProtocolError {
    /// The status code of the Close that is sent to the peer (§7.4.1).
    ///
    /// ```
    /// use yamabiko::websocket::{ProtocolError, frame::CloseCode};
    ///
    /// assert_eq!(ProtocolError::TextNotUtf8.close_code(), CloseCode::INVALID_PAYLOAD);
    /// ```
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::Frame(_)
            | Self::ContinuationWithoutMessage
            | Self::MessageInsideMessage
            | Self::CloseBodyOneByte
            | Self::CloseCodeForbidden(_) => CloseCode::PROTOCOL_ERROR,
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
            //# 1007 indicates that an endpoint is terminating the connection
            //# because it has received data within a message that was not
            //# consistent with the type of the message
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 | Self::CompressedDataCorrupt => {
                CloseCode::INVALID_PAYLOAD
            }
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
            //# 1009 indicates that an endpoint is terminating the connection
            //# because it has received a message that is too big for it to
            //# process.
            Self::MessageTooBig | Self::InflatedTooMuch => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments | Self::TooManyStreams => CloseCode::POLICY_VIOLATION,
        }
    }

    /// The sentence of the RFC that the peer broke. Of a limit: the one that asks for limits.
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Frame(error) => error.rule(),
            Self::ContinuationWithoutMessage => Rule::FRAGMENTED_MESSAGE,
            Self::MessageInsideMessage => Rule::NOT_INTERLEAVED,
            Self::CloseBodyOneByte => Rule::CLOSE_BODY,
            Self::CloseCodeForbidden(code) => Rule::of_forbidden_code(*code),
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 => Rule::UTF8,
            Self::CompressedDataCorrupt => Rule::DECOMPRESS,
            Self::MessageTooBig
            | Self::InflatedTooMuch
            | Self::TooManyFragments
            | Self::TooManyStreams => Rule::LIMITS,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::ContinuationWithoutMessage => {
                f.write_str("continuation frame without a message (§5.4)")
            }
            Self::MessageInsideMessage => {
                f.write_str("new message before the last has ended (§5.4)")
            }
            Self::CloseBodyOneByte => f.write_str("Close body of one byte (§5.5.1)"),
            Self::CloseCodeForbidden(code) => {
                write!(f, "close code {code} must not be sent (§7.4)")
            }
            Self::CloseReasonNotUtf8 => f.write_str("close reason is not UTF-8 (§5.5.1)"),
            Self::TextNotUtf8 => f.write_str("text message is not UTF-8 (§8.1)"),
            Self::CompressedDataCorrupt => {
                f.write_str("compressed message is corrupt (RFC 7692 §7.2.2)")
            }
            Self::MessageTooBig => f.write_str("message over the size limit (§10.4)"),
            Self::InflatedTooMuch => {
                f.write_str("compressed message over the limit of its ratio (§10.4)")
            }
            Self::TooManyFragments => f.write_str("message in too many fragments (§10.4)"),
            Self::TooManyStreams => f.write_str("compressed message of too many streams (§10.4)"),
        }
    }
}

/// The cause that `Display` does not tell.
impl core::error::Error for ProtocolError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Frame(error) => error.source(),
            _ => None,
        }
    }
}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> ProtocolError {
        ProtocolError::Frame(error)
    }
}

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> ProtocolError {
        ProtocolError::TextNotUtf8
    }
}

impl From<CloseBodyError> for ProtocolError {
    fn from(error: CloseBodyError) -> ProtocolError {
        match error {
            CloseBodyError::OneByte => ProtocolError::CloseBodyOneByte,
            CloseBodyError::Code(code) => ProtocolError::CloseCodeForbidden(code),
            CloseBodyError::ReasonNotUtf8 => ProtocolError::CloseReasonNotUtf8,
        }
    }
}

/// Why a message was not written. Nothing was appended to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// A Close has been sent or received, or the connection has failed (§6.1). Messages of the
    /// peer may still come: a loop that answers them asks
    /// [`Connection::is_open`](super::Connection::is_open) first.
    NotOpen,
    /// A Ping or Pong with more than 125 bytes (§5.5).
    ControlPayloadTooLong,
    /// A fragmented message is under way: end it first (§5.4).
    MessageUnderWay,
    /// A fragment of the other type than the message was begun with (§5.4).
    FragmentOfOtherType,
    /// The fragments do not add up to UTF-8 (§5.6).
    TextNotUtf8,
    /// A Close reason of more than 123 bytes (§5.5).
    CloseReasonTooLong,
    /// 1010 is for clients only (§7.4.1).
    CloseCodeNotForServer,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "the connection is closing or closed",
            Self::ControlPayloadTooLong => "a ping or pong holds at most 125 bytes",
            Self::MessageUnderWay => "a fragmented message is under way",
            Self::FragmentOfOtherType => "a message's fragments are all of one type",
            Self::TextNotUtf8 => "a text message must be UTF-8",
            Self::CloseReasonTooLong => "a close reason holds at most 123 bytes",
            Self::CloseCodeNotForServer => "close code 1010 is for clients only",
        })
    }
}

impl core::error::Error for SendError {}
