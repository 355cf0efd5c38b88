//! Webhooks over sockets: what a web server receives, and what happens if it refuses, or hangs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::{Value, json};
use yamabiko_pusher::{App, Webhook, WebhookKind};
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{KEY, SECRET, Service, app, sign};

/// A request as the web server receives it.
#[derive(Debug)]
struct Received {
    /// The lines of the head.
    head: Vec<String>,
    body: String,
}

/// A web server that answers each request with the next of these statuses, and with 200 when they are used up.
fn web_server(statuses: &'static [u16]) -> (String, Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = url_of(listener.local_addr().expect("an address"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut statuses = statuses.iter();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            while let Some(received) = read_request(&mut stream) {
                let status = statuses.next().unwrap_or(&200);
                let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                if stream.write_all(response.as_bytes()).is_err() || sender.send(received).is_err()
                {
                    break;
                }
            }
        }
    });
    (url, receiver)
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}/webhooks?x=1")
}

fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break bytes.len();
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
    let head: Vec<String> = head.lines().map(str::to_owned).collect();
    let length = field(&head, "content-length")?.parse().expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("UTF-8");
    Some(Received { head, body })
}

fn field(head: &[String], name: &str) -> Option<String> {
    let fields = head.iter().filter_map(|line| line.split_once(": "));
    let mut found = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.to_owned())
}

impl Received {
    fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        assert!(body["time_ms"].is_u64(), "{body}");
        body["events"].as_array().expect("a list").clone()
    }
}

#[track_caller]
fn next(receiver: &Receiver<Received>) -> Received {
    receiver.recv_timeout(TIMEOUT).expect("a request")
}

/// The only event of the next request.
#[track_caller]
fn next_event(receiver: &Receiver<Received>) -> Value {
    let events = next(receiver).events();
    assert_eq!(events.len(), 1, "{events:?}");
    events[0].clone()
}

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
    let Received { head, body } = next(&requests);
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
