//! Broadcast and echo on tokio-tungstenite.
//!
//! As its documentation recommends for many connections: a small read buffer (8 KiB
//! here; the default of 128 KiB for each connection empties the caches and costs
//! ten times as much). Its write buffer has the default size: it holds
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
