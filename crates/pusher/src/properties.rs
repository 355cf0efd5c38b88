//! Properties that hold for every input: for the fuzz targets of the repository (feature `internals`). Each function takes any
//! bytes, and panics if its property does not hold.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use serde_json::value::RawValue;
use yamabiko::http::{HttpVersion, OwnedRequest};
use yamabiko::server::{Request, Status};

use crate::api;
use crate::app_state::AppState;
use crate::name::ChannelName;
use crate::signature::md5;
use crate::socket_id::SocketId;
use crate::wire::{
    ChannelData, ClientMessage, EncodedEvent, ServerMessage, SignIn, Subscribe, Unsubscribe,
    UserData,
};

/// A message of a client is read without a panic. What is relayed of it is JSON with the same name, channel and data, and a name
/// of a channel stays the same.
pub fn pusher_messages(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    channel_is_stable(text);
    let _ = text.parse::<SocketId>();
    if let Some(data) = ChannelData::parse(text) {
        let id = data.user_id();
        let id = id.as_deref().unwrap_or_default();
        is_event(&ServerMessage::member_added(
            "presence-a",
            id,
            data.user_info,
        ));
    }
    if let Some(user) = UserData::parse(text) {
        is_event(&ServerMessage::signed_in(&user.id));
    }
    let Some(message) = ClientMessage::parse(text) else {
        return;
    };
    let _ = message
        .data::<Subscribe>()
        .map(|data| channel_is_stable(&data.channel));
    let _ = message
        .data::<Unsubscribe>()
        .map(|data| channel_is_stable(&data.channel));
    let _ = message.data::<SignIn>();
    let channel = message.channel.as_deref().unwrap_or_default();
    relayed_is_the_same(&message.event, channel, message.data);
    encoded_is_the_same(&message.event, channel, &message.data_text());
}

fn channel_is_stable(name: &str) {
    if let Ok(channel) = ChannelName::parse(name, PREFIX) {
        assert_eq!(channel.as_str(), name);
        assert_eq!(channel.room(), format!("{PREFIX}{name}"));
        let again = ChannelName::parse(channel.as_str(), PREFIX).expect("it is one");
        assert_eq!(again.kind(), channel.kind());
    }
}

/// The JSON of a message of the server.
fn is_event(message: &str) -> Value {
    let value: Value = serde_json::from_str(message).expect("JSON");
    assert!(value["event"].is_string(), "{message}");
    value
}

fn relayed_is_the_same(event: &str, channel: &str, data: Option<&RawValue>) {
    let message = ServerMessage::client_event(event, channel, data, Some("user"));
    let relayed = ClientMessage::parse(&message).expect("a message");
    assert_eq!(relayed.event, event);
    assert_eq!(relayed.channel.as_deref(), Some(channel));
    // Byte for byte: also what only some readers of JSON accept, such as half of a surrogate pair (RFC 8259 §8.2).
    assert_eq!(relayed.data.map(RawValue::get), data.map(RawValue::get));
}

fn encoded_is_the_same(event: &str, channel: &str, data: &str) {
    let message = EncodedEvent::new(event, data).on(channel);
    let value = is_event(&message);
    assert_eq!(value["event"], event);
    assert_eq!(value["channel"], channel);
    assert_eq!(value["data"], data);
}

/// A request of the HTTP API that is not signed is refused with 401. The same request signed is authentic, and with another body
/// it is not. A body is refused with 400 or 413, or its events are within all limits.
///
/// The input is a path and a query, a line feed, and a body.
pub fn pusher_api(data: &[u8]) {
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (target, body) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let Ok(target) = std::str::from_utf8(target) else {
        return;
    };
    let app = AppState::new("1:key:secret".parse().expect("an app")).expect("no webhook");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let target = format!("/apps/1/{target}");
    with_request(&target, body, |request| {
        let refused = api::authenticate(&app, request, now).expect_err("nobody has signed it");
        assert_eq!(refused.status(), Status::Unauthorized);
        body_is_refused_or_within_limits(&app, request);
    });
    let Some(signed) = signed(&app, &target, body) else {
        return;
    };
    with_request(&signed, body, |request| {
        let checked = api::authenticate(&app, request, now);
        assert!(checked.is_ok(), "{checked:?} {signed}");
    });
    let other = [body, b" "].concat();
    with_request(&signed, &other, |request| {
        assert!(api::authenticate(&app, request, now).is_err(), "{signed}");
    });
}

/// Calls `check` with this request, if it is one.
fn with_request(target: &str, body: &[u8], check: impl FnOnce(&Request<'_>)) {
    let fields = [("host", &b"localhost"[..])];
    let Ok(request) = OwnedRequest::new("POST", target, HttpVersion::Http11, fields) else {
        return;
    };
    let Ok(head) = request.head() else {
        return;
    };
    check(&Request::new(head, body, ([127, 0, 0, 1], 50_000).into()));
}

/// The target with the parameters of a signature. `None`: its query has such parameters already, or the target is none.
fn signed(app: &AppState, target: &str, body: &[u8]) -> Option<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_reserved = |name: &str| {
        let name = name.to_lowercase();
        name.starts_with("auth_") || name == "body_md5"
    };
    let added = [
        ("auth_key", "key".to_owned()),
        ("auth_timestamp", NOW.to_string()),
        ("auth_version", "1.0".to_owned()),
        ("body_md5", md5(body)),
    ];
    let mut signed = None;
    with_request(target, body, |request| {
        let pairs = request.query_pairs();
        let mut pairs: Vec<(String, String)> = pairs
            .map(|(name, value)| (name.to_lowercase(), value.into_owned()))
            .collect();
        if pairs.iter().any(|(name, _)| is_reserved(name)) {
            return;
        }
        pairs.extend(
            added
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let lines: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let parts = [
            request.method(),
            "\n",
            request.path(),
            "\n",
            &lines.join("&"),
        ];
        signed = Some(app.secret.sign(&parts));
    });
    let added: Vec<String> = added
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let begin = if query.is_empty() {
        String::new()
    } else {
        format!("{query}&")
    };
    signed.map(|signature| {
        format!(
            "{path}?{begin}{}&auth_signature={signature}",
            added.join("&")
        )
    })
}

fn body_is_refused_or_within_limits(app: &AppState, request: &Request<'_>) {
    match api::checked_event(app, request) {
        Ok((channels, data_bytes)) => {
            assert!((1..=100).contains(&channels), "{channels}");
            assert!(
                data_bytes <= app.app.app_limits().event_bytes_max,
                "{data_bytes}"
            );
        }
        Err(refused) => {
            let expected = [Status::BadRequest, Status::ContentTooLarge];
            assert!(expected.contains(&refused.status()), "{refused:?}");
        }
    }
}

const PREFIX: &str = "/apps/1/channels/";
/// The time of all requests, in seconds since 1970.
const NOW: u64 = 1_700_000_000;

/// The first inputs of the fuzzer for [`pusher_messages`].
pub fn messages_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seeds = [
        (
            "subscribe",
            r#"{"event":"pusher:subscribe","data":{"channel":"news","auth":""}}"#,
        ),
        (
            "subscribe-text",
            r#"{"event":"pusher:subscribe","data":"{\"channel\":\"private-a\",\"auth\":\"key:0\"}"}"#,
        ),
        (
            "subscribe-presence",
            r#"{"event":"pusher:subscribe","data":{"channel":"presence-cache-a","auth":"k:s","channel_data":"{\"user_id\":10}"}}"#,
        ),
        (
            "unsubscribe",
            r#"{"event":"pusher:unsubscribe","data":{"channel":"news"}}"#,
        ),
        (
            "signin",
            r#"{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{\"id\":\"1\"}"}}"#,
        ),
        (
            "client-event",
            r#"{"event":"client-typing","channel":"private-a","data":{"a":[1,2.50,null]}}"#,
        ),
        (
            "client-event-null",
            r#"{"event":"client-a","channel":"presence-a","data":null}"#,
        ),
        ("ping", r#"{"event":"pusher:ping","data":{}}"#),
        (
            "channel-data",
            r#"{"user_id":"__proto__","user_info":{"name":"\ud83d\ude00"}}"#,
        ),
        (
            "user-data",
            r#"{"id":"1","user_info":{},"watchlist":["2","3"]}"#,
        ),
        ("channel", "private-encrypted-cache-a_b-c=d@e,f.g;h"),
        ("user-channel", "#server-to-user-1"),
        ("socket-id", "123.456"),
        ("unfinished", r#"{"event":"a","data":"{\"#),
        ("lone-surrogate", r#"{"event":"\ud800"}"#),
        (
            "lone-surrogate-in-data",
            r#"{"event":"client-a","channel":"private-a","data":{"a":"\ude00"}}"#,
        ),
    ];
    seeds
        .map(|(name, text)| (name, text.as_bytes().to_vec()))
        .to_vec()
}

/// The first inputs of the fuzzer for [`pusher_api`].
pub fn api_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seeds = [
        (
            "event",
            "events\n{\"name\":\"a\",\"channels\":[\"b\",\"b\"],\"data\":\"{}\"}",
        ),
        (
            "event-except",
            "events\n{\"name\":\"a\",\"channel\":\"b\",\"data\":\"\",\"socket_id\":\"1.2\",\"info\":\"user_count\"}",
        ),
        (
            "event-both",
            "events\n{\"name\":\"a\",\"channel\":\"b\",\"channels\":[\"c\"],\"data\":\"\"}",
        ),
        (
            "batch",
            "batch_events\n{\"batch\":[{\"name\":\"a\",\"channel\":\"b\",\"data\":\"c\"}]}",
        ),
        (
            "query",
            "channels?filter_by_prefix=presence-&info=user_count",
        ),
        ("query-escaped", "channels?B=%26%3D&a=%C3%A9&A=+"),
        ("query-no-value", "channels?a&b=&=c&&"),
        ("query-wrong-escape", "channels?a=%zz&b=%C3"),
        (
            "signed-already",
            "events?auth_key=key&auth_signature=0&auth_timestamp=1700000000&auth_version=1.0\n{}",
        ),
        ("reserved-in-capitals", "events?AUTH_KEY=key&Body_MD5=0\n{}"),
        ("channel-in-the-path", "channels/presence-a=b@c,d;e/users"),
        ("terminate", "users/1/terminate_connections\n{}"),
        ("no-json", "events\n{\"name\":"),
    ];
    seeds
        .map(|(name, text)| (name, text.as_bytes().to_vec()))
        .to_vec()
}
