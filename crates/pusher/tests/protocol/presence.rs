//! Presence channels: the members are users, however many connections they have.

use serde_json::{Value, json};
use yamabiko_pusher::AppLimits;
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{Service, authorisation, with_1_and_3_workers};

const CHANNEL: &str = "presence-room";

#[test]
fn new_member_gets_all_members_and_the_others_get_the_new_one() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut ann = service.connect();
        let members = ann.enter(CHANNEL, "ann");
        assert_eq!(
            members,
            json!({"ids": ["ann"], "hash": {"ann": {"name": "ann"}}, "count": 1})
        );
        let mut bob = service.connect();
        let members = bob.enter(CHANNEL, "bob");
        assert_eq!(members["ids"], json!(["ann", "bob"]));
        assert_eq!(members["hash"]["ann"], json!({"name": "ann"}));
        assert_eq!(members["count"], 2);
        let added = ann.expect("pusher_internal:member_added", CHANNEL);
        assert_eq!(
            added,
            json!({"user_id": "bob", "user_info": {"name": "bob"}})
        );
        bob.unsubscribe(CHANNEL);
        let removed = ann.expect("pusher_internal:member_removed", CHANNEL);
        assert_eq!(removed, json!({"user_id": "bob"}));
        bob.expect_nothing();
        ann.expect_nothing();
    });
}

#[test]
fn user_with_several_connections_comes_with_the_first_and_goes_with_the_last() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut ann = service.connect();
        ann.enter(CHANNEL, "ann");
        let mut first = service.connect();
        first.enter(CHANNEL, "bob");
        ann.expect("pusher_internal:member_added", CHANNEL);
        let mut second = service.connect();
        let members = second.enter(CHANNEL, "bob");
        assert_eq!(
            (&members["count"], &members["ids"]),
            (&json!(2), &json!(["ann", "bob"]))
        );
        drop(first);
        eventually("the connection has ended", TIMEOUT, || {
            service.counts().connections == 2
        });
        ann.expect_nothing();
        second.unsubscribe(CHANNEL);
        let removed = ann.expect("pusher_internal:member_removed", CHANNEL);
        assert_eq!(removed["user_id"], "bob");
    });
}

#[test]
fn member_that_dies_is_removed() {
    let service = Service::start(1);
    let mut ann = service.connect();
    ann.enter(CHANNEL, "ann");
    let mut bob = service.connect();
    bob.enter(CHANNEL, "bob");
    ann.expect("pusher_internal:member_added", CHANNEL);
    bob.client.reset();
    assert_eq!(
        ann.expect("pusher_internal:member_removed", CHANNEL)["user_id"],
        "bob"
    );
}

#[test]
fn number_counts_as_its_decimal_text_and_ids_are_free_text() {
    let service = Service::start(1);
    let mut first = service.connect();
    first.request_as(CHANNEL, r#"{"user_id":10}"#);
    let members = first.expect("pusher_internal:subscription_succeeded", CHANNEL);
    assert_eq!(
        members["presence"],
        json!({"ids": ["10"], "hash": {"10": null}, "count": 1})
    );
    let mut second = service.connect();
    second.request_as(CHANNEL, r#"{"user_id":"10"}"#);
    second.expect("pusher_internal:subscription_succeeded", CHANNEL);
    first.expect_nothing();
    for (number, id) in ["__proto__", "\"\\\u{e9}", "constructor"]
        .iter()
        .enumerate()
    {
        let mut client = service.connect();
        client.request_as(
            CHANNEL,
            &json!({"user_id": id, "user_info": [1]}).to_string(),
        );
        let members = client.expect("pusher_internal:subscription_succeeded", CHANNEL);
        assert_eq!(members["presence"]["hash"][id], json!([1]));
        let added = first.expect("pusher_internal:member_added", CHANNEL);
        assert_eq!(added["user_id"], *id, "{number}");
        drop(client);
        assert_eq!(
            first.expect("pusher_internal:member_removed", CHANNEL)["user_id"],
            *id
        );
    }
}

#[test]
fn channel_data_without_a_user_are_refused() {
    let service = Service::start(1);
    let mut client = service.connect();
    let long = json!({"user_id": "u".repeat(129)}).to_string();
    for data in [
        "",
        "x",
        "[]",
        "{}",
        r#"{"user_id":null}"#,
        r#"{"user_id":""}"#,
        r#"{"user_id":{}}"#,
        &long,
    ] {
        client.request_as(CHANNEL, data);
        let error = client.expect("pusher:subscription_error", CHANNEL);
        assert_eq!(error["type"], "AuthError", "{data}");
    }
    client.request_as(CHANNEL, &json!({"user_id": "u".repeat(128)}).to_string());
    client.expect("pusher_internal:subscription_succeeded", CHANNEL);
}

#[test]
fn members_and_what_they_tell_are_limited() {
    let service = Service::with_limits(AppLimits {
        presence_members_max: 2,
        user_info_bytes_max: 5,
        ..AppLimits::default()
    });
    let mut client = service.connect();
    client.request_as(CHANNEL, r#"{"user_id":"a","user_info":"1234"}"#);
    assert_eq!(
        client.expect("pusher:subscription_error", CHANNEL)["type"],
        "LimitReached"
    );
    client.request_as(CHANNEL, r#"{"user_id":"a","user_info":"123"}"#);
    client.expect("pusher_internal:subscription_succeeded", CHANNEL);
    let mut second = service.connect();
    second.request_as(CHANNEL, r#"{"user_id":"b"}"#);
    second.expect("pusher_internal:subscription_succeeded", CHANNEL);
    let mut third = service.connect();
    third.request_as(CHANNEL, r#"{"user_id":"c"}"#);
    assert_eq!(
        third.expect("pusher:subscription_error", CHANNEL)["type"],
        "LimitReached"
    );
    third.request_as(CHANNEL, r#"{"user_id":"b"}"#);
    third.expect("pusher_internal:subscription_succeeded", CHANNEL);
}

#[test]
fn signed_in_user_needs_no_channel_data() {
    let service = Service::start(1);
    let mut client = service.connect();
    let socket_id = client.socket_id.clone();
    let auth = authorisation(&[&socket_id, ":", CHANNEL]);
    let request = json!({"event": "pusher:subscribe", "data": {"channel": CHANNEL, "auth": auth}});
    client.send(&request);
    client.expect("pusher:subscription_error", CHANNEL);
    client.sign_in(r#"{"id":"ann","user_info":{"a":1}}"#);
    client.send(&request);
    let members = client.expect("pusher_internal:subscription_succeeded", CHANNEL);
    assert_eq!(members["presence"]["hash"], json!({"ann": {"a": 1}}));
}

#[test]
fn presence_with_cache_has_both() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.enter("presence-cache-a", "ann");
    assert_eq!(client.read()["event"], "pusher:cache_miss");
    service.trigger("presence-cache-a", "one", "1");
    assert_eq!(client.expect("one", "presence-cache-a"), 1);
    let mut other = service.connect();
    other.enter("presence-cache-a", "bob");
    assert_eq!(other.expect("one", "presence-cache-a"), 1);
}

/// Each client applies the changes to the members that it got; all of them arrive at the same set.
#[test]
fn members_that_a_client_knows_are_those_that_the_server_has_after_any_coming_and_going() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut watcher = service.connect();
        watcher.enter(CHANNEL, "watcher");
        std::thread::scope(|scope| {
            for user in ["a", "b", "c"] {
                for _ in 0..2 {
                    scope.spawn({
                        let service = &service;
                        move || {
                            let mut client = service.connect();
                            for _ in 0..15 {
                                client.request_as(CHANNEL, &json!({"user_id": user}).to_string());
                                while client.read()["event"]
                                    != "pusher_internal:subscription_succeeded"
                                {
                                }
                                client.unsubscribe(CHANNEL);
                            }
                            client.request_as(CHANNEL, r#"{"user_id":"end"}"#);
                            while client.read()["event"] != "pusher_internal:subscription_succeeded"
                            {
                            }
                        }
                    });
                }
            }
        });
        eventually("only the watcher is there", TIMEOUT, || {
            let (_, users) = service.get(&format!("/channels/{CHANNEL}/users"), "");
            users == json!({"users": [{"id": "watcher"}]})
        });
        let mut known = std::collections::BTreeMap::new();
        // Behind all changes in the order of the channel.
        service.trigger(CHANNEL, "last", "{}");
        loop {
            let message = watcher.read();
            let data: Value =
                serde_json::from_str(message["data"].as_str().expect("a text")).expect("JSON");
            let user = data["user_id"].as_str().unwrap_or_default().to_owned();
            match message["event"].as_str().expect("a text") {
                "last" => break,
                "pusher_internal:member_added" => {
                    assert_eq!(known.insert(user, ()), None, "{message}")
                }
                "pusher_internal:member_removed" => {
                    assert_eq!(known.remove(&user), Some(()), "{message}")
                }
                other => panic!("{other}"),
            }
        }
        assert!(known.is_empty(), "{known:?}");
    });
}
