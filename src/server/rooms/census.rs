//! How many rooms the server has, and how many members each: for the limits of both, on all workers.
//!
//! A room can have members on each worker, and no worker knows those of the others. So the workers share a table if one of these
//! limits is set, or if the application wants the numbers ([`Config::count_subscribers`](super::super::Config)). Otherwise there
//! is no table, and a subscription costs nothing here.

use crate::server::config::RoomLimits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a connection was not subscribed to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotJoined {
    /// The connection is closing.
    NotOpen,
    /// The connection is subscribed already. Only [`Context::join_from`](crate::server::Context::join_from) tells that.
    AlreadyJoined,
    /// The connection is in [`RoomLimits::of_connection_max`] rooms.
    InTooManyRooms,
    /// There are [`RoomLimits::rooms_max`] rooms, and this one would be another.
    TooManyRooms,
    /// The room has [`RoomLimits::members_max`] members.
    RoomFull,
    /// The [backplane](crate::server::Backplane) has not told in time what the room has, or too many clients wait for that. Only
    /// [`Context::join_from`](crate::server::Context::join_from) tells that.
    NotLoaded,
}

impl std::fmt::Display for NotJoined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NotJoined::NotOpen => "the connection is closing",
            NotJoined::AlreadyJoined => "this connection is in the room already",
            NotJoined::InTooManyRooms => "this connection is in too many rooms",
            NotJoined::TooManyRooms => "the server has too many rooms",
            NotJoined::RoomFull => "the room is full",
            NotJoined::NotLoaded => "the backplane does not answer",
        })
    }
}

impl std::error::Error for NotJoined {}

/// How many members each room has: 1 ≤ members.
type MembersByRoom = HashMap<Arc<str>, usize>;

/// The limits of rooms, and the members of all of them if those are limited or counted. Cheap to clone: all clones are one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoomCensus {
    limits: RoomLimits,
    members: Option<Arc<Mutex<MembersByRoom>>>,
}

impl RoomCensus {
    /// `counts`: the members are counted also if nothing limits them.
    pub(crate) fn new(limits: RoomLimits, counts: bool) -> RoomCensus {
        let is_limited = limits.rooms_max.is_some() || limits.members_max.is_some();
        RoomCensus {
            limits,
            members: (is_limited || counts).then(Arc::default),
        }
    }

    /// How many members a room has; `None`: they are not counted.
    pub(crate) fn members(&self, room: &str) -> Option<usize> {
        let rooms = self.lock()?;
        Some(rooms.get(room).copied().unwrap_or(0))
    }

    /// A connection that is in so many rooms comes into this one. An error changes nothing.
    pub(super) fn enter(&self, room: &str, rooms_of_connection: usize) -> Result<(), NotJoined> {
        if rooms_of_connection >= self.limits.of_connection_max {
            return Err(NotJoined::InTooManyRooms);
        }
        let Some(mut rooms) = self.lock() else {
            return Ok(());
        };
        let rooms_are_full = is_reached(self.limits.rooms_max, rooms.len());
        match rooms.get_mut(room) {
            Some(members) if is_reached(self.limits.members_max, *members) => {
                Err(NotJoined::RoomFull)
            }
            Some(members) => {
                *members += 1;
                Ok(())
            }
            None if rooms_are_full => Err(NotJoined::TooManyRooms),
            None => {
                rooms.insert(room.into(), 1);
                Ok(())
            }
        }
    }

    /// A member leaves a room.
    pub(super) fn leave(&self, room: &str) {
        let Some(mut rooms) = self.lock() else {
            return;
        };
        match rooms.get_mut(room) {
            Some(members) if *members > 1 => *members -= 1,
            _ => drop(rooms.remove(room)),
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, MembersByRoom>> {
        // A panic elsewhere leaves the numbers whole: each is changed in one step.
        let members = self.members.as_ref()?;
        Some(members.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_reached(max: Option<std::num::NonZeroUsize>, count: usize) -> bool {
    max.is_some_and(|max| count >= max.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    #[test]
    fn rooms_and_members_are_counted_up_to_the_limit_and_not_past_it() {
        let census = RoomCensus::new(
            RoomLimits {
                rooms_max: NonZeroUsize::new(2),
                members_max: NonZeroUsize::new(2),
                of_connection_max: 3,
            },
            false,
        );
        assert_eq!(census.enter("hall", 0), Ok(()));
        assert_eq!(census.enter("hall", 2), Ok(()));
        assert_eq!(census.enter("garden", 3), Err(NotJoined::InTooManyRooms));
        assert_eq!(census.enter("hall", 0), Err(NotJoined::RoomFull));
        assert_eq!(census.enter("garden", 0), Ok(()));
        assert_eq!(census.enter("attic", 0), Err(NotJoined::TooManyRooms));
        census.leave("hall");
        assert_eq!(census.enter("attic", 0), Err(NotJoined::TooManyRooms));
        assert_eq!(census.enter("hall", 0), Ok(()));
        census.leave("garden");
        assert_eq!(census.enter("attic", 0), Ok(()));
    }

    #[test]
    fn workers_share_the_numbers_and_without_limits_there_are_none() {
        let one = RoomCensus::new(
            RoomLimits {
                members_max: NonZeroUsize::new(1),
                ..RoomLimits::default()
            },
            false,
        );
        let other = one.clone();
        assert_eq!(one.enter("hall", 0), Ok(()));
        assert_eq!(other.enter("hall", 0), Err(NotJoined::RoomFull));
        assert_eq!(other.members("hall"), Some(1));
        assert!(
            RoomCensus::new(RoomLimits::default(), false)
                .members
                .is_none()
        );
    }

    #[test]
    fn members_are_counted_without_limits_if_the_application_wants_that() {
        let census = RoomCensus::new(RoomLimits::default(), true);
        assert_eq!(census.enter("hall", 0), Ok(()));
        assert_eq!(census.enter("hall", 0), Ok(()));
        assert_eq!(census.members("hall"), Some(2));
        census.leave("hall");
        census.leave("hall");
        assert_eq!(census.members("hall"), Some(0));
        assert!(census.lock().is_some_and(|rooms| rooms.is_empty()));
    }
}
