//! Sends one message to an echo server and prints the reply.
//!
//! `cargo run --release --example echo_server`, then
//! `cargo run --release --example echo_client -- ws://127.0.0.1:9001/ hello`.

use std::error::Error;
use std::process::ExitCode;

use yamabiko::client::{Client, ClientError, CloseCode};

fn main() -> ExitCode {
    match echo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            if let Some(cause) = error.source() {
                eprintln!("because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn echo() -> Result<(), ClientError> {
    let mut arguments = std::env::args().skip(1);
    let uri = arguments
        .next()
        .unwrap_or("ws://127.0.0.1:9001/".to_owned());
    let text = arguments.next().unwrap_or("やまびこ".to_owned());
    let mut client = Client::connect(&uri)?;
    client.send(&text)?;
    println!("{:?}", client.read()?);
    println!("{:?}", client.close(CloseCode::NORMAL)?);
    Ok(())
}
