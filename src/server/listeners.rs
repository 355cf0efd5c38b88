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
}

impl Listening {
    /// Binds all addresses. Two reactors cannot watch one listener: systems differ in whether a copy of its descriptor is
    /// watched on its own, and with edge-triggered events each reactor would have to accept until nothing is left, which is no
    /// fair share.
    ///
    /// # Errors
    /// The first address that cannot be bound, and why: see [`CannotListen`].
    pub(super) fn bind(config: &Config) -> io::Result<Listening> {
        let workers = config.workers.get();
        let mut listening = Listening {
            of_workers: (0..workers).map(|_| Vec::new()).collect(),
            addresses: ListenAddresses::default(),
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

    fn add(&mut self, address: &ListenAddress, config: &Config) -> io::Result<()> {
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

impl std::error::Error for CannotListen {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
