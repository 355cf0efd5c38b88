//! The trait that an application implements.
//!
//! A [`Handler`] sees requests, messages and ended connections. It does not see frames, sockets or the event loop. Several
//! workers call it at once, so its own state is behind `&self`. The chat of this crate and the examples are written on it.

use super::backplane::GapNotice;
use super::cluster::ClusterEvent;
use super::context::Context;
use super::failure::Failure;
use super::history::{Erasure, Position, Replayed, RoomHistory};
use super::lag::{LagPolicy, Missed};
use super::not_published::{NotPublished, Published};
use super::publisher::Publisher;
use super::request::Request;
use super::rooms::NotJoined;
use super::totals::ConnectionTotals;
use super::upgrade::Upgrade;
use crate::http::{InvalidField, Origins, Refusal, RequestHead, Response, Status};
use crate::websocket::frame::CloseCode;
use crate::websocket::handshake::AcceptOptions;
use crate::websocket::{CloseFrame, Ended, Limits, Message, OwnedMessage, Piece};
use std::borrow::Cow;

/// An application on the server.
///
/// `opened`, `message` (or `piece`) and `closed` of one connection are called in this order, on one
/// thread, and `closed` once for each `opened`. They run inside the event loop:
/// a handler that blocks stops every connection of its worker.
///
/// A method that panics ends the connection that it was called for, and no other: the
/// client gets a Close with 1011, or the response 500 if its request was not answered yet.
/// Messages that the method sent and published before the panic stay. `closed` is called all
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
///         // An error means that the connection is closing or the client too slow.
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
    /// The origin has been checked already ([`Config::origins`](super::Config)), and the token, if the server has
    /// any ([`Config::tokens`](super::Config)).
    ///
    /// # Errors
    /// The refusal is sent to the client, and TCP is closed.
    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Self::Session>, Refusal>;

    /// The connection is open. The response 101 is queued for the client.
    fn opened(&self, session: &mut Self::Session, context: &mut Context<'_>) {
        let _ = (session, context);
    }

    /// A whole message has come. It borrows the worker's read buffer. Not called for a
    /// connection that was admitted [in pieces](Admission::pieces).
    fn message(&self, session: &mut Self::Session, message: Message<'_>, context: &mut Context<'_>);

    /// A piece of a message has come, on a connection that was admitted
    /// [in pieces](Admission::pieces). It borrows the worker's read buffer. Default: nothing
    /// is done with it.
    ///
    /// [`Piece::is_last`] tells that the message is whole. If the connection ends before, or
    /// the client breaks a rule in the middle of the message, `closed` follows and no last
    /// piece.
    fn piece(&self, session: &mut Self::Session, piece: &Piece<'_>, context: &mut Context<'_>) {
        let _ = (session, piece, context);
    }

    /// Nothing waits for this client alone any more: the kernel has taken the write queue. Called once after each
    /// [`Context::notify_when_drained`], at most once in a turn of the worker, and not for a connection that is closing.
    ///
    /// So a message of any length is sent with the memory of one fragment, as fast as the client takes it:
    ///
    /// ```
    /// use yamabiko::server::{Admission, Context, Fragment, Handler, Message, Refusal, Upgrade};
    ///
    /// /// Sends as many bytes as a text asks for, in one message.
    /// struct Downloads;
    ///
    /// impl Handler for Downloads {
    ///     /// The bytes of the message under way that are still to be sent.
    ///     type Session = u64;
    ///
    ///     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<u64>, Refusal> {
    ///         Ok(Admission::new(0))
    ///     }
    ///
    ///     fn message(&self, rest: &mut u64, message: Message<'_>, context: &mut Context<'_>) {
    ///         let Some(bytes) = message.as_text().and_then(|text| text.parse::<u64>().ok()) else {
    ///             return;
    ///         };
    ///         let is_idle = *rest == 0;
    ///         *rest += bytes;
    ///         if is_idle {
    ///             self.drained(rest, context);
    ///         }
    ///     }
    ///
    ///     fn drained(&self, rest: &mut u64, context: &mut Context<'_>) {
    ///         if *rest == 0 {
    ///             return;
    ///         }
    ///         // A file would be read here.
    ///         let bytes = vec![7; (*rest).min(64 << 10) as usize];
    ///         *rest -= bytes.len() as u64;
    ///         let fragment = Fragment::binary(&bytes);
    ///         let fragment = match *rest {
    ///             0 => fragment.last(),
    ///             _ => fragment,
    ///         };
    ///         // An error means that the connection is closing.
    ///         let _ = context.send_fragment(fragment);
    ///         context.notify_when_drained();
    ///     }
    /// }
    /// ```
    fn drained(&self, session: &mut Self::Session, context: &mut Context<'_>) {
        let _ = (session, context);
    }

    /// A timer that [`Context::set_timer`] has set is due. Not called for a connection that is closing. Default: nothing is done.
    fn timer(&self, session: &mut Self::Session, number: u32, context: &mut Context<'_>) {
        let _ = (session, number, context);
    }

    /// The connection has ended. Its subscriptions have ended already. The context can
    /// still publish, but no longer send.
    ///
    /// If a connection fails ([`Closed::failure`]), `closed` is called immediately. The server
    /// sends a Close and does not wait for the answer. A connection that
    /// [`Context::close`] or a stopping server closes loses its subscriptions at once. It has
    /// ended when the client has answered, or [`Config::close_timeout`](super::Config) later.
    fn closed(&self, session: Self::Session, closed: &Closed<'_>, context: &mut Context<'_>) {
        let _ = (session, closed, context);
    }

    /// Called when the client fell too far behind and messages were skipped, in a room whose
    /// [`LagPolicy`] allows that. A message sent from here is delivered at the position of the gap.
    fn missed(
        &self,
        session: &mut Self::Session,
        room: &str,
        missed: Missed,
        context: &mut Context<'_>,
    ) {
        let _ = (session, room, missed, context);
    }

    /// The server closes a connection for a reason of its own: it stops, the client is too slow, or something has not come in time.
    /// `close` is what the client would get; `failure` is the reason, if it is one. For protocols with codes of their own: the
    /// frame that is returned is sent instead. Default, `None`: no other.
    ///
    /// Not called for a client that breaks a rule of WebSocket, and after a panic in the handler.
    fn server_closes(
        &self,
        session: &Self::Session,
        close: &CloseFrame<'_>,
        failure: Option<&Failure>,
    ) -> Option<CloseFrame<'static>> {
        let _ = (session, close, failure);
        None
    }

    /// All messages in front of a mark have come to this worker: those that had a place in the room's order when
    /// [`Context::mark_order`] was called with this number. Marks of one room are reached in their order. Not called for a
    /// connection that is closing. Default: nothing is done.
    fn order_reached(
        &self,
        session: &mut Self::Session,
        room: &str,
        number: u64,
        context: &mut Context<'_>,
    ) {
        let _ = (session, room, number, context);
    }

    /// The subscription that [`Context::join_from`] has asked for has begun, or could not begin. Messages that are sent from here
    /// come before all messages of the room. Not called for a connection that is closing. Default: nothing is done.
    fn joined(
        &self,
        session: &mut Self::Session,
        room: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
        let _ = (session, room, joined, context);
    }

    /// What has become of a message that this connection has published. Called for each
    /// [`Context::publish_acknowledged`], with its number. Called without a number for a message that was published another way to a room
    /// of the [backplane](super::Backplane), and that was not published. Not called for a connection that is closing.
    ///
    /// Default: a client whose message without a number was not published gets a Close with 1013 and the reason, so that no message is lost
    /// silently.
    fn published(
        &self,
        session: &mut Self::Session,
        room: &str,
        number: Option<u64>,
        published: Result<Published, NotPublished>,
        context: &mut Context<'_>,
    ) {
        let _ = (session, room);
        if let (None, Err(error)) = (number, published) {
            context.close((CloseCode::TRY_AGAIN_LATER, error.to_string().as_str()));
        }
    }

    /// Whether a room is one of the [backplane](super::Backplane), if there is one ([`Config::backplane`](super::Config)). It must always
    /// return the same for a room, on all nodes. Default: each room is.
    ///
    /// [`Context::publish_ordered`] and [`Context::mark_order`] order rooms of this server only: messages of a room of the backplane have
    /// their order from the engine.
    fn shares(&self, room: &str) -> bool {
        let _ = room;
        true
    }

    /// Messages of a room of the [backplane](super::Backplane) are missing in front of this place: the engine has lost them, or has forgotten
    /// them while this node could not reach it. Called once on this node; what is returned is for all subscribers of the room here, at
    /// the place of the gap. A message tells a client from which position it goes on, as [`Replayed`] does.
    ///
    /// Default: [`GapNotice::Disconnect`].
    fn gap(&self, room: &str, position: Position) -> GapNotice {
        let _ = (room, position);
        GapNotice::Disconnect
    }

    /// How much of its messages a room keeps, for subscribers that come later or come back ([`Context::join_from`]). Called on each
    /// worker when the room is used there for the first time, if [`Config::history`](super::Config) is set. It must always return
    /// the same for a room. Default, `None`: the room has no history.
    ///
    /// Every message that is published to a room with history is kept, whoever publishes it, and gets the next offset. A message
    /// that is not to be kept is published to another room.
    fn history(&self, room: &str) -> Option<RoomHistory> {
        let _ = room;
        None
    }

    /// Returns a message of a room with history with its position in it, for clients that name it when they come back. Called once
    /// for each message, on the worker that owns the room, in the room's order. Default, `None`: the message is published
    /// unchanged, and a client counts: it begins at [`Replayed::position`], and each message of the room adds one.
    ///
    /// A panic counts as `None`.
    fn numbered(
        &self,
        room: &str,
        position: Position,
        message: Message<'_>,
    ) -> Option<OwnedMessage> {
        let _ = (room, position, message);
        None
    }

    /// Whether a message that is published to a room with [history](Handler::history) takes an earlier one out of it, for example because a
    /// moderator has deleted it. Called on the worker that puts the message in order, before it has its place, and with a
    /// [backplane](super::Backplane) also when the message comes back or is loaded. Default: it does not.
    ///
    /// The earlier message keeps its offset, and its text is gone: from the memory of all workers, and from where the backplane keeps it, if
    /// that can ([`BackplaneMessage::erases`](super::BackplaneMessage::erases)). Subscribers that come later or come back get
    /// [`Erasure::instead`], as [`numbered`](Handler::numbered) writes it, filled up with spaces to the same length. If a
    /// subscriber has got a part of the message, or the text is longer than the message in any of its encodings, the room forgets
    /// it and all messages in front of it instead ([`Gap::Forgotten`](super::Gap::Forgotten)). A message that the room does not keep is left alone.
    ///
    /// A panic counts as `None`. Cost: this call for each message of such a room.
    fn erases(&self, room: &str, message: Message<'_>) -> Option<Erasure> {
        let _ = (room, message);
        None
    }

    /// The origins whose pages may connect by this request, for paths that need another policy than the rest of the server.
    /// Called before [`Handler::admit`]. Default, `None`: [`Config::origins`](super::Config).
    fn origins(&self, request: &RequestHead<'_>) -> Option<Origins> {
        let _ = request;
        None
    }

    /// The lag policy of a room: what happens to its slow subscribers. Called on each worker
    /// when the room gets its first subscriber there. Default, `None`:
    /// [`Config::lag_policy`](super::Config).
    fn lag_policy(&self, room: &str) -> Option<LagPolicy> {
        let _ = room;
        None
    }

    /// The server is bound and does not run yet. Called once, before all other methods. `publisher` publishes from any thread: from
    /// [`Handler::http`], which has no [`Context`], and from threads of the application. Default: nothing is done with it.
    fn bound(&self, publisher: Publisher) {
        let _ = publisher;
    }

    /// Something has changed in the [`Cluster`](super::Cluster) of this server: a node holds or releases an entry, or has sent a message. Called
    /// on a thread of the engine, for one event after the other, in the same order on all nodes; while it runs, nothing else comes from the
    /// engine. What it publishes goes by [`Publisher::insisting`](super::Publisher::insisting). Default: nothing is done.
    fn cluster_event(&self, event: &ClusterEvent) {
        let _ = event;
    }

    /// The head of a plain HTTP request has come, and a body follows: a chance to refuse the request before its body, for instance one without
    /// a valid token. [`Request::body`] is empty. Not called for a request without a body, which comes to [`Handler::http`] at once. Default:
    /// the body is read.
    ///
    /// A client that waits for 100 (Continue) gets it only if the request is not refused here. What is accepted here can still be refused by
    /// [`Handler::http`].
    ///
    /// # Errors
    /// The refusal is sent to the client, and TCP is closed. What the client sends of the body meanwhile is discarded.
    fn http_head(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let _ = request;
        Ok(())
    }

    /// A plain HTTP request on the same port: any method but CONNECT, with its whole body
    /// ([`Config::http`](super::Config) bounds it). Default: 404.
    ///
    /// The server writes the response as the request demands: HEAD without the body, with Date,
    /// and with `Connection: close` if the client or the limits want the connection to end.
    fn http(&self, request: &Request<'_>) -> Response {
        let _ = request;
        Refusal::new(Status::NotFound, "there is nothing here").to_response()
    }

    /// A plain HTTP request without a body, on a connection beyond a limit: of connections, descriptors or memory. The response is
    /// the last one on its connection. For requests that must be answered under any load, as those of a monitoring system.
    /// Default, `None`: 503 with `Retry-After`, as for all other requests.
    fn http_when_full(&self, request: &Request<'_>) -> Option<Response> {
        let _ = request;
        None
    }
}

/// How [`Handler::admit`] admits a client.
#[derive(Debug)]
pub struct Admission<S> {
    session: S,
    subprotocol: Option<&'static str>,
    options: AcceptOptions<'static>,
    pieces: Option<Limits>,
}

impl<S> Admission<S> {
    /// Admits the client with this session state and no subprotocol.
    pub fn new(session: S) -> Admission<S> {
        Admission {
            session,
            subprotocol: None,
            options: AcceptOptions::default(),
            pieces: None,
        }
    }

    /// Chooses the subprotocol: one that the client has offered, as
    /// [`choose_subprotocol`](crate::websocket::handshake::Upgrade::choose_subprotocol) returns it. Any other is refused with 500.
    pub fn subprotocol(mut self, subprotocol: Option<&'static str>) -> Admission<S> {
        self.subprotocol = subprotocol;
        self
    }

    /// Adds a field to the response 101, for instance a cookie.
    ///
    /// ```
    /// use yamabiko::server::Admission;
    ///
    /// let admission = Admission::new(()).field("Set-Cookie", "session=51d2; HttpOnly")?;
    /// # drop(admission);
    /// # Ok::<(), yamabiko::server::InvalidField>(())
    /// ```
    ///
    /// # Errors
    /// As [`AcceptOptions::field`].
    pub fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Admission<S>, InvalidField> {
        self.options = self.options.field(name, value)?;
        Ok(self)
    }

    /// Receives this client's messages in pieces, as they come: [`Handler::piece`] is called
    /// instead of [`Handler::message`]. For messages that are longer than what is to be
    /// held, such as uploads: only the worker's read buffer of 64 KiB is, and the
    /// decompressor of a compressed message.
    ///
    /// `limits` replace [`Config::limits`](super::Config) for this connection. They bound
    /// the length of a message and not the memory, so they may be as high as a message may
    /// be.
    ///
    /// ```
    /// use yamabiko::server::{Admission, Context, Handler, Limits, Message, Piece, Refusal, Upgrade};
    ///
    /// /// Counts the bytes of each upload.
    /// struct Uploads;
    ///
    /// impl Handler for Uploads {
    ///     type Session = usize;
    ///
    ///     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<usize>, Refusal> {
    ///         let limits = Limits {
    ///             message_bytes_max: 4 << 30,
    ///             fragments_max: u32::MAX,
    ///             ..Limits::default()
    ///         };
    ///         Ok(Admission::new(0).pieces(limits))
    ///     }
    ///
    ///     fn piece(&self, bytes: &mut usize, piece: &Piece<'_>, context: &mut Context<'_>) {
    ///         *bytes += piece.as_bytes().len();
    ///         if piece.is_last() {
    ///             let _ = context.send(Message::Text(&format!("{bytes} bytes")));
    ///             *bytes = 0;
    ///         }
    ///     }
    ///
    ///     fn message(&self, _: &mut usize, _: Message<'_>, _: &mut Context<'_>) {}
    /// }
    /// ```
    pub fn pieces(mut self, limits: Limits) -> Admission<S> {
        self.pieces = Some(limits);
        self
    }

    /// The same admission with another session: for a handler that gives some of its paths to a second one.
    pub fn map<T>(self, session: impl FnOnce(S) -> T) -> Admission<T> {
        Admission {
            session: session(self.session),
            subprotocol: self.subprotocol,
            options: self.options,
            pieces: self.pieces,
        }
    }

    pub(super) fn into_parts(self) -> AdmissionParts<S> {
        AdmissionParts {
            session: self.session,
            subprotocol: self.subprotocol,
            options: self.options,
            pieces: self.pieces,
        }
    }
}

/// The parts of an [`Admission`].
pub(super) struct AdmissionParts<S> {
    pub(super) session: S,
    pub(super) subprotocol: Option<&'static str>,
    pub(super) options: AcceptOptions<'static>,
    /// The limits of a connection whose messages are received in pieces.
    pub(super) pieces: Option<Limits>,
}

/// How a connection has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed<'a> {
    /// Which end closed, with what code and reason, and whether cleanly.
    pub ended: Ended,
    /// What went wrong, if the connection did not just close.
    pub failure: Option<&'a Failure>,
    /// What the connection has received and sent, with [`Config::connection_totals`](super::Config).
    pub totals: Option<ConnectionTotals>,
}
