//! The server's half of the opening handshake (RFC 6455 §4.2, §4.4).
//!
//! ```text
//!   GET /chat HTTP/1.1                         HTTP/1.1 101 Switching Protocols
//!   Host: server.example.com                   Upgrade: websocket
//!   Upgrade: websocket                         Connection: Upgrade
//!   Connection: Upgrade               ──►      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
//!   Sec-WebSocket-Key: dGhlIHNhbX…==           Sec-WebSocket-Protocol: chat
//!   Sec-WebSocket-Version: 13
//!   Sec-WebSocket-Protocol: chat, superchat
//! ```
//!
//! [`Upgrade::check`] is the list of §4.2.1, one rule after the other. An
//! `Upgrade` is a request that has passed it; [`Upgrade::accept`] is the only way to
//! a 101. Of what the client sent, only a subprotocol that the caller chose gets
//! into that response, and the hash of its key; and no more is agreed to than was
//! offered.

use super::accept_key::{accept_key, is_canonical_key};
use super::accepted::{AcceptOptions, Accepted, DeflateWanted, SubprotocolChoice};
use super::agreement::Agreement;
use super::extensions::{self, Extension};
use super::permessage_deflate::{self, Parameters};
use super::subprotocol;
#[cfg(feature = "http")]
use crate::http::OwnedRequest;
use crate::http::fields::Occurrence;
use crate::http::known_fields::HandshakeFields;
use crate::http::{HttpVersion, Origins, Refusal, RequestHead, Status};
use crate::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool};
use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use core::fmt;

/// A valid WebSocket handshake, to be accepted or refused.
///
/// ```
/// use yamabiko::websocket::Limits;
/// use yamabiko::websocket::handshake::{AcceptOptions, HeadLimits, RequestReader, Upgrade};
///
/// let bytes = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n\
///     Upgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Version: 13\r\nOrigin: http://example.com\r\n\
///     Sec-WebSocket-Protocol: chat, superchat\r\n\r\n";
/// let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
/// let upgrade = Upgrade::check(&head)?;
/// assert_eq!(upgrade.origin(), Some("http://example.com"));
///
/// let options = AcceptOptions::default().subprotocols(&["superchat", "chat"]);
/// let accepted = upgrade.accept(options)?;
/// let mut output = Vec::new(); // for the socket
/// accepted.write_response(&mut output);
/// assert_eq!(output, b"HTTP/1.1 101 Switching Protocols\r\n\
///     Upgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
///     Sec-WebSocket-Protocol: superchat\r\n\r\n");
///
/// let mut connection = accepted.connection(Limits::default());
/// connection.send("welcome", &mut output).expect("it is open");
/// # Ok::<(), yamabiko::websocket::handshake::Refusal>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Upgrade<'a> {
    request: RequestHead<'a>,
    key: &'a str,
    origin: Option<&'a str>,
}

impl<'a> Upgrade<'a> {
    /// Checks a request against §4.2.1.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] to answer with: 505 for HTTP/1.0, 405 for another method
    /// than GET, 426 if the Upgrade field does not list `websocket` or the
    /// version is not 13, 400 for the rest.
    pub fn check(request: &RequestHead<'a>) -> Result<Self, Refusal> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
        //# the server MUST stop processing the client's handshake and return an
        //# HTTP response with an appropriate error code (such as 400 Bad
        //# Request).
        check_request_line(request)?;
        let known = request.handshake_fields();
        check_upgrade(request)?;
        check_version(known.version)?;
        let key = check_key(known.key)?;
        let origin = check_origin(known.origin)?;
        check_lists(request, known)?;
        Ok(Upgrade {
            request: *request,
            key,
            origin,
        })
    }

    /// The request itself.
    pub fn request(&self) -> &RequestHead<'a> {
        &self.request
    }

    /// The path that is asked for, percent-encoding kept.
    pub fn path(&self) -> &'a str {
        self.request.path()
    }

    /// The segments of the path, decoded: see [`RequestHead::path_segments`].
    ///
    /// ```
    /// use yamabiko::websocket::handshake::{Refusal, Status, Upgrade};
    ///
    /// fn room(upgrade: &Upgrade<'_>) -> Result<String, Refusal> {
    ///     let segments: Vec<_> = upgrade.path_segments().collect();
    ///     match &segments[..] {
    ///         [first, room] if first == "room" => Ok(room.to_string()),
    ///         _ => Err(Refusal::new(Status::NotFound, "there is nothing here")),
    ///     }
    /// }
    /// ```
    pub fn path_segments(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        self.request.path_segments()
    }

    /// The query of the request, as it was sent.
    pub fn query(&self) -> Option<&'a str> {
        self.request.query()
    }

    /// The names and values of the query, decoded: see [`RequestHead::query_pairs`].
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        self.request.query_pairs()
    }

    /// The value of the first pair of the query with this name.
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.request.query_value(name)
    }

    /// The origin of the page that asks, for instance `https://example.com` or
    /// `null`: printable ASCII. Browsers always send it: see [`Upgrade::check_origin`].
    /// Without it the client is no browser (and can lie in any field).
    pub fn origin(&self) -> Option<&'a str> {
        self.origin
    }

    /// Checks that the page that asks is of an origin that may connect. [`Origins::SameHost`] compares with the host
    /// that was asked for; behind a proxy that is the host that the proxy names.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] to answer with, 403. It names the origin and the host.
    ///
    /// ```
    /// # use yamabiko::websocket::handshake::{HeadLimits, RequestReader, Upgrade};
    /// use yamabiko::http::Origins;
    ///
    /// # let bytes = b"GET / HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\n\
    /// #     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    /// #     Sec-WebSocket-Version: 13\r\nOrigin: https://chat.example\r\n\r\n";
    /// # let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
    /// # let upgrade = Upgrade::check(&head)?;
    /// upgrade.check_origin(&Origins::SameHost)?;
    /// # Ok::<(), yamabiko::websocket::handshake::Refusal>(())
    /// ```
    pub fn check_origin(&self, origins: &Origins) -> Result<(), Refusal> {
        self.check_origin_for(origins, self.request.host().unwrap_or_default())
    }

    /// As [`Upgrade::check_origin`], if a proxy has been asked for this host.
    pub(crate) fn check_origin_for(&self, origins: &Origins, host: &str) -> Result<(), Refusal> {
        if origins.allow(self.origin, host) {
            return Ok(());
        }
        let origin = shortened(self.origin.unwrap_or_default());
        let host = shortened(host);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
        //# it SHOULD respond to the WebSocket handshake with a reply containing
        //# HTTP 403 Forbidden status code.
        Err(Refusal::new(
            Status::Forbidden,
            format!("pages of the origin {origin} may not connect to the host {host}"),
        ))
    }

    /// The subprotocols that the client offers, the most wanted first:
    /// different tokens, at most
    /// [`SUBPROTOCOLS_MAX`](super::SUBPROTOCOLS_MAX).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        subprotocol::offered(self.request.fields())
    }

    /// The first of the server's subprotocols that the client offers too. The
    /// names are compared as they are, case included.
    pub fn choose_subprotocol<'s>(&self, supported: &[&'s str]) -> Option<&'s str> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# The value chosen MUST be derived from the client's handshake,
        //# specifically by selecting one of the values from the
        //# |Sec-WebSocket-Protocol| field
        supported
            .iter()
            .copied()
            .find(|&name| self.offers_subprotocol(name))
    }

    /// The extensions that the client offers, the most wanted first.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
        //# a preference of the header fields it wishes to use, with the first
        //# options listed being most preferable.
        extensions::listed(self.request.fields())
    }

    /// The parameters that the first acceptable offer of permessage-deflate leads to:
    /// those of `AcceptOptions::deflate`. `None`: the client offers none, or none that RFC 7692 §7 lets a server accept.
    ///
    /// Each demand of the offer is met, so that the server may have to compress
    /// with less than `config` allows it. Beyond that,
    ///
    /// * `server_no_context_takeover` and a smaller `server_max_window_bits` of
    ///   `config` are sent to the client even if it does not ask for them,
    /// * so is `client_no_context_takeover`, which every client must obey,
    /// * the client's window is the smaller one of `config` and the client's hint
    ///   if the offer has `client_max_window_bits`. Without it the
    ///   server may not choose: then 15 is agreed, whatever is in `config`, and the
    ///   connection decompresses with a window of that size.
    ///
    /// Windows of 8 bits are agreed to like all others.
    ///
    /// ```
    /// use yamabiko::websocket::deflate::DeflateConfig;
    /// # use yamabiko::websocket::handshake::{AcceptOptions, HeadLimits, RequestReader, Upgrade};
    ///
    /// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    ///     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    ///     Sec-WebSocket-Version: 13\r\n\
    ///     Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n\r\n";
    /// # let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
    /// # let upgrade = Upgrade::check(&head)?;
    /// let agreed = upgrade.choose_deflate(&DeflateConfig::default()).unwrap();
    /// assert_eq!(agreed.server_max_window_bits.get(), 10);
    /// assert_eq!(agreed.client_max_window_bits.get(), 15);
    ///
    /// let options = AcceptOptions::default().deflate(DeflateConfig::default());
    /// let accepted = upgrade.accept(options)?;
    /// assert_eq!(accepted.deflate(), Some(&agreed));
    /// let mut output = Vec::new();
    /// accepted.write_response(&mut output);
    /// assert!(output.ends_with(b"\r\nSec-WebSocket-Extensions: permessage-deflate; \
    ///     server_no_context_takeover; client_no_context_takeover; \
    ///     server_max_window_bits=10\r\n\r\n"));
    /// # Ok::<(), yamabiko::websocket::handshake::Refusal>(())
    /// ```
    pub fn choose_deflate(&self, config: &DeflateConfig) -> Option<DeflateParameters> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# the value MUST be derived from the client's handshake, specifically by
        //# selecting one or more of the values from the
        //# |Sec-WebSocket-Extensions| field.
        permessage_deflate::agree(self.extensions(), config)
    }

    /// Accepts the handshake: chooses what is agreed on, and returns the response and the
    /// connection together, so that they cannot contradict each other.
    ///
    /// # Errors
    ///
    /// [`NotOffered`] if the client does not offer the subprotocol of `options`, or the
    /// parameters of permessage-deflate; it would have to fail the connection.
    pub fn accept(&self, options: AcceptOptions<'_>) -> Result<Accepted, NotOffered> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# the server MUST complete the following steps to accept the
        //# connection and send the server's opening handshake.
        let subprotocol = self.subprotocol_of(options.subprotocol)?;
        let shared = options.deflate_pool;
        let pool = || shared.or_else(DeflatePool::for_one_connection);
        let wanted = options.deflate.and_then(|wanted| Some((wanted, pool()?)));
        let (extension, agreement) = match wanted {
            //= https://www.rfc-editor.org/rfc/rfc7692#section-5
            //# A server declining all offered PMCEs MUST NOT include any element
            //# with PMCE names.
            None => (None, None),
            Some((wanted, pool)) => self.agree(wanted, pool)?,
        };
        let key = accept_key(self.key);
        let fields = options.fields;
        Ok(Accepted::new(
            key,
            subprotocol,
            extension,
            fields,
            agreement,
        ))
    }

    /// Checks a request that another HTTP stack has read, and the origin of the page that asks, and accepts it.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] to answer with ([`Refusal::to_http`]).
    ///
    /// ```
    /// use yamabiko::http::Origins;
    /// use yamabiko::websocket::Limits;
    /// use yamabiko::websocket::handshake::{AcceptOptions, Upgrade};
    ///
    /// let request = http::Request::get("/chat")
    ///     .header("Host", "server.example.com")
    ///     .header("Upgrade", "websocket")
    ///     .header("Connection", "Upgrade")
    ///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    ///     .header("Sec-WebSocket-Version", "13")
    ///     .body(())?;
    /// let accepted = Upgrade::accept_http(&request, &Origins::SameHost, AcceptOptions::default())?;
    /// let response: http::Response<()> = accepted.to_http();
    /// assert_eq!(response.status(), 101);
    ///
    /// // When the stack has sent the response and hands over its bytes:
    /// let connection = accepted.connection(Limits::default());
    /// # drop(connection);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "http")]
    pub fn accept_http<B>(
        request: &http::Request<B>,
        origins: &Origins,
        options: AcceptOptions<'_>,
    ) -> Result<Accepted, Refusal> {
        let request = OwnedRequest::try_from(request)?;
        let upgrade = Upgrade::check(&request.head()?)?;
        upgrade.check_origin(origins)?;
        Ok(upgrade.accept(options)?)
    }

    /// The subprotocol in use: nothing that was not offered.
    fn subprotocol_of(&self, choice: SubprotocolChoice<'_>) -> Result<Option<String>, NotOffered> {
        let chosen = match choice {
            SubprotocolChoice::FirstOf(supported) => self.choose_subprotocol(supported),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# if the server does not wish to agree to one of the suggested
            //# subprotocols, it MUST NOT send back a |Sec-WebSocket-Protocol|
            //# header field in its response
            SubprotocolChoice::Chosen(None) => None,
            SubprotocolChoice::Chosen(Some(name)) if self.offers_subprotocol(name) => Some(name),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# If the client's handshake did not contain such a header field or
            //# if the server does not agree to any of the client's requested
            //# subprotocols, the only acceptable value is null.
            SubprotocolChoice::Chosen(Some(_)) => return Err(NotOffered::Subprotocol),
        };
        Ok(chosen.map(str::to_owned))
    }

    /// The element of the response and what the connection does, if an offer is accepted.
    fn agree(
        &self,
        wanted: DeflateWanted,
        pool: DeflatePool,
    ) -> Result<(Option<Parameters>, Option<Agreement>), NotOffered> {
        let exact = wanted.parameters;
        let Some(parameters) = exact.or_else(|| self.choose_deflate(&wanted.config)) else {
            return Ok((None, None));
        };
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# Extensions not listed by the client MUST NOT be listed.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# The element MUST represent a PMCE that is fully supported by the
        //# server.
        let extension = permessage_deflate::accept(self.extensions(), &parameters);
        let extension = extension.ok_or(NotOffered::Deflate)?;
        let config = (!wanted.inflates_only).then_some(wanted.config);
        let agreement = Agreement::new(parameters, config, pool);
        Ok((Some(extension), Some(agreement)))
    }

    fn offers_subprotocol(&self, name: &str) -> bool {
        self.subprotocols().any(|offered| offered == name)
    }
}

/// Something was chosen that the client does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotOffered {
    /// This subprotocol.
    Subprotocol,
    /// permessage-deflate, or not with these parameters.
    Deflate,
}

impl fmt::Display for NotOffered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            NotOffered::Subprotocol => {
                "the client does not offer this subprotocol (RFC 6455 §4.2.2)"
            }
            NotOffered::Deflate => {
                "the client does not offer these parameters of permessage-deflate (RFC 7692 §7.1)"
            }
        })
    }
}

impl core::error::Error for NotOffered {}

/// 500: the choice was the server's own.
impl From<NotOffered> for Refusal {
    fn from(error: NotOffered) -> Refusal {
        Refusal::of(
            Status::InternalServerError,
            match error {
                NotOffered::Subprotocol => {
                    "the application chose a subprotocol that was not offered"
                }
                NotOffered::Deflate => {
                    "the application chose parameters of permessage-deflate that were not offered"
                }
            },
        )
    }
}

/// The beginning of a value that is longer than any real origin.
fn shortened(value: &str) -> String {
    const BYTES_MAX: usize = 300;
    match value.get(..BYTES_MAX) {
        Some(beginning) if value.len() > BYTES_MAX => format!("{beginning}..."),
        _ => value.to_owned(),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# An HTTP/1.1 or higher GET request, including a "Request-URI" [RFC2616]
//# that should be interpreted as a /resource name/ defined in Section 3
fn check_request_line(request: &RequestHead<'_>) -> Result<(), Refusal> {
    if request.version() == HttpVersion::Http10 {
        let reason = "WebSocket needs HTTP/1.1";
        return Err(Refusal::of(Status::HttpVersionNotSupported, reason));
    }
    if request.method() != "GET" {
        let reason = "a WebSocket handshake is a GET";
        return Err(Refusal::of(Status::MethodNotAllowed, reason));
    }
    Ok(())
}

fn check_upgrade(request: &RequestHead<'_>) -> Result<(), Refusal> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# An |Upgrade| header field containing the value "websocket", treated as
    //# an ASCII case-insensitive value.
    if !request.wants_websocket() {
        return Err(Refusal::upgrade_required());
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# A |Connection| header field that includes the token "Upgrade", treated
    //# as an ASCII case-insensitive value.
    if !request.connection_lists_upgrade() {
        return Err(bad_request("Connection does not list Upgrade"));
    }
    // Its bytes would be read as frames.
    if request.body_announced() {
        return Err(bad_request("a WebSocket handshake has no body"));
    }
    Ok(())
}

fn check_version(occurrence: Occurrence<'_>) -> Result<(), Refusal> {
    match occurrence {
        Occurrence::Absent => Err(bad_request("Sec-WebSocket-Version is missing")),
        //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.5
        //# the |Sec-WebSocket-Version| header field MUST NOT appear more than
        //# once in an HTTP request.
        Occurrence::Repeated => Err(bad_request("duplicate Sec-WebSocket-Version header")),
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
        //# A |Sec-WebSocket-Version| header field, with a value of 13.
        Occurrence::Once(b"13") => Ok(()),
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# the server MUST abort the WebSocket handshake described in this
        //# section and instead send an appropriate HTTP error code (such as 426
        //# Upgrade Required)
        Occurrence::Once(value) if is_version(value) => Err(Refusal::upgrade_required()),
        Occurrence::Once(_) => Err(bad_request("Sec-WebSocket-Version is not a number")),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.3
//# Limited to 0-255 range, with no leading zeros
fn is_version(value: &[u8]) -> bool {
    match value {
        [b'0'..=b'9'] => true,
        [b'1'..=b'9', ..] if value.iter().all(u8::is_ascii_digit) => {
            value.len() == 2 || value.len() == 3 && value <= &b"255"[..]
        }
        _ => false,
    }
}

fn check_key(occurrence: Occurrence<'_>) -> Result<&str, Refusal> {
    match occurrence {
        Occurrence::Absent => Err(bad_request("Sec-WebSocket-Key is missing")),
        //= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.1
        //# The |Sec-WebSocket-Key| header field MUST NOT appear more than once
        //# in an HTTP request.
        Occurrence::Repeated => Err(bad_request("duplicate Sec-WebSocket-Key header")),
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
        //# A |Sec-WebSocket-Key| header field with a base64-encoded (see
        //# Section 4 of [RFC4648]) value that, when decoded, is 16 bytes in
        //# length.
        Occurrence::Once(value) if !is_canonical_key(value) => Err(INVALID_KEY),
        Occurrence::Once(value) => core::str::from_utf8(value).map_err(|_| INVALID_KEY),
    }
}

/// An origin is printable ASCII (RFC 6454 §7.1); anything else would be given
/// to an application that compares strings.
fn check_origin(occurrence: Occurrence<'_>) -> Result<Option<&str>, Refusal> {
    match occurrence {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
        //# A connection attempt lacking this header field SHOULD NOT be
        //# interpreted as coming from a browser client.
        Occurrence::Absent => Ok(None),
        Occurrence::Repeated => Err(bad_request("duplicate Origin header")),
        Occurrence::Once(value) => match core::str::from_utf8(value) {
            Ok(origin) if is_origin(origin) => Ok(Some(origin)),
            _ => Err(bad_request("Origin is malformed")),
        },
    }
}

/// `null`, or origins with a space between two of them.
pub(super) fn is_origin(text: &str) -> bool {
    let is_printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    !text.is_empty() && text.bytes().all(is_printable)
}

fn check_lists(request: &RequestHead<'_>, known: &HandshakeFields<'_>) -> Result<(), Refusal> {
    if known.protocol {
        subprotocol::check_offer(request.fields()).map_err(bad_request)?;
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
    //# the recipient of such malformed data MUST immediately _Fail the
    //# WebSocket Connection_.
    if known.extensions && extensions::check(request.fields()).is_err() {
        return Err(bad_request("Sec-WebSocket-Extensions is malformed"));
    }
    Ok(())
}

fn bad_request(reason: &'static str) -> Refusal {
    Refusal::of(Status::BadRequest, reason)
}

const INVALID_KEY: Refusal = Refusal::of(
    Status::BadRequest,
    "Sec-WebSocket-Key is not 16 bytes in base64",
);

// Also obeyed by `agree`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-9
//# A server MUST NOT respond with any extension not requested by the
//# client.
