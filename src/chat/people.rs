//! The names in a room: who has each of them, on this node and on the others.
//!
//! A person has a *part* on each node where it has connections. The part here has the connections and the person's [`Speaker`]; of a part on
//! another node the room knows the entry that this node holds ([`MemberEntry`]). The name is there while one of its parts is.
//!
//! A skeleton belongs to one name, so a name is free if neither of its skeletons is in the
//! room. For each skeleton with a number (`aiko 2`), the bit of the number is set at the
//! skeleton without it (`aiko`). The lowest free number is found by counting bits:
//!
//! ```text
//!   names Aiko, "Aiko 2", "aiko 4"     numbers "aiko": bits 2 and 4
//!   AIKO is taken                      the lowest number from 2 whose bit is not set: AIKO 3
//! ```
//!
//! # A name on two nodes
//!
//! Two nodes can give a name, or two that look alike, at the same moment, or while they do not reach each other. Each node learns of both
//! and decides by one rule: the person that has had its name for longer keeps it ([`Person::age`]: the time at which it got the name, by the
//! clock of its node, and at the same millisecond the node with the lower id). The node of the other person gives it the name that it would have
//! suggested (`Aiko 2`), and that is a change of its name as any other. Until then the others do not show that person: its name *waits*. A waiting name is
//! taken, so that nobody else gets it, and is shown if the other one goes.
//!
//! A part moves to another name when its own node says so, and only then. The node of another part of the person, which had the same name, follows: its
//! part moves, too. Nobody follows a part that has followed, or that has lost its name: so the nodes come to an end.
//!
//! The rule depends on the entries alone and not on their order, so nodes come to the same result also after a gap.
//!
//! # Changes
//!
//! Each change of the names has the next revision ([`NameChange`]). Revisions count on each node by themselves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::name_list::{ListedNames, NameList};
use super::names::{Name, SUGGESTED_NUMBER_MAX, Stem, numbered_skeleton};
use super::nodes::MemberEntry;
use super::protocol::{ServerMessage, TABS_MAX};
use super::sanctions::Identity;
use super::speaker::Speaker;
use crate::server::ConnectionId;

/// The names in one room, protected by its lock.
#[derive(Debug, Default)]
pub(super) struct People {
    /// By [`Name::key`], so that a list is in order. Names with the same key have a skeleton in
    /// common.
    names: BTreeMap<Arc<str>, Person>,
    /// The key of the name that has the skeleton.
    skeletons: HashMap<Arc<str>, Arc<str>>,
    numbers: HashMap<Box<str>, u128>,
    revision: u64,
    listed: ListedNames,
    /// How many persons have a part here.
    here: usize,
    /// Persons of other nodes whose names others have, or names that look like them. They are empty but after a collision.
    waiting: Vec<Person>,
    /// The number of look-ups for substitutes.
    #[cfg(test)]
    looked_up: std::cell::Cell<usize>,
}

/// A name in a room, and where it is.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: Name,
    /// Without a session: one connection.
    pub(super) who: Identity,
    /// `None`: the person is on other nodes only.
    pub(super) here: Option<Here>,
    pub(super) there: Vec<There>,
}

/// A person on this node.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) part: Part,
    pub(super) speaker: Arc<Speaker>,
    /// The oldest first: at most [`TABS_MAX`].
    tabs: Vec<(Box<str>, ConnectionId)>,
}

/// A person on another node.
#[derive(Clone, Copy, Debug)]
pub(super) struct There {
    pub(super) part: Part,
    pub(super) is_moderator: bool,
}

/// What nodes know of a person on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) node: u64,
    /// No other part of this node has it.
    pub(super) id: u64,
    /// When the person got this name, in milliseconds since 1970-01-01 UTC.
    pub(super) since: u64,
}

/// A change of the names, with its revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NameChange {
    pub(super) name: Name,
    pub(super) revision: u64,
    pub(super) kind: ChangeKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    /// `was`: under this name the person was here before.
    Joined { was: Option<Name> },
    /// `to`: under this name the person goes on.
    Left { to: Option<Name> },
}

/// What follows from a change on another node.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// In their order.
    pub(super) changes: Vec<NameChange>,
    /// Names that this node does not hold any more.
    pub(super) released: Vec<Name>,
    /// Entries that it holds now.
    pub(super) held: Vec<MemberEntry>,
    /// Connections of a person that has lost its name, and for which there is no other one.
    pub(super) nameless: Vec<ConnectionId>,
}

/// A person has a new name: the two changes of the room's names that this is.
#[derive(Debug)]
pub(super) struct Renamed {
    pub(super) was: Name,
    /// `None`: the person still has the old name on other nodes, which follow.
    pub(super) left_revision: Option<u64>,
    pub(super) joined_revision: u64,
    /// What the other nodes are told.
    pub(super) entry: MemberEntry,
}

/// What a connection that has gone has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// The person has other connections on this node, or has been here without this one.
    Nothing,
    /// It has none here any more, and others on other nodes.
    Part(Name),
    /// The name has left.
    Name(Name),
}

impl People {
    pub(super) fn new(revision: u64) -> People {
        People {
            revision,
            ..People::default()
        }
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// There is no name, and none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.waiting.is_empty()
    }

    /// Whether somebody is here who is told of changes.
    pub(super) fn has_members_here(&self) -> bool {
        self.here > 0
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The list of this revision.
    pub(super) fn list(&mut self) -> Arc<NameList> {
        self.listed.list()
    }

    pub(super) fn is_free(&self, name: &Name) -> bool {
        self.confusable(name).is_empty() && !self.waits_for(name)
    }

    /// Whether the name is in the room and this session is its person's.
    pub(super) fn is_of(&self, name: &Name, session: &str) -> bool {
        let person = self.names.get(name.key());
        person.is_some_and(|person| person.is_of(session))
    }

    /// The person with this name.
    pub(super) fn named(&mut self, name: &Name) -> Option<&mut Person> {
        self.names.get_mut(name.key())
    }

    /// The person on this node that has this speaker.
    pub(super) fn speaking(&mut self, speaker: &Arc<Speaker>) -> Option<&mut Person> {
        let person = self.names.get_mut(speaker.name().key())?;
        let here = person.here.as_ref()?;
        Arc::ptr_eq(&here.speaker, speaker).then_some(person)
    }

    /// The persons of this node.
    pub(super) fn members_here(&self) -> impl Iterator<Item = (&Person, &Here)> {
        let persons = self.names.values();
        persons.filter_map(|person| Some((person, person.here.as_ref()?)))
    }

    /// A person is on this node from now on. Its name is free, or it has it already on other nodes. Returns whether the name is new.
    pub(super) fn enter(&mut self, name: &Name, who: Identity, here: Here) -> bool {
        if let Some(person) = self.names.get_mut(name.key()) {
            person.here = Some(here);
            self.here += 1;
            return false;
        }
        self.insert(Person {
            name: name.clone(),
            who,
            here: Some(here),
            there: Vec::new(),
        });
        true
    }

    /// Removes a connection of a person from this node: of a person without a session, its only one. `None`: all of them.
    /// Nothing has changed if another connection has taken its place.
    pub(super) fn remove_connection(
        &mut self,
        speaker: &Arc<Speaker>,
        connection: Option<ConnectionId>,
    ) -> Gone {
        let Some(person) = self.speaking(speaker) else {
            return Gone::Nothing;
        };
        if person.who.session.is_some()
            && let Some(connection) = connection
            && let Some(here) = &mut person.here
        {
            let before = here.tabs.len();
            here.tabs.retain(|(_, of_tab)| *of_tab != connection);
            if before == 0 || !here.tabs.is_empty() {
                return Gone::Nothing;
            }
        }
        person.here = None;
        let name = person.name.clone();
        let is_there = !person.there.is_empty();
        self.here -= 1;
        if is_there {
            return Gone::Part(name);
        }
        self.take(&name);
        Gone::Name(name)
    }

    /// Removes a person from this node, with all its connections, which are returned.
    pub(super) fn remove_here(
        &mut self,
        speaker: &Arc<Speaker>,
        outcome: &mut Outcome,
    ) -> Vec<ConnectionId> {
        let here = self
            .speaking(speaker)
            .and_then(|person| person.here.as_ref());
        let connections = here.map(Here::connections).unwrap_or_default();
        match self.remove_connection(speaker, None) {
            Gone::Nothing => {}
            Gone::Part(name) => outcome.released.push(name),
            Gone::Name(name) => {
                outcome.left(&name, None, self.revision);
                outcome.released.push(name);
            }
        }
        connections
    }

    /// A person of this node goes on under another name. Those of its parts that are on other nodes follow. `None`: it is not here.
    /// `Some(None)`: the name is not free.
    pub(super) fn rename(
        &mut self,
        speaker: &Arc<Speaker>,
        name: &Name,
        since: u64,
    ) -> Option<Option<Renamed>> {
        let person = self.speaking(speaker)?;
        let (was, is_there) = (person.name.clone(), !person.there.is_empty());
        if is_there {
            if !self.is_free(name) {
                return Some(None);
            }
            let mover = self.take_here(&was)?;
            return self.renamed(mover, was, None, name, since).map(Some);
        }
        let revision = self.revision;
        let mover = self.take(&was)?;
        if !self.is_free(name) {
            // Nobody has seen it.
            self.insert(mover);
            self.revision = revision;
            return Some(None);
        }
        let left_revision = Some(self.revision);
        self.renamed(mover, was, left_revision, name, since)
            .map(Some)
    }

    fn renamed(
        &mut self,
        mut mover: Person,
        was: Name,
        left_revision: Option<u64>,
        name: &Name,
        since: u64,
    ) -> Option<Renamed> {
        mover.go_on_as(name, since);
        let entry = mover.entry(Some(&was), false)?;
        self.insert(mover);
        Some(Renamed {
            was,
            left_revision,
            joined_revision: self.revision,
            entry,
        })
    }

    /// The part here of a person that has others, as a person of its own that is not in the table.
    fn take_here(&mut self, name: &Name) -> Option<Person> {
        let person = self.names.get_mut(name.key())?;
        let here = person.here.take()?;
        self.here -= 1;
        Some(Person {
            name: person.name.clone(),
            who: person.who.clone(),
            here: Some(here),
            there: Vec::new(),
        })
    }

    /// The lowest number that gives a free name with this stem.
    pub(super) fn free_number(&self, stem: &Stem) -> Option<u32> {
        let [one, other] = &stem.skeletons;
        let held = self.numbers_taken(one) | self.numbers_taken(other);
        let mut held = held | (bit(stem.first) - 1);
        loop {
            let number = held.trailing_ones();
            if number > stem.last {
                return None;
            }
            if !self.is_waiting(stem, number) {
                return Some(number);
            }
            held |= bit(number);
        }
    }

    /// A name waits that looks like the one with this number.
    fn is_waiting(&self, stem: &Stem, number: u32) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let name = stem.numbered(number);
        name.is_some_and(|name| self.waits_for(&name))
    }

    fn waits_for(&self, name: &Name) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|person| person.name.is_confusable_with(name))
    }

    /// The bits of the taken numbers of a skeleton.
    fn numbers_taken(&self, skeleton: &str) -> u128 {
        #[cfg(test)]
        self.looked_up.set(self.looked_up.get() + 1);
        self.numbers.get(skeleton).copied().unwrap_or(0)
    }
}

#[cfg(test)]
impl People {
    pub(super) fn looked_up(&self) -> usize {
        self.looked_up.get()
    }

    /// How many names, skeletons and numbers it has.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.names.len(), self.skeletons.len(), self.numbers.len())
    }
}

// What the other nodes hold.
impl People {
    /// Another node holds an entry. `now`: milliseconds since 1970-01-01 UTC.
    pub(super) fn held(&mut self, node: u64, entry: &MemberEntry, now: u64) -> Outcome {
        let mut outcome = Outcome::default();
        let Ok(name) = Name::parse(&entry.name) else {
            return outcome;
        };
        let part = Part {
            node,
            id: entry.id,
            since: entry.since,
        };
        let there = There {
            part,
            is_moderator: entry.is_moderator,
        };
        self.waiting
            .retain(|person| !person.there.iter().any(|there| there.is_of(part)));
        let before = entry.was.as_deref().and_then(|was| Name::parse(was).ok());
        let before = before.filter(|before| before.key() != name.key());
        let was = before.and_then(|before| self.move_part(&before, &name, part, &mut outcome));
        let who = Identity {
            session: entry.person.clone(),
            address: entry.address,
        };
        let person = Person {
            who,
            name: name.clone(),
            here: None,
            there: vec![there],
        };
        self.place(person, was.clone(), now, &mut outcome);
        if let Some(was) = was.filter(|_| !entry.follows) {
            self.follow(&was, &name, part.since, &mut outcome);
        }
        outcome
    }

    /// A person has got another name on another node: its part here, which has had the same one, follows.
    fn follow(&mut self, was: &Name, name: &Name, since: u64, outcome: &mut Outcome) {
        let person = self.names.get(was.key());
        let session = person.and_then(|person| person.who.session.clone());
        let target = self.names.get(name.key());
        let is_own = |target: &Person| session.is_some_and(|session| target.is_of(&session));
        if !target.is_some_and(|target| target.here.is_none() && is_own(target)) {
            return;
        }
        let Some(mut mover) = self.take_here(was) else {
            return;
        };
        let is_gone = self.names.get(was.key()).is_some_and(Person::is_nowhere);
        if is_gone && let Some(gone) = self.take(was) {
            outcome.left(&gone.name, Some(name), self.revision);
        }
        if let Some(target) = self.names.get_mut(name.key())
            && let Some(mut here) = mover.here.take()
        {
            here.part.since = since;
            target.here = Some(here);
            self.here += 1;
            let written = target.name.clone();
            target.write(&written);
            outcome.released.push(was.clone());
            outcome.held.extend(target.entry(Some(was), true));
        }
    }

    /// A part on another node has another name now. Returns the name that it had, as members know it.
    fn move_part(
        &mut self,
        before: &Name,
        name: &Name,
        part: Part,
        outcome: &mut Outcome,
    ) -> Option<Name> {
        let person = self.names.get_mut(before.key())?;
        let count = person.there.len();
        person.there.retain(|there| !there.is_of(part));
        if person.there.len() == count {
            return None;
        }
        let was = person.name.clone();
        if person.is_nowhere() {
            self.take(&was);
            outcome.left(&was, Some(name), self.revision);
        }
        Some(was)
    }

    /// Another node does not hold the entry of this name any more; or this node has released one, and names that have waited for it can come.
    pub(super) fn released(&mut self, node: u64, key: &str, now: u64) -> Outcome {
        let mut outcome = Outcome::default();
        for person in &mut self.waiting {
            if person.name.key() == key {
                person.there.retain(|there| there.part.node != node);
            }
        }
        self.waiting.retain(|person| !person.there.is_empty());
        if let Some(person) = self.names.get_mut(key) {
            let before = person.there.len();
            person.there.retain(|there| there.part.node != node);
            let is_gone = person.there.len() < before && person.is_nowhere();
            let name = person.name.clone();
            if is_gone {
                self.take(&name);
                outcome.left(&name, None, self.revision);
            }
        }
        for person in std::mem::take(&mut self.waiting) {
            self.place(person, None, now, &mut outcome);
        }
        outcome
    }

    /// Puts a person into the table, if nobody has had the name for longer. `was`: under this name it was there just before.
    fn place(&mut self, person: Person, was: Option<Name>, now: u64, outcome: &mut Outcome) {
        let key = person.name.shared_key();
        if self
            .names
            .get(&key)
            .is_some_and(|same| same.may_merge(&person))
        {
            return self.merge(person, was.as_ref(), outcome);
        }
        let others = self.confusable(&person.name);
        let is_younger = |key: &Arc<str>| {
            let other = self.names.get(key);
            other.is_none_or(|other| person.age() < other.age())
        };
        if !others.iter().all(is_younger) {
            let was = was.unwrap_or_else(|| person.name.clone());
            return self.displace(person, was, now, outcome);
        }
        let mut displaced = Vec::new();
        for key in others {
            let name = self.names.get(&key).map(|other| other.name.clone());
            if let Some(other) = name.and_then(|name| self.take(&name)) {
                outcome.left(&other.name, None, self.revision);
                displaced.push(other);
            }
        }
        let name = person.name.clone();
        self.insert(person);
        outcome.joined(&name, was, self.revision);
        for other in displaced {
            let was = other.name.clone();
            self.displace(other, was, now, outcome);
        }
    }

    /// The person is in the table with other parts. Names with the same key can be written in different ways: the one counts that is there for longer.
    fn merge(&mut self, mut person: Person, was: Option<&Name>, outcome: &mut Outcome) {
        let Some(same) = self.names.get_mut(person.name.key()) else {
            return;
        };
        // What a node holds now takes the place of what it has held.
        for there in &person.there {
            same.there.retain(|old| !old.is_of(there.part));
        }
        let before = same.name.clone();
        let is_written_anew = person.name != before && person.age() <= same.age();
        let name = match is_written_anew {
            true => person.name.clone(),
            false => before.clone(),
        };
        let is_here = person.here.is_some();
        if let Some(here) = person.here.take() {
            outcome.held.retain(|entry| entry.id != here.part.id);
            same.here = Some(here);
            self.here += 1;
        }
        person.there.iter().for_each(|there| same.set_there(*there));
        same.write(&name);
        if is_here || is_written_anew {
            outcome.held.extend(same.entry(was, true));
        }
        if is_written_anew && let Some(person) = self.take(&before) {
            outcome.left(&before, Some(&name), self.revision);
            self.insert(person);
            outcome.joined(&name, Some(before), self.revision);
        }
    }

    /// Another person has had the name for longer: the part here goes on under a substitute, and the others wait for what their nodes do.
    /// `was`: the name that this node has held for it.
    fn displace(&mut self, mut person: Person, was: Name, now: u64, outcome: &mut Outcome) {
        let here = person.here.take();
        let (who, name) = (person.who.clone(), person.name.clone());
        if !person.there.is_empty() {
            self.waiting.push(person);
        }
        let Some(here) = here else {
            return outcome.goes_on(&was, None);
        };
        outcome.held.retain(|entry| entry.id != here.part.id);
        outcome.released.push(was.clone());
        let Some(name) = self.substitute(&name) else {
            here.speaker.remove();
            outcome.nameless.extend(here.connections());
            return outcome.goes_on(&was, None);
        };
        let mut person = Person {
            name: was.clone(),
            who,
            here: Some(here),
            there: Vec::new(),
        };
        person.go_on_as(&name, now);
        outcome.held.extend(person.entry(Some(&was), true));
        outcome.goes_on(&was, Some(&name));
        self.insert(person);
        outcome.joined(&name, Some(was), self.revision);
    }

    /// A free name instead of a taken one.
    fn substitute(&self, name: &Name) -> Option<Name> {
        Stem::of(name).iter().find_map(|stem| {
            let number = self.free_number(stem)?;
            stem.numbered(number)
        })
    }
}

// The table.
impl People {
    /// The keys of the names that are confusable with this one.
    fn confusable(&self, name: &Name) -> Vec<Arc<str>> {
        let skeletons = name.skeletons().iter();
        let mut keys: Vec<Arc<str>> = skeletons
            .filter_map(|skeleton| self.skeletons.get(skeleton).cloned())
            .collect();
        keys.dedup();
        keys
    }

    /// Adds a person whose name is free. That is a change.
    fn insert(&mut self, person: Person) {
        self.here += usize::from(person.here.is_some());
        let key = person.name.shared_key();
        for skeleton in person.name.skeletons() {
            self.skeletons.insert(skeleton.clone(), key.clone());
            if let Some((stem, number)) = numbered_skeleton(skeleton) {
                *self.numbers.entry(stem.into()).or_default() |= bit(number);
            }
        }
        self.listed.add(&person.name);
        self.names.insert(key, person);
        self.revision += 1;
    }

    /// Removes a person; names that are confusable with its name are free again. That is a change.
    fn take(&mut self, name: &Name) -> Option<Person> {
        let person = self.names.remove(name.key())?;
        self.here -= usize::from(person.here.is_some());
        for skeleton in person.name.skeletons() {
            self.skeletons.remove(skeleton);
            if let Some((stem, number)) = numbered_skeleton(skeleton)
                && let Some(held) = self.numbers.get_mut(stem)
            {
                *held &= !bit(number);
                if *held == 0 {
                    self.numbers.remove(stem);
                }
            }
        }
        self.listed.remove(name, &self.names, |person| &person.name);
        self.revision += 1;
        Some(person)
    }
}

impl Person {
    /// When it got its name, and the node that has given it: the first of its parts.
    fn age(&self) -> (u64, u64) {
        let here = self.here.iter().map(|here| here.part);
        let parts = here.chain(self.there.iter().map(|there| there.part));
        parts
            .map(|part| (part.since, part.node))
            .min()
            .unwrap_or((u64::MAX, u64::MAX))
    }

    /// Whether this session is the person's.
    pub(super) fn is_of(&self, session: &str) -> bool {
        let own = self.who.session.as_deref();
        own.is_some_and(|own| is_same_secret(own, session))
    }

    /// Whether it moderates the room, on one of the nodes.
    pub(super) fn is_moderator(&self) -> bool {
        let here = self.here.as_ref();
        here.is_some_and(|here| here.speaker.is_moderator)
            || self.there.iter().any(|there| there.is_moderator)
    }

    fn is_nowhere(&self) -> bool {
        self.here.is_none() && self.there.is_empty()
    }

    /// The other one is the same person with other parts, or with the same part once more.
    fn may_merge(&self, other: &Person) -> bool {
        let session = other.who.session.as_deref();
        let same_person = session.is_some_and(|session| self.is_of(session))
            && !(self.here.is_some() && other.here.is_some());
        let has = |there: &There| self.there.iter().any(|own| own.is_of(there.part));
        same_person || other.there.iter().any(has)
    }

    /// The only part of a node.
    fn set_there(&mut self, there: There) {
        self.there.retain(|old| old.part.node != there.part.node);
        self.there.push(there);
    }

    fn write(&mut self, name: &Name) {
        self.name = name.clone();
        if let Some(here) = &self.here {
            here.speaker.set_name(name.clone());
        }
    }

    fn go_on_as(&mut self, name: &Name, since: u64) {
        self.write(name);
        if let Some(here) = &mut self.here {
            here.part.since = since;
        }
    }

    /// What the other nodes are told of the part here. `follows`: nobody follows it to this name.
    pub(super) fn entry(&self, was: Option<&Name>, follows: bool) -> Option<MemberEntry> {
        let here = self.here.as_ref()?;
        Some(MemberEntry {
            name: self.name.as_str().into(),
            id: here.part.id,
            since: here.part.since,
            person: self.who.session.clone(),
            address: self.who.address,
            is_moderator: here.speaker.is_moderator,
            was: was.map(|was| was.as_str().into()),
            follows,
        })
    }
}

impl Here {
    pub(super) fn new(part: Part, speaker: Speaker) -> Here {
        Here {
            part,
            speaker: Arc::new(speaker),
            tabs: Vec::new(),
        }
    }

    /// Its connections.
    pub(super) fn connections(&self) -> Vec<ConnectionId> {
        self.tabs
            .iter()
            .map(|(_, connection)| *connection)
            .collect()
    }

    /// Adds a connection. Returns the one whose place it takes.
    pub(super) fn add_tab(&mut self, tab: &str, connection: ConnectionId) -> Option<ConnectionId> {
        let same = self.tabs.iter().position(|(of_tab, _)| **of_tab == *tab);
        let oldest = (self.tabs.len() == TABS_MAX).then_some(0);
        let replaced = same.or(oldest).map(|index| self.tabs.remove(index).1);
        self.tabs.push((tab.into(), connection));
        replaced
    }
}

impl There {
    fn is_of(&self, part: Part) -> bool {
        (self.part.node, self.part.id) == (part.node, part.id)
    }
}

impl Outcome {
    fn joined(&mut self, name: &Name, was: Option<Name>, revision: u64) {
        self.changes.push(NameChange {
            name: name.clone(),
            revision,
            kind: ChangeKind::Joined { was },
        });
    }

    fn left(&mut self, name: &Name, to: Option<&Name>, revision: u64) {
        self.changes.push(NameChange {
            name: name.clone(),
            revision,
            kind: ChangeKind::Left { to: to.cloned() },
        });
    }

    /// The person that has left under this name goes on under another one, or under none.
    fn goes_on(&mut self, was: &Name, name: Option<&Name>) {
        for change in self.changes.iter_mut().rev() {
            if let (true, ChangeKind::Left { to }) = (change.name == *was, &mut change.kind) {
                *to = name.cloned();
                return;
            }
        }
    }
}

impl NameChange {
    /// As members are told.
    pub(super) fn to_json(&self) -> String {
        let text = |name: &Option<Name>| name.as_ref().map(|name| name.as_str().to_owned().into());
        let name = self.name.as_str().into();
        let message = match &self.kind {
            ChangeKind::Joined { was } => ServerMessage::Joined {
                id: None,
                name,
                revision: self.revision,
                was: text(was),
                position: None,
            },
            ChangeKind::Left { to } => ServerMessage::Left {
                id: None,
                name,
                revision: self.revision,
                to: text(to),
                position: None,
            },
        };
        message.to_json()
    }
}

/// Compares two secrets. The time does not depend on where they differ.
fn is_same_secret(one: &str, other: &str) -> bool {
    let difference = one.bytes().zip(other.bytes());
    one.len() == other.len() && difference.fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// The bit of a suggested number; all of them are below 128.
fn bit(number: u32) -> u128 {
    const { assert!(SUGGESTED_NUMBER_MAX < u128::BITS) };
    1 << number
}
