//! Plain HTTP responses: everything that the server sends on its port that is not the
//! switch to WebSocket (RFC 9110 §15, RFC 9112 §4).
//!
//! Every response ends its connection (`Connection: close`): a server whose
//! business is WebSocket gains nothing from keep-alive, and there is no second
//! request whose beginning could be mistaken. This layer has no clock: the caller
//! passes the value of Date, which RFC 9110 §6.6.1 requires of a server that has one.

use super::debug::{FieldLines, TextOrBytes};
use super::invalid_field::InvalidField;
use super::token::{is_field_value, is_token};
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// A plain HTTP response, complete in memory.
///
/// Field names and values are checked when they are set, so that a response
/// with a field of an attacker's making cannot be expressed.
///
/// ```
/// use yamabiko::websocket::handshake::{Response, Status};
///
/// let page = Response::new(Status::Ok)
///     .content("text/html; charset=utf-8", b"<title>hello</title>")?
///     .field("Cache-Control", "no-cache")?;
/// let mut output = Vec::new();
/// page.write(false, &mut output);
/// assert!(output.ends_with(b"\r\n\r\n<title>hello</title>"));
/// # Ok::<(), yamabiko::websocket::handshake::InvalidField>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: Status,
    content_type: Option<Cow<'static, str>>,
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
    /// Fields that no caller can set.
    own_fields: &'static [(&'static str, &'static str)],
}

impl Response {
    /// A response without a body.
    pub const fn new(status: Status) -> Self {
        Response {
            status,
            content_type: None,
            fields: Vec::new(),
            body: Cow::Borrowed(&[]),
            own_fields: &[("Connection", "close")],
        }
    }

    /// A response with one line or more of plain text.
    pub fn text(status: Status, text: impl Into<Cow<'static, str>>) -> Self {
        Response {
            content_type: Some(Cow::Borrowed(PLAIN_TEXT)),
            body: bytes_of(text.into()),
            ..Response::new(status)
        }
    }

    /// Sets the body and its media type, for instance `image/svg+xml`.
    ///
    /// # Errors
    ///
    /// [`InvalidField::Value`] if the type is not a legal field value.
    pub fn content(
        mut self,
        content_type: impl Into<Cow<'static, str>>,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Result<Self, InvalidField> {
        let content_type = content_type.into();
        if content_type.is_empty() || !is_field_value(content_type.as_bytes()) {
            return Err(InvalidField::Value);
        }
        self.content_type = Some(content_type);
        self.body = body.into();
        Ok(self)
    }

    /// Adds a field; a name that is there already is then there twice, as
    /// Set-Cookie may.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if the name is no token, the value holds a control
    /// character or begins or ends with white space, or if the field is one
    /// that the writer sets itself: Connection, Content-Type, Content-Length,
    /// Transfer-Encoding.
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, InvalidField> {
        let (name, value) = (name.into(), value.into());
        check_field(&name, &value)?;
        if RESERVED
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved))
        {
            return Err(InvalidField::Reserved);
        }
        self.fields.push((name, value));
        Ok(self)
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Names and values of all fields, for another HTTP stack; without Date.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let own = self.own_fields.iter().copied();
        let set = self.fields.iter().map(|(name, value)| (&**name, &**value));
        let content_type = self.content_type.as_deref();
        let content_type = content_type.map(|value| ("Content-Type", value));
        let length = self.status.has_body().then(|| self.body.len().to_string());
        own.chain(set)
            .chain(content_type)
            .map(|(name, value)| (name, Cow::Borrowed(value)))
            .chain(length.map(|length| ("Content-Length", Cow::Owned(length))))
    }

    /// Replaces the body and the fields that no caller can set.
    pub(super) fn refusing(
        mut self,
        text: String,
        own_fields: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.content_type = Some(Cow::Borrowed(PLAIN_TEXT));
        self.body = Cow::Owned(text.into_bytes());
        self.own_fields = own_fields;
        self
    }

    /// Appends the response to `output`; with `head_only`, for a HEAD request,
    /// everything but the body.
    pub fn write(&self, head_only: bool, output: &mut Vec<u8>) {
        self.write_with_date(None, head_only, output);
    }

    /// As [`write`](Response::write), with a Date field. `date` is the current time as
    /// an IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`); a server with a clock sends it
    /// in every response of the classes 2xx, 3xx and 4xx (RFC 9110 §6.6.1). A Date that
    /// was set with [`field`](Response::field) is sent instead of it. A value that is
    /// not valid in a field is left out.
    pub fn write_with_date(&self, date: Option<&str>, head_only: bool, output: &mut Vec<u8>) {
        write_status_line(self.status.code(), self.status.reason_phrase(), output);
        let is_date = |(name, _): &(Cow<'_, str>, _)| name.eq_ignore_ascii_case("Date");
        match date {
            Some(date) if is_field_value(date.as_bytes()) && !self.fields.iter().any(is_date) => {
                write_field("Date", date, output);
            }
            _ => {}
        }
        for (name, value) in self.fields() {
            write_field(name, &value, output);
        }
        output.extend_from_slice(b"\r\n");
        if self.status.has_body() && !head_only {
            output.extend_from_slice(&self.body);
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("fields", &FieldLines(&self.fields))
            .field("body", &TextOrBytes(&self.body))
            .finish_non_exhaustive()
    }
}

/// The statuses that a WebSocket server has use for (RFC 9110 §15, RFC 6585).
/// 101 is none of them: only [`Upgrade`](super::Upgrade) can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[rustfmt::skip]
pub enum Status {
    /// 200
    Ok,
    /// 204
    NoContent,
    /// 301
    MovedPermanently,
    /// 302
    Found,
    /// 303
    SeeOther,
    /// 304
    NotModified,
    /// 307
    TemporaryRedirect,
    /// 308
    PermanentRedirect,
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 409
    Conflict,
    /// 410
    Gone,
    /// 413
    ContentTooLarge,
    /// 414
    UriTooLong,
    /// 426
    UpgradeRequired,
    /// 429
    TooManyRequests,
    /// 431
    RequestHeaderFieldsTooLarge,
    /// 500
    InternalServerError,
    /// 501
    NotImplemented,
    /// 502
    BadGateway,
    /// 503
    ServiceUnavailable,
    /// 505
    HttpVersionNotSupported,
}

impl Status {
    /// The number in the status line.
    pub const fn code(self) -> u16 {
        self.line().0
    }

    /// The reason phrase in the status line.
    pub const fn reason_phrase(self) -> &'static str {
        self.line().1
    }

    /// RFC 9110 §8.6, §15.4.5: neither a body nor its length is sent with these.
    const fn has_body(self) -> bool {
        !matches!(self, Status::NoContent | Status::NotModified)
    }

    const fn line(self) -> (u16, &'static str) {
        match self {
            Status::Ok => (200, "OK"),
            Status::NoContent => (204, "No Content"),
            Status::MovedPermanently => (301, "Moved Permanently"),
            Status::Found => (302, "Found"),
            Status::SeeOther => (303, "See Other"),
            Status::NotModified => (304, "Not Modified"),
            Status::TemporaryRedirect => (307, "Temporary Redirect"),
            Status::PermanentRedirect => (308, "Permanent Redirect"),
            Status::BadRequest => (400, "Bad Request"),
            Status::Unauthorized => (401, "Unauthorized"),
            Status::Forbidden => (403, "Forbidden"),
            Status::NotFound => (404, "Not Found"),
            Status::MethodNotAllowed => (405, "Method Not Allowed"),
            Status::RequestTimeout => (408, "Request Timeout"),
            Status::Conflict => (409, "Conflict"),
            Status::Gone => (410, "Gone"),
            Status::ContentTooLarge => (413, "Content Too Large"),
            Status::UriTooLong => (414, "URI Too Long"),
            Status::UpgradeRequired => (426, "Upgrade Required"),
            Status::TooManyRequests => (429, "Too Many Requests"),
            Status::RequestHeaderFieldsTooLarge => (431, "Request Header Fields Too Large"),
            Status::InternalServerError => (500, "Internal Server Error"),
            Status::NotImplemented => (501, "Not Implemented"),
            Status::BadGateway => (502, "Bad Gateway"),
            Status::ServiceUnavailable => (503, "Service Unavailable"),
            Status::HttpVersionNotSupported => (505, "HTTP Version Not Supported"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.code(), self.reason_phrase())
    }
}

/// The rules for any field that is sent, in either role.
pub(super) fn check_field(name: &str, value: &str) -> Result<(), InvalidField> {
    if !is_token(name.as_bytes()) {
        return Err(InvalidField::Name);
    }
    if !is_field_value(value.as_bytes()) {
        return Err(InvalidField::Value);
    }
    Ok(())
}

pub(super) fn write_status_line(code: u16, reason_phrase: &str, output: &mut Vec<u8>) {
    output.extend_from_slice(b"HTTP/1.1 ");
    output.extend_from_slice(code.to_string().as_bytes());
    output.push(b' ');
    output.extend_from_slice(reason_phrase.as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// The caller has checked name and value.
pub(super) fn write_field(name: &str, value: &str, output: &mut Vec<u8>) {
    output.extend_from_slice(name.as_bytes());
    output.extend_from_slice(b": ");
    output.extend_from_slice(value.as_bytes());
    output.extend_from_slice(b"\r\n");
}

fn bytes_of(text: Cow<'static, str>) -> Cow<'static, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
const RESERVED: [&str; 4] = [
    "Connection",
    "Content-Type",
    "Content-Length",
    "Transfer-Encoding",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(response: &Response, head_only: bool) -> String {
        let mut output = Vec::new();
        response.write(head_only, &mut output);
        String::from_utf8(output).expect("written from text")
    }

    #[test]
    fn response_is_status_line_fields_and_body() {
        let response = Response::text(Status::NotFound, "nothing here\n")
            .field("Cache-Control", "no-store")
            .expect("a valid field");
        let head = "HTTP/1.1 404 Not Found\r\n\
                    Connection: close\r\n\
                    Cache-Control: no-store\r\n\
                    Content-Type: text/plain; charset=utf-8\r\n\
                    Content-Length: 13\r\n\
                    \r\n";
        assert_eq!(written(&response, false), format!("{head}nothing here\n"));
        assert_eq!(written(&response, true), head);
    }

    #[test]
    fn response_of_a_status_without_body_has_no_length() {
        for status in [Status::NoContent, Status::NotModified] {
            let text = written(&Response::text(status, "x"), false);
            assert!(!text.contains("Content-Length"), "{text}");
            assert!(text.ends_with("\r\n\r\n"), "{text}");
        }
    }

    #[test]
    fn response_carries_the_date_that_the_caller_passes_exactly_once() {
        let with_date = |response: &Response, date| {
            let mut output = Vec::new();
            response.write_with_date(date, false, &mut output);
            String::from_utf8(output).expect("written from text")
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let response = Response::text(Status::Ok, "x");
        let text = with_date(&response, Some(date));
        assert!(text.starts_with(&format!("HTTP/1.1 200 OK\r\nDate: {date}\r\n")));
        for date in [None, Some("x\r\nSet-Cookie: a=b")] {
            assert_eq!(with_date(&response, date), written(&response, false));
        }
        let dated = response.field("date", date).expect("a valid field");
        let text = with_date(&dated, Some("Mon, 07 Nov 1994 08:49:37 GMT"));
        assert_eq!(text, written(&dated, false));
    }

    #[test]
    fn field_that_could_become_two_is_refused() {
        let table = [
            ("", "x", InvalidField::Name),
            ("a b", "x", InvalidField::Name),
            ("a:", "x", InvalidField::Name),
            ("a\r\nb", "x", InvalidField::Name),
            ("a", "x\r\nb: c", InvalidField::Value),
            ("a", "x\ny", InvalidField::Value),
            ("a", "x\ry", InvalidField::Value),
            ("a", "x\0", InvalidField::Value),
            ("a", " x", InvalidField::Value),
            ("CONNECTION", "keep-alive", InvalidField::Reserved),
            ("content-length", "0", InvalidField::Reserved),
            ("Content-Type", "a/b", InvalidField::Reserved),
            ("Transfer-Encoding", "chunked", InvalidField::Reserved),
        ];
        for (name, value, error) in table {
            let refused = Response::new(Status::Ok).field(name, value);
            assert_eq!(refused, Err(error), "{name:?}: {value:?}");
        }
        for content_type in ["", "a/b\r\nc: d"] {
            let refused = Response::new(Status::Ok).content(content_type, b"");
            assert_eq!(refused, Err(InvalidField::Value));
        }
    }
}
