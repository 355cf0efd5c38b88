//! Is a server right, before anybody measures it?
//!
//! `check PORT broadcast|echo [PATH]`
//!
//! Broadcast: 40 members, 4 of which send 300 messages each without waiting, of
//! lengths on both sides of every length form, text and binary in turn. Every
//! member, the senders included, must receive every message, each sender's in
//! order, byte for byte and with its opcode. Echo: 8 connections do the same by
//! themselves. A member that hears nothing for ten seconds fails the check.

use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};
use yamabiko_peers::arguments::Arguments;

const MEMBERS: usize = 40;
const SENDERS: usize = 4;
const ECHOES: usize = 8;
const MESSAGES: usize = 300;
const LENGTHS: [usize; 9] = [16, 64, 125, 126, 127, 1000, 1024, 4096, 16_384];
const SILENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments = Arguments::from_command_line(&["broadcast", "echo"]);
    let path = std::env::args().nth(3);
    let is_echo = arguments.mode == "echo";
    let path = path.unwrap_or_else(|| format!("/{}", arguments.mode));
    let url = format!("ws://127.0.0.1:{}{path}", arguments.port);
    let members = if is_echo { ECHOES } else { MEMBERS };
    // Nobody speaks before everybody has joined.
    let joined = Arc::new(Barrier::new(members));
    let threads = (0..members).map(|number| {
        let (url, joined) = (url.clone(), Arc::clone(&joined));
        thread::spawn(move || member(&url, number, is_echo, &joined))
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
        println!("WRONG {}: {failures} of {members} members", arguments.mode);
        return ExitCode::FAILURE;
    }
    println!("right {}: {members} members", arguments.mode);
    ExitCode::SUCCESS
}

fn member(url: &str, number: usize, is_echo: bool, joined: &Barrier) -> Result<(), String> {
    let opened = open(url);
    joined.wait();
    let (mut socket, writer) = opened?;
    // A server may learn of a member only after its answer has been sent.
    thread::sleep(Duration::from_millis(200));
    joined.wait();
    let senders = if is_echo {
        number..number + 1
    } else {
        0..SENDERS
    };
    let sending = senders
        .contains(&number)
        .then(|| thread::spawn(move || send_all(writer, number)));
    let mut expected = [0; MEMBERS];
    for _ in 0..senders.len() * MESSAGES {
        let received = socket
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

/// The connection, and a second half of it that only writes.
fn open(url: &str) -> Result<(WebSocket<TcpStream>, WebSocket<TcpStream>), String> {
    let address = url
        .trim_start_matches("ws://")
        .split('/')
        .next()
        .unwrap_or_default();
    let open = || -> Result<_, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let (socket, _) = client(url, stream)?;
        let writer = WebSocket::from_raw_socket(socket.get_ref().try_clone()?, Role::Client, None);
        Ok((socket, writer))
    };
    open().map_err(|error| error.to_string())
}

fn send_all(mut writer: WebSocket<TcpStream>, sender: usize) -> Result<(), String> {
    for sequence in 0..MESSAGES {
        let sent = writer.write(message(sender, sequence));
        sent.map_err(|error| format!("write: {error}"))?;
        // Bursts of 32: what has gathered goes out together.
        if sequence % 32 == 31 {
            writer.flush().map_err(|error| format!("flush: {error}"))?;
        }
    }
    writer.flush().map_err(|error| format!("flush: {error}"))
}

/// What this sender says at this place: its digit, the place, and filling.
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
