//! One connection to `/chat/{room}`: what it may say now, and what happens then.
//!
//! ```text
//!                 join, name free
//!   +----------+ ------------------> +--------+
//!   | Outside  |                     | Inside |  message: to everyone, itself too
//!   +----------+ <------------------ +--------+
//!    names         leave, or gone       names
//!
//!   anything else, anywhere: an error to this connection, and no change
//! ```
//!
//! What it does to the world goes through an [`Outlet`], so that all of this
//! runs in tests without a server. A message costs one reading and one writing
//! of JSON, and no lock.

use std::borrow::Cow;

use super::characters::is_visible;
use super::names::Name;
use super::protocol::{ClientMessage, Complaint, ErrorCode, Limits, ServerMessage, TEXT_BYTES_MAX};
use super::request::Request;
use super::room::{NameTaken, Rooms, Roster};

/// What a connection can do to others; the server's context is one. `topic` is
/// what the server calls a room.
pub(super) trait Outlet {
    /// To this connection.
    fn send(&mut self, json: &str);
    /// To everyone who has joined the topic; in the same order for all.
    fn publish(&mut self, topic: &str, json: &str);
    /// To everyone but this connection.
    fn publish_except(&mut self, topic: &str, json: &str);
    /// From now on this connection gets what is published to the topic.
    fn join(&mut self, topic: &str);
    /// From now on it does not.
    fn leave(&mut self, topic: &str);
}

/// A connection to a room of the chat. Two words and a name: idle it costs less
/// than 100 bytes.
#[derive(Debug)]
pub(super) struct Member {
    topic: Box<str>,
    state: State,
}

#[derive(Debug)]
enum State {
    Outside,
    Inside(Name),
}

impl Member {
    /// For the room, whose name has been checked.
    pub(super) fn new(room: &str) -> Member {
        Member {
            topic: format!("{TOPIC_PREFIX}{room}").into(),
            state: State::Outside,
        }
    }

    /// Takes a text message that came in at `time` (milliseconds since
    /// 1970-01-01 UTC) and answers it.
    pub(super) fn text(&mut self, json: &str, time: u64, rooms: &Rooms, outlet: &mut impl Outlet) {
        match Request::parse(json) {
            Ok(request) => self.request(request, time, rooms, outlet),
            Err(complaint) => complain(complaint, outlet),
        }
    }

    /// Takes a binary message: there are none in this protocol.
    pub(super) fn binary(&self, outlet: &mut impl Outlet) {
        complain(Complaint::of(ErrorCode::Binary), outlet);
    }

    /// The connection read too slowly and has missed this much.
    pub(super) fn missed(&self, messages: u64, outlet: &mut impl Outlet) {
        outlet.send(&ServerMessage::Missed { messages }.to_json());
    }

    /// The connection is gone.
    pub(super) fn gone(self, rooms: &Rooms, outlet: &mut impl Outlet) {
        let State::Inside(name) = &self.state else {
            return;
        };
        if let Some(revision) = rooms.leave(self.room(), name) {
            outlet.publish_except(&self.topic, &left(name, revision, None).to_json());
        }
    }

    fn request(
        &mut self,
        request: Request<'_>,
        time: u64,
        rooms: &Rooms,
        outlet: &mut impl Outlet,
    ) {
        let Request { message, id } = request;
        let kind = message.kind();
        let done = match message {
            ClientMessage::Join { name } => self.join(&name, id.clone(), rooms, outlet),
            ClientMessage::Message { text } => self.say(text, id.clone(), time, outlet),
            ClientMessage::Leave => self.leave(id.clone(), rooms, outlet),
            ClientMessage::Names => {
                self.names(id.clone(), rooms, outlet);
                Ok(())
            }
        };
        if let Err(complaint) = done {
            complain(complaint.about(kind).with_id(id), outlet);
        }
    }

    fn join(&mut self, name: &str, id: Id<'_>, rooms: &Rooms, outlet: &mut impl Outlet) -> Done {
        if let State::Inside(_) = self.state {
            return Err(Complaint::of(ErrorCode::AlreadyJoined));
        }
        let name = Name::parse(name).map_err(|error| Complaint::of(error.into()).at("name"))?;
        rooms.check_free(self.room(), &name).map_err(taken)?;
        // First this, then the revision: whoever gets a later one announces it
        // to this connection, too.
        outlet.join(&self.topic);
        match rooms.join(self.room(), &name) {
            Ok(roster) => {
                self.state = State::Inside(name.clone());
                outlet.send(&welcome(&name, self.room(), &roster, id));
                outlet.publish_except(&self.topic, &joined(&name, roster.revision).to_json());
                Ok(())
            }
            Err(name_taken) => {
                outlet.leave(&self.topic);
                Err(taken(name_taken))
            }
        }
    }

    fn say(&self, text: Cow<'_, str>, id: Id<'_>, time: u64, outlet: &mut impl Outlet) -> Done {
        let State::Inside(name) = &self.state else {
            return Err(Complaint::of(ErrorCode::NotJoined));
        };
        check_text(&text).map_err(|code| Complaint::of(code).at("text"))?;
        let message = ServerMessage::Message {
            id,
            from: name.as_str().into(),
            text,
            time,
        };
        outlet.publish(&self.topic, &message.to_json());
        Ok(())
    }

    fn leave(&mut self, id: Id<'_>, rooms: &Rooms, outlet: &mut impl Outlet) -> Done {
        let State::Inside(name) = std::mem::replace(&mut self.state, State::Outside) else {
            return Err(Complaint::of(ErrorCode::NotJoined));
        };
        let revision = rooms.leave(self.room(), &name);
        outlet.leave(&self.topic);
        if let Some(revision) = revision {
            outlet.send(&left(&name, revision, id).to_json());
            outlet.publish_except(&self.topic, &left(&name, revision, None).to_json());
        }
        Ok(())
    }

    fn names(&self, id: Id<'_>, rooms: &Rooms, outlet: &mut impl Outlet) {
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
        outlet.send(&match roster {
            Some(roster) => names.to_json_with_names(roster.list.json()),
            None => names.to_json(),
        });
    }

    fn room(&self) -> &str {
        self.topic.strip_prefix(TOPIC_PREFIX).unwrap_or(&self.topic)
    }
}

/// What a request comes to: nothing more to say, or a complaint whose `id` and
/// `about` are still to be filled in.
type Done = Result<(), Box<Complaint<'static>>>;

type Id<'a> = Option<Cow<'a, str>>;

/// The rooms of the chat and those of `/broadcast` are topics of one server;
/// the path keeps them apart.
const TOPIC_PREFIX: &str = "/chat/";

fn complain(complaint: Box<Complaint<'_>>, outlet: &mut impl Outlet) {
    outlet.send(&ServerMessage::Error(complaint).to_json());
}

fn check_text(text: &str) -> Result<(), ErrorCode> {
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

fn taken(taken: NameTaken) -> Box<Complaint<'static>> {
    let suggestion = taken.suggestion.map(|free| free.as_str().to_owned());
    Complaint::of(ErrorCode::NameTaken)
        .at("name")
        .suggesting(suggestion)
}

fn welcome(name: &Name, room: &str, roster: &Roster, id: Id<'_>) -> String {
    let welcome = ServerMessage::Welcome {
        id,
        you: name.as_str().into(),
        room: room.into(),
        names: Vec::new(),
        count: roster.count,
        revision: roster.revision,
        limits: Limits::OURS,
    };
    welcome.to_json_with_names(roster.list.json())
}

fn joined(name: &Name, revision: u64) -> ServerMessage<'_> {
    ServerMessage::Joined {
        name: name.as_str().into(),
        revision,
    }
}

fn left<'a>(name: &'a Name, revision: u64, id: Id<'a>) -> ServerMessage<'a> {
    ServerMessage::Left {
        id,
        name: name.as_str().into(),
        revision,
    }
}

#[cfg(test)]
mod tests;
