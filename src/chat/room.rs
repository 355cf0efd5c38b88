//! The members of each room: the only state that the chat's workers share.
//!
//! Each room has its own lock. It is taken to join, to leave and to list names, but not to
//! publish: a message is appended to the room's log without the list of members. The rooms
//! are in a directory. Its lock is held for one look-up, and never while a thread waits for
//! the lock of a room. Under a room's lock its names change, and a list of them is copied once
//! for each requested revision. JSON of lists is written and sent without the lock, and no other code
//! is called under it but what keeps a created room, which does not wait. A room exists while it has members, so the number of connections
//! bounds the memory.
//!
//! # Created rooms
//!
//! A room that somebody has created is kept without members, because its [`Rules`] would be lost. At most [`EMPTY_ROOMS_MAX`] are: the
//! one that has been empty for longest ends. With [`Records`] it also survives the server: each change is kept under the room's lock.
//!
//! # People and connections
//!
//! A name belongs to a person. A person without a session is one connection. With a session (`sessions.rs`), any number of
//! connections can share the name, one for each tab: the name is there while one of them is. A second connection of a tab takes
//! the place of the first one. `people.rs` has the names of a room.
//!
//! The connections of a person share its name in a [`Speaker`]: with a new name the person leaves under the old one and joins under
//! the new one, in one step.
//!
//! # Other nodes
//!
//! In a cluster each node holds an entry for each person that it has in a room, and puts those of the other nodes into the same table of names
//! ([`RoomDirectory::apply`]). So all nodes have the names of all. Each node tells its own members of each change, with revisions of its own: in a
//! room of the server that the nodes do not share ([`RoomDirectory::notices`]). A room exists on each node while it has members on any.
//!
//! The rules of a room and its topic are facts that all nodes learn (`nodes.rs`): [`RoomDirectory::keep_changes`] tells those of this node.
//!
//! # Revisions
//!
//! Workers exchange messages in batches. So "Aiko left" (from one worker) and "Aiko joined"
//! (slightly later, from another worker) can reach a room in the wrong order. Therefore each
//! change of a room's names gets a number under the lock, its *revision*, and each list of
//! names contains its revision. A client that applies the changes in the order of these
//! numbers always reconstructs the correct names, as [`Presence`](super::Presence) does.
//!
//! ```text
//!   changes of all rooms:  1    2    3    4    5    6    7 ...
//!   room "lobby":          1    2         3 (now empty: removed)
//!   room "lobby" again:                             7 = 6 + 1: higher than all before
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::message_rate::MessageRate;
use super::name_list::NameList;
use super::names::{Name, Stem};
use super::nodes::{Fact, MemberEntry, Nodes, Notice, Told, What};
use super::passwords::PasswordThread;
use super::people::{Gone, Here, NameChange, Outcome, Part, People, Person, Renamed};
use super::protocol::Visibility;
use super::room_record::{Bytes, RoomRecord, Shelf, TopicRecord};
use super::rules::{Creation, Entrance, PRIVATE_PREFIX, Rules, TOPIC_PREFIX, Untold};
use super::sanctions::{Age, Identity, Sanction};
use super::sessions::SessionKey;
use super::speaker::Speaker;
use crate::server::{ConnectionId, Records};

/// All rooms that have members.
#[derive(Debug, Default)]
pub(super) struct RoomDirectory {
    directory: Mutex<BTreeMap<Box<str>, Known>>,
    /// Created rooms without members, the one first that has been empty for longest.
    empty: Mutex<BTreeMap<u64, Box<str>>>,
    /// Where created rooms are kept.
    shelf: Shelf,
    /// How fast a person may send. `None`: no limit.
    pub(super) message_rate: Option<MessageRate>,
    pub(super) passwords: PasswordThread,
    /// The key of sessions: a random one, if none is set before the first person enters.
    pub(super) session_key: OnceLock<SessionKey>,
    /// The other nodes of a cluster.
    pub(super) nodes: Nodes,
    /// The number of joins and leaves in all rooms; not less than any revision.
    changes: AtomicU64,
    /// How many persons have entered: each one has the next number.
    entered: AtomicU64,
}

type SharedRoom = Arc<Mutex<ChatRoom>>;

/// A room in the directory.
#[derive(Debug)]
struct Known {
    room: SharedRoom,
    /// It is in the list of rooms.
    is_listed: bool,
}

/// The members of a room at one revision of its names.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    pub(super) list: Arc<NameList>,
    pub(super) count: usize,
    pub(super) revision: u64,
    pub(super) topic: Option<Arc<SetTopic>>,
    pub(super) visibility: Visibility,
    pub(super) slow_seconds: u64,
}

/// A topic that a member has set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SetTopic {
    /// Not empty.
    pub(super) text: Box<str>,
    pub(super) by: Name,
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) time: u64,
    pub(super) revision: u64,
}

/// A room, protected by its lock.
#[derive(Debug)]
pub(super) struct ChatRoom {
    people: People,
    topic: Option<Arc<SetTopic>>,
    /// How often the topic was set.
    topic_revision: u64,
    /// It is not as it was kept.
    is_topic_changed: bool,
    /// The other nodes do not know it yet.
    is_topic_untold: bool,
    /// Nobody has looked for what other nodes have decided of it.
    is_new: bool,
    rules: Rules,
    /// Since this change of the directory the room is created and has no members.
    empty_since: Option<u64>,
    /// All members have left: the directory has removed the room or is going to. It cannot be
    /// joined any more.
    ended: bool,
}

/// A connection that enters.
#[derive(Clone, Debug)]
pub(super) struct Visitor<'a> {
    pub(super) who: Identity,
    pub(super) tab: &'a str,
    /// `None` in tests without a server.
    pub(super) connection: Option<ConnectionId>,
    pub(super) is_operator: bool,
}

/// Why a connection cannot enter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotEntered {
    Taken(NameTaken),
    /// The room that it has subscribed to has ended meanwhile, or another one has its name.
    Changed,
}

/// Who wants to moderate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moderator<'a> {
    pub(super) session: Option<&'a str>,
    pub(super) is_operator: bool,
}

/// Why a room is not moderated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotModerated {
    /// Neither the creator of the room nor an operator; or only an operator may do this to a moderator.
    Forbidden,
    /// Nobody in the room has this name.
    NoMember,
    /// A room that is not private needs no invitation.
    NotPrivate,
}

/// A connection is in the room.
#[derive(Debug)]
pub(super) struct Entered {
    /// The person, as it is in the room.
    pub(super) speaker: Arc<Speaker>,
    pub(super) roster: Roster,
    /// The person was not here before.
    pub(super) is_new: bool,
    /// The connection whose place it has taken.
    pub(super) replaced: Option<ConnectionId>,
}

/// A moderator has removed a person.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) name: Name,
    pub(super) connections: Vec<ConnectionId>,
    /// The revision of this change, if the person has not left just before.
    pub(super) left_revision: Option<u64>,
}

/// What the members of this node are told, and what happens to their connections, because of another node.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    /// Under this name of the server's they are told.
    pub(super) notices: Box<str>,
    /// The messages as JSON, in their order.
    pub(super) messages: Vec<String>,
    /// Connections of persons that a moderator has removed.
    pub(super) removed: Vec<ConnectionId>,
    /// Connections that are not in the room any more: another person has their name, and there is no other one; or another room has the name of the
    /// room.
    pub(super) outside: Vec<ConnectionId>,
}

/// A person has left with its last connection.
#[derive(Debug)]
pub(super) struct Departed {
    pub(super) name: Name,
    pub(super) revision: u64,
}

/// The name is confusable with one in the room; the suggestion is free, if there is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NameTaken {
    pub(super) suggestion: Option<Name>,
}

impl RoomDirectory {
    /// Created rooms are kept here from now on, and those that were kept are there again.
    pub(super) fn keep(&mut self, records: Arc<dyn Records>) {
        self.shelf = Shelf::new(records);
        let kept = self.shelf.load();
        if let Some(key) = kept.session_key {
            // The one that the operator has set stays.
            let _ = self.session_key.set(SessionKey::of(key));
        }
        for (room, record) in kept.rooms {
            self.add_created(&room, ChatRoom::kept(record));
        }
    }

    /// The key of sessions is this one, if there is none yet.
    pub(super) fn session_key_or(&self, random: [u8; 32]) -> &SessionKey {
        self.session_key.get_or_init(|| {
            self.shelf.put_session_key(random);
            SessionKey::of(random)
        })
    }

    /// Whether somebody may enter a room, and the name under which its messages are published, if that is not the room's own.
    pub(super) fn entrance(
        &self,
        room: &str,
        who: &Identity,
        is_operator: bool,
        invitation: Option<&str>,
        now: u64,
    ) -> (Entrance, Option<Box<str>>) {
        let entrance = self.with_room(room, |room| {
            let entrance = room.rules.entrance(who, is_operator, invitation, now);
            (entrance, room.rules.private_topic().map(Into::into))
        });
        entrance.unwrap_or((Entrance::Open, None))
    }

    /// Somebody begins to guess the password of a room. Otherwise: after how many milliseconds it may be tried again.
    pub(super) fn begin_guess(&self, room: &str, who: &Identity, now: u64) -> Result<(), u64> {
        let begun = self.with_room(room, |room| room.rules.guesses.begin(who, now));
        begun.unwrap_or(Ok(()))
    }

    /// The password was not compared.
    pub(super) fn take_guess_back(&self, room: &str, who: &Identity) {
        self.with_room(room, |room| room.rules.guesses.take_back(who));
    }

    /// Somebody has shown the password of the room with this topic.
    pub(super) fn admit(&self, room: &str, topic: &str, who: &Identity, now: u64) {
        self.with_room(room, |room| {
            if room.rules.private_topic() == Some(topic) {
                room.rules.guesses.right(who);
                room.rules.admit(who.session.clone(), now);
            }
        });
    }

    /// Creates a room. Returns whether there was none of this name.
    pub(super) fn create(&self, room: &str, creation: Creation) -> bool {
        let mut created = ChatRoom::new(self.changes.load(Ordering::Relaxed));
        created.rules = Rules::of(creation);
        self.add_created(room, created)
    }

    /// Adds a created room without members. Returns whether there was none of this name.
    fn add_created(&self, room: &str, created: ChatRoom) -> bool {
        let shared = {
            let mut directory = lock(&self.directory);
            if directory.contains_key(room) {
                return false;
            }
            let is_listed = created.rules.visibility() == Visibility::Listed;
            let shared = SharedRoom::new(Mutex::new(created));
            let known = Known {
                room: shared.clone(),
                is_listed,
            };
            directory.insert(room.into(), known);
            shared
        };
        let order = self.changes.fetch_add(1, Ordering::Relaxed);
        {
            let mut locked = lock(&shared);
            self.emptied(room, &mut locked, order);
            self.keep_changes(room, &mut locked);
        }
        self.end_longest_empty();
        true
    }

    /// Whether the names of this room are for its members only.
    pub(super) fn is_private(&self, room: &str) -> bool {
        self.with_room(room, |room| room.rules.private_topic().is_some())
            .unwrap_or(false)
    }

    /// Whether the name is free now. Asked before a join has effects that a refusal would have
    /// to undo.
    pub(super) fn check_free(&self, room: &str, name: &Name) -> Result<(), NameTaken> {
        match self.with_room(room, |room| room.people.is_free(name)) {
            Some(false) => Err(self.substitute(room, name)),
            _ => Ok(()),
        }
    }

    /// The same for a person with this session, who may share the name with itself.
    pub(super) fn check_free_for(
        &self,
        room: &str,
        name: &Name,
        session: Option<&str>,
    ) -> Result<(), NameTaken> {
        let is_own =
            |room: &mut ChatRoom| session.is_some_and(|session| room.people.is_of(name, session));
        match self.with_room(room, is_own) {
            Some(true) => Ok(()),
            _ => self.check_free(room, name),
        }
    }

    /// Adds a connection of a person to the room, if the name is free or the person's own.
    ///
    /// `topic`: what the connection has subscribed to. `now`: milliseconds since 1970-01-01 UTC.
    pub(super) fn enter(
        &self,
        room: &str,
        topic: &str,
        name: &Name,
        visitor: Visitor<'_>,
        now: u64,
    ) -> Result<Entered, NotEntered> {
        let entered = self.in_open_room(room, now, |locked| {
            if !locked.has_topic(topic) {
                return Some(Err(NotEntered::Changed));
            }
            let session = visitor.who.session.as_deref();
            let own = session.is_some_and(|session| locked.people.is_of(name, session));
            if !own {
                if !locked.people.is_free(name) {
                    return None;
                }
                self.changes.fetch_add(1, Ordering::Relaxed);
            }
            if locked
                .people
                .named(name)
                .is_none_or(|person| person.here.is_none())
            {
                // As it is written on the other nodes.
                let known = locked.people.named(name).map(|person| person.name.clone());
                let written = known.unwrap_or_else(|| name.clone());
                let here = locked.part_here(&written, &visitor, self.next_part(now), now);
                locked.people.enter(&written, visitor.who.clone(), here);
                if let Some(order) = locked.empty_since.take() {
                    lock(&self.empty).remove(&order);
                }
            }
            let person = locked.people.named(name)?;
            let here = person.here.as_mut()?;
            let replaced = visitor
                .connection
                .and_then(|connection| here.add_tab(visitor.tab, connection));
            let speaker = here.speaker.clone();
            if let Some(entry) = person.entry(None, false) {
                self.nodes.hold_member(room, &person.name, &entry);
            }
            Some(Ok(Entered {
                speaker,
                roster: locked.roster(),
                is_new: !own,
                replaced,
            }))
        });
        entered.unwrap_or_else(|| Err(NotEntered::Taken(self.substitute(room, name))))
    }

    /// Removes a connection of a person from the room: of a person without a session, its only one. If the name has left with it,
    /// returns this change.
    pub(super) fn leave(
        &self,
        room: &str,
        speaker: &Arc<Speaker>,
        connection: Option<ConnectionId>,
    ) -> Option<Departed> {
        let shared = self.find(room)?;
        let (departed, ended) = {
            let mut locked = lock(&shared);
            let gone = locked.people.remove_connection(speaker, connection);
            if let Gone::Part(name) | Gone::Name(name) = &gone {
                self.nodes.release_member(room, name);
            }
            let Gone::Name(name) = gone else { return None };
            let order = self.changes.fetch_add(1, Ordering::Relaxed);
            let revision = locked.people.revision();
            if locked.people.is_empty() {
                self.emptied(room, &mut locked, order);
            }
            (Departed { name, revision }, locked.ended)
        };
        if ended {
            self.discard(room, &shared);
        }
        self.end_longest_empty();
        Some(departed)
    }

    /// Gives a person in the room another name, if it is free or looks like the present one. `None`: the person is not in the room.
    pub(super) fn rename(
        &self,
        room: &str,
        speaker: &Arc<Speaker>,
        name: &Name,
        now: u64,
    ) -> Option<Result<Renamed, NameTaken>> {
        let renamed = self.with_room(room, |locked| {
            let renamed = locked.people.rename(speaker, name, now)?;
            if let Some(renamed) = &renamed {
                let changes = 1 + u64::from(renamed.left_revision.is_some());
                self.changes.fetch_add(changes, Ordering::Relaxed);
                self.hold_again(room, locked, [&renamed.entry], [&renamed.was]);
            }
            Some(renamed)
        });
        let renamed = renamed.flatten()?;
        Some(renamed.ok_or_else(|| self.substitute(room, name)))
    }

    /// What another node holds has changed; or this node has released something. `now`: milliseconds since 1970-01-01 UTC.
    pub(super) fn apply(&self, told: &Told<'_>, now: u64) -> Option<Followed> {
        let Told { node, room, what } = told;
        let room: &str = room;
        match what {
            // It is known already.
            What::MemberHeld(_) | What::Fact(_) if *node == self.nodes.this() => None,
            What::Fact(Fact::Created(record)) => self.learn_created(room, *node, record, now),
            What::Fact(fact) => self.learn(room, *node, fact, now),
            What::Orphaned(fact) => {
                self.adopt(room, fact);
                None
            }
            What::Removed(parts) => self.remove_parts(room, parts),
            What::Ended(secret) => {
                self.end_elsewhere(room, *secret);
                None
            }
            What::MemberHeld(entry) => Some(self.in_open_room(room, now, |locked| {
                self.follow(room, locked, |people| people.held(*node, entry, now))
            })),
            What::MemberReleased(key) => self.in_room(room, |locked| {
                self.follow(room, locked, |people| people.released(*node, key, now))
            }),
        }
    }

    /// Another node has created a room, or knows one of this name.
    fn learn_created(
        &self,
        name: &str,
        node: u64,
        record: &RoomRecord,
        now: u64,
    ) -> Option<Followed> {
        loop {
            let created = ChatRoom::new(self.changes.load(Ordering::Relaxed));
            let shared = match self.find(name) {
                Some(shared) => shared,
                None => {
                    let mut created = created;
                    created.rules.learn_created(record);
                    self.recall(name, &mut created, now);
                    match self.add_created(name, created) {
                        true => return None,
                        false => continue,
                    }
                }
            };
            let (followed, is_listed) = {
                let mut room = lock(&shared);
                if room.ended {
                    drop(room);
                    self.discard(name, &shared);
                    continue;
                }
                let before = room.topic(name);
                let age = room.rules.learn_created(record);
                self.learned(name, node, age, &Fact::Created(Box::new(record.clone())));
                let is_other = room.topic(name) != before;
                let followed = is_other.then(|| self.put_outside(name, &mut room, &before));
                self.keep_changes(name, &mut room);
                (followed, room.rules.visibility() == Visibility::Listed)
            };
            if let Some(known) = lock(&self.directory).get_mut(name)
                && Arc::ptr_eq(&known.room, &shared)
            {
                known.is_listed = is_listed;
            }
            return followed;
        }
    }

    /// Another node has decided something of the rules of a room.
    fn learn(&self, name: &str, node: u64, fact: &Fact, now: u64) -> Option<Followed> {
        self.in_room(name, |room| {
            let age = room.learn(fact, now);
            self.learned(name, node, age, fact);
            match fact {
                Fact::Sanction(sanction) if age == Age::Newer => {
                    let who = Identity {
                        session: sanction.person.clone(),
                        address: sanction.address,
                    };
                    match sanction.is_ban {
                        true if sanction.until > now => self.remove_banned(name, room, &who),
                        true => None,
                        false => {
                            room.mute(&who, sanction.until);
                            None
                        }
                    }
                }
                _ => None,
            }
        })?
    }

    /// A room begins on this node: what the nodes have decided of it may have come before.
    fn recall(&self, name: &str, room: &mut ChatRoom, now: u64) {
        for fact in self.nodes.facts(name) {
            room.learn(&fact, now);
        }
    }

    /// This node does not hold what another one has decided later, nor what a node before it holds.
    fn learned(&self, name: &str, node: u64, age: Age, fact: &Fact) {
        match age {
            Age::Newer => self.nodes.release(name, fact),
            Age::Same if node < self.nodes.this() => self.nodes.release(name, fact),
            Age::Same | Age::Older => {}
        }
    }

    /// The last node that has held a fact has ended: this one holds it, if it is still so.
    fn adopt(&self, name: &str, fact: &Fact) {
        self.with_room(name, |room| {
            if room.facts().contains(fact) {
                self.nodes.hold(name, fact);
            }
        });
    }

    /// A moderator on another node has removed a person.
    fn remove_parts(&self, name: &str, parts: &[(u64, u64)]) -> Option<Followed> {
        let this = self.nodes.this();
        let is_removed = |_: &Person, here: &Here| parts.contains(&(this, here.part.id));
        self.in_room(name, |room| self.remove_from(name, room, is_removed))
    }

    /// A person that is banned has entered on this node before the node knew of it.
    fn remove_banned(&self, name: &str, room: &mut ChatRoom, who: &Identity) -> Option<Followed> {
        let is_banned = |person: &Person, here: &Here| {
            who.session.is_some() && person.who.is_same_person(who) && !here.speaker.is_moderator
        };
        Some(self.remove_from(name, room, is_banned))
    }

    /// Removes persons of this node. Their connections are to be closed.
    fn remove_from(
        &self,
        name: &str,
        room: &mut ChatRoom,
        is_removed: impl Fn(&Person, &Here) -> bool,
    ) -> Followed {
        let members = room.people.members_here();
        let removed = members.filter(|(person, here)| is_removed(person, here));
        let speakers: Vec<_> = removed.map(|(_, here)| here.speaker.clone()).collect();
        let mut connections = Vec::new();
        let followed = self.follow(name, room, |people| {
            let mut outcome = Outcome::default();
            for speaker in &speakers {
                speaker.remove();
                connections.extend(people.remove_here(speaker, &mut outcome));
            }
            outcome
        });
        Followed {
            removed: connections,
            ..followed
        }
    }

    /// The room has another name of the server's now: its members on this node are subscribed to the one before, and must enter again.
    fn put_outside(&self, name: &str, room: &mut ChatRoom, before: &str) -> Followed {
        let followed = self.remove_from(name, room, |_, _| true);
        Followed {
            notices: self.notices(before).into(),
            outside: followed.removed,
            removed: Vec::new(),
            ..followed
        }
    }

    /// Another node had too many created rooms without members, and has ended this one.
    fn end_elsewhere(&self, name: &str, secret: Bytes<16>) {
        self.in_room(name, |room| {
            if !room.rules.has_secret(secret) {
                return;
            }
            if let Some(order) = room.empty_since {
                lock(&self.empty).remove(&order);
                self.end(name, room);
                self.shelf.remove_room(name);
            } else if self.nodes.are_there() {
                // Somebody has entered it here meanwhile: the others learn it again.
                for fact in room.facts() {
                    self.nodes.release(name, &fact);
                    self.nodes.hold(name, &fact);
                }
            }
        });
    }

    /// Changes the names because of another node.
    fn follow(
        &self,
        name: &str,
        room: &mut ChatRoom,
        change: impl FnOnce(&mut People) -> Outcome,
    ) -> Followed {
        let before = room.people.revision();
        let outcome = change(&mut room.people);
        let changes = room.people.revision() - before;
        let order = self.changes.fetch_add(changes, Ordering::Relaxed);
        self.hold_again(name, room, &outcome.held, &outcome.released);
        match room.people.is_empty() {
            true if changes > 0 => self.emptied(name, room, order),
            true => {}
            false => {
                if let Some(order) = room.empty_since.take() {
                    lock(&self.empty).remove(&order);
                }
            }
        }
        let told = outcome
            .changes
            .iter()
            .filter(|_| room.people.has_members_here());
        Followed {
            notices: self.notices(&room.topic(name)).into(),
            messages: told.map(NameChange::to_json).collect(),
            outside: outcome.nameless,
            ..Followed::default()
        }
    }

    /// Persons of this node have other names. The others must find the old entry when the new one comes.
    fn hold_again<'o>(
        &self,
        name: &str,
        room: &mut ChatRoom,
        held: impl IntoIterator<Item = &'o MemberEntry>,
        released: impl IntoIterator<Item = &'o Name>,
    ) {
        for entry in held {
            if let Ok(of_entry) = Name::parse(&entry.name) {
                self.nodes.hold_member(name, &of_entry, entry);
            }
        }
        for old in released {
            // The new name may have the same key.
            if room
                .people
                .named(old)
                .is_none_or(|person| person.here.is_none())
            {
                self.nodes.release_member(name, old);
            }
        }
    }

    /// The next person of this node.
    fn next_part(&self, now: u64) -> Part {
        Part {
            node: self.nodes.this(),
            id: self.entered.fetch_add(1, Ordering::Relaxed),
            since: now,
        }
    }

    /// Under this name of the server's the members are told who has joined and who has left: a name of its own if there are other nodes.
    /// `topic`: that of the room.
    pub(super) fn notices<'t>(&self, topic: &'t str) -> Cow<'t, str> {
        match self.nodes.are_there() {
            true => format!("{NOTICES_PREFIX}{}", topic.trim_start_matches('/')).into(),
            false => topic.into(),
        }
    }

    /// Sets the topic of a room; an empty text removes it. Returns the number of this topic, if the room has members.
    pub(super) fn set_topic(&self, room: &str, text: &str, by: Name, time: u64) -> Option<u64> {
        self.with_room(room, |room| {
            room.topic_revision += 1;
            let revision = room.topic_revision;
            let set = || {
                Arc::new(SetTopic {
                    text: text.into(),
                    by,
                    time,
                    revision,
                })
            };
            room.topic = (!text.is_empty()).then(set);
            room.is_topic_changed = true;
            room.is_topic_untold = true;
            revision
        })
    }

    /// Whether this person moderates the room.
    pub(super) fn is_moderator(&self, room: &str, by: Moderator<'_>) -> bool {
        self.moderate(room, by, |_| Ok(())).is_ok()
    }

    /// Lets nobody with this name write, until then. A time in the past ends it.
    pub(super) fn mute(
        &self,
        room: &str,
        by: Moderator<'_>,
        name: &Name,
        until: u64,
        now: u64,
    ) -> Result<Name, NotModerated> {
        self.moderate(room, by, |room| {
            let person = room.named(name, by)?;
            if let Some(here) = &person.here {
                here.speaker.set_muted_until(until);
            }
            let (name, who) = (person.name.clone(), person.who.clone());
            room.rules.sanction(&who, Sanction::Mute, until, now);
            Ok(name)
        })
    }

    /// Removes a person from the room at once, with all its connections; the caller closes them. With `banned_until`, it may not enter again
    /// until then.
    pub(super) fn remove(
        &self,
        room: &str,
        by: Moderator<'_>,
        name: &Name,
        banned_until: Option<u64>,
        now: u64,
    ) -> Result<Removed, NotModerated> {
        let (speaker, removed, parts) = self.moderate(room, by, |room| {
            let person = room.named(name, by)?;
            let here = person.here.as_ref();
            let speaker = here.map(|here| here.speaker.clone());
            if let Some(speaker) = &speaker {
                speaker.remove();
            }
            let removed = Removed {
                name: person.name.clone(),
                connections: here.map(Here::connections).unwrap_or_default(),
                left_revision: None,
            };
            let parts = person.there.iter();
            let parts: Vec<_> = parts
                .map(|there| (there.part.node, there.part.id))
                .collect();
            let who = person.who.clone();
            if let Some(until) = banned_until {
                room.rules.sanction(&who, Sanction::Ban, until, now);
            }
            Ok((speaker, removed, parts))
        })?;
        if !parts.is_empty() {
            let room = room.into();
            self.nodes.send(&Notice::Removed { room, parts });
        }
        let departed = speaker.and_then(|speaker| self.leave(room, &speaker, None));
        Ok(Removed {
            left_revision: departed.map(|departed| departed.revision),
            ..removed
        })
    }

    /// Sets the least time between two messages of a person.
    pub(super) fn set_slow(
        &self,
        room: &str,
        by: Moderator<'_>,
        seconds: u64,
        now: u64,
    ) -> Result<(), NotModerated> {
        self.moderate(room, by, |room| {
            room.rules.set_slow_seconds(seconds, now);
            Ok(())
        })
    }

    /// An invitation to a private room, up to this time in seconds since 1970-01-01 UTC.
    pub(super) fn invite(
        &self,
        room: &str,
        by: Moderator<'_>,
        until: u64,
    ) -> Result<String, NotModerated> {
        self.moderate(room, by, |room| {
            room.rules.invitation(until).ok_or(NotModerated::NotPrivate)
        })
    }

    /// Makes all invitations to a room void.
    pub(super) fn revoke_invitations(
        &self,
        room: &str,
        by: Moderator<'_>,
        key: [u8; 32],
        now: u64,
    ) -> Result<(), NotModerated> {
        self.moderate(room, by, |room| {
            match room.rules.revoke_invitations(key, now) {
                true => Ok(()),
                false => Err(NotModerated::NotPrivate),
            }
        })
    }

    fn moderate<T>(
        &self,
        room: &str,
        by: Moderator<'_>,
        call: impl FnOnce(&mut ChatRoom) -> Result<T, NotModerated>,
    ) -> Result<T, NotModerated> {
        let moderated = self.with_room(room, |room| {
            match by.is_operator || room.rules.is_owner(by.session) {
                true => call(room),
                false => Err(NotModerated::Forbidden),
            }
        });
        moderated.unwrap_or(Err(NotModerated::NoMember))
    }

    /// How many members a room has.
    pub(super) fn count(&self, room: &str) -> usize {
        self.with_room(room, |room| room.people.len()).unwrap_or(0)
    }

    /// The names of a room, if it has members.
    pub(super) fn roster(&self, room: &str) -> Option<Roster> {
        self.with_room(room, ChatRoom::roster)
    }

    /// How many rooms behind `after` there are of those that `sees` accepts, and the first `max` of them with their numbers of
    /// members.
    pub(super) fn list(
        &self,
        after: &str,
        max: usize,
        sees: impl Fn(&str) -> bool,
    ) -> (usize, Vec<(Box<str>, usize)>) {
        let (total, rooms) = {
            let directory = lock(&self.directory);
            let behind = (Bound::Excluded(after), Bound::Unbounded);
            let rooms = directory.range::<str, _>(behind);
            let mut rooms = rooms.filter(|(room, known)| known.is_listed && sees(room));
            let first = rooms.by_ref().take(max);
            let first: Vec<_> = first
                .map(|(room, known)| (room.clone(), known.room.clone()))
                .collect();
            (first.len() + rooms.count(), first)
        };
        let count = |(room, shared): (Box<str>, SharedRoom)| {
            let members = lock(&shared).people.len();
            (room, members)
        };
        (total, rooms.into_iter().map(count).collect())
    }

    /// A free name instead of a taken one. The cost does not depend on how many names are taken,
    /// and most of it is spent before the lock is taken.
    fn substitute(&self, room: &str, name: &Name) -> NameTaken {
        let stems = Stem::of(name);
        let free = self.with_room(room, |room| {
            let mut stems = stems.iter();
            stems.find_map(|stem| Some((stem, room.people.free_number(stem)?)))
        });
        NameTaken {
            suggestion: free
                .flatten()
                .and_then(|(stem, number)| stem.numbered(number)),
        }
    }

    fn with_room<T>(&self, room: &str, call: impl FnOnce(&mut ChatRoom) -> T) -> Option<T> {
        let shared = self.find(room)?;
        let mut locked = lock(&shared);
        if locked.ended {
            return None;
        }
        let result = call(&mut locked);
        self.keep_changes(room, &mut locked);
        Some(result)
    }

    /// The same for a call after which the room may have ended.
    fn in_room<T>(&self, name: &str, call: impl FnOnce(&mut ChatRoom) -> T) -> Option<T> {
        let shared = self.find(name)?;
        let (result, ended) = {
            let mut room = lock(&shared);
            if room.ended {
                return None;
            }
            let result = call(&mut room);
            if !room.ended {
                self.keep_changes(name, &mut room);
            }
            (result, room.ended)
        };
        if ended {
            self.discard(name, &shared);
        }
        self.end_longest_empty();
        Some(result)
    }

    /// Tells the other nodes what this one has decided, and keeps a created room, if there is something new in it.
    fn keep_changes(&self, name: &str, room: &mut ChatRoom) {
        for untold in room.rules.take_untold() {
            match untold {
                Untold::Fact(fact) => self.nodes.hold(name, &fact),
                Untold::Over(fact) => self.nodes.release(name, &fact),
            }
        }
        if std::mem::take(&mut room.is_topic_untold) {
            self.nodes.hold(name, &Fact::Topic(room.topic_record()));
        }
        let is_topic_changed = std::mem::take(&mut room.is_topic_changed);
        if room.rules.take_changed() || is_topic_changed {
            self.shelf.put_room(name, || room.record());
        }
    }

    /// Calls `enter` with the room of this name: with a new one if there is none, or if the last
    /// member of the existing one is just leaving.
    fn in_open_room<T>(&self, room: &str, now: u64, enter: impl FnOnce(&mut ChatRoom) -> T) -> T {
        loop {
            let shared = self.find_or_new(room);
            let mut locked = lock(&shared);
            if !locked.ended {
                if std::mem::take(&mut locked.is_new) {
                    self.recall(room, &mut locked, now);
                }
                let entered = enter(&mut locked);
                // A new room that was not entered after all does not stay.
                locked.ended = locked.people.is_empty() && !locked.rules.is_created();
                let ended = locked.ended;
                drop(locked);
                if ended {
                    self.discard(room, &shared);
                }
                return entered;
            }
            drop(locked);
            self.discard(room, &shared);
        }
    }

    fn find(&self, room: &str) -> Option<SharedRoom> {
        let directory = lock(&self.directory);
        directory.get(room).map(|known| known.room.clone())
    }

    fn find_or_new(&self, room: &str) -> SharedRoom {
        let mut directory = lock(&self.directory);
        if let Some(known) = directory.get(room) {
            return known.room.clone();
        }
        // An earlier room of this name has ended, and its changes are counted.
        let revision = self.changes.load(Ordering::Relaxed);
        let mut begun = ChatRoom::new(revision);
        begun.is_new = true;
        let shared = SharedRoom::new(Mutex::new(begun));
        let known = Known {
            room: shared.clone(),
            is_listed: true,
        };
        directory.insert(room.into(), known);
        shared
    }

    /// The last member has left, or nobody has entered yet: a created room waits for the next one, another one ends. `order`: the
    /// number of this change.
    fn emptied(&self, name: &str, room: &mut ChatRoom, order: u64) {
        if !room.rules.is_created() {
            self.end(name, room);
            return;
        }
        room.empty_since = Some(order);
        lock(&self.empty).insert(order, name.into());
    }

    /// The room ends, and this node does not hold anything of it any more.
    fn end(&self, name: &str, room: &mut ChatRoom) {
        room.ended = true;
        if self.nodes.are_there() {
            for fact in room.facts() {
                self.nodes.release(name, &fact);
            }
        }
    }

    /// Ends created rooms without members, if there are too many.
    fn end_longest_empty(&self) {
        let longest = {
            let mut empty = lock(&self.empty);
            match empty.len() > EMPTY_ROOMS_MAX {
                true => empty.pop_first(),
                false => None,
            }
        };
        let Some((order, name)) = longest else { return };
        let Some(shared) = self.find(&name) else {
            return;
        };
        let ended = {
            let mut room = lock(&shared);
            // Somebody may have entered meanwhile.
            if room.empty_since == Some(order) {
                self.end(&name, &mut room);
                self.shelf.remove_room(&name);
                if let Some(secret) = room.rules.secret() {
                    let room = name.clone();
                    self.nodes.send(&Notice::Ended { room, secret });
                }
            }
            room.ended
        };
        if ended {
            self.discard(&name, &shared);
        }
    }

    /// Removes an ended room from the directory, unless it already has a new one with this
    /// name.
    fn discard(&self, room: &str, ended: &SharedRoom) {
        let mut directory = lock(&self.directory);
        if directory
            .get(room)
            .is_some_and(|known| Arc::ptr_eq(&known.room, ended))
        {
            directory.remove(room);
        }
    }
}

impl SetTopic {
    /// `None`: the text is empty, or nobody can have this name.
    fn of(record: &TopicRecord) -> Option<SetTopic> {
        if record.text.is_empty() {
            return None;
        }
        Some(SetTopic {
            by: Name::parse(&record.by).ok()?,
            text: record.text.clone(),
            time: record.time,
            revision: record.revision,
        })
    }
}

/// A poisoned lock is used: no other code runs under it, and its steps do not panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChatRoom {
    fn new(revision: u64) -> ChatRoom {
        ChatRoom {
            people: People::new(revision),
            topic: None,
            topic_revision: 0,
            is_topic_changed: false,
            is_topic_untold: false,
            is_new: false,
            rules: Rules::default(),
            empty_since: None,
            ended: false,
        }
    }

    /// A created room that was kept, without members.
    fn kept(mut record: RoomRecord) -> ChatRoom {
        let topic = record.topic.take();
        ChatRoom {
            topic: topic.as_ref().and_then(SetTopic::of).map(Arc::new),
            topic_revision: record.topic_revision,
            rules: Rules::kept(record),
            ..ChatRoom::new(0)
        }
    }

    /// What is kept of it. `None`: nobody has created it.
    fn record(&self) -> Option<RoomRecord> {
        Some(RoomRecord {
            topic: self.topic.is_some().then(|| self.topic_record()),
            topic_revision: self.topic_revision,
            ..self.rules.record()?
        })
    }

    fn topic_record(&self) -> TopicRecord {
        let topic = self.topic.as_ref();
        TopicRecord {
            text: topic.map(|topic| topic.text.clone()).unwrap_or_default(),
            by: topic
                .map(|topic| topic.by.as_str().into())
                .unwrap_or_default(),
            time: topic.map_or(0, |topic| topic.time),
            revision: self.topic_revision,
        }
    }

    /// Everything that another node must know to have the same room, without the members.
    fn facts(&self) -> Vec<Fact> {
        let mut facts = self.rules.facts();
        if self.topic_revision > 0 {
            facts.push(Fact::Topic(self.topic_record()));
        }
        facts
    }

    /// Another node has decided something, but that the room was created.
    fn learn(&mut self, fact: &Fact, now: u64) -> Age {
        match fact {
            Fact::Created(_) => Age::Older,
            Fact::Admitted(admitted) => self.rules.learn_admitted(admitted),
            Fact::Sanction(sanction) => self.rules.learn_sanction(sanction, now),
            Fact::Slow(slow) => self.rules.learn_slow(*slow),
            Fact::Topic(topic) => self.learn_topic(topic),
        }
    }

    /// Another node has set the topic. Of two with the same number the earlier one counts, as it does for most members.
    fn learn_topic(&mut self, record: &TopicRecord) -> Age {
        let known = self.topic_record();
        if (record.revision, known.time) == (known.revision, record.time) {
            return Age::Same;
        }
        let is_newer = record.revision > known.revision
            || (record.revision == known.revision && record.time < known.time);
        if !is_newer {
            return Age::Older;
        }
        self.topic = SetTopic::of(record).map(Arc::new);
        self.topic_revision = record.revision;
        self.is_topic_changed = true;
        Age::Newer
    }

    fn roster(&mut self) -> Roster {
        Roster {
            list: self.people.list(),
            count: self.people.len(),
            revision: self.people.revision(),
            topic: self.topic.clone(),
            visibility: self.rules.visibility(),
            slow_seconds: self.rules.slow_seconds().load(Ordering::Relaxed),
        }
    }

    /// The server's name of the room.
    fn topic(&self, name: &str) -> String {
        match self.rules.private_topic() {
            Some(private) => private.to_owned(),
            None => format!("{TOPIC_PREFIX}{name}"),
        }
    }

    /// Whether the messages of this room are published under this name.
    fn has_topic(&self, topic: &str) -> bool {
        match self.rules.private_topic() {
            Some(private) => private == topic,
            None => !topic.starts_with(PRIVATE_PREFIX),
        }
    }

    /// The person with this name, if `by` may do something to it.
    fn named(&mut self, name: &Name, by: Moderator<'_>) -> Result<&mut Person, NotModerated> {
        let person = self.people.named(name);
        let person = person.ok_or(NotModerated::NoMember)?;
        match person.is_moderator() && !by.is_operator {
            true => Err(NotModerated::Forbidden),
            false => Ok(person),
        }
    }

    /// Nobody of this node with this identity writes until then.
    fn mute(&self, who: &Identity, until: u64) {
        for (person, here) in self.people.members_here() {
            if person.who.is_same_person(who) {
                here.speaker.set_muted_until(until);
            }
        }
    }

    /// What is kept here of a person that enters.
    fn part_here(&self, name: &Name, visitor: &Visitor<'_>, part: Part, now: u64) -> Here {
        let who = &visitor.who;
        let is_moderator = visitor.is_operator || self.rules.is_owner(who.session.as_deref());
        let slow_seconds = self.rules.slow_seconds().clone();
        let speaker = Speaker::new(name.clone(), slow_seconds, is_moderator);
        speaker.set_muted_until(self.rules.muted_until(who, now));
        Here::new(part, speaker)
    }
}

/// The members of this node are told of changes of the names under such a name of the server's, if there are other nodes.
pub(super) const NOTICES_PREFIX: &str = "/notices/";

/// Created rooms that are kept without members.
const EMPTY_ROOMS_MAX: usize = 1024;

/// Persons without a session, by their names alone.
#[cfg(test)]
impl RoomDirectory {
    pub(super) fn facts(&self, room: &str) -> Vec<Fact> {
        self.with_room(room, |room| room.facts())
            .unwrap_or_default()
    }

    /// Somebody is banned or muted without being in the room.
    pub(super) fn sanction(&self, room: &str, who: &Identity, is_ban: bool, until: u64, now: u64) {
        let sanction = if is_ban {
            Sanction::Ban
        } else {
            Sanction::Mute
        };
        self.with_room(room, |room| room.rules.sanction(who, sanction, until, now));
    }

    pub(super) fn join(&self, room: &str, name: &Name) -> Result<Roster, NameTaken> {
        match self.enter(room, room, name, tests::nobody(), 0) {
            Ok(entered) => Ok(entered.roster),
            Err(NotEntered::Taken(taken)) => Err(taken),
            Err(NotEntered::Changed) => unreachable!("the room is not private"),
        }
    }

    /// Returns the revision of this change, if exactly this name was in the room.
    pub(super) fn leave_by_name(&self, room: &str, name: &Name) -> Option<u64> {
        let speaker = self.with_room(room, |room| {
            let person = room.people.named(name)?;
            let here = person.here.as_ref()?;
            (person.name == *name).then(|| here.speaker.clone())
        });
        let departed = self.leave(room, &speaker.flatten()?, None)?;
        Some(departed.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::SUGGESTED_NUMBER_MAX;
    use super::super::room_record::tests::InMemory;
    use super::super::sessions::Session;
    use super::*;
    use std::net::IpAddr;

    /// A connection without a session and without an address.
    pub(super) fn nobody() -> Visitor<'static> {
        visitor(None, None)
    }

    fn visitor(session: Option<&str>, address: Option<IpAddr>) -> Visitor<'static> {
        Visitor {
            who: Identity {
                session: session.map(Into::into),
                address,
            },
            tab: "",
            connection: None,
            is_operator: false,
        }
    }

    fn enter_by(
        rooms: &RoomDirectory,
        room: &str,
        member: &str,
        visitor: Visitor<'_>,
    ) -> Result<Entered, NotEntered> {
        let (_, topic) = rooms.entrance(room, &visitor.who, true, None, 0);
        rooms.enter(
            room,
            topic.as_deref().unwrap_or(room),
            &name(member),
            visitor,
            0,
        )
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn join(
        rooms: &RoomDirectory,
        room: &str,
        member: &str,
    ) -> Result<(u64, Vec<String>), NameTaken> {
        let roster = rooms.join(room, &name(member))?;
        let names: Vec<String> = serde_json::from_str(roster.list.json()).unwrap();
        assert_eq!(names.len(), roster.count);
        Ok((roster.revision, names))
    }

    fn leave(rooms: &RoomDirectory, room: &str, member: &str) -> Option<u64> {
        rooms.leave_by_name(room, &name(member))
    }

    #[test]
    fn list_contains_the_joiner_and_is_in_order() {
        let rooms = RoomDirectory::default();
        assert_eq!(join(&rooms, "lobby", "bo"), Ok((1, vec!["bo".into()])));
        assert_eq!(
            join(&rooms, "lobby", "Aiko"),
            Ok((2, vec!["Aiko".into(), "bo".into()]))
        );
    }

    #[test]
    fn same_name_is_taken_in_one_room_and_free_in_another() {
        let rooms = RoomDirectory::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        join(&rooms, "lobby", "aiko 2").unwrap();
        let taken = NameTaken {
            suggestion: Some(name("AIKO 3")),
        };
        assert_eq!(join(&rooms, "lobby", "AIKO"), Err(taken));
        assert!(join(&rooms, "attic", "AIKO").is_ok());
    }

    fn suggested(rooms: &RoomDirectory, member: &str) -> Option<String> {
        let taken = join(rooms, "lobby", member).unwrap_err();
        taken.suggestion.map(|name| name.as_str().to_owned())
    }

    /// How many look-ups the refusal of this name needs to find a substitute.
    fn look_ups(rooms: &RoomDirectory, member: &str) -> usize {
        let so_far = || {
            rooms
                .with_room("lobby", |room| room.people.looked_up())
                .unwrap()
        };
        let before = so_far();
        assert!(join(rooms, "lobby", member).is_err());
        so_far() - before
    }

    #[test]
    fn refused_join_costs_the_same_however_many_names_are_taken() {
        let rooms = RoomDirectory::default();
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
            "one truncated stem for each number of digits"
        );
    }

    #[test]
    fn suggested_number_is_the_lowest_one_that_gives_a_free_name() {
        let rooms = RoomDirectory::default();
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
    fn name_of_a_member_that_left_is_free_in_all_its_skeletons() {
        let rooms = RoomDirectory::default();
        join(&rooms, "lobby", "Bo").unwrap();
        join(&rooms, "lobby", "AIKO 2").unwrap();
        assert!(
            join(&rooms, "lobby", "alko 2").is_err(),
            "as AlKO 2 would look"
        );
        leave(&rooms, "lobby", "AIKO 2").unwrap();
        let lobby = rooms.find("lobby").unwrap();
        let room = lock(&lobby);
        assert_eq!(room.people.sizes(), (1, 1, 0));
    }

    #[test]
    fn room_that_everybody_left_is_forgotten_and_its_revisions_are_not_used_again() {
        let rooms = RoomDirectory::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert_eq!(leave(&rooms, "lobby", "Aiko"), Some(2));
        assert!(lock(&rooms.directory).is_empty());
        assert_eq!(join(&rooms, "lobby", "Bo").unwrap().0, 3);
    }

    #[test]
    fn refused_join_changes_nothing() {
        let rooms = RoomDirectory::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert!(join(&rooms, "lobby", "Aiko").is_err());
        assert!(rooms.check_free("lobby", &name("Aiko")).is_err());
        let roster = rooms.roster("lobby").unwrap();
        assert_eq!((roster.revision, roster.count), (1, 1));
    }

    #[test]
    fn leaving_a_room_without_being_in_it_changes_nothing() {
        let rooms = RoomDirectory::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        assert_eq!(leave(&rooms, "lobby", "Bo"), None);
        assert_eq!(leave(&rooms, "attic", "Aiko"), None);
        assert_eq!(rooms.roster("lobby").unwrap().revision, 1);
        assert!(rooms.roster("attic").is_none());
    }

    #[test]
    fn room_does_not_wait_for_another_room() {
        let rooms = RoomDirectory::default();
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
        let rooms = RoomDirectory::default();
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
    fn join_of_a_room_that_has_just_ended_gets_a_new_one_with_higher_revisions() {
        let rooms = RoomDirectory::default();
        join(&rooms, "lobby", "Aiko").unwrap();
        let old = rooms.find("lobby").unwrap();
        // As in `leave`, between the room's lock and the directory's.
        let speaker = lock(&old)
            .people
            .members_here()
            .next()
            .unwrap()
            .1
            .speaker
            .clone();
        let gone = lock(&old).people.remove_connection(&speaker, None);
        assert!(matches!(gone, Gone::Name(_)));
        rooms.changes.fetch_add(1, Ordering::Relaxed);
        lock(&old).ended = true;
        assert!(rooms.roster("lobby").is_none());
        assert_eq!(join(&rooms, "lobby", "Bo"), Ok((3, vec!["Bo".into()])));
        rooms.discard("lobby", &old);
        assert_eq!(rooms.roster("lobby").unwrap().count, 1, "the new one stays");
    }

    #[test]
    fn rooms_continue_after_a_panic_under_their_locks() {
        let rooms = RoomDirectory::default();
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
    fn revisions_of_a_room_that_many_threads_create_and_end_are_unique() {
        let rooms = Arc::new(RoomDirectory::default());
        let shared = Arc::clone(&rooms);
        let of_threads = on_threads(4, move |thread| {
            let name = name(&format!("n{thread}"));
            let join_and_leave = |_| {
                let joined = shared.join("lobby", &name).unwrap().revision;
                [joined, shared.leave_by_name("lobby", &name).unwrap()]
            };
            (0..500).flat_map(join_and_leave).collect::<Vec<_>>()
        });
        let mut revisions = of_threads.concat();
        let count = revisions.len();
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), count);
        assert!(lock(&rooms.directory).is_empty());
    }

    #[test]
    fn only_one_of_many_concurrent_joins_gets_a_name() {
        let rooms = Arc::new(RoomDirectory::default());
        let won = on_threads(8, move |_| {
            let wins = |n: &i32| join(&rooms, &format!("r{n}"), "Aiko").is_ok();
            (0..100).filter(wins).count()
        });
        assert_eq!(won.into_iter().sum::<usize>(), 100);
    }

    /// The result of each thread; the threads must not block each other.
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

    fn enter(rooms: &RoomDirectory, member: &str) -> Arc<Speaker> {
        enter_by(rooms, "lobby", member, nobody()).unwrap().speaker
    }

    #[test]
    fn renamed_person_leaves_under_the_old_name_and_joins_under_the_new_one_in_one_step() {
        let rooms = RoomDirectory::default();
        let aiko = enter(&rooms, "Aiko");
        let renamed = rooms
            .rename("lobby", &aiko, &name("Bo"), 0)
            .unwrap()
            .unwrap();
        assert_eq!(renamed.was, name("Aiko"));
        assert_eq!(
            (renamed.left_revision, renamed.joined_revision),
            (Some(2), 3)
        );
        assert_eq!(aiko.name(), name("Bo"));
        assert_eq!(
            join(&rooms, "lobby", "AIKO"),
            Ok((4, vec!["AIKO".into(), "Bo".into()])),
            "the old name is free"
        );
        assert!(join(&rooms, "lobby", "BO").is_err(), "the new one is not");
        let left = rooms.leave("lobby", &aiko, None).unwrap();
        assert_eq!((left.name, left.revision), (name("Bo"), 5));
    }

    #[test]
    fn name_of_another_person_is_refused_and_one_that_looks_like_the_present_one_is_allowed() {
        let rooms = RoomDirectory::default();
        let aiko = enter(&rooms, "Aiko");
        enter(&rooms, "Bo");
        let taken = rooms.rename("lobby", &aiko, &name("B0"), 0).unwrap();
        assert_eq!(taken.unwrap_err().suggestion, Some(name("B0 2")));
        assert_eq!(aiko.name(), name("Aiko"));
        assert!(join(&rooms, "lobby", "AIKO").is_err(), "it is still taken");
        assert!(
            rooms
                .rename("lobby", &aiko, &name("AIKO"), 0)
                .unwrap()
                .is_ok()
        );
        assert_eq!(aiko.name(), name("AIKO"));
        // A person that has left does not come back by a new name.
        rooms.leave("lobby", &aiko, None).unwrap();
        assert!(rooms.rename("lobby", &aiko, &name("Chie"), 0).is_none());
    }

    #[test]
    fn topic_is_in_the_roster_until_it_is_removed_or_the_room_ends() {
        let rooms = RoomDirectory::default();
        assert_eq!(rooms.set_topic("lobby", "tea", name("Aiko"), 7), None);
        let aiko = enter(&rooms, "Aiko");
        assert_eq!(rooms.set_topic("lobby", "tea", name("Aiko"), 7), Some(1));
        let topic = rooms.roster("lobby").unwrap().topic.unwrap();
        assert_eq!((&*topic.text, topic.time, topic.revision), ("tea", 7, 1));
        assert_eq!(rooms.set_topic("lobby", "", name("Aiko"), 8), Some(2));
        assert_eq!(rooms.roster("lobby").unwrap().topic, None);
        rooms.set_topic("lobby", "tea", name("Aiko"), 9);
        rooms.leave("lobby", &aiko, None).unwrap();
        enter(&rooms, "Bo");
        assert_eq!(rooms.roster("lobby").unwrap().topic, None);
    }

    fn create(rooms: &RoomDirectory, room: &str, visibility: Visibility) -> bool {
        let creation = Creation {
            owner: "owner".into(),
            visibility,
            password: None,
            key: [1; 32],
            secret: [2; 16],
            at: 0,
        };
        rooms.create(room, creation)
    }

    const OWNER: Moderator<'static> = Moderator {
        session: Some("owner"),
        is_operator: false,
    };
    const OPERATOR: Moderator<'static> = Moderator {
        session: None,
        is_operator: true,
    };

    #[test]
    fn created_room_waits_for_its_members_and_is_in_the_list_if_it_is_listed() {
        let rooms = RoomDirectory::default();
        assert!(create(&rooms, "open", Visibility::Listed));
        assert!(create(&rooms, "quiet", Visibility::Unlisted));
        assert!(!create(&rooms, "open", Visibility::Private), "it exists");
        let listed = || rooms.list("", 9, |_| true).1;
        assert_eq!(listed(), [("open".into(), 0)]);
        enter_by(&rooms, "open", "Aiko", nobody()).unwrap();
        assert_eq!(listed(), [("open".into(), 1)]);
        rooms.leave_by_name("open", &name("Aiko")).unwrap();
        assert_eq!(listed(), [("open".into(), 0)]);
        assert!(
            !create(&rooms, "open", Visibility::Listed),
            "it still exists"
        );
    }

    #[test]
    fn created_room_that_has_been_empty_for_longest_ends_beyond_empty_rooms_max() {
        let rooms = RoomDirectory::default();
        for number in 0..EMPTY_ROOMS_MAX {
            assert!(create(&rooms, &format!("r{number}"), Visibility::Listed));
        }
        // The oldest one has a member, so it is not the first to end.
        enter_by(&rooms, "r0", "Aiko", nobody()).unwrap();
        create(&rooms, "one more", Visibility::Listed);
        assert!(!create(&rooms, "r1", Visibility::Listed));
        create(&rooms, "and another", Visibility::Listed);
        assert!(create(&rooms, "r1", Visibility::Listed), "it has ended");
        assert!(!create(&rooms, "r0", Visibility::Listed));
        assert_eq!(lock(&rooms.empty).len(), EMPTY_ROOMS_MAX);
    }

    /// Rooms with what was kept here.
    fn after_a_restart(records: &Arc<InMemory>) -> RoomDirectory {
        let mut rooms = RoomDirectory::default();
        rooms.keep(records.clone());
        rooms
    }

    #[test]
    fn created_room_survives_the_server_with_its_rules_and_its_topic() {
        let records = Arc::<InMemory>::default();
        let rooms = after_a_restart(&records);
        create(&rooms, "den", Visibility::Private);
        let guest = || visitor(Some("guest"), Some([192, 0, 2, 1].into()));
        let invitation = rooms.invite("den", OWNER, 1000).unwrap();
        let enter = |rooms: &RoomDirectory, who: &Identity, invitation: Option<&str>| {
            rooms.entrance("den", who, false, invitation, 0)
        };
        let (entrance, topic) = enter(&rooms, &guest().who, Some(&invitation));
        assert!(matches!(entrance, Entrance::Open));
        enter_by(&rooms, "den", "Bo", guest()).unwrap();
        rooms.set_topic("den", "tea", name("Bo"), 7).unwrap();
        rooms.set_slow("den", OWNER, 30, 1).unwrap();
        let bad = visitor(Some("bad"), None);
        enter_by(&rooms, "den", "Cy", bad.clone()).unwrap();
        rooms
            .remove("den", OWNER, &name("Cy"), Some(500), 0)
            .unwrap();
        let key = rooms
            .session_key_or([7; 32])
            .issue(Session::new([1; 16]), 0)
            .0;

        let rooms = after_a_restart(&records);
        assert_eq!(
            rooms.session_key_or([8; 32]).check(&key, 0),
            Some(Session::new([1; 16]))
        );
        let (entrance, same_topic) = enter(&rooms, &guest().who, None);
        assert!(matches!(entrance, Entrance::Open), "it was let in before");
        assert_eq!(same_topic, topic);
        assert!(matches!(enter(&rooms, &bad.who, None).0, Entrance::Banned));
        let other = visitor(Some("other"), None).who;
        assert!(matches!(enter(&rooms, &other, None).0, Entrance::Closed(_)));
        assert!(matches!(
            enter(&rooms, &other, Some(&invitation)).0,
            Entrance::Open
        ));
        let roster = rooms.roster("den").unwrap();
        assert_eq!((roster.count, roster.slow_seconds), (0, 30));
        assert_eq!(&*roster.topic.unwrap().text, "tea");
        assert!(rooms.is_moderator("den", OWNER));
        assert_eq!(rooms.set_topic("den", "", name("Aiko"), 8), Some(2));
        assert_eq!(rooms.list("", 9, |_| true).0, 0, "it is not listed");

        let rooms = after_a_restart(&records);
        assert!(rooms.roster("den").unwrap().topic.is_none());
        assert_eq!(rooms.set_topic("den", "coffee", name("Aiko"), 9), Some(3));
    }

    #[test]
    fn room_that_has_ended_or_was_not_created_is_not_kept() {
        let records = Arc::<InMemory>::default();
        let rooms = after_a_restart(&records);
        enter_by(&rooms, "lobby", "Aiko", nobody()).unwrap();
        rooms.set_topic("lobby", "tea", name("Aiko"), 7).unwrap();
        for number in 0..=EMPTY_ROOMS_MAX {
            create(&rooms, &format!("r{number}"), Visibility::Listed);
        }
        let rooms = after_a_restart(&records);
        assert_eq!(rooms.list("", 9, |_| true).0, EMPTY_ROOMS_MAX);
        assert!(rooms.find("r0").is_none() && rooms.find("lobby").is_none());
        assert!(rooms.find(&format!("r{EMPTY_ROOMS_MAX}")).is_some());
    }

    #[test]
    fn private_room_is_entered_under_its_own_topic_alone() {
        let rooms = RoomDirectory::default();
        create(&rooms, "den", Visibility::Private);
        assert!(rooms.is_private("den"));
        let enter = |topic: &str| rooms.enter("den", topic, &name("Aiko"), nobody(), 0);
        for topic in ["/chat/den", "/private/guessed"] {
            assert_eq!(enter(topic).unwrap_err(), NotEntered::Changed);
        }
        let (_, topic) = rooms.entrance("den", &nobody().who, true, None, 0);
        assert!(enter(&topic.unwrap()).is_ok());
        // A room that is not private has no such topic, and an attempt leaves nothing behind.
        let other = rooms.enter("other", "/private/x", &name("Aiko"), nobody(), 0);
        assert_eq!(other.unwrap_err(), NotEntered::Changed);
        assert!(rooms.find("other").is_none());
    }

    #[test]
    fn creator_and_operator_moderate_and_nobody_else() {
        let rooms = RoomDirectory::default();
        create(&rooms, "open", Visibility::Listed);
        let guest = visitor(Some("guest"), None);
        let speaker = enter_by(&rooms, "open", "Bo", guest).unwrap().speaker;
        let by_guest = Moderator {
            session: Some("guest"),
            is_operator: false,
        };
        let mute = |by| rooms.mute("open", by, &name("BO"), 500, 0);
        assert_eq!(mute(by_guest), Err(NotModerated::Forbidden));
        assert!(speaker.check(0).is_ok());
        assert_eq!(mute(OWNER), Ok(name("Bo")));
        assert!(speaker.check(499).is_err() && speaker.check(500).is_ok());
        assert_eq!(
            rooms.mute("open", OPERATOR, &name("Bo"), 0, 0),
            Ok(name("Bo"))
        );
        assert!(speaker.check(0).is_ok());
        let nobody = rooms.mute("open", OWNER, &name("Zoe"), 500, 0);
        assert_eq!(nobody, Err(NotModerated::NoMember));
        // The creator can be muted by an operator only.
        enter_by(&rooms, "open", "Aiko", visitor(Some("owner"), None)).unwrap();
        let of_owner = |by| rooms.mute("open", by, &name("Aiko"), 500, 0).is_ok();
        assert!(!of_owner(OWNER) && of_owner(OPERATOR));
        assert_eq!(
            rooms.invite("open", OWNER, 100),
            Err(NotModerated::NotPrivate)
        );
    }

    #[test]
    fn muted_person_is_still_muted_when_it_comes_back_and_a_banned_one_does_not() {
        let rooms = RoomDirectory::default();
        create(&rooms, "open", Visibility::Listed);
        let guest = || visitor(Some("guest"), Some([192, 0, 2, 1].into()));
        let enter = || enter_by(&rooms, "open", "Bo", guest()).unwrap().speaker;
        enter();
        rooms.mute("open", OWNER, &name("Bo"), 500, 0).unwrap();
        rooms.leave_by_name("open", &name("Bo")).unwrap();
        let speaker = enter();
        assert!(speaker.check(0).is_err());
        let removed = rooms.remove("open", OWNER, &name("Bo"), Some(900), 0);
        let expected = Removed {
            name: name("Bo"),
            connections: Vec::new(),
            left_revision: Some(4),
        };
        assert_eq!(removed, Ok(expected));
        assert!(
            speaker.check(600).is_err(),
            "at once, before its connection is closed"
        );
        let (entrance, _) = rooms.entrance("open", &guest().who, false, None, 0);
        assert!(matches!(entrance, Entrance::Banned));
    }
}
