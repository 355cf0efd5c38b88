//! The facts of the wire: names of events, codes, limits, and the messages as types.
//!
//! Version 7 of the Pusher Channels protocol. Each message is one JSON object in a text message of the WebSocket:
//!
//! ```text
//!   client ──▶ {"event":"pusher:subscribe","data":{"channel":"news","auth":"","channel_data":"…"}}
//!   server ──▶ {"event":"pusher_internal:subscription_succeeded","channel":"news","data":"{}"}
//!   server ──▶ {"event":"headline","channel":"news","data":"any text"}
//! ```
//!
//! `data` from the server is a text. In events whose names begin with `pusher`, the text is JSON again. Errors are the exception: their
//! `data` is an object. `data` from a client is an object; a text that contains one is taken, too.
//!
//! Nothing else in this crate has a name or a code of the protocol.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A message of a client.
#[derive(Debug, Deserialize)]
pub(crate) struct ClientMessage<'a> {
    #[serde(borrow)]
    pub(crate) event: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) data: Option<&'a RawValue>,
}

/// The data of `pusher:subscribe`.
#[derive(Debug, Deserialize)]
pub(crate) struct Subscribe {
    pub(crate) channel: String,
    #[serde(default)]
    pub(crate) auth: Option<String>,
    #[serde(default)]
    pub(crate) channel_data: Option<String>,
}

/// The data of `pusher:unsubscribe`.
#[derive(Debug, Deserialize)]
pub(crate) struct Unsubscribe {
    pub(crate) channel: String,
}

/// The data of `pusher:signin`.
#[derive(Debug, Deserialize)]
pub(crate) struct SignIn {
    pub(crate) auth: String,
    pub(crate) user_data: String,
}

/// `channel_data`: the member of a presence channel.
#[derive(Debug, Deserialize)]
pub(crate) struct ChannelData<'a> {
    #[serde(borrow)]
    pub(crate) user_id: &'a RawValue,
    #[serde(borrow, default)]
    pub(crate) user_info: Option<&'a RawValue>,
}

/// `user_data`: the user who signs in.
#[derive(Debug, Deserialize)]
pub(crate) struct UserData<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) user_info: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) watchlist: Option<Vec<String>>,
}

/// A type that is read from a JSON object alone. Without it, a type with fields is read from the list of their values, too.
pub(crate) struct Object<T>(pub(crate) T);

/// A message of the server.
#[derive(Debug, Serialize)]
pub(crate) struct ServerMessage<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Text(Cow<'a, str>),
    /// As the client wrote it.
    Raw(&'a RawValue),
    Error(Error<'a>),
    SubscriptionError(SubscriptionError<'a>),
}

/// The data of `pusher:error`.
#[derive(Clone, Copy, Debug, Serialize)]
struct Error<'a> {
    message: &'a str,
    code: Option<u16>,
}

/// The data of `pusher:subscription_error`.
#[derive(Clone, Copy, Debug, Serialize)]
struct SubscriptionError<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    error: &'a str,
    status: u16,
}

/// The members of a presence channel, as a new subscriber gets them.
#[derive(Debug, Serialize)]
struct Presence<'a> {
    presence: PresenceMembers<'a>,
}

#[derive(Debug, Serialize)]
struct PresenceMembers<'a> {
    ids: Vec<&'a str>,
    hash: BTreeMap<&'a str, Option<&'a RawValue>>,
    count: usize,
}

#[derive(Debug, Serialize)]
struct ConnectionEstablished<'a> {
    socket_id: &'a str,
    activity_timeout: u32,
}

#[derive(Debug, Serialize)]
struct Member<'a> {
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_info: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct SubscriptionCount {
    subscription_count: u32,
}

#[derive(Debug, Serialize)]
struct SignedIn<'a> {
    user_data: &'a str,
}

#[derive(Debug, Serialize)]
struct WatchlistEvents<'a> {
    events: Vec<WatchlistEvent<'a>>,
}

#[derive(Debug, Serialize)]
struct WatchlistEvent<'a> {
    name: &'static str,
    user_ids: &'a [&'a str],
}

// Reading.
impl<'a> ClientMessage<'a> {
    pub(crate) fn parse(json: &'a str) -> Option<ClientMessage<'a>> {
        object(json)
    }

    /// The data as a text: that of a text, otherwise their JSON.
    pub(crate) fn data_text(&self) -> String {
        let json = self.data.map_or("", RawValue::get);
        serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
    }

    /// The data as this type: an object, or a text that contains one.
    pub(crate) fn data<T: for<'d> Deserialize<'d>>(&self) -> Option<T> {
        let json = self.data?.get();
        match json.starts_with('"') {
            true => object(&serde_json::from_str::<String>(json).ok()?),
            false => object(json),
        }
    }
}

/// `null` is there, too: it is passed on as it came.
fn present<'de, D: Deserializer<'de>>(json: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(json).map(Some)
}

impl<'a> ChannelData<'a> {
    pub(crate) fn parse(json: &'a str) -> Option<ChannelData<'a>> {
        object(json)
    }

    /// The id as text. A number counts as its decimal text, as it is written. Anything else is none.
    pub(crate) fn user_id(&self) -> Option<String> {
        let json = self.user_id.get();
        match json.as_bytes().first()? {
            b'"' => serde_json::from_str(json).ok(),
            b'0'..=b'9' | b'-' => Some(json.to_owned()),
            _ => None,
        }
    }
}

impl<'a> UserData<'a> {
    pub(crate) fn parse(json: &'a str) -> Option<UserData<'a>> {
        object(json)
    }
}

fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    let Object(value) = serde_json::from_str(json).ok()?;
    Some(value)
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Object<T>, D::Error> {
        json.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<Object<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

// Writing.
impl<'a> ServerMessage<'a> {
    fn new(event: &'a str) -> ServerMessage<'a> {
        ServerMessage {
            event,
            channel: None,
            data: None,
            user_id: None,
        }
    }

    fn on(event: &'a str, channel: &'a str) -> ServerMessage<'a> {
        ServerMessage {
            channel: Some(channel),
            ..ServerMessage::new(event)
        }
    }

    fn with(self, data: Data<'a>) -> ServerMessage<'a> {
        ServerMessage {
            data: Some(data),
            ..self
        }
    }

    /// JSON in a text.
    fn with_json(self, data: &impl Serialize) -> ServerMessage<'a> {
        self.with(Data::Text(json(data).into()))
    }

    pub(crate) fn connection_established(socket_id: &str) -> String {
        let data = ConnectionEstablished {
            socket_id,
            activity_timeout: ACTIVITY_TIMEOUT_SECONDS,
        };
        json(&ServerMessage::new(CONNECTION_ESTABLISHED).with_json(&data))
    }

    pub(crate) fn pong() -> String {
        json(&ServerMessage::new(PONG).with(Data::Text("{}".into())))
    }

    pub(crate) fn error(message: &str, code: Option<u16>, channel: Option<&str>) -> String {
        let error = Data::Error(Error { message, code });
        let message = ServerMessage::new(ERROR).with(error);
        json(&ServerMessage { channel, ..message })
    }

    pub(crate) fn subscription_succeeded(channel: &str) -> String {
        let message = ServerMessage::on(SUBSCRIPTION_SUCCEEDED, channel);
        json(&message.with(Data::Text("{}".into())))
    }

    /// Of a presence channel: with its members, the new one included.
    pub(crate) fn presence_succeeded<'m>(
        channel: &str,
        members: impl Iterator<Item = (&'m str, Option<&'m RawValue>)>,
    ) -> String {
        let hash: BTreeMap<_, _> = members.collect();
        let presence = PresenceMembers {
            ids: hash.keys().copied().collect(),
            count: hash.len(),
            hash,
        };
        let message = ServerMessage::on(SUBSCRIPTION_SUCCEEDED, channel);
        json(&message.with_json(&Presence { presence }))
    }

    pub(crate) fn subscription_error(
        channel: &str,
        kind: &str,
        error: &str,
        status: u16,
    ) -> String {
        let error = SubscriptionError {
            kind,
            error,
            status,
        };
        let message = ServerMessage::on(SUBSCRIPTION_ERROR, channel);
        json(&message.with(Data::SubscriptionError(error)))
    }

    pub(crate) fn member_added(channel: &str, user_id: &str, info: Option<&RawValue>) -> String {
        let member = Member {
            user_id,
            user_info: info,
        };
        json(&ServerMessage::on(MEMBER_ADDED, channel).with_json(&member))
    }

    pub(crate) fn member_removed(channel: &str, user_id: &str) -> String {
        let member = Member {
            user_id,
            user_info: None,
        };
        json(&ServerMessage::on(MEMBER_REMOVED, channel).with_json(&member))
    }

    pub(crate) fn cache_miss(channel: &str) -> String {
        json(&ServerMessage::on(CACHE_MISS, channel))
    }

    pub(crate) fn subscription_count(channel: &str, subscription_count: u32) -> String {
        let count = SubscriptionCount { subscription_count };
        json(&ServerMessage::on(SUBSCRIPTION_COUNT, channel).with_json(&count))
    }

    /// `user_data`: as the client sent it.
    pub(crate) fn signed_in(user_data: &str) -> String {
        json(&ServerMessage::new(SIGNIN_SUCCESS).with_json(&SignedIn { user_data }))
    }

    /// These users are online, or offline.
    pub(crate) fn watchlist(online: bool, user_ids: &[&str]) -> String {
        let name = if online { ONLINE } else { OFFLINE };
        let events = vec![WatchlistEvent { name, user_ids }];
        json(&ServerMessage::new(WATCHLIST_EVENTS).with_json(&WatchlistEvents { events }))
    }

    /// A client's event for the other subscribers, its data as they came.
    pub(crate) fn client_event(
        event: &str,
        channel: &str,
        data: Option<&RawValue>,
        user_id: Option<&str>,
    ) -> String {
        let message = ServerMessage {
            data: data.map(Data::Raw),
            user_id,
            ..ServerMessage::on(event, channel)
        };
        json(&message)
    }
}

/// An event of the HTTP API, with the parts that are the same for every channel encoded once.
#[derive(Debug)]
pub(crate) struct EncodedEvent {
    name: String,
    data: String,
}

impl EncodedEvent {
    pub(crate) fn new(name: &str, data: &str) -> EncodedEvent {
        EncodedEvent {
            name: json(&name),
            data: json(&data),
        }
    }

    /// The message for one channel. A channel's name needs no escapes, unless it is that of a user.
    pub(crate) fn on(&self, channel: &str) -> String {
        let EncodedEvent { name, data } = self;
        let channel = json(&channel);
        let bytes = name.len() + data.len() + channel.len() + ENVELOPE_BYTES;
        let mut message = String::with_capacity(bytes);
        for part in [
            "{\"event\":",
            name,
            ",\"channel\":",
            &channel,
            ",\"data\":",
            data,
            "}",
        ] {
            message.push_str(part);
        }
        message
    }
}

/// Our types have no map with keys that are not text, and no other value that JSON does not have.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(crate) const SUBSCRIBE: &str = "pusher:subscribe";
pub(crate) const UNSUBSCRIBE: &str = "pusher:unsubscribe";
pub(crate) const SIGNIN: &str = "pusher:signin";
pub(crate) const PING: &str = "pusher:ping";
pub(crate) const PONG: &str = "pusher:pong";
const CONNECTION_ESTABLISHED: &str = "pusher:connection_established";
const ERROR: &str = "pusher:error";
const SUBSCRIPTION_ERROR: &str = "pusher:subscription_error";
const CACHE_MISS: &str = "pusher:cache_miss";
const SIGNIN_SUCCESS: &str = "pusher:signin_success";
const SUBSCRIPTION_SUCCEEDED: &str = "pusher_internal:subscription_succeeded";
const MEMBER_ADDED: &str = "pusher_internal:member_added";
const MEMBER_REMOVED: &str = "pusher_internal:member_removed";
const SUBSCRIPTION_COUNT: &str = "pusher_internal:subscription_count";
const WATCHLIST_EVENTS: &str = "pusher_internal:watchlist_events";
const ONLINE: &str = "online";
const OFFLINE: &str = "offline";
/// What the name of a client event begins with.
pub(crate) const CLIENT_EVENT: &str = "client-";

/// The versions of the protocol that are served.
pub(crate) const PROTOCOLS: std::ops::RangeInclusive<u32> = 4..=7;
/// After so many seconds of silence the client sends `pusher:ping`.
const ACTIVITY_TIMEOUT_SECONDS: u32 = 120;

/// 4000 to 4099: the client does not come back by itself.
pub(crate) const UNKNOWN_APP: u16 = 4001;
pub(crate) const DISABLED_APP: u16 = 4003;
pub(crate) const CONNECTION_QUOTA: u16 = 4004;
pub(crate) const INVALID_VERSION: u16 = 4006;
pub(crate) const UNSUPPORTED_PROTOCOL: u16 = 4007;
pub(crate) const NO_PROTOCOL: u16 = 4008;
pub(crate) const UNAUTHORIZED: u16 = 4009;
/// 4100 to 4199: the client comes back after a second or more.
pub(crate) const OVER_CAPACITY: u16 = 4100;
/// 4200 to 4299: the client comes back at once.
pub(crate) const RECONNECT: u16 = 4200;
pub(crate) const PONG_NOT_RECEIVED: u16 = 4201;
/// Only in `pusher:error`: a client event was refused.
pub(crate) const CLIENT_EVENT_REFUSED: u16 = 4301;
/// Only in `pusher:error`: the watchlist is too long.
pub(crate) const WATCHLIST_TOO_LONG: u16 = 4302;

/// Kinds of `pusher:subscription_error`, with the status of each.
pub(crate) const AUTH_ERROR: (&str, u16) = ("AuthError", 401);
pub(crate) const LIMIT_REACHED: (&str, u16) = ("LimitReached", 403);
pub(crate) const TOO_OFTEN: (&str, u16) = ("TooOften", 429);
pub(crate) const INVALID_CHANNEL: (&str, u16) = ("InvalidChannel", 400);

/// Characters in the name of an event.
pub(crate) const EVENT_NAME_CHARACTERS_MAX: usize = 200;
/// Characters in the name of a channel.
pub(crate) const CHANNEL_NAME_CHARACTERS_MAX: usize = 200;
/// Characters in the id of a user.
pub(crate) const USER_ID_CHARACTERS_MAX: usize = 128;
/// Ids of a watchlist that count.
pub(crate) const WATCHLIST_MAX: usize = 100;
/// Subscribers up to which each change of their number is told at once.
pub(crate) const COUNTED_AT_ONCE_MAX: u32 = 100;
/// How long the number of more subscribers is not told again.
pub(crate) const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// Channels of one event of the HTTP API.
pub(crate) const CHANNELS_OF_EVENT_MAX: usize = 100;
/// Events of one batch of the HTTP API.
pub(crate) const EVENTS_OF_BATCH_MAX: usize = 10;

/// The quotation marks, keys and braces around a message.
const ENVELOPE_BYTES: usize = r#"{"event":,"channel":,"data":}"#.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_a_client_is_an_object_or_a_text_with_one() {
        for json in [
            r#"{"event":"pusher:subscribe","data":{"channel":"a"}}"#,
            r#"{"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"}"#,
            r#"{"data":{"channel":"a","x":[1]},"y":null,"event":"pusher\u003asubscribe"}"#,
        ] {
            let message = ClientMessage::parse(json).expect(json);
            assert_eq!(message.event, SUBSCRIBE);
            let data: Subscribe = message.data().expect(json);
            assert_eq!(data.channel, "a");
        }
    }

    #[test]
    fn message_without_event_or_with_wrong_types_is_none() {
        for json in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"event":1}"#,
            r#"{"event":"a","event":"b"}"#,
            r#"{"event":"a","channel":1}"#,
            r#"{"event":"a"} x"#,
            r#"{"event":"\ud800"}"#,
            r#"["a"]"#,
            r#"["client-a","private-a",{}]"#,
        ] {
            assert!(ClientMessage::parse(json).is_none(), "{json}");
        }
    }

    #[test]
    fn data_of_the_server_are_json_in_a_text() {
        let established = ServerMessage::connection_established("1.2");
        assert_eq!(
            established,
            r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}"#
        );
        let info = serde_json::value::to_raw_value(&1).expect("a value");
        let members = [("__proto__", Some(&*info)), ("\"", None)];
        assert_eq!(
            ServerMessage::presence_succeeded("presence-a", members.into_iter()),
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":"{\"presence\":{\"ids\":[\"\\\"\",\"__proto__\"],\"hash\":{\"\\\"\":null,\"__proto__\":1},\"count\":2}}"}"#
        );
    }

    #[test]
    fn errors_are_objects_with_a_code_or_null() {
        assert_eq!(
            ServerMessage::error("no", None, None),
            r#"{"event":"pusher:error","data":{"message":"no","code":null}}"#
        );
        assert_eq!(
            ServerMessage::error("no", Some(4301), Some("a")),
            r#"{"event":"pusher:error","channel":"a","data":{"message":"no","code":4301}}"#
        );
    }

    #[test]
    fn encoded_event_is_the_message_of_each_channel() {
        let event = EncodedEvent::new("App\\Events\\A", "{\"a\": 1}\n\u{e9}");
        for channel in ["a", "#server-to-user-\"x\""] {
            let expected = json(
                &ServerMessage::on("App\\Events\\A", channel)
                    .with(Data::Text("{\"a\": 1}\n\u{e9}".into())),
            );
            let message = event.on(channel);
            assert_eq!(message, expected);
            assert_eq!(message.capacity(), message.len());
        }
    }

    #[test]
    fn user_id_is_a_text_or_the_decimal_text_of_a_number() {
        let id = |json: &str| ChannelData::parse(json)?.user_id();
        assert_eq!(id(r#"{"user_id":"a\u0062"}"#).as_deref(), Some("ab"));
        assert_eq!(id(r#"{"user_id":10}"#).as_deref(), Some("10"));
        assert_eq!(id(r#"{"user_id":-1.50}"#).as_deref(), Some("-1.50"));
        for json in [
            r#"{"user_id":null}"#,
            r#"{"user_id":true}"#,
            r#"{"user_id":[1]}"#,
            r#"{"user_id":{}}"#,
            "{}",
            r#"["a"]"#,
        ] {
            assert_eq!(id(json), None, "{json}");
        }
    }
}
