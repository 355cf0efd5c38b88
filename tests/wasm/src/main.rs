//! An echo server over standard input and output: the bytes of a client come in, all at once,
//! and the bytes of the server go out.

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use yamabiko::websocket::Limits;
use yamabiko::websocket::handshake::{AcceptOptions, HeadLimits, RequestReader, Upgrade};

fn main() -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes)?;
    stdout().write_all(&serve(&mut bytes)?)?;
    Ok(())
}

/// What the server sends to a client that has sent these bytes.
fn serve(bytes: &mut [u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut output = Vec::new();
    let mut reader = RequestReader::new(HeadLimits::default());
    let (request, head_bytes) = reader.read(bytes)?.ok_or("the request is not whole")?;
    let accepted = Upgrade::check(&request)?.accept(AcceptOptions::default())?;
    accepted.write_response(&mut output);
    let mut connection = accepted.connection(Limits::default());
    let mut input = &mut bytes[head_bytes..];
    while let Some(event) = connection.receive(&mut input, &mut output)? {
        if let Some(message) = event.message() {
            connection.send(message, &mut output)?;
        }
    }
    Ok(output)
}
