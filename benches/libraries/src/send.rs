//! The send path of each library with the same messages, without a socket.
//!
//! Measured: a message becomes a frame, whose bytes are copied into a [`Drain`], which
//! replaces the kernel. A client masks its frames. The application has the payload in the
//! form that the library takes: a slice, or reference-counted bytes.
//!
//! | library | taken as | batched | masking keys by |
//! |---|---|---|---|
//! | yamabiko | `Connection::send` into a `Vec`, which is written; `send_vectored` from 8 KiB on | one write | `KeyBatch` on `rand` |
//! | tungstenite | `WebSocket::write`, `flush` | one `flush` | `rand` |
//! | fastwebsockets | `WebSocket::write_frame` | it cannot | `rand` |
//! | tokio-websockets | `WebSocketStream` as a `Sink` | one flush | `rand` |
//! | sockudo-ws stream | `WebSocketStream` as a `Sink` | one flush | `rand` |
//! | sockudo-ws protocol | `Protocol::encode_message` into a `BytesMut`, which is written | one write | `rand` |
//! | web-socket | `WebSocket::send` | it cannot | `rand` |
//! | by hand | the header of known length, and the payload copied and masked at once | one write | none: the key is fixed |
//!
//! A library that writes each frame by itself is measured one by one only: here a write costs
//! nothing, but that of a kernel costs more than the copy that a batch needs.
//!
//! All send the same bytes from the same place, and all [`Drain`]s begin at an address of the
//! same form. For large messages nothing but the copy is measured, and its time depends on the
//! addresses.
//!
//! All libraries that have a choice draw masking keys from the cryptographic generator of
//! the crate `rand`: RFC 6455 §10.3 asks for keys that nobody can predict.

use std::cell::Cell;
use std::io::{IoSlice, Write};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use rand::RngExt;

use crate::at_once::{at_once, feed, flush};
use crate::input::{KEY, Kind, copy_masked, payload};
use crate::wire::{Departure, Drain};

/// Which end sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

impl Role {
    pub const ALL: [Role; 2] = [Role::Server, Role::Client];
}

/// What is sent, over and over.
#[derive(Clone, Debug)]
pub struct Plan {
    pub role: Role,
    pub kind: Kind,
    pub payload_bytes: usize,
    pub departure: Departure,
    /// The same bytes for all.
    payload: Bytes,
}

impl Plan {
    pub fn new(role: Role, kind: Kind, payload_bytes: usize, departure: Departure) -> Plan {
        Plan {
            role,
            kind,
            payload_bytes,
            departure,
            payload: payload(kind, payload_bytes).into(),
        }
    }

    fn payload(&self) -> Bytes {
        self.payload.clone()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("it is a text")
    }

    /// Nothing to measure for a library that writes each frame by itself.
    fn one_by_one(self) -> Option<Plan> {
        (self.departure == Departure::OneByOne).then_some(self)
    }

    /// The numbers of messages in the batches of so many messages.
    fn batches(&self, messages: usize) -> impl Iterator<Item = usize> + use<> {
        let batch = self.departure.messages(self.payload_bytes);
        (0..messages)
            .step_by(batch)
            .map(move |sent| batch.min(messages - sent))
    }
}

/// A library's sender with a Drain that takes everything.
pub trait Sender {
    /// Sends this many messages and returns the number of bytes on the wire.
    fn send(&mut self, messages: usize) -> usize;
}

/// Makes a sender, if the library can send in this way.
pub type Make = fn(Plan) -> Option<Box<dyn Sender>>;

/// All senders.
pub const SENDERS: [(&str, Make); 8] = [
    ("yamabiko", |plan| Some(Box::new(Yamabiko::new(plan)))),
    ("tungstenite", |plan| Some(Box::new(Tungstenite::new(plan)))),
    ("fastwebsockets", |plan| {
        Some(Box::new(FastWebSockets::new(plan.one_by_one()?)))
    }),
    ("tokio-websockets", |plan| {
        Some(Box::new(TokioWebSockets::new(plan)))
    }),
    ("sockudo-ws stream", |plan| {
        Some(Box::new(SockudoStream::new(plan)))
    }),
    ("sockudo-ws protocol", |plan| {
        Some(Box::new(SockudoProtocol::new(plan)))
    }),
    ("web-socket", |plan| {
        Some(Box::new(WebSocket::new(plan.one_by_one()?)))
    }),
    ("by hand", |plan| Some(Box::new(ByHand::new(plan)))),
];

struct Yamabiko {
    plan: Plan,
    connection: yamabiko::websocket::Connection,
    output: Vec<u8>,
    drain: Drain,
}

impl Yamabiko {
    fn new(plan: Plan) -> Yamabiko {
        use yamabiko::websocket::{Connection, KeyBatch, Limits};
        let random = |bytes: &mut [u8]| rand::rng().fill(bytes);
        Yamabiko {
            connection: match plan.role {
                Role::Server => Connection::server(Limits::default()),
                Role::Client => Connection::client(Limits::default(), KeyBatch::new(64, random)),
            },
            output: Vec::new(),
            drain: Drain::default(),
            plan,
        }
    }
}

impl Sender for Yamabiko {
    fn send(&mut self, messages: usize) -> usize {
        use yamabiko::websocket::Message;
        let before = self.drain.bytes();
        if self.plan.payload_bytes >= VECTORED_FROM {
            for _ in 0..messages {
                let message = Message::Binary(&self.plan.payload);
                let behind = self.connection.send_vectored(message, &mut self.output);
                let behind = behind.expect("the connection is open");
                let slices = [IoSlice::new(&self.output), IoSlice::new(behind)];
                let written = self.drain.write_vectored(&slices);
                written.expect("a Drain takes everything");
                self.output.clear();
            }
            return self.drain.bytes() - before;
        }
        for batch in self.plan.batches(messages) {
            for _ in 0..batch {
                let message = match self.plan.kind {
                    Kind::Binary => Message::Binary(&self.plan.payload),
                    _ => Message::Text(self.plan.text()),
                };
                let sent = self.connection.send(message, &mut self.output);
                sent.expect("the connection is open");
            }
            self.drain.put(&self.output);
            self.output.clear();
        }
        self.drain.bytes() - before
    }
}

/// From here on a copy costs more than the second slice of a write to a real socket: see
/// `benches/send_paths`, `copy` and `slices`.
const VECTORED_FROM: usize = 8 << 10;

struct Tungstenite {
    plan: Plan,
    socket: tungstenite::WebSocket<Drain>,
    message: tungstenite::Message,
}

impl Tungstenite {
    fn new(plan: Plan) -> Tungstenite {
        use tungstenite::{Message, protocol::Role as Theirs};
        let role = match plan.role {
            Role::Server => Theirs::Server,
            Role::Client => Theirs::Client,
        };
        Tungstenite {
            socket: tungstenite::WebSocket::from_raw_socket(Drain::default(), role, None),
            message: match plan.kind {
                Kind::Binary => Message::Binary(plan.payload()),
                _ => Message::Text(plan.text().into()),
            },
            plan,
        }
    }
}

impl Sender for Tungstenite {
    fn send(&mut self, messages: usize) -> usize {
        let before = self.socket.get_ref().bytes();
        for batch in self.plan.batches(messages) {
            for _ in 0..batch {
                let sent = self.socket.write(self.message.clone());
                sent.expect("the connection is open");
            }
            self.socket.flush().expect("a Drain takes everything");
        }
        self.socket.get_ref().bytes() - before
    }
}

struct FastWebSockets {
    plan: Plan,
    socket: fastwebsockets::WebSocket<Drain>,
    payload: Bytes,
    /// What the socket's Drain counts: the socket does not show it.
    bytes: Rc<Cell<usize>>,
}

impl FastWebSockets {
    fn new(plan: Plan) -> FastWebSockets {
        let role = match plan.role {
            Role::Server => fastwebsockets::Role::Server,
            Role::Client => fastwebsockets::Role::Client,
        };
        let drain = Drain::default();
        FastWebSockets {
            bytes: drain.counter(),
            socket: fastwebsockets::WebSocket::after_handshake(drain, role),
            payload: plan.payload(),
            plan,
        }
    }
}

impl Sender for FastWebSockets {
    fn send(&mut self, messages: usize) -> usize {
        use fastwebsockets::{Frame, Payload};
        let before = self.bytes.get();
        at_once(async {
            for _ in 0..messages {
                let payload = Payload::Borrowed(&self.payload);
                let frame = match self.plan.kind {
                    Kind::Binary => Frame::binary(payload),
                    _ => Frame::text(payload),
                };
                let sent = self.socket.write_frame(frame).await;
                sent.expect("the connection is open");
            }
        });
        self.bytes.get() - before
    }
}

struct TokioWebSockets {
    plan: Plan,
    socket: tokio_websockets::WebSocketStream<Drain>,
    message: tokio_websockets::Message,
}

impl TokioWebSockets {
    fn new(plan: Plan) -> TokioWebSockets {
        use tokio_websockets::{ClientBuilder, Message, ServerBuilder};
        TokioWebSockets {
            socket: match plan.role {
                Role::Server => ServerBuilder::new().serve(Drain::default()),
                Role::Client => ClientBuilder::new().take_over(Drain::default()),
            },
            message: match plan.kind {
                Kind::Binary => Message::binary(plan.payload()),
                _ => Message::text(plan.text().to_owned()),
            },
            plan,
        }
    }
}

impl Sender for TokioWebSockets {
    fn send(&mut self, messages: usize) -> usize {
        let before = self.socket.get_ref().bytes();
        for batch in self.plan.batches(messages) {
            for _ in 0..batch {
                let sent = feed(&mut self.socket, self.message.clone());
                sent.expect("the connection is open");
            }
            flush(&mut self.socket).expect("a Drain takes everything");
        }
        self.socket.get_ref().bytes() - before
    }
}

struct SockudoStream {
    plan: Plan,
    socket: sockudo_ws::WebSocketStream<Drain>,
    message: sockudo_ws::Message,
}

impl SockudoStream {
    fn new(plan: Plan) -> SockudoStream {
        let config = sockudo_ws::Config::builder()
            .auto_ping(false)
            .idle_timeout(0)
            .build();
        SockudoStream {
            socket: match plan.role {
                Role::Server => sockudo_ws::WebSocketStream::server(Drain::default(), config),
                Role::Client => sockudo_ws::WebSocketStream::client(Drain::default(), config),
            },
            message: sockudo_message(&plan),
            plan,
        }
    }
}

impl Sender for SockudoStream {
    fn send(&mut self, messages: usize) -> usize {
        let before = self.socket.get_ref().bytes();
        for batch in self.plan.batches(messages) {
            for _ in 0..batch {
                let sent = feed(&mut self.socket, self.message.clone());
                sent.expect("the connection is open");
            }
            flush(&mut self.socket).expect("a Drain takes everything");
        }
        self.socket.get_ref().bytes() - before
    }
}

struct SockudoProtocol {
    plan: Plan,
    protocol: sockudo_ws::protocol::Protocol,
    message: sockudo_ws::Message,
    output: BytesMut,
    drain: Drain,
}

impl SockudoProtocol {
    fn new(plan: Plan) -> SockudoProtocol {
        let role = match plan.role {
            Role::Server => sockudo_ws::Role::Server,
            Role::Client => sockudo_ws::Role::Client,
        };
        let bytes_max = 16 << 20;
        SockudoProtocol {
            protocol: sockudo_ws::protocol::Protocol::new(role, bytes_max, bytes_max),
            message: sockudo_message(&plan),
            output: BytesMut::new(),
            drain: Drain::default(),
            plan,
        }
    }
}

impl Sender for SockudoProtocol {
    fn send(&mut self, messages: usize) -> usize {
        let before = self.drain.bytes();
        for batch in self.plan.batches(messages) {
            for _ in 0..batch {
                let encoded = self
                    .protocol
                    .encode_message(&self.message, &mut self.output);
                encoded.expect("the connection is open");
            }
            self.drain.put(&self.output);
            self.output.clear();
        }
        self.drain.bytes() - before
    }
}

fn sockudo_message(plan: &Plan) -> sockudo_ws::Message {
    match plan.kind {
        Kind::Binary => sockudo_ws::Message::Binary(plan.payload()),
        _ => sockudo_ws::Message::Text(plan.payload()),
    }
}

struct WebSocket {
    plan: Plan,
    socket: web_socket::WebSocket<Drain>,
}

impl WebSocket {
    fn new(plan: Plan) -> WebSocket {
        WebSocket {
            socket: match plan.role {
                Role::Server => web_socket::WebSocket::server(Drain::default()),
                Role::Client => web_socket::WebSocket::client(Drain::default()),
            },
            plan,
        }
    }
}

impl Sender for WebSocket {
    fn send(&mut self, messages: usize) -> usize {
        let before = self.socket.stream.bytes();
        at_once(async {
            for _ in 0..messages {
                let sent = match self.plan.kind {
                    Kind::Binary => self.socket.send(&self.plan.payload[..]).await,
                    _ => self.socket.send(self.plan.text()).await,
                };
                sent.expect("a Drain takes everything");
            }
        });
        self.socket.stream.bytes() - before
    }
}

struct ByHand {
    plan: Plan,
    payload: Bytes,
    frame: Vec<u8>,
    drain: Drain,
}

impl ByHand {
    fn new(plan: Plan) -> ByHand {
        let payload = plan.payload();
        let mut header = vec![0x82];
        match payload.len() {
            length @ ..=125 => header.push(length as u8),
            length @ ..=65_535 => {
                header.push(126);
                header.extend((length as u16).to_be_bytes());
            }
            length => {
                header.push(127);
                header.extend((length as u64).to_be_bytes());
            }
        }
        if plan.role == Role::Client {
            header[1] |= 0x80;
            header.extend(KEY);
        }
        let mut frame = header;
        frame.resize(frame.len() + payload.len(), 0);
        ByHand {
            plan,
            payload,
            frame,
            drain: Drain::default(),
        }
    }
}

impl Sender for ByHand {
    fn send(&mut self, messages: usize) -> usize {
        let before = self.drain.bytes();
        let header_bytes = self.frame.len() - self.payload.len();
        for _ in 0..messages {
            match self.plan.role {
                Role::Server => {
                    let (header, _) = self.frame.split_at(header_bytes);
                    self.drain.put(header);
                    self.drain.put(&self.payload);
                }
                Role::Client => {
                    copy_masked(&self.payload, &mut self.frame[header_bytes..]);
                    self.drain.put(&self.frame);
                }
            }
        }
        self.drain.bytes() - before
    }
}
