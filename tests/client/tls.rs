//! The client over TLS: the server of the library, one of rustls, and servers that it does not accept.

use rustls::version::{TLS12, TLS13};
use rustls::{ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use yamabiko::client::{Client, ClientBuilder, ClientError, CloseCode, OwnedMessage, Step};
use yamabiko::server::Config;
use yamabiko::tls::{ClientTls, ServerTls};
use yamabiko::websocket::handshake::accept_key;
use yamabiko_testing::socket::{Running, config};
use yamabiko_testing::tls::Authority;
use yamabiko_testing::waiting::{LOOP_TIMEOUT, TIMEOUT, accepted, eventually, joined};

fn serving(tls: ServerTls) -> Running {
    Running::start(Config {
        tls: Some(tls),
        ..config(1)
    })
}

fn client_of(address: SocketAddr, authority: &Authority) -> ClientBuilder {
    let trusting = ClientTls::authorities(authority.pem().as_bytes()).expect("an authority");
    Client::builder(&format!("wss://localhost:{}/", address.port()))
        .tls(trusting)
        .read_timeout(LOOP_TIMEOUT)
}

/// A server of rustls that answers the opening handshake, echoes what follows the frames of the client as they came, and ends TCP
/// with or without a close_notify.
fn accepting(
    authority: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
    serve: impl FnOnce(&mut StreamOwned<ServerConnection, std::net::TcpStream>) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let config = Arc::new(authority.rustls_server(&["localhost"], &[version]));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let thread = thread::spawn(move || {
        let stream = accepted(&listener);
        let tls = ServerConnection::new(config).expect("a server");
        serve(&mut StreamOwned::new(tls, stream));
    });
    (address, thread)
}

/// Reads the request and answers it.
fn upgrade(stream: &mut StreamOwned<ServerConnection, std::net::TcpStream>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).expect("ASCII");
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = accept_key(key.expect("a key"));
    let accept = String::from_utf8_lossy(&accept);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes()).expect("it reads");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If /secure/ is true, the client MUST perform a TLS handshake over
//# the connection after opening the connection and before sending
//# the handshake data
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# Otherwise, all further communication on this channel MUST run
//# through the encrypted tunnel
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.6
//= type=test
//# WebSocket implementations MUST support TLS and SHOULD employ it when communicating with
//# their peers.
#[test]
fn client_and_server_exchange_messages_over_tls() {
    let authority = Authority::new();
    let server = serving(authority.localhost());
    let mut client = client_of(server.address, &authority)
        .connect()
        .expect("open");
    let large = vec![0xda; 1 << 20];
    for message in [
        OwnedMessage::Text("hello".to_owned()),
        OwnedMessage::Binary(large.clone()),
        OwnedMessage::Text(String::new()),
    ] {
        client.send(message.clone()).expect("it is open");
        assert_eq!(client.read().expect("it is open"), Some(message));
    }
    client.ping(b"ping").expect("it is open");
    let ended = client.close(CloseCode::NORMAL).expect("a short reason");
    assert!(ended.clean, "{ended:?}");
}

/// Neither half waits for the other: each writes more than the sockets hold.
#[test]
fn two_threads_send_and_receive_megabytes_at_the_same_time() {
    let authority = Authority::new();
    let server = serving(authority.localhost());
    let client = client_of(server.address, &authority)
        .connect()
        .expect("open");
    let (mut reader, writer) = client.split();
    let writers: Vec<_> = (0..2)
        .map(|number: u8| {
            let mut writer = writer.clone();
            thread::spawn(move || {
                for _ in 0..16 {
                    let message = vec![number; 512 << 10];
                    writer.send(message).expect("it is open");
                }
            })
        })
        .collect();
    let mut bytes = [0, 0];
    while bytes != [8 << 20, 8 << 20] {
        let Some(OwnedMessage::Binary(message)) = reader.read().expect("it is open") else {
            panic!("the server sends no text");
        };
        assert!(message.iter().all(|byte| *byte == message[0]));
        bytes[usize::from(message[0])] += message.len();
    }
    for writer in writers {
        joined("a writer", writer);
    }
}

#[test]
fn pings_are_answered_while_a_writer_waits() {
    let authority = Authority::new();
    let (address, server) = accepting(&authority, &TLS13, |stream| {
        upgrade(stream);
        // The client's writer fills the sockets, and nothing reads. Its reader goes on.
        stream.write_all(b"\x81\x02go").expect("it reads");
        stream
            .write_all(&b"\x89\x01p".repeat(100))
            .expect("it reads");
        stream.write_all(b"\x81\x04done").expect("it reads");
        // Until the client ends TCP.
        let mut rest = Vec::new();
        let _ = stream.sock.read_to_end(&mut rest);
    });
    let client = client_of(address, &authority).connect().expect("open");
    let (mut reader, mut writer) = client.split();
    let text = |reader: &mut yamabiko::client::Reader| reader.read().expect("it is open");
    assert_eq!(text(&mut reader), Some(OwnedMessage::Text("go".to_owned())));
    let writing = thread::spawn(move || {
        writer.set_write_timeout(Some(TIMEOUT)).expect("a time");
        let _ = writer.send(vec![7; 64 << 20]);
    });
    assert_eq!(
        text(&mut reader),
        Some(OwnedMessage::Text("done".to_owned()))
    );
    drop(reader);
    // The server's end was shut down with the reader's last clone.
    joined("the server", server);
    joined("the writer", writing);
}

#[test]
fn client_speaks_both_versions_and_ends_with_a_close_notify() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let (address, server) = accepting(&authority, version, |stream| {
            upgrade(stream);
            stream.write_all(b"\x88\x02\x03\xe8").expect("it reads");
            stream.conn.send_close_notify();
            stream.flush().expect("it reads");
            stream
                .sock
                .shutdown(std::net::Shutdown::Write)
                .expect("it is open");
            // The client's Close, then its close_notify: without it this is an error.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).expect("a clean end");
            assert_eq!(rest.len(), 8);
        });
        let mut client = client_of(address, &authority).connect().expect("open");
        assert_eq!(client.read().expect("a clean end"), None);
        assert_eq!(client.ended().map(|ended| ended.code()), Some(1000));
        joined("the server", server);
    }
}

#[test]
fn end_of_tcp_without_a_close_is_a_lost_connection() {
    let authority = Authority::new();
    let (address, server) = accepting(&authority, &TLS13, |stream| {
        upgrade(stream);
        stream.write_all(b"\x81\x04last\x81\x7e").expect("it reads");
    });
    let mut client = client_of(address, &authority).connect().expect("open");
    let last = OwnedMessage::Text("last".to_owned());
    assert_eq!(client.read().expect("it came"), Some(last));
    assert!(matches!(client.read(), Err(ClientError::Lost(_))));
    joined("the server", server);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If this fails (e.g., the server's certificate could not be
//# verified), then the client MUST _Fail the WebSocket
//# Connection_ and abort the connection.
#[test]
fn client_fails_if_the_certificate_is_not_trusted_expired_or_of_another_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for tls in [
        stranger.localhost(),
        authority.issue(&["other.example"]).server(),
        authority.issue_expired(&["localhost"]).server(),
    ] {
        let server = serving(tls);
        let error = client_of(server.address, &authority)
            .connect()
            .expect_err("not trusted");
        let ClientError::Tls(error) = error else {
            panic!("{error}");
        };
        assert!(error.is_certificate(), "{error}");
        eventually("the connection has ended", TIMEOUT, || {
            server.handle.metrics().opened == 0
        });
        // Whoever asks for it gets a connection.
        let insecure = ClientTls::insecure().expect("a configuration");
        let mut client = client_of(server.address, &authority)
            .tls(insecure)
            .connect()
            .expect("open");
        client.send("hello").expect("it is open");
    }
}

#[test]
fn certificate_of_an_authority_is_not_accepted_as_one_of_a_server_and_the_error_tells_the_cure() {
    let authority = Authority::new();
    let server = serving(authority.issue_authority(&["localhost"]).server());
    let error = client_of(server.address, &authority)
        .connect()
        .expect_err("not accepted");
    let ClientError::Tls(error) = error else {
        panic!("{error}");
    };
    assert!(error.is_certificate());
    assert!(
        error
            .to_string()
            .contains("basicConstraints=critical,CA:FALSE"),
        "{error}"
    );
}

#[test]
fn handshake_of_tls_has_the_deadline_of_the_opening_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let error = client_of(address, &Authority::new())
        .handshake_timeout(Duration::from_millis(50))
        .connect()
        .expect_err("nobody answers");
    assert!(
        matches!(error, ClientError::TimedOut(Step::OpeningHandshake)),
        "{error}"
    );
}

#[test]
fn server_without_tls_is_an_error_of_tls() {
    let server = Running::start(config(1));
    let error = client_of(server.address, &Authority::new())
        .connect()
        .expect_err("no TLS");
    assert!(
        matches!(
            error,
            ClientError::Tls(_) | ClientError::EndedInHandshake(_)
        ),
        "{error}"
    );
}
