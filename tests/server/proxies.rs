//! Clients behind proxies: whose word about an address and a host counts, and the limits of each address.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::time::Duration;
use yamabiko::server::{Config, ForwardedFields, Hosts, Proxies};
use yamabiko_testing::socket::{
    Client, LOOP_TIMEOUT, Running, config, eventually, upgrade, with_1_and_3_workers,
};

/// The proxies of these networks.
fn proxies(networks: &[&str]) -> Proxies {
    Proxies::new(
        networks
            .iter()
            .map(|network| network.parse().expect(network)),
    )
}

fn start(config: Config, proxies: Proxies) -> Running {
    Running::start(Config { proxies, ..config })
}

/// The address that the handler sees in a plain request with these fields, which follow these bytes.
fn peer(address: SocketAddr, before: &[u8], fields: &str) -> String {
    let mut client = Client::connect(address);
    let request =
        format!("GET /peer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    client.send([before, request.as_bytes()].concat());
    let response = client.read_response();
    assert_eq!(response.status, 200, "{}", response.head);
    String::from_utf8(response.body)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len())
        .expect("a short body")
        .to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        body,
    ]
    .concat()
}

const IPV4: [u8; 12] = [198, 51, 100, 7, 203, 0, 113, 1, 0x12, 0x67, 1, 0xbb];

#[test]
fn fields_of_a_named_proxy_tell_the_client_and_those_of_others_do_not() {
    with_1_and_3_workers(|config| {
        let x = "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n";
        let server = start(config.clone(), proxies(&["127.0.0.0/8"]));
        assert_eq!(peer(server.address, b"", x), "198.51.100.7:0");
        let forwarded = "Forwarded: for=\"[2001:db8::1]:4711\"\r\n";
        assert!(peer(server.address, b"", forwarded).starts_with("127.0.0.1:"));
        let server = start(config.clone(), proxies(&["127.0.0.9"]));
        assert!(peer(server.address, b"", x).starts_with("127.0.0.1:"));
        let by_forwarded = proxies(&["127.0.0.1"]).fields(ForwardedFields::Forwarded);
        let server = start(config, by_forwarded);
        assert_eq!(peer(server.address, b"", forwarded), "[2001:db8::1]:4711");
        assert!(peer(server.address, b"", x).starts_with("127.0.0.1:"));
    });
}

#[test]
fn limit_of_an_address_counts_the_clients_of_a_proxy_and_not_the_proxy() {
    with_1_and_3_workers(|config| {
        let config = Config {
            connections_per_address: NonZeroUsize::new(1),
            ..config
        };
        let server = start(config, proxies(&["127.0.0.1"]));
        let open = |client: &str| {
            let mut connection = Client::connect(server.address);
            connection.send(upgrade("/", &format!("X-Forwarded-For: {client}\r\n")));
            let head = connection.read_head();
            (
                head.split(' ').nth(1).expect("a status").to_owned(),
                connection,
            )
        };
        let (status, first) = open("192.0.2.1");
        assert_eq!(status, "101");
        let (status, _second) = open("192.0.2.2");
        assert_eq!(status, "101");
        let (status, _refused) = open("192.0.2.1");
        assert_eq!(status, "503");
        // A request that opens no WebSocket is of nobody in particular.
        assert_eq!(
            peer(server.address, b"", "X-Forwarded-For: 192.0.2.1\r\n"),
            "192.0.2.1:0"
        );
        first.reset();
        eventually("the place is free again", LOOP_TIMEOUT, || {
            open("192.0.2.1").0 == "101"
        });
    });
}

#[test]
fn limit_of_an_address_holds_for_loopback_addresses_that_are_no_proxies() {
    let config = Config {
        connections_per_address: NonZeroUsize::new(1),
        ..config(1)
    };
    let server = start(config, Proxies::default());
    let _first = Client::open(server.address);
    let mut second = Client::connect(server.address);
    second.send(upgrade("/", "X-Forwarded-For: 192.0.2.1\r\n"));
    assert_eq!(second.read_response().status, 503);
}

#[test]
fn header_of_the_proxy_protocol_tells_the_client_in_any_cutting() {
    let proxies = proxies(&["127.0.0.1"]).proxy_protocol(true);
    let server = start(config(2), proxies);
    let text = b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n".to_vec();
    for (header, expected) in [
        (text, "198.51.100.7:4711"),
        (version_2(0x21, 0x11, &IPV4), "198.51.100.7:4711"),
        (
            version_2(0x21, 0x11, &[&IPV4[..], &[4, 0, 1, 9]].concat()),
            "198.51.100.7:4711",
        ),
        (version_2(0x20, 0x00, b""), "127.0.0.1:"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1:"),
    ] {
        let found = peer(server.address, &header, "");
        assert!(found.starts_with(expected), "{found}");
        let mut client = Client::connect(server.address);
        for byte in &header {
            client.send([*byte]);
        }
        client.send(upgrade("/", ""));
        assert!(client.read_head().starts_with("HTTP/1.1 101 "));
        client.text("hello");
        assert_eq!(client.read_text(), "hello");
    }
}

#[test]
fn proxy_behind_a_proxy_is_believed_if_it_is_named_too() {
    let named = proxies(&["127.0.0.1", "198.51.100.7"]).proxy_protocol(true);
    let server = start(config(1), named);
    let fields = "X-Forwarded-For: 192.0.2.1\r\n";
    let header = version_2(0x21, 0x11, &IPV4);
    assert_eq!(peer(server.address, &header, fields), "192.0.2.1:0");
    let server = start(config(1), proxies(&["127.0.0.1"]).proxy_protocol(true));
    // The client has invented the field.
    assert_eq!(peer(server.address, &header, fields), "198.51.100.7:4711");
}

#[test]
fn connection_of_a_proxy_without_a_correct_header_is_closed_without_a_response() {
    let server = start(config(1), proxies(&["127.0.0.1"]).proxy_protocol(true));
    let too_long = version_2(0x21, 0x11, &[0; 5000]);
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"PROXY TCP4 nonsense\r\n",
        b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        b"\x16\x03\x01\x02\0",
        &too_long[..16],
        &[b'P'; 200],
    ] {
        let mut client = Client::connect(server.address);
        client.send(bytes);
        client.expect_gone();
    }
    // A fresh client is served.
    let header = version_2(0x21, 0x11, &IPV4);
    assert_eq!(peer(server.address, &header, ""), "198.51.100.7:4711");
}

#[test]
fn header_of_an_address_that_is_no_proxy_is_no_request() {
    let server = start(config(1), proxies(&["127.0.0.9"]).proxy_protocol(true));
    for header in [
        b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n\r\n".to_vec(),
        version_2(0x21, 0x11, &IPV4),
    ] {
        let mut client = Client::connect(server.address);
        client.send(&header);
        assert_eq!(client.read_response().status, 400);
    }
    assert!(peer(server.address, b"", "").starts_with("127.0.0.1:"));
}

#[test]
fn header_must_come_within_the_handshake_timeout() {
    let config = Config {
        handshake_timeout: Duration::from_millis(100),
        ..config(1)
    };
    let server = start(config, proxies(&["127.0.0.1"]).proxy_protocol(true));
    let mut client = Client::connect(server.address);
    client.send(b"PROXY TCP4 198.51");
    client.expect_gone();
}

#[test]
fn limit_of_an_address_counts_the_source_of_the_header() {
    let config = Config {
        connections_per_address: NonZeroUsize::new(1),
        ..config(1)
    };
    let server = start(config, proxies(&["127.0.0.1"]).proxy_protocol(true));
    let header = |last: u8| {
        let mut body = IPV4;
        body[3] = last;
        version_2(0x21, 0x11, &body)
    };
    let connect = |last: u8| {
        let mut client = Client::connect(server.address);
        client.send([header(last), upgrade("/", "").into_bytes()].concat());
        let head = client.read_head();
        (head.split(' ').nth(1).expect("a status").to_owned(), client)
    };
    let (status, first) = connect(1);
    assert_eq!(status, "101");
    let (status, _second) = connect(2);
    assert_eq!(status, "101");
    let (status, _refused) = connect(1);
    assert_eq!(status, "503");
    first.reset();
    eventually("the place is free again", LOOP_TIMEOUT, || {
        connect(1).0 == "101"
    });
}

#[test]
fn host_that_a_named_proxy_tells_is_compared_with_the_origin_and_the_names_of_the_server() {
    let config = Config {
        hosts: Some(Hosts::loopback_and(["chat.example"]).expect("a host")),
        ..config(1)
    };
    let status = |server: &Running, fields: &str| {
        let mut client = Client::connect(server.address);
        client.send(upgrade("/", fields));
        let head = client.read_head();
        head.split(' ').nth(1).expect("a status").to_owned()
    };
    let fields =
        |host: &str, origin: &str| format!("X-Forwarded-Host: {host}\r\nOrigin: {origin}\r\n");
    let server = start(config.clone(), proxies(&["127.0.0.1"]));
    assert_eq!(
        status(&server, &fields("chat.example", "https://chat.example")),
        "101"
    );
    assert_eq!(
        status(
            &server,
            &fields("chat.example:8443", "https://chat.example:8443")
        ),
        "101"
    );
    assert_eq!(
        status(&server, &fields("chat.example", "https://evil.example")),
        "403"
    );
    assert_eq!(
        status(&server, &fields("evil.example", "https://evil.example")),
        "421"
    );
    let server = start(config, Proxies::default());
    assert_eq!(
        status(&server, &fields("chat.example", "https://chat.example")),
        "403"
    );
}

#[test]
fn every_address_of_the_loopback_network_can_be_named() {
    let server = start(config(1), proxies(&["127.0.0.0/8", "::1"]));
    let stream = TcpStream::connect(server.address).expect("it listens");
    let ip = stream.local_addr().expect("an address").ip();
    assert_eq!(ip, IpAddr::from([127, 0, 0, 1]));
}
