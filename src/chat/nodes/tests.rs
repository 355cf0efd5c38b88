//! Rooms of several nodes over a log that a test simulates: each node learns the entries of all in one order, at its own pace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::super::people::Renamed;
use super::super::presence::Presence;
use super::super::protocol::{ServerMessage, Visibility};
use super::super::room::{Departed, Followed, Moderator, RoomDirectory, Visitor};
use super::super::rules::{Creation, Entrance};
use super::super::sanctions::Identity;
use super::super::speaker::{Silence, Speaker};
use super::*;

/// What a node has done.
#[derive(Clone, Debug)]
struct Operation {
    node: u64,
    what: Done,
}

#[derive(Clone, Debug)]
enum Done {
    Held(String, String),
    Released(String),
    Said(String),
    /// It has ended; this node has noticed it.
    Gone(u64),
}

/// What a node has told, and what is not in the log yet.
#[derive(Clone, Default)]
struct Outbox(Arc<Mutex<Vec<Operation>>>);

struct Telling {
    node: u64,
    outbox: Outbox,
    own: Mutex<BTreeMap<String, String>>,
    held: Held,
}

/// Node, key and value of each entry that a node knows.
type Held = Arc<Mutex<BTreeMap<(u64, String), String>>>;

impl Others for Telling {
    fn node(&self) -> u64 {
        self.node
    }

    fn hold(&self, key: &str, value: &str) {
        let before = self.own.lock().unwrap().insert(key.into(), value.into());
        if before.as_deref() != Some(value) {
            self.tell(Done::Held(key.into(), value.into()));
        }
    }

    fn release(&self, key: &str) {
        if self.own.lock().unwrap().remove(key).is_some() {
            self.tell(Done::Released(key.into()));
        }
    }

    fn entries(&self, prefix: &str) -> Vec<(Arc<str>, Arc<[u8]>)> {
        let held = self.held.lock().unwrap();
        let found = held.iter().filter(|((_, key), _)| key.starts_with(prefix));
        let entry = |((_, key), value): (&(u64, String), &String)| {
            (key.as_str().into(), value.as_bytes().into())
        };
        found.map(entry).collect()
    }

    fn send(&self, message: &str) {
        self.tell(Done::Said(message.into()));
    }
}

impl Telling {
    fn tell(&self, what: Done) {
        let node = self.node;
        self.outbox.0.lock().unwrap().push(Operation { node, what });
    }
}

/// A person on a node.
struct Member {
    speaker: Arc<Speaker>,
}

struct Node {
    number: u64,
    rooms: RoomDirectory,
    outbox: Outbox,
    /// How much of the log it knows.
    known: usize,
    held: Held,
    members: Vec<Member>,
    /// A member that reads what it is told, and joined first.
    reader: Presence,
}

struct Nodes {
    nodes: Vec<Node>,
    log: Vec<Operation>,
    now: u64,
}

const ROOM: &str = "lobby";

impl Nodes {
    /// Each node has a member, `reader 1` for instance.
    fn start(count: u64) -> Nodes {
        let mut nodes = Nodes {
            nodes: (1..=count).map(Node::new).collect(),
            log: Vec::new(),
            now: 1000,
        };
        for node in 0..nodes.nodes.len() {
            let name = format!("reader {node}x");
            assert!(nodes.enter(node, &name, Some(&name)));
        }
        nodes.settle();
        nodes
    }

    /// Returns whether the name was free, or the person's own.
    fn enter(&mut self, node: usize, name: &str, session: Option<&str>) -> bool {
        self.now += 1;
        let node = &mut self.nodes[node];
        let name = Name::parse(name).unwrap();
        let visitor = Visitor {
            who: Identity {
                session: session.map(Into::into),
                address: None,
            },
            tab: "",
            connection: None,
            is_operator: false,
        };
        let Ok(entered) = node
            .rooms
            .enter(ROOM, "/chat/lobby", &name, visitor, self.now)
        else {
            return false;
        };
        let revision = entered.roster.revision;
        let is_first = node.members.is_empty();
        let mut members = node.members.iter();
        if members.any(|member| Arc::ptr_eq(&member.speaker, &entered.speaker)) {
            return true;
        }
        node.members.push(Member {
            speaker: entered.speaker,
        });
        if is_first {
            node.read_list();
        } else if entered.is_new {
            node.read(&joined(&name, revision));
        }
        true
    }

    fn leave(&mut self, node: usize, member: usize) {
        let node = &mut self.nodes[node];
        let member = node.members.remove(member);
        if let Some(Departed { name, revision }) = node.rooms.leave(ROOM, &member.speaker, None) {
            node.read(&left(&name, revision));
        }
    }

    fn rename(&mut self, node: usize, member: usize, name: &str) {
        self.now += 1;
        let node = &mut self.nodes[node];
        let speaker = node.members[member].speaker.clone();
        let name = Name::parse(name).unwrap();
        if let Some(Ok(renamed)) = node.rooms.rename(ROOM, &speaker, &name, self.now) {
            let Renamed {
                was,
                left_revision,
                joined_revision,
                ..
            } = renamed;
            if let Some(left_revision) = left_revision {
                node.read(&left(&was, left_revision));
            }
            node.read(&joined(&name, joined_revision));
        }
    }

    /// The next operation of a node gets its place in the log.
    fn publish(&mut self, node: usize) -> bool {
        let mut outbox = self.nodes[node].outbox.0.lock().unwrap();
        if outbox.is_empty() {
            return false;
        }
        self.log.push(outbox.remove(0));
        true
    }

    /// A node learns the next operation of the log.
    fn deliver(&mut self, node: usize) -> bool {
        let node = &mut self.nodes[node];
        let Some(operation) = self.log.get(node.known).cloned() else {
            return false;
        };
        node.known += 1;
        let from = operation.node;
        match &operation.what {
            Done::Held(key, value) => node.learn(from, key, value, self.now),
            Done::Released(key) => node.released(from, key, from == node.number, self.now),
            Done::Said(message) => {
                let told = Told::of_message(from, message.as_bytes());
                node.apply(told.as_ref(), self.now);
            }
            Done::Gone(teller) => {
                let held = node.held.lock().unwrap();
                let of_node = held.keys().filter(|(of, _)| *of == from);
                let keys: Vec<String> = of_node.map(|(_, key)| key.clone()).collect();
                drop(held);
                for key in keys {
                    node.released(from, &key, *teller == node.number, self.now);
                }
            }
        }
        true
    }

    fn travel(&mut self, travel: &Travel) {
        match *travel {
            Travel::Publish(node) => self.publish(node),
            Travel::Deliver(node) => self.deliver(node),
        };
    }

    /// Everything has come everywhere.
    fn settle(&mut self) {
        let count = self.nodes.len();
        for _ in 0..100 {
            let mut is_done = true;
            for node in 0..count {
                while self.publish(node) {
                    is_done = false;
                }
            }
            for node in 0..count {
                while self.deliver(node) {
                    is_done = false;
                }
            }
            if is_done {
                return;
            }
        }
        panic!("the nodes do not agree");
    }

    /// A node ends without a word: another one declares it gone.
    fn end(&mut self, node: usize) {
        let gone = self.nodes.remove(node);
        self.log.push(Operation {
            node: gone.number,
            what: Done::Gone(self.nodes[0].number),
        });
    }

    /// A node that knows nothing yet: the others have announced what they hold.
    fn start_one_more(&mut self) -> usize {
        let number = 1 + self.nodes.iter().map(|node| node.number).max().unwrap_or(0);
        let mut node = Node::new(number);
        node.known = self.log.len();
        let held = self.nodes[0].held.lock().unwrap().clone();
        // Each node announces its own.
        let held: Vec<_> = held.into_iter().collect();
        for ((from, key), value) in held {
            node.learn(from, &key, &value, self.now);
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn names(&self, node: usize) -> Vec<String> {
        let roster = self.nodes[node].rooms.roster(ROOM).unwrap();
        serde_json::from_str(roster.list.json()).unwrap()
    }

    /// The names of the members without the readers, as all nodes have them.
    #[track_caller]
    fn agreed(&self) -> Vec<String> {
        let names = self.names(0);
        for (index, node) in self.nodes.iter().enumerate() {
            assert_eq!(self.names(index), names, "node {}", node.number);
            let read: Vec<&str> = node.reader.names().collect();
            let mut sorted = names.clone();
            sorted.sort_unstable();
            assert_eq!(read, sorted, "the reader of node {}", node.number);
            for member in &node.members {
                let name = member.speaker.name();
                assert!(names.contains(&name.as_str().to_owned()), "{name:?}");
            }
        }
        let is_member = |name: &String| !name.starts_with("reader");
        names.into_iter().filter(is_member).collect()
    }
}

impl Node {
    fn new(number: u64) -> Node {
        let rooms = RoomDirectory::default();
        let outbox = Outbox::default();
        let held = Held::default();
        rooms.nodes.set(Box::new(Telling {
            node: number,
            outbox: outbox.clone(),
            own: Mutex::default(),
            held: held.clone(),
        }));
        Node {
            number,
            rooms,
            outbox,
            known: 0,
            held,
            members: Vec::new(),
            reader: Presence::default(),
        }
    }

    fn apply(&mut self, told: Option<&Told<'_>>, now: u64) {
        let followed = told.and_then(|told| self.rooms.apply(told, now));
        if let Some(Followed { messages, .. }) = followed {
            for message in messages {
                self.reader.apply(&serde_json::from_str(&message).unwrap());
            }
        }
    }

    /// A node holds an entry.
    fn learn(&mut self, from: u64, key: &str, value: &str, now: u64) {
        let entry = (from, key.to_owned());
        let before = self.held.lock().unwrap().insert(entry, value.to_owned());
        if before.as_deref() != Some(value) {
            let told = Told::of_held(from, key, value.as_bytes());
            self.apply(told.as_ref(), now);
        }
    }

    fn released(&mut self, from: u64, key: &str, is_teller: bool, now: u64) {
        let mut held = self.held.lock().unwrap();
        let Some(value) = held.remove(&(from, key.to_owned())) else {
            return;
        };
        let is_last = !held.keys().any(|(_, of)| of == key);
        drop(held);
        let told = Told::of_released(from, key, value.as_bytes(), is_teller && is_last);
        self.apply(told.as_ref(), now);
    }

    fn read(&mut self, message: &ServerMessage<'_>) {
        self.reader.apply(message);
    }

    fn read_list(&mut self) {
        let roster = self.rooms.roster(ROOM).unwrap();
        let names: Vec<String> = serde_json::from_str(roster.list.json()).unwrap();
        self.read(&ServerMessage::Names {
            id: None,
            names: names.into_iter().map(Into::into).collect(),
            count: roster.count,
            revision: roster.revision,
        });
    }
}

fn joined<'a>(name: &'a Name, revision: u64) -> ServerMessage<'a> {
    ServerMessage::Joined {
        id: None,
        name: name.as_str().into(),
        revision,
        was: None,
        position: None,
    }
}

fn left<'a>(name: &'a Name, revision: u64) -> ServerMessage<'a> {
    ServerMessage::Left {
        id: None,
        name: name.as_str().into(),
        revision,
        to: None,
        position: None,
    }
}

#[test]
fn members_of_all_nodes_are_listed_on_each_and_their_names_are_taken() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.enter(0, "Aiko", Some("a")));
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Aiko"]);
    assert!(!nodes.enter(1, "AIKO", Some("b")));
    let taken = nodes.nodes[1]
        .rooms
        .check_free(ROOM, &Name::parse("aiko").unwrap());
    let suggestion = taken.unwrap_err().suggestion.unwrap();
    assert_eq!(suggestion.as_str(), "aiko 2");
    assert!(nodes.enter(1, "Bo", Some("b")));
    nodes.leave(0, 1);
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Bo"]);
}

#[test]
fn of_two_nodes_that_give_a_name_at_once_the_first_one_keeps_it() {
    for is_delivered_first in [true, false] {
        let mut nodes = Nodes::start(3);
        assert!(nodes.enter(0, "Aiko", Some("a")));
        assert!(nodes.enter(1, "aiko", None));
        // Whichever comes first in the log.
        nodes.publish(usize::from(is_delivered_first));
        nodes.settle();
        assert_eq!(nodes.agreed(), ["Aiko", "aiko 2"]);
        assert_eq!(nodes.nodes[0].members[1].speaker.name().as_str(), "Aiko");
        assert_eq!(nodes.nodes[1].members[1].speaker.name().as_str(), "aiko 2");
    }
}

#[test]
fn person_on_two_nodes_is_listed_once_and_has_one_name() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.enter(0, "Aiko", Some("a")));
    nodes.settle();
    assert!(nodes.enter(1, "Aiko", Some("a")));
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Aiko"]);
    nodes.rename(1, 1, "Aki");
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Aki"]);
    assert_eq!(nodes.nodes[0].members[1].speaker.name().as_str(), "Aki");
    nodes.leave(0, 1);
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Aki"]);
    nodes.leave(1, 1);
    nodes.settle();
    assert!(nodes.agreed().is_empty());
}

#[test]
fn person_whose_name_is_written_in_two_ways_has_one_of_them_and_leaves_under_it() {
    let mut nodes = Nodes::start(2);
    assert!(nodes.enter(0, "bob", Some("a")));
    assert!(nodes.enter(1, "Bob", Some("a")));
    nodes.rename(1, 1, "Chie");
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Chie"]);
    assert_eq!(nodes.nodes[0].members[1].speaker.name().as_str(), "Chie");
}

#[test]
fn node_that_ends_before_it_has_followed_a_new_name_leaves_nobody_behind() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.enter(2, "Aiko", Some("a")));
    nodes.settle();
    assert!(nodes.enter(1, "Aiko", Some("a")));
    nodes.settle();
    nodes.rename(1, 1, "Aki");
    nodes.end(2);
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Aki"]);
    nodes.leave(1, 1);
    nodes.settle();
    assert!(nodes.agreed().is_empty());
}

#[test]
fn members_of_a_node_that_has_ended_are_gone_and_nobody_else() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.enter(1, "Aiko", Some("a")));
    assert!(nodes.enter(2, "Bo", Some("b")));
    nodes.settle();
    assert!(nodes.enter(1, "Bo", Some("b")));
    nodes.settle();
    nodes.end(1);
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Bo"]);
    assert!(nodes.enter(0, "Aiko", Some("c")));
}

#[test]
fn name_that_waits_is_taken_and_comes_when_the_older_one_has_gone() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.enter(0, "Aiko", Some("a")));
    assert!(nodes.enter(1, "Aiko", Some("b")));
    // Node 3 learns of both, and the node of the younger one learns of nothing yet.
    nodes.publish(0);
    nodes.publish(1);
    while nodes.deliver(2) {}
    assert!(nodes.names(2).contains(&"Aiko".to_owned()));
    let roster = nodes.nodes[2].rooms.roster(ROOM).unwrap();
    assert_eq!(roster.count, 4);
    nodes.leave(0, 1);
    nodes.publish(0);
    while nodes.deliver(2) {}
    assert_eq!(nodes.nodes[2].rooms.roster(ROOM).unwrap().count, 4);
    assert!(!nodes.enter(2, "Aiko", Some("c")));
    nodes.settle();
    assert_eq!(nodes.agreed(), ["Aiko 2"], "it has learned of both");
}

const OWNER: Moderator<'static> = Moderator {
    session: Some("owner"),
    is_operator: false,
};

impl Nodes {
    fn create(&mut self, node: usize, room: &str, visibility: Visibility) -> bool {
        self.now += 1;
        let at = self.now;
        let rooms = &self.nodes[node].rooms;
        let creation = Creation {
            owner: "owner".into(),
            visibility,
            password: None,
            key: [1; 32],
            secret: [u8::try_from(at % 256).unwrap(); 16],
            at,
        };
        rooms.create(room, creation)
    }

    fn entrance(
        &self,
        node: usize,
        room: &str,
        session: &str,
        invitation: Option<&str>,
    ) -> Entrance {
        let who = identity(Some(session));
        let rooms = &self.nodes[node].rooms;
        rooms.entrance(room, &who, false, invitation, self.now).0
    }

    /// The rules of the room on each node.
    #[track_caller]
    fn agreed_facts(&self, room: &str) -> Vec<String> {
        let facts = |node: &Node| {
            let facts = node.rooms.facts(room);
            let mut facts: Vec<String> = facts.iter().map(|fact| format!("{fact:?}")).collect();
            facts.sort();
            facts
        };
        let first = facts(&self.nodes[0]);
        for node in &self.nodes {
            assert_eq!(facts(node), first, "node {}", node.number);
        }
        // A node that starts later learns them all.
        let of_first = self.nodes[0].held.lock().unwrap();
        let mut held: Vec<String> = of_first
            .iter()
            .filter_map(|((_, key), value)| Fact::of(key, value.as_bytes()))
            .filter(|(of, fact)| *of == room && first.contains(&format!("{fact:?}")))
            .map(|(_, fact)| format!("{fact:?}"))
            .collect();
        held.sort();
        held.dedup();
        assert_eq!(held, first, "what the nodes hold");
        first
    }
}

fn identity(session: Option<&str>) -> Identity {
    Identity {
        session: session.map(Into::into),
        address: None,
    }
}

#[test]
fn created_room_is_known_to_all_nodes_with_its_creator_and_its_invitations() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.create(0, "den", Visibility::Private));
    nodes.settle();
    assert!(!nodes.create(1, "den", Visibility::Listed), "it exists");
    assert!(matches!(
        nodes.entrance(1, "den", "guest", None),
        Entrance::Closed(_)
    ));
    let invitation = nodes.nodes[2].rooms.invite("den", OWNER, 1000).unwrap();
    assert!(matches!(
        nodes.entrance(1, "den", "guest", Some(&invitation)),
        Entrance::Open
    ));
    nodes.settle();
    assert!(
        matches!(nodes.entrance(2, "den", "guest", None), Entrance::Open),
        "it was let in"
    );
    nodes.now += 1;
    let now = nodes.now;
    nodes.nodes[1]
        .rooms
        .revoke_invitations("den", OWNER, [7; 32], now)
        .unwrap();
    nodes.nodes[1]
        .rooms
        .set_slow("den", OWNER, 30, now)
        .unwrap();
    nodes.settle();
    let other = nodes.entrance(0, "den", "other", Some(&invitation));
    assert!(matches!(other, Entrance::Closed(_)), "it is void");
    assert_eq!(nodes.nodes[0].rooms.roster("den").unwrap().slow_seconds, 30);
    assert_eq!(nodes.agreed_facts("den").len(), 3);
}

#[test]
fn room_that_two_nodes_create_at_once_is_that_of_the_first_one() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.create(1, "den", Visibility::Private));
    assert!(nodes.create(0, "den", Visibility::Listed));
    nodes.settle();
    nodes.agreed_facts("den");
    for node in 0..3 {
        assert!(nodes.nodes[node].rooms.is_private("den"));
        assert_eq!(
            nodes.nodes[node].rooms.list("", 9, |_| true).1.len(),
            1,
            "the lobby alone"
        );
    }
}

#[test]
fn banned_person_is_removed_on_all_nodes_and_enters_none_of_them() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.create(0, "other", Visibility::Listed));
    assert!(nodes.enter(1, "Bo", Some("b")));
    assert!(nodes.enter(2, "Bo", Some("b")));
    nodes.settle();
    let operator = Moderator {
        session: None,
        is_operator: true,
    };
    let name = Name::parse("bo").unwrap();
    let until = nodes.now + 1000;
    let removed = nodes.nodes[0]
        .rooms
        .remove(ROOM, operator, &name, Some(until), nodes.now);
    let removed = removed.unwrap();
    assert_eq!((removed.name.as_str(), removed.left_revision), ("Bo", None));
    for node in [1, 2] {
        // The connections of the person are closed with it.
        nodes.nodes[node].members.truncate(1);
    }
    nodes.settle();
    assert!(nodes.agreed().is_empty());
    for node in 0..3 {
        assert!(matches!(
            nodes.entrance(node, ROOM, "b", None),
            Entrance::Banned
        ));
    }
    // The node that has banned it ends, and another one starts.
    nodes.end(0);
    nodes.settle();
    let node = nodes.start_one_more();
    assert!(matches!(
        nodes.entrance(node, ROOM, "b", None),
        Entrance::Banned
    ));
    assert_eq!(nodes.agreed_facts(ROOM).len(), 1);
}

#[test]
fn person_that_is_removed_or_muted_on_another_node_is_so_at_once() {
    let mut nodes = Nodes::start(2);
    assert!(nodes.enter(1, "Bo", None));
    assert!(nodes.enter(1, "Chie", Some("c")));
    nodes.settle();
    let operator = Moderator {
        session: None,
        is_operator: true,
    };
    let [bo, chie] = ["bo", "chie"].map(|name| Name::parse(name).unwrap());
    let until = nodes.now + 1000;
    nodes.nodes[0]
        .rooms
        .remove(ROOM, operator, &bo, None, nodes.now)
        .unwrap();
    nodes.nodes[0]
        .rooms
        .mute(ROOM, operator, &chie, until, nodes.now)
        .unwrap();
    nodes.settle();
    let [_, bo, chie] = &nodes.nodes[1].members[..] else {
        panic!("three members");
    };
    assert_eq!(bo.speaker.check(nodes.now), Err(Silence::Removed));
    assert!(matches!(
        chie.speaker.check(nodes.now),
        Err(Silence::Muted(_))
    ));
    nodes.nodes[1].members.remove(1);
    assert_eq!(nodes.agreed(), ["Chie"]);
    nodes.now += 1;
    let chie = Name::parse("chie").unwrap();
    nodes.nodes[0]
        .rooms
        .mute(ROOM, operator, &chie, 0, nodes.now)
        .unwrap();
    nodes.settle();
    assert!(nodes.nodes[1].members[1].speaker.check(nodes.now).is_ok());
}

#[test]
fn room_whose_name_another_node_has_made_private_is_left_by_its_members() {
    let mut nodes = Nodes::start(2);
    let visitor = Visitor {
        who: identity(Some("a")),
        tab: "",
        connection: None,
        is_operator: false,
    };
    let aiko = Name::parse("Aiko").unwrap();
    let rooms = &nodes.nodes[0].rooms;
    let entered = rooms.enter("den", "/chat/den", &aiko, visitor, 1).unwrap();
    // The other node does not know of it.
    assert!(nodes.create(1, "den", Visibility::Private));
    nodes.settle();
    assert_eq!(entered.speaker.check(nodes.now), Err(Silence::Removed));
    for node in &nodes.nodes {
        assert_eq!(node.rooms.roster("den").unwrap().count, 0);
        assert!(node.rooms.is_private("den"));
    }
}

#[test]
fn created_room_survives_its_nodes_as_long_as_one_is_there() {
    let mut nodes = Nodes::start(3);
    assert!(nodes.create(2, "den", Visibility::Unlisted));
    nodes.settle();
    for _ in 0..3 {
        nodes.end(nodes.nodes.len() - 1);
        nodes.settle();
        nodes.start_one_more();
        nodes.end(0);
        nodes.settle();
        nodes.start_one_more();
        nodes.agreed_facts("den");
    }
    assert!(!nodes.create(0, "den", Visibility::Listed));
}

/// What is on its way goes on.
#[derive(Clone, Debug)]
enum Travel {
    Publish(usize),
    Deliver(usize),
}

fn travel() -> impl Strategy<Value = Travel> {
    prop_oneof![
        1 => (0..3_usize).prop_map(Travel::Publish),
        2 => (0..3_usize).prop_map(Travel::Deliver),
    ]
}

/// A decision about the room `den` on a node.
#[derive(Clone, Debug)]
enum Decision {
    Create(usize, bool),
    Sanction(usize, usize, bool, bool),
    Slow(usize, u64),
    Revoke(usize),
    Admit(usize, usize),
    Topic(usize, bool),
    Travel(Travel),
}

fn decision() -> impl Strategy<Value = Decision> {
    let node = 0..3_usize;
    let who = 0..SESSIONS.len();
    prop_oneof![
        1 => (node.clone(), any::<bool>()).prop_map(|(n, p)| Decision::Create(n, p)),
        2 => (node.clone(), who.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(n, who, ban, lifts)| Decision::Sanction(n, who, ban, lifts)),
        1 => (node.clone(), 0..3_u64).prop_map(|(n, seconds)| Decision::Slow(n, seconds)),
        1 => node.clone().prop_map(Decision::Revoke),
        2 => (node.clone(), who).prop_map(|(n, who)| Decision::Admit(n, who)),
        1 => (node, any::<bool>()).prop_map(|(n, text)| Decision::Topic(n, text)),
        9 => travel().prop_map(Decision::Travel),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Enter(usize, usize, Option<usize>),
    Leave(usize, usize),
    Rename(usize, usize, usize),
    Travel(Travel),
}

/// Two of them look alike, and all suggest each other's substitutes.
const NAMES: [&str; 5] = ["Bob", "B0b", "Bob 2", "bob", "Chie"];
const SESSIONS: [&str; 3] = ["a", "b", "c"];

fn step() -> impl Strategy<Value = Step> {
    let node = 0..3_usize;
    let name = 0..NAMES.len();
    let session = prop::option::of(0..SESSIONS.len());
    prop_oneof![
        2 => (node.clone(), name.clone(), session).prop_map(|(n, name, s)| Step::Enter(n, name, s)),
        1 => (node.clone(), 0..6_usize).prop_map(|(n, member)| Step::Leave(n, member)),
        1 => (node, 0..6_usize, name).prop_map(|(n, m, name)| Step::Rename(n, m, name)),
        8 => travel().prop_map(Step::Travel),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However the operations are mixed, at last all nodes have the same names, each once, all members have theirs, and what the
    /// members were told is the list.
    #[test]
    fn nodes_agree_on_the_names_in_any_order(
        steps in prop::collection::vec(step(), 0..60),
        ends in any::<bool>(),
    ) {
        let mut nodes = Nodes::start(3);
        for step in steps {
            match step {
                Step::Enter(node, name, session) => {
                    nodes.enter(node, NAMES[name], session.map(|session| SESSIONS[session]));
                }
                Step::Leave(node, member) => {
                    if (1..nodes.nodes[node].members.len()).contains(&member) {
                        nodes.leave(node, member);
                    }
                }
                Step::Rename(node, member, name) => {
                    if (1..nodes.nodes[node].members.len()).contains(&member) {
                        nodes.rename(node, member, NAMES[name]);
                    }
                }
                Step::Travel(travel) => nodes.travel(&travel),
            }
        }
        if ends {
            nodes.end(2);
        }
        nodes.settle();
        nodes.agreed();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However the decisions are mixed, at last all nodes have the same rules, and so has one that starts then.
    #[test]
    fn nodes_agree_on_the_rules_in_any_order(
        decisions in prop::collection::vec(decision(), 0..50),
        ends in any::<bool>(),
    ) {
        let mut nodes = Nodes::start(3);
        assert!(nodes.create(0, "den", Visibility::Private));
        nodes.settle();
        for decision in decisions {
            nodes.now += 1;
            let now = nodes.now;
            let rooms = |node: usize| &nodes.nodes[node].rooms;
            match decision {
                Decision::Create(node, is_private) => {
                    let visibility = if is_private { Visibility::Private } else { Visibility::Listed };
                    nodes.create(node, "den", visibility);
                }
                Decision::Sanction(node, who, is_ban, lifts) => {
                    let until = if lifts { 0 } else { now + 100_000 };
                    rooms(node).sanction("den", &identity(Some(SESSIONS[who])), is_ban, until, now);
                }
                Decision::Slow(node, seconds) => {
                    rooms(node).set_slow("den", OWNER, seconds, now).unwrap();
                }
                Decision::Revoke(node) => {
                    let key = [u8::try_from(now % 256).unwrap(); 32];
                    let _ = rooms(node).revoke_invitations("den", OWNER, key, now);
                }
                Decision::Admit(node, who) => {
                    let invitation = rooms(node).invite("den", OWNER, now);
                    if let Ok(invitation) = invitation {
                        nodes.entrance(node, "den", SESSIONS[who], Some(&invitation));
                    }
                }
                Decision::Topic(node, has_text) => {
                    let by = Name::parse("Aiko").unwrap();
                    let text = if has_text { "tea" } else { "" };
                    rooms(node).set_topic("den", text, by, now);
                }
                Decision::Travel(travel) => nodes.travel(&travel),
            }
        }
        nodes.settle();
        nodes.agreed_facts("den");
        if ends {
            nodes.end(2);
            nodes.settle();
            nodes.start_one_more();
        }
        nodes.agreed_facts("den");
    }
}
