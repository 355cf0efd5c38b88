//! Two applications on one server: the first has some paths and rooms of its own, the second has all others.
//!
//! ```text
//!   request ──▶ Mount::takes? ── yes ──▶ the mounted application ─┐
//!                    └────────── no ───▶ the fallback ────────────┴──▶ its session: each later call of the connection goes there
//! ```
//!
//! Every method of [`Handler`] is passed on here and nowhere else: a test compares this file with the trait. Cost: a comparison of the
//! path for each request, and a branch for each call of a connection.

use super::backplane::GapNotice;
use super::cluster::ClusterEvent;
use super::context::Context;
use super::failure::Failure;
use super::handler::{Admission, Closed, Handler};
use super::history::{Erasure, Position, Replayed, RoomHistory};
use super::lag::{LagPolicy, Missed};
use super::not_published::{NotPublished, Published};
use super::publisher::Publisher;
use super::request::Request;
use super::rooms::NotJoined;
use super::upgrade::Upgrade;
use crate::http::{Origins, Refusal, RequestHead, Response};
use crate::websocket::{CloseFrame, Message, OwnedMessage, Piece};

/// An application that has some paths of a server: see [`WithFallback`].
pub trait Mount: Handler {
    /// Whether a request, for a WebSocket or not, belongs to this application. It must always return the same for a path.
    fn takes(&self, request: &RequestHead<'_>) -> bool;

    /// Whether a room belongs to this application. The two applications share the names of rooms, so they need different ones.
    /// Default: it has none.
    fn takes_room(&self, room: &str) -> bool {
        let _ = room;
        false
    }
}

/// A handler that gives one application the paths and rooms that it [takes](Mount), and all others to a second one.
///
/// ```
/// use yamabiko::server::{
///     Admission, Context, Handler, Message, Mount, Refusal, Request, RequestHead, Response, Status,
///     Upgrade, WithFallback,
/// };
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Session = ();
///
///     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
///         Ok(Admission::new(()))
///     }
///     fn message(&self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
///         let _ = context.send(message);
///     }
/// }
///
/// /// A page at `/about`.
/// struct About;
///
/// impl Handler for About {
///     type Session = ();
///
///     fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
///         Err(Refusal::new(Status::NotFound, "there is no WebSocket here"))
///     }
///     fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
///     fn http(&self, _: &Request<'_>) -> Response {
///         Response::text(Status::Ok, "an echo\n")
///     }
/// }
///
/// impl Mount for About {
///     fn takes(&self, request: &RequestHead<'_>) -> bool {
///         request.path() == "/about"
///     }
/// }
///
/// let handler = WithFallback::new(About, Echo);
/// # drop(handler);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WithFallback<M, F> {
    mounted: M,
    fallback: F,
}

/// What one of the two applications keeps for a connection.
#[derive(Debug)]
pub struct WithFallbackSession<M, F>(Kept<M, F>);

#[derive(Debug)]
enum Kept<M, F> {
    Mounted(M),
    Fallback(F),
}

impl<M: Mount, F: Handler> WithFallback<M, F> {
    /// `fallback`: the application for all paths and rooms that `mounted` does not take.
    pub fn new(mounted: M, fallback: F) -> WithFallback<M, F> {
        WithFallback { mounted, fallback }
    }
}

/// Passes a call on to the application of the session.
macro_rules! pass_on {
    ($self:ident, $kept:expr, $method:ident($($argument:expr),*)) => {
        match $kept {
            Kept::Mounted(session) => $self.mounted.$method(session, $($argument),*),
            Kept::Fallback(session) => $self.fallback.$method(session, $($argument),*),
        }
    };
}

// All methods of the trait are here: `tests/public_api.rs` compares them.
impl<M: Mount, F: Handler> Handler for WithFallback<M, F> {
    type Session = WithFallbackSession<M::Session, F::Session>;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Self::Session>, Refusal> {
        if self.mounted.takes(request.request()) {
            let admission = self.mounted.admit(request)?;
            Ok(admission.map(|session| WithFallbackSession(Kept::Mounted(session))))
        } else {
            let admission = self.fallback.admit(request)?;
            Ok(admission.map(|session| WithFallbackSession(Kept::Fallback(session))))
        }
    }

    fn opened(&self, session: &mut Self::Session, context: &mut Context<'_>) {
        pass_on!(self, &mut session.0, opened(context));
    }

    fn message(
        &self,
        session: &mut Self::Session,
        message: Message<'_>,
        context: &mut Context<'_>,
    ) {
        pass_on!(self, &mut session.0, message(message, context));
    }

    fn piece(&self, session: &mut Self::Session, piece: &Piece<'_>, context: &mut Context<'_>) {
        pass_on!(self, &mut session.0, piece(piece, context));
    }

    fn drained(&self, session: &mut Self::Session, context: &mut Context<'_>) {
        pass_on!(self, &mut session.0, drained(context));
    }

    fn timer(&self, session: &mut Self::Session, number: u32, context: &mut Context<'_>) {
        pass_on!(self, &mut session.0, timer(number, context));
    }

    fn closed(&self, session: Self::Session, closed: &Closed<'_>, context: &mut Context<'_>) {
        pass_on!(self, session.0, closed(closed, context));
    }

    fn missed(
        &self,
        session: &mut Self::Session,
        room: &str,
        missed: Missed,
        context: &mut Context<'_>,
    ) {
        pass_on!(self, &mut session.0, missed(room, missed, context));
    }

    fn server_closes(
        &self,
        session: &Self::Session,
        close: &CloseFrame<'_>,
        failure: Option<&Failure>,
    ) -> Option<CloseFrame<'static>> {
        pass_on!(self, &session.0, server_closes(close, failure))
    }

    fn order_reached(
        &self,
        session: &mut Self::Session,
        room: &str,
        number: u64,
        context: &mut Context<'_>,
    ) {
        pass_on!(self, &mut session.0, order_reached(room, number, context));
    }

    fn joined(
        &self,
        session: &mut Self::Session,
        room: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
        pass_on!(self, &mut session.0, joined(room, joined, context));
    }

    fn published(
        &self,
        session: &mut Self::Session,
        room: &str,
        number: Option<u64>,
        published: Result<Published, NotPublished>,
        context: &mut Context<'_>,
    ) {
        pass_on!(
            self,
            &mut session.0,
            published(room, number, published, context)
        );
    }

    fn shares(&self, room: &str) -> bool {
        match self.mounted.takes_room(room) {
            true => self.mounted.shares(room),
            false => self.fallback.shares(room),
        }
    }

    fn gap(&self, room: &str, position: Position) -> GapNotice {
        match self.mounted.takes_room(room) {
            true => self.mounted.gap(room, position),
            false => self.fallback.gap(room, position),
        }
    }

    fn history(&self, room: &str) -> Option<RoomHistory> {
        match self.mounted.takes_room(room) {
            true => self.mounted.history(room),
            false => self.fallback.history(room),
        }
    }

    fn erases(&self, room: &str, message: Message<'_>) -> Option<Erasure> {
        match self.mounted.takes_room(room) {
            true => self.mounted.erases(room, message),
            false => self.fallback.erases(room, message),
        }
    }

    fn numbered(
        &self,
        room: &str,
        position: Position,
        message: Message<'_>,
    ) -> Option<OwnedMessage> {
        match self.mounted.takes_room(room) {
            true => self.mounted.numbered(room, position, message),
            false => self.fallback.numbered(room, position, message),
        }
    }

    fn origins(&self, request: &RequestHead<'_>) -> Option<Origins> {
        match self.mounted.takes(request) {
            true => self.mounted.origins(request),
            false => self.fallback.origins(request),
        }
    }

    fn lag_policy(&self, room: &str) -> Option<LagPolicy> {
        match self.mounted.takes_room(room) {
            true => self.mounted.lag_policy(room),
            false => self.fallback.lag_policy(room),
        }
    }

    fn bound(&self, publisher: Publisher) {
        self.mounted.bound(publisher.clone());
        self.fallback.bound(publisher);
    }

    fn cluster_event(&self, event: &ClusterEvent) {
        self.mounted.cluster_event(event);
        self.fallback.cluster_event(event);
    }

    fn http_head(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match self.mounted.takes(request.head()) {
            true => self.mounted.http_head(request),
            false => self.fallback.http_head(request),
        }
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match self.mounted.takes(request.head()) {
            true => self.mounted.http(request),
            false => self.fallback.http(request),
        }
    }

    fn http_when_full(&self, request: &Request<'_>) -> Option<Response> {
        match self.mounted.takes(request.head()) {
            true => self.mounted.http_when_full(request),
            false => self.fallback.http_when_full(request),
        }
    }
}
