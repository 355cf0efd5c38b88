//! The paths that load balancers and monitoring systems ask for, on every server of the program.
//!
//! | path | response |
//! |---|---|
//! | `/health` | 200 and `ok`: the process answers. Also from a full server |
//! | `/ready` | 200 and `ready`, or 503 and the reason: the server stops, or it is full |
//! | `/version` | 200 and `{"name":"yamabiko","version":"0.1.0"}` |
//! | `/metrics` | 200 and the metrics in the format OpenMetrics (`exposition.rs`): with `--metrics`, or on the addresses of `--admin-listen` |
//!
//! [`Monitored`] is a handler around the application's own. It answers these paths, and passes all else on. Paths are compared after
//! percent-decoding. A full server answers them, too ([`Handler::http_when_full`]). [`Administration`] is the server for operators: it has
//! these paths and nothing else, on addresses and a thread of its own, also while the other server stops.
//!
//! `/ready` is 503 as soon as [`ServerHandle::is_ready`] is false: [`ServerHandle::set_ready`] and [`ServerHandle::shutdown`] do that.

mod exposition;
mod process;

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use yamabiko::server::{
    Admission, CloseFrame, Closed, Config, Context, Failure, Handler, InvalidField, LagPolicy,
    ListenAddress, ListenAddresses, ListeningSocket, Message, Missed, NotJoined, Origins,
    OwnedMessage, Piece, Position, Publisher, Refusal, Replayed, Request, RequestHead, Response,
    RoomHistory, Server, ServerHandle, Status, Upgrade,
};

use self::exposition::{Numbers, OPEN_METRICS};
use self::process::Process;
use crate::logging::Log;

/// The settings of monitoring.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MonitoringSettings {
    /// The metrics are on the addresses of the server.
    pub metrics: bool,
    /// The addresses for operators; they have all paths.
    pub admin_listen: Vec<ListenAddress>,
}

/// An application, with the paths of monitoring in front of its own.
pub(crate) struct Monitored<H> {
    application: H,
    monitoring: Monitoring,
    paths: Paths,
}

/// Which paths there are besides `/health` and `/ready`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Paths {
    version: bool,
    metrics: bool,
}

/// What the paths tell. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Monitoring(Arc<Watched>);

struct Watched {
    /// Set when the server is bound, before it answers the first request.
    server: OnceLock<ServerHandle>,
    log: Log,
    /// As for `server`.
    connections_max: OnceLock<usize>,
    started: SystemTime,
}

/// A resource of monitoring.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Resource {
    Health,
    Ready,
    Version,
    Metrics,
}

impl Monitoring {
    /// Of a server that is not bound yet.
    pub(crate) fn new(log: &Log) -> Monitoring {
        Monitoring(Arc::new(Watched {
            server: OnceLock::new(),
            log: log.clone(),
            connections_max: OnceLock::new(),
            started: SystemTime::now(),
        }))
    }

    /// Answers for this server from now on.
    pub(crate) fn watch<H: Handler>(&self, server: &Server<H>) {
        // A second server would need paths of its own.
        let _ = self.0.server.set(server.handle());
        let _ = self.0.connections_max.set(server.connections_max());
    }

    /// `None`: the path is none of monitoring.
    fn respond(&self, request: &Request<'_>, paths: Paths, is_full: bool) -> Option<Response> {
        let resource = Resource::of(request).filter(|resource| paths.have(*resource))?;
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

    fn resource(&self, resource: Resource, is_full: bool) -> Result<Response, InvalidField> {
        let server = self.0.server.get();
        let is_ready = server.is_some_and(ServerHandle::is_ready);
        Ok(match resource {
            Resource::Health => Response::text(Status::Ok, "ok\n"),
            Resource::Version => Response::json(Status::Ok, VERSION),
            Resource::Ready if !is_ready => unready("stopping\n"),
            Resource::Ready if is_full => unready("full\n"),
            Resource::Ready => Response::text(Status::Ok, "ready\n"),
            Resource::Metrics => {
                let text = self.numbers(server, is_ready).exposition();
                Response::new(Status::Ok).content(OPEN_METRICS, text.into_bytes())?
            }
        })
    }

    fn numbers(&self, server: Option<&ServerHandle>, is_ready: bool) -> Numbers {
        let watched = &self.0;
        Numbers {
            metrics: server.map(ServerHandle::metrics).unwrap_or_default(),
            is_ready,
            held_bytes: server.map_or(0, ServerHandle::held_bytes),
            memory_bytes_max: server.and_then(|server| server.config().memory_bytes_max),
            connections_max: watched.connections_max.get().copied().unwrap_or(0),
            log: watched.log.counts(),
            process: Process::read(),
            started: watched.started,
        }
    }
}

impl Paths {
    fn have(self, resource: Resource) -> bool {
        match resource {
            Resource::Health | Resource::Ready => true,
            Resource::Version => self.version,
            Resource::Metrics => self.metrics,
        }
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
            "metrics" => Some(Resource::Metrics),
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
}

/// The server for operators. It ends when the value is dropped.
pub(crate) struct Administration {
    server: ServerHandle,
    addresses: ListenAddresses,
    /// Copies of its sockets, for a successor.
    #[cfg(target_os = "linux")]
    copies: Vec<ListeningSocket>,
    thread: Option<JoinHandle<()>>,
}

/// An application without paths.
struct Nothing;

impl Administration {
    /// Serves on the addresses of `--admin-listen`, if there are any. `sockets`: those that listen on them already.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub(crate) fn start(
        settings: &MonitoringSettings,
        monitoring: &Monitoring,
        sockets: Vec<ListeningSocket>,
    ) -> std::io::Result<Option<Administration>> {
        if settings.admin_listen.is_empty() {
            return Ok(None);
        }
        let config = Config {
            listen: settings.admin_listen.iter().cloned().collect(),
            workers: NonZeroUsize::MIN,
            connections_max: ADMIN_CONNECTIONS_MAX,
            memory_bytes_max: None,
            ..Config::default()
        };
        let handler = Monitored {
            application: Nothing,
            monitoring: monitoring.clone(),
            paths: Paths {
                version: true,
                metrics: true,
            },
        };
        let server = Server::bind_with(config, handler, sockets)?;
        let (handle, addresses) = (server.handle(), server.local_addresses().clone());
        #[cfg(target_os = "linux")]
        let copies = server.listening_sockets()?;
        let run = move || {
            if let Err(error) = server.run() {
                tracing::error!(name: "admin_failed", %error, "the server for operators failed");
            }
        };
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(run)?;
        let administration = Administration {
            server: handle,
            addresses,
            #[cfg(target_os = "linux")]
            copies,
            thread: Some(thread),
        };
        Ok(Some(administration))
    }

    pub(crate) fn handle(&self) -> &ServerHandle {
        &self.server
    }

    pub(crate) fn addresses(&self) -> &ListenAddresses {
        &self.addresses
    }

    /// Copies of its sockets, once. The caller closes them.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_copies(&mut self) -> Vec<ListeningSocket> {
        std::mem::take(&mut self.copies)
    }
}

impl Drop for Administration {
    fn drop(&mut self) {
        self.server.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Handler for Nothing {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Err(Refusal::new(
            Status::NotFound,
            "there is no WebSocket on this address",
        ))
    }

    fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
}

/// Operators and their monitoring systems, and not clients.
const ADMIN_CONNECTIONS_MAX: usize = 64;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::{LevelFilter, LogSettings};
    use yamabiko::http::{HttpVersion, OwnedRequest};

    /// A monitored server that does not run.
    fn server_with(settings: &MonitoringSettings) -> (Monitored<Nothing>, ServerHandle) {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let config = Config {
            listen,
            ..Config::default()
        };
        let log = Log::start(LogSettings {
            level: LevelFilter::OFF,
            ..LogSettings::default()
        });
        let monitoring = Monitoring::new(&log.expect("a log"));
        let server = Server::bind(config, Nothing).expect("a server");
        monitoring.watch(&server);
        let monitored = Monitored::new(Nothing, monitoring, settings);
        (monitored, server.handle())
    }

    fn server() -> (Monitored<Nothing>, ServerHandle) {
        server_with(&MonitoringSettings::default())
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

    #[test]
    fn metrics_are_there_only_if_they_are_asked_for() {
        let (monitored, _) = server();
        assert_eq!(ask(&monitored, "GET", "/metrics").0, 404);
        let settings = MonitoringSettings {
            metrics: true,
            admin_listen: Vec::new(),
        };
        let (monitored, _) = server_with(&settings);
        let (status, response) = ask(&monitored, "GET", "/metrics");
        assert_eq!(status, 200);
        assert!(response.contains(OPEN_METRICS), "{response}");
        assert!(response.ends_with("# EOF\n"), "{response}");
    }

    #[test]
    fn version_and_metrics_are_on_the_addresses_for_operators_alone() {
        let settings = MonitoringSettings {
            metrics: true,
            admin_listen: vec!["127.0.0.1:0".parse().expect("an address")],
        };
        let (monitored, _) = server_with(&settings);
        for (path, status) in [
            ("/health", 200),
            ("/ready", 200),
            ("/version", 404),
            ("/metrics", 404),
        ] {
            assert_eq!(ask(&monitored, "GET", path).0, status, "{path}");
        }
    }
}
