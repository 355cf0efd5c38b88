//! Broadcast and echo on tokio-tungstenite.
//!
//! The read buffer is small, as the library's documentation recommends for many connections:
//! 8 KiB. The default of 128 KiB for each connection costs ten times as much, because the
//! buffers do not fit into the caches. The write buffer has its default size, and holds
//! messages until the flush.

use std::io;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use yamabiko_servers::hub::{self, Hub, Library};
use yamabiko_servers::serve::{Mode, serve};

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
    stream: TcpStream,
    mode: Mode,
    hub: Rc<Hub<WebSocketStream<TcpStream>, Message>>,
) {
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024);
    let accepted = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await;
    match (accepted, mode) {
        (Ok(socket), Mode::Broadcast) => hub::broadcast(hub, socket).await,
        (Ok(socket), Mode::Echo) => hub::echo(socket, data_bytes).await,
        (Err(_), _) => {}
    }
}

fn data_bytes(message: &Message) -> Option<usize> {
    match message {
        Message::Text(_) | Message::Binary(_) => Some(message.len()),
        _ => None,
    }
}
