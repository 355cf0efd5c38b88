//! Rooms of several nodes over a log that a test simulates: each node learns the entries of all in one order, at its own pace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::super::people::Renamed;
use super::super::presence::Presence;
use super::super::protocol::ServerMessage;
use super::super::room::{Departed, Followed, RoomDirectory, Visitor};
use super::super::sanctions::Identity;
use super::super::speaker::Speaker;
use super::*;

/// A change of an entry. Without a value it is released.
#[derive(Clone, Debug)]
struct Operation {
    node: u64,
    key: String,
    value: Option<String>,
}

/// What a node has told, and what is not in the log yet.
#[derive(Clone, Default)]
struct Outbox(Arc<Mutex<Vec<Operation>>>);

struct Telling {
    node: u64,
    outbox: Outbox,
    own: Mutex<BTreeMap<String, String>>,
}

impl Others for Telling {
    fn node(&self) -> u64 {
        self.node
    }

    fn hold(&self, key: &str, value: &str) {
        let before = self.own.lock().unwrap().insert(key.into(), value.into());
        if before.as_deref() != Some(value) {
            self.tell(key, Some(value.into()));
        }
    }

    fn release(&self, key: &str) {
        if self.own.lock().unwrap().remove(key).is_some() {
            self.tell(key, None);
        }
    }
}

impl Telling {
    fn tell(&self, key: &str, value: Option<String>) {
        self.outbox.0.lock().unwrap().push(Operation {
            node: self.node,
            key: key.into(),
            value,
        });
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
    held: BTreeMap<(u64, String), String>,
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
        let node = |number| {
            let rooms = RoomDirectory::default();
            let outbox = Outbox::default();
            rooms.nodes.set(Box::new(Telling {
                node: number,
                outbox: outbox.clone(),
                own: Mutex::default(),
            }));
            Node {
                number,
                rooms,
                outbox,
                known: 0,
                held: BTreeMap::new(),
                members: Vec::new(),
                reader: Presence::default(),
            }
        };
        let mut nodes = Nodes {
            nodes: (1..=count).map(node).collect(),
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
        let entry = (operation.node, operation.key);
        let told = match &operation.value {
            Some(value) => {
                let before = node.held.insert(entry.clone(), value.clone());
                let is_new = before.as_ref() != Some(value);
                Told::of_held(entry.0, &entry.1, value.as_bytes()).filter(|_| is_new)
            }
            None => {
                let before = node.held.remove(&entry);
                Told::of_released(entry.0, &entry.1).filter(|_| before.is_some())
            }
        };
        let followed = told.and_then(|told| node.rooms.apply(&told, self.now));
        if let Some(Followed { messages, .. }) = followed {
            for message in messages {
                node.reader.apply(&serde_json::from_str(&message).unwrap());
            }
        }
        true
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
        let mut held = BTreeMap::new();
        for operation in &self.log {
            if operation.node == gone.number {
                held.insert(operation.key.clone(), operation.value.is_some());
            }
        }
        for (key, is_held) in held {
            if is_held {
                self.log.push(Operation {
                    node: gone.number,
                    key,
                    value: None,
                });
            }
        }
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

#[derive(Clone, Debug)]
enum Step {
    Enter(usize, usize, Option<usize>),
    Leave(usize, usize),
    Rename(usize, usize, usize),
    Publish(usize),
    Deliver(usize),
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
        1 => (node.clone(), 0..6_usize, name).prop_map(|(n, m, name)| Step::Rename(n, m, name)),
        3 => node.clone().prop_map(Step::Publish),
        5 => node.prop_map(Step::Deliver),
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
                Step::Publish(node) => drop(nodes.publish(node)),
                Step::Deliver(node) => drop(nodes.deliver(node)),
            }
        }
        if ends {
            nodes.end(2);
        }
        nodes.settle();
        nodes.agreed();
    }
}
