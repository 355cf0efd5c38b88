//! HTTP connections that stay: several requests on one connection, pipelining, bodies, `Expect`,
//! conditional requests, and the deadlines of each part (RFC 9110, RFC 9112 §9.3).

use std::io::Write;
use std::num::NonZeroU32;
use std::time::Duration;
use yamabiko::server::{Config, HttpLimits};
use yamabiko_testing::socket::{
    self, Client, Running, config, frame, in_time, upgrade, with_1_and_3_workers,
};

const SHORT: Duration = Duration::from_millis(40);

fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

fn post(body: &str) -> String {
    request(
        "POST",
        "/echo",
        &format!("Content-Length: {}\r\n", body.len()),
    ) + body
}

#[test]
fn connection_stays_for_further_requests_and_for_a_websocket() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::connect(server.address);
        for (target, status) in [("/page", 200), ("/elsewhere", 404), ("/page", 200)] {
            client.send(request("GET", target, ""));
            let response = client.read_one_response(false);
            assert_eq!(response.status, status);
            assert_eq!(response.field("Connection"), None);
            assert!(response.field("Date").is_some());
        }
        let mut client = client.upgraded("/");
        client.text("a WebSocket");
        assert_eq!(client.read_text(), "a WebSocket");
    });
}

#[test]
fn pipelined_requests_are_answered_in_order_and_an_upgrade_ends_http() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::connect(server.address);
        let mut bytes = String::new();
        for number in 0..20 {
            bytes += &post(&format!("body {number}"));
            bytes += &request("HEAD", "/page", "");
        }
        let mut bytes = (bytes + &upgrade("/", "")).into_bytes();
        bytes.extend(frame(
            yamabiko::websocket::frame::Opcode::Text,
            b"first frame",
        ));
        client.send(bytes);
        for number in 0..20 {
            let response = client.read_one_response(false);
            assert_eq!(response.body, format!("body {number}").as_bytes());
            let response = client.read_one_response(true);
            assert_eq!(response.field("Content-Length"), Some("7"));
        }
        assert!(client.read_head().starts_with("HTTP/1.1 101 "));
        assert_eq!(client.read_text(), "first frame");
    });
}

#[test]
fn client_that_pipelines_and_does_not_read_is_read_no_further_and_loses_nothing() {
    let server = Running::start(config(1));
    let mut client = Client::connect_narrow(server.address);
    // A response of 16 MiB waits; the next request is read when the client has taken it.
    let requests = request("GET", "/large", "").repeat(3) + &request("GET", "/page", "");
    client.send(requests);
    let mut other = Client::open(server.address);
    other.text("others are served");
    assert_eq!(other.read_text(), "others are served");
    for _ in 0..3 {
        assert_eq!(client.read_one_response(false).body.len(), 16 << 20);
    }
    assert_eq!(client.read_one_response(false).body, b"a page\n");
}

#[test]
fn version_and_connection_field_decide_whether_the_connection_stays() {
    let server = Running::start(config(1));
    for (version, field, stays) in [
        ("1.1", "", None),
        ("1.1", "Connection: keep-alive\r\n", None),
        ("1.1", "Connection: x, Close\r\n", Some("close")),
        ("1.0", "", Some("close")),
        ("1.0", "Connection: keep-alive\r\n", Some("keep-alive")),
    ] {
        let mut client = Client::connect(server.address);
        let page = request("GET", "/page", field).replace("HTTP/1.1", &format!("HTTP/{version}"));
        client.send(&page);
        let response = client.read_one_response(false);
        assert_eq!(response.field("Connection"), stays, "{page}");
        match stays {
            Some("close") => client.expect_end(),
            _ => {
                client.send(&page);
                assert_eq!(client.read_one_response(false).status, 200);
            }
        }
    }
}

#[test]
fn connection_ends_after_the_limit_of_requests() {
    let server = Running::start(Config {
        http: HttpLimits {
            requests_max: 3,
            ..config(1).http
        },
        ..config(1)
    });
    let mut client = Client::connect(server.address);
    client.send(request("GET", "/page", "").repeat(4));
    for connection in [None, None, Some("close")] {
        let response = client.read_one_response(false);
        assert_eq!(response.field("Connection"), connection);
    }
    client.expect_end();
}

#[test]
fn connection_beyond_its_rate_of_requests_gets_429_and_ends() {
    let server = Running::start(Config {
        http: HttpLimits {
            requests_per_second: NonZeroU32::new(3),
            ..config(1).http
        },
        ..config(1)
    });
    let mut client = Client::connect(server.address);
    // A busy machine may take so long for them that a few more are allowed.
    client.send(request("GET", "/page", "").repeat(50));
    let mut responses = std::iter::repeat_with(|| client.read_one_response(false));
    let refused = responses
        .by_ref()
        .skip(3)
        .find(|response| response.status != 200);
    let refused = refused.expect("one is refused");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.field("Retry-After"), Some("1"));
    assert_eq!(refused.field("Connection"), Some("close"));
    client.expect_end();
    // Another connection has a rate of its own.
    let mut other = Client::connect(server.address);
    other.send(request("GET", "/page", ""));
    assert_eq!(other.read_one_response(false).status, 200);
}

#[test]
fn handler_gets_the_body_however_it_is_framed_and_cut() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let chunked = request("POST", "/echo", "Transfer-Encoding: chunked\r\n")
            + "6\r\nyamabi\r\n2;note\r\nko\r\n0\r\nX-Trailer: x\r\n\r\n";
        let mut client = Client::connect(server.address);
        for bytes in [post("yamabiko"), chunked] {
            client.send(&bytes);
            assert_eq!(client.read_one_response(false).body, b"yamabiko");
            for byte in bytes.bytes() {
                client.send([byte]);
            }
            assert_eq!(client.read_one_response(false).body, b"yamabiko");
        }
    });
}

#[test]
fn handler_gets_the_address_of_the_client() {
    let server = Running::start(config(1));
    let mut client = Client::connect(server.address);
    let address = client.stream.local_addr().expect("it is connected");
    client.send(request("GET", "/peer", ""));
    let response = client.read_one_response(false);
    assert_eq!(response.body, address.to_string().as_bytes());
}

#[test]
fn client_that_expects_100_continue_gets_it_before_its_body() {
    let server = Running::start(config(1));
    let mut client = Client::connect(server.address);
    for _ in 0..2 {
        let fields = "Expect: 100-continue\r\nContent-Length: 5\r\n";
        client.send(request("POST", "/echo", fields));
        assert_eq!(client.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("hello");
        assert_eq!(client.read_one_response(false).body, b"hello");
    }
    // The refusal comes instead of it.
    let fields = "Expect: 100-continue\r\nContent-Length: 99999999\r\n";
    client.send(request("POST", "/echo", fields));
    let response = client.read_response();
    assert_eq!(response.status, 413);
    response.expect_whole();
}

#[test]
fn request_is_refused_at_its_head_before_its_body() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let bodies = [
            "Content-Length: 1048576\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\nContent-Length: 5\r\n",
        ];
        // Nothing of a body comes, and the response does.
        for fields in bodies {
            let mut client = Client::connect(server.address);
            client.send(request("POST", "/private", fields));
            let response = client.read_response();
            assert_eq!(response.status, 401);
            assert_eq!(response.field("Connection"), Some("close"));
            response.expect_whole();
        }
        // A request without a body is for the handler.
        let mut client = Client::connect(server.address);
        client.send(request("POST", "/private", "Content-Length: 0\r\n"));
        assert_eq!(client.read_one_response(false).status, 405);
        // One that is let in goes on.
        client.send(post("hello"));
        assert_eq!(client.read_one_response(false).body, b"hello");
    });
}

#[test]
fn body_behind_a_refused_head_is_discarded_and_no_request() {
    let server = Running::start(config(1));
    let mut client = Client::connect(server.address);
    let body = request("GET", "/page", "");
    let fields = format!("Content-Length: {}\r\n", body.len());
    client.send(request("POST", "/private", &fields) + &body + &body);
    assert_eq!(client.read_response().status, 401);
    // Requests in front of it are answered before.
    let mut client = Client::connect(server.address);
    client.send(request("GET", "/page", "") + &request("POST", "/private", &fields) + &body);
    assert_eq!(client.read_one_response(false).status, 200);
    assert_eq!(client.read_response().status, 401);
}

#[test]
fn connect_with_a_body_is_refused_at_its_head() {
    let server = Running::start(config(1));
    let mut client = Client::connect(server.address);
    client.send(request("CONNECT", "localhost:1", "Content-Length: 5\r\n"));
    assert_eq!(client.read_response().status, 501);
}

#[test]
fn http_1_0_client_gets_no_100_continue() {
    let server = Running::start(config(1));
    let mut client = Client::connect(server.address);
    let fields = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    client.send(request("POST", "/echo", fields).replace("HTTP/1.1", "HTTP/1.0"));
    client.send("hello");
    assert_eq!(client.read_response().body, b"hello");
}

#[test]
fn file_is_sent_compressed_and_not_again_to_a_client_that_has_it() {
    let server = Running::start(config(1));
    let mut client = Client::connect(server.address);
    let mut get = |fields: &str| {
        client.send(request("GET", "/file", fields));
        client.read_one_response(false)
    };
    let plain = get("");
    let compressed = get("Accept-Encoding: gzip, br\r\n");
    assert_eq!(plain.field("Content-Encoding"), None);
    assert_eq!(compressed.field("Content-Encoding"), Some("gzip"));
    assert!(compressed.body.len() < plain.body.len());
    assert!(compressed.body.starts_with(b"\x1f\x8b"));
    let tag = plain.field("ETag").expect("an entity tag").to_owned();
    assert_ne!(compressed.field("ETag"), Some(&*tag));
    let unchanged = get(&format!("If-None-Match: {tag}\r\n"));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.field("Content-Length"), None);
    assert_eq!(unchanged.field("ETag"), Some(&*tag));
    assert_eq!(get("If-Match: \"x\"\r\n").status, 412);
    for response in [plain, compressed, unchanged] {
        assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
    }
}

fn with_short_http(limits: HttpLimits) -> Config {
    Config {
        http: limits,
        ..config(1)
    }
}

#[test]
fn connection_without_a_next_request_is_closed_without_a_response() {
    let server = Running::start(with_short_http(HttpLimits {
        idle_timeout: SHORT,
        ..config(1).http
    }));
    let mut client = Client::connect(server.address);
    client.send(request("GET", "/page", ""));
    assert_eq!(client.read_one_response(false).status, 200);
    client.expect_end();
}

#[test]
fn body_that_comes_too_slowly_is_answered_with_408() {
    let server = Running::start(with_short_http(HttpLimits {
        body_timeout: SHORT,
        ..config(1).http
    }));
    let mut client = Client::connect(server.address);
    client.send(request("POST", "/echo", "Content-Length: 8000\r\n"));
    let pause = Some(Duration::from_millis(4));
    client.stream.set_read_timeout(pause).expect("a span");
    // Half a minute, if each byte extended the timeout.
    let answered = (0..8000).any(|_| {
        let sent = client.stream.write_all(b"x");
        sent.is_err() || client.stream.peek(&mut [0]).is_ok()
    });
    assert!(answered, "the server has read all bytes");
    let whole = Some(socket::TIMEOUT);
    client.stream.set_read_timeout(whole).expect("a span");
    let response = client.read_one_response(false);
    assert_eq!(response.status, 408);
    assert_eq!(response.field("Connection"), Some("close"));
}

#[test]
fn second_head_has_the_time_of_the_first_from_its_first_byte() {
    let server = Running::start(Config {
        handshake_timeout: SHORT,
        ..config(1)
    });
    // The first head may come too late on a busy machine; then the test tries again.
    let response = in_time("a response to an incomplete second head", || {
        let mut client = Client::connect(server.address);
        client.send(request("GET", "/page", ""));
        let first = client.try_read_head()?;
        if !first.starts_with("HTTP/1.1 200 ") {
            return None;
        }
        client.send("GET /page");
        let all = client.read_to_end();
        String::from_utf8(all).ok()
    });
    let (page, timeout) = response.split_at(socket::PAGE.len());
    assert_eq!(page, socket::PAGE);
    assert!(timeout.starts_with("HTTP/1.1 408 "), "{timeout}");
}

#[test]
fn stopping_server_closes_idle_connections_and_finishes_responses() {
    let mut server = Running::start(config(1));
    let mut idle = Client::connect(server.address);
    idle.send(request("GET", "/page", ""));
    assert_eq!(idle.read_one_response(false).status, 200);
    let mut busy = Client::connect_narrow(server.address);
    busy.send(request("GET", "/large", ""));
    busy.peek_head();
    server.shutdown();
    idle.expect_end();
    assert_eq!(busy.read_one_response(false).body.len(), 16 << 20);
    busy.expect_end();
    drop(busy);
    let ran = server.join().expect("no worker panics");
    ran.expect("the server stops");
}

#[test]
fn bodies_count_in_the_memory_budget_and_the_longest_gets_503() {
    let budget = 4 << 20;
    let server = Running::start(Config {
        memory_bytes_max: Some(budget),
        http: HttpLimits {
            body_bytes_max: 2 * budget,
            ..config(1).http
        },
        ..config(1)
    });
    let mut small = Client::connect(server.address);
    small.send(request("POST", "/echo", "Content-Length: 5\r\n") + "hell");
    let mut large = Client::connect(server.address);
    let fields = format!("Content-Length: {}\r\n", 2 * budget);
    large.send(request("POST", "/echo", &fields));
    large.send(vec![b'x'; 2 * budget - 1]);
    let response = large.read_response();
    assert_eq!(response.status, 503);
    assert!(response.field("Retry-After").is_some());
    small.send("o");
    assert_eq!(small.read_one_response(false).body, b"hello");
}
