//! A small echo server and client that obey RFC 6455 except for one rule: the mutation.
//!
//! It is written for the tests of the suite: a thread for each connection, blocking calls.

mod compression;
mod handshake;
mod mutation;
mod utf8;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use compression::{Compression, Inflated};
pub use mutation::{ALL, Mutation};
use utf8::Text;

/// A server on a free port; it ends when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    pub mutation: Option<Mutation>,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_ending: AtomicBool,
    /// Connections that a mutation leaves open.
    held: Mutex<Vec<TcpStream>>,
    harm: Harm,
}

/// How many of the next connections a mutation does not serve, because others have ended badly.
#[derive(Default)]
struct Harm {
    count: Mutex<u32>,
    has_grown: Condvar,
}

impl Harm {
    fn add(&self) {
        *self.count.lock().expect("no panic") += 1;
        self.has_grown.notify_all();
    }

    /// Whether the caller is one of them; waits a moment, because the other end comes beside it.
    fn take(&self) -> bool {
        let count = self.count.lock().expect("no panic");
        let grown = &self.has_grown;
        let waited = grown.wait_timeout_while(count, HARM_WAIT, |count| *count == 0);
        let (mut count, _) = waited.expect("no panic");
        let is_harmed = *count > 0;
        *count = count.saturating_sub(1);
        is_harmed
    }
}

impl Server {
    pub fn start(mutation: Option<Mutation>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let ours = shared.clone();
        let thread = thread::spawn(move || accept(&listener, mutation, &ours));
        Server {
            address,
            mutation,
            shared,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        self.shared.held.lock().expect("no panic").clear();
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, mutation: Option<Mutation>, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_ending.load(Ordering::Relaxed) {
            return;
        }
        let stream = stream.expect("a connection");
        let ours = shared.clone();
        let serve = move || serve(stream, mutation, &ours);
        match Peer::is_in(mutation, "serves one connection at a time") {
            true => serve(),
            false => drop(thread::spawn(serve)),
        }
    }
}

fn serve(stream: TcpStream, mutation: Option<Mutation>, shared: &Arc<Shared>) {
    let Ok(mut peer) = Peer::new(stream, true, mutation) else {
        return;
    };
    peer.shared = shared.clone();
    if peer.answer_request() {
        peer.converse();
    }
    let holds = peer.is_held || peer.is("does not end TCP");
    if holds && !shared.is_ending.load(Ordering::Relaxed) {
        shared.held.lock().expect("no panic").push(peer.stream);
    }
}

/// A client that asks the suite for its runs, and echoes in each of them. Returns the connections
/// that a mutation leaves open.
pub fn run_client(address: SocketAddr, mutation: Option<Mutation>) -> Vec<TcpStream> {
    let count = String::from_utf8(tell(address, "/getCaseCount")).expect("text");
    let count: usize = count.parse().expect("a number");
    let next = AtomicUsize::new(1);
    let held = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..RUNS_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > count {
                        return;
                    }
                    let target = format!("/runCase?case={number}&agent=sloppy");
                    let stream = run(address, &target, mutation);
                    held.lock().expect("no panic").extend(stream);
                }
            });
        }
    });
    tell(address, "/updateReports?agent=sloppy");
    held.into_inner().expect("no panic")
}

/// One connection on which every message is echoed. A mutation leaves it open.
pub fn run(address: SocketAddr, target: &str, mutation: Option<Mutation>) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).expect("the suite listens");
    let mut peer = Peer::new(stream, false, mutation).ok()?;
    if peer.ask(&address.to_string(), target) {
        peer.converse();
    }
    Some(peer.stream).filter(|_| peer.is_held)
}

/// The message that the suite sends on this path.
pub fn tell(address: SocketAddr, target: &str) -> Vec<u8> {
    let stream = TcpStream::connect(address).expect("the suite listens");
    let mut peer = Peer::new(stream, false, None).expect("a socket");
    assert!(peer.ask(&address.to_string(), target));
    loop {
        match peer.header() {
            Some(frame) if peer.input.len() >= frame.header + frame.length => {
                let payload = peer.input[frame.header..][..frame.length].to_vec();
                peer.send(CLOSE, &[0x03, 0xE8]);
                peer.flush();
                peer.drain();
                return payload;
            }
            _ => assert!(peer.read(), "the suite sends a message"),
        }
    }
}

/// One end of a connection.
pub struct Peer {
    stream: TcpStream,
    is_server: bool,
    mutation: Option<Mutation>,
    /// With the other connections of a server.
    shared: Arc<Shared>,
    input: Vec<u8>,
    output: Vec<u8>,
    message: Option<Message>,
    /// After permessage-deflate was agreed.
    compression: Option<Compression>,
    /// The end of the last text, for a mutation.
    carried: Vec<u8>,
    close_sent: bool,
    close_received: bool,
    is_held: bool,
    was_reset: bool,
    /// Nothing has come in the time that the last read had.
    is_late: bool,
    has_failed: bool,
    messages: u32,
    pings: u32,
    pongs: u32,
    key: u32,
}

struct Message {
    is_binary: bool,
    is_compressed: bool,
    payload: Vec<u8>,
    /// The first bytes that are known to be UTF-8.
    checked: usize,
    fragments: u32,
}

struct Frame {
    fin: bool,
    rsv: u8,
    opcode: u8,
    is_masked: bool,
    is_minimal: bool,
    key: [u8; 4],
    header: usize,
    length: usize,
}

/// Whether the connection goes on.
enum Flow {
    /// More bytes are needed.
    Read,
    Next,
    End,
}

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

impl Peer {
    fn new(
        stream: TcpStream,
        is_server: bool,
        mutation: Option<Mutation>,
    ) -> std::io::Result<Peer> {
        stream.set_nodelay(true)?;
        Ok(Peer {
            stream,
            is_server,
            mutation,
            shared: Arc::default(),
            input: Vec::new(),
            output: Vec::new(),
            message: None,
            compression: None,
            carried: Vec::new(),
            close_sent: false,
            close_received: false,
            is_held: false,
            was_reset: false,
            is_late: false,
            has_failed: false,
            messages: 0,
            pings: 0,
            pongs: 0,
            key: 0x9E37_79B9,
        })
    }

    fn is_in(mutation: Option<Mutation>, name: &str) -> bool {
        mutation.is_some_and(|mutation| mutation.name() == name)
    }

    fn is(&self, name: &str) -> bool {
        Peer::is_in(self.mutation, name)
    }

    /// The opening handshake of a server.
    fn answer_request(&mut self) -> bool {
        if !self.is("waits for a request for ever") {
            let patient = self.mutation.is_none();
            let wait = if patient {
                5 * REQUEST_WAIT
            } else {
                REQUEST_WAIT
            };
            let _ = self.stream.set_read_timeout(Some(wait));
        }
        let Some(head) = self.read_head() else {
            return false;
        };
        let _ = self.stream.set_read_timeout(None);
        let (response, is_open) = match head.as_str() {
            TOO_LONG => (REFUSAL.to_owned(), false),
            head => handshake::respond(head, self),
        };
        self.compression = compression::of_response(&response, self);
        let is_sent = self.stream.write_all(response.as_bytes()).is_ok();
        if !is_open {
            self.note_failure();
            // What the client still sends must not make the kernel send RST.
            let has_body = head != TOO_LONG && !self.input.is_empty();
            if has_body && self.is("takes a body for a request") {
                return self.answer_request();
            }
            let _ = self.stream.shutdown(std::net::Shutdown::Write);
            self.drain();
        }
        is_open && is_sent
    }

    /// The opening handshake of a client.
    fn ask(&mut self, host: &str, target: &str) -> bool {
        let (request, key) = handshake::request(host, target, self);
        let mut bytes = request.into_bytes();
        if self.is("sends a frame before the response") {
            bytes.extend([0x8A, 0x80, 1, 2, 3, 4]);
        }
        if self.stream.write_all(&bytes).is_err() {
            return false;
        }
        let Some(head) = self.read_head().filter(|head| head != TOO_LONG) else {
            return false;
        };
        let has_length = head.contains("Content-Length") || head.contains("Transfer-Encoding");
        if has_length && self.is("takes frames for the body of a response") {
            self.input.clear();
        }
        self.compression = compression::of_response(&head, self);
        handshake::is_open(&head, &key, self)
    }

    fn read_head(&mut self) -> Option<String> {
        let mut reads = 0;
        loop {
            if let Some(end) = self.input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.input[..end]).into_owned();
                self.input.drain(..end + 4);
                if self.is("forgets what comes with a head") {
                    self.input.clear();
                }
                let in_one = reads < 2 || !self.is("needs the head in one read");
                return Some(head).filter(|_| in_one);
            }
            if self.input.len() > HEAD_BYTES_MAX && !self.is("reads heads of any length") {
                return Some(TOO_LONG.to_owned());
            }
            reads += 1;
            if !self.read() {
                let is_fin = !self.was_reset && !self.is_late;
                self.is_held |= is_fin && self.is("ignores FIN inside a head");
                return None;
            }
        }
    }

    fn drain(&mut self) {
        let _ = self.stream.set_read_timeout(Some(DRAIN_WAIT));
        while self.read() {
            self.input.clear();
        }
    }

    /// Echoes until the connection ends.
    fn converse(&mut self) {
        loop {
            let flow = self.process();
            match flow {
                Flow::Next => {}
                Flow::End => {
                    self.flush();
                    return self.end();
                }
                Flow::Read => {
                    self.flush();
                    if !self.read() {
                        return self.ended_by_peer();
                    }
                }
            }
        }
    }

    /// Reads; whether anything came.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_late =
                        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    self.note_reset(!self.is_late);
                    return false;
                }
            }
        }
    }

    fn flush(&mut self) {
        let discards = self.is("discards its answers when FIN comes");
        if discards && !self.output.is_empty() && self.fin_comes() {
            self.output.clear();
        }
        let is_written = self.stream.write_all(&self.output).is_ok();
        self.note_reset(!is_written);
        self.output.clear();
    }

    /// Whether the next thing that comes is FIN.
    fn fin_comes(&self) -> bool {
        let _ = self.stream.set_read_timeout(Some(FIN_WAIT));
        let is_fin = matches!(self.stream.peek(&mut [0]), Ok(0));
        let _ = self.stream.set_read_timeout(None);
        is_fin
    }

    fn note_reset(&mut self, is_reset: bool) {
        let is_first = is_reset && !self.was_reset;
        self.was_reset |= is_reset;
        if is_first && self.is("does not serve the next connection after a RST") {
            self.shared.harm.add();
        }
    }

    fn note_failure(&mut self) {
        self.has_failed = true;
        if self.is("does not serve the next connection after a failure") {
            self.shared.harm.add();
        }
    }

    /// Whether an earlier connection has done harm to this one, which is for that.
    fn is_harmed(&self, payload: &[u8]) -> bool {
        let spreads = [
            "does not serve the next connection after a RST",
            "does not serve the next connection after a failure",
        ];
        payload == b"fresh"
            && spreads.into_iter().any(|name| self.is(name))
            && self.shared.harm.take()
    }

    /// Lets the other side read what was sent before the socket is closed.
    fn end(&mut self) {
        if self.is_held {
            return;
        }
        if self.has_failed && self.is("waits for the client after it has failed a connection") {
            let _ = self.stream.set_read_timeout(Some(DRAIN_WAIT));
            self.read();
        }
        if self.is_server || !self.close_received || self.is("ends TCP after Close") {
            let _ = self.stream.shutdown(std::net::Shutdown::Write);
        }
        if !self.is("does not end TCP") {
            self.drain();
        }
    }

    fn ended_by_peer(&mut self) {
        if self.is("processes what FIN has cut off") && !self.was_reset {
            let payload = match self.message.take() {
                Some(message) => message.payload,
                None => self.input.split_off(self.input.len().min(6)),
            };
            self.send(1, &payload);
            self.flush();
        }
        self.is_held |= self.is("ignores FIN") && !self.was_reset;
    }

    /// Handles the next frame of the input.
    fn process(&mut self) -> Flow {
        let Some(frame) = self.header() else {
            return self.incomplete();
        };
        if let Some(words) = self.illegal(&frame) {
            return self.fail_frame(&words);
        }
        let end = frame.header.saturating_add(frame.length);
        if self.input.len() < end {
            return match self.check_begun(&frame) {
                Flow::Read => self.incomplete(),
                flow => flow,
            };
        }
        let mut payload: Vec<u8> = self.input[frame.header..end].to_vec();
        self.unmask(&frame, &mut payload);
        match self.is("processes one frame of each read") {
            true => self.input.clear(),
            false => drop(self.input.drain(..end)),
        }
        if self.close_received {
            return self.after_close(&frame, &payload);
        }
        match frame.opcode {
            CLOSE => self.close(&payload),
            PING => self.ping(&payload),
            PONG => self.pong(&payload),
            0xB..=0xF => Flow::Next,
            _ => self.data(&frame, payload),
        }
    }

    fn incomplete(&mut self) -> Flow {
        if self.is("needs whole frames in one read") {
            self.input.clear();
        }
        Flow::Read
    }

    fn header(&self) -> Option<Frame> {
        let input = &self.input;
        let (&first, &second) = (input.first()?, input.get(1)?);
        let (length, mut header) = match second & 0x7F {
            126 => {
                let bytes: [u8; 2] = input.get(2..4)?.try_into().ok()?;
                let length = match self.is("reads lengths of 16 bits in the wrong byte order") {
                    true => u16::from_le_bytes(bytes),
                    false => u16::from_be_bytes(bytes),
                };
                (u64::from(length), 4)
            }
            127 => (u64::from_be_bytes(input.get(2..10)?.try_into().ok()?), 10),
            length => (u64::from(length), 2),
        };
        let is_minimal = header
            == if length > 65_535 {
                10
            } else if length > 125 {
                4
            } else {
                2
            };
        let is_masked = second & 0x80 != 0;
        let mut key = [0; 4];
        if is_masked {
            key = input.get(header..header + 4)?.try_into().ok()?;
            header += 4;
        }
        let length = match self.is("ignores the top bit of a length") {
            true => length & (u64::MAX >> 1),
            false => length,
        };
        Some(Frame {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 7,
            opcode: first & 15,
            is_masked,
            is_minimal,
            key,
            header,
            length: usize::try_from(length).unwrap_or(usize::MAX),
        })
    }

    fn unmask(&self, frame: &Frame, payload: &mut [u8]) {
        let period = if self.is("starts the key anew after 15 bytes") {
            15
        } else {
            1 << 20
        };
        for (index, byte) in payload.iter_mut().enumerate() {
            *byte ^= frame.key[index % period % 4];
        }
    }

    /// What is illegal in a frame, by its header.
    fn illegal(&self, frame: &Frame) -> Option<String> {
        let is_control = frame.opcode >= 8;
        let accepts_rsv = match frame.opcode {
            0 => "accepts reserved bits in continuation frames",
            1..=7 => "accepts reserved bits in data frames",
            _ => "accepts reserved bits in control frames",
        };
        let says = |words: &str| Some(words.to_owned());
        let is_compressed = frame.rsv == 4 && matches!(frame.opcode, 1 | 2);
        let is_legal = frame.rsv == 0 || is_compressed && self.compression.is_some();
        if !is_legal && !self.is(accepts_rsv) {
            return says("reserved bits");
        }
        match frame.opcode {
            3..=7 if !self.is("takes reserved opcodes for binary") => {
                return says("reserved opcode");
            }
            0xB.. if !self.is("ignores reserved control opcodes") => {
                return says("reserved opcode");
            }
            _ => {}
        }
        if frame.is_masked != self.is_server && !self.is("accepts the wrong MASK bit") {
            return says("MASK bit");
        }
        if frame.is_masked && frame.key == [0; 4] && self.is("refuses the key zero") {
            return says("key zero");
        }
        if is_control && !frame.fin && !self.is("accepts fragmented control frames") {
            return says("fragmented control frame");
        }
        let longest = if self.is("refuses pings of 125 bytes") && frame.opcode == PING {
            124
        } else {
            125
        };
        let accepts_long = self.is("accepts control frames of more than 125 bytes");
        if is_control && frame.length > longest && !accepts_long {
            return says("long control frame");
        }
        if frame.length > usize::MAX >> 1 {
            return says("length");
        }
        if !frame.is_minimal && !self.is("accepts lengths that are not minimal") {
            return says("length not minimal");
        }
        self.illegal_order(frame)
    }

    fn illegal_order(&self, frame: &Frame) -> Option<String> {
        let says = |words: &str| Some(words.to_owned());
        match (frame.opcode, &self.message) {
            (8.., _) => None,
            (0, None) if !self.is("takes a continuation of nothing for text") => {
                says("continuation of nothing")
            }
            (1.., Some(_)) if !self.is("replaces a message by one inside it") => {
                says("message inside a message")
            }
            (_, _) if !frame.fin && self.is("refuses fragments") => says("fragment"),
            (0, _) if frame.length == 0 && self.is("refuses empty fragments") => says("empty"),
            (_, Some(message))
                if message.fragments >= 64 && self.is("refuses more than 64 fragments") =>
            {
                says("fragments")
            }
            _ => None,
        }
    }

    /// Fails the connection because of a frame.
    fn fail_frame(&mut self, _words: &str) -> Flow {
        if self.is("ignores illegal frames") {
            self.input.clear();
            return Flow::Read;
        }
        if self.is("forgets what it has to send when a frame is illegal") {
            self.output.clear();
        }
        match self.is("closes with 1011 when a frame is illegal") {
            true => self.fail(1011),
            false => self.fail(1002),
        }
    }

    fn fail(&mut self, code: u16) -> Flow {
        self.note_failure();
        if !self.is("ends TCP without Close when a frame is illegal") && !self.close_sent {
            self.send(CLOSE, &code.to_be_bytes());
        }
        Flow::End
    }

    /// Checks the text of a frame that is not whole yet.
    fn check_begun(&mut self, frame: &Frame) -> Flow {
        let is_late = self.is("checks UTF-8 at the end of a frame")
            || self.is("checks UTF-8 at the end of a message");
        let is_text = match (&self.message, frame.opcode) {
            (Some(message), 0) => !message.is_binary,
            (_, opcode) => opcode == 1,
        };
        if is_late || !is_text || self.is_compressed(frame) || frame.length > self.limit() {
            let waits = self.is("checks a length when the frame is whole");
            return match frame.length > self.limit() && frame.opcode < 8 && !waits {
                true => self.too_long(),
                false => Flow::Read,
            };
        }
        let mut text: Vec<u8> = match &self.message {
            Some(message) if frame.opcode == 0 => message.payload[message.checked..].to_vec(),
            _ => Vec::new(),
        };
        let mut begun = self.input[frame.header..].to_vec();
        if begun.len() > 4096 {
            return Flow::Read;
        }
        self.unmask(frame, &mut begun);
        text.extend(begun);
        match utf8::check(&text, self) {
            Text::Invalid => self.fail_text(),
            _ => Flow::Read,
        }
    }

    fn fail_text(&mut self) -> Flow {
        match self.is("closes with 1002 when text is not UTF-8") {
            true => self.fail(1002),
            false => self.fail(1007),
        }
    }

    fn limit(&self) -> usize {
        if self.is("has a limit of 200 KiB") {
            200 << 10
        } else if self.is("has a limit of 999 bytes") {
            999
        } else if self.is("has no limit") {
            usize::MAX
        } else {
            MESSAGE_BYTES_MAX
        }
    }

    fn too_long(&mut self) -> Flow {
        match self.is("closes with 1002 when a message is too long") {
            true => self.fail(1002),
            false => self.fail(1009),
        }
    }

    fn data(&mut self, frame: &Frame, payload: Vec<u8>) -> Flow {
        let begun = Message {
            is_binary: frame.opcode != 1 && frame.opcode != 0,
            is_compressed: frame.rsv & 4 != 0 && self.compression.is_some(),
            payload: Vec::new(),
            checked: 0,
            fragments: 0,
        };
        let mut message = match frame.opcode {
            0 => self.message.take().unwrap_or(begun),
            _ => begun,
        };
        if self.is("keeps the payload of the last message") && frame.opcode != 0 {
            message.payload = std::mem::take(&mut self.carried);
        }
        message.fragments += 1;
        let before = match self.is("has a limit for each frame alone") {
            true => 0,
            false => message.payload.len(),
        };
        if before.saturating_add(payload.len()) > self.limit() {
            return self.too_long();
        }
        message.payload.extend(payload);
        if message.is_compressed || self.compression.is_some() && self.is("inflates every message")
        {
            if !frame.fin && !self.is("inflates each fragment by itself") {
                self.message = Some(message);
                return Flow::Next;
            }
            if let Some(flow) = self.inflate(&mut message) {
                return flow;
            }
        }
        if let Some(flow) = self.check_text(frame, &mut message) {
            return flow;
        }
        match frame.fin {
            true => self.echo(message),
            false => {
                let hangs = message.fragments > 1000 && self.is("hangs after 1000 fragments");
                self.is_held |= hangs;
                self.message = Some(message);
                if hangs { Flow::End } else { Flow::Next }
            }
        }
    }

    /// Whether the frame belongs to a compressed message.
    fn is_compressed(&self, frame: &Frame) -> bool {
        match &self.message {
            Some(message) if frame.opcode == 0 => message.is_compressed,
            _ => frame.rsv == 4,
        }
    }

    /// Fails the connection if the message cannot be inflated.
    fn inflate(&mut self, message: &mut Message) -> Option<Flow> {
        let (mutation, limit) = (self.mutation, self.limit());
        let compression = self.compression.as_mut()?;
        match compression.inflate(&message.payload, limit, mutation) {
            Inflated::Whole(payload) => message.payload = payload,
            Inflated::TooLong => return Some(self.too_long()),
            Inflated::Hangs => {
                self.is_held = true;
                return Some(Flow::End);
            }
            Inflated::Corrupt => {
                let code = match self.is("closes with 1011 when a message cannot be inflated") {
                    true => 1011,
                    false => 1007,
                };
                return Some(self.fail(code));
            }
        }
        None
    }

    /// Fails the connection if a text is not UTF-8.
    fn check_text(&mut self, frame: &Frame, message: &mut Message) -> Option<Flow> {
        if message.is_binary && !self.is("checks binary messages") {
            return None;
        }
        if message.is_compressed && self.is("does not check UTF-8 of compressed messages") {
            return None;
        }
        if !frame.fin && self.is("checks UTF-8 at the end of a message") {
            return None;
        }
        if self.is("accepts characters across messages") && !self.carried.is_empty() {
            let mut text = std::mem::take(&mut self.carried);
            text.extend(&message.payload[message.checked..]);
            return match utf8::check(&text, self) {
                Text::Invalid => Some(self.fail_text()),
                _ => None,
            };
        }
        let text = &message.payload[message.checked..];
        let found = utf8::check(text, self);
        if found == Text::Whole {
            message.checked = message.payload.len();
        } else if let Err(error) = std::str::from_utf8(text) {
            if self.is("accepts characters across messages") && frame.fin && found == Text::Begun {
                self.carried = text[error.valid_up_to()..].to_vec();
                return None;
            }
            message.checked += error.valid_up_to();
        }
        let by_itself = self.is("checks each fragment by itself");
        let is_cut = found == Text::Begun && (frame.fin || by_itself);
        let is_accepted = is_cut && self.is("accepts truncated characters");
        match found == Text::Invalid || is_cut && !is_accepted {
            true => Some(self.fail_text()),
            false => None,
        }
    }

    fn echo(&mut self, message: Message) -> Flow {
        self.messages += 1;
        if self.is_harmed(&message.payload) {
            self.is_held = true;
            return Flow::End;
        }
        let mutation = self.mutation;
        if let Some(compression) = self.compression.as_mut().filter(|_| !message.is_compressed) {
            compression.passed(mutation);
        }
        let ends = self.messages > 50 && self.is("ends after 50 messages")
            || self.messages > 150_000 && self.is("ends after 150,000 messages");
        if ends {
            return Flow::End;
        }
        let is_fragmented = message.fragments > 1;
        let as_text = !message.is_binary
            || self.is("answers binary messages as text")
            || is_fragmented && self.is("answers fragmented messages as text");
        let opcode = if as_text { 1 } else { 2 };
        match &mut self.compression {
            Some(compression) => {
                let payload = compression.compress(&message.payload, mutation);
                self.send_compressed(opcode, &payload);
            }
            None => self.send(opcode, &message.payload),
        }
        if self.is("keeps the payload of the last message") {
            self.carried = message.payload;
        }
        Flow::Next
    }

    fn ping(&mut self, payload: &[u8]) -> Flow {
        self.pings += 1;
        if self.pings > 1000 && self.is("ends after 1000 pings") {
            return Flow::End;
        }
        if self.is("forgets a message at a ping") && self.message.take().is_some() {
            self.message = Some(Message {
                is_binary: false,
                is_compressed: false,
                payload: Vec::new(),
                checked: 0,
                fragments: 1,
            });
        }
        let is_first = self.output.is_empty();
        let waits = self.message.is_some() && self.is("answers pings after the message");
        let is_late = self.is("answers the first ping of a read") && !is_first;
        if self.is("does not answer pings") || waits || is_late {
            return Flow::Next;
        }
        match self.is("answers pings as text") {
            true => self.send(1, payload),
            false if self.is("answers pings without their payload") => self.send(PONG, b""),
            false => self.send(PONG, payload),
        }
        Flow::Next
    }

    fn pong(&mut self, payload: &[u8]) -> Flow {
        self.pongs += 1;
        if self.pongs > 1000 && self.is("ends after 1000 pongs") {
            return Flow::End;
        }
        if self.is("answers pongs") {
            self.send(PONG, payload);
        }
        if self.is("forgets a message at a pong") && self.message.take().is_some() {
            self.message = Some(Message {
                is_binary: false,
                is_compressed: false,
                payload: Vec::new(),
                checked: 0,
                fragments: 1,
            });
        }
        Flow::Next
    }

    fn close(&mut self, payload: &[u8]) -> Flow {
        self.close_received = true;
        if let Some(message) = self
            .message
            .take()
            .filter(|_| self.is("echoes what a Close interrupts"))
        {
            self.send(1, &message.payload);
        }
        if self.is("forgets what it has to send at a Close") {
            self.output.clear();
        }
        let (code, reason) = match payload {
            [] => (None, &[][..]),
            [_] if self.is("accepts a Close of one byte") => (None, &[][..]),
            [_] => return self.fail_frame("Close"),
            [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
        };
        if std::str::from_utf8(reason).is_err() && !self.is("accepts reasons that are not UTF-8") {
            return self.fail_text();
        }
        let is_too_long = reason.len() == 123 && self.is("refuses reasons of 123 bytes");
        if is_too_long || !reason.is_empty() && self.is("refuses reasons") {
            return Flow::End;
        }
        self.answer_close(code)
    }

    fn answer_close(&mut self, code: Option<u16>) -> Flow {
        let code = match code {
            None if self.is("answers a Close without a code with 1005") => Some(1005),
            None => None,
            Some(code) if is_legal(code) || self.is("sends illegal codes back") => Some(code),
            Some(5000..) if self.is("ignores codes beyond 4999") => {
                self.is_held = true;
                return Flow::End;
            }
            Some(_) => return self.fail_frame("code"),
        };
        let is_unknown = code.is_some_and(|code| code > 1011);
        if is_unknown && self.is("ends TCP at codes that it does not know") {
            return Flow::End;
        }
        if self.is("does not answer Close") {
            return Flow::End;
        }
        let code = code.map(|code| {
            if self.is("answers each Close with 1000") {
                1000
            } else {
                code
            }
        });
        let payload = code
            .map(|code| code.to_be_bytes().to_vec())
            .unwrap_or_default();
        let is_later = [
            "echoes after Close",
            "answers pings after Close",
            "answers a second Close",
        ];
        if is_later.into_iter().any(|name| self.is(name)) {
            self.send(CLOSE, &payload);
            return Flow::Next;
        }
        self.send(CLOSE, &payload);
        Flow::End
    }

    /// Frames behind a Close, for the mutations that handle them.
    fn after_close(&mut self, frame: &Frame, payload: &[u8]) -> Flow {
        let (name, opcode) = match frame.opcode {
            CLOSE => ("answers a second Close", CLOSE),
            PING => ("answers pings after Close", PONG),
            _ => ("echoes after Close", 1),
        };
        if self.is(name) {
            self.send(opcode, payload);
        }
        Flow::End
    }

    fn send_compressed(&mut self, opcode: u8, payload: &[u8]) {
        let is_cut = self.is("sets RSV1 in every fragment") && payload.len() > 1;
        let (first, rest) = payload.split_at(if is_cut { 1 } else { payload.len() });
        let fin = if is_cut { 0 } else { 0x80 };
        self.send_frame(fin | 0x40 | opcode, first);
        if is_cut {
            self.send_frame(0x80 | 0x40, rest);
        }
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) {
        let is_marked =
            opcode == PONG && self.compression.is_some() && self.is("sets RSV1 in pongs");
        let rsv1 = if is_marked { 0x40 } else { 0 };
        self.send_frame(0x80 | rsv1 | opcode, payload);
    }

    fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let opcode = first & 15;
        self.close_sent |= opcode == CLOSE;
        let name = match opcode {
            CLOSE => "does not mask Close",
            PING | PONG => "does not mask pongs",
            _ => "does not mask messages",
        };
        let masks = match self.is_server {
            true => self.is("masks its frames"),
            false => !self.is(name),
        };
        self.output.push(first);
        let mask_bit = if masks { 0x80 } else { 0 };
        match payload.len() {
            length if self.is("writes every length in 64 bits") => {
                self.output.push(mask_bit | 127);
                self.output.extend((length as u64).to_be_bytes());
            }
            length @ 0..=125 => self.output.push(mask_bit | length as u8),
            length @ 126..=65_535 => {
                self.output.push(mask_bit | 126);
                self.output.extend((length as u16).to_be_bytes());
            }
            length => {
                self.output.push(mask_bit | 127);
                self.output.extend((length as u64).to_be_bytes());
            }
        }
        if !masks {
            return self.output.extend(payload);
        }
        let key = self.next_key();
        self.output.extend(key);
        let masked = payload.iter().zip(key.iter().cycle());
        self.output.extend(masked.map(|(byte, key)| byte ^ key));
    }

    fn next_key(&mut self) -> [u8; 4] {
        let mut random = [0; 4];
        getrandom::fill(&mut random).expect("random bytes");
        if self.is("masks with one key for ever") {
            return self.key.to_be_bytes();
        }
        if self.is("counts its keys up") {
            self.key = self.key.wrapping_add(1);
            return self.key.to_be_bytes();
        }
        if self.is("masks with keys of 31 bits") {
            random[0] &= 0x7F;
        }
        random
    }
}

/// The longest message of a peer without a mutation of its limit.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How long a server waits for each part of a request. One that obeys every rule waits five times as
/// long: a client that is slow because its machine is busy is no fault.
pub const REQUEST_WAIT: Duration = Duration::from_secs(2);

/// What the peers consist of, for the test of the names in it.
pub const SOURCES: [&str; 4] = [
    include_str!("mod.rs"),
    include_str!("compression.rs"),
    include_str!("handshake.rs"),
    include_str!("utf8.rs"),
];

/// Connections of a client at a time.
const RUNS_AT_ONCE: usize = 24;
const HEAD_BYTES_MAX: usize = 100_000;
/// Of a head.
const FIELDS_MAX: usize = 1000;
/// How long a mutation waits for a FIN, or for another connection's end, which are on their way.
const FIN_WAIT: Duration = Duration::from_millis(50);
const HARM_WAIT: Duration = Duration::from_millis(300);
/// How long the other side may take to end TCP.
const DRAIN_WAIT: Duration = Duration::from_secs(2);
const TOO_LONG: &str = "too long";
const REFUSAL: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n";

fn is_legal(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
