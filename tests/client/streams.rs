//! The client on streams of its caller: connected sockets, and anything that can be read and written. The server is the library's own,
//! or a script of bytes on the other end of a socket.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use yamabiko::client::{
    Client, ClientBuilder, ClientError, CloseCode, OwnedMessage, Side, Step, StreamClient,
};
use yamabiko::server::Config;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::handshake::accept_key;
use yamabiko::websocket::{Event, Fragment, Limits};
use yamabiko_testing::socket::{Running, TIMEOUT, config};

/// A stream that gives one byte for each read, and takes at most three for each write.
struct Trickle<S>(S);

impl<S: Read> Read for Trickle<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let first = buffer.get_mut(..1).unwrap_or_default();
        self.0.read(first)
    }
}

impl<S: Write> Write for Trickle<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(3)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn connected(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(server.address).expect("the server listens");
    stream.set_nodelay(true).expect("an open socket");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream
}

fn builder() -> ClientBuilder {
    Client::builder("ws://localhost/")
}

/// Sends and receives messages of every kind of length.
fn echoes<S: Read + Write>(client: &mut StreamClient<S>, lengths: &[usize]) {
    for &length in lengths {
        let text = "é".repeat(length / 2);
        client.send(&text).expect("the server reads");
        assert_eq!(client.read().unwrap(), Some(OwnedMessage::from(text)));
        let bytes = vec![0xa5; length];
        client.send(&bytes).expect("the server reads");
        assert_eq!(client.read().unwrap(), Some(OwnedMessage::from(bytes)));
    }
}

fn closes<S: Read + Write>(client: &mut StreamClient<S>) {
    let ended = client.close((CloseCode::NORMAL, "done")).expect("a reason");
    assert!(
        ended.clean && ended.first_close == Some(Side::Local),
        "{ended:?}"
    );
    assert_eq!(client.read().unwrap(), None);
    assert!(!client.is_open());
    assert!(matches!(client.send("late"), Err(ClientError::Send(_))));
}

#[test]
fn client_over_a_stream_exchanges_messages_and_closes() {
    let server = Running::start(config(1));
    let mut client = builder().connect_over(connected(&server)).expect("open");
    assert!(client.is_open());
    echoes(
        &mut client,
        &[0, 2, 124, 126, 1000, 65_534, 65_536, 300_000, 1 << 20],
    );
    closes(&mut client);
}

#[test]
fn client_over_a_stream_receives_the_same_however_the_stream_cuts() {
    let server = Running::start(config(1));
    let stream = Trickle(connected(&server));
    let mut client = builder().connect_over(stream).expect("open");
    echoes(&mut client, &[0, 2, 124, 126, 1000, 70_000]);
    closes(&mut client);
}

#[test]
fn compression_and_pieces_are_as_in_any_client() {
    let server = Running::start(Config {
        deflate: Some(DeflateConfig::default()),
        ..config(1)
    });
    let client = builder().deflate(DeflateConfig::default());
    let mut client = client.connect_over(connected(&server)).expect("open");
    assert!(client.deflate().is_some());
    // A server inflates any message to 64 KiB.
    echoes(&mut client, &[1000, 60_000]);

    let limits = Limits {
        message_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let client = builder().limits(limits).pieces();
    let mut client = client.connect_over(connected(&server)).expect("open");
    assert!(matches!(client.read(), Err(ClientError::InPieces)));
    let payload = vec![7; 500_000];
    client
        .send_fragment(Fragment::binary(&payload[..1]))
        .expect("open");
    client
        .send_fragment(Fragment::binary(&payload[1..]).last())
        .expect("open");
    let mut received = Vec::new();
    loop {
        let is_last = client.read_with(|event| match event {
            Event::Piece(piece) => {
                received.extend_from_slice(piece.as_bytes());
                piece.is_last()
            }
            other => panic!("{other:?}"),
        });
        if is_last.unwrap() == Some(true) {
            break;
        }
    }
    assert_eq!(received, payload);
}

#[test]
fn pongs_are_events_and_the_response_has_its_fields() {
    let server = Running::start(config(1));
    let client = Client::builder("ws://localhost/subprotocols").subprotocol("chat");
    let mut client = client.connect_over(connected(&server)).expect("open");
    assert_eq!(client.subprotocol(), Some("chat"));
    assert_eq!(client.response_fields().text("Upgrade"), Some("websocket"));
    client.ping(b"are you there?").expect("open");
    let pong = client
        .read_with(|event| matches!(event, Event::Pong(payload) if *payload == *b"are you there?"));
    assert_eq!(pong.unwrap(), Some(true));
}

#[test]
fn refused_handshake_is_reported_with_the_response() {
    let server = Running::start(config(1));
    let client = Client::builder("ws://localhost/nowhere").connect_over(connected(&server));
    match client.map(drop) {
        Err(ClientError::Refused(refusal)) => assert_eq!(refusal.response.status, 404),
        other => panic!("{other:?}"),
    }
}

#[test]
fn stream_of_a_wss_uri_needs_no_other_tls() {
    let server = Running::start(config(1));
    let client = Client::builder("wss://localhost/").connect_over(connected(&server));
    echoes(&mut client.expect("open"), &[5]);
}

/// A stream of a script: what each read returns, and all that was written.
#[derive(Debug, Default)]
struct Script {
    reads: VecDeque<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Script {
    /// An empty read is a timeout. After the last one the stream has ended.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(head) = self.written.strip_suffix(b"\r\n\r\n") {
            let head = String::from_utf8(head.to_vec()).expect("a head of ASCII");
            let key = head.split("Sec-WebSocket-Key: ").nth(1).expect("a key");
            let accept = accept_key(&key[..24]);
            let accept = std::str::from_utf8(&accept).expect("base64");
            self.written.clear();
            let response = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            buffer[..response.len()].copy_from_slice(response.as_bytes());
            return Ok(response.len());
        }
        match self.reads.pop_front() {
            None => Ok(0),
            Some(bytes) if bytes.is_empty() => Err(ErrorKind::TimedOut.into()),
            Some(bytes) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
        }
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client that is open, and for which these reads follow.
fn scripted(builder: ClientBuilder, reads: &[&[u8]]) -> StreamClient<Script> {
    let script = Script {
        reads: reads.iter().map(|bytes| bytes.to_vec()).collect(),
        ..Script::default()
    };
    builder.connect_over(script).expect("the script accepts")
}

/// The opcodes of the frames that were written; each has a short payload and a masking key.
fn opcodes(written: &[u8]) -> Vec<u8> {
    let mut opcodes = Vec::new();
    let mut rest = written;
    while let [first, second, ..] = rest {
        opcodes.push(first & 0xf);
        rest = &rest[2 + 4 + usize::from(second & 0x7f)..];
    }
    opcodes
}

#[test]
fn timeout_of_the_stream_is_reported_and_nothing_is_lost() {
    let mut client = scripted(builder(), &[b"\x81\x02h", b"", b"", b"i"]);
    for _ in 0..2 {
        assert!(matches!(
            client.read(),
            Err(ClientError::TimedOut(Step::Read))
        ));
    }
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::from("hi")));
}

#[test]
fn read_timeout_of_the_builder_outlasts_those_of_the_stream() {
    let builder = builder().read_timeout(TIMEOUT);
    let mut client = scripted(builder, &[b"", b"", b"", b"\x81\x02hi"]);
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::from("hi")));
}

#[test]
fn silent_server_gets_a_ping_and_is_given_up_at_the_streams_timeouts() {
    let builder = builder().keep_alive(Duration::ZERO, Duration::ZERO);
    let mut client = scripted(builder, &[b"", b"", b"", b"", b""]);
    let given_up = (0..5).find_map(|_| match client.read() {
        Err(ClientError::TimedOut(Step::Read)) => None,
        other => Some(other),
    });
    assert!(
        matches!(given_up, Some(Err(ClientError::TimedOut(Step::Pong)))),
        "{given_up:?}"
    );
    assert_eq!(opcodes(&client.stream().written), [9]);
    assert!(!client.is_open());
}

#[test]
fn closing_handshake_is_given_up_at_the_streams_timeouts() {
    let builder = builder().close_timeout(Duration::ZERO);
    let mut client = scripted(builder, &[b"\x81\x02hi", b"", b"", b""]);
    let ended = client.close(CloseCode::NORMAL).expect("a reason");
    assert!(!ended.clean);
    assert!(matches!(
        client.read(),
        Err(ClientError::TimedOut(Step::ClosingHandshake))
    ));
}

#[test]
fn broken_rule_is_answered_by_a_close_and_reported() {
    // A masked frame of a server.
    let mut client = scripted(builder(), &[b"\x81\x81\0\0\0\0x", b"discarded"]);
    for _ in 0..2 {
        assert!(matches!(client.read(), Err(ClientError::Protocol(_))));
    }
    assert_eq!(opcodes(&client.stream().written), [8]);
}

#[test]
fn ping_is_answered_before_it_is_handed_out_and_a_close_is_answered() {
    let mut client = scripted(builder(), &[b"\x89\x02hi", b"\x88\x02\x03\xe9"]);
    client
        .read_with(|event| assert!(matches!(event, Event::Ping(_))))
        .unwrap();
    assert_eq!(opcodes(&client.stream().written), [10]);
    assert_eq!(client.read().unwrap(), None);
    assert_eq!(opcodes(&client.stream().written), [10, 8]);
    let ended = client.ended().expect("it has ended");
    assert_eq!((ended.clean, ended.code()), (true, 1001));
}

#[test]
fn end_of_the_stream_without_a_close_is_a_lost_connection() {
    let mut client = scripted(builder(), &[b"\x81\x02hi"]);
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::from("hi")));
    assert!(matches!(client.read(), Err(ClientError::Lost(None))));
    assert!(matches!(client.send("late"), Err(ClientError::Lost(None))));
}

#[test]
fn handshake_on_a_silent_stream_ends_at_its_timeout() {
    struct Silent;
    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
    }
    impl Write for Silent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let client = builder().handshake_timeout(Duration::ZERO);
    assert!(matches!(
        client.connect_over(Silent).map(drop),
        Err(ClientError::TimedOut(Step::OpeningHandshake))
    ));
}

#[test]
fn client_on_a_connected_socket_has_two_halves() {
    let server = Running::start(config(1));
    let client = builder().connect_on(connected(&server)).expect("open");
    assert_eq!(client.peer_address().expect("TCP"), server.address);
    let (mut reader, mut writer) = client.split();
    let sends = thread::spawn(move || {
        for number in 0..100 {
            writer.send(number.to_string()).expect("the server reads");
        }
        writer.close(CloseCode::NORMAL).expect("open");
    });
    for number in 0..100 {
        let message = OwnedMessage::from(number.to_string());
        assert_eq!(reader.read().unwrap(), Some(message));
    }
    assert_eq!(reader.read().unwrap(), None);
    sends.join().expect("all were sent");
}

#[test]
fn client_on_a_connected_socket_does_not_resolve_its_host() {
    let server = Running::start(config(1));
    let client = Client::builder("ws://name.invalid:1/").connect_on(connected(&server));
    let mut client = client.expect("open");
    client.send("here").expect("open");
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::from("here")));
}

#[test]
fn server_that_does_not_answer_on_a_connected_socket_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let socket = TcpStream::connect(address).expect("it listens");
    let client = builder().handshake_timeout(Duration::from_millis(1));
    assert!(matches!(
        client.connect_on(socket).map(drop),
        Err(ClientError::TimedOut(Step::OpeningHandshake))
    ));
}

#[cfg(unix)]
#[test]
fn client_on_a_unix_socket_is_as_any_other() {
    use std::os::unix::net::UnixStream;
    let server = Running::start(config(1));
    let (own, servers) = UnixStream::pair().expect("a pair of sockets");
    server.handle.accept(servers).expect("the server runs");
    let mut client = builder()
        .read_timeout(TIMEOUT)
        .connect_on(own)
        .expect("open");
    client.send("over a pair").expect("open");
    assert_eq!(
        client.read().unwrap(),
        Some(OwnedMessage::from("over a pair"))
    );
    assert!(client.peer_address().is_err());
    assert!(client.close(CloseCode::NORMAL).expect("a reason").clean);
}
