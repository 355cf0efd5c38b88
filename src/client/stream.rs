//! The byte stream under a client: TCP today, and the one place where TLS is added.
//!
//! Everything is by `&self`: one thread may read while another writes. A stream
//! knows deadlines of the operating system (`SO_RCVTIMEO`, `SO_SNDTIMEO`) and
//! one trick: [`Stream::write_now`], a write that never waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A connected stream of bytes.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
}

impl Stream {
    /// Waits for bytes; 0: the server has ended its side. An error for which
    /// [`is_timeout`] holds: the read timeout passed, and nothing is lost.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.tcp().read(buffer))
    }

    /// Writes all, and waits for as long as that takes or the write timeout is.
    pub(super) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match uninterrupted(|| self.tcp().write(bytes))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    /// Writes what the kernel takes at once, and never waits.
    ///
    /// The socket is non-blocking for that moment, for reads too: only the thread
    /// that reads may call this, and only while no other thread writes.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp().set_nonblocking(true)?;
        let written = self.write_until_full(bytes);
        self.tcp().set_nonblocking(false)?;
        written
    }

    fn write_until_full(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match uninterrupted(|| self.tcp().write(&bytes[written..])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// How long a read may wait; `None`: forever.
    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_read_timeout(timeout.map(at_least_a_moment))
    }

    /// How long a write may wait; `None`: forever.
    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_write_timeout(timeout.map(at_least_a_moment))
    }

    /// Ends both directions; a thread that waits in a read or write wakes up.
    pub(super) fn hang_up(&self) {
        // An error says that the connection is gone already.
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
        let Stream::Plain(tcp) = self;
        tcp
    }
}

/// The time was up; nothing else happened. Unix says `WouldBlock`, and means by
/// `TimedOut` that TCP itself has given the peer up; Windows says only the latter.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == ErrorKind::WouldBlock || (cfg!(windows) && kind == ErrorKind::TimedOut)
}

/// Zero would mean "forever" to the operating system, and std refuses it.
pub(super) fn at_least_a_moment(timeout: Duration) -> Duration {
    timeout.max(Duration::from_millis(1))
}

/// Again and again, while a signal handler is what ended the system call.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
