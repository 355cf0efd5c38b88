//! Opens the connections: TCP, and the opening handshake of RFC 6455 §4.
//!
//! A few threads do it, each one connection after the other and waiting as it
//! goes; what is open is handed to the load's own threads. They end when all
//! are open or one could not be opened.
//!
//! RFC 6455 §4.1 wants a client to open one connection to an address at a time,
//! so that no script can drown a server. To drown servers is what this is for:
//! here `--opening-at-once` are, and 1 is the RFC's way.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use yamabiko::reactor::Mailbox;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko::websocket::handshake::{Established, WebSocketUri};

use super::orders::{Event, Order};
use super::plan::Plan;
use super::randomness;

/// A connection on which WebSocket is spoken from here on.
#[derive(Debug)]
pub(super) struct Opened {
    pub stream: TcpStream,
    /// What came behind the head of the answer: the first frames.
    pub surplus: Vec<u8>,
}

/// What the opening threads share.
pub(super) struct Opening {
    plan: Plan,
    addresses: Vec<SocketAddr>,
    started: Instant,
    next: AtomicU32,
    stopped: AtomicBool,
    /// Of the load's threads, in order.
    mailboxes: Vec<Mailbox<Order>>,
    events: Sender<Event>,
}

impl Opening {
    /// Starts to open all connections of the plan, in the background. Member
    /// `m` goes to thread `m` modulo the number of threads.
    ///
    /// # Errors
    /// No thread, in words.
    pub(super) fn start(
        plan: &Plan,
        addresses: Vec<SocketAddr>,
        mailboxes: Vec<Mailbox<Order>>,
        events: Sender<Event>,
    ) -> Result<Arc<Opening>, String> {
        let opening = Arc::new(Opening {
            plan: plan.clone(),
            addresses,
            started: Instant::now(),
            next: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
            mailboxes,
            events,
        });
        for _ in 0..plan.opening.at_once.get().min(plan.connections) {
            let opening = Arc::clone(&opening);
            thread::Builder::new()
                .name("opening".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || opening.work())
                .map_err(|error| format!("no thread: {}", crate::output::words(&error)))?;
        }
        Ok(opening)
    }

    /// No further connections. Those that are being opened are dropped.
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
            match open(&self.plan, &self.addresses, number) {
                Ok(_) if self.stopped.load(Ordering::Relaxed) => return,
                Ok(opened) => self.deliver(number, opened, started.elapsed()),
                Err(error) => {
                    self.stop();
                    let _ = self.events.send(Event::NotOpened(error));
                }
            }
        }
    }

    /// With a rate, connection `n` is begun at `n / rate`.
    fn wait_for_turn(&self, number: u32) {
        if let Some(rate) = self.plan.opening.rate {
            let turn =
                Duration::try_from_secs_f64(f64::from(number) / rate).unwrap_or(Duration::MAX);
            thread::sleep(turn.saturating_sub(self.started.elapsed()));
        }
    }

    fn deliver(&self, number: u32, opened: Opened, took: Duration) {
        let thread = number as usize % self.mailboxes.len();
        let order = Order::Member {
            number,
            stream: opened.stream,
            surplus: opened.surplus,
        };
        // The mailboxes are made to hold all members, and the conductor listens
        // until all are open: neither fails unless the run is over.
        if self.mailboxes[thread].post(order).is_ok() {
            let _ = self.events.send(Event::Opened(took));
        }
    }
}

/// The addresses of the URL's host.
///
/// # Errors
/// It has none, in words.
pub(super) fn resolve(url: &WebSocketUri) -> Result<Vec<SocketAddr>, String> {
    let host = url.host().trim_matches(['[', ']']);
    let addresses: Vec<_> = (host, url.port())
        .to_socket_addrs()
        .map_err(|error| format!("cannot find {host}: {}", crate::output::words(&error)))?
        .collect();
    if addresses.is_empty() {
        return Err(format!("{host} has no address"));
    }
    Ok(addresses)
}

/// Opens one connection: to the first address that takes it.
///
/// # Errors
/// In words, with the address and a hint where one helps.
fn open(plan: &Plan, addresses: &[SocketAddr], number: u32) -> Result<Opened, String> {
    let deadline = Instant::now() + plan.opening.timeout;
    let mut failure = "there is no address to connect to".to_owned();
    for &address in addresses {
        let source = source_of(plan, number, address);
        match connect(address, source, plan.is_slow(number), deadline) {
            Ok(stream) => {
                return shake_hands(plan, stream, deadline)
                    .map_err(|error| format!("{address}: {error}"));
            }
            Err(error) => failure = explain(address, source, &error),
        }
    }
    Err(failure)
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
    address: SocketAddr,
    source: Option<IpAddr>,
    slow: bool,
    deadline: Instant,
) -> io::Result<TcpStream> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    if slow {
        // Else the kernel would read on for it, 32 MiB on some systems, and the
        // server would not know for long.
        socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
    }
    socket.connect_timeout(&address.into(), left_until(deadline)?)?;
    Ok(socket.into())
}

fn shake_hands(plan: &Plan, mut stream: TcpStream, deadline: Instant) -> Result<Opened, String> {
    let mut nonce = [0; 16];
    randomness::fill(&mut nonce)?;
    let mut handshake = plan
        .greeting
        .handshake(&plan.url, nonce)
        .map_err(|error| error.to_string())?;
    if plan.compress {
        // Without context takeover, in both directions.
        handshake = handshake.deflate(DeflateConfig::default());
    }
    let mut request = Vec::new();
    handshake.write_request(&mut request);
    let words =
        |error: io::Error| format!("in the opening handshake: {}", crate::output::words(&error));
    stream.write_all(&request).map_err(words)?;
    let mut answer = Vec::new();
    loop {
        let bytes = read_some(&mut stream, deadline).map_err(words)?;
        answer.extend_from_slice(&bytes);
        let established = handshake
            .receive(&answer)
            .map_err(|error| error.to_string())?;
        if let Some(established) = established {
            check_compression(plan, &established)?;
            let surplus = answer.split_off(established.head_bytes);
            return Ok(Opened { stream, surplus });
        }
    }
}

fn check_compression(plan: &Plan, established: &Established) -> Result<(), String> {
    match established.deflate {
        None if plan.compress => Err("the server declines permessage-deflate".to_owned()),
        _ => Ok(()),
    }
}

/// The handshake bounds how much there may be of this.
fn read_some(stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 2048];
    stream.set_read_timeout(Some(left_until(deadline)?))?;
    let count = match stream.read(&mut bytes) {
        Ok(0) => Err(io::Error::other("the server ended the connection")),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(timed_out()),
        Err(error) => Err(error),
    }?;
    Ok(bytes[..count].to_vec())
}

fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(timed_out());
    }
    Ok(left)
}

fn timed_out() -> io::Error {
    io::Error::other("the server took too long (see --open-timeout)")
}

fn explain(address: SocketAddr, source: Option<IpAddr>, error: &io::Error) -> String {
    let from = source.map_or(String::new(), |source| format!(" from {source}"));
    let hint = match error.kind() {
        io::ErrorKind::AddrNotAvailable => ": the ports may have run out (see --source-addresses)",
        _ if error.raw_os_error() == Some(EMFILE) => ": raise the limit with 'ulimit -n'",
        _ => "",
    };
    let words = crate::output::words(error);
    format!("cannot connect to {address}{from}: {words}{hint}")
}

const SLOW_BUFFER_BYTES: usize = 64 << 10;
/// They only wait; the handshake's buffers are on the heap.
const STACK_BYTES: usize = 128 << 10;
/// "Too many open files" on Linux, macOS and the BSDs; std has no kind for it.
const EMFILE: i32 = 24;
