//! The addresses that a server listens on.
//!
//! | written | listens on |
//! |---|---|
//! | `192.0.2.1:8080`, `[2001:db8::1]:8080` | this address |
//! | `localhost:8080` | 127.0.0.1 |
//! | `:8080` | all IPv4 addresses, 0.0.0.0 |
//! | `[::]:8080` | all IPv6 addresses, and (on most systems) all IPv4 addresses if no other address of the server has this port in IPv4 |
//! | `https://192.0.2.1:8443` | the same, with TLS |
//! | `http://127.0.0.1:8080` | the same, without TLS, although the server has a certificate |
//! | `unix:/run/yamabiko.sock` | a Unix socket |
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// An address to listen on: see [`Config::listen`](super::Config::listen).
///
/// ```
/// use yamabiko::server::ListenAddress;
///
/// let all: ListenAddress = ":8080".parse()?;
/// assert_eq!(all.to_string(), "0.0.0.0:8080");
/// let unix: ListenAddress = "unix:/run/yamabiko.sock".parse()?;
/// assert!(unix.is_local());
/// assert!("8080".parse::<ListenAddress>().is_err());
/// # Ok::<(), yamabiko::server::InvalidListenAddress>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An IP address and a port; port 0: the system chooses a free one. It speaks TLS if the server has a
    /// certificate ([`Config::tls`](super::Config)).
    Ip(SocketAddr),
    /// An IP address and a port for plain HTTP and WebSocket, with or without a certificate.
    Http(SocketAddr),
    /// An IP address and a port for TLS. Without a certificate [`Server::bind`](super::Server::bind) fails.
    Https(SocketAddr),
    /// A Unix socket. On other systems [`Server::bind`](super::Server::bind) fails with
    /// [`Unsupported`](std::io::ErrorKind::Unsupported).
    Unix(UnixListen),
}

/// A Unix socket to listen on.
///
/// A file that a killed process has left at this path is replaced; a socket that a program listens on is not, and neither is any
/// other file. The server removes the file when it stops.
///
/// ```
/// use yamabiko::server::{Config, UnixListen};
///
/// // A proxy with the group 33 may connect.
/// let socket = UnixListen { mode: Some(0o660), group: Some(33), ..UnixListen::new("/run/yamabiko.sock") };
/// let config = Config { listen: socket.into(), ..Config::default() };
/// assert_eq!(config.listen.to_string(), "unix:/run/yamabiko.sock");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixListen {
    /// The path of the socket's file.
    pub path: PathBuf,
    /// The mode of the file, such as `0o660`: a client needs the permission to write. Default `None`: what the umask of the process
    /// leaves, mostly `0o755`, so that only the user of the process may connect.
    pub mode: Option<u32>,
    /// The number of the user that the file belongs to. Default `None`: the user of the process.
    pub owner: Option<u32>,
    /// The number of the group that the file belongs to. Default `None`: the group of the process, or of the directory.
    pub group: Option<u32>,
}

impl UnixListen {
    /// A socket at this path, with the permissions that the system gives it.
    pub fn new(path: impl Into<PathBuf>) -> UnixListen {
        UnixListen {
            path: path.into(),
            mode: None,
            owner: None,
            group: None,
        }
    }
}

impl ListenAddress {
    /// Whether only programs on this machine can connect: a loopback address, or a Unix socket.
    pub fn is_local(&self) -> bool {
        let address = self.socket_address();
        address.is_none_or(|address| address.ip().to_canonical().is_loopback())
    }

    /// The IP address and the port; `None` for a Unix socket.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            ListenAddress::Ip(address)
            | ListenAddress::Http(address)
            | ListenAddress::Https(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        }
    }

    /// As it is listened on: with the port that the system has chosen, and `https` if it speaks TLS.
    pub(super) fn bound_to(&self, address: SocketAddr, speaks_tls: bool) -> ListenAddress {
        match self {
            _ if speaks_tls => ListenAddress::Https(address),
            ListenAddress::Http(_) => ListenAddress::Http(address),
            _ => ListenAddress::Ip(address),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<ListenAddress, InvalidListenAddress> {
        if let Some(path) = text.strip_prefix(UNIX).filter(|path| !path.is_empty()) {
            return Ok(UnixListen::new(path).into());
        }
        if let Some(text) = text.strip_prefix(HTTP) {
            return parse_ip(text).map(ListenAddress::Http);
        }
        if let Some(text) = text.strip_prefix(HTTPS) {
            return parse_ip(text).map(ListenAddress::Https);
        }
        parse_ip(text).map(ListenAddress::Ip)
    }
}

/// `IP:PORT`, `localhost:PORT` or `:PORT`.
fn parse_ip(text: &str) -> Result<SocketAddr, InvalidListenAddress> {
    let address = match text.rsplit_once(':') {
        Some(("", port)) => on_port(Ipv4Addr::UNSPECIFIED, port),
        Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
            on_port(Ipv4Addr::LOCALHOST, port)
        }
        _ => text.parse().ok(),
    };
    address.ok_or(InvalidListenAddress {
        reason: "expected IP:PORT such as 127.0.0.1:8080 or [::1]:8080, localhost:PORT, :PORT, \
                 each also with http:// or https:// in front, or unix:PATH",
    })
}

fn on_port(address: Ipv4Addr, port: &str) -> Option<SocketAddr> {
    let port = port.parse().ok()?;
    Some(SocketAddr::from((address, port)))
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Ip(address) => address.fmt(f),
            ListenAddress::Http(address) => write!(f, "{HTTP}{address}"),
            ListenAddress::Https(address) => write!(f, "{HTTPS}{address}"),
            ListenAddress::Unix(socket) => write!(f, "{UNIX}{}", socket.path.display()),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress::Ip(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for ListenAddress {
    fn from(address: (I, u16)) -> ListenAddress {
        SocketAddr::from(address).into()
    }
}

impl From<UnixListen> for ListenAddress {
    fn from(socket: UnixListen) -> ListenAddress {
        ListenAddress::Unix(socket)
    }
}

/// The text is no address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidListenAddress {
    reason: &'static str,
}

impl fmt::Display for InvalidListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for InvalidListenAddress {}

/// All addresses that a server listens on: see [`Config::listen`](super::Config::listen).
///
/// ```
/// use yamabiko::server::{Config, ListenAddress, ListenAddresses};
///
/// let one = Config { listen: "127.0.0.1:8080".parse()?, ..Config::default() };
/// let same = Config { listen: ([127, 0, 0, 1], 8080).into(), ..Config::default() };
/// assert_eq!(one.listen, same.listen);
///
/// let texts = ["0.0.0.0:80", "[::]:80", "unix:/run/yamabiko.sock"];
/// let several: Result<ListenAddresses, _> = texts.iter().map(|text| text.parse::<ListenAddress>()).collect();
/// assert_eq!(several?.to_string(), "0.0.0.0:80, [::]:80, unix:/run/yamabiko.sock");
/// # Ok::<(), yamabiko::server::InvalidListenAddress>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenAddresses(Vec<ListenAddress>);

impl ListenAddresses {
    /// The addresses, in the order in which they were given.
    pub fn as_slice(&self) -> &[ListenAddress] {
        &self.0
    }

    /// Whether only programs on this machine can connect: every address [is local](ListenAddress::is_local). `false` if there is
    /// none: a program that hands streams in knows where they come from.
    pub fn are_local(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(ListenAddress::is_local)
    }

    pub(super) fn push(&mut self, address: ListenAddress) {
        self.0.push(address);
    }

    /// The first IP address.
    pub(super) fn first_ip(&self) -> Option<SocketAddr> {
        self.0.iter().find_map(ListenAddress::socket_address)
    }

    /// Whether an IPv6 socket on this address must leave IPv4 to another address of the server.
    pub(super) fn leaves_ipv4(&self, address: SocketAddr) -> bool {
        let mut others = self.0.iter().filter_map(ListenAddress::socket_address);
        address.port() != 0 && others.any(|other| other.is_ipv4() && other.port() == address.port())
    }
}

impl FromStr for ListenAddresses {
    type Err = InvalidListenAddress;

    /// One address.
    fn from_str(text: &str) -> Result<ListenAddresses, InvalidListenAddress> {
        text.parse::<ListenAddress>().map(ListenAddresses::from)
    }
}

impl fmt::Display for ListenAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{address}")?;
        }
        Ok(())
    }
}

impl From<ListenAddress> for ListenAddresses {
    fn from(address: ListenAddress) -> ListenAddresses {
        ListenAddresses(vec![address])
    }
}

impl From<SocketAddr> for ListenAddresses {
    fn from(address: SocketAddr) -> ListenAddresses {
        ListenAddress::from(address).into()
    }
}

impl From<UnixListen> for ListenAddresses {
    fn from(socket: UnixListen) -> ListenAddresses {
        ListenAddress::from(socket).into()
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for ListenAddresses {
    fn from(address: (I, u16)) -> ListenAddresses {
        SocketAddr::from(address).into()
    }
}

impl FromIterator<ListenAddress> for ListenAddresses {
    fn from_iter<T: IntoIterator<Item = ListenAddress>>(addresses: T) -> ListenAddresses {
        ListenAddresses(addresses.into_iter().collect())
    }
}

const UNIX: &str = "unix:";
const HTTP: &str = "http://";
const HTTPS: &str = "https://";

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> ListenAddress {
        text.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn address_has_an_ip_or_localhost_or_stands_for_all_addresses() {
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:0", "[::1]:0"),
            (":8080", "0.0.0.0:8080"),
            ("localhost:80", "127.0.0.1:80"),
            ("LocalHost:80", "127.0.0.1:80"),
        ] {
            assert_eq!(text.parse(), Ok(ip(expected)), "{text}");
        }
    }

    #[test]
    fn scheme_decides_about_tls_and_is_written_in_front() {
        let address: SocketAddr = "0.0.0.0:8443".parse().unwrap();
        for (text, expected) in [
            ("https://0.0.0.0:8443", ListenAddress::Https(address)),
            ("http://0.0.0.0:8443", ListenAddress::Http(address)),
            ("0.0.0.0:8443", ListenAddress::Ip(address)),
        ] {
            let parsed: ListenAddress = text.parse().unwrap();
            assert_eq!((&parsed, &*parsed.to_string()), (&expected, text));
        }
        assert_eq!("https://:8443".parse(), Ok(ListenAddress::Https(address)));
    }

    #[test]
    fn unix_socket_is_written_with_its_path() {
        for path in ["/run/x.sock", "x.sock", "a:8080", "/with space,comma"] {
            let text = format!("unix:{path}");
            let parsed: ListenAddress = text.parse().unwrap();
            assert_eq!(parsed, UnixListen::new(path).into());
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn text_that_is_no_address_is_an_error_that_shows_the_forms() {
        for text in [
            "8080",
            "",
            ":",
            "localhost",
            "localhost:",
            ":65536",
            "example.org:80",
            "::1:80",
            "[localhost]:80",
            "unix:",
            "UNIX:/run/x",
            "/run/x.sock",
            "https://",
            "https://unix:x",
            "ftp://:80",
            " :80",
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(
                error.to_string().contains("such as 127.0.0.1:8080"),
                "{text}"
            );
        }
    }

    #[test]
    fn address_is_local_if_only_this_machine_can_reach_it() {
        let local = |text: &str| text.parse::<ListenAddress>().unwrap().is_local();
        for text in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "unix:x",
        ] {
            assert!(local(text), "{text}");
        }
        for text in [":1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            assert!(!local(text), "{text}");
        }
        let several: ListenAddresses = [ip("127.0.0.1:1"), ip("192.0.2.1:1")].into_iter().collect();
        assert!(!several.are_local());
    }

    #[test]
    fn ipv6_socket_leaves_ipv4_to_an_address_with_the_same_port() {
        let addresses: ListenAddresses =
            ["0.0.0.0:80", "[::]:80", "[::]:81", "[::]:0", "127.0.0.1:0"]
                .map(ip)
                .into_iter()
                .collect();
        let leaves = |text: &str| addresses.leaves_ipv4(text.parse().unwrap());
        assert!(leaves("[::]:80"));
        assert!(!leaves("[::]:81") && !leaves("[::]:0"));
    }
}
