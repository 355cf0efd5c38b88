//! Streams that the program has accepted itself, handed to a running server.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use yamabiko::server::{AcceptedConnection, Config, NotAccepted, Server};
use yamabiko_testing::socket::{
    Application, Client, GET, Running, TIMEOUT, TestServer, WorkerLock, config, eventually,
    with_1_and_3_workers,
};

/// A client, and the stream of its connection that a listener of the test has accepted.
fn pair() -> (Client, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let client = Client::connect(address);
    let (stream, _) = listener.accept().expect("the client has connected");
    (client, stream)
}

#[test]
fn stream_that_is_handed_in_is_served_as_one_that_the_server_has_accepted() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let (client, stream) = pair();
        server.handle.accept(stream).expect("the server runs");
        let mut client = client.upgraded("/").joined_to("hall");
        let mut other = Client::open(server.address).joined_to("hall");
        other.text("/publish hall for both");
        assert_eq!(client.read_text(), "for both");
        assert_eq!(other.read_text(), "for both");
    });
}

#[test]
fn streams_that_are_handed_in_are_given_to_the_workers_in_turn() {
    let server = Running::start(config(3));
    let mut served = [0; 3];
    for _ in 0..6 {
        let (client, stream) = pair();
        server.handle.accept(stream).expect("the server runs");
        served[client.upgraded("/").worker()] += 1;
    }
    assert_eq!(served, [2, 2, 2]);
}

#[test]
fn handler_sees_the_address_of_the_client_of_a_stream_that_is_handed_in() {
    let server = Running::start(config(1));
    let (mut client, stream) = pair();
    let address = stream.peer_addr().expect("a client");
    server.handle.accept(stream).expect("the server runs");
    client.send("GET /peer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let response = client.read_response();
    assert_eq!(String::from_utf8_lossy(&response.body), address.to_string());
}

#[cfg(unix)]
#[test]
fn unix_stream_is_served_as_well() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let (client, stream) = UnixStream::pair().expect("a pair of sockets");
        server.handle.accept(stream).expect("the server runs");
        let client = Client::of_descriptor(OwnedFd::from(client));
        let mut client = client.upgraded("/");
        client.text("over a pair");
        assert_eq!(client.read_text(), "over a pair");
    });
}

#[test]
fn limit_of_connections_holds_for_streams_that_are_handed_in() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            connections_max: 1,
            ..config
        });
        let (client, stream) = pair();
        server.handle.accept(stream).expect("the server runs");
        let _first = client.upgraded("/");
        let (mut second, stream) = pair();
        server.handle.accept(stream).expect("the server runs");
        second.send(GET);
        assert!(second.read_head().starts_with("HTTP/1.1 503 "));
    });
}

#[test]
fn stream_that_is_not_connected_is_refused() {
    let server = Running::start(config(1));
    let (client, stream) = pair();
    client.reset();
    eventually("the reset arrives", TIMEOUT, || stream.peer_addr().is_err());
    match server.handle.accept(stream) {
        Err(NotAccepted::Io(error)) => assert_eq!(error.kind(), ErrorKind::NotConnected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn stopped_server_gives_the_stream_back() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(config);
        let handle = server.handle.clone();
        handle.shutdown();
        let (_client, stream) = pair();
        let returned = match handle.accept(stream) {
            Err(NotAccepted::Stopping(connection)) => connection,
            other => panic!("{other:?}"),
        };
        server.join().expect("no fault").expect("no failure");
        match handle.accept(returned) {
            Err(NotAccepted::Stopping(AcceptedConnection { .. })) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn server_that_drains_serves_the_streams_that_it_got_before_and_stops() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(config);
        let mut clients: Vec<Client> = (0..20)
            .map(|_| {
                let (client, stream) = pair();
                server.handle.accept(stream).expect("the server runs");
                client
            })
            .collect();
        server.handle.drain(TIMEOUT);
        for client in &mut clients {
            client.send(GET);
            let head = client.try_read_head().expect("a response");
            assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        }
        drop(clients);
        server.join().expect("no fault").expect("no failure");
    });
}

#[test]
fn connection_is_given_back_when_the_mailbox_of_its_worker_is_full() {
    let server = Running::start(Config {
        mailbox_capacity: 1,
        ..config(1)
    });
    let mut busy = Client::open(server.address);
    server.next_report();
    let lock = server.worker_lock.lock().expect("no panic");
    busy.text("/wait-for-lock");
    server.next_report();
    let mut refused = None;
    let mut clients = Vec::new();
    // The mailbox takes one, and the worker may have taken one before it waits.
    for _ in 0..3 {
        let (client, stream) = pair();
        match server.handle.accept(stream) {
            Ok(()) => clients.push(client),
            Err(NotAccepted::Behind(connection)) => refused = Some((client, connection)),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((1..3).contains(&clients.len()));
    drop(lock);
    for client in clients {
        client.upgraded("/");
    }
    let (client, connection) = refused.expect("one too many");
    server
        .handle
        .accept(connection)
        .expect("there is room again");
    client.upgraded("/");
}

/// Any name of the host is accepted: the server does not know who reaches the program's listener.
#[test]
fn server_without_listeners_serves_the_streams_that_are_handed_in() {
    for workers in [1, 3] {
        let (reports, _kept) = mpsc::channel();
        let application = Application::new(reports, WorkerLock::default());
        let server = Server::without_listeners(config(workers), application).expect("descriptors");
        let server = TestServer::run(server);
        assert!(server.addresses.as_slice().is_empty());
        let (client, stream) = pair();
        server.handle.accept(stream).expect("the server runs");
        let mut client = client.upgraded("/");
        client.text("without an address");
        assert_eq!(client.read_text(), "without an address");
        let (mut other, stream) = pair();
        server.handle.accept(stream).expect("the server runs");
        other.send("GET /page HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\r\n");
        assert_eq!(other.read_response().status, 200);
        server.shutdown();
        assert_eq!(client.read_close().0, 1001);
    }
}
