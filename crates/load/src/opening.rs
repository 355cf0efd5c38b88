//! Opens the connections: TCP, TLS for `wss`, and the opening handshake of RFC 6455 §4.
//!
//! A few threads do it with blocking calls, each one connection after the other, and
//! hand open connections to the load's threads. They end when all connections are open
//! or one could not be opened.
//!
//! RFC 6455 §4.1 asks a client to open one connection to an address at a time, so that
//! no script can flood a server. A load generator must flood servers: the setting
//! `PlanBuilder::opening_at_once` is their number, and 1 follows the RFC.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use yamabiko::reactor::Mailbox;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::handshake::WebSocketUri;

use super::commands::{Command, Event};
use super::error::Error;
use super::plan::Plan;
use super::randomness;
use super::secure::{self, Secured, Stream, Trust};

/// A connection after its opening handshake.
pub(super) struct Opened {
    pub stream: TcpStream,
    /// For `wss`.
    pub secured: Option<Secured>,
    /// The bytes after the response's head: the first frames.
    pub surplus: Vec<u8>,
}

/// Shared by the threads that open connections.
pub(super) struct Opening {
    plan: Plan,
    trust: Trust,
    addresses: Vec<SocketAddr>,
    started: Instant,
    next: AtomicU32,
    stopped: AtomicBool,
    /// Of the load's threads, in order.
    mailboxes: Vec<Mailbox<Command>>,
    events: Sender<Event>,
}

impl Opening {
    /// Starts to open all connections of the plan, in the background. Member
    /// `m` goes to thread `m` modulo the number of threads.
    ///
    /// # Errors
    /// No thread, or no authorities for `wss`.
    pub(super) fn start(
        plan: &Plan,
        addresses: Vec<SocketAddr>,
        mailboxes: Vec<Mailbox<Command>>,
        events: Sender<Event>,
    ) -> Result<Arc<Opening>, Error> {
        let opening = Arc::new(Opening {
            plan: plan.clone(),
            trust: secure::trust(plan)?,
            addresses,
            started: Instant::now(),
            next: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
            mailboxes,
            events,
        });
        for _ in 0..plan.opening.at_once.min(plan.connections) {
            let opening = Arc::clone(&opening);
            thread::Builder::new()
                .name("opening".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || opening.work())
                .map_err(Error::Thread)?;
        }
        Ok(opening)
    }

    /// Opens no further connections. Connections that are being opened are dropped.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn work(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.plan.connections || self.stopped.load(Ordering::Relaxed) {
                return;
            }
            self.wait_for_turn(number);
            let started = Instant::now();
            match self.open(number) {
                Ok(_) if self.stopped.load(Ordering::Relaxed) => return,
                Ok(opened) => self.deliver(number, opened, started.elapsed()),
                Err(error) => {
                    self.stop();
                    let _ = self.events.send(Event::NotOpened(error));
                }
            }
        }
    }

    /// With a rate, the opening of connection `n` begins at `n / rate`.
    fn wait_for_turn(&self, number: u32) {
        if let Some(rate) = self.plan.opening.rate {
            let turn =
                Duration::try_from_secs_f64(f64::from(number) / rate).unwrap_or(Duration::MAX);
            thread::sleep(turn.saturating_sub(self.started.elapsed()));
        }
    }

    /// Opens one connection: to the first address that accepts it.
    ///
    /// # Errors
    /// The error of the handshake, or of the last address if none accepts it.
    fn open(&self, number: u32) -> Result<Opened, Error> {
        let plan = &self.plan;
        let deadline = Instant::now() + plan.opening.timeout;
        let mut failure = Error::Resolve {
            host: plan.url.host().to_owned(),
            source: no_address(),
        };
        for &address in &self.addresses {
            match connect(plan, number, address, deadline) {
                Ok(tcp) => return handshake(plan, &self.trust, tcp, address, deadline),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn deliver(&self, number: u32, opened: Opened, took: Duration) {
        let thread = number as usize % self.mailboxes.len();
        let command = Command::Member {
            number,
            stream: opened.stream,
            secured: opened.secured,
            surplus: opened.surplus,
        };
        // The mailboxes have room for all members, and the coordinator receives events
        // until all are open: neither fails before the end of the run.
        if self.mailboxes[thread].send(command).is_ok() {
            let _ = self.events.send(Event::Opened(took));
        }
    }
}

/// The addresses of the URL's host.
///
/// # Errors
/// It has no address.
pub(super) fn resolve(url: &WebSocketUri) -> Result<Vec<SocketAddr>, Error> {
    let host = url.host().trim_matches(['[', ']']);
    let failed = |source| Error::Resolve {
        host: host.to_owned(),
        source,
    };
    let addresses: Vec<_> = (host, url.port())
        .to_socket_addrs()
        .map_err(failed)?
        .collect();
    if addresses.is_empty() {
        return Err(failed(no_address()));
    }
    Ok(addresses)
}

/// The source addresses in turn, of those of the right kind.
fn source_of(plan: &Plan, number: u32, address: SocketAddr) -> Option<IpAddr> {
    let fitting: Vec<_> = plan
        .opening
        .source_addresses
        .iter()
        .filter(|source| source.is_ipv4() == address.is_ipv4())
        .collect();
    let turn = number as usize % fitting.len().max(1);
    fitting.get(turn).copied().copied()
}

fn connect(
    plan: &Plan,
    number: u32,
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, Error> {
    let from = source_of(plan, number, address);
    let left = left_until(deadline).ok_or(Error::OpenTimeout { address })?;
    connect_from(from, address, plan.is_slow(number), left).map_err(|source| Error::Connect {
        address,
        from,
        source,
    })
}

fn connect_from(
    source: Option<IpAddr>,
    address: SocketAddr,
    slow: bool,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    if slow {
        // Otherwise the kernel would buffer up to 32 MiB on some systems, and the server
        // would notice a slow member late.
        socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
    }
    socket.connect_timeout(&address.into(), timeout)?;
    Ok(socket.into())
}

fn handshake(
    plan: &Plan,
    trust: &Trust,
    tcp: TcpStream,
    address: SocketAddr,
    deadline: Instant,
) -> Result<Opened, Error> {
    let mut nonce = [0; 16];
    randomness::fill(&mut nonce)?;
    let mut handshake = plan
        .greeting
        .handshake(&plan.url, nonce)
        .map_err(Error::Request)?;
    if plan.compress {
        // Without context takeover, in both directions.
        handshake = handshake.deflate(DeflateConfig::default());
    }
    let mut request = Vec::new();
    handshake.write_request(&mut request);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::OpenTimeout { address },
        _ => Error::HandshakeTransport {
            address,
            source: error,
        },
    };
    let left = || left_until(deadline).ok_or_else(|| io::ErrorKind::TimedOut.into());
    let mut stream = Stream::open(tcp, trust, plan.url.host(), left).map_err(failed)?;
    stream.write_all(&request).map_err(failed)?;
    let mut response = Vec::new();
    loop {
        let bytes = left().and_then(|left| stream.read_some(left));
        let bytes = bytes.map_err(failed)?;
        response.extend_from_slice(&bytes);
        let established = handshake
            .receive(&response)
            .map_err(|source| Error::Handshake { address, source })?;
        if let Some(established) = established {
            if plan.compress && established.deflate.is_none() {
                return Err(Error::CompressionDeclined { address });
            }
            let surplus = response.split_off(established.head_bytes);
            let (stream, secured) = stream.into_parts();
            return Ok(Opened {
                stream,
                secured,
                surplus,
            });
        }
    }
}

/// `None`: the deadline is past.
fn left_until(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    Some(left).filter(|left| !left.is_zero())
}

fn no_address() -> io::Error {
    io::Error::other("it has no address")
}

const SLOW_BUFFER_BYTES: usize = 64 << 10;
/// The threads only wait, and calculate the keys of TLS; the buffers of the handshake are on the heap.
const STACK_BYTES: usize = 512 << 10;
