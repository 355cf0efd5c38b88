//! An echo server. It replies with what it has received, without a copy before the write queue.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --example echo -- 127.0.0.1:9001
//! ```

use std::error::Error;

use tokio::net::{TcpListener, TcpStream};
use yamabiko_tokio::yamabiko::websocket::deflate::{DeflateConfig, DeflatePool};
use yamabiko_tokio::{Acceptor, yamabiko::http::Origins};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001")).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    // An echo tells a page nothing, so every page may connect.
    let acceptor = Acceptor::new()
        .origins(Origins::Any)
        .deflate(DeflateConfig::default(), DeflatePool::default());
    loop {
        let (stream, peer) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(error) = echo(&acceptor, stream).await {
                println!("{peer}: {error}");
            }
        });
    }
}

/// Serves one connection.
pub async fn echo(
    acceptor: &Acceptor,
    stream: TcpStream,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let mut socket = acceptor.accept(stream).await?;
    while let Some(sent) = socket
        .read_and_reply(|event, replies| match event.message() {
            Some(message) if replies.is_open() => replies.send(message),
            _ => Ok(()),
        })
        .await?
    {
        sent?;
    }
    Ok(())
}
