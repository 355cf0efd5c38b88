//! Events of clients for each other.

use serde_json::{Value, json};
use yamabiko_pusher::AppLimits;

use crate::harness::{Service, app, with_1_and_3_workers};

#[test]
fn others_get_the_event_with_its_data_as_they_came() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut sender = service.subscribed_to(&["private-a"]);
        let mut receiver = service.subscribed_to(&["private-a"]);
        for data in [r#"{"x" : 1.0}"#, r#""text\u0041""#, "null", "[1 ,2]"] {
            sender.client.text(&format!(
                r#"{{"event":"client-x","channel":"private-a","data":{data},"user_id":"forged"}}"#
            ));
            assert_eq!(
                receiver.client.read_text(),
                format!(r#"{{"event":"client-x","channel":"private-a","data":{data}}}"#)
            );
        }
        sender.send(&json!({"event": "client-none", "channel": "private-a"}));
        assert_eq!(
            receiver.read(),
            json!({"event": "client-none", "channel": "private-a"})
        );
        sender.expect_nothing();
    });
}

#[test]
fn event_on_a_presence_channel_names_the_member_who_sent_it() {
    let service = Service::start(1);
    let mut ann = service.connect();
    ann.enter("presence-a", "ann");
    let mut bob = service.connect();
    bob.enter("presence-a", "bob");
    ann.expect("pusher_internal:member_added", "presence-a");
    bob.send(&json!({"event": "client-x", "channel": "presence-a", "data": {}, "user_id": "ann"}));
    let message = ann.read();
    assert_eq!(message["user_id"], "bob");
    bob.expect_nothing();
}

#[test]
fn event_is_refused_if_a_rule_is_broken_and_the_connection_goes_on() {
    let service = Service::start(1);
    let mut sender = service.subscribed_to(&["private-a", "a", "cache-b"]);
    sender.read();
    let mut receiver = service.subscribed_to(&["private-a", "a"]);
    let long = format!("client-{}", "x".repeat(194));
    for (event, channel) in [
        ("client-x", "a"),
        ("client-x", "cache-b"),
        ("client-x", "private-b"),
        ("client-x", ""),
        ("x", "private-a"),
        ("Client-x", "private-a"),
        ("pusher:x", "private-a"),
        ("pusher_internal:member_added", "private-a"),
        (&long, "private-a"),
    ] {
        sender.whisper(channel, event, &json!({}));
        assert_eq!(sender.expect_error(), Value::Null, "{event} {channel}");
    }
    receiver.expect_nothing();
    sender.whisper("private-a", &long[..200], &json!({}));
    assert_eq!(receiver.read()["event"], long[..200]);
    assert_eq!(service.counts().client_events_refused, 9);
}

#[test]
fn app_may_forbid_events_of_clients() {
    let service = Service::with(1, [app().client_events(false)]);
    let mut sender = service.subscribed_to(&["private-a"]);
    sender.whisper("private-a", "client-x", &json!({}));
    assert_eq!(sender.expect_error(), Value::Null);
}

#[test]
fn data_are_limited_as_those_of_the_http_api() {
    let service = Service::start(1);
    let mut sender = service.subscribed_to(&["private-a"]);
    let mut receiver = service.subscribed_to(&["private-a"]);
    // With the quotation marks.
    sender.whisper("private-a", "client-x", &json!("x".repeat(10_240 - 1)));
    assert_eq!(sender.expect_error(), Value::Null);
    sender.whisper("private-a", "client-x", &json!("x".repeat(10_240 - 2)));
    assert_eq!(receiver.read()["event"], "client-x");
}

#[test]
fn more_than_ten_events_at_once_are_refused_with_4301() {
    let service = Service::start(1);
    let mut sender = service.subscribed_to(&["private-a"]);
    let mut receiver = service.subscribed_to(&["private-a"]);
    for number in 0..30 {
        sender.whisper("private-a", "client-x", &json!(number));
    }
    sender.send(&json!({"event": "pusher:ping"}));
    let mut refused = 0;
    loop {
        let message = sender.read();
        if message["event"] == "pusher:pong" {
            break;
        }
        assert_eq!(
            (&message["data"]["code"], &message["channel"]),
            (&json!(4301), &json!("private-a"))
        );
        refused += 1;
    }
    // A slow machine may take more than a tenth of a second for them.
    assert!((1..=20).contains(&refused), "{refused}");
    for _ in 0..30 - refused {
        assert_eq!(receiver.read()["event"], "client-x");
    }
    receiver.expect_nothing();
}

#[test]
fn messages_of_a_period_are_limited_for_clients_and_http_together() {
    let service = Service::with_limits(AppLimits {
        messages_max: Some(3),
        ..AppLimits::default()
    });
    let mut sender = service.subscribed_to(&["private-a"]);
    service.trigger("private-a", "one", "1");
    sender.expect("one", "private-a");
    sender.whisper("private-a", "client-x", &json!({}));
    sender.expect_nothing();
    let two = json!({"name": "n", "channels": ["a", "b"], "data": "x"});
    let (status, reason) = service.post("/events", &two);
    assert_eq!(status, 403, "{reason}");
    sender.whisper("private-a", "client-x", &json!({}));
    sender.expect_nothing();
    sender.whisper("private-a", "client-x", &json!({}));
    assert_eq!(sender.expect_error(), 4301);
    assert_eq!(service.counts().messages_in_period, 3);
}

#[test]
fn event_of_a_client_is_not_kept_by_a_cache_channel() {
    let service = Service::start(1);
    let mut sender = service.subscribed_to(&["private-cache-a"]);
    assert_eq!(sender.read()["event"], "pusher:cache_miss");
    service.trigger("private-cache-a", "kept", "1");
    sender.expect("kept", "private-cache-a");
    sender.whisper("private-cache-a", "client-x", &json!({}));
    sender.expect_nothing();
    let mut other = service.subscribed_to(&["private-cache-a"]);
    assert_eq!(other.expect("kept", "private-cache-a"), 1);
    other.expect_nothing();
}

#[test]
fn event_of_a_client_on_an_encrypted_channel_is_passed_on() {
    let service = Service::start(1);
    let mut sender = service.subscribed_to(&["private-encrypted-a"]);
    let mut other = service.subscribed_to(&["private-encrypted-a"]);
    let data = json!({"nonce": "bm9uY2U=", "ciphertext": "Y2lwaGVy"});
    sender.whisper("private-encrypted-a", "client-x", &data);
    assert_eq!(other.expect("client-x", "private-encrypted-a"), data);
    sender.expect_nothing();
}
