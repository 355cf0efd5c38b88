//! From a URI to an open connection: resolve, connect, shake hands (RFC 6455 §4.1).
//!
//! ```text
//!   host ──resolve──▶ address, address, …
//!                        │ each in turn, until one takes TCP
//!                        ▼
//!           wait for the turn ─▶ TCP ─▶ request ─▶ answer ─▶ 101: frames follow
//!           └────────── CONNECTING, alone of all to this IP ─┘  else: HTTP answer
//! ```
//!
//! The opening handshake has one deadline for all of it, not one for each read, so
//! a server that answers a byte at a time gains nothing.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::builder::Timeouts;
use super::error::{ClientError, HttpRefusal, Step};
use super::stream::{Stream, at_least_a_moment, is_timeout};
use super::turn::Turn;
use crate::websocket::deflate::DeflateParameters;
use crate::websocket::handshake::{
    ClientHandshake, ClientHandshakeError, Established, HttpAnswer, WebSocketUri,
};

/// How much of the answer one read takes.
const READ_BYTES: usize = 4 << 10;
/// How much of the body of an HTTP answer is kept.
const BODY_START_BYTES_MAX: usize = 4 << 10;
/// How many bytes may come for that: chunks of a byte each take six.
const BODY_WIRE_BYTES_MAX: usize = 32 << 10;
/// How long that part of the body is waited for.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection on which WebSocket is spoken from here on.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) subprotocol: Option<String>,
    pub(super) deflate: Option<DeflateParameters>,
    /// What came behind the head of the answer: the first frames.
    pub(super) surplus: Vec<u8>,
}

/// Opens TCP to the first address that takes it, and shakes hands there.
pub(super) fn open(
    uri: &WebSocketUri,
    handshake: ClientHandshake,
    timeouts: &Timeouts,
) -> Result<Opened, ClientError> {
    let mut attempts = Vec::new();
    for address in resolve(uri)? {
        match connect(address, timeouts.connect) {
            // The turn is held until the handshake is done, well or not.
            Ok((stream, _turn)) => return shake_hands(stream, handshake, timeouts),
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

/// The addresses of the host, in the resolver's order of preference.
fn resolve(uri: &WebSocketUri) -> Result<impl Iterator<Item = SocketAddr>, ClientError> {
    let host = uri.host();
    // std takes an IPv6 address without its brackets.
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    (bare.unwrap_or(host), uri.port())
        .to_socket_addrs()
        .map_err(|error| ClientError::Resolve {
            host: host.to_owned(),
            error,
        })
}

/// TCP to one address, when no other connection to its IP is being opened.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the client is not configured to use a proxy, then a direct TCP
//# connection SHOULD be opened to the host given by /host/ and the port
//# given by /port/.
fn connect(address: SocketAddr, timeout: Duration) -> io::Result<(Stream, Turn)> {
    let deadline = deadline_in(timeout);
    let turn = Turn::wait(address.ip(), deadline).ok_or_else(|| {
        let reason = "waited in vain for another connection to this address to be opened";
        io::Error::new(io::ErrorKind::TimedOut, reason)
    })?;
    let rest = deadline.saturating_duration_since(Instant::now());
    let stream = TcpStream::connect_timeout(&address, at_least_a_moment(rest))?;
    stream.set_nodelay(true)?;
    Ok((Stream::Plain(stream), turn))
}

/// Sends the request and reads the answer.
fn shake_hands(
    stream: Stream,
    mut handshake: ClientHandshake,
    timeouts: &Timeouts,
) -> Result<Opened, ClientError> {
    let deadline = deadline_in(timeouts.handshake);
    let mut request = Vec::new();
    handshake.write_request(&mut request);
    stream
        .set_write_timeout(Some(timeouts.handshake))
        .and_then(|()| stream.write_all(&request))
        .map_err(broken_off)?;
    let mut bytes = Vec::new();
    let established = read_answer(&stream, &mut handshake, &mut bytes, deadline)?;
    stream
        .set_read_timeout(None)
        .and_then(|()| stream.set_write_timeout(timeouts.write))
        .map_err(broken_off)?;
    Ok(Opened {
        surplus: bytes.split_off(established.head_bytes),
        subprotocol: established.subprotocol,
        deflate: established.deflate,
        stream,
    })
}

fn read_answer(
    stream: &Stream,
    handshake: &mut ClientHandshake,
    bytes: &mut Vec<u8>,
    deadline: Instant,
) -> Result<Established, ClientError> {
    loop {
        if read_more(stream, bytes, deadline).map_err(broken_off)? == 0 {
            return Err(ClientError::EndedInHandshake(None));
        }
        match handshake.receive(bytes) {
            Ok(Some(established)) => return Ok(established),
            Ok(None) => {}
            Err(ClientHandshakeError::NotSwitched(answer)) => {
                return Err(refused(stream, answer, bytes));
            }
            Err(error) => return Err(ClientError::Handshake(error)),
        }
    }
}

/// The HTTP answer, with as much of its body as comes soon.
fn refused(stream: &Stream, answer: HttpAnswer, bytes: &mut Vec<u8>) -> ClientError {
    let wire_bytes_max = answer.head_bytes + BODY_WIRE_BYTES_MAX;
    let deadline = deadline_in(BODY_TIMEOUT);
    let body = loop {
        let body = answer.body(bytes, BODY_START_BYTES_MAX);
        let enough = body.ended
            || body.content.len() == BODY_START_BYTES_MAX
            || bytes.len() >= wire_bytes_max;
        // Whatever ends the reading: what has come is worth more than why no more came.
        if enough || !matches!(read_more(stream, bytes, deadline), Ok(1..)) {
            break body;
        }
    };
    ClientError::Refused(Box::new(HttpRefusal {
        body_start: body.content,
        answer,
    }))
}

/// One read, appended to `bytes`. Returns how many came; 0: the end.
fn read_more(stream: &Stream, bytes: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
    let rest = deadline.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    stream.set_read_timeout(Some(rest))?;
    let mut piece = [0; READ_BYTES];
    let arrived = stream.read(&mut piece)?;
    bytes.extend_from_slice(&piece[..arrived]);
    Ok(arrived)
}

fn broken_off(error: io::Error) -> ClientError {
    if is_timeout(&error) {
        ClientError::TimedOut(Step::OpeningHandshake)
    } else {
        ClientError::EndedInHandshake(Some(error))
    }
}

/// A moment in the future; a timeout beyond the clock's range is a year.
fn deadline_in(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout)
        .unwrap_or_else(|| now + Duration::from_secs(365 * 86_400))
}
