//! Broadcast and echo on sockudo-ws. The mode `compressed` is broadcast with
//! permessage-deflate.
//!
//! The server calls `feed` for each message and `flush` once at the end of a batch, as the
//! library's documentation recommends. The high-water mark, at which the library writes before
//! it accepts more, is 128 KiB instead of 64: 640 messages of 64 bytes in a turn are one write
//! with both, and for 640 messages of 1 KiB it costs the least (16, 64, 128 KiB and 1 MiB were
//! tried). The library's pub/sub (a lock, an unbounded channel and a task for each subscriber)
//! costs more and is not used.
//!
//! Compressed mode has level 1, no context takeover, and the default window. Each connection
//! compresses each message; the library has no interface for a frame that is already
//! compressed. In this mode the high-water mark cannot be set.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request, server_handshake};
use sockudo_ws::{CompressedWebSocketStream, Config, Message, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use yamabiko_servers::hub::{self, Hub, Library};
use yamabiko_servers::serve::serve_modes;

const HIGH_WATER_BYTES: usize = 128 * 1024;
const REQUEST_BYTES_MAX: usize = 8 * 1024;

#[derive(Clone, Copy)]
enum Mode {
    Broadcast,
    Compressed,
    Echo,
}

fn main() -> io::Result<()> {
    serve_modes(&["broadcast", "echo", "compressed"], |mode| {
        let mode = match mode {
            "echo" => Mode::Echo,
            "compressed" => Mode::Compressed,
            _ => Mode::Broadcast,
        };
        let plain = Hub::start(Library {
            data_bytes,
            disconnect: |socket: &mut WebSocketStream<TcpStream>| hub::shut_down(socket.get_ref()),
        });
        let compressed = Hub::start(Library {
            data_bytes,
            disconnect: Compressed::disconnect,
        });
        move |stream| connection(stream, mode, Rc::clone(&plain), Rc::clone(&compressed))
    })
}

async fn connection(
    stream: TcpStream,
    mode: Mode,
    plain: Rc<Hub<WebSocketStream<TcpStream>, Message>>,
    compressed: Rc<Hub<Compressed, Message>>,
) {
    match mode {
        Mode::Broadcast => {
            if let Some(socket) = open(stream).await {
                hub::broadcast(plain, socket).await;
            }
        }
        Mode::Compressed => {
            if let Some(socket) = open_compressed(stream).await {
                hub::broadcast(compressed, socket).await;
            }
        }
        Mode::Echo => {
            if let Some(socket) = open(stream).await {
                hub::echo(socket, data_bytes).await;
            }
        }
    }
}

async fn open(mut stream: TcpStream) -> Option<WebSocketStream<TcpStream>> {
    let handshake = server_handshake(&mut stream).await.ok()?;
    let mut socket = WebSocketStream::from_raw_with_leftover(
        stream,
        sockudo_ws::Role::Server,
        Config::default(),
        handshake.leftover,
    );
    socket.set_high_water_mark(HIGH_WATER_BYTES);
    Some(socket)
}

/// The library's handshake negotiates no extension, but the library has the parts for it.
/// Returns `None` if the client offers no extension.
async fn open_compressed(mut stream: TcpStream) -> Option<Compressed> {
    let config = DeflateConfig {
        compression_level: 1,
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..DeflateConfig::default()
    };
    let mut bytes = BytesMut::with_capacity(1024);
    loop {
        if bytes.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some((request, taken)) = parse_request(&bytes).ok()? else {
            continue;
        };
        let agreed = negotiate_server_deflate(request.extensions?, &config)?;
        let accept_key = generate_accept_key(request.key);
        let response = build_response(&accept_key, None, Some(&agreed.to_response_header()));
        stream.write_all(&response).await.ok()?;
        let leftover: Bytes = bytes.split_off(taken).freeze();
        let socket = CompressedWebSocketStream::server_with_leftover(
            stream,
            Config::default(),
            agreed.config,
            Some(leftover),
        );
        return Some(Compressed {
            socket,
            is_disconnected: false,
            reader: None,
        });
    }
}

/// A compressing connection gives no access to its socket. Therefore a client that is too far
/// behind is disconnected by ending its reader.
struct Compressed {
    socket: CompressedWebSocketStream<TcpStream>,
    is_disconnected: bool,
    reader: Option<Waker>,
}

impl Compressed {
    fn disconnect(&mut self) {
        self.is_disconnected = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Stream for Compressed {
    type Item = sockudo_ws::Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_disconnected {
            return Poll::Ready(None);
        }
        let is_known = self
            .reader
            .as_ref()
            .is_some_and(|reader| reader.will_wake(context.waker()));
        if !is_known {
            self.reader = Some(context.waker().clone());
        }
        Pin::new(&mut self.socket).poll_next(context)
    }
}

impl Sink<Message> for Compressed {
    type Error = sockudo_ws::Error;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<sockudo_ws::Result<()>> {
        Pin::new(&mut self.socket).poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> sockudo_ws::Result<()> {
        Pin::new(&mut self.socket).start_send(message)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<sockudo_ws::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<sockudo_ws::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}

fn data_bytes(message: &Message) -> Option<usize> {
    match message {
        Message::Text(bytes) | Message::Binary(bytes) => Some(bytes.len()),
        _ => None,
    }
}
