//! Pusher's paths, and another application for all other paths, on one server.

use yamabiko::server::{
    Admission, CloseFrame, Closed, Context, Failure, Handler, LagPolicy, Message, Missed,
    NotJoined, Origins, OwnedMessage, Piece, Position, Publisher, Refusal, Replayed, Request,
    RequestHead, Response, RoomHistory, Upgrade,
};

use crate::handler::{Pusher, Session};

/// A handler that gives [`Pusher`] its paths, and all other paths to a fallback: another application.
///
/// ```
/// use yamabiko::server::{Admission, Context, Handler, Message, Refusal, Upgrade};
/// use yamabiko_pusher::{WithFallback, Pusher};
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
/// let pusher = Pusher::new(["1:app-key:app-secret".parse()?])?;
/// let handler = WithFallback::new(pusher, Echo);
/// # drop(handler);
/// # Ok::<(), yamabiko_pusher::InvalidApp>(())
/// ```
#[derive(Debug)]
pub struct WithFallback<H> {
    pusher: Pusher,
    fallback: H,
}

/// What one of the two applications keeps for a connection.
#[derive(Debug)]
pub enum WithFallbackSession<S> {
    /// [`Pusher`].
    Pusher(Session),
    /// The fallback.
    Fallback(S),
}

impl<H> WithFallback<H> {
    /// `fallback`: the application for all paths that are not Pusher's.
    pub fn new(pusher: Pusher, fallback: H) -> WithFallback<H> {
        WithFallback { pusher, fallback }
    }
}

// All methods of the trait are here: `tests/public_api.rs` compares them.
impl<H: Handler> Handler for WithFallback<H> {
    type Session = WithFallbackSession<H::Session>;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Self::Session>, Refusal> {
        match Pusher::has_path(request.path()) {
            true => Ok(self.pusher.admit(request)?.map(WithFallbackSession::Pusher)),
            false => Ok(self
                .fallback
                .admit(request)?
                .map(WithFallbackSession::Fallback)),
        }
    }

    fn opened(&self, session: &mut Self::Session, context: &mut Context<'_>) {
        match session {
            WithFallbackSession::Pusher(session) => self.pusher.opened(session, context),
            WithFallbackSession::Fallback(session) => self.fallback.opened(session, context),
        }
    }

    fn message(
        &self,
        session: &mut Self::Session,
        message: Message<'_>,
        context: &mut Context<'_>,
    ) {
        match session {
            WithFallbackSession::Pusher(session) => self.pusher.message(session, message, context),
            WithFallbackSession::Fallback(session) => {
                self.fallback.message(session, message, context)
            }
        }
    }

    fn piece(&self, session: &mut Self::Session, piece: &Piece<'_>, context: &mut Context<'_>) {
        match session {
            WithFallbackSession::Pusher(session) => self.pusher.piece(session, piece, context),
            WithFallbackSession::Fallback(session) => self.fallback.piece(session, piece, context),
        }
    }

    fn drained(&self, session: &mut Self::Session, context: &mut Context<'_>) {
        match session {
            WithFallbackSession::Pusher(session) => self.pusher.drained(session, context),
            WithFallbackSession::Fallback(session) => self.fallback.drained(session, context),
        }
    }

    fn closed(&self, session: Self::Session, closed: &Closed<'_>, context: &mut Context<'_>) {
        match session {
            WithFallbackSession::Pusher(session) => self.pusher.closed(session, closed, context),
            WithFallbackSession::Fallback(session) => {
                self.fallback.closed(session, closed, context)
            }
        }
    }

    fn missed(
        &self,
        session: &mut Self::Session,
        room: &str,
        missed: Missed,
        context: &mut Context<'_>,
    ) {
        match session {
            WithFallbackSession::Pusher(session) => {
                self.pusher.missed(session, room, missed, context)
            }
            WithFallbackSession::Fallback(session) => {
                self.fallback.missed(session, room, missed, context)
            }
        }
    }

    fn server_closes(
        &self,
        session: &Self::Session,
        close: &CloseFrame<'_>,
        failure: Option<&Failure>,
    ) -> Option<CloseFrame<'static>> {
        match session {
            WithFallbackSession::Pusher(session) => {
                self.pusher.server_closes(session, close, failure)
            }
            WithFallbackSession::Fallback(session) => {
                self.fallback.server_closes(session, close, failure)
            }
        }
    }

    fn timer(&self, session: &mut Self::Session, number: u32, context: &mut Context<'_>) {
        match session {
            WithFallbackSession::Pusher(session) => self.pusher.timer(session, number, context),
            WithFallbackSession::Fallback(session) => {
                self.fallback.timer(session, number, context);
            }
        }
    }

    fn order_reached(
        &self,
        session: &mut Self::Session,
        room: &str,
        number: u64,
        context: &mut Context<'_>,
    ) {
        match session {
            WithFallbackSession::Pusher(session) => {
                self.pusher.order_reached(session, room, number, context);
            }
            WithFallbackSession::Fallback(session) => {
                self.fallback.order_reached(session, room, number, context);
            }
        }
    }

    fn joined(
        &self,
        session: &mut Self::Session,
        room: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
        match session {
            WithFallbackSession::Pusher(session) => {
                self.pusher.joined(session, room, joined, context)
            }
            WithFallbackSession::Fallback(session) => {
                self.fallback.joined(session, room, joined, context)
            }
        }
    }

    fn history(&self, room: &str) -> Option<RoomHistory> {
        match Pusher::has_path(room) {
            true => self.pusher.history(room),
            false => self.fallback.history(room),
        }
    }

    fn numbered(
        &self,
        room: &str,
        position: Position,
        message: Message<'_>,
    ) -> Option<OwnedMessage> {
        match Pusher::has_path(room) {
            true => self.pusher.numbered(room, position, message),
            false => self.fallback.numbered(room, position, message),
        }
    }

    fn origins(&self, request: &RequestHead<'_>) -> Option<Origins> {
        match Pusher::has_path(request.path()) {
            true => self.pusher.origins(request),
            false => self.fallback.origins(request),
        }
    }

    fn lag_policy(&self, room: &str) -> Option<LagPolicy> {
        match Pusher::has_path(room) {
            true => self.pusher.lag_policy(room),
            false => self.fallback.lag_policy(room),
        }
    }

    fn bound(&self, publisher: Publisher) {
        self.pusher.bound(publisher.clone());
        self.fallback.bound(publisher);
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match Pusher::has_path(request.path()) {
            true => self.pusher.http(request),
            false => self.fallback.http(request),
        }
    }

    fn http_when_full(&self, request: &Request<'_>) -> Option<Response> {
        match Pusher::has_path(request.path()) {
            true => self.pusher.http_when_full(request),
            false => self.fallback.http_when_full(request),
        }
    }
}
