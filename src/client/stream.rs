//! The byte stream under a client: TCP; TLS will be added here.
//!
//! All methods take `&self`: one thread can read while another one writes. Timeouts are
//! those of the operating system (`SO_RCVTIMEO`, `SO_SNDTIMEO`);
//! [`Stream::write_now`] is a write that never waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::traffic::{Traffic, TrafficObserver};

/// A connected stream of bytes.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Transport,
    observer: TrafficObserver,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
}

impl Stream {
    pub(super) fn plain(tcp: TcpStream) -> Stream {
        Stream {
            transport: Transport::Plain(tcp),
            observer: TrafficObserver::default(),
        }
    }

    /// `observer` gets all bytes from now on.
    pub(super) fn observed_by(mut self, observer: TrafficObserver) -> Stream {
        self.observer = observer;
        self
    }

    /// Waits for bytes; 0: the server has closed its side. An error with
    /// [`is_timeout`]: the read timeout has passed, and nothing is lost.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = retry_interrupted(|| self.tcp().read(buffer))?;
        self.observer.observe(Traffic::Received(&buffer[..count]));
        Ok(count)
    }

    /// Reads what has arrived, without waiting. An error with [`is_timeout`]: nothing has.
    #[cfg(target_os = "linux")]
    pub(super) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::net::{RecvFlags, recv};
        let count = retry_interrupted(|| {
            let (count, _) = recv(self.tcp(), &mut *buffer, RecvFlags::DONTWAIT)?;
            Ok(count)
        })?;
        self.observer.observe(Traffic::Received(&buffer[..count]));
        Ok(count)
    }

    /// Appends what has arrived to `buffer`, as much as it has room for, without waiting.
    #[cfg(target_os = "linux")]
    pub(super) fn append_now(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        use rustix::buffer::spare_capacity;
        use rustix::net::{RecvFlags, recv};
        let before = buffer.len();
        let count = retry_interrupted(|| {
            let (count, _) = recv(self.tcp(), spare_capacity(buffer), RecvFlags::DONTWAIT)?;
            Ok(count)
        })?;
        self.observer.observe(Traffic::Received(&buffer[before..]));
        Ok(count)
    }

    /// The standard library cannot do that: nothing, and the next read gets the bytes.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn read_now(&self, _buffer: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    /// The same.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn append_now(&self, _buffer: &mut Vec<u8>) -> io::Result<usize> {
        Ok(0)
    }

    /// Writes all bytes; each wait is limited by the write timeout.
    pub(super) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match retry_interrupted(|| self.tcp().write(bytes))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => {
                    self.observer.observe(Traffic::Sent(&bytes[..written]));
                    bytes = &bytes[written..];
                }
            }
        }
        Ok(())
    }

    /// Writes the bytes that the kernel accepts at once, without waiting.
    ///
    /// The socket is non-blocking during the call, also for reads. So only the reading
    /// thread may call this, and only while no other thread writes.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp().set_nonblocking(true)?;
        let written = self.write_until_full(bytes);
        self.tcp().set_nonblocking(false)?;
        written
    }

    fn write_until_full(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match retry_interrupted(|| self.tcp().write(&bytes[written..])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(more) => {
                    let taken = &bytes[written..written + more];
                    self.observer.observe(Traffic::Sent(taken));
                    written += more;
                }
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// How long a read waits; `None`: without limit.
    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_read_timeout(timeout.map(not_zero))
    }

    /// How long a write waits; `None`: without limit.
    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_write_timeout(timeout.map(not_zero))
    }

    /// Ends both directions. A thread that waits in a read or write wakes up.
    pub(super) fn shut_down(&self) {
        // An error means that the connection has already ended.
        let _ = self.tcp().shutdown(Shutdown::Both);
    }

    /// The address of the server's end.
    pub(super) fn peer_address(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// The address of this end.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    fn tcp(&self) -> &TcpStream {
        let Transport::Plain(tcp) = &self.transport;
        tcp
    }
}

/// Whether a socket timeout has passed. On Unix that is `WouldBlock`, and `TimedOut`
/// means that TCP itself has ended the connection; Windows reports `TimedOut` for both.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == ErrorKind::WouldBlock || (cfg!(windows) && kind == ErrorKind::TimedOut)
}

/// At least a millisecond: zero means "without limit" to the operating system, and std
/// rejects it.
pub(super) fn not_zero(timeout: Duration) -> Duration {
    timeout.max(Duration::from_millis(1))
}

/// Repeats a system call that a signal handler interrupted.
fn retry_interrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
