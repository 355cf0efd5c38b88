//! What the nodes of a cluster know of each other, over an engine that a test simulates: entries, messages, nodes that end, and an
//! engine that loses something.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use yamabiko::server::{
    Admission, Backplane, BackplaneConfig, BackplaneNode, BackplanePublication, BackplaneState,
    Cluster, ClusterEvent, Config, Context, Handler, Message, NodeId, NotHeld, Publisher, Refusal,
    RoomHistory, Upgrade,
};
use yamabiko_testing::engine::{Faults, SimulatedEngine};
use yamabiko_testing::socket::{TIMEOUT, TestServer, config, eventually};

/// An application that only notes what it is told.
#[derive(Clone, Default)]
struct Noting(Arc<Notes>);

#[derive(Default)]
struct Notes {
    cluster: OnceLock<Option<Cluster>>,
    events: Mutex<Vec<ClusterEvent>>,
}

impl Handler for Noting {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}

    fn bound(&self, publisher: Publisher) {
        self.0
            .cluster
            .set(publisher.cluster())
            .expect("it is called once");
    }

    fn cluster_event(&self, event: &ClusterEvent) {
        self.0.events.lock().unwrap().push(event.clone());
    }
}

struct Node {
    _server: TestServer,
    noting: Noting,
}

impl Node {
    fn start(engine: &SimulatedEngine) -> Node {
        let backplane = BackplaneConfig {
            beat: Duration::from_millis(50),
            ..engine.node()
        };
        let noting = Noting::default();
        let config = Config {
            backplane: Some(backplane),
            ..config(1)
        };
        Node {
            _server: TestServer::start(config, noting.clone()),
            noting,
        }
    }

    fn cluster(&self) -> &Cluster {
        let cluster = self.noting.0.cluster.get().expect("it is bound");
        cluster.as_ref().expect("there is a cluster")
    }

    fn id(&self) -> NodeId {
        self.cluster().node()
    }

    /// Key, node and value of each entry.
    fn entries(&self) -> BTreeMap<(String, NodeId), String> {
        let entries = self.cluster().entries("").into_iter();
        let entry = entries.map(|entry| {
            let value = String::from_utf8(entry.value.to_vec()).expect("UTF-8");
            ((entry.key.to_string(), entry.node), value)
        });
        entry.collect()
    }

    /// The messages that have come.
    fn messages(&self) -> Vec<(NodeId, Vec<u8>)> {
        let events = self.noting.0.events.lock().unwrap();
        let message = |event: &ClusterEvent| match event {
            ClusterEvent::Message { from, payload } => Some((*from, payload.to_vec())),
            _ => None,
        };
        events.iter().filter_map(message).collect()
    }

    /// The keys that this node had to tell: those held first (true), and those not held any more.
    fn tells(&self) -> Vec<(String, bool)> {
        let events = self.noting.0.events.lock().unwrap();
        let tell = |event: &ClusterEvent| match event {
            ClusterEvent::Held {
                entry,
                is_teller: true,
                ..
            } if event.is_first() => Some((entry.key.to_string(), true)),
            ClusterEvent::Released {
                entry,
                is_teller: true,
                ..
            } if event.is_last() => Some((entry.key.to_string(), false)),
            _ => None,
        };
        events.iter().filter_map(tell).collect()
    }
}

fn nodes(engine: &SimulatedEngine, count: usize) -> Vec<Node> {
    let nodes: Vec<Node> = (0..count).map(|_| Node::start(engine)).collect();
    eventually("all nodes know each other", TIMEOUT, || {
        let knows_all = |node: &Node| node.cluster().is_complete();
        let sees_all = |node: &Node| node.cluster().nodes().len() == count;
        nodes.iter().all(knows_all) && nodes.iter().all(sees_all)
    });
    nodes
}

#[track_caller]
fn eventually_all_have(nodes: &[Node], expected: &[(&str, NodeId, &str)]) {
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(key, node, value)| (((*key).to_owned(), *node), (*value).to_owned()))
        .collect();
    eventually("all nodes have the same entries", TIMEOUT, || {
        nodes.iter().all(|node| node.entries() == expected)
    });
}

#[test]
fn entry_of_one_node_is_known_to_all_until_it_is_released() {
    let engine = SimulatedEngine::start(7);
    let nodes = nodes(&engine, 3);
    let ids: Vec<NodeId> = nodes.iter().map(Node::id).collect();
    nodes[0].cluster().hold("a", b"1").expect("it fits");
    nodes[1].cluster().hold("a", b"2").expect("it fits");
    nodes[1].cluster().hold("b", b"3").expect("it fits");
    eventually_all_have(
        &nodes,
        &[("a", ids[0], "1"), ("a", ids[1], "2"), ("b", ids[1], "3")],
    );
    assert_eq!(nodes[2].cluster().holders("a"), 2);
    assert_eq!(nodes[2].cluster().entries("b").len(), 1);
    nodes[0].cluster().hold("a", b"4").expect("it fits");
    nodes[1].cluster().release("a");
    nodes[1].cluster().release("never held");
    eventually_all_have(&nodes, &[("a", ids[0], "4"), ("b", ids[1], "3")]);
    nodes[0].cluster().release("a");
    eventually_all_have(&nodes, &[("b", ids[1], "3")]);
    let mut tells: Vec<_> = nodes.iter().flat_map(Node::tells).collect();
    tells.sort();
    let once = |key: &str, is_first| (key.to_owned(), is_first);
    assert_eq!(tells, [once("a", false), once("a", true), once("b", true)]);
}

#[test]
fn messages_come_to_all_nodes_in_one_order() {
    let engine = SimulatedEngine::start(8);
    let nodes = nodes(&engine, 3);
    for number in 0..50_u8 {
        for node in &nodes {
            node.cluster().send(&[number]).expect("it fits");
        }
    }
    eventually("all have all", TIMEOUT, || {
        nodes.iter().all(|node| node.messages().len() == 150)
    });
    assert_eq!(nodes[1].messages(), nodes[0].messages());
    assert_eq!(nodes[2].messages(), nodes[0].messages());
    for node in &nodes {
        let own = nodes[0].messages().into_iter();
        let own = own.filter(|(from, _)| *from == node.id());
        let numbers: Vec<u8> = own.map(|(_, payload)| payload[0]).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<u8>>());
    }
    let too_long = vec![0; (1 << 20) + 1];
    assert_eq!(nodes[0].cluster().send(&too_long), Err(NotHeld::TooLong));
}

#[test]
fn what_a_node_that_stops_holds_ends_on_all_others_and_one_of_them_tells() {
    let engine = SimulatedEngine::start(9);
    let mut nodes = nodes(&engine, 3);
    nodes[2].cluster().hold("a", b"").expect("it fits");
    nodes[0].cluster().hold("b", b"").expect("it fits");
    let ids: Vec<NodeId> = nodes.iter().map(Node::id).collect();
    eventually_all_have(&nodes, &[("a", ids[2], ""), ("b", ids[0], "")]);
    drop(nodes.pop());
    eventually_all_have(&nodes, &[("b", ids[0], "")]);
    let tells: Vec<_> = nodes.iter().flat_map(Node::tells).collect();
    let ends = tells.iter().filter(|(_, is_first)| !is_first);
    assert_eq!(ends.collect::<Vec<_>>(), [&("a".to_owned(), false)]);
}

#[test]
fn node_that_is_cut_off_is_gone_for_the_others_and_is_there_again_when_it_comes_back() {
    let engine = SimulatedEngine::start(10);
    let nodes = nodes(&engine, 3);
    let ids: Vec<NodeId> = nodes.iter().map(Node::id).collect();
    for (node, key) in nodes.iter().zip(["a", "b", "c"]) {
        node.cluster().hold(key, b"").expect("it fits");
    }
    eventually_all_have(
        &nodes,
        &[("a", ids[0], ""), ("b", ids[1], ""), ("c", ids[2], "")],
    );
    engine.set_cut(2, true);
    eventually_all_have(&nodes[..2], &[("a", ids[0], ""), ("b", ids[1], "")]);
    nodes[2].cluster().release("c");
    nodes[2].cluster().hold("d", b"").expect("it fits");
    engine.set_cut(2, false);
    eventually_all_have(
        &nodes,
        &[("a", ids[0], ""), ("b", ids[1], ""), ("d", ids[2], "")],
    );
}

#[test]
fn entries_are_the_same_again_after_the_engine_has_lost_everything() {
    let engine = SimulatedEngine::start(11);
    let nodes = nodes(&engine, 3);
    let ids: Vec<NodeId> = nodes.iter().map(Node::id).collect();
    for node in &nodes {
        node.cluster().hold("a", b"").expect("it fits");
    }
    let all: Vec<_> = ids.iter().map(|id| ("a", *id, "")).collect();
    eventually_all_have(&nodes, &all);
    engine.restart("\u{1}cluster");
    nodes[0].cluster().release("a");
    eventually_all_have(&nodes, &all[1..]);
    engine.set_gone(true);
    nodes[1].cluster().release("a");
    nodes[0].cluster().hold("b", b"").expect("it fits");
    engine.set_gone(false);
    eventually_all_have(&nodes, &[("a", ids[2], ""), ("b", ids[0], "")]);
}

#[test]
fn nodes_come_to_the_same_entries_whatever_the_engine_loses_doubles_and_refuses() {
    for seed in 1..=8 {
        let faults = Faults {
            refused: 20,
            lost: 15,
            doubled: 10,
            reloaded: 30,
            restarted: 100,
        };
        let engine = SimulatedEngine::with_faults(seed, faults);
        let nodes: Vec<Node> = (0..3).map(|_| Node::start(&engine)).collect();
        for round in 0..40 {
            for (number, node) in nodes.iter().enumerate() {
                let key = ((round + number) % 5).to_string();
                match (round * 7 + number * 3) % 4 {
                    0 => node.cluster().release(&key),
                    _ => node
                        .cluster()
                        .hold(&key, &[b'0' + number as u8])
                        .expect("it fits"),
                }
            }
        }
        for (number, node) in nodes.iter().enumerate() {
            (0..5).for_each(|key: u8| node.cluster().release(&key.to_string()));
            let value = [b'0' + number as u8];
            node.cluster().hold("last", &value).expect("it fits");
        }
        engine.set_faults(Faults::default());
        let ids: Vec<NodeId> = nodes.iter().map(Node::id).collect();
        eventually_all_have(
            &nodes,
            &[
                ("last", ids[0], "0"),
                ("last", ids[1], "1"),
                ("last", ids[2], "2"),
            ],
        );
    }
}

/// Keeps messages for one server.
struct OwnEngine;

impl Backplane for OwnEngine {
    fn start(&self, _: BackplaneNode) {}
    fn publish(&self, _: BackplanePublication) {}
    fn subscribe(&self, _: &str, _: Option<RoomHistory>) {
        panic!("there is no cluster");
    }
    fn unsubscribe(&self, _: &str) {}
    fn state(&self) -> BackplaneState {
        BackplaneState::ready()
    }
    fn is_shared(&self) -> bool {
        false
    }
}

#[test]
fn server_without_an_engine_that_others_share_has_no_cluster() {
    let own = BackplaneConfig::new(Arc::new(OwnEngine));
    for backplane in [None, Some(own)] {
        let noting = Noting::default();
        let config = Config {
            backplane,
            ..config(1)
        };
        let server = TestServer::start(config, noting.clone());
        assert!(matches!(noting.0.cluster.get(), Some(None)));
        assert!(server.publisher.cluster().is_none());
    }
}

#[test]
fn application_that_asks_for_no_cluster_costs_the_engine_nothing() {
    struct Silent;
    impl Handler for Silent {
        type Session = ();
        fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
            Ok(Admission::new(()))
        }
        fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    }
    let engine = SimulatedEngine::start(12);
    let config = Config {
        backplane: Some(engine.node()),
        ..config(1)
    };
    let mut server = TestServer::start(config, Silent);
    server.shutdown();
    server.join().expect("no fault").expect("no failure");
    assert_eq!(engine.subscribers("\u{1}cluster"), 0);
    assert!(engine.ordered("\u{1}cluster").is_empty());
}
