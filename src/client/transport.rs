//! What carries the bytes of a client: TCP, or TLS over it.
//!
//! All methods take `&self`: one thread can read while another one writes. Timeouts are
//! those of the operating system (`SO_RCVTIMEO`, `SO_SNDTIMEO`);
//! [`Transport::write_now`] is a write that never waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

#[cfg(feature = "tls")]
use super::tls::TlsStream;
use super::waits::{is_timeout, not_zero, retry_interrupted};

/// A connected transport.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Transport {
    /// Waits for bytes; 0: the server has closed its side. An error with
    /// [`is_timeout`]: the read timeout has passed, and nothing is lost.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Transport::Tls(stream) = self {
            return stream.read(buffer);
        }
        retry_interrupted(|| self.tcp().read(buffer))
    }

    /// Reads what has arrived, without waiting. An error with [`is_timeout`]: nothing has.
    #[cfg(target_os = "linux")]
    pub(super) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::net::{RecvFlags, recv};
        #[cfg(feature = "tls")]
        if let Transport::Tls(stream) = self {
            return Ok(stream.read_opened(buffer));
        }
        retry_interrupted(|| {
            let (count, _) = recv(self.tcp(), &mut *buffer, RecvFlags::DONTWAIT)?;
            Ok(count)
        })
    }

    /// Appends what has arrived to `buffer`, as much as it has room for, without waiting.
    #[cfg(target_os = "linux")]
    pub(super) fn append_now(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        use rustix::buffer::spare_capacity;
        use rustix::net::{RecvFlags, recv};
        #[cfg(feature = "tls")]
        if let Transport::Tls(_) = self {
            // Records are opened into the buffer of the next read.
            return Ok(0);
        }
        retry_interrupted(|| {
            let (count, _) = recv(self.tcp(), spare_capacity(buffer), RecvFlags::DONTWAIT)?;
            Ok(count)
        })
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
        #[cfg(feature = "tls")]
        if let Transport::Tls(stream) = self {
            return stream.write_all(bytes);
        }
        while !bytes.is_empty() {
            match retry_interrupted(|| self.tcp().write(bytes))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
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
        #[cfg(feature = "tls")]
        if let Transport::Tls(stream) = self {
            return stream.write_until_full(bytes);
        }
        let mut written = 0;
        while written < bytes.len() {
            match retry_interrupted(|| self.tcp().write(&bytes[written..])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Whether TLS has sealed bytes that the kernel has not accepted: they go first with the next write.
    pub(super) fn has_sealed(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.has_sealed(),
        }
    }

    /// Tells the server that nothing follows, where TLS has a word for it. No other thread writes.
    pub(super) fn close(&self) {
        #[cfg(feature = "tls")]
        if let Transport::Tls(stream) = self {
            // It ends both directions next, so nothing reads any more.
            let _ = stream.tcp().set_nonblocking(true);
            stream.close();
        }
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
        match self {
            Transport::Plain(tcp) => tcp,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.tcp(),
        }
    }
}
