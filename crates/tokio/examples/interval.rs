//! Sends a number each second, and replies to what comes meanwhile.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --example interval -- 127.0.0.1:9001
//! ```

use std::error::Error;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::time::interval;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001")).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = count(stream).await {
                println!("{peer}: {error}");
            }
        });
    }
}

/// Serves one connection.
pub async fn count(stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut socket = yamabiko_tokio::accept(stream).await?;
    let (mut seconds, mut timer) = (0, interval(Duration::from_secs(1)));
    loop {
        select! {
            read = socket.read() => match read? {
                Some(message) => socket.send(message).await?,
                None => return Ok(()),
            },
            _ = timer.tick() => {
                socket.send(seconds.to_string()).await?;
                seconds += 1;
            }
        }
    }
}
