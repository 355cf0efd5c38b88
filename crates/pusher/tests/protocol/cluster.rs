//! An app on two servers, which share an engine that the test simulates.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use yamabiko::server::{BackplaneConfig, Config};
use yamabiko_pusher::{App, Webhook, WebhookKind};
use yamabiko_testing::engine::SimulatedEngine;
use yamabiko_testing::socket;
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{ID, Service, Subscriber, app};
use crate::web_server::web_server;

/// A node, started.
fn node(engine: &SimulatedEngine, workers: usize, app: App) -> Service {
    let backplane = BackplaneConfig {
        beat: Duration::from_millis(50),
        ..engine.node()
    };
    let config = Config {
        backplane: Some(backplane),
        ..socket::config(workers)
    };
    Service::on(config, [app])
}

/// Two nodes that know each other.
fn two_nodes(engine: &SimulatedEngine, app: &App) -> [Service; 2] {
    let nodes = [1, 3].map(|workers| node(engine, workers, app.clone()));
    for (one, other) in [(0, 1), (1, 0)] {
        let _client = nodes[one].subscribed_to(&["probe"]);
        eventually_occupied(&nodes[other], "probe", true);
    }
    for node in &nodes {
        eventually_occupied(node, "probe", false);
    }
    nodes
}

/// A subscriber of a channel on each node. The engine has told the nodes where the channel is: what follows comes to all of them.
fn subscribers(engine: &SimulatedEngine, nodes: &[Service], channel: &str) -> Vec<Subscriber> {
    let mut clients: Vec<Subscriber> = nodes
        .iter()
        .map(|node| node.subscribed_to(&[channel]))
        .collect();
    // The events of a cache channel take the way by which all nodes know of each other.
    if channel.contains("cache-") {
        for client in &mut clients {
            client.expect("pusher:cache_miss", channel);
        }
    } else {
        let room = format!("/apps/{ID}/channels/{channel}");
        eventually("all nodes have been told", TIMEOUT, || {
            engine.told(&room) == nodes.len()
        });
    }
    clients
}

/// A web server for each node, because each node has a connection of its own. What all of them receive comes together.
fn webhooks(nodes: usize, kinds: &[WebhookKind]) -> (Vec<App>, Receiver<Value>) {
    let (sender, events) = channel();
    let app_of_node = |_| {
        let (url, requests) = web_server(&[]);
        let sender = sender.clone();
        thread::spawn(move || {
            for received in requests {
                for event in received.events() {
                    let _ = sender.send(event);
                }
            }
        });
        let webhook = Webhook::new(url).expect("a URL");
        app().webhook(webhook.kinds(kinds.iter().copied()))
    };
    ((0..nodes).map(app_of_node).collect(), events)
}

#[track_caller]
fn next_event(events: &Receiver<Value>) -> Value {
    events.recv_timeout(TIMEOUT).expect("an event")
}

#[track_caller]
fn eventually_occupied(node: &Service, channel: &str, is_occupied: bool) {
    let path = format!("/channels/{channel}");
    eventually("the node knows of it", TIMEOUT, || {
        node.get(&path, "").1["occupied"] == is_occupied
    });
}

#[track_caller]
fn eventually_users(node: &Service, channel: &str, ids: &[&str]) {
    let path = format!("/channels/{channel}/users");
    let users: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    eventually("the node knows the users", TIMEOUT, || {
        node.get(&path, "").1["users"] == json!(users)
    });
}

#[test]
fn events_of_one_node_come_to_the_subscribers_of_all() {
    let engine = SimulatedEngine::start(21);
    let nodes = two_nodes(&engine, &app());
    for channel in ["a", "cache-b"] {
        let mut clients = subscribers(&engine, &nodes, channel);
        for node in &nodes {
            node.trigger(channel, "e", "1");
            for client in &mut clients {
                assert_eq!(client.expect("e", channel), 1);
            }
        }
    }
}

#[test]
fn connection_of_another_node_is_left_out() {
    let engine = SimulatedEngine::start(22);
    let nodes = two_nodes(&engine, &app());
    for channel in ["a", "cache-b"] {
        let mut clients = subscribers(&engine, &nodes, channel);
        for left_out in 0..2 {
            let socket_id = &clients[left_out].socket_id;
            let body =
                json!({"name": "e", "data": "x", "channel": channel, "socket_id": socket_id});
            assert_eq!(nodes[0].post("/events", &body).0, 200);
            assert_eq!(clients[1 - left_out].expect("e", channel), "x");
            nodes[0].trigger(channel, "last", "y");
            for client in &mut clients {
                assert_eq!(client.expect("last", channel), "y");
            }
        }
    }
    let body = json!({"name": "e", "data": "x", "channel": "a", "socket_id": "1.2"});
    assert_eq!(nodes[0].post("/events", &body).0, 200, "no node has it");
}

#[test]
fn kept_event_of_a_cache_channel_is_that_of_the_cluster() {
    let engine = SimulatedEngine::start(23);
    let nodes = two_nodes(&engine, &app());
    nodes[0].trigger("cache-a", "e", "kept");
    eventually("the other node keeps it", TIMEOUT, || {
        nodes[1].get("/channels/cache-a", "&info=cache").1["cache"]["data"] == "kept"
    });
    let mut client = nodes[1].subscribed_to(&["cache-a"]);
    assert_eq!(client.expect("e", "cache-a"), "kept");
    nodes[0].trigger("cache-a", "e", "next");
    assert_eq!(client.expect("e", "cache-a"), "next");
}

#[test]
fn clients_events_come_to_the_clients_of_other_nodes() {
    let engine = SimulatedEngine::start(24);
    let nodes = two_nodes(&engine, &app());
    for channel in ["private-a", "private-cache-a"] {
        let mut clients = subscribers(&engine, &nodes, channel);
        clients[0].whisper(channel, "client-e", &json!("x"));
        assert_eq!(clients[1].expect("client-e", channel), "x");
        clients[0].expect_nothing();
    }
}

#[test]
fn members_of_all_nodes_are_one_channel() {
    let engine = SimulatedEngine::start(25);
    let nodes = two_nodes(&engine, &app());
    let mut ann = nodes[0].connect();
    assert_eq!(ann.enter("presence-a", "ann")["count"], 1);
    eventually_users(&nodes[1], "presence-a", &["ann"]);
    let mut bob = nodes[1].connect();
    let members = bob.enter("presence-a", "bob");
    assert_eq!(members["ids"], json!(["ann", "bob"]));
    assert_eq!(members["hash"]["ann"], json!({"name": "ann"}));
    let added = ann.expect("pusher_internal:member_added", "presence-a");
    assert_eq!(
        added,
        json!({"user_id": "bob", "user_info": {"name": "bob"}})
    );
    eventually_users(&nodes[0], "presence-a", &["ann", "bob"]);
    // A second connection of a user, on the other node, changes nothing.
    let mut second = nodes[0].connect();
    assert_eq!(second.enter("presence-a", "bob")["count"], 2);
    let count = |node: &Service| node.get("/channels/presence-a", "&info=user_count").1;
    for node in &nodes {
        assert_eq!(count(node)["user_count"], 2);
    }
    drop(bob);
    nodes[0].trigger("presence-a", "e", "1");
    assert_eq!(ann.expect("e", "presence-a"), 1);
    second.unsubscribe("presence-a");
    let removed = ann.expect("pusher_internal:member_removed", "presence-a");
    assert_eq!(removed, json!({"user_id": "bob"}));
    eventually_users(&nodes[1], "presence-a", &["ann"]);
    let listed = nodes[1]
        .get("/channels", "&filter_by_prefix=presence-&info=user_count")
        .1;
    assert_eq!(listed["channels"], json!({"presence-a": {"user_count": 1}}));
}

#[test]
fn subscribers_of_all_nodes_are_counted() {
    let engine = SimulatedEngine::start(26);
    let nodes = two_nodes(&engine, &app().subscription_counts(true));
    let mut first = nodes[0].connect();
    first.subscribe("a");
    let count = |client: &mut Subscriber| {
        client.expect("pusher_internal:subscription_count", "a")["subscription_count"].clone()
    };
    assert_eq!(count(&mut first), 1);
    eventually_occupied(&nodes[1], "a", true);
    let mut second = nodes[1].connect();
    second.subscribe("a");
    assert_eq!(count(&mut second), 2);
    assert_eq!(count(&mut first), 2);
    drop(second);
    assert_eq!(count(&mut first), 1);
    let told = nodes[1].get("/channels/a", "&info=subscription_count").1;
    assert_eq!(told["subscription_count"], 1);
}

#[test]
fn user_is_terminated_and_watched_on_all_nodes() {
    let engine = SimulatedEngine::start(27);
    let nodes = two_nodes(&engine, &app());
    let mut ann = nodes[0].connect();
    ann.sign_in(r#"{"id":"ann","watchlist":["bob"]}"#);
    let mut bobs: Vec<Subscriber> = nodes.iter().map(Service::connect).collect();
    for bob in &mut bobs {
        bob.sign_in(r#"{"id":"bob"}"#);
    }
    let watched = |client: &mut Subscriber| {
        let message = client.read();
        let data = message["data"].as_str().expect("a text").to_owned();
        let data: Value = serde_json::from_str(&data).expect("JSON");
        data["events"].clone()
    };
    assert_eq!(
        watched(&mut ann),
        json!([{"name": "online", "user_ids": ["bob"]}])
    );
    let answer = nodes[0].post("/users/bob/terminate_connections", &json!({}));
    assert_eq!(answer, (200, json!({})));
    for bob in &mut bobs {
        assert_eq!(bob.client.read_close().0, 4009);
    }
    drop(bobs);
    let mut change = watched(&mut ann);
    if change == json!([{"name": "online", "user_ids": ["bob"]}]) {
        // The node of the other connection had not told of it when the first one ended.
        change = json!([{"name": "offline", "user_ids": ["bob"]}]);
    }
    assert_eq!(change, json!([{"name": "offline", "user_ids": ["bob"]}]));
}

#[test]
fn channel_is_occupied_and_vacated_once_for_the_cluster() {
    let engine = SimulatedEngine::start(28);
    let kinds = [
        WebhookKind::ChannelOccupied,
        WebhookKind::ChannelVacated,
        WebhookKind::MemberAdded,
        WebhookKind::MemberRemoved,
    ];
    let (apps, requests) = webhooks(2, &kinds);
    let nodes: Vec<Service> = apps.into_iter().map(|app| node(&engine, 1, app)).collect();
    let mut ann = nodes[0].connect();
    ann.enter("presence-a", "ann");
    eventually_users(&nodes[1], "presence-a", &["ann"]);
    let mut second = nodes[1].connect();
    second.enter("presence-a", "ann");
    let mut told = [next_event(&requests), next_event(&requests)];
    told.sort_by_key(Value::to_string);
    let occupied = json!({"name": "channel_occupied", "channel": "presence-a"});
    let added = json!({"name": "member_added", "channel": "presence-a", "user_id": "ann"});
    assert_eq!(told, [occupied, added]);
    // The user goes from one node to the other: no end, and no new beginning.
    drop(ann);
    second.unsubscribe("presence-a");
    for node in &nodes {
        eventually_occupied(node, "presence-a", false);
    }
    let mut third = nodes[0].connect();
    third.enter("presence-a", "ann");
    drop(third);
    let mut told = [next_event(&requests), next_event(&requests)];
    told.sort_by_key(Value::to_string);
    let vacated = json!({"name": "channel_vacated", "channel": "presence-a"});
    let removed = json!({"name": "member_removed", "channel": "presence-a", "user_id": "ann"});
    assert_eq!(told, [vacated, removed]);
    let _last = nodes[1].subscribed_to(&["b"]);
    assert_eq!(
        next_event(&requests),
        json!({"name": "channel_occupied", "channel": "b"})
    );
}

#[test]
fn members_of_a_node_that_is_gone_are_removed_once_and_no_others() {
    let engine = SimulatedEngine::start(29);
    let (apps, requests) = webhooks(3, &[WebhookKind::MemberRemoved]);
    let nodes: Vec<Service> = apps.into_iter().map(|app| node(&engine, 1, app)).collect();
    let users = ["ann", "bob", "cid"];
    let mut clients: Vec<Subscriber> = Vec::new();
    for (index, user) in users.iter().enumerate() {
        let mut client = nodes[index].connect();
        client.enter("presence-a", user);
        clients.push(client);
        for node in &nodes {
            eventually_users(node, "presence-a", &users[..=index]);
        }
    }
    engine.set_cut(2, true);
    for node in &nodes[..2] {
        eventually_users(node, "presence-a", &["ann", "bob"]);
    }
    assert_eq!(
        next_event(&requests),
        json!({"name": "member_removed", "channel": "presence-a", "user_id": "cid"})
    );
    assert!(requests.try_recv().is_err(), "once");
    assert_eq!(nodes[2].counts().connections, 1, "nobody was disconnected");
}
