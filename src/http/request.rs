//! The head of a request, read as it arrives (RFC 9112 §2, §3, §5).
//!
//! [`RequestReader`] takes all bytes that have come. It asks for more, or returns the head
//! of the request, or the HTTP response that refuses it. The head borrows the caller's
//! bytes. The reader is for any request; the checks of a WebSocket's opening handshake are
//! in `websocket/handshake/upgrade.rs`.
//!
//! It is strict where leniency would let two readers understand two different
//! requests: line ends are CRLF, one space separates the three parts of the request
//! line, and there is one Host.

use super::authority::Authority;
use super::body_framing::{BodyFraming, InvalidFraming};
use super::debug::WithoutToken;
use super::expectation::Expectation;
use super::fields::{Field, Fields, Occurrence, OwnedFields};
use super::head::{HeadError, HeadLayout, HeadScanner, Lines};
use super::head_limits::HeadLimits;
#[cfg(feature = "http")]
use super::http_types;
use super::known_fields::{HandshakeFields, KnownFields};
use super::persistence::Persistence;
use super::query;
use super::refusal::Refusal;
use super::status::Status;
use super::target::Target;
use super::token::{is_token, split_at_byte};
use super::version::HttpVersion;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// Reads the head of one request, whole or in any number of pieces.
///
/// A head of 600 bytes takes less than a quarter of a microsecond; nothing is allocated. A head that
/// comes in pieces takes a little more: its fields are walked once more at the end.
///
/// ```
/// use yamabiko::http::{HeadLimits, RequestReader};
///
/// let bytes = b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\n\r\n\x81\x85";
/// let mut reader = RequestReader::new(HeadLimits::default());
/// assert!(reader.read(&bytes[..30])?.is_none()); // the rest has not come yet
///
/// let (head, head_bytes) = reader.read(bytes)?.expect("the head is complete");
/// assert_eq!((head.method(), head.path(), head.query()), ("GET", "/chat", Some("room=1")));
/// assert_eq!(head.host(), Some("example.com"));
/// assert_eq!(&bytes[head_bytes..], b"\x81\x85"); // the first frame
/// # Ok::<(), yamabiko::http::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestReader {
    scanner: HeadScanner,
}

impl RequestReader {
    /// A reader for one request, within these bounds.
    pub fn new(limits: HeadLimits) -> Self {
        RequestReader {
            scanner: HeadScanner::new(limits),
        }
    }

    /// Continues to read in `bytes`: everything that has come so far, from the first
    /// byte of the connection on, also bytes behind the head.
    ///
    /// `None`: more bytes are needed. Otherwise the head and its length; the
    /// bytes behind it belong to what comes next, a frame for example.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] to answer with, as soon as the bytes cannot become a
    /// request any more: 400 for what is malformed, 414 for a request line and
    /// 431 for fields beyond the bounds, 505 for another version than HTTP/1.
    /// The request ends there: send the response and close.
    #[inline]
    pub fn read<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(RequestHead<'a>, usize)>, Refusal> {
        let mut lines = RequestLines::default();
        let Some(layout) = self.read_lines(bytes, &mut lines)? else {
            return Ok(None);
        };
        Ok(Some((lines.head(bytes, layout)?, layout.head_bytes)))
    }

    /// The same with the places of the head's parts in `bytes`.
    pub(super) fn read_layout<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(RequestHead<'a>, HeadLayout)>, Refusal> {
        let mut lines = RequestLines::default();
        let Some(layout) = self.read_lines(bytes, &mut lines)? else {
            return Ok(None);
        };
        Ok(Some((lines.head(bytes, layout)?, layout)))
    }

    fn read_lines<'a>(
        &mut self,
        bytes: &'a [u8],
        lines: &mut RequestLines<'a>,
    ) -> Result<Option<HeadLayout>, Refusal> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
        //# The server must parse at least part of this handshake
        self.scanner.read(bytes, lines)
    }

    /// Whether the request is a HEAD, however malformed it may be behind the method: the
    /// response to it has no body (RFC 9110 §9.3.2). `bytes` as for [`RequestReader::read`].
    pub fn method_is_head(&self, bytes: &[u8]) -> bool {
        let start_line = bytes.get(self.scanner.start_line_start()..);
        start_line.is_some_and(|line| line.starts_with(b"HEAD "))
    }
}

/// The lines of a head that one call of the scanner has found.
#[derive(Default)]
struct RequestLines<'a> {
    line: Option<RequestLine<'a>>,
    /// Of all fields, if there is a request line: it comes before them.
    known: KnownFields<'a>,
}

impl<'a> RequestLines<'a> {
    // By reference, and inlined: the parts are large, and each move of them would be a copy.
    #[inline(always)]
    fn head(&self, bytes: &'a [u8], layout: HeadLayout) -> Result<RequestHead<'a>, Refusal> {
        match &self.line {
            Some(line) => {
                let fields = Fields::of_checked_lines(layout.fields.of(bytes));
                RequestHead::new(line, fields, &self.known)
            }
            // The request line came earlier, and maybe some of the fields.
            None => RequestHead::parse(bytes, layout),
        }
    }
}

impl<'a> Lines<'a> for RequestLines<'a> {
    type Error = Refusal;

    fn start_line(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        self.line = Some(RequestLine::parse(line)?);
        Ok(())
    }

    #[inline]
    fn field(&mut self, field: Field<'a>) {
        self.known.take(field);
    }
}

/// A well-formed request, borrowed from the bytes that were read.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    line: RequestLine<'a>,
    fields: Fields<'a>,
    known: KnownFields<'a>,
    host: Option<&'a str>,
}

impl<'a> RequestHead<'a> {
    /// The head at these places of `bytes`.
    pub(super) fn parse(bytes: &'a [u8], layout: HeadLayout) -> Result<Self, Refusal> {
        let fields = Fields::of_checked_lines(layout.fields.of(bytes));
        RequestHead::of_parts(layout.start_line.of(bytes), fields)
    }

    fn of_parts(line: &'a [u8], fields: Fields<'a>) -> Result<Self, Refusal> {
        RequestHead::new(
            &RequestLine::parse(line)?,
            fields,
            &KnownFields::collect(fields),
        )
    }

    #[inline(always)]
    fn new(
        line: &RequestLine<'a>,
        fields: Fields<'a>,
        known: &KnownFields<'a>,
    ) -> Result<Self, Refusal> {
        let host_field = check_host(known.host, line.version)?;
        Ok(RequestHead {
            line: *line,
            fields,
            known: *known,
            // RFC 9112 §3.2.2: the authority of an absolute target replaces Host.
            host: line.target.authority.or(host_field),
        })
    }

    /// The method, a token: `GET` and its like. Case matters.
    pub fn method(&self) -> &'a str {
        self.line.method
    }

    /// The request target as it was sent.
    pub fn target(&self) -> &'a str {
        self.line.target_text
    }

    /// The path of the target, percent-encoding kept, `/` if it is left out of
    /// an absolute URI; empty for `OPTIONS *` and `CONNECT`, which name none.
    pub fn path(&self) -> &'a str {
        self.line.target.path
    }

    /// The same request for another path, such as the rest of its own path below a folder. [`RequestHead::target`] stays what
    /// was sent.
    #[must_use]
    pub fn with_path(mut self, path: &'a str) -> RequestHead<'a> {
        self.line.target.path = path;
        self
    }

    /// The part of the target behind its first question mark.
    pub fn query(&self) -> Option<&'a str> {
        self.line.target.query
    }

    /// The segments of the path, decoded. An encoded slash does not separate two of them.
    /// Bytes that are not UTF-8 are replaced by U+FFFD.
    ///
    /// ```
    /// # use yamabiko::http::{HeadLimits, RequestReader};
    /// let bytes = b"GET /room/caf%C3%A9 HTTP/1.1\r\nHost: a\r\n\r\n";
    /// let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
    /// assert!(head.path_segments().eq(["room", "café"]));
    /// # Ok::<(), yamabiko::http::Refusal>(())
    /// ```
    pub fn path_segments(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        query::segments(self.path())
    }

    /// The names and values of the query, decoded as those of a form: `+` is a space. Bytes
    /// that are not UTF-8 are replaced by U+FFFD.
    ///
    /// ```
    /// # use yamabiko::http::{HeadLimits, RequestReader};
    /// let bytes = b"GET /?name=Kai+M.&admin HTTP/1.1\r\nHost: a\r\n\r\n";
    /// let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
    /// let pairs: Vec<_> = head.query_pairs().collect();
    /// assert_eq!(pairs, [("name".into(), "Kai M.".into()), ("admin".into(), "".into())]);
    /// # Ok::<(), yamabiko::http::Refusal>(())
    /// ```
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        query::pairs(self.query())
    }

    /// The value of the first pair of the query with this name.
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut pairs = self.query_pairs();
        pairs
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> HttpVersion {
        self.line.version
    }

    /// Host and perhaps port that the request is for: from an absolute target,
    /// else from the Host field. `None` only for HTTP/1.0.
    pub fn host(&self) -> Option<&'a str> {
        self.host
    }

    /// All fields.
    pub fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// Does the Upgrade field list `websocket`? If not, this is a plain HTTP
    /// request; if so, [`Upgrade::check`](crate::websocket::handshake::Upgrade::check) decides.
    pub fn wants_websocket(&self) -> bool {
        self.known.handshake.upgrade_lists_websocket
    }

    /// Does the Connection field list `upgrade`?
    pub(crate) fn connection_lists_upgrade(&self) -> bool {
        self.known.connection.upgrade
    }

    /// What the opening handshake asks for.
    pub(crate) fn handshake_fields(&self) -> &HandshakeFields<'a> {
        &self.known.handshake
    }

    /// Is a body to follow: a Content-Length other than zero (also one that is
    /// malformed or contradicts another), or any Transfer-Encoding? Its bytes
    /// come behind the head.
    pub fn body_announced(&self) -> bool {
        !self.body_framing().is_ok_and(BodyFraming::is_empty)
    }

    /// How the end of the body is found (RFC 9112 §6.3).
    ///
    /// # Errors
    ///
    /// The [`Refusal`] to answer with, because the end of the body cannot be found: 400, 413
    /// for a length that no number can hold, 501 for a transfer coding other than chunked.
    /// Then close: the bytes behind the head have no meaning.
    ///
    /// ```
    /// use yamabiko::http::{BodyFraming, HeadLimits, RequestReader};
    ///
    /// let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    /// let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
    /// assert_eq!(head.body_framing()?, BodyFraming::Length(5));
    /// # Ok::<(), yamabiko::http::Refusal>(())
    /// ```
    pub fn body_framing(&self) -> Result<BodyFraming, Refusal> {
        Ok(self.known.body_framing(self.version())?)
    }

    /// Does the client wait for `100 Continue` before it sends its body? An HTTP/1.0 client
    /// does not know that response (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.known.expectation == Expectation::Continue
            && self.version() == HttpVersion::Http11
            && self.body_announced()
    }

    /// Does the client expect something that no server knows? Then it gets a 417.
    pub(super) fn has_unknown_expectation(&self) -> bool {
        self.known.expectation == Expectation::Unknown
    }

    /// Whether another request may follow this one on the same connection.
    pub fn persistence(&self) -> Persistence {
        Persistence::of_request(self.version(), self.known.connection)
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequestHead")
            .field("method", &self.method())
            .field("target", &WithoutToken(self.target()))
            .field("version", &self.version())
            .field("fields", &self.fields)
            .finish()
    }
}

/// A request that another HTTP stack has read.
///
/// ```
/// use yamabiko::websocket::Limits;
/// use yamabiko::websocket::handshake::{AcceptOptions, HttpVersion, OwnedRequest, Upgrade};
///
/// let fields = [
///     ("host", &b"server.example.com"[..]),
///     ("upgrade", b"websocket"),
///     ("connection", b"keep-alive, Upgrade"),
///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
///     ("sec-websocket-version", b"13"),
/// ];
/// let request = OwnedRequest::new("GET", "/chat", HttpVersion::Http11, fields)?;
/// let accepted = Upgrade::check(&request.head()?)?.accept(AcceptOptions::default())?;
///
/// // For the other stack, with the status 101:
/// let (name, value) = accepted.fields().nth(2).unwrap();
/// assert_eq!(name, "Sec-WebSocket-Accept");
/// assert_eq!(value, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// // For the bytes behind the handshake:
/// let connection = accepted.connection(Limits::default());
/// # drop(connection);
/// # Ok::<(), yamabiko::http::Refusal>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRequest {
    line: String,
    fields: OwnedFields,
}

impl OwnedRequest {
    /// A request of these parts: the target as it was sent, and names and values of the
    /// fields. One allocation for the request line and one for the fields.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] to answer with, 400: a field that could not be a line of a head.
    pub fn new<'f>(
        method: &str,
        target: &str,
        version: HttpVersion,
        fields: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) -> Result<OwnedRequest, Refusal> {
        let version = match version {
            HttpVersion::Http10 => "HTTP/1.0",
            HttpVersion::Http11 => "HTTP/1.1",
        };
        let fields = OwnedFields::new(fields).map_err(|_| MALFORMED_FIELD)?;
        let line = format!("{method} {target} {version}");
        Ok(OwnedRequest { line, fields })
    }

    /// The request's head, after the checks that [`RequestReader`] makes.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] to answer with: 400.
    pub fn head(&self) -> Result<RequestHead<'_>, Refusal> {
        RequestHead::of_parts(self.line.as_bytes(), self.fields.as_fields())
    }
}

impl fmt::Debug for OwnedRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OwnedRequest")
            .field("line", &WithoutToken(&self.line))
            .field("fields", &self.fields)
            .finish()
    }
}

#[cfg(feature = "http")]
/// The request as this crate reads it: [`OwnedRequest::head`] gives it to
/// [`Upgrade::check`](crate::websocket::handshake::Upgrade::check).
impl<B> TryFrom<&http::Request<B>> for OwnedRequest {
    type Error = Refusal;

    fn try_from(request: &http::Request<B>) -> Result<OwnedRequest, Refusal> {
        let version = HttpVersion::of_http(request.version()).ok_or(OTHER_VERSION)?;
        let target = request.uri().to_string();
        let fields = http_types::values(request.headers());
        OwnedRequest::new(request.method().as_str(), &target, version, fields)
    }
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3).
#[derive(Clone, Copy)]
struct RequestLine<'a> {
    method: &'a str,
    target_text: &'a str,
    target: Target<'a>,
    version: HttpVersion,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Refusal> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
        //# This rule applies both during the opening handshake and during
        //# subsequent data exchange.
        let Some((method, target_text, version)) = split_line(line) else {
            return Err(MALFORMED_LINE);
        };
        if !is_token(method.as_bytes()) {
            return Err(Refusal::of(Status::BadRequest, "the method is not a token"));
        }
        let version = parse_version(version)?;
        let Some(target) = Target::parse(method, target_text) else {
            return Err(MALFORMED_TARGET);
        };
        Ok(RequestLine {
            method,
            target_text,
            target,
            version,
        })
    }
}

/// The three words of a line that has two spaces.
fn split_line(line: &[u8]) -> Option<(&str, &str, &str)> {
    let line = core::str::from_utf8(line).ok()?;
    let (method, rest) = split_at_byte(line, b' ')?;
    let (target, version) = split_at_byte(rest, b' ')?;
    let is_last = version == "HTTP/1.1" || !version.contains(' ');
    is_last.then_some((method, target, version))
}

fn parse_version(word: &str) -> Result<HttpVersion, Refusal> {
    match word.as_bytes() {
        b"HTTP/1.1" => Ok(HttpVersion::Http11),
        b"HTTP/1.0" => Ok(HttpVersion::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Ok(HttpVersion::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refusal::of(
            Status::HttpVersionNotSupported,
            "only HTTP/1 is spoken here",
        )),
        _ => Err(MALFORMED_LINE),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# A |Host| header field containing the server's authority.
/// RFC 9112 §3.2: a request that lacks Host, has two, or one that is no host
/// and port, is answered with 400. An empty one is legal for a URI without an
/// authority, but neither http nor ws has such URIs.
fn check_host(occurrence: Occurrence<'_>, version: HttpVersion) -> Result<Option<&str>, Refusal> {
    let value = match occurrence {
        Occurrence::Once(value) => value,
        Occurrence::Absent if version == HttpVersion::Http10 => return Ok(None),
        Occurrence::Absent => return Err(Refusal::of(Status::BadRequest, "Host is missing")),
        Occurrence::Repeated => {
            return Err(Refusal::of(Status::BadRequest, "duplicate Host header"));
        }
    };
    let host = core::str::from_utf8(value).map_err(|_| INVALID_HOST)?;
    Authority::parse(host).map_err(|_| INVALID_HOST)?;
    Ok(Some(host))
}

impl From<InvalidFraming> for Refusal {
    fn from(framing: InvalidFraming) -> Self {
        Refusal::of(framing.status, framing.reason)
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
        //# If the invalid data is sent during the WebSocket handshake, the
        //# server SHOULD return an appropriate HTTP [RFC2616] status code.
        let status = match error {
            HeadError::StartLineTooLong => Status::UriTooLong,
            HeadError::FieldTooLong | HeadError::HeadTooLong | HeadError::TooManyFields => {
                Status::RequestHeaderFieldsTooLarge
            }
            _ => Status::BadRequest,
        };
        Refusal::of(status, error.reason())
    }
}

const MALFORMED_LINE: Refusal = Refusal::of(Status::BadRequest, "the request line is malformed");
const MALFORMED_TARGET: Refusal =
    Refusal::of(Status::BadRequest, "the request target is malformed");
#[cfg(feature = "http")]
const OTHER_VERSION: Refusal = Refusal::of(
    Status::HttpVersionNotSupported,
    "only HTTP/1 is spoken here",
);
const MALFORMED_FIELD: Refusal = Refusal::of(Status::BadRequest, "a field is malformed");
const INVALID_HOST: Refusal = Refusal::of(Status::BadRequest, "Host is not a host and a port");
