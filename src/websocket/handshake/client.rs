//! The client's half of the opening handshake (RFC 6455 §4.1).
//!
//! ```text
//!   uri, nonce, subprotocols, fields ──► write_request ──► bytes to the server
//!   bytes from the server ──► receive ──► None: wait   Established   or why not
//! ```
//!
//! After the request nothing may be sent until [`ClientHandshake::receive`] has
//! given [`Established`]; what lies behind `head_bytes` is the first frame. The
//! 16 bytes of the nonce are handed in: they must come fresh from a random
//! source for each connection.

use super::accept_key::{accept_key, key_of_nonce};
use super::answer::{AnswerHead, AnswerReader, HttpAnswer};
use super::extensions;
use super::fields::Occurrence;
use super::head::HeadError;
use super::limits::HeadLimits;
use super::response::{InvalidField, check_field, write_field};
use super::subprotocol;
use super::upgrade::is_origin;
use super::uri::WebSocketUri;
use core::fmt;

/// One attempt to open a WebSocket connection.
///
/// ```
/// use yamabiko::websocket::handshake::{ClientHandshake, WebSocketUri};
///
/// let uri = WebSocketUri::parse("ws://server.example.com/chat")?;
/// let nonce = *b"the sample nonce"; // 16 random bytes in earnest
/// let mut handshake = ClientHandshake::new(&uri, nonce)
///     .subprotocol("chat")?
///     .field("Authorization", "Bearer 123")?;
/// let mut output = Vec::new();
/// handshake.write_request(&mut output);
/// assert!(output.starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"));
///
/// let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
///     Sec-WebSocket-Protocol: chat\r\n\r\n\x81\x02hi";
/// assert!(handshake.receive(&answer[..50])?.is_none()); // more is to come
/// let established = handshake.receive(answer)?.expect("the head is complete");
/// assert_eq!(established.subprotocol.as_deref(), Some("chat"));
/// assert_eq!(&answer[established.head_bytes..], b"\x81\x02hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    resource_name: String,
    authority: String,
    key: [u8; 24],
    origin: Option<String>,
    subprotocols: Vec<String>,
    fields: Vec<(String, String)>,
    limits: HeadLimits,
    reader: AnswerReader,
    /// Interim answers that were passed over, and their bytes.
    interim_answers: usize,
    interim_bytes: usize,
}

impl ClientHandshake {
    /// A handshake for this URI with 16 bytes that nobody can predict.
    pub fn new(uri: &WebSocketUri, nonce: [u8; 16]) -> Self {
        let limits = HeadLimits::default();
        ClientHandshake {
            resource_name: uri.resource_name().to_owned(),
            authority: uri.authority(),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# The value of this header field MUST be a nonce consisting of a
            //# randomly selected 16-byte value that has been base64-encoded
            key: key_of_nonce(nonce),
            origin: None,
            subprotocols: Vec::new(),
            fields: Vec::new(),
            limits,
            reader: AnswerReader::new(limits),
            interim_answers: 0,
            interim_bytes: 0,
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

    /// Adds a field, for instance Authorization or Cookie.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::Field`] if it could not stand in a line of its own, or
    /// if the handshake sets it itself: Host, Upgrade, Connection, Origin (see
    /// [`ClientHandshake::origin`]), Content-Length, Transfer-Encoding and all
    /// that begin with `Sec-WebSocket-`.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, InvalidRequest> {
        check_field(name, value).map_err(InvalidRequest::Field)?;
        if is_reserved(name) {
            return Err(InvalidRequest::Field(InvalidField::Reserved));
        }
        self.fields.push((name.to_owned(), value.to_owned()));
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

    /// Reads the answer within these bounds instead of the default ones.
    pub fn limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self.reader = AnswerReader::new(limits);
        self
    }

    /// Appends the request to `output`.
    pub fn write_request(&self, output: &mut Vec<u8>) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The method of the request MUST be GET, and the HTTP version MUST be
        //# at least 1.1.
        output.extend_from_slice(b"GET ");
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The "Request-URI" part of the request MUST match the /resource name/
        //# defined in Section 3
        output.extend_from_slice(self.resource_name.as_bytes());
        output.extend_from_slice(b" HTTP/1.1\r\n");
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain a |Host| header field
        write_field("Host", &self.authority, output);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain an |Upgrade| header field whose value MUST
        //# include the "websocket" keyword.
        write_field("Upgrade", "websocket", output);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain a |Connection| header field whose value
        //# MUST include the "Upgrade" token.
        write_field("Connection", "Upgrade", output);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST include a header field with the name
        //# |Sec-WebSocket-Key|.
        write_field("Sec-WebSocket-Key", self.key(), output);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST include a header field with the name
        //# |Sec-WebSocket-Version|.
        write_field("Sec-WebSocket-Version", "13", output);
        self.write_optional_fields(output);
        output.extend_from_slice(b"\r\n");
    }

    fn write_optional_fields(&self, output: &mut Vec<u8>) {
        if let Some(origin) = &self.origin {
            write_field("Origin", origin, output);
        }
        if !self.subprotocols.is_empty() {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# one or more comma-separated subprotocol the client wishes to
            //# speak, ordered by preference.
            write_field(subprotocol::FIELD, &self.subprotocols.join(", "), output);
        }
        for (name, value) in &self.fields {
            write_field(name, value, output);
        }
    }

    /// Reads on in `bytes`: everything that has come so far, from the first
    /// byte of the connection. `None`: more bytes are needed.
    ///
    /// Interim answers (100, 103, …) are passed over, a few of them, as HTTP
    /// asks of any client (RFC 9110 §15.2).
    ///
    /// # Errors
    ///
    /// [`ClientHandshakeError`]: the connection is to be closed. In
    /// [`NotSwitched`](ClientHandshakeError::NotSwitched) is an ordinary HTTP
    /// answer, whose body may be worth reading before that.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Established>, ClientHandshakeError> {
        loop {
            let answer = bytes.get(self.interim_bytes..).unwrap_or_default();
            let Some((head, head_bytes)) = self.reader.read(answer)? else {
                return Ok(None);
            };
            let head_bytes = self.interim_bytes + head_bytes;
            if !is_interim(head.line.status) || self.interim_answers >= INTERIM_ANSWERS_MAX {
                return self.check(&head, head_bytes).map(Some);
            }
            self.interim_answers += 1;
            self.interim_bytes = head_bytes;
            self.reader = AnswerReader::new(self.limits);
        }
    }

    /// The list of §4.1: what the server's answer must be.
    fn check(
        &self,
        head: &AnswerHead<'_>,
        head_bytes: usize,
    ) -> Result<Established, ClientHandshakeError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the status code received from the server is not 101, the client
        //# handles the response per HTTP [RFC2616] procedures.
        if head.line.status != 101 {
            let answer = HttpAnswer::of(head, head_bytes);
            return Err(ClientHandshakeError::NotSwitched(answer));
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the server's response does not conform to the requirements for
        //# the server's handshake as defined in this section and in Section
        //# 4.2.2, the client MUST _Fail the WebSocket Connection_.
        if head.line.is_http10 {
            return Err(ClientHandshakeError::OldHttpVersion);
        }
        check_upgrade(head)?;
        check_connection(head)?;
        self.check_accept(head)?;
        check_extensions(head)?;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the server's response is validated as provided for above, it is
        //# said that _The WebSocket Connection is Established_
        Ok(Established {
            subprotocol: self.subprotocol_in_use(head)?,
            head_bytes,
        })
    }

    fn check_accept(&self, head: &AnswerHead<'_>) -> Result<(), ClientHandshakeError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# but ignoring any leading and trailing whitespace, the client MUST
        //# _Fail the WebSocket Connection_.
        match head.fields.once("Sec-WebSocket-Accept") {
            Occurrence::Once(value) if value == accept_key(self.key()) => Ok(()),
            Occurrence::Once(_) => Err(ClientHandshakeError::WrongAccept),
            Occurrence::Absent => Err(ClientHandshakeError::MissingAccept),
            Occurrence::Repeated => {
                Err(ClientHandshakeError::RepeatedField("Sec-WebSocket-Accept"))
            }
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The _Subprotocol In Use_ is defined to be the value of the
    //# |Sec-WebSocket-Protocol| header field in the server's handshake or the
    //# null value if that header field was not present in the server's
    //# handshake.
    fn subprotocol_in_use(
        &self,
        head: &AnswerHead<'_>,
    ) -> Result<Option<String>, ClientHandshakeError> {
        let value = match head.fields.once(subprotocol::FIELD) {
            Occurrence::Absent => return Ok(None),
            Occurrence::Once(value) => value,
            Occurrence::Repeated => {
                return Err(ClientHandshakeError::RepeatedField(subprotocol::FIELD));
            }
        };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# (the server has indicated a subprotocol not requested by the
        //# client), the client MUST _Fail the WebSocket Connection_.
        self.subprotocols
            .iter()
            .find(|name| name.as_bytes() == value)
            .map(|name| Some(name.clone()))
            .ok_or(ClientHandshakeError::UnrequestedSubprotocol)
    }

    fn key(&self) -> &str {
        core::str::from_utf8(&self.key).unwrap_or_default()
    }
}

/// The connection is open; WebSocket is spoken from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// The subprotocol that the server chose, one of those offered. `None`:
    /// none is in use; it is for the caller to go on without or to close.
    pub subprotocol: Option<String>,
    /// Where frames begin in the bytes that were handed in.
    pub head_bytes: usize,
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

impl core::error::Error for InvalidRequest {}

/// Why the server's answer does not open a WebSocket connection (§4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientHandshakeError {
    /// The bytes are no head of an HTTP/1 answer, or one beyond the bounds.
    Malformed(HeadError),
    /// An HTTP answer other than 101.
    NotSwitched(HttpAnswer),
    /// 101 in HTTP/1.0, which has no Upgrade.
    OldHttpVersion,
    /// The Upgrade field is missing, or its value is not `websocket`.
    UpgradeIsNotWebSocket,
    /// No Connection field lists `upgrade`.
    ConnectionIsNotUpgrade,
    /// There is no Sec-WebSocket-Accept.
    MissingAccept,
    /// Sec-WebSocket-Accept does not answer the key that was sent.
    WrongAccept,
    /// A field that must stand once stands twice.
    RepeatedField(&'static str),
    /// Sec-WebSocket-Extensions breaks its grammar (§9.1).
    MalformedExtensions,
    /// The server uses an extension that was not offered.
    UnrequestedExtension,
    /// The server has chosen a subprotocol that was not offered.
    UnrequestedSubprotocol,
}

impl From<HeadError> for ClientHandshakeError {
    fn from(error: HeadError) -> Self {
        ClientHandshakeError::Malformed(error)
    }
}

impl fmt::Display for ClientHandshakeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ClientHandshakeError as Error;
        formatter.write_str(match self {
            Error::Malformed(error) => {
                return write!(formatter, "the server's answer is malformed: {error}");
            }
            Error::NotSwitched(answer) => {
                return write!(
                    formatter,
                    "the server answers {} instead of 101",
                    answer.status
                );
            }
            Error::RepeatedField(name) => {
                return write!(formatter, "the server's answer has {name} twice");
            }
            Error::OldHttpVersion => "the server switches protocols in HTTP/1.0",
            Error::UpgradeIsNotWebSocket => "the server does not switch to websocket (§4.1)",
            Error::ConnectionIsNotUpgrade => "Connection does not list upgrade (§4.1)",
            Error::MissingAccept => "Sec-WebSocket-Accept is missing (§4.1)",
            Error::WrongAccept => "Sec-WebSocket-Accept does not answer the key (§4.1)",
            Error::MalformedExtensions => "Sec-WebSocket-Extensions is malformed (§9.1)",
            Error::UnrequestedExtension => "the server uses an extension not offered (§4.1)",
            Error::UnrequestedSubprotocol => "the server chose a subprotocol not offered (§4.1)",
        })
    }
}

impl core::error::Error for ClientHandshakeError {}

/// Unlike a request's, this field has one value: the protocol that is spoken
/// from here on.
fn check_upgrade(head: &AnswerHead<'_>) -> Result<(), ClientHandshakeError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# match for the value "websocket", the client MUST _Fail the WebSocket
    //# Connection_.
    match head.fields.once("Upgrade") {
        Occurrence::Once(value) if value.eq_ignore_ascii_case(b"websocket") => Ok(()),
        _ => Err(ClientHandshakeError::UpgradeIsNotWebSocket),
    }
}

fn check_connection(head: &AnswerHead<'_>) -> Result<(), ClientHandshakeError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# match for the value "Upgrade", the client MUST _Fail the WebSocket
    //# Connection_.
    let mut options = head.fields.list("Connection");
    if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
        return Err(ClientHandshakeError::ConnectionIsNotUpgrade);
    }
    Ok(())
}

/// None is offered, so none may be in use.
fn check_extensions(head: &AnswerHead<'_>) -> Result<(), ClientHandshakeError> {
    if head.fields.get(extensions::FIELD).is_none() {
        return Ok(());
    }
    extensions::check(head.fields).map_err(|_| ClientHandshakeError::MalformedExtensions)?;
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# (the server has indicated an extension not requested by the client), the
    //# client MUST _Fail the WebSocket Connection_.
    Err(ClientHandshakeError::UnrequestedExtension)
}

fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

fn is_reserved(name: &str) -> bool {
    let prefix = name.get(..SEC_WEBSOCKET.len()).unwrap_or_default();
    prefix.eq_ignore_ascii_case(SEC_WEBSOCKET)
        || RESERVED
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved))
}

const SEC_WEBSOCKET: &str = "Sec-WebSocket-";
const RESERVED: [&str; 6] = [
    "Host",
    "Upgrade",
    "Connection",
    "Origin",
    "Content-Length",
    "Transfer-Encoding",
];

/// Interim answers that are passed over; one past it is handed out as it is.
const INTERIM_ANSWERS_MAX: usize = 8;
