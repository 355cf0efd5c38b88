//! Properties of the opening handshake: a server reads the head of a request, and a client reads
//! the head of a response.

use super::input::take_lengths;
use super::session::cut;
use yamabiko::websocket::deflate::{DeflateConfig, DeflateParameters};
use yamabiko::websocket::handshake::{
    AcceptOptions, ClientHandshake, ClientHandshakeError, Established, HeadLimits, HttpResponse,
    NotOffered, OwnedRequest, Refusal, RequestHead, RequestReader, ResponseBody, Status, Upgrade,
    WebSocketUri, accept_key,
};

/// Accepts a handshake with this subprotocol and these parameters, and appends the 101.
pub fn write_response(
    upgrade: &Upgrade<'_>,
    subprotocol: Option<&str>,
    deflate: Option<&DeflateParameters>,
    output: &mut Vec<u8>,
) -> Result<(), NotOffered> {
    let mut options = AcceptOptions::default().subprotocol(subprotocol);
    if let Some(parameters) = deflate {
        options = options.deflate_with(*parameters, DeflateConfig::default());
    }
    let accepted = upgrade.accept(options)?;
    assert_eq!(accepted.subprotocol(), subprotocol);
    assert_eq!(accepted.deflate(), deflate);
    accepted.write_response(output);
    Ok(())
}

/// The limits that the first byte of an input selects. A short input can reach the small ones.
fn head_limits(selector: u8) -> HeadLimits {
    if selector.is_multiple_of(2) {
        return HeadLimits::default();
    }
    HeadLimits {
        request_line_bytes_max: 40,
        field_bytes_max: 50,
        head_bytes_max: 300,
        fields_max: 9,
        leading_empty_lines_max: 1,
    }
}

/// A server reads a request in the same way, however the input is cut. An accepted request has
/// everything that §4.2.1 requires. Each response is valid HTTP.
pub fn request_head(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else {
        return;
    };
    let (lengths, input) = take_lengths(rest);
    let limits = head_limits(selector);

    let uncut = read_request(limits, &[input], input);
    assert_eq!(uncut, read_request(limits, &cut(input, lengths), input));
    if let Outcome::Read(request) = &uncut {
        let head = &input[..request.head_bytes];
        assert!(head.len() <= limits.head_bytes_max);
        assert!(
            head.ends_with(b"\r\n\r\n"),
            "a head ends with an empty line"
        );
        // The bytes after the head do not change its meaning.
        assert_eq!(uncut, read_request(limits, &[head], head));
        is_well_formed(request, limits);
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Unfinished,
    Read(Request),
    Refused(Status, String),
}

/// All public values of a `RequestHead`.
#[derive(Debug, PartialEq)]
struct Request {
    head_bytes: usize,
    method: String,
    target: String,
    path: String,
    query: Option<String>,
    host: Option<String>,
    wants_websocket: bool,
    body_announced: bool,
    fields: Vec<(String, Vec<u8>)>,
    answer: String,
}

/// Gives a reader longer and longer prefixes of `input`.
fn read_request(limits: HeadLimits, pieces: &[&[u8]], input: &[u8]) -> Outcome {
    let mut reader = RequestReader::new(limits);
    let mut came = 0;
    for piece in pieces {
        came += piece.len();
        match reader.read(&input[..came]) {
            Ok(None) => {}
            Ok(Some((head, head_bytes))) => {
                return Outcome::Read(everything_in(&head, head_bytes));
            }
            Err(refusal) => {
                is_http(&written(&refusal));
                return Outcome::Refused(refusal.status(), refusal.reason().to_owned());
            }
        }
    }
    Outcome::Unfinished
}

fn everything_in(head: &RequestHead<'_>, head_bytes: usize) -> Request {
    let fields = head.fields().iter();
    Request {
        head_bytes,
        method: head.method().to_owned(),
        target: head.target().to_owned(),
        path: head.path().to_owned(),
        query: head.query().map(str::to_owned),
        host: head.host().map(str::to_owned),
        wants_websocket: head.wants_websocket(),
        body_announced: head.body_announced(),
        fields: fields
            .map(|field| (field.name().to_owned(), field.value().to_vec()))
            .collect(),
        answer: answer_by_every_way(head),
    }
}

/// A request that another HTTP stack has read gets the same answer.
fn answer_by_every_way(head: &RequestHead<'_>) -> String {
    let answer = answer_to(head);
    let fields = head.fields().iter();
    let fields = fields.map(|field| (field.name(), field.value()));
    let parts = OwnedRequest::new(head.method(), head.target(), head.version(), fields);
    let parts = parts.expect("it was a head");
    let of_parts = parts.head().expect("it was a head");
    assert_eq!(of_parts.host(), head.host());
    assert_eq!(answer_to(&of_parts), answer);
    answer
}

/// The 101 response or the refusal.
fn answer_to(head: &RequestHead<'_>) -> String {
    let upgrade = match Upgrade::check(head) {
        Ok(upgrade) => upgrade,
        Err(refusal) => {
            let answer = written(&refusal);
            is_http(&answer);
            return answer;
        }
    };
    demands_of_section_4_2_1_are_met(head);
    let mut answer = Vec::new();
    assert!(write_response(&upgrade, None, None, &mut answer).is_ok());
    let answer = String::from_utf8(answer).expect("a 101 is ASCII");
    is_switching(head, &answer);
    for name in upgrade.subprotocols() {
        let mut answer = Vec::new();
        assert!(write_response(&upgrade, Some(name), None, &mut answer).is_ok());
        let answer = String::from_utf8(answer).expect("a 101 is ASCII");
        is_switching(head, &answer);
        assert!(answer.contains(&format!("\r\nSec-WebSocket-Protocol: {name}\r\n")));
    }
    let mut nothing = Vec::new();
    let unoffered = write_response(&upgrade, Some("never offered\r\n"), None, &mut nothing);
    assert!(unoffered.is_err() && nothing.is_empty());
    answer
}

fn written(refusal: &Refusal) -> String {
    let mut answer = Vec::new();
    refusal.write(&mut answer);
    String::from_utf8(answer).expect("a refusal is UTF-8")
}

/// The response to every request is exactly one HTTP response.
fn is_http(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head has an end");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.strip_prefix("HTTP/1.1 ");
    let status = status.and_then(|rest| rest.split(' ').next());
    let status: u16 = status.and_then(|s| s.parse().ok()).expect(status_line);
    assert!((400..600).contains(&status), "{status_line}");
    let fields: Vec<_> = lines
        .map(|line| line.split_once(": ").expect("a field has a name"))
        .collect();
    let value = |wanted: &str| {
        let field = fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        field.map(|(_, value)| *value)
    };
    let length = value("Content-Length").and_then(|length| length.parse().ok());
    assert_eq!(length, Some(body.len()));
    let connection = value("Connection").expect("a Connection field");
    let connection = connection.to_ascii_lowercase();
    assert!(connection.split(',').any(|option| option.trim() == "close"));
    if status == 426 {
        assert_eq!(value("Sec-WebSocket-Version"), Some("13"));
        assert_eq!(value("Upgrade"), Some("websocket"));
    }
    if status == 405 {
        assert!(value("Allow").is_some());
    }
}

/// §4.2.2, item 5.
fn is_switching(head: &RequestHead<'_>, answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 101 "));
    assert!(answer.ends_with("\r\n\r\n"));
    assert_eq!(answer.matches("\r\n\r\n").count(), 1);
    let key = values(head, "Sec-WebSocket-Key").remove(0);
    let accept = accept_key(std::str::from_utf8(key).expect("a key is Base64"));
    let accept = std::str::from_utf8(&accept).expect("an accept key is Base64");
    assert!(answer.contains(&format!("\r\nSec-WebSocket-Accept: {accept}\r\n")));
}

/// §4.2.1: a server that requires less can be attacked through a browser.
fn demands_of_section_4_2_1_are_met(head: &RequestHead<'_>) {
    assert_eq!(head.method(), "GET");
    assert!(head.host().is_some());
    assert!(head.wants_websocket());
    let list_has = |name: &str, wanted: &str| {
        let values = values(head, name);
        let members = values.iter().flat_map(|value| value.split(|b| *b == b','));
        members
            .map(<[u8]>::trim_ascii)
            .any(|member| member.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    assert!(list_has("Upgrade", "websocket"));
    assert!(list_has("Connection", "upgrade"));
    assert_eq!(values(head, "Sec-WebSocket-Version"), [b"13"]);
    let keys = values(head, "Sec-WebSocket-Key");
    assert_eq!(keys.len(), 1);
    // 16 bytes in Base64 are 22 digits; four bits of the last digit are unused.
    let digits = keys[0].strip_suffix(b"==").expect("16 bytes end in ==");
    assert_eq!(digits.len(), 22);
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || [b'+', b'/'].contains(b);
    assert!(digits.iter().all(is_digit));
    assert!([b'A', b'Q', b'g', b'w'].contains(&digits[21]));
}

fn values<'a>(head: &RequestHead<'a>, wanted: &str) -> Vec<&'a [u8]> {
    let fields = head.fields().iter();
    let fields = fields.filter(|field| field.name().eq_ignore_ascii_case(wanted));
    fields.map(|field| field.value()).collect()
}

fn is_well_formed(request: &Request, limits: HeadLimits) {
    let is_token = |word: &str| {
        let others = "!#$%&'*+-.^_`|~";
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    assert!(is_token(&request.method));
    assert!(request.target.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(request.fields.len() <= limits.fields_max);
    for (name, value) in &request.fields {
        assert!(is_token(name), "{name:?}");
        assert_eq!(value.trim_ascii(), value);
        let is_clean = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7F);
        assert!(value.iter().all(is_clean), "{value:?}");
    }
}

/// A client reads a response in the same way, however the input is cut. It accepts only a response
/// to its own key, with a subprotocol that it has offered or without one.
pub fn response_head(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else {
        return;
    };
    let (lengths, input) = take_lengths(rest);
    let limits = head_limits(selector);

    let uncut = read_answer(limits, &[input], input);
    assert_eq!(uncut, read_answer(limits, &cut(input, lengths), input));
    match &uncut {
        Ok(Some(established)) => is_the_answer_to_our_key(established, input),
        Err(ClientHandshakeError::NotSwitched(answer)) => {
            assert_ne!(answer.status, 101);
            assert!(input[..answer.head_bytes].ends_with(b"\r\n\r\n"));
            let bytes_max = if selector % 2 == 0 { 4096 } else { 5 };
            body_grows_with_what_comes(answer, bytes_max, &cut(input, lengths), input);
        }
        Ok(None) | Err(_) => {}
    }
}

/// The body of a response grows as its bytes arrive: bytes that were returned once stay the same,
/// and no bytes follow the end.
fn body_grows_with_what_comes(
    answer: &HttpResponse,
    bytes_max: usize,
    pieces: &[&[u8]],
    input: &[u8],
) {
    let mut before = ResponseBody::default();
    let mut came = 0;
    for piece in pieces {
        came += piece.len();
        let body = answer.body(&input[..came], bytes_max);
        assert!(body.content.starts_with(&before.content));
        assert!(!before.ended || body == before, "nothing follows the end");
        let body_bytes = came.saturating_sub(answer.head_bytes);
        assert!(body.content.len() <= body_bytes.min(bytes_max));
        before = body;
    }
    // The limit shortens the content and has no other effect.
    let whole = answer.body(input, usize::MAX);
    let within = whole.content.len().min(bytes_max);
    assert_eq!(before.content, whole.content[..within]);
    assert_eq!(before.ended, whole.ended);
}

/// Gives a client longer and longer prefixes of `input`.
fn read_answer(
    limits: HeadLimits,
    pieces: &[&[u8]],
    input: &[u8],
) -> Result<Option<Established>, ClientHandshakeError> {
    let uri = WebSocketUri::parse("ws://example.com/chat").expect("a URI");
    let mut client = ClientHandshake::new(&uri, *b"the sample nonce")
        .subprotocol("chat")
        .and_then(|client| client.subprotocol("superchat"))
        .expect("tokens")
        .limits(limits);
    let mut came = 0;
    for piece in pieces {
        came += piece.len();
        if let Some(established) = client.receive(&input[..came])? {
            assert!(established.head_bytes <= came, "the rest are frames");
            return Ok(Some(established));
        }
    }
    Ok(None)
}

fn is_the_answer_to_our_key(established: &Established, input: &[u8]) {
    let head = &input[..established.head_bytes];
    assert!(head.ends_with(b"\r\n\r\n"));
    let contains = |wanted: &[u8]| head.windows(wanted.len()).any(|part| part == wanted);
    // RFC 9112 §2.3: a higher minor version is read as if it were 1.1.
    let minor_version = (1..=9).find(|minor| contains(format!("HTTP/1.{minor} 101").as_bytes()));
    assert!(minor_version.is_some(), "HTTP/1.0 has no Upgrade");
    assert!(
        contains(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "§1.3: the accept key"
    );
    // Interim responses may precede it.
    let head = head.to_ascii_lowercase();
    let mut ends = head.windows(4).enumerate().rev().skip(1);
    let start = ends.find(|(_, part)| part == b"\r\n\r\n");
    let last_head = &head[start.map_or(0, |(end, _)| end)..];
    let name = b"\r\nsec-websocket-accept:";
    let accepts = last_head.windows(name.len()).filter(|part| part == name);
    assert_eq!(accepts.count(), 1, "§11.3.3: once");
    if let Some(name) = established.subprotocol.as_deref() {
        assert!(["chat", "superchat"].contains(&name));
    }
}
