//! The client in the Autobahn test suite: the suite's server runs each case, and this program
//! echoes every message.
//!
//! `wstest -m fuzzingserver`, then
//! `cargo run --release --example autobahn_client -- ws://127.0.0.1:9001 yamabiko`.
//!
//! | path | action of the suite's server |
//! |---|---|
//! | `/getCaseCount` | sends the number of cases, and closes |
//! | `/runCase?case=N&agent=A` | runs case N, which may break any rule |
//! | `/updateReports?agent=A` | writes the report, and closes |

use std::process::ExitCode;
use std::time::Duration;

use yamabiko::client::{Client, ClientError, OwnedMessage};
use yamabiko::websocket::Limits;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::handshake::percent_encode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(agent)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: autobahn_client URL AGENT");
        return ExitCode::from(2);
    };
    match run(url.trim_end_matches('/'), &percent_encode(&agent)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("autobahn_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str, agent: &str) -> Result<(), ClientError> {
    let cases = case_count(url)?;
    for case in 1..=cases {
        eprint!("\rcase {case} of {cases}");
        // The suite judges how a case ends, so an error is ignored.
        let _ = echo(&format!("{url}/runCase?case={case}&agent={agent}"));
    }
    eprintln!();
    let mut reports = Client::connect(&format!("{url}/updateReports?agent={agent}"))?;
    while reports.read()?.is_some() {}
    Ok(())
}

fn case_count(url: &str) -> Result<u32, ClientError> {
    let mut client = Client::connect(&format!("{url}/getCaseCount"))?;
    let mut count = 0;
    while let Some(message) = client.read()? {
        if let OwnedMessage::Text(text) = message {
            count = text.parse().unwrap_or(0);
        }
    }
    Ok(count)
}

/// Sends every message back until the connection ends.
fn echo(uri: &str) -> Result<(), ClientError> {
    let limits = Limits {
        message_bytes_max: 64 << 20, // the largest message of the suite has 16 MiB
        ..Limits::default()
    };
    // Groups 12 and 13 of the suite: its server negotiates various parameters. This client
    // allows context takeover and compresses every message.
    let deflate = DeflateConfig {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        threshold_bytes: 0,
        ..DeflateConfig::default()
    };
    let builder = Client::builder(uri).limits(limits).deflate(deflate);
    let mut client = builder.read_timeout(Duration::from_secs(120)).connect()?;
    while let Some(message) = client.read()? {
        client.send(message.as_message())?;
    }
    Ok(())
}
