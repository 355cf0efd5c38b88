//! The receive path of each library with the same bytes, without a socket.
//!
//! Measured: bytes are copied out of a [`Wire`], which replaces the kernel, become messages,
//! and the caller gets the payload. The Wire always has more bytes, so that nothing waits;
//! asynchronous code is polled directly, without a runtime. Each library is set up as its
//! documentation recommends, with its default buffers, and without timers and compression.
//!
//! | library | taken as | the text is checked by |
//! |---|---|---|
//! | yamabiko | `Connection::receive_from` on a `ReadBuffer` | itself |
//! | tungstenite | `WebSocket::read` | itself |
//! | fastwebsockets | `FragmentCollector::read_frame` | itself |
//! | tokio-websockets | `WebSocketStream` as a `Stream` | itself |
//! | sockudo-ws stream | `WebSocketStream` as a `Stream`, pings and timeouts off | itself |
//! | sockudo-ws protocol | `Protocol::process_into` on a `BytesMut` of 64 KiB | itself |
//! | web-socket | `WebSocket::recv` over a `BufReader` | the caller: `String::from_utf8` |
//! | by hand | copy, XOR, `simdutf8`, for frames of a known form | itself |
//!
//! "By hand" is not a library: it is the cost of the work if no frame were ever cut, wrong,
//! fragmented or a control frame, by the fastest means that is known.

use std::hint::black_box;

use bytes::BytesMut;
use tokio::io::BufReader;

use crate::at_once::{at_once, next};
use crate::input::{READ_BYTES, floor, frame_bytes};
use crate::wire::Wire;

/// A library's receiver with a Wire that never ends.
pub trait Receiver {
    /// Receives this many messages and returns the length of their payloads.
    fn receive(&mut self, messages: usize) -> usize;
}

/// Makes a receiver at the beginning of a Wire.
pub type Make = fn(Wire) -> Box<dyn Receiver>;

/// All receivers.
pub const RECEIVERS: [(&str, Make); 8] = [
    ("yamabiko", |wire| Box::new(Yamabiko::new(wire))),
    ("tungstenite", |wire| Box::new(Tungstenite::new(wire))),
    ("fastwebsockets", |wire| Box::new(FastWebSockets::new(wire))),
    ("tokio-websockets", |wire| {
        Box::new(TokioWebSockets::new(wire))
    }),
    ("sockudo-ws stream", |wire| {
        Box::new(SockudoStream::new(wire))
    }),
    ("sockudo-ws protocol", |wire| {
        Box::new(SockudoProtocol::new(wire))
    }),
    ("web-socket", |wire| Box::new(WebSocket::new(wire))),
    ("by hand", |wire| Box::new(ByHand::new(wire))),
];

struct Yamabiko {
    wire: Wire,
    connection: yamabiko::websocket::Connection,
    buffer: yamabiko::websocket::ReadBuffer,
    replies: Vec<u8>,
}

impl Yamabiko {
    fn new(wire: Wire) -> Yamabiko {
        Yamabiko {
            wire,
            connection: yamabiko::websocket::Connection::server(Default::default()),
            buffer: yamabiko::websocket::ReadBuffer::default(),
            replies: Vec::new(),
        }
    }
}

impl Receiver for Yamabiko {
    fn receive(&mut self, messages: usize) -> usize {
        use yamabiko::websocket::Event;
        let (mut received, mut bytes) = (0, 0);
        loop {
            while received < messages {
                let event = self
                    .connection
                    .receive_from(&mut self.buffer, &mut self.replies);
                match event.expect("the input is legal") {
                    Some(Event::Text(text)) => bytes += black_box(&text[..]).len(),
                    Some(Event::Binary(binary)) => bytes += black_box(&binary[..]).len(),
                    Some(other) => unreachable!("{other:?}"),
                    None => break,
                }
                received += 1;
            }
            if received == messages {
                return bytes;
            }
            let count = self.wire.take(self.buffer.room());
            self.buffer.filled(count);
        }
    }
}

struct Tungstenite(tungstenite::WebSocket<Wire>);

impl Tungstenite {
    fn new(wire: Wire) -> Tungstenite {
        let role = tungstenite::protocol::Role::Server;
        Tungstenite(tungstenite::WebSocket::from_raw_socket(wire, role, None))
    }
}

impl Receiver for Tungstenite {
    fn receive(&mut self, messages: usize) -> usize {
        use tungstenite::Message;
        let mut bytes = 0;
        for _ in 0..messages {
            match self.0.read().expect("the input is legal") {
                Message::Text(text) => bytes += black_box(text.as_str()).len(),
                Message::Binary(binary) => bytes += black_box(&binary[..]).len(),
                other => unreachable!("{other:?}"),
            }
        }
        bytes
    }
}

struct FastWebSockets(fastwebsockets::FragmentCollector<Wire>);

impl FastWebSockets {
    fn new(wire: Wire) -> FastWebSockets {
        let role = fastwebsockets::Role::Server;
        let socket = fastwebsockets::WebSocket::after_handshake(wire, role);
        FastWebSockets(fastwebsockets::FragmentCollector::new(socket))
    }
}

impl Receiver for FastWebSockets {
    fn receive(&mut self, messages: usize) -> usize {
        at_once(async {
            let mut bytes = 0;
            for _ in 0..messages {
                let frame = self.0.read_frame().await.expect("the input is legal");
                bytes += black_box(&frame.payload[..]).len();
            }
            bytes
        })
    }
}

struct TokioWebSockets(tokio_websockets::WebSocketStream<Wire>);

impl TokioWebSockets {
    fn new(wire: Wire) -> TokioWebSockets {
        TokioWebSockets(tokio_websockets::ServerBuilder::new().serve(wire))
    }
}

impl Receiver for TokioWebSockets {
    fn receive(&mut self, messages: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..messages {
            let message = at_once(next(&mut self.0)).expect("the input is legal");
            bytes += black_box(&message.as_payload()[..]).len();
        }
        bytes
    }
}

struct SockudoStream(sockudo_ws::WebSocketStream<Wire>);

impl SockudoStream {
    fn new(wire: Wire) -> SockudoStream {
        let config = sockudo_ws::Config::builder()
            .auto_ping(false)
            .idle_timeout(0)
            .build();
        SockudoStream(sockudo_ws::WebSocketStream::server(wire, config))
    }
}

impl Receiver for SockudoStream {
    fn receive(&mut self, messages: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..messages {
            let message = at_once(next(&mut self.0)).expect("the input is legal");
            bytes += black_box(message.as_bytes()).len();
        }
        bytes
    }
}

struct SockudoProtocol {
    wire: Wire,
    protocol: sockudo_ws::protocol::Protocol,
    buffer: BytesMut,
    messages: Vec<sockudo_ws::Message>,
    /// 0 ≤ taken ≤ messages.len(): the messages that the caller has received.
    taken: usize,
}

impl SockudoProtocol {
    fn new(wire: Wire) -> SockudoProtocol {
        let (role, bytes_max) = (sockudo_ws::Role::Server, 16 << 20);
        SockudoProtocol {
            wire,
            protocol: sockudo_ws::protocol::Protocol::new(role, bytes_max, bytes_max),
            buffer: BytesMut::with_capacity(READ_BYTES),
            messages: Vec::new(),
            taken: 0,
        }
    }
}

impl Receiver for SockudoProtocol {
    fn receive(&mut self, messages: usize) -> usize {
        let (mut received, mut bytes) = (0, 0);
        loop {
            let due = messages - received;
            for message in self.messages[self.taken..].iter().take(due) {
                bytes += black_box(message.as_bytes()).len();
                self.taken += 1;
                received += 1;
            }
            if received == messages {
                return bytes;
            }
            self.wire.append(&mut self.buffer);
            let processed = self
                .protocol
                .process_into(&mut self.buffer, &mut self.messages);
            processed.expect("the input is legal");
            self.taken = 0;
        }
    }
}

struct WebSocket(web_socket::WebSocket<BufReader<Wire>>);

impl WebSocket {
    fn new(wire: Wire) -> WebSocket {
        WebSocket(web_socket::WebSocket::server(BufReader::new(wire)))
    }
}

impl Receiver for WebSocket {
    fn receive(&mut self, messages: usize) -> usize {
        use web_socket::{DataType, Event, MessageType};
        at_once(async {
            let mut bytes = 0;
            for _ in 0..messages {
                match self.0.recv().await.expect("the input is legal") {
                    Event::Data {
                        ty: DataType::Complete(MessageType::Text),
                        data,
                    } => {
                        let text = String::from_utf8(data.into_vec()).expect("it is UTF-8");
                        bytes += black_box(text).len();
                    }
                    Event::Data { data, .. } => bytes += black_box(data).len(),
                    other => unreachable!("{other:?}"),
                }
            }
            bytes
        })
    }
}

struct ByHand {
    wire: Wire,
    frame: Vec<u8>,
}

impl ByHand {
    fn new(wire: Wire) -> ByHand {
        let frame = vec![0; frame_bytes(wire.payload_bytes())];
        ByHand { wire, frame }
    }
}

impl Receiver for ByHand {
    fn receive(&mut self, messages: usize) -> usize {
        let (kind, payload_bytes) = (self.wire.kind(), self.wire.payload_bytes());
        for _ in 0..messages {
            let mut filled = 0;
            while filled < self.frame.len() {
                filled += self.wire.take(&mut self.frame[filled..]);
            }
            floor(kind, payload_bytes, &mut self.frame);
        }
        messages * payload_bytes
    }
}
