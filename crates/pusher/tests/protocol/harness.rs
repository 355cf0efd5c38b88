//! A server with apps, clients of it, and what an application of the apps signs.

use std::num::NonZeroUsize;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use sha2::Sha256;
use yamabiko::server::Config;
use yamabiko_pusher::{App, AppLimits, CountsReader, Pusher};
use yamabiko_testing::socket::{self, Client, Response, TestServer};

pub const ID: &str = "17";
pub const KEY: &str = "app-key";
pub const SECRET: &str = "app-secret";

/// A running server with one app, or with several.
pub struct Service {
    pub server: TestServer,
    pub counts: CountsReader,
}

/// A client that has got its socket id.
pub struct Subscriber {
    pub client: Client,
    pub socket_id: String,
}

/// The app of most tests.
pub fn app() -> App {
    App::new(ID, KEY, SECRET).expect("an app")
}

/// A test with one worker, and again with three.
pub fn with_1_and_3_workers(test: impl Fn(usize)) {
    [1, 3].into_iter().for_each(test);
}

impl Service {
    pub fn start(workers: usize) -> Service {
        Service::with(workers, [app()])
    }

    pub fn with_limits(limits: AppLimits) -> Service {
        Service::with(1, [app().limits(limits)])
    }

    pub fn with(workers: usize, apps: impl IntoIterator<Item = App>) -> Service {
        let workers = NonZeroUsize::new(workers).expect("not zero").get();
        Service::on(socket::config(workers), apps)
    }

    pub fn on(config: Config, apps: impl IntoIterator<Item = App>) -> Service {
        let pusher = Pusher::new(apps).expect("different apps");
        let counts = pusher.counts();
        Service {
            server: TestServer::start(config, pusher),
            counts,
        }
    }

    /// Opens a WebSocket at this path and query, and reads nothing.
    pub fn open(&self, target: &str) -> Client {
        Client::connect(self.server.address).upgraded(target)
    }

    /// A client of the app, with its socket id.
    pub fn connect(&self) -> Subscriber {
        Service::established(Client::connect(self.server.address))
    }

    /// The same, with small socket buffers.
    pub fn connect_narrow(&self) -> Subscriber {
        Service::established(Client::connect_narrow(self.server.address))
    }

    fn established(client: Client) -> Subscriber {
        let query = "protocol=7&client=js&version=8.4.0&flash=false";
        let mut client = client.upgraded(&format!("/app/{KEY}?{query}"));
        let (event, data) = established(&mut client);
        assert_eq!(event, "pusher:connection_established");
        assert_eq!(data["activity_timeout"], 120);
        let socket_id = data["socket_id"].as_str().expect("a text").to_owned();
        Subscriber { client, socket_id }
    }

    /// A client of the app that is subscribed to channels.
    pub fn subscribed_to(&self, channels: &[&str]) -> Subscriber {
        let mut subscriber = self.connect();
        for channel in channels {
            subscriber.subscribe(channel);
        }
        subscriber
    }

    pub fn counts(&self) -> yamabiko_pusher::AppCounts {
        self.counts.read().remove(0)
    }
}

fn established(client: &mut Client) -> (String, Value) {
    let message: Value = serde_json::from_str(&client.read_text()).expect("JSON");
    let data = message["data"].as_str().expect("a text");
    (
        message["event"].as_str().expect("a text").to_owned(),
        serde_json::from_str(data).expect("JSON in a text"),
    )
}

// Clients.
impl Subscriber {
    pub fn send(&mut self, message: &Value) {
        self.client.text(&message.to_string());
    }

    /// The next message, as JSON.
    pub fn read(&mut self) -> Value {
        serde_json::from_str(&self.client.read_text()).expect("JSON")
    }

    /// The next message has this event and channel; returns its data, parsed if they are JSON in a text.
    #[track_caller]
    pub fn expect(&mut self, event: &str, channel: &str) -> Value {
        let message = self.read();
        assert_eq!(message["event"], event, "{message}");
        assert_eq!(message["channel"], channel, "{message}");
        match message["data"].as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            None => message["data"].clone(),
        }
    }

    /// The next message is an error of the connection; returns its code.
    #[track_caller]
    pub fn expect_error(&mut self) -> Value {
        let message = self.read();
        assert_eq!(message["event"], "pusher:error", "{message}");
        assert!(message["data"]["message"].is_string(), "{message}");
        message["data"]["code"].clone()
    }

    /// Nothing is waiting for the client: the answer to a ping is the next message.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        self.send(&json!({"event": "pusher:ping", "data": {}}));
        let message = self.read();
        assert_eq!(message["event"], "pusher:pong", "{message}");
    }

    /// Asks for a subscription, with the authorisation that the name asks for.
    pub fn request(&mut self, channel: &str) {
        let auth = match channel.starts_with("private-") || channel.starts_with("presence-") {
            true => authorisation(&[&self.socket_id, ":", channel]),
            false => String::new(),
        };
        self.send(
            &json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}}),
        );
    }

    #[track_caller]
    pub fn subscribe(&mut self, channel: &str) -> Value {
        self.request(channel);
        self.expect("pusher_internal:subscription_succeeded", channel)
    }

    /// Asks for a subscription to a presence channel with these channel data.
    pub fn request_as(&mut self, channel: &str, channel_data: &str) {
        let auth = authorisation(&[&self.socket_id, ":", channel, ":", channel_data]);
        let data = json!({"channel": channel, "auth": auth, "channel_data": channel_data});
        self.send(&json!({"event": "pusher:subscribe", "data": data}));
    }

    /// Subscribes to a presence channel as this user; returns the members.
    #[track_caller]
    pub fn enter(&mut self, channel: &str, user_id: &str) -> Value {
        let channel_data = json!({"user_id": user_id, "user_info": {"name": user_id}});
        self.request_as(channel, &channel_data.to_string());
        self.expect("pusher_internal:subscription_succeeded", channel)["presence"].clone()
    }

    pub fn unsubscribe(&mut self, channel: &str) {
        self.send(&json!({"event": "pusher:unsubscribe", "data": {"channel": channel}}));
    }

    pub fn whisper(&mut self, channel: &str, event: &str, data: &Value) {
        self.send(&json!({"event": event, "channel": channel, "data": data}));
    }

    pub fn request_sign_in(&mut self, user_data: &str) {
        let auth = authorisation(&[&self.socket_id, "::user::", user_data]);
        let data = json!({"auth": auth, "user_data": user_data});
        self.send(&json!({"event": "pusher:signin", "data": data}));
    }

    #[track_caller]
    pub fn sign_in(&mut self, user_data: &str) {
        self.request_sign_in(user_data);
        let message = self.read();
        assert_eq!(message["event"], "pusher:signin_success", "{message}");
        let data = message["data"].as_str().expect("a text");
        let data: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(data["user_data"], user_data);
    }
}

// The HTTP API.
impl Service {
    /// A signed request with this body; `query` has further parameters, each with `&` in front.
    pub fn ask(&self, method: &str, path: &str, query: &str, body: &str) -> (u16, Value) {
        let target = signed_target(SECRET, method, path, query, body, now());
        self.send(method, &target, body)
    }

    pub fn get(&self, path: &str, query: &str) -> (u16, Value) {
        self.ask("GET", &format!("/apps/{ID}{path}"), query, "")
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", &format!("/apps/{ID}{path}"), "", &body.to_string())
    }

    /// Publishes an event, which must be accepted.
    #[track_caller]
    pub fn trigger(&self, channel: &str, event: &str, data: &str) {
        let body = json!({"name": event, "channels": [channel], "data": data});
        assert_eq!(self.post("/events", &body), (200, json!({})));
    }

    /// The status and the body of a response, parsed if it is JSON.
    pub fn send(&self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let mut client = Client::connect(self.server.address);
        client.send(request(method, target, body));
        let Response { status, body, .. } = client.read_response();
        let text = String::from_utf8(body).expect("UTF-8");
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }
}

/// The bytes of a request, the last one of its connection.
pub fn request(method: &str, target: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A target with its signature.
pub fn signed_target(
    secret: &str,
    method: &str,
    path: &str,
    query: &str,
    body: &str,
    timestamp: u64,
) -> String {
    let mut pairs = vec![
        format!("auth_key={KEY}"),
        format!("auth_timestamp={timestamp}"),
        "auth_version=1.0".to_owned(),
    ];
    if !body.is_empty() {
        let digest = Md5::digest(body.as_bytes());
        pairs.push(format!("body_md5={}", hexadecimal(&digest)));
    }
    pairs.extend(
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(str::to_owned),
    );
    pairs.sort();
    let query = pairs.join("&");
    let signature = sign(secret, &[method, "\n", path, "\n", &query]);
    format!("{path}?{query}&auth_signature={signature}")
}

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// The authorisation that an application of the app gives.
pub fn authorisation(parts: &[&str]) -> String {
    format!("{KEY}:{}", sign(SECRET, parts))
}

pub fn sign(secret: &str, parts: &[&str]) -> String {
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    parts.iter().for_each(|part| hmac.update(part.as_bytes()));
    hexadecimal(&hmac.finalize().into_bytes())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
