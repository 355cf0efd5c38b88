//! Who is in which room: the one thing that the chat's workers share.
//!
//! One mutex guards all rooms. It is taken to join, to leave and to list names,
//! never to say something: a message goes to the room's log without asking who
//! is there. A room exists while somebody is in it, so memory is bounded by the
//! number of connections.
//!
//! # Revisions
//!
//! Workers hand their announcements over in batches, so "Aiko left" (said on
//! one worker) and "Aiko joined" (said a moment later on another) may reach a
//! room in the wrong order. Therefore every change of a room's names gets a
//! number under the lock, its *revision*, and every list of names says which
//! revision it shows. A reader applies changes by number and is never wrong;
//! [`Presence`](super::Presence) does that.
//!
//! ```text
//!   changes of all rooms:  1    2    3    4    5    6    7 ...
//!   room "lobby":          1    2         3 (now empty: gone)
//!   room "lobby" again:                             7 = 6 + 1: above all it ever had
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::names::Name;

/// The most characters in the name of a room.
pub const ROOM_CHARACTERS_MAX: usize = 64;

/// The highest number that a suggested name carries, so that looking for one
/// stays cheap under the lock.
const SUGGESTED_NUMBER_MAX: u32 = 100;

/// Whether this can name a room: 1 to [`ROOM_CHARACTERS_MAX`] of `A`–`Z`,
/// `a`–`z`, `0`–`9`, `-`, `_` and `.`, but not `.` or `..`, which mean another
/// folder when they stand in a path.
pub fn is_room_name(name: &str) -> bool {
    (1..=ROOM_CHARACTERS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name != "."
        && name != ".."
}

/// All rooms with somebody in them.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    directory: Mutex<Directory>,
}

#[derive(Debug, Default)]
struct Directory {
    rooms: HashMap<Box<str>, Room>,
    /// Joins and leaves of all rooms so far; never less than any revision.
    changes: u64,
}

/// The names in one room, seen under the lock.
#[derive(Debug)]
pub(super) struct Room {
    /// By [`Name::key`], so no two are the same and a list is in order.
    names: BTreeMap<String, Name>,
    revision: u64,
}

/// Somebody in the room has this name; this one is free, if one was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NameTaken {
    pub(super) suggestion: Option<Name>,
}

impl Rooms {
    /// Puts the name into the room and calls `announce` with the lock held: a
    /// join or leave that gets a later revision is announced after `announce`
    /// has returned, wherever it happens.
    pub(super) fn join<T>(
        &self,
        room: &str,
        name: &Name,
        announce: impl FnOnce(&Room) -> T,
    ) -> Result<T, NameTaken> {
        let mut directory = self.lock();
        let Directory { rooms, changes } = &mut *directory;
        // Looked up before it is made: a refused join must leave no empty room.
        if let Some(room) = rooms.get(room) {
            room.check_free(name)?;
        }
        let room = rooms.entry(room.into()).or_insert_with(|| Room {
            names: BTreeMap::new(),
            revision: *changes,
        });
        *changes += 1;
        room.revision += 1;
        room.names.insert(name.key(), name.clone());
        Ok(announce(room))
    }

    /// Takes the name out of the room and calls `announce` with the lock held
    /// and the new revision.
    pub(super) fn leave<T>(
        &self,
        room: &str,
        name: &Name,
        announce: impl FnOnce(u64) -> T,
    ) -> Option<T> {
        let mut directory = self.lock();
        let Directory { rooms, changes } = &mut *directory;
        let here = rooms.get_mut(room)?;
        here.names.remove(&name.key())?;
        *changes += 1;
        here.revision += 1;
        let announced = announce(here.revision);
        if here.names.is_empty() {
            rooms.remove(room);
        }
        Some(announced)
    }

    /// Looks at the names of a room, if there is anybody in it.
    pub(super) fn look<T>(&self, room: &str, look: impl FnOnce(&Room) -> T) -> Option<T> {
        self.lock().rooms.get(room).map(look)
    }

    /// A panic elsewhere leaves the directory whole: every change above is made
    /// of steps that cannot fail in between.
    fn lock(&self) -> MutexGuard<'_, Directory> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// In the order of their keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(Name::as_str)
    }

    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    fn check_free(&self, name: &Name) -> Result<(), NameTaken> {
        if !self.names.contains_key(&name.key()) {
            return Ok(());
        }
        let mut numbered = (2..=SUGGESTED_NUMBER_MAX).map(|number| name.numbered(number));
        Err(NameTaken {
            suggestion: numbered.find(|free| !self.names.contains_key(&free.key())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn join(rooms: &Rooms, room: &str, who: &str) -> Result<(u64, Vec<String>), NameTaken> {
        rooms.join(room, &name(who), |room| {
            (room.revision(), room.names().map(str::to_owned).collect())
        })
    }

    #[test]
    fn room_name_has_one_to_sixty_four_plain_characters() {
        for good in [
            "a",
            "lobby",
            "A-Z_0.9",
            "...",
            &"x".repeat(ROOM_CHARACTERS_MAX),
        ] {
            assert!(is_room_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "%41",
            "山",
            "a?b",
            &"x".repeat(ROOM_CHARACTERS_MAX + 1),
        ] {
            assert!(!is_room_name(bad), "{bad}");
        }
    }

    #[test]
    fn joiner_is_in_the_list_it_gets_and_the_list_is_in_order() {
        let rooms = Rooms::default();
        assert_eq!(join(&rooms, "lobby", "bo"), Ok((1, vec!["bo".into()])));
        assert_eq!(
            join(&rooms, "lobby", "Aiko"),
            Ok((2, vec!["Aiko".into(), "bo".into()]))
        );
    }

    #[test]
    fn same_name_is_taken_in_one_room_and_free_in_another() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        join(&rooms, "lobby", "aiko 2").unwrap();
        let taken = NameTaken {
            suggestion: Some(name("AIKO 3")),
        };
        assert_eq!(join(&rooms, "lobby", "AIKO"), Err(taken));
        assert!(join(&rooms, "attic", "AIKO").is_ok());
    }

    #[test]
    fn no_name_is_suggested_when_the_numbers_are_used_up() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "a").unwrap();
        for number in 2..=SUGGESTED_NUMBER_MAX {
            join(&rooms, "lobby", &format!("a {number}")).unwrap();
        }
        assert_eq!(
            join(&rooms, "lobby", "a"),
            Err(NameTaken { suggestion: None })
        );
    }

    #[test]
    fn room_that_everybody_left_is_forgotten_and_its_revisions_are_not_used_again() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert_eq!(
            rooms.leave("lobby", &name("Aiko"), |revision| revision),
            Some(2)
        );
        assert!(rooms.lock().rooms.is_empty());
        assert_eq!(join(&rooms, "lobby", "Bo").unwrap().0, 3);
    }

    #[test]
    fn refused_join_changes_nothing() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert!(join(&rooms, "lobby", "Aiko").is_err());
        assert_eq!(
            rooms.look("lobby", |room| (room.revision(), room.count())),
            Some((1, 1))
        );
    }

    #[test]
    fn leaving_a_room_where_one_is_not_announces_nothing() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert_eq!(rooms.leave("lobby", &name("Bo"), |_| ()), None);
        assert_eq!(rooms.leave("attic", &name("Aiko"), |_| ()), None);
        assert_eq!(rooms.look("attic", |_| ()), None);
    }

    #[test]
    fn of_many_that_ask_for_one_name_at_once_exactly_one_gets_it() {
        let rooms = Rooms::default();
        let won = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..100)
                            .filter(|n| join(&rooms, &format!("r{n}"), "Aiko").is_ok())
                            .count()
                    })
                })
                .collect();
            asking
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(won, 100);
    }
}
