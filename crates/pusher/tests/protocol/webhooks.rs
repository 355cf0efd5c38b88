//! Webhooks over sockets: what a web server receives, and what happens if it refuses, or hangs.

use std::net::TcpListener;

use serde_json::{Value, json};
use yamabiko_pusher::{App, Webhook, WebhookKind};
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{KEY, SECRET, Service, app, sign};
use crate::web_server::{Received, field, next, next_event, url_of, web_server};

fn with_webhook(webhook: Webhook) -> App {
    app().subscription_counts(true).webhook(webhook)
}

#[test]
fn each_kind_of_event_has_its_fields() {
    let (url, requests) = web_server(&[]);
    let service = Service::with(1, [with_webhook(Webhook::new(url).expect("a URL"))]);
    let mut ann = service.connect();
    ann.enter("presence-a", "ann");
    assert_eq!(
        next_event(&requests),
        json!({"name": "channel_occupied", "channel": "presence-a"})
    );
    let added = json!({"name": "member_added", "channel": "presence-a", "user_id": "ann"});
    assert_eq!(next_event(&requests), added);
    ann.send(&json!({"event": "client-x", "channel": "presence-a", "data": {"a": 1}}));
    let event = json!({
        "name": "client_event", "channel": "presence-a", "event": "client-x", "data": "{\"a\":1}",
        "socket_id": ann.socket_id, "user_id": "ann",
    });
    assert_eq!(next_event(&requests), event);
    ann.subscribe("cache-b");
    let mut kinds = [
        next_event(&requests),
        next_event(&requests),
        next_event(&requests),
    ];
    kinds.sort_by_key(|event| event["name"].to_string());
    assert_eq!(
        kinds,
        [
            json!({"name": "cache_miss", "channel": "cache-b"}),
            json!({"name": "channel_occupied", "channel": "cache-b"}),
            json!({"name": "subscription_count", "channel": "cache-b", "subscription_count": 1}),
        ]
    );
    drop(ann);
    let mut ends = [
        next_event(&requests),
        next_event(&requests),
        next_event(&requests),
    ];
    ends.sort_by_key(Value::to_string);
    assert_eq!(
        ends,
        [
            json!({"channel": "cache-b", "name": "channel_vacated"}),
            json!({"channel": "presence-a", "name": "channel_vacated"}),
            json!({"channel": "presence-a", "name": "member_removed", "user_id": "ann"}),
        ]
    );
    eventually("all are counted", TIMEOUT, || {
        service.counts().webhook_events_sent == 9
    });
}

#[test]
fn request_is_a_signed_post_of_json() {
    let (url, requests) = web_server(&[]);
    let service = Service::with(1, [with_webhook(Webhook::new(url).expect("a URL"))]);
    let _client = service.subscribed_to(&["a"]);
    let Received {
        head,
        body,
        connection,
    } = next(&requests);
    assert_eq!(head[0], "POST /webhooks?x=1 HTTP/1.1");
    assert_eq!(
        field(&head, "Content-Type").as_deref(),
        Some("application/json")
    );
    assert_eq!(field(&head, "X-Pusher-Key").as_deref(), Some(KEY));
    assert_eq!(
        field(&head, "X-Pusher-Signature"),
        Some(sign(SECRET, &[&body]))
    );
    let second = next(&requests);
    assert_eq!((connection, second.connection), (0, 0), "one connection");
}

#[test]
fn batched_webhook_has_several_events_in_a_request() {
    let (url, requests) = web_server(&[]);
    let webhook = Webhook::new(url)
        .expect("a URL")
        .kinds([WebhookKind::ChannelOccupied]);
    let service = Service::with(1, [with_webhook(webhook.batched(true))]);
    let names: Vec<String> = (0..50).map(|number| format!("c{number}")).collect();
    let mut client = service.connect();
    names.iter().for_each(|name| client.request(name));
    let mut channels = Vec::new();
    let mut requests_with_several = 0;
    while channels.len() < 50 {
        let events = next(&requests).events();
        assert!((1..=20).contains(&events.len()), "{}", events.len());
        requests_with_several += usize::from(events.len() > 1);
        channels.extend(events.into_iter().map(|event| event["channel"].clone()));
    }
    assert_eq!(channels, names);
    assert!(requests_with_several > 0);
}

#[test]
fn refused_request_is_sent_again_with_the_same_events() {
    let (url, requests) = web_server(&[500, 302]);
    let service = Service::with(
        1,
        [app().webhook(
            Webhook::new(url)
                .expect("a URL")
                .kinds([WebhookKind::ChannelOccupied]),
        )],
    );
    let _client = service.subscribed_to(&["a", "b"]);
    for channel in ["a", "a", "a", "b"] {
        assert_eq!(next_event(&requests)["channel"], channel);
    }
    eventually("both are counted", TIMEOUT, || {
        service.counts().webhook_events_sent == 2
    });
    assert_eq!(service.counts().webhook_requests_failed, 2);
}

/// A reload: the page is gone and back within three seconds.
#[test]
fn reload_of_a_page_leaves_no_trace() {
    let (url, requests) = web_server(&[]);
    let webhook = Webhook::new(url).expect("a URL");
    let service = Service::with(1, [app().webhook(webhook)]);
    let mut client = service.connect();
    client.enter("presence-a", "ann");
    assert_eq!(next_event(&requests)["name"], "channel_occupied");
    assert_eq!(next_event(&requests)["name"], "member_added");
    drop(client);
    eventually("the page is gone", TIMEOUT, || {
        service.counts().connections == 0
    });
    let mut client = service.connect();
    client.enter("presence-a", "ann");
    client.subscribe("last");
    assert_eq!(
        next_event(&requests),
        json!({"name": "channel_occupied", "channel": "last"})
    );
}

#[test]
fn web_server_that_hangs_delays_nothing_else() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = url_of(silent.local_addr().expect("an address"));
    let service = Service::with(1, [with_webhook(Webhook::new(url).expect("a URL"))]);
    let mut client = service.subscribed_to(&["private-a"]);
    client.read();
    for number in 0..200 {
        let channel = format!("c{number}");
        client.subscribe(&channel);
        client.read();
        client.unsubscribe(&channel);
        service.trigger("private-a", "e", "1");
        assert_eq!(client.read()["event"], "e");
    }
    assert_eq!(service.counts().webhook_events_sent, 0);
}
