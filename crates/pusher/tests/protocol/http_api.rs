//! The HTTP API: what is published, what is told, and the status of each wrong request.

use serde_json::{Value, json};
use yamabiko_pusher::{App, AppLimits};
use yamabiko_testing::socket::Client;

use crate::harness::{ID, SECRET, Service, app, now, request, signed_target, with_1_and_3_workers};

#[test]
fn event_goes_to_each_of_its_channels_once() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let channels: Vec<String> = (0..100).map(|number| format!("c{number}")).collect();
        let names: Vec<&str> = channels.iter().map(String::as_str).collect();
        let mut client = service.subscribed_to(&names);
        let body = json!({"name": "e", "data": "x", "channels": channels});
        assert_eq!(service.post("/events", &body), (200, json!({})));
        let mut got: Vec<String> = (0..100)
            .map(|_| {
                client.read()["channel"]
                    .as_str()
                    .expect("a text")
                    .to_owned()
            })
            .collect();
        got.sort_by_key(|name| name[1..].parse::<u32>().expect("a number"));
        assert_eq!(got, channels);
        let body = json!({"name": "e", "data": "x", "channels": ["c1", "c1"]});
        service.post("/events", &body);
        client.read();
        client.expect_nothing();
        assert_eq!(service.counts().events, 101);
    });
}

#[test]
fn connection_with_the_socket_id_is_left_out() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut clients: Vec<_> = (0..4).map(|_| service.subscribed_to(&["a"])).collect();
        for left_out in &clients {
            let socket_id = &left_out.socket_id;
            let body = json!({"name": "e", "data": "x", "channel": "a", "socket_id": socket_id});
            assert_eq!(service.post("/events", &body).0, 200);
        }
        service.trigger("a", "last", "x");
        for client in &mut clients {
            for _ in 0..3 {
                assert_eq!(client.read()["event"], "e");
            }
            assert_eq!(client.read()["event"], "last");
        }
        let body = json!({"name": "e", "data": "x", "channel": "a", "socket_id": "1.2"});
        assert_eq!(service.post("/events", &body).0, 200, "it has ended");
    });
}

#[test]
fn batch_is_published_in_order_or_not_at_all() {
    let service = Service::start(1);
    let mut client = service.subscribed_to(&["a", "b"]);
    let event = |name: &str, channel: &str| json!({"name": name, "data": "x", "channel": channel});
    let batch = json!({"batch": [event("1", "a"), event("2", "a"), event("3", "b")]});
    assert_eq!(service.post("/batch_events", &batch), (200, json!({})));
    for (name, channel) in [("1", "a"), ("2", "a"), ("3", "b")] {
        client.expect(name, channel);
    }
    let ten: Vec<Value> = (0..10).map(|_| event("x", "a")).collect();
    let eleven: Vec<Value> = (0..11).map(|_| event("x", "a")).collect();
    for batch in [
        json!({"batch": [event("1", "a"), event("2", "b c")]}),
        json!({"batch": [event("1", "a"), {"name": "x"}]}),
        json!({"batch": [event("1", "a"), {"name": "x", "data": "x", "channels": ["a"]}]}),
        json!({"batch": eleven}),
        json!({"batch": 1}),
        json!({}),
    ] {
        assert_eq!(service.post("/batch_events", &batch).0, 400, "{batch}");
    }
    client.expect_nothing();
    assert_eq!(service.post("/batch_events", &json!({"batch": ten})).0, 200);
    assert_eq!(
        service.post("/batch_events", &json!({"batch": []})),
        (200, json!({}))
    );
}

#[test]
fn info_of_an_event_tells_the_counts_that_fit_its_channels() {
    let service = Service::with(1, [app().subscription_counts(true)]);
    let mut client = service.subscribed_to(&["a"]);
    assert_eq!(client.read()["event"], "pusher_internal:subscription_count");
    client.enter("presence-b", "ann");
    let info = "user_count,subscription_count,unknown";
    let body =
        json!({"name": "e", "data": "x", "channels": ["a", "presence-b", "c"], "info": info});
    let (status, answer) = service.post("/events", &body);
    let expected = json!({"channels": {
        "a": {"subscription_count": 1},
        "presence-b": {"user_count": 1, "subscription_count": 1},
        "c": {"subscription_count": 0},
    }});
    assert_eq!((status, answer), (200, expected));
    let batch = json!({"batch": [
        {"name": "e", "data": "x", "channel": "a", "info": "subscription_count"},
        {"name": "e", "data": "x", "channel": "a"},
    ]});
    let expected = json!({"batch": [{"subscription_count": 1}, {}]});
    assert_eq!(service.post("/batch_events", &batch), (200, expected));
}

#[test]
fn wrong_event_gets_400_and_a_reason() {
    let service = Service::start(1);
    let mut client = service.subscribed_to(&["a"]);
    let channels: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    for body in [
        json!({"data": "x", "channel": "a"}),
        json!({"name": "e", "channel": "a"}),
        json!({"name": "e", "data": "x"}),
        json!({"name": "", "data": "x", "channel": "a"}),
        json!({"name": "n".repeat(201), "data": "x", "channel": "a"}),
        json!({"name": 1, "data": "x", "channel": "a"}),
        json!({"name": "e", "data": {"x": 1}, "channel": "a"}),
        json!({"name": "e", "data": "x", "channels": "a"}),
        json!({"name": "e", "data": "x", "channels": []}),
        json!({"name": "e", "data": "x", "channels": channels}),
        json!({"name": "e", "data": "x", "channels": ["a", "b c"]}),
        json!({"name": "e", "data": "x", "channels": ["a", "x".repeat(201)]}),
        json!({"name": "e", "data": "x", "channels": ["a"], "channel": "a"}),
        json!({"name": "e", "data": "x", "channel": "a", "socket_id": "1"}),
        json!({"name": "e", "data": "x", "channel": "a", "socket_id": "1.x"}),
        json!([]),
    ] {
        let (status, reason) = service.post("/events", &body);
        assert_eq!(status, 400, "{body}");
        assert!(
            reason.as_str().is_some_and(|reason| reason.len() > 10),
            "{reason}"
        );
    }
    for body in ["", "{", "\u{0}", "nul"] {
        let path = format!("/apps/{ID}/events");
        assert_eq!(service.ask("POST", &path, "", body).0, 400, "{body}");
    }
    client.expect_nothing();
    assert!(service.counts().requests_refused >= 20);
}

#[test]
fn name_of_an_event_is_any_text() {
    let service = Service::start(1);
    let mut client = service.subscribed_to(&["a"]);
    for name in ["App\\Events\\OrderShipped", "\"{}\\u0000", "ひらがな"] {
        service.trigger("a", name, "x");
        assert_eq!(client.expect(name, "a"), "x");
    }
}

/// Its messages are as many bytes as may be on the way to a worker.
#[test]
fn event_for_100_channels_does_not_refuse_another_one_and_the_small_ones_behind_it() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let channels: Vec<String> = (0..100).map(|number| format!("c{number}")).collect();
        let large = json!({"name": "e", "data": "x".repeat(10_240), "channels": channels});
        let small = json!({"name": "e", "data": "x", "channels": ["c0"]});
        let mut client = service.subscribed_to(&["c0"]);
        let bodies = [&large; 2].into_iter().chain([&small; 20]);
        let mut clients: Vec<Client> = bodies
            .map(|body| {
                let (path, body) = (format!("/apps/{ID}/events"), body.to_string());
                let target = signed_target(SECRET, "POST", &path, "", &body, now());
                let mut client = Client::connect(service.server.address);
                client.send(request("POST", &target, &body));
                client
            })
            .collect();
        for client in &mut clients {
            assert_eq!(client.read_response().status, 200);
        }
        for _ in 0..22 {
            client.expect("e", "c0");
        }
    });
}

#[test]
fn data_of_an_event_have_at_most_10240_bytes() {
    let service = Service::start(1);
    let mut client = service.subscribed_to(&["a"]);
    let body = |bytes: usize| json!({"name": "n".repeat(200), "data": "\u{1}".repeat(bytes), "channel": "a"});
    assert_eq!(service.post("/events", &body(10_240)).0, 200);
    assert_eq!(client.read()["data"].as_str().map(str::len), Some(10_240));
    assert_eq!(service.post("/events", &body(10_241)).0, 413);
    client.expect_nothing();
}

#[test]
fn channels_lists_the_occupied_ones() {
    let service = Service::start(3);
    assert_eq!(service.get("/channels", ""), (200, json!({"channels": {}})));
    let mut client = service.subscribed_to(&["a", "b-1"]);
    client.enter("presence-c", "ann");
    let all = json!({"channels": {"a": {}, "b-1": {}, "presence-c": {}}});
    assert_eq!(service.get("/channels", ""), (200, all));
    let filtered = service.get("/channels", "&filter_by_prefix=b-");
    assert_eq!(filtered, (200, json!({"channels": {"b-1": {}}})));
    let counted = service.get("/channels", "&filter_by_prefix=presence-&info=user_count");
    assert_eq!(
        counted,
        (200, json!({"channels": {"presence-c": {"user_count": 1}}}))
    );
    for query in [
        "&info=user_count",
        "&filter_by_prefix=b-&info=user_count",
        "&info=x",
        "&info=cache",
    ] {
        assert_eq!(service.get("/channels", query).0, 400, "{query}");
    }
}

#[test]
fn channel_tells_what_is_asked_and_fits() {
    let service = Service::with(1, [app().subscription_counts(true)]);
    let mut client = service.connect();
    client.enter("presence-a", "ann");
    let _other = service.subscribed_to(&["b=@,.;"]);
    assert_eq!(
        service.get("/channels/unknown", ""),
        (200, json!({"occupied": false}))
    );
    assert_eq!(
        service.get("/channels/b=@,.;", ""),
        (200, json!({"occupied": true}))
    );
    let counts = service.get(
        "/channels/presence-a",
        "&info=user_count,subscription_count",
    );
    assert_eq!(
        counts,
        (
            200,
            json!({"occupied": true, "user_count": 1, "subscription_count": 1})
        )
    );
    let cache = |channel: &str| service.get(&format!("/channels/{channel}"), "&info=cache");
    assert_eq!(
        cache("cache-a"),
        (200, json!({"occupied": false, "cache": null}))
    );
    service.trigger("cache-a", "e", "{\"x\":1}");
    let (status, answer) = cache("cache-a");
    assert_eq!(
        (status, &answer["cache"]["data"]),
        (200, &json!("{\"x\":1}"))
    );
    let ttl = answer["cache"]["ttl"].as_u64().expect("a number");
    assert!((1700..=1800).contains(&ttl), "{ttl}");
    for (channel, info) in [
        ("a", "user_count"),
        ("a", "cache"),
        ("a", "x"),
        ("a%20b", ""),
    ] {
        assert_eq!(
            service
                .get(&format!("/channels/{channel}"), &format!("&info={info}"))
                .0,
            400
        );
    }
    let service = Service::start(1);
    assert_eq!(
        service.get("/channels/a", "&info=subscription_count").0,
        400
    );
}

#[test]
fn users_of_a_presence_channel_are_each_there_once() {
    let service = Service::start(1);
    let (mut one, mut two, mut three) = (service.connect(), service.connect(), service.connect());
    one.enter("presence-a", "ann");
    two.enter("presence-a", "ann");
    three.enter("presence-a", "bob");
    let users = json!({"users": [{"id": "ann"}, {"id": "bob"}]});
    assert_eq!(service.get("/channels/presence-a/users", ""), (200, users));
    assert_eq!(
        service.get("/channels/presence-b/users", ""),
        (200, json!({"users": []}))
    );
    assert_eq!(service.get("/channels/a/users", "").0, 400);
}

#[test]
fn request_without_a_right_signature_gets_401() {
    let other = App::new("2", "other-key", "other-secret").expect("an app");
    let service = Service::with(1, [app(), other]);
    let path = format!("/apps/{ID}/channels");
    let right = signed_target(SECRET, "GET", &path, "", "", now());
    assert_eq!(service.send("GET", &right, "").0, 200);
    assert_eq!(
        service.send("GET", &right, "").0,
        200,
        "a replay within ten minutes"
    );
    let old = signed_target(SECRET, "GET", &path, "", "", now() - 660);
    let new = signed_target(SECRET, "GET", &path, "", "", now() + 660);
    let foreign = signed_target("other-secret", "GET", &path, "", "", now());
    let of_other_app = right.replace("/apps/17/", "/apps/2/");
    for target in [
        &path,
        &old,
        &new,
        &foreign,
        &of_other_app,
        &right[..right.len() - 1],
    ] {
        let (status, reason) = service.send("GET", target, "");
        assert_eq!(status, 401, "{target}");
        assert!(
            reason
                .as_str()
                .is_some_and(|reason| reason.contains("auth_")),
            "{reason}"
        );
    }
    let path = format!("/apps/{ID}/events");
    let body = json!({"name": "e", "data": "x", "channel": "a"}).to_string();
    let target = signed_target(SECRET, "POST", &path, "", &body, now());
    assert_eq!(service.send("POST", &target, &body).0, 200);
    assert_eq!(
        service.send("POST", &target, &body.replace('e', "f")).0,
        401
    );
    let unsigned_body = signed_target(SECRET, "POST", &path, "", "", now());
    assert_eq!(service.send("POST", &unsigned_body, &body).0, 401);
}

/// A library for Python does.
#[test]
fn digest_of_the_empty_body_may_be_there() {
    let service = Service::start(1);
    let digest = "&body_md5=d41d8cd98f00b204e9800998ecf8427e";
    assert_eq!(service.get("/channels", digest).0, 200);
}

/// A library for Node does not escape what it sends, one for PHP does.
#[test]
fn values_are_signed_as_they_are_before_they_are_escaped() {
    let service = Service::start(1);
    let path = format!("/apps/{ID}/channels");
    let plain = signed_target(
        SECRET,
        "GET",
        &path,
        "filter_by_prefix=presence-a,b&info=user_count",
        "",
        now(),
    );
    assert_eq!(service.send("GET", &plain, "").0, 200);
    assert_eq!(service.send("GET", &plain.replace(',', "%2C"), "").0, 200);
}

#[test]
fn unknown_app_path_and_method_have_their_statuses() {
    let service = Service::start(1);
    let body = json!({});
    assert_eq!(
        service
            .ask("POST", "/apps/99/events", "", &body.to_string())
            .0,
        404
    );
    assert_eq!(service.get("/nothing", "").0, 404);
    assert_eq!(service.get("/events", "").0, 405);
    assert_eq!(service.post("/channels", &body).0, 405);
    let disabled = Service::with(1, [app().enabled(false)]);
    assert_eq!(disabled.get("/channels", "").0, 403);
}

#[test]
fn events_per_second_are_limited() {
    let service = Service::with_limits(AppLimits {
        events_per_second: std::num::NonZeroU32::new(1),
        ..AppLimits::default()
    });
    let body = |channels: &[&str]| json!({"name": "e", "data": "x", "channels": channels});
    assert_eq!(
        service
            .post(
                "/events",
                &body(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"])
            )
            .0,
        200
    );
    let (status, reason) = service.post("/events", &body(&["a"]));
    assert_eq!(status, 429, "{reason}");
    assert_eq!(service.counts().events, 10);
}

#[test]
fn requests_share_a_connection() {
    let service = Service::start(1);
    let mut client = Client::connect(service.server.address);
    let path = format!("/apps/{ID}/channels");
    for _ in 0..5 {
        let target = signed_target(SECRET, "GET", &path, "", "", now());
        client.send(request("GET", &target, "").replace("Connection: close\r\n", ""));
        let response = client.read_one_response(false);
        assert_eq!(
            (response.status, &*response.body),
            (200, &b"{\"channels\":{}}"[..])
        );
    }
}

#[test]
fn body_in_chunks_is_read_and_its_digest_is_of_the_whole() {
    let service = Service::start(1);
    let mut subscriber = service.subscribed_to(&["a"]);
    let path = format!("/apps/{ID}/events");
    let body = json!({"name": "e", "data": "x", "channel": "a"}).to_string();
    let target = signed_target(SECRET, "POST", &path, "", &body, now());
    let (first, second) = body.split_at(10);
    let mut client = Client::connect(service.server.address);
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    ));
    assert_eq!(client.read_response().status, 200);
    assert_eq!(subscriber.expect("e", "a"), "x");
}

/// A client that only knows the key makes the server hold no body.
#[test]
fn long_body_without_a_right_signature_is_refused_before_it_comes() {
    let service = Service::start(1);
    let path = format!("/apps/{ID}/events");
    let right = signed_target(SECRET, "POST", &path, "", "x", now());
    let wrong = signed_target("other-secret", "POST", &path, "", "x", now());
    for (method, target, length, status) in [
        ("POST", &wrong, "Content-Length: 16385", 401),
        ("POST", &path, "Content-Length: 1048576", 401),
        ("POST", &wrong, "Transfer-Encoding: chunked", 401),
        ("PUT", &right, "Content-Length: 16385", 405),
        (
            "POST",
            &right.replace("/17/", "/99/"),
            "Content-Length: 1",
            404,
        ),
        (
            "POST",
            &right.replace("/events", "/x"),
            "Content-Length: 1",
            404,
        ),
    ] {
        let mut client = Client::connect(service.server.address);
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n"
        ));
        assert_eq!(client.read_response().status, status, "{method} {target}");
    }
    // One at the limit is read: its digest is named. So is a longer one with a right signature.
    for (target, length) in [(wrong, 16_384), (right, 16_385)] {
        let (status, reason) = service.send("POST", &target, &"y".repeat(length));
        let reason = reason.as_str().expect("a reason");
        assert!(status == 401 && reason.contains("body_md5"), "{reason}");
    }
}

#[test]
fn long_body_without_a_right_signature_gets_401_whatever_its_digest_is() {
    let service = Service::start(1);
    let path = format!("/apps/{ID}/events");
    let body = "x".repeat(100_000);
    let target = signed_target("other-secret", "POST", &path, "", &body, now());
    let (status, reason) = service.send("POST", &target, &body);
    assert_eq!(status, 401);
    assert!(
        reason
            .as_str()
            .is_some_and(|reason| reason.contains("auth_signature"))
    );
    let target = signed_target(SECRET, "POST", &path, "", &body, now());
    let (status, reason) = service.send("POST", &target, &body.replace('x', "y"));
    assert_eq!(status, 401);
    assert!(
        reason
            .as_str()
            .is_some_and(|reason| reason.contains("body_md5"))
    );
}
