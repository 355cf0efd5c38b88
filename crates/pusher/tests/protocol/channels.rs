//! Public, private, encrypted and cache channels.

use serde_json::{Value, json};
use yamabiko_pusher::AppLimits;
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{KEY, SECRET, Service, app, authorisation, sign, with_1_and_3_workers};

#[test]
fn events_reach_all_subscribers_of_the_channel_byte_for_byte_and_in_order() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut subscribers: Vec<_> = (0..4).map(|_| service.subscribed_to(&["news"])).collect();
        let mut other = service.subscribed_to(&["sports"]);
        let data = [
            "{ \"a\" : 1 }",
            "no JSON \u{e9} \u{0} \"",
            "",
            "\u{1F600}\\n",
        ];
        for text in data {
            service.trigger("news", "App\\Events\\Printed", text);
        }
        for subscriber in &mut subscribers {
            for text in data {
                let expected =
                    json!({"event": "App\\Events\\Printed", "channel": "news", "data": text});
                assert_eq!(subscriber.read(), expected);
            }
        }
        other.expect_nothing();
    });
}

#[test]
fn success_has_an_empty_object_as_text() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.request("news");
    let expected =
        json!({"event": "pusher_internal:subscription_succeeded", "channel": "news", "data": "{}"});
    assert_eq!(client.read(), expected);
}

#[test]
fn private_channel_needs_the_signature_of_connection_and_channel() {
    let service = Service::start(1);
    for channel in [
        "private-a",
        "private-encrypted-a",
        "private-cache-a",
        "private-encrypted-cache-a",
        "presence-a",
    ] {
        let mut client = service.connect();
        let socket_id = client.socket_id.clone();
        let right = authorisation(&[&socket_id, ":", channel]);
        for auth in [
            Value::Null,
            json!(""),
            json!(KEY),
            json!(right.to_uppercase()),
            json!(format!("{right}0")),
            json!(format!(
                "other-key:{}",
                sign(SECRET, &[&socket_id, ":", channel])
            )),
            json!(format!(
                "{KEY}:{}",
                sign("other-secret", &[&socket_id, ":", channel])
            )),
            json!(authorisation(&["1.2", ":", channel])),
            json!(authorisation(&[&socket_id, ":", "private-b"])),
        ] {
            client.send(
                &json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}}),
            );
            let error = client.expect("pusher:subscription_error", channel);
            assert_eq!(
                (&error["type"], &error["status"]),
                (&json!("AuthError"), &json!(401)),
                "{auth}"
            );
            assert!(error["error"].is_string());
        }
        // It is not subscribed, and the connection goes on.
        service.trigger(channel, "secret", "x");
        client.expect_nothing();
    }
    assert_eq!(service.counts().subscriptions_refused, 5 * 9);
}

#[test]
fn private_channel_with_channel_data_has_them_signed() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.request_as("private-a", "{\"x\":1}");
    client.expect("pusher_internal:subscription_succeeded", "private-a");
}

#[test]
fn data_of_a_subscription_may_be_json_in_a_text() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.send(
        &json!({"event": "pusher:subscribe", "data": "{\"channel\":\"news\",\"auth\":\"\"}"}),
    );
    client.expect("pusher_internal:subscription_succeeded", "news");
}

#[test]
fn second_subscription_is_an_error_and_events_come_once() {
    let service = Service::start(1);
    let mut client = service.subscribed_to(&["news"]);
    client.request("news");
    assert_eq!(client.expect_error(), Value::Null);
    service.trigger("news", "a", "1");
    assert_eq!(client.expect("a", "news"), 1);
    client.expect_nothing();
    client.unsubscribe("news");
    client.expect_nothing();
    eventually("the channel is left", TIMEOUT, || {
        service.counts().channels == 0
    });
}

#[test]
fn unsubscribed_client_gets_nothing_and_may_come_back() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut client = service.subscribed_to(&["news", "sports"]);
        client.unsubscribe("news");
        client.unsubscribe("news");
        client.unsubscribe("never");
        client.expect_nothing();
        service.trigger("news", "a", "1");
        service.trigger("sports", "b", "2");
        assert_eq!(client.expect("b", "sports"), 2);
        client.subscribe("news");
        service.trigger("news", "c", "3");
        let mut message = client.read();
        if message["event"] == "a" {
            // It was on its way between two workers when the client came back.
            message = client.read();
        }
        let expected = json!({"event": "c", "channel": "news", "data": "3"});
        assert_eq!(message, expected);
    });
}

#[test]
fn end_of_a_connection_ends_its_subscriptions() {
    let service = Service::start(1);
    let client = service.subscribed_to(&["a", "private-b"]);
    assert_eq!(service.counts().channels, 2);
    drop(client);
    eventually("the channels are left", TIMEOUT, || {
        let counts = service.counts();
        (counts.channels, counts.connections) == (0, 0)
    });
}

#[test]
fn channels_are_limited_for_a_connection_and_for_the_app() {
    let service = Service::with_limits(AppLimits {
        channels_max: Some(3),
        channels_per_connection_max: 2,
        ..AppLimits::default()
    });
    let mut one = service.subscribed_to(&["a", "b"]);
    one.request("c");
    let error = one.expect("pusher:subscription_error", "c");
    assert_eq!(
        (&error["type"], &error["status"]),
        (&json!("LimitReached"), &json!(403))
    );
    let mut other = service.subscribed_to(&["c"]);
    other.request("d");
    assert_eq!(
        other.expect("pusher:subscription_error", "d")["type"],
        "LimitReached"
    );
    other.subscribe("a");
}

#[test]
fn new_subscriber_of_a_cache_channel_gets_the_last_event_or_a_miss() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        for channel in ["cache-a", "private-cache-a", "private-encrypted-cache-a"] {
            let mut first = service.subscribed_to(&[channel]);
            let miss = first.read();
            assert_eq!(
                miss,
                json!({"event": "pusher:cache_miss", "channel": channel})
            );
            service.trigger(channel, "one", "1");
            service.trigger(channel, "two", "2");
            assert_eq!(first.expect("one", channel), 1);
            assert_eq!(first.expect("two", channel), 2);
            let mut second = service.subscribed_to(&[channel]);
            assert_eq!(second.expect("two", channel), 2);
            second.expect_nothing();
            first.expect_nothing();
        }
        let mut plain = service.subscribed_to(&["xcache-a"]);
        plain.expect_nothing();
    });
}

#[test]
fn kept_event_comes_once_however_subscriptions_and_events_interleave() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                (0..60).for_each(|number| service.trigger("cache-a", "count", &number.to_string()));
            });
            for _ in 0..4 {
                scope.spawn(|| {
                    while !publisher_is_done(&service) {
                        let mut client = service.subscribed_to(&["cache-a"]);
                        let first = client.read();
                        let mut last = match first["event"] == "pusher:cache_miss" {
                            true => -1,
                            false => number_in(&first),
                        };
                        for _ in 0..3 {
                            client.send(&json!({"event": "pusher:ping"}));
                        }
                        let mut pongs = 0;
                        while pongs < 3 {
                            let message = client.read();
                            match message["event"] == "pusher:pong" {
                                true => pongs += 1,
                                false => {
                                    let number = number_in(&message);
                                    assert_eq!(
                                        number,
                                        last + 1,
                                        "none is missed, none comes twice"
                                    );
                                    last = number;
                                }
                            }
                        }
                    }
                });
            }
            publisher.join().expect("it does not panic");
        });
    });
}

fn publisher_is_done(service: &Service) -> bool {
    service.counts().events == 60
}

fn number_in(message: &Value) -> i64 {
    let data = message["data"].as_str().expect("a text");
    data.parse().expect("a number")
}

#[test]
fn channel_of_the_kept_event_need_not_be_occupied() {
    let service = Service::start(1);
    service.trigger("cache-a", "one", "1");
    let mut client = service.subscribed_to(&["cache-a"]);
    assert_eq!(client.expect("one", "cache-a"), 1);
}

#[test]
fn subscribers_are_told_how_many_they_are_if_the_app_wants_it() {
    with_1_and_3_workers(|workers| {
        let service = Service::with(workers, [app().subscription_counts(true)]);
        let event = "pusher_internal:subscription_count";
        let count = |number: u32| json!({"subscription_count": number});
        for channel in ["a", "cache-b"] {
            let mut one = service.subscribed_to(&[channel]);
            if channel.starts_with("cache") {
                one.read();
            }
            assert_eq!(one.expect(event, channel), count(1));
            let mut two = service.subscribed_to(&[channel]);
            if channel.starts_with("cache") {
                two.read();
            }
            assert_eq!(two.expect(event, channel), count(2));
            assert_eq!(one.expect(event, channel), count(2));
            two.unsubscribe(channel);
            assert_eq!(one.expect(event, channel), count(1));
            two.expect_nothing();
        }
        let mut member = service.connect();
        member.enter("presence-c", "ann");
        member.expect_nothing();
    });
}
