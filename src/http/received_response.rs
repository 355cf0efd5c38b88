//! The head of a server's response, as a client reads it (RFC 9112 §4).
//!
//! ```text
//!   HTTP/1.1 101 Switching Protocols CRLF     status line: three digits; the reason
//!   Upgrade: websocket CRLF                   may be absent, and the space before it
//!   CRLF
//! ```
//!
//! Bounds, line ends and fields are read as a request's are (`head.rs`), but
//! no empty line may come before it: servers allow that to clients only.

use super::fields::{Field, Fields, OwnedFields};
use super::head::{HeadError, HeadLayout, HeadScanner, Lines};
use super::head_limits::HeadLimits;
use super::response_body::{self, ResponseBody};
use alloc::string::String;

/// An HTTP response that did not switch to WebSocket. Its meaning is that of HTTP (RFC
/// 9110 §15).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status code, 200 to 999, or 100 to 199 after too many of those.
    pub status: u16,
    /// The reason phrase; bytes that are not UTF-8 are replaced.
    pub reason: String,
    /// The fields in the order in which they came.
    pub fields: OwnedFields,
    /// Where the body begins in the bytes that were handed in.
    pub head_bytes: usize,
}

impl HttpResponse {
    /// A response with this status and these fields, and without a reason phrase: for a test
    /// of code that handles refusals. The body begins with the first byte.
    pub fn new(status: u16, fields: OwnedFields) -> HttpResponse {
        HttpResponse {
            status,
            reason: String::new(),
            fields,
            head_bytes: 0,
        }
    }

    /// The value of the first field of this name. Case does not matter in names.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.as_fields().get(name)
    }

    /// As [`HttpResponse::field`], where the value is text (UTF-8).
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.as_fields().text(name)
    }

    /// What has come of the body: at most `bytes_max` bytes of it. `bytes` are those
    /// that [`ClientHandshake::receive`](crate::websocket::handshake::ClientHandshake::receive) was given
    /// when it gave this response, and those that have come since.
    ///
    /// A body whose length is unknown, because Content-Length is no number or several, is
    /// empty (RFC 9112 §6.3).
    ///
    /// ```
    /// use yamabiko::websocket::handshake::{ClientHandshake, ClientHandshakeError, WebSocketUri};
    ///
    /// let uri = WebSocketUri::parse("ws://server.example.com/chat")?;
    /// let mut handshake = ClientHandshake::new(&uri, *b"the sample nonce");
    /// let bytes = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n\
    ///     8\r\nno room!\r\n0\r\n\r\n";
    /// let Err(ClientHandshakeError::NotSwitched(response)) = handshake.receive(bytes) else {
    ///     unreachable!("it is a 404");
    /// };
    /// let body = response.body(bytes, 4096);
    /// assert_eq!(body.content, b"no room!");
    /// assert!(body.ended);
    /// # Ok::<(), yamabiko::websocket::handshake::UriError>(())
    /// ```
    pub fn body(&self, bytes: &[u8], bytes_max: usize) -> ResponseBody {
        let bytes = bytes.get(self.head_bytes..).unwrap_or_default();
        response_body::read(self.status, self.fields.as_fields(), bytes, bytes_max)
    }

    pub(crate) fn of(head: &ResponseHead<'_>, head_bytes: usize) -> Self {
        HttpResponse {
            status: head.line.status,
            reason: String::from_utf8_lossy(head.line.reason).into_owned(),
            fields: head.fields.into(),
            head_bytes,
        }
    }
}

/// Reads the head of one response, whole or in pieces, in bounded memory.
#[derive(Clone, Debug)]
pub(crate) struct ResponseReader {
    scanner: HeadScanner,
}

impl ResponseReader {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        ResponseReader {
            scanner: HeadScanner::new(HeadLimits {
                leading_empty_lines_max: 0,
                ..limits
            }),
        }
    }

    /// As [`RequestReader::read`](super::RequestReader::read).
    pub(crate) fn read<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(ResponseHead<'a>, usize)>, HeadError> {
        let Some(layout) = self.scanner.read(bytes, &mut StatusLineCheck)? else {
            return Ok(None);
        };
        let head = ResponseHead::parse(bytes, layout)?;
        Ok(Some((head, layout.head_bytes)))
    }
}

/// The status line is refused before the fields have come.
struct StatusLineCheck;

impl<'a> Lines<'a> for StatusLineCheck {
    type Error = HeadError;

    fn start_line(&mut self, line: &'a [u8]) -> Result<(), HeadError> {
        StatusLine::parse(line).map(|_| ())
    }

    fn field(&mut self, _: Field<'a>) {}
}

/// A well-formed response, borrowed from the bytes that were read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) line: StatusLine<'a>,
    pub(crate) fields: Fields<'a>,
}

impl<'a> ResponseHead<'a> {
    fn parse(bytes: &'a [u8], layout: HeadLayout) -> Result<Self, HeadError> {
        Ok(ResponseHead {
            line: StatusLine::parse(layout.start_line.of(bytes))?,
            fields: Fields::of_checked_lines(layout.fields.of(bytes)),
        })
    }
}

/// `HTTP-version SP 3DIGIT SP [ reason-phrase ]`, also without the second space if
/// there is no reason (RFC 9112 §4 lets a recipient be so lenient).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusLine<'a> {
    /// HTTP/1.0, which cannot upgrade.
    pub(crate) is_http10: bool,
    /// 100 to 999.
    pub(crate) status: u16,
    reason: &'a [u8],
}

impl<'a> StatusLine<'a> {
    /// The status line of a response that another HTTP stack has read.
    pub(crate) fn of_parts(is_http10: bool, status: u16) -> StatusLine<'a> {
        StatusLine {
            is_http10,
            status,
            reason: b"",
        }
    }

    fn parse(line: &'a [u8]) -> Result<Self, HeadError> {
        let [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'0'..=b'9',
            b' ',
            hundreds @ b'1'..=b'9',
            tens @ b'0'..=b'9',
            ones @ b'0'..=b'9',
            rest @ ..,
        ] = line
        else {
            return Err(HeadError::InvalidStatusLine);
        };
        let reason = match rest {
            [] => rest,
            [b' ', reason @ ..] => reason,
            _ => return Err(HeadError::InvalidStatusLine),
        };
        let digit = |byte: &u8| u16::from(byte - b'0');
        Ok(StatusLine {
            is_http10: *minor == b'0',
            status: digit(hundreds) * 100 + digit(tens) * 10 + digit(ones),
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_line_is_version_code_and_reason() {
        let table: [(&[u8], bool, u16, &[u8]); 5] = [
            (
                b"HTTP/1.1 101 Switching Protocols",
                false,
                101,
                b"Switching Protocols",
            ),
            (b"HTTP/1.1 404 ", false, 404, b""),
            (b"HTTP/1.1 404", false, 404, b""),
            (b"HTTP/1.0 999 caf\xe9\t!", true, 999, b"caf\xe9\t!"),
            (b"HTTP/1.9 200  ", false, 200, b" "),
        ];
        for (line, is_http10, status, reason) in table {
            let expected = StatusLine {
                is_http10,
                status,
                reason,
            };
            assert_eq!(StatusLine::parse(line), Ok(expected));
        }
    }

    #[test]
    fn status_line_of_another_form_is_refused() {
        let table = [
            "",
            "HTTP/1.1",
            "HTTP/1.1 10",
            "HTTP/1.1 1010",
            "HTTP/1.1 101x",
            "HTTP/1.1 1010 x",
            "HTTP/1.1 099 x",
            "HTTP/1.1 10 x",
            "HTTP/1.1  101 x",
            "HTTP/1.1 1x1 x",
            "HTTP/2.0 101 x",
            "HTTP/1.10 101 x",
            "http/1.1 101 x",
            " HTTP/1.1 101 x",
            "ICY 200 OK",
            "HTTP/1.1\t101 x",
            "HTTP/1.1 101\tx",
        ];
        for line in table {
            let refused = StatusLine::parse(line.as_bytes());
            assert_eq!(refused, Err(HeadError::InvalidStatusLine), "{line:?}");
        }
    }
}
