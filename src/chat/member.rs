//! One connection to `/chat/{room}`: its requests and their effects.
//!
//! ```text
//!                 join, name free
//!   +----------+ ------------------> +--------+
//!   | Outside  |                     | Inside |  message: to all members, including itself
//!   +----------+ <------------------ +--------+
//!    names         leave, or closed     names
//!
//!   any other request in either state: an error reply, and no change
//!
//!   version 2:   Outside ──enter──▶ Entering ──the subscription has begun, the name is free──▶ Inside
//!
//! A connection of version 2 begins in the room's past, so its subscription begins a turn later. Only then its name is entered:
//! every change of the names behind the list in its welcome comes to it.
//! ```
//!
//! All effects on other connections go through a [`Sink`], so that the tests need no server.
//! A message is parsed once and written as JSON once; it takes the lock of its own person only.
//!
//! Who is writing a text goes to a room of its own, which keeps no history: `/typing/{room}`.

use std::borrow::Cow;
use std::sync::Arc;

use super::characters::is_visible;
use super::list_budget::ListBudget;
use super::names::Name;
use super::protocol::{
    ChatLimits, ClientMessage, Enter, ErrorCode, ErrorReply, Past, PastGap, ServerMessage,
    TEXT_BYTES_MAX, TOPIC_BYTES_MAX, Topic,
};
use super::request::Request;
use super::room::{NameTaken, RoomDirectory, Roster, SetTopic, Visitor};
use super::speaker::Speaker;
use crate::server::{ConnectionId, Gap, Replay, Replayed};

/// The effects of a connection; the server's context implements them. `topic` is the server's
/// name of a room.
pub(super) trait Sink {
    /// Sends to this connection.
    fn send(&mut self, json: &str);
    /// Publishes to all subscribers of the topic, in the same order for all.
    fn publish(&mut self, topic: &str, json: &str);
    /// As `publish`, but not to this connection.
    fn publish_except(&mut self, topic: &str, json: &str);
    /// Subscribes this connection to the topic.
    fn join(&mut self, topic: &str);
    /// The same, beginning in the past: [`Member::joined`] follows.
    fn join_from(&mut self, topic: &str, replay: Replay);
    /// The connection's name.
    fn id(&self) -> ConnectionId;
    /// The same for a topic without which the member is complete: no effect beyond a limit.
    fn join_notices(&mut self, topic: &str);
    /// Unsubscribes this connection.
    fn leave(&mut self, topic: &str);
    /// A join is refused. It counts as one.
    fn refuse_join(&mut self);
}

/// A connection to a room of the chat: less than 100 bytes.
#[derive(Debug)]
pub(super) struct Member {
    topic: Box<str>,
    state: State,
    /// Whether texts of this client are published.
    may_publish: bool,
    lists: ListBudget,
    version: Version,
    /// Gets who is writing.
    sees_typing: bool,
    /// When it has told last that it writes.
    typed_at: u64,
}

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

#[derive(Debug)]
enum State {
    Outside,
    /// The subscription has been asked for.
    Entering(Box<Entering>),
    /// With the connection, if the person has a session.
    Inside(Arc<Speaker>, Option<ConnectionId>),
}

/// A request to enter, until the subscription has begun.
#[derive(Debug)]
struct Entering {
    name: Name,
    id: Option<String>,
    session: Option<Box<str>>,
    tab: Box<str>,
    typing: bool,
}

impl Member {
    /// A connection to this room. The name of the room has been checked.
    pub(super) fn new(room: &str, may_publish: bool, version: Version) -> Member {
        Member {
            may_publish,
            version,
            topic: format!("{TOPIC_PREFIX}{room}").into(),
            state: State::Outside,
            lists: ListBudget::FULL,
            sees_typing: false,
            typed_at: 0,
        }
    }

    /// Handles a text message that arrived at `time` (milliseconds since 1970-01-01 UTC).
    pub(super) fn handle_text(
        &mut self,
        json: &str,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) {
        match Request::parse(json) {
            Ok(request) => self.request(request, time, rooms, sink),
            Err(reply) => send_error(reply, sink),
        }
    }

    /// Handles a binary message: this protocol has none.
    pub(super) fn handle_binary(&self, sink: &mut impl Sink) {
        send_error(ErrorReply::of(ErrorCode::Binary), sink);
    }

    /// The connection read too slowly, and so many messages were skipped.
    pub(super) fn missed(&self, messages: u64, sink: &mut impl Sink) {
        sink.send(&ServerMessage::Missed { messages }.to_json());
    }

    /// The connection has ended.
    pub(super) fn closed(self, rooms: &RoomDirectory, sink: &mut impl Sink) {
        let State::Inside(speaker, connection) = &self.state else {
            return;
        };
        if let Some(departed) = rooms.leave(self.room(), speaker, *connection) {
            let left = left(&departed.name, departed.revision, None);
            sink.publish_except(&self.topic, &left.to_json());
        }
    }

    fn request(
        &mut self,
        request: Request<'_>,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) {
        let Request { message, id } = request;
        let kind = message.kind();
        let done = match message {
            ClientMessage::Join { .. } | ClientMessage::Enter(_) | ClientMessage::Names
                if !self.lists.allows(time) =>
            {
                Err(ErrorReply::of(ErrorCode::TooOften))
            }
            ClientMessage::Join { name } => self.join(&name, id.clone(), rooms, sink),
            ClientMessage::Enter(enter) => self.enter(*enter, id.clone(), rooms, sink),
            ClientMessage::Message { text } => self.publish(text, false, id.clone(), time, sink),
            ClientMessage::Action { text } => self.publish(text, true, id.clone(), time, sink),
            ClientMessage::Typing | ClientMessage::Rename { .. } | ClientMessage::Topic { .. }
                if self.version == Version::One =>
            {
                Err(ErrorReply::of(ErrorCode::UnknownType).with_field("type"))
            }
            ClientMessage::Typing => self.typing(time, rooms, sink),
            ClientMessage::Rename { name } => self.rename(&name, id.clone(), rooms, sink),
            ClientMessage::Topic { text } => self.set_topic(&text, id.clone(), time, rooms, sink),
            ClientMessage::Leave => self.leave(id.clone(), rooms, sink),
            ClientMessage::Names => {
                self.names(id.clone(), rooms, sink);
                Ok(())
            }
        };
        if let Err(reply) = done {
            send_error(reply.with_about(kind).with_id(id), sink);
        }
    }

    fn join(
        &mut self,
        name: &str,
        id: Id<'_>,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        let name = self.new_name(name)?;
        if let Err(name_taken) = rooms.check_free(self.room(), &name) {
            sink.refuse_join();
            return Err(taken(name_taken));
        }
        // Before the name gets its revision: every later change is then published to this
        // connection too.
        sink.join(&self.topic);
        match rooms.enter(self.room(), &name, None) {
            Ok(entered) => {
                let roster = entered.roster;
                let welcome = welcome(&name, self.room(), &roster, id, None);
                self.lists.spend(welcome.len());
                sink.send(&welcome);
                sink.publish_except(&self.topic, &joined(&name, roster.revision).to_json());
                self.state = State::Inside(entered.speaker, None);
                Ok(())
            }
            Err(name_taken) => {
                sink.leave(&self.topic);
                Err(taken(name_taken))
            }
        }
    }

    /// The name of a connection that is outside.
    fn new_name(&self, name: &str) -> Result<Name, Box<ErrorReply<'static>>> {
        if !matches!(self.state, State::Outside) {
            return Err(ErrorReply::of(ErrorCode::AlreadyJoined));
        }
        parse_name(name)
    }

    fn enter(
        &mut self,
        enter: Enter<'_>,
        id: Id<'_>,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        if self.version == Version::One {
            return Err(ErrorReply::of(ErrorCode::UnknownType).with_field("type"));
        }
        let name = self.new_name(&enter.name)?;
        if let Err(name_taken) = rooms.check_free_for(self.room(), &name, enter.session.as_deref())
        {
            sink.refuse_join();
            return Err(taken(name_taken));
        }
        let position = enter.after.and_then(|after| after.parse().ok());
        let latest = Replay::Latest(enter.history.unwrap_or(0));
        sink.join_from(&self.topic, position.map_or(latest, Replay::After));
        self.state = State::Entering(Box::new(Entering {
            name,
            id: id.map(Cow::into_owned),
            session: enter.session.map(|session| session.as_ref().into()),
            tab: enter.tab.unwrap_or_default().as_ref().into(),
            typing: enter.typing,
        }));
        Ok(())
    }

    /// The subscription has begun. Returns the connection whose place this one has taken.
    pub(super) fn joined(
        &mut self,
        replayed: &Replayed,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Option<ConnectionId> {
        let State::Entering(entering) = std::mem::replace(&mut self.state, State::Outside) else {
            return None;
        };
        let id = entering.id.map(Cow::Owned);
        let connection = entering.session.is_some().then(|| sink.id());
        let visitor = entering.session.as_deref().map(|session| Visitor {
            session,
            tab: &entering.tab,
            connection: sink.id(),
        });
        match rooms.enter(self.room(), &entering.name, visitor) {
            Ok(entered) => {
                let (name, roster) = (entered.speaker.name(), entered.roster);
                let history = Some(past(replayed));
                let welcome = welcome(&name, self.room(), &roster, id, history);
                self.lists.spend(welcome.len());
                sink.send(&welcome);
                if entered.is_new {
                    sink.publish_except(&self.topic, &joined(&name, roster.revision).to_json());
                }
                self.sees_typing = entering.typing;
                if self.sees_typing {
                    sink.join_notices(&typing_topic(self.room()));
                }
                self.state = State::Inside(entered.speaker, connection);
                entered.replaced
            }
            Err(name_taken) => {
                sink.leave(&self.topic);
                send_error(taken(name_taken).with_about("enter").with_id(id), sink);
                None
            }
        }
    }

    fn publish(
        &self,
        text: Cow<'_, str>,
        action: bool,
        id: Id<'_>,
        time: u64,
        sink: &mut impl Sink,
    ) -> Done {
        let name = self.publisher()?.name();
        check_text(&text).map_err(|code| ErrorReply::of(code).with_field("text"))?;
        let message = ServerMessage::Message {
            id,
            from: name.as_str().into(),
            text,
            time,
            action,
            position: None,
        };
        sink.publish(&self.topic, &message.to_json());
        Ok(())
    }

    /// The person, if it is in the room and may publish.
    fn publisher(&self) -> Result<&Arc<Speaker>, Box<ErrorReply<'static>>> {
        match &self.state {
            State::Inside(speaker, _) if self.may_publish => Ok(speaker),
            State::Inside(..) => Err(ErrorReply::of(ErrorCode::Forbidden)),
            _ => Err(ErrorReply::of(ErrorCode::NotJoined)),
        }
    }

    /// Tells the others that this member writes. Not too often, and not in a room of many members: then it does nothing.
    fn typing(&mut self, time: u64, rooms: &RoomDirectory, sink: &mut impl Sink) -> Done {
        let name = self.publisher()?.name();
        let is_early = time.saturating_sub(self.typed_at) < TYPING_INTERVAL_MS;
        if is_early || rooms.count(self.room()) > TYPING_MEMBERS_MAX {
            return Ok(());
        }
        self.typed_at = time;
        let typing = ServerMessage::Typing {
            name: name.as_str().into(),
        };
        sink.publish_except(&typing_topic(self.room()), &typing.to_json());
        Ok(())
    }

    /// All members get both changes, the person's other connections and members of version 1 included.
    fn rename(&self, name: &str, id: Id<'_>, rooms: &RoomDirectory, sink: &mut impl Sink) -> Done {
        let State::Inside(speaker, _) = &self.state else {
            return Err(ErrorReply::of(ErrorCode::NotJoined));
        };
        let name = parse_name(name)?;
        let renamed = rooms.rename(self.room(), speaker, &name);
        let renamed = renamed.ok_or_else(|| ErrorReply::of(ErrorCode::NotJoined))?;
        let renamed = renamed.map_err(taken)?;
        let left = ServerMessage::Left {
            id: None,
            name: renamed.was.as_str().into(),
            revision: renamed.left_revision,
            to: Some(name.as_str().into()),
            position: None,
        };
        let joined = ServerMessage::Joined {
            id,
            name: name.as_str().into(),
            revision: renamed.joined_revision,
            was: Some(renamed.was.as_str().into()),
            position: None,
        };
        sink.publish(&self.topic, &left.to_json());
        sink.publish(&self.topic, &joined.to_json());
        Ok(())
    }

    fn set_topic(
        &self,
        text: &str,
        id: Id<'_>,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        let by = self.publisher()?.name();
        let text = text.trim();
        check_topic(text).map_err(|code| ErrorReply::of(code).with_field("text"))?;
        let revision = rooms
            .set_topic(self.room(), text, by.clone(), time)
            .ok_or_else(|| ErrorReply::of(ErrorCode::NotJoined))?;
        let topic = ServerMessage::Topic {
            id,
            text: text.into(),
            by: by.as_str().into(),
            time,
            revision,
            position: None,
        };
        sink.publish(&self.topic, &topic.to_json());
        Ok(())
    }

    fn leave(&mut self, id: Id<'_>, rooms: &RoomDirectory, sink: &mut impl Sink) -> Done {
        if !matches!(self.state, State::Inside(..)) {
            return Err(ErrorReply::of(ErrorCode::NotJoined));
        }
        let State::Inside(speaker, connection) = std::mem::replace(&mut self.state, State::Outside)
        else {
            return Ok(());
        };
        let departed = rooms.leave(self.room(), &speaker, connection);
        let name = speaker.name();
        let revision = departed.map(|departed| departed.revision);
        sink.leave(&self.topic);
        if std::mem::take(&mut self.sees_typing) {
            sink.leave(&typing_topic(self.room()));
        }
        // Another connection of the person may stay, and then the names have not changed.
        let known = || {
            rooms
                .roster(self.room())
                .map_or(0, |roster| roster.revision)
        };
        let own = left(&name, revision.unwrap_or_else(known), id);
        sink.send(&own.to_json());
        if let Some(revision) = revision {
            sink.publish_except(&self.topic, &left(&name, revision, None).to_json());
        }
        Ok(())
    }

    fn names(&mut self, id: Id<'_>, rooms: &RoomDirectory, sink: &mut impl Sink) {
        let roster = rooms.roster(self.room());
        let (count, revision) = roster
            .as_ref()
            .map_or((0, 0), |roster| (roster.count, roster.revision));
        let names = ServerMessage::Names {
            id,
            names: Vec::new(),
            count,
            revision,
        };
        let list = match roster {
            Some(roster) => names.to_json_with_names(roster.list.json()),
            None => names.to_json(),
        };
        self.lists.spend(list.len());
        sink.send(&list);
    }

    fn room(&self) -> &str {
        self.topic.strip_prefix(TOPIC_PREFIX).unwrap_or(&self.topic)
    }
}

/// The result of a request: done, or an error reply without `id` and `about`.
type Done = Result<(), Box<ErrorReply<'static>>>;

type Id<'a> = Option<Cow<'a, str>>;

/// The rooms of the chat and those of `/broadcast` are topics of one server; the path
/// distinguishes them.
pub(super) const TOPIC_PREFIX: &str = "/chat/";
/// Who is writing in a room of the chat.
pub(super) const TYPING_PREFIX: &str = "/typing/";

/// A member tells at most this often that it writes.
const TYPING_INTERVAL_MS: u64 = 2_000;
/// With more members, nobody is told who is writing: each notice would be a message to all of them.
const TYPING_MEMBERS_MAX: usize = 50;

fn typing_topic(room: &str) -> String {
    format!("{TYPING_PREFIX}{room}")
}

fn parse_name(name: &str) -> Result<Name, Box<ErrorReply<'static>>> {
    Name::parse(name).map_err(|error| ErrorReply::of(error.into()).with_field("name"))
}

fn send_error(reply: Box<ErrorReply<'_>>, sink: &mut impl Sink) {
    sink.send(&ServerMessage::Error(reply).to_json());
}

/// A text that is not from a member, as JSON. It has been checked.
pub(super) fn text_message(name: &Name, text: &str, time: u64) -> String {
    let message = ServerMessage::Message {
        id: None,
        from: name.as_str().into(),
        text: text.into(),
        time,
        action: false,
        position: None,
    };
    message.to_json()
}

pub(super) fn check_text(text: &str) -> Result<(), ErrorCode> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ErrorCode::TextTooLong);
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
    {
        return Err(ErrorCode::TextInvalid);
    }
    if !text.chars().any(is_visible) {
        return Err(ErrorCode::TextEmpty);
    }
    Ok(())
}

/// An empty topic is none.
fn check_topic(text: &str) -> Result<(), ErrorCode> {
    if text.len() > TOPIC_BYTES_MAX {
        return Err(ErrorCode::TopicTooLong);
    }
    let is_invisible = !text.is_empty() && !text.chars().any(is_visible);
    match is_invisible || text.chars().any(is_control_or_line_end) {
        true => Err(ErrorCode::TopicInvalid),
        false => Ok(()),
    }
}

/// U+2028 and U+2029 end a line, too.
fn is_control_or_line_end(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn taken(taken: NameTaken) -> Box<ErrorReply<'static>> {
    let suggestion = taken.suggestion.map(|free| free.as_str().to_owned());
    ErrorReply::of(ErrorCode::NameTaken)
        .with_field("name")
        .with_suggestion(suggestion)
}

fn past(replayed: &Replayed) -> Past<'static> {
    Past {
        position: replayed.position.to_string().into(),
        messages: replayed.messages,
        gap: match replayed.gap {
            Gap::None => PastGap::None,
            Gap::OtherEpoch => PastGap::OtherEpoch,
            _ => PastGap::Forgotten,
        },
    }
}

fn welcome(
    name: &Name,
    room: &str,
    roster: &Roster,
    id: Id<'_>,
    history: Option<Past<'_>>,
) -> String {
    let welcome = ServerMessage::Welcome {
        id,
        you: name.as_str().into(),
        room: room.into(),
        names: Vec::new(),
        count: roster.count,
        revision: roster.revision,
        limits: ChatLimits::SERVER,
        topic: roster.topic.as_deref().map(topic),
        history,
    };
    welcome.to_json_with_names(roster.list.json())
}

fn topic(set: &SetTopic) -> Topic<'_> {
    Topic {
        text: (&*set.text).into(),
        by: set.by.as_str().into(),
        time: set.time,
        revision: set.revision,
    }
}

fn joined(name: &Name, revision: u64) -> ServerMessage<'_> {
    ServerMessage::Joined {
        id: None,
        name: name.as_str().into(),
        revision,
        was: None,
        position: None,
    }
}

fn left<'a>(name: &'a Name, revision: u64, id: Id<'a>) -> ServerMessage<'a> {
    ServerMessage::Left {
        id,
        name: name.as_str().into(),
        revision,
        to: None,
        position: None,
    }
}

#[cfg(test)]
mod tests;
