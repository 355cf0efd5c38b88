//! The TLS of one connection, for both roles: a state machine over bytes.
//!
//! ```text
//!                    │ Some bytes that are no TLS ─▶ NotTls
//!   Awaiting ────────┴▶ handshake ─▶ established ─▶ the peer's close_notify, or a failure
//!   (server only)         │  ▲
//!                         ▼  │
//!                       output: sent by the caller
//! ```
//!
//! Each call of [`Session::receive`] gets what an earlier one has not consumed, with further bytes
//! behind it: the records are opened where they lie. rustls copies the plaintext of a record once, and the
//! caller gets a slice of that copy.

use super::error::TlsError;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, Error, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// The TLS of one connection.
pub struct Session {
    side: Side,
    is_established: bool,
    is_closed: bool,
}

enum Side {
    /// A client's first bytes are awaited.
    Awaiting(Arc<ServerConfig>),
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// What [`Session::receive`] has made of its input.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// So many bytes at the front are done with. The others are passed again, with further ones.
    pub consumed_bytes: usize,
    /// What follows.
    pub state: State,
}

/// What follows for a [`Session`] after input.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// More input is awaited.
    Open,
    /// The peer has sent its close_notify: nothing follows.
    PeerClosed,
    /// The client has begun with a request of HTTP instead of TLS. Nothing was consumed.
    PlainHttp,
    /// The session has failed. The output has the alert for the peer.
    Failed(TlsError),
}

impl Session {
    pub(super) fn server(config: Arc<ServerConfig>) -> Session {
        Session::new(Side::Awaiting(config))
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Session, TlsError> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Session::new(Side::Client(Box::new(connection))))
    }

    fn new(side: Side) -> Session {
        Session {
            side,
            is_established: false,
            is_closed: false,
        }
    }

    /// Whether the handshake is complete.
    #[inline]
    pub fn is_established(&self) -> bool {
        self.is_established
    }

    /// Bytes of the peer. Calls `opened` with what they contain, and appends to `output` what is to be sent to the
    /// peer. A client calls it first without input.
    pub fn receive(
        &mut self,
        input: &mut [u8],
        opened: &mut dyn FnMut(&[u8]),
        output: &mut Vec<u8>,
    ) -> Received {
        if let Some(received) = self.begin(input) {
            return received;
        }
        let mut consumed_bytes = 0;
        let state = loop {
            let mut task = Task::Receive(opened);
            let (discarded, next) = self.step(&mut input[consumed_bytes..], &mut task, output);
            consumed_bytes += discarded;
            match next {
                Next::Again => {}
                Next::Done => break State::Open,
                Next::PeerClosed => break State::PeerClosed,
                Next::Failed(error) => {
                    self.write_alert(&mut input[consumed_bytes..], output);
                    break State::Failed(error.into());
                }
            }
        };
        self.is_established = self.is_established || !self.is_handshaking();
        if state != State::Open {
            consumed_bytes = input.len();
        }
        Received {
            consumed_bytes,
            state,
        }
    }

    /// Appends `bytes` to `output`, in as few records as hold them. `input`: the bytes of the peer that
    /// [`receive`](Session::receive) has not consumed; they stay. (rustls remembers places in them.)
    ///
    /// # Errors
    /// The session is not established, is closed, or has sealed as much as its keys are good for.
    pub fn seal(
        &mut self,
        input: &mut [u8],
        bytes: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.run(input, &mut Task::Seal(bytes), output)
    }

    /// Appends a close_notify to `output`, once: nothing follows it. `input`: as for [`seal`](Session::seal).
    pub fn close(&mut self, input: &mut [u8], output: &mut Vec<u8>) {
        if self.is_established && !self.is_closed {
            self.is_closed = true;
            // An error means that the session has failed: then the peer has got an alert.
            let _ = self.run(input, &mut Task::Close, output);
        }
    }
}

impl Session {
    /// The client's first bytes begin the server's side.
    fn begin(&mut self, input: &[u8]) -> Option<Received> {
        let Side::Awaiting(config) = &self.side else {
            return None;
        };
        let nothing = |state| Received {
            consumed_bytes: 0,
            state,
        };
        match input.first() {
            None => return Some(nothing(State::Open)),
            // A record begins with a number below 26; a method of HTTP with a letter.
            Some(first) if first.is_ascii_uppercase() => return Some(nothing(State::PlainHttp)),
            Some(_) => {}
        }
        match UnbufferedServerConnection::new(config.clone()) {
            Ok(connection) => {
                self.side = Side::Server(Box::new(connection));
                None
            }
            Err(error) => Some(nothing(State::Failed(error.into()))),
        }
    }

    /// Steps without new input until the task is done.
    fn run(
        &mut self,
        input: &mut [u8],
        task: &mut Task<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        loop {
            let (consumed_bytes, next) = self.step(input, task, output);
            debug_assert_eq!(consumed_bytes, 0, "receive() has left whole records");
            match next {
                Next::Again | Next::PeerClosed => {}
                Next::Done => return Ok(()),
                Next::Failed(error) => return Err(error.into()),
            }
        }
    }

    /// One step of rustls. Returns how many bytes of the input are done with.
    fn step(
        &mut self,
        input: &mut [u8],
        task: &mut Task<'_>,
        output: &mut Vec<u8>,
    ) -> (usize, Next) {
        match &mut self.side {
            Side::Awaiting(_) => (0, Next::Failed(Error::HandshakeNotComplete)),
            Side::Server(connection) => step(connection.process_tls_records(input), task, output),
            Side::Client(connection) => step(connection.process_tls_records(input), task, output),
        }
    }

    /// What rustls has to tell the peer after a failure, and no more: a further step would read the
    /// broken record again. `input`: what is not consumed.
    fn write_alert(&mut self, input: &mut [u8], output: &mut Vec<u8>) {
        let mut task = Task::Receive(&mut |_| {});
        while self.has_output() {
            self.step(input, &mut task, output);
        }
    }

    fn has_output(&self) -> bool {
        match &self.side {
            Side::Awaiting(_) => false,
            Side::Server(connection) => connection.wants_write(),
            Side::Client(connection) => connection.wants_write(),
        }
    }

    fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Awaiting(_) => true,
            Side::Server(connection) => connection.is_handshaking(),
            Side::Client(connection) => connection.is_handshaking(),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_established", &self.is_established)
            .finish_non_exhaustive()
    }
}

/// What rustls is stepped for.
enum Task<'a> {
    Receive(&'a mut dyn FnMut(&[u8])),
    Seal(&'a [u8]),
    Close,
}

/// What follows a step.
enum Next {
    Again,
    Done,
    PeerClosed,
    Failed(Error),
}

fn step<Side>(
    status: UnbufferedStatus<'_, '_, Side>,
    task: &mut Task<'_>,
    output: &mut Vec<u8>,
) -> (usize, Next) {
    let UnbufferedStatus { mut discard, state } = status;
    let next = match (state, task) {
        (Err(error), _) => Next::Failed(error),
        (Ok(ConnectionState::EncodeTlsData(mut data)), _) => {
            append(output, 0, |buffer| data.encode(buffer))
        }
        (Ok(ConnectionState::TransmitTlsData(data)), _) => {
            // The caller sends the output.
            data.done();
            Next::Again
        }
        (Ok(ConnectionState::ReadTraffic(mut records)), Task::Receive(opened)) => loop {
            match records.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    opened(record.payload);
                }
                Some(Err(error)) => break Next::Failed(error),
                None => break Next::Again,
            }
        },
        (Ok(ConnectionState::PeerClosed), _) => Next::PeerClosed,
        (Ok(ConnectionState::WriteTraffic(mut traffic)), Task::Seal(bytes)) => {
            let sealed = append(output, bytes.len() + RECORD_OVERHEAD_BYTES, |buffer| {
                traffic.encrypt(bytes, buffer)
            });
            sealed.or_done()
        }
        (Ok(ConnectionState::WriteTraffic(mut traffic)), Task::Close) => {
            append(output, 0, |buffer| traffic.queue_close_notify(buffer)).or_done()
        }
        (
            Ok(
                ConnectionState::WriteTraffic(_)
                | ConnectionState::BlockedHandshake
                | ConnectionState::Closed,
            ),
            Task::Receive(_),
        ) => Next::Done,
        // Early data is not accepted, and plaintext is never left.
        (Ok(_), _) => Next::Failed(Error::HandshakeNotComplete),
    };
    (discard, next)
}

impl Next {
    /// The step was the task itself.
    fn or_done(self) -> Next {
        match self {
            Next::Again => Next::Done,
            other => other,
        }
    }
}

/// Appends what `write` writes, for which `bytes_guess` is room enough unless it says otherwise.
fn append<E: Into<NotWritten>>(
    output: &mut Vec<u8>,
    bytes_guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Next {
    let before = output.len();
    output.resize(before + bytes_guess, 0);
    loop {
        let written = write(&mut output[before..]).map_err(E::into);
        output.truncate(before + written.as_ref().map_or(0, |count| *count));
        match written {
            Ok(_) => return Next::Again,
            Err(NotWritten::Needs(bytes)) => output.resize(before + bytes, 0),
            Err(NotWritten::Never(error)) => return Next::Failed(error),
        }
    }
}

/// Why nothing was written.
enum NotWritten {
    Needs(usize),
    Never(Error),
}

impl From<EncodeError> for NotWritten {
    fn from(error: EncodeError) -> NotWritten {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                NotWritten::Needs(required_size)
            }
            EncodeError::AlreadyEncoded => NotWritten::Needs(0),
        }
    }
}

impl From<EncryptError> for NotWritten {
    fn from(error: EncryptError) -> NotWritten {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                NotWritten::Needs(required_size)
            }
            EncryptError::EncryptExhausted => NotWritten::Never(Error::EncryptError),
        }
    }
}

/// What a record takes besides its plaintext: with AES-GCM 22 bytes in TLS 1.3 and 29 in TLS 1.2.
const RECORD_OVERHEAD_BYTES: usize = 32;
