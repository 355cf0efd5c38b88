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
//!                     └──password──▶ Asking ──it is right──┘
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

use super::access::Rights;
use super::characters::is_visible;
use super::effects::{Done, Id, Sink, left, random, session_key, silenced};
use super::list_budget::ListBudget;
use super::moderating::{Place, moderate};
use super::names::Name;
use super::passwords::{HashedPassword, Outcome, Verdict, Work};
use super::protocol::{
    ChatLimits, ClientMessage, Enter, ErrorCode, ErrorReply, Past, PastGap, ServerMessage,
    TEXT_BYTES_MAX, TOPIC_BYTES_MAX, Topic, Visibility,
};
use super::request::Request;
use super::room::{Moderator, NameTaken, NotEntered, RoomDirectory, Roster, SetTopic, Visitor};
use super::rules::{Creation, Entrance, TOPIC_PREFIX};
use super::sanctions::Identity;
use super::sessions::{Person, Session, is_signed, person_of_account, person_of_secret};
use super::speaker::Speaker;
use crate::server::{ConnectionId, Gap, Replay, Replayed};

/// A connection to a room of the chat: some 100 bytes, and some more in the room.
#[derive(Debug)]
pub(super) struct Member {
    room: Box<str>,
    state: State,
    rights: Rights,
    /// The person with the account that is the subject of the client's token.
    account: Option<Person>,
    lists: ListBudget,
    version: Version,
    /// The next password is not looked at before this time.
    password_from: u64,
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
    /// A password is being compared, or hashed for a new room.
    Asking(Box<Asking>),
    /// The subscription has been asked for.
    Entering(Box<Entering>),
    Inside(Box<Inside>),
}

/// A request to enter, until the thread of the passwords has done its work.
#[derive(Debug)]
struct Asking {
    entering: Entering,
    /// `None`: the password is that of the room.
    create: Option<Visibility>,
    verdict: Verdict,
}

/// A request to enter, until the subscription has begun.
#[derive(Debug)]
struct Entering {
    name: Name,
    id: Option<String>,
    who: Identity,
    /// The session that the welcome renews.
    session: Option<Session>,
    tab: Box<str>,
    typing: bool,
    topic: Box<str>,
    replay: Replay,
}

/// A member of the room.
#[derive(Debug)]
struct Inside {
    speaker: Arc<Speaker>,
    connection: Option<ConnectionId>,
    session: Option<Person>,
    /// The server's name of the room.
    topic: Box<str>,
    /// Gets who is writing.
    sees_typing: bool,
    /// When it has told last that it writes.
    typed_at: u64,
}

impl Member {
    /// A connection to this room. The name of the room has been checked. `account`: the subject of its token.
    pub(super) fn new(
        room: &str,
        rights: Rights,
        account: Option<&str>,
        version: Version,
    ) -> Member {
        Member {
            room: room.into(),
            rights,
            account: account.map(person_of_account),
            version,
            state: State::Outside,
            lists: ListBudget::FULL,
            password_from: 0,
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

    /// A message of this connection was not published.
    pub(super) fn not_published(&self, sink: &mut impl Sink) {
        send_error(ErrorReply::of(ErrorCode::NotPublished), sink);
    }

    /// The connection has ended.
    pub(super) fn closed(self, rooms: &RoomDirectory, sink: &mut impl Sink) {
        let State::Inside(inside) = &self.state else {
            return;
        };
        if let Some(departed) = rooms.leave(&self.room, &inside.speaker, inside.connection) {
            let left = left(&departed.name, departed.revision, None);
            sink.publish_except(&rooms.notices(&inside.topic), &left.to_json());
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
            ClientMessage::Join { name } => self.join(&name, id.clone(), time, rooms, sink),
            ClientMessage::Enter(enter) => self.enter(*enter, id.clone(), time, rooms, sink),
            ClientMessage::Message { text } => {
                self.publish(text, false, id.clone(), time, rooms, sink)
            }
            ClientMessage::Action { text } => {
                self.publish(text, true, id.clone(), time, rooms, sink)
            }
            ClientMessage::Typing
            | ClientMessage::Rename { .. }
            | ClientMessage::Topic { .. }
            | ClientMessage::Moderate(_)
                if self.version == Version::One =>
            {
                Err(ErrorReply::of(ErrorCode::UnknownType).with_field("type"))
            }
            ClientMessage::Typing => self.typing(time, rooms, sink),
            ClientMessage::Rename { name } => self.rename(&name, id.clone(), time, rooms, sink),
            ClientMessage::Topic { text } => self.set_topic(&text, id.clone(), time, rooms, sink),
            ClientMessage::Moderate(request) => match self.inside() {
                Ok(inside) => {
                    let place = Place {
                        room: &self.room,
                        speaker: &inside.speaker,
                        topic: &inside.topic,
                        by: self.moderator(inside),
                        time,
                        rooms,
                    };
                    moderate(request, id.clone(), &place, sink)
                }
                Err(reply) => Err(reply),
            },
            ClientMessage::Leave => self.leave(id.clone(), rooms, sink),
            ClientMessage::Names => self.names(id.clone(), rooms, sink),
        };
        if let Err(reply) = done {
            send_error(reply.with_about(kind).with_id(id), sink);
        }
    }

    fn join(
        &mut self,
        name: &str,
        id: Id<'_>,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        let name = self.new_name(name)?;
        let who = Identity {
            session: self.account.clone(),
            address: sink.address(),
        };
        let topic = match rooms.entrance(&self.room, &who, self.rights.moderate, None, time) {
            (Entrance::Open, topic) => self.topic(topic),
            (Entrance::Closed(_), _) => return refused_join(ErrorCode::PasswordRequired, sink),
            (Entrance::Banned, _) => return refused_join(ErrorCode::Banned, sink),
        };
        if let Err(name_taken) = rooms.check_free(&self.room, &name) {
            sink.refuse_join();
            return Err(taken(name_taken));
        }
        // Before the name gets its revision: every later change is then published to this
        // connection too.
        sink.join(&topic);
        follow_names(&topic, rooms, sink);
        let visitor = self.visitor(who, "", sink);
        match rooms.enter(&self.room, &topic, &name, visitor, time) {
            Ok(entered) => {
                let roster = entered.roster;
                let welcome = self.welcome(&name, &roster, id, Entry::default());
                self.lists.spend(welcome.len());
                sink.send(&welcome);
                let joined = joined(&name, roster.revision).to_json();
                sink.publish_except(&rooms.notices(&topic), &joined);
                self.state = State::Inside(Box::new(Inside {
                    speaker: entered.speaker,
                    connection: sink.connection(),
                    session: None,
                    topic,
                    sees_typing: false,
                    typed_at: 0,
                }));
                Ok(())
            }
            Err(not_entered) => {
                leave_room(&topic, rooms, sink);
                Err(refused_entry(not_entered))
            }
        }
    }

    /// Who enters, and the session of this server that the welcome renews: that of a new person, if none is shown or it is not valid.
    fn person(
        &self,
        shown: Option<&str>,
        time: u64,
        rooms: &RoomDirectory,
    ) -> Result<(Person, Option<Session>), Box<ErrorReply<'static>>> {
        if let Some(account) = &self.account {
            return Ok((account.clone(), None));
        }
        if let Some(secret) = shown.filter(|text| !is_signed(text)) {
            return Ok((person_of_secret(secret), None));
        }
        let key = session_key(rooms)?;
        let known = shown.and_then(|text| key.check(text, time / 1000));
        let session = match known {
            Some(session) => session,
            None => Session::new(random()?),
        };
        Ok((session.person(), Some(session)))
    }

    fn visitor<'a>(&self, who: Identity, tab: &'a str, sink: &impl Sink) -> Visitor<'a> {
        Visitor {
            who,
            tab,
            connection: sink.connection(),
            is_operator: self.rights.moderate,
        }
    }

    /// The server's name of the room: its own, or that of a private room.
    fn topic(&self, private: Option<Box<str>>) -> Box<str> {
        private.unwrap_or_else(|| format!("{TOPIC_PREFIX}{}", self.room).into())
    }

    fn moderator<'a>(&self, inside: &'a Inside) -> Moderator<'a> {
        Moderator {
            session: inside.session.as_deref(),
            is_operator: self.rights.moderate,
        }
    }

    fn inside(&self) -> Result<&Inside, Box<ErrorReply<'static>>> {
        match &self.state {
            State::Inside(inside) => Ok(inside),
            _ => Err(ErrorReply::of(ErrorCode::NotJoined)),
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
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        if self.version == Version::One {
            return Err(ErrorReply::of(ErrorCode::UnknownType).with_field("type"));
        }
        let name = self.new_name(&enter.name)?;
        let (person, session) = self.person(enter.session.as_deref(), time, rooms)?;
        let position = enter.after.and_then(|after| after.parse().ok());
        let latest = Replay::Latest(enter.history.unwrap_or(0));
        let entering = Entering {
            name,
            id: id.map(Cow::into_owned),
            who: Identity {
                session: Some(person),
                address: sink.address(),
            },
            session,
            tab: enter.tab.unwrap_or_default().as_ref().into(),
            typing: enter.typing,
            topic: self.topic(None),
            replay: position.map_or(latest, Replay::After),
        };
        let password = enter.password.as_deref();
        match enter.create {
            Some(visibility) => self.create(entering, visibility, password, time, rooms, sink),
            None => {
                let invitation = enter.invitation.as_deref();
                self.ask(entering, password, invitation, time, rooms, sink)
            }
        }
    }

    /// Enters a room as far as its rules allow it now.
    fn ask(
        &mut self,
        mut entering: Entering,
        password: Option<&str>,
        invitation: Option<&str>,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        let is_operator = self.rights.moderate;
        let (entrance, topic) =
            rooms.entrance(&self.room, &entering.who, is_operator, invitation, time);
        entering.topic = self.topic(topic);
        match (entrance, password) {
            (Entrance::Open, _) => self.begin(entering, rooms, sink),
            (Entrance::Banned, _) => refused_join(ErrorCode::Banned, sink),
            (Entrance::Closed(Some(right)), Some(password)) => {
                self.compare(entering, password, right, time, rooms, sink)
            }
            (Entrance::Closed(_), _) => refused_join(ErrorCode::PasswordRequired, sink),
        }
    }

    /// Subscribes to the room; [`Member::joined`] follows.
    fn begin(&mut self, entering: Entering, rooms: &RoomDirectory, sink: &mut impl Sink) -> Done {
        let session = entering.who.session.as_deref();
        if let Err(name_taken) = rooms.check_free_for(&self.room, &entering.name, session) {
            sink.refuse_join();
            return Err(taken(name_taken));
        }
        sink.join_from(&entering.topic, entering.replay);
        self.state = State::Entering(Box::new(entering));
        Ok(())
    }

    /// Creates the room, if there is none of its name. A password is hashed first.
    fn create(
        &mut self,
        entering: Entering,
        visibility: Visibility,
        password: Option<&str>,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        if !self.rights.publish {
            return Err(ErrorReply::of(ErrorCode::Forbidden));
        }
        match (visibility, password) {
            (Visibility::Private, Some(password)) => {
                self.check_password_interval(time)?;
                let salt = random()?;
                self.start(
                    entering,
                    Some(visibility),
                    password,
                    Work::Hash(salt),
                    time,
                    rooms,
                    sink,
                )
            }
            _ => self.created(entering, visibility, None, time, rooms, sink),
        }
    }

    fn created(
        &mut self,
        mut entering: Entering,
        visibility: Visibility,
        password: Option<Arc<HashedPassword>>,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        let creation = Creation {
            owner: entering.who.session.clone().unwrap_or_default(),
            visibility,
            password,
            key: random()?,
            secret: random()?,
            at: time,
        };
        if !rooms.create(&self.room, creation) {
            sink.refuse_join();
            return Err(ErrorReply::of(ErrorCode::RoomExists));
        }
        let (_, topic) = rooms.entrance(&self.room, &entering.who, true, None, 0);
        entering.topic = self.topic(topic);
        self.begin(entering, rooms, sink)
    }

    fn compare(
        &mut self,
        entering: Entering,
        password: &str,
        right: Arc<HashedPassword>,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        self.check_password_interval(time)?;
        let who = entering.who.clone();
        rooms
            .begin_guess(&self.room, &who, time)
            .map_err(|wait| ErrorReply::of(ErrorCode::TooManyPasswords).with_wait(wait))?;
        let started = self.start(
            entering,
            None,
            password,
            Work::Compare(right),
            time,
            rooms,
            sink,
        );
        if started.is_err() {
            rooms.take_guess_back(&self.room, &who);
        }
        started
    }

    /// A connection shows at most one password in some seconds, whatever becomes of it.
    fn check_password_interval(&self, time: u64) -> Done {
        match self.password_from.saturating_sub(time) {
            left @ 1..=PASSWORD_INTERVAL_MS => {
                Err(ErrorReply::of(ErrorCode::TooOften).with_wait(left))
            }
            _ => Ok(()),
        }
    }

    /// Gives a password to the thread.
    #[expect(clippy::too_many_arguments, reason = "all of them are of one request")]
    fn start(
        &mut self,
        entering: Entering,
        create: Option<Visibility>,
        password: &str,
        work: Work,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        let verdict = rooms.passwords.start(password, work);
        let verdict = verdict.ok_or_else(|| ErrorReply::of(ErrorCode::Busy))?;
        self.password_from = time + PASSWORD_INTERVAL_MS;
        self.state = State::Asking(Box::new(Asking {
            entering,
            create,
            verdict,
        }));
        sink.wait_for_password();
        Ok(())
    }

    /// Goes on with the request to enter, if the thread has done its work.
    pub(super) fn look_at_password(
        &mut self,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) {
        let State::Asking(asking) = &self.state else {
            return;
        };
        let Some(outcome) = asking.verdict.get().cloned() else {
            return sink.wait_for_password();
        };
        let State::Asking(asking) = std::mem::replace(&mut self.state, State::Outside) else {
            return;
        };
        let Asking {
            entering, create, ..
        } = *asking;
        let id = entering.id.clone();
        let done = match (outcome, create) {
            (Some(Outcome::Hashed(hashed)), Some(visibility)) => {
                self.created(entering, visibility, Some(hashed), time, rooms, sink)
            }
            (Some(Outcome::Compared(true)), None) => {
                rooms.admit(&self.room, &entering.topic, &entering.who, time);
                self.begin(entering, rooms, sink)
            }
            (Some(Outcome::Compared(false)), _) => refused_join(ErrorCode::PasswordWrong, sink)
                .map_err(|reply| reply.with_field("password")),
            (outcome, create) => {
                if outcome.is_none() && create.is_none() {
                    rooms.take_guess_back(&self.room, &entering.who);
                }
                Err(ErrorReply::of(ErrorCode::Busy))
            }
        };
        if let Err(reply) = done {
            let id = id.map(Cow::Owned);
            send_error(reply.with_about("enter").with_id(id), sink);
        }
    }

    /// The subscription has begun. Returns the connection whose place this one has taken.
    pub(super) fn joined(
        &mut self,
        replayed: &Replayed,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Option<ConnectionId> {
        let State::Entering(entering) = std::mem::replace(&mut self.state, State::Outside) else {
            return None;
        };
        let Entering {
            name,
            id,
            who,
            session: issued,
            tab,
            typing,
            topic,
            ..
        } = *entering;
        let id = id.map(Cow::Owned);
        let session = who.session.clone();
        // As in `join`: before the name gets its revision.
        follow_names(&topic, rooms, sink);
        let visitor = self.visitor(who, &tab, sink);
        match rooms.enter(&self.room, &topic, &name, visitor, time) {
            Ok(entered) => {
                let (name, roster) = (entered.speaker.name(), entered.roster);
                let by = Moderator {
                    session: session.as_deref(),
                    is_operator: self.rights.moderate,
                };
                let is_moderator = rooms.is_moderator(&self.room, by);
                let key = rooms.session_key.get();
                let entry = Entry {
                    moderator: is_moderator,
                    session: issued.and_then(|session| Some(key?.issue(session, time / 1000))),
                    history: Some(past(replayed)),
                };
                let welcome = self.welcome(&name, &roster, id, entry);
                self.lists.spend(welcome.len());
                sink.send(&welcome);
                if entered.is_new {
                    let joined = joined(&name, roster.revision).to_json();
                    sink.publish_except(&rooms.notices(&topic), &joined);
                }
                if typing {
                    sink.join_notices(&typing_topic(&topic));
                }
                self.state = State::Inside(Box::new(Inside {
                    speaker: entered.speaker,
                    connection: sink.connection(),
                    session,
                    topic,
                    sees_typing: typing,
                    typed_at: 0,
                }));
                entered.replaced
            }
            Err(not_entered) => {
                leave_room(&topic, rooms, sink);
                let reply = refused_entry(not_entered);
                send_error(reply.with_about("enter").with_id(id), sink);
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
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        let inside = self.publisher()?;
        check_text(&text).map_err(|code| ErrorReply::of(code).with_field("text"))?;
        let name = inside.speaker.publish(time, rooms.message_rate);
        let name = name.map_err(silenced)?;
        let message = ServerMessage::Message {
            id,
            from: name.as_str().into(),
            text,
            time,
            action,
            position: None,
        };
        sink.publish(&inside.topic, &message.to_json());
        Ok(())
    }

    /// The member, if it is in the room and its token lets it publish.
    fn publisher(&self) -> Result<&Inside, Box<ErrorReply<'static>>> {
        let inside = self.inside()?;
        match self.rights.publish {
            true => Ok(inside),
            false => Err(ErrorReply::of(ErrorCode::Forbidden)),
        }
    }

    /// Tells the others that this member writes. Not too often, and not in a room of many members: then it does nothing.
    fn typing(&mut self, time: u64, rooms: &RoomDirectory, sink: &mut impl Sink) -> Done {
        let inside = self.publisher()?;
        let Ok(name) = inside.speaker.check(time) else {
            return Ok(());
        };
        let is_early = time.saturating_sub(inside.typed_at) < TYPING_INTERVAL_MS;
        if is_early || rooms.count(&self.room) > TYPING_MEMBERS_MAX {
            return Ok(());
        }
        let typing = ServerMessage::Typing {
            name: name.as_str().into(),
        };
        sink.publish_except(&typing_topic(&inside.topic), &typing.to_json());
        if let State::Inside(inside) = &mut self.state {
            inside.typed_at = time;
        }
        Ok(())
    }

    /// All members get both changes, the person's other connections and members of version 1 included.
    fn rename(
        &self,
        name: &str,
        id: Id<'_>,
        time: u64,
        rooms: &RoomDirectory,
        sink: &mut impl Sink,
    ) -> Done {
        let inside = self.inside()?;
        let name = parse_name(name)?;
        // A new name is as much to read as a message.
        let counted = inside.speaker.publish(time, rooms.message_rate);
        counted.map_err(silenced)?;
        let renamed = rooms.rename(&self.room, &inside.speaker, &name, time);
        let renamed = renamed.ok_or_else(|| ErrorReply::of(ErrorCode::NotJoined))?;
        let renamed = renamed.map_err(taken)?;
        let joined = ServerMessage::Joined {
            id,
            name: name.as_str().into(),
            revision: renamed.joined_revision,
            was: Some(renamed.was.as_str().into()),
            position: None,
        };
        let notices = rooms.notices(&inside.topic);
        if let Some(revision) = renamed.left_revision {
            let left = ServerMessage::Left {
                id: None,
                name: renamed.was.as_str().into(),
                revision,
                to: Some(name.as_str().into()),
                position: None,
            };
            sink.publish(&notices, &left.to_json());
        }
        sink.publish(&notices, &joined.to_json());
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
        let inside = self.publisher()?;
        let text = text.trim();
        check_topic(text).map_err(|code| ErrorReply::of(code).with_field("text"))?;
        let by = inside.speaker.publish(time, rooms.message_rate);
        let by = by.map_err(silenced)?;
        let revision = rooms
            .set_topic(&self.room, text, by.clone(), time)
            .ok_or_else(|| ErrorReply::of(ErrorCode::NotJoined))?;
        let topic = ServerMessage::Topic {
            id,
            text: text.into(),
            by: by.as_str().into(),
            time,
            revision,
            position: None,
        };
        sink.publish(&inside.topic, &topic.to_json());
        Ok(())
    }

    fn leave(&mut self, id: Id<'_>, rooms: &RoomDirectory, sink: &mut impl Sink) -> Done {
        let State::Inside(inside) = std::mem::replace(&mut self.state, State::Outside) else {
            return Err(ErrorReply::of(ErrorCode::NotJoined));
        };
        let departed = rooms.leave(&self.room, &inside.speaker, inside.connection);
        let name = inside.speaker.name();
        let revision = departed.map(|departed| departed.revision);
        leave_room(&inside.topic, rooms, sink);
        if inside.sees_typing {
            sink.leave(&typing_topic(&inside.topic));
        }
        // Another connection of the person may stay, and then the names have not changed.
        let known = || rooms.roster(&self.room).map_or(0, |roster| roster.revision);
        let own = left(&name, revision.unwrap_or_else(known), id);
        sink.send(&own.to_json());
        if let Some(revision) = revision {
            let left = left(&name, revision, None);
            sink.publish_except(&rooms.notices(&inside.topic), &left.to_json());
        }
        Ok(())
    }

    /// The names of a private room are for its members.
    fn names(&mut self, id: Id<'_>, rooms: &RoomDirectory, sink: &mut impl Sink) -> Done {
        if self.inside().is_err() && rooms.is_private(&self.room) {
            return Err(ErrorReply::of(ErrorCode::NotJoined));
        }
        let roster = rooms.roster(&self.room);
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
        Ok(())
    }

    fn welcome(&self, name: &Name, roster: &Roster, id: Id<'_>, entry: Entry<'_>) -> String {
        let (session, until) = entry.session.unzip();
        let welcome = ServerMessage::Welcome {
            id,
            you: name.as_str().into(),
            room: (&*self.room).into(),
            names: Vec::new(),
            count: roster.count,
            revision: roster.revision,
            limits: ChatLimits::SERVER,
            topic: roster.topic.as_deref().map(topic),
            visibility: roster.visibility,
            slow_seconds: roster.slow_seconds,
            moderator: entry.moderator,
            session: session.map(Cow::Owned),
            session_until: until.map(|until| until * 1000),
            history: entry.history,
        };
        welcome.to_json_with_names(roster.list.json())
    }
}

/// What a welcome has in version 2 alone.
#[derive(Default)]
struct Entry<'a> {
    moderator: bool,
    /// The text of the session, and its end in seconds since 1970-01-01 UTC.
    session: Option<(String, u64)>,
    history: Option<Past<'a>>,
}

/// Who is writing in a room of the chat.
pub(super) const TYPING_PREFIX: &str = "/typing/";

/// A member tells at most this often that it writes.
const TYPING_INTERVAL_MS: u64 = 2_000;
/// With more members, nobody is told who is writing: each notice would be a message to all of them.
const TYPING_MEMBERS_MAX: usize = 50;

/// The next password of a connection is looked at so much later.
const PASSWORD_INTERVAL_MS: u64 = 2_000;

/// `topic`: that of the room.
fn typing_topic(topic: &str) -> String {
    format!("{TYPING_PREFIX}{}", topic.trim_start_matches('/'))
}

/// Subscribes to the changes of the names of the room with this topic, if they do not come with its messages.
fn follow_names(topic: &str, rooms: &RoomDirectory, sink: &mut impl Sink) {
    let notices = rooms.notices(topic);
    if *notices != *topic {
        sink.join(&notices);
    }
}

/// Unsubscribes from the room with this topic.
fn leave_room(topic: &str, rooms: &RoomDirectory, sink: &mut impl Sink) {
    sink.leave(topic);
    let notices = rooms.notices(topic);
    if *notices != *topic {
        sink.leave(&notices);
    }
}

/// A join that is refused costs as much as one that is not.
fn refused_join(code: ErrorCode, sink: &mut impl Sink) -> Done {
    sink.refuse_join();
    Err(ErrorReply::of(code))
}

fn refused_entry(not_entered: NotEntered) -> Box<ErrorReply<'static>> {
    match not_entered {
        NotEntered::Taken(name_taken) => taken(name_taken),
        NotEntered::Changed => ErrorReply::of(ErrorCode::Busy),
    }
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

#[cfg(test)]
mod tests;
