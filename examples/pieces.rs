//! One message of any length in each direction, in pieces: a gibibyte passes through the
//! buffers of 64 KiB of the server and of the client.
//!
//! ```text
//! cargo build --release --example pieces
//! /usr/bin/time -v target/release/examples/pieces both 1073741824
//! ```
//!
//! `upload` sends the message from the client to this library's server, which receives its pieces.
//! `download` sends it from a server written on the protocol core to the client, which receives
//! its pieces. Both ends are in this process, so the memory that `time` shows is that of both.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use yamabiko::client::{Client, CloseCode, OwnedMessage};
use yamabiko::server::{
    Admission, Config, Context, Handler, Limits, Message, Piece, Refusal, Server, Upgrade,
};
use yamabiko::websocket::handshake::{
    AcceptOptions, HeadLimits, RequestHead, RequestReader, Upgrade as Handshake,
};
use yamabiko::websocket::{Connection, Event, Fragment};

/// They bound the message, and not the memory.
const LIMITS: Limits = Limits {
    message_bytes_max: usize::MAX,
    inflate_ratio_max: 256,
    fragments_max: u32::MAX,
    unsent_reply_bytes_max: 64 << 10,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let direction = arguments.next().unwrap_or_else(|| "both".to_owned());
    let bytes: u64 = arguments
        .next()
        .map_or(Ok(1 << 30), |bytes| bytes.parse())?;
    if direction != "download" {
        upload(bytes)?;
    }
    if direction != "upload" {
        download(bytes)?;
    }
    Ok(())
}

/// Counts the bytes of each message and replies with their number and checksum.
struct Uploads;

impl Handler for Uploads {
    type Session = Checksum;

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<Checksum>, Refusal> {
        Ok(Admission::new(Checksum::default()).pieces(LIMITS))
    }

    fn piece(&self, sum: &mut Checksum, piece: &Piece<'_>, context: &mut Context<'_>) {
        sum.add(piece.as_bytes());
        if piece.is_last() {
            // An error means that the client has gone.
            let _ = context.send(Message::Text(&sum.to_string()));
        }
    }

    fn message(&self, _: &mut Checksum, _: Message<'_>, _: &mut Context<'_>) {}
}

/// Our client sends, and our server receives pieces.
fn upload(bytes: u64) -> Result<(), Box<dyn Error>> {
    let config = Config {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        ..Config::default()
    };
    let server = Server::bind(config, Uploads)?;
    let (address, handle) = (server.local_address(), server.handle());
    let serving = thread::spawn(move || server.run());

    let mut client = Client::connect(&format!("ws://{address}/"))?;
    let mut sent = Checksum::default();
    send_in_fragments(bytes, |block, last| {
        sent.add(block);
        client.send_fragment(Fragment::binary(block).last_if(last))
    })?;
    if let Some(OwnedMessage::Text(received)) = client.read()? {
        assert_eq!(received, sent.to_string());
        println!("the server has received {received}");
    }
    client.close(CloseCode::NORMAL)?;
    handle.shutdown();
    serving.join().expect("the server has no fault")?;
    Ok(())
}

/// A server on the protocol core sends, and our client receives pieces.
fn download(bytes: u64) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let sending = thread::spawn(move || send_to_one_client(&listener, bytes).expect("it is sent"));

    let mut client = Client::builder(&format!("ws://{address}/"))
        .limits(LIMITS)
        .pieces()
        .connect()?;
    let mut received = Checksum::default();
    let mut add = |event: Event<'_>| match event {
        Event::Piece(piece) => {
            received.add(piece.as_bytes());
            piece.is_last()
        }
        _ => false,
    };
    while client.read_with(&mut add)? == Some(false) {}
    client.close(CloseCode::NORMAL)?;
    let sent = sending.join().expect("the sender has no fault");
    assert_eq!(received.to_string(), sent.to_string());
    println!("the client has received {received}");
    Ok(())
}

/// Accepts one client, sends a message in fragments, and answers the Close.
fn send_to_one_client(listener: &TcpListener, bytes: u64) -> Result<Checksum, Box<dyn Error>> {
    let (mut stream, _) = listener.accept()?;
    let mut reader = RequestReader::new(HeadLimits::default());
    let (mut head, mut output) = (Vec::new(), Vec::new());
    let mut connection = loop {
        let mut block = [0; 1024];
        let count = stream.read(&mut block)?;
        if count == 0 {
            return Err("the client has ended TCP in its request".into());
        }
        head.extend_from_slice(&block[..count]);
        if let Some((request, _)) = reader.read(&head)? {
            break accept(&request, &mut output)?;
        }
    };
    let mut sent = Checksum::default();
    send_in_fragments(bytes, |block, last| {
        sent.add(block);
        connection.send_fragment(Fragment::binary(block).last_if(last), &mut output)?;
        stream.write_all(&output)?;
        output.clear();
        Ok::<(), Box<dyn Error>>(())
    })?;
    let mut block = [0; 1024];
    while let count @ 1.. = stream.read(&mut block)? {
        let mut input = &mut block[..count];
        while connection.receive(&mut input, &mut output)?.is_some() {}
        stream.write_all(&output)?;
        output.clear();
        if connection.ended().clean {
            break;
        }
    }
    Ok(sent)
}

fn accept(request: &RequestHead<'_>, output: &mut Vec<u8>) -> Result<Connection, Box<dyn Error>> {
    let accepted = Handshake::check(request)?.accept(AcceptOptions::default())?;
    accepted.write_response(output);
    Ok(accepted.connection(LIMITS))
}

/// Sends a message of so many bytes in fragments of 64 KiB.
fn send_in_fragments<E>(
    bytes: u64,
    mut send: impl FnMut(&[u8], bool) -> Result<(), E>,
) -> Result<(), E> {
    let mut block = vec![0; 64 << 10];
    let mut left = bytes;
    loop {
        let count = left.min(block.len() as u64) as usize;
        left -= count as u64;
        // So that no two fragments are the same.
        block[..8].copy_from_slice(&left.to_le_bytes());
        send(&block[..count], left == 0)?;
        if left == 0 {
            return Ok(());
        }
    }
}

/// The number of bytes, and a sum that depends on their order.
#[derive(Default)]
struct Checksum {
    bytes: u64,
    sum: u64,
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        for &byte in bytes {
            self.sum = self.sum.wrapping_mul(31).wrapping_add(u64::from(byte));
        }
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, checksum {:016x}", self.bytes, self.sum)
    }
}
