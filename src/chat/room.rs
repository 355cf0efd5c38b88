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

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::names::{Name, SUGGESTED_NUMBER_MAX, Stem, numbered_look};

/// The most characters in the name of a room.
pub const ROOM_CHARACTERS_MAX: usize = 64;

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
///
/// A look belongs to one name, so a name is free if neither of its looks is
/// here. For each look that carries a number (`aiko 2`), the number's bit is set
/// at the look without it (`aiko`), and the lowest free number is found by
/// counting bits:
///
/// ```text
///   names Aiko, "Aiko 2", "aiko 4"     numbers "aiko": bits 2 and 4
///   AIKO is taken                      the lowest from 2 that is not set: AIKO 3
/// ```
#[derive(Debug)]
pub(super) struct Room {
    /// By [`Name::key`], so that a list is in order. Names with one key have a
    /// look in common.
    names: BTreeMap<Arc<str>, Name>,
    looks: HashSet<Arc<str>>,
    numbers: HashMap<Box<str>, u128>,
    revision: u64,
    /// Look-ups for substitutes so far.
    #[cfg(test)]
    looked_up: std::cell::Cell<usize>,
}

/// A name in the room looks like this one; this one is free, if one was found.
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
        if rooms.get(room).is_some_and(|here| !here.is_free(name)) {
            drop(directory);
            return Err(self.substitute(room, name));
        }
        let room = rooms
            .entry(room.into())
            .or_insert_with(|| Room::new(*changes));
        *changes += 1;
        room.enter(name);
        Ok(announce(room))
    }

    /// A free name for one that is taken. What it costs does not depend on how
    /// many are taken, and the most of it is done before the lock is taken.
    fn substitute(&self, room: &str, name: &Name) -> NameTaken {
        let stems = Stem::of(name);
        let free = self.look(room, |here| {
            let mut stems = stems.iter();
            stems.find_map(|stem| Some((stem, here.free_number(stem)?)))
        });
        NameTaken {
            suggestion: free
                .flatten()
                .and_then(|(stem, number)| stem.numbered(number)),
        }
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
        if !here.exit(name) {
            return None;
        }
        *changes += 1;
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
    fn new(revision: u64) -> Room {
        Room {
            names: BTreeMap::new(),
            looks: HashSet::new(),
            numbers: HashMap::new(),
            revision,
            #[cfg(test)]
            looked_up: std::cell::Cell::default(),
        }
    }

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

    fn is_free(&self, name: &Name) -> bool {
        !name.looks().iter().any(|look| self.looks.contains(look))
    }

    /// Takes in a name that is free.
    fn enter(&mut self, name: &Name) {
        for look in name.looks() {
            self.looks.insert(look.clone());
            if let Some((stem, number)) = numbered_look(look) {
                *self.numbers.entry(stem.into()).or_default() |= bit(number);
            }
        }
        self.names.insert(name.shared_key(), name.clone());
        self.revision += 1;
    }

    /// Whether the name was here.
    fn exit(&mut self, name: &Name) -> bool {
        if self.names.get(name.key()) != Some(name) {
            return false;
        }
        self.names.remove(name.key());
        for look in name.looks() {
            self.looks.remove(look);
            if let Some((stem, number)) = numbered_look(look) {
                self.release(stem, number);
            }
        }
        self.revision += 1;
        true
    }

    fn release(&mut self, stem: &str, number: u32) {
        if let Some(held) = self.numbers.get_mut(stem) {
            *held &= !bit(number);
            if *held == 0 {
                self.numbers.remove(stem);
            }
        }
    }

    /// The lowest number with which the stem is a free name.
    fn free_number(&self, stem: &Stem) -> Option<u32> {
        let [one, other] = &stem.looks;
        let held = self.held(one) | self.held(other);
        let below = bit(stem.first) - 1;
        let number = (held | below).trailing_ones();
        (number <= stem.last).then_some(number)
    }

    /// The bits of the numbers that are taken behind a look.
    fn held(&self, look: &str) -> u128 {
        #[cfg(test)]
        self.looked_up.set(self.looked_up.get() + 1);
        self.numbers.get(look).copied().unwrap_or(0)
    }
}

/// Of a number of at most three digits that is suggested, all of which are
/// below 128.
fn bit(number: u32) -> u128 {
    const { assert!(SUGGESTED_NUMBER_MAX < u128::BITS) };
    1 << number
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

    fn suggested(rooms: &Rooms, who: &str) -> Option<String> {
        let taken = join(rooms, "lobby", who).unwrap_err();
        taken.suggestion.map(|name| name.as_str().to_owned())
    }

    /// How often the refusal of this name looks something up to find another.
    fn look_ups(rooms: &Rooms, who: &str) -> usize {
        let so_far = || rooms.look("lobby", |room| room.looked_up.get()).unwrap();
        let before = so_far();
        assert!(join(rooms, "lobby", who).is_err());
        so_far() - before
    }

    #[test]
    fn refused_join_costs_the_same_however_many_names_are_taken() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "a").unwrap();
        assert_eq!(suggested(&rooms, "a").as_deref(), Some("a 2"));
        let look_ups_of_one = look_ups(&rooms, "a");
        assert_eq!(look_ups_of_one, 2);
        for number in 2..SUGGESTED_NUMBER_MAX {
            join(&rooms, "lobby", &format!("a {number}")).unwrap();
        }
        assert_eq!(suggested(&rooms, "a").as_deref(), Some("a 100"));
        assert_eq!(look_ups(&rooms, "a"), look_ups_of_one);
        join(&rooms, "lobby", "a 100").unwrap();
        assert_eq!(suggested(&rooms, "a"), None, "the numbers are used up");
        assert_eq!(look_ups(&rooms, "a"), look_ups_of_one);
        assert_eq!(suggested(&rooms, "a 7"), None);

        let longest = "x".repeat(super::super::names::NAME_CHARACTERS_MAX);
        join(&rooms, "lobby", &longest).unwrap();
        assert!(
            look_ups(&rooms, &longest) <= 6,
            "one cut for each number of digits"
        );
    }

    #[test]
    fn suggested_number_is_the_lowest_that_is_free_whatever_it_looks_like() {
        let rooms = Rooms::default();
        for held in ["Alice", "alice 2", "ALICE 4", "AIice 3", "Alice l0"] {
            join(&rooms, "lobby", held).unwrap();
        }
        assert_eq!(suggested(&rooms, "Alice").as_deref(), Some("Alice 5"));
        for number in 5..10 {
            join(&rooms, "lobby", &format!("Alice {number}")).unwrap();
        }
        assert_eq!(suggested(&rooms, "Alice").as_deref(), Some("Alice 11"));
        rooms.leave("lobby", &name("AIice 3"), |_| ()).unwrap();
        assert_eq!(suggested(&rooms, "Alice").as_deref(), Some("Alice 3"));
    }

    #[test]
    fn name_that_was_left_is_free_in_all_its_looks_and_leaves_nothing_behind() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Bo").unwrap();
        join(&rooms, "lobby", "AIKO 2").unwrap();
        assert!(
            join(&rooms, "lobby", "alko 2").is_err(),
            "as AlKO 2 would look"
        );
        rooms.leave("lobby", &name("AIKO 2"), |_| ()).unwrap();
        let room = &rooms.lock().rooms["lobby"];
        assert_eq!(
            (room.names.len(), room.looks.len(), room.numbers.len()),
            (1, 1, 0)
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
