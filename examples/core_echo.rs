//! An echo server and its client on the protocol core alone: plain sockets of the standard library, one thread for each
//! connection. Everything that a program adds to the core is in this file: reading and writing, the clock, and the
//! random bytes of a client.
//!
//! ```sh
//! cargo run --example core_echo -- server 127.0.0.1:9004
//! cargo run --example core_echo -- client ws://127.0.0.1:9004/ hello
//! ```

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use yamabiko::http::Origins;
use yamabiko::time::Timestamp;
use yamabiko::websocket::deadlines::{Deadlines, Due, Timeouts};
use yamabiko::websocket::frame::Role;
use yamabiko::websocket::handshake::{
    AcceptOptions, ClientHandshake, HeadLimits, RequestReader, Upgrade, WebSocketUri,
};
use yamabiko::websocket::{
    CloseCode, Connection, Ended, KeyBatch, Limits, Message, SendError, State,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["server", address] => serve(&TcpListener::bind(address)?),
        ["client", uri, text] => {
            let (reply, ended) = ask(uri, text)?;
            println!("{reply}\n{ended}");
            Ok(())
        }
        _ => Err("usage: core_echo server ADDRESS | core_echo client URI TEXT".into()),
    }
}

/// A thread for each connection. A real server also limits their number.
fn serve(listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    println!("listening on ws://{}/", listener.local_addr()?);
    for socket in listener.incoming() {
        let socket = socket?;
        thread::spawn(move || match echo(socket) {
            Ok(ended) => println!("{ended}"),
            Err(error) => println!("{error}"),
        });
    }
    Ok(())
}

/// The server's side of one connection: every message goes back.
fn echo(mut socket: TcpStream) -> Result<Ended, Box<dyn Error>> {
    let (connection, surplus) = accept(&mut socket)?;
    let endpoint = Endpoint::new(socket, connection, Role::Server);
    Ok(endpoint.run(surplus, |message, connection, output| {
        connection.send(message, output)
    })?)
}

/// Reads the request and answers it. Returns the connection, and the bytes that came behind the request.
fn accept(socket: &mut TcpStream) -> Result<(Connection, Vec<u8>), Box<dyn Error>> {
    socket.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
    let (mut bytes, mut response) = (Vec::new(), Vec::new());
    let mut reader = RequestReader::new(HeadLimits::default());
    let accepted = loop {
        read_more(socket, &mut bytes)?;
        let accepted = match reader.read(&bytes) {
            Ok(None) => continue,
            Ok(Some((request, head_bytes))) => Upgrade::check(&request)
                .and_then(|upgrade| {
                    // Web pages of other sites may not connect.
                    upgrade.check_origin(&Origins::SameHost)?;
                    Ok(upgrade.accept(AcceptOptions::default())?)
                })
                .map(|accepted| (accepted, head_bytes)),
            Err(refusal) => Err(refusal),
        };
        break accepted;
    };
    match accepted {
        Ok((accepted, head_bytes)) => {
            accepted.write_response(&mut response);
            socket.write_all(&response)?;
            let connection = accepted.connection(Limits::default());
            Ok((connection, bytes.split_off(head_bytes)))
        }
        Err(refusal) => {
            refusal.write(&mut response);
            socket.write_all(&response)?;
            Err(refusal.into())
        }
    }
}

/// The client: sends a text, waits for the reply, and closes.
fn ask(uri: &str, text: &str) -> Result<(String, Ended), Box<dyn Error>> {
    let uri = WebSocketUri::parse(uri)?;
    let mut socket = TcpStream::connect((uri.host(), uri.port()))?;
    let (mut connection, surplus) = connect(&mut socket, &uri)?;
    let mut output = Vec::new();
    connection.send(text, &mut output)?;
    socket.write_all(&output)?;

    let mut reply = String::new();
    let endpoint = Endpoint::new(socket, connection, Role::Client);
    let ended = endpoint.run(surplus, |message, connection, output| {
        reply = message.to_string();
        connection.close(CloseCode::NORMAL, output)
    })?;
    Ok((reply, ended))
}

/// Sends the request and checks the response. Returns the connection, and the bytes that came behind the response.
fn connect(
    socket: &mut TcpStream,
    uri: &WebSocketUri,
) -> Result<(Connection, Vec<u8>), Box<dyn Error>> {
    socket.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
    let mut nonce = [0; 16];
    random(&mut nonce);
    let mut handshake = ClientHandshake::new(uri, nonce);
    let mut request = Vec::new();
    handshake.write_request(&mut request);
    socket.write_all(&request)?;

    let mut bytes = Vec::new();
    loop {
        read_more(socket, &mut bytes)?;
        if let Some(established) = handshake.receive(&bytes)? {
            // One call of the operating system for 64 masking keys.
            let keys = KeyBatch::new(64, random);
            let connection = established.connection(Limits::default(), keys);
            return Ok((connection, bytes.split_off(established.head_bytes)));
        }
    }
}

/// A connection on a socket.
struct Endpoint {
    socket: TcpStream,
    connection: Connection,
    role: Role,
    /// For the socket.
    output: Vec<u8>,
    /// The time is counted from here.
    start: Instant,
    timeouts: Timeouts,
    deadlines: Deadlines,
    /// A deadline has passed: the peer does not answer.
    given_up: bool,
}

impl Endpoint {
    fn new(socket: TcpStream, connection: Connection, role: Role) -> Endpoint {
        Endpoint {
            socket,
            connection,
            role,
            output: Vec::new(),
            start: Instant::now(),
            timeouts: Timeouts::default(),
            deadlines: Deadlines::new(Timestamp(0)),
            given_up: false,
        }
    }

    /// Passes each message to `on_message` until the connection has ended.
    fn run(
        mut self,
        mut surplus: Vec<u8>,
        mut on_message: impl FnMut(Message<'_>, &mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> io::Result<Ended> {
        self.receive(&mut surplus, &mut on_message)?;
        let mut bytes = vec![0; 16 << 10];
        while self.reads() {
            self.socket.set_read_timeout(self.wait_max())?;
            match self.socket.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => self.receive(&mut bytes[..count], &mut on_message)?,
                Err(error) if is_timeout(&error) => self.handle_timeout()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.connection.end_of_input())
    }

    /// Whether more is to be read. After the closing handshake the server ends TCP, and the client waits for that.
    fn reads(&self) -> bool {
        let awaits_peer = match self.connection.state() {
            State::Open | State::Closing => true,
            _ => self.role == Role::Client,
        };
        awaits_peer && !self.given_up
    }

    fn receive(
        &mut self,
        mut input: &mut [u8],
        on_message: &mut impl FnMut(Message<'_>, &mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> io::Result<()> {
        let (connection, output) = (&mut self.connection, &mut self.output);
        // An error is the end: `output` has the Close that names the broken rule.
        while let Ok(Some(event)) = connection.receive(&mut input, output) {
            if let Some(message) = event.message()
                && connection.is_open()
            {
                on_message(message, connection, output).map_err(io::Error::other)?;
            }
        }
        self.set_deadlines();
        self.flush()
    }

    /// Bytes have come.
    fn set_deadlines(&mut self) {
        let now = self.now();
        self.deadlines.peer_is_alive(now);
        match self.connection.has_unfinished_input() {
            true => {
                let bytes = self.connection.unfinished_message_bytes();
                self.deadlines
                    .message_is_unfinished(now, bytes, &self.timeouts);
            }
            false => self.deadlines.message_is_finished(),
        }
        if !self.connection.is_open() {
            self.deadlines.closing(now);
        }
    }

    fn handle_timeout(&mut self) -> io::Result<()> {
        // All that was written has left this program. The kernel may still have some of it.
        let has_unsent = || false;
        let now = self.now();
        let due = self
            .deadlines
            .handle_timeout(now, &self.timeouts, has_unsent);
        match due {
            // A connection that is not open any more needs no ping.
            Due::Ping => _ = self.connection.ping(b"", &mut self.output),
            Due::Fail(overdue) => {
                self.given_up = true;
                if let Some(code) = overdue.close_code() {
                    _ = self.connection.close(code, &mut self.output);
                }
            }
            _ => {}
        }
        self.flush()
    }

    /// How long a read may wait. Zero would mean: without limit.
    fn wait_max(&self) -> Option<Duration> {
        let deadline = self.deadlines.deadline(&self.timeouts)?;
        Some(deadline.since(self.now()).max(Duration::from_millis(1)))
    }

    fn now(&self) -> Timestamp {
        Timestamp(0).plus(self.start.elapsed())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }
}

/// Appends what comes next. Only for the opening handshake.
fn read_more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut part = [0; 1024];
    match socket.read(&mut part)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.extend_from_slice(&part[..count]);
            Ok(())
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system returns random bytes");
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn client_receives_its_message_and_both_ends_close_cleanly() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a client");
        echo(socket).map_err(|error| error.to_string())
    });
    let (reply, ended) = ask(&format!("ws://{address}/"), "やまびこ").expect("a reply");
    assert_eq!(reply, "やまびこ");
    assert!(ended.clean, "{ended}");
    let ended = server.join().expect("no panic").expect("no error");
    assert!(ended.clean, "{ended}");
}

#[test]
fn server_refuses_a_request_that_is_no_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("TCP");
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a client");
        echo(socket).map(drop).map_err(|error| error.to_string())
    });
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("a request");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
    assert!(server.join().expect("no panic").is_err());
}
