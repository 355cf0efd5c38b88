//! A connection of TCP, or of TLS over it, that is read while it is written, each wait with a time limit.
//!
//! An echo server writes while the suite writes: a suite that wrote everything before it
//! read would wait for a server that waits for the suite. So every call does both.
//!
//! With TLS, the end of the peer's side is its close_notify or FIN, whichever comes first.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::transport::{Tls, Transport};

/// See the [module's text](self).
#[derive(Debug)]
pub(crate) struct Socket {
    transport: Transport,
    poll: Poll,
    events: Events,
    outgoing: Vec<u8>,
    /// 0 ≤ written ≤ outgoing.len().
    written: usize,
    ended: Option<Ended>,
    is_paused: bool,
    /// For one read; not on the stack, where each place that reads could have its own.
    buffer: Box<[u8]>,
}

/// How the peer has ended its side of TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// FIN.
    Fin,
    /// RST, or another error.
    Reset,
}

impl Socket {
    /// Connects within this time, and shakes hands in TLS if the server speaks it.
    ///
    /// # Errors
    /// Those of the operating system and of TLS.
    pub(crate) fn connect(
        address: SocketAddr,
        tls: Option<&Tls>,
        timeout: Duration,
    ) -> io::Result<Socket> {
        let stream = std::net::TcpStream::connect_timeout(&address, timeout)?;
        Socket::new(stream, tls, timeout)
    }

    /// A connection of TCP, with TLS on it after its handshake; each wait in it has this limit.
    ///
    /// # Errors
    /// Those of the operating system and of TLS.
    pub(crate) fn new(
        stream: std::net::TcpStream,
        tls: Option<&Tls>,
        timeout: Duration,
    ) -> io::Result<Socket> {
        // A case decides which bytes share a segment.
        stream.set_nodelay(true)?;
        Socket::over(match tls {
            None => Transport::plain(stream)?,
            Some(tls) => Transport::secured(stream, tls, timeout)?,
        })
    }

    fn over(mut transport: Transport) -> io::Result<Socket> {
        let poll = Poll::new()?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(transport.tcp_mut(), Token(0), both)?;
        Ok(Socket {
            transport,
            poll,
            events: Events::with_capacity(4),
            outgoing: Vec::new(),
            written: 0,
            ended: None,
            is_paused: false,
            buffer: vec![0; READ_BYTES].into(),
        })
    }

    /// Bytes that the next calls of [`exchange`](Socket::exchange) write.
    pub(crate) fn queue(&mut self) -> &mut Vec<u8> {
        if self.written == self.outgoing.len() {
            self.outgoing.clear();
            self.written = 0;
        }
        &mut self.outgoing
    }

    /// Everything has been given to the kernel, or never will be.
    pub(crate) fn is_flushed(&self) -> bool {
        let is_given = self.written == self.outgoing.len() && !self.transport.has_sealed();
        is_given || self.ended == Some(Ended::Reset)
    }

    /// How the peer has ended its side.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Stops or resumes reading.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Writes and reads what is possible, or waits until something is; whether anything
    /// happened before `until`.
    ///
    /// # Errors
    /// The system cannot wait. An error of the connection is its [end](Socket::ended).
    pub(crate) fn exchange(&mut self, input: &mut Vec<u8>, until: Instant) -> io::Result<bool> {
        loop {
            let has_written = self.write_some();
            if self.read_some(input) || has_written {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.ended.is_some() {
                return Ok(false);
            }
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }

    /// Sends FIN. The peer may go on sending.
    pub(crate) fn end_sending(&mut self) {
        self.transport.end_sending();
    }

    /// Ends the connection by RST.
    pub(crate) fn reset(self) {
        let _ = SockRef::from(self.transport.tcp()).set_linger(Some(Duration::ZERO));
    }

    fn write_some(&mut self) -> bool {
        let mut is_any = self.transport.flush().unwrap_or_default();
        while self.written < self.outgoing.len() && self.ended != Some(Ended::Reset) {
            match self.transport.write(&self.outgoing[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    is_any = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    // What the peer sent before its RST can still be read.
                    self.written = self.outgoing.len();
                    is_any = true;
                }
            }
        }
        is_any
    }

    fn read_some(&mut self, input: &mut Vec<u8>) -> bool {
        if self.is_paused || self.ended.is_some() {
            return false;
        }
        loop {
            match self.transport.read(&mut self.buffer) {
                Ok(0) => self.ended = Some(Ended::Fin),
                Ok(count) => input.extend_from_slice(&self.buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => self.ended = Some(Ended::Reset),
            }
            return true;
        }
    }
}

const READ_BYTES: usize = 64 << 10;
