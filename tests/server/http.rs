//! Plain HTTP on the WebSocket port: pages, refusals, and complete responses to clients that keep
//! sending or have sent FIN (RFC 6455 §4.2.2, §7.1.1, §10.7).

use std::net::SocketAddr;
use yamabiko::server::{Config, HeadLimits};
use yamabiko_testing::socket::{
    self, Client, GET, Response, Running, upgrade, with_1_and_3_workers,
};

/// Sends a request and reads the response to the end of the stream.
fn ask(address: SocketAddr, request: &str) -> Response {
    let mut client = Client::connect(address);
    client.send(request);
    let response = client.read_response();
    response.expect_whole();
    response
}

/// The only request of its connection.
fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n")
}

#[test]
fn server_serves_pages_beside_websockets() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let response = ask(server.address, &request("GET", "/page", ""));
        assert_eq!(response.status, 200);
        assert_eq!(response.body, b"a page\n");
        Client::open(server.address).text("and a WebSocket");
    });
}

#[test]
fn server_answers_head_with_the_head_of_the_page() {
    let server = Running::start(socket::config(1));
    let mut client = Client::connect(server.address);
    client.send(request("HEAD", "/page", ""));
    let response = client.read_response();
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(response.field("Content-Length"), Some("7"));
}

#[test]
fn server_answers_404_if_there_is_no_page() {
    let server = Running::start(socket::config(1));
    assert_eq!(ask(server.address, GET).status, 404);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If the requested service is not available, the server MUST send an
//# appropriate HTTP error code (such as 404 Not Found) and abort the
//# WebSocket handshake.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If the server provides multiple services, then the value should be
//# derived from the resource name given in the client's handshake
#[test]
fn server_answers_404_if_the_application_has_no_such_service() {
    let server = Running::start(socket::config(1));
    let response = ask(server.address, &upgrade("/elsewhere", ""));
    assert_eq!(response.status, 404);
    assert_eq!(response.body, b"no such service\n");
    Client::connect(server.address).upgraded("/");
}

#[test]
fn server_names_the_allowed_methods_in_a_405() {
    let server = Running::start(socket::config(1));
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let response = ask(server.address, &request(method, "/page", ""));
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.field("Allow"), Some("GET, HEAD"), "{method}");
    }
    // An Upgrade field does not change the methods that the resource allows.
    let response = ask(server.address, &upgrade("/", "").replace("GET", "POST"));
    assert_eq!(response.status, 405);
    assert_eq!(response.field("Allow"), Some("GET, HEAD"));
}

#[test]
fn server_answers_head_without_a_body_also_when_it_refuses() {
    let server = Running::start(socket::config(1));
    for (request, status) in [
        (request("HEAD", "/elsewhere", ""), 404),
        (request("HEAD", "/page", "Content-Length: x\r\n"), 400),
        (request("HEAD", "/page", "no colon\r\n"), 400),
        // An empty line before the request is skipped (RFC 9112 §2.2).
        (
            format!("\r\n{}", request("HEAD", "/page", "no colon\r\n")),
            400,
        ),
        // An Upgrade field may be ignored (RFC 9110 §7.8).
        (
            upgrade("/page", "Connection: close\r\n").replace("GET", "HEAD"),
            200,
        ),
    ] {
        let mut client = Client::connect(server.address);
        client.send(&request);
        let response = client.read_response();
        assert_eq!(
            (response.status, response.body.len()),
            (status, 0),
            "{request}"
        );
    }
}

#[test]
fn server_ignores_the_upgrade_field_of_an_http_1_0_request() {
    let server = Running::start(socket::config(1));
    for (path, status) in [("/page", 200), ("/elsewhere", 404)] {
        let request = upgrade(path, "").replace("HTTP/1.1", "HTTP/1.0");
        assert_eq!(
            ask(server.address, &request).status,
            status,
            "RFC 9110 §7.8"
        );
    }
}

/// Seconds since 1970, by a parser that is independent of the writer.
fn unix_seconds(imf_fixdate: &str) -> u64 {
    let (weekday, rest) = imf_fixdate.split_once(", ").expect("a day of the week");
    let parts: Vec<&str> = rest.split([' ', ':']).collect();
    let [day, month, year, hour, minute, second, "GMT"] = parts[..] else {
        panic!("no IMF-fixdate: {imf_fixdate}");
    };
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let number = |digits: &str, width| {
        assert_eq!(digits.len(), width, "{imf_fixdate}");
        digits.parse::<u64>().expect("digits")
    };
    let month = MONTHS.iter().position(|name| *name == month);
    let month = month.expect("a month") as u64 + 1;
    // Howard Hinnant's days_from_civil, with years that begin in March.
    let year = number(year, 4) - u64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + number(day, 2) - 1;
    let (era, year) = (year / 400, year % 400);
    let days = era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468;
    assert_eq!(weekday, WEEKDAYS[(days % 7) as usize], "{imf_fixdate}");
    ((days * 24 + number(hour, 2)) * 60 + number(minute, 2)) * 60 + number(second, 2)
}

// RFC 9110 §6.6.1: an origin server with a clock must send Date in all responses of
// the classes 2xx, 3xx and 4xx; a 101 needs none.
#[test]
fn every_response_but_101_has_a_date() {
    let server = Running::start(socket::config(1));
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.expect("a clock after 1970").as_secs()
    };
    let page = (200, request("GET", "/page", ""));
    for (status, request) in bad_requests().into_iter().chain([page]) {
        let before = now();
        let mut client = Client::connect(server.address);
        client.send(&request);
        let response = client.read_response();
        assert_eq!(response.status, status);
        let date = unix_seconds(response.field("Date").expect("a Date field"));
        assert!((before..=now()).contains(&date), "{}", response.head);
    }
}

#[test]
fn date_of_the_application_replaces_the_servers() {
    let server = Running::start(socket::config(1));
    let response = ask(server.address, &request("GET", "/dated", ""));
    let dates = response.head.matches("Date: ").count();
    assert_eq!(
        (dates, response.field("Date")),
        (1, Some("Sun, 06 Nov 1994 08:49:37 GMT"))
    );
}

#[test]
fn server_never_reads_a_body_as_frames() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let unmasked_frame = "\u{1}\u{5}Hello";
        for (method, fields, status) in [
            ("POST", "Content-Length: 7\r\n", 405),
            ("GET", "Content-Length: 7\r\n", 200),
            ("POST", "Transfer-Encoding: chunked\r\n", 400),
        ] {
            let bytes = request(method, "/page", fields) + unmasked_frame;
            // The body is that of the response, and no Close frame follows.
            assert_eq!(ask(server.address, &bytes).status, status, "{bytes}");
        }
        let with_body = upgrade("/", "Content-Length: 7\r\n") + unmasked_frame;
        assert_eq!(ask(server.address, &with_body).status, 400);
    });
}

#[test]
fn server_reads_a_head_that_comes_byte_by_byte() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::connect(server.address);
        for byte in request("GET", "/page", "Accept: */*\r\n").bytes() {
            client.send([byte]);
        }
        let response = client.read_response();
        assert_eq!((response.status, response.body.len()), (200, 7));
    });
}

#[test]
fn server_answers_nothing_after_a_request_that_closes_the_connection() {
    let server = Running::start(socket::config(1));
    let page = request("GET", "/page", "");
    assert_eq!(ask(server.address, &page.repeat(3)).body, b"a page\n");
    let junk = page + &"\0junk".repeat(100);
    assert_eq!(ask(server.address, &junk).body, b"a page\n");
}

/// Requests that are refused, each with the status of the response.
fn bad_requests() -> Vec<(u16, String)> {
    let another_version = upgrade("/", "").replace("Version: 13", "Version: 12");
    let short_key = upgrade("/", "").replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl");
    let no_connection = upgrade("/", "").replace("Connection: Upgrade\r\n", "");
    let long_field = format!("X-Long: {}\r\n", "x".repeat(8 << 10));
    vec![
        (400, "\u{16}\u{3}\u{1} is how TLS begins\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
        (400, request("GET", "/", "no colon\r\n")),
        (400, short_key),
        (400, no_connection),
        (403, upgrade("/", "Origin: https://evil.example\r\n")),
        (404, upgrade("/elsewhere", "")),
        (405, request("POST", "/page", "")),
        (414, format!("GET /{}", "x".repeat(9 << 10))),
        (426, another_version),
        (431, request("GET", "/", &long_field)),
        (500, upgrade("/unoffered", "")),
        (505, "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n".into()),
    ]
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.2
//# To do so, the server MUST simply _Close the WebSocket Connection_
//# (Section 7.1.1).
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
//# An endpoint SHOULD use a method that cleanly closes the TCP connection,
//# as well as the TLS session, if applicable, discarding any trailing bytes
//# that may have been received.
#[test]
fn refusal_arrives_although_the_client_keeps_sending() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        for (status, request) in bad_requests() {
            let mut client = Client::connect(server.address);
            client.send(&request);
            client.send(vec![b'x'; 100 << 10]);
            let response = client.read_response();
            assert_eq!(response.status, status, "{request}");
            response.expect_whole();
        }
    });
}

#[test]
fn refusal_arrives_although_megabytes_of_input_follow() {
    let server = Running::start(socket::config(1));
    let mut client = Client::connect(server.address);
    client.send("nonsense\r\n\r\n");
    client.send(vec![b'x'; 8 << 20]);
    assert_eq!(client.read_response().status, 400);
}

#[test]
fn server_sends_a_page_larger_than_the_socket_takes_at_once() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let response = ask(server.address, &request("GET", "/large", ""));
        assert_eq!((response.status, response.body.len()), (200, 16 << 20));
    });
}

#[test]
fn server_sends_the_whole_page_to_a_client_that_sends_fin_after_its_request() {
    let server = Running::start(socket::config(1));
    let mut client = Client::connect(server.address);
    client.send(request("GET", "/large", ""));
    client.end_output();
    let response = client.read_response();
    response.expect_whole();
    assert_eq!(response.status, 200);
}

/// A request whose head has exactly this many bytes.
fn head_of(bytes: usize) -> String {
    let fields = "X-A: a\r\nX-Pad: ";
    let rest = bytes - request("GET", "/page", fields).len() - "\r\n".len();
    request("GET", "/page", &format!("{fields}{}\r\n", "x".repeat(rest)))
}

#[test]
fn server_accepts_a_head_at_the_limit_and_refuses_one_past_it() {
    let limits = HeadLimits {
        head_bytes_max: 400,
        request_line_bytes_max: 40,
        ..HeadLimits::default()
    };
    let server = Running::start(Config {
        head_limits: limits,
        ..socket::config(1)
    });
    assert_eq!(head_of(400).len(), 400);
    assert_eq!(ask(server.address, &head_of(400)).status, 200);
    assert_eq!(ask(server.address, &head_of(401)).status, 431);

    let target = |bytes: usize| format!("/{}", "x".repeat(bytes - "GET / HTTP/1.1".len()));
    let at_bound = ask(server.address, &request("GET", &target(40), ""));
    assert_eq!(at_bound.status, 404);
    let past_it = ask(server.address, &request("GET", &target(41), ""));
    assert_eq!(past_it.status, 414);
}
