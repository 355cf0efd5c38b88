//! A handler around the application's own: it answers the paths of monitoring, and passes all else on.

use yamabiko::server::{
    Admission, CloseFrame, Closed, Context, Failure, Handler, LagPolicy, Message, Missed,
    NotJoined, Origins, OwnedMessage, Piece, Position, Publisher, Refusal, Replayed, Request,
    RequestHead, Response, RoomHistory, Upgrade,
};

use super::{Monitoring, MonitoringSettings, Paths};

/// An application, with the paths of monitoring in front of its own.
pub(crate) struct Monitored<H> {
    application: H,
    monitoring: Monitoring,
    paths: Paths,
}

impl<H> Monitored<H> {
    /// Where there are addresses for operators, the version and the metrics are there alone.
    pub(crate) fn new(
        application: H,
        monitoring: Monitoring,
        settings: &MonitoringSettings,
    ) -> Monitored<H> {
        let is_alone = settings.admin_listen.is_empty();
        Monitored {
            application,
            monitoring,
            paths: Paths {
                version: is_alone,
                metrics: is_alone && settings.metrics,
            },
        }
    }
    /// With the version and the metrics, too.
    pub(super) fn with_all_paths(application: H, monitoring: Monitoring) -> Monitored<H> {
        Monitored {
            application,
            monitoring,
            paths: Paths {
                version: true,
                metrics: true,
            },
        }
    }
}

// All methods of the trait are here: `tests/public_api.rs` compares them.
impl<H: Handler> Handler for Monitored<H> {
    type Session = H::Session;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<H::Session>, Refusal> {
        self.application.admit(request)
    }

    fn opened(&self, session: &mut H::Session, context: &mut Context<'_>) {
        self.application.opened(session, context);
    }

    fn message(&self, session: &mut H::Session, message: Message<'_>, context: &mut Context<'_>) {
        self.application.message(session, message, context);
    }

    fn piece(&self, session: &mut H::Session, piece: &Piece<'_>, context: &mut Context<'_>) {
        self.application.piece(session, piece, context);
    }

    fn drained(&self, session: &mut H::Session, context: &mut Context<'_>) {
        self.application.drained(session, context);
    }

    fn closed(&self, session: H::Session, closed: &Closed<'_>, context: &mut Context<'_>) {
        self.application.closed(session, closed, context);
    }

    fn missed(
        &self,
        session: &mut H::Session,
        room: &str,
        missed: Missed,
        context: &mut Context<'_>,
    ) {
        self.application.missed(session, room, missed, context);
    }

    fn server_closes(
        &self,
        session: &H::Session,
        close: &CloseFrame<'_>,
        failure: Option<&Failure>,
    ) -> Option<CloseFrame<'static>> {
        self.application.server_closes(session, close, failure)
    }

    fn timer(&self, session: &mut H::Session, number: u32, context: &mut Context<'_>) {
        self.application.timer(session, number, context);
    }

    fn order_reached(
        &self,
        session: &mut H::Session,
        room: &str,
        number: u64,
        context: &mut Context<'_>,
    ) {
        self.application
            .order_reached(session, room, number, context);
    }

    fn joined(
        &self,
        session: &mut H::Session,
        room: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
        self.application.joined(session, room, joined, context);
    }

    fn history(&self, room: &str) -> Option<RoomHistory> {
        self.application.history(room)
    }

    fn numbered(
        &self,
        room: &str,
        position: Position,
        message: Message<'_>,
    ) -> Option<OwnedMessage> {
        self.application.numbered(room, position, message)
    }

    fn origins(&self, request: &RequestHead<'_>) -> Option<Origins> {
        self.application.origins(request)
    }

    fn lag_policy(&self, room: &str) -> Option<LagPolicy> {
        self.application.lag_policy(room)
    }

    fn bound(&self, publisher: Publisher) {
        self.application.bound(publisher);
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match self.monitoring.respond(request, self.paths, false) {
            Some(response) => response,
            None => self.application.http(request),
        }
    }

    fn http_when_full(&self, request: &Request<'_>) -> Option<Response> {
        let response = self.monitoring.respond(request, self.paths, true);
        response.or_else(|| self.application.http_when_full(request))
    }
}
