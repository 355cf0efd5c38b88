//! A client that sends and parses raw bytes. It sends exactly the bytes that the test writes, and
//! parses frames with code of its own, so that an error in the library's parser cannot hide an
//! error in its encoder.

use super::{Deadline, LOOP_TIMEOUT, TIMEOUT, bounded, eventually};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use yamabiko::websocket::frame::{Opcode, encode};

/// A plain HTTP request for `/`, the only one of its connection. The application of the tests
/// responds with 404.
pub const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The request of an opening handshake for `path`, with further field lines.
pub fn upgrade(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// A client's frame with FIN, masked with the key of RFC 6455 §5.7.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    encode(true, opcode, Some(MASKING_KEY), payload, &mut bytes);
    bytes
}

const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The client's end of a TCP connection to the server.
pub struct Client {
    pub stream: TcpStream,
    /// Bytes that were read from the socket and not parsed yet.
    unread: Vec<u8>,
    /// The value of `Sec-WebSocket-Extensions` in the server's response.
    pub extension: Option<String>,
    expects_fragments: bool,
}

/// An HTTP response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// A frame as the server sends it: RSV2 and RSV3 are clear, no mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The last frame of its message.
    pub fin: bool,
    pub opcode: Opcode,
    /// RSV1: the message is compressed. Only set if an extension was agreed on.
    pub compressed: bool,
    pub payload: Vec<u8>,
}

// Connecting.
impl Client {
    /// Connects and sends nothing.
    pub fn connect(address: SocketAddr) -> Client {
        Client::of(TcpStream::connect(address).expect("the server accepts"))
    }

    /// As `connect`, with small socket buffers: the kernel buffers little for this client.
    pub fn connect_narrow(address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(NARROW_BYTES).expect("a size");
        socket.set_send_buffer_size(NARROW_BYTES).expect("a size");
        socket.connect(&address.into()).expect("the server accepts");
        Client::of(socket.into())
    }

    /// As `connect`, from this address of the own machine.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.expect("a socket");
        let bound = socket.bind(&SocketAddr::new(source, 0).into());
        bound.expect("an address of this machine");
        socket.connect(&address.into()).expect("the server accepts");
        Client::of(socket.into())
    }

    /// A client with a connection that the test has made.
    pub fn of(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("an open socket");
        Client::of_any(stream)
    }

    /// Connects to a Unix socket. A `TcpStream` makes the same system calls.
    #[cfg(unix)]
    pub fn connect_unix(path: &std::path::Path) -> Client {
        let stream = std::os::unix::net::UnixStream::connect(path);
        Client::of_descriptor(stream.expect("the server accepts").into())
    }

    /// Uses a connected socket of any kind.
    #[cfg(unix)]
    pub fn of_descriptor(descriptor: std::os::fd::OwnedFd) -> Client {
        Client::of_any(descriptor.into())
    }

    fn of_any(stream: TcpStream) -> Client {
        Client {
            stream: bounded(stream),
            unread: Vec::new(),
            extension: None,
            expects_fragments: false,
        }
    }

    /// The application sends messages in fragments. Otherwise a frame without FIN is a fault.
    pub fn expecting_fragments(self) -> Client {
        Client {
            expects_fragments: true,
            ..self
        }
    }

    /// A WebSocket to `/`.
    pub fn open(address: SocketAddr) -> Client {
        Client::connect(address).upgraded("/")
    }

    /// A WebSocket to `/`, for a server with a short handshake timeout. Tries again if the
    /// timeout expires, which can happen on a busy machine.
    pub fn open_in_time(address: SocketAddr) -> Client {
        in_time("an opening handshake", || {
            let mut client = Client::connect(address);
            client.send(upgrade("/", ""));
            let head = client.try_read_head()?;
            head.starts_with("HTTP/1.1 101 ").then_some(client)
        })
    }

    /// A WebSocket to `/` with small socket buffers.
    pub fn open_narrow(address: SocketAddr) -> Client {
        Client::connect_narrow(address).upgraded("/")
    }

    /// Performs the opening handshake.
    pub fn upgraded(self, path: &str) -> Client {
        self.upgraded_with(path, "")
    }

    /// Performs the opening handshake and offers an extension.
    pub fn offering(self, extension: &str) -> Client {
        self.upgraded_with("/", &format!("Sec-WebSocket-Extensions: {extension}\r\n"))
    }

    /// Performs the opening handshake with further field lines.
    pub fn upgraded_with(mut self, path: &str, fields: &str) -> Client {
        self.send(upgrade(path, fields));
        let head = self.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        self.extension = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "))
            .map(str::to_owned);
        self
    }

    /// The worker that serves this WebSocket.
    pub fn worker(&mut self) -> usize {
        self.text("/id");
        let id = self.read_text();
        let (worker, _) = id.split_once('-').expect("worker and key");
        worker.parse().expect("the worker's number")
    }

    /// This connection, subscribed to a room.
    pub fn joined_to(mut self, room: &str) -> Client {
        self.join(room);
        self
    }

    /// Subscribes this connection to a room.
    pub fn join(&mut self, room: &str) {
        self.text(&format!("/join {room}"));
        assert_eq!(self.read_text(), "joined");
    }
}

/// A stream that transfers no byte for this time counts as blocked. If this is wrong on a busy
/// machine, less is written or read: the test checks less, and does not fail.
const BLOCKED_AFTER: Duration = Duration::from_millis(250);

/// The size of each socket buffer. Linux doubles it for its own bookkeeping.
const NARROW_BYTES: usize = 128 << 10;

// Sending.
impl Client {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.stream.write_all(bytes.as_ref());
        sent.expect("the server reads");
    }

    /// Sends a text message.
    pub fn text(&mut self, text: &str) {
        self.send(frame(Opcode::Text, text.as_bytes()));
    }

    /// Sends a Close frame. Code 0: a Close without a body.
    pub fn close(&mut self, code: u16, reason: &str) {
        let mut body = code.to_be_bytes().to_vec();
        body.extend_from_slice(reason.as_bytes());
        let body = if code == 0 { &[][..] } else { &body };
        self.send(frame(Opcode::Close, body));
    }

    /// Writes until the socket accepts no bytes for `BLOCKED_AFTER`. Returns the bytes that
    /// are left.
    pub fn write_until_refused<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        let set_timeout = |stream: &TcpStream, span| {
            stream.set_write_timeout(Some(span)).expect("a span");
        };
        set_timeout(&self.stream, BLOCKED_AFTER);
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) if is_timeout(error.kind()) => break,
                Err(error) => panic!("{error}"),
            }
        }
        set_timeout(&self.stream, TIMEOUT);
        bytes
    }

    /// Sends FIN. Reading is still possible.
    pub fn end_output(&mut self) {
        let shut_down = self.stream.shutdown(Shutdown::Write);
        shut_down.expect("the connection is open");
    }

    /// Resets the connection.
    pub fn reset(self) {
        let socket = SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("an option");
    }
}

// Reading.
impl Client {
    /// Reads more bytes. False: the stream has ended. Fails on a reset.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        let count = self.stream.read(&mut buffer);
        let count = count.expect("bytes or the end of the stream");
        self.unread.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Reads until no byte arrives for `BLOCKED_AFTER`. Keeps the bytes for the other
    /// functions.
    pub fn read_until_blocked(&mut self) {
        let set_timeout = |stream: &TcpStream, span| {
            stream.set_read_timeout(Some(span)).expect("a span");
        };
        set_timeout(&self.stream, BLOCKED_AFTER);
        let mut buffer = vec![0; 64 << 10];
        let deadline = Deadline::after(LOOP_TIMEOUT);
        while let Ok(count @ 1..) = self.stream.read(&mut buffer) {
            deadline.check("the server sends no more");
            self.unread.extend_from_slice(&buffer[..count]);
        }
        set_timeout(&self.stream, TIMEOUT);
    }

    /// All bytes up to the end of the stream.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        while self.read_more() {
            deadline.check("the end of the stream");
        }
        std::mem::take(&mut self.unread)
    }

    /// Checks that the stream ends here with FIN.
    pub fn expect_end(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "{} bytes before the end", rest.len());
    }

    /// Checks that the connection ends, with FIN or with a reset.
    pub fn expect_gone(&mut self) {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        let mut buffer = [0; 64 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => deadline.check("the end of the connection"),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Checks that no byte arrives during this time.
    pub fn expect_silence(&mut self, span: Duration) {
        assert!(self.unread.is_empty());
        self.stream.set_read_timeout(Some(span)).expect("a span");
        let read = self.stream.read(&mut [0]);
        self.stream.set_read_timeout(Some(TIMEOUT)).expect("a span");
        let error = read.expect_err("no byte was expected");
        assert!(is_timeout(error.kind()), "{error}");
    }

    /// The head of a response. It is kept for the other functions.
    pub fn peek_head(&mut self) -> String {
        let head = self.read_head();
        self.unread.splice(..0, head.bytes());
        head
    }

    /// The head of a response, with its empty line.
    pub fn read_head(&mut self) -> String {
        self.try_read_head().expect("a head before the end")
    }

    /// The head of a response, or `None` if the stream ends without a byte.
    pub fn try_read_head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_more() {
                assert!(self.unread.is_empty(), "the stream ends inside a head");
                return None;
            }
        };
        let head = self.unread.drain(..end).collect();
        Some(String::from_utf8(head).expect("a head is ASCII"))
    }

    /// An HTTP response, read to the end of the stream.
    pub fn read_response(&mut self) -> Response {
        self.try_read_response().expect("a response before the end")
    }

    /// An HTTP response, or `None` if the stream ends without a byte.
    pub fn try_read_response(&mut self) -> Option<Response> {
        let head = self.try_read_head()?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Some(Response {
            status: status.expect("a status line"),
            body: self.read_to_end(),
            head,
        })
    }

    /// An HTTP response with a body of the length that it states, of a connection that may
    /// stay. `head_only`: the request was a HEAD.
    pub fn read_one_response(&mut self, head_only: bool) -> Response {
        let head = self.read_head();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut response = Response {
            status: status.expect("a status line"),
            body: Vec::new(),
            head,
        };
        if !head_only {
            let length = response.field("Content-Length").map(str::parse);
            let length = length.map_or(0, |length| length.expect("a number"));
            while self.unread.len() < length {
                assert!(self.read_more(), "the stream ends inside a body");
            }
            response.body = self.unread.drain(..length).collect();
        }
        response
    }

    /// The next frame.
    pub fn read_frame(&mut self) -> Frame {
        self.next_frame().expect("a frame before the end")
    }

    /// The next frame, or `None` at the end of the stream.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, taken)) = parse(&self.unread) {
                self.unread.drain(..taken);
                let may_be = self.extension.is_some() && !frame.opcode.is_control();
                assert!(may_be || !frame.compressed, "RSV1 that was not agreed on");
                let may_be = self.expects_fragments && !frame.opcode.is_control();
                assert!(may_be || frame.fin, "a fragment");
                return Some(frame);
            }
            if !self.read_more() {
                assert!(self.unread.is_empty(), "the stream ends inside a frame");
                return None;
            }
        }
    }

    /// The payload of the next frame, which must be an uncompressed text.
    pub fn read_text(&mut self) -> String {
        let frame = self.read_frame();
        assert_eq!(frame.opcode, Opcode::Text, "{frame:?}");
        assert!(!frame.compressed, "{frame:?}");
        String::from_utf8(frame.payload).expect("a text is UTF-8")
    }

    /// Code and reason of the next frame, which must be a Close. Code 0: it has no body.
    pub fn read_close(&mut self) -> (u16, String) {
        let frame = self.read_frame();
        assert_eq!(frame.opcode, Opcode::Close, "{frame:?}");
        frame.close_reason()
    }

    /// Discards frames up to a Close and returns its code and reason.
    pub fn read_until_close(&mut self) -> (u16, String) {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        loop {
            deadline.check("a Close frame");
            let frame = self.read_frame();
            if frame.opcode == Opcode::Close {
                return frame.close_reason();
            }
        }
    }
}

impl Response {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(": ")?;
            other.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Checks that the response has `Connection: close` and the right `Content-Length`.
    pub fn expect_whole(&self) {
        let connection = self.field("Connection").expect("a Connection field");
        assert!(connection.contains("close"), "{}", self.head);
        let length = self.field("Content-Length").expect("a length");
        assert_eq!(length.parse(), Ok(self.body.len()), "{}", self.head);
    }
}

impl Frame {
    pub fn new(opcode: Opcode, payload: Vec<u8>) -> Frame {
        Frame {
            fin: true,
            opcode,
            compressed: false,
            payload,
        }
    }

    pub fn text(text: &str) -> Frame {
        Frame::new(Opcode::Text, text.into())
    }

    /// The message that `/publish-bytes 10 <room>` publishes.
    pub fn big() -> Frame {
        Frame::new(Opcode::Binary, vec![0xda; 100_000])
    }

    fn close_reason(&self) -> (u16, String) {
        match self.payload.split_first_chunk() {
            None => (0, String::new()),
            Some((code, reason)) => {
                let reason = String::from_utf8(reason.to_vec());
                (
                    u16::from_be_bytes(*code),
                    reason.expect("a reason in UTF-8"),
                )
            }
        }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = &self.payload[..self.payload.len().min(60)];
        let start = String::from_utf8_lossy(start);
        let compressed = if self.compressed { " compressed" } else { "" };
        let (opcode, bytes) = (self.opcode, self.payload.len());
        write!(f, "{opcode:?}{compressed} {bytes} {start:?}")
    }
}

/// ```text
///   1c00 oooo  0lllllll  [length: 2 or 8]  payload
/// ```
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let [first, second, rest @ ..] = bytes else {
        return None;
    };
    assert_eq!(first & 0b0011_0000, 0, "the server sets no RSV2 or RSV3");
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    //# A server MUST NOT mask any frames that it sends to the client.
    assert_eq!(second & 0b1000_0000, 0, "a server must not mask");
    let opcode = Opcode::from_bits(first & 0b1111).expect("a known opcode");
    let (length, header_bytes) = match second {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
        length => (u64::from(*length), 2),
    };
    let end = header_bytes + usize::try_from(length).expect("a length");
    let payload = bytes.get(header_bytes..end)?.to_vec();
    let frame = Frame {
        fin: first & 0b1000_0000 != 0,
        opcode,
        compressed: first & 0b0100_0000 != 0,
        payload,
    };
    Some((frame, end))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// The result of `attempt`, which must finish before a deadline of the server. Repeats it until
/// it does.
pub fn in_time<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut result = None;
    eventually(what, LOOP_TIMEOUT, || {
        result = attempt();
        result.is_some()
    });
    result.expect("eventually() has returned")
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
