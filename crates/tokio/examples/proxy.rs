//! Connects through an HTTP proxy, sends a text, and prints the reply.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --example proxy -- http://user:password@127.0.0.1:3128 ws://127.0.0.1:9001/ hello
//! ```

use std::error::Error;

use yamabiko_tokio::Connector;
use yamabiko_tokio::yamabiko::websocket::CloseCode;
use yamabiko_tokio::yamabiko::websocket::handshake::Proxy;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [proxy, uri, text] = &arguments[..] else {
        return Err("usage: proxy PROXY URI TEXT".into());
    };
    let connector = Connector::new(uri)?.proxy(Proxy::parse(proxy)?);
    let mut socket = connector.connect().await?;
    socket.send(text).await?;
    if let Some(reply) = socket.read().await? {
        println!("{reply}");
    }
    socket.close(CloseCode::NORMAL).await?;
    Ok(())
}
