//! A reference for the benchmark: it makes only the kernel calls that every broadcast server
//! needs.
//!
//! It parses and unmasks frames, and then either calls `send` once for each
//! message and client (`each`), or collects all messages of one turn of its loop and calls
//! `send` once for each client (`batched`, contiguous bytes). It does nothing else: no
//! checks of UTF-8 or of the request, no fragments, no timers, no rooms. It is not a server
//! for use.
//!
//! `limit PORT each|batched|echo|sealed`
//!
//! `sealed` is `batched` over TLS, with the library and the cryptography of yamabiko, and the files that the variables `TLS_CERT` and
//! `TLS_KEY` name: a turn's messages are sealed together, once for each client, and sent.
//!
//! Limits: it accepts only unfragmented text and binary frames. It ignores pings and pongs,
//! and ends the connection on any other frame. It drops a client with a backlog of more than
//! 1 MiB.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};
use rustls::ServerConfig;
use yamabiko_servers::arguments::{Arguments, BACKLOG_BYTES_MAX, announce};
use yamabiko_servers::sealed::{self, Broken, Sealed};

fn main() -> io::Result<()> {
    let arguments = Arguments::from_command_line(&["each", "batched", "echo", "sealed"]);
    let mode = match arguments.mode.as_str() {
        "each" => Mode::Each,
        "echo" => Mode::Echo,
        "sealed" => Mode::Sealed,
        _ => Mode::Batched,
    };
    let listener = TcpListener::bind(("127.0.0.1", arguments.port))?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?);
    Server::new(listener, mode)?.run()
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Each,
    Batched,
    Echo,
    Sealed,
}

/// The listener's token; clients have their index in `clients`.
const LISTENER: u64 = u64::MAX;
/// Enough for a turn in which every client sends.
const EVENTS_PER_TURN: usize = 4096;
const READ_BUFFER_BYTES: usize = 256 * 1024;

struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    mode: Mode,
    clients: Vec<Option<Client>>,
    vacant: Vec<usize>,
    /// The frames of this turn, one after another, as they are sent.
    turn: Vec<u8>,
    /// The end of each frame in `turn`.
    frame_ends: Vec<usize>,
    /// In the mode `sealed`.
    tls: Option<Arc<ServerConfig>>,
    /// By client; empty in the other modes.
    sealed: Vec<Option<Box<Sealed>>>,
    /// The records for one client.
    records: Vec<u8>,
}

/// 24 bytes; the boxed parts exist only while they are needed.
#[expect(clippy::box_collection, reason = "a pointer is smaller than a vector")]
struct Client {
    socket: OwnedFd,
    is_open: bool,
    /// An unfinished request or frame.
    unread: Option<Box<Vec<u8>>>,
    /// Bytes that the socket did not accept.
    unsent: Option<Box<Vec<u8>>>,
}

/// The connection has ended, or must be ended.
struct Gone;

impl Server {
    fn new(listener: TcpListener, mode: Mode) -> io::Result<Server> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let token = EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, token, EventFlags::IN)?;
        Ok(Server {
            listener,
            epoll,
            mode,
            clients: Vec::new(),
            vacant: Vec::new(),
            turn: Vec::new(),
            frame_ends: Vec::new(),
            tls: match mode {
                Mode::Sealed => Some(sealed::config()?),
                _ => None,
            },
            sealed: Vec::new(),
            records: Vec::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::<Event>::with_capacity(EVENTS_PER_TURN);
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                // Copies the fields first, because the kernel's struct is packed.
                let (token, flags) = (event.data, event.flags);
                match token.u64() {
                    LISTENER => self.accept()?,
                    index => self.ready(index as usize, flags, &mut buffer),
                }
            }
            self.fan_out();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(socket) = accept_with(&self.listener, flags) {
            sockopt::set_tcp_nodelay(&socket, true)?;
            let index = self.vacant.pop().unwrap_or(self.clients.len());
            let token = EventData::new_u64(index as u64);
            epoll::add(&self.epoll, &socket, token, EventFlags::IN)?;
            let client = Client {
                socket,
                is_open: false,
                unread: None,
                unsent: None,
            };
            if let Some(config) = &self.tls {
                self.sealed
                    .resize_with(self.clients.len().max(index + 1), || None);
                self.sealed[index] = Some(Box::new(Sealed::new(config.clone())?));
            }
            match self.clients.get_mut(index) {
                Some(vacancy) => *vacancy = Some(client),
                None => self.clients.push(Some(client)),
            }
        }
        Ok(())
    }

    fn ready(&mut self, index: usize, flags: EventFlags, buffer: &mut [u8]) {
        let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let mut result = Ok(());
        if flags.contains(EventFlags::OUT) {
            result = client.send_rest(index, self.epoll.as_fd());
        }
        if result.is_ok() && flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let sealed = self.sealed.get_mut(index).and_then(Option::as_mut);
            result = client.receive(buffer, sealed, &mut self.turn, &mut self.frame_ends);
        }
        if result.is_ok() && self.mode == Mode::Echo && !self.turn.is_empty() {
            result = client.send(&self.turn, index, self.epoll.as_fd());
            self.turn.clear();
            self.frame_ends.clear();
        }
        if result.is_err() {
            self.remove(index);
        }
    }

    fn fan_out(&mut self) {
        if self.turn.is_empty() {
            return;
        }
        let whole = [self.turn.len()];
        let ends: &[usize] = match self.mode {
            Mode::Each => &self.frame_ends,
            Mode::Batched | Mode::Echo | Mode::Sealed => &whole,
        };
        let mut gone = Vec::new();
        let mut start = 0;
        for &end in ends {
            let bytes = &self.turn[start..end];
            start = end;
            for (index, client) in self.clients.iter_mut().enumerate() {
                let Some(client) = client.as_mut().filter(|client| client.is_open) else {
                    continue;
                };
                let bytes = match self.sealed.get_mut(index).and_then(Option::as_mut) {
                    None => bytes,
                    Some(sealed) => match sealed.seal(bytes, &mut self.records) {
                        Ok(count) => &self.records[..count],
                        Err(Broken) => {
                            gone.push(index);
                            continue;
                        }
                    },
                };
                if client.send(bytes, index, self.epoll.as_fd()).is_err() {
                    gone.push(index);
                }
            }
        }
        self.turn.clear();
        self.frame_ends.clear();
        for index in gone {
            self.remove(index);
        }
    }

    /// Closes the socket, which also removes it from epoll.
    fn remove(&mut self, index: usize) {
        if self.clients[index].take().is_some() {
            self.vacant.push(index);
        }
    }
}

impl Client {
    fn receive(
        &mut self,
        buffer: &mut [u8],
        mut sealed: Option<&mut Box<Sealed>>,
        turn: &mut Vec<u8>,
        frame_ends: &mut Vec<usize>,
    ) -> Result<(), Gone> {
        let read = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, 0)) => return Err(Gone),
            Ok((_, read)) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(_) => return Err(Gone),
        };
        let (mut opened, mut answer) = (Vec::new(), Vec::new());
        let read = match &mut sealed {
            None => &buffer[..read],
            Some(sealed) => {
                let received = sealed.receive(&buffer[..read], &mut opened, &mut answer);
                received.map_err(|Broken| Gone)?;
                self.send_short(&answer)?;
                opened.as_slice()
            }
        };
        let mut unread = self.unread.take();
        let input = match &mut unread {
            None => read,
            Some(unread) => {
                unread.extend_from_slice(read);
                unread.as_slice()
            }
        };
        let taken = if self.is_open {
            take_frames(input, turn, frame_ends)?
        } else {
            self.take_request(input, sealed)?
        };
        if taken < input.len() {
            self.unread = Some(Box::new(input[taken..].to_vec()));
        }
        Ok(())
    }

    /// What a new client takes at once.
    fn send_short(&self, bytes: &[u8]) -> Result<(), Gone> {
        match bytes.is_empty() || send(&self.socket, bytes, SendFlags::NOSIGNAL) == Ok(bytes.len())
        {
            true => Ok(()),
            false => Err(Gone),
        }
    }

    fn take_request(
        &mut self,
        input: &[u8],
        sealed: Option<&mut Box<Sealed>>,
    ) -> Result<usize, Gone> {
        let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Ok(0);
        };
        let head = std::str::from_utf8(&input[..end]).map_err(|_| Gone)?;
        let key = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("Sec-WebSocket-Key")
                .then_some(value.trim())
        });
        let accept = sockudo_ws::handshake::generate_accept_key(key.ok_or(Gone)?);
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let mut records = Vec::new();
        let response = match sealed {
            None => response.as_bytes(),
            Some(sealed) => {
                let sealed = sealed.seal(response.as_bytes(), &mut records);
                let count = sealed.map_err(|Broken| Gone)?;
                &records[..count]
            }
        };
        self.send_short(response)?;
        self.is_open = true;
        Ok(end + 4)
    }

    #[inline]
    fn send(&mut self, bytes: &[u8], index: usize, epoll: BorrowedFd<'_>) -> Result<(), Gone> {
        if self.unsent.is_none() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(sent) => return self.keep(&bytes[sent..], index, epoll),
                Err(Errno::AGAIN) => {}
                Err(_) => return Err(Gone),
            }
        }
        self.keep(bytes, index, epoll)
    }

    #[cold]
    fn keep(&mut self, bytes: &[u8], index: usize, epoll: BorrowedFd<'_>) -> Result<(), Gone> {
        if self.unsent.is_none() {
            self.watch(index, epoll, EventFlags::IN | EventFlags::OUT)?;
        }
        let unsent = self.unsent.get_or_insert_default();
        unsent.extend_from_slice(bytes);
        if unsent.len() > BACKLOG_BYTES_MAX {
            return Err(Gone);
        }
        Ok(())
    }

    #[cold]
    fn send_rest(&mut self, index: usize, epoll: BorrowedFd<'_>) -> Result<(), Gone> {
        let Some(unsent) = &mut self.unsent else {
            return Ok(());
        };
        match send(&self.socket, unsent, SendFlags::NOSIGNAL) {
            Ok(sent) if sent == unsent.len() => self.unsent = None,
            Ok(sent) => drop(unsent.drain(..sent)),
            Err(Errno::AGAIN) => {}
            Err(_) => return Err(Gone),
        }
        if self.unsent.is_none() {
            self.watch(index, epoll, EventFlags::IN)?;
        }
        Ok(())
    }

    fn watch(&self, index: usize, epoll: BorrowedFd<'_>, flags: EventFlags) -> Result<(), Gone> {
        let token = EventData::new_u64(index as u64);
        epoll::modify(epoll, &self.socket, token, flags).map_err(|_| Gone)
    }
}

/// Appends the complete frames of `input`, unmasked, and returns their length in `input`.
///
/// ```text
///  input   FIN+opcode, 0x80+length, [length], key ×4, masked payload
///  turn    FIN+opcode,      length, [length],              payload
/// ```
fn take_frames(
    input: &[u8],
    turn: &mut Vec<u8>,
    frame_ends: &mut Vec<usize>,
) -> Result<usize, Gone> {
    let mut taken = 0;
    while let Some((head_bytes, payload_bytes)) = measure(&input[taken..])? {
        let frame = &input[taken..];
        let frame_bytes = head_bytes + 4 + payload_bytes;
        if frame.len() < frame_bytes {
            break;
        }
        taken += frame_bytes;
        match frame[0] {
            0x81 | 0x82 => {}
            0x89 | 0x8A => continue,
            _ => return Err(Gone),
        }
        turn.push(frame[0]);
        turn.push(frame[1] & 0x7F);
        turn.extend_from_slice(&frame[2..head_bytes]);
        let payload_start = turn.len();
        turn.extend_from_slice(&frame[head_bytes + 4..frame_bytes]);
        let key = [
            frame[head_bytes],
            frame[head_bytes + 1],
            frame[head_bytes + 2],
            frame[head_bytes + 3],
        ];
        unmask(&mut turn[payload_start..], key);
        frame_ends.push(turn.len());
    }
    Ok(taken)
}

/// The number of bytes before the masking key, and in the payload. `None` if the frame is too
/// short to contain them.
fn measure(frame: &[u8]) -> Result<Option<(usize, usize)>, Gone> {
    let Some(&[_, second]) = frame.get(..2) else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err(Gone);
    }
    Ok(match (second & 0x7F, frame) {
        (126, [_, _, a, b, ..]) => Some((4, usize::from(u16::from_be_bytes([*a, *b])))),
        (126, _) => None,
        (127, _) => return Err(Gone),
        (length, _) => Some((2, usize::from(length))),
    })
}

fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let word = u64::from_ne_bytes([
        key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3],
    ]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ word).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let key = [1, 2, 3, 4];
        let mut frame = vec![0x80 | opcode];
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(&key);
        let start = frame.len();
        frame.extend_from_slice(payload);
        unmask(&mut frame[start..], key);
        frame
    }

    #[test]
    fn idle_client_is_small() {
        assert_eq!(size_of::<Option<Client>>(), 24);
    }

    #[test]
    fn frames_are_unmasked_however_the_input_is_cut() {
        let mut input = masked(1, b"hello");
        input.extend(masked(2, &[7; 300]));
        let mut expected = b"\x81\x05hello\x82\x7e\x01\x2c".to_vec();
        expected.extend([7; 300]);
        for cut in 0..=input.len() {
            let (mut turn, mut ends) = (Vec::new(), Vec::new());
            let taken = take_frames(&input[..cut], &mut turn, &mut ends)
                .ok()
                .unwrap();
            let rest = take_frames(&input[taken..], &mut turn, &mut ends)
                .ok()
                .unwrap();
            assert_eq!(taken + rest, input.len());
            assert_eq!(turn, expected);
            assert_eq!(ends, [7, expected.len()]);
        }
    }

    #[test]
    fn unmasked_and_fragmented_frames_end_the_connection() {
        for input in [&b"\x81\x00"[..], b"\x01\x80\0\0\0\0", b"\x88\x80\0\0\0\0"] {
            assert!(take_frames(input, &mut Vec::new(), &mut Vec::new()).is_err());
        }
    }
}
