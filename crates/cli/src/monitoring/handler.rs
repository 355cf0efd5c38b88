//! The application that has the paths of monitoring.

use std::convert::Infallible;

use yamabiko::server::{
    Admission, Context, Handler, Message, Mount, Refusal, Request, RequestHead, Response, Status,
    Upgrade,
};

use super::{Monitoring, MonitoringSettings, Paths, Resource};

/// The paths of monitoring on one server.
#[derive(Clone)]
pub(crate) struct MonitoringPaths {
    monitoring: Monitoring,
    paths: Paths,
}

impl MonitoringPaths {
    /// For the addresses of the server.
    pub(crate) fn new(monitoring: Monitoring, settings: &MonitoringSettings) -> MonitoringPaths {
        MonitoringPaths {
            monitoring,
            paths: Paths::of_server(settings),
        }
    }

    /// For the addresses for operators.
    pub(super) fn for_operators(monitoring: Monitoring) -> MonitoringPaths {
        MonitoringPaths {
            monitoring,
            paths: Paths::FOR_OPERATORS,
        }
    }

    fn respond(&self, request: &Request<'_>, is_full: bool) -> Response {
        match self.resource(request.head()) {
            Some(resource) => self.monitoring.respond(request, resource, is_full),
            None => Refusal::new(Status::NotFound, "there is nothing here").to_response(),
        }
    }

    fn resource(&self, request: &RequestHead<'_>) -> Option<Resource> {
        Resource::of(request).filter(|resource| self.paths.have(*resource))
    }
}

impl Handler for MonitoringPaths {
    /// There is no WebSocket on these paths.
    type Session = Infallible;

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<Infallible>, Refusal> {
        Err(Refusal::new(
            Status::NotFound,
            "there is no WebSocket on this address",
        ))
    }

    fn message(&self, session: &mut Infallible, _: Message<'_>, _: &mut Context<'_>) {
        match *session {}
    }

    fn http(&self, request: &Request<'_>) -> Response {
        self.respond(request, false)
    }

    fn http_when_full(&self, request: &Request<'_>) -> Option<Response> {
        Some(self.respond(request, true))
    }
}

impl Mount for MonitoringPaths {
    /// A WebSocket may have these paths: it belongs to the other application.
    fn takes(&self, request: &RequestHead<'_>) -> bool {
        !request.wants_websocket() && self.resource(request).is_some()
    }
}
