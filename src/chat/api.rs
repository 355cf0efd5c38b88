//! The HTTP interface for scripts: publishing, and who is in which room.
//!
//! | request | response |
//! |---|---|
//! | `POST /rooms/{room}/messages?name=Bot` | 202; the text is published to the room of the chat |
//! | `POST /broadcast/{room}` | 202; the body is published to the broadcast room, as text or as binary data |
//! | `GET /rooms` | 200; the rooms that have members or subscribers, and how many |
//! | `GET /rooms/{room}` | 200; the members of the room of the chat by name, and the number of subscribers of the broadcast room |
//!
//! Publishing always needs a token that grants it: without keys every POST is refused. A page of another site cannot publish
//! through a visitor's browser, also where the token is a cookie: see [`is_from_another_site`].
//!
//! A published message goes to the worker that owns the room. 202 means that it has a place in the order of the room's messages
//! behind all messages that this server has accepted before; it does not mean that anybody has received it.

use std::num::NonZeroU32;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::access::Access;
use super::member::{check_text, text_message};
use super::names::{Name, NameError};
use super::protocol::{ErrorCode, ErrorReply, REMOVED, TAKEN_OVER, TEXT_BYTES_MAX, json};
use super::room::{Followed, RoomDirectory};
use super::room_name::room_name;
use super::rules::TOPIC_PREFIX;
use super::subscribers::Subscribers;
use crate::server::{CloseCode, ConnectionId, Publisher, Refusal, Request, Response, Status};
use crate::tokens::{Grant, TokenError};

/// Publishing by HTTP, and its settings.
#[derive(Debug, Default)]
pub(super) struct Api {
    publisher: OnceLock<Publisher>,
    pub(super) presence: Access,
    rate: Option<PublishRate>,
}

/// What the interface answers from.
pub(super) struct Rooms<'a> {
    pub(super) members: &'a RoomDirectory,
    pub(super) subscribers: &'a Subscribers,
}

/// A resource of the interface. The name of a room is in its normal form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// `/rooms`
    Rooms,
    /// `/rooms/{room}`
    Room(String),
    /// `/rooms/{room}/messages`
    Messages(String),
}

impl Resource {
    /// The resource of these segments of a path behind `/rooms`. `None`: there is none, or the name of the room is invalid.
    pub(super) fn of(segments: &[&str]) -> Option<Resource> {
        let named = |room: &str| room_name(room).map(|name| name.into_owned());
        match segments {
            [] => Some(Resource::Rooms),
            [room] => named(room).map(Resource::Room),
            [room, "messages"] => named(room).map(Resource::Messages),
            _ => None,
        }
    }

    /// The methods, as the field Allow lists them.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Resource::Rooms | Resource::Room(_) => "GET, HEAD, OPTIONS",
            Resource::Messages(_) => "POST, OPTIONS",
        }
    }
}

impl Api {
    /// The server is bound.
    pub(super) fn set_publisher(&self, publisher: Publisher) {
        // Called once.
        let _ = self.publisher.set(publisher);
    }

    /// Another connection of its tab has taken the place of this one.
    pub(super) fn close_taken_over(&self, connection: ConnectionId) {
        if let (Some(publisher), Some(code)) = (self.publisher.get(), CloseCode::new(TAKEN_OVER)) {
            // If its worker is behind, it stays open. It has no name in the room any more.
            let _ = publisher.close(connection, (code, "the room was entered again in this tab"));
        }
    }

    /// A moderator has removed the person of this connection.
    pub(super) fn close_removed(&self, connection: ConnectionId) {
        if let (Some(publisher), Some(code)) = (self.publisher.get(), CloseCode::new(REMOVED)) {
            // If its worker is behind, it stays open, and its messages are refused.
            let _ = publisher.close(connection, (code, "a moderator has removed you"));
        }
    }

    /// Tells the members of this node of a change on another one. On the engine's thread, and it insists: a change that is missing would
    /// make all further ones wait at the clients.
    pub(super) fn follow(&self, followed: &Followed) {
        let Some(publisher) = self.publisher.get().map(Publisher::insisting) else {
            return;
        };
        // One that insists fails only in rooms of the backplane, and these are none.
        for message in &followed.messages {
            let _ = publisher.publish(&followed.notices, message);
        }
        for connection in &followed.outside {
            let reason = "the room has changed on another server: enter it again";
            let _ = publisher.close(*connection, (CloseCode::TRY_AGAIN_LATER, reason));
        }
        for connection in &followed.removed {
            self.close_removed(*connection);
        }
    }

    /// At most so many messages per second, of all publishers together.
    pub(super) fn set_rate(&mut self, per_second: Option<NonZeroU32>) {
        self.rate = per_second.map(PublishRate::new);
    }

    /// The response of a resource to one of its methods.
    pub(super) fn respond(
        &self,
        resource: &Resource,
        request: &Request<'_>,
        time: u64,
        rooms: &Rooms<'_>,
    ) -> Result<Response, Refusal> {
        match resource {
            Resource::Rooms => self.list(request, rooms),
            Resource::Room(room) => self.show(room, request, rooms),
            Resource::Messages(room) => self.publish_text(room, request, time, rooms.members),
        }
    }
}

// Presence.
impl Api {
    fn list(&self, request: &Request<'_>, rooms: &Rooms<'_>) -> Result<Response, Refusal> {
        let grant = self.may_see(request)?;
        let after = request.query_value("after").unwrap_or_default();
        let sees = |prefix: &'static str| {
            let grant = grant.as_ref();
            move |room: &str| {
                grant.is_none_or(|grant| grant.may_subscribe(&format!("{prefix}{room}")))
            }
        };
        let chat = rooms
            .members
            .list(&after, ROOMS_LISTED_MAX, sees(TOPIC_PREFIX));
        let broadcast = rooms
            .subscribers
            .list(&after, ROOMS_LISTED_MAX, sees(BROADCAST_PREFIX));
        let listed = Listed {
            chat: Page::of(chat, |room, members| ChatRoom { room, members }),
            broadcast: Page::of(broadcast, |room, subscribers| BroadcastRoom {
                room,
                subscribers,
            }),
        };
        Ok(as_json(Status::Ok, json(&listed)))
    }

    fn show(
        &self,
        room: &str,
        request: &Request<'_>,
        rooms: &Rooms<'_>,
    ) -> Result<Response, Refusal> {
        let grant = self.may_see(request)?;
        let sees = |prefix: &str| {
            let grant = grant.as_ref();
            grant.is_none_or(|grant| grant.may_subscribe(&format!("{prefix}{room}")))
        };
        let (sees_chat, sees_broadcast) = (sees(TOPIC_PREFIX), sees(BROADCAST_PREFIX));
        if !sees_chat && !sees_broadcast {
            return Err(TokenError::NotAllowed.into());
        }
        let mut text = format!("{{\"room\":{}", json(&room));
        if sees_chat {
            // Who is in a private room is for its members.
            let is_private = rooms.members.is_private(room);
            let roster = rooms.members.roster(room).filter(|_| !is_private);
            let (members, revision) = roster
                .as_ref()
                .map_or((0, 0), |roster| (roster.count, roster.revision));
            let names = roster.as_ref().map_or("[]", |roster| roster.list.json());
            text.push_str(&format!(
                ",\"members\":{members},\"names\":{names},\"revision\":{revision}"
            ));
        }
        if sees_broadcast {
            let subscribers = rooms.subscribers.count(room);
            text.push_str(&format!(",\"subscribers\":{subscribers}"));
        }
        text.push('}');
        Ok(as_json(Status::Ok, text))
    }

    /// What the client may see. `None`: all.
    fn may_see(&self, request: &Request<'_>) -> Result<Option<Grant>, Refusal> {
        match self.presence {
            Access::Open => Ok(None),
            Access::Token => Ok(Some(request.grant()?)),
            Access::Off => Err(Refusal::new(
                Status::NotFound,
                "this server does not tell who is in its rooms",
            )),
        }
    }
}

// Publishing.
impl Api {
    /// What the head of `POST /broadcast/{room}` tells.
    pub(super) fn check_body(&self, room: &str, request: &Request<'_>) -> Result<(), Refusal> {
        broadcast_of(room, request).map(|_| ())
    }

    /// What the head of `POST /rooms/{room}/messages` tells.
    pub(super) fn check_text(&self, room: &str, request: &Request<'_>) -> Result<(), Refusal> {
        chat_message_of(room, request)?;
        match request.body_length() {
            Some(bytes) if bytes > TEXT_BYTES_MAX as u64 => {
                Err(refused_text(ErrorCode::TextTooLong))
            }
            _ => Ok(()),
        }
    }

    /// `POST /broadcast/{room}`
    pub(super) fn publish_body(
        &self,
        room: &str,
        request: &Request<'_>,
    ) -> Result<Response, Refusal> {
        let (topic, media_type) = broadcast_of(room, request)?;
        match media_type {
            MediaType::Text => {
                let text = text_of(request)?;
                self.publish(&topic, text)?;
            }
            MediaType::Binary => self.publish(&topic, request.body())?,
        }
        let bytes = request.body().len();
        Ok(as_json(Status::Accepted, json(&Published { room, bytes })))
    }

    /// `POST /rooms/{room}/messages`
    fn publish_text(
        &self,
        room: &str,
        request: &Request<'_>,
        time: u64,
        rooms: &RoomDirectory,
    ) -> Result<Response, Refusal> {
        let (topic, grant) = chat_message_of(room, request)?;
        let text = text_of(request)?;
        check_text(text).map_err(refused_text)?;
        let name = sender(request, &grant)?;
        if rooms.is_private(room) {
            let reason = "nothing can be published to a private room by HTTP";
            return Err(Refusal::new(Status::Forbidden, reason));
        }
        rooms.check_free(room, &name).map_err(|_| {
            let reason = "a member of the room has this name, or one that looks like it";
            Refusal::new(Status::Conflict, reason)
        })?;
        let message = text_message(&name, text, time);
        self.publish(&topic, message.as_str())?;
        let posted = Posted {
            room,
            from: name.as_str(),
            time,
        };
        Ok(as_json(Status::Accepted, json(&posted)))
    }

    fn publish(&self, topic: &str, message: impl crate::server::AsMessage) -> Result<(), Refusal> {
        if let Some(wait) = self.rate.as_ref().and_then(PublishRate::wait) {
            let reason = "too many messages are published by HTTP";
            return Err(again(Status::TooManyRequests, reason, wait));
        }
        let publisher = self.publisher.get();
        let published = publisher.map(|publisher| publisher.publish(topic, message));
        match published {
            Some(Ok(())) => Ok(()),
            _ => {
                let reason = "the room's worker is behind with its messages";
                Err(again(Status::ServiceUnavailable, reason, Duration::ZERO))
            }
        }
    }
}

/// The topic of a publication that the head allows, and the kind of its body.
fn broadcast_of(room: &str, request: &Request<'_>) -> Result<(String, MediaType), Refusal> {
    let topic = format!("{BROADCAST_PREFIX}{room}");
    may_publish(request, &topic)?;
    Ok((topic, media_type(request)?))
}

/// The topic of a text for the chat that the head allows, and what the token grants.
fn chat_message_of(room: &str, request: &Request<'_>) -> Result<(String, Grant), Refusal> {
    let topic = format!("{TOPIC_PREFIX}{room}");
    let grant = may_publish(request, &topic)?;
    match media_type(request)? {
        MediaType::Text => Ok((topic, grant)),
        MediaType::Binary => Err(unsupported("the chat has no binary messages")),
    }
}

/// Whether the client may publish to the topic; what its token grants.
fn may_publish(request: &Request<'_>, topic: &str) -> Result<Grant, Refusal> {
    if is_from_another_site(request) {
        let reason = "pages of other sites may not publish";
        return Err(Refusal::new(Status::Forbidden, reason));
    }
    let grant = request.grant()?;
    match grant.may_publish(topic) {
        true => Ok(grant),
        false => Err(TokenError::NotAllowed.into()),
    }
}

/// Whether a browser sends the request for a page of another site. A page can make a browser send a POST with a text, and the
/// browser adds cookies, without asking the server first. Browsers say where the page is from (Fetch Metadata, and Origin: RFC
/// 6454 §7), and no page can change that. Scripts send neither field.
fn is_from_another_site(request: &Request<'_>) -> bool {
    let fields = request.fields();
    if let Some(site) = fields.get("Sec-Fetch-Site") {
        return site != b"same-origin" && site != b"none";
    }
    let Some(origin) = fields.get("Origin") else {
        return false;
    };
    let host = request.head().host().unwrap_or_default().as_bytes();
    let authority = origin
        .strip_prefix(b"https://")
        .or_else(|| origin.strip_prefix(b"http://"));
    authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MediaType {
    Text,
    Binary,
}

/// The kind of message that the body is.
fn media_type(request: &Request<'_>) -> Result<MediaType, Refusal> {
    let value = request.fields().get("Content-Type").unwrap_or_default();
    let text = std::str::from_utf8(value).unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let kind = match parts
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "application/octet-stream" => MediaType::Binary,
        "application/json" => MediaType::Text,
        other if other.starts_with("text/") => MediaType::Text,
        _ => {
            return Err(unsupported(
                "Content-Type must be text/plain, application/json or application/octet-stream",
            ));
        }
    };
    let is_other_charset = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("charset")
            && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    };
    match kind == MediaType::Text && parts.any(is_other_charset) {
        true => Err(unsupported("the charset of a text must be utf-8")),
        false => Ok(kind),
    }
}

fn unsupported(reason: &'static str) -> Refusal {
    Refusal::new(Status::UnsupportedMediaType, reason)
}

fn text_of<'a>(request: &Request<'a>) -> Result<&'a str, Refusal> {
    let text = request.text();
    text.ok_or_else(|| Refusal::new(Status::BadRequest, "the body is not UTF-8"))
}

fn refused_text(code: ErrorCode) -> Refusal {
    match code {
        ErrorCode::TextTooLong => Refusal::new(
            Status::ContentTooLarge,
            format!("a text may have at most {TEXT_BYTES_MAX} bytes"),
        ),
        other => Refusal::new(Status::BadRequest, ErrorReply::of(other).text.into_owned()),
    }
}

/// The name that the message is from: the query's `name`, or the subject of the token.
fn sender(request: &Request<'_>, grant: &Grant) -> Result<Name, Refusal> {
    let given = request.query_value("name");
    let Some(name) = given.as_deref().or(grant.subject()) else {
        let reason = "the name of the sender is missing: add ?name=NAME";
        return Err(Refusal::new(Status::BadRequest, reason));
    };
    Name::parse(name).map_err(|error: NameError| {
        let reply = ErrorReply::of(error.into());
        Refusal::new(Status::BadRequest, reply.text.into_owned())
    })
}

/// A refusal after which the client may try again.
fn again(status: Status, reason: &'static str, wait: Duration) -> Refusal {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let refusal = Refusal::new(status, reason);
    let without_field = refusal.clone();
    refusal
        .field("Retry-After", seconds.to_string())
        .unwrap_or(without_field)
}

fn as_json(status: Status, mut text: String) -> Response {
    text.push('\n');
    Response::json(status, text)
        .field("Cache-Control", "no-store")
        .unwrap_or_else(|_| Response::new(Status::InternalServerError))
}

/// The messages in a second, as the time up to which they are used (the generic cell rate algorithm). A second's worth may come
/// at once.
#[derive(Debug)]
struct PublishRate {
    interval: Duration,
    used_until: Mutex<Instant>,
}

impl PublishRate {
    fn new(per_second: NonZeroU32) -> PublishRate {
        PublishRate {
            interval: Duration::from_secs(1) / per_second.get(),
            used_until: Mutex::new(Instant::now()),
        }
    }

    /// Counts one message, or tells how long to wait.
    fn wait(&self) -> Option<Duration> {
        self.wait_at(Instant::now())
    }

    fn wait_at(&self, now: Instant) -> Option<Duration> {
        let mut used_until = self
            .used_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let next = (*used_until).max(now) + self.interval;
        let latest = now + Duration::from_secs(1);
        if next > latest {
            return Some(next - latest);
        }
        *used_until = next;
        None
    }
}

/// The answer to `GET /rooms`.
#[derive(Serialize)]
struct Listed {
    chat: Page<ChatRoom>,
    broadcast: Page<BroadcastRoom>,
}

/// The rooms behind `after`, in the order of their names.
#[derive(Serialize)]
struct Page<T> {
    /// How many there are behind `after`; more than are listed if there are many.
    total: usize,
    rooms: Vec<T>,
}

impl<T> Page<T> {
    fn of((total, rooms): RoomCounts, make: impl Fn(Box<str>, usize) -> T) -> Page<T> {
        let rooms = rooms.into_iter().map(|(room, count)| make(room, count));
        Page {
            total,
            rooms: rooms.collect(),
        }
    }
}

/// How many rooms there are, and the first of them with their numbers of members.
pub(super) type RoomCounts = (usize, Vec<(Box<str>, usize)>);

#[derive(Serialize)]
struct ChatRoom {
    room: Box<str>,
    members: usize,
}

#[derive(Serialize)]
struct BroadcastRoom {
    room: Box<str>,
    subscribers: usize,
}

#[derive(Serialize)]
struct Published<'a> {
    room: &'a str,
    bytes: usize,
}

#[derive(Serialize)]
struct Posted<'a> {
    room: &'a str,
    from: &'a str,
    time: u64,
}

/// The server's names of broadcast rooms begin with it.
pub(super) const BROADCAST_PREFIX: &str = "/broadcast/";
/// Rooms in one answer; the next ones follow with `?after=`.
pub(super) const ROOMS_LISTED_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_of_the_rate_may_come_at_once_and_then_one_message_in_each_interval() {
        let rate = PublishRate::new(NonZeroU32::new(4).unwrap());
        let start = Instant::now();
        let at = |millis| rate.wait_at(start + Duration::from_millis(millis));
        for _ in 0..4 {
            assert_eq!(at(0), None);
        }
        assert!(at(0).is_some_and(|wait| wait <= Duration::from_millis(250)));
        assert!(at(249).is_some());
        assert_eq!(at(251), None);
        assert!(at(251).is_some());
        for _ in 0..4 {
            assert_eq!(at(9_000), None);
        }
        assert!(at(9_000).is_some());
    }

    #[test]
    fn paths_below_rooms_are_resources_of_a_valid_room() {
        assert_eq!(Resource::of(&[]), Some(Resource::Rooms));
        assert_eq!(Resource::of(&["a"]), Some(Resource::Room("a".to_owned())));
        let messages = Resource::Messages("会議室".to_owned());
        assert_eq!(Resource::of(&["会議室", "messages"]), Some(messages));
        for segments in [
            &[""][..],
            &["a b"],
            &["a", "x"],
            &["", "messages"],
            &["a", "messages", ""],
        ] {
            assert_eq!(Resource::of(segments), None, "{segments:?}");
        }
    }
}
