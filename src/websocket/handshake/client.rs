//! The client's half of the opening handshake (RFC 6455 §4.1).
//!
//! ```text
//!   uri, nonce, subprotocols, fields ──► write_request ──► bytes to the server
//!   bytes from the server ──► receive ──► None: wait   Established   or why not
//! ```
//!
//! After the request nothing may be sent until [`ClientHandshake::receive`] has
//! given [`Established`]; the first frame begins behind `head_bytes`. The
//! 16 bytes of the nonce are handed in: they must come fresh from a random
//! source for each connection.

use super::accept_key::key_of_nonce;
use super::accepted::is_set_by_handshake;
use super::client_error::ClientHandshakeError;
use super::established::{Established, Requested};
use super::extensions;
use super::permessage_deflate;
use super::subprotocol;
use super::upgrade::is_origin;
use super::uri::WebSocketUri;
use crate::http::added_fields::AddedFields;
use crate::http::debug::WithoutToken;
#[cfg(feature = "http")]
use crate::http::http_types;
use crate::http::received_response::{ResponseHead, ResponseReader, StatusLine};
use crate::http::response::write_field;
use crate::http::{HeadError, HeadLimits, HttpVersion, InvalidField, OwnedFields};
use crate::websocket::deflate::{DeflateConfig, DeflatePool};
use alloc::borrow::{Cow, ToOwned};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// One attempt to open a WebSocket connection.
///
/// ```
/// use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
///
/// let uri = WebSocketUri::parse("ws://server.example.com/chat")?;
/// let nonce = *b"the sample nonce"; // in a program: 16 random bytes
/// let mut handshake = ClientHandshake::new(&uri, nonce)
///     .subprotocol("chat")?
///     .field("Authorization", "Bearer 123")?;
/// let mut output = Vec::new();
/// handshake.write_request(&mut output);
/// assert!(output.starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"));
///
/// let response = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
///     Sec-WebSocket-Protocol: chat\r\n\r\n\x81\x02hi";
/// assert!(handshake.receive(&response[..50])?.is_none()); // more is to come
/// let established = handshake.receive(response)?.expect("the head is complete");
/// assert_eq!(established.subprotocol.as_deref(), Some("chat"));
/// assert_eq!(&response[established.head_bytes..], b"\x81\x02hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientHandshake {
    resource_name: String,
    authority: String,
    key: [u8; 24],
    origin: Option<String>,
    subprotocols: Vec<String>,
    deflate: Option<DeflateConfig>,
    deflate_pool: Option<DeflatePool>,
    fields: AddedFields,
    limits: HeadLimits,
    reader: ResponseReader,
    /// Interim responses that were passed over, and their bytes.
    interim_answers: usize,
    interim_bytes: usize,
}

impl ClientHandshake {
    /// A handshake for this URI with 16 unpredictable bytes.
    pub fn new(uri: &WebSocketUri, nonce: [u8; 16]) -> Self {
        let limits = HeadLimits::default();
        ClientHandshake {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# (/host/, /port/, /resource name/, and /secure/ flag) MUST be
            //# valid according to the specification of WebSocket URIs
            resource_name: uri.resource_name().to_owned(),
            authority: uri.authority(),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# The value of this header field MUST be a nonce consisting of a
            //# randomly selected 16-byte value that has been base64-encoded
            key: key_of_nonce(nonce),
            origin: None,
            subprotocols: Vec::new(),
            deflate: None,
            deflate_pool: DeflatePool::for_one_connection(),
            fields: AddedFields::new(),
            limits,
            reader: ResponseReader::new(limits),
            interim_answers: 0,
            interim_bytes: 0,
        }
    }

    /// The same request with a nonce of its own, for another attempt: each needs 16 fresh
    /// unpredictable bytes.
    ///
    /// ```
    /// use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
    ///
    /// let uri = WebSocketUri::parse("ws://server.example.com/chat")?;
    /// let first = ClientHandshake::new(&uri, *b"the sample nonce").subprotocol("chat")?;
    /// let second = first.again(*b"the second nonce");
    /// let value = |handshake: &ClientHandshake, name| {
    ///     handshake.fields().find(|(field, _)| *field == name).unwrap().1.into_owned()
    /// };
    /// let (key, subprotocol) = ("Sec-WebSocket-Key", "Sec-WebSocket-Protocol");
    /// assert_ne!(value(&first, key), value(&second, key));
    /// assert_eq!(value(&first, subprotocol), value(&second, subprotocol));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn again(&self, nonce: [u8; 16]) -> Self {
        ClientHandshake {
            key: key_of_nonce(nonce),
            reader: ResponseReader::new(self.limits),
            interim_answers: 0,
            interim_bytes: 0,
            ..self.clone()
        }
    }

    /// Offers one more subprotocol, less wanted than those before it.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`] if it is no token or is offered already.
    pub fn subprotocol(mut self, name: &str) -> Result<Self, InvalidRequest> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# characters as defined in [RFC2616] and MUST all be unique strings.
        if !subprotocol::is_valid(name) {
            return Err(InvalidRequest::Subprotocol);
        }
        if self.subprotocols.iter().any(|offered| offered == name) {
            return Err(InvalidRequest::SubprotocolTwice);
        }
        self.subprotocols.push(name.to_owned());
        Ok(self)
    }

    /// Offers permessage-deflate: `client_max_window_bits`, and of the other
    /// parameters those that `config` asks for. What the server makes of it is
    /// in [`Established::deflate`].
    ///
    /// What concerns the client itself, its own window and whether it refers to
    /// earlier messages, holds whether or not the server repeats it. What the
    /// server is asked for, it must agree to: a response with
    /// permessage-deflate and without that fails the handshake (RFC 7692 §7).
    ///
    /// ```
    /// use yamabiko::websocket::deflate::DeflateConfig;
    /// use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
    ///
    /// let uri = WebSocketUri::parse("ws://server.example.com/chat")?;
    /// let nonce = *b"the sample nonce"; // in a program: 16 random bytes
    /// let handshake = ClientHandshake::new(&uri, nonce).deflate(DeflateConfig::default());
    /// let mut output = Vec::new();
    /// handshake.write_request(&mut output);
    /// assert!(output.ends_with(b"\r\nSec-WebSocket-Extensions: permessage-deflate; \
    ///     server_no_context_takeover; client_no_context_takeover; \
    ///     client_max_window_bits\r\n\r\n"));
    /// # Ok::<(), yamabiko::websocket::handshake::UriError>(())
    /// ```
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        self.deflate = Some(config);
        self
    }

    /// Shares a pool of compressors and decompressors with other connections. If not set,
    /// the connection has a pool of its own.
    #[cfg(feature = "deflate")]
    pub fn deflate_pool(mut self, pool: &DeflatePool) -> Self {
        self.deflate_pool = Some(pool.clone());
        self
    }

    /// Adds a field, for instance Authorization or Cookie.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::Field`] if it could not be a line of its own, or
    /// if the handshake sets it itself: Host, Upgrade, Connection, Origin (see
    /// [`ClientHandshake::origin`]), Content-Length, Transfer-Encoding and all
    /// that begin with `Sec-WebSocket-`.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, InvalidRequest> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The handshake MUST be a valid HTTP request as specified by
        //# [RFC2616].
        let (name, value) = (name.to_owned().into(), value.to_owned().into());
        let added = self.fields.add(name, value, is_reserved);
        added.map_err(InvalidRequest::Field)?;
        Ok(self)
    }

    /// Sends this origin, as a browser would: `https://example.com`.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::Origin`] if it is empty or not printable ASCII.
    pub fn origin(mut self, origin: &str) -> Result<Self, InvalidRequest> {
        if !is_origin(origin) || origin.trim_ascii() != origin {
            return Err(InvalidRequest::Origin);
        }
        self.origin = Some(origin.to_owned());
        Ok(self)
    }

    /// Reads the response within these bounds instead of the default ones.
    pub fn limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self.reader = ResponseReader::new(limits);
        self
    }

    /// Appends the request to `output`.
    pub fn write_request(&self, output: &mut Vec<u8>) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# the client MUST send an opening handshake to the server.
        output.extend_from_slice(b"GET ");
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The "Request-URI" part of the request MUST match the /resource name/
        //# defined in Section 3
        output.extend_from_slice(self.resource_name.as_bytes());
        output.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in self.fields() {
            write_field(name, &value, output);
        }
        output.extend_from_slice(b"\r\n");
    }

    /// The target of the request, a GET, for another HTTP stack.
    pub fn resource_name(&self) -> &str {
        &self.resource_name
    }

    /// Names and values of the request's fields, for another HTTP stack.
    pub fn fields(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let own = [
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# The request MUST contain a |Host| header field whose value contains
            //# /host/ plus optionally ":" followed by /port/ (when not using the
            //# default port).
            ("Host", &*self.authority),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# The request MUST contain an |Upgrade| header field whose value MUST
            //# include the "websocket" keyword.
            ("Upgrade", "websocket"),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# The request MUST contain a |Connection| header field whose value
            //# MUST include the "Upgrade" token.
            ("Connection", "Upgrade"),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# The request MUST include a header field with the name
            //# |Sec-WebSocket-Key|.
            ("Sec-WebSocket-Key", self.key()),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# The request MUST include a header field with the name
            //# |Sec-WebSocket-Version|.
            ("Sec-WebSocket-Version", "13"),
        ];
        let further = self.fields.iter();
        let borrowed = |(name, value)| (name, Cow::Borrowed(value));
        own.into_iter()
            .chain(self.origin.as_deref().map(|origin| ("Origin", origin)))
            .map(borrowed)
            .chain(self.negotiated_fields())
            .chain(further.map(borrowed))
    }

    /// What is offered.
    fn negotiated_fields(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# one or more comma-separated subprotocol the client wishes to
        //# speak, ordered by preference.
        let subprotocols = (!self.subprotocols.is_empty())
            .then(|| (subprotocol::FIELD, self.subprotocols.join(", ").into()));
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# To offer use of a PMCE, a client MUST include the extension name of the
        //# PMCE in the "Sec-WebSocket-Extensions" header field of its opening
        //# handshake of the WebSocket connection.
        let extensions = self.deflate.as_ref().map(|config| {
            let offer = permessage_deflate::offer(config).to_string();
            (extensions::FIELD, offer.into())
        });
        subprotocols.into_iter().chain(extensions)
    }

    /// Reads on in `bytes`: everything that has come so far, from the first
    /// byte of the connection. `None`: more bytes are needed.
    ///
    /// Interim responses (100, 103, …) are passed over, a few of them, as HTTP
    /// asks of any client (RFC 9110 §15.2).
    ///
    /// # Errors
    ///
    /// [`ClientHandshakeError`]: the connection is to be closed. In
    /// [`NotSwitched`](ClientHandshakeError::NotSwitched) is an ordinary HTTP
    /// answer, whose body may be worth reading before that.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Established>, ClientHandshakeError> {
        loop {
            let response = bytes.get(self.interim_bytes..).unwrap_or_default();
            let Some((head, head_bytes)) = self.reader.read(response)? else {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
                //# the client MUST wait for a response from the server before
                //# sending any further data.
                return Ok(None);
            };
            let head_bytes = self.interim_bytes + head_bytes;
            if !is_interim(head.line.status) || self.interim_answers >= INTERIM_ANSWERS_MAX {
                return self.asked().check(&head, head_bytes).map(Some);
            }
            self.interim_answers += 1;
            self.interim_bytes = head_bytes;
            self.reader = ResponseReader::new(self.limits);
        }
    }

    /// Checks a response that another HTTP stack has read: its status, version and fields.
    /// [`Established::head_bytes`] is 0: frames begin with the first byte behind it.
    ///
    /// # Errors
    ///
    /// As [`ClientHandshake::receive`].
    pub fn receive_head<'f>(
        &self,
        status: u16,
        version: HttpVersion,
        fields: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) -> Result<Established, ClientHandshakeError> {
        let fields = OwnedFields::new(fields).map_err(|error| match error {
            InvalidField::Name => HeadError::InvalidFieldName,
            _ => HeadError::ControlCharacter,
        })?;
        let head = ResponseHead {
            line: StatusLine::of_parts(version == HttpVersion::Http10, status),
            fields: fields.as_fields(),
        };
        self.asked().check(&head, 0)
    }

    /// The request, for another HTTP stack. Its URI has no host: that is in the field
    /// Host.
    ///
    /// ```
    /// use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
    ///
    /// let uri = WebSocketUri::parse("ws://server.example.com/chat")?;
    /// let handshake = ClientHandshake::new(&uri, *b"the sample nonce");
    /// let request = handshake.to_http();
    /// assert_eq!(request.headers()["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");
    ///
    /// let response = http::Response::builder()
    ///     .status(101)
    ///     .header("Upgrade", "websocket")
    ///     .header("Connection", "Upgrade")
    ///     .header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    ///     .body(())?;
    /// let established = handshake.receive_http(&response)?;
    /// assert_eq!(established.subprotocol, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "http")]
    pub fn to_http(&self) -> http::Request<()> {
        let mut request = http::Request::new(());
        if let Ok(target) = self.resource_name().parse() {
            *request.uri_mut() = target;
        }
        *request.headers_mut() = http_types::header_map(self.fields());
        request
    }

    /// Checks a response that another HTTP stack has read.
    ///
    /// # Errors
    ///
    /// As [`ClientHandshake::receive`].
    #[cfg(feature = "http")]
    pub fn receive_http<B>(
        &self,
        response: &http::Response<B>,
    ) -> Result<Established, ClientHandshakeError> {
        let version = HttpVersion::of_http(response.version());
        // HTTP/2 has no Upgrade either.
        let version = version.unwrap_or(HttpVersion::Http10);
        let status = response.status().as_u16();
        self.receive_head(status, version, http_types::values(response.headers()))
    }

    fn asked(&self) -> Requested<'_> {
        Requested {
            key: self.key(),
            subprotocols: &self.subprotocols,
            deflate: self.deflate.as_ref(),
            deflate_pool: self.deflate_pool.as_ref(),
        }
    }

    fn key(&self) -> &str {
        core::str::from_utf8(&self.key).unwrap_or_default()
    }
}

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientHandshake")
            .field("resource_name", &WithoutToken(&self.resource_name))
            .field("authority", &self.authority)
            .field("key", &self.key())
            .field("origin", &self.origin)
            .field("subprotocols", &self.subprotocols)
            .field("deflate", &self.deflate)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// Why a handshake cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// A field that may not be sent.
    Field(InvalidField),
    /// An origin that is empty or not printable ASCII.
    Origin,
    /// A subprotocol that is no token.
    Subprotocol,
    /// A subprotocol that is offered already.
    SubprotocolTwice,
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidRequest::Field(error) => error.fmt(formatter),
            InvalidRequest::Origin => formatter.write_str("the origin is not printable ASCII"),
            InvalidRequest::Subprotocol => formatter.write_str("the subprotocol is not a token"),
            InvalidRequest::SubprotocolTwice => {
                formatter.write_str("the subprotocol is offered twice")
            }
        }
    }
}

/// The cause that `Display` does not tell.
impl core::error::Error for InvalidRequest {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            InvalidRequest::Field(error) => error.source(),
            _ => None,
        }
    }
}

fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

/// Origin has a method of its own.
fn is_reserved(name: &str) -> bool {
    is_set_by_handshake(name)
        || ["Host", "Origin"]
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// Interim responses that are passed over; one past it is handed out as it is.
const INTERIM_ANSWERS_MAX: usize = 8;

// Also obeyed by `new`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The nonce MUST be selected randomly for each connection.

// Also obeyed by `write_request`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The method of the request MUST be GET, and the HTTP version MUST be
//# at least 1.1.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The value of this header field MUST be 13.
