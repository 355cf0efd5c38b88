//! Two protocols on one port: the program accepts, looks at the first bytes, and hands the streams of HTTP to the server.
//!
//! `cargo run --release --example one_port`, then
//! `cargo run --release --example echo_client -- ws://127.0.0.1:9001/ hello`, and `echo hello | nc -N 127.0.0.1 9001`.
//!
//! A stream that begins with `GET ` is a WebSocket or another request of HTTP. Any other stream is of an old protocol, in which
//! each line is sent back. The server listens on a port of its own, too; a program that wants only its own listener gives it a
//! Unix socket, or a port that nobody else reaches.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use yamabiko::server::{
    Admission, Config, Context, Handler, Message, Refusal, Server, ServerHandle, Upgrade,
};

/// The handler of the WebSockets.
pub struct Echo;

impl Handler for Echo {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        // An error means that the client is closing, or does not read.
        let _ = context.send(message);
    }
}

/// Serves a stream by the protocol that its first bytes show.
pub fn serve(stream: TcpStream, server: &ServerHandle) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // The bytes stay in the socket.
    let mut first = [0; 4];
    stream.peek(&mut first)?;
    if first.starts_with(b"G") {
        return server.accept(stream).map_err(io::Error::other);
    }
    for line in BufReader::new(&stream).lines() {
        (&stream).write_all(format!("{}\n", line?).as_bytes())?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        ..Config::default()
    };
    let server = Server::bind(config, Echo)?;
    let handle = server.handle();
    thread::spawn(move || server.run());
    let listener = TcpListener::bind(("127.0.0.1", 9001))?;
    println!("listening on ws://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, handle) = (stream?, handle.clone());
        thread::spawn(move || {
            if let Err(error) = serve(stream, &handle) {
                println!("a stream has ended: {error}");
            }
        });
    }
    Ok(())
}
