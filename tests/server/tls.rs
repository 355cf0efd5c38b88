//! TLS: HTTP and WebSocket over it, what is refused, and which limits hold.

use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConnection, Error, HandshakeKind};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use yamabiko::server::{
    Config, Failure, LagPolicy, ListenAddress, ListenAddresses, Network, OnFailure, Proxies, Server,
};
use yamabiko::tls::{Certificate, InvalidCertificate, ServerTls};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Application, Client, Frame, GET, LOOP_TIMEOUT, Running, TIMEOUT, WorkerLock, bounded, config,
    eventually, frame, upgrade, with_1_and_3_workers,
};
use yamabiko_testing::tls::{Authority, tunnel};

/// A server with a certificate for `localhost`. It listens on a port for TLS, and on a plain one.
fn both_ports() -> ListenAddresses {
    let texts = ["127.0.0.1:0", "http://127.0.0.1:0"];
    let addresses = texts.map(|text| text.parse::<ListenAddress>().expect("an address"));
    addresses.into_iter().collect()
}

fn with_tls(tls: ServerTls) -> Config {
    Config {
        tls: Some(tls),
        ..config(1)
    }
}

/// The plain address of a server that listens on `both_ports`.
fn plain_address(server: &Running) -> SocketAddr {
    let address = server.addresses.as_slice()[1].socket_address();
    address.expect("an IP address")
}

/// Reports the failures of a server.
fn failures() -> (OnFailure, mpsc::Receiver<String>) {
    let (sender, failures) = mpsc::channel();
    let report = move |_, failure: &Failure| {
        let is_tls = matches!(failure, Failure::Tls(_));
        let _ = sender.send(format!("{is_tls} {failure}"));
    };
    (OnFailure::new(report), failures)
}

// HTTP and WebSocket.

//= https://www.rfc-editor.org/rfc/rfc6455#section-10.6
//= type=test
//# WebSocket implementations MUST support TLS
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# If the connection is happening on an HTTPS (HTTP-over-TLS) port,
//# perform a TLS handshake over the connection.
#[test]
fn http_and_websocket_are_served_over_tls_of_both_versions() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        with_1_and_3_workers(|config| {
            let server = Running::start(Config {
                tls: Some(authority.localhost()),
                ..config
            });
            let client = || tunnel::client(server.address, authority.client_with(&[version]));
            let mut page = client();
            page.send(GET);
            assert_eq!(page.read_response().status, 404);
            let mut websocket = client().upgraded("/");
            websocket.text("hello");
            assert_eq!(websocket.read_text(), "hello");
            websocket.close(1000, "");
            assert_eq!(websocket.read_until_close().0, 1000);
        });
    }
}

#[test]
fn message_reaches_tls_and_plain_members_of_a_room() {
    let authority = Authority::new();
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            listen: both_ports(),
            tls: Some(authority.localhost()),
            ..config
        });
        let mut members: Vec<Client> = (0..4)
            .map(|number| {
                let client = match number % 2 {
                    0 => tunnel::client(server.address, authority.client()),
                    _ => Client::connect(plain_address(&server)),
                };
                client.upgraded("/").joined_to("hall")
            })
            .collect();
        members[0].text("/publish hall to all");
        members[1].text("/publish hall again");
        for member in &mut members {
            let mut texts = [member.read_text(), member.read_text()];
            texts.sort();
            assert_eq!(texts, ["again", "to all"]);
        }
    });
}

#[test]
fn large_messages_pass_in_both_directions() {
    let authority = Authority::new();
    let server = Running::start(with_tls(authority.localhost()));
    for version in [&TLS12, &TLS13] {
        let config = authority.client_with(&[version]);
        let mut client = tunnel::client(server.address, config).upgraded("/");
        let payload: Vec<u8> = (0..1 << 20).map(|at| ((at * 7) >> 3) as u8).collect();
        client.send(frame(Opcode::Binary, &payload));
        assert_eq!(client.read_frame(), Frame::new(Opcode::Binary, payload));
    }
}

#[test]
fn records_may_be_cut_anywhere() {
    let authority = Authority::new();
    let server = Running::start(with_tls(authority.localhost()));
    for version in [&TLS12, &TLS13] {
        let config = authority.client_with(&[version]);
        let client = tunnel::client_in_pieces(server.address, config, 1);
        let mut client = client.upgraded("/");
        for text in ["a", "second message", ""] {
            client.text(text);
            assert_eq!(client.read_text(), text);
        }
    }
}

#[test]
fn handshake_may_come_byte_by_byte() {
    let authority = Authority::new();
    let server = Running::start(with_tls(authority.localhost()));
    let name = "localhost".try_into().expect("a name");
    let mut tls = ClientConnection::new(Arc::new(authority.client()), name).expect("a client");
    let mut stream = bounded(TcpStream::connect(server.address).expect("accepted"));
    stream.set_nodelay(true).expect("an open socket");
    while tls.is_handshaking() {
        let mut flight = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut flight).expect("memory");
        }
        for byte in flight.chunks(1) {
            stream.write_all(byte).expect("the server reads");
        }
        if tls.is_handshaking() {
            tls.read_tls(&mut stream).expect("an answer");
            tls.process_new_packets().expect("a handshake");
        }
    }
    let mut client = tunnel::through(tls, stream, 1).upgraded("/");
    client.text("hello");
    assert_eq!(client.read_text(), "hello");
}

#[test]
fn slow_reader_gets_everything_in_order_and_the_server_seals_only_what_it_takes() {
    let authority = Authority::new();
    let server = Running::start(Config {
        listen: both_ports(),
        lag_policy: LagPolicy {
            bytes_max: 64 << 20,
            ..LagPolicy::default()
        },
        ..with_tls(authority.localhost())
    });
    // Nothing reads its bytes until the tunnel begins.
    let config = Arc::new(authority.client());
    let (mut tls, mut stream) =
        tunnel::handshake(server.address, "localhost", &config).expect("a handshake");
    let request = upgrade("/", "");
    let join = frame(Opcode::Text, b"/join hall");
    tls.writer().write_all(request.as_bytes()).expect("room");
    tls.writer().write_all(&join).expect("room");
    tls.complete_io(&mut stream).expect("the server reads");
    let metrics = || server.handle.metrics();
    eventually("it has joined", TIMEOUT, || metrics().received == 1);
    let mut publisher = Client::open(plain_address(&server));
    for _ in 0..200 {
        publisher.text("/publish-bytes 10 hall");
    }
    eventually("the reader is behind", TIMEOUT, || {
        server.handle.lags().iter().any(|lag| lag.behind > 0)
    });
    let mut reader = tunnel::through(tls, stream, usize::MAX);
    assert!(reader.read_head().starts_with("HTTP/1.1 101 "));
    assert_eq!(reader.read_text(), "joined");
    for _ in 0..200 {
        assert_eq!(reader.read_frame(), Frame::big());
    }
    eventually("nothing is held", TIMEOUT, || {
        server.handle.held_bytes() == 0
    });
}

// The end.

#[test]
fn close_notify_comes_before_fin() {
    let authority = Authority::new();
    let server = Running::start(with_tls(authority.localhost()));
    let config = Arc::new(authority.client());
    for request in [GET.to_owned(), upgrade("/", "")] {
        let (mut tls, mut stream) =
            tunnel::handshake(server.address, "localhost", &config).expect("a handshake");
        tls.writer().write_all(request.as_bytes()).expect("room");
        tls.writer()
            .write_all(&frame(Opcode::Close, &1000_u16.to_be_bytes()))
            .expect("room");
        // Without a close_notify the end would be an error.
        let mut all = Vec::new();
        rustls::Stream::new(&mut tls, &mut stream)
            .read_to_end(&mut all)
            .expect("a clean end");
        assert!(all.starts_with(b"HTTP/1.1 "));
    }
}

#[test]
fn end_of_tcp_without_a_close_notify_is_a_failure_of_the_websocket() {
    let authority = Authority::new();
    let (on_failure, failures) = failures();
    let server = Running::start(Config {
        on_failure: Some(on_failure),
        ..with_tls(authority.localhost())
    });
    let config = Arc::new(authority.client());
    let (mut tls, mut stream) =
        tunnel::handshake(server.address, "localhost", &config).expect("a handshake");
    tls.writer()
        .write_all(upgrade("/", "").as_bytes())
        .expect("room");
    tls.complete_io(&mut stream).expect("the server reads");
    eventually("it is open", TIMEOUT, || {
        server.handle.metrics().opened == 1
    });
    stream.shutdown(Shutdown::Write).expect("it is open");
    let failure = failures.recv_timeout(LOOP_TIMEOUT).expect("a report");
    assert_eq!(failure, "false TCP ended without a Close");
}

#[test]
fn broken_record_ends_the_connection_with_an_alert() {
    let authority = Authority::new();
    let (on_failure, failures) = failures();
    let server = Running::start(Config {
        on_failure: Some(on_failure),
        ..with_tls(authority.localhost())
    });
    let config = Arc::new(authority.client());
    let (mut tls, mut stream) =
        tunnel::handshake(server.address, "localhost", &config).expect("a handshake");
    // A record of application data that no key has sealed.
    let mut record = vec![23, 3, 3, 0, 40];
    record.extend([0x55; 40]);
    stream.write_all(&record).expect("the server reads");
    let error = tls_error(&mut tls, &mut stream);
    assert_eq!(error, Error::AlertReceived(AlertDescription::BadRecordMac));
    let failure = failures.recv_timeout(LOOP_TIMEOUT).expect("a report");
    assert!(failure.starts_with("true TLS: "), "{failure}");
}

/// The error that the rest of the connection leads to.
fn tls_error(tls: &mut ClientConnection, stream: &mut TcpStream) -> Error {
    loop {
        match tls.read_tls(stream) {
            Ok(0) => panic!("it has ended without an alert"),
            Ok(_) => {
                if let Err(error) = tls.process_new_packets() {
                    return error;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The error of a handshake.
fn refusal(server: SocketAddr, name: &str, config: rustls::ClientConfig) -> Error {
    let error = tunnel::handshake(server, name, &Arc::new(config)).expect_err("a refusal");
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    cause.cloned().unwrap_or_else(|| panic!("{error}"))
}

// What is refused.

#[test]
fn plain_request_on_a_port_for_tls_gets_400() {
    let authority = Authority::new();
    let server = Running::start(with_tls(authority.localhost()));
    for request in [GET.to_owned(), upgrade("/", "")] {
        let mut client = Client::connect(server.address);
        client.send(request);
        let response = client.read_response();
        assert_eq!(response.status, 400);
        response.expect_whole();
        let body = String::from_utf8_lossy(&response.body);
        assert!(body.contains("use https or wss"), "{body}");
    }
}

#[test]
fn client_that_offers_http_2_alone_is_refused() {
    let authority = Authority::new();
    let server = Running::start(with_tls(authority.localhost()));
    for (offered, accepted) in [
        (&["h2"][..], false),
        (&["h2", "http/1.1"], true),
        (&[], true),
    ] {
        let mut config = authority.client();
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        if accepted {
            let client = tunnel::client(server.address, config);
            drop(client.upgraded("/"));
            continue;
        }
        let error = refusal(server.address, "localhost", config);
        let expected = AlertDescription::NoApplicationProtocol;
        assert_eq!(error, Error::AlertReceived(expected));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# If this fails (e.g., the client indicated a host name in the
//# extended client hello "server_name" extension that the server does
//# not host), then close the connection; otherwise, all further
//# communication for the connection (including the server's
//# handshake) MUST run through the encrypted tunnel
#[test]
fn client_that_does_not_accept_the_certificate_is_reported_and_closed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (on_failure, failures) = failures();
    let server = Running::start(Config {
        on_failure: Some(on_failure),
        ..with_tls(authority.localhost())
    });
    let error = refusal(server.address, "localhost", stranger.client());
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error}");
    let failure = failures.recv_timeout(LOOP_TIMEOUT).expect("a report");
    assert!(failure.starts_with("true TLS: "), "{failure}");
    assert!(failure.contains("alert"), "{failure}");
    assert_eq!(server.handle.metrics().opened, 0);
}

#[test]
fn what_is_neither_tls_nor_http_ends_the_connection() {
    let authority = Authority::new();
    let server = Running::start(with_tls(authority.localhost()));
    for bytes in [
        &[0; 100][..],
        &[22, 3, 1, 0xff, 0xff, 1, 2],
        b"\x80\x2e\x01",
    ] {
        let mut client = Client::connect(server.address);
        client.send(bytes);
        client.expect_gone();
    }
    tunnel::client(server.address, authority.client()).upgraded("/");
}

#[test]
fn https_address_needs_a_certificate() {
    let listen: ListenAddress = "https://127.0.0.1:0".parse().expect("an address");
    let config = Config {
        listen: listen.into(),
        ..config(1)
    };
    let (reports, _) = mpsc::channel();
    let Err(error) = Server::bind(config, Application::new(reports, WorkerLock::default())) else {
        panic!("there is no certificate");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("https needs a certificate"));
}

// Certificates.

#[test]
fn client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let authority = Authority::new();
    let issued = [["localhost"], ["one.example"], ["two.example"]]
        .map(|names| authority.issue(&names).loaded());
    let tls = ServerTls::new(issued.to_vec()).expect("certificates");
    let server = Running::start(with_tls(tls));
    let config = Arc::new(authority.client());
    for name in ["two.example", "one.example", "localhost"] {
        tunnel::handshake(server.address, name, &config).expect("its certificate");
    }
    // Another name gets the first one, and refuses it.
    let error = refusal(server.address, "three.example", authority.client());
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error}");
}

#[test]
fn replaced_certificates_are_for_new_connections_and_open_ones_stay() {
    let (before, after) = (Authority::new(), Authority::new());
    let tls = before.localhost();
    let server = Running::start(with_tls(tls.clone()));
    let mut open = tunnel::client(server.address, before.client()).upgraded("/");
    tls.replace(vec![after.issue(&["localhost"]).loaded()])
        .expect("a certificate");
    assert!(tls.replace(Vec::new()).is_err());
    let mut new = tunnel::client(server.address, after.client()).upgraded("/");
    refusal(server.address, "localhost", before.client());
    for client in [&mut open, &mut new] {
        client.text("still here");
        assert_eq!(client.read_text(), "still here");
    }
}

#[test]
fn client_that_comes_back_resumes_by_a_ticket() {
    let authority = Authority::new();
    let server = Running::start(with_tls(authority.localhost()));
    for version in [&TLS12, &TLS13] {
        let mut config = authority.client_with(&[version]);
        config.resumption = Resumption::in_memory_sessions(4);
        let config = Arc::new(config);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (mut tls, mut stream) =
                tunnel::handshake(server.address, "localhost", &config).expect("a handshake");
            assert_eq!(tls.handshake_kind(), Some(expected));
            // The tickets of TLS 1.3 come behind the handshake.
            tls.writer().write_all(GET.as_bytes()).expect("room");
            let mut all = Vec::new();
            rustls::Stream::new(&mut tls, &mut stream)
                .read_to_end(&mut all)
                .expect("a response");
        }
    }
}

#[test]
fn certificate_or_key_that_cannot_be_used_is_an_error_with_its_reason() {
    let authority = Authority::new();
    let one = authority.issue(&["one"]);
    let reason = |chain: &str, key: &str| {
        let error = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect_err("wrong");
        (
            matches!(error, InvalidCertificate::Chain(_)),
            error.to_string(),
        )
    };
    let (chain, key) = (&*one.certificate, &*one.key);
    let text = |is_chain, text: &str| (is_chain, text.to_owned());
    let none = "there is no certificate in it";
    assert_eq!(reason("", key), text(true, none));
    assert_eq!(reason(key, key), text(true, none));
    let none = "there is no private key in it";
    assert_eq!(reason(chain, chain), text(false, none));
    let other = "the key does not fit the certificate";
    assert_eq!(
        reason(chain, &authority.issue(&["one"]).key),
        text(false, other)
    );
    assert!(reason(&chain[..chain.len() / 2], key).1.contains("PEM"));
    // Both may be in one text.
    let both = format!("{chain}{key}");
    Certificate::from_pem(both.as_bytes(), both.as_bytes()).expect("a pair");
}

// Limits.

#[test]
fn handshake_that_is_not_complete_in_time_ends_the_connection() {
    let authority = Authority::new();
    let server = Running::start(Config {
        handshake_timeout: Duration::from_millis(100),
        ..with_tls(authority.localhost())
    });
    let name = "localhost".try_into().expect("a name");
    let mut tls = ClientConnection::new(Arc::new(authority.client()), name).expect("a client");
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).expect("memory");
    // Nothing, a part of the first flight, all of it.
    for count in [0, 1, hello.len() / 2, hello.len()] {
        let mut client = Client::connect(server.address);
        client.send(&hello[..count]);
        client.expect_gone();
    }
    assert_eq!(server.handle.metrics().opened, 0);
    eventually("nothing is held", TIMEOUT, || {
        server.handle.held_bytes() == 0
    });
}

/// A server for one connection, which is open.
fn full_server(authority: &Authority, handshake_timeout: Duration) -> (Running, Client) {
    let server = Running::start(Config {
        connections_max: 1,
        handshake_timeout,
        ..with_tls(authority.localhost())
    });
    let open = tunnel::client(server.address, authority.client()).upgraded("/");
    (server, open)
}

/// The status of `/health` over TLS; `None` if the connection ends without a response.
fn health(server: &Running, authority: &Authority) -> Option<u16> {
    let config = Arc::new(authority.client());
    let (tls, stream) = tunnel::handshake(server.address, "localhost", &config).ok()?;
    let mut client = tunnel::through(tls, stream, usize::MAX);
    client.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    Some(client.read_response().status)
}

#[test]
fn connection_beyond_the_limit_gets_503_over_tls_and_health_is_answered() {
    let authority = Authority::new();
    let (server, open) = full_server(&authority, Duration::from_secs(600));
    for _ in 0..3 {
        assert_eq!(health(&server, &authority), Some(200));
    }
    let mut client = tunnel::client(server.address, authority.client());
    client.send(upgrade("/", ""));
    assert_eq!(client.read_response().status, 503);
    drop(open);
    eventually("there is room again", LOOP_TIMEOUT, || {
        let mut client = tunnel::client(server.address, authority.client());
        client.send(upgrade("/", ""));
        client.read_head().starts_with("HTTP/1.1 101")
    });
}

#[test]
fn sixteen_connections_beyond_the_limit_have_a_place_for_tls_and_one_more_is_closed_before_the_handshake()
 {
    let authority = Authority::new();
    let (server, _open) = full_server(&authority, Duration::from_secs(600));
    let mut silent: Vec<_> = (0..16).map(|_| Client::connect(server.address)).collect();
    Client::connect(server.address).expect_gone();
    drop(silent.pop());
    eventually("its place is free", LOOP_TIMEOUT, || {
        health(&server, &authority) == Some(200)
    });
}

#[test]
fn silent_connection_beyond_the_limit_loses_its_place_for_tls_after_an_eighth_of_the_handshake_timeout()
 {
    let authority = Authority::new();
    let (server, _open) = full_server(&authority, Duration::from_secs(24));
    let silent: Vec<_> = (0..16)
        .map(|_| TcpStream::connect(server.address).expect("accepted"))
        .collect();
    eventually("one of the places is taken over", LOOP_TIMEOUT, || {
        health(&server, &authority) == Some(200)
    });
    let is_open = |client: &&TcpStream| {
        client.set_nonblocking(true).expect("open");
        let peeked = client.peek(&mut [0]);
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    // The time of the handshake itself has not passed.
    assert!(silent.iter().any(|client| is_open(&client)));
}

#[test]
fn header_of_a_proxy_comes_before_tls() {
    let authority = Authority::new();
    let network: Network = "127.0.0.0/8".parse().expect("a network");
    let server = Running::start(Config {
        proxies: Proxies::new([network]).proxy_protocol(true),
        ..with_tls(authority.localhost())
    });
    let name = "localhost".try_into().expect("a name");
    let mut tls = ClientConnection::new(Arc::new(authority.client()), name).expect("a client");
    let mut stream = bounded(TcpStream::connect(server.address).expect("accepted"));
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n";
    stream.write_all(header).expect("the server reads");
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).expect("a handshake");
    }
    let mut client = tunnel::through(tls, stream, usize::MAX);
    client.send("GET /peer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let body = client.read_response().body;
    assert_eq!(String::from_utf8_lossy(&body), "192.0.2.7:4711");
}
