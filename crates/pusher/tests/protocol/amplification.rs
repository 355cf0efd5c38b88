//! Short requests that cause much: how much one connection, and one web server, may cause.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use yamabiko_pusher::{App, AppLimits, Webhook, WebhookKind};
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{Service, Subscriber, app};
use crate::web_server::web_server;

const CHANNEL: &str = "presence-room";

/// The supply of each connection has this many bytes. It fills again while a test runs: so the tests accept a little more.
fn app_with(subscription_bytes: u32) -> App {
    app().limits(AppLimits {
        subscription_bytes_per_second: per_second(subscription_bytes),
        ..AppLimits::default()
    })
}

/// So that a supply has this many bytes.
fn per_second(bytes: u32) -> NonZeroU32 {
    NonZeroU32::new(bytes.div_ceil(16)).expect("not zero")
}

/// Subscribes and unsubscribes until a subscription is refused. Returns how many succeeded, and the bytes that came.
fn until_refused(
    client: &mut Subscriber,
    channel: &str,
    mut request: impl FnMut(&mut Subscriber),
) -> (usize, usize) {
    let (mut succeeded, mut bytes) = (0, 0);
    loop {
        request(client);
        loop {
            let text = client.client.read_text();
            let message: Value = serde_json::from_str(&text).expect("JSON");
            bytes += text.len();
            match message["event"].as_str() {
                Some("pusher_internal:subscription_succeeded") => break,
                Some("pusher:subscription_error") => {
                    assert_eq!(message["channel"], channel);
                    let data = &message["data"];
                    assert_eq!(
                        (&data["type"], &data["status"]),
                        (&json!("TooOften"), &json!(429))
                    );
                    return (succeeded, bytes);
                }
                _ => {}
            }
        }
        succeeded += 1;
        client.unsubscribe(channel);
    }
}

#[test]
fn members_of_a_channel_asked_for_in_a_loop_are_refused_beyond_the_supply_and_the_connection_goes_on()
 {
    let service = Service::with(1, [app_with(160_000)]);
    let info = "\"".repeat(500);
    let mut members: Vec<_> = (0..20).map(|_| service.connect()).collect();
    for (number, member) in members.iter_mut().enumerate() {
        let data = json!({"user_id": number, "user_info": info});
        member.request_as(CHANNEL, &data.to_string());
        while member.read()["event"] != "pusher_internal:subscription_succeeded" {}
    }
    let data = json!({"user_id": 0, "user_info": info}).to_string();
    let mut client = service.connect();
    let (succeeded, bytes) = until_refused(&mut client, CHANNEL, |client| {
        client.request_as(CHANNEL, &data)
    });
    // A list of 20 members has 41 kB: the fourth one empties the supply.
    assert!((4..=7).contains(&succeeded), "{succeeded}");
    assert!((150_000..=300_000).contains(&bytes), "{bytes}");
    client.request("news");
    let error = client.expect("pusher:subscription_error", "news");
    assert_eq!(error["type"], "TooOften", "of every kind of channel");
    client.expect_nothing();
    // Another connection has its own supply.
    let mut other = service.subscribed_to(&["news"]);
    other.request_as(CHANNEL, &data);
    other.expect("pusher_internal:subscription_succeeded", CHANNEL);
}

#[test]
fn changes_that_other_subscribers_are_told_count_for_each_of_them() {
    let service = Service::with(1, [app_with(16_000)]);
    let mut others: Vec<_> = (0..20).map(|_| service.connect()).collect();
    for other in &mut others {
        other.request_as(CHANNEL, r#"{"user_id":"same"}"#);
        other.expect("pusher_internal:subscription_succeeded", CHANNEL);
    }
    let mut client = service.connect();
    let (succeeded, _) = until_refused(&mut client, CHANNEL, |client| {
        client.request_as(CHANNEL, r#"{"user_id":"new"}"#);
    });
    // Coming and going are 250 bytes for each of 20 subscribers.
    assert!((3..=7).contains(&succeeded), "{succeeded}");
}

#[test]
fn kept_event_of_a_cache_channel_counts() {
    let service = Service::with(1, [app_with(64_000)]);
    service.trigger("cache-a", "e", &"x".repeat(10_000));
    let mut client = service.connect();
    let (succeeded, _) = until_refused(&mut client, "cache-a", |client| client.request("cache-a"));
    assert!((7..=10).contains(&succeeded), "{succeeded}");
}

#[test]
fn requests_of_webhooks_count() {
    let (url, requests) = web_server(&[]);
    let webhook = Webhook::new(url).expect("a URL");
    let webhook = webhook.kinds([WebhookKind::ChannelOccupied]);
    let service = Service::with(1, [app_with(64 << 10).webhook(webhook)]);
    let mut client = service.connect();
    let mut asked = 0u64;
    loop {
        let channel = format!("new-{asked}");
        client.request(&channel);
        if client.read()["event"] == "pusher:subscription_error" {
            break;
        }
        asked += 1;
    }
    assert!((16..=20).contains(&asked), "{asked}");
    eventually("all are sent", TIMEOUT, || {
        service.counts().webhook_events_sent == asked
    });
    drop(requests);
}

#[test]
fn page_with_many_public_channels_is_within_the_supply() {
    let service = Service::start(1);
    let mut client = service.connect();
    for number in 0..1000 {
        client.request(&format!("channel-{number}"));
    }
    for number in 0..1000 {
        client.expect(
            "pusher_internal:subscription_succeeded",
            &format!("channel-{number}"),
        );
    }
}

#[test]
fn lists_of_the_http_api_are_refused_beyond_the_supply_and_events_are_not() {
    let service = Service::with_limits(AppLimits {
        list_bytes_per_second: per_second(10_000),
        ..AppLimits::default()
    });
    let names: Vec<String> = (0..100).map(|number| format!("{number:0>180}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut client = service.subscribed_to(&names);
    // 18 kB: more than the supply, and answered whole.
    let (status, list) = service.get("/channels", "");
    assert_eq!(status, 200);
    assert_eq!(
        list["channels"].as_object().map(|list| list.len()),
        Some(100)
    );
    for path in ["/channels", "/channels/presence-a/users"] {
        let (status, reason) = service.get(path, "");
        assert_eq!(
            (status, reason),
            (429, json!("the app asks for too many lists\n"))
        );
    }
    service.trigger(names[0], "e", "1");
    client.expect("e", names[0]);
    assert_eq!(service.get("/channels/a", "").0, 200, "no list");
}

#[test]
fn channels_that_are_only_looked_at_count() {
    let service = Service::with_limits(AppLimits {
        list_bytes_per_second: per_second(336),
        ..AppLimits::default()
    });
    let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let _client = service.subscribed_to(&names);
    let empty = (200, json!({"channels": {}}));
    let ask = || service.get("/channels", "&filter_by_prefix=x");
    // Each costs 20 × 16 bytes, and 15 of its own.
    assert_eq!([ask(), ask()], [empty.clone(), empty]);
    assert_eq!(ask().0, 429);
}
