//! An echo server on `sockudo-ws`, with compression if the client offers it. Prints its URL.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use sockudo_ws::deflate::{DeflateConfig, DeflateNegotiation, negotiate_server_deflate};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{CompressedWebSocketStream, Config, Error, Message, Role, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    yamabiko_peers::serve(connection).await
}

async fn connection(mut stream: TcpStream) {
    let Some((agreed, leftover)) = open(&mut stream).await else {
        return;
    };
    let config = Config::default();
    match agreed {
        Some(agreed) => {
            let server = CompressedWebSocketStream::server_with_leftover;
            echo(server(stream, config, agreed.config, Some(leftover))).await;
        }
        None => {
            let leftover = Some(leftover);
            echo(WebSocketStream::from_raw_with_leftover(
                stream,
                Role::Server,
                config,
                leftover,
            ))
            .await;
        }
    }
}

/// The opening handshake by the parts of the library. `None`: it has failed.
async fn open(stream: &mut TcpStream) -> Option<(Option<DeflateNegotiation>, Bytes)> {
    let mut bytes = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some((request, taken)) = parse_request(&bytes).ok()? else {
            continue;
        };
        let offer = request.extensions.unwrap_or_default();
        let agreed = negotiate_server_deflate(offer, &DeflateConfig::default());
        let accepted = agreed.as_ref().map(|agreed| agreed.to_response_header());
        let accept_key = generate_accept_key(request.key);
        let response = build_response(&accept_key, None, accepted.as_deref());
        stream.write_all(&response).await.ok()?;
        return Some((agreed, bytes.split_off(taken).freeze()));
    }
}

async fn echo<S>(mut socket: S)
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}
