//! Listening and accepting: on any number of addresses and Unix sockets.
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
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

#[cfg(target_os = "linux")]
use super::calls::set_unsent_bytes_max;
use super::calls::{BACKLOG, SocketOptions};
use super::peer_address::PeerAddress;
use super::socket::LABEL_MAX;
#[cfg(unix)]
use super::unix_socket::{SocketFile, UnixSocket};
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
    listen_with(address, ListenOptions::default())
}

/// As [`listen`], with options.
///
/// # Errors
///
/// As [`listen`]; [`ErrorKind::Unsupported`] for [`ListenOptions::reuse_port`] on systems without
/// `SO_REUSEPORT`.
///
/// ```
/// use yamabiko::reactor::{ListenOptions, listen_with};
///
/// let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
/// let listener = listen_with("127.0.0.1:0".parse()?, options)?;
/// let second = listen_with(listener.local_addr()?, options)?;
/// assert_eq!(listener.local_addr()?, second.local_addr()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn listen_with(
    address: SocketAddr,
    options: ListenOptions,
) -> io::Result<std::net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // On Windows the option would let another process take over the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        set_reuse_port(&socket)?;
    }
    if options.ipv6_only && address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How [`listen_with`] sets up its socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    /// Several sockets can listen on the address, one for each worker, and the kernel distributes
    /// the connections to them. Default: no.
    pub reuse_port: bool,
    /// An IPv6 socket does not serve IPv4, so that another socket can listen on the same port of
    /// IPv4. Default: the system decides whether `[::]` also serves IPv4; Linux mostly does it.
    pub ipv6_only: bool,
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

/// A listening socket of a [reactor](super::ReactorConfig): of an IP address ([`listen`]) or of a
/// Unix socket (`listen_unix`). The reactor sets it to non-blocking.
#[derive(Debug)]
pub struct Listener {
    family: Family,
    label: u8,
}

#[derive(Debug)]
enum Family {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Listener {
    /// The address that it listens on; `None` for a Unix socket.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    pub fn local_address(&self) -> io::Result<Option<SocketAddr>> {
        match &self.family {
            Family::Tcp(listener) => listener.local_addr().map(Some),
            #[cfg(unix)]
            Family::Unix(_) => Ok(None),
        }
    }

    /// A number for the application, which finds it at each connection of this listener
    /// ([`Io::label`](super::Io::label)); a larger one than 31 becomes 31. Default: 0.
    #[must_use]
    pub fn with_label(self, label: u8) -> Listener {
        let label = label.min(LABEL_MAX);
        Listener { label, ..self }
    }
}

#[cfg(unix)]
impl Listener {
    /// The path of the file of a Unix socket.
    #[must_use]
    pub fn path(&self) -> Option<&std::path::Path> {
        match &self.family {
            Family::Tcp(_) => None,
            Family::Unix(socket) => Some(socket.path()),
        }
    }

    /// A socket that another program has created, which listens already: a TCP or a Unix socket. The file of a Unix socket
    /// belongs to that program ([`UnixSocket::inherited`]).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`]: it is no stream socket that listens on an IP address or on a file.
    pub fn inherited(descriptor: OwnedFd) -> io::Result<Listener> {
        let socket = Socket::from(descriptor);
        if socket.r#type()? != Type::STREAM || !is_listener(&socket)? {
            return Err(ErrorKind::InvalidInput.into());
        }
        let address = socket.local_addr()?;
        let descriptor = OwnedFd::from(socket);
        match address.as_socket() {
            Some(_) => Ok(std::net::TcpListener::from(descriptor).into()),
            None if address.is_unix() => {
                UnixSocket::inherited(descriptor.into()).map(Listener::from)
            }
            None => Err(ErrorKind::InvalidInput.into()),
        }
    }
}

/// To pass it to another program.
#[cfg(unix)]
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.family {
            Family::Tcp(listener) => listener.as_fd(),
            Family::Unix(socket) => socket.as_fd(),
        }
    }
}

/// On macOS and its relatives the question is not asked: `accept` fails then.
#[cfg(unix)]
fn is_listener(socket: &Socket) -> io::Result<bool> {
    #[cfg(not(target_vendor = "apple"))]
    return socket.is_listener();
    #[cfg(target_vendor = "apple")]
    return socket.local_addr().map(|_| true);
}

impl From<std::net::TcpListener> for Listener {
    fn from(listener: std::net::TcpListener) -> Listener {
        let family = Family::Tcp(listener);
        Listener { family, label: 0 }
    }
}

#[cfg(unix)]
impl From<UnixSocket> for Listener {
    fn from(socket: UnixSocket) -> Listener {
        let family = Family::Unix(socket);
        Listener { family, label: 0 }
    }
}

/// All listeners of a reactor. One connection of each is accepted in turn, so that a busy one
/// does not delay the others.
#[derive(Default)]
pub(super) struct Acceptors {
    all: Vec<Acceptor>,
    /// The one that is asked next.
    next: usize,
}

impl Acceptors {
    /// Registers the listeners, with the tokens from `first_token` downwards.
    pub(super) fn new(
        listeners: Vec<Listener>,
        options: SocketOptions,
        registry: &Registry,
        first_token: Token,
    ) -> io::Result<Acceptors> {
        if listeners.len() > LISTENERS_MAX {
            return Err(ErrorKind::InvalidInput.into());
        }
        let acceptor = |(index, listener)| {
            let token = Token(first_token.0 - index);
            Acceptor::new(listener, options, registry, token)
        };
        let all = listeners.into_iter().enumerate().map(acceptor);
        let all = all.collect::<io::Result<_>>()?;
        Ok(Acceptors { all, next: 0 })
    }

    /// The next connection, if there is one and `room` for it.
    pub(super) fn accept(&mut self, now: Timestamp, room: bool) -> Accepted<AcceptedConnection> {
        for _ in 0..self.all.len() {
            let index = self.next;
            self.next = (index + 1) % self.all.len();
            match self.all[index].accept(now, room) {
                Accepted::Nothing => {}
                accepted => return accepted,
            }
        }
        Accepted::Nothing
    }

    /// The kernel reports a connection on the listener with this token.
    pub(super) fn edge(&mut self, first_token: Token, token: Token) {
        let index = first_token.0.checked_sub(token.0);
        if let Some(acceptor) = index.and_then(|index| self.all.get_mut(index)) {
            acceptor.gate.edge();
        }
    }

    pub(super) fn socket_closed(&mut self) {
        self.all.iter_mut().for_each(|one| one.gate.socket_closed());
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        self.all.iter_mut().for_each(|one| one.gate.advance(now));
    }

    /// The system could not watch another socket.
    pub(super) fn back_off(&mut self, now: Timestamp) {
        self.all.iter_mut().for_each(|one| one.gate.back_off(now));
    }

    /// When to accept again without an edge; in the past: immediately.
    pub(super) fn next_attempt(&self) -> Option<Timestamp> {
        let attempts = self.all.iter().filter_map(|one| one.gate.next_attempt());
        attempts.min()
    }

    /// Closes all listeners. `leaves_files`: those of Unix sockets stay.
    pub(super) fn close(&mut self, registry: &Registry, leaves_files: bool) {
        for mut acceptor in self.all.drain(..) {
            if leaves_files {
                acceptor.listener.leave_file();
            }
            acceptor.deregister(registry);
        }
        self.next = 0;
    }

    /// The files of Unix sockets belong to this program.
    #[cfg(unix)]
    pub(super) fn own_files(&mut self) {
        self.all.iter_mut().for_each(|one| one.listener.own_file());
    }

    /// A copy of each listener. The files of Unix sockets do not belong to the copies.
    #[cfg(unix)]
    pub(super) fn copies(&self) -> io::Result<Vec<Listener>> {
        self.all.iter().map(|one| one.listener.copy()).collect()
    }
}

/// A reactor's listener and its gate.
struct Acceptor {
    listener: Watched,
    label: u8,
    gate: Gate,
}

/// A listener that the kernel watches for the reactor.
enum Watched {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        /// Removed before the listener is closed: see [`UnixSocket`].
        file: SocketFile,
        listener: UnixListener,
    },
}

impl Acceptor {
    fn new(
        listener: Listener,
        options: SocketOptions,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Acceptor> {
        let Listener { family, label } = listener;
        let mut listener = Watched::new(family, options)?;
        registry.register(listener.source(), token, Interest::READABLE)?;
        Ok(Acceptor {
            listener,
            label,
            gate: Gate::AwaitingEdge,
        })
    }

    fn accept(&mut self, now: Timestamp, room: bool) -> Accepted<AcceptedConnection> {
        let Acceptor {
            listener,
            label,
            gate,
        } = self;
        gate.accept(now, room, || {
            let (stream, peer) = listener.accept()?;
            Ok(AcceptedConnection {
                stream,
                peer,
                label: *label,
                has_options: true,
            })
        })
    }

    fn deregister(mut self, registry: &Registry) {
        // If this fails: closing the descriptor deregisters it as well.
        let _ = registry.deregister(self.listener.source());
    }
}

impl Watched {
    fn new(listener: Family, options: SocketOptions) -> io::Result<Watched> {
        match listener {
            Family::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                set_inherited_options(&listener, options)?;
                Ok(Watched::Tcp(TcpListener::from_std(listener)))
            }
            #[cfg(unix)]
            Family::Unix(socket) => {
                let (file, listener) = socket.into_parts();
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from_std(listener);
                Ok(Watched::Unix { file, listener })
            }
        }
    }

    /// Another program removes the file.
    fn leave_file(&mut self) {
        #[cfg(unix)]
        if let Watched::Unix { file, .. } = self {
            file.leave();
        }
    }

    #[cfg(unix)]
    fn own_file(&mut self) {
        if let Watched::Unix { file, .. } = self {
            file.own();
        }
    }

    #[cfg(unix)]
    fn copy(&self) -> io::Result<Listener> {
        let descriptor = match self {
            Watched::Tcp(listener) => listener.as_fd(),
            Watched::Unix { listener, .. } => listener.as_fd(),
        };
        Listener::inherited(descriptor.try_clone_to_owned()?)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Watched::Tcp(listener) => listener,
            #[cfg(unix)]
            Watched::Unix { listener, .. } => listener,
        }
    }

    fn accept(&self) -> io::Result<(TcpStream, PeerAddress)> {
        match self {
            Watched::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                set_own_options(&stream);
                Ok((stream, peer.into()))
            }
            #[cfg(unix)]
            Watched::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((as_tcp_stream(stream), PeerAddress::Unix))
            }
        }
    }
}

/// The reactor holds every stream as a `TcpStream`: reading, writing and closing are the same
/// system calls for both families. Options of TCP fail on a Unix socket, and nothing depends on them.
#[cfg(unix)]
fn as_tcp_stream(stream: UnixStream) -> TcpStream {
    let descriptor = OwnedFd::from(stream);
    TcpStream::from_std(std::net::TcpStream::from(descriptor))
}

/// Small messages must not wait for each other: Linux hands `TCP_NODELAY` of a listener down to
/// its connections, which saves a system call for each. The same holds for the other options.
#[cfg(target_os = "linux")]
fn set_inherited_options(
    listener: &std::net::TcpListener,
    options: SocketOptions,
) -> io::Result<()> {
    let socket = socket2::SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    if let Some(timeout) = options.acknowledgement_timeout {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    set_unsent_bytes_max(listener, options.unsent_bytes_max)
}

#[cfg(target_os = "linux")]
fn set_own_options(_: &TcpStream) {}

#[cfg(not(target_os = "linux"))]
fn set_inherited_options(_: &std::net::TcpListener, _: SocketOptions) -> io::Result<()> {
    Ok(())
}

/// An error means that the connection has ended, which the next read reports.
#[cfg(not(target_os = "linux"))]
fn set_own_options(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

/// An accepted connection that no reactor watches yet: see
/// [`Application::accepted`](super::Application::accepted). Dropping it closes it.
///
/// A connection that the program has from elsewhere becomes one by `try_from`: of its own listener, or of a process that has passed
/// it on. It is set to non-blocking then; a copy of its descriptor is, too.
#[derive(Debug)]
pub struct AcceptedConnection {
    pub(super) stream: TcpStream,
    pub(super) peer: PeerAddress,
    pub(super) label: u8,
    /// It has the options of a reactor, because its listener had them.
    pub(super) has_options: bool,
}

/// Fails if the stream is not connected.
impl TryFrom<std::net::TcpStream> for AcceptedConnection {
    type Error = io::Error;

    fn try_from(stream: std::net::TcpStream) -> io::Result<AcceptedConnection> {
        let peer = stream.peer_addr()?.into();
        stream.set_nonblocking(true)?;
        Ok(AcceptedConnection::foreign(
            TcpStream::from_std(stream),
            peer,
        ))
    }
}

#[cfg(unix)]
impl TryFrom<std::os::unix::net::UnixStream> for AcceptedConnection {
    type Error = io::Error;

    fn try_from(stream: std::os::unix::net::UnixStream) -> io::Result<AcceptedConnection> {
        stream.peer_addr()?;
        stream.set_nonblocking(true)?;
        let stream = as_tcp_stream(UnixStream::from_std(stream));
        Ok(AcceptedConnection::foreign(stream, PeerAddress::Unix))
    }
}

impl AcceptedConnection {
    fn foreign(stream: TcpStream, peer: PeerAddress) -> AcceptedConnection {
        AcceptedConnection {
            stream,
            peer,
            label: 0,
            has_options: false,
        }
    }

    /// The address of the other end.
    #[must_use]
    pub const fn peer(&self) -> PeerAddress {
        self.peer
    }
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

/// Each listener has a token of its own, beside those of the sockets.
pub(super) const LISTENERS_MAX: usize = 512;
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
    /// No more descriptors of the system, of the process. `std` has no kind for them, so accept reports them by number.
    const ENFILE: i32 = 23;
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
        let options = SocketOptions {
            unsent_bytes_max: Some(4_321),
            acknowledgement_timeout: Some(Duration::from_millis(8_765)),
        };
        let mut acceptor = Acceptor::new(listener.into(), options, registry, Token(0)).unwrap();
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
            let timeout = socket.tcp_user_timeout().unwrap();
            assert_eq!(timeout, options.acknowledgement_timeout);
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
        for number in [EMFILE, ENFILE] {
            let mut gate = Gate::Open;
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(attempt(&mut gate, Err(error)), Accepted::Nothing);
            assert_eq!(gate.next_attempt(), Some(RETRY));
            gate.edge();
            gate.advance(Timestamp(1_099));
            assert_eq!(gate, Gate::BackingOff { until: RETRY });
            gate.advance(RETRY);
            assert_eq!(attempt(&mut gate, Ok(1)), Accepted::Connection(1));
        }
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
