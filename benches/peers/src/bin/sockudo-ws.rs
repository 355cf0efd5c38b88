//! Broadcast and echo on sockudo-ws.
//!
//! As its documentation says: `feed` for each message and one `flush` at the end
//! of a batch. The threshold at which it takes no more before a write is 128 KiB
//! instead of 64: with 640 messages of 64 bytes in a turn both are one write, with
//! 640 of 1 KiB this costs the least (16, 64, 128 KiB, 1 MiB were tried). Its own pub/sub (a lock, an
//! unbounded channel and a task for each subscriber) costs more and is not used.

use std::io;
use std::rc::Rc;

use sockudo_ws::handshake::server_handshake;
use sockudo_ws::{Config, Message, WebSocketStream};
use tokio::net::TcpStream;
use yamabiko_peers::hub::{self, Hub, Library};
use yamabiko_peers::serve::{Mode, serve};

const HIGH_WATER_BYTES: usize = 128 * 1024;

fn main() -> io::Result<()> {
    serve(|mode| {
        let hub = Hub::start(Library {
            data_bytes,
            disconnect: |socket: &mut WebSocketStream<TcpStream>| hub::shut_down(socket.get_ref()),
        });
        move |stream| connection(stream, mode, Rc::clone(&hub))
    })
}

async fn connection(
    mut stream: TcpStream,
    mode: Mode,
    hub: Rc<Hub<WebSocketStream<TcpStream>, Message>>,
) {
    let Ok(handshake) = server_handshake(&mut stream).await else {
        return;
    };
    let mut socket = WebSocketStream::from_raw_with_leftover(
        stream,
        sockudo_ws::Role::Server,
        Config::default(),
        handshake.leftover,
    );
    socket.set_high_water_mark(HIGH_WATER_BYTES);
    match mode {
        Mode::Broadcast => hub::broadcast(hub, socket).await,
        Mode::Echo => hub::echo(socket, data_bytes).await,
    }
}

fn data_bytes(message: &Message) -> Option<usize> {
    match message {
        Message::Text(bytes) | Message::Binary(bytes) => Some(bytes.len()),
        _ => None,
    }
}
