//! The effects of a connection on itself and on others, and what the requests of members and moderators share.

use std::borrow::Cow;
use std::net::IpAddr;

use super::message_rate::Wait;
use super::names::Name;
use super::protocol::{ErrorCode, ErrorReply, ServerMessage};
use super::room::RoomDirectory;
use super::sessions::SessionKey;
use super::speaker::Silence;
use crate::server::{ConnectionId, Replay};

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
    /// The same, beginning in the past: the member's `joined` follows.
    fn join_from(&mut self, topic: &str, replay: Replay);
    /// The connection's name. `None` in tests without a server.
    fn connection(&self) -> Option<ConnectionId>;
    /// The address of the client, if it has one.
    fn address(&self) -> Option<IpAddr>;
    /// Calls the member's `look_at_password` in a moment.
    fn wait_for_password(&mut self);
    /// Closes a connection of somebody whom a moderator has removed.
    fn close_removed(&mut self, connection: ConnectionId);
    /// The same for a topic without which the member is complete: no effect beyond a limit.
    fn join_notices(&mut self, topic: &str);
    /// Unsubscribes this connection.
    fn leave(&mut self, topic: &str);
    /// A join is refused. It counts as one.
    fn refuse_join(&mut self);
}

/// The result of a request: done, or an error reply without `id` and `about`.
pub(super) type Done = Result<(), Box<ErrorReply<'static>>>;

pub(super) type Id<'a> = Option<Cow<'a, str>>;

/// Random bytes from the operating system.
pub(super) fn random<const BYTES: usize>() -> Result<[u8; BYTES], Box<ErrorReply<'static>>> {
    let mut bytes = [0; BYTES];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|_| ErrorReply::of(ErrorCode::Busy))?;
    Ok(bytes)
}

/// The key of sessions.
pub(super) fn session_key(rooms: &RoomDirectory) -> Result<&SessionKey, Box<ErrorReply<'static>>> {
    if let Some(key) = rooms.session_key.get() {
        return Ok(key);
    }
    Ok(rooms.session_key_or(random()?))
}

/// Why a person may not write now.
pub(super) fn silenced(silence: Silence) -> Box<ErrorReply<'static>> {
    match silence {
        Silence::Wait(Wait::Rate(wait)) => ErrorReply::of(ErrorCode::TooFast).with_wait(wait),
        Silence::Wait(Wait::SlowMode(wait)) => ErrorReply::of(ErrorCode::SlowMode).with_wait(wait),
        Silence::Muted(left) => ErrorReply::of(ErrorCode::Muted).with_wait(left),
        Silence::Removed => ErrorReply::of(ErrorCode::Removed),
    }
}

pub(super) fn left<'a>(name: &'a Name, revision: u64, id: Id<'a>) -> ServerMessage<'a> {
    ServerMessage::Left {
        id,
        name: name.as_str().into(),
        revision,
        to: None,
        position: None,
    }
}
