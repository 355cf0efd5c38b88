//! Responses of a server (RFC 9110 §15, RFC 9112 §4): all but the switch to WebSocket.
//!
//! A [`Response`] has status, fields and body, as the application sets them. All that depends on
//! the request and the connection is given when it is written ([`WriteOptions`]): whether the body
//! is left out, whether another request may follow, and the time. This layer has no clock: the
//! caller passes the value of Date, which RFC 9110 §6.6.1 requires of a server that has one.

use super::added_fields::AddedFields;
use super::body::Body;
use super::invalid_field::InvalidField;
use super::persistence::Persistence;
use super::status::Status;
use super::token::is_field_value;
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// An HTTP response, complete in memory.
///
/// Field names and values are checked when they are set, so that a response
/// with a field of an attacker's making cannot be expressed.
///
/// ```
/// use yamabiko::http::{Response, Status};
///
/// let page = Response::new(Status::Ok)
///     .content("text/html; charset=utf-8", b"<title>hello</title>")?
///     .field("Cache-Control", "no-cache")?;
/// let mut output = Vec::new();
/// page.write(&mut output);
/// assert!(output.ends_with(b"\r\n\r\n<title>hello</title>"));
/// # Ok::<(), yamabiko::http::InvalidField>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: Status,
    content_type: Option<Cow<'static, str>>,
    fields: AddedFields,
    body: Body,
    /// Fields that the status demands, where no caller has set them.
    obliged_fields: &'static [(&'static str, &'static str)],
}

/// How a response is written: what depends on the request and the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions<'o> {
    /// The current time as an IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`); a server with a
    /// clock sends it in every response of the classes 2xx, 3xx and 4xx (RFC 9110 §6.6.1). A
    /// Date that was set with [`Response::field`] is sent instead of it. A value that is not
    /// valid in a field is left out.
    pub date: Option<&'o str>,
    /// Without the body, for a HEAD request.
    pub head_only: bool,
    /// Whether another request may follow.
    pub persistence: Persistence,
}

/// The last response of its connection, without a date and with its body.
impl Default for WriteOptions<'_> {
    fn default() -> Self {
        WriteOptions {
            date: None,
            head_only: false,
            persistence: Persistence::Close,
        }
    }
}

impl Response {
    /// A response without a body.
    pub const fn new(status: Status) -> Self {
        Response {
            status,
            content_type: None,
            fields: AddedFields::new(),
            body: Body::empty(),
            obliged_fields: &[],
        }
    }

    /// A response with one line or more of plain text.
    pub fn text(status: Status, text: impl Into<Cow<'static, str>>) -> Self {
        let text: Cow<'static, str> = text.into();
        Response {
            content_type: Some(Cow::Borrowed(PLAIN_TEXT)),
            body: text.into(),
            ..Response::new(status)
        }
    }

    /// A response with JSON, as text that is complete already.
    ///
    /// ```
    /// use yamabiko::http::{Response, Status};
    ///
    /// let created = Response::json(Status::Created, r#"{"sequence":7}"#);
    /// assert_eq!(created.body(), br#"{"sequence":7}"#);
    /// ```
    pub fn json(status: Status, json: impl Into<Cow<'static, str>>) -> Self {
        let json: Cow<'static, str> = json.into();
        Response {
            content_type: Some(Cow::Borrowed(JSON)),
            body: json.into(),
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
        body: impl Into<Body>,
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
        let is_reserved = |name: &str| RESERVED.iter().any(|reserved| is_name(name, reserved));
        self.fields.add(name.into(), value.into(), is_reserved)?;
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

    /// Names and values of all fields, for another HTTP stack; without Date and Connection.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let obliged = self.obliged_fields.iter().copied();
        let obliged = obliged.filter(move |(name, _)| !self.fields.contains(name));
        let content_type = self.content_type.as_deref();
        let content_type = content_type.map(|value| ("Content-Type", value));
        let length = self.status.has_body().then(|| self.body.len().to_string());
        obliged
            .chain(self.fields.iter())
            .chain(content_type)
            .map(|(name, value)| (name, Cow::Borrowed(value)))
            .chain(length.map(|length| ("Content-Length", Cow::Owned(length))))
    }

    /// Replaces the body, and sets the fields that the status demands.
    pub(super) fn refusing(
        mut self,
        text: String,
        obliged_fields: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.content_type = Some(Cow::Borrowed(PLAIN_TEXT));
        self.body = text.into();
        self.obliged_fields = obliged_fields;
        self
    }

    /// Appends the response to `output`, as the last one of its connection, without a date
    /// and with its body.
    pub fn write(&self, output: &mut Vec<u8>) {
        self.write_with(&WriteOptions::default(), output);
    }

    /// Appends the response to `output`.
    ///
    /// ```
    /// use yamabiko::http::{Persistence, Response, Status, WriteOptions};
    ///
    /// let mut output = Vec::new();
    /// let options = WriteOptions {
    ///     date: Some("Sun, 06 Nov 1994 08:49:37 GMT"),
    ///     head_only: false,
    ///     persistence: Persistence::Persist,
    /// };
    /// Response::text(Status::Ok, "hi").write_with(&options, &mut output);
    /// assert_eq!(output, b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    ///     Content-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nhi");
    /// ```
    pub fn write_with(&self, options: &WriteOptions<'_>, output: &mut Vec<u8>) {
        write_status_line(self.status.code(), self.status.reason_phrase(), output);
        match options.date {
            Some(date) if is_field_value(date.as_bytes()) && !self.fields.contains("Date") => {
                write_field("Date", date, output);
            }
            _ => {}
        }
        self.write_connection(options.persistence, output);
        for (name, value) in self.fields() {
            write_field(name, &value, output);
        }
        output.extend_from_slice(b"\r\n");
        if self.status.has_body() && !options.head_only {
            output.extend_from_slice(&self.body);
        }
    }

    /// RFC 9110 §7.8: a sender of Upgrade must list it in Connection.
    fn write_connection(&self, persistence: Persistence, output: &mut Vec<u8>) {
        let obliged = |name| {
            self.obliged_fields
                .iter()
                .any(|(own, _)| is_name(own, name))
        };
        let upgrade = self.fields.contains("Upgrade") || obliged("Upgrade");
        match (upgrade, persistence.option()) {
            (false, None) => {}
            (false, Some(option)) => write_field("Connection", option, output),
            (true, None) => write_field("Connection", "Upgrade", output),
            (true, Some(option)) => {
                output.extend_from_slice(b"Connection: Upgrade, ");
                output.extend_from_slice(option.as_bytes());
                output.extend_from_slice(b"\r\n");
            }
        }
    }
}

fn is_name(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("fields", &self.fields)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

pub(crate) fn write_status_line(code: u16, reason_phrase: &str, output: &mut Vec<u8>) {
    output.extend_from_slice(b"HTTP/1.1 ");
    output.extend_from_slice(code.to_string().as_bytes());
    output.push(b' ');
    output.extend_from_slice(reason_phrase.as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// The caller has checked name and value.
pub(crate) fn write_field(name: &str, value: &str, output: &mut Vec<u8>) {
    output.extend_from_slice(name.as_bytes());
    output.extend_from_slice(b": ");
    output.extend_from_slice(value.as_bytes());
    output.extend_from_slice(b"\r\n");
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
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
        let options = WriteOptions {
            head_only,
            ..WriteOptions::default()
        };
        response.write_with(&options, &mut output);
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
            let options = WriteOptions {
                date,
                head_only: false,
                persistence: Persistence::Close,
            };
            response.write_with(&options, &mut output);
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
    fn connection_field_says_what_follows_and_lists_upgrade() {
        let connection = |response: &Response, persistence| {
            let mut output = Vec::new();
            let options = WriteOptions {
                date: None,
                head_only: false,
                persistence,
            };
            response.write_with(&options, &mut output);
            let text = String::from_utf8(output).expect("written from text");
            let mut fields = text.lines().filter_map(|line| line.split_once(": "));
            let field = fields.find(|(name, _)| *name == "Connection");
            field.map(|(_, value)| value.to_owned())
        };
        let plain = Response::text(Status::Ok, "x");
        let upgrade = Response::new(Status::UpgradeRequired)
            .field("upgrade", "websocket")
            .expect("a valid field");
        for (persistence, of_plain, of_upgrade) in [
            (Persistence::Close, Some("close"), "Upgrade, close"),
            (Persistence::Persist, None, "Upgrade"),
            (
                Persistence::KeepAlive,
                Some("keep-alive"),
                "Upgrade, keep-alive",
            ),
        ] {
            assert_eq!(connection(&plain, persistence).as_deref(), of_plain);
            assert_eq!(
                connection(&upgrade, persistence).as_deref(),
                Some(of_upgrade)
            );
        }
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
