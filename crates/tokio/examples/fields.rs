//! Reads header fields of the request and of the response; refuses a client without a token.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --example fields
//! ```

use std::error::Error;

use tokio::net::TcpListener;
use yamabiko_tokio::yamabiko::http::{Refusal, Status};
use yamabiko_tokio::{Acceptor, Connector};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("ws://{}/rooms/lobby", listener.local_addr()?);
    tokio::spawn(serve(listener));

    let without_token = Connector::new(&uri)?.connect().await;
    println!("without a token: {}", without_token.unwrap_err());
    let connector = Connector::new(&uri)?.field("Authorization", "Bearer 51d2")?;
    let mut socket = connector.connect().await?;
    if let Some(fields) = socket.response_fields() {
        println!("cookie: {:?}", fields.text("Set-Cookie"));
    }
    println!("{:?}", socket.read().await?);
    Ok(())
}

/// Serves all connections, one after the other.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let acceptor = Acceptor::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let mut path = String::new();
        let accepted = acceptor.accept_with(stream, |upgrade, options| {
            path = upgrade.path().to_owned();
            let token = upgrade.request().fields().text("Authorization");
            match token == Some("Bearer 51d2") {
                true => Ok(options.field("Set-Cookie", "seen=1")?),
                false => Err(Refusal::new(Status::Unauthorized, "a token is needed")
                    .field("WWW-Authenticate", "Bearer")?),
            }
        });
        if let Ok(mut socket) = accepted.await {
            _ = socket.send(format!("welcome to {path}")).await;
        }
    }
}
