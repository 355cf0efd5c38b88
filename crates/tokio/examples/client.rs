//! Sends the lines of its input as messages and prints what comes. Two tasks have one half of the
//! connection each.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --example client -- ws://127.0.0.1:9001/
//! ```

use std::error::Error;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use yamabiko_tokio::Connector;
use yamabiko_tokio::yamabiko::websocket::CloseCode;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1).ok_or("usage: client URI")?;
    let connector = Connector::new(&uri)?.connect_timeout(Duration::from_secs(3));
    let (mut reader, mut writer) = connector.connect().await?.split();
    let (lines, mut input) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                break;
            }
        }
    });
    let sending = tokio::spawn(async move {
        while let Some(line) = input.recv().await {
            // A server that does not read for 5 seconds is given up.
            timeout(Duration::from_secs(5), writer.send(line)).await??;
        }
        writer.close(CloseCode::NORMAL).await?;
        Ok::<(), Box<dyn Error + Send + Sync>>(())
    });
    while let Some(message) = reader.read().await? {
        println!("{message}");
    }
    if let Some(ended) = reader.ended() {
        eprintln!("{ended}");
    }
    // If the server has closed, the task may wait for a line.
    sending.abort();
    Ok(())
}
