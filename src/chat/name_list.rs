//! The list of a room's names as clients get it. A join or a leave makes one piece of it anew, and not all of it.
//!
//! ```text
//!   names in the order of their keys   aiko bo chie │ dai emi │ fumi goro …     the first 1,000
//!   pieces of at most 64 names              json        json       json         each written when it is first needed
//! ```
//!
//! All requests for a revision share its list, and the lists of two revisions share the pieces in which they are equal. Otherwise a client that
//! joins and leaves a large room in a loop would make its server write a thousand names each time. Cost of a change: up to 64 references are
//! copied. Cost of the first request behind it: the JSON of one piece, a copy of that of all others.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::names::Name;
use super::protocol::{NAMES_LISTED_MAX, json};

/// The first names of a room, in the order of their keys.
#[derive(Debug)]
pub(super) struct ListedNames {
    /// None is empty.
    pieces: Vec<Arc<Piece>>,
    /// ≤ `listed_max`
    listed: usize,
    listed_max: usize,
    /// The names of a piece.
    piece_max: usize,
    /// The list of this revision, if it has been requested.
    list: Option<Arc<NameList>>,
}

/// Names that follow each other.
#[derive(Debug, Default)]
struct Piece {
    names: Vec<Name>,
    /// The names as elements of a JSON array.
    json: OnceLock<String>,
}

/// The list of one revision.
#[derive(Debug)]
pub(super) struct NameList {
    pieces: Box<[Arc<Piece>]>,
    json: OnceLock<String>,
}

impl Default for ListedNames {
    fn default() -> ListedNames {
        ListedNames::new(NAMES_LISTED_MAX, PIECE_NAMES_MAX)
    }
}

impl ListedNames {
    fn new(listed_max: usize, piece_max: usize) -> ListedNames {
        ListedNames {
            pieces: Vec::new(),
            listed: 0,
            listed_max,
            piece_max,
            list: None,
        }
    }

    /// The list as it is now.
    pub(super) fn list(&mut self) -> Arc<NameList> {
        let pieces = &self.pieces;
        let list = self.list.get_or_insert_with(|| {
            Arc::new(NameList {
                pieces: pieces.iter().cloned().collect(),
                json: OnceLock::new(),
            })
        });
        list.clone()
    }

    /// A name is in the room from now on. It was not.
    pub(super) fn add(&mut self, name: &Name) {
        let is_full = self.listed >= self.listed_max;
        if is_full && self.last().is_none_or(|last| last.key() < name.key()) {
            return;
        }
        self.list = None;
        let index = self.piece_of(name.key());
        match self.pieces.get_mut(index) {
            Some(piece) => {
                let piece = piece_mut(piece);
                let at = piece.partition_point(|other| other.key() < name.key());
                piece.insert(at, name.clone());
            }
            None => self.pieces.push(Arc::new(Piece::of(vec![name.clone()]))),
        }
        self.listed += 1;
        self.split(index);
        if is_full {
            self.remove_last();
        }
    }

    /// A name is not in the room any more. `names`: those that are, by their keys.
    pub(super) fn remove<T>(
        &mut self,
        name: &Name,
        names: &BTreeMap<Arc<str>, T>,
        name_of: impl Fn(&T) -> &Name,
    ) {
        let index = self.piece_of(name.key());
        let of_piece = |piece: &Arc<Piece>| {
            piece
                .names
                .iter()
                .position(|other| other.key() == name.key())
        };
        let Some(at) = self.pieces.get(index).and_then(of_piece) else {
            return;
        };
        self.list = None;
        if let Some(piece) = self.pieces.get_mut(index) {
            piece_mut(piece).remove(at);
        }
        self.listed -= 1;
        self.merge(index);
        if self.listed + 1 == self.listed_max {
            self.add_next(names, name_of);
        }
    }

    /// The list was full: the first name behind it is listed now.
    fn add_next<T>(&mut self, names: &BTreeMap<Arc<str>, T>, name_of: impl Fn(&T) -> &Name) {
        let next = match self.last() {
            Some(last) => {
                let behind = (
                    std::ops::Bound::Excluded(last.key()),
                    std::ops::Bound::Unbounded,
                );
                names.range::<str, _>(behind).next()
            }
            None => names.iter().next(),
        };
        if let Some((_, next)) = next {
            self.add(name_of(next));
        }
    }

    fn last(&self) -> Option<&Name> {
        self.pieces.last()?.names.last()
    }

    /// The piece that has the name with this key, or is to have it.
    fn piece_of(&self, key: &str) -> usize {
        let ends_before =
            |piece: &Arc<Piece>| piece.names.last().is_some_and(|last| last.key() < key);
        let index = self.pieces.partition_point(ends_before);
        index.min(self.pieces.len().saturating_sub(1))
    }

    /// A piece that is too long becomes two.
    fn split(&mut self, index: usize) {
        let Some(piece) = self.pieces.get_mut(index) else {
            return;
        };
        if piece.names.len() <= self.piece_max {
            return;
        }
        let half = piece.names.len() / 2;
        let behind = piece_mut(piece).split_off(half);
        self.pieces.insert(index + 1, Arc::new(Piece::of(behind)));
    }

    /// A piece that has become short and the one behind it become one; an empty one goes.
    fn merge(&mut self, index: usize) {
        let names_of = |piece: Option<&Arc<Piece>>| piece.map_or(0, |piece| piece.names.len());
        let names = names_of(self.pieces.get(index));
        if names == 0 {
            self.pieces.remove(index);
        } else if index + 1 < self.pieces.len()
            && names + names_of(self.pieces.get(index + 1)) <= self.piece_max / 2
        {
            let behind = self.pieces.remove(index + 1);
            if let Some(piece) = self.pieces.get_mut(index) {
                piece_mut(piece).extend(behind.names.iter().cloned());
            }
        }
    }

    fn remove_last(&mut self) {
        if let Some(piece) = self.pieces.last_mut() {
            piece_mut(piece).pop();
            self.listed -= 1;
            if piece.names.is_empty() {
                self.pieces.pop();
            }
        }
    }
}

impl Piece {
    fn of(names: Vec<Name>) -> Piece {
        Piece {
            names,
            json: OnceLock::new(),
        }
    }

    fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let names: Vec<&str> = self.names.iter().map(Name::as_str).collect();
            let array = json(&names);
            let elements = array
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            elements.unwrap_or_default().to_owned()
        })
    }
}

/// The names of a piece, which change: earlier lists keep it as it was.
fn piece_mut(piece: &mut Arc<Piece>) -> &mut Vec<Name> {
    let piece = Arc::make_mut(piece);
    piece.json = OnceLock::new();
    &mut piece.names
}

/// The copy is to be changed.
impl Clone for Piece {
    fn clone(&self) -> Piece {
        Piece::of(self.names.clone())
    }
}

impl NameList {
    /// A JSON array of strings. The first call writes it; it needs no lock.
    pub(super) fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let pieces: Vec<&str> = self.pieces.iter().map(|piece| piece.json()).collect();
            format!("[{}]", pieces.join(","))
        })
    }
}

const PIECE_NAMES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    fn of(name: &Name) -> &Name {
        name
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u8),
        Remove(u8),
        List,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..60u8).prop_map(Step::Add),
            2 => (0..60u8).prop_map(Step::Remove),
            1 => Just(Step::List),
        ]
    }

    proptest! {
        #[test]
        fn list_has_the_first_names_whatever_came_and_went(steps in prop::collection::vec(step(), 0..300)) {
            let mut listed = ListedNames::new(20, 4);
            let mut names: BTreeMap<Arc<str>, Name> = BTreeMap::new();
            let mut earlier = Vec::new();
            for step in steps {
                match step {
                    Step::Add(number) => {
                        let name = name(&format!("Name {number}"));
                        if names.insert(name.key().into(), name.clone()).is_none() {
                            listed.add(&name);
                        }
                    }
                    Step::Remove(number) => {
                        let name = name(&format!("Name {number}"));
                        if names.remove(name.key()).is_some() {
                            listed.remove(&name, &names, of);
                        }
                    }
                    Step::List => earlier.push((listed.list(), first_20(&names))),
                }
                let list = listed.list();
                prop_assert_eq!(list.json(), first_20(&names));
                prop_assert!(listed.pieces.iter().all(|piece| (1..=4).contains(&piece.names.len())));
            }
            for (list, names) in earlier {
                prop_assert_eq!(list.json(), names);
            }
        }
    }

    fn first_20(names: &BTreeMap<Arc<str>, Name>) -> String {
        let first: Vec<&str> = names.values().take(20).map(Name::as_str).collect();
        json(&first)
    }

    #[test]
    fn change_of_a_long_list_writes_one_piece_of_it_anew() {
        let mut listed = ListedNames::default();
        let mut names: BTreeMap<Arc<str>, Name> = BTreeMap::new();
        for number in 0..1500 {
            let name = name(&format!("Name {number}"));
            names.insert(name.key().into(), name.clone());
            listed.add(&name);
        }
        let before = listed.list();
        assert_eq!(before.json().matches("Name").count(), NAMES_LISTED_MAX);
        let guest = name("Aiko");
        names.insert(guest.key().into(), guest.clone());
        listed.add(&guest);
        let after = listed.list();
        let is_shared =
            |piece: &&Arc<Piece>| before.pieces.iter().any(|old| Arc::ptr_eq(old, piece));
        let new = after
            .pieces
            .iter()
            .filter(|piece| !is_shared(piece))
            .count();
        assert!((1..=3).contains(&new), "{new} of {}", after.pieces.len());
        // A name behind the listed ones changes nothing.
        let last = name("Zoe");
        names.insert(last.key().into(), last.clone());
        listed.add(&last);
        assert!(Arc::ptr_eq(&after, &listed.list()));
        names.remove(last.key());
        listed.remove(&last, &names, of);
        assert!(Arc::ptr_eq(&after, &listed.list()));
    }
}
