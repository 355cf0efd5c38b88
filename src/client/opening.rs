//! From a URI to an open connection: resolve the host, connect, perform the opening
//! handshake (RFC 6455 §4.1).
//!
//! ```text
//!   host ──resolve──▶ address, address, …
//!                        │ one after the other, until one accepts TCP
//!                        ▼
//!           permit ─▶ TCP ─▶ request ─▶ response ─▶ 101: frames follow
//!           └── CONNECTING: one for each address ─┘   else: an HTTP response
//! ```
//!
//! The opening handshake has one deadline as a whole, not one for each read. So a server
//! that sends its response byte by byte does not extend it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::error::{ClientError, HttpRefusal, Step};
use super::options::ClientTimeouts;
use super::permit::{ConnectPermit, RemoteHost};
use super::secure::Secure;
use super::stream::Stream;
use super::traffic::TrafficObserver;
use super::waits::{is_timeout, not_zero};
use crate::websocket::handshake::{
    ClientHandshake, ClientHandshakeError, Established, HttpResponse, Proxy, ProxyTunnel,
    WebSocketUri,
};

/// The number of bytes of one read.
const READ_BYTES: usize = 4 << 10;

/// An open connection: frames follow.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) established: Established,
    /// The bytes after the head of the response: the first frames.
    pub(super) surplus: Vec<u8>,
}

/// Opens TCP to the first address that accepts it, and performs the opening handshake.
pub(super) fn open(
    uri: &WebSocketUri,
    proxy: Option<&Proxy>,
    handshake: ClientHandshake,
    secure: &Secure,
    timeouts: &ClientTimeouts,
    observer: &TrafficObserver,
) -> Result<Opened, ClientError> {
    let mut attempts = Vec::new();
    let (host, port) = match proxy {
        Some(proxy) => (proxy.host(), proxy.port()),
        None => (uri.host(), uri.port()),
    };
    for address in resolve(host, port, timeouts.resolve)? {
        let remote = match proxy {
            Some(_) => uri.host().into(),
            None => address.ip().into(),
        };
        match connect(address, remote, timeouts.connect) {
            // The permit is held until the handshake has succeeded or failed.
            Ok((stream, _permit)) => {
                if let Some(proxy) = proxy {
                    open_tunnel(&stream, ProxyTunnel::new(proxy, uri), timeouts.connect)?;
                }
                return open_on(stream, uri, handshake, secure, timeouts, observer);
            }
            Err(error) => attempts.push((address, error)),
        }
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the connection could not be opened, either because a direct
    //# connection failed or because any proxy used returned an error, then the
    //# client MUST _Fail the WebSocket Connection_ and abort the connection
    //# attempt.
    Err(ClientError::Connect(attempts))
}

/// Secures a stream that is connected, and performs the opening handshake.
pub(super) fn open_on(
    stream: Stream,
    uri: &WebSocketUri,
    handshake: ClientHandshake,
    secure: &Secure,
    timeouts: &ClientTimeouts,
    observer: &TrafficObserver,
) -> Result<Opened, ClientError> {
    let deadline = deadline_in(timeouts.handshake);
    let stream = secure.open(stream, uri, deadline, failed)?;
    // What a proxy is told is no part of the connection, nor is the handshake of TLS.
    let stream = stream.observed_by(observer.clone());
    perform_handshake(stream, handshake, timeouts, deadline)
}

/// The addresses of the host, in the order of the resolver.
///
/// The call of the operating system has no time limit. So a name is resolved on a thread of its own;
/// if it takes too long, the thread ends when the call returns.
fn resolve(host: &str, port: u16, timeout: Duration) -> Result<Vec<SocketAddr>, ClientError> {
    // std expects an IPv6 address without its brackets.
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    resolve_name(host, port, timeout).map_err(|error| ClientError::Resolve {
        host: host.to_owned(),
        error,
    })
}

fn resolve_name(host: &str, port: u16, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    let name = (host.to_owned(), port);
    let (resolved, addresses) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let addresses = name.to_socket_addrs().map(Iterator::collect);
        // An error means that the client has given up.
        let _ = resolved.send(addresses);
    })?;
    let timed_out = |_| Err(io::Error::from(io::ErrorKind::TimedOut));
    addresses.recv_timeout(timeout).unwrap_or_else(timed_out)
}

/// Opens TCP to one address, as soon as no other connection to its IP is being opened.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the client is not configured to use a proxy, then a direct TCP
//# connection SHOULD be opened to the host given by /host/ and the port
//# given by /port/.
fn connect(
    address: SocketAddr,
    remote: RemoteHost,
    timeout: Duration,
) -> io::Result<(Stream, ConnectPermit)> {
    let deadline = deadline_in(timeout);
    let permit = ConnectPermit::wait(remote, deadline).ok_or_else(|| {
        let reason = "timed out while another connection to this address was being opened";
        io::Error::new(io::ErrorKind::TimedOut, reason)
    })?;
    let rest = deadline.saturating_duration_since(Instant::now());
    let stream = TcpStream::connect_timeout(&address, not_zero(rest))?;
    stream.set_nodelay(true)?;
    Ok((Stream::plain(stream), permit))
}

/// Asks the proxy for a way to the server.
fn open_tunnel(
    stream: &Stream,
    mut tunnel: ProxyTunnel,
    timeout: Duration,
) -> Result<(), ClientError> {
    let deadline = deadline_in(timeout);
    let mut request = Vec::new();
    tunnel.write_request(&mut request);
    stream
        .set_write_timeout(Some(timeout))
        .and_then(|()| stream.write_all(&request))
        .map_err(failed)?;
    let mut bytes = Vec::new();
    while !tunnel.receive(&bytes).map_err(ClientError::Proxy)? {
        if read_more(&mut &*stream, &mut bytes, deadline).map_err(failed)? == 0 {
            return Err(ClientError::EndedInHandshake(None));
        }
    }
    Ok(())
}

/// Sends the request and reads the response.
fn perform_handshake(
    stream: Stream,
    mut handshake: ClientHandshake,
    timeouts: &ClientTimeouts,
    deadline: Instant,
) -> Result<Opened, ClientError> {
    let mut request = Vec::new();
    handshake.write_request(&mut request);
    stream
        .set_write_timeout(Some(timeouts.handshake))
        .and_then(|()| stream.write_all(&request))
        .map_err(failed)?;
    let mut bytes = Vec::new();
    let established = read_response(&mut &stream, &mut handshake, &mut bytes, deadline)?;
    stream
        .set_read_timeout(None)
        .and_then(|()| stream.set_write_timeout(timeouts.write))
        .map_err(failed)?;
    Ok(Opened {
        surplus: bytes.split_off(established.head_bytes),
        established,
        stream,
    })
}

/// A stream whose reads end at a deadline.
pub(super) trait Source {
    /// Waits for bytes until then; 0: the stream has ended.
    ///
    /// # Errors
    /// [`is_timeout`]: the deadline has passed.
    fn read_by(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize>;
}

impl Source for &Stream {
    fn read_by(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.set_read_timeout(Some(rest))?;
        self.read(buffer)
    }
}

/// Reads the response to the request.
pub(super) fn read_response(
    stream: &mut impl Source,
    handshake: &mut ClientHandshake,
    bytes: &mut Vec<u8>,
    deadline: Instant,
) -> Result<Established, ClientError> {
    loop {
        if read_more(stream, bytes, deadline).map_err(failed)? == 0 {
            return Err(ClientError::EndedInHandshake(None));
        }
        match handshake.receive(bytes) {
            Ok(Some(established)) => return Ok(established),
            Ok(None) => {}
            Err(ClientHandshakeError::NotSwitched(response)) => {
                return Err(refused(stream, response, bytes));
            }
            Err(error) => return Err(ClientError::Handshake(error)),
        }
    }
}

/// The HTTP response, with the part of its body that arrives soon.
fn refused(stream: &mut impl Source, response: HttpResponse, bytes: &mut Vec<u8>) -> ClientError {
    let deadline = deadline_in(HttpRefusal::BODY_TIMEOUT);
    // The content that has arrived is reported, not the reason why reading ended.
    while HttpRefusal::wants_more(&response, bytes)
        && matches!(read_more(stream, bytes, deadline), Ok(1..))
    {}
    ClientError::Refused(Box::new(HttpRefusal::received(response, bytes)))
}

/// One read, appended to `bytes`. Returns the number of bytes; 0: the end.
fn read_more(
    stream: &mut impl Source,
    bytes: &mut Vec<u8>,
    deadline: Instant,
) -> io::Result<usize> {
    let mut piece = [0; READ_BYTES];
    let arrived = stream.read_by(&mut piece, deadline)?;
    bytes.extend_from_slice(&piece[..arrived]);
    Ok(arrived)
}

pub(super) fn failed(error: io::Error) -> ClientError {
    if is_timeout(&error) {
        ClientError::TimedOut(Step::OpeningHandshake)
    } else {
        ClientError::EndedInHandshake(Some(error))
    }
}

/// The time after `timeout`; a year if that is beyond the clock's range.
pub(super) fn deadline_in(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout)
        .unwrap_or_else(|| now + Duration::from_secs(365 * 86_400))
}
