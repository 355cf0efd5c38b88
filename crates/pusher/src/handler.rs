//! The application: the handler of a server for any number of apps.
//!
//! | path | what is there |
//! |---|---|
//! | `/app/{key}`, behind any prefix | the WebSocket of an app |
//! | `/apps/{id}/…` | the HTTP API of an app |
//! | `/users/{id}/terminate_connections` | the same, from a library that leaves the app out: the key in the query names it |

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use yamabiko::server::{
    Admission, CloseCode, CloseFrame, Closed, ClusterEvent, Context, Failure, Handler, Message,
    Mount, NotPublished, Origins, Published, Publisher, Refusal, Request, RequestHead, Response,
    Status, Upgrade,
};

use crate::api::{self, Now, Resource};
use crate::app::{App, InvalidApp};
use crate::app_cluster::AppCluster;
use crate::app_state::AppState;
use crate::connection::{Connection, close_frame, fail, send};
use crate::counts::AppCounts;
use crate::name::ChannelKind;
use crate::socket_id::SocketId;
use crate::wire::{
    CONNECTION_QUOTA, DISABLED_APP, INVALID_VERSION, NO_PROTOCOL, OVER_CAPACITY, PONG_NOT_RECEIVED,
    PROTOCOLS, RECONNECT, ServerMessage, UNKNOWN_APP, UNSUPPORTED_PROTOCOL,
};
use crate::{cluster, messages, signing_in, subscribing, subscription_counts};

/// A server for Pusher clients: the handler of a [`Server`](yamabiko::server::Server).
/// [`WithFallback`](yamabiko::server::WithFallback) gives the paths that are not Pusher's to another application.
///
/// ```
/// use yamabiko::server::{Config, Server};
/// use yamabiko_pusher::Pusher;
///
/// let pusher = Pusher::new(["1:app-key:app-secret".parse()?])?;
/// let config = Config { listen: "127.0.0.1:0".parse()?, ..Config::default() };
/// let server = Server::bind(config, pusher)?;
/// # server.handle().shutdown();
/// server.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pusher {
    apps: Arc<Apps>,
    publisher: OnceLock<Publisher>,
}

/// The apps of a server, and what they have done: for metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CountsReader(Arc<Apps>);

#[derive(Debug)]
struct Apps {
    by_key: AppsByName,
    by_id: AppsByName,
}

type AppsByName = HashMap<String, Arc<AppState>>;

/// What is kept for one connection.
#[derive(Debug)]
pub struct Session(Kind);

#[derive(Debug)]
enum Kind {
    /// It is closed as soon as it is open: a browser does not see the status of a refused upgrade, and would try for ever.
    Refused {
        code: u16,
        reason: &'static str,
    },
    /// Admitted, and not open yet.
    Admitted(Arc<AppState>),
    Open(Box<Connection>),
}

impl Pusher {
    /// A server for these apps.
    ///
    /// # Errors
    /// - [`InvalidApp::Duplicate`]: two of them have the same id, or the same key.
    /// - [`InvalidApp::Webhook`]: a webhook is over https, and this machine trusts no authority.
    pub fn new(apps: impl IntoIterator<Item = App>) -> Result<Pusher, InvalidApp> {
        let states = apps.into_iter().map(AppState::new);
        let states = states.map(|state| state.map(Arc::new));
        let states: Vec<_> = states.collect::<Result<_, _>>()?;
        let apps = Apps {
            by_key: by_name(&states, App::key)?,
            by_id: by_name(&states, App::id)?,
        };
        Ok(Pusher {
            apps: Arc::new(apps),
            publisher: OnceLock::new(),
        })
    }

    /// What the apps have done: for metrics. It can be read while the server runs.
    pub fn counts(&self) -> CountsReader {
        CountsReader(self.apps.clone())
    }

    /// Whether this application has something at a path. Its rooms are named so, too.
    fn has_path(path: &str) -> bool {
        let is_api = ["/apps/", "/users/"]
            .iter()
            .any(|prefix| path.starts_with(prefix));
        is_api || key_in(path).is_some()
    }

    /// What an app does with a request for one of its resources.
    ///
    /// # Errors
    /// It is for none.
    fn routed<R>(
        &self,
        request: &Request<'_>,
        of_app: impl FnOnce(&AppState, &Resource<'_>) -> R,
    ) -> Result<R, Refusal> {
        let segments: Vec<_> = request.path_segments().collect();
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let not_found = || Refusal::new(Status::NotFound, "there is nothing at this path");
        let (app, resource) = match segments.as_slice() {
            ["apps", id, behind @ ..] => (self.apps.by_id.get(*id), Resource::of(behind)),
            ["users", ..] => {
                let key = request.query_value("auth_key").unwrap_or_default();
                (self.apps.by_key.get(&*key), Resource::of(&segments))
            }
            _ if key_in(request.path()).is_some() => {
                return Err(Refusal::upgrade_required());
            }
            _ => return Err(not_found()),
        };
        match (app, resource) {
            (Some(app), Some(resource)) => Ok(of_app(app, &resource)),
            (None, Some(_)) => Err(Refusal::new(Status::NotFound, "there is no such app")),
            (_, None) => Err(not_found()),
        }
    }

    fn respond(&self, request: &Request<'_>) -> Result<Response, Refusal> {
        // It is there before the server runs.
        let starting = || Refusal::new(Status::ServiceUnavailable, "the server starts");
        let publisher = self.publisher.get().ok_or_else(starting)?;
        let now = Now {
            instant: Instant::now(),
            wall_clock: SystemTime::now(),
        };
        self.routed(request, |app, resource| {
            api::respond(app, resource, request, publisher, now)
        })
    }

    /// The app of a request for a WebSocket, or why its connection is closed.
    fn admitted(&self, request: &Upgrade<'_>, key: &str) -> Kind {
        let refused = |code, reason| Kind::Refused { code, reason };
        let Some(app) = self.apps.by_key.get(key) else {
            return refused(UNKNOWN_APP, "there is no app with this key");
        };
        if !app.app.is_enabled() {
            return refused(DISABLED_APP, "the app is disabled");
        }
        let Some(protocol) = request.query_value("protocol") else {
            return refused(NO_PROTOCOL, "the request names no version of the protocol");
        };
        match protocol.parse::<u32>() {
            Err(_) => refused(INVALID_VERSION, "the version of the protocol is no number"),
            Ok(version) if !PROTOCOLS.contains(&version) => refused(
                UNSUPPORTED_PROTOCOL,
                "the versions 4 to 7 of the protocol are served",
            ),
            Ok(_) => Kind::Admitted(app.clone()),
        }
    }
}

impl Handler for Pusher {
    type Session = Session;

    /// The events of channels without a cache. All else has the order of this server: `publish_ordered` and `mark_order`.
    fn shares(&self, room: &str) -> bool {
        let mut parts = room.splitn(5, '/');
        match [(); 5].map(|()| parts.next()) {
            [
                Some(""),
                Some("apps"),
                Some(_),
                Some("channels"),
                Some(name),
            ] => ChannelKind::of(name).is_ok_and(ChannelKind::is_shared),
            _ => false,
        }
    }

    /// An event of this client was not published.
    fn published(
        &self,
        session: &mut Session,
        room: &str,
        _: Option<u64>,
        published: Result<Published, NotPublished>,
        context: &mut Context<'_>,
    ) {
        if let (Kind::Open(connection), Err(error)) = (&session.0, published) {
            let reason = format!("the event was not published: {error}");
            let channel = connection.app.channel_of(room);
            send(context, &ServerMessage::error(&reason, None, channel));
        }
    }

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Session>, Refusal> {
        match key_in(request.path()) {
            Some(key) => Ok(Admission::new(Session(self.admitted(request, key)))),
            None => Err(Refusal::new(
                Status::NotFound,
                "a WebSocket is at /app/KEY only",
            )),
        }
    }

    fn opened(&self, session: &mut Session, context: &mut Context<'_>) {
        match &session.0 {
            Kind::Refused { code, reason } => fail(context, *code, reason),
            Kind::Admitted(app) => session.0 = opened(app.clone(), context),
            Kind::Open(_) => {}
        }
    }

    fn message(&self, session: &mut Session, message: Message<'_>, context: &mut Context<'_>) {
        let Kind::Open(connection) = &mut session.0 else {
            return;
        };
        match message {
            Message::Text(json) => messages::handle(connection, json, context),
            Message::Binary(_) => {
                let reason = "binary messages are not supported";
                send(context, &ServerMessage::error(reason, None, None));
            }
        }
    }

    fn server_closes(
        &self,
        _: &Session,
        close: &CloseFrame<'_>,
        failure: Option<&Failure>,
    ) -> Option<CloseFrame<'static>> {
        let code = match (failure, close.code()?) {
            (Some(Failure::PongTimeout), _) => PONG_NOT_RECEIVED,
            (_, CloseCode::GOING_AWAY | CloseCode::SERVICE_RESTART) => RECONNECT,
            (_, CloseCode::TRY_AGAIN_LATER) => OVER_CAPACITY,
            _ => return None,
        };
        Some(close_frame(code, close.reason()).into_owned())
    }

    fn order_reached(
        &self,
        session: &mut Session,
        room: &str,
        number: u64,
        context: &mut Context<'_>,
    ) {
        if let Kind::Open(connection) = &mut session.0 {
            subscribing::order_reached(connection, room, number, context);
        }
    }

    fn closed(&self, session: Session, _: &Closed<'_>, context: &mut Context<'_>) {
        if let Kind::Open(mut connection) = session.0 {
            subscribing::leave_all(&mut connection, context);
            signing_in::sign_out(&mut connection, context);
            connection.app.close(connection.socket_id);
        }
    }

    /// Pages of any site: they are never on this server, and no browser adds anything to the request that gives them a right.
    fn origins(&self, _: &RequestHead<'_>) -> Option<Origins> {
        Some(Origins::Any)
    }

    fn bound(&self, publisher: Publisher) {
        for app in self.apps.by_id.values() {
            // Without a thread, the number of many subscribers is told by the next change.
            let _ = subscription_counts::start(app, publisher.clone());
            // Without a thread, the queue of a webhook fills up, and its events are counted as discarded.
            let _ = app.webhooks.start(app.app.id(), app.app.key(), &app.secret);
        }
        // Called once.
        let _ = self.publisher.set(publisher.clone());
        let cluster = publisher.cluster();
        for app in self.apps.by_id.values() {
            if let Some(cluster) = &cluster {
                app.set_cluster(AppCluster::new(cluster.clone(), &app.app));
            }
        }
    }

    fn cluster_event(&self, event: &ClusterEvent) {
        if let Some(publisher) = self.publisher.get() {
            cluster::event(&self.apps.by_id, &publisher.insisting(), event);
        }
    }

    fn http_head(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let now = SystemTime::now();
        let check =
            |app: &AppState, resource: &Resource<'_>| api::check_head(app, resource, request, now);
        self.routed(request, check)?
            .map_err(|error| error.to_refusal())
    }

    fn http(&self, request: &Request<'_>) -> Response {
        let response = self.respond(request);
        response.unwrap_or_else(|refusal| refusal.to_response())
    }
}

impl Mount for Pusher {
    fn takes(&self, request: &RequestHead<'_>) -> bool {
        Pusher::has_path(request.path())
    }

    fn takes_room(&self, room: &str) -> bool {
        Pusher::has_path(room)
    }
}

fn by_name(states: &[Arc<AppState>], name: fn(&App) -> &str) -> Result<AppsByName, InvalidApp> {
    let mut named = HashMap::new();
    for state in states {
        let name = name(&state.app).to_owned();
        if named.insert(name.clone(), state.clone()).is_some() {
            return Err(InvalidApp::Duplicate(name));
        }
    }
    Ok(named)
}

/// The connection is open, or refused: the app has as many as it may have.
fn opened(app: Arc<AppState>, context: &mut Context<'_>) -> Kind {
    let node = app.cluster().map(AppCluster::node);
    let socket_id = SocketId::random(node);
    let (code, reason) = match socket_id {
        Ok(socket_id) if app.open(socket_id, context.id()) => {
            let socket_id_text = socket_id.to_string();
            send(
                context,
                &ServerMessage::connection_established(&socket_id_text),
            );
            return Kind::Open(Box::new(Connection::new(app, socket_id)));
        }
        Ok(_) => (
            CONNECTION_QUOTA,
            "the app has as many connections as it may have",
        ),
        Err(_) => (RECONNECT, "the server has no random numbers"),
    };
    app.totals.connections_refused.add(1);
    fail(context, code, reason);
    Kind::Refused { code, reason }
}

/// The key in the path of a WebSocket: `/app/{key}`, behind any prefix.
fn key_in(path: &str) -> Option<&str> {
    let (before, key) = path.rsplit_once('/')?;
    let is_app = before.rsplit_once('/').is_some_and(|(_, app)| app == "app");
    (is_app && !key.is_empty()).then_some(key)
}

impl CountsReader {
    /// The counts of each app, in the order of their ids. Cost: two locks for each app.
    pub fn read(&self) -> Vec<AppCounts> {
        let now = Instant::now();
        let mut counts: Vec<_> = self.0.by_id.values().map(|app| app.counts(now)).collect();
        counts.sort_by(|one, other| one.app.cmp(&other.app));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_the_segment_behind_app() {
        for (path, key) in [
            ("/app/k", Some("k")),
            ("/prefix/of/app/k", Some("k")),
            ("/app/", None),
            ("/app", None),
            ("app/k", None),
            ("/xapp/k", None),
            ("/app/k/", None),
            ("/apps/k", None),
        ] {
            assert_eq!(key_in(path), key, "{path}");
        }
    }

    #[test]
    fn two_apps_with_one_id_or_key_are_an_error() {
        let apps = |texts: [&str; 2]| texts.map(|text| text.parse::<App>().expect("an app"));
        for texts in [["1:a:s", "1:b:s"], ["1:a:s", "2:a:s"]] {
            let error = Pusher::new(apps(texts)).expect_err("a duplicate");
            assert!(matches!(error, InvalidApp::Duplicate(_)), "{error}");
        }
        assert!(Pusher::new(apps(["1:a:s", "2:b:s"])).is_ok());
    }
}
