//! Properties of the negotiation of permessage-deflate (RFC 7692 §5, §7.1): a server with any
//! offer, a client with any response, and both together.
//!
//! ```text
//! deflate_negotiation  | flags | server's windows | client's windows | offers LF response
//!                        ││││
//!                        │││└ the server asks for server_no_context_takeover
//!                        ││└─ the server asks for client_no_context_takeover
//!                        │└── the client asks for server_no_context_takeover
//!                        └─── the client asks for client_no_context_takeover
//! ```
//!
//! In a byte of windows, the low four bits are the server's window and the high four bits are the
//! client's. A window is 8 plus the last three of its bits.

use super::handshake::write_response;
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters, WindowBits};
use yamabiko::websocket::handshake::{
    ClientHandshake, ClientHandshakeError, Extension, HeadLimits, NotOffered, RequestReader,
    Upgrade, WebSocketUri,
};

/// The server's response follows from the first legal offer by the rules. The client accepts
/// exactly the responses that the rules allow. A server and a client of this crate agree on the
/// same parameters.
pub fn deflate_negotiation(data: &[u8]) {
    let [flags, server_windows, client_windows, text @ ..] = data else {
        return;
    };
    let server = config(*flags, *server_windows);
    let client = config(*flags >> 2, *client_windows);
    both_ends_agree(&server, &client);

    let text = String::from_utf8_lossy(text);
    let (offers, response) = text.split_once('\n').unwrap_or((&text, ""));
    with_extensions(offers, |upgrade, offers| {
        server_obeys_the_rules(upgrade, offers, &server);
        // Any parameters are possible here.
        server_writes_what_is_allowed(upgrade, offers, &parameters(&client));
    });
    // This property does not check other fields of a response.
    let response = response.split('\r').next().unwrap_or_default();
    with_extensions(response, |_, extensions| {
        let head = response_with(response);
        let expected = client_rules(extensions, &client);
        assert_eq!(client_result(Some(client), &head), expected, "{response:?}");
        // RFC 9110 §5.6.1.2: a list may be empty, and then no extension is in use.
        let without_offer = match extensions {
            [] => Ok(None),
            _ => Err(ClientHandshakeError::UnrequestedExtension),
        };
        assert_eq!(client_result(None, &head), without_offer);
    });
}

fn config(flags: u8, windows: u8) -> DeflateConfig {
    let bits = |nibble: u8| WindowBits::new(8 + nibble % 8).expect("8 to 15");
    DeflateConfig {
        server_no_context_takeover: flags & 1 != 0,
        client_no_context_takeover: flags & 2 != 0,
        server_max_window_bits: bits(windows),
        client_max_window_bits: bits(windows >> 4),
        ..DeflateConfig::default()
    }
}

fn parameters(config: &DeflateConfig) -> DeflateParameters {
    DeflateParameters {
        server_no_context_takeover: config.server_no_context_takeover,
        client_no_context_takeover: config.client_no_context_takeover,
        server_max_window_bits: config.server_max_window_bits,
        client_max_window_bits: config.client_max_window_bits,
    }
}

// ── Both ends ───────────────────────────────────────────────────────────────

/// Performs the opening handshake and returns the agreed parameters: the stricter value of each
/// parameter, because our client accepts every window.
pub fn both_ends_agree(server: &DeflateConfig, client: &DeflateConfig) -> DeflateParameters {
    let mut handshake = handshake(Some(*client));
    let mut request = Vec::new();
    handshake.write_request(&mut request);
    let mut response = Vec::new();
    let chosen = with_upgrade(&request, |upgrade| {
        let chosen = upgrade.choose_deflate(server).expect("it is offered");
        let written = write_response(upgrade, None, Some(&chosen), &mut response);
        assert_eq!(written, Ok(()));
        chosen
    });
    let chosen = chosen.expect("the client writes a legal request");
    let established = handshake.receive(&response).expect("a legal response");
    let established = established.expect("a complete response");
    assert_eq!(established.deflate, Some(chosen));
    let stricter = DeflateParameters {
        server_no_context_takeover: server.server_no_context_takeover
            | client.server_no_context_takeover,
        client_no_context_takeover: server.client_no_context_takeover
            | client.client_no_context_takeover,
        server_max_window_bits: server
            .server_max_window_bits
            .min(client.server_max_window_bits),
        client_max_window_bits: server
            .client_max_window_bits
            .min(client.client_max_window_bits),
    };
    assert_eq!(chosen, stricter);
    chosen
}

// ── The server ──────────────────────────────────────────────────────────────

fn server_obeys_the_rules(upgrade: &Upgrade<'_>, offers: &[Element], config: &DeflateConfig) {
    let chosen = upgrade.choose_deflate(config);
    let legal = offers.iter().find_map(|offer| offer.as_offer().ok());
    assert_eq!(chosen.is_some(), legal.is_some());
    let mut head = Vec::new();
    let written = write_response(upgrade, None, chosen.as_ref(), &mut head);
    assert_eq!(written, Ok(()), "what is chosen can be written");
    let Some((chosen, offer)) = chosen.zip(legal) else {
        assert_eq!(field(&head), None);
        return;
    };
    // §7.1.1.1, §7.1.2.1: the server obeys the parameters that the client requests.
    let server_bits = offer.server_bits.unwrap_or(15);
    assert!(chosen.server_no_context_takeover || !offer.server_no_context_takeover);
    assert!(chosen.server_no_context_takeover || !config.server_no_context_takeover);
    let wanted = server_bits.min(config.server_max_window_bits.get());
    assert_eq!(chosen.server_max_window_bits.get(), wanted);
    // §7.1.1.2, §7.1.2.2: the server restricts the client's window only if the offer allows it.
    let client_bits = match offer.client_bits {
        None => 15,
        Some(hint) => hint.unwrap_or(15).min(config.client_max_window_bits.get()),
    };
    assert_eq!(chosen.client_max_window_bits.get(), client_bits);
    assert!(chosen.client_no_context_takeover || !config.client_no_context_takeover);
    assert_eq!(field(&head), Some(offer.response(&chosen)));
}

/// The application's own parameters are written if one of the offers allows them.
fn server_writes_what_is_allowed(
    upgrade: &Upgrade<'_>,
    offers: &[Element],
    agreed: &DeflateParameters,
) {
    let mut head = Vec::new();
    let written = write_response(upgrade, None, Some(agreed), &mut head);
    let legal = offers.iter().filter_map(|offer| offer.as_offer().ok());
    match legal.into_iter().find(|offer| offer.allows(agreed)) {
        Some(offer) => {
            assert_eq!(written, Ok(()));
            assert_eq!(field(&head), Some(offer.response(agreed)));
        }
        None => {
            assert_eq!(written, Err(NotOffered::Deflate));
            assert_eq!(head, b"");
        }
    }
}

/// The value of the only Sec-WebSocket-Extensions field of a 101 response.
pub fn field(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).expect("a 101 is ASCII");
    let name = "Sec-WebSocket-Extensions: ";
    assert!(head.matches(name).count() <= 1);
    let (_, behind) = head.split_once(name)?;
    let (value, _) = behind.split_once("\r\n")?;
    Some(value.to_owned())
}

// ── The client ──────────────────────────────────────────────────────────────

/// The correct result of a response that lists these extensions.
fn client_rules(
    extensions: &[Element],
    config: &DeflateConfig,
) -> Result<Option<DeflateParameters>, ClientHandshakeError> {
    type Error = ClientHandshakeError;
    let mut agreed = None;
    for element in extensions {
        if element.name != "permessage-deflate" {
            return Err(Error::UnrequestedExtension);
        }
        if agreed.is_some() {
            return Err(Error::RepeatedExtension);
        }
        let response = element.parameters()?;
        if config.server_no_context_takeover && !response.server_no_context_takeover {
            return Err(Error::ServerContextTakeover);
        }
        let server_bits = response.server_bits.unwrap_or(15);
        if server_bits > config.server_max_window_bits.get() {
            return Err(Error::ServerWindowTooLarge);
        }
        let client_bits = match response.client_bits {
            Some(None) => return Err(Error::InvalidExtensionParameter("client_max_window_bits")),
            Some(Some(bits)) => bits.min(config.client_max_window_bits.get()),
            None => config.client_max_window_bits.get(),
        };
        agreed = Some(DeflateParameters {
            server_no_context_takeover: response.server_no_context_takeover,
            client_no_context_takeover: response.client_no_context_takeover
                | config.client_no_context_takeover,
            server_max_window_bits: WindowBits::new(server_bits).expect("8 to 15"),
            client_max_window_bits: WindowBits::new(client_bits).expect("8 to 15"),
        });
    }
    Ok(agreed)
}

/// The client's result for a response, with this offer or without one.
pub fn client_result(
    config: Option<DeflateConfig>,
    head: &str,
) -> Result<Option<DeflateParameters>, ClientHandshakeError> {
    let established = handshake(config).receive(head.as_bytes())?;
    Ok(established.expect("a complete response").deflate)
}

fn handshake(config: Option<DeflateConfig>) -> ClientHandshake {
    let uri = WebSocketUri::parse("ws://example.com/").expect("a URI");
    let handshake = ClientHandshake::new(&uri, *b"the sample nonce");
    match config {
        Some(config) => handshake.deflate(config),
        None => handshake,
    }
}

/// The extension field of a client's request. It is the last field.
pub fn offered(config: DeflateConfig) -> String {
    let mut request = Vec::new();
    handshake(Some(config)).write_request(&mut request);
    field(&request).expect("it offers something")
}

/// The response of RFC 6455 §1.3 with this field.
pub fn response_with(extensions: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Extensions: {extensions}\r\n\r\n"
    )
}

// ── A simple model of the rules ──────────────────────────────────────────────

/// One extension of a list.
struct Element {
    name: String,
    written: Vec<(String, Option<String>)>,
}

/// The values of legal parameters of one permessage-deflate.
struct Legal {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<u8>,
    /// Absent, without a value, or with a value.
    client_bits: Option<Option<u8>>,
}

impl Element {
    fn of(extension: &Extension<'_>) -> Self {
        let written = extension.parameters();
        Element {
            name: extension.name().to_owned(),
            written: written
                .map(|(name, value)| (name.to_owned(), value.map(String::from)))
                .collect(),
        }
    }

    fn as_offer(&self) -> Result<Legal, ClientHandshakeError> {
        match &*self.name {
            "permessage-deflate" => self.parameters(),
            _ => Err(ClientHandshakeError::UnrequestedExtension),
        }
    }

    /// The first error counts. An error inside a parameter comes before the error that it is a
    /// duplicate.
    fn parameters(&self) -> Result<Legal, ClientHandshakeError> {
        for (position, (name, value)) in self.written.iter().enumerate() {
            let name = *NAMES
                .iter()
                .find(|known| *known == name)
                .ok_or(ClientHandshakeError::UnknownExtensionParameter)?;
            let is_legal = match value {
                Some(digits) => name.ends_with("bits") && bits(digits).is_some(),
                None => name != "server_max_window_bits",
            };
            if !is_legal {
                return Err(ClientHandshakeError::InvalidExtensionParameter(name));
            }
            if self.written[..position]
                .iter()
                .any(|(other, _)| other == name)
            {
                return Err(ClientHandshakeError::RepeatedExtensionParameter(name));
            }
        }
        let value = |wanted: &str| {
            let parameter = self.written.iter().find(|(name, _)| name == wanted);
            parameter.map(|(_, value)| value.as_deref().and_then(bits))
        };
        Ok(Legal {
            server_no_context_takeover: value("server_no_context_takeover").is_some(),
            client_no_context_takeover: value("client_no_context_takeover").is_some(),
            server_bits: value("server_max_window_bits").flatten(),
            client_bits: value("client_max_window_bits"),
        })
    }
}

impl Legal {
    /// Whether this offer can be accepted with these parameters.
    fn allows(&self, agreed: &DeflateParameters) -> bool {
        let client_bits = agreed.client_max_window_bits.get();
        (agreed.server_no_context_takeover || !self.server_no_context_takeover)
            && agreed.server_max_window_bits.get() <= self.server_bits.unwrap_or(15)
            && match self.client_bits {
                None => client_bits == 15,
                Some(hint) => client_bits == 15 || client_bits <= hint.unwrap_or(15),
            }
    }

    /// The extension field of the response with these parameters.
    fn response(&self, agreed: &DeflateParameters) -> String {
        let mut response = String::from("permessage-deflate");
        if agreed.server_no_context_takeover {
            response += "; server_no_context_takeover";
        }
        if agreed.client_no_context_takeover {
            response += "; client_no_context_takeover";
        }
        let bits = agreed.server_max_window_bits.get();
        if bits < 15 || self.server_bits.is_some() {
            response += &format!("; server_max_window_bits={bits}");
        }
        let bits = agreed.client_max_window_bits.get();
        if bits < 15 {
            response += &format!("; client_max_window_bits={bits}");
        }
        response
    }
}

/// 8 to 15, without leading zeros.
fn bits(digits: &str) -> Option<u8> {
    (8..=15).find(|bits: &u8| bits.to_string() == digits)
}

const NAMES: [&str; 4] = [
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
];

// ── Requests ────────────────────────────────────────────────────────────────

/// Calls the function with a request with this field, if the request is legal.
fn with_extensions(extensions: &str, take: impl FnOnce(&Upgrade<'_>, &[Element])) {
    let request = request_with(extensions);
    with_upgrade(request.as_bytes(), |upgrade| {
        let extensions = upgrade.extensions();
        let elements: Vec<Element> = extensions.map(|one| Element::of(&one)).collect();
        take(upgrade, &elements);
    });
}

/// The request of RFC 6455 §1.3 with this field.
pub fn request_with(extensions: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n"
    )
}

/// Reads and checks a request. `None`: a server would refuse it.
pub fn with_upgrade<T>(request: &[u8], take: impl FnOnce(&Upgrade<'_>) -> T) -> Option<T> {
    let mut reader = RequestReader::new(HeadLimits::default());
    let (head, head_bytes) = reader.read(request).ok().flatten()?;
    // A line end in the value can end the head early.
    if head_bytes != request.len() {
        return None;
    }
    let upgrade = Upgrade::check(&head).ok()?;
    Some(take(&upgrade))
}
