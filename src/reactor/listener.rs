//! Listening and accepting.
//!
//! A reactor does not accept a connection only to drop it: while it has no room, connections
//! stay in the kernel's backlog. (Beyond a limit that reactors share,
//! [`ConnectionLimit`](super::ConnectionLimit), they are accepted and refused, because no
//! other reactor serves this one's backlog.) The [`Gate`] decides when to accept again:
//!
//! ```text
//!                       edge                    no room (connections_max)
//!   AwaitingEdge ─────────────────► Open ─────────────────────────► Full
//!        ▲      accept: WouldBlock  │  ▲          a socket closes    │
//!        └──────────────────────────┘  ├─────────────────────────────┘
//!                                      │  a socket closes, or 100 ms
//!               accept: other failure  ▼  have passed
//!                                  BackingOff
//! ```
//!
//! "Other failure" is mostly a lack of descriptors or memory (`EMFILE`, `ENFILE`, `ENOBUFS`,
//! `ENOMEM`). The connection stays in the backlog and no edge follows for it: an immediate
//! retry would spin, and waiting for an edge would hang. Unknown failures are treated in the
//! same way, so no list of error numbers is needed. Failures of the one connection at the
//! head of the backlog (it was reset meanwhile) are skipped.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

#[cfg(target_os = "linux")]
use super::calls::set_unsent_bytes_max;
use crate::time::Timestamp;

/// Creates a listening socket for [`ReactorConfig`](super::ReactorConfig): non-blocking, with
/// a backlog of 4096 connections (the kernel may reduce it, Linux to `net.core.somaxconn`),
/// and on Unix with `SO_REUSEADDR`, so that a server can restart while old connections are in
/// TIME_WAIT. Port 0 selects a free one. The system decides whether an IPv6 socket also
/// serves IPv4.
///
/// # Errors
///
/// The errors of `socket`, `bind` and `listen`.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    listen_as(address, |_| Ok(()))
}

/// As [`listen`], with `SO_REUSEPORT`: several sockets can listen on the address, one for each
/// worker, and the kernel distributes the connections to them.
///
/// # Errors
///
/// As [`listen`]; [`ErrorKind::Unsupported`] on systems without `SO_REUSEPORT`.
///
/// ```
/// use yamabiko::reactor::listen_reusing_port;
///
/// let listener = listen_reusing_port("127.0.0.1:0".parse()?)?;
/// let second = listen_reusing_port(listener.local_addr()?)?;
/// assert_eq!(listener.local_addr()?, second.local_addr()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn listen_reusing_port(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    listen_as(address, set_reuse_port)
}

fn listen_as(
    address: SocketAddr,
    set_options: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<std::net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // On Windows the option would let another process take over the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    set_options(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))
))]
fn set_reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))
)))]
fn set_reuse_port(_socket: &Socket) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// A reactor's listener and its gate.
pub(super) struct Acceptor {
    listener: TcpListener,
    pub(super) gate: Gate,
}

impl Acceptor {
    pub(super) fn new(
        listener: std::net::TcpListener,
        unsent_bytes_max: Option<u32>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        set_inherited_options(&listener, unsent_bytes_max)?;
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, token, Interest::READABLE)?;
        let gate = Gate::AwaitingEdge;
        Ok(Acceptor { listener, gate })
    }

    /// The next connection, if there is one and `room` for it.
    pub(super) fn accept(&mut self, now: Timestamp, room: bool) -> Accepted<AcceptedConnection> {
        let Acceptor { listener, gate } = self;
        gate.accept(now, room, || {
            let (stream, peer) = listener.accept()?;
            set_own_options(&stream);
            Ok(AcceptedConnection { stream, peer })
        })
    }

    pub(super) fn deregister(mut self, registry: &Registry) {
        // If this fails: closing the descriptor deregisters it as well.
        let _ = registry.deregister(&mut self.listener);
    }
}

/// Small messages must not wait for each other: Linux hands `TCP_NODELAY` of a listener down to
/// its connections, which saves a system call for each. The same holds for the limit of unsent
/// bytes.
#[cfg(target_os = "linux")]
fn set_inherited_options(
    listener: &std::net::TcpListener,
    unsent_bytes_max: Option<u32>,
) -> io::Result<()> {
    socket2::SockRef::from(listener).set_tcp_nodelay(true)?;
    set_unsent_bytes_max(listener, unsent_bytes_max)
}

#[cfg(target_os = "linux")]
fn set_own_options(_: &TcpStream) {}

#[cfg(not(target_os = "linux"))]
fn set_inherited_options(_: &std::net::TcpListener, _: Option<u32>) -> io::Result<()> {
    Ok(())
}

/// An error means that the connection has ended, which the next read reports.
#[cfg(not(target_os = "linux"))]
fn set_own_options(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

/// An accepted connection that no reactor watches yet: see
/// [`Application::accepted`](super::Application::accepted). Dropping it closes it.
#[derive(Debug)]
pub struct AcceptedConnection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

/// Whether and when to accept: see the description of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// The backlog is empty.
    AwaitingEdge,
    /// The backlog may hold connections.
    Open,
    /// The maximum number of sockets is open.
    Full,
    /// The system has no descriptors, or another failure occurred.
    BackingOff { until: Timestamp },
}

/// The result of an attempt to accept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Accepted<T> {
    Connection(T),
    /// The connection ended before it was accepted: continue.
    Lost,
    /// No connection now: the gate decides when to try again.
    Nothing,
}

impl Gate {
    /// One attempt, with `accept` as the system call.
    fn accept<T>(
        &mut self,
        now: Timestamp,
        room: bool,
        accept: impl FnOnce() -> io::Result<T>,
    ) -> Accepted<T> {
        if *self != Gate::Open {
            return Accepted::Nothing;
        }
        if !room {
            *self = Gate::Full;
            return Accepted::Nothing;
        }
        let error = match accept() {
            Ok(connection) => return Accepted::Connection(connection),
            Err(error) => error,
        };
        if CONNECTION_LOST.contains(&error.kind()) {
            return Accepted::Lost;
        }
        match error.kind() {
            ErrorKind::WouldBlock => *self = Gate::AwaitingEdge,
            _ => self.back_off(now),
        }
        Accepted::Nothing
    }

    pub(super) fn back_off(&mut self, now: Timestamp) {
        let until = now.plus(BACK_OFF);
        *self = Gate::BackingOff { until };
    }

    /// The kernel reports a connection. A gate that is closed for another reason stays
    /// closed: it finds the connection by accepting once it is open.
    pub(super) fn edge(&mut self) {
        if *self == Gate::AwaitingEdge {
            *self = Gate::Open;
        }
    }

    /// A socket was closed: there may be room and a descriptor now.
    pub(super) fn socket_closed(&mut self) {
        if matches!(self, Gate::Full | Gate::BackingOff { .. }) {
            *self = Gate::Open;
        }
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        if matches!(self, Gate::BackingOff { until } if *until <= now) {
            *self = Gate::Open;
        }
    }

    /// When to accept again without an edge; in the past: immediately.
    pub(super) fn next_attempt(&self) -> Option<Timestamp> {
        match self {
            Gate::Open => Some(Timestamp(0)),
            Gate::BackingOff { until } => Some(*until),
            Gate::AwaitingEdge | Gate::Full => None,
        }
    }
}

/// The default of `net.core.somaxconn` on Linux.
const BACKLOG: i32 = 4096;
/// Long enough not to spin, short enough not to be noticed by a user.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Errors of `accept` that concern the connection and not the listener: Linux returns
/// pending errors of the new socket.
const CONNECTION_LOST: [ErrorKind; 6] = [
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionReset,
    ErrorKind::HostUnreachable,
    ErrorKind::NetworkUnreachable,
    ErrorKind::NetworkDown,
    ErrorKind::Interrupted,
];

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);
    const RETRY: Timestamp = Timestamp(1_100);
    /// `std` has no kind for it, so accept reports it by number.
    const EMFILE: i32 = 24;

    fn attempt(gate: &mut Gate, result: io::Result<u8>) -> Accepted<u8> {
        gate.accept(NOW, true, || result)
    }

    #[test]
    fn accepted_connection_has_the_options_of_its_reactor() {
        let poll = mio::Poll::new().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let registry = poll.registry();
        let mut acceptor = Acceptor::new(listener, Some(4_321), registry, Token(0)).unwrap();
        let _peer = std::net::TcpStream::connect(address).unwrap();
        acceptor.gate.edge();
        let Accepted::Connection(connection) = acceptor.accept(NOW, true) else {
            panic!("a connection waits");
        };
        assert!(connection.stream.nodelay().unwrap());
        #[cfg(target_os = "linux")]
        {
            let socket = socket2::SockRef::from(&connection.stream);
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), 4_321);
        }
    }

    #[test]
    fn connections_are_accepted_until_the_backlog_is_empty() {
        let mut gate = Gate::AwaitingEdge;
        gate.edge();
        assert_eq!(attempt(&mut gate, Ok(1)), Accepted::Connection(1));
        assert_eq!(attempt(&mut gate, Ok(2)), Accepted::Connection(2));
        assert!(gate.next_attempt().is_some_and(|at| at <= NOW));
        let empty = Err(ErrorKind::WouldBlock.into());
        assert_eq!(attempt(&mut gate, empty), Accepted::Nothing);
        assert_eq!(gate, Gate::AwaitingEdge);
        assert_eq!(gate.next_attempt(), None);
    }

    #[test]
    fn without_an_edge_nothing_is_tried() {
        let mut gate = Gate::AwaitingEdge;
        let accepted: Accepted<u8> = gate.accept(NOW, true, || unreachable!("the gate is closed"));
        assert_eq!(accepted, Accepted::Nothing);
    }

    #[test]
    fn lost_connection_does_not_stop_the_next_one() {
        for kind in CONNECTION_LOST {
            let mut gate = Gate::Open;
            assert_eq!(attempt(&mut gate, Err(kind.into())), Accepted::Lost);
            assert_eq!(attempt(&mut gate, Ok(1)), Accepted::Connection(1));
        }
    }

    #[test]
    fn without_descriptors_the_gate_waits_without_spinning() {
        let mut gate = Gate::Open;
        let error = io::Error::from_raw_os_error(EMFILE);
        assert_eq!(attempt(&mut gate, Err(error)), Accepted::Nothing);
        assert_eq!(gate.next_attempt(), Some(RETRY));
        gate.edge();
        gate.advance(Timestamp(1_099));
        assert_eq!(gate, Gate::BackingOff { until: RETRY });
        gate.advance(RETRY);
        assert_eq!(attempt(&mut gate, Ok(1)), Accepted::Connection(1));
    }

    #[test]
    fn without_descriptors_the_gate_opens_when_a_socket_closes() {
        let mut gate = Gate::Open;
        gate.back_off(NOW);
        gate.socket_closed();
        assert_eq!(attempt(&mut gate, Ok(1)), Accepted::Connection(1));
    }

    #[test]
    fn without_room_connections_stay_in_the_backlog_until_a_socket_closes() {
        let mut gate = Gate::Open;
        let accepted: Accepted<u8> = gate.accept(NOW, false, || unreachable!("no room"));
        assert_eq!(accepted, Accepted::Nothing);
        gate.edge();
        assert_eq!(gate, Gate::Full);
        assert_eq!(gate.next_attempt(), None);
        gate.socket_closed();
        assert_eq!(attempt(&mut gate, Ok(1)), Accepted::Connection(1));
    }

    #[test]
    fn closed_socket_does_not_open_a_gate_that_awaits_an_edge() {
        let mut gate = Gate::AwaitingEdge;
        gate.socket_closed();
        gate.advance(RETRY);
        assert_eq!(gate, Gate::AwaitingEdge);
    }
}
