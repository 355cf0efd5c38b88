//! Checks that a server is correct, before it is measured.
//!
//! `check PORT broadcast|echo|compressed [PATH]`
//!
//! Broadcast: there are 40 members. 4 of them send 300 messages each without waiting,
//! alternately text and binary, with lengths on both sides of every length encoding. Every
//! member, including the senders, must receive every message unchanged and with its opcode,
//! and the messages of each sender in order. Echo: 8 connections do the same, each alone. A
//! member that receives nothing for ten seconds fails the check.
//!
//! Compressed: the same as broadcast, with permessage-deflate, which the server must accept
//! without context takeover. Each compressed message must inflate alone to the message that
//! was sent, and messages of 1000 bytes or more must be compressed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use miniz_oxide::inflate::decompress_to_vec_with_limit;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};
use yamabiko_servers::arguments::Arguments;

const MEMBERS: usize = 40;
const SENDERS: usize = 4;
const ECHOES: usize = 8;
const MESSAGES: usize = 300;
const LENGTHS: [usize; 9] = [16, 64, 125, 126, 127, 1000, 1024, 4096, 16_384];
const COMPRESSED_FROM: usize = 1000;
const MESSAGE_BYTES_MAX: usize = 1 << 16;
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SILENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments = Arguments::from_command_line(&["broadcast", "echo", "compressed"]);
    let path = std::env::args().nth(3);
    let mode = match arguments.mode.as_str() {
        "echo" => Mode::Echo,
        "compressed" => Mode::Compressed,
        _ => Mode::Broadcast,
    };
    let path = path.unwrap_or_else(|| format!("/{}", arguments.mode));
    let url = format!("ws://127.0.0.1:{}{path}", arguments.port);
    let members = if mode == Mode::Echo { ECHOES } else { MEMBERS };
    // No member sends before all have joined.
    let joined = Arc::new(Barrier::new(members));
    let threads = (0..members).map(|number| {
        let (url, joined) = (url.clone(), Arc::clone(&joined));
        thread::spawn(move || member(&url, number, mode, &joined))
    });
    let threads = threads.collect::<Vec<_>>();
    let mut failures = 0;
    for (number, thread) in threads.into_iter().enumerate() {
        if let Err(reason) = thread.join().unwrap_or_else(|_| Err("panicked".into())) {
            eprintln!("member {number}: {reason}");
            failures += 1;
        }
    }
    if failures > 0 {
        println!("failed {}: {failures} of {members} members", arguments.mode);
        return ExitCode::FAILURE;
    }
    println!("passed {}: {members} members", arguments.mode);
    ExitCode::SUCCESS
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Broadcast,
    Echo,
    Compressed,
}

fn member(url: &str, number: usize, mode: Mode, joined: &Barrier) -> Result<(), String> {
    let opened = match mode {
        Mode::Compressed => open_compressed(url),
        Mode::Broadcast | Mode::Echo => open(url),
    };
    joined.wait();
    let (mut reader, writer) = opened.map_err(|error| error.to_string())?;
    // A server may register a member after it has sent the response.
    thread::sleep(Duration::from_millis(200));
    joined.wait();
    let senders = if mode == Mode::Echo {
        number..number + 1
    } else {
        0..SENDERS
    };
    let sending = senders
        .contains(&number)
        .then(|| thread::spawn(move || send_all(writer, number)));
    let mut expected = [0; MEMBERS];
    for _ in 0..senders.len() * MESSAGES {
        let received = reader
            .read()
            .map_err(|error| format!("{error} after {expected:?}"))?;
        let bytes = received.clone().into_data();
        let sender = usize::from(*bytes.first().ok_or("empty message")? - b'0');
        let sequence = expected.get_mut(sender).ok_or("unknown sender")?;
        if received != message(sender, *sequence) {
            return Err(format!(
                "message {sequence} of sender {sender} is missing or changed"
            ));
        }
        *sequence += 1;
    }
    match sending {
        Some(sending) => sending.join().map_err(|_| "sender panicked")?,
        None => Ok(()),
    }
}

type Failure = Box<dyn std::error::Error>;

/// The half of the connection that reads.
enum Reader {
    Plain(Box<WebSocket<TcpStream>>),
    Compressed(TcpStream),
}

impl Reader {
    fn read(&mut self) -> Result<Message, Failure> {
        match self {
            Reader::Plain(socket) => Ok(socket.read()?),
            Reader::Compressed(stream) => loop {
                if let Some(message) = read_frame(stream)? {
                    return Ok(message);
                }
            },
        }
    }
}

/// Opens a connection, and returns its reading and its writing half.
fn open(url: &str) -> Result<(Reader, WebSocket<TcpStream>), Failure> {
    let (socket, _) = client(url, connect(url)?)?;
    let writer = writer(socket.get_ref())?;
    Ok((Reader::Plain(Box::new(socket)), writer))
}

/// The same with permessage-deflate, which tungstenite does not support. The messages of
/// this side are not compressed.
fn open_compressed(url: &str) -> Result<(Reader, WebSocket<TcpStream>), Failure> {
    let mut stream = connect(url)?;
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
         client_no_context_takeover; client_max_window_bits\r\n\r\n",
        address(url),
    );
    stream.write_all(request.as_bytes())?;
    check_response(&read_head(&mut stream)?)?;
    let writer = writer(&stream)?;
    Ok((Reader::Compressed(stream), writer))
}

fn address(url: &str) -> &str {
    let rest = url.trim_start_matches("ws://");
    rest.split('/').next().unwrap_or_default()
}

fn connect(url: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address(url))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

fn writer(stream: &TcpStream) -> std::io::Result<WebSocket<TcpStream>> {
    let stream = stream.try_clone()?;
    Ok(WebSocket::from_raw_socket(stream, Role::Client, None))
}

/// Reads one byte at a time, so that it reads no byte of a frame.
fn read_head(stream: &mut TcpStream) -> Result<String, Failure> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head)?)
}

fn check_response(head: &str) -> Result<(), Failure> {
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let extensions = field("Sec-WebSocket-Extensions").unwrap_or_default();
    let agreed = extensions.split(';').map(str::trim).collect::<Vec<_>>();
    let is_right = head.starts_with("HTTP/1.1 101 ")
        && field("Sec-WebSocket-Accept") == Some(derive_accept_key(KEY.as_bytes()))
        && agreed.first() == Some(&"permessage-deflate")
        && agreed.contains(&"server_no_context_takeover");
    match is_right {
        true => Ok(()),
        false => Err(format!("not the expected response: {head}").into()),
    }
}

/// The next message; `None` for a ping, which needs no pong in such a short time.
fn read_frame(stream: &mut TcpStream) -> Result<Option<Message>, Failure> {
    let [first, second] = read_array(stream)?;
    let length = match second {
        126 => u64::from(u16::from_be_bytes(read_array(stream)?)),
        127 => u64::from_be_bytes(read_array(stream)?),
        length @ 0..126 => u64::from(length),
        _ => return Err("a masked frame".into()),
    };
    let length = usize::try_from(length)?;
    if length > MESSAGE_BYTES_MAX {
        return Err(format!("a frame of {length} bytes").into());
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    let is_compressed = first & 0b0100_0000 != 0;
    if is_compressed {
        payload = inflate(payload)?;
    } else if length >= COMPRESSED_FROM {
        return Err(format!("{length} bytes that are not compressed").into());
    }
    match first & 0b1011_1111 {
        0x81 => Ok(Some(Message::text(String::from_utf8(payload)?))),
        0x82 => Ok(Some(Message::binary(payload))),
        0x89 if !is_compressed => Ok(None),
        _ => Err(format!("a frame that begins with {first:#x}").into()),
    }
}

fn read_array<const BYTES: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Inflates a message alone. Appends the block that the sender has removed, and a block that
/// ends the stream.
fn inflate(mut payload: Vec<u8>) -> Result<Vec<u8>, Failure> {
    payload.extend_from_slice(b"\x00\x00\xff\xff\x01\x00\x00\xff\xff");
    decompress_to_vec_with_limit(&payload, MESSAGE_BYTES_MAX)
        .map_err(|error| format!("cannot be inflated: {error}").into())
}

fn send_all(mut writer: WebSocket<TcpStream>, sender: usize) -> Result<(), String> {
    for sequence in 0..MESSAGES {
        let sent = writer.write(message(sender, sequence));
        sent.map_err(|error| format!("write: {error}"))?;
        // 32 messages are flushed together.
        if sequence % 32 == 31 {
            writer.flush().map_err(|error| format!("flush: {error}"))?;
        }
    }
    writer.flush().map_err(|error| format!("flush: {error}"))
}

/// The message of this sender with this number: its digit, the number, and padding.
fn message(sender: usize, sequence: usize) -> Message {
    let digit = char::from(b'0' + u8::try_from(sender).unwrap_or(0));
    let mut text = format!("{digit} {sequence} ");
    let length = LENGTHS[(sender + sequence) % LENGTHS.len()];
    while text.len() < length {
        text.push(char::from(
            b'a' + u8::try_from(text.len() % 26).unwrap_or(0),
        ));
    }
    if sequence.is_multiple_of(2) {
        Message::text(text)
    } else {
        Message::binary(text.into_bytes())
    }
}
