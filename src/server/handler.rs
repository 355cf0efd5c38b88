//! What an application is: decisions about connections and messages.
//!
//! A [`Handler`] sees requests, messages and endings. It never sees frames,
//! sockets or the event loop, and it is called by several workers at once, so
//! its own state is behind `&self`. The chat of this crate is written on it, and
//! so are the examples.

use super::context::Context;
use super::slow::{Missed, SlowReaders};
use crate::websocket::handshake::{Refusal, RequestHead, Response, Status, Upgrade};
use crate::websocket::{Message, ProtocolError};
use std::io;

/// An application on the server.
///
/// `opened`, `message` and `closed` of one connection come in this order, on one
/// thread, and `closed` once for each `opened`. They run inside the event loop:
/// a handler that blocks stops every connection of its worker.
///
/// A method that panics ends the connection that it was called for, and no other: the
/// client gets a Close with 1011, or the response 500 if its request was not answered yet.
/// What the method has sent and published before the panic stays. `closed` is called all
/// the same, with the session as the panic left it, so that the application can free what
/// the connection held. The panic is counted ([`Metrics::panics`](super::Metrics)) and
/// reported to [`Config::on_failure`](super::Config). In a program that is compiled with
/// `panic = "abort"` none of this holds.
///
/// ```no_run
/// use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Session = ();
///
///     fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
///         Ok(Admission::new(()))
///     }
///
///     fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
///         // An error means that the connection is closing or its peer too slow.
///         let _ = context.send(message);
///     }
/// }
///
/// Server::bind(Config::default(), Echo)?.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Handler: Send + Sync + 'static {
    /// What the application keeps for each connection.
    type Session: Send;

    /// Admits a correct upgrade request, or refuses it with an HTTP status.
    /// The origin has been checked already ([`Config::origins`](super::Config)).
    ///
    /// # Errors
    /// The refusal is sent to the client, and TCP is closed.
    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Self::Session>, Refusal>;

    /// The connection is open; its answer is on the way to the client.
    fn opened(&self, session: &mut Self::Session, context: &mut Context<'_>) {
        let _ = (session, context);
    }

    /// A whole message has come. It is borrowed from the worker's read buffer.
    fn message(&self, session: &mut Self::Session, message: Message<'_>, context: &mut Context<'_>);

    /// The connection has ended. It has left its rooms already; the context can
    /// still publish, and no longer send.
    ///
    /// A connection that failed ([`Closed::failure`]) has ended when that is decided: the
    /// client gets a Close, and its answer is not waited for. One that
    /// [`Context::close`] or a stopping server closes has left its rooms at once, and has
    /// ended when the client has answered, or [`Config::close_timeout`](super::Config)
    /// later.
    fn closed(&self, session: Self::Session, closed: &Closed<'_>, context: &mut Context<'_>) {
        let _ = (session, closed, context);
    }

    /// The client was too slow for a room whose policy lets it skip, and has
    /// missed this much. What is sent from here comes where the gap is.
    fn missed(
        &self,
        session: &mut Self::Session,
        room: &str,
        missed: Missed,
        context: &mut Context<'_>,
    ) {
        let _ = (session, room, missed, context);
    }

    /// What this room does with slow readers; asked on each worker when its
    /// first member there joins. Default, `None`: as
    /// [`Config::slow_readers`](super::Config) says.
    fn slow_readers(&self, room: &str) -> Option<SlowReaders> {
        let _ = room;
        None
    }

    /// A plain HTTP request, GET or HEAD, on the same port. Default: 404.
    fn http(&self, request: &RequestHead<'_>) -> Response {
        let _ = request;
        Refusal::new(Status::NotFound, "there is nothing here").to_response()
    }
}

/// What [`Handler::admit`] gives a client that it lets in.
#[derive(Debug)]
pub struct Admission<S> {
    pub(super) session: S,
    pub(super) subprotocol: Option<&'static str>,
}

impl<S> Admission<S> {
    /// Lets the client in with this session state and no subprotocol.
    pub fn new(session: S) -> Admission<S> {
        Admission {
            session,
            subprotocol: None,
        }
    }

    /// Names the subprotocol to speak: one that the client has offered, as
    /// [`Upgrade::choose_subprotocol`] gives it. Another one is not sent.
    pub fn subprotocol(mut self, subprotocol: Option<&'static str>) -> Admission<S> {
        self.subprotocol = subprotocol;
        self
    }
}

/// How a connection has ended (RFC 6455 §7.1.4 to §7.1.6).
#[derive(Debug)]
pub struct Closed<'a> {
    /// Whether the closing handshake was completed.
    pub clean: bool,
    /// The code of the client's Close; 1005 without a code, 1006 without a Close.
    pub code: u16,
    /// The client's words, or none.
    pub reason: &'a str,
    /// What went wrong, if the connection did not just close.
    pub failure: Option<&'a Failure>,
}

/// Why a connection was ended before its time.
#[derive(Debug)]
pub enum Failure {
    /// The client broke a rule; it was told so in a Close.
    Protocol(ProtocolError),
    /// After a ping nothing came from the client for all of
    /// [`Config::pong_timeout`](super::Config).
    PongTimeout,
    /// Our Close was not answered in [`Config::close_timeout`](super::Config),
    /// or when the server stops in `drain_timeout`, or 64 MiB of something else came.
    CloseTimeout,
    /// The client read too slowly, over the bounds of
    /// [`SlowReaders`](super::SlowReaders).
    TooSlow {
        /// How many bytes of its rooms it was behind.
        bytes: u64,
    },
    /// TCP ended without a Close.
    EndOfInput,
    /// TCP failed.
    Transport(io::Error),
    /// A method of the [`Handler`] has panicked.
    Panicked {
        /// The text of the panic. The client is not told.
        message: String,
    },
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Protocol(error) => error.fmt(f),
            Failure::PongTimeout => f.write_str("no pong came in time"),
            Failure::CloseTimeout => f.write_str("the closing handshake was not answered in time"),
            Failure::TooSlow { bytes } => write!(f, "too slow: {bytes} bytes behind"),
            Failure::EndOfInput => f.write_str("TCP ended without a Close"),
            Failure::Transport(error) => error.fmt(f),
            Failure::Panicked { message } => write!(f, "a handler has panicked: {message}"),
        }
    }
}
