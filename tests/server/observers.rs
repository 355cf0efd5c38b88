//! Observers of the bytes of connections: which bytes they see, over TLS and without, and what they cost the others.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};
use yamabiko::server::{
    Config, ConnectionObserver, Network, Observers, PeerAddress, Proxies, Traffic,
};
use yamabiko_testing::socket::{Client, GET, Running, TIMEOUT, config, with_1_and_3_workers};
use yamabiko_testing::tls::{Authority, tunnel};

/// What an observer has seen.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    received: Vec<u8>,
    sent: Vec<u8>,
}

/// Reports what it has seen when its connection has ended.
struct Collector {
    seen: Seen,
    /// It has seen enough after so many bytes in both directions.
    bytes_max: usize,
    report: Sender<(PeerAddress, Seen)>,
    address: PeerAddress,
}

impl ConnectionObserver for Collector {
    fn observe(&mut self, traffic: Traffic<'_>) -> ControlFlow<()> {
        match traffic {
            Traffic::Received(bytes) => self.seen.received.extend_from_slice(bytes),
            Traffic::Sent(bytes) => self.seen.sent.extend_from_slice(bytes),
            _ => {}
        }
        match self.seen.received.len() + self.seen.sent.len() < self.bytes_max {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        // An error: the test does not want to know.
        let _ = self.report.send((self.address, seen));
    }
}

fn collecting(bytes_max: usize) -> (Option<Observers>, Receiver<(PeerAddress, Seen)>) {
    let (report, reports) = channel();
    let observers = Observers::new(move |address| {
        Some(Collector {
            seen: Seen::default(),
            bytes_max,
            report: report.clone(),
            address,
        })
    });
    (Some(observers), reports)
}

/// Exchanges a text and closes.
fn converse(mut client: Client) {
    client.text("hello");
    assert_eq!(client.read_text(), "hello");
    client.close(1000, "");
    assert_eq!(client.read_until_close().0, 1000);
}

fn has_both_directions(seen: &Seen) {
    let (received, sent) = (&seen.received, &seen.sent);
    assert!(received.starts_with(b"GET / HTTP/1.1\r\n"), "{received:?}");
    assert!(sent.starts_with(b"HTTP/1.1 101 "), "{sent:?}");
    assert!(sent.ends_with(b"\x81\x05hello\x88\x02\x03\xe8"), "{sent:?}");
}

#[test]
fn observer_sees_all_bytes_of_its_connection_in_both_directions() {
    with_1_and_3_workers(|config| {
        let (observers, reports) = collecting(usize::MAX);
        let server = Running::start(Config {
            observers,
            ..config
        });
        let client = Client::connect(server.address).upgraded("/");
        converse(client);
        let (address, seen) = reports.recv_timeout(TIMEOUT).expect("it has ended");
        assert!(address.ip().is_some_and(|ip| ip.is_loopback()));
        has_both_directions(&seen);
    });
}

#[test]
fn observer_of_a_tls_connection_sees_what_is_inside_tls() {
    let authority = Authority::new();
    let (observers, reports) = collecting(usize::MAX);
    let server = Running::start(Config {
        tls: Some(authority.localhost()),
        observers,
        ..config(1)
    });
    converse(tunnel::client(server.address, authority.client()).upgraded("/"));
    has_both_directions(&reports.recv_timeout(TIMEOUT).expect("it has ended").1);
}

#[test]
fn observer_behind_a_proxy_gets_the_clients_address_and_its_bytes_without_the_proxys_header() {
    let (observers, reports) = collecting(usize::MAX);
    let proxies =
        Proxies::new(["127.0.0.1".parse::<Network>().expect("a network")]).proxy_protocol(true);
    let server = Running::start(Config {
        observers,
        proxies,
        ..config(1)
    });
    let mut client = Client::connect(server.address);
    client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n");
    converse(client.upgraded("/"));
    let (address, seen) = reports.recv_timeout(TIMEOUT).expect("it has ended");
    let expected: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
    assert_eq!(address, expected.into());
    has_both_directions(&seen);
}

#[test]
fn observer_that_has_seen_enough_is_dropped_and_its_connection_goes_on() {
    for bytes_max in [1, 200, 400] {
        let (observers, reports) = collecting(bytes_max);
        let server = Running::start(Config {
            observers,
            ..config(1)
        });
        let mut client = Client::connect(server.address).upgraded("/");
        client.text("hello");
        assert_eq!(client.read_text(), "hello");
        if bytes_max == 1 {
            let (_, seen) = reports.recv_timeout(TIMEOUT).expect("it is dropped");
            assert!(seen.sent.is_empty(), "{seen:?}");
        }
        converse(client);
    }
}

#[test]
fn observer_that_panics_is_dropped_and_its_connection_goes_on() {
    let observers =
        Observers::new(|_| Some(|_: Traffic<'_>| -> ControlFlow<()> { panic!("an observer") }));
    let server = Running::start(Config {
        observers: Some(observers),
        ..config(1)
    });
    converse(Client::connect(server.address).upgraded("/"));
}

#[test]
fn connection_that_is_not_chosen_is_served_and_not_observed() {
    let (report, reports) = channel::<PeerAddress>();
    let observers = Observers::new(move |address| {
        // An error: the test has failed.
        let _ = report.send(address);
        None::<fn(Traffic<'_>) -> ControlFlow<()>>
    });
    let server = Running::start(Config {
        observers: Some(observers),
        ..config(1)
    });
    let mut page = Client::connect(server.address);
    page.send(GET);
    assert_eq!(page.read_response().status, 404);
    assert!(reports.recv_timeout(TIMEOUT).is_ok());
}
