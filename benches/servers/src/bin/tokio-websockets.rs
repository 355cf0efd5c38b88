//! Broadcast and echo on tokio-websockets.
//!
//! One frame for each message of any length, and unconstrained tasks, as in the library's
//! benchmark and its echo example. The library writes up to 64 slices of its queue, which are
//! 32 messages, in one write; `WriteBuffer` makes one write of any number of messages.

use std::io;
use std::rc::Rc;

use futures_util::SinkExt;
use tokio::net::TcpStream;
use tokio_websockets::{Config, Message, ServerBuilder, WebSocketStream};
use yamabiko_servers::arguments::BACKLOG_BYTES_MAX;
use yamabiko_servers::hub::{self, Hub, Library};
use yamabiko_servers::serve::{Mode, serve};
use yamabiko_servers::write_buffer::WriteBuffer;

type Socket = WebSocketStream<WriteBuffer<TcpStream>>;

fn main() -> io::Result<()> {
    serve(|mode| {
        let hub = Hub::start(Library {
            data_bytes,
            disconnect: |socket: &mut Socket| hub::shut_down(socket.get_ref().get_ref()),
        });
        move |stream| connection(stream, mode, Rc::clone(&hub))
    })
}

async fn connection(stream: TcpStream, mode: Mode, hub: Rc<Hub<Socket, Message>>) {
    let config = Config::default()
        .frame_size(usize::MAX)
        .flush_threshold(BACKLOG_BYTES_MAX);
    let accepted = ServerBuilder::new()
        .config(config)
        .accept(WriteBuffer::new(stream))
        .await;
    let Ok((_, mut socket)) = accepted else {
        return;
    };
    // The library has written the response to the handshake, but has not flushed it.
    if socket.flush().await.is_err() {
        return;
    }
    match mode {
        Mode::Broadcast => hub::broadcast(hub, socket).await,
        Mode::Echo => hub::echo(socket, data_bytes).await,
    }
}

fn data_bytes(message: &Message) -> Option<usize> {
    (message.is_text() || message.is_binary()).then(|| message.as_payload().len())
}
