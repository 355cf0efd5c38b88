//! A client that speaks bytes: what it sends is what the test wrote, and what
//! it reads it takes apart by hand, so that no two mistakes of the crate can
//! cancel out.

use super::{Deadline, LOOP_PATIENCE, PATIENCE, bounded, eventually};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use yamabiko::websocket::frame::{Opcode, encode};

/// A plain request for `/`, which the tests' application does not serve.
pub const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// An opening handshake for `path`, with further field lines.
pub fn upgrade(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// A client's whole frame: masked, with the key of RFC 6455 §5.7.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    encode(true, opcode, Some(MASKING_KEY), payload, &mut bytes);
    bytes
}

const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One end of a TCP connection to the server.
pub struct Client {
    pub stream: TcpStream,
    /// What was read and not looked at yet.
    unread: Vec<u8>,
    /// The extension that the server has agreed to, as it wrote that.
    pub extension: Option<String>,
}

/// An HTTP answer, read to the end of the stream.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// A frame as the server sent it: FIN set, RSV2 and RSV3 clear, no mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub opcode: Opcode,
    /// RSV1, and so what the payload is; only where that was agreed on.
    pub compressed: bool,
    pub payload: Vec<u8>,
}

// Connecting.
impl Client {
    /// Connects and says nothing.
    pub fn connect(address: SocketAddr) -> Client {
        Client::of(TcpStream::connect(address).expect("the server accepts"))
    }

    /// As `connect`, with a small window: the kernel keeps little for us.
    pub fn connect_narrow(address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(NARROW_BYTES).expect("a size");
        socket.set_send_buffer_size(NARROW_BYTES).expect("a size");
        socket.connect(&address.into()).expect("the server accepts");
        Client::of(socket.into())
    }

    fn of(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("an open socket");
        Client {
            stream: bounded(stream),
            unread: Vec::new(),
            extension: None,
        }
    }

    /// A WebSocket to `/`.
    pub fn open(address: SocketAddr) -> Client {
        Client::connect(address).upgraded("/")
    }

    /// A WebSocket to `/`, from a server whose handshake timeout is so short that a
    /// busy machine may pass it: then again.
    pub fn open_in_time(address: SocketAddr) -> Client {
        in_time("an opening handshake", || {
            let mut client = Client::connect(address);
            client.send(upgrade("/", ""));
            let head = client.try_read_head()?;
            head.starts_with("HTTP/1.1 101 ").then_some(client)
        })
    }

    /// A WebSocket to `/` whose kernel keeps little for us.
    pub fn open_narrow(address: SocketAddr) -> Client {
        Client::connect_narrow(address).upgraded("/")
    }

    /// Makes the opening handshake.
    pub fn upgraded(self, path: &str) -> Client {
        self.upgraded_with(path, "")
    }

    /// Offers an extension in the opening handshake.
    pub fn offering(self, extension: &str) -> Client {
        self.upgraded_with("/", &format!("Sec-WebSocket-Extensions: {extension}\r\n"))
    }

    fn upgraded_with(mut self, path: &str, fields: &str) -> Client {
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

    /// Takes this WebSocket into a room.
    pub fn join(&mut self, room: &str) {
        self.text(&format!("/join {room}"));
        assert_eq!(self.read_text(), "joined");
    }
}

/// Without a byte for so long, a stream is taken to stand still. Where a busy machine
/// makes that wrong, less is written or read: the test sees less, and does not fail.
const STANDSTILL: Duration = Duration::from_millis(250);

/// The system doubles it, and takes what it needs for its own use.
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

    /// Sends a Close; code 0 stands for none.
    pub fn close(&mut self, code: u16, reason: &str) {
        let mut body = code.to_be_bytes().to_vec();
        body.extend_from_slice(reason.as_bytes());
        let body = if code == 0 { &[][..] } else { &body };
        self.send(frame(Opcode::Close, body));
    }

    /// Writes until nothing is taken for a while. Returns what is left.
    pub fn write_until_refused<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        let set_timeout = |stream: &TcpStream, span| {
            stream.set_write_timeout(Some(span)).expect("a span");
        };
        set_timeout(&self.stream, STANDSTILL);
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) if is_timeout(error.kind()) => break,
                Err(error) => panic!("{error}"),
            }
        }
        set_timeout(&self.stream, PATIENCE);
        bytes
    }

    /// Says FIN, and can still read.
    pub fn end_output(&mut self) {
        let said = self.stream.shutdown(Shutdown::Write);
        said.expect("the connection stands");
    }

    /// Resets the connection.
    pub fn reset(self) {
        let socket = SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("an option");
    }
}

// Reading.
impl Client {
    /// Reads more. False: the stream has ended. A reset is a failure.
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        let count = self.stream.read(&mut buffer);
        let count = count.expect("bytes or the end of the stream");
        self.unread.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Reads until nothing comes for a while. It stays unread for the others.
    pub fn read_what_there_is(&mut self) {
        let set_timeout = |stream: &TcpStream, span| {
            stream.set_read_timeout(Some(span)).expect("a span");
        };
        set_timeout(&self.stream, STANDSTILL);
        let mut buffer = vec![0; 64 << 10];
        let deadline = Deadline::after(LOOP_PATIENCE);
        while let Ok(count @ 1..) = self.stream.read(&mut buffer) {
            deadline.check("the server sends no more");
            self.unread.extend_from_slice(&buffer[..count]);
        }
        set_timeout(&self.stream, PATIENCE);
    }

    /// Everything up to the end of the stream.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let deadline = Deadline::after(LOOP_PATIENCE);
        while self.read_more() {
            deadline.check("the end of the stream");
        }
        std::mem::take(&mut self.unread)
    }

    /// The stream ends here, and not by a reset.
    pub fn expect_end(&mut self) {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "{} bytes before the end", rest.len());
    }

    /// The connection ends, by FIN or by a reset.
    pub fn expect_gone(&mut self) {
        let deadline = Deadline::after(LOOP_PATIENCE);
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

    /// Nothing comes for so long.
    pub fn expect_silence(&mut self, span: Duration) {
        assert!(self.unread.is_empty());
        self.stream.set_read_timeout(Some(span)).expect("a span");
        let read = self.stream.read(&mut [0]);
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a span");
        let error = read.expect_err("nothing was to come");
        assert!(is_timeout(error.kind()), "{error}");
    }

    /// A head, which stays unread for the others.
    pub fn peek_head(&mut self) -> String {
        let head = self.read_head();
        self.unread.splice(..0, head.bytes());
        head
    }

    /// A head, up to and with its empty line.
    pub fn read_head(&mut self) -> String {
        self.try_read_head().expect("a head before the end")
    }

    /// A head, or `None` where the stream ends without a byte.
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

    /// A whole HTTP answer, and the end of the stream after it.
    pub fn read_answer(&mut self) -> Answer {
        self.try_read_answer().expect("an answer before the end")
    }

    /// The same, or `None` where the stream ends without a byte.
    pub fn try_read_answer(&mut self) -> Option<Answer> {
        let head = self.try_read_head()?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Some(Answer {
            status: status.expect("a status line"),
            body: self.read_to_end(),
            head,
        })
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
                assert!(may_be || !frame.compressed, "RSV1 where it may not be");
                return Some(frame);
            }
            if !self.read_more() {
                assert!(self.unread.is_empty(), "the stream ends inside a frame");
                return None;
            }
        }
    }

    /// The next frame, which is a text as it is.
    pub fn read_text(&mut self) -> String {
        let frame = self.read_frame();
        assert_eq!(frame.opcode, Opcode::Text, "{frame:?}");
        assert!(!frame.compressed, "{frame:?}");
        String::from_utf8(frame.payload).expect("a text is UTF-8")
    }

    /// The next frame, which is a Close: its code and words; 0 for no code.
    pub fn read_close(&mut self) -> (u16, String) {
        let frame = self.read_frame();
        assert_eq!(frame.opcode, Opcode::Close, "{frame:?}");
        frame.close_reason()
    }

    /// Whatever comes, up to a Close.
    pub fn read_until_close(&mut self) -> (u16, String) {
        let deadline = Deadline::after(LOOP_PATIENCE);
        loop {
            deadline.check("a Close frame");
            let frame = self.read_frame();
            if frame.opcode == Opcode::Close {
                return frame.close_reason();
            }
        }
    }
}

impl Answer {
    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(": ")?;
            other.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// It says that it is the last one, and how long it is; and so it is.
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
            opcode,
            compressed: false,
            payload,
        }
    }

    pub fn text(text: &str) -> Frame {
        Frame::new(Opcode::Text, text.into())
    }

    /// What `/say-bytes 10 <room>` says.
    pub fn big() -> Frame {
        Frame::new(Opcode::Binary, vec![0xda; 100_000])
    }

    fn close_reason(&self) -> (u16, String) {
        match self.payload.split_first_chunk() {
            None => (0, String::new()),
            Some((code, words)) => {
                let words = String::from_utf8(words.to_vec());
                (u16::from_be_bytes(*code), words.expect("words in UTF-8"))
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
    assert_eq!(
        first & 0b1011_0000,
        0b1000_0000,
        "the server fragments nothing"
    );
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    //# A server MUST NOT mask any frames that it sends to the client.
    assert_eq!(second & 0b1000_0000, 0, "a server does not mask");
    let opcode = Opcode::from_bits(first & 0b1111).expect("a known opcode");
    let (length, header_bytes) = match second {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
        length => (u64::from(*length), 2),
    };
    let end = header_bytes + usize::try_from(length).expect("a length");
    let payload = bytes.get(header_bytes..end)?.to_vec();
    let frame = Frame {
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

/// What `attempt` gives, which has to be quicker than a deadline of the server.
pub fn in_time<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut result = None;
    eventually(what, LOOP_PATIENCE, || {
        result = attempt();
        result.is_some()
    });
    result.expect("it was waited for")
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
