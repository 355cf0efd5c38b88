//! The opening handshake of the inner connection: a request as text, the response of the core's server, the core's client that reads it, and
//! what each line means.
//!
//! ```text
//!   request of the page ──▶ server ──▶ its response ──▶ client: open, or why not
//!                                          ╎
//!                       or the response of the page
//! ```
//!
//! Request and response come from the page, edited or not, so any byte of them may be wrong. The server checks the origin against the host
//! of the same request, as `yamabiko serve` does by default. The client is one that has sent this request: its key, its extensions and its
//! subprotocols are those of the request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use yamabiko::http::{HeadLimits, Origins, RequestReader};
use yamabiko::server::{DeflateConfig, Refusal, RequestHead};
use yamabiko::websocket::Connection;
use yamabiko::websocket::deflate::{DeflatePool, WindowBits};
use yamabiko::websocket::handshake::{
    AcceptOptions, Accepted, ClientHandshake, ClientHandshakeError, Upgrade, UriError,
    WebSocketUri, accept_key,
};

use crate::examples;
use crate::messages::{AcceptKey, End, EndReport, Ends, Line, Opening};
use crate::rules;
use crate::wire::{MASKING_KEY, Wire, limits};

/// Answers a request: the report, and the open connection if both ends go on. The client gets the server's response, or this one.
pub(crate) fn open(
    request: &[u8],
    compress: bool,
    response: Option<&[u8]>,
) -> (Opening, Option<Wire>) {
    let mut reader = RequestReader::new(HeadLimits::default());
    let mut opening = Opening {
        request: lines(request),
        edited: response.is_some(),
        ends: refused(),
        ..Opening::default()
    };
    let read = reader.read(request);
    let (head, head_bytes) = match read {
        Ok(Some((head, head_bytes))) => (Some(head), head_bytes),
        Ok(None) => {
            opening.refused_by = Some(End::Server);
            opening.reason = Some(UNFINISHED.to_owned());
            return (opening, None);
        }
        Err(refusal) => {
            refuse(&mut opening, &refusal, None);
            (None, 0)
        }
    };
    let accepted = head.as_ref().and_then(|head| match accept(head, compress) {
        Ok(accepted) => Some(accepted),
        Err(refusal) => {
            refuse(&mut opening, &refusal, Some(head));
            None
        }
    });
    if let Some(accepted) = &accepted {
        let mut bytes = Vec::new();
        accepted.write_response(&mut bytes);
        respond(&mut opening, &bytes);
    }
    if let Some(response) = response {
        opening.response = lines(response);
    }
    let (Some(head), Some(accepted)) = (head, accepted) else {
        return (opening, None);
    };
    opening.accept_key = head.fields().text("sec-websocket-key").map(explained);
    let client = match response {
        None => Ok(own_client(&accepted)),
        Some(response) => client_of(&head, response),
    };
    let wire = establish(&mut opening, &accepted, client, &request[head_bytes..]);
    (opening, wire)
}

/// The states of both ends while there is no connection.
pub(crate) fn refused() -> Ends {
    let end = || EndReport {
        state: "connecting",
        ..EndReport::default()
    };
    Ends {
        client: end(),
        server: end(),
        tcp_open: false,
    }
}

fn accept(head: &RequestHead<'_>, compress: bool) -> Result<Accepted, Refusal> {
    let upgrade = Upgrade::check(head)?;
    upgrade.check_origin(&Origins::SameHost)?;
    let options = match compress {
        true => AcceptOptions::default().deflate(deflate()),
        false => AcceptOptions::default(),
    };
    Ok(upgrade.accept(options)?)
}

/// Every message is compressed, so that a short one can be seen.
fn deflate() -> DeflateConfig {
    DeflateConfig {
        threshold_bytes: 0,
        ..DeflateConfig::default()
    }
}

/// The client of the server's own response.
fn own_client(accepted: &Accepted) -> Client {
    let client = Connection::client(limits(), || MASKING_KEY);
    match accepted.deflate() {
        None => Client {
            connection: client,
            compressed: false,
        },
        Some(agreed) => Client {
            connection: client.with_deflate(*agreed, &deflate(), &DeflatePool::default()),
            compressed: true,
        },
    }
}

/// A client that goes on after the response.
struct Client {
    connection: Connection,
    compressed: bool,
}

/// Why a client does not go on.
enum ClientRefusal {
    Rule(ClientHandshakeError),
    /// The response has not ended.
    Unfinished,
    /// No client asks for this Host.
    Host(UriError),
}

/// The client that has sent this request, which the server has accepted, and gets this response.
fn client_of(head: &RequestHead<'_>, response: &[u8]) -> Result<Client, ClientRefusal> {
    let mut handshake = handshake_of(head).map_err(ClientRefusal::Host)?;
    match handshake.receive(response) {
        Err(error) => Err(ClientRefusal::Rule(error)),
        Ok(None) => Err(ClientRefusal::Unfinished),
        Ok(Some(established)) => Ok(Client {
            connection: established.connection(limits(), || MASKING_KEY),
            compressed: established.deflate.is_some(),
        }),
    }
}

fn handshake_of(head: &RequestHead<'_>) -> Result<ClientHandshake, UriError> {
    let fields = head.fields();
    let host = fields.text("host").unwrap_or_default();
    let uri = WebSocketUri::parse(&format!("ws://{host}/"))?;
    let key = fields.text("sec-websocket-key").unwrap_or_default();
    let nonce = STANDARD.decode(key).ok();
    // The server has accepted the key.
    let nonce = nonce.and_then(|nonce| nonce.try_into().ok());
    let mut handshake = ClientHandshake::new(&uri, nonce.unwrap_or_default());
    for name in fields.list("sec-websocket-protocol") {
        let name = String::from_utf8_lossy(name);
        // One that is no token, or is there twice, cannot be chosen.
        handshake = handshake.clone().subprotocol(&name).unwrap_or(handshake);
    }
    let offers = fields.list("sec-websocket-extensions");
    let is_deflate = |offer: &[u8]| offer.starts_with(b"permessage-deflate");
    Ok(match offers.into_iter().any(is_deflate) {
        true => handshake.deflate(EVERY_AGREEMENT),
        false => handshake,
    })
}

/// A client that asks the server for nothing: every legal response is one that it can use.
const EVERY_AGREEMENT: DeflateConfig = DeflateConfig {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
    level: 6,
    threshold_bytes: 0,
};

/// The connection, if the client goes on, too. `behind`: bytes that came behind the request; they are frames already.
fn establish(
    opening: &mut Opening,
    accepted: &Accepted,
    client: Result<Client, ClientRefusal>,
    behind: &[u8],
) -> Option<Wire> {
    let mut server = accepted.connection(limits());
    match client {
        Ok(client) => {
            opening.accepted = true;
            opening.compressed = client.compressed || accepted.deflate().is_some();
            let mut wire = Wire::new(client.connection, server, opening.compressed);
            if !behind.is_empty() {
                opening.steps = wire.carry(End::Client, behind.to_vec());
            }
            opening.ends = wire.ends();
            Some(wire)
        }
        Err(refusal) => {
            opening.refused_by = Some(End::Client);
            opening.reason = Some(match &refusal {
                ClientRefusal::Rule(error) => error.to_string(),
                ClientRefusal::Unfinished => UNFINISHED_RESPONSE.to_owned(),
                ClientRefusal::Host(error) => format!("no client asks for this Host: {error}"),
            });
            if let ClientRefusal::Rule(error) = refusal {
                opening.rule = Some(rules::of_response(&error));
                let ended = server.end_of_input();
                opening.ends.client = EndReport {
                    state: "failed",
                    ended: Some("the opening handshake failed".to_owned()),
                    code: Some(1006),
                };
                opening.ends.server = EndReport {
                    state: "lost",
                    code: Some(ended.code()),
                    ended: Some(ended.to_string()),
                };
            }
            None
        }
    }
}

fn explained(key: &str) -> AcceptKey {
    AcceptKey {
        hashed: format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
        accept: String::from_utf8_lossy(&accept_key(key)).into_owned(),
    }
}

fn refuse(opening: &mut Opening, refusal: &Refusal, head: Option<&RequestHead<'_>>) {
    let mut response = Vec::new();
    refusal.write(&mut response);
    respond(opening, &response);
    opening.refused_by = Some(End::Server);
    opening.reason = Some(refusal.reason().to_owned());
    opening.rule = Some(rules::of_refusal(refusal, head).into());
}

/// The server's own response.
fn respond(opening: &mut Opening, response: &[u8]) {
    let text = String::from_utf8_lossy(response);
    // A refusal has a body; the page edits heads.
    let head = text.split_inclusive("\r\n\r\n").next().unwrap_or_default();
    opening.response = lines(response);
    opening.responses = examples::responses(head);
}

const UNFINISHED_RESPONSE: &str = "The response has not ended: the client waits for an empty line.";
const UNFINISHED: &str = "The request has not ended: the server waits for an empty line.";

/// The lines of a head, up to the empty one.
fn lines(head: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(head);
    let lines = text.split("\r\n").take_while(|line| !line.is_empty());
    let lines = lines.enumerate().map(|(index, line)| Line {
        text: line.to_owned(),
        meaning: match (index, line.split_once(':')) {
            (0, _) if line.starts_with("HTTP/") => status_meaning(line),
            (0, _) => "a GET for the path of the WebSocket (§4.2.1)",
            (_, Some((name, _))) => field_meaning(&name.to_ascii_lowercase()),
            (_, None) => "not a header field: it has no colon",
        },
    });
    lines.collect()
}

fn status_meaning(line: &str) -> &'static str {
    match line.split(' ').nth(1) {
        Some("101") => "accepted: HTTP ends with this response, and frames follow (§4.2.2)",
        Some("426") => "refused: the request must ask for WebSocket, version 13 (§4.2.2)",
        Some("403") => "refused: pages of this origin may not connect (§10.2)",
        _ => "refused: TCP ends behind this response (§4.2.1)",
    }
}

/// `name`: in lower case.
fn field_meaning(name: &str) -> &'static str {
    match name {
        "host" => "the name of the server (§4.2.1)",
        "upgrade" => "the protocol that follows HTTP (§4.2.1)",
        "connection" => "Upgrade concerns this connection, and not one behind a proxy (§4.2.1)",
        "sec-websocket-key" => {
            "16 random bytes in Base64; the response proves that the server has read them (§1.3)"
        }
        "sec-websocket-accept" => {
            "the proof: SHA-1 and Base64 of the key and a fixed text (§4.2.2)"
        }
        "sec-websocket-version" => "13 is the version of RFC 6455 (§4.1)",
        "sec-websocket-protocol" => {
            "subprotocols: offered by the client, one chosen by the server (§1.9)"
        }
        "sec-websocket-extensions" => {
            "extensions: offered by the client, agreed on by the server (§9.1)"
        }
        "origin" => "the origin of the page that connects; only browsers send it (§10.2)",
        "user-agent" => "the program",
        "cache-control" | "pragma" => "no cache may answer",
        "accept-encoding" | "accept-language" => {
            "of no use here; the browser sends it with every request"
        }
        "content-length" | "content-type" => "the body: the reason as a text",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /wire HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

    #[test]
    fn a_correct_request_is_accepted_with_the_key_explained() {
        let (opening, wire) = open(REQUEST.as_bytes(), false, None);
        assert!(opening.accepted && !opening.compressed);
        let key = opening.accept_key.expect("a key");
        assert_eq!(key.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(key.hashed.starts_with("dGhlIHNhbXBsZSBub25jZQ==258E"));
        assert_eq!(opening.response[0].text, "HTTP/1.1 101 Switching Protocols");
        assert_eq!(opening.request.len(), 7);
        assert!(opening.request.iter().all(|line| !line.meaning.is_empty()));
        assert!(wire.is_some_and(|wire| wire.is_open()));
    }

    #[test]
    fn compression_is_agreed_on_if_both_want_it() {
        assert!(open(REQUEST.as_bytes(), true, None).0.compressed);
        let without = REQUEST.replace("Sec-WebSocket-Extensions: permessage-deflate\r\n", "");
        assert!(!open(without.as_bytes(), true, None).0.compressed);
    }

    #[test]
    fn bytes_behind_the_request_are_the_first_frames() {
        let mut bytes = REQUEST.as_bytes().to_vec();
        bytes.extend(b"\x89\x80\x37\xfa\x21\x3d");
        let (opening, _) = open(&bytes, false, None);
        assert_eq!(opening.steps.len(), 2);
        assert_eq!(opening.steps[0].events[0].event, "ping");
    }

    #[test]
    fn a_request_without_its_end_waits() {
        let (opening, wire) = open(&REQUEST.as_bytes()[..40], false, None);
        assert_eq!(opening.reason.as_deref(), Some(UNFINISHED));
        assert!(wire.is_none() && opening.response.is_empty());
    }

    /// The server's own response with one line in place of another.
    fn changed(from: &str, to: &str) -> Opening {
        let (own, _) = open(REQUEST.as_bytes(), true, None);
        let own = own.responses[0].response.clone();
        assert!(own.contains(from), "{own}");
        open(
            REQUEST.as_bytes(),
            true,
            Some(own.replace(from, to).as_bytes()),
        )
        .0
    }

    #[test]
    fn a_response_of_the_page_opens_the_connection_if_the_client_accepts_it() {
        let opening = changed("Switching Protocols", "Welcome");
        assert!(opening.accepted && opening.compressed && opening.edited);
        assert_eq!(opening.response[0].text, "HTTP/1.1 101 Welcome");
        assert_eq!(opening.refused_by, None);
        assert!(opening.ends.tcp_open);
    }

    #[test]
    fn a_wrong_response_of_the_page_fails_the_client_and_loses_the_server() {
        let opening = changed("Upgrade: websocket", "Upgrade: h2c");
        assert_eq!(
            (opening.accepted, opening.refused_by),
            (false, Some(End::Client))
        );
        let rule = opening.rule.expect("a rule");
        assert_eq!((rule.rfc, rule.section), (6455, "4.1"));
        assert!(rule.sentence.contains("lacks an |Upgrade| header field"));
        let states = (opening.ends.client.state, opening.ends.server.state);
        assert_eq!(states, ("failed", "lost"));
        assert_eq!(opening.ends.client.code, Some(1006));
    }

    #[test]
    fn a_response_without_its_end_lets_the_client_wait() {
        let (opening, wire) = open(REQUEST.as_bytes(), false, Some(b"HTTP/1.1 101 S\r\n"));
        assert_eq!(opening.reason.as_deref(), Some(UNFINISHED_RESPONSE));
        assert!(wire.is_none() && opening.rule.is_none());
        assert_eq!(opening.ends.client.state, "connecting");
    }

    #[test]
    fn a_refused_request_stays_refused_whatever_the_client_gets() {
        let refused = REQUEST.replace("Version: 13", "Version: 12");
        let accepted =
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        let (opening, wire) = open(refused.as_bytes(), false, Some(accepted));
        assert!(wire.is_none() && !opening.accepted);
        assert_eq!(opening.refused_by, Some(End::Server));
        assert_eq!(opening.response[0].text, "HTTP/1.1 101 Switching Protocols");
        assert!(opening.responses[0].response.starts_with("HTTP/1.1 426 "));
    }
}
