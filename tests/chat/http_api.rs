//! The HTTP interface for scripts: publishing with a key, and who is in which room.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde_json::{Value, json};
use yamabiko::chat::{Access, Chat, ClientMessage, TEXT_BYTES_MAX};
use yamabiko::client::{Client, OwnedMessage};
use yamabiko::server::{BackplaneConfig, Config, HttpLimits};
use yamabiko::tokens::Tokens;
use yamabiko::websocket::Message;
use yamabiko_testing::engine::SimulatedEngine;
use yamabiko_testing::socket::{self, LOOP_TIMEOUT, Response, TIMEOUT, TestServer, eventually};

const EVERYTHING: &str = "everything-0123456789";
const READER: &str = "reader-0123456789abc";
const WRITER: &str = "writer-0123456789abc";

fn config() -> Config {
    let keys = format!(
        "{EVERYTHING}\n{READER} subscribe=/chat/tea,/broadcast/ticks\n\
         {WRITER} publish=/broadcast/ticks,/chat/tea"
    );
    let tokens = Tokens::new().shared_keys(&keys).expect("keys");
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        workers: NonZeroUsize::new(2).expect("not 0"),
        tokens: Some(tokens.optional(true)),
        ..Config::default()
    }
}

fn start() -> TestServer {
    TestServer::start(config(), Chat::new())
}

/// A WebSocket that has joined nothing yet.
fn connect(server: &TestServer, path: &str) -> Client {
    let builder = Client::builder(&server.url(path)).read_timeout(TIMEOUT);
    builder.connect().expect("the server admits everybody")
}

/// A member of a room of the chat, which has received its welcome.
fn member(server: &TestServer, room: &str, name: &str) -> Client {
    let mut client = connect(server, &format!("/chat/{room}"));
    let join = ClientMessage::Join { name: name.into() };
    client.send(join.to_json()).expect("open");
    assert_eq!(received(&mut client)["type"], "welcome");
    client
}

fn received(client: &mut Client) -> Value {
    match client.read() {
        Ok(Some(OwnedMessage::Text(json))) => serde_json::from_str(&json).expect("JSON"),
        other => panic!("not a text message: {other:?}"),
    }
}

/// The next text of somebody, without the names that join and leave.
fn received_text(client: &mut Client) -> Value {
    loop {
        let message = received(client);
        if message["type"] == "message" {
            return message;
        }
    }
}

fn send(server: &TestServer, request: impl AsRef<[u8]>) -> Response {
    let mut client = socket::Client::connect(server.address);
    client.send(request);
    let response = client.read_response();
    response.expect_whole();
    response
}

fn bearer(key: &str) -> String {
    match key {
        "" => String::new(),
        key => format!("Authorization: Bearer {key}\r\n"),
    }
}

fn post(server: &TestServer, path: &str, key: &str, fields: &str, body: &[u8]) -> Response {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}{fields}\
         Content-Length: {}\r\n\r\n",
        bearer(key),
        body.len(),
    );
    send(server, [head.as_bytes(), body].concat())
}

const TEXT: &str = "Content-Type: text/plain; charset=UTF-8\r\n";
const BINARY: &str = "Content-Type: application/octet-stream\r\n";

fn get(server: &TestServer, path: &str, key: &str) -> Response {
    let fields = bearer(key);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    send(server, request)
}

fn json_of(response: &Response) -> Value {
    assert_eq!(response.field("Content-Type"), Some("application/json"));
    assert_eq!(response.field("Cache-Control"), Some("no-store"));
    serde_json::from_slice(&response.body).expect("JSON")
}

/// The only line of a refusal.
fn line(response: &Response) -> &str {
    let text = std::str::from_utf8(&response.body).expect("text");
    let line = text.strip_suffix('\n').expect("a line end");
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn script_publishes_text_and_binary_data_to_a_broadcast_room() {
    let server = start();
    let mut subscribers = [(); 4].map(|()| connect(&server, "/broadcast/ticks"));
    eventually("all are subscribed", LOOP_TIMEOUT, || {
        json_of(&get(&server, "/rooms/ticks", ""))["subscribers"] == 4
    });
    for key in [WRITER, EVERYTHING] {
        let response = post(&server, "/broadcast/ticks", key, TEXT, "42 €".as_bytes());
        assert_eq!(response.status, 202);
        assert_eq!(json_of(&response), json!({"room": "ticks", "bytes": 6}));
        let response = post(&server, "/broadcast/ticks", key, BINARY, b"\xff\0");
        assert_eq!(response.status, 202);
        let fields = "Content-Type: application/json\r\n";
        post(&server, "/broadcast/ticks", key, fields, b"{}");
        for client in &mut subscribers {
            let mut next = || client.read().expect("open").expect("open");
            assert_eq!(next(), OwnedMessage::Text("42 €".into()));
            assert_eq!(next(), OwnedMessage::Binary(b"\xff\0".to_vec()));
            assert_eq!(next(), OwnedMessage::Text("{}".into()));
        }
    }
}

#[test]
fn messages_of_one_script_keep_their_order() {
    let server = start();
    let mut subscriber = connect(&server, "/broadcast/ticks");
    eventually("it is subscribed", LOOP_TIMEOUT, || {
        json_of(&get(&server, "/rooms/ticks", ""))["subscribers"] == 1
    });
    let head = format!(
        "POST /broadcast/ticks HTTP/1.1\r\nHost: localhost\r\n{}{TEXT}",
        bearer(WRITER)
    );
    let requests: Vec<String> = (0..50)
        .map(|number| format!("{head}Content-Length: 2\r\n\r\n{number:02}"))
        .collect();
    let mut script = socket::Client::connect(server.address);
    script.send(requests.concat());
    for number in 0..50 {
        assert_eq!(script.read_one_response(false).status, 202);
        let expected = OwnedMessage::Text(format!("{number:02}"));
        assert_eq!(subscriber.read().expect("open"), Some(expected));
    }
}

#[test]
fn script_publishes_a_text_to_the_members_of_a_room_of_the_chat() {
    let server = start();
    let mut aki = member(&server, "tea", "Aki");
    let response = post(
        &server,
        "/rooms/tea/messages?name=Kettle",
        WRITER,
        TEXT,
        b"hot",
    );
    assert_eq!(response.status, 202);
    let posted = json_of(&response);
    assert_eq!(
        (&posted["room"], &posted["from"]),
        (&json!("tea"), &json!("Kettle"))
    );
    let message = received_text(&mut aki);
    assert_eq!(
        (&message["from"], &message["text"]),
        (&json!("Kettle"), &json!("hot"))
    );
    assert_eq!(message["time"], posted["time"]);
}

#[test]
fn refusal_of_a_publication_is_one_line() {
    let server = start();
    let _aki = member(&server, "tea", "Aki");
    let chat = "/rooms/tea/messages?name=Bo";
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    for (status, path, key, fields, body, reason) in [
        (401, "/broadcast/ticks", "", TEXT, "a", "a token is needed"),
        (
            401,
            "/broadcast/ticks",
            "guessed-0123456789",
            TEXT,
            "a",
            "no key of this server verifies the token",
        ),
        (
            403,
            "/broadcast/ticks",
            READER,
            TEXT,
            "a",
            "the token does not allow this",
        ),
        (
            403,
            "/broadcast/other",
            WRITER,
            TEXT,
            "a",
            "the token does not allow this",
        ),
        (401, chat, "", TEXT, "a", "a token is needed"),
        (
            403,
            chat,
            READER,
            TEXT,
            "a",
            "the token does not allow this",
        ),
        (
            404,
            "/broadcast/a%20b",
            WRITER,
            TEXT,
            "a",
            "invalid room name",
        ),
        (
            404,
            "/rooms//messages",
            WRITER,
            TEXT,
            "a",
            "invalid room name",
        ),
        (
            400,
            "/broadcast/%FF",
            WRITER,
            TEXT,
            "a",
            "the name of a room must be percent-encoded UTF-8",
        ),
        (
            415,
            "/broadcast/ticks",
            WRITER,
            "",
            "a",
            "Content-Type must be text/plain, application/json or application/octet-stream",
        ),
        (
            415,
            "/broadcast/ticks",
            WRITER,
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "a",
            "Content-Type must be",
        ),
        (
            415,
            "/broadcast/ticks",
            WRITER,
            "Content-Type: text/plain;charset=latin1\r\n",
            "a",
            "the charset of a text must be utf-8",
        ),
        (
            415,
            chat,
            WRITER,
            BINARY,
            "a",
            "the chat has no binary messages",
        ),
        (
            413,
            chat,
            WRITER,
            TEXT,
            &long,
            "a text may have at most 4096 bytes",
        ),
        (
            400,
            chat,
            WRITER,
            TEXT,
            "\u{1b}[31m",
            "A text must not contain",
        ),
        (
            400,
            chat,
            WRITER,
            TEXT,
            " ",
            "A text needs a visible character.",
        ),
        (
            400,
            "/rooms/tea/messages",
            WRITER,
            TEXT,
            "a",
            "the name of the sender is missing: add ?name=NAME",
        ),
        (
            400,
            "/rooms/tea/messages?name=%20",
            WRITER,
            TEXT,
            "a",
            "A name needs a visible character.",
        ),
        (
            409,
            "/rooms/tea/messages?name=AKI",
            WRITER,
            TEXT,
            "a",
            "a member of the room has this name",
        ),
        (
            409,
            "/rooms/tea/messages?name=%D0%90ki",
            WRITER,
            TEXT,
            "a",
            "a member of the room has this name",
        ),
    ] {
        let response = post(&server, path, key, fields, body.as_bytes());
        assert_eq!(response.status, status, "{path}: {}", line(&response));
        assert!(line(&response).starts_with(reason), "{}", line(&response));
        assert_eq!(
            response.field("WWW-Authenticate").is_some(),
            [401, 403].contains(&status)
        );
    }
    let response = post(&server, "/broadcast/ticks", WRITER, TEXT, b"\xff");
    assert_eq!(
        (response.status, line(&response)),
        (400, "the body is not UTF-8")
    );
}

#[test]
fn text_at_its_limit_is_published_and_one_byte_more_is_not() {
    let server = start();
    let mut aki = member(&server, "tea", "Aki");
    let path = "/rooms/tea/messages?name=Bo";
    let longest = "x".repeat(TEXT_BYTES_MAX);
    assert_eq!(
        post(&server, path, WRITER, TEXT, longest.as_bytes()).status,
        202
    );
    assert_eq!(received_text(&mut aki)["text"], longest);
    let longer = format!("{longest}x");
    assert_eq!(
        post(&server, path, WRITER, TEXT, longer.as_bytes()).status,
        413
    );
}

#[test]
fn body_at_its_limit_is_published_and_one_byte_more_is_not() {
    let limit = 1000;
    let http = HttpLimits {
        body_bytes_max: limit,
        ..HttpLimits::default()
    };
    let server = TestServer::start(Config { http, ..config() }, Chat::new());
    let publish = |bytes| post(&server, "/broadcast/ticks", WRITER, BINARY, &vec![7; bytes]);
    assert_eq!(publish(limit).status, 202);
    assert_eq!(publish(limit + 1).status, 413);
}

#[test]
fn server_without_keys_publishes_nothing_by_http_and_names_the_options_of_keys() {
    let server = TestServer::start(
        Config {
            tokens: None,
            ..config()
        },
        Chat::new(),
    );
    for path in ["/broadcast/ticks", "/rooms/tea/messages?name=Bo"] {
        for key in ["", EVERYTHING] {
            let refused = post(&server, path, key, TEXT, b"a");
            assert_eq!(refused.status, 401, "{path}");
            let line = String::from_utf8(refused.body).expect("a line");
            assert!(
                line.contains("--shared-keys-file, --jwt-keys-file or --jwt-secret-file")
                    && line.lines().count() == 1,
                "{line}"
            );
        }
    }
}

#[test]
fn page_of_another_site_publishes_nothing_even_with_a_key() {
    let server = start();
    let publish = |fields: &str| {
        let fields = format!("{fields}{TEXT}");
        post(&server, "/broadcast/ticks", WRITER, &fields, b"a").status
    };
    for fields in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost.evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\nOrigin: http://localhost\r\n",
    ] {
        assert_eq!(publish(fields), 403, "{fields}");
    }
    for fields in [
        "Origin: http://localhost\r\n",
        "Origin: https://LOCALHOST\r\n",
        "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost\r\n",
        "Sec-Fetch-Site: none\r\n",
    ] {
        assert_eq!(publish(fields), 202, "{fields}");
    }
}

#[test]
fn publications_beyond_the_rate_get_429_with_the_time_to_wait() {
    let chat = Chat::new().publish_rate(NonZeroU32::new(2));
    let server = TestServer::start(config(), chat);
    let mut refused = None;
    // More than two in a second, whatever this machine does meanwhile.
    eventually("a publication is refused", LOOP_TIMEOUT, || {
        let response = post(&server, "/broadcast/ticks", WRITER, TEXT, b"a");
        let is_refused = response.status == 429;
        refused = Some(response);
        is_refused
    });
    let refused = refused.expect("a response");
    assert_eq!(line(&refused), "too many messages are published by HTTP");
    assert_eq!(refused.field("Retry-After"), Some("1"));
    // Presence has no rate.
    assert_eq!(get(&server, "/rooms", "").status, 200);
}

#[test]
fn presence_tells_the_names_in_a_room_and_counts_subscribers() {
    let server = start();
    assert_eq!(
        json_of(&get(&server, "/rooms/tea", "")),
        json!({"room": "tea", "members": 0, "names": [], "revision": 0, "subscribers": 0})
    );
    let clients = [member(&server, "tea", "Bo"), member(&server, "tea", "Aki")];
    // It has not joined.
    let outside = connect(&server, "/chat/tea");
    let subscriber = connect(&server, "/broadcast/tea");
    eventually("the subscriber is counted", LOOP_TIMEOUT, || {
        json_of(&get(&server, "/rooms/tea", ""))["subscribers"] == 1
    });
    let found = json_of(&get(&server, "/rooms/%74ea", ""));
    let expected = json!(
        {"room": "tea", "members": 2, "names": ["Aki", "Bo"], "revision": 2, "subscribers": 1}
    );
    assert_eq!(found, expected);
    drop((clients, outside, subscriber));
    eventually("nobody is left", LOOP_TIMEOUT, || {
        let found = json_of(&get(&server, "/rooms/tea", ""));
        found["members"] == 0 && found["subscribers"] == 0
    });
    let empty = json!({"total": 0, "rooms": []});
    assert_eq!(
        json_of(&get(&server, "/rooms", "")),
        json!({"chat": empty, "broadcast": empty})
    );
}

#[test]
fn rooms_are_listed_by_name_with_their_numbers_of_members() {
    let server = start();
    let _clients = [
        member(&server, "tea", "Aki"),
        member(&server, "attic", "Aki"),
        member(&server, "tea", "Bo"),
    ];
    let _subscriber = connect(&server, "/broadcast/ticks");
    eventually("the subscriber is counted", LOOP_TIMEOUT, || {
        json_of(&get(&server, "/rooms", ""))["broadcast"]["total"] == 1
    });
    let ticks = json!({"total": 1, "rooms": [{"room": "ticks", "subscribers": 1}]});
    let attic = json!({"room": "attic", "members": 1});
    let tea = json!({"room": "tea", "members": 2});
    assert_eq!(
        json_of(&get(&server, "/rooms", "")),
        json!({"chat": {"total": 2, "rooms": [attic, tea]}, "broadcast": ticks})
    );
    assert_eq!(
        json_of(&get(&server, "/rooms?after=attic", "")),
        json!({"chat": {"total": 1, "rooms": [tea]}, "broadcast": ticks})
    );
}

#[test]
fn with_tokens_presence_is_of_the_rooms_that_a_token_may_subscribe_to() {
    let chat = Chat::new().presence_access(Access::Token);
    let server = TestServer::start(config(), chat);
    let _clients = [
        member(&server, "tea", "Aki"),
        member(&server, "attic", "Aki"),
    ];
    let total = |key| json_of(&get(&server, "/rooms", key))["chat"]["total"].clone();
    assert_eq!(
        (total(EVERYTHING), total(READER), total(WRITER)),
        (json!(2), json!(1), json!(0))
    );
    for (path, key, status) in [
        ("/rooms", "", 401),
        ("/rooms/tea", "", 401),
        ("/rooms/attic", READER, 403),
        ("/rooms/tea", WRITER, 403),
    ] {
        assert_eq!(get(&server, path, key).status, status, "{path}");
    }
    let tea = json_of(&get(&server, "/rooms/tea", READER));
    assert_eq!((&tea["members"], tea.get("subscribers")), (&json!(1), None));
    let ticks = json_of(&get(&server, "/rooms/ticks", READER));
    assert_eq!(
        (ticks.get("members"), &ticks["subscribers"]),
        (None, &json!(0))
    );
}

#[test]
fn presence_can_be_switched_off() {
    let chat = Chat::new().presence_access(Access::Off);
    let server = TestServer::start(config(), chat);
    for path in ["/rooms", "/rooms/tea"] {
        assert_eq!(get(&server, path, EVERYTHING).status, 404, "{path}");
    }
}

#[test]
fn every_path_tells_its_methods_and_refuses_others_with_405() {
    let server = start();
    let ask = |method: &str, path: &str| {
        let fields = bearer(EVERYTHING);
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let mut client = socket::Client::connect(server.address);
        client.send(format!("{head}{fields}\r\n"));
        client.read_response()
    };
    for (path, methods) in [
        ("/rooms", "GET, HEAD, OPTIONS"),
        ("/rooms/tea", "GET, HEAD, OPTIONS"),
        ("/rooms/tea/messages", "POST, OPTIONS"),
        ("/broadcast/ticks", "GET, HEAD, POST, OPTIONS"),
        ("/chat/tea", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/health", "GET, HEAD, OPTIONS"),
    ] {
        let options = ask("OPTIONS", path);
        assert_eq!(
            (options.status, options.field("Allow")),
            (204, Some(methods)),
            "{path}"
        );
        assert_eq!(options.field("Access-Control-Allow-Origin"), None);
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "BREW"] {
            let response = ask(method, path);
            let is_allowed = methods.split(", ").any(|allowed| allowed == method);
            assert_eq!(response.status != 405, is_allowed, "{method} {path}");
            if response.status == 405 {
                assert_eq!(response.field("Allow"), Some(methods), "{method} {path}");
            }
        }
    }
    assert_eq!(
        ask("OPTIONS", "*").field("Allow"),
        Some("GET, HEAD, POST, OPTIONS")
    );
    assert_eq!(ask("OPTIONS", "/nothing").status, 404);
    let head = ask("HEAD", "/rooms");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn message_of_a_websocket_and_of_a_script_reach_the_same_subscribers() {
    let server = start();
    let mut one = connect(&server, "/broadcast/ticks");
    let mut other = connect(&server, "/broadcast/ticks");
    one.send(Message::Text("first")).expect("open");
    for client in [&mut one, &mut other] {
        assert_eq!(
            client.read().expect("open"),
            Some(OwnedMessage::Text("first".into()))
        );
    }
    post(&server, "/broadcast/ticks", WRITER, TEXT, b"second");
    for client in [&mut one, &mut other] {
        assert_eq!(
            client.read().expect("open"),
            Some(OwnedMessage::Text("second".into()))
        );
    }
}

#[test]
fn names_and_numbers_of_a_cluster_are_those_of_all_nodes() {
    let engine = SimulatedEngine::start(31);
    let nodes = [(); 2].map(|()| {
        let backplane = BackplaneConfig {
            beat: Duration::from_millis(50),
            ..engine.node()
        };
        let config = Config {
            backplane: Some(backplane),
            ..config()
        };
        TestServer::start(config, Chat::new())
    });
    let members = [
        member(&nodes[0], "tea", "Aki"),
        member(&nodes[1], "tea", "Bo"),
    ];
    let more = member(&nodes[1], "attic", "Chi");
    let subscribers = [0, 1, 1].map(|node| connect(&nodes[node], "/broadcast/ticks"));
    let lists = |chat: Value, ticks: Value| {
        for node in &nodes {
            eventually("the node knows all numbers", LOOP_TIMEOUT, || {
                let list = json_of(&get(node, "/rooms", ""));
                list["chat"]["rooms"] == chat && list["broadcast"]["rooms"] == ticks
            });
        }
    };
    lists(
        json!([{"room": "attic", "members": 1}, {"room": "tea", "members": 2}]),
        json!([{"room": "ticks", "subscribers": 3}]),
    );
    for node in &nodes {
        let tea = json_of(&get(node, "/rooms/tea", ""));
        let names = json!(["Aki", "Bo"]);
        assert_eq!((&tea["members"], &tea["names"]), (&json!(2), &names));
        assert_eq!(json_of(&get(node, "/rooms/ticks", ""))["subscribers"], 3);
    }
    drop((more, subscribers));
    lists(json!([{"room": "tea", "members": 2}]), json!([]));
    drop(members);
    lists(json!([]), json!([]));
}
