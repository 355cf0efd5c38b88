//! The blocking client against a server that is scripted byte by byte.
//!
//! The server is a thread with a `TcpListener`. It shares only `accept_key` with the client.
//! Each of its reads has a timeout, so that a failing test does not hang: the server's thread
//! ends, and with it the connection that the client waits for.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use yamabiko::client::{Client, ClientError, Ended, HttpRefusal, OwnedMessage, Side, Step};
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::frame::{CloseCode, FrameError};
use yamabiko::websocket::handshake::{ClientHandshakeError, UriError, accept_key};
use yamabiko::websocket::{Event, Fragment, Limits, Message, ProtocolError, SendError};

use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::waiting::{TIMEOUT, accepted, joined};

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Runs the script for the first connection on its own thread.
fn server<T: Send + 'static>(
    script: impl FnOnce(Peer) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let uri = uri_of(listener.local_addr().expect("bound"));
    (uri, thread::spawn(move || script(Peer::accept(&listener))))
}

/// As [`server`], after the opening handshake.
fn open_server<T: Send + 'static>(
    script: impl FnOnce(Peer) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    server(|mut peer| {
        peer.shake_hands();
        script(peer)
    })
}

fn uri_of(address: SocketAddr) -> String {
    format!("ws://{address}/echo?a=1")
}

/// The server's end of one connection.
struct Peer {
    stream: TcpStream,
}

/// One frame from the client, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    first_byte: u8,
    masking_key: [u8; 4],
    payload: Vec<u8>,
}

impl Peer {
    fn accept(listener: &TcpListener) -> Peer {
        let stream = accepted(listener);
        stream.set_nodelay(true).expect("open");
        Peer { stream }
    }

    /// The head of the request, read to its empty line.
    fn request(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.bytes::<1>()[0]);
        }
        String::from_utf8(head).expect("a head of ASCII")
    }

    fn shake_hands(&mut self) -> String {
        let request = self.request();
        self.send_bytes(&switching(&request, ""));
        request
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the client reads");
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).expect("bytes");
        bytes
    }

    /// The next frame, which must be masked like every frame of a client.
    fn frame(&mut self) -> Frame {
        let [first_byte, second_byte] = self.bytes();
        assert_eq!(second_byte & 0x80, 0x80, "a client masks");
        let length = match second_byte & 0x7f {
            126 => usize::from(u16::from_be_bytes(self.bytes())),
            127 => usize::try_from(u64::from_be_bytes(self.bytes())).expect("it fits"),
            length => usize::from(length),
        };
        let masking_key: [u8; 4] = self.bytes();
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).expect("a payload");
        for (byte, key) in payload.iter_mut().zip(masking_key.iter().cycle()) {
            *byte ^= key;
        }
        Frame {
            first_byte,
            masking_key,
            payload,
        }
    }

    /// Waits for the next byte. Whether the client closed TCP instead of sending one.
    fn sees_end(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Sends this repeatedly until the client closes TCP. Fails if it never does.
    fn send_until_end(&mut self, bytes: &[u8]) {
        let moment = Some(Duration::from_millis(5));
        self.stream.set_read_timeout(moment).expect("open");
        let is_timeout = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
        for _ in 0..SENT_MAX {
            if self.stream.write_all(bytes).is_err() {
                return;
            }
            match self.stream.read(&mut [0; 1]) {
                Err(error) if is_timeout(error.kind()) => {}
                Ok(1..) => panic!("the client sends bytes"),
                Ok(0) | Err(_) => return,
            }
        }
        panic!("the client is open after {SENT_MAX} times");
    }

    /// Whether the client has neither sent bytes nor closed TCP.
    fn sees_nothing(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("open");
        let result = self.stream.read(&mut [0; 1]);
        self.stream.set_nonblocking(false).expect("open");
        result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// How often [`Peer::send_until_end`] sends: for ten seconds or more.
const SENT_MAX: usize = 2_000;

/// The 101 response to this request, with further fields.
fn switching(request: &str, fields: &str) -> Vec<u8> {
    let accept = accept_key(field(request, "Sec-WebSocket-Key").expect("a key"));
    let accept = std::str::from_utf8(&accept).expect("Base64");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
    )
    .into_bytes()
}

fn field<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find_map(|(own, value)| (own == name).then_some(value))
}

/// An unmasked frame with FIN and a short payload.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    assert!(length <= 125);
    [&[0x80 | opcode, length], payload].concat()
}

fn text(text: &str) -> Option<OwnedMessage> {
    Some(OwnedMessage::Text(text.to_owned()))
}

// ---------------------------------------------------------------------------
// The opening handshake
// ---------------------------------------------------------------------------

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# it MUST open a connection, send an opening handshake, and read the
//# server's handshake in response.
#[test]
fn client_connects_sends_its_request_and_reads_the_response() {
    let (uri, server) = server(|mut peer| {
        let request = peer.request();
        peer.send_bytes(&switching(&request, "Sec-WebSocket-Protocol: b\r\n"));
        request
    });
    let client = Client::builder(&uri)
        .subprotocol("a")
        .subprotocol("b")
        .field("Authorization", "Bearer 1")
        .origin("https://example.org")
        .connect()
        .expect("a connection");
    let request = joined("the script", server);
    assert!(
        request.starts_with("GET /echo?a=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert_eq!(field(&request, "Sec-WebSocket-Protocol"), Some("a, b"));
    assert_eq!(field(&request, "Authorization"), Some("Bearer 1"));
    assert_eq!(field(&request, "Origin"), Some("https://example.org"));
    assert_eq!(client.subprotocol(), Some("b"));
    let host = client.peer_address().expect("open").to_string();
    assert_eq!(field(&request, "Host"), Some(&*host));
}

/// RFC 7692 §7.2.3.1: a text, "Hello".
const COMPRESSED_HELLO: [u8; 9] = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";

#[test]
fn client_that_offers_compression_uses_it_when_the_server_agrees() {
    let (uri, server) = server(|mut peer| {
        let request = peer.request();
        let answer = "Sec-WebSocket-Extensions: permessage-deflate; \
                      server_no_context_takeover; client_no_context_takeover\r\n";
        peer.send_bytes(&switching(&request, answer));
        peer.send_bytes(&COMPRESSED_HELLO);
        (request, peer.frame(), peer.frame())
    });
    let builder = Client::builder(&uri).deflate(DeflateConfig::default());
    let mut client = builder.connect().expect("a connection");
    let agreed = client.deflate().expect("the server has agreed");
    assert!(agreed.client_no_context_takeover && agreed.server_no_context_takeover);
    assert_eq!(client.read().expect("open"), text("Hello"));
    client.send(Message::Text(&"a".repeat(64))).expect("open");
    client.send(Message::Text("short")).expect("open");
    let (request, long, short) = joined("the script", server);
    let offer = field(&request, "Sec-WebSocket-Extensions");
    assert!(offer.is_some_and(|offer| offer.starts_with("permessage-deflate")));
    assert_eq!(long.first_byte, 0b1100_0001);
    assert!(long.payload.len() < 64);
    assert_eq!(
        (short.first_byte, &*short.payload),
        (0b1000_0001, &b"short"[..])
    );
}

#[test]
fn client_continues_without_compression_when_the_server_declines() {
    let (uri, server) = open_server(|mut peer| peer.frame());
    let builder = Client::builder(&uri).deflate(DeflateConfig::default());
    let mut client = builder.connect().expect("a connection");
    assert_eq!(client.deflate(), None);
    client.send(Message::Text(&"a".repeat(64))).expect("open");
    let frame = joined("the script", server);
    assert_eq!((frame.first_byte, frame.payload.len()), (0b1000_0001, 64));
}

#[test]
fn client_that_offers_no_compression_fails_on_a_compressed_message() {
    let (uri, server) = server(|mut peer| {
        let request = peer.request();
        peer.send_bytes(&switching(&request, ""));
        peer.send_bytes(&COMPRESSED_HELLO);
        (request, peer.frame())
    });
    let mut client = Client::connect(&uri).expect("a connection");
    assert!(client.read().is_err());
    let (request, close) = joined("the script", server);
    assert_eq!(field(&request, "Sec-WebSocket-Extensions"), None);
    assert_eq!(close.payload[..2], 1002u16.to_be_bytes());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the client is not configured to use a proxy, then a direct TCP
//# connection SHOULD be opened to the host given by /host/ and the port
//# given by /port/.
#[test]
fn client_resolves_a_name_and_tries_each_of_its_addresses() {
    let (uri, server) = open_server(|peer| peer.stream.local_addr().expect("open"));
    // On most machines `localhost` is also ::1, where no server listens.
    let uri = uri.replace("127.0.0.1", "localhost");
    let client = Client::connect(&uri).expect("a connection");
    let address = joined("the script", server);
    assert_eq!(client.peer_address().expect("open"), address);
    assert!(client.local_address().expect("open").ip().is_loopback());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the connection could not be opened, either because a direct
//# connection failed or because any proxy used returned an error, then the
//# client MUST _Fail the WebSocket Connection_ and abort the connection
//# attempt.
#[test]
fn client_reports_which_address_refused_the_connection() {
    let port = ReservedPort::new();
    let address = port.address();
    let error = Client::connect(&uri_of(address)).expect_err("no server listens");
    let ClientError::Connect(attempts) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].0, address);
    assert_eq!(attempts[0].1.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), format!("cannot connect to {address}"));
    let cause = error.source().map(ToString::to_string);
    assert_eq!(cause, Some(attempts[0].1.to_string()));
}

/// Each address has its own error, so that none of them is the source.
#[test]
fn client_error_tells_each_cause_once() {
    let refused = || io::Error::from(ErrorKind::ConnectionRefused);
    let [first, second] = ["127.0.0.1:1", "[::1]:1"].map(|address| address.parse().unwrap());
    let attempts = vec![(first, refused()), (second, refused())];
    let cause = refused().to_string();
    let several = format!("cannot connect to 127.0.0.1:1: {cause}; to [::1]:1: {cause}");
    for (error, expected) in [
        (ClientError::Connect(attempts), several),
        (
            ClientError::Connect(vec![]),
            "cannot connect: the name has no address".into(),
        ),
        (
            ClientError::Lost(Some(refused().into())),
            format!("the connection was lost without a closing handshake: {cause}"),
        ),
        (
            ClientError::Protocol(ProtocolError::TextNotUtf8),
            format!(
                "the server broke the protocol: {}",
                ProtocolError::TextNotUtf8
            ),
        ),
        (
            ClientError::Uri(UriError::Scheme),
            UriError::Scheme.to_string(),
        ),
    ] {
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            told = format!("{told}: {cause}");
            source = cause.source();
        }
        assert_eq!(told, expected);
    }
}

#[test]
fn client_opens_no_connection_for_a_bad_uri_or_a_bad_request() {
    let builder = || Client::builder("ws://127.0.0.1:1/");
    assert!(matches!(
        Client::connect("http://127.0.0.1:1/"),
        Err(ClientError::Uri(UriError::Scheme))
    ));
    for request in [
        builder().field("Upgrade", "h2c"),
        builder().field("A", "b\r\nC: d"),
        builder().subprotocol("a b"),
        builder().origin(""),
    ] {
        assert!(matches!(request.connect(), Err(ClientError::Request(_))));
    }
}

#[test]
fn client_rejects_a_wrong_accept() {
    let (uri, server) = server(|mut peer| {
        let request = peer.request();
        let other = request.replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x");
        peer.send_bytes(&switching(&other, ""));
        peer.sees_end()
    });
    let error = Client::connect(&uri).expect_err("the key of another request");
    let ClientError::Handshake(rule) = error else {
        panic!("{error:?}");
    };
    assert_eq!(rule, ClientHandshakeError::WrongAccept);
    assert!(joined("the script", server), "the client drops TCP");
}

#[test]
fn client_reports_status_fields_and_body_of_another_response() {
    let (uri, _server) = server(|mut peer| {
        peer.request();
        peer.send_bytes(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\nX-Why: gone\r\n\r\nno room",
        );
        peer.send_bytes(b"!and bytes after the body");
        peer.sees_end()
    });
    let error = Client::connect(&uri).expect_err("404");
    assert_eq!(error.to_string(), "the server answered 404 Not Found");
    let ClientError::Refused(refusal) = error else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.response.status, 404);
    assert_eq!(refusal.response.field("x-why"), Some(&b"gone"[..]));
    assert_eq!(refusal.body_start, b"no room!");
    let debug = format!("{refusal:?}");
    assert!(debug.contains(r#"body_start: "no room!""#), "{debug}");
}

/// The client's report of a response with this status line and these bytes after it. The
/// server keeps TCP open.
fn refusal_of(status_line: &str, rest: impl AsRef<[u8]>) -> HttpRefusal {
    let answer = [status_line.as_bytes(), b"\r\n", rest.as_ref()].concat();
    let (uri, _server) = server(move |mut peer| {
        peer.request();
        peer.send_bytes(&answer);
        peer.sees_end()
    });
    let error = Client::connect(&uri).expect_err("it is refused");
    error.refusal().expect("an HTTP answer").clone()
}

#[test]
fn client_reports_a_chunked_body_without_its_framing() {
    let refusal = refusal_of(
        "HTTP/1.1 400 Bad Request",
        "Transfer-Encoding: chunked\r\n\r\n12\r\nthe room is closed\r\n0\r\n\r\nHTTP/1.1 200 OK",
    );
    assert_eq!(refusal.body_text(), "the room is closed");
    let two = "Transfer-Encoding: chunked\r\n\r\n3\r\nthe\r\n5;x=y\r\n room\r\n0\r\n";
    assert_eq!(refusal_of("HTTP/1.1 400 no", two).body_text(), "the room");
    let broken = "Transfer-Encoding: chunked\r\n\r\nthe room is closed";
    assert_eq!(refusal_of("HTTP/1.1 400 no", broken).body_text(), "");
}

#[test]
fn client_keeps_4_kib_of_a_chunked_body() {
    let chunked = |content: &[u8], chunk_bytes: usize| {
        let chunks = content.chunks(chunk_bytes);
        let chunks = chunks.map(|chunk| {
            let size = format!("{:x}\r\n", chunk.len());
            [size.as_bytes(), chunk, b"\r\n"].concat()
        });
        let body: Vec<u8> = chunks.flatten().collect();
        [
            b"Transfer-Encoding: chunked\r\n\r\n",
            &body[..],
            b"0\r\n\r\n",
        ]
        .concat()
    };
    for chunk_bytes in [1, 1000, 4096, 5000] {
        for (sent, kept) in [(4095, 4095), (4096, 4096), (4097, 4096)] {
            let rest = chunked(&vec![b'x'; sent], chunk_bytes);
            let refusal = refusal_of("HTTP/1.1 503 Busy", rest);
            assert_eq!(refusal.body_start.len(), kept, "{sent} {chunk_bytes}");
        }
    }
}

#[test]
fn client_reads_at_most_32_kib_and_one_further_read_for_a_body() {
    const CHUNK: &[u8] = b"1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n";
    let (uri, server) = server(|mut peer| {
        peer.request();
        let _ = peer
            .stream
            .write_all(b"HTTP/1.1 400 no\r\nTransfer-Encoding: chunked\r\n\r\n");
        // Until the client closes: long before 64 MiB.
        let closed = (0..16_384).any(|_| peer.stream.write_all(&CHUNK.repeat(64)).is_err());
        assert!(closed, "the client continues reading");
    });
    let error = Client::connect(&uri).expect_err("it is refused");
    let content = error.refusal().expect("an HTTP answer").body_start.len();
    let chunks_in = |bytes: usize| bytes / CHUNK.len();
    assert!(
        content <= chunks_in((32 << 10) + (4 << 10)) + 1,
        "{content}"
    );
    joined("the script", server);
}

#[test]
fn client_finds_the_end_of_a_body_by_the_header_fields() {
    for (status, rest, body) in [
        ("HTTP/1.1 404 no", "Content-Length: 0\r\n\r\nafter it", ""),
        (
            "HTTP/1.1 404 no",
            "Content-Length: 4\r\n\r\nroomafter it",
            "room",
        ),
        ("HTTP/1.1 204 no", "\r\nafter it", ""),
        ("HTTP/1.1 304 no", "Content-Length: 4\r\n\r\nafter it", ""),
        ("HTTP/1.1 404 no", "Content-Length: 4, 5\r\n\r\nroom", ""),
    ] {
        assert_eq!(
            refusal_of(status, rest).body_text(),
            body,
            "{status} {rest}"
        );
    }
}

#[test]
fn client_reports_the_location_and_the_time_to_retry() {
    let moved = refusal_of(
        "HTTP/1.1 307 Temporary Redirect",
        "location: ws://example.com/\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(
        moved.field("Location").as_deref(),
        Some("ws://example.com/")
    );
    assert_eq!(moved.field("Retry-After"), None);
    let busy = refusal_of(
        "HTTP/1.1 503",
        b"Retry-After: 120\r\nX-Why: caf\xe9\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(busy.field("retry-after").as_deref(), Some("120"));
    assert_eq!(busy.field("X-Why").as_deref(), Some("caf\u{fffd}"));
    assert_eq!(busy.response.status, 503);
    let other = Client::connect("wss://example.com/").expect_err("no TLS");
    assert!(other.refusal().is_none());
}

#[test]
fn client_keeps_4_kib_of_a_body_and_waits_a_second_for_it() {
    let body_start_of = |body_bytes: usize| {
        let (uri, _server) = server(move |mut peer| {
            peer.request();
            // In one write, so that all of it arrives within the second.
            let head = b"HTTP/1.1 503 Busy\r\n\r\n";
            peer.send_bytes(&[&head[..], &vec![b'x'; body_bytes]].concat());
            peer.sees_end()
        });
        let begin = Instant::now();
        match Client::connect(&uri) {
            Err(ClientError::Refused(refusal)) => (refusal.body_start.len(), begin.elapsed()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(body_start_of(4096).0, 4096);
    assert_eq!(body_start_of(4097).0, 4096);
    let (kept, waited) = body_start_of(4095);
    assert_eq!(kept, 4095);
    assert!(
        waited >= Duration::from_secs(1) && waited < TIMEOUT,
        "{waited:?}"
    );
}

#[test]
fn handshake_timeout_limits_the_whole_handshake_and_not_each_read() {
    let (uri, server) = server(|mut peer| {
        peer.request();
        peer.send_bytes(b"HTTP/1.1 101 ");
        peer.send_until_end(b"S");
    });
    let begin = Instant::now();
    let error = Client::builder(&uri)
        .handshake_timeout(Duration::from_millis(300))
        .connect()
        .expect_err("too slow");
    assert!(
        matches!(error, ClientError::TimedOut(Step::OpeningHandshake)),
        "{error:?}"
    );
    assert!(begin.elapsed() >= Duration::from_millis(300));
    joined("the script", server);
}

#[test]
fn client_reports_an_incomplete_handshake() {
    let (uri, _server) = server(|mut peer| {
        peer.request();
        peer.send_bytes(b"HTTP/1.1 101 Switching Pro");
    });
    let error = Client::connect(&uri).expect_err("half an answer");
    assert!(
        matches!(error, ClientError::EndedInHandshake(None)),
        "{error:?}"
    );
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# the client MUST wait until that connection has been established or for
//# that connection to have failed.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# There MUST be no more than one connection in a CONNECTING state.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If multiple connections to the same IP address are attempted
//# simultaneously, the client MUST serialize them
#[test]
fn clients_connect_to_one_address_one_after_the_other() {
    const CLIENTS: usize = 4;
    // 127.0.0.7: no other test connects to it, so none waits for this permit.
    let Ok(listener) = TcpListener::bind("127.0.0.7:0") else {
        return; // only Linux has all of 127.0.0.0/8
    };
    let uri = uri_of(listener.local_addr().expect("bound"));
    let all_start = Arc::new(Barrier::new(CLIENTS + 1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (uri, all_start) = (uri.clone(), Arc::clone(&all_start));
            thread::spawn(move || {
                all_start.wait();
                Client::connect(&uri)
            })
        })
        .collect();
    all_start.wait();
    let mut peers = Vec::new();
    for _ in 0..CLIENTS {
        let mut peer = Peer::accept(&listener);
        let request = peer.request();
        // While this one is CONNECTING, a client can connect to another address, and the
        // other clients must wait.
        connect_elsewhere();
        listener.set_nonblocking(true).expect("a listener");
        let next = listener.accept().map(|_| ());
        listener.set_nonblocking(false).expect("a listener");
        let error = next.expect_err("one at a time");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        peer.send_bytes(&switching(&request, ""));
        peers.push(peer);
    }
    for client in clients {
        joined("the connection of a client", client).expect("a connection");
    }
}

/// Performs a complete opening handshake with 127.0.0.8.
fn connect_elsewhere() {
    let listener = TcpListener::bind("127.0.0.8:0").expect("Linux has all of 127.0.0.0/8");
    let uri = uri_of(listener.local_addr().expect("bound"));
    let server = thread::spawn(move || Peer::accept(&listener).shake_hands());
    Client::connect(&uri).expect("a connection");
    joined("the handshake elsewhere", server);
}

// ---------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------

/// Frames that a server may send together with the head of its response.
fn frames() -> Vec<u8> {
    [
        &frame(TEXT, "やまびこ".as_bytes())[..],
        b"\x01\x03Hel\x89\x02hi\x80\x02lo", // a ping between two fragments
        &[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70],
        &[0x5a; 70_000],
        &frame(PONG, b"unsolicited"),
        &frame(BINARY, b""),
        &frame(CLOSE, b"\x03\xe9bye"),
    ]
    .concat()
}

/// The client receives the same messages, however `cut` divides the bytes into writes.
fn receive_frames(cut: impl Fn(&mut Peer, &[u8]) + Send + 'static) {
    let (uri, server) = server(move |mut peer| {
        let request = peer.request();
        let bytes = [switching(&request, ""), frames()].concat();
        cut(&mut peer, &bytes);
        (peer.frame(), peer.frame())
    });
    let mut client = Client::connect(&uri).expect("a connection");
    assert_eq!(client.read().expect("open"), text("やまびこ"));
    assert_eq!(client.read().expect("open"), text("Hello"));
    let long = OwnedMessage::Binary(vec![0x5a; 70_000]);
    assert!(client.read().expect("open") == Some(long));
    let empty = OwnedMessage::Binary(Vec::new());
    assert_eq!(client.read().expect("open"), Some(empty));
    assert_eq!(client.read().expect("a clean end"), None);
    let (pong, close) = joined("the script", server);
    assert_eq!((pong.first_byte, &*pong.payload), (0x8a, &b"hi"[..]));
    assert_eq!(
        (close.first_byte, &close.payload[..2]),
        (0x88, &b"\x03\xe9"[..])
    );
    assert_ne!(pong.masking_key, close.masking_key);
}

#[test]
fn client_reads_the_same_messages_from_one_piece() {
    receive_frames(|peer, bytes| peer.send_bytes(bytes));
}

#[test]
fn client_reads_the_same_messages_from_single_bytes() {
    receive_frames(|peer, bytes| {
        for byte in bytes {
            peer.send_bytes(&[*byte]);
        }
    });
}

#[test]
fn client_reads_the_same_messages_from_pieces_of_any_size() {
    receive_frames(|peer, bytes| {
        let mut sizes = [1, 2, 3, 5, 190, 7, 1, 60, 4096, 65_536].iter().cycle();
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = sizes.next().expect("endless");
            let (piece, later) = rest.split_at(rest.len().min(*size));
            peer.send_bytes(piece);
            thread::yield_now();
            rest = later;
        }
    });
}

#[test]
fn client_sends_masked_frames_with_a_new_key_each() {
    let (uri, server) = open_server(|mut peer| [(); 4].map(|()| peer.frame()));
    let mut client = Client::connect(&uri).expect("a connection");
    let owned = OwnedMessage::Text("二".to_owned());
    client.send(Message::Text("一")).expect("open");
    client.send(Message::Binary(&[7; 65_536])).expect("open");
    client.ping(b"?").expect("open");
    client.send(owned.as_message()).expect("open");
    let frames = joined("the script", server);
    let first_bytes = frames.each_ref().map(|frame| frame.first_byte);
    assert_eq!(first_bytes, [0x81, 0x82, 0x89, 0x81]);
    assert_eq!(frames[0].payload, "一".as_bytes());
    assert_eq!(frames[1].payload, [7; 65_536]);
    assert_eq!(frames[2].payload, b"?");
    assert_eq!(frames[3].payload, "二".as_bytes());
    let mut keys = frames.map(|frame| frame.masking_key).to_vec();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[test]
fn client_lends_every_event_but_close() {
    let (uri, _server) = open_server(|mut peer| {
        for opcode in [TEXT, BINARY, PING, PONG] {
            peer.send_bytes(&frame(opcode, b"x"));
        }
        peer.send_bytes(&frame(CLOSE, b""));
        (peer.frame(), peer.frame())
    });
    let mut client = Client::connect(&uri).expect("a connection");
    let mut kinds = String::new();
    while let Some(kind) = client.read_with(kind_of).expect("open") {
        kinds.push(kind);
    }
    assert_eq!(kinds, "TBPp");
    assert_eq!(client.ended().expect("it has ended").code(), 1005);
}

#[test]
fn reader_lends_every_event_and_leaves_the_writer_free_meanwhile() {
    let (uri, server) = open_server(|mut peer| {
        for opcode in [TEXT, BINARY, PONG] {
            peer.send_bytes(&frame(opcode, b"x"));
            assert_eq!(peer.frame().payload, b"x");
        }
        peer.send_bytes(&frame(PING, b"x"));
        let pong = peer.frame();
        (pong.first_byte, pong.payload)
    });
    let (mut reader, mut writer) = Client::connect(&uri).expect("a connection").split();
    let mut kinds = String::new();
    for _ in 0..4 {
        let kind = reader.read_with(|event| {
            // If the lock were held here, this send would never return.
            writer.send(Message::Text("x")).expect("open");
            kind_of(event)
        });
        kinds.push(kind.expect("open").expect("an event"));
    }
    assert_eq!(kinds, "TBpP");
    let pong = joined("the script", server);
    assert_eq!(pong, (0x80 | PONG, b"x".to_vec()));
}

fn kind_of(event: Event<'_>) -> char {
    match event {
        Event::Text(text) if text == "x" => 'T',
        Event::Binary(bytes) if *bytes == *b"x" => 'B',
        Event::Ping(payload) if *payload == *b"x" => 'P',
        Event::Pong(payload) if *payload == *b"x" => 'p',
        other => panic!("{other:?}"),
    }
}

#[test]
fn read_timeout_loses_nothing() {
    let (uri, server) = open_server(|mut peer| {
        peer.send_bytes(b"\x81\x05He");
        assert_eq!(peer.frame().payload, b"too late");
        peer.send_bytes(b"llo");
        peer
    });
    let mut client = Client::builder(&uri)
        .read_timeout(Duration::from_millis(50))
        .connect()
        .expect("a connection");
    let begin = Instant::now();
    let error = client.read().expect_err("half a message");
    assert!(
        matches!(error, ClientError::TimedOut(Step::Read)),
        "{error:?}"
    );
    assert!(begin.elapsed() >= Duration::from_millis(50));
    assert_eq!(client.ended(), None);
    client.set_read_timeout(None);
    client.send(Message::Text("too late")).expect("open");
    assert_eq!(client.read().expect("open"), text("Hello"));
    drop(joined("the script", server));
}

#[test]
fn client_that_cannot_send_reports_why_and_stays_open() {
    let (uri, server) = open_server(|mut peer| peer.frame().payload);
    let mut client = Client::connect(&uri).expect("a connection");
    let error = client.ping(&[0; 126]).expect_err("too long");
    assert!(matches!(
        error,
        ClientError::Send(SendError::ControlPayloadTooLong)
    ));
    let reason = "x".repeat(124);
    let error = client
        .close((CloseCode::NORMAL, &*reason))
        .expect_err("long");
    assert!(matches!(
        error,
        ClientError::Send(SendError::CloseReasonTooLong)
    ));
    client.send(Message::Text("still here")).expect("open");
    assert_eq!(joined("the script", server), b"still here");
}

// ---------------------------------------------------------------------------
// Endings
// ---------------------------------------------------------------------------

#[test]
fn client_answers_the_servers_close_and_reports_its_code_and_reason() {
    let (uri, server) = open_server(|mut peer| {
        peer.send_bytes(&frame(CLOSE, b"\x0f\xa0enough"));
        peer.frame()
    });
    let mut client = Client::connect(&uri).expect("a connection");
    assert_eq!(client.ended(), None);
    assert_eq!(client.read().expect("a clean end"), None);
    let ended = client.ended().expect("it has ended");
    assert_eq!((ended.clean, ended.first_close), (true, Some(Side::Peer)));
    assert_eq!((ended.code(), ended.reason()), (4000, "enough"));
    let sent = ended.sent.as_ref().expect("the client answered");
    assert_eq!(sent.code(), CloseCode::new(4000));
    assert_eq!(client.read().expect("and again"), None);
    assert_eq!(client.close(CloseCode::NORMAL).expect("done"), ended);
    let error = client.send(Message::Text("late")).expect_err("closed");
    assert!(
        matches!(error, ClientError::Send(SendError::NotOpen)),
        "{error:?}"
    );
    let close = joined("the script", server);
    assert_eq!(
        (close.first_byte, &close.payload[..2]),
        (0x88, &b"\x0f\xa0"[..])
    );
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//= type=test
//# the client SHOULD wait for the server to close the connection but MAY close
//# the connection at any time after sending and receiving a Close message
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
//= type=test
//# when a client is instructed to do the same, it SHOULD wait for a TCP Close from the server
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
//= type=test
//# An endpoint SHOULD use a method that cleanly closes the TCP connection, as
//# well as the TLS session, if applicable, discarding any trailing bytes
//# that may have been received.
#[test]
fn client_that_closes_lets_the_server_close_tcp_first() {
    let (uri, server) = open_server(|mut peer| {
        let close = peer.frame();
        peer.send_bytes(&frame(TEXT, b"on its way"));
        peer.send_bytes(&frame(CLOSE, b"\x03\xe8"));
        // More than all buffers of the kernel hold: the client reads and discards it.
        peer.send_bytes(&vec![b'x'; 32 << 20]);
        assert!(peer.sees_nothing(), "the client waits for the server");
        close
    });
    let mut client = Client::connect(&uri).expect("a connection");
    let ended = client.close((CloseCode::NORMAL, "またね")).expect("short");
    let close = joined("the script", server);
    assert_eq!(close.first_byte, 0x88);
    assert_eq!(close.payload, [b"\x03\xe8", "またね".as_bytes()].concat());
    assert_eq!((ended.clean, ended.first_close), (true, Some(Side::Local)));
    assert_eq!((ended.code(), ended.reason()), (1000, ""));
    let sent = ended.sent.expect("the client closed");
    assert_eq!(
        (sent.code(), sent.reason()),
        (Some(CloseCode::NORMAL), "またね")
    );
}

/// The result of a client's close if the server sends this and keeps TCP open.
fn close_answered_by(answer: Vec<u8>, close_timeout: Duration) -> (bool, u16, Option<Side>) {
    let (uri, server) = open_server(move |mut peer| {
        let close = peer.frame();
        peer.send_bytes(&answer);
        assert_eq!(close.payload, b"\x03\xe9");
        peer.sees_end()
    });
    let mut client = Client::builder(&uri)
        .close_timeout(close_timeout)
        .connect()
        .expect("a connection");
    let begin = Instant::now();
    let ended = client.close(CloseCode::GOING_AWAY).expect("short");
    assert!(begin.elapsed() >= close_timeout);
    assert!(joined("the script", server), "TCP is dropped");
    (ended.clean, ended.code(), ended.first_close)
}

#[test]
fn client_that_closes_waits_for_a_silent_server_no_longer_than_the_close_timeout() {
    let ended = close_answered_by(Vec::new(), Duration::from_millis(200));
    assert_eq!(ended, (false, 1006, Some(Side::Local)));
}

#[test]
fn client_that_closes_waits_for_the_end_of_tcp_no_longer_than_the_close_timeout() {
    // Long enough for the answer to arrive in time.
    let ended = close_answered_by(frame(CLOSE, b""), Duration::from_secs(2));
    assert_eq!(ended, (true, 1005, Some(Side::Local)));
}

#[test]
fn client_waits_for_tcp_no_longer_than_the_close_timeout_when_the_server_closes() {
    let (uri, server) = open_server(|mut peer| {
        peer.send_bytes(&frame(CLOSE, b"\x03\xe8"));
        let close = peer.frame();
        // It continues sending instead of closing TCP.
        peer.send_until_end(&frame(TEXT, b"one more"));
        close
    });
    let mut client = Client::builder(&uri)
        .close_timeout(Duration::from_millis(200))
        .connect()
        .expect("a connection");
    assert_eq!(client.read().expect("a clean end"), None);
    drop(client);
    let close = joined("the script", server);
    assert_eq!(close.payload[..2], *b"\x03\xe8");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
//= type=test
//# If at any point the underlying transport layer connection is
//# unexpectedly lost, the client MUST _Fail the WebSocket Connection_.
#[test]
fn client_reports_a_connection_that_ended_without_a_close() {
    let (uri, server) = open_server(|mut peer| peer.send_bytes(b"\x81\x05Hel"));
    let mut client = Client::connect(&uri).expect("a connection");
    joined("the script", server);
    let error = client.read().expect_err("half a message");
    assert!(matches!(error, ClientError::Lost(None)), "{error:?}");
    let ended = client.ended().expect("it has ended");
    assert_eq!(ended, Ended::default());
    assert_eq!((ended.clean, ended.code()), (false, 1006));
    assert!(matches!(client.read(), Err(ClientError::Lost(None))));
    let error = client.send(Message::Text("late")).expect_err("lost");
    assert!(matches!(error, ClientError::Lost(_)), "{error:?}");
    assert_eq!(client.close(CloseCode::NORMAL).expect("done"), ended);
}

#[test]
fn client_reports_a_reset() {
    // Closed with unread bytes: the kernel sends RST.
    let (uri, server) = open_server(|mut peer| peer.bytes::<1>());
    let mut client = Client::connect(&uri).expect("a connection");
    client.send(Message::Text("unread")).expect("open");
    joined("the script", server);
    for _ in 0..3 {
        let error = client.read().expect_err("reset");
        let ClientError::Lost(Some(cause)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(cause.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(client.ended().expect("it has ended").code(), 1006);
}

#[test]
fn client_fails_the_connection_on_a_masked_frame_and_sends_1002() {
    let (uri, server) = open_server(|mut peer| {
        peer.send_bytes(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        peer.frame()
    });
    let mut client = Client::connect(&uri).expect("a connection");
    for _ in 0..2 {
        let error = client.read().expect_err("a server must not mask");
        let ClientError::Protocol(rule) = error else {
            panic!("{error:?}");
        };
        assert_eq!(rule, ProtocolError::Frame(FrameError::Masked));
    }
    let ended = client.ended().expect("it has ended");
    assert_eq!((ended.clean, ended.code()), (false, 1006));
    assert_eq!(ended.first_close, Some(Side::Local));
    let close = joined("the script", server);
    assert_eq!(close.first_byte, 0x88);
    assert_eq!(close.payload[..2], 1002_u16.to_be_bytes());
}

#[test]
fn client_accepts_a_message_at_its_limit_and_fails_one_byte_above() {
    let (uri, server) = open_server(|mut peer| {
        peer.send_bytes(&frame(TEXT, &[b'x'; 100]));
        peer.send_bytes(&frame(TEXT, &[b'x'; 101]));
        peer.frame()
    });
    let limits = Limits {
        message_bytes_max: 100,
        ..Limits::default()
    };
    let builder = Client::builder(&uri).limits(limits);
    let mut client = builder.connect().expect("a connection");
    let longest = "x".repeat(100);
    assert_eq!(client.read().expect("at the limit"), text(&longest));
    let error = client.read().expect_err("past the limit");
    assert!(matches!(
        error,
        ClientError::Protocol(ProtocolError::MessageTooBig)
    ));
    let close = joined("the script", server);
    assert_eq!(close.payload[..2], 1009_u16.to_be_bytes());
}

/// A binary frame with FIN, of any length.
fn large_frame(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_be_bytes();
    [&[0x80 | BINARY, 127], &length[..], payload].concat()
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place / 3 % 251) as u8).collect()
}

#[test]
fn large_message_arrives_whole_with_what_is_behind_it() {
    const BYTES: usize = 5_000_000;
    let (uri, server) = open_server(|mut peer| {
        for _ in 0..3 {
            peer.send_bytes(&large_frame(&pattern(BYTES)));
            peer.send_bytes(&frame(TEXT, b"behind it"));
        }
        peer.send_bytes(&large_frame(&pattern(BYTES))[..BYTES]);
    });
    let mut client = Client::builder(&uri)
        .limits(Limits {
            message_bytes_max: BYTES,
            ..Limits::default()
        })
        .connect()
        .expect("a connection");
    for _ in 0..3 {
        let message = client.read().expect("open");
        assert!(message == Some(OwnedMessage::Binary(pattern(BYTES))));
        assert_eq!(client.read().expect("open"), text("behind it"));
    }
    // TCP ends in the middle of the fourth. It is read before the script is waited for: the kernel may not have room
    // for all of it.
    assert!(matches!(client.read(), Err(ClientError::Lost(None))));
    joined("the script", server);
}

/// In two reads, in many that stay in the buffer, and longer than the buffer may become.
#[test]
fn texts_of_all_lengths_arrive_whole_and_a_byte_that_is_not_utf8_fails_the_connection() {
    const LENGTHS: [usize; 6] = [65_550, 131_072, 200_000, 1_000_000, 1_200_000, 3_000_000];
    let letters = |length: usize| "aé山!".bytes().cycle().take(length / 7 * 7);
    let text_frame = move |length| {
        let mut frame = large_frame(&letters(length).collect::<Vec<u8>>());
        frame[0] = 0x80 | TEXT;
        frame
    };
    let (uri, server) = open_server(move |mut peer| {
        for length in LENGTHS {
            peer.send_bytes(&frame(TEXT, b"before"));
            peer.send_bytes(&text_frame(length));
        }
        let mut broken = text_frame(1_000_000);
        broken[900_000] = 0xff;
        peer.send_bytes(&broken);
        peer.frame()
    });
    let limits = Limits {
        message_bytes_max: 3_000_000,
        ..Limits::default()
    };
    let builder = Client::builder(&uri).limits(limits);
    let mut client = builder.connect().expect("a connection");
    for length in LENGTHS {
        assert_eq!(client.read().expect("open"), text("before"));
        let expected = String::from_utf8(letters(length).collect()).expect("UTF-8");
        let message = client.read().expect("open");
        assert!(message == Some(OwnedMessage::Text(expected)), "{length}");
    }
    let failed = client.read();
    assert!(
        matches!(
            failed,
            Err(ClientError::Protocol(ProtocolError::TextNotUtf8))
        ),
        "{failed:?}"
    );
    let close = joined("the script", server);
    assert_eq!(close.payload[..2], 1007_u16.to_be_bytes());
}

#[test]
fn client_hands_out_pieces_of_a_message_above_its_buffer() {
    const BYTES: usize = 1_000_000;
    let (uri, server) = open_server(|mut peer| {
        peer.send_bytes(&large_frame(&pattern(BYTES)));
        peer.send_bytes(b"\x01\x02\xe5\xb1");
        peer.send_bytes(&frame(PING, b"between"));
        peer.send_bytes(b"\x80\x02\xb1!");
        peer.frame()
    });
    let limits = Limits {
        message_bytes_max: BYTES,
        ..Limits::default()
    };
    let builder = Client::builder(&uri).limits(limits).pieces();
    let mut client = builder.connect().expect("a connection");
    // Whole messages cannot be read. Nothing is lost by trying.
    assert!(matches!(client.read(), Err(ClientError::InPieces)));
    let (mut bytes, mut text, mut ends) = (Vec::new(), String::new(), 0);
    while ends < 2 {
        let read = client.read_with(|event| match event {
            Event::Piece(piece) => {
                match piece.as_text() {
                    Some(part) => text.push_str(part),
                    None => bytes.extend_from_slice(piece.as_bytes()),
                }
                // The client's read buffer: 64 KiB, and room for a header.
                assert!(piece.as_bytes().len() <= (64 << 10) + 16);
                ends += usize::from(piece.is_last());
            }
            Event::Ping(payload) => assert_eq!(*payload, *b"between"),
            other => panic!("{other:?}"),
        });
        assert!(matches!(read, Ok(Some(()))), "{read:?}");
    }
    assert!(bytes == pattern(BYTES));
    assert_eq!(text, "山!");
    let pong = joined("the script", server);
    assert_eq!(
        (pong.first_byte, &*pong.payload),
        (0x80 | PONG, &b"between"[..])
    );
}

#[test]
fn client_sends_a_message_in_fragments() {
    let (uri, server) = open_server(|mut peer| [(); 3].map(|()| peer.frame()));
    let mut client = Client::connect(&uri).expect("a connection");
    client
        .send_fragment(Fragment::text(b"\xe5\xb1"))
        .expect("open");
    let inside = client.send(Message::Text("inside"));
    assert!(matches!(
        inside,
        Err(ClientError::Send(SendError::MessageUnderWay))
    ));
    client.ping(b"").expect("open");
    client
        .send_fragment(Fragment::text(b"\xb1").last())
        .expect("open");
    let frames = joined("the script", server).map(|frame| (frame.first_byte, frame.payload));
    let expected = [
        (TEXT, b"\xe5\xb1".to_vec()),
        (0x80 | PING, Vec::new()),
        (0x80, b"\xb1".to_vec()),
    ];
    assert_eq!(frames, expected);
}

#[test]
fn dropped_client_closes_tcp_without_a_close_frame() {
    let (uri, server) = open_server(|mut peer| peer.sees_end());
    drop(Client::connect(&uri).expect("a connection"));
    assert!(joined("the script", server));
}

#[test]
fn send_to_a_server_that_does_not_read_ends_at_the_write_timeout() {
    let (client_is_done, is_done) = channel::<()>();
    let (uri, server) = open_server(move |peer| {
        let _ = is_done.recv_timeout(TIMEOUT);
        peer
    });
    let builder = Client::builder(&uri).write_timeout(Duration::from_secs(3600));
    let mut client = builder.connect().expect("a connection");
    let timeout = Some(Duration::from_millis(50));
    client.set_write_timeout(timeout).expect("open");
    let error = (0..1_000)
        .find_map(|_| client.send(Message::Binary(&[0; 1 << 20])).err())
        .expect("no kernel accepts a GiB");
    assert!(
        matches!(error, ClientError::TimedOut(Step::Write)),
        "{error:?}"
    );
    let late = client.send(Message::Text("after an incomplete frame"));
    assert!(matches!(late, Err(ClientError::Lost(None))), "{late:?}");
    assert!(matches!(client.read(), Err(ClientError::Lost(_))));
    drop(client_is_done);
    joined("the script", server);
}

#[test]
fn servers_close_can_be_read_after_a_send_to_a_closed_connection() {
    let (uri, server) = open_server(|mut peer| {
        peer.send_bytes(&frame(CLOSE, b"\x03\xf0no flooding"));
        peer.stream.shutdown(Shutdown::Write).expect("open");
        // It continues reading, so that no RST discards its Close.
        io::copy(&mut peer.stream, &mut io::sink()).is_ok()
    });
    let mut client = Client::connect(&uri).expect("a connection");
    client.send(Message::Text("flood")).expect("open");
    assert_eq!(client.read().expect("a clean end"), None);
    let ended = client.ended().expect("it has ended");
    assert_eq!((ended.code(), ended.reason()), (1008, "no flooding"));
    drop(client);
    assert!(joined("the script", server));
}

// ---------------------------------------------------------------------------
// Two threads
// ---------------------------------------------------------------------------

/// A server of one thread that echoes each message, after a ping, before it reads
/// the next one. Returns how many pings were answered.
fn echo_until_close(mut peer: Peer) -> usize {
    let mut pongs = 0;
    loop {
        let received = peer.frame();
        match received.first_byte & 0x0f {
            BINARY => {
                peer.send_bytes(&frame(PING, b"?"));
                let length = u64::try_from(received.payload.len()).expect("it fits");
                peer.send_bytes(&[&[0x82, 127][..], &length.to_be_bytes()].concat());
                peer.send_bytes(&received.payload);
            }
            PONG => pongs += usize::from(received.payload == b"?"),
            CLOSE => {
                peer.send_bytes(&frame(CLOSE, &received.payload));
                return pongs;
            }
            other => panic!("{other:#x}"),
        }
    }
}

#[test]
fn halves_do_not_block_each_other_while_both_directions_are_full() {
    const MESSAGES: usize = 400;
    // Together far more than all buffers of the kernel.
    let payload = |index: usize| vec![index.to_le_bytes()[0]; 128 << 10];
    let (uri, server) = open_server(echo_until_close);
    let (mut reader, mut writer) = Client::connect(&uri).expect("a connection").split();
    let writing = thread::spawn(move || {
        for index in 0..MESSAGES {
            let payload = payload(index);
            writer.send(Message::Binary(&payload)).expect("open");
        }
        writer
    });
    for index in 0..MESSAGES {
        let echo = reader.read().expect("open").expect("an echo");
        assert!(echo == OwnedMessage::Binary(payload(index)), "echo {index}");
    }
    let writer = joined("the other thread", writing);
    let ended = reader.close(CloseCode::NORMAL).expect("short");
    assert_eq!((ended.clean, ended.code()), (true, 1000));
    assert_eq!(writer.ended(), Some(ended));
    let pongs = joined("the script", server);
    assert_eq!(pongs, MESSAGES, "every ping was answered");
}

#[test]
fn reader_is_not_stopped_by_pongs_that_the_server_does_not_read() {
    const PINGS: u32 = 200_000;
    let (uri, server) = open_server(|mut peer| {
        let payload = |number: u32| number.to_be_bytes().repeat(25);
        let pings: Vec<_> = (0..PINGS).map(|n| frame(PING, &payload(n))).collect();
        // It reads after it has written everything: the pongs fill every buffer.
        peer.send_bytes(&pings.concat());
        peer.send_bytes(&frame(TEXT, b"done"));
        let mut answered = Vec::new();
        while answered.last() != Some(&(PINGS - 1)) {
            let pong = peer.frame();
            let number = [0, 1, 2, 3].map(|index| pong.payload[index]);
            answered.push(u32::from_be_bytes(number));
            assert_eq!(pong.first_byte, 0x80 | PONG);
            assert_eq!(pong.payload, payload(u32::from_be_bytes(number)));
        }
        peer.send_bytes(&frame(CLOSE, b"\x03\xe8"));
        assert_eq!(peer.frame().payload, b"\x03\xe8");
        answered
    });
    let mut client = Client::connect(&uri).expect("a connection");
    assert_eq!(client.read().expect("open"), text("done"));
    assert_eq!(client.read().expect("a clean end"), None);
    let answered = joined("the script", server);
    assert!(answered.is_sorted_by(|one, next| one < next), "in order");
}

#[test]
fn writers_on_many_threads_send_whole_messages() {
    const WRITERS: u8 = 4;
    const MESSAGES: usize = 100;
    let (uri, server) = open_server(|mut peer| {
        let mut counts = [0; WRITERS as usize];
        for _ in 0..usize::from(WRITERS) * MESSAGES {
            let payload = peer.frame().payload;
            assert!(payload == vec![payload[0]; 30_000]);
            counts[usize::from(payload[0])] += 1;
        }
        counts
    });
    let (_reader, writer) = Client::connect(&uri).expect("a connection").split();
    thread::scope(|scope| {
        for number in 0..WRITERS {
            let mut writer = writer.clone();
            scope.spawn(move || {
                for _ in 0..MESSAGES {
                    let message = Message::Binary(&[number; 30_000]);
                    writer.send(message).expect("open");
                }
            });
        }
    });
    let counts = joined("the script", server);
    assert_eq!(counts, [MESSAGES; WRITERS as usize]);
}

#[test]
fn writer_closes_while_the_reader_waits() {
    let (uri, server) = open_server(|mut peer| {
        let close = peer.frame();
        peer.send_bytes(&frame(TEXT, b"last message"));
        peer.send_bytes(&frame(CLOSE, &close.payload));
        close.payload
    });
    let (mut reader, mut writer) = Client::connect(&uri).expect("a connection").split();
    let reading = thread::spawn(move || (reader.read(), reader.read(), reader.ended()));
    assert!(writer.is_open());
    writer.close((CloseCode::NORMAL, "done")).expect("open");
    assert!(!writer.is_open());
    writer
        .close((CloseCode::GOING_AWAY, "twice"))
        .expect("no-op");
    let error = writer.send(Message::Text("late")).expect_err("closing");
    assert!(
        matches!(error, ClientError::Send(SendError::NotOpen)),
        "{error:?}"
    );
    let (message, end, ended) = joined("the other thread", reading);
    assert_eq!(message.expect("open"), text("last message"));
    assert_eq!(end.expect("a clean end"), None);
    assert_eq!(ended.expect("it has ended").first_close, Some(Side::Local));
    let close = joined("the script", server);
    assert_eq!(close, b"\x03\xe8done");
}

#[test]
fn sleeping_reader_wakes_at_the_close_timeout_of_a_writers_close() {
    let (uri, server) = open_server(|mut peer| {
        peer.frame();
        peer.sees_end()
    });
    let (mut reader, mut writer) = Client::builder(&uri)
        .close_timeout(Duration::from_millis(300))
        .connect()
        .expect("a connection")
        .split();
    let reading = asleep(move || (reader.read(), Instant::now()));
    let begin = Instant::now();
    writer.close(CloseCode::NORMAL).expect("open");
    let (end, woke) = joined("the other thread", reading);
    let error = end.expect_err("the server never answers");
    assert!(
        matches!(error, ClientError::TimedOut(Step::ClosingHandshake)),
        "{error:?}"
    );
    assert!(woke.duration_since(begin) >= Duration::from_millis(300));
    assert!(joined("the script", server));
}

#[test]
fn reader_closes_while_a_writer_is_blocked() {
    let (client_is_done, is_done) = channel::<()>();
    let (uri, server) = open_server(move |peer| {
        let _ = is_done.recv_timeout(TIMEOUT);
        peer
    });
    let (mut reader, mut writer) = Client::builder(&uri)
        .close_timeout(Duration::from_millis(200))
        .connect()
        .expect("a connection")
        .split();
    let writing =
        asleep(move || (0..1_000).find_map(|_| writer.send(Message::Binary(&[0; 1 << 20])).err()));
    let ended = reader.close(CloseCode::NORMAL).expect("short");
    assert_eq!((ended.clean, ended.code()), (false, 1006));
    let error = joined("the other thread", writing).expect("the send has failed");
    assert!(
        matches!(
            error,
            ClientError::Lost(_) | ClientError::Send(SendError::NotOpen)
        ),
        "{error:?}"
    );
    drop(client_is_done);
    joined("the script", server);
}

/// Runs this on a thread that sleeps in the kernel when this function returns: in a read or a
/// write. Only Linux reports this; on other systems the thread may not have slept yet.
fn asleep<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (report, thread) = channel();
    let working = thread::spawn(move || {
        #[cfg(target_os = "linux")]
        report
            .send(yamabiko_testing::waiting::own_thread())
            .expect("it is waited for");
        #[cfg(not(target_os = "linux"))]
        drop::<std::sync::mpsc::Sender<String>>(report);
        work()
    });
    let thread: Result<String, _> = thread.recv_timeout(TIMEOUT);
    #[cfg(target_os = "linux")]
    yamabiko_testing::waiting::eventually("the thread sleeps", TIMEOUT, || {
        yamabiko_testing::waiting::is_asleep(thread.as_ref().expect("its name"))
    });
    drop(thread);
    working
}
