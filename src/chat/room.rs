//! Who is in which room: the one thing that the chat's workers share.
//!
//! Each room has a lock of its own. It is taken to join, to leave and to list
//! names, never to say something: a message goes to the room's log without
//! asking who is there. What all rooms share is the directory; its lock is held
//! for one look-up and never while a room's lock is waited for. Under a room's
//! lock names change, and a list of them is copied once for each revision that
//! somebody asks for. JSON is written and sent outside of it; nothing foreign
//! is called under a lock. A room exists while somebody is in
//! it, so memory is bounded by the number of connections.
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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::names::{Name, SUGGESTED_NUMBER_MAX, Stem, numbered_look};
use super::protocol::{NAMES_LISTED_MAX, json};

/// All rooms with somebody in them.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    directory: Mutex<HashMap<Box<str>, SharedRoom>>,
    /// Joins and leaves of all rooms so far; never less than any revision.
    changes: AtomicU64,
}

type SharedRoom = Arc<Mutex<Room>>;

/// Who was in a room at one revision of its names.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    pub(super) list: Arc<NameList>,
    pub(super) count: usize,
    pub(super) revision: u64,
}

/// The first [`NAMES_LISTED_MAX`] names of a revision in the order of their
/// keys. All who ask for a revision share its list, and the first one who needs
/// the JSON writes it, outside of any lock.
#[derive(Debug)]
pub(super) struct NameList {
    names: Box<[Name]>,
    json: OnceLock<String>,
}

impl NameList {
    /// A JSON array of strings.
    pub(super) fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let names: Vec<&str> = self.names.iter().map(Name::as_str).collect();
            json(&names)
        })
    }
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
    /// The list of this revision, once somebody has asked for it.
    list: Option<Arc<NameList>>,
    /// Everybody has left, and the directory does not have it any more or is
    /// about to take it out: nobody can join this one.
    ended: bool,
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
    /// Whether the name is free now; to be asked before anything is done for
    /// this join that a refusal would have to undo.
    pub(super) fn check_free(&self, room: &str, name: &Name) -> Result<(), NameTaken> {
        match self.look(room, |here| here.is_free(name)) {
            Some(false) => Err(self.substitute(room, name)),
            _ => Ok(()),
        }
    }

    /// Puts the name into the room, if it is free. Whoever joins or leaves
    /// afterwards gets a later revision than the roster has.
    pub(super) fn join(&self, room: &str, name: &Name) -> Result<Roster, NameTaken> {
        let joined = self.in_open_room(room, |here| {
            here.is_free(name).then(|| {
                self.changes.fetch_add(1, Ordering::Relaxed);
                here.enter(name);
                here.roster()
            })
        });
        joined.ok_or_else(|| self.substitute(room, name))
    }

    /// Takes the name out of the room; the revision of that change, if the name
    /// was there.
    pub(super) fn leave(&self, room: &str, name: &Name) -> Option<u64> {
        let shared = self.find(room)?;
        let (revision, ended) = {
            let mut here = lock(&shared);
            if !here.exit(name) {
                return None;
            }
            self.changes.fetch_add(1, Ordering::Relaxed);
            here.ended = here.names.is_empty();
            (here.revision, here.ended)
        };
        if ended {
            self.forget(room, &shared);
        }
        Some(revision)
    }

    /// The names of a room, if there is anybody in it.
    pub(super) fn roster(&self, room: &str) -> Option<Roster> {
        self.look(room, Room::roster)
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

    fn look<T>(&self, room: &str, look: impl FnOnce(&mut Room) -> T) -> Option<T> {
        let shared = self.find(room)?;
        let mut here = lock(&shared);
        (!here.ended).then(|| look(&mut here))
    }

    /// In the room of this name, a new one if there is none, or if the last
    /// member of the one that was found is just leaving.
    fn in_open_room<T>(&self, room: &str, enter: impl FnOnce(&mut Room) -> T) -> T {
        loop {
            let shared = self.find_or_new(room);
            let mut here = lock(&shared);
            if !here.ended {
                // A new room is never left empty: its first name is free.
                return enter(&mut here);
            }
            drop(here);
            self.forget(room, &shared);
        }
    }

    fn find(&self, room: &str) -> Option<SharedRoom> {
        lock(&self.directory).get(room).cloned()
    }

    fn find_or_new(&self, room: &str) -> SharedRoom {
        let mut directory = lock(&self.directory);
        if let Some(shared) = directory.get(room) {
            return shared.clone();
        }
        // The room of this name before it, if there was one, has ended: its
        // changes are counted.
        let revision = self.changes.load(Ordering::Relaxed);
        let shared = SharedRoom::new(Mutex::new(Room::new(revision)));
        directory.insert(room.into(), shared.clone());
        shared
    }

    /// Takes a room that has ended out of the directory, unless there is a new
    /// one of its name already.
    fn forget(&self, room: &str, ended: &SharedRoom) {
        let mut directory = lock(&self.directory);
        if directory
            .get(room)
            .is_some_and(|shared| Arc::ptr_eq(shared, ended))
        {
            directory.remove(room);
        }
    }
}

/// A lock that a panic has poisoned is used on: nothing foreign runs under it,
/// and every change is made of steps that do not panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    fn new(revision: u64) -> Room {
        Room {
            names: BTreeMap::new(),
            looks: HashSet::new(),
            numbers: HashMap::new(),
            revision,
            list: None,
            ended: false,
            #[cfg(test)]
            looked_up: std::cell::Cell::default(),
        }
    }

    fn roster(&mut self) -> Roster {
        let names = &self.names;
        let list = self.list.get_or_insert_with(|| {
            Arc::new(NameList {
                names: names.values().take(NAMES_LISTED_MAX).cloned().collect(),
                json: OnceLock::new(),
            })
        });
        Roster {
            list: list.clone(),
            count: names.len(),
            revision: self.revision,
        }
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
        self.changed();
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
        self.changed();
        true
    }

    fn changed(&mut self) {
        self.revision += 1;
        self.list = None;
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
        let roster = rooms.join(room, &name(who))?;
        let names: Vec<String> = serde_json::from_str(roster.list.json()).unwrap();
        assert_eq!(names.len(), roster.count);
        Ok((roster.revision, names))
    }

    fn leave(rooms: &Rooms, room: &str, who: &str) -> Option<u64> {
        rooms.leave(room, &name(who))
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
        leave(&rooms, "lobby", "AIice 3").unwrap();
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
        leave(&rooms, "lobby", "AIKO 2").unwrap();
        let lobby = rooms.find("lobby").unwrap();
        let room = lock(&lobby);
        assert_eq!(
            (room.names.len(), room.looks.len(), room.numbers.len()),
            (1, 1, 0)
        );
    }

    #[test]
    fn room_that_everybody_left_is_forgotten_and_its_revisions_are_not_used_again() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert_eq!(leave(&rooms, "lobby", "Aiko"), Some(2));
        assert!(lock(&rooms.directory).is_empty());
        assert_eq!(join(&rooms, "lobby", "Bo").unwrap().0, 3);
    }

    #[test]
    fn refused_join_changes_nothing() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert!(join(&rooms, "lobby", "Aiko").is_err());
        assert!(rooms.check_free("lobby", &name("Aiko")).is_err());
        let roster = rooms.roster("lobby").unwrap();
        assert_eq!((roster.revision, roster.count), (1, 1));
    }

    #[test]
    fn leaving_a_room_where_one_is_not_changes_nothing() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert_eq!(leave(&rooms, "lobby", "Bo"), None);
        assert_eq!(leave(&rooms, "attic", "Aiko"), None);
        assert_eq!(rooms.roster("lobby").unwrap().revision, 1);
        assert!(rooms.roster("attic").is_none());
    }

    #[test]
    fn room_waits_for_no_other_room() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        let lobby = rooms.find("lobby").unwrap();
        let held = lock(&lobby);
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                join(&rooms, "attic", "Aiko").unwrap();
                rooms.check_free("attic", &name("Aiko")).unwrap_err();
                rooms.roster("attic").unwrap();
                leave(&rooms, "attic", "Aiko").unwrap();
                done.send(()).unwrap();
            });
            let within = std::time::Duration::from_secs(30);
            let result = is_done.recv_timeout(within);
            drop(held);
            result.expect("the attic does not wait for the lobby");
        });
    }

    #[test]
    fn list_of_names_is_written_once_for_each_revision() {
        let rooms = Rooms::default();
        let welcome = rooms.join("lobby", &name("Aiko")).unwrap();
        let asked = rooms.roster("lobby").unwrap();
        assert!(Arc::ptr_eq(&welcome.list, &asked.list));
        rooms.join("lobby", &name("Bo")).unwrap();
        let asked = rooms.roster("lobby").unwrap();
        assert_eq!(asked.list.json(), r#"["Aiko","Bo"]"#);
        assert!(Arc::ptr_eq(
            &asked.list,
            &rooms.roster("lobby").unwrap().list
        ));
    }

    #[test]
    fn who_finds_a_room_that_has_just_ended_gets_a_new_one_above_its_revisions() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        let old = rooms.find("lobby").unwrap();
        // As in `leave`, between the room's lock and the directory's.
        assert!(lock(&old).exit(&name("Aiko")));
        rooms.changes.fetch_add(1, Ordering::Relaxed);
        lock(&old).ended = true;
        assert!(rooms.roster("lobby").is_none());
        assert_eq!(join(&rooms, "lobby", "Bo"), Ok((3, vec!["Bo".into()])));
        rooms.forget("lobby", &old);
        assert_eq!(rooms.roster("lobby").unwrap().count, 1, "the new one stays");
    }

    #[test]
    fn rooms_go_on_after_a_panic_under_their_locks() {
        let rooms = Rooms::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        let lobby = rooms.find("lobby").unwrap();
        let panicked = std::thread::scope(|scope| {
            let panicking = scope.spawn(|| {
                let _held = (lock(&lobby), lock(&rooms.directory));
                std::panic::resume_unwind(Box::new(()));
            });
            panicking.join().is_err()
        });
        assert!(panicked && lobby.is_poisoned() && rooms.directory.is_poisoned());
        assert_eq!(join(&rooms, "lobby", "Bo").unwrap().0, 2);
        assert_eq!(leave(&rooms, "lobby", "Aiko"), Some(3));
        assert_eq!(leave(&rooms, "lobby", "Bo"), Some(4));
        assert!(lock(&rooms.directory).is_empty());
    }

    #[test]
    fn revisions_of_a_room_that_comes_and_goes_on_many_threads_are_never_used_twice() {
        let rooms = Arc::new(Rooms::default());
        let shared = Arc::clone(&rooms);
        let of_threads = on_threads(4, move |thread| {
            let name = name(&format!("n{thread}"));
            let come_and_go = |_| {
                let joined = shared.join("lobby", &name).unwrap().revision;
                [joined, shared.leave("lobby", &name).unwrap()]
            };
            (0..500).flat_map(come_and_go).collect::<Vec<_>>()
        });
        let mut revisions = of_threads.concat();
        let count = revisions.len();
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), count);
        assert!(lock(&rooms.directory).is_empty());
    }

    #[test]
    fn of_many_that_ask_for_one_name_at_once_exactly_one_gets_it() {
        let rooms = Arc::new(Rooms::default());
        let won = on_threads(8, move |_| {
            let wins = |n: &i32| join(&rooms, &format!("r{n}"), "Aiko").is_ok();
            (0..100).filter(wins).count()
        });
        assert_eq!(won.into_iter().sum::<usize>(), 100);
    }

    /// What each of so many threads gives, which must not stop one another.
    fn on_threads<T: Send + 'static>(
        count: usize,
        work: impl Fn(usize) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let (done, results) = std::sync::mpsc::channel();
        for thread in 0..count {
            let (work, done) = (work.clone(), done.clone());
            std::thread::spawn(move || done.send(work(thread)));
        }
        drop(done);
        let next = |_| results.recv_timeout(std::time::Duration::from_secs(60));
        (0..count)
            .map(|thread| next(thread).expect("each thread ends"))
            .collect()
    }
}
