//! The opening handshake of the inner connection: a request as text, the response of the core's server, and what each line means.
//!
//! The request comes from the page, edited or not, so any byte of it may be wrong. The server checks the origin against the host of the same
//! request, as `yamabiko serve` does by default.

use yamabiko::http::{HeadLimits, Origins, RequestReader};
use yamabiko::server::{DeflateConfig, Refusal, RequestHead};
use yamabiko::websocket::Connection;
use yamabiko::websocket::deflate::DeflatePool;
use yamabiko::websocket::handshake::{AcceptOptions, Accepted, Upgrade, accept_key};

use crate::messages::{AcceptKey, End, EndReport, Ends, Line, Opening};
use crate::rules;
use crate::wire::{MASKING_KEY, Wire, limits};

/// Answers a request: the report, and the open connection if it was accepted.
pub(crate) fn open(request: &[u8], compress: bool) -> (Opening, Option<Wire>) {
    let mut reader = RequestReader::new(HeadLimits::default());
    let mut opening = Opening {
        request: lines(request),
        ..Opening::default()
    };
    match reader.read(request) {
        Err(refusal) => refuse(&mut opening, &refusal, None),
        Ok(None) => opening.reason = Some(UNFINISHED.to_owned()),
        Ok(Some((head, head_bytes))) => match accept(&head, compress) {
            Err(refusal) => refuse(&mut opening, &refusal, Some(&head)),
            Ok(accepted) => {
                let behind = &request[head_bytes..];
                let wire = establish(&mut opening, &head, &accepted, behind);
                return (opening, Some(wire));
            }
        },
    }
    opening.ends = refused();
    (opening, None)
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

/// `behind`: bytes that came behind the request; they are frames already.
fn establish(
    opening: &mut Opening,
    head: &RequestHead<'_>,
    accepted: &Accepted,
    behind: &[u8],
) -> Wire {
    let mut response = Vec::new();
    accepted.write_response(&mut response);
    opening.accepted = true;
    opening.response = lines(&response);
    opening.compressed = accepted.deflate().is_some();
    opening.accept_key = head.fields().text("sec-websocket-key").map(explained);
    let mut client = Connection::client(limits(), || MASKING_KEY);
    if let Some(agreed) = accepted.deflate() {
        client = client.with_deflate(*agreed, &deflate(), &DeflatePool::default());
    }
    let mut wire = Wire::new(client, accepted.connection(limits()), opening.compressed);
    if !behind.is_empty() {
        opening.steps = wire.carry(End::Client, behind.to_vec());
    }
    opening.ends = wire.ends();
    wire
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
    opening.response = lines(&response);
    opening.reason = Some(refusal.reason().to_owned());
    opening.rule = Some(rules::of_refusal(refusal, head).into());
}

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
        let (opening, wire) = open(REQUEST.as_bytes(), false);
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
        assert!(open(REQUEST.as_bytes(), true).0.compressed);
        let without = REQUEST.replace("Sec-WebSocket-Extensions: permessage-deflate\r\n", "");
        assert!(!open(without.as_bytes(), true).0.compressed);
    }

    #[test]
    fn bytes_behind_the_request_are_the_first_frames() {
        let mut bytes = REQUEST.as_bytes().to_vec();
        bytes.extend(b"\x89\x80\x37\xfa\x21\x3d");
        let (opening, _) = open(&bytes, false);
        assert_eq!(opening.steps.len(), 2);
        assert_eq!(opening.steps[0].events[0].event, "ping");
    }

    #[test]
    fn a_request_without_its_end_waits() {
        let (opening, wire) = open(&REQUEST.as_bytes()[..40], false);
        assert_eq!(opening.reason.as_deref(), Some(UNFINISHED));
        assert!(wire.is_none() && opening.response.is_empty());
    }
}
