//! One message of any length in each direction, in pieces: a gibibyte passes through the
//! buffers of 64 KiB of the server and of the client.
//!
//! ```text
//! cargo build --release --example pieces
//! /usr/bin/time -v target/release/examples/pieces both 1073741824
//! ```
//!
//! `upload`: the client sends the message, and the server receives its pieces. `download`: the
//! server sends it in fragments, each when the client has taken the one before it, and the client
//! receives its pieces. Both ends are in this process, so the memory that `time` shows is that
//! of both.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use yamabiko::client::{Client, CloseCode, OwnedMessage};
use yamabiko::server::{
    Admission, Config, Context, Handler, Limits, Message, Piece, Refusal, Server, Status, Upgrade,
};
use yamabiko::websocket::{Event, Fragment};

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
    let config = Config {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        ..Config::default()
    };
    let server = Server::bind(config, Transfers)?;
    let (address, handle) = (server.local_address(), server.handle());
    let serving = thread::spawn(move || server.run());
    if direction != "download" {
        upload(address, bytes)?;
    }
    if direction != "upload" {
        download(address, bytes)?;
    }
    handle.shutdown();
    serving.join().expect("the server has no fault")?;
    Ok(())
}

/// At `/upload` a client gets the number and the checksum of the bytes of each message that it
/// sends, at `/download/{bytes}` a message of so many bytes and then the same.
struct Transfers;

/// The message under way.
#[derive(Default)]
struct Transfer {
    sum: Checksum,
    /// Of a download.
    left: Option<Left>,
}

impl Handler for Transfers {
    type Session = Transfer;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Transfer>, Refusal> {
        let mut segments = request.path_segments();
        let (kind, bytes) = (segments.next(), segments.next());
        let left = match (kind.as_deref(), bytes.and_then(|bytes| bytes.parse().ok())) {
            (Some("upload"), None) => None,
            (Some("download"), Some(bytes)) => Some(Left(bytes)),
            _ => {
                return Err(Refusal::new(
                    Status::NotFound,
                    "/upload or /download/{bytes}",
                ));
            }
        };
        let transfer = Transfer {
            left,
            ..Transfer::default()
        };
        Ok(Admission::new(transfer).pieces(LIMITS))
    }

    fn opened(&self, transfer: &mut Transfer, context: &mut Context<'_>) {
        self.drained(transfer, context);
    }

    fn drained(&self, transfer: &mut Transfer, context: &mut Context<'_>) {
        let Some(left) = &mut transfer.left else {
            return;
        };
        let (block, last) = left.next_block();
        transfer.sum.add(&block);
        // An error means that the client has gone.
        let _ = context.send_fragment(Fragment::binary(&block).last_if(last));
        match last {
            false => context.notify_when_drained(),
            true => {
                transfer.left = None;
                send_sum(&transfer.sum, context);
            }
        }
    }

    fn piece(&self, transfer: &mut Transfer, piece: &Piece<'_>, context: &mut Context<'_>) {
        transfer.sum.add(piece.as_bytes());
        if piece.is_last() {
            send_sum(&transfer.sum, context);
        }
    }

    fn message(&self, _: &mut Transfer, _: Message<'_>, _: &mut Context<'_>) {}
}

fn send_sum(sum: &Checksum, context: &mut Context<'_>) {
    // An error means that the client has gone.
    let _ = context.send(Message::Text(&sum.to_string()));
}

fn upload(address: SocketAddr, bytes: u64) -> Result<(), Box<dyn Error>> {
    let mut client = Client::connect(&format!("ws://{address}/upload"))?;
    let (mut sent, mut left) = (Checksum::default(), Left(bytes));
    loop {
        let (block, last) = left.next_block();
        sent.add(&block);
        client.send_fragment(Fragment::binary(&block).last_if(last))?;
        if last {
            break;
        }
    }
    if let Some(OwnedMessage::Text(received)) = client.read()? {
        assert_eq!(received, sent.to_string());
        println!("the server has received {received}");
    }
    client.close(CloseCode::NORMAL)?;
    Ok(())
}

fn download(address: SocketAddr, bytes: u64) -> Result<(), Box<dyn Error>> {
    let mut client = Client::builder(&format!("ws://{address}/download/{bytes}"))
        .limits(LIMITS)
        .pieces()
        .connect()?;
    let (mut received, mut sent) = (Checksum::default(), String::new());
    let mut add = |event: Event<'_>| match event {
        Event::Piece(piece) => {
            match piece.as_text() {
                Some(sum) => sent.push_str(sum),
                None => received.add(piece.as_bytes()),
            }
            piece.is_text() && piece.is_last()
        }
        _ => false,
    };
    while client.read_with(&mut add)? == Some(false) {}
    client.close(CloseCode::NORMAL)?;
    assert_eq!(received.to_string(), sent);
    println!("the client has received {received}");
    Ok(())
}

/// So many bytes of a message are still to be sent.
struct Left(u64);

impl Left {
    /// At most 64 KiB, and whether they are the last.
    fn next_block(&mut self) -> (Vec<u8>, bool) {
        let mut block = vec![0; self.0.min(64 << 10) as usize];
        self.0 -= block.len() as u64;
        // So that no two blocks are the same.
        for (place, number) in block.iter_mut().zip(self.0.to_le_bytes()) {
            *place = number;
        }
        (block, self.0 == 0)
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
