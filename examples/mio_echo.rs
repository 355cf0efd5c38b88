//! An echo server for many clients on one thread: the protocol core on `mio`. `docs/guides/mio.md` explains it.
//!
//! Everything that a program adds to the core is in this file: sockets, readiness, the clock, and what waits to be written. The
//! library's own server (`yamabiko::server`) has all of it, and rooms, limits and workers besides.
//!
//! ```sh
//! cargo run --example mio_echo -- 127.0.0.1:9005
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use yamabiko::http::Origins;
use yamabiko::time::Timestamp;
use yamabiko::websocket::deadlines::{Deadlines, Due, Timeouts};
use yamabiko::websocket::handshake::{AcceptOptions, HeadLimits, RequestReader, Upgrade};
use yamabiko::websocket::{Connection, Limits, State};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9005").parse()?;
    let mut server = EchoServer::bind(address)?;
    println!("listening on ws://{}/", server.address()?);
    loop {
        server.turn()?;
    }
}

/// The listener, and every client by its token.
struct EchoServer {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    clients: HashMap<Token, Client>,
    next: usize,
    clock: Clock,
    /// One read buffer for all clients: an idle client has none.
    buffer: Vec<u8>,
}

impl EchoServer {
    fn bind(address: SocketAddr) -> io::Result<EchoServer> {
        let (poll, mut listener) = (Poll::new()?, TcpListener::bind(address)?);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(EchoServer {
            poll,
            events: Events::with_capacity(1024),
            listener,
            clients: HashMap::new(),
            next: 1,
            clock: Clock::default(),
            buffer: vec![0; 64 << 10],
        })
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for what is ready, and does it. Returns at least once a second, for the deadlines.
    fn turn(&mut self) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(TICK)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = self.clock.now();
        let mut accepts = false;
        for event in &self.events {
            let Some(client) = self.clients.get_mut(&event.token()) else {
                accepts |= event.token() == LISTENER;
                continue;
            };
            // An error of one socket ends this client only.
            if client.ready(event, &mut self.buffer, now).is_err() {
                client.phase = Phase::Gone;
            }
        }
        if accepts {
            self.accept(now)?;
        }
        for client in self.clients.values_mut() {
            client.check_deadline(now);
        }
        // Dropping the socket closes it, and ends its registration.
        self.clients
            .retain(|_, client| !matches!(client.phase, Phase::Gone));
        Ok(())
    }

    /// Takes every connection that waits: the listener is reported once for all of them.
    fn accept(&mut self, now: Timestamp) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client has gone, or descriptors are short. A server for the public stops accepting for a while then.
                Err(_) => return Ok(()),
            };
            if self.clients.len() >= CLIENTS_MAX {
                continue; // dropped, and so closed
            }
            let token = Token(self.next);
            self.next += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut socket, token, interest)?;
            self.clients.insert(token, Client::new(socket, now));
        }
    }
}

struct Client {
    socket: TcpStream,
    phase: Phase,
    /// For the socket, which has not taken it yet.
    output: Vec<u8>,
    /// The socket may have bytes: it was reported readable, and has not said WouldBlock since.
    is_readable: bool,
}

enum Phase {
    /// The bytes of the request that have come so far. Given up at the time.
    Opening(RequestReader, Vec<u8>, Timestamp),
    /// Boxed: the other phases are small.
    Open(Box<(Connection, Deadlines)>),
    /// Everything has been said. After the output comes our FIN, and then the client's; what comes before it is discarded.
    Ending(Timestamp),
    Gone,
}

impl Client {
    fn new(socket: TcpStream, now: Timestamp) -> Client {
        let reader = RequestReader::new(HeadLimits::default());
        Client {
            socket,
            phase: Phase::Opening(reader, Vec::new(), now.plus(HANDSHAKE_TIMEOUT)),
            output: Vec::new(),
            is_readable: false,
        }
    }

    /// The socket is reported once for everything that it can do now (edge-triggered). So it is read until it has no more, except
    /// while the client does not take its echoes: then its bytes stay in the kernel, and TCP makes it wait.
    fn ready(&mut self, event: &Event, buffer: &mut [u8], now: Timestamp) -> io::Result<()> {
        self.is_readable |= event.is_readable();
        self.flush(now)?;
        while self.is_readable && self.output.len() < OUTPUT_MAX {
            match self.socket.read(buffer) {
                Ok(0) => self.phase = Phase::Gone,
                Ok(count) => self.received(&mut buffer[..count], now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if matches!(self.phase, Phase::Gone) {
                return Ok(());
            }
            self.flush(now)?;
        }
        Ok(())
    }

    fn received(&mut self, bytes: &mut [u8], now: Timestamp) {
        match &mut self.phase {
            Phase::Opening(_, head, _) => {
                head.extend_from_slice(bytes);
                self.open(now);
            }
            Phase::Open(open) => {
                let (connection, deadlines) = &mut **open;
                echo(connection, bytes, &mut self.output);
                set_deadlines(connection, deadlines, now);
            }
            Phase::Ending(_) | Phase::Gone => {}
        }
    }

    /// Answers the request when its head is whole.
    fn open(&mut self, now: Timestamp) {
        let Phase::Opening(reader, head, _) = &mut self.phase else {
            return;
        };
        let accepted = match reader.read(head) {
            Ok(None) => return,
            Ok(Some((request, head_bytes))) => Upgrade::check(&request).and_then(|upgrade| {
                upgrade.check_origin(&Origins::SameHost)?;
                Ok((upgrade.accept(AcceptOptions::default())?, head_bytes))
            }),
            Err(refusal) => Err(refusal),
        };
        match accepted {
            Ok((accepted, head_bytes)) => {
                accepted.write_response(&mut self.output);
                let mut behind = head.split_off(head_bytes);
                let connection = accepted.connection(Limits::default());
                self.phase = Phase::Open(Box::new((connection, Deadlines::new(now))));
                self.received(&mut behind, now); // the first frames
            }
            Err(refusal) => {
                refusal.write(&mut self.output);
                self.phase = Phase::Ending(now.plus(ENDING_TIMEOUT));
            }
        }
    }

    /// Writes what the socket takes. Afterwards a connection that has closed or failed ends.
    fn flush(&mut self, now: Timestamp) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match &self.phase {
            Phase::Open(open) if !matches!(open.0.state(), State::Open | State::Closing) => {
                self.phase = Phase::Ending(now.plus(ENDING_TIMEOUT));
            }
            Phase::Ending(_) => {}
            _ => return Ok(()),
        }
        // Not close(): with unread bytes that makes the kernel send a reset, which can erase our Close at the client.
        match self.socket.shutdown(Shutdown::Write) {
            Err(error) if error.kind() != ErrorKind::NotConnected => Err(error),
            _ => Ok(()),
        }
    }

    fn check_deadline(&mut self, now: Timestamp) {
        let is_over = match &mut self.phase {
            Phase::Opening(_, _, until) | Phase::Ending(until) => now >= *until,
            Phase::Open(open) => {
                let (connection, deadlines) = &mut **open;
                let has_unsent = !self.output.is_empty();
                match deadlines.handle_timeout(now, &Timeouts::default(), || has_unsent) {
                    Due::Ping => {
                        // A connection that is not open any more needs no ping.
                        let _ = connection.ping(b"", &mut self.output);
                        false
                    }
                    Due::Fail(_) => true,
                    _ => false,
                }
            }
            Phase::Gone => true,
        };
        if is_over || self.flush(now).is_err() {
            self.phase = Phase::Gone;
        }
    }
}

/// Sends each message back. An error is the end: `output` has the Close that names the broken rule.
fn echo(connection: &mut Connection, mut input: &mut [u8], output: &mut Vec<u8>) {
    while let Ok(Some(event)) = connection.receive(&mut input, output) {
        if let Some(message) = event.message() {
            let _ = connection.send(message, output); // not after a Close
        }
    }
}

/// Bytes have come.
fn set_deadlines(connection: &Connection, deadlines: &mut Deadlines, now: Timestamp) {
    deadlines.peer_is_alive(now);
    match connection.has_unfinished_input() {
        true => {
            let bytes = connection.unfinished_message_bytes();
            deadlines.message_is_unfinished(now, bytes, &Timeouts::default());
        }
        false => deadlines.message_is_finished(),
    }
    if !connection.is_open() {
        deadlines.closing(now);
    }
}

/// The core counts milliseconds from any beginning.
struct Clock(Instant);

impl Default for Clock {
    fn default() -> Clock {
        Clock(Instant::now())
    }
}

impl Clock {
    fn now(&self) -> Timestamp {
        Timestamp(0).plus(self.0.elapsed())
    }
}

const LISTENER: Token = Token(0);
const CLIENTS_MAX: usize = 10_000;
/// Bytes that wait for one client before it is read no more.
const OUTPUT_MAX: usize = 256 << 10;
const TICK: Duration = Duration::from_secs(1);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const ENDING_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use yamabiko::client::{Client, CloseCode};

    /// Runs a server while `test` talks to it.
    fn with_server(test: impl FnOnce(SocketAddr)) {
        let mut server = EchoServer::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = server.address().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let running = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                server.turn().expect("a turn");
            }
        });
        test(address);
        stop.store(true, Ordering::Relaxed);
        running.join().expect("no panic");
    }

    #[test]
    fn many_clients_receive_their_messages_and_close_cleanly() {
        with_server(|address| {
            let connect = |_| Client::connect(&format!("ws://{address}/")).expect("a connection");
            let mut clients: Vec<Client> = (0..50).map(connect).collect();
            for (number, client) in clients.iter_mut().enumerate() {
                client
                    .send(&*format!("message {number}"))
                    .expect("it is open");
            }
            for (number, mut client) in clients.into_iter().enumerate() {
                let message = client.read().expect("a message").expect("it is open");
                assert_eq!(message.as_text(), Some(&*format!("message {number}")));
                client.close(CloseCode::NORMAL).expect("it is open");
                assert!(client.read().expect("an end").is_none());
            }
        });
    }

    #[test]
    fn client_that_reads_its_echoes_late_loses_none() {
        with_server(|address| {
            let mut client = Client::connect(&format!("ws://{address}/")).expect("a connection");
            let message = vec![7; 100 << 10];
            for _ in 0..5 {
                client.send(&message).expect("it is open");
            }
            for _ in 0..5 {
                let echo = client.read().expect("a message").expect("it is open");
                assert_eq!(echo.as_bytes(), message);
            }
        });
    }

    #[test]
    fn request_that_is_no_handshake_is_refused() {
        with_server(|address| {
            let mut socket = std::net::TcpStream::connect(address).expect("TCP");
            let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            socket.write_all(request).expect("a request");
            let mut response = String::new();
            socket.read_to_string(&mut response).expect("a response");
            assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
        });
    }
}
