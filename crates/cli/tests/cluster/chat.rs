//! The chat over three nodes: names, moderators, created rooms, and a message that is deleted.

use std::time::Duration;

use serde_json::{Value, json};
use yamabiko::client::Client;
use yamabiko::websocket::OwnedMessage;
use yamabiko_testing::redis::Redis;
use yamabiko_testing::waiting::{LOOP_TIMEOUT, TIMEOUT, eventually};

use crate::nodes::Node;
use crate::setup::block;

/// A client of the chat.
struct Person(Client);

impl Person {
    fn connect(node: &Node, room: &str) -> Person {
        let url = node.url(&format!("/chat/{room}"));
        let builder = Client::builder(&url).subprotocol("yamabiko.chat.v2");
        let client = builder.read_timeout(LOOP_TIMEOUT).connect();
        Person(client.expect("a connection"))
    }

    /// Asks to enter as the person of this name, with further fields. Returns the answer, too.
    fn entering(node: &Node, room: &str, name: &str, more: Value) -> (Person, Value) {
        let mut person = Person::connect(node, room);
        let mut request = json!({
            "type": "enter",
            "name": name,
            "session": format!("{name:->16}"),
            "history": 100,
        });
        let fields = request.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        person.send(&request);
        let answer = person.read().expect("an answer");
        (person, answer)
    }

    #[track_caller]
    fn entered(node: &Node, room: &str, name: &str, more: Value) -> Person {
        let (person, welcome) = Person::entering(node, room, name, more);
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        person
    }

    fn send(&mut self, request: &Value) {
        self.0.send(request.to_string()).expect("it is open");
    }

    /// The next message. `None`: the connection has ended.
    fn read(&mut self) -> Option<Value> {
        match self.0.read().ok()? {
            Some(OwnedMessage::Text(text)) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }

    #[track_caller]
    fn read_type(&mut self, kind: &str) -> Value {
        loop {
            let message = self.read().expect("it is open");
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Reads until the server closes the connection. Returns the code.
    fn close_code(&mut self) -> Option<u16> {
        while self.read().is_some() {}
        self.0.ended().map(|ended| ended.code())
    }
}

fn nodes(redis: &Redis) -> Vec<Node> {
    (0..3).map(|_| Node::start(&redis.url(), &[])).collect()
}

fn shown(node: &Node, room: &str) -> Value {
    let response = node.get(&format!("/rooms/{room}"));
    let body = response.split_once("\r\n\r\n").map(|(_, body)| body);
    serde_json::from_str(body.unwrap_or_default()).unwrap_or_default()
}

#[track_caller]
fn eventually_names<'n>(nodes: impl IntoIterator<Item = &'n Node>, room: &str, names: &[&str]) {
    let nodes: Vec<&Node> = nodes.into_iter().collect();
    eventually("all nodes have these names", TIMEOUT, || {
        nodes
            .iter()
            .all(|node| shown(node, room)["names"] == json!(names))
    });
}

/// Asks to enter until the answer is an error with this code: the rules come to another node a moment later.
#[track_caller]
fn eventually_refused(node: &Node, room: &str, name: &str, code: &str) {
    eventually("the node refuses the person", TIMEOUT, || {
        let (_, answer) = Person::entering(node, room, name, json!({}));
        answer["code"] == code
    });
}

#[test]
fn names_are_unique_over_the_nodes_and_those_of_a_killed_node_are_free_again() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut nodes = nodes(&redis);
    let mut aiko = Person::entered(&nodes[0], "lobby", "Aiko", json!({}));
    let bo = Person::entered(&nodes[1], "lobby", "Bo", json!({}));
    let _chie = Person::entered(&nodes[2], "lobby", "Chie", json!({}));
    eventually_names(&nodes, "lobby", &["Aiko", "Bo", "Chie"]);
    let (_, answer) = Person::entering(&nodes[2], "lobby", "BO", json!({}));
    assert_eq!(answer["code"], "name_taken");
    nodes[1].kill();
    drop(bo);
    eventually_names([&nodes[0], &nodes[2]], "lobby", &["Aiko", "Chie"]);
    loop {
        if aiko.read_type("left")["name"] == "Bo" {
            break;
        }
    }
    // Another person, and a node that starts.
    let _other = Person::entered(&nodes[2], "lobby", "BO", json!({}));
    nodes[1] = Node::start(&redis.url(), &[]);
    eventually_names(&nodes, "lobby", &["Aiko", "BO", "Chie"]);
}

#[test]
fn moderator_of_one_node_removes_and_bans_on_all_of_them_and_on_one_that_starts() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut nodes = nodes(&redis);
    let mut aiko = Person::entered(&nodes[0], "den", "Aiko", json!({"create": "listed"}));
    let mut bo = Person::entered(&nodes[1], "den", "Bo", json!({}));
    let mut chie = Person::entered(&nodes[2], "den", "Chie", json!({}));
    eventually_names(&nodes, "den", &["Aiko", "Bo", "Chie"]);
    aiko.send(&json!({"type": "kick", "name": "Bo"}));
    assert_eq!(bo.close_code(), Some(4003));
    // What a moderator has done and who has left come in no order.
    let mut told = Vec::new();
    while !["moderated", "left"]
        .iter()
        .all(|kind| told.contains(&(*kind).into()))
    {
        let message = chie.read().expect("it is open");
        if message["name"] == "Bo" {
            told.push(message["type"].clone());
        }
    }
    let mut bo = Person::entered(&nodes[1], "den", "Bo", json!({}));
    eventually_names(&nodes, "den", &["Aiko", "Bo", "Chie"]);
    // A ban is on the address, too: all clients of this test have one, and stay where they are.
    aiko.send(&json!({"type": "ban", "name": "Bo", "seconds": 600}));
    assert_eq!(bo.close_code(), Some(4003));
    eventually_refused(&nodes[2], "den", "Bo", "banned");
    // Its creator moderates the room from another node.
    let mut creator = Person::entered(&nodes[2], "den", "Aiko", json!({}));
    creator.send(&json!({"type": "slow", "seconds": 30, "id": "s"}));
    // Behind what is in the past.
    while creator.read_type("moderated")["action"] != "slow" {}
    nodes[0].kill();
    nodes[0] = Node::start(&redis.url(), &[]);
    eventually_refused(&nodes[0], "den", "Bo", "banned");
    eventually("the slow mode is known", TIMEOUT, || {
        let (_, welcome) = Person::entering(&nodes[0], "den", "Aiko", json!({}));
        welcome["slow_seconds"] == 30
    });
}

#[test]
fn private_room_of_one_node_is_private_on_all_of_them() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let nodes = nodes(&redis);
    let create = json!({"create": "private", "password": "open sesame"});
    let mut aiko = Person::entered(&nodes[0], "den", "Aiko", create);
    eventually_refused(&nodes[1], "den", "Bo", "password_required");
    aiko.send(&json!({"type": "message", "text": "a secret"}));
    aiko.read_type("message");
    let password = json!({"password": "open sesame"});
    let mut bo = Person::entered(&nodes[1], "den", "Bo", password);
    assert_eq!(bo.read_type("message")["text"], "a secret");
    // It was let in on one node, and needs no password on another one.
    eventually("the person is let in", Duration::from_secs(30), || {
        let (_, answer) = Person::entering(&nodes[2], "den", "Bo", json!({}));
        answer["type"] == "welcome"
    });
}

#[test]
fn deleted_message_is_gone_from_redis_and_for_a_client_that_comes_back_to_another_node() {
    let Some(redis) = Redis::start(&["--rdbcompression", "no"]) else {
        return;
    };
    let nodes = nodes(&redis);
    let mut aiko = Person::entered(&nodes[0], "den", "Aiko", json!({"create": "listed"}));
    let texts = ["one", SECRET, "three"];
    let [one, secret, _] = texts.map(|text| {
        aiko.send(&json!({"type": "message", "text": text}));
        aiko.read_type("message")
    });
    let has_secret = |snapshot: &str| {
        redis.snapshot(snapshot);
        let bytes = std::fs::read(redis.folder().join(snapshot)).expect("a snapshot");
        let mut parts = bytes.windows(SECRET.len());
        parts.any(|part| part == SECRET.as_bytes())
    };
    assert!(has_secret("before.rdb"));
    aiko.send(&json!({"type": "delete", "position": secret["position"]}));
    assert_eq!(aiko.read_type("moderated")["target"], secret["position"]);
    // Redis erases it behind the message that says so.
    let mut snapshots = 0;
    eventually("the text is gone", TIMEOUT, || {
        snapshots += 1;
        !has_secret(&format!("after-{snapshots}.rdb"))
    });
    for node in &nodes[1..] {
        let after = json!({"after": one["position"]});
        let (mut late, welcome) = Person::entering(node, "den", "Bo", after);
        assert_eq!(welcome["history"]["gap"], "none");
        let deleted = late.read_type("deleted");
        let expected = json!({"type": "deleted", "position": secret["position"]});
        assert_eq!(deleted, expected);
        assert_eq!(late.read_type("message")["text"], "three");
    }
}

/// Redis refuses no command of nodes whose user has the permissions of `docs/cluster.md`.
#[test]
fn permissions_of_the_page_are_enough() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    assert_eq!(redis.command(block("user", "redis").trim_end()), "+OK");
    let url = format!("redis://yamabiko:long-and-random@{}", redis.address());
    let start = || Node::start(&url, &[]);
    let mut nodes = [start(), start()];
    let mut aiko = Person::entered(&nodes[0], "den", "Aiko", json!({"create": "listed"}));
    aiko.send(&json!({"type": "message", "text": "one"}));
    let one = aiko.read_type("message");
    let mut bo = Person::entered(&nodes[1], "den", "Bo", json!({}));
    assert_eq!(bo.read_type("message")["text"], "one");
    eventually_names(&nodes, "den", &["Aiko", "Bo"]);
    aiko.send(&json!({"type": "delete", "position": one["position"]}));
    assert_eq!(bo.read_type("moderated")["target"], one["position"]);
    eventually("the message is erased", TIMEOUT, || {
        redis
            .lines("INFO commandstats")
            .iter()
            .any(|line| line.starts_with("cmdstat_rename:"))
    });
    aiko.send(&json!({"type": "kick", "name": "Bo"}));
    assert_eq!(bo.close_code(), Some(4003));
    // Another node takes the members of a killed one out, and a new one learns of the room.
    nodes[0].kill();
    eventually_names([&nodes[1]], "den", &[]);
    nodes[0] = start();
    let _aiko = Person::entered(&nodes[0], "den", "Aiko", json!({}));
    eventually_names(&nodes, "den", &["Aiko"]);
    assert_eq!(redis.command("ACL LOG"), "*0", "a command was refused");
}

const SECRET: &str = "a secret that somebody has written by mistake";
