//! TLS between the socket and the client.
//!
//! ```text
//!   reader:  wait in recv ─▶ lock: open ─▶ plaintext
//!   writer:  lock: seal 64 KiB ─▶ wait in send ─▶ the next 64 KiB …
//! ```
//!
//! Both directions share one session, which is behind a lock. It is held while bytes are opened or sealed, and for writes that do
//! not wait; never while a thread sleeps in a system call. Records reach the socket in the order in which they were sealed, because
//! the send buffer lets one thread write at a time (`send_buffer.rs`).
//!
//! Costs: two copies of what is read, one of what is written, and up to 80 KiB while the server does not read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::error::ClientError;
use super::waits::{is_timeout, not_zero, retry_interrupted};
use crate::tls::{Session, State};

/// A connection over TLS.
#[derive(Debug)]
pub(super) struct TlsStream {
    tcp: TcpStream,
    inside: Mutex<Inside>,
}

/// What both directions share.
#[derive(Debug)]
struct Inside {
    session: Session,
    /// What has come and is no whole record.
    input: Vec<u8>,
    /// Plaintext that was not read yet, from `taken` on.
    opened: Vec<u8>,
    taken: usize,
    /// Sealed bytes that the kernel has not accepted.
    sealed: Vec<u8>,
    /// The server has said that nothing follows.
    peer_closed: bool,
}

impl TlsStream {
    /// Performs the handshake.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If /secure/ is true, the client MUST perform a TLS handshake over
    //# the connection after opening the connection and before sending
    //# the handshake data
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# Otherwise, all further communication on this channel MUST run
    //# through the encrypted tunnel
    pub(super) fn open(
        mut tcp: TcpStream,
        session: Session,
        deadline: Instant,
    ) -> Result<TlsStream, OpenError> {
        let mut inside = Inside::new(session);
        let mut piece = [0; READ_BYTES];
        let mut arrived = 0;
        loop {
            let state = inside.receive(&piece[..arrived]);
            let flight = std::mem::take(&mut inside.sealed);
            tcp.set_write_timeout(Some(rest_until(deadline)?))?;
            tcp.write_all(&flight)?;
            match state {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
                //# If this fails (e.g., the server's certificate could not be
                //# verified), then the client MUST _Fail the WebSocket
                //# Connection_ and abort the connection.
                State::Failed(error) => return Err(OpenError::Tls(error)),
                _ if inside.session.is_established() => break,
                _ => {}
            }
            tcp.set_read_timeout(Some(rest_until(deadline)?))?;
            arrived = retry_interrupted(|| tcp.read(&mut piece))?;
            if arrived == 0 {
                return Err(OpenError::Io(ErrorKind::UnexpectedEof.into()));
            }
        }
        let inside = Mutex::new(inside);
        Ok(TlsStream { tcp, inside })
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Waits for plaintext; 0: the server has ended its side.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut piece = [0; READ_BYTES];
        let mut arrived = 0;
        loop {
            {
                let mut inside = self.lock();
                let state = inside.receive(&piece[..arrived]);
                let count = inside.take(buffer);
                if count > 0 || inside.peer_closed {
                    return Ok(count);
                }
                if let State::Failed(error) = state {
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
            }
            arrived = retry_interrupted(|| (&self.tcp).read(&mut piece))?;
            if arrived == 0 {
                return Ok(0);
            }
        }
    }

    /// Plaintext that has been opened already; 0: there is none.
    #[cfg(target_os = "linux")]
    pub(super) fn read_opened(&self, buffer: &mut [u8]) -> usize {
        self.lock().take(buffer)
    }

    /// Seals and writes all bytes; each wait is limited by the write timeout.
    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(SEALED_BYTES) {
            let sealed = {
                let mut inside = self.lock();
                inside.seal(piece)?;
                std::mem::take(&mut inside.sealed)
            };
            (&self.tcp).write_all(&sealed)?;
        }
        Ok(())
    }

    /// Seals and writes what the kernel accepts at once. The socket is non-blocking. Returns how many bytes were sealed: what the
    /// kernel has not accepted of them goes first the next time.
    pub(super) fn write_until_full(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut inside = self.lock();
        let mut count = 0;
        while inside.send(&self.tcp)? && count < bytes.len() {
            let end = bytes.len().min(count + SEALED_BYTES);
            inside.seal(&bytes[count..end])?;
            count = end;
        }
        Ok(count)
    }

    /// Whether sealed bytes wait for the kernel.
    pub(super) fn has_sealed(&self) -> bool {
        !self.lock().sealed.is_empty()
    }

    /// Tells the server that nothing follows, if the kernel accepts that at once.
    pub(super) fn close(&self) {
        let mut inside = self.lock();
        let Inside {
            session,
            input,
            sealed,
            ..
        } = &mut *inside;
        session.close(input, sealed);
        // An error means that TCP has ended already.
        let _ = inside.send(&self.tcp);
    }

    /// A poisoned lock is used: no code of the application runs under it.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn new(session: Session) -> Inside {
        Inside {
            session,
            input: Vec::new(),
            opened: Vec::new(),
            taken: 0,
            sealed: Vec::new(),
            peer_closed: false,
        }
    }

    /// Opens what has come.
    fn receive(&mut self, bytes: &[u8]) -> State {
        self.input.extend_from_slice(bytes);
        let opened = &mut self.opened;
        let received = self.session.receive(
            &mut self.input,
            &mut |bytes| opened.extend_from_slice(bytes),
            &mut self.sealed,
        );
        self.input.drain(..received.consumed_bytes);
        self.peer_closed |= received.state == State::PeerClosed;
        received.state
    }

    /// Moves opened bytes into the buffer.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let opened = &self.opened[self.taken..];
        let count = opened.len().min(buffer.len());
        buffer[..count].copy_from_slice(&opened[..count]);
        self.taken += count;
        if self.taken == self.opened.len() {
            (self.opened, self.taken) = (Vec::new(), 0);
        }
        count
    }

    fn seal(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sealed = self.session.seal(&mut self.input, bytes, &mut self.sealed);
        sealed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Writes what is sealed. False: the kernel has not accepted all of it.
    fn send(&mut self, mut tcp: &TcpStream) -> io::Result<bool> {
        while !self.sealed.is_empty() {
            match retry_interrupted(|| tcp.write(&self.sealed)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.sealed.drain(..count)),
                Err(error) if is_timeout(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Why the handshake has failed.
pub(super) enum OpenError {
    Io(io::Error),
    Tls(crate::tls::TlsError),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> OpenError {
        OpenError::Io(error)
    }
}

impl OpenError {
    /// The error of the client; `of_socket` makes that of a socket.
    pub(super) fn into_client_error(
        self,
        of_socket: impl FnOnce(io::Error) -> ClientError,
    ) -> ClientError {
        match self {
            OpenError::Io(error) => of_socket(error),
            OpenError::Tls(error) => ClientError::Tls(error),
        }
    }
}

/// What is left of the time for the handshake.
fn rest_until(deadline: Instant) -> io::Result<std::time::Duration> {
    let rest = deadline.saturating_duration_since(Instant::now());
    match rest.is_zero() {
        true => Err(ErrorKind::WouldBlock.into()),
        false => Ok(not_zero(rest)),
    }
}

/// The size of one read: a record and its header.
const READ_BYTES: usize = 17 << 10;
/// What is sealed for one write.
const SEALED_BYTES: usize = 64 << 10;
