//! The stream of a connection while it is opened: plain, or TLS for `wss`.
//!
//! The threads that open connections wait for the bytes of the handshake ([`Stream`]). Then the event loop takes over the socket,
//! and with it the TLS session and the ciphertext that it has not opened yet ([`Secured`]).

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use yamabiko::reactor::{Channel, Io, SocketKey};
use yamabiko::tls::{ClientTls, Received, Session, State};

use super::error::Error;
use super::plan::Plan;

/// Whom a run trusts. `None`: its connections are not secured.
pub(super) type Trust = Option<ClientTls>;

/// # Errors
/// This machine has no authorities, and the plan names none.
pub(super) fn trust(plan: &Plan) -> Result<Trust, Error> {
    if !plan.url.secure() {
        return Ok(None);
    }
    let given = plan.tls.clone().map(Ok);
    let trusted = given.unwrap_or_else(ClientTls::platform);
    trusted
        .map(Some)
        .map_err(|error| Error::Tls(error.to_string()))
}

/// A connection that is being opened.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// What an event loop needs to go on with a secured connection.
pub(super) struct Secured {
    channel: Box<dyn Channel>,
    /// Ciphertext that has been received.
    received: Vec<u8>,
}

/// A connection, its TLS, and what is between them.
pub(super) struct TlsStream {
    tcp: TcpStream,
    session: Session,
    /// Received, and not opened: at most one record and what came with it.
    input: Vec<u8>,
}

impl Stream {
    /// The stream, when its TLS handshake is complete.
    ///
    /// # Errors
    /// The server is not trusted, or the handshake has failed.
    pub(super) fn open(
        tcp: TcpStream,
        trust: &Trust,
        host: &str,
        left: impl Fn() -> io::Result<Duration>,
    ) -> io::Result<Stream> {
        let Some(tls) = trust else {
            return Ok(Stream::Plain(tcp));
        };
        let session = tls.session(host).map_err(io::Error::other)?;
        let mut stream = TlsStream {
            tcp,
            session,
            input: Vec::new(),
        };
        // A client begins.
        stream.receive()?;
        while !stream.session.is_established() {
            stream.tcp.set_read_timeout(Some(left()?))?;
            stream.read()?;
            stream.receive()?;
        }
        Ok(Stream::Tls(Box::new(stream)))
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes),
        }
    }

    /// What has come, at least one byte. The limits of the handshake bound the number of these bytes.
    pub(super) fn read_some(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        match self {
            Stream::Plain(tcp) => {
                tcp.set_read_timeout(Some(timeout))?;
                read_once(tcp)
            }
            Stream::Tls(stream) => {
                stream.tcp.set_read_timeout(Some(timeout))?;
                stream.read_some()
            }
        }
    }

    pub(super) fn into_parts(self) -> (TcpStream, Option<Secured>) {
        match self {
            Stream::Plain(tcp) => (tcp, None),
            Stream::Tls(stream) => {
                let TlsStream {
                    tcp,
                    session,
                    input,
                } = *stream;
                let secured = Secured {
                    channel: Box::new(session),
                    received: input,
                };
                (tcp, Some(secured))
            }
        }
    }
}

impl Secured {
    /// The event loop opens and seals the bytes of this socket from now on.
    pub(super) fn take_over(self, io: &mut Io, key: SocketKey) {
        io.secure(key, self.channel, &self.received);
    }
}

impl TlsStream {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sealed = Vec::new();
        let done = self.session.seal(&mut self.input, bytes, &mut sealed);
        done.map_err(invalid)?;
        self.tcp.write_all(&sealed)
    }

    fn read_some(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let opened = self.receive()?;
            if !opened.is_empty() {
                return Ok(opened);
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let bytes = read_once(&mut self.tcp)?;
        self.input.extend_from_slice(&bytes);
        Ok(())
    }

    /// Opens the records that have come, and sends what the session answers.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let (mut opened, mut output) = (Vec::new(), Vec::new());
        let mut collect = |bytes: &[u8]| opened.extend_from_slice(bytes);
        let Received {
            consumed_bytes,
            state,
            ..
        } = self
            .session
            .receive(&mut self.input, &mut collect, &mut output);
        self.input.drain(..consumed_bytes);
        self.tcp.write_all(&output)?;
        match state {
            State::Open => Ok(opened),
            State::Failed(error) => Err(invalid(error)),
            _ if opened.is_empty() => Err(io::Error::other(ENDED)),
            _ => Ok(opened),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

fn read_once(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 4096];
    match tcp.read(&mut bytes)? {
        0 => Err(io::Error::other(ENDED)),
        count => Ok(bytes[..count].to_vec()),
    }
}

const ENDED: &str = "the server ended the connection";
