//! The channels of Pusher clients over three nodes, seen by subscribers who are told how many they are.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use yamabiko::client::Client;
use yamabiko::websocket::OwnedMessage;
use yamabiko_testing::redis::Redis;
use yamabiko_testing::waiting::{LOOP_TIMEOUT, TIMEOUT, eventually};

use crate::nodes::Node;

const APPS: &str = "\
[[apps]]
id = \"1\"
key = \"app-key\"
secret = \"app-secret\"
subscription-counts = true
";

/// A client of the app on a node.
struct Subscriber(Client);

impl Subscriber {
    /// Subscribes to the channel `all`.
    fn open(node: &Node) -> Subscriber {
        let url = node.url("/app/app-key?protocol=7&client=test&version=1");
        let builder = Client::builder(&url).read_timeout(LOOP_TIMEOUT);
        let mut client = builder.connect().expect("a connection");
        client
            .send(r#"{"event":"pusher:subscribe","data":{"channel":"all"}}"#)
            .expect("it is open");
        Subscriber(client)
    }

    /// Reads until the subscribers are so many. Returns all numbers that have come, in their order.
    #[track_caller]
    fn counts(&mut self, subscribers: usize) -> Vec<usize> {
        let mut counts = Vec::new();
        while counts.last() != Some(&subscribers) {
            match self.0.read().expect("it is open") {
                Some(OwnedMessage::Text(text)) => counts.extend(count_in(&text)),
                Some(_) => {}
                None => panic!("the connection has ended"),
            }
        }
        counts
    }
}

/// The number of subscribers that an event tells. `None`: it is another event.
fn count_in(text: &str) -> Option<usize> {
    let (_, number) = text.split_once(r#"\"subscription_count\":"#)?;
    number.split('}').next()?.parse().ok()
}

fn apps_file(redis: &Redis) -> PathBuf {
    let path = redis.folder().join("apps.toml");
    std::fs::write(&path, APPS).expect("a file");
    path
}

/// Those of a killed node are gone, and those of the others are there all the time.
#[test]
fn subscribers_of_all_nodes_are_counted_until_their_node_is_killed() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let apps = apps_file(&redis);
    let arguments = ["--apps-file", apps.to_str().expect("UTF-8")];
    let mut nodes: Vec<Node> = (0..3)
        .map(|_| Node::start(&redis.url(), &arguments))
        .collect();
    let mut clients: Vec<Subscriber> = nodes.iter().map(Subscriber::open).collect();
    for client in &mut clients {
        client.counts(3);
    }
    nodes[1].kill();
    for client in [0, 2] {
        clients[client].counts(2);
    }
    // A new node knows those of the others, and they know its own.
    nodes[1] = Node::start(&redis.url(), &arguments);
    clients[1] = Subscriber::open(&nodes[1]);
    for client in &mut clients {
        client.counts(3);
    }
}

/// Nobody is gone because Redis stands still for longer than a node may be silent.
#[test]
fn redis_that_stands_still_ends_no_subscription() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let apps = apps_file(&redis);
    let arguments = ["--apps-file", apps.to_str().expect("UTF-8")];
    let nodes: Vec<Node> = (0..2)
        .map(|_| Node::start(&redis.url(), &arguments))
        .collect();
    let mut clients: Vec<Subscriber> = nodes.iter().map(Subscriber::open).collect();
    for client in &mut clients {
        client.counts(2);
    }
    redis.signal("STOP");
    let stopped = Instant::now();
    nodes.iter().for_each(Node::is_not_ready);
    let more = Subscriber::open(&nodes[0]);
    eventually("twelve seconds are over", TIMEOUT, || {
        stopped.elapsed() >= Duration::from_secs(12)
    });
    redis.signal("CONT");
    nodes.iter().for_each(Node::is_ready);
    let another = Subscriber::open(&nodes[1]);
    for client in &mut clients {
        client.counts(4);
    }
    drop((more, another));
}

/// Nearly always too much is on the way to the workers of these nodes. A number that waited for them, and came behind a newer one, would not be
/// in order.
#[test]
fn subscribers_are_told_their_numbers_in_the_order_of_the_changes_on_all_nodes() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let apps = apps_file(&redis);
    let apps = apps.to_str().expect("UTF-8");
    let arguments = ["--apps-file", apps, "--worker-backlog-bytes-max", "1"];
    let nodes: Vec<Node> = (0..2)
        .map(|_| Node::start(&redis.url(), &arguments))
        .collect();
    let mut stay: Vec<Subscriber> = nodes.iter().map(Subscriber::open).collect();
    for client in &mut stay {
        client.counts(2);
    }
    let more: Vec<Subscriber> = (0..20)
        .map(|number| Subscriber::open(&nodes[number % 2]))
        .collect();
    for client in &mut stay {
        let counts = client.counts(22);
        assert!(counts.is_sorted(), "{counts:?}");
    }
    drop(more);
    for client in &mut stay {
        let counts = client.counts(2);
        assert!(counts.iter().rev().is_sorted(), "{counts:?}");
    }
}
