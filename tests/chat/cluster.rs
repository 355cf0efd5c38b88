//! The chat on several servers, which share an engine that the test simulates.

use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use yamabiko::chat::{REMOVED, SessionKey};
use yamabiko::server::{BackplaneConfig, Config};
use yamabiko_testing::engine::SimulatedEngine;
use yamabiko_testing::socket::{TIMEOUT, TestServer, config, eventually};

use crate::person::{chat, enter, entered, entering, get, read, read_type, settings};

/// A server. A node that has ended is known to be gone soon.
fn node(engine: &SimulatedEngine, workers: usize) -> TestServer {
    let backplane = BackplaneConfig {
        beat: Duration::from_millis(50),
        ..engine.node()
    };
    let config = Config {
        backplane: Some(backplane),
        ..settings(config(workers))
    };
    let chat = chat().session_key(SessionKey::new(&[7; 32]).expect("it is long enough"));
    TestServer::start(config, chat)
}

fn nodes(engine: &SimulatedEngine) -> [TestServer; 3] {
    [1, 3, 2].map(|workers| node(engine, workers))
}

/// Since 1970.
fn milliseconds() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later").as_millis()
}

fn shown(server: &TestServer, room: &str) -> Value {
    get(server, &format!("/rooms/{room}"))
}

#[track_caller]
fn eventually_names(nodes: &[TestServer], room: &str, names: &[&str]) {
    eventually("all nodes have these names", TIMEOUT, || {
        let has = |node: &TestServer| {
            let shown = shown(node, room);
            shown["names"] == json!(names) && shown["members"] == names.len()
        };
        nodes.iter().all(has)
    });
}

#[test]
fn names_of_a_room_are_those_of_all_nodes_and_each_change_is_told_once() {
    let engine = SimulatedEngine::start(31);
    let nodes = nodes(&engine);
    let mut aiko = entered(&nodes[0], "lobby", "Aiko", json!({}));
    eventually_names(&nodes, "lobby", &["Aiko"]);
    let (mut bo, welcome) = entering(&nodes[1], "lobby", &enter("Bo", json!({})));
    assert_eq!(welcome["names"], json!(["Aiko", "Bo"]));
    let joined = read_type(&mut aiko, "joined");
    assert_eq!(joined["name"], "Bo");
    // On another node the name is taken, too.
    eventually_names(&nodes, "lobby", &["Aiko", "Bo"]);
    let session = json!({"session": "another person's"});
    let (_, answer) = entering(&nodes[2], "lobby", &enter("BO", session));
    assert_eq!(
        (&answer["code"], &answer["suggestion"]),
        (&"name_taken".into(), &"BO 2".into())
    );
    bo.text(r#"{"type":"rename","name":"Ben"}"#);
    assert_eq!(read_type(&mut aiko, "left")["to"], "Ben");
    let joined = read_type(&mut aiko, "joined");
    assert_eq!(
        (&joined["name"], &joined["was"]),
        (&"Ben".into(), &"Bo".into())
    );
    bo.text(r#"{"type":"leave"}"#);
    let left = read_type(&mut aiko, "left");
    assert_eq!(left["name"], "Ben");
    assert_eq!(
        left["revision"].as_u64(),
        joined["revision"].as_u64().map(|revision| revision + 1)
    );
    eventually_names(&nodes, "lobby", &["Aiko"]);
}

#[test]
fn person_with_tabs_on_two_nodes_is_listed_once_and_renamed_on_both() {
    let engine = SimulatedEngine::start(32);
    let nodes = nodes(&engine);
    let mut bo = entered(&nodes[2], "lobby", "Bo", json!({}));
    let mut one = entered(&nodes[0], "lobby", "Aiko", json!({}));
    assert_eq!(read_type(&mut bo, "joined")["name"], "Aiko");
    eventually_names(&nodes, "lobby", &["Aiko", "Bo"]);
    let mut other = entered(&nodes[1], "lobby", "Aiko", json!({}));
    one.text(r#"{"type":"rename","name":"Aki"}"#);
    let renamed = read_type(&mut other, "joined");
    assert_eq!(
        (&renamed["name"], &renamed["was"]),
        (&"Aki".into(), &"Aiko".into())
    );
    other.text(r#"{"type":"message","text":"here"}"#);
    assert_eq!(read_type(&mut bo, "message")["from"], "Aki");
    eventually_names(&nodes, "lobby", &["Aki", "Bo"]);
    // The name is there until its last connection has gone.
    one.text(r#"{"type":"leave"}"#);
    read_type(&mut one, "left");
    other.text(r#"{"type":"names"}"#);
    assert_eq!(
        read_type(&mut other, "names")["names"],
        json!(["Aki", "Bo"])
    );
    drop(other);
    eventually_names(&nodes, "lobby", &["Bo"]);
}

#[test]
fn name_that_two_nodes_have_given_is_kept_by_the_first_person_and_the_other_one_is_renamed() {
    let engine = SimulatedEngine::start(33);
    let nodes = nodes(&engine);
    // Both are in the room already, so that a name alone is what comes late.
    let mut first = entered(&nodes[0], "lobby", "Aiko", json!({}));
    let mut second = entered(&nodes[1], "lobby", "Bo", json!({}));
    eventually_names(&nodes, "lobby", &["Aiko", "Bo"]);
    engine.pause();
    let mut given_at = 0;
    for client in [&mut first, &mut second] {
        client.text(r#"{"type":"rename","name":"Chie"}"#);
        loop {
            let joined = read_type(client, "joined");
            if joined["name"] == "Chie" {
                break;
            }
        }
        // The names are given one after the other by the clock, too.
        let last = std::mem::replace(&mut given_at, milliseconds());
        assert!(given_at > last);
        eventually("the clock has gone on", TIMEOUT, || {
            milliseconds() > given_at
        });
    }
    engine.go_on();
    // It is also told that the other person, which was `Aiko`, has the name.
    let mut renamed = read_type(&mut second, "joined");
    while renamed["was"] != "Chie" {
        renamed = read_type(&mut second, "joined");
    }
    assert_eq!(renamed["name"], "Chie 2");
    eventually_names(&nodes, "lobby", &["Chie", "Chie 2"]);
    second.text(r#"{"type":"message","text":"who am I?"}"#);
    assert_eq!(read_type(&mut first, "message")["from"], "Chie 2");
}

#[test]
fn members_of_a_node_that_is_cut_off_are_gone_and_are_there_again() {
    let engine = SimulatedEngine::start(34);
    let nodes = nodes(&engine);
    let _aiko = entered(&nodes[0], "lobby", "Aiko", json!({}));
    let _bo = entered(&nodes[1], "lobby", "Bo", json!({}));
    eventually_names(&nodes, "lobby", &["Aiko", "Bo"]);
    engine.set_cut(1, true);
    eventually_names(&nodes[..1], "lobby", &["Aiko"]);
    eventually_names(&nodes[2..], "lobby", &["Aiko"]);
    // The other side knows no better.
    eventually_names(&nodes[1..2], "lobby", &["Aiko", "Bo"]);
    engine.set_cut(1, false);
    eventually_names(&nodes, "lobby", &["Aiko", "Bo"]);
}

/// Asks to enter until the answer has this code: a rule comes to another node a moment later.
#[track_caller]
fn eventually_refused(server: &TestServer, room: &str, request: &str, code: &str) {
    eventually("the node refuses the person", TIMEOUT, || {
        entering(server, room, request).1["code"] == code
    });
}

#[test]
fn moderator_removes_and_bans_people_of_all_nodes_and_one_that_starts_knows() {
    let engine = SimulatedEngine::start(35);
    let mut nodes = Vec::from(nodes(&engine));
    let mut aiko = entered(&nodes[0], "den", "Aiko", json!({"create": "listed"}));
    let mut chie = entered(&nodes[2], "den", "Chie", json!({}));
    let mut bo = entered(&nodes[1], "den", "Bo", json!({}));
    eventually_names(&nodes, "den", &["Aiko", "Bo", "Chie"]);
    aiko.text(r#"{"type":"kick","name":"Bo"}"#);
    assert_eq!(bo.read_until_close().0, REMOVED);
    // What a moderator has done and who has left come in no order.
    let mut told = Vec::new();
    while !["moderated", "left"]
        .iter()
        .all(|kind| told.contains(&(*kind).into()))
    {
        let message = read(&mut chie);
        if message["name"] == "Bo" {
            told.push(message["type"].clone());
        }
    }
    let mut bo = entered(&nodes[1], "den", "Bo", json!({}));
    let mut again = entered(&nodes[2], "den", "Bo", json!({}));
    eventually_names(&nodes, "den", &["Aiko", "Bo", "Chie"]);
    aiko.text(r#"{"type":"mute","name":"Chie","seconds":600}"#);
    eventually("she is muted on her node", TIMEOUT, || {
        chie.text(r#"{"type":"action","text":"waves"}"#);
        let answer = loop {
            let message = read(&mut chie);
            if message["type"] == "message" || message["code"] == "muted" {
                break message;
            }
        };
        answer["code"] == "muted"
    });
    aiko.text(r#"{"type":"ban","name":"Bo","seconds":600}"#);
    assert_eq!(bo.read_until_close().0, REMOVED);
    assert_eq!(again.read_until_close().0, REMOVED);
    eventually_refused(&nodes[1], "den", &enter("Bo", json!({})), "banned");
    // The node that has decided it ends.
    drop(aiko);
    drop(nodes.remove(0));
    nodes.push(node(&engine, 1));
    eventually_refused(&nodes[2], "den", &enter("Bo", json!({})), "banned");
    for node in &nodes {
        let create = enter("Bo", json!({"create": "listed"}));
        assert_eq!(entering(node, "den", &create).1["code"], "room_exists");
    }
}

#[test]
fn private_room_is_private_on_all_nodes_and_lets_the_same_people_in() {
    let engine = SimulatedEngine::start(36);
    let nodes = nodes(&engine);
    let create = json!({"create": "private", "password": "open sesame"});
    let mut aiko = entered(&nodes[0], "den", "Aiko", create);
    eventually_refused(
        &nodes[1],
        "den",
        &enter("Bo", json!({})),
        "password_required",
    );
    aiko.text(r#"{"type":"message","text":"a secret"}"#);
    read_type(&mut aiko, "message");
    let wrong = enter("Bo", json!({"password": "open barley"}));
    assert_eq!(
        entering(&nodes[1], "den", &wrong).1["code"],
        "password_wrong"
    );
    let mut bo = entered(&nodes[1], "den", "Bo", json!({"password": "open sesame"}));
    assert_eq!(read_type(&mut bo, "message")["text"], "a secret");
    // It was let in on one node, and needs no password on another one.
    eventually("the person is let in", TIMEOUT, || {
        entering(&nodes[2], "den", &enter("Bo", json!({}))).1["type"] == "welcome"
    });
    // The creator moderates on each node.
    let (mut creator, welcome) = entering(&nodes[2], "den", &enter("Aiko", json!({})));
    assert_eq!(welcome["moderator"], true);
    creator.text(r#"{"type":"invite","seconds":600,"id":"i"}"#);
    let invitation = read_type(&mut creator, "invitation");
    let invited = json!({"invitation": invitation["invitation"]});
    let _chie = entered(&nodes[0], "den", "Chie", invited);
    // Outsiders see nobody of it, on no node.
    for node in &nodes {
        assert_eq!(shown(node, "den")["members"], 0);
    }
}

#[test]
fn topic_and_slow_mode_are_known_to_those_who_enter_on_another_node() {
    let engine = SimulatedEngine::start(37);
    let nodes = nodes(&engine);
    let mut aiko = entered(&nodes[0], "den", "Aiko", json!({"create": "unlisted"}));
    aiko.text(r#"{"type":"topic","text":"Tea at four"}"#);
    aiko.text(r#"{"type":"slow","seconds":30}"#);
    read_type(&mut aiko, "moderated");
    for node in &nodes {
        eventually("the node knows both", TIMEOUT, || {
            let (_, welcome) = entering(node, "den", &enter("Bo", json!({})));
            welcome["topic"]["text"] == "Tea at four" && welcome["slow_seconds"] == 30
        });
    }
    // The next topic of another node has the next number.
    let mut bo = entered(&nodes[1], "den", "Bo", json!({}));
    bo.text(r#"{"type":"topic","text":"Tea at five"}"#);
    let mut topic = read_type(&mut bo, "topic");
    while topic["text"] != "Tea at five" {
        // The one of before is part of the past.
        topic = read_type(&mut bo, "topic");
    }
    assert_eq!(topic["revision"], 2);
}
