//! The server's part of the opening handshake: the requests that it accepts, and the response
//! with which it refuses each other request (RFC 6455 §4.2, RFC 9112). Each request is read
//! whole, byte by byte, and cut in two at each place, with the same result.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use yamabiko::http::WriteOptions;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::handshake::{
    HeadLimits, HttpVersion, NotOffered, Refusal, RequestReader, Response, SUBPROTOCOLS_MAX,
    Status, Upgrade,
};
use yamabiko_testing::properties::handshake::request_head;
use yamabiko_testing::protocol::write_response;

/// The request of §1.3, with the key of that section.
const SAMPLE: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\
    \r\n";

/// The request of a browser, with its order of the fields and with fields that the handshake
/// does not need.
const BROWSER: &str = "GET /rooms/general?token=a%20b HTTP/1.1\r\n\
    Host: chat.example.com:8443\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Pragma: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Upgrade: websocket\r\n\
    Origin: https://chat.example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=caf\u{e9}\r\n\
    Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    \r\n";

#[test]
fn server_answers_the_sample_request_of_the_rfc() {
    let expected = "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\
        \r\n";
    assert_eq!(response(SAMPLE.as_bytes(), Some("chat")), expected);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# If the server chooses to accept the incoming connection, it MUST reply with
//# a valid HTTP response indicating the following.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# A Status-Line with a 101 response code as per RFC 2616 [RFC2616].
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# An |Upgrade| header field with value "websocket" as per RFC 2616 [RFC2616].
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# A |Connection| header field with value "Upgrade".
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.3
//= type=test
//# The |Sec-WebSocket-Accept| header MUST NOT appear more than once in an HTTP
//# response.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# the server MUST complete the following steps to accept the connection and
//# send the server's opening handshake.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# the server considers the WebSocket connection to be established and that the
//# WebSocket connection is in the OPEN state.
#[test]
fn response_has_each_required_field_once_and_no_other() {
    // Accept belongs to the key of §4.1, as erratum 3150 corrects it.
    let expected = "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: C/0nmHhBztSRGR1CwL6Tf4ZjwpY=\r\n\
        \r\n";
    assert_eq!(response(BROWSER.as_bytes(), None), expected);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# The server must parse at least part of this handshake
#[test]
fn server_reads_the_request_of_a_browser() {
    let (head, head_bytes) = read(BROWSER.as_bytes()).expect("valid").expect("complete");
    assert_eq!(head_bytes, BROWSER.len());
    assert_eq!(head.method(), "GET");
    assert_eq!(head.target(), "/rooms/general?token=a%20b");
    assert_eq!(
        (head.path(), head.query()),
        ("/rooms/general", Some("token=a%20b"))
    );
    assert_eq!(head.host(), Some("chat.example.com:8443"));
    assert_eq!(head.version(), HttpVersion::Http11);
    assert!(head.wants_websocket());
    assert!(!head.body_announced());
    assert_eq!(head.fields().iter().count(), 11);
    let cookie = head.fields().get("COOKIE");
    assert_eq!(cookie, Some("session=caf\u{e9}".as_bytes()));

    let upgrade = Upgrade::check(&head).expect("a valid handshake");
    assert_eq!(upgrade.origin(), Some("https://chat.example.com"));
    assert_eq!(upgrade.request().target(), head.target());
    let offer = upgrade.extensions().next().expect("one is offered");
    assert_eq!(offer.name(), "permessage-deflate");
}

#[test]
fn server_leaves_the_first_frame_to_the_caller() {
    let mut bytes = SAMPLE.as_bytes().to_vec();
    bytes.extend_from_slice(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\r\n\n\0");
    let (_, head_bytes) = read(&bytes).expect("valid").expect("complete");
    assert_eq!(head_bytes, SAMPLE.len());
}

#[test]
fn server_waits_for_every_byte_of_the_head() {
    for end in 0..BROWSER.len() {
        let read = RequestReader::new(HeadLimits::default()).read(&BROWSER.as_bytes()[..end]);
        assert!(read.expect("nothing is wrong yet").is_none(), "{end}");
    }
}

#[test]
fn reader_returns_the_same_result_when_it_is_called_again() {
    let mut reader = RequestReader::new(HeadLimits::default());
    for _ in 0..3 {
        let (head, head_bytes) = reader
            .read(SAMPLE.as_bytes())
            .expect("valid")
            .expect("complete");
        assert_eq!((head.path(), head_bytes), ("/chat", SAMPLE.len()));
    }
    let mut reader = RequestReader::new(HeadLimits::default());
    for _ in 0..3 {
        let refusal = reader
            .read(b"GET /\r\nHost: a\r\n\r\n")
            .expect_err("no version");
        assert_eq!(refusal.status(), Status::BadRequest);
    }
}

#[test]
fn reader_returns_no_head_if_bytes_are_missing_again() {
    let bytes = SAMPLE.as_bytes();
    for received in 0..=bytes.len() {
        for left in 0..received {
            let mut reader = RequestReader::new(HeadLimits::default());
            let complete = reader.read(&bytes[..received]).expect("valid").is_some();
            assert_eq!(complete, received == bytes.len());
            let head = reader.read(&bytes[..left]).expect("nothing is wrong");
            assert!(head.is_none(), "{left} of {received} bytes");
            // With all bytes again, the reader returns the same head.
            let (head, head_bytes) = reader.read(bytes).expect("valid").expect("complete");
            assert_eq!((head.path(), head_bytes), ("/chat", bytes.len()));
            assert_eq!(head.fields().iter().count(), 7);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# An |Upgrade| header field containing the value "websocket", treated as an
//# ASCII case-insensitive value.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# A |Connection| header field that includes the token "Upgrade", treated as an
//# ASCII case-insensitive value.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# all header field names in both HTTP requests and HTTP responses are
//# case-insensitive.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# Unknown header fields are ignored, as per [RFC2616].
#[test]
fn server_accepts_every_spelling_that_the_rfcs_allow() {
    let table = [
        ("Upgrade: websocket", "upgrade: WebSocket"),
        ("Upgrade: websocket", "UPGRADE:WEBSOCKET"),
        ("Upgrade: websocket", "Upgrade: \t websocket \t"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"),
        ("Upgrade: websocket", "Upgrade: ,, websocket ,"),
        ("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"),
        (
            "Connection: Upgrade",
            "Connection: upgrade\r\nConnection: keep-alive",
        ),
        ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        (
            "Connection: Upgrade",
            "connection: keep-alive\r\nCONNECTION: upgrade",
        ),
        (
            "Connection: Upgrade",
            "Connection:\r\nConnection: , UPGRADE",
        ),
        ("Sec-WebSocket-Key: ", "sec-websocket-key:"),
        ("Sec-WebSocket-Version: 13", "sEC-wEBsOCKET-vERSION:13 "),
        (
            "Sec-WebSocket-Protocol: chat, superchat",
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat",
        ),
        ("Sec-WebSocket-Protocol: chat, superchat\r\n", ""),
        ("Origin: http://example.com\r\n", ""),
        ("Origin: http://example.com", "Origin: null"),
        ("Origin: ", "X-Unknown: caf\u{e9} \"(,;\r\nOrigin: "),
        (
            "Origin: ",
            "Sec-WebSocket-Extensions: a; b=1, c\r\nsec-websocket-extensions: a\r\nOrigin: ",
        ),
        ("Origin: ", "Content-Length: 0\r\nOrigin: "),
        ("Host: server.example.com", "Host: [2001:db8::1]:8080"),
        ("Host: server.example.com", "HOST:192.0.2.1:80"),
        ("GET /chat HTTP/1.1", "GET / HTTP/1.1"),
        ("GET /chat HTTP/1.1", "GET /chat HTTP/1.2"),
        ("GET /chat HTTP/1.1", "GET /?a={b}|c HTTP/1.1"),
        ("GET /chat HTTP/1.1", "\r\nGET /chat HTTP/1.1"),
        ("GET /chat HTTP/1.1", "\r\n\r\nGET /chat HTTP/1.1"),
        (
            "GET /chat HTTP/1.1",
            "GET http://server.example.com/chat HTTP/1.1",
        ),
        (
            "GET /chat HTTP/1.1",
            "GET WSS://other.example.com:444/chat HTTP/1.1",
        ),
    ];
    for (from, to) in table {
        let text = sample_with(from, to);
        assert_eq!(check(text.as_bytes()), Ok(()), "{to:?}");
    }
}

/// RFC 9112 §3.2.2: the authority of the target replaces Host.
#[test]
fn server_reads_the_host_from_an_absolute_target() {
    let table = [
        (
            "GET http://a.example/chat?x=1 HTTP/1.1",
            "a.example",
            "/chat",
            Some("x=1"),
        ),
        (
            "GET https://a.example:444 HTTP/1.1",
            "a.example:444",
            "/",
            None,
        ),
        ("GET ws://[::1]?x HTTP/1.1", "[::1]", "/", Some("x")),
        ("GET /chat HTTP/1.1", "server.example.com", "/chat", None),
    ];
    for (line, host, path, query) in table {
        let text = sample_with("GET /chat HTTP/1.1", line);
        let (head, _) = read(text.as_bytes()).expect("valid").expect("complete");
        assert_eq!(
            (head.host(), head.path(), head.query()),
            (Some(host), path, query),
            "{line}"
        );
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# the server MUST stop processing the client's handshake and return an HTTP
//# response with an appropriate error code (such as 400 Bad Request).
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
//= type=test
//# If the invalid data is sent during the WebSocket handshake, the server
//# SHOULD return an appropriate HTTP [RFC2616] status code.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.7
//= type=test
//# Incoming data MUST always be validated by both clients and servers.
//= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
//= type=test
//# This rule applies both during the opening handshake and during subsequent
//# data exchange.
#[test]
fn server_refuses_a_malformed_head() {
    let line = "GET /chat HTTP/1.1";
    let table: [(&str, &[u8], u16); 43] = [
        // The request line (RFC 9112 §3).
        (line, b"GET /chat", 400),
        (line, b"GET  /chat HTTP/1.1", 400),
        (line, b"GET /chat  HTTP/1.1", 400),
        (line, b"GET /chat HTTP/1.1 ", 400),
        (line, b" GET /chat HTTP/1.1", 400),
        (line, b"GET\t/chat HTTP/1.1", 400),
        (line, b"/chat HTTP/1.1", 400),
        (line, b"G(T /chat HTTP/1.1", 400),
        (line, b"GET chat HTTP/1.1", 400),
        (line, b"GET * HTTP/1.1", 400),
        (line, b"GET server.example.com:80 HTTP/1.1", 400),
        (line, b"GET /chat#top HTTP/1.1", 400),
        (line, b"GET /<chat> HTTP/1.1", 400),
        (line, b"GET /caf\xc3\xa9 HTTP/1.1", 400),
        (line, b"GET /\xff HTTP/1.1", 400),
        (line, b"GET /chat\x7f HTTP/1.1", 400),
        (line, b"GET ftp://a/chat HTTP/1.1", 400),
        (line, b"GET http://user@a/chat HTTP/1.1", 400),
        (line, b"GET /chat http/1.1", 400),
        (line, b"GET /chat HTTP/1.10", 400),
        (line, b"GET /chat HTTP/11", 400),
        (line, b"GET /chat HTTP/2.0", 505),
        (line, b"GET /chat HTTP/0.9", 505),
        (line, b"PRI * HTTP/2.0", 505),
        (line, b"\r\n\r\n\r\nGET /chat HTTP/1.1", 400),
        // Line ends and control characters (RFC 9112 §2.2).
        ("/1.1\r\n", b"/1.1\n", 400),
        ("/1.1\r\n", b"/1.1\r", 400),
        ("/1.1\r\n", b"/1.1\r\r\n", 400),
        ("example.com\r\n", b"example.com\n", 400),
        ("example.com\r\n", b"example.com\r", 400),
        ("example.com", b"example\0.com", 400),
        ("example.com", b"example\x1b.com", 400),
        ("13\r\n\r\n", b"13\r\n\n", 400),
        // Field lines (RFC 9112 §5).
        ("Upgrade:", b"Upgrade :", 400),
        ("Upgrade:", b"Upgrade\t:", 400),
        ("Upgrade: websocket", b"Upgrade", 400),
        ("Upgrade: websocket", b": websocket", 400),
        ("Upgrade:", b"Up grade:", 400),
        ("Upgrade:", b"Up(grade:", 400),
        ("Upgrade:", b"Upgr\xc3\xa4de:", 400),
        ("Upgrade: websocket", b"Upgrade:\r\n websocket", 400),
        ("Upgrade: websocket", b"Upgrade:\r\n\twebsocket", 400),
        ("Host:", b" X: y\r\nHost:", 400),
    ];
    for (from, to, code) in table {
        let bytes = replace(SAMPLE.as_bytes(), from.as_bytes(), to);
        let refusal = read(&bytes).expect_err(&to.escape_ascii().to_string());
        assert_eq!(refusal.status().code(), code, "{}", to.escape_ascii());
        assert_one_line(&refusal);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# A |Host| header field containing the server's authority.
#[test]
fn server_refuses_a_missing_duplicate_or_invalid_host() {
    let host = "Host: server.example.com\r\n";
    let table = [
        "",
        "Host: server.example.com\r\nHost: server.example.com\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: a, b\r\n",
        "Host: user@a\r\n",
        "Host: a/b\r\n",
        "Host: http://a\r\n",
        "Host: a:port\r\n",
        "Host: a:65536\r\n",
        "Host: [::1\r\n",
        "Host: caf\u{e9}\r\n",
    ];
    for line in [
        "GET /chat HTTP/1.1",
        "GET http://a.example/chat HTTP/1.1",
        "GET /chat HTTP/1.9",
    ] {
        for replacement in table {
            let text = sample_with(host, replacement).replacen("GET /chat HTTP/1.1", line, 1);
            let refusal = read(text.as_bytes()).expect_err(replacement);
            assert_eq!(
                refusal.status(),
                Status::BadRequest,
                "{line} {replacement:?}"
            );
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# An HTTP/1.1 or higher GET request, including a "Request-URI" [RFC2616] that
//# should be interpreted as a /resource name/ defined in Section 3
#[test]
fn server_refuses_a_handshake_by_another_method_or_version() {
    let table = [
        ("POST /chat HTTP/1.1", 405),
        ("HEAD /chat HTTP/1.1", 405),
        ("get /chat HTTP/1.1", 405),
        ("OPTIONS * HTTP/1.1", 405),
        ("CONNECT server.example.com:80 HTTP/1.1", 405),
        ("GET /chat HTTP/1.0", 505),
        ("POST /chat HTTP/1.0", 505),
    ];
    for (line, code) in table {
        let text = sample_with("GET /chat HTTP/1.1", line);
        assert_eq!(check(text.as_bytes()), Err(code), "{line}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# A |Sec-WebSocket-Key| header field with a base64-encoded (see Section 4 of
//# [RFC4648]) value that, when decoded, is 16 bytes in length.
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.1
//= type=test
//# The |Sec-WebSocket-Key| header field MUST NOT appear more than once in an
//# HTTP request.
#[test]
fn server_refuses_a_missing_duplicate_or_wrong_key() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let table = [
        String::new(),
        key.repeat(2),
        format!("{key}sec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n"),
        "Sec-WebSocket-Key:\r\n".to_owned(),
        "Sec-WebSocket-Key: ==\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==,\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub-5jZQ==\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhb XBsZSBub5jZQ==\r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub\u{e9}jZQ==\r\n".to_owned(),
    ];
    for replacement in table {
        let text = sample_with(key, &replacement);
        assert_eq!(check(text.as_bytes()), Err(400), "{replacement:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# A |Sec-WebSocket-Version| header field, with a value of 13.
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.5
//= type=test
//# the |Sec-WebSocket-Version| header field MUST NOT appear more than once in
//# an HTTP request.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.3
//= type=test
//# Limited to 0-255 range, with no leading zeros
#[test]
fn server_supports_version_13_and_no_other() {
    let version = "Sec-WebSocket-Version: 13\r\n";
    let table = [
        ("", 400),
        (
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n",
            400,
        ),
        (
            "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Version: 13\r\n",
            400,
        ),
        ("Sec-WebSocket-Version:\r\n", 400),
        ("Sec-WebSocket-Version: 013\r\n", 400),
        ("Sec-WebSocket-Version: 13, 8\r\n", 400),
        ("Sec-WebSocket-Version: 256\r\n", 400),
        ("Sec-WebSocket-Version: 1000\r\n", 400),
        ("Sec-WebSocket-Version: -1\r\n", 400),
        ("Sec-WebSocket-Version: 00\r\n", 400),
        ("Sec-WebSocket-Version: 1x\r\n", 400),
        ("Sec-WebSocket-Version: 0\r\n", 426),
        ("Sec-WebSocket-Version: 7\r\n", 426),
        ("Sec-WebSocket-Version: 14\r\n", 426),
        ("Sec-WebSocket-Version: 255\r\n", 426),
    ];
    for (replacement, code) in table {
        let text = sample_with(version, replacement);
        assert_eq!(check(text.as_bytes()), Err(code), "{replacement:?}");
    }
}

#[test]
fn server_refuses_a_request_without_an_upgrade_to_websocket() {
    let table = [
        ("Upgrade: websocket\r\n", "", 426),
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("Upgrade: websocket", "Upgrade: websocket/13", 426),
        ("Upgrade: websocket", "Upgrade: web socket", 426),
        ("Connection: Upgrade\r\n", "", 400),
        ("Connection: Upgrade", "Connection: keep-alive", 400),
        ("Connection: Upgrade", "Connection: upgrades", 400),
        ("Connection: Upgrade", "Connection: \"Upgrade\"", 400),
    ];
    for (from, to, code) in table {
        assert_eq!(check(sample_with(from, to).as_bytes()), Err(code), "{to:?}");
    }
}

/// The server could read the body as frames, or frames as the body.
#[test]
fn server_refuses_a_handshake_with_a_body_and_reports_it_for_other_requests() {
    let table = [
        ("Content-Length: 0\r\n", false),
        ("Content-Length: 1\r\n", true),
        ("Content-Length: x\r\n", true),
        ("Content-Length: -0\r\n", true),
        ("Content-Length: 0\r\ncontent-length: 7\r\n", true),
        ("Content-Length: 7\r\ncontent-length: 0\r\n", true),
        ("Transfer-Encoding: chunked\r\n", true),
        ("TRANSFER-ENCODING:\r\n", true),
    ];
    for (fields, announced) in table {
        let text = sample_with("Origin: ", &format!("{fields}Origin: "));
        let expected = if announced { Err(400) } else { Ok(()) };
        assert_eq!(check(text.as_bytes()), expected, "{fields:?}");

        let plain = format!("POST /form HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let (head, _) = read(plain.as_bytes()).expect("valid").expect("complete");
        assert_eq!(head.body_announced(), announced, "{fields:?}");
    }
}

/// RFC 9110 §5.6.1.2: a recipient accepts a list without elements.
#[test]
fn server_reads_an_empty_list_as_no_offer() {
    for empty in ["", ",", " , ,\t,"] {
        let fields = format!("Sec-WebSocket-Protocol:{empty}\r\nSec-WebSocket-Extensions:{empty}");
        let text = sample_with("Sec-WebSocket-Protocol: chat, superchat", &fields);
        let (head, _) = read(text.as_bytes()).expect("valid").expect("complete");
        let upgrade = Upgrade::check(&head).expect(&fields);
        assert_eq!(upgrade.subprotocols().count(), 0);
        assert_eq!(upgrade.extensions().count(), 0);
        assert_eq!(upgrade.choose_subprotocol(&["chat", ""]), None);
        assert_eq!(upgrade.choose_deflate(&DeflateConfig::default()), None);
        let mut response = Vec::new();
        assert_eq!(write_response(&upgrade, None, None, &mut response), Ok(()));
        assert!(
            !String::from_utf8(response)
                .expect("text")
                .contains("Sec-WebSocket-Protocol")
        );
        let chosen = write_response(&upgrade, Some(""), None, &mut Vec::new());
        assert_eq!(chosen, Err(NotOffered::Subprotocol));
    }
}

#[test]
fn server_refuses_lists_with_invalid_grammar() {
    let protocol = "Sec-WebSocket-Protocol: chat, superchat";
    let table = [
        (protocol, "Sec-WebSocket-Protocol: a b"),
        (protocol, "Sec-WebSocket-Protocol: a/b"),
        (protocol, "Sec-WebSocket-Protocol: a, a"),
        (protocol, "Sec-WebSocket-Protocol: caf\u{e9}"),
        ("Origin: ", "Origin: a\r\nOrigin: "),
        ("Origin: http://example.com", "Origin:"),
        ("Origin: http://example.com", "Origin: caf\u{e9}"),
        ("Origin: http://example.com", "Origin: a\tb"),
    ];
    for (from, to) in table {
        assert_eq!(check(sample_with(from, to).as_bytes()), Err(400), "{to:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//= type=test
//# the recipient of such malformed data MUST immediately _Fail the WebSocket
//# Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.3
//= type=test
//# When using the quoted-string syntax variant, the value ; after quoted-string
//# unescaping MUST conform to the ; 'token' ABNF.
#[test]
fn server_refuses_malformed_extensions() {
    for value in [
        "a;",
        "a b",
        "a; b=\"1 2\"",
        "a; b=\"",
        "a; b=\"\"",
        "a=1",
        "caf\u{e9}",
    ] {
        let text = sample_with(
            "Origin: ",
            &format!("Sec-WebSocket-Extensions: {value}\r\nOrigin: "),
        );
        assert_eq!(check(text.as_bytes()), Err(400), "{value:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//= type=test
//# a preference of the header fields it wishes to use, with the first options
//# listed being most preferable.
#[test]
fn server_sees_extensions_in_the_order_of_the_client() {
    let fields =
        "Sec-WebSocket-Extensions: b; x=\"1\\0\"; y, a\r\nSec-WebSocket-Extensions: b\r\nOrigin: ";
    let text = sample_with("Origin: ", fields);
    let (head, _) = read(text.as_bytes()).expect("valid").expect("complete");
    let upgrade = Upgrade::check(&head).expect("a valid handshake");
    let names: Vec<&str> = upgrade.extensions().map(|offer| offer.name()).collect();
    assert_eq!(names, ["b", "a", "b"]);
    let offer = upgrade.extensions().next().expect("there are three");
    let parameters: Vec<_> = offer.parameters().collect();
    assert_eq!(parameters, [("x", Some("10".into())), ("y", None)]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# Extensions not listed by the client MUST NOT be listed.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9
//= type=test
//# A server MUST NOT respond with any extension not requested by the client.
#[test]
fn response_has_no_extension() {
    for request in [SAMPLE, BROWSER] {
        let text = response(request.as_bytes(), None).to_ascii_lowercase();
        assert!(!text.contains("sec-websocket-extensions"), "{text}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# The value chosen MUST be derived from the client's handshake, specifically
//# by selecting one of the values from the |Sec-WebSocket-Protocol| field
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# If the client's handshake did not contain such a header field or if the
//# server does not agree to any of the client's requested subprotocols, the
//# only acceptable value is null.
#[test]
fn server_chooses_a_subprotocol_in_its_own_order() {
    let table: [(&[&str], Option<&str>); 6] = [
        (&["chat", "superchat"], Some("chat")),
        (&["superchat", "chat"], Some("superchat")),
        (&["mqtt", "superchat"], Some("superchat")),
        (&["Chat"], None),
        (&["", "chat, superchat"], None),
        (&[], None),
    ];
    let (head, _) = read(SAMPLE.as_bytes()).expect("valid").expect("complete");
    let upgrade = Upgrade::check(&head).expect("a valid handshake");
    assert_eq!(
        upgrade.subprotocols().collect::<Vec<_>>(),
        ["chat", "superchat"]
    );
    for (supported, chosen) in table {
        assert_eq!(
            upgrade.choose_subprotocol(supported),
            chosen,
            "{supported:?}"
        );
    }
    let (head, _) = read(BROWSER.as_bytes()).expect("valid").expect("complete");
    let upgrade = Upgrade::check(&head).expect("a valid handshake");
    assert_eq!(upgrade.choose_subprotocol(&["chat"]), None);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# if the server does not wish to agree to one of the suggested subprotocols,
//# it MUST NOT send back a |Sec-WebSocket-Protocol| header field in its
//# response
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# The empty string is not the same as the null value for these purposes and is
//# not a legal value for this field.
//= https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4
//= type=test
//# the |Sec-WebSocket-Protocol| header field MUST NOT appear more than once in
//# an HTTP response.
#[test]
fn response_has_the_subprotocol_once_or_not_at_all() {
    let (head, _) = read(SAMPLE.as_bytes()).expect("valid").expect("complete");
    let upgrade = Upgrade::check(&head).expect("a valid handshake");
    for (name, count) in [(None, 0), (Some("chat"), 1)] {
        let text = response(SAMPLE.as_bytes(), name);
        assert_eq!(text.matches("Sec-WebSocket-Protocol").count(), count);
    }
    for wrong in ["", "mqtt", "CHAT", "chat, superchat", "chat\r\nX: y"] {
        let mut output = Vec::new();
        let refused = write_response(&upgrade, Some(wrong), None, &mut output);
        assert_eq!(refused, Err(NotOffered::Subprotocol), "{wrong:?}");
        assert!(output.is_empty());
    }
}

#[test]
fn server_refuses_one_subprotocol_above_the_limit() {
    let names: Vec<String> = (0..=SUBPROTOCOLS_MAX)
        .map(|number| format!("p{number}"))
        .collect();
    for (count, expected) in [(SUBPROTOCOLS_MAX, Ok(())), (SUBPROTOCOLS_MAX + 1, Err(400))] {
        let text = sample_with("chat, superchat", &names[..count].join(","));
        assert_eq!(check(text.as_bytes()), expected, "{count}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# A connection attempt lacking this header field SHOULD NOT be interpreted as
//# coming from a browser client.
#[test]
fn server_distinguishes_a_missing_origin_from_every_origin() {
    for (line, origin) in [
        ("", None),
        ("Origin: null\r\n", Some("null")),
        (
            "origin: https://a.example https://b.example\r\n",
            Some("https://a.example https://b.example"),
        ),
    ] {
        let text = sample_with("Origin: http://example.com\r\n", line);
        let (head, _) = read(text.as_bytes()).expect("valid").expect("complete");
        let upgrade = Upgrade::check(&head).expect("a valid handshake");
        assert_eq!(upgrade.origin(), origin);
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# the server MUST abort the WebSocket handshake described in this section and
//# instead send an appropriate HTTP error code (such as 426 Upgrade Required)
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.4
//= type=test
//# it MUST respond with a |Sec-WebSocket-Version| header field
#[test]
fn refusal_426_names_the_protocol_and_its_version() {
    let text = sample_with("Version: 13", "Version: 8");
    let (head, _) = read(text.as_bytes()).expect("valid").expect("complete");
    let refusal = Upgrade::check(&head).expect_err("version 8");
    let expected = "HTTP/1.1 426 Upgrade Required\r\n\
        Connection: Upgrade, close\r\n\
        Upgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Content-Length: 41\r\n\
        \r\n\
        this is a WebSocket endpoint, version 13\n";
    assert_eq!(written(&refusal), expected);
    assert_eq!(written(&Refusal::upgrade_required()), expected);
}

#[test]
fn refusal_405_lists_the_allowed_methods() {
    let text = sample_with("GET ", "PUT ");
    let (head, _) = read(text.as_bytes()).expect("valid").expect("complete");
    let refusal = Upgrade::check(&head).expect_err("PUT");
    let expected = "HTTP/1.1 405 Method Not Allowed\r\n\
        Connection: close\r\n\
        Allow: GET, HEAD\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Content-Length: 31\r\n\
        \r\n\
        a WebSocket handshake is a GET\n";
    assert_eq!(written(&refusal), expected);
    let mut head_only = Vec::new();
    let options = WriteOptions {
        head_only: true,
        ..WriteOptions::default()
    };
    refusal.to_response().write_with(&options, &mut head_only);
    assert!(expected.as_bytes().starts_with(&head_only));
    assert!(head_only.ends_with(b"\r\n\r\n"));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# If the server does not wish to accept this connection, it MUST return an
//# appropriate HTTP error code (e.g., 403 Forbidden)
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
//= type=test
//# it SHOULD respond to the WebSocket handshake with a reply containing HTTP
//# 403 Forbidden status code.
#[test]
fn refusal_of_an_origin_is_403() {
    let text = written(&Refusal::forbidden_origin());
    assert!(
        text.starts_with("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n"),
        "{text}"
    );
    assert!(
        text.ends_with("\r\n\r\nthis origin is not allowed\n"),
        "{text}"
    );
}

#[test]
fn refusal_by_an_application_is_one_line_and_may_have_fields() {
    let refusal = Refusal::new(Status::Found, "gone\r\nelse\nwhere")
        .field("Location", "https://other.example/")
        .expect("a valid field");
    assert_eq!(refusal.reason(), "gone  else where");
    assert_eq!(refusal.to_string(), "302 Found: gone  else where");
    let text = written(&refusal);
    assert!(
        text.contains("\r\nLocation: https://other.example/\r\n"),
        "{text}"
    );
    assert!(text.ends_with("\r\n\r\ngone  else where\n"), "{text}");
    assert!(refusal.field("Location", "a\r\nSet-Cookie: b").is_err());
}

/// An attacker may have written every part of a request, so no part is in the response.
#[test]
fn refusal_repeats_nothing_that_the_client_sent() {
    let mark = "EvilMark";
    let table = [
        format!("{mark}/chat\r\n"),
        format!("GET /{mark}#{mark} HTTP/1.1\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {mark} {mark}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{mark} : {mark}\r\n"),
        sample_with("dGhlIHNhbXBsZSBub25jZQ==", mark),
        sample_with("chat, superchat", &format!("{mark},{mark}")),
        sample_with("Version: 13", &format!("Version: {mark}")),
        sample_with("Upgrade: websocket", &format!("Upgrade: {mark}")),
        sample_with(
            "Origin: ",
            &format!("Sec-WebSocket-Extensions: {mark} {mark}\r\nOrigin: "),
        ),
    ];
    for text in &table {
        let refusal = match read(text.as_bytes()) {
            Ok(head) => Upgrade::check(&head.expect("complete").0).expect_err(text),
            Err(refusal) => refusal,
        };
        assert!(!written(&refusal).contains(mark), "{text:?}");
    }
}

#[test]
fn plain_request_is_answered_by_a_plain_response() {
    let text = "HEAD /index.html HTTP/1.1\r\nHost: a\r\n\r\n";
    let (head, _) = read(text.as_bytes()).expect("valid").expect("complete");
    assert!(!head.wants_websocket());
    assert!(Upgrade::check(&head).is_err());
    let response = Response::new(Status::Ok)
        .content("text/html", b"<p>")
        .and_then(|response| response.field("Cache-Control", "no-cache"))
        .expect("valid fields");
    let mut output = Vec::new();
    let options = WriteOptions {
        head_only: head.method() == "HEAD",
        ..WriteOptions::default()
    };
    response.write_with(&options, &mut output);
    let expected = "HTTP/1.1 200 OK\r\n\
        Connection: close\r\n\
        Cache-Control: no-cache\r\n\
        Content-Type: text/html\r\n\
        Content-Length: 3\r\n\
        \r\n";
    assert_eq!(output, expected.as_bytes());
}

#[test]
fn plain_request_by_http_1_0_needs_no_host() {
    let (head, _) = read(b"GET / HTTP/1.0\r\n\r\n")
        .expect("valid")
        .expect("complete");
    assert_eq!((head.version(), head.host()), (HttpVersion::Http10, None));
}

// Limits: each at its value and one above it.

const SMALL: HeadLimits = HeadLimits {
    request_line_bytes_max: 40,
    field_bytes_max: 30,
    head_bytes_max: 120,
    fields_max: 4,
    leading_empty_lines_max: 1,
};

fn code_within(limits: HeadLimits, bytes: &[u8]) -> Result<(), u16> {
    match read_within(limits, bytes) {
        Ok(head) => head.map(|_| ()).ok_or(0),
        Err(refusal) => Err(refusal.status().code()),
    }
}

#[test]
fn request_line_is_bounded() {
    let request = |length: usize| {
        let padding = "x".repeat(length - "GET / HTTP/1.1".len());
        format!("GET /{padding} HTTP/1.1\r\nHost: a\r\n\r\n")
    };
    assert_eq!(code_within(SMALL, request(40).as_bytes()), Ok(()));
    assert_eq!(code_within(SMALL, request(41).as_bytes()), Err(414));
    let default = HeadLimits::default();
    let longest = default.request_line_bytes_max;
    assert_eq!(code_within(default, request(longest).as_bytes()), Ok(()));
    assert_eq!(
        code_within(default, request(longest + 1).as_bytes()),
        Err(414)
    );
}

#[test]
fn field_line_is_bounded() {
    let request = |length: usize| {
        let padding = "x".repeat(length - "A: ".len());
        format!("GET / HTTP/1.1\r\nHost: a\r\nA: {padding}\r\n\r\n")
    };
    assert_eq!(code_within(SMALL, request(30).as_bytes()), Ok(()));
    assert_eq!(code_within(SMALL, request(31).as_bytes()), Err(431));
    let default = HeadLimits::default();
    let longest = default.field_bytes_max;
    assert_eq!(code_within(default, request(longest).as_bytes()), Ok(()));
    assert_eq!(
        code_within(default, request(longest + 1).as_bytes()),
        Err(431)
    );
}

#[test]
fn head_is_bounded() {
    let request = |length: usize| {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: a\r\nA: 0123456789012345\r\n");
        while text.len() + 2 < length {
            let padding = (length - 2 - text.len()).min(30) - "A:\r\n".len();
            text += &format!("A:{}\r\n", "x".repeat(padding));
        }
        text + "\r\n"
    };
    let limits = HeadLimits {
        fields_max: 100,
        ..SMALL
    };
    for (length, expected) in [
        (120, Ok(())),
        (121, Err(431)),
        (122, Err(431)),
        (123, Err(431)),
    ] {
        let text = request(length);
        assert_eq!(text.len(), length);
        assert_eq!(code_within(limits, text.as_bytes()), expected, "{length}");
    }
    // A frame after the head is not a part of it.
    let text = request(120) + "\u{1}\u{2}\u{3}";
    assert_eq!(code_within(limits, text.as_bytes()), Ok(()));
}

#[test]
fn number_of_fields_is_bounded() {
    for (fields, limits) in [(4, SMALL), (100, HeadLimits::default())] {
        for (count, expected) in [(fields, Ok(())), (fields + 1, Err(431))] {
            let others = "A: b\r\n".repeat(count - 1);
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{others}\r\n");
            assert_eq!(code_within(limits, text.as_bytes()), expected, "{count}");
        }
    }
}

#[test]
fn number_of_leading_empty_lines_is_bounded() {
    for (lines, limits) in [(1, SMALL), (2, HeadLimits::default())] {
        for (count, expected) in [(lines, Ok(())), (lines + 1, Err(400))] {
            let text = "\r\n".repeat(count) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            assert_eq!(code_within(limits, text.as_bytes()), expected, "{count}");
        }
    }
}

/// The reader refuses a slow or endless sender as soon as the received bytes exceed a limit.
#[test]
fn reader_refuses_at_the_first_byte_that_is_too_much() {
    let table: [(&[u8], &[u8], u16); 9] = [
        (&[b'x'; 40], b"x", 414),
        (b"GET / HTTP/1.1", b"\n", 400),
        (b"GET / HTTP/1.1\r", b"H", 400),
        (b"", b"\x16", 400), // a TLS ClientHello
        (b"GET / HTTP/3.0\r", b"\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b" ", 400),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nA: 01234567890123456789012345\x80",
            b"6",
            431,
        ),
        (b"GET / HTTP/1.1\r\nA:\r\nA:\r\nA:\r\nA:\r\n", b"A", 431),
        (b"GET / HTTP/1.1\r\nHost: a", b"\0", 400),
    ];
    for (good, one_more, code) in table {
        let mut reader = RequestReader::new(SMALL);
        assert!(
            reader.read(good).expect("still possible").is_none(),
            "{}",
            good.escape_ascii()
        );
        let bytes = [good, one_more].concat();
        let refusal = reader.read(&bytes).expect_err("one byte too much");
        assert_eq!(refusal.status().code(), code, "{}", bytes.escape_ascii());
    }
}

/// If the reader searched the head from its start for each byte, it would read 34 GB.
#[test]
fn reading_byte_by_byte_costs_linear_time() {
    let limits = HeadLimits {
        field_bytes_max: 1 << 18,
        head_bytes_max: 1 << 18,
        ..HeadLimits::default()
    };
    let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nA: ".to_vec();
    bytes.resize((1 << 18) - 4, b'x');
    bytes.extend_from_slice(b"\r\n\r\n");
    let mut reader = RequestReader::new(limits);
    for end in 0..bytes.len() {
        assert!(reader.read(&bytes[..end]).expect("valid so far").is_none());
    }
    assert!(reader.read(&bytes).expect("valid").is_some());
}

proptest! {
    #[test]
    fn any_request_is_read_the_same_however_it_is_cut_and_accepted_only_as_section_4_2_1_requires(
        bytes in hostile_bytes(),
        lengths in prop::collection::vec(1..=60_u8, 0..5),
        small in 0..=1_u8,
    ) {
        // The property of the fuzz target also checks each response.
        request_head(&[&[small, lengths.len() as u8][..], &lengths, &bytes].concat());
        // These calls compare all ways to cut the input.
        for result in [read(&bytes), read_within(SMALL, &bytes)] {
            if let Ok(Some((_, head_bytes))) = result {
                prop_assert!(bytes[..head_bytes].ends_with(b"\r\n\r\n"));
            }
        }
    }

    #[test]
    fn response_is_the_same_for_any_damaged_handshake_that_is_accepted(
        at in 0..SAMPLE.len(),
        byte in any::<u8>(),
    ) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        let Ok(Some((head, _))) = read(&bytes) else { return Ok(()) };
        if let Ok(upgrade) = Upgrade::check(&head) {
            let mut output = Vec::new();
            write_response(&upgrade, None, None, &mut output).expect("no subprotocol");
            let text = String::from_utf8(output).expect("ASCII");
            prop_assert!(text.starts_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"));
            prop_assert_eq!(text.matches("\r\n").count(), 5);
        }
    }
}

/// Pieces of heads, valid and invalid, and random bytes between them.
fn pieces(count_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "GET ", "/chat", " HTTP/1.1", "HTTP/1.0\r\n", "\r\n", "\r\n\r\n", "\r", "\n", " ",
            "\t", ":", ",", ";", "\"", "\\", "\0", "Host: a\r\n", "Host:", "Upgrade: websocket\r\n",
            "Connection: Upgrade\r\n", "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Protocol: a, b\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Extensions: a; b=\"c\\d\"\r\n",
            "Sec-WebSocket-Extensions: a;", "Content-Length: 0\r\n", "Origin: null\r\n", "http://[::1]:80/",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..=count_max).prop_map(|pieces| pieces.concat())
}

/// A head that the server accepts, with pieces inserted before a line or instead of it; or
/// pieces alone.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let lines = SAMPLE.split_inclusive("\r\n").count();
    let changed = (0..lines, any::<bool>(), pieces(3)).prop_map(|(line, is_removed, pieces)| {
        let lines: Vec<&str> = SAMPLE.split_inclusive("\r\n").collect();
        let (before, after) = lines.split_at(line);
        let after = &after[usize::from(is_removed)..];
        [
            before.concat().as_bytes(),
            &pieces,
            after.concat().as_bytes(),
        ]
        .concat()
    });
    prop_oneof![pieces(14), changed]
}

#[test]
fn hostile_requests_have_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let (mut incomplete, mut malformed, mut refused, mut accepted) = (0, 0, 0, 0);
    for _ in 0..1000 {
        let bytes = hostile_bytes()
            .new_tree(&mut runner)
            .expect("bytes")
            .current();
        match RequestReader::new(HeadLimits::default()).read(&bytes) {
            Ok(None) => incomplete += 1,
            Err(_) => malformed += 1,
            Ok(Some((head, _))) if Upgrade::check(&head).is_err() => refused += 1,
            Ok(Some(_)) => accepted += 1,
        }
    }
    let outcomes = [incomplete, malformed, refused, accepted];
    assert!(outcomes.iter().all(|&count| count >= 20), "{outcomes:?}");
}

// Reading, with the input cut in all ways.

type Head<'a> = yamabiko::websocket::handshake::RequestHead<'a>;

fn read(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, Refusal> {
    read_within(HeadLimits::default(), bytes)
}

/// Reads the bytes whole, one at a time, and in two pieces cut at each place. The results must be
/// equal. For a part of the bytes, the result must be `None` or the same refusal.
fn read_within(limits: HeadLimits, bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, Refusal> {
    let whole = RequestReader::new(limits).read(bytes);
    let mut bytewise = RequestReader::new(limits);
    let first = (0..=bytes.len())
        .map(|end| bytewise.read(&bytes[..end]))
        .find(|result| !matches!(result, Ok(None)))
        .unwrap_or(Ok(None));
    assert_eq!(shown(&first), shown(&whole), "byte by byte");
    // Long inputs are cut near both ends and at some places in between.
    let step = (bytes.len() / 200).max(1);
    for cut in (0..=bytes.len()).step_by(step) {
        let mut reader = RequestReader::new(limits);
        let result = match reader.read(&bytes[..cut]) {
            Ok(None) => reader.read(bytes),
            early => early,
        };
        assert_eq!(shown(&result), shown(&whole), "cut at {cut}");
    }
    whole
}

fn shown(result: &Result<Option<(Head<'_>, usize)>, Refusal>) -> String {
    format!("{result:?}")
}

/// Reads and checks a request. Returns the status code of a refusal.
fn check(bytes: &[u8]) -> Result<(), u16> {
    let refused = |refusal: Refusal| {
        assert_one_line(&refusal);
        refusal.status().code()
    };
    let (head, _) = read(bytes).map_err(refused)?.expect("complete");
    Upgrade::check(&head).map(|_| ()).map_err(refused)
}

fn response(bytes: &[u8], subprotocol: Option<&str>) -> String {
    let (head, _) = read(bytes).expect("valid").expect("complete");
    let upgrade = Upgrade::check(&head).expect("a valid handshake");
    let mut output = Vec::new();
    write_response(&upgrade, subprotocol, None, &mut output).expect("it is offered");
    String::from_utf8(output).expect("ASCII")
}

fn written(refusal: &Refusal) -> String {
    let mut output = Vec::new();
    refusal.write(&mut output);
    String::from_utf8(output).expect("ASCII")
}

/// The body is the reason and a line end, and Content-Length is its length.
fn assert_one_line(refusal: &Refusal) {
    let text = written(refusal);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.contains(&format!("\r\nContent-Length: {}", body.len())),
        "{text}"
    );
    assert_eq!(body, format!("{}\n", refusal.reason()));
    assert_eq!(body.lines().count(), 1);
}

fn sample_with(from: &str, to: &str) -> String {
    assert!(SAMPLE.contains(from), "{from:?}");
    SAMPLE.replacen(from, to, 1)
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("it is there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
