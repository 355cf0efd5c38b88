//! Four ways to send one message to many clients, for the chapter
//! [docs/learn/broadcast.md](../../docs/learn/broadcast.md).
//!
//! ```sh
//! cargo run --release --example climb -- naive     # or: queues, log, batched
//! yamabiko bench fan-out ws://127.0.0.1:8070/ --connections 1000
//! ```
//!
//! The server has one room, and everyone in it receives every message. The event loop and the
//! protocol are the same for each stage; only the fan-out differs, and each has a file:
//!
//! | stage | file | a message is |
//! |---|---|---|
//! | `naive` | `naive.rs` | encoded and written for each member |
//! | `queues` | `queues.rs` | encoded once, and copied into a queue of each member |
//! | `log` | `log.rs` | appended once to a log; each member has a position in it |
//! | `batched` | `log.rs` | the same, and written when the turn of the event loop ends |
//!
//! What it leaves out: deadlines, limits on connections, compression, several threads. The
//! server of the library has them.

mod log;
mod naive;
mod queues;

use std::collections::HashMap;
use yamabiko::reactor::{
    Application, End, Io, PeerAddress, Reactor, ReactorConfig, SocketKey, listen,
};
use yamabiko::websocket::handshake::{AcceptOptions, HeadLimits, RequestReader, Upgrade};
use yamabiko::websocket::{Connection, Limits, Message, State};

/// One stage of the climb: the members, and how they get what was published.
trait FanOut {
    fn join(&mut self, key: SocketKey);
    fn leave(&mut self, key: SocketKey);
    /// A message for all members.
    fn publish(&mut self, io: &mut Io, message: Message<'_>);
    /// Bytes for one socket, which may not be a member: a response, a Pong, a Close. `false`:
    /// too much waits for it.
    #[must_use]
    fn send(&mut self, io: &mut Io, key: SocketKey, bytes: &[u8]) -> bool;
    /// After a partial write the socket takes bytes again.
    fn writable(&mut self, io: &mut Io, key: SocketKey);
    /// All that the loop has read in this turn was published.
    fn turn_ended(&mut self, _io: &mut Io) {}
}

/// The most that waits for one member. A member that is slower is disconnected.
const BACKLOG_BYTES_MAX: usize = 1 << 20;

/// The server: its connections, and the fan-out between them.
struct Room<F> {
    connections: HashMap<SocketKey, Stage>,
    fan_out: F,
}

/// The state of one connection.
enum Stage {
    /// The request has not come in full.
    Opening(RequestReader, Vec<u8>),
    Open(Connection),
}

impl<F: FanOut> Application for Room<F> {
    type Message = ();

    fn opened(&mut self, _io: &mut Io, key: SocketKey, _peer: PeerAddress) {
        let reader = RequestReader::new(HeadLimits::default());
        let opening = Stage::Opening(reader, Vec::new());
        self.connections.insert(key, opening);
    }

    fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]) {
        match self.connections.get_mut(&key) {
            Some(Stage::Opening(..)) => self.open(io, key, bytes),
            Some(Stage::Open(_)) => self.read_frames(io, key, bytes),
            None => {}
        }
    }

    fn ended(&mut self, io: &mut Io, key: SocketKey, _end: End) {
        self.close(io, key);
    }

    fn writable(&mut self, io: &mut Io, key: SocketKey) {
        self.fan_out.writable(io, key);
    }

    fn turn_ended(&mut self, io: &mut Io) {
        self.fan_out.turn_ended(io);
    }
}

impl<F: FanOut> Room<F> {
    /// Reads the request, answers it, and makes the client a member.
    fn open(&mut self, io: &mut Io, key: SocketKey, bytes: &[u8]) {
        let Some(Stage::Opening(reader, head)) = self.connections.get_mut(&key) else {
            return;
        };
        head.extend_from_slice(bytes);
        let mut output = Vec::new();
        let opened = match reader.read(head) {
            Ok(None) => return,
            Ok(Some((request, head_bytes))) => Upgrade::check(&request).map(|upgrade| {
                let accepted = upgrade
                    .accept(AcceptOptions::default())
                    .expect("it asks for no subprotocol");
                accepted.write_response(&mut output);
                (accepted.connection(Limits::default()), head_bytes)
            }),
            Err(refusal) => Err(refusal),
        };
        match opened {
            Ok((connection, head_bytes)) => {
                let mut frames = head.split_off(head_bytes);
                self.connections.insert(key, Stage::Open(connection));
                if self.fan_out.send(io, key, &output) {
                    self.fan_out.join(key);
                    self.read_frames(io, key, &mut frames);
                }
            }
            Err(refusal) => {
                refusal.write(&mut output);
                let _ = self.fan_out.send(io, key, &output);
                self.close(io, key);
            }
        }
    }

    /// Publishes each message. Pongs and the Close go to this client alone.
    fn read_frames(&mut self, io: &mut Io, key: SocketKey, mut bytes: &mut [u8]) {
        let Some(Stage::Open(connection)) = self.connections.get_mut(&key) else {
            return;
        };
        let mut replies = Vec::new();
        // An error has written the Close that names it.
        while let Ok(Some(event)) = connection.receive(&mut bytes, &mut replies) {
            if let Some(message) = event.message() {
                self.fan_out.publish(io, message);
            }
        }
        let is_over = !matches!(connection.state(), State::Open | State::Closing);
        let is_slow = !replies.is_empty() && !self.fan_out.send(io, key, &replies);
        if is_slow {
            self.close(io, key);
        } else if is_over {
            self.fan_out.leave(key);
            io.shutdown_write(key);
        }
    }

    fn close(&mut self, io: &mut Io, key: SocketKey) {
        self.connections.remove(&key);
        self.fan_out.leave(key);
        io.close(key);
    }
}

fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("naive") => serve(naive::Naive::default()),
        Some("queues") => serve(queues::Queues::default()),
        Some("log") => serve(log::Log::written_at_once()),
        Some("batched") => serve(log::Log::written_when_the_turn_ends()),
        _ => {
            eprintln!("usage: climb naive|queues|log|batched");
            std::process::exit(2);
        }
    }
}

fn serve(fan_out: impl FanOut) -> std::io::Result<()> {
    let listener = listen(([127, 0, 0, 1], 8070).into())?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let config = ReactorConfig {
        listeners: vec![listener.into()],
        ..ReactorConfig::default()
    };
    Reactor::new(config)?.run(&mut Room {
        connections: HashMap::new(),
        fan_out,
    })
}
