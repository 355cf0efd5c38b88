//! Connects to a server of `wss` whose certificate comes from an authority of your own, sends a
//! text, and prints the reply.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --features tls --example tls_client -- wss://localhost:9443/ cert.pem hello
//! ```

use std::error::Error;

use yamabiko_tokio::Connector;
use yamabiko_tokio::yamabiko::tls::ClientTls;
use yamabiko_tokio::yamabiko::websocket::CloseCode;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [uri, authority, text] = &arguments[..] else {
        return Err("usage: tls_client URI AUTHORITY TEXT".into());
    };
    // Without this line the authorities of the operating system are trusted.
    let trusted = ClientTls::authorities(&std::fs::read(authority)?)?;
    let mut socket = Connector::new(uri)?.tls(trusted).connect().await?;
    socket.send(text).await?;
    if let Some(reply) = socket.read().await? {
        println!("{reply}");
    }
    println!("{}", socket.close(CloseCode::NORMAL).await?);
    Ok(())
}
