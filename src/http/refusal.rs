//! The response to a request that is refused (RFC 9110 §15.5, RFC 6455 §4.2.2, §10.7).

#[cfg(feature = "http")]
use super::http_types;
use super::invalid_field::InvalidField;
use super::response::Response;
use super::status::Status;
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

/// A refused request: an HTTP status, a reason in one line, and the fields that the
/// status demands.
///
/// The reason is shown to the client as plain text. This crate's own reasons
/// are fixed texts; nothing from the request is repeated in them.
///
/// ```
/// use yamabiko::http::{Refusal, Status};
///
/// let mut output = Vec::new();
/// Refusal::new(Status::NotFound, "there is no such room").write(&mut output);
/// assert!(output.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
/// assert!(output.ends_with(b"\r\n\r\nthere is no such room\n"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Has no body of its own; it is made of `reason` when it is written.
    response: Response,
    reason: Cow<'static, str>,
}

impl Refusal {
    /// Refuses with a status, for instance 401, 403, 404, 429 or 503. A line
    /// end in `reason` is written as a space.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# If the server does not wish to accept this connection, it MUST return an
    //# appropriate HTTP error code (e.g., 403 Forbidden)
    pub fn new(status: Status, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.contains(['\r', '\n']) {
            reason = Cow::Owned(reason.replace(['\r', '\n'], " "));
        }
        Refusal {
            response: Response::new(status),
            reason,
        }
    }

    /// As `new`, for a reason known beforehand.
    pub(crate) const fn of(status: Status, reason: &'static str) -> Self {
        Refusal {
            response: Response::new(status),
            reason: Cow::Borrowed(reason),
        }
    }

    /// 403: the page that asks has an origin that is not wanted here.
    pub fn forbidden_origin() -> Self {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
        //# it SHOULD respond to the WebSocket handshake with a reply containing
        //# HTTP 403 Forbidden status code.
        Refusal::of(Status::Forbidden, "this origin is not allowed")
    }

    /// 426: a WebSocket path was requested without an upgrade, or
    /// with another version.
    pub fn upgrade_required() -> Self {
        Refusal::of(
            Status::UpgradeRequired,
            "this is a WebSocket endpoint, version 13",
        )
    }

    /// Adds a field: Location for a redirect, WWW-Authenticate for 401,
    /// Allow for 405 (`GET, HEAD` if it is left out), Retry-After for 503.
    ///
    /// # Errors
    ///
    /// As [`Response::field`].
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, InvalidField> {
        self.response = self.response.field(name, value)?;
        Ok(self)
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.response.status()
    }

    /// The reason, without a line end.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The whole response, for instance to answer a HEAD request without its body.
    pub fn to_response(&self) -> Response {
        let text = format!("{}\n", self.reason);
        self.response
            .clone()
            .refusing(text, obliged_fields(self.status()))
    }

    /// The response, for another HTTP stack. It has no field Connection: whether the
    /// connection is kept is for that stack to decide.
    ///
    /// ```
    /// use yamabiko::http::{Refusal, Status};
    ///
    /// let response = Refusal::new(Status::Forbidden, "members only").to_http();
    /// assert_eq!(response.status(), 403);
    /// assert_eq!(response.body(), b"members only\n");
    /// ```
    #[cfg(feature = "http")]
    pub fn to_http(&self) -> http::Response<Vec<u8>> {
        let plain = self.to_response();
        let mut response = http::Response::new(plain.body().to_vec());
        let status = http::StatusCode::from_u16(plain.status().code());
        *response.status_mut() = status.unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = http_types::header_map(plain.fields());
        response
    }

    /// Appends the whole response to `output`. Then close the connection,
    /// reading on for a moment: a socket closed over unread bytes is reset, and
    /// the reset can overtake the response.
    pub fn write(&self, output: &mut Vec<u8>) {
        self.to_response().write(output);
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.status(), self.reason)
    }
}

impl core::error::Error for Refusal {}

/// 500: the application has set a field that cannot be sent. So `?` works where an application
/// makes a response and refuses otherwise.
///
/// ```
/// use yamabiko::http::{Refusal, Response, Status};
///
/// fn page(language: &str) -> Result<Response, Refusal> {
///     let page = Response::text(Status::Ok, "やまびこ");
///     Ok(page.field("Content-Language", language.to_owned())?)
/// }
/// assert!(page("ja").is_ok());
/// let refusal = page("ja\r\nSet-Cookie: a=b").unwrap_err();
/// assert_eq!(refusal.status(), Status::InternalServerError);
/// ```
impl From<InvalidField> for Refusal {
    fn from(error: InvalidField) -> Refusal {
        Refusal::of(
            Status::InternalServerError,
            match error {
                InvalidField::Name => "the application set a field whose name is not a token",
                InvalidField::Value => "the application set a field whose value is not valid",
                InvalidField::Reserved => "the application set a field that the server sets",
            },
        )
    }
}

/// The fields that a status must come with (RFC 9110 §7.8, §15.5.6, §15.5.22), unless the
/// caller has set them. `Allow` is about the resource, which also answers a HEAD without an
/// upgrade.
fn obliged_fields(status: Status) -> &'static [(&'static str, &'static str)] {
    match status {
        Status::MethodNotAllowed => &[("Allow", "GET, HEAD")],
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.4
        //# it MUST respond with a |Sec-WebSocket-Version| header field
        Status::UpgradeRequired => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_of_the_caller_replaces_one_that_the_status_demands() {
        let allow = |refusal: &Refusal| {
            let response = refusal.to_response();
            let fields = response.fields().filter(|(name, _)| *name == "Allow");
            let values: Vec<_> = fields.map(|(_, value)| value.into_owned()).collect();
            values
        };
        let refusal = Refusal::new(Status::MethodNotAllowed, "no");
        assert_eq!(allow(&refusal), ["GET, HEAD"]);
        let refusal = refusal.field("Allow", "POST").expect("a valid field");
        assert_eq!(allow(&refusal), ["POST"]);
    }
}
