//! The paths that load balancers and monitoring systems ask for, on every server of the program.
//!
//! | path | response |
//! |---|---|
//! | `/health` | 200 and `ok`: the process answers. Also from a full server |
//! | `/ready` | 200 and `ready`, or 503 and the reason: the server stops, or it is full |
//! | `/version` | 200 and `{"name":"yamabiko","version":"0.1.0"}` |
//!
//! [`Monitored`] is a handler around the application's own. It answers these paths, and passes all else on. Paths are compared after
//! percent-decoding. A full server answers them, too ([`Handler::http_when_full`]).
//!
//! `/ready` is 503 as soon as [`ServerHandle::is_ready`] is false: [`ServerHandle::set_ready`] and [`ServerHandle::shutdown`] do that.

use std::sync::{Arc, OnceLock};

use yamabiko::server::{
    Admission, Closed, Context, Handler, LagPolicy, Message, Missed, Piece, Publisher, Refusal,
    Request, Response, ServerHandle, Status, Upgrade,
};

/// An application, with the paths of monitoring in front of its own.
pub(crate) struct Monitored<H> {
    application: H,
    monitoring: Monitoring,
}

/// What the paths tell. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Monitoring {
    /// Set when the server is bound, before it answers the first request.
    server: Arc<OnceLock<ServerHandle>>,
}

/// A resource of monitoring.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Resource {
    Health,
    Ready,
    Version,
}

impl Monitoring {
    /// Answers for this server from now on.
    pub(crate) fn watch(&self, server: ServerHandle) {
        // A second server would need paths of its own.
        let _ = self.server.set(server);
    }

    /// `None`: the path is none of monitoring.
    fn respond(&self, request: &Request<'_>, is_full: bool) -> Option<Response> {
        let resource = Resource::of(request)?;
        let response = match request.method() {
            "GET" | "HEAD" => self.resource(resource, is_full),
            "OPTIONS" => Response::new(Status::NoContent).field("Allow", METHODS),
            _ => Refusal::new(Status::MethodNotAllowed, METHODS_HERE)
                .to_response()
                .field("Allow", METHODS),
        };
        let response = response.and_then(|response| response.field("Cache-Control", "no-store"));
        Some(response.unwrap_or_else(|_| Response::new(Status::InternalServerError)))
    }

    fn resource(
        &self,
        resource: Resource,
        is_full: bool,
    ) -> Result<Response, yamabiko::server::InvalidField> {
        let is_ready = self.server.get().is_some_and(ServerHandle::is_ready);
        Ok(match resource {
            Resource::Health => Response::text(Status::Ok, "ok\n"),
            Resource::Version => Response::json(Status::Ok, VERSION),
            Resource::Ready if !is_ready => unready("stopping\n"),
            Resource::Ready if is_full => unready("full\n"),
            Resource::Ready => Response::text(Status::Ok, "ready\n"),
        })
    }
}

impl Resource {
    fn of(request: &Request<'_>) -> Option<Resource> {
        let mut segments = request.path_segments();
        let (first, None) = (segments.next()?, segments.next()) else {
            return None;
        };
        match &*first {
            "health" => Some(Resource::Health),
            "ready" => Some(Resource::Ready),
            "version" => Some(Resource::Version),
            _ => None,
        }
    }
}

fn unready(reason: &'static str) -> Response {
    Response::text(Status::ServiceUnavailable, reason)
}

const METHODS: &str = "GET, HEAD, OPTIONS";

const METHODS_HERE: &str = "the methods of this path are GET, HEAD, OPTIONS";

const VERSION: &str = concat!(
    "{\"name\":\"yamabiko\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\"}\n"
);

impl<H> Monitored<H> {
    pub(crate) fn new(application: H, monitoring: Monitoring) -> Monitored<H> {
        Monitored {
            application,
            monitoring,
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

    fn lag_policy(&self, room: &str) -> Option<LagPolicy> {
        self.application.lag_policy(room)
    }

    fn bound(&self, publisher: Publisher) {
        self.application.bound(publisher);
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match self.monitoring.respond(request, false) {
            Some(response) => response,
            None => self.application.http(request),
        }
    }

    fn http_when_full(&self, request: &Request<'_>) -> Option<Response> {
        let response = self.monitoring.respond(request, true);
        response.or_else(|| self.application.http_when_full(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yamabiko::http::{HttpVersion, OwnedRequest};
    use yamabiko::server::{Config, Server};

    struct Nothing;

    impl Handler for Nothing {
        type Session = ();

        fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
            Ok(Admission::new(()))
        }

        fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    }

    /// A monitored server that does not run.
    fn server() -> (Monitored<Nothing>, ServerHandle) {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let config = Config {
            listen,
            ..Config::default()
        };
        let server = Server::bind(config, Nothing).expect("a server");
        let monitoring = Monitoring::default();
        monitoring.watch(server.handle());
        (Monitored::new(Nothing, monitoring), server.handle())
    }

    /// The status and the text of the response.
    fn ask(monitored: &Monitored<Nothing>, method: &str, path: &str) -> (u16, String) {
        ask_when(monitored, method, path, false)
    }

    fn ask_when(
        monitored: &Monitored<Nothing>,
        method: &str,
        path: &str,
        is_full: bool,
    ) -> (u16, String) {
        let fields = [("host", &b"localhost"[..])];
        let request = OwnedRequest::new(method, path, HttpVersion::Http11, fields);
        let request = request.expect("a request");
        let head = request.head().expect("a head");
        let request = Request::new(head, b"", ([127, 0, 0, 1], 50_000).into());
        let response = match is_full {
            true => monitored.http_when_full(&request).expect("a response"),
            false => monitored.http(&request),
        };
        let mut written = Vec::new();
        response.write(&mut written);
        let text = String::from_utf8(written).expect("text");
        (response.status().code(), text)
    }

    #[test]
    fn each_path_has_its_response_and_is_not_cached() {
        let (monitored, _) = server();
        for (path, text) in [
            ("/health", "ok\n"),
            ("/ready", "ready\n"),
            ("/r%65ady", "ready\n"),
            ("/version?x", VERSION),
        ] {
            let (status, response) = ask(&monitored, "GET", path);
            assert_eq!(status, 200, "{path}");
            assert!(response.ends_with(text), "{response}");
            assert!(response.contains("Cache-Control: no-store"), "{response}");
        }
        for path in ["/ready/", "/Ready", "/ready/x", "/"] {
            assert_eq!(ask(&monitored, "GET", path).0, 404, "{path}");
        }
    }

    #[test]
    fn other_methods_get_405_with_those_that_are_allowed() {
        let (monitored, _) = server();
        for method in ["POST", "DELETE"] {
            let (status, response) = ask(&monitored, method, "/ready");
            assert_eq!(status, 405);
            assert!(response.contains("Allow: GET, HEAD, OPTIONS"), "{response}");
        }
        assert_eq!(ask(&monitored, "OPTIONS", "/ready").0, 204);
    }

    #[test]
    fn server_is_not_ready_when_it_is_set_so_and_when_it_stops() {
        let (monitored, handle) = server();
        handle.set_ready(false);
        let (status, response) = ask(&monitored, "GET", "/ready");
        assert_eq!(status, 503);
        assert!(response.ends_with("stopping\n"), "{response}");
        handle.set_ready(true);
        assert_eq!(ask(&monitored, "GET", "/ready").0, 200);
        handle.shutdown();
        assert_eq!(ask(&monitored, "GET", "/ready").0, 503);
        handle.set_ready(true);
        assert_eq!(ask(&monitored, "GET", "/ready").0, 503);
        assert_eq!(ask(&monitored, "GET", "/health").0, 200);
    }

    #[test]
    fn full_server_is_not_ready_and_answers_the_other_paths() {
        let (monitored, _) = server();
        let (status, response) = ask_when(&monitored, "GET", "/ready", true);
        assert_eq!(status, 503);
        assert!(response.ends_with("full\n"), "{response}");
        for path in ["/health", "/version"] {
            assert_eq!(ask_when(&monitored, "GET", path, true).0, 200, "{path}");
        }
    }
}
