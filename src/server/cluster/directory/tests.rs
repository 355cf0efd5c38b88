//! Nodes on a simulated log: whatever is lost, all come to know the same entries.

use super::*;
use crate::websocket::Message;
use proptest::prelude::*;

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Hold {
        node: usize,
        key: usize,
        value: u8,
    },
    Release {
        node: usize,
        key: usize,
    },
    Beat {
        node: usize,
    },
    /// A message of the node comes into the log.
    Publish {
        node: usize,
    },
    /// The node gets what comes next in the log.
    Take {
        node: usize,
    },
    /// The engine does not take a message of the node.
    Refuse {
        node: usize,
    },
    /// The node does not get what it has not got yet.
    Lose {
        node: usize,
    },
    /// The node ends without a word, and another one begins.
    Crash {
        node: usize,
    },
    /// The node ends, and another one begins.
    Leave {
        node: usize,
    },
    /// The engine forgets what is not delivered, and begins a new epoch.
    Restart,
}

const NODES: usize = 3;
const KEYS: [&str; 3] = ["a", "b", "c"];

/// Steps without a loss.
fn plain_step() -> impl Strategy<Value = Step> {
    let (node, key) = (0..NODES, 0..KEYS.len());
    prop_oneof![
        4 => (node.clone(), key.clone(), 0..3_u8)
            .prop_map(|(node, key, value)| Step::Hold { node, key, value }),
        4 => (node.clone(), key).prop_map(|(node, key)| Step::Release { node, key }),
        2 => node.clone().prop_map(|node| Step::Beat { node }),
        8 => node.clone().prop_map(|node| Step::Publish { node }),
        16 => node.prop_map(|node| Step::Take { node }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    prop_oneof![
        30 => plain_step(),
        1 => node.clone().prop_map(|node| Step::Refuse { node }),
        1 => node.clone().prop_map(|node| Step::Lose { node }),
        1 => node.clone().prop_map(|node| Step::Crash { node }),
        1 => node.prop_map(|node| Step::Leave { node }),
        1 => Just(Step::Restart),
    ]
}

/// A node, and how far it has got in the log.
struct Simulated {
    directory: Directory,
    taken: usize,
    /// What the events have told, which is what an application knows.
    told: BTreeMap<(String, NodeId), Vec<u8>>,
}

struct Simulation {
    log: Vec<(Position, Vec<u8>)>,
    head: Position,
    nodes: Vec<Simulated>,
    next_id: u64,
    /// Where in the log a key was told to be held first (true), or not to be held any more.
    tells: Vec<(usize, String, bool)>,
}

impl Simulation {
    fn new() -> Simulation {
        let mut simulation = Simulation {
            log: Vec::new(),
            head: Position::new(1, 0),
            nodes: Vec::new(),
            next_id: 1,
            tells: Vec::new(),
        };
        for _ in 0..NODES {
            let node = simulation.begin();
            simulation.nodes.push(node);
        }
        simulation
    }

    /// A node that has just loaded the log.
    fn begin(&mut self) -> Simulated {
        let mut directory = Directory::new(NodeId::new(self.next_id));
        self.next_id += 1;
        let kept = KeptMessages {
            head: self.head,
            messages: Vec::new(),
        };
        directory.loaded(&kept);
        Simulated {
            directory,
            taken: self.log.len(),
            told: BTreeMap::new(),
        }
    }

    fn publish(&mut self, node: usize) -> bool {
        let message = self.nodes[node].directory.next_message();
        let is_there = message.is_some();
        self.append(message);
        is_there
    }

    fn append(&mut self, message: Option<Vec<u8>>) {
        if let Some(message) = message {
            self.head = self.head.plus(1);
            self.log.push((self.head, message));
        }
    }

    fn take(&mut self, node: usize) -> bool {
        let simulated = &mut self.nodes[node];
        let Some((at, message)) = self.log.get(simulated.taken) else {
            return false;
        };
        let place = simulated.taken;
        simulated.taken += 1;
        let message = BackplaneMessage::new(0, Message::Binary(message));
        for event in simulated.directory.delivered(*at, &[message]) {
            let (first, last) = (event.is_first(), event.is_last());
            let (entry, is_teller) = match event {
                ClusterEvent::Held {
                    entry,
                    before,
                    is_teller,
                    ..
                } => {
                    let key = (entry.key.to_string(), entry.node);
                    let told = simulated.told.insert(key, entry.value.to_vec());
                    assert_eq!(told, before.map(|before| before.to_vec()));
                    (entry, is_teller)
                }
                ClusterEvent::Released {
                    entry, is_teller, ..
                } => {
                    let key = (entry.key.to_string(), entry.node);
                    let told = simulated.told.remove(&key);
                    assert_eq!(told, Some(entry.value.to_vec()));
                    (entry, is_teller)
                }
                ClusterEvent::Message { .. } => continue,
            };
            if is_teller && (first || last) {
                self.tells.push((place, entry.key.to_string(), first));
            }
        }
        true
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Hold { node, key, value } => {
                let held = self.nodes[node].directory.hold(KEYS[key], &[value]);
                assert_eq!(held, Ok(()));
            }
            Step::Release { node, key } => self.nodes[node].directory.release(KEYS[key]),
            Step::Beat { node } => {
                self.nodes[node].directory.beat();
            }
            Step::Publish { node } => {
                self.publish(node);
            }
            Step::Take { node } => {
                self.take(node);
            }
            Step::Refuse { node } => {
                let directory = &mut self.nodes[node].directory;
                if directory.next_message().is_some() {
                    directory.refused();
                }
            }
            Step::Lose { node } => self.nodes[node].taken = self.log.len(),
            Step::Crash { node } => {
                let begun = self.begin();
                self.nodes[node] = begun;
            }
            Step::Leave { node } => {
                self.nodes[node].directory.leave();
                while self.publish(node) {}
                let begun = self.begin();
                self.nodes[node] = begun;
            }
            Step::Restart => {
                self.head = Position::new(self.head.epoch() + 1, 0);
                let end = self.log.len();
                self.nodes.iter_mut().for_each(|node| node.taken = end);
            }
        }
    }

    /// Everything goes on without a fault, for so many beats.
    fn settle(&mut self, beats: usize) {
        for _ in 0..beats {
            for node in 0..self.nodes.len() {
                self.nodes[node].directory.beat();
            }
            loop {
                let mut is_done = true;
                for node in 0..self.nodes.len() {
                    while self.publish(node) || self.take(node) {
                        is_done = false;
                    }
                }
                if is_done {
                    break;
                }
            }
        }
    }

    /// What is held, from what the nodes want to hold.
    fn wanted(&self) -> BTreeMap<(String, NodeId), Vec<u8>> {
        let nodes = self.nodes.iter();
        let wanted = nodes.flat_map(|node| {
            let id = node.directory.me;
            let own = node.directory.own.iter();
            own.map(move |(key, value)| ((key.to_string(), id), value.to_vec()))
        });
        wanted.collect()
    }

    fn check(&self) {
        let wanted = self.wanted();
        for node in &self.nodes {
            let entries = node.directory.entries("");
            let held: BTreeMap<_, _> = entries
                .map(|entry| ((entry.key.to_string(), entry.node), entry.value.to_vec()))
                .collect();
            assert_eq!(held, wanted, "{:?}", node.directory);
            assert_eq!(node.told, wanted);
            assert!(node.directory.is_following());
        }
    }
}

/// More than it takes to declare nodes gone, for the last one to do it, and to learn again.
const SETTLING_BEATS: usize = 40;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_nodes_come_to_know_the_same_entries_whatever_is_lost(
        steps in prop::collection::vec(any_step(), 0..150),
    ) {
        let mut simulation = Simulation::new();
        simulation.settle(LEARNING_BEATS_MAX as usize + 1);
        steps.into_iter().for_each(|step| simulation.step(step));
        simulation.settle(SETTLING_BEATS);
        simulation.check();
    }

    #[test]
    fn first_and_last_holder_of_a_key_are_told_once_each_by_one_node(
        steps in prop::collection::vec(plain_step(), 0..150),
    ) {
        let mut simulation = Simulation::new();
        simulation.settle(LEARNING_BEATS_MAX as usize + 1);
        steps.into_iter().for_each(|step| simulation.step(step));
        simulation.settle(SETTLING_BEATS);
        simulation.check();
        let wanted = simulation.wanted();
        // Several of one message keep their order.
        simulation.tells.sort_by_key(|(place, ..)| *place);
        for key in KEYS {
            let of_key = simulation.tells.iter().filter(|(_, told, _)| told == key);
            let tells: Vec<bool> = of_key.map(|(_, _, is_first)| *is_first).collect();
            let alternating: Vec<bool> = (0..tells.len()).map(|index| index % 2 == 0).collect();
            prop_assert_eq!(&tells, &alternating, "{}", key);
            let is_held = wanted.keys().any(|(held, _)| held == key);
            prop_assert_eq!(tells.last().copied().unwrap_or(false), is_held);
        }
    }
}

#[test]
fn node_that_starts_knows_that_others_hold_a_key_before_it_publishes_its_own() {
    let mut simulation = Simulation::new();
    simulation.settle(LEARNING_BEATS_MAX as usize + 1);
    simulation.nodes[0]
        .directory
        .hold("a", b"x")
        .expect("it fits");
    simulation.settle(1);
    simulation.tells.clear();
    simulation.step(Step::Leave { node: 1 });
    simulation.nodes[1]
        .directory
        .hold("a", b"y")
        .expect("it fits");
    simulation.settle(LEARNING_BEATS_MAX as usize + 1);
    simulation.check();
    assert_eq!(simulation.tells, []);
    assert_eq!(simulation.nodes[2].directory.holders("a"), 2);
}

#[test]
fn entries_of_a_node_that_is_silent_for_ten_beats_end_at_all_others_and_no_other_ones() {
    let mut simulation = Simulation::new();
    simulation.settle(LEARNING_BEATS_MAX as usize + 1);
    for (node, key) in simulation.nodes.iter_mut().zip(KEYS) {
        node.directory.hold(key, b"x").expect("it fits");
    }
    simulation.settle(1);
    let silent = simulation.nodes.remove(2);
    let keys = |simulation: &Simulation, node: usize| -> Vec<String> {
        let entries = simulation.nodes[node].directory.entries("");
        entries.map(|entry| entry.key.to_string()).collect()
    };
    simulation.tells.clear();
    simulation.settle(SILENT_BEATS as usize - 1);
    assert_eq!(keys(&simulation, 0), ["a", "b", "c"]);
    simulation.settle(2);
    for node in 0..2 {
        assert_eq!(keys(&simulation, node), ["a", "b"]);
    }
    let tells: Vec<_> = simulation
        .tells
        .drain(..)
        .map(|(_, key, first)| (key, first))
        .collect();
    assert_eq!(tells, [("c".to_owned(), false)]);
    // It was only away.
    simulation.nodes.push(silent);
    simulation.settle(SETTLING_BEATS);
    simulation.check();
    let tells: Vec<_> = simulation
        .tells
        .drain(..)
        .map(|(_, key, first)| (key, first))
        .collect();
    assert_eq!(tells.last(), Some(&("c".to_owned(), true)));
}

#[test]
fn engine_that_stands_still_makes_no_node_gone() {
    let mut simulation = Simulation::new();
    simulation.settle(LEARNING_BEATS_MAX as usize + 1);
    simulation.nodes[0]
        .directory
        .hold("a", b"x")
        .expect("it fits");
    simulation.settle(1);
    simulation.tells.clear();
    // Time passes, and no beat comes back: the keeper has one on its way, at most.
    for _ in 0..100 {
        for node in &mut simulation.nodes {
            if node.directory.outbox.is_empty() {
                node.directory.beat();
            }
        }
    }
    simulation.settle(2);
    simulation.check();
    assert_eq!(simulation.tells, []);
}

#[test]
fn entry_and_message_fit_up_to_their_limits_and_not_one_byte_beyond() {
    let mut directory = Directory::new(NodeId::new(1));
    let (key, value) = ("k".repeat(KEY_BYTES_MAX), vec![7; VALUE_BYTES_MAX]);
    assert_eq!(directory.hold(&key, &value), Ok(()));
    assert_eq!(directory.hold(&format!("{key}k"), b""), Err(Full::TooLong));
    assert_eq!(
        directory.hold("k", &[value.clone(), vec![7]].concat()),
        Err(Full::TooLong)
    );
    assert_eq!(
        directory.send(&vec![7; PAYLOAD_BYTES_MAX + 1]),
        Err(Full::TooLong)
    );
    directory.release(&key);
    assert_eq!(directory.own_bytes, 0);
    let bytes = entry_bytes("0000", &value);
    for number in 0..OWN_BYTES_MAX / bytes {
        assert_eq!(directory.hold(&format!("{number:04}"), &value), Ok(()));
    }
    assert_eq!(directory.hold("more", &value), Err(Full::TooMuch));
    // The same key again is no further entry.
    assert_eq!(directory.hold("0000", &value), Ok(()));
    let payload = vec![7; PAYLOAD_BYTES_MAX];
    let fit = OUTBOX_BYTES_MAX / Operation::Message(payload.clone().into()).bytes();
    for _ in 0..fit {
        assert_eq!(directory.send(&payload), Ok(()));
    }
    assert_eq!(directory.send(&payload), Err(Full::TooMuch));
}

#[test]
fn changes_that_the_engine_does_not_take_in_time_are_announced_instead() {
    let mut simulation = Simulation::new();
    simulation.settle(LEARNING_BEATS_MAX as usize + 1);
    let value = vec![7; VALUE_BYTES_MAX];
    for number in 0..2 * OUTBOX_BYTES_MAX / VALUE_BYTES_MAX {
        let directory = &mut simulation.nodes[0].directory;
        directory
            .hold(&number.to_string(), &value)
            .expect("it fits");
        assert!(directory.outbox_bytes <= OUTBOX_BYTES_MAX);
    }
    simulation.settle(1);
    simulation.check();
}

#[test]
fn value_that_changes_often_is_told_once_in_a_beat() {
    let mut simulation = Simulation::new();
    simulation.settle(LEARNING_BEATS_MAX as usize + 1);
    let messages = simulation.log.len();
    for value in 0..100 {
        let directory = &mut simulation.nodes[0].directory;
        directory.hold("a", &[value]).expect("it fits");
        assert!(directory.outbox.len() <= 1, "the new entry");
    }
    while simulation.publish(0) {}
    assert_eq!(simulation.log.len(), messages + 1);
    simulation.settle(1);
    simulation.check();
    // A beat of each node; the first one has the last value in it.
    assert_eq!(simulation.log.len(), messages + 1 + NODES);
}
