//! `ws:` and `wss:` URIs (RFC 6455 §3, §11.1).
//!
//! ```text
//!   wss://example.com:8443/chat?room=1
//!   └┬┘   └────┬────┘ └┬─┘└────┬─────┘
//!   secure    host    port  resource name
//! ```
//!
//! A URI is ASCII. The caller converts other text first: the host by IDNA, which is not done
//! here, and the rest by [`percent_encode`].
//!
//! Some ASCII characters are not allowed by RFC 3986 and accepted by browsers
//! (``[ ] ^ ` { | }``, and `\` in a query). They are accepted here, too, and percent-encoded, so
//! that `?a[]=1` can be requested and the request has a valid URI.

use crate::http::authority::{Authority, InvalidAuthority, percent_encoding_is_valid};
use crate::http::debug::WithoutToken;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;
use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode_byte, utf8_percent_encode,
};

/// The server and the resource that a WebSocket client connects to.
///
/// ```
/// use yamabiko::websocket::handshake::WebSocketUri;
///
/// let uri = WebSocketUri::parse("wss://example.com/chat?room=1")?;
/// assert!(uri.secure());
/// assert_eq!((uri.host(), uri.port()), ("example.com", 443));
/// assert_eq!(uri.resource_name(), "/chat?room=1");
/// # Ok::<(), yamabiko::websocket::handshake::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WebSocketUri {
    secure: bool,
    host: String,
    port: u16,
    resource_name: String,
}

impl WebSocketUri {
    /// Parses an absolute URI.
    ///
    /// # Errors
    ///
    /// [`UriError`]: not a WebSocket URI, or one with a fragment, user
    /// information, a wrong host or port, or characters that no URI has.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If any of the components are invalid, the client MUST _Fail the
        //# WebSocket Connection_ and abort these steps.
        // What was not converted is refused.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-11.1.1
        //# Characters in the host component that are excluded by the syntax
        //# defined above MUST be converted from Unicode to ASCII
        if !text.is_ascii() {
            return Err(UriError::NotAscii);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-3
        //# Fragment identifiers are meaningless in the context of WebSocket
        //# URIs and MUST NOT be used on these URIs.
        if text.contains('#') {
            return Err(UriError::Fragment);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Scheme)?;
        let secure = parse_scheme(scheme)?;
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at(authority_end);
        let (host, port) = parse_authority(authority)?;
        Ok(WebSocketUri {
            secure,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(default_port(secure)),
            resource_name: parse_resource_name(resource)?,
        })
    }

    /// Is it `wss`, to be spoken over TLS?
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The host in lower case; an IPv6 address has its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port: 80 or 443 if none is written; never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as in the request line: begins with `/`, and has only
    /// characters of RFC 3986.
    pub fn resource_name(&self) -> &str {
        &self.resource_name
    }

    /// The value of Host: the port is left out where it is the default one.
    pub fn authority(&self) -> String {
        if self.port == default_port(self.secure) {
            return self.host.clone();
        }
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for WebSocketUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        let (authority, resource_name) = (self.authority(), &self.resource_name);
        write!(formatter, "{scheme}://{authority}{resource_name}")
    }
}

/// Without the value of `access_token` in the query.
impl fmt::Debug for WebSocketUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocketUri")
            .field("secure", &self.secure)
            .field("authority", &self.authority())
            .field("resource_name", &WithoutToken(&self.resource_name))
            .finish()
    }
}

impl core::str::FromStr for WebSocketUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        WebSocketUri::parse(text)
    }
}

/// A URI, or what should be one, as programs may print it: the value of `access_token` in the query (RFC 6750 §2.3) and what
/// stands before an `@` in the authority are `[hidden]`.
///
/// ```
/// use yamabiko::websocket::handshake::hide_credentials;
///
/// let uri = "ws://example.com/chat?room=1&access_token=mF_9.B5f";
/// assert_eq!(hide_credentials(uri), "ws://example.com/chat?room=1&access_token=[hidden]");
/// ```
pub fn hide_credentials(uri: &str) -> String {
    let authority = uri.find("://").map_or(0, |at| at + "://".len());
    let rest = &uri[authority..];
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{}[hidden]{}", &uri[..authority], WithoutToken(&rest[at..])),
        None => format!("{}", WithoutToken(uri)),
    }
}

/// Writes any text so that it can be one segment of a path, or a name or value
/// in a query: all but letters, digits and `-._~` becomes `%XX` for each byte
/// of its UTF-8.
///
/// ```
/// use yamabiko::websocket::handshake::percent_encode;
///
/// assert_eq!(percent_encode("caf\u{e9} #1"), "caf%C3%A9%20%231");
/// ```
pub fn percent_encode(text: &str) -> String {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-3
    //# the character "#", when not indicating the start of a fragment, MUST be
    //# escaped as %23.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-11.1.1
    //# Characters in other components that are excluded by the syntax
    //# defined above MUST be converted from Unicode to ASCII
    utf8_percent_encode(text, ALL_BUT_UNRESERVED).collect()
}

/// The text that a segment of a path stands for: the opposite of [`percent_encode`]. `None`: a
/// percent sign without two hexadecimal digits, or bytes that are not UTF-8. Split a path at its
/// slashes first.
///
/// [`Upgrade::path_segments`](super::Upgrade::path_segments) does both for a request, and
/// replaces what is not UTF-8.
///
/// ```
/// use yamabiko::websocket::handshake::percent_decode;
///
/// assert_eq!(percent_decode("caf%C3%A9%20%231").as_deref(), Some("caf\u{e9} #1"));
/// assert_eq!(percent_decode("%C3"), None);
/// assert_eq!(percent_decode("100%"), None);
/// ```
pub fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !percent_encoding_is_valid(text) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// Unreserved are letters, digits and these (RFC 3986 §2.3).
const ALL_BUT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why a text is no WebSocket URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// It has characters outside ASCII: convert the host by IDNA, and the rest
    /// by [`percent_encode`].
    NotAscii,
    /// It does not begin with `ws://` or `wss://`.
    Scheme,
    /// It has a `#`.
    Fragment,
    /// It has a user name before the host: send credentials in a field.
    UserInformation,
    /// The host is empty, or neither a name nor an IP address.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// Path or query has a character that must be percent-encoded (a space, a
    /// control character, `"`, `<`, `>`, a `\` in the path), or a percent sign
    /// without two hexadecimal digits.
    Character,
}

impl fmt::Display for UriError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            UriError::NotAscii => "the URI is not ASCII (RFC 6455 §11.1)",
            UriError::Scheme => "the URI does not begin with ws:// or wss:// (RFC 6455 §3)",
            UriError::Fragment => "a WebSocket URI has no fragment (RFC 6455 §3)",
            UriError::UserInformation => "a WebSocket URI has no user name (RFC 6455 §3)",
            UriError::Host => "the host of the URI is not a name or an IP address",
            UriError::Port => "the port of the URI is not a number from 1 to 65535",
            UriError::Character => "a character of the URI must be percent-encoded",
        })
    }
}

impl core::error::Error for UriError {}

fn parse_scheme(scheme: &str) -> Result<bool, UriError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-3
    //# if the scheme component matches "wss" case-insensitively.
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => Ok(false),
        "wss" => Ok(true),
        _ => Err(UriError::Scheme),
    }
}

fn default_port(secure: bool) -> u16 {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-3
    //# the default for "ws" is port 80, while the default for "wss" is port 443.
    if secure { 443 } else { 80 }
}

fn parse_authority(text: &str) -> Result<(&str, Option<u16>), UriError> {
    if text.contains('@') {
        return Err(UriError::UserInformation);
    }
    match Authority::parse(text) {
        Ok(Authority { port: Some(0), .. }) | Err(InvalidAuthority::Port) => Err(UriError::Port),
        Ok(Authority { host, port }) => Ok((host, port)),
        Err(InvalidAuthority::Host) => Err(UriError::Host),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//# The "resource-name" (also known as /resource name/ in Section 4.1) can be
//# constructed by concatenating the following:
fn parse_resource_name(text: &str) -> Result<String, UriError> {
    if !percent_encoding_is_valid(text) {
        return Err(UriError::Character);
    }
    let mut resource_name = String::with_capacity(1 + text.len());
    if !text.starts_with('/') {
        resource_name.push('/');
    }
    let mut in_query = false;
    for byte in text.bytes() {
        in_query |= byte == b'?';
        if is_resource_byte(byte) {
            resource_name.push(char::from(byte));
        } else if is_encoded_for_the_caller(byte, in_query) {
            resource_name.push_str(percent_encode_byte(byte));
        } else {
            return Err(UriError::Character);
        }
    }
    Ok(resource_name)
}

/// What RFC 3986 leaves out, and the URL Standard of browsers does not percent-encode
/// in a query. In a path a browser takes `\` for `/`: too surprising to follow.
fn is_encoded_for_the_caller(byte: u8, in_query: bool) -> bool {
    b"[]^`{|}".contains(&byte) || in_query && byte == b'\\'
}

/// `pchar`, `/` and `?` (RFC 3986 §3.3, §3.4).
fn is_resource_byte(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@/?%".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

// Also obeyed by `parse`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.1.2
//# Characters in the host component that are excluded by the syntax
//# defined above MUST be converted from Unicode to ASCII

// Also obeyed by `percent_encode`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.1.2
//# Characters in other components that are excluded by the syntax
//# defined above MUST be converted from Unicode to ASCII
