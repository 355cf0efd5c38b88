//! Binding the addresses of a server.
//!
//! ```text
//!   PerWorker, three workers:   IP address ─┬─ listener ─ worker 0      Unix socket ─ listener ─ worker 0 ─┬─▶ worker 0
//!                                           ├─ listener ─ worker 1                                         ├─▶ worker 1
//!                                           └─ listener ─ worker 2                                         └─▶ worker 2
//!   Shared:                     every address as the Unix socket
//! ```
//!
//! The kernel distributes connections among several listeners only for IP addresses. So a Unix socket has one listener; its
//! worker gives the connections to all workers in turn.
//!
//! Sockets that listen already ([`ListeningSocket`]: of a service manager, or of a server that this one succeeds) take the place of
//! new ones for their address. Closing one would reset the connections in its backlog, so all of them are used: they are
//! given to the workers in turn. If the workers do not get equally many, every worker gives its connections to all workers in turn.

use super::config::{Accept, Config};
use super::listen::{ListenAddress, ListenAddresses, UnixListen};
use super::tls::{TLS, has_certificate};
use crate::reactor::{AcceptedConnection, ListenOptions, Listener, PeerAddress, listen_with};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// The listeners of all workers, and the addresses with the ports that the system has chosen.
pub(super) struct Listening {
    pub(super) of_workers: Vec<Vec<Listener>>,
    pub(super) addresses: ListenAddresses,
    /// How connections are given to the workers: as configured, or [`Accept::Shared`].
    pub(super) accept: Accept,
    /// Sockets that listen already.
    sockets: Vec<ListeningSocket>,
}

impl Listening {
    /// Binds all addresses for which there is no socket that listens already. Two reactors cannot watch one listener: systems
    /// differ in whether a copy of its descriptor is watched on its own, and with edge-triggered events each reactor would have
    /// to accept until nothing is left, which is no fair share.
    ///
    /// # Errors
    /// The first address that cannot be bound, and why: see [`CannotListen`].
    pub(super) fn bind(config: &Config, sockets: Vec<ListeningSocket>) -> io::Result<Listening> {
        let mut listening = Listening {
            sockets,
            ..Listening::nowhere(config)
        };
        if config.listen.as_slice().is_empty() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "there is no address to listen on",
            ));
        }
        for address in config.listen.as_slice() {
            let bound = listening.add(address, config);
            bound.map_err(|error| CannotListen::on(address, error))?;
        }
        Ok(listening)
    }

    /// No listener for any worker.
    pub(super) fn nowhere(config: &Config) -> Listening {
        Listening {
            of_workers: (0..config.workers.get()).map(|_| Vec::new()).collect(),
            addresses: ListenAddresses::default(),
            accept: config.accept,
            sockets: Vec::new(),
        }
    }

    fn add(&mut self, address: &ListenAddress, config: &Config) -> io::Result<()> {
        let sockets = self.take_sockets(address);
        if let Some(first) = sockets.first() {
            let label = label(address, config)?;
            self.addresses.push(match first.address.socket_address() {
                Some(bound) => address.bound_to(bound, label == TLS),
                None => first.address.clone(),
            });
            self.add_sockets(sockets, label);
            return Ok(());
        }
        match address {
            ListenAddress::Ip(ip) | ListenAddress::Http(ip) | ListenAddress::Https(ip) => {
                let label = label(address, config)?;
                let bound = self.add_ip(*ip, label, config)?;
                self.addresses.push(address.bound_to(bound, label == TLS));
            }
            ListenAddress::Unix(socket) => {
                let listener = listen_unix(socket)?;
                self.of_workers[0].push(listener);
                self.addresses.push(socket.clone().into());
            }
        }
        Ok(())
    }

    /// The sockets that listen on this address; port 0 is any one port.
    fn take_sockets(&mut self, address: &ListenAddress) -> Vec<ListeningSocket> {
        let first = self.sockets.iter().find(|socket| socket.is_on(address));
        let Some(address) = first.map(|first| first.address.clone()) else {
            return Vec::new();
        };
        let is_on = |socket: &mut ListeningSocket| socket.address == address;
        self.sockets.extract_if(.., is_on).collect()
    }

    /// Gives these sockets to the workers in turn.
    fn add_sockets(&mut self, sockets: Vec<ListeningSocket>, label: u8) {
        let workers = self.of_workers.len();
        let is_ip = |socket: &ListeningSocket| matches!(socket.address, ListenAddress::Ip(_));
        if sockets.iter().all(is_ip) && !sockets.len().is_multiple_of(workers) {
            self.accept = Accept::Shared;
        }
        for (socket, worker) in sockets.into_iter().zip((0..workers).cycle()) {
            self.of_workers[worker].push(socket.listener.with_label(label));
        }
    }

    fn add_ip(
        &mut self,
        address: SocketAddr,
        label: u8,
        config: &Config,
    ) -> io::Result<SocketAddr> {
        let alone = ListenOptions {
            reuse_port: false,
            ipv6_only: config.listen.leaves_ipv4(address),
        };
        if self.of_workers.len() == 1 || config.accept == Accept::Shared {
            let listener = listen_with(address, alone)?;
            let bound = listener.local_addr()?;
            self.of_workers[0].push(Listener::from(listener).with_label(label));
            return Ok(bound);
        }
        // With SO_REUSEPORT a port that another server uses would be no error: bind
        // without it first.
        drop(listen_with(address, alone)?);
        let shared = ListenOptions {
            reuse_port: true,
            ..alone
        };
        let mut bound = address;
        for listeners in &mut self.of_workers {
            let listener = listen_with(bound, shared)?;
            // The next one gets the port that the system has chosen for the first.
            bound = listener.local_addr()?;
            listeners.push(Listener::from(listener).with_label(label));
        }
        Ok(bound)
    }
}

/// The label of an IP address: whether its connections speak TLS.
fn label(address: &ListenAddress, config: &Config) -> io::Result<u8> {
    match (address, has_certificate(config)) {
        (ListenAddress::Ip(_) | ListenAddress::Https(_), true) => Ok(TLS),
        (ListenAddress::Https(_), false) => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "https needs a certificate",
        )),
        _ => Ok(PLAIN),
    }
}

/// The label of the listeners whose connections speak no TLS.
const PLAIN: u8 = 0;

/// Whether the worker that has accepted this connection gives it to all workers in turn.
pub(super) fn is_shared(connection: &AcceptedConnection, accept: Accept) -> bool {
    accept == Accept::Shared || connection.peer() == PeerAddress::Unix
}

#[cfg(unix)]
fn listen_unix(socket: &UnixListen) -> io::Result<Listener> {
    let UnixListen {
        path,
        mode,
        owner,
        group,
    } = socket;
    let permissions = crate::reactor::UnixSocketPermissions {
        mode: *mode,
        owner: *owner,
        group: *group,
    };
    crate::reactor::listen_unix(path, permissions).map(Listener::from)
}

#[cfg(not(unix))]
fn listen_unix(_: &UnixListen) -> io::Result<Listener> {
    Err(ErrorKind::Unsupported.into())
}

/// A socket that listens already, for [`Server::bind_with`](super::Server::bind_with): of a service manager such as systemd, or of a
/// server that the new one succeeds ([`Server::listening_sockets`](super::Server::listening_sockets)).
///
/// ```
/// use yamabiko::server::ListeningSocket;
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let socket = ListeningSocket::try_from(listener)?;
/// assert_eq!(socket.address(), &address.into());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ListeningSocket {
    address: ListenAddress,
    listener: Listener,
}

impl ListeningSocket {
    /// A descriptor of a TCP or a Unix socket. The file of a Unix socket belongs to the program that has made it, until
    /// [`Server::own_files`](super::Server::own_files).
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): it does not listen, or neither on an IP address nor on a file.
    #[cfg(unix)]
    pub fn of(descriptor: std::os::fd::OwnedFd) -> io::Result<ListeningSocket> {
        ListeningSocket::new(Listener::inherited(descriptor)?)
    }

    pub(super) fn new(listener: Listener) -> io::Result<ListeningSocket> {
        let address = match listener.local_address()? {
            Some(address) => address.into(),
            None => unix_address(&listener)?,
        };
        Ok(ListeningSocket { address, listener })
    }

    /// The address that it listens on.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    fn is_on(&self, address: &ListenAddress) -> bool {
        if let (ListenAddress::Unix(own), ListenAddress::Unix(socket)) = (&self.address, address) {
            return std::path::absolute(&socket.path).is_ok_and(|path| path == own.path);
        }
        match (self.address.socket_address(), address.socket_address()) {
            (Some(own), Some(address)) if address.port() == 0 => own.ip() == address.ip(),
            (Some(own), Some(address)) => own == address,
            _ => false,
        }
    }
}

#[cfg(unix)]
fn unix_address(listener: &Listener) -> io::Result<ListenAddress> {
    let path = listener.path().ok_or(ErrorKind::InvalidInput)?;
    Ok(UnixListen::new(path).into())
}

#[cfg(not(unix))]
fn unix_address(_: &Listener) -> io::Result<ListenAddress> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(unix)]
impl std::os::fd::AsFd for ListeningSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl TryFrom<std::net::TcpListener> for ListeningSocket {
    type Error = io::Error;

    /// # Errors
    /// The system does not tell its address.
    fn try_from(listener: std::net::TcpListener) -> io::Result<ListeningSocket> {
        ListeningSocket::new(listener.into())
    }
}

/// An address that cannot be bound: the error inside the [`io::Error`] of [`Server::bind`](super::Server::bind), which has the same
/// kind.
///
/// ```
/// use yamabiko::server::{CannotListen, ListenAddresses};
/// # use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
/// # struct Silent;
/// # impl Handler for Silent {
/// #     type Session = ();
/// #     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
/// #         Ok(Admission::new(()))
/// #     }
/// #     fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
/// # }
///
/// let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let listen = taken.local_addr()?.into();
/// let Err(error) = Server::bind(Config { listen, ..Config::default() }, Silent) else {
///     panic!("the port is in use");
/// };
/// assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
/// let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<CannotListen>());
/// assert_eq!(cause.unwrap().address(), &taken.local_addr()?.into());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct CannotListen {
    address: ListenAddress,
    error: io::Error,
}

impl CannotListen {
    fn on(address: &ListenAddress, error: io::Error) -> io::Error {
        let address = address.clone();
        io::Error::new(error.kind(), CannotListen { address, error })
    }

    /// The address.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The error of the operating system.
    pub fn error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for CannotListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.error)
    }
}

/// The cause that `Display` does not tell.
impl std::error::Error for CannotListen {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
