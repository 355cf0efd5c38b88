//! A TCP connection that is read while it is written, each wait with a time limit.
//!
//! An echo server writes while the suite writes: a suite that wrote everything before it
//! read would wait for a server that waits for the suite. So every call does both.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

/// See the [module's text](self).
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    poll: Poll,
    events: Events,
    outgoing: Vec<u8>,
    /// 0 ≤ written ≤ outgoing.len().
    written: usize,
    ended: Option<Ended>,
    is_paused: bool,
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
    /// Connects within this time.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Socket> {
        Socket::new(std::net::TcpStream::connect_timeout(&address, timeout)?)
    }

    /// A connection that was accepted.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn new(stream: std::net::TcpStream) -> io::Result<Socket> {
        stream.set_nonblocking(true)?;
        // A case decides which bytes share a segment.
        stream.set_nodelay(true)?;
        let mut stream = TcpStream::from_std(stream);
        let poll = Poll::new()?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(0), both)?;
        Ok(Socket {
            stream,
            poll,
            events: Events::with_capacity(4),
            outgoing: Vec::new(),
            written: 0,
            ended: None,
            is_paused: false,
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
        self.written == self.outgoing.len() || self.ended == Some(Ended::Reset)
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
    pub(crate) fn end_sending(&self) {
        // An error: the connection is gone, which reading reports.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection by RST.
    pub(crate) fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn write_some(&mut self) -> bool {
        let mut is_any = false;
        while self.written < self.outgoing.len() && self.ended != Some(Ended::Reset) {
            match self.stream.write(&self.outgoing[self.written..]) {
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
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = Some(Ended::Fin),
                Ok(count) => input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => self.ended = Some(Ended::Reset),
            }
            return true;
        }
    }
}

const READ_BYTES: usize = 64 << 10;
