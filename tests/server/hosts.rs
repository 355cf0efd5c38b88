//! The names of the server: requests for another host are refused, whatever they ask for (RFC 9110 §7.2, §15.5.20).

use std::net::{Ipv4Addr, SocketAddr};
use yamabiko::server::{Config, Hosts};
use yamabiko_testing::socket::{Client, Running, config, with_1_and_3_workers};

/// The status of the response to this request for a host.
fn ask(address: SocketAddr, request: &str, host: &str) -> u16 {
    let mut client = Client::connect(address);
    client.send(request.replace("HOST", host));
    let head = client.read_head();
    let status = head.split(' ').nth(1).expect("a status line");
    status.parse().expect("a number")
}

const PAGE: &str = "GET /page HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n";
const POST: &str = "POST /echo HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\nhello";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
     Origin: http://HOST\r\n\r\n";

/// As the library is without a setting.
fn by_listener(config: Config) -> Config {
    Config {
        hosts: None,
        ..config
    }
}

#[test]
fn loopback_server_answers_for_loopback_names_alone() {
    with_1_and_3_workers(|config| {
        let server = Running::start(by_listener(config));
        let port = server.address.port();
        for host in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "127.0.0.1",
            "[::1]",
        ] {
            let host = format!("{host}:{port}");
            assert_eq!(ask(server.address, PAGE, &host), 200, "{host}");
            assert_eq!(ask(server.address, POST, &host), 200, "{host}");
            assert_eq!(ask(server.address, UPGRADE, &host), 101, "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.nip.io",
            "192.0.2.1",
            "localhost.evil.example",
        ] {
            let host = format!("{host}:{port}");
            assert_eq!(ask(server.address, PAGE, &host), 421, "{host}");
            assert_eq!(ask(server.address, POST, &host), 421, "{host}");
            // DNS rebinding: Origin and Host are the same.
            assert_eq!(ask(server.address, UPGRADE, &host), 421, "{host}");
        }
    });
}

#[test]
fn authority_of_the_target_is_the_host() {
    let server = Running::start(by_listener(config(1)));
    let request = "GET http://evil.example/page HTTP/1.1\r\nHost: HOST\r\n\r\n";
    assert_eq!(ask(server.address, request, "localhost"), 421);
    let request = "GET http://localhost/page HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(server.address, request, "evil.example"), 200);
}

#[test]
fn request_without_a_host_is_of_no_browser_and_is_answered() {
    let server = Running::start(by_listener(config(1)));
    let request = "GET /page HTTP/1.0\r\n\r\n";
    assert_eq!(ask(server.address, request, ""), 200);
}

#[test]
fn refusal_names_the_host_and_the_option_and_ends_the_connection() {
    let server = Running::start(by_listener(config(1)));
    let mut client = Client::connect(server.address);
    client.send(format!("{}{PAGE}", PAGE.replace("HOST", "evil.example")));
    let refusal = client.read_response();
    refusal.expect_whole();
    assert_eq!(refusal.status, 421);
    let body = String::from_utf8(refusal.body).expect("UTF-8");
    assert!(
        body.contains("evil.example") && body.contains("--allow-host"),
        "{body}"
    );
    let long = "x".repeat(5000);
    let mut client = Client::connect(server.address);
    client.send(PAGE.replace("HOST", &long));
    let refusal = client.read_response();
    assert_eq!(refusal.status, 421);
    assert!(refusal.body.len() < 500);
}

#[test]
fn server_on_other_addresses_answers_for_every_name_unless_some_are_listed() {
    let everywhere = |hosts| Config {
        listen: (Ipv4Addr::UNSPECIFIED, 0).into(),
        hosts,
        ..config(1)
    };
    let loopback =
        |server: &Running| SocketAddr::from((Ipv4Addr::LOCALHOST, server.address.port()));
    let server = Running::start(everywhere(None));
    assert_eq!(ask(loopback(&server), PAGE, "chat.example"), 200);
    let hosts = Hosts::loopback_and(["chat.example"]).expect("a host");
    let server = Running::start(everywhere(Some(hosts)));
    assert_eq!(ask(loopback(&server), UPGRADE, "chat.example:81"), 101);
    assert_eq!(ask(loopback(&server), PAGE, "localhost"), 200);
    assert_eq!(ask(loopback(&server), UPGRADE, "evil.example"), 421);
}
