//! Opening a connection, keeping it alive, and the codes that end it.

use serde_json::json;
use std::time::Duration;
use yamabiko::server::{Config, LagPolicy};
use yamabiko::websocket::frame::Opcode;
use yamabiko_pusher::{App, AppLimits};
use yamabiko_testing::socket::{self, Client, frame};
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::harness::{KEY, Service, app};

#[test]
fn first_message_has_a_socket_id_of_two_numbers_that_no_other_connection_has() {
    let service = Service::start(1);
    let (one, other) = (service.connect(), service.connect());
    let (first, second) = one.socket_id.split_once('.').expect("a dot");
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    assert!(is_number(first) && is_number(second), "{}", one.socket_id);
    assert_ne!(one.socket_id, other.socket_id);
}

#[test]
fn parameters_have_any_order_and_the_path_any_prefix() {
    let service = Service::start(1);
    for target in [
        format!("/app/{KEY}?version=1&protocol=7&x=y"),
        format!("/some/prefix/app/{KEY}?protocol=5"),
        format!("/app/{KEY}?client=js&protocol=4"),
    ] {
        let mut client = service.open(&target);
        assert!(
            client.read_text().contains("connection_established"),
            "{target}"
        );
    }
}

#[test]
fn refusals_are_closes_with_the_code_of_the_protocol() {
    let disabled = App::new("2", "disabled-key", "secret").expect("an app");
    let service = Service::with(1, [app(), disabled.enabled(false)]);
    for (target, code) in [
        ("/app/unknown?protocol=7".to_owned(), 4001),
        ("/app/disabled-key?protocol=7".to_owned(), 4003),
        (format!("/app/{KEY}?protocol=x"), 4006),
        (format!("/app/{KEY}?protocol="), 4006),
        (format!("/app/{KEY}?protocol=3"), 4007),
        (format!("/app/{KEY}?protocol=8"), 4007),
        (format!("/app/{KEY}"), 4008),
    ] {
        let mut client = service.open(&target);
        let error = client.read_text();
        assert!(
            error.contains(&format!("\"code\":{code}")),
            "{target}: {error}"
        );
        assert_eq!(client.read_close().0, code, "{target}");
    }
}

#[test]
fn versions_4_to_7_of_the_protocol_are_served_and_no_others() {
    let service = Service::start(1);
    for version in 4..=7 {
        let mut client = service.open(&format!("/app/{KEY}?protocol={version}"));
        let first = client.read_text();
        assert!(
            first.contains("connection_established"),
            "{version}: {first}"
        );
    }
    for version in [0, 1, 2, 3, 8, 9, 70] {
        let mut client = service.open(&format!("/app/{KEY}?protocol={version}"));
        assert!(client.read_text().contains("pusher:error"), "{version}");
        assert_eq!(client.read_close().0, 4007, "{version}");
    }
}

#[test]
fn path_that_is_no_app_is_not_found() {
    let service = Service::start(1);
    let mut client = Client::connect(service.server.address);
    client.send(yamabiko_testing::socket::upgrade("/elsewhere", ""));
    assert_eq!(client.read_response().status, 404);
}

#[test]
fn plain_request_for_the_websocket_gets_426() {
    let service = Service::start(1);
    assert_eq!(
        service.send("GET", &format!("/app/{KEY}?protocol=7"), "").0,
        426
    );
}

#[test]
fn page_of_any_site_may_connect() {
    let service = Service::start(1);
    let mut client = Client::connect(service.server.address).upgraded_with(
        &format!("/app/{KEY}?protocol=7"),
        "Origin: https://shop.example\r\n",
    );
    assert!(client.read_text().contains("connection_established"));
}

#[test]
fn connections_of_an_app_are_limited_and_an_ended_one_makes_room() {
    let service = Service::with_limits(AppLimits {
        connections_max: Some(2),
        ..AppLimits::default()
    });
    let (one, _two) = (service.connect(), service.connect());
    let mut third = service.open(&format!("/app/{KEY}?protocol=7"));
    assert!(third.read_text().contains("4004"));
    assert_eq!(third.read_close().0, 4004);
    assert_eq!(service.counts().connections_refused, 1);
    drop(one);
    eventually("the ended connection is counted no longer", TIMEOUT, || {
        service.counts().connections == 1
    });
    service.connect();
}

#[test]
fn ping_is_answered_and_an_unasked_pong_is_not() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.send(&json!({"event": "pusher:pong", "data": {}}));
    client.send(&json!({"event": "pusher:ping", "data": {}}));
    assert_eq!(client.read(), json!({"event": "pusher:pong", "data": "{}"}));
    client.send(&json!({"event": "pusher:ping"}));
    assert_eq!(client.read()["event"], "pusher:pong");
}

#[test]
fn several_apps_share_a_server_and_nothing_else() {
    let other = App::new("2", "other-key", "secret").expect("an app");
    let service = Service::with(1, [app(), other]);
    let mut own = service.subscribed_to(&["news"]);
    let mut foreign = service.open("/app/other-key?protocol=7");
    foreign.read_text();
    foreign.text(r#"{"event":"pusher:subscribe","data":{"channel":"news"}}"#);
    assert!(foreign.read_text().contains("subscription_succeeded"));
    service.trigger("news", "headline", "x");
    assert_eq!(own.expect("headline", "news"), "x");
    foreign.text(r#"{"event":"pusher:ping"}"#);
    assert!(foreign.read_text().contains("pusher:pong"));
}

#[test]
fn client_of_a_server_that_stops_is_told_to_come_back_at_once() {
    let service = Service::start(1);
    let mut client = service.connect();
    service.server.shutdown();
    let (code, reason) = client.client.read_close();
    assert_eq!(code, 4200);
    assert!(!reason.is_empty());
}

#[test]
fn client_that_does_not_answer_a_ping_is_closed_with_4201() {
    let config = Config {
        ping_interval: Some(Duration::from_millis(20)),
        pong_timeout: Duration::from_millis(20),
        ..socket::config(1)
    };
    let service = Service::on(config, [app()]);
    let mut client = service.connect();
    assert_eq!(client.client.read_until_close().0, 4201);
}

#[test]
fn client_that_is_too_slow_is_closed_with_4100() {
    let config = Config {
        lag_policy: LagPolicy {
            messages_max: Some(1),
            ..LagPolicy::default()
        },
        ..socket::config(1)
    };
    let service = Service::on(config, [app()]);
    let mut slow = service.connect_narrow();
    slow.subscribe("a");
    let data = "x".repeat(10_240);
    while service.counts().connections > 0 {
        service.trigger("a", "e", &data);
    }
    assert_eq!(slow.client.read_until_close().0, 4100);
}

#[test]
fn websocket_ping_is_answered_with_its_payload() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.client.send(frame(Opcode::Ping, b"payload"));
    let pong = client.client.read_frame();
    assert_eq!(
        (pong.opcode, &*pong.payload),
        (Opcode::Pong, &b"payload"[..])
    );
}

#[test]
fn clients_of_a_server_that_drains_are_told_to_come_back_at_once() {
    let service = Service::start(3);
    let mut clients: Vec<_> = (0..10).map(|_| service.connect()).collect();
    service.server.handle.drain(Duration::from_millis(100));
    for client in &mut clients {
        assert_eq!(client.client.read_close().0, 4200);
    }
}
