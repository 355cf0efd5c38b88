//! The client in the Autobahn test suite, as the library's example of the same name: the suite's
//! server runs each case, and this program echoes every message.
//!
//! ```sh
//! cargo run --release -p yamabiko-tokio --example autobahn_echo -- ws://127.0.0.1:9001 agent
//! ```

use std::error::Error;

use yamabiko_tokio::yamabiko::websocket::deflate::{DeflateConfig, DeflatePool};
use yamabiko_tokio::yamabiko::websocket::{Limits, OwnedMessage};
use yamabiko_tokio::{Connector, connect};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(uri), Some(agent)) = (arguments.next(), arguments.next()) else {
        return Err("usage: autobahn_echo URI AGENT".into());
    };
    let cases = case_count(&uri).await?;
    for case in 1..=cases {
        eprint!("\rcase {case} of {cases}");
        // The suite judges how a case ends, so an error is ignored.
        _ = echo(&format!("{uri}/runCase?case={case}&agent={agent}")).await;
    }
    eprintln!();
    let mut reports = connect(&format!("{uri}/updateReports?agent={agent}")).await?;
    while reports.read().await?.is_some() {}
    Ok(())
}

async fn case_count(uri: &str) -> Result<u32, Box<dyn Error>> {
    let mut socket = connect(&format!("{uri}/getCaseCount")).await?;
    let mut count = 0;
    while let Some(message) = socket.read().await? {
        if let OwnedMessage::Text(text) = message {
            count = text.parse()?;
        }
    }
    Ok(count)
}

/// Sends every message back until the connection ends.
async fn echo(uri: &str) -> Result<(), Box<dyn Error>> {
    let limits = Limits {
        message_bytes_max: 16 << 20,
        ..Limits::default()
    };
    let connector = Connector::new(uri)?
        .limits(limits)
        .deflate(DeflateConfig::default(), &DeflatePool::default());
    let mut socket = connector.connect().await?;
    while let Some(message) = socket.read().await? {
        if socket.is_open() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
