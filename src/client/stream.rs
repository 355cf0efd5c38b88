//! The byte stream under a client: a transport, and what observes its bytes.
//!
//! All methods take `&self`: one thread can read while another one writes. Timeouts are
//! those of the operating system (`SO_RCVTIMEO`, `SO_SNDTIMEO`);
//! [`Stream::write_now`] is a write that never waits.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::traffic::TrafficObserver;
use super::transport::Transport;
use crate::traffic::Traffic;

/// A connected stream of bytes.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Transport,
    observer: TrafficObserver,
}

impl Stream {
    pub(super) fn plain(tcp: TcpStream) -> Stream {
        Stream::new(Transport::Plain(tcp))
    }

    pub(super) fn new(transport: Transport) -> Stream {
        Stream {
            transport,
            observer: TrafficObserver::default(),
        }
    }

    /// `observer` gets all bytes from now on.
    pub(super) fn observed_by(mut self, observer: TrafficObserver) -> Stream {
        self.observer = observer;
        self
    }

    #[cfg(feature = "tls")]
    pub(super) fn into_transport(self) -> Transport {
        self.transport
    }

    /// Waits for bytes; 0: the server has closed its side. An error with
    /// [`is_timeout`](super::waits::is_timeout): the read timeout has passed, and nothing is lost.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.transport.read(buffer)?;
        self.observer.observe(Traffic::Received(&buffer[..count]));
        Ok(count)
    }

    /// Reads what has arrived, without waiting. An error with [`is_timeout`](super::waits::is_timeout): nothing has.
    pub(super) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.transport.read_now(buffer)?;
        self.observer.observe(Traffic::Received(&buffer[..count]));
        Ok(count)
    }

    /// Appends what has arrived to `buffer`, as much as it has room for, without waiting.
    pub(super) fn append_now(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let before = buffer.len();
        let count = self.transport.append_now(buffer)?;
        self.observer.observe(Traffic::Received(&buffer[before..]));
        Ok(count)
    }

    /// Writes all bytes; each wait is limited by the write timeout.
    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.transport.write_all(bytes)?;
        self.observer.observe(Traffic::Sent(bytes));
        Ok(())
    }

    /// Writes the bytes that the transport accepts at once, without waiting.
    ///
    /// The socket is non-blocking during the call, also for reads. So only the reading
    /// thread may call this, and only while no other thread writes.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.transport.write_now(bytes)?;
        self.observer.observe(Traffic::Sent(&bytes[..written]));
        Ok(written)
    }

    /// Whether TLS has sealed bytes that the kernel has not accepted: they go first with the next write.
    pub(super) fn has_sealed(&self) -> bool {
        self.transport.has_sealed()
    }

    /// Tells the server that nothing follows, where TLS has a word for it. No other thread writes.
    pub(super) fn close(&self) {
        self.transport.close();
    }

    /// How long a read waits; `None`: without limit.
    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.transport.set_read_timeout(timeout)
    }

    /// How long a write waits; `None`: without limit.
    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.transport.set_write_timeout(timeout)
    }

    /// Ends both directions. A thread that waits in a read or write wakes up.
    pub(super) fn shut_down(&self) {
        self.transport.shut_down();
    }

    /// The address of the server's end.
    pub(super) fn peer_address(&self) -> io::Result<SocketAddr> {
        self.transport.peer_address()
    }

    /// The address of this end.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.transport.local_address()
    }
}

/// A socket that is connected and blocks, for [`ClientBuilder::connect_on`](super::ClientBuilder::connect_on).
#[derive(Debug)]
pub struct ConnectedSocket(TcpStream);

impl From<TcpStream> for ConnectedSocket {
    fn from(socket: TcpStream) -> ConnectedSocket {
        ConnectedSocket(socket)
    }
}

/// The system calls of both families are the same. Only the addresses are not: [`Client::peer_address`](super::Client::peer_address) is
/// an error.
#[cfg(unix)]
impl From<std::os::unix::net::UnixStream> for ConnectedSocket {
    fn from(socket: std::os::unix::net::UnixStream) -> ConnectedSocket {
        ConnectedSocket(std::os::fd::OwnedFd::from(socket).into())
    }
}

impl ConnectedSocket {
    pub(super) fn into_stream(self) -> Stream {
        // Small messages must not wait for each other. An error means that this is no TCP.
        let _ = self.0.set_nodelay(true);
        Stream::plain(self.0)
    }
}
