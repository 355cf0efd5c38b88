//! Requests in which two readers could find two different ends, or two different meanings: each is
//! refused, and the connection ends (RFC 9112 §2.2, §5, §6.3, §11.2). A second request behind each
//! of them shows that its bytes are not taken for a request.

use yamabiko::server::{Config, HttpLimits};
use yamabiko_testing::socket::{self, Client, Running};

/// A request that an attacker hides in the body of another one.
const SMUGGLED: &str = "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The status of the response, after which the connection must end.
fn status_of(server: &Running, bytes: &[u8]) -> u16 {
    let mut client = Client::connect(server.address);
    client.send(bytes);
    let response = client.read_response();
    response.expect_whole();
    response.status
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// Each with the reason and the status.
fn ambiguous_requests() -> Vec<(&'static str, u16, String)> {
    let with_length = |value: &str| post(&format!("Content-Length: {value}\r\n"), "");
    let with_coding = |value: &str| post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
    vec![
        (
            "length and coding",
            400,
            post(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "coding and length",
            400,
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "two lengths",
            400,
            post("Content-Length: 5\r\nContent-Length: 6\r\n", ""),
        ),
        ("two lengths in a list", 400, with_length("5, 6")),
        ("no length", 400, with_length("")),
        ("negative length", 400, with_length("-1")),
        ("signed length", 400, with_length("+5")),
        ("hexadecimal length", 400, with_length("0x5")),
        ("length with a space inside", 400, with_length("5 5")),
        ("length with a list's rest", 400, with_length("5,")),
        (
            "length beyond 64 bits",
            413,
            with_length("18446744073709551621"),
        ),
        (
            "length beyond the limit",
            413,
            with_length("18446744073709551615"),
        ),
        (
            "coding that is not the last",
            400,
            with_coding("chunked, identity"),
        ),
        ("coding twice", 400, with_coding("chunked, chunked")),
        (
            "two coding fields",
            400,
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                "0\r\n\r\n",
            ),
        ),
        ("no coding", 400, with_coding("")),
        ("identity", 400, with_coding("identity")),
        ("coding in quotation marks", 400, with_coding("\"chunked\"")),
        ("coding with a parameter", 400, with_coding("chunked;a=b")),
        ("coding with a prefix", 400, with_coding("xchunked")),
        (
            "coding with a vertical tab",
            400,
            with_coding("\u{b}chunked"),
        ),
        (
            "unknown coding before chunked",
            501,
            with_coding("gzip, chunked"),
        ),
        (
            "coding in HTTP/1.0",
            400,
            with_coding("chunked").replace("HTTP/1.1", "HTTP/1.0"),
        ),
        (
            "space before the colon",
            400,
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "tab before the colon",
            400,
            post("Content-Length\t: 5\r\n", "hello"),
        ),
        (
            "folded line",
            400,
            post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "folded first line",
            400,
            "POST /echo HTTP/1.1\r\n Host: localhost\r\n\r\n".to_owned(),
        ),
        (
            "bare line feed",
            400,
            post("X: a\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "bare carriage return",
            400,
            post("X: a\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "lines that end in a line feed",
            400,
            "GET /page HTTP/1.1\nHost: localhost\n\n".to_owned(),
        ),
        ("NUL in a value", 400, post("X: a\0b\r\n", "")),
        ("NUL in a name", 400, post("X\0: a\r\n", "")),
        ("no name", 400, post(": a\r\n", "")),
        ("no colon", 400, post("Content-Length 5\r\n", "hello")),
        ("two Hosts", 400, post("Host: localhost\r\n", "")),
        ("no Host", 400, "GET /page HTTP/1.1\r\n\r\n".to_owned()),
        (
            "user in Host",
            400,
            "GET /page HTTP/1.1\r\nHost: a@localhost\r\n\r\n".to_owned(),
        ),
        (
            "absolute target and no Host",
            400,
            "GET http://localhost/page HTTP/1.1\r\n\r\n".to_owned(),
        ),
        (
            "two spaces in the request line",
            400,
            "GET  /page HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        ),
        (
            "tab in the request line",
            400,
            "GET\t/page HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        ),
        (
            "version in lower case",
            400,
            "GET /page http/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        ),
        ("HTTP/0.9", 400, "GET /page\r\n\r\n".to_owned()),
        ("HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (
            "unknown expectation",
            417,
            post("Expect: 200-ok\r\nContent-Length: 0\r\n", ""),
        ),
        (
            "CONNECT",
            501,
            "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        ),
        ("chunk without a size", 400, chunked("\r\nhello\r\n")),
        ("chunk with a sign", 400, chunked("+5\r\nhello\r\n")),
        ("chunk with a prefix", 400, chunked("0x5\r\nhello\r\n")),
        (
            "chunk with a space before the size",
            400,
            chunked(" 5\r\nhello\r\n"),
        ),
        (
            "chunk that ends in a line feed",
            400,
            chunked("5\nhello\r\n"),
        ),
        (
            "chunk with a bare line feed in its extension",
            400,
            chunked("5;a\nb\r\nhello\r\n"),
        ),
        (
            "chunk longer than its size",
            400,
            chunked("5\r\nhello!\r\n0\r\n\r\n"),
        ),
        (
            "chunk shorter than its size",
            400,
            chunked("6\r\nhello\r\n0\r\n\r\n"),
        ),
        (
            "size beyond 64 bits",
            413,
            chunked("10000000000000005\r\nhello\r\n"),
        ),
        (
            "extension that is too long",
            400,
            chunked(&format!("5;{}\r\n", "x".repeat(300))),
        ),
        (
            "trailer without a colon",
            400,
            chunked("0\r\nGET /page HTTP/1.1\r\n\r\n"),
        ),
        ("folded trailer", 400, chunked("0\r\nX: a\r\n b\r\n\r\n")),
        ("trailer with NUL", 400, chunked("0\r\nX: a\0\r\n\r\n")),
    ]
}

#[test]
fn ambiguous_request_is_refused_and_nothing_behind_it_is_read_as_a_request() {
    let server = Running::start(socket::config(1));
    for (reason, status, request) in ambiguous_requests() {
        let bytes = request + SMUGGLED;
        let answer = status_of(&server, bytes.as_bytes());
        assert_eq!(answer, status, "{reason}: {bytes:?}");
    }
}

#[test]
fn ambiguous_request_is_refused_in_the_same_way_in_single_bytes() {
    let server = Running::start(socket::config(1));
    for (reason, status, request) in ambiguous_requests() {
        let mut client = Client::connect(server.address);
        for byte in request.bytes() {
            // The server may have closed already.
            if std::io::Write::write_all(&mut client.stream, &[byte]).is_err() {
                break;
            }
        }
        let response = client.read_one_response(false);
        assert_eq!(response.status, status, "{reason}: {request:?}");
    }
}

#[test]
fn unambiguous_relatives_are_answered() {
    let server = Running::start(socket::config(1));
    for (request, body) in [
        (post("Content-Length: 5\r\n", "hello"), "hello"),
        (post("content-length:5\r\n", "hello"), "hello"),
        (post("Content-Length: 005\r\n", "hello"), "hello"),
        (
            post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
            "hello",
        ),
        (chunked("5\r\nhello\r\n0\r\n\r\n"), "hello"),
        (
            chunked("05;a=\"b\"\r\nhello\r\n000\r\nX: a\r\n\r\n"),
            "hello",
        ),
        (
            post(
                "Transfer-Encoding: ,Chunked\r\n",
                "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            ),
            "hello",
        ),
        (post("", ""), ""),
    ] {
        let mut client = Client::connect(server.address);
        client.send(&request);
        // The body ends where the next request begins.
        client.send(SMUGGLED);
        let response = client.read_one_response(false);
        assert_eq!(response.status, 200, "{request:?}");
        assert_eq!(response.body, body.as_bytes(), "{request:?}");
        assert_eq!(client.read_one_response(false).body, b"a page\n");
    }
}

#[test]
fn host_of_an_absolute_target_replaces_the_host_field() {
    let server = Running::start(socket::config(1));
    let mut client = Client::connect(server.address);
    // RFC 9112 §3.2.2: the origin check compares with the target's host, `a.example`.
    let request = socket::upgrade("/", "Origin: http://localhost\r\n");
    client.send(request.replace("GET /", "GET http://a.example/"));
    assert_eq!(client.read_response().status, 403);
}

#[test]
fn body_is_accepted_at_the_limit_and_refused_one_past_it() {
    let server = Running::start(Config {
        http: HttpLimits {
            body_bytes_max: 5,
            chunk_framing_bytes_max: 24,
            ..socket::config(1).http
        },
        ..socket::config(1)
    });
    for (request, status) in [
        (post("Content-Length: 5\r\n", "hello"), 200),
        (post("Content-Length: 6\r\n", ""), 413),
        (chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), 200),
        (chunked("2\r\nhe\r\n4\r\n"), 413),
        // The framing: 24 bytes, and one more.
        (chunked("1;abcdefghi\r\na\r\n0\r\nX:\r\n\r\n"), 200),
        (chunked("1;abcdefghij\r\na\r\n0\r\nX:\r\n\r\n"), 413),
    ] {
        let mut client = Client::connect(server.address);
        client.send(&request);
        let response = client.read_one_response(false);
        assert_eq!(response.status, status, "{request:?}");
    }
}
