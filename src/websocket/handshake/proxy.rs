//! Through an HTTP proxy to a server (RFC 6455 §4.1, RFC 9110 §9.3.6): the request CONNECT, and the
//! response to it, without I/O.
//!
//! ```text
//!   CONNECT server.example.com:80 HTTP/1.1             HTTP/1.1 200 OK
//!   Host: server.example.com:80                  ──►
//!   Proxy-Authorization: Basic YWtpOjUxZDI=            from here on: the bytes of the server
//! ```

use super::uri::{UriError, WebSocketUri, percent_decode};
use crate::http::authority::Authority;
use crate::http::received_response::ResponseReader;
use crate::http::{HeadError, HeadLimits, HttpResponse};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use core::fmt;

/// An HTTP proxy that connects to a server in place of the client.
///
/// ```
/// use yamabiko::websocket::handshake::Proxy;
///
/// let proxy = Proxy::parse("http://aki:51d2@proxy.example.com:3128")?;
/// assert_eq!((proxy.host(), proxy.port()), ("proxy.example.com", 3128));
/// # Ok::<(), yamabiko::websocket::handshake::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// The value of Proxy-Authorization.
    authorization: Option<String>,
}

impl Proxy {
    /// Parses `http://[user:password@]host[:port]`; the port is 80 if none is written. Characters
    /// of the user and the password can be percent-encoded. They are sent with Basic authentication
    /// (RFC 7617): readable for everybody on the way to the proxy.
    ///
    /// # Errors
    ///
    /// [`UriError`]: another scheme, a path, or a wrong host, port or user information.
    pub fn parse(text: &str) -> Result<Proxy, UriError> {
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(UriError::Scheme);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user_information, authority) = match rest.rsplit_once('@') {
            Some((user_information, authority)) => (Some(user_information), authority),
            None => (None, rest),
        };
        let Authority { host, port } = Authority::parse(authority).map_err(|_| UriError::Host)?;
        let authorization = user_information.map(basic).transpose()?;
        match port.unwrap_or(80) {
            0 => Err(UriError::Port),
            port => Ok(Proxy {
                host: host.to_ascii_lowercase(),
                port,
                authorization,
            }),
        }
    }

    /// The host in lower case; an IPv6 address has its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Without the user and the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// One attempt to reach a server through a proxy.
///
/// ```
/// use yamabiko::websocket::handshake::{Proxy, ProxyTunnel, WebSocketUri};
///
/// let proxy = Proxy::parse("http://proxy.example.com:3128")?;
/// let uri = WebSocketUri::parse("ws://server.example.com/chat")?;
/// let mut tunnel = ProxyTunnel::new(&proxy, &uri);
/// let mut output = Vec::new(); // for the proxy
/// tunnel.write_request(&mut output);
/// assert!(output.starts_with(b"CONNECT server.example.com:80 HTTP/1.1\r\n"));
///
/// let response = b"HTTP/1.1 200 OK\r\n\r\n"; // from the proxy
/// assert!(!tunnel.receive(&response[..10])?); // more is to come
/// assert!(tunnel.receive(response)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ProxyTunnel {
    request: String,
    reader: ResponseReader,
    /// Interim responses that were passed over, and their bytes.
    interim_responses: usize,
    interim_bytes: usize,
}

impl ProxyTunnel {
    /// Through this proxy to the server of this URI.
    pub fn new(proxy: &Proxy, uri: &WebSocketUri) -> ProxyTunnel {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# then the client SHOULD connect to that proxy and ask it to open a TCP
        //# connection to the host given by /host/ and the port given by /port/.
        let target = format!("{}:{}", uri.host(), uri.port());
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &proxy.authorization {
            request += &format!("Proxy-Authorization: {authorization}\r\n");
        }
        request += "\r\n";
        ProxyTunnel {
            request,
            reader: ResponseReader::new(HeadLimits::default()),
            interim_responses: 0,
            interim_bytes: 0,
        }
    }

    /// Appends the request to `output`.
    pub fn write_request(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(self.request.as_bytes());
    }

    /// Reads on in `bytes`: everything that has come so far. Returns whether the way to the server is
    /// open; if not, more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`TunnelError`]: the connection is to be closed.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<bool, TunnelError> {
        loop {
            let response = bytes.get(self.interim_bytes..).unwrap_or_default();
            let read = self.reader.read(response).map_err(TunnelError::Head)?;
            let Some((head, head_bytes)) = read else {
                return Ok(false);
            };
            let head_bytes = self.interim_bytes + head_bytes;
            match head.line.status {
                200..=299 if head_bytes == bytes.len() => return Ok(true),
                200..=299 => return Err(TunnelError::Surplus),
                100..=199 if self.interim_responses < INTERIM_RESPONSES_MAX => {
                    self.interim_responses += 1;
                    self.interim_bytes = head_bytes;
                    self.reader = ResponseReader::new(HeadLimits::default());
                }
                _ => return Err(TunnelError::Refused(HttpResponse::of(&head, head_bytes))),
            }
        }
    }
}

/// Without the user and the password.
impl fmt::Debug for ProxyTunnel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.request.lines().next();
        formatter
            .debug_struct("ProxyTunnel")
            .field("request", &line)
            .finish_non_exhaustive()
    }
}

/// Why a proxy has opened no way to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TunnelError {
    /// The proxy's response is not 2xx: 407 if it wants a user and a password, for example.
    Refused(HttpResponse),
    /// The response is not HTTP, or too long.
    Head(HeadError),
    /// Bytes came behind the response, before the server was asked for anything.
    Surplus,
}

impl fmt::Display for TunnelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TunnelError::Refused(response) => {
                let reason = response.reason.escape_debug();
                let line = format!("{} {reason}", response.status);
                write!(formatter, "the proxy answered {}", line.trim_end())
            }
            TunnelError::Head(error) => write!(formatter, "the proxy's response: {error}"),
            TunnelError::Surplus => formatter.write_str("bytes came behind the proxy's response"),
        }
    }
}

/// The cause that `Display` does not tell.
impl core::error::Error for TunnelError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            TunnelError::Refused(_) | TunnelError::Surplus => None,
            TunnelError::Head(error) => error.source(),
        }
    }
}

/// The value of Proxy-Authorization for `user:password` (RFC 7617 §2).
fn basic(user_information: &str) -> Result<String, UriError> {
    let (user, password) = user_information
        .split_once(':')
        .unwrap_or((user_information, ""));
    let decode = |text| percent_decode(text).ok_or(UriError::UserInformation);
    let (user, password) = (decode(user)?, decode(password)?);
    let is_valid = |text: &str| !text.chars().any(char::is_control);
    if user.contains(':') || !is_valid(&user) || !is_valid(&password) {
        return Err(UriError::UserInformation);
    }
    let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
    Ok("Basic ".to_owned() + &credentials)
}

/// A proxy may send so many before its response.
const INTERIM_RESPONSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(proxy: &str, uri: &str) -> String {
        let proxy = Proxy::parse(proxy).expect("a proxy");
        let uri = WebSocketUri::parse(uri).expect("a URI");
        let mut output = Vec::new();
        ProxyTunnel::new(&proxy, &uri).write_request(&mut output);
        String::from_utf8(output).expect("ASCII")
    }

    fn receive(bytes: &[u8]) -> Result<bool, TunnelError> {
        let proxy = Proxy::parse("http://p").expect("a proxy");
        let uri = WebSocketUri::parse("ws://a/").expect("a URI");
        ProxyTunnel::new(&proxy, &uri).receive(bytes)
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //= type=test
    //# then the client SHOULD connect to that proxy and ask it to open a TCP
    //# connection to the host given by /host/ and the port given by /port/.
    #[test]
    fn request_names_the_host_and_the_port_of_the_server() {
        assert_eq!(
            request("http://p", "ws://a.example/x"),
            "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n"
        );
        assert_eq!(
            request("http://p", "wss://[::1]:8443/"),
            "CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n"
        );
    }

    #[test]
    fn user_and_password_are_sent_as_basic_authentication() {
        let field = |proxy| {
            let request = request(proxy, "ws://a/");
            let field = request.split("Proxy-Authorization: ").nth(1);
            field.map(|rest| rest.trim_end().to_owned())
        };
        // The example of RFC 7617 §2.
        let value = field("http://Aladdin:open%20sesame@p");
        assert_eq!(value.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        let value = field("http://aki@p");
        assert_eq!(value.as_deref(), Some("Basic YWtpOg=="));
        assert_eq!(field("http://p"), None);
    }

    #[test]
    fn text_that_is_no_proxy_is_refused() {
        for (text, error) in [
            ("p:3128", UriError::Scheme),
            ("https://p", UriError::Scheme),
            ("http://", UriError::Host),
            ("http://p/path", UriError::Host),
            ("http://p:0", UriError::Port),
            ("http://a%3ab:c@p", UriError::UserInformation),
            ("http://a:b%0d%0a@p", UriError::UserInformation),
            ("http://a:%ff@p", UriError::UserInformation),
        ] {
            assert_eq!(Proxy::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn way_is_open_behind_a_2xx() {
        assert_eq!(receive(b"HTTP/1.1 200 OK\r\n"), Ok(false));
        assert_eq!(receive(b"HTTP/1.0 200 OK\r\n\r\n"), Ok(true));
        let surplus = receive(b"HTTP/1.0 200 OK\r\n\r\nx");
        assert_eq!(surplus, Err(TunnelError::Surplus));
        let interim = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 \r\n\r\n";
        assert_eq!(receive(interim), Ok(true));
        let eight = b"HTTP/1.1 100 C\r\n\r\n".repeat(8);
        let ok = b"HTTP/1.1 200 OK\r\n\r\n";
        let bytes = [&eight[..], ok].concat();
        assert_eq!(receive(&bytes), Ok(true));
        let nine = b"HTTP/1.1 100 C\r\n\r\n".repeat(9);
        assert!(matches!(receive(&nine), Err(TunnelError::Refused(_))));
    }

    #[test]
    fn response_other_than_2xx_is_an_error_with_its_fields() {
        let response = b"HTTP/1.1 407 Proxy Authentication Required\r\n\
            Proxy-Authenticate: Basic realm=a\r\n\r\n";
        let Err(TunnelError::Refused(response)) = receive(response) else {
            panic!("not refused");
        };
        assert_eq!(response.status, 407);
        assert_eq!(response.text("Proxy-Authenticate"), Some("Basic realm=a"));
        let not_http = receive(b"SSH-2.0-x\r\n");
        assert!(
            matches!(not_http, Err(TunnelError::Head(_))),
            "{not_http:?}"
        );
    }

    #[test]
    fn debug_text_has_no_password() {
        let proxy = Proxy::parse("http://aki:secret@p").expect("a proxy");
        let uri = WebSocketUri::parse("ws://a/").expect("a URI");
        let tunnel = ProxyTunnel::new(&proxy, &uri);
        let text = format!("{proxy:?} {tunnel:?}");
        let encoded = "YWtpOnNlY3JldA==";
        assert!(
            !text.contains("secret") && !text.contains(encoded),
            "{text}"
        );
    }
}
