//! The server's handler: paths become sessions, and messages are passed to their member.
//! `member` implements what a message does.
//!
//! The server checks the origin of a connection
//! ([`Config::origins`](crate::server::Config)); the chat does not check it again.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::access::{Access, Rights};
use super::api::{Api, BROADCAST_PREFIX, Resource, Rooms};
use super::effects::Sink;
use super::member::{Member, TYPING_PREFIX, Version};
use super::message_rate::MessageRate;
use super::nodes::Told;
use super::page::Page;
use super::protocol::{SUBPROTOCOL, SUBPROTOCOL_V2, ServerMessage, with_position};
use super::room::{NOTICES_PREFIX, RoomDirectory};
use super::room_name::ROOM_CHARACTERS_MAX;
use super::route::{ALL_METHODS, Route, page_of_room};
use super::rules::{PRIVATE_PREFIX, TOPIC_PREFIX};
use super::sessions::SessionKey;
use super::subscribers::Subscribers;
use crate::server::{
    Admission, CloseCode, Closed, ClusterEvent, ConnectionId, Context, Erasure, Handler, LagAction,
    LagPolicy, Message, Missed, NotJoined, NotPublished, NotSent, OwnedMessage, Position,
    Published, Publisher, Records, Refusal, Replay, Replayed, Request, RequestHead, Response,
    RoomHistory, Status, Upgrade,
};
use crate::tokens::TokenError;

/// The chat application, the handler of a [`Server`](crate::server::Server).
///
/// The server's name of a room is the path of the WebSocket, percent-decoded and in NFKC: a
/// [`Publisher`](crate::server::Publisher) that publishes to `/broadcast/ticks` reaches all
/// connections of this path.
///
/// ```
/// use yamabiko::chat::Chat;
/// use yamabiko::server::{Config, Server};
///
/// let config = Config { listen: "127.0.0.1:0".parse()?, ..Config::default() };
/// let server = Server::bind(config, Chat::new())?;
/// println!("the page is at http://{}/", server.local_address());
/// # server.handle().shutdown();
/// server.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Chat {
    rooms: RoomDirectory,
    subscribers: Subscribers,
    page: Page,
    chat: Access,
    broadcast: Access,
    api: Api,
    history: Option<RoomHistory>,
}

/// What the chat keeps for one connection.
#[derive(Debug)]
pub struct Session(Kind);

#[derive(Debug)]
enum Kind {
    Chat(Member),
    /// Each message is published to the topic unchanged.
    Broadcast {
        topic: Box<str>,
        rights: Rights,
    },
}

impl Chat {
    /// A chat without rooms. A room exists while it has members. Compresses the files of the
    /// page: some milliseconds.
    pub fn new() -> Chat {
        Chat {
            rooms: RoomDirectory::default(),
            subscribers: Subscribers::default(),
            page: Page::new(),
            chat: Access::Open,
            broadcast: Access::Open,
            api: Api::default(),
            history: None,
        }
    }

    /// How much each room of the chat keeps for members of version 2 that come later or come back, if
    /// [`Config::history`](crate::server::Config) is set. Default `None`: nothing.
    #[must_use]
    pub fn history(mut self, history: Option<RoomHistory>) -> Chat {
        self.history = history;
        self
    }

    /// Who may ask who is in the rooms (`GET /rooms`, `GET /rooms/{room}`). Default: [`Access::Open`]. With
    /// [`Access::Token`] a client sees the rooms that its token lets it subscribe to.
    #[must_use]
    pub fn presence_access(mut self, access: Access) -> Chat {
        self.api.presence = access;
        self
    }

    /// How many messages may be published by HTTP per second, of all publishers together; a second's worth may come at once.
    /// Further ones get 429. Default `None`: no limit.
    #[must_use]
    pub fn publish_rate(mut self, per_second: Option<NonZeroU32>) -> Chat {
        self.api.set_rate(per_second);
        self
    }

    /// How many messages a person may send to a room per second; ten seconds' worth may come at once. Further ones get the error
    /// `too_fast`. Default `None`: no limit.
    #[must_use]
    pub fn message_rate(mut self, per_second: Option<NonZeroU32>) -> Chat {
        self.rooms.message_rate = per_second.map(|per_second| MessageRate {
            per_second: per_second.get(),
            burst: per_second.get().saturating_mul(10),
        });
        self
    }

    /// The key that signs the sessions of persons, by which they are known after a reload or a lost connection. Servers with one key accept
    /// the sessions of each other. Default: a random one, so that the sessions end with the server.
    #[must_use]
    pub fn session_key(mut self, key: SessionKey) -> Chat {
        self.rooms.session_key = key.into();
        self
    }

    /// Where created rooms and the key of sessions are kept, so that they survive the server. Default: in memory. Rooms that were
    /// kept there are there again.
    #[must_use]
    pub fn records(mut self, records: Arc<dyn Records>) -> Chat {
        self.rooms.keep(records);
        self
    }

    /// The resource of a path, if it is not switched off.
    fn route(&self, path: &str) -> Route {
        let route = Route::of(path);
        let access = match &route {
            Route::Chat(_) | Route::Api(Resource::Messages(_)) => self.chat,
            Route::Broadcast(_) => self.broadcast,
            _ => Access::Open,
        };
        match access {
            Access::Off => Route::NotFound,
            _ => route,
        }
    }

    /// The response to any method.
    fn answer(&self, route: Route, request: &Request<'_>) -> Result<Response, Refusal> {
        let methods = match request.target() {
            "*" => ALL_METHODS,
            _ => route.methods(),
        };
        match request.method() {
            "OPTIONS" if route.exists() || request.target() == "*" => allowed_methods(methods),
            method if methods.split(", ").any(|allowed| allowed == method) => {
                self.respond(route, request)
            }
            _ if route.has_invalid_name() => self.respond(route, request),
            _ => Err(method_not_allowed(methods)),
        }
    }

    /// The response to a method of this resource.
    fn respond(&self, route: Route, request: &Request<'_>) -> Result<Response, Refusal> {
        match route {
            Route::Broadcast(room) if request.method() == "POST" => {
                self.api.publish_body(&room, request)
            }
            Route::Api(resource) => {
                let rooms = Rooms {
                    members: &self.rooms,
                    subscribers: &self.subscribers,
                };
                self.api.respond(&resource, request, now(), &rooms)
            }
            Route::Asset(asset) => Ok(self.page.respond(asset, request.head())),
            Route::Health => Ok(health_response()),
            Route::Chat(room) if wants_html(request.head()) => Ok(page_response(&room)),
            Route::Chat(_) | Route::Broadcast(_) => Err(Refusal::upgrade_required()),
            Route::InvalidRoomName => Err(invalid_room_name()),
            Route::InvalidEncoding => Err(invalid_encoding()),
            Route::NotFound => Err(not_found()),
        }
    }

    /// Who may use `/chat/{room}`. Default: [`Access::Open`].
    ///
    /// The server's tokens must be [optional](crate::tokens::Tokens::optional) if one of the two paths is open.
    #[must_use]
    pub fn chat_access(mut self, access: Access) -> Chat {
        self.chat = access;
        self
    }

    /// Who may use `/broadcast/{room}`. Default: [`Access::Open`].
    #[must_use]
    pub fn broadcast_access(mut self, access: Access) -> Chat {
        self.broadcast = access;
        self
    }
}

impl Default for Chat {
    fn default() -> Chat {
        Chat::new()
    }
}

impl Handler for Chat {
    type Session = Session;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Session>, Refusal> {
        match Route::of(request.request().path()) {
            Route::Chat(room) => {
                let rights = self.chat.check(request, TOPIC_PREFIX, &room)?;
                if !rights.subscribe {
                    return Err(TokenError::NotAllowed.into());
                }
                let subprotocol = choose_subprotocol(request)?;
                let version = match subprotocol {
                    Some(SUBPROTOCOL_V2) => Version::Two,
                    _ => Version::One,
                };
                let account = request.grant().and_then(|grant| grant.subject());
                let member = Member::new(&room, rights, account, version);
                Ok(Admission::new(Session(Kind::Chat(member))).subprotocol(subprotocol))
            }
            Route::Broadcast(room) => {
                let topic: Box<str> = format!("{BROADCAST_PREFIX}{room}").into();
                let rights = self.broadcast.check(request, BROADCAST_PREFIX, &room)?;
                Ok(Admission::new(Session(Kind::Broadcast { topic, rights })))
            }
            Route::InvalidRoomName => Err(invalid_room_name()),
            Route::InvalidEncoding => Err(invalid_encoding()),
            Route::Api(_) | Route::Asset(_) | Route::Health | Route::NotFound => Err(Refusal::new(
                Status::NotFound,
                "there is no WebSocket at this path",
            )),
        }
    }

    fn opened(&self, session: &mut Session, context: &mut Context<'_>) {
        if let Kind::Broadcast { topic, rights } = &session.0
            && rights.subscribe
        {
            context.join(topic);
            self.subscribers.add(broadcast_room(topic));
        }
    }

    fn message(&self, session: &mut Session, message: Message<'_>, context: &mut Context<'_>) {
        match (&mut session.0, message) {
            (Kind::Broadcast { topic, rights }, message) => match rights.publish {
                true => context.publish(topic, message),
                false => context.close((CloseCode::FORBIDDEN, "the token allows no messages here")),
            },
            (Kind::Chat(member), Message::Text(json)) => {
                member.handle_text(json, now(), &self.rooms, &mut self.outlet(context));
            }
            (Kind::Chat(member), Message::Binary(_)) => {
                member.handle_binary(&mut self.outlet(context));
            }
        }
    }

    fn closed(&self, session: Session, _: &Closed<'_>, context: &mut Context<'_>) {
        match session.0 {
            Kind::Chat(member) => member.closed(&self.rooms, &mut self.outlet(context)),
            Kind::Broadcast { topic, rights } if rights.subscribe => {
                self.subscribers.remove(broadcast_room(&topic));
            }
            Kind::Broadcast { .. } => {}
        }
    }

    fn missed(&self, session: &mut Session, room: &str, missed: Missed, context: &mut Context<'_>) {
        if let Kind::Chat(member) = &session.0
            && !room.starts_with(TYPING_PREFIX)
        {
            member.missed(missed.messages, &mut self.outlet(context));
        }
    }

    fn joined(
        &self,
        session: &mut Session,
        _: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
        let Kind::Chat(member) = &mut session.0 else {
            return;
        };
        match joined {
            Ok(replayed) => {
                let outlet = &mut self.outlet(context);
                if let Some(replaced) = member.joined(&replayed, now(), &self.rooms, outlet) {
                    self.api.close_taken_over(replaced);
                }
            }
            Err(error) => {
                context.close((CloseCode::TRY_AGAIN_LATER, error.to_string().as_str()));
            }
        }
    }

    /// A member stays, and is told. Who writes is told again in a moment. `/broadcast/{room}` has no errors, so its client is closed.
    fn published(
        &self,
        session: &mut Session,
        room: &str,
        _: Option<u64>,
        published: Result<Published, NotPublished>,
        context: &mut Context<'_>,
    ) {
        let Err(error) = published else { return };
        match &session.0 {
            Kind::Chat(_) if room.starts_with(TYPING_PREFIX) => {}
            Kind::Chat(member) => member.not_published(&mut self.outlet(context)),
            Kind::Broadcast { .. } => {
                context.close((CloseCode::TRY_AGAIN_LATER, error.to_string().as_str()));
            }
        }
    }

    /// Who has joined and who has left is told by each node to its own members.
    fn shares(&self, room: &str) -> bool {
        !room.starts_with(NOTICES_PREFIX)
    }

    fn history(&self, room: &str) -> Option<RoomHistory> {
        let is_of_chat = room.starts_with(TOPIC_PREFIX) || room.starts_with(PRIVATE_PREFIX);
        self.history.filter(|_| is_of_chat)
    }

    fn timer(&self, session: &mut Session, _: u32, context: &mut Context<'_>) {
        if let Kind::Chat(member) = &mut session.0 {
            member.look_at_password(now(), &self.rooms, &mut self.outlet(context));
        }
    }

    /// A moderator deletes a message. Only the server writes such a text: those of members are in messages of other types.
    fn erases(&self, _: &str, message: Message<'_>) -> Option<Erasure> {
        let json = message.as_text()?;
        if !json.starts_with(MODERATED) {
            return None;
        }
        match serde_json::from_str(json).ok()? {
            ServerMessage::Moderated {
                action,
                target: Some(target),
                ..
            } if action == "delete" => Some(Erasure::new(target.parse().ok()?, DELETED)),
            _ => None,
        }
    }

    fn numbered(&self, _: &str, position: Position, message: Message<'_>) -> Option<OwnedMessage> {
        let numbered = with_position(message.as_text()?, position)?;
        Some(OwnedMessage::Text(numbered))
    }

    /// Who was writing a while ago is of no use to a client that reads slowly.
    fn lag_policy(&self, room: &str) -> Option<LagPolicy> {
        room.starts_with(TYPING_PREFIX).then(|| LagPolicy {
            action: LagAction::Latest,
            ..LagPolicy::default()
        })
    }

    /// A publication that the head does not allow is refused before its body comes. No other response depends on the body.
    fn http_head(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match (request.method(), self.route(request.path())) {
            ("POST", Route::Broadcast(room)) => self.api.check_body(&room, request),
            ("POST", Route::Api(Resource::Messages(room))) => self.api.check_text(&room, request),
            (_, route) => self.answer(route, request).map(|_| ()),
        }
    }

    fn http(&self, request: &Request<'_>) -> Response {
        let answer = self.answer(self.route(request.path()), request);
        answer.unwrap_or_else(|refusal| refusal.to_response())
    }

    fn bound(&self, publisher: Publisher) {
        let is_asked = self.api.presence != Access::Off;
        let is_needed = is_asked || self.chat != Access::Off;
        if let Some(cluster) = is_needed.then(|| publisher.cluster()).flatten() {
            self.subscribers.set_cluster(cluster.clone());
            self.rooms.nodes.set(Box::new(cluster));
        }
        self.api.set_publisher(publisher);
    }

    fn cluster_event(&self, event: &ClusterEvent) {
        self.subscribers.cluster_event(event);
        let followed = Told::of(event).and_then(|told| self.rooms.apply(&told, now()));
        if let Some(followed) = followed {
            self.api.follow(&followed);
        }
    }

    /// Monitoring gets its answer from a full server, too.
    fn http_when_full(&self, request: &Request<'_>) -> Option<Response> {
        let is_health = Route::of(request.path()) == Route::Health;
        (is_health && matches!(request.method(), "GET" | "HEAD")).then(health_response)
    }
}

/// The effects of a member on its own connection and on others.
struct Outlet<'c, 'a> {
    context: &'c mut Context<'a>,
    api: &'c Api,
}

impl Chat {
    fn outlet<'c, 'a>(&'c self, context: &'c mut Context<'a>) -> Outlet<'c, 'a> {
        Outlet {
            context,
            api: &self.api,
        }
    }
}

/// What a moderator does begins with it, as JSON.
const MODERATED: &str = r#"{"type":"moderated""#;
/// A deleted message, without its position.
const DELETED: &str = r#"{"type":"deleted"}"#;

/// A password is looked at again after this time. A comparison takes some ten milliseconds.
const PASSWORD_LOOK: Duration = Duration::from_millis(10);
/// The number of the timer for it.
const PASSWORD_TIMER: u32 = 0;

impl Sink for Outlet<'_, '_> {
    fn send(&mut self, json: &str) {
        // A reply that does not fit into the write queue must not be lost without notice.
        if self.context.send(Message::Text(json)) == Err(NotSent::BacklogFull) {
            self.context.close((
                CloseCode::TRY_AGAIN_LATER,
                "too many replies are waiting for this client",
            ));
        }
    }

    fn publish(&mut self, topic: &str, json: &str) {
        self.context.publish(topic, Message::Text(json));
    }

    fn publish_except(&mut self, topic: &str, json: &str) {
        self.context.publish_except(topic, Message::Text(json));
    }

    fn join(&mut self, topic: &str) {
        self.context.join(topic);
    }

    fn join_from(&mut self, topic: &str, replay: Replay) {
        self.context.join_from(topic, replay);
    }

    fn join_notices(&mut self, topic: &str) {
        // Beyond a limit of rooms the member does without.
        let _ = self.context.try_join(topic);
    }

    fn connection(&self) -> Option<ConnectionId> {
        Some(self.context.id())
    }

    fn address(&self) -> Option<IpAddr> {
        let address = self.context.peer_address().socket_address();
        address.map(|address| address.ip())
    }

    fn wait_for_password(&mut self) {
        // This is the only timer of a connection, so there is room for it.
        let _ = self.context.set_timer(PASSWORD_TIMER, PASSWORD_LOOK);
    }

    fn close_removed(&mut self, connection: ConnectionId) {
        self.api.close_removed(connection);
    }

    fn leave(&mut self, topic: &str) {
        self.context.leave(topic);
    }

    fn refuse_join(&mut self) {
        self.context.refuse_join();
    }
}

/// A client that offers no subprotocol gets version 1. One that offers only others would not
/// understand it.
fn choose_subprotocol(request: &Upgrade<'_>) -> Result<Option<&'static str>, Refusal> {
    if request.subprotocols().next().is_none() {
        return Ok(None);
    }
    match request.choose_subprotocol(&[SUBPROTOCOL_V2, SUBPROTOCOL]) {
        Some(chosen) => Ok(Some(chosen)),
        None => Err(Refusal::new(
            Status::BadRequest,
            "the subprotocols here are yamabiko.chat.v2 and yamabiko.chat.v1",
        )),
    }
}

fn broadcast_room(topic: &str) -> &str {
    topic.strip_prefix(BROADCAST_PREFIX).unwrap_or(topic)
}

/// The answer to OPTIONS: for no other site, so without fields of CORS.
fn allowed_methods(methods: &'static str) -> Result<Response, Refusal> {
    Ok(Response::new(Status::NoContent).field("Allow", methods)?)
}

fn method_not_allowed(methods: &'static str) -> Refusal {
    let reason = format!("the methods of this path are {methods}");
    let refusal = Refusal::new(Status::MethodNotAllowed, reason);
    let without_field = refusal.clone();
    refusal.field("Allow", methods).unwrap_or(without_field)
}

fn invalid_room_name() -> Refusal {
    Refusal::new(
        Status::NotFound,
        format!(
            "invalid room name: it must be 1 to {ROOM_CHARACTERS_MAX} letters, digits, \
             '-', '_' and '.', of any script"
        ),
    )
}

fn invalid_encoding() -> Refusal {
    Refusal::new(
        Status::BadRequest,
        "the name of a room must be percent-encoded UTF-8",
    )
}

fn not_found() -> Refusal {
    Refusal::new(
        Status::NotFound,
        "there is nothing at this path; the page is at /, the page of a room for example at /#lobby, \
         and the WebSocket of this room at /chat/lobby",
    )
}

/// Whether a browser opens the address of a room: Accept contains `text/html`, and not with
/// `q=0` (RFC 9110 §12.5.1).
fn wants_html(request: &RequestHead<'_>) -> bool {
    let is_html = |range: &[u8]| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let media_type = parts.next().unwrap_or_default();
        media_type.eq_ignore_ascii_case(b"text/html") && !parts.any(is_weight_of_zero)
    };
    request.fields().list("Accept").any(is_html)
}

fn is_weight_of_zero(parameter: &[u8]) -> bool {
    match parameter.split_first_chunk() {
        Some((b"q=" | b"Q=", weight)) => weight.iter().all(|byte| matches!(byte, b'0' | b'.')),
        _ => false,
    }
}

/// A redirection to the page of the room.
fn page_response(room: &str) -> Response {
    let page = page_of_room(room);
    Response::text(Status::SeeOther, format!("this room's page is at {page}\n"))
        .field("Location", page)
        .and_then(|response| response.field("Vary", "Accept"))
        .unwrap_or_else(|_| Response::new(Status::InternalServerError))
}

fn health_response() -> Response {
    Response::text(Status::Ok, "ok\n")
        .field("Cache-Control", "no-store")
        .unwrap_or_else(|_| Response::new(Status::InternalServerError))
}

/// Milliseconds since 1970-01-01 UTC.
fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::page::{ASSET_FIELDS, ASSETS};
    use super::*;
    use crate::http::RequestReader;
    use crate::server::HeadLimits;

    /// The response to `GET path`.
    fn get(path: &str) -> (u16, String) {
        ask("GET", path)
    }

    fn ask(method: &str, path: &str) -> (u16, String) {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut reader = RequestReader::new(HeadLimits::default());
        let (head, _) = reader.read(request.as_bytes()).unwrap().unwrap();
        let peer_address = ([127, 0, 0, 1], 50_000).into();
        let response = Chat::new().http(&Request::new(head, b"", peer_address));
        let mut written = Vec::new();
        response.write(&mut written);
        (
            response.status().code(),
            String::from_utf8(written).unwrap(),
        )
    }

    /// The selected subprotocol, or the status of the refusal.
    fn upgrade(path: &str, offered: Option<&str>) -> Result<Option<&'static str>, u16> {
        let offered = offered.map_or(String::new(), |names| {
            format!("Sec-WebSocket-Protocol: {names}\r\n")
        });
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offered}\r\n"
        );
        let mut reader = RequestReader::new(HeadLimits::default());
        let (head, _) = reader.read(request.as_bytes()).unwrap().unwrap();
        let upgrade = Upgrade::check(&head, ([127, 0, 0, 1], 50_000).into()).unwrap();
        Chat::new()
            .admit(&upgrade)
            .map_err(|refusal| refusal.status().code())?;
        choose_subprotocol(&upgrade).map_err(|refusal| refusal.status().code())
    }

    #[test]
    fn every_file_of_the_page_is_served_with_its_type_and_security_headers() {
        for asset in &ASSETS {
            let (status, written) = get(asset.path);
            assert_eq!(status, 200, "{}", asset.path);
            assert!(
                written.contains(&format!("Content-Type: {}\r\n", asset.content_type)),
                "{written:.400}"
            );
            for (name, value) in ASSET_FIELDS {
                assert!(written.contains(&format!("{name}: {value}\r\n")), "{name}");
            }
            assert!(written.ends_with(asset.body));
        }
    }

    #[test]
    fn resources_can_only_be_read() {
        for path in ["/", "/health", "/chat/lobby", "/nothing"] {
            let (status, written) = ask("POST", path);
            assert_eq!(status, 405, "{path}");
            assert!(
                written.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"),
                "{written}"
            );
        }
    }

    #[test]
    fn health_is_ok_and_not_cached() {
        let (status, written) = get("/health");
        assert_eq!(status, 200);
        assert!(written.contains("text/plain") && written.contains("Cache-Control: no-store\r\n"));
        assert!(written.ends_with("\r\n\r\nok\n"));
    }

    #[test]
    fn websocket_path_requires_an_upgrade_and_unknown_paths_are_not_found() {
        assert_eq!(get("/chat/lobby").0, 426);
        assert_eq!(get("/broadcast/ticks?from=1").0, 426);
        for path in [
            "/chat/",
            "/chat/a%20b",
            "/index.html",
            "/chat.js/",
            "/../chat.js",
        ] {
            assert_eq!(get(path).0, 404, "{path}");
        }
    }

    #[test]
    fn client_that_offers_no_subprotocol_or_a_version_among_others_is_served() {
        assert_eq!(upgrade("/chat/lobby", None), Ok(None));
        assert_eq!(
            upgrade("/chat/lobby", Some("yamabiko.chat.v3, yamabiko.chat.v1")),
            Ok(Some(SUBPROTOCOL))
        );
        assert_eq!(
            upgrade("/chat/lobby", Some("yamabiko.chat.v1, yamabiko.chat.v2")),
            Ok(Some(SUBPROTOCOL_V2))
        );
    }

    #[test]
    fn client_that_offers_only_other_subprotocols_is_refused() {
        assert_eq!(
            upgrade("/chat/lobby", Some("yamabiko.chat.v3, mqtt")),
            Err(400)
        );
    }

    #[test]
    fn upgrade_on_any_other_path_is_not_found() {
        for path in ["/", "/health", "/chat/a/b", "/chat.js", "/broadcast/"] {
            assert_eq!(upgrade(path, None), Err(404), "{path}");
        }
    }
}
