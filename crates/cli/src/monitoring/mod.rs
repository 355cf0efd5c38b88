//! The paths that load balancers and monitoring systems ask for, on every server of the program.
//!
//! | path | response |
//! |---|---|
//! | `/health` | 200 and `ok`: the process answers. Also from a full server |
//! | `/ready` | 200 and `ready`, or 503 and the reason: the server stops, its backplane cannot be reached, or it is full |
//! | `/version` | 200 and `{"name":"yamabiko","version":"0.1.0"}` |
//! | `/metrics` | 200 and the metrics in the format OpenMetrics (`exposition.rs`): with `--metrics`, or on the addresses of `--admin-listen` |
//!
//! | file | content |
//! |---|---|
//! | `mod.rs` | what the paths tell |
//! | `handler.rs` | the application that has these paths |
//! | `administration.rs` | the server for operators, on addresses and a thread of its own |
//! | `exposition.rs`, `app_metrics.rs`, `backplane_metrics.rs`, `families.rs` | the metrics of the server, of the apps and of the backplane; the format |
//! | `process.rs` | what the system tells about the process |
//!
//! Paths are compared after percent-decoding. A full server answers them, too ([`http_when_full`](yamabiko::server::Handler)).
//!
//! `/ready` is 503 as soon as [`ServerHandle::is_ready`] is false: [`ServerHandle::set_ready`] and [`ServerHandle::shutdown`] do that, and a
//! backplane that cannot be reached.

mod administration;
mod app_metrics;
mod backplane_metrics;
mod exposition;
mod families;
mod handler;
mod process;

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use yamabiko::server::{
    Handler, InvalidField, ListenAddress, Refusal, Request, RequestHead, Response, Server,
    ServerHandle, Status,
};
use yamabiko_pusher::CountsReader;

pub(crate) use self::administration::Administration;
pub(crate) use self::handler::MonitoringPaths;

use self::backplane_metrics::BackplaneNumbers;
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
    /// The apps of Pusher clients.
    apps: Option<CountsReader>,
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
    /// Of a server that is not bound yet. `apps`: of Pusher clients.
    pub(crate) fn new(log: &Log, apps: Option<CountsReader>) -> Monitoring {
        Monitoring(Arc::new(Watched {
            server: OnceLock::new(),
            log: log.clone(),
            apps,
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

    fn respond(&self, request: &Request<'_>, resource: Resource, is_full: bool) -> Response {
        let response = match request.method() {
            "GET" | "HEAD" => self.resource(resource, is_full),
            "OPTIONS" => Response::new(Status::NoContent).field("Allow", METHODS),
            _ => Refusal::new(Status::MethodNotAllowed, METHODS_HERE)
                .to_response()
                .field("Allow", METHODS),
        };
        let response = response.and_then(|response| response.field("Cache-Control", "no-store"));
        response.unwrap_or_else(|_| Response::new(Status::InternalServerError))
    }

    fn resource(&self, resource: Resource, is_full: bool) -> Result<Response, InvalidField> {
        let server = self.0.server.get();
        let is_ready = server.is_some_and(ServerHandle::is_ready);
        Ok(match resource {
            Resource::Health => Response::text(Status::Ok, "ok\n"),
            Resource::Version => Response::json(Status::Ok, VERSION),
            Resource::Ready if !is_ready => unready(reason_of(server)),
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
            backplane: server.and_then(BackplaneNumbers::read),
            apps: watched.apps.as_ref().map(CountsReader::read),
            process: Process::read(),
            started: watched.started,
        }
    }
}

impl Paths {
    /// On the addresses of the server. Where there are addresses for operators, the version and the metrics are there alone.
    fn of_server(settings: &MonitoringSettings) -> Paths {
        let is_alone = settings.admin_listen.is_empty();
        Paths {
            version: is_alone,
            metrics: is_alone && settings.metrics,
        }
    }

    /// On the addresses for operators: all of them.
    const FOR_OPERATORS: Paths = Paths {
        version: true,
        metrics: true,
    };

    fn have(self, resource: Resource) -> bool {
        match resource {
            Resource::Health | Resource::Ready => true,
            Resource::Version => self.version,
            Resource::Metrics => self.metrics,
        }
    }
}

impl Resource {
    fn of(request: &RequestHead<'_>) -> Option<Resource> {
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

/// Why a server was not ready a moment ago. If it is ready now, its backplane was the reason: a server that stops is never ready again.
/// The reason of the backplane itself is in the log: it may name hosts.
fn reason_of(server: Option<&ServerHandle>) -> &'static str {
    let backplane = server.and_then(ServerHandle::backplane_state);
    let is_ready = server.is_some_and(ServerHandle::is_ready);
    match is_ready || backplane.is_some_and(|backplane| !backplane.is_ready) {
        true => "the backplane is not ready\n",
        false => "stopping\n",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::{LevelFilter, LogSettings};
    use yamabiko::http::{HttpVersion, OwnedRequest};
    use yamabiko::server::Config;

    /// A monitored server that does not run.
    fn server_with(settings: &MonitoringSettings) -> (MonitoringPaths, ServerHandle) {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let config = Config {
            listen,
            ..Config::default()
        };
        let log = Log::start(LogSettings {
            level: LevelFilter::OFF,
            ..LogSettings::default()
        });
        let monitoring = Monitoring::new(&log.expect("a log"), None);
        let server = Server::bind(config, MonitoringPaths::new(monitoring.clone(), settings))
            .expect("a server");
        monitoring.watch(&server);
        (
            MonitoringPaths::new(monitoring.clone(), settings),
            server.handle(),
        )
    }

    fn server() -> (MonitoringPaths, ServerHandle) {
        server_with(&MonitoringSettings::default())
    }

    /// The status and the text of the response.
    fn ask(monitored: &MonitoringPaths, method: &str, path: &str) -> (u16, String) {
        ask_when(monitored, method, path, false)
    }

    fn ask_when(
        monitored: &MonitoringPaths,
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
