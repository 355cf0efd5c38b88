//! The body of a Close frame: a status code and a reason
//! (RFC 6455 §5.5.1, §7.4).
//!
//! ```text
//!  0                   1
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
//! +-------------------------------+----------------------- - - -
//! |   status code (big-endian)    | reason, UTF-8, 0 to 123 bytes
//! +-------------------------------+----------------------- - - -
//! ```
//!
//! An empty body is legal too ([`CloseFrame::EMPTY`]). Codes that must not be sent (0 to
//! 999, 1004 to 1006, 1015, unassigned ones below 3000, 5000 and above) cannot be
//! expressed as a [`CloseCode`].

use alloc::borrow::Cow;
use core::fmt;

/// A status code that may be sent in a Close frame: 1000 to 1003, 1007 to 1014,
/// 3000 to 4999.
///
/// ```
/// use yamabiko::websocket::frame::CloseCode;
///
/// assert_eq!(CloseCode::new(1000), Some(CloseCode::NORMAL));
/// assert_eq!(CloseCode::new(1006), None); // never sent: there was no Close
/// assert_eq!(CloseCode::new(4321).map(CloseCode::get), Some(4321));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The endpoint goes away: a server stops, a page is left.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// The endpoint cannot take this type of message.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// A message's data did not fit its type, such as a text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// A rule of the endpoint's own was broken.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// The message is too big to be taken.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);
    /// A client misses an extension in the server's response; clients only.
    pub const MANDATORY_EXTENSION: CloseCode = CloseCode(1010);
    /// A server met something unforeseen.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// The service restarts; come back after a random delay (IANA registry).
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// The service is overloaded; come back later (IANA registry).
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// A gateway got no valid response from its server (IANA registry).
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);
    /// The client has not shown who it is, or its permission has ended; as HTTP's 401 (IANA
    /// registry).
    pub const UNAUTHORIZED: CloseCode = CloseCode(3000);
    /// The client may not do this; as HTTP's 403 (IANA registry).
    pub const FORBIDDEN: CloseCode = CloseCode(3003);

    /// The code, if it may be sent in a Close frame.
    pub const fn new(code: u16) -> Option<CloseCode> {
        match code {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2
            //# Status codes in the range 0-999 are not used.
            0..=999 => None,
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
            //# 1005 is a reserved value and MUST NOT be set as a status code
            1004..=1006 => None,
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
            //# 1015 is a reserved value and MUST NOT be set as a status code
            1015 => None,
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2
            //# Status codes in the range 1000-2999 are reserved for definition by
            //# this protocol, its future revisions, and extensions
            1016..=2999 => None,
            5000.. => None,
            _ => Some(CloseCode(code)),
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The content of a Close frame: a code for programs and a text for people, or nothing.
///
/// The same type is received ([`Event::Close`](crate::websocket::Event::Close)), sent
/// ([`Connection::close`](crate::websocket::Connection::close)) and reported
/// ([`Ended`](crate::websocket::Ended)), so that a Close can be passed on. Where one is sent, a
/// [`CloseCode`] alone will do, and a code with a text:
///
/// ```
/// use yamabiko::websocket::{CloseCode, CloseFrame};
///
/// let close = CloseFrame::from((CloseCode::GOING_AWAY, "the server stops"));
/// assert_eq!(close.code(), Some(CloseCode::GOING_AWAY));
/// assert_eq!(close.reason(), "the server stops");
/// assert_eq!(CloseFrame::from(CloseCode::NORMAL).reason(), "");
/// assert_eq!(CloseFrame::EMPTY.code(), None);
/// ```
///
/// The text fits a Close frame if it has at most [`CloseFrame::REASON_BYTES_MAX`] bytes. In an
/// event it is a slice of the input, or owned if the frame was cut.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CloseFrame<'a>(Option<(CloseCode, Cow<'a, str>)>);

impl From<CloseCode> for CloseFrame<'_> {
    /// A code without a text.
    fn from(code: CloseCode) -> Self {
        CloseFrame::new(code, "")
    }
}

/// A code and a text, borrowed or owned.
impl<'a, R: Into<Cow<'a, str>>> From<(CloseCode, R)> for CloseFrame<'a> {
    fn from((code, reason): (CloseCode, R)) -> Self {
        CloseFrame(Some((code, reason.into())))
    }
}

/// `1000`, or `1000: the text`, as it can stand in a log: the text is escaped.
impl fmt::Display for CloseFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("no code"),
            Some((code, reason)) if reason.is_empty() => code.fmt(f),
            Some((code, reason)) => write!(f, "{code}: {}", reason.escape_debug()),
        }
    }
}

impl fmt::Debug for CloseFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseFrame")
            .field("code", &self.code().map(CloseCode::get))
            .field("reason", &self.reason())
            .finish()
    }
}

impl<'a> CloseFrame<'a> {
    /// A Close without a code and without a text. Its receiver reports the code 1005.
    pub const EMPTY: CloseFrame<'static> = CloseFrame(None);

    /// The bytes of a control frame that the code leaves to the text.
    pub const REASON_BYTES_MAX: usize = 123;

    /// A code and a borrowed text, which may be empty.
    pub const fn new(code: CloseCode, reason: &'a str) -> CloseFrame<'a> {
        CloseFrame(Some((code, Cow::Borrowed(reason))))
    }

    /// The status code, if the frame has one.
    pub fn code(&self) -> Option<CloseCode> {
        self.0.as_ref().map(|(code, _)| *code)
    }

    /// The reason, for a log and not for decisions; may be empty.
    pub fn reason(&self) -> &str {
        self.0.as_ref().map_or("", |(_, reason)| reason)
    }

    /// The same with a reason that fits a Close frame: one that is too long is cut at a
    /// character.
    ///
    /// ```
    /// use yamabiko::websocket::{CloseCode, CloseFrame};
    ///
    /// let long = "山".repeat(100);
    /// let close = CloseFrame::new(CloseCode::NORMAL, &long).truncated();
    /// assert_eq!(close.reason(), "山".repeat(41));
    /// ```
    #[must_use]
    pub fn truncated(self) -> CloseFrame<'a> {
        CloseFrame(self.0.map(|(code, reason)| match reason {
            Cow::Borrowed(reason) => (code, Cow::Borrowed(fitting(reason))),
            Cow::Owned(mut reason) => {
                reason.truncate(fitting(&reason).len());
                (code, Cow::Owned(reason))
            }
        }))
    }

    /// Reads the body of a Close frame.
    pub(crate) fn parse(body: &'a [u8]) -> Result<CloseFrame<'a>, CloseBodyError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# If there is a body, the first two bytes of the body MUST be a 2-byte
        //# unsigned integer (in network byte order) representing a status code
        let (code, reason) = match body {
            [] => return Ok(CloseFrame::EMPTY),
            [_] => return Err(CloseBodyError::OneByte),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        let code = CloseCode::new(code).ok_or(CloseBodyError::Code(code))?;
        let reason = core::str::from_utf8(reason).map_err(|_| CloseBodyError::ReasonNotUtf8)?;
        Ok(CloseFrame::new(code, reason))
    }

    /// The body of the frame, and how many of its bytes are used. A reason that is too long
    /// is cut at a character.
    pub(crate) fn encode(&self) -> ([u8; 125], usize) {
        let mut body = [0; 125];
        let Some((code, reason)) = &self.0 else {
            return (body, 0);
        };
        let reason = fitting(reason).as_bytes();
        let length = 2 + reason.len();
        body[..2].copy_from_slice(&code.get().to_be_bytes());
        body[2..length].copy_from_slice(reason);
        (body, length)
    }

    /// The answer to this Close: its code, without the text.
    pub(crate) fn answer(&self) -> CloseFrame<'static> {
        self.code().map_or(CloseFrame::EMPTY, CloseFrame::from)
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> CloseFrame<'static> {
        CloseFrame(
            self.0
                .map(|(code, reason)| (code, Cow::Owned(reason.into_owned()))),
        )
    }
}

/// As many whole characters of the text as fit a Close frame.
fn fitting(reason: &str) -> &str {
    let mut end = reason.len().min(CloseFrame::REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// What can be wrong with the body of a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseBodyError {
    OneByte,
    Code(u16),
    ReasonNotUtf8,
}

// Also obeyed by `new`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//# 1006 is a reserved value and MUST NOT be set as a status code

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_be_sent_can_be_made() {
        // Miri takes a minute for all codes.
        let highest = if cfg!(miri) { 5100 } else { u16::MAX };
        let travelling: Vec<u16> = (0..=highest)
            .filter(|&code| CloseCode::new(code).is_some())
            .collect();
        let expected: Vec<u16> = (1000..=1003)
            .chain(1007..=1014)
            .chain(3000..=4999)
            .collect();
        assert_eq!(travelling, expected);
    }

    #[test]
    fn body_is_read_back_as_it_was_written() {
        let close = CloseFrame::new(CloseCode::GOING_AWAY, "さようなら");
        let (body, length) = close.encode();
        assert_eq!(CloseFrame::parse(&body[..length]), Ok(close));
    }

    #[test]
    fn long_reason_is_cut_at_a_character() {
        let long = "é".repeat(62); // 124 bytes, one too many
        let close = CloseFrame::new(CloseCode::NORMAL, &long);
        let (body, length) = close.encode();
        assert_eq!(length, 2 + 122);
        assert!(CloseFrame::parse(&body[..length]).is_ok());
    }

    #[test]
    fn body_of_one_byte_or_with_a_bad_reason_is_refused() {
        assert_eq!(CloseFrame::parse(b""), Ok(CloseFrame::EMPTY));
        assert_eq!(CloseFrame::parse(b"\x03"), Err(CloseBodyError::OneByte));
        assert_eq!(
            CloseFrame::parse(b"\x03\xed"),
            Err(CloseBodyError::Code(1005))
        );
        assert_eq!(
            CloseFrame::parse(b"\x03\xe8\xff"),
            Err(CloseBodyError::ReasonNotUtf8)
        );
    }

    #[test]
    fn answer_has_the_code_and_no_reason() {
        let close = CloseFrame::new(CloseCode::GOING_AWAY, "bye");
        assert_eq!(close.answer(), CloseFrame::from(CloseCode::GOING_AWAY));
        assert_eq!(CloseFrame::EMPTY.answer(), CloseFrame::EMPTY);
    }

    #[test]
    fn display_and_debug_show_the_code_as_a_number() {
        let close = CloseFrame::new(CloseCode::GOING_AWAY, "a\nb");
        assert_eq!(close.to_string(), "1001: a\\nb");
        assert_eq!(
            format!("{close:?}"),
            "CloseFrame { code: Some(1001), reason: \"a\\nb\" }"
        );
        assert_eq!(CloseFrame::EMPTY.to_string(), "no code");
    }
}
