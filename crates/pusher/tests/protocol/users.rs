//! Users: signing in, messages to a user, termination, watchlists.

use serde_json::{Value, json};

use crate::harness::{Service, authorisation, with_1_and_3_workers};

#[test]
fn wrong_sign_in_is_an_error_and_closes_with_4009() {
    let service = Service::start(1);
    for (user_data, auth) in [
        (r#"{"id":"a"}"#, Some("app-key:00")),
        ("{}", None),
        (r#"{"id":1}"#, None),
        (r#"{"id":""}"#, None),
        ("x", None),
    ] {
        let mut client = service.connect();
        match auth {
            None => client.request_sign_in(user_data),
            Some(auth) => {
                let data = json!({"auth": auth, "user_data": user_data});
                client.send(&json!({"event": "pusher:signin", "data": data}));
            }
        }
        assert_eq!(client.expect_error(), 4009, "{user_data}");
        assert_eq!(client.client.read_close().0, 4009, "{user_data}");
    }
}

#[test]
fn second_sign_in_is_for_the_same_user_only() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.sign_in(r#"{"id":"ann"}"#);
    client.sign_in(r#"{"id":"ann","x":1}"#);
    client.request_sign_in(r#"{"id":"bob"}"#);
    assert_eq!(client.expect_error(), 4009);
    assert_eq!(client.client.read_close().0, 4009);
}

#[test]
fn only_the_user_gets_messages_to_the_user() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let channel = "#server-to-user-ann/\u{e9}";
        let mut ann = service.connect();
        ann.request(channel);
        assert_eq!(
            ann.expect("pusher:subscription_error", channel)["status"],
            401
        );
        ann.sign_in("{\"id\":\"ann/\u{e9}\"}");
        ann.subscribe(channel);
        let mut bob = service.connect();
        bob.sign_in(r#"{"id":"bob"}"#);
        bob.request(channel);
        assert_eq!(
            bob.expect("pusher:subscription_error", channel)["status"],
            401
        );
        service.trigger(channel, "hello", "x");
        assert_eq!(ann.expect("hello", channel), "x");
        bob.expect_nothing();
    });
}

#[test]
fn termination_closes_all_connections_of_the_user_with_4009() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut connections: Vec<_> = (0..3).map(|_| service.connect()).collect();
        for client in &mut connections {
            client.sign_in(r#"{"id":"ann"}"#);
        }
        let mut only_present = service.connect();
        only_present.enter("presence-a", "ann");
        let answer = service.post("/users/ann/terminate_connections", &json!({}));
        assert_eq!(answer, (200, json!({})));
        for client in &mut connections {
            assert_eq!(client.client.read_close().0, 4009);
        }
        only_present.expect_nothing();
        let answer = service.post("/users/nobody/terminate_connections", &json!({}));
        assert_eq!(answer, (200, json!({})));
    });
}

/// A library leaves `/apps/{id}` out of this path.
#[test]
fn termination_without_the_app_in_its_path_is_for_the_app_of_the_key() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.sign_in(r#"{"id":"ann"}"#);
    let answer = service.ask("POST", "/users/ann/terminate_connections", "", "{}");
    assert_eq!(answer, (200, json!({})));
    assert_eq!(client.client.read_close().0, 4009);
}

#[test]
fn watchlist_tells_who_is_online_and_every_change() {
    with_1_and_3_workers(|workers| {
        let service = Service::start(workers);
        let mut bob = service.connect();
        bob.sign_in(r#"{"id":"bob"}"#);
        let mut ann = service.connect();
        ann.sign_in(r#"{"id":"ann","watchlist":["bob","cid"]}"#);
        let bob_is_online = json!([{"name": "online", "user_ids": ["bob"]}]);
        assert_eq!(watched(&ann.read()), bob_is_online);
        // What was on its way between two workers when ann signed in comes again, now or later.
        let mut next_change = || {
            let change = watched(&ann.read());
            match change == bob_is_online {
                true => watched(&ann.read()),
                false => change,
            }
        };
        let mut cid = service.connect();
        cid.sign_in(r#"{"id":"cid"}"#);
        let cid_is_online = json!([{"name": "online", "user_ids": ["cid"]}]);
        assert_eq!(next_change(), cid_is_online);
        let mut second = service.connect();
        second.sign_in(r#"{"id":"bob"}"#);
        drop(bob);
        drop(second);
        let bob_is_offline = json!([{"name": "offline", "user_ids": ["bob"]}]);
        assert_eq!(next_change(), bob_is_offline);
        cid.expect_nothing();
    });
}

fn watched(message: &Value) -> Value {
    assert_eq!(
        message["event"], "pusher_internal:watchlist_events",
        "{message}"
    );
    let data: Value =
        serde_json::from_str(message["data"].as_str().expect("a text")).expect("JSON");
    data["events"].clone()
}

#[test]
fn first_hundred_of_a_longer_watchlist_count() {
    let service = Service::start(1);
    let watchlist: Vec<String> = (0..101).map(|number| format!("user{number}")).collect();
    let mut ann = service.connect();
    ann.sign_in(&json!({"id": "ann", "watchlist": watchlist}).to_string());
    assert_eq!(ann.expect_error(), 4302);
    let mut beyond = service.connect();
    beyond.sign_in(r#"{"id":"user100"}"#);
    let mut last = service.connect();
    last.sign_in(r#"{"id":"user99"}"#);
    assert_eq!(
        watched(&ann.read()),
        json!([{"name": "online", "user_ids": ["user99"]}])
    );
    let mut full = service.connect();
    full.sign_in(&json!({"id": "x", "watchlist": &watchlist[..100]}).to_string());
    assert_eq!(watched(&full.read())[0]["user_ids"], json!(["user99"]));
    let _ = authorisation(&[]);
}
