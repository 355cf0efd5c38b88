//! Listening and accepting.
//!
//! Connections that a reactor cannot take now stay where they are, in the
//! kernel's backlog: none is accepted only to be dropped. (Beyond a limit that reactors
//! share, [`ConnectionLimit`](super::ConnectionLimit), they are accepted to be refused:
//! another reactor cannot be relied on to look into this one's backlog.) What has to be known
//! is when to try again, and that is the [`Gate`]:
//!
//! ```text
//!                       edge                    no room (connections_max)
//!   AwaitingEdge ─────────────────► Open ─────────────────────────► Full
//!        ▲      accept: WouldBlock  │  ▲          a socket closes    │
//!        └──────────────────────────┘  ├─────────────────────────────┘
//!                                      │  a socket closes, or 100 ms
//!               accept: other failure  ▼  have gone
//!                                  BackingOff
//! ```
//!
//! "Other failure" is above all the want of descriptors or memory (`EMFILE`,
//! `ENFILE`, `ENOBUFS`, `ENOMEM`): the connection stays in the backlog and no
//! edge will come for it, so trying at once would spin and waiting for an edge
//! would hang. A failure that is not known gets the same patience, which makes
//! a list of error numbers unnecessary. Failures that belong to the one
//! connection at the head of the backlog (it was reset meanwhile) are skipped.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::time::Timestamp;

/// Makes a listening socket for [`ReactorConfig`](super::ReactorConfig):
/// non-blocking, with a backlog of 4096 connections (the kernel may cap it,
/// Linux by `net.core.somaxconn`), and on Unix with `SO_REUSEADDR`, so that a
/// server can start again while old connections linger. Port 0 picks a free
/// one. Whether an IPv6 socket also serves IPv4 is left to the system.
///
/// With `reuse_port` several sockets may listen on the address, one for each
/// worker, and the kernel spreads the connections over them.
///
/// # Errors
///
/// What the operating system says to `socket`, `bind` and `listen`;
/// [`ErrorKind::Unsupported`] for `reuse_port` where there is no such thing.
///
/// ```
/// let listener = yamabiko::reactor::listen("127.0.0.1:0".parse()?, true)?;
/// let second = yamabiko::reactor::listen(listener.local_addr()?, true)?;
/// assert_eq!(listener.local_addr()?, second.local_addr()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<std::net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Elsewhere the option would let a stranger take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if reuse_port {
        set_reuse_port(&socket)?;
    }
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

/// A reactor's listener and the gate before it.
pub(super) struct Acceptor {
    listener: TcpListener,
    pub(super) gate: Gate,
}

impl Acceptor {
    pub(super) fn new(
        listener: std::net::TcpListener,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, token, Interest::READABLE)?;
        let gate = Gate::AwaitingEdge;
        Ok(Acceptor { listener, gate })
    }

    /// The next connection, if there is one and there is room for it.
    pub(super) fn accept(&mut self, now: Timestamp, room: bool) -> Accepted<AcceptedConnection> {
        let Acceptor { listener, gate } = self;
        gate.accept(now, room, || {
            let (stream, peer) = listener.accept()?;
            Ok(AcceptedConnection { stream, peer })
        })
    }

    pub(super) fn deregister(mut self, registry: &Registry) {
        // It is closed in any case; then the kernel forgets it too.
        let _ = registry.deregister(&mut self.listener);
    }
}

/// A connection that a reactor has accepted and does not watch: see
/// [`Application::accepted`](super::Application::accepted). Dropping it closes it.
#[derive(Debug)]
pub struct AcceptedConnection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

/// Whether and when to accept: see the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// The backlog is empty.
    AwaitingEdge,
    /// The backlog may hold connections.
    Open,
    /// As many sockets as there may be.
    Full,
    /// The system has no descriptor, or some other trouble.
    BackingOff { until: Timestamp },
}

/// What an attempt to accept came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Accepted<T> {
    Connection(T),
    /// A connection that was gone before it was accepted: go on.
    Lost,
    /// No more for now: the gate knows when to try again.
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

    /// The kernel reports a connection. A gate that is shut for another reason
    /// stays shut: once open, it will find the connection by trying.
    pub(super) fn edge(&mut self) {
        if *self == Gate::AwaitingEdge {
            *self = Gate::Open;
        }
    }

    /// A socket was closed: there may be room, and a descriptor.
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

    /// When to look again without being told; in the past if at once.
    pub(super) fn next_attempt(&self) -> Option<Timestamp> {
        match self {
            Gate::Open => Some(Timestamp(0)),
            Gate::BackingOff { until } => Some(*until),
            Gate::AwaitingEdge | Gate::Full => None,
        }
    }
}

/// As long as the longest queue that Linux gives by default.
const BACKLOG: i32 = 4096;
/// Long enough not to spin, short enough not to be noticed by a person.
const BACK_OFF: Duration = Duration::from_millis(100);
/// What `accept` says when the connection, not the listener, is at fault:
/// Linux hands over errors that wait on the new socket.
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
    /// Not a kind of its own in `std`: found by number, as accept reports it.
    const EMFILE: i32 = 24;

    fn attempt(gate: &mut Gate, result: io::Result<u8>) -> Accepted<u8> {
        gate.accept(NOW, true, || result)
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
        let accepted: Accepted<u8> = gate.accept(NOW, true, || unreachable!("it is shut"));
        assert_eq!(accepted, Accepted::Nothing);
    }

    #[test]
    fn a_connection_that_was_lost_does_not_stop_the_next_one() {
        for kind in CONNECTION_LOST {
            let mut gate = Gate::Open;
            assert_eq!(attempt(&mut gate, Err(kind.into())), Accepted::Lost);
            assert_eq!(attempt(&mut gate, Ok(1)), Accepted::Connection(1));
        }
    }

    #[test]
    fn out_of_descriptors_it_waits_a_while_without_spinning() {
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
    fn out_of_descriptors_it_tries_again_when_a_socket_closes() {
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
    fn a_socket_that_closes_does_not_open_a_gate_that_awaits_an_edge() {
        let mut gate = Gate::AwaitingEdge;
        gate.socket_closed();
        gate.advance(RETRY);
        assert_eq!(gate, Gate::AwaitingEdge);
    }
}
