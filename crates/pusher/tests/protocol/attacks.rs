//! Messages and requests that are made to harm: signatures used again elsewhere, data of odd shapes, names at the borders.

use serde_json::{Value, json};

use crate::harness::{ID, SECRET, Service, Subscriber, authorisation, now, signed_target};

/// Subscribes with this authorisation; returns the type of the error. `None`: it succeeded.
fn error_of(client: &mut Subscriber, data: &Value) -> Option<String> {
    client.send(&json!({"event": "pusher:subscribe", "data": data}));
    let message = client.read();
    let is_success = message["event"] == "pusher_internal:subscription_succeeded";
    (!is_success).then(|| message["data"]["type"].as_str().expect("a type").to_owned())
}

#[test]
fn signature_is_for_one_connection_one_channel_and_one_purpose() {
    let service = Service::start(1);
    let (mut ann, mut eve) = (service.connect(), service.connect());
    let id = ann.socket_id.clone();
    let member = r#"{"user_id":"ann"}"#;
    let private = authorisation(&[&id, ":private-a"]);
    let presence = authorisation(&[&id, ":presence-a:", member]);
    let user = authorisation(&[&id, "::user::", r#"{"id":"ann"}"#]);
    let auth_error = Some("AuthError".to_owned());

    // Another connection shows what it has seen.
    for data in [
        json!({"channel": "private-a", "auth": private}),
        json!({"channel": "presence-a", "auth": presence, "channel_data": member}),
    ] {
        assert_eq!(error_of(&mut eve, &data), auth_error, "{data}");
    }
    // The connection itself uses it for something else.
    for data in [
        json!({"channel": "private-b", "auth": private}),
        json!({"channel": "private-a", "auth": private, "channel_data": ""}),
        json!({"channel": "private-a", "auth": user}),
        json!({"channel": "presence-a", "auth": presence}),
        json!({"channel": "presence-a", "auth": presence, "channel_data": r#"{"user_id":"bob"}"#}),
        json!({"channel": "presence-a", "auth": presence, "channel_data": format!("{member} ")}),
        json!({"channel": "presence-b", "auth": presence, "channel_data": member}),
        json!({"channel": "private-presence-a", "auth": presence, "channel_data": member}),
    ] {
        assert_eq!(error_of(&mut ann, &data), auth_error, "{data}");
    }
    let data = json!({"channel": "private-a", "auth": private});
    assert_eq!(error_of(&mut ann, &data), None);

    // A signature for a channel is none for a user.
    let data = json!({"auth": private, "user_data": r#"{"id":"ann"}"#});
    ann.send(&json!({"event": "pusher:signin", "data": data}));
    assert_eq!(ann.expect_error(), 4009);
    // Neither is that of a connection that has ended.
    drop(ann);
    let mut again = service.connect();
    let data = json!({"channel": "private-a", "auth": private});
    assert_eq!(error_of(&mut again, &data), auth_error);
    let data = json!({"auth": user, "user_data": r#"{"id":"ann"}"#});
    again.send(&json!({"event": "pusher:signin", "data": data}));
    assert_eq!(again.expect_error(), 4009);
}

/// A reader that takes the fields of a type from a list would take these.
#[test]
fn list_is_no_object() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.subscribe("private-a");
    let mut other = service.subscribed_to(&["private-a"]);
    for text in [
        r#"["pusher:ping"]"#,
        r#"["client-a","private-a",{}]"#,
        r#"{"event":"pusher:subscribe","data":["b"]}"#,
        r#"{"event":"pusher:subscribe","data":"[\"b\",\"\"]"}"#,
        r#"{"event":"pusher:unsubscribe","data":["private-a"]}"#,
        r#"{"event":"pusher:signin","data":["app-key:00","{}"]}"#,
    ] {
        client.client.text(text);
        assert_eq!(client.expect_error(), Value::Null, "{text}");
    }
    client.request_as("presence-a", r#"["ann",{"name":"Ann"}]"#);
    let error = client.expect("pusher:subscription_error", "presence-a");
    assert_eq!(error["type"], "AuthError");
    let event = json!(["e", "x", "private-a", null, null, null]);
    for (path, body) in [
        ("/events", event.clone()),
        ("/batch_events", json!([[event.clone()]])),
        ("/batch_events", json!({"batch": [event]})),
    ] {
        assert_eq!(service.post(path, &body).0, 400, "{body}");
    }
    other.expect_nothing();
    client.request_sign_in(r#"["ann"]"#);
    assert_eq!(client.expect_error(), 4009);
}

/// `{"user_id":"ann","user_id":"eve"}` is one user for one parser, and another one for another.
#[test]
fn key_that_comes_twice_is_refused_wherever_it_would_decide() {
    let service = Service::start(1);
    let mut client = service.connect();
    client.request_as("presence-a", r#"{"user_id":"ann","user_id":"eve"}"#);
    let error = client.expect("pusher:subscription_error", "presence-a");
    assert_eq!(error["type"], "AuthError");
    for data in [
        r#"{"channel":"a","channel":"b"}"#,
        r#"{"channel":"a","auth":"","auth":""}"#,
    ] {
        let text = format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#);
        client.client.text(&text);
        assert_eq!(client.expect_error(), Value::Null, "{data}");
    }
    client
        .client
        .text(r#"{"event":"client-a","channel":"private-a","channel":"private-b","data":1}"#);
    assert_eq!(client.expect_error(), Value::Null);
    client.request_sign_in(r#"{"id":"ann","id":"eve"}"#);
    assert_eq!(client.expect_error(), 4009);
    for body in [
        r#"{"name":"e","data":"x","channel":"a","channel":"b"}"#,
        r#"{"name":"e","name":"f","data":"x","channel":"a"}"#,
        r#"{"name":"e","data":"x","data":"y","channel":"a"}"#,
        r#"{"name":"e","data":"x","channels":["a"],"channels":["b"]}"#,
    ] {
        let path = format!("/apps/{ID}/events");
        assert_eq!(service.ask("POST", &path, "", body).0, 400, "{body}");
    }
}

#[test]
fn user_data_of_odd_shapes_hurt_their_connection_alone() {
    let service = Service::start(1);
    let mut other = service.connect();
    other.sign_in(r#"{"id":"bob","watchlist":["ann"]}"#);
    let deep = "[".repeat(50_000);
    let nested = format!("{}{}", "[".repeat(600), "]".repeat(600));
    let long = "x".repeat(129);
    for user_data in [
        r#"{"id":["ann"]}"#,
        r#"{"id":null}"#,
        r#"{"id":1e400}"#,
        r#"{"id":"\ud800"}"#,
        r#"{"id":"ann","watchlist":{"a":1}}"#,
        r#"{"id":"ann","watchlist":[1]}"#,
        r#"["ann"]"#,
        &format!(r#"{{"id":"{long}"}}"#),
        &format!(r#"{{"id":"ann","user_info":{deep}"#),
        // 1,200 bytes: beyond the limit of user_info.
        &format!(r#"{{"id":"ann","user_info":{nested}}}"#),
    ] {
        let mut client = service.connect();
        client.request_sign_in(user_data);
        let shown = &user_data[..user_data.len().min(60)];
        assert_eq!(client.expect_error(), 4009, "{shown}");
        assert_eq!(client.client.read_close().0, 4009, "{shown}");
    }
    // Nobody has come on line.
    other.expect_nothing();
}

#[test]
fn name_of_a_channel_counts_its_characters_at_the_borders() {
    let service = Service::start(1);
    let mut client = service.connect();
    for length in [164, 165, 200] {
        client.subscribe(&"n".repeat(length));
        let private = format!("private-{}", "n".repeat(length - 8));
        client.subscribe(&private);
    }
    let beyond = [
        "n".repeat(201),
        format!("private-{}", "n".repeat(193)),
        // 200 bytes, and a character that no name has.
        format!("{}\u{e9}", "n".repeat(198)),
        format!("{}\u{1F600}", "n".repeat(160)),
        "n\u{301}".to_owned(),
        "\u{ff4e}".to_owned(),
        "n\u{0}".to_owned(),
    ];
    for channel in &beyond {
        client.request(channel);
        let error = client.expect("pusher:subscription_error", channel);
        assert_eq!(error["status"], 400, "{channel:?}");
        let body = json!({"name": "e", "data": "x", "channel": channel});
        assert_eq!(service.post("/events", &body).0, 400, "{channel:?}");
    }
}

#[test]
fn guessed_socket_id_leaves_nobody_out() {
    let service = Service::start(1);
    let mut client = service.subscribed_to(&["a"]);
    let (first, second) = client.socket_id.split_once('.').expect("two numbers");
    let guesses = [
        "0.0".to_owned(),
        format!("{first}.0"),
        format!("0.{second}"),
        format!("0{first}.{second}"),
        format!("{first}.{second}0"),
        "18446744073709551615.18446744073709551615".to_owned(),
        "99999999999999999999999999.1".to_owned(),
    ];
    for guess in &guesses {
        let body = json!({"name": "e", "data": "x", "channel": "a", "socket_id": guess});
        assert_eq!(service.post("/events", &body).0, 200, "{guess}");
        client.expect("e", "a");
    }
}

/// Of 1 MiB that is no event, the response repeats a line at most.
#[test]
fn body_of_any_shape_gets_400_and_a_short_reason() {
    let service = Service::start(1);
    let long = "\u{1}\u{2028}\"".repeat(30_000);
    let deep = "[".repeat(500_000);
    let many: Vec<u32> = (0..100_000).collect();
    let bodies = [
        json!({"name": "e", "data": "x", "channels": long}).to_string(),
        json!({"name": {"x": long}, "data": "x", "channel": "a"}).to_string(),
        json!({"name": "e", "data": "x", "channels": many}).to_string(),
        json!({"name": "e", "data": "x", "channels": [long]}).to_string(),
        json!({"name": "e", "data": "x", "channel": "a", "socket_id": long}).to_string(),
        json!(long).to_string(),
        deep.clone(),
        format!(r#"{{"name":"e","data":"x","channel":"a","x":{deep}"#),
        format!(r#"{{"name":"e","channel":"a","data":{deep}"#),
        "\u{feff}{}".to_owned(),
        r#"{"name":"e","data":"x","channel":"a"} {}"#.to_owned(),
        r#"{"name":"e","data":1e999,"channel":"a"}"#.to_owned(),
    ];
    for body in &bodies {
        for path in ["/events", "/batch_events"] {
            let path = format!("/apps/{ID}{path}");
            let (status, reason) = service.ask("POST", &path, "", body);
            let reason = reason.as_str().expect("a reason");
            let shown: String = body.chars().take(60).collect();
            assert_eq!(status, 400, "{shown}");
            assert!(reason.len() <= 400, "{} bytes: {shown}", reason.len());
        }
    }
    let info = "x".repeat(4000);
    let (status, reason) = service.get("/channels", &format!("&info={info}"));
    assert_eq!(status, 400);
    assert!(reason.as_str().expect("a reason").len() <= 400);
}

/// A web server that lets a page choose a part of its query is not made to sign another request.
#[test]
fn signature_of_a_question_is_none_for_another_path_or_method() {
    let service = Service::start(1);
    let path = format!("/apps/{ID}/channels");
    let right = signed_target(SECRET, "GET", &path, "filter_by_prefix=a", "", now());
    assert_eq!(service.send("GET", &right, "").0, 200);
    let user = right.replace("/channels", "/users/ann/terminate_connections");
    assert_eq!(service.send("POST", &user, "").0, 401);
    assert_eq!(
        service
            .send("GET", &right.replace("/channels", "/channels/a"), "")
            .0,
        401
    );
    for change in [
        "&filter_by_prefix=b",
        "&auth_key=app-key",
        "&x",
        "&body_md5=0",
    ] {
        let changed = format!("{right}{change}");
        assert_eq!(service.send("GET", &changed, "").0, 401, "{change}");
    }
    let twice = right.replace("auth_signature=", "auth_signature=0&auth_signature=");
    assert_eq!(service.send("GET", &twice, "").0, 401);
}
