//! What moderators do: the requests of `Moderation`, and their effects on the room and on others.
//!
//! The creator of a room and operators moderate it; an operator's token grants publishing to `/moderate/{room}`. What was done is
//! published to the room, with the name of the moderator, and is part of the room's history. So a client that reads the history also gets
//! the deletion of a message that it has got before. The deletion takes the message's text out of the history
//! ([`Handler::erases`](crate::server::Handler::erases)).

use std::borrow::Cow;

use super::effects::{Done, Id, Sink, left, random, silenced};
use super::invitations::INVITATION_SECONDS_MAX;
use super::names::Name;
use super::protocol::{ErrorCode, ErrorReply, Moderation, ServerMessage};
use super::room::{Moderator, NotModerated, RoomDirectory};
use super::sanctions::SANCTION_SECONDS_MAX;
use super::speaker::Speaker;

/// The longest time between two messages of a person in slow mode.
pub(super) const SLOW_SECONDS_MAX: u64 = 3600;

/// Who moderates which room, and when.
pub(super) struct Place<'a> {
    pub(super) room: &'a str,
    pub(super) speaker: &'a Speaker,
    pub(super) topic: &'a str,
    pub(super) by: Moderator<'a>,
    pub(super) time: u64,
    pub(super) rooms: &'a RoomDirectory,
}

/// Something that a moderator did, as the room is told it.
#[derive(Default)]
struct Told<'a> {
    name: Option<Name>,
    seconds: Option<u64>,
    target: Option<Cow<'a, str>>,
    /// The person has left by it.
    left_revision: Option<u64>,
}

/// Carries out a request of a moderator.
pub(super) fn moderate(
    request: Moderation<'_>,
    id: Id<'_>,
    place: &Place<'_>,
    sink: &mut impl Sink,
) -> Done {
    let action = request.kind();
    let told = match request {
        Moderation::Mute { name, seconds } => mute(&name, seconds, place)?,
        Moderation::Kick { name } => remove(&name, None, place, sink)?,
        Moderation::Ban { name, seconds } => remove(&name, Some(seconds), place, sink)?,
        Moderation::Delete { position } => delete(position, place)?,
        Moderation::Slow { seconds } => slow(seconds, place)?,
        Moderation::Invite { seconds } => return invite(seconds, id, place, sink),
        Moderation::Revoke => revoke(place)?,
    };
    let by = place.speaker.name();
    let moderated = ServerMessage::Moderated {
        id,
        action: action.into(),
        by: by.as_str().into(),
        name: told.name.as_ref().map(|name| name.as_str().into()),
        seconds: told.seconds,
        target: told.target,
        position: None,
    };
    sink.publish(place.topic, &moderated.to_json());
    if let (Some(name), Some(revision)) = (&told.name, told.left_revision) {
        let left = left(name, revision, None);
        sink.publish(&place.rooms.notices(place.topic), &left.to_json());
    }
    Ok(())
}

type Outcome<'a> = Result<Told<'a>, Box<ErrorReply<'static>>>;

fn mute<'a>(name: &str, seconds: u64, place: &Place<'_>) -> Outcome<'a> {
    let seconds = bounded(seconds, SANCTION_SECONDS_MAX)?;
    let until = match seconds {
        0 => 0,
        seconds => place.time + seconds * 1000,
    };
    let muted = place
        .rooms
        .mute(place.room, place.by, &member(name)?, until, place.time);
    Ok(Told {
        name: Some(muted.map_err(not_moderated)?),
        seconds: Some(seconds),
        ..Told::default()
    })
}

fn remove<'a>(
    name: &str,
    ban: Option<u64>,
    place: &Place<'_>,
    sink: &mut impl Sink,
) -> Outcome<'a> {
    let seconds = ban.map(|seconds| bounded(seconds, SANCTION_SECONDS_MAX));
    let seconds = seconds.transpose()?;
    let until = seconds.map(|seconds| place.time + seconds * 1000);
    let removed = place
        .rooms
        .remove(place.room, place.by, &member(name)?, until, place.time);
    let removed = removed.map_err(not_moderated)?;
    for connection in removed.connections {
        sink.close_removed(connection);
    }
    Ok(Told {
        name: Some(removed.name),
        seconds,
        left_revision: removed.left_revision,
        ..Told::default()
    })
}

fn delete<'a>(position: Cow<'a, str>, place: &Place<'_>) -> Outcome<'a> {
    if !place.rooms.is_moderator(place.room, place.by) {
        return Err(not_moderated(NotModerated::Forbidden));
    }
    // It may make an engine write the room's history anew, so it counts as a message.
    let counted = place.speaker.publish(place.time, place.rooms.message_rate);
    counted.map_err(silenced)?;
    Ok(Told {
        target: Some(position),
        ..Told::default()
    })
}

fn slow<'a>(seconds: u64, place: &Place<'_>) -> Outcome<'a> {
    let seconds = bounded(seconds, SLOW_SECONDS_MAX)?;
    let set = place
        .rooms
        .set_slow(place.room, place.by, seconds, place.time);
    set.map_err(not_moderated)?;
    Ok(Told {
        seconds: Some(seconds),
        ..Told::default()
    })
}

fn revoke<'a>(place: &Place<'_>) -> Outcome<'a> {
    let key = random()?;
    let revoked = place
        .rooms
        .revoke_invitations(place.room, place.by, key, place.time);
    revoked.map_err(not_moderated)?;
    Ok(Told::default())
}

/// The answer is for the moderator alone.
fn invite(seconds: u64, id: Id<'_>, place: &Place<'_>, sink: &mut impl Sink) -> Done {
    let seconds = bounded(seconds, INVITATION_SECONDS_MAX)?;
    let until = place.time / 1000 + seconds;
    let invited = place.rooms.invite(place.room, place.by, until);
    let invitation = ServerMessage::Invitation {
        id,
        invitation: invited.map_err(not_moderated)?.into(),
        until: until * 1000,
    };
    sink.send(&invitation.to_json());
    Ok(())
}

fn bounded(seconds: u64, max: u64) -> Result<u64, Box<ErrorReply<'static>>> {
    match seconds <= max {
        true => Ok(seconds),
        false => Err(ErrorReply::of(ErrorCode::WrongField).with_field("seconds")),
    }
}

/// A text that cannot be a name is nobody's.
fn member(name: &str) -> Result<Name, Box<ErrorReply<'static>>> {
    Name::parse(name).map_err(|_| not_moderated(NotModerated::NoMember))
}

fn not_moderated(reason: NotModerated) -> Box<ErrorReply<'static>> {
    match reason {
        NotModerated::Forbidden => ErrorReply::of(ErrorCode::NotModerator),
        NotModerated::NoMember => ErrorReply::of(ErrorCode::NoMember).with_field("name"),
        NotModerated::NotPrivate => ErrorReply::of(ErrorCode::NotPrivate),
    }
}
