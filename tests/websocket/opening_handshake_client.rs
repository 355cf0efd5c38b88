//! The client's part of the opening handshake: the request that it writes, and the responses
//! that it accepts or refuses (RFC 6455 §4.1). Each response is read whole, byte by byte, and
//! cut in two at each place, with the same result.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use yamabiko::websocket::handshake::{
    ClientHandshake, ClientHandshakeError, Established, HeadError, HeadLimits, HttpResponse,
    InvalidField, InvalidRequest, OwnedFields, RequestReader, Upgrade, WebSocketUri,
};
use yamabiko_testing::properties::handshake::response_head;
use yamabiko_testing::protocol::write_response;

/// The nonce of §1.3.
const NONCE: [u8; 16] = *b"the sample nonce";

/// The response of §1.3.
const SAMPLE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\
    \r\n";

fn handshake() -> ClientHandshake {
    ClientHandshake::new(&uri("ws://server.example.com/chat"), NONCE)
        .subprotocol("chat")
        .and_then(|handshake| handshake.subprotocol("superchat"))
        .expect("valid subprotocols")
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# the client MUST send an opening handshake to the server.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The method of the request MUST be GET, and the HTTP version MUST be at least
//# 1.1.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The "Request-URI" part of the request MUST match the /resource name/ defined
//# in Section 3
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST contain an |Upgrade| header field whose value MUST include
//# the "websocket" keyword.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST contain a |Connection| header field whose value MUST
//# include the "Upgrade" token.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST include a header field with the name |Sec-WebSocket-Key|.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST include a header field with the name
//# |Sec-WebSocket-Version|.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The value of this header field MUST be 13.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# one or more comma-separated subprotocol the client wishes to speak, ordered
//# by preference.
#[test]
fn client_writes_the_request() {
    let handshake = handshake()
        .origin("https://example.com")
        .and_then(|handshake| handshake.field("Cookie", "a=b; c=\"d\""))
        .and_then(|handshake| handshake.field("X-Two", "1"))
        .and_then(|handshake| handshake.field("X-Two", "2"))
        .expect("valid fields");
    let expected = "GET /chat HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Origin: https://example.com\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\n\
        Cookie: a=b; c=\"d\"\r\n\
        X-Two: 1\r\n\
        X-Two: 2\r\n\
        \r\n";
    assert_eq!(request(&handshake), expected);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST contain a |Host| header field whose value contains /host/
//# plus optionally ":" followed by /port/ (when not using the default port).
#[test]
fn client_names_the_port_unless_it_is_the_default_one() {
    let table = [
        ("ws://a:80/", "a"),
        ("ws://a:443/", "a:443"),
        ("wss://a:443/", "a"),
        ("wss://a:80/", "a:80"),
        ("wss://[::1]:8443/", "[::1]:8443"),
    ];
    for (text, host) in table {
        let request = request(&ClientHandshake::new(&uri(text), NONCE));
        assert!(
            request.contains(&format!("\r\nHost: {host}\r\n")),
            "{request}"
        );
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The value of this header field MUST be a nonce consisting of a randomly
//# selected 16-byte value that has been base64-encoded
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The nonce MUST be selected randomly for each connection.
#[test]
fn client_sends_the_nonce_that_it_is_given() {
    let nonce = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    let request = request(&ClientHandshake::new(&uri("ws://a/"), nonce));
    assert!(
        request.contains("\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n"),
        "{request}"
    );
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The elements that comprise this value MUST be non-empty strings with
//# characters in the range U+0021 to U+007E not including separator characters
//# as defined in [RFC2616] and MUST all be unique strings.
#[test]
fn client_offers_different_tokens_as_subprotocols() {
    for wrong in [
        "",
        "a b",
        "a,b",
        "a/b",
        "\"a\"",
        "a\r\nb",
        "caf\u{e9}",
        "a\u{7f}",
    ] {
        let refused = handshake().subprotocol(wrong).map(|_| ());
        assert_eq!(refused, Err(InvalidRequest::Subprotocol), "{wrong:?}");
    }
    let refused = handshake().subprotocol("chat").map(|_| ());
    assert_eq!(refused, Err(InvalidRequest::SubprotocolTwice));
    assert!(handshake().subprotocol("CHAT").is_ok());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The handshake MUST be a valid HTTP request as specified by [RFC2616].
#[test]
fn client_refuses_fields_that_would_break_the_request() {
    let table = [
        ("", "x", InvalidField::Name),
        ("A B", "x", InvalidField::Name),
        ("A:", "x", InvalidField::Name),
        ("A\r\nB", "x", InvalidField::Name),
        ("Caf\u{e9}", "x", InvalidField::Name),
        ("A", "x\r\nB: y", InvalidField::Value),
        ("A", "x\n", InvalidField::Value),
        ("A", "\0", InvalidField::Value),
        ("A", " x", InvalidField::Value),
        ("host", "x", InvalidField::Reserved),
        ("Upgrade", "x", InvalidField::Reserved),
        ("CONNECTION", "x", InvalidField::Reserved),
        ("Origin", "x", InvalidField::Reserved),
        ("Content-Length", "0", InvalidField::Reserved),
        ("Transfer-Encoding", "chunked", InvalidField::Reserved),
        ("Sec-WebSocket-Key", "x", InvalidField::Reserved),
        ("sec-websocket-protocol", "x", InvalidField::Reserved),
        ("Sec-WebSocket-Extensions", "x", InvalidField::Reserved),
        ("Sec-WebSocket-Anything", "x", InvalidField::Reserved),
    ];
    for (name, value, error) in table {
        let refused = handshake().field(name, value).map(|_| ());
        assert_eq!(
            refused,
            Err(InvalidRequest::Field(error)),
            "{name:?}: {value:?}"
        );
    }
    for origin in ["", " ", "a ", "a\r\nb", "caf\u{e9}"] {
        let refused = handshake().origin(origin).map(|_| ());
        assert_eq!(refused, Err(InvalidRequest::Origin), "{origin:?}");
    }
}

#[test]
fn client_request_is_one_that_the_server_accepts() {
    let text = request(&handshake());
    let mut reader = RequestReader::new(HeadLimits::default());
    let (head, head_bytes) = reader
        .read(text.as_bytes())
        .expect("valid")
        .expect("complete");
    assert_eq!(head_bytes, text.len());
    let upgrade = Upgrade::check(&head).expect("a valid handshake");
    let mut response = Vec::new();
    write_response(&upgrade, Some("superchat"), None, &mut response).expect("it is offered");
    let established = handshake()
        .receive(&response)
        .expect("valid")
        .expect("complete");
    assert_eq!(established.subprotocol.as_deref(), Some("superchat"));
    assert_eq!(established.head_bytes, response.len());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the server's response is validated as provided for above, it is said that
//# _The WebSocket Connection is Established_
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The _Subprotocol In Use_ is defined to be the value of the
//# |Sec-WebSocket-Protocol| header field in the server's handshake
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The _Extensions In Use_ is defined to be a (possibly empty) string
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# all header field names in both HTTP requests and HTTP responses are case-insensitive.
#[test]
fn client_accepts_every_spelling_that_the_rfcs_allow() {
    let chat = Some("chat");
    let table = [
        ("", "", chat),
        ("Upgrade: websocket", "UPGRADE:WebSocket", chat),
        ("Upgrade: websocket", "upgrade: \t websocket\t", chat),
        (
            "Connection: Upgrade",
            "connection: keep-alive, UPGRADE",
            chat,
        ),
        (
            "Connection: Upgrade",
            "Connection: x\r\nConnection: upgrade",
            chat,
        ),
        ("Accept: s3", "accept:\t  s3", chat),
        ("xOo=", "xOo= \t", chat),
        ("Protocol: chat", "Protocol: superchat", Some("superchat")),
        ("Sec-WebSocket-Protocol: chat\r\n", "", None),
        ("Switching Protocols", "", chat),
        (" Switching Protocols", "", chat),
        ("Upgrade: ", "Sec-WebSocket-Extensions:\r\nUpgrade: ", chat),
        (
            "Upgrade: ",
            "Sec-WebSocket-Extensions: ,\r\nUpgrade: ",
            chat,
        ),
        ("Switching Protocols", "Caf\u{e9}", chat),
        ("HTTP/1.1", "HTTP/1.2", chat),
        (
            "Upgrade: ",
            "Server: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nUpgrade: ",
            chat,
        ),
        ("Upgrade: ", "Content-Length: 0\r\nUpgrade: ", chat),
        (
            "HTTP/1.1 101",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101",
            chat,
        ),
        (
            "HTTP/1.1 101",
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 101",
            chat,
        ),
    ];
    for (from, to, subprotocol) in table {
        let text = sample_with(from, to);
        let established = receive(text.as_bytes()).expect(to).expect("complete");
        assert_eq!(established.subprotocol.as_deref(), subprotocol, "{to:?}");
        assert_eq!(
            (established.deflate, established.head_bytes),
            (None, text.len())
        );
        // The first frame after the response is left to the caller.
        let more = text + "\u{1}\u{5}Hello\r\n\r\n";
        assert_eq!(receive(more.as_bytes()), Ok(Some(established)), "{to:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# the client MUST wait for a response from the server before sending any
//# further data.
#[test]
fn client_waits_for_every_byte_of_the_response() {
    for end in 0..SAMPLE.len() {
        assert_eq!(
            handshake().receive(&SAMPLE.as_bytes()[..end]),
            Ok(None),
            "{end}"
        );
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The client MUST validate the server's response as follows:
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# match for the value "websocket", the client MUST _Fail the WebSocket
//# Connection_.
#[test]
fn client_fails_connection_on_another_upgrade() {
    let table = [
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket", "Upgrade:"),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Upgrade: websocket", "Upgrade: websockets"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        (
            "Upgrade: websocket",
            "Upgrade: websocket\r\nUpgrade: websocket",
        ),
    ];
    for (from, to) in table {
        assert_fails(from, to, &ClientHandshakeError::UpgradeIsNotWebSocket);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# match for the value "Upgrade", the client MUST _Fail the WebSocket
//# Connection_.
#[test]
fn client_fails_connection_on_a_response_without_connection_upgrade() {
    let table = [
        ("Connection: Upgrade\r\n", ""),
        ("Connection: Upgrade", "Connection:"),
        ("Connection: Upgrade", "Connection: close"),
        ("Connection: Upgrade", "Connection: Up-grade, upgrades"),
    ];
    for (from, to) in table {
        assert_fails(from, to, &ClientHandshakeError::ConnectionIsNotUpgrade);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# but ignoring any leading and trailing whitespace, the client MUST _Fail the
//# WebSocket Connection_.
#[test]
fn client_fails_connection_on_a_missing_wrong_or_duplicate_accept() {
    let line = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    assert_fails(line, "", &ClientHandshakeError::MissingAccept);
    let twice = ClientHandshakeError::RepeatedField("Sec-WebSocket-Accept");
    assert_fails(line, &line.repeat(2), &twice);
    for wrong in [
        "",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo",
        "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo==",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, x",
        "\"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\"",
        "s3pPLMBi TxaQ9kYGzzhZRbK+xOo=",
        "HSmrc0sMlYUkAGmm5OPpG2HaGWk=",
        "dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        assert_fails(
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            wrong,
            &ClientHandshakeError::WrongAccept,
        );
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# (the server has indicated an extension not requested by the client), the
//# client MUST _Fail the WebSocket Connection_.
#[test]
fn client_fails_connection_on_an_extension_not_requested() {
    let table = [
        (
            "permessage-deflate",
            ClientHandshakeError::UnrequestedExtension,
        ),
        ("a; b=\"c\", d", ClientHandshakeError::UnrequestedExtension),
        (
            "a\r\nSec-WebSocket-Extensions: b",
            ClientHandshakeError::UnrequestedExtension,
        ),
        ("a; b=\"c d\"", ClientHandshakeError::MalformedExtensions),
        ("a;", ClientHandshakeError::MalformedExtensions),
    ];
    for (value, error) in table {
        let fields = format!("Sec-WebSocket-Extensions: {value}\r\nUpgrade: ");
        assert_fails("Upgrade: ", &fields, &error);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# (the server has indicated a subprotocol not requested by the client), the
//# client MUST _Fail the WebSocket Connection_.
#[test]
fn client_fails_connection_on_a_subprotocol_not_requested() {
    for value in ["", "mqtt", "Chat", "chat, superchat", "chat,"] {
        let line = format!("Protocol: {value}");
        assert_fails(
            "Protocol: chat",
            &line,
            &ClientHandshakeError::UnrequestedSubprotocol,
        );
    }
    let line = "Sec-WebSocket-Protocol: chat\r\n";
    let twice = ClientHandshakeError::RepeatedField("Sec-WebSocket-Protocol");
    assert_fails(line, &line.repeat(2), &twice);
    let mut without_offer = ClientHandshake::new(&uri("ws://a/"), NONCE);
    let refused = without_offer.receive(SAMPLE.as_bytes());
    assert_eq!(refused, Err(ClientHandshakeError::UnrequestedSubprotocol));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the status code received from the server is not 101, the client handles
//# the response per HTTP [RFC2616] procedures.
#[test]
fn client_reports_any_other_response() {
    let table = [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.0 302 Found", 302, "Found"),
        ("HTTP/1.1 401 ", 401, ""),
        ("HTTP/1.1 503 Caf\u{e9}", 503, "Caf\u{e9}"),
        ("HTTP/1.1 999 x", 999, "x"),
    ];
    for (line, status, reason) in table {
        let head =
            format!("{line}\r\nLocation: /else\r\nContent-Length: 3\r\nX: caf\u{e9}\r\n\r\n");
        let text = format!("{head}why");
        let Err(ClientHandshakeError::NotSwitched(response)) = receive(text.as_bytes()) else {
            panic!("{line} is not 101");
        };
        assert_eq!(
            (response.status, response.reason.as_str()),
            (status, reason)
        );
        assert_eq!(response.field("location"), Some(&b"/else"[..]));
        assert_eq!(response.field("Retry-After"), None);
        assert_eq!(response.text("x"), Some("caf\u{e9}"));
        let names = response.fields.as_fields().iter().map(|field| field.name());
        assert!(names.eq(["Location", "Content-Length", "X"]));
        assert_eq!(&text[response.head_bytes..], "why");
    }
}

#[test]
fn client_skips_a_bounded_number_of_interim_responses() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let text = interim.repeat(8) + SAMPLE;
    let established = receive(text.as_bytes()).expect("valid").expect("complete");
    assert_eq!(established.head_bytes, text.len());
    let text = interim.repeat(9) + SAMPLE;
    let Err(ClientHandshakeError::NotSwitched(response)) = receive(text.as_bytes()) else {
        panic!("the ninth interim response is handed out");
    };
    assert_eq!((response.status, &*response.reason), (100, "Continue"));
    assert_eq!(response.fields, OwnedFields::default());
    assert_eq!(response.head_bytes, interim.len() * 9);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the server's response does not conform to the requirements for the
//# server's handshake as defined in this section and in Section 4.2.2, the
//# client MUST _Fail the WebSocket Connection_.
#[test]
fn client_fails_connection_on_a_malformed_response() {
    let line = "HTTP/1.1 101 Switching Protocols";
    let table = [
        (line, "\r\nHTTP/1.1 101 x", HeadError::TooManyEmptyLines),
        (line, "HTTP/1.1 101x", HeadError::InvalidStatusLine),
        (line, "HTTP/1.1 10", HeadError::InvalidStatusLine),
        (line, "HTTP/1.1  101 x", HeadError::InvalidStatusLine),
        (line, "HTTP/1.1 1010 x", HeadError::InvalidStatusLine),
        (line, "HTTP/1.1 10 x", HeadError::InvalidStatusLine),
        (line, "HTTP/1.1 011 x", HeadError::InvalidStatusLine),
        (line, "HTTP/2.0 101 x", HeadError::InvalidStatusLine),
        (line, "http/1.1 101 x", HeadError::InvalidStatusLine),
        (line, "GET / HTTP/1.1", HeadError::InvalidStatusLine),
        (line, "HTTP/1.1 101 \0", HeadError::ControlCharacter),
        ("Protocols\r\n", "Protocols\n", HeadError::BareLineFeed),
        (
            "Protocols\r\n",
            "Protocols\r",
            HeadError::BareCarriageReturn,
        ),
        ("Upgrade: websocket", "Upgrade", HeadError::MissingColon),
        ("Upgrade:", "Upgrade :", HeadError::WhitespaceBeforeColon),
        ("Upgrade:", "Upgrade\t:", HeadError::WhitespaceBeforeColon),
        ("Upgrade:", "Up grade:", HeadError::InvalidFieldName),
        (
            "Upgrade: websocket",
            "Upgrade:\r\n websocket",
            HeadError::LineFolded,
        ),
        (
            "Upgrade: websocket",
            "Upgrade:\r\n\twebsocket",
            HeadError::LineFolded,
        ),
        ("websocket", "web\u{1b}socket", HeadError::ControlCharacter),
        ("chat\r\n\r\n", "chat\r\n\n", HeadError::BareLineFeed),
    ];
    for (from, to, error) in table {
        assert_fails(from, to, &ClientHandshakeError::Malformed(error));
    }
    let old = sample_with("HTTP/1.1", "HTTP/1.0");
    assert_eq!(
        receive(old.as_bytes()),
        Err(ClientHandshakeError::OldHttpVersion)
    );
}

#[test]
fn client_reads_a_response_within_limits() {
    let limits = HeadLimits {
        request_line_bytes_max: 20,
        field_bytes_max: 10,
        head_bytes_max: 45,
        fields_max: 2,
        leading_empty_lines_max: 2,
    };
    let table = [
        ("HTTP/1.1 200 1234567\r\n\r\n", None),
        (
            "HTTP/1.1 200 12345678\r\n\r\n",
            Some(HeadError::StartLineTooLong),
        ),
        ("HTTP/1.1 200 \r\nA: 4567890\r\n\r\n", None),
        (
            "HTTP/1.1 200 \r\nA: 45678901\r\n\r\n",
            Some(HeadError::FieldTooLong),
        ),
        ("HTTP/1.1 200 \r\nA:\r\nA:\r\n\r\n", None),
        (
            "HTTP/1.1 200 \r\nA:\r\nA:\r\nA:\r\n\r\n",
            Some(HeadError::TooManyFields),
        ),
        (
            "HTTP/1.1 200 1234567\r\nA: 4567890\r\nA: 4567890\r\n\r\n",
            Some(HeadError::HeadTooLong),
        ),
        (
            "HTTP/1.1 200 1234567\r\nA: 4567890\r\nA: 45678\r\n\r\nbody",
            Some(HeadError::HeadTooLong),
        ),
        (
            "HTTP/1.1 200 1234567\r\nA: 4567890\r\nA: 456789\r\n\r\n",
            Some(HeadError::HeadTooLong),
        ),
        (
            "HTTP/1.1 200 1234567\r\nA: 4567890\r\nA: 4567\r\n\r\nbody",
            None,
        ),
        (
            "\r\nHTTP/1.1 200 \r\n\r\n",
            Some(HeadError::TooManyEmptyLines),
        ),
    ];
    for (text, error) in table {
        let result = receive_by(&handshake().limits(limits), text.as_bytes());
        let refused = match result {
            Err(ClientHandshakeError::Malformed(error)) => Some(error),
            Err(ClientHandshakeError::NotSwitched(_)) => None,
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(refused, error, "{text:?}");
    }
}

#[test]
fn errors_name_the_broken_rule() {
    let response = HttpResponse::new(404, OwnedFields::default());
    let table = [
        (ClientHandshakeError::NotSwitched(response), "404"),
        (
            ClientHandshakeError::Malformed(HeadError::BareLineFeed),
            "line feed",
        ),
        (
            ClientHandshakeError::RepeatedField("Sec-WebSocket-Accept"),
            "duplicate Sec-WebSocket-Accept",
        ),
        (ClientHandshakeError::WrongAccept, "does not match the key"),
    ];
    for (error, part) in table {
        assert!(error.to_string().contains(part), "{error}");
    }
}

proptest! {
    #[test]
    fn any_response_is_read_the_same_however_it_is_cut_and_accepted_only_with_the_accept_of_our_key(
        bytes in hostile_bytes(),
        lengths in prop::collection::vec(1..=60_u8, 0..5),
        small in 0..=1_u8,
    ) {
        // The property of the fuzz target checks the accepted response.
        response_head(&[&[small, lengths.len() as u8][..], &lengths, &bytes].concat());
        // `receive` compares all cuttings.
        if let Ok(Some(established)) = receive(&bytes) {
            prop_assert!(bytes[..established.head_bytes].ends_with(b"\r\n\r\n"));
        }
    }

    /// The client compares Accept with the key that it sent.
    #[test]
    fn client_and_server_agree_for_any_nonce(nonce: [u8; 16], other: [u8; 16]) {
        let target = uri("wss://a/b?c");
        let mut client = ClientHandshake::new(&target, nonce);
        let text = request(&client);
        let mut reader = RequestReader::new(HeadLimits::default());
        let (head, _) = reader.read(text.as_bytes()).expect("valid").expect("complete");
        let upgrade = Upgrade::check(&head).expect("a valid handshake");
        let mut response = Vec::new();
        write_response(&upgrade, None, None, &mut response).expect("no subprotocol");
        let established = client.receive(&response).expect("valid").expect("complete");
        prop_assert_eq!(established.subprotocol, None);
        prop_assert_eq!((established.deflate, established.head_bytes), (None, response.len()));
        if nonce != other {
            let refused = ClientHandshake::new(&target, other).receive(&response);
            prop_assert_eq!(refused, Err(ClientHandshakeError::WrongAccept));
        }
    }
}

/// Pieces of responses, valid and invalid, and random bytes between them.
fn pieces(count_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            SAMPLE, "HTTP/1.1 101 x\r\n", "HTTP/1.1 100 \r\n\r\n", "HTTP/1.1 404 no\r\n", "HTTP/", "\r\n", "\r", "\n",
            " ", ":", ",", "\0", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n", "Sec-WebSocket-Protocol: chat\r\n",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "Sec-WebSocket-Extensions: a\r\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..=count_max).prop_map(|pieces| pieces.concat())
}

/// A response that the client accepts, or one with another status, with pieces inserted before a
/// line or instead of it; or pieces alone.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let lines = SAMPLE.split_inclusive("\r\n").count();
    let status = prop::sample::select(vec!["101", "101", "404"]);
    let changed = (status, 0..lines, any::<bool>(), pieces(3)).prop_map(
        |(status, line, is_removed, pieces)| {
            let response = SAMPLE.replacen("101", status, 1);
            let lines: Vec<&str> = response.split_inclusive("\r\n").collect();
            let (before, after) = lines.split_at(line);
            let after = &after[usize::from(is_removed)..];
            [
                before.concat().as_bytes(),
                &pieces,
                after.concat().as_bytes(),
            ]
            .concat()
        },
    );
    prop_oneof![pieces(10), changed]
}

#[test]
fn hostile_responses_have_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let (mut incomplete, mut other_status, mut refused, mut taken) = (0, 0, 0, 0);
    for _ in 0..1000 {
        let bytes = hostile_bytes()
            .new_tree(&mut runner)
            .expect("bytes")
            .current();
        match handshake().receive(&bytes) {
            Ok(None) => incomplete += 1,
            Err(ClientHandshakeError::NotSwitched(_)) => other_status += 1,
            Err(_) => refused += 1,
            Ok(Some(_)) => taken += 1,
        }
    }
    let outcomes = [incomplete, other_status, refused, taken];
    assert!(outcomes.iter().all(|&count| count >= 20), "{outcomes:?}");
}

type Outcome = Result<Option<Established>, ClientHandshakeError>;

fn receive(bytes: &[u8]) -> Outcome {
    receive_by(&handshake(), bytes)
}

/// Reads the bytes whole, one at a time, and in two pieces cut at each place. The results must
/// be equal.
fn receive_by(handshake: &ClientHandshake, bytes: &[u8]) -> Outcome {
    let whole = handshake.clone().receive(bytes);
    let mut bytewise = handshake.clone();
    let first = (0..=bytes.len())
        .map(|end| bytewise.receive(&bytes[..end]))
        .find(|result| !matches!(result, Ok(None)))
        .unwrap_or(Ok(None));
    assert_eq!(first, whole, "byte by byte");
    for cut in 0..=bytes.len() {
        let mut reader = handshake.clone();
        let result = match reader.receive(&bytes[..cut]) {
            Ok(None) => reader.receive(bytes),
            early => early,
        };
        assert_eq!(result, whole, "cut at {cut}");
        assert_eq!(reader.receive(bytes), whole, "called again");
    }
    whole
}

fn assert_fails(from: &str, to: &str, error: &ClientHandshakeError) {
    let text = sample_with(from, to);
    assert_eq!(receive(text.as_bytes()), Err(error.clone()), "{to:?}");
}

fn sample_with(from: &str, to: &str) -> String {
    assert!(SAMPLE.contains(from), "{from:?}");
    SAMPLE.replacen(from, to, 1)
}

fn request(handshake: &ClientHandshake) -> String {
    let mut output = Vec::new();
    handshake.write_request(&mut output);
    String::from_utf8(output).expect("ASCII")
}

fn uri(text: &str) -> WebSocketUri {
    WebSocketUri::parse(text).expect("a valid URI")
}
