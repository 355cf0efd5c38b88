//! The address of a connection's other end.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The address of a connection's other end, as its socket has it. Behind a proxy it is the
/// address of the proxy.
///
/// ```
/// use std::net::SocketAddr;
/// use yamabiko::reactor::PeerAddress;
///
/// let tcp = PeerAddress::from("192.0.2.1:50000".parse::<SocketAddr>()?);
/// assert_eq!(tcp.ip(), Some("192.0.2.1".parse()?));
/// assert_eq!(tcp.to_string(), "192.0.2.1:50000");
/// assert_eq!(PeerAddress::Unix.ip(), None);
/// assert_eq!(PeerAddress::Unix.to_string(), "unix");
/// assert!(PeerAddress::Unix.is_local() && !tcp.is_local());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// A connection over TCP.
    Ip(SocketAddr),
    /// A connection over a Unix socket: the other end is a process of this machine, and has
    /// no address.
    Unix,
}

impl PeerAddress {
    /// The IP address and the port; `None` for a Unix socket.
    #[must_use]
    pub const fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            PeerAddress::Ip(address) => Some(*address),
            PeerAddress::Unix => None,
        }
    }

    /// The IP address; `None` for a Unix socket.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            PeerAddress::Ip(address) => Some(address.ip()),
            PeerAddress::Unix => None,
        }
    }

    /// Whether the other end is a program on this machine: over a loopback address, or over a
    /// Unix socket.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.ip()
            .is_none_or(|address| address.to_canonical().is_loopback())
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> PeerAddress {
        PeerAddress::Ip(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for PeerAddress {
    fn from(address: (I, u16)) -> PeerAddress {
        SocketAddr::from(address).into()
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Ip(address) => address.fmt(f),
            PeerAddress::Unix => f.write_str("unix"),
        }
    }
}
