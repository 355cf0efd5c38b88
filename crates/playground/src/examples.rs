//! Frames and requests to begin with: legal ones, and one for each rule that can be broken by hand.

use yamabiko::websocket::frame::{Opcode, encode};

use crate::hexadecimal;
use crate::messages::{End, ExampleReport, OpeningExample, ResponseExample};
use crate::wire::MASKING_KEY;

/// A frame, or several, of one end.
struct Example {
    name: &'static str,
    from: End,
    broken: bool,
    bytes: Vec<u8>,
}

/// The examples, legal ones first.
pub(crate) fn frames() -> Vec<ExampleReport> {
    let all = [
        legal_of_client(),
        legal_of_server(),
        broken_of_client(),
        broken_of_server(),
    ];
    let reports = all.into_iter().flatten().map(|example| ExampleReport {
        name: example.name,
        from: example.from,
        broken: example.broken,
        bytes: hexadecimal::written(&example.bytes),
    });
    reports.collect()
}

fn legal_of_client() -> Vec<Example> {
    let legal = |name, frames: &[(bool, Opcode, &[u8])]| Example {
        name,
        from: End::Client,
        broken: false,
        bytes: masked(frames),
    };
    vec![
        legal("The text “Hello”", &[(true, Opcode::Text, b"Hello")]),
        legal("A ping", &[(true, Opcode::Ping, b"are you there?")]),
        legal(
            "Two fragments with a ping between them",
            &[
                (false, Opcode::Text, b"Hel"),
                (true, Opcode::Ping, b"?"),
                (true, Opcode::Continuation, b"lo"),
            ],
        ),
        legal(
            "A character of two bytes, cut by fragments",
            &[
                (false, Opcode::Text, b"caf\xc3"),
                (true, Opcode::Continuation, b"\xa9"),
            ],
        ),
        legal(
            "126 bytes of binary data: a longer length",
            &[(true, Opcode::Binary, &[0; 126])],
        ),
        legal(
            "A text that repeats itself: shorter with compression",
            &[(true, Opcode::Text, b"echo, echo, echo, echo, echo")],
        ),
        legal(
            "A Close with the code 1000",
            &[(true, Opcode::Close, b"\x03\xe8done")],
        ),
        legal("A Close without a code", &[(true, Opcode::Close, b"")]),
    ]
}

fn legal_of_server() -> Vec<Example> {
    let legal = |name, opcode, payload: &[u8]| Example {
        name,
        from: End::Server,
        broken: false,
        bytes: unmasked(opcode, payload),
    };
    vec![
        legal("The text “Hello”", Opcode::Text, b"Hello"),
        legal("A ping", Opcode::Ping, b"are you there?"),
        legal("A Close with the code 1001", Opcode::Close, b"\x03\xe9bye"),
    ]
}

fn broken_of_client() -> Vec<Example> {
    let broken = |name, bytes: Vec<u8>| Example {
        name,
        from: End::Client,
        broken: true,
        bytes,
    };
    let frames = |name, frames: &[(bool, Opcode, &[u8])]| broken(name, masked(frames));
    let text = |payload| masked(&[(true, Opcode::Text, payload)]);
    let first_byte = |first: u8| [&[first], &text(b"Hello")[1..]].concat();
    vec![
        broken("Not masked", unmasked(Opcode::Text, b"Hello")),
        broken("A reserved bit", first_byte(0b1010_0001)),
        broken("A reserved opcode", first_byte(0b1000_0011)),
        frames("A ping in fragments", &[(false, Opcode::Ping, b"")]),
        frames("A ping of 126 bytes", &[(true, Opcode::Ping, &[b'a'; 126])]),
        broken(
            "A length that is not as short as it can be",
            [&b"\x81\xfe\x00\x05"[..], &text(b"Hello")[2..]].concat(),
        ),
        broken(
            "A length of 64 bits",
            b"\x82\xff\x80\0\0\0\0\0\0\0".to_vec(),
        ),
        frames(
            "A continuation, and no message to continue",
            &[(true, Opcode::Continuation, b"lo")],
        ),
        frames(
            "A text inside another one",
            &[(false, Opcode::Text, b"Hel"), (true, Opcode::Text, b"lo")],
        ),
        frames(
            "A text that is not UTF-8",
            &[(true, Opcode::Text, b"caf\xe9")],
        ),
        frames("Half of a close code", &[(true, Opcode::Close, b"\x03")]),
        frames("The close code 1005", &[(true, Opcode::Close, b"\x03\xed")]),
        frames(
            "A close reason that is not UTF-8",
            &[(true, Opcode::Close, b"\x03\xe8\xff")],
        ),
        broken(
            "A message that is too long, by its header alone",
            b"\x82\xfe\x20\x00\x37\xfa\x21\x3d".to_vec(),
        ),
        broken(
            "A message in too many fragments",
            [
                masked(&[(false, Opcode::Text, b"")]),
                masked(&[EMPTY_FRAGMENT; 16]),
            ]
            .concat(),
        ),
    ]
}

const EMPTY_FRAGMENT: (bool, Opcode, &[u8]) = (false, Opcode::Continuation, b"");

fn broken_of_server() -> Vec<Example> {
    vec![Example {
        name: "Masked",
        from: End::Server,
        broken: true,
        bytes: masked(&[(true, Opcode::Text, b"Hello")]),
    }]
}

fn masked(frames: &[(bool, Opcode, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (fin, opcode, payload) in frames {
        encode(*fin, *opcode, Some(MASKING_KEY), payload, &mut bytes);
    }
    bytes
}

fn unmasked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(true, opcode, None, payload, &mut bytes);
    bytes
}

/// Requests made from one that is correct, each with one line changed.
pub(crate) fn openings(request: &str) -> Vec<OpeningExample> {
    let changed = |name, from: &str, to: Option<&str>| OpeningExample {
        name,
        request: with_line(request, from, to),
    };
    vec![
        OpeningExample {
            name: "As your browser has sent it",
            request: request.to_owned(),
        },
        changed("Without Upgrade", "upgrade:", None),
        changed(
            "Connection without Upgrade",
            "connection:",
            Some("Connection: keep-alive"),
        ),
        changed("HTTP/1.0", "get ", Some("GET /playground/wire HTTP/1.0")),
        changed(
            "POST instead of GET",
            "get ",
            Some("POST /playground/wire HTTP/1.1"),
        ),
        changed(
            "Version 12",
            "sec-websocket-version:",
            Some("Sec-WebSocket-Version: 12"),
        ),
        changed("Without a key", "sec-websocket-key:", None),
        changed(
            "A key of 15 bytes",
            "sec-websocket-key:",
            Some("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"),
        ),
        changed(
            "The key of the RFC",
            "sec-websocket-key:",
            Some("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        ),
        changed(
            "A page of another origin",
            "origin:",
            Some("Origin: https://elsewhere.example"),
        ),
        changed("Without Host", "host:", None),
    ]
}

/// Responses made from the server's own, each with one line changed.
pub(crate) fn responses(response: &str) -> Vec<ResponseExample> {
    let changed = |name, from: &str, to: Option<&str>| ResponseExample {
        name,
        response: with_line(response, from, to),
    };
    let added = |name, line: &str| ResponseExample {
        name,
        response: response.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n")),
    };
    vec![
        ResponseExample {
            name: AS_SENT,
            response: response.to_owned(),
        },
        changed(ANOTHER_PHRASE, "http/", Some("HTTP/1.1 101 Welcome")),
        changed("200 instead of 101", "http/", Some("HTTP/1.1 200 OK")),
        changed(
            "HTTP/1.0",
            "http/",
            Some("HTTP/1.0 101 Switching Protocols"),
        ),
        changed("Without Upgrade", "upgrade:", None),
        changed(
            "Connection without Upgrade",
            "connection:",
            Some("Connection: keep-alive"),
        ),
        changed("Without an accept key", "sec-websocket-accept:", None),
        changed(
            "The accept key of another request",
            "sec-websocket-accept:",
            Some("Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
        ),
        added(
            "An extension that the client has not offered",
            "Sec-WebSocket-Extensions: x-unknown",
        ),
        added(
            "A subprotocol that the client has not offered",
            "Sec-WebSocket-Protocol: x-unknown",
        ),
    ]
}

/// The names of the responses that open a connection.
pub(crate) const AS_SENT: &str = "As the server has sent it";
pub(crate) const ANOTHER_PHRASE: &str = "Another reason phrase";

/// The request or response with another line in place of the one that begins with `start` (in lower case), or without it.
fn with_line(head: &str, start: &str, line: Option<&str>) -> String {
    let lines =
        head.split("\r\n")
            .filter_map(|old| match old.to_ascii_lowercase().starts_with(start) {
                true => line,
                false => Some(old),
            });
    lines.collect::<Vec<_>>().join("\r\n")
}
