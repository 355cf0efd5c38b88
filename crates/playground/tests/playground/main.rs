//! The playground over sockets: its page, its commands, its limits, and the clients that may use it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use yamabiko::server::{
    Admission, Config, Context, Handler, Message, Proxies, Refusal, Upgrade, WithFallback,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_playground::Playground;
use yamabiko_testing::socket::{self, Client, Response, TestServer};

/// An application that sends every message back.
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, (): &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let _ = context.send(message);
    }
}

/// A page of the playground: its outer connection, and the first report.
struct Page {
    client: Client,
    welcome: Value,
}

fn server() -> TestServer {
    TestServer::start(socket::config(1), Playground::new())
}

impl Page {
    fn open(server: &TestServer) -> Page {
        Page::of(Client::connect(server.address))
    }

    fn of(client: Client) -> Page {
        let mut client = client.upgraded("/playground/wire");
        let welcome = serde_json::from_str(&client.read_text()).expect("JSON");
        Page { client, welcome }
    }

    fn command(&mut self, command: &Value) -> Value {
        self.client.text(&command.to_string());
        serde_json::from_str(&self.client.read_text()).expect("JSON")
    }

    fn open_inner(&mut self) -> Value {
        let request = self.welcome["request"].clone();
        self.command(&json!({"do": "open", "request": request, "compress": false}))
    }
}

fn get(server: &TestServer, path: &str) -> Response {
    request(Client::connect(server.address), path, "localhost")
}

fn request(mut client: Client, path: &str, host: &str) -> Response {
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    ));
    client.read_response()
}

#[test]
fn page_and_its_files_are_served_with_a_strict_policy() {
    let server = server();
    for path in ["", "playground.css", "playground.js", "favicon.svg"] {
        let response = get(&server, &format!("/playground/{path}"));
        assert_eq!(response.status, 200, "{path}");
        assert!(response.head.contains("default-src 'none'"), "{path}");
    }
    assert_eq!(get(&server, "/playground/other").status, 404);
    assert_eq!(get(&server, "/playground/wire").status, 426);
    let redirect = get(&server, "/playground");
    assert_eq!(redirect.status, 308);
    assert!(
        redirect.head.contains("Location: playground/"),
        "{}",
        redirect.head
    );
}

#[test]
fn first_report_has_the_request_that_opened_the_connection() {
    let server = server();
    let page = Page::open(&server);
    let request = page.welcome["request"].as_str().expect("a text");
    assert_eq!(request, socket::upgrade("/playground/wire", ""));
}

#[test]
fn a_whole_connection_is_taken_apart() {
    let server = server();
    let mut page = Page::open(&server);
    let opening = page.open_inner();
    assert_eq!(opening["accepted"], true);
    assert_eq!(
        opening["accept_key"]["accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );

    let compose =
        json!({"do": "compose", "from": "client", "frame": {"opcode": "text", "text": "Hello"}});
    let bytes = page.command(&compose)["bytes"].clone();
    assert_eq!(bytes, "81 85 37 fa 21 3d 7f 9f 4d 51 58");
    let exchange = page.command(&json!({"do": "send", "from": "client", "bytes": bytes}));
    assert_eq!(
        exchange["steps"][1]["frames"][0]["bytes"],
        "81 05 48 65 6c 6c 6f"
    );

    let broken =
        page.command(&json!({"do": "send", "from": "client", "bytes": "81 05 48 65 6c 6c 6f"}));
    let rule = &broken["steps"][0]["error"]["rule"];
    assert_eq!(
        (&rule["rfc"], &rule["section"]),
        (&json!(6455), &json!("5.1"))
    );
    assert_eq!(broken["ends"]["server"]["state"], "failed");
    assert_eq!(
        page.open_inner()["accepted"],
        true,
        "a new connection can follow"
    );
}

/// The text of an RFC, its words with one space between them. From the workspace: the RFC is not in the published package, and neither
/// is this test. A line of the RFC may end inside a word with a hyphen.
fn rfc(number: u64) -> String {
    let path = format!("../../specs/rfc{number}.txt");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(path).expect("the RFC is in the tree");
    let head = format!("RFC {number}");
    let lines = text
        .lines()
        .filter(|line| !(line.ends_with(']') && line.contains("[Page") || line.starts_with(&head)));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ").replace("- ", "-")
}

/// The sentence of a report, if it has one, is in its RFC.
fn is_quoted(report: &Value) -> bool {
    let rule = &report["rule"];
    let Some(sentence) = rule["sentence"].as_str() else {
        return false;
    };
    let rfc = rfc(rule["rfc"].as_u64().expect("a number"));
    assert!(rfc.contains(&sentence.replace("- ", "-")), "{sentence}");
    true
}

#[test]
fn every_sentence_of_a_refusal_is_in_the_text_of_the_rfc() {
    let server = server();
    let mut page = Page::open(&server);
    let own = page.welcome["request"].as_str().expect("a text").to_owned();
    let mut requests: Vec<String> = page.welcome["openings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|opening| opening["request"].as_str().expect("a text").to_owned())
        .collect();
    let further_lines = [
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Extensions: ;",
        "no colon",
    ];
    requests.extend(further_lines.map(|line| own.replace("Host:", &format!("{line}\r\nHost:"))));
    let mut refused = 0;
    for request in requests {
        let report = page.command(&json!({"do": "open", "request": request, "compress": false}));
        refused += usize::from(is_quoted(&report));
    }
    assert!(refused >= 12, "{refused}");
}

#[test]
fn a_response_of_the_page_is_refused_with_a_sentence_of_the_rfc() {
    let server = server();
    let mut page = Page::open(&server);
    let own = page.welcome["request"].as_str().expect("a text").to_owned();
    let offering = own.replace(
        "Host:",
        "Sec-WebSocket-Extensions: permessage-deflate\r\nHost:",
    );
    let opening = page.open_inner();
    let examples = opening["responses"].as_array().expect("a list").clone();
    let legal = examples[0]["response"].as_str().expect("a text").to_owned();
    let mut responses: Vec<String> = examples
        .iter()
        .map(|example| example["response"].as_str().expect("a text").to_owned())
        .collect();
    let further_lines = [
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Extensions: ;",
        "Sec-WebSocket-Extensions: permessage-deflate; x",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7",
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate",
        "no colon",
    ];
    responses.extend(
        further_lines.map(|line| legal.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))),
    );
    let mut sentences = std::collections::BTreeSet::new();
    for response in responses {
        let command =
            json!({"do": "open", "request": offering, "compress": false, "response": response});
        let report = page.command(&command);
        assert_eq!(
            report["accepted"].as_bool(),
            Some(!is_quoted(&report)),
            "{report}"
        );
        sentences.extend(report["rule"]["sentence"].as_str().map(str::to_owned));
    }
    assert_eq!(sentences.len(), 11, "{sentences:#?}");
}

#[test]
fn a_command_is_bounded_at_the_limit_and_past_it() {
    let server = server();
    let mut page = Page::open(&server);
    let command = json!({"do": "cut"}).to_string();
    let padded = |bytes: usize| format!("{command}{}", " ".repeat(bytes - command.len()));
    page.client.text(&padded(16 << 10));
    assert!(page.client.read_text().contains("fault"));
    page.client.text(&padded((16 << 10) + 1));
    assert_eq!(page.client.read_close().0, 1009);
}

#[test]
fn too_many_commands_at_once_end_the_connection() {
    let server = server();
    let mut page = Page::open(&server);
    let commands = 200;
    for _ in 0..commands {
        page.client.send(socket::frame(Opcode::Text, b"{}"));
    }
    assert_eq!(page.client.read_until_close().0, 1008);
}

#[test]
fn binary_commands_are_refused() {
    let server = server();
    let mut page = Page::open(&server);
    page.client.send(socket::frame(Opcode::Binary, b"{}"));
    assert_eq!(page.client.read_close().0, 1003);
}

#[test]
fn visitors_beyond_the_limit_get_503_until_one_leaves() {
    let server = server();
    let mut pages: Vec<Page> = (0..64).map(|_| Page::open(&server)).collect();
    let refused = |server: &TestServer| {
        let mut client = Client::connect(server.address);
        client.send(socket::upgrade("/playground/wire", ""));
        client.read_head().starts_with("HTTP/1.1 503 ")
    };
    assert!(refused(&server));
    let mut page = pages.pop().expect("64 pages");
    page.client.close(1000, "");
    page.client.read_until_close();
    page.client.expect_end();
    socket::eventually("a place is free", socket::TIMEOUT, || !refused(&server));
}

#[test]
fn only_clients_of_this_machine_that_ask_for_a_loopback_name_are_served() {
    let server = server();
    let elsewhere = |path| request(Client::connect(server.address), path, "www.example");
    for path in [
        "/playground/",
        "/playground/wire",
        "/playground/playground.js",
    ] {
        assert_eq!(elsewhere(path).status, 403, "{path}");
    }
    let mut client = Client::connect(server.address);
    let upgrade = socket::upgrade("/playground/wire", "");
    client.send(upgrade.replace("Host: localhost", "Host: www.example"));
    assert!(client.read_head().starts_with("HTTP/1.1 403 "));
}

#[test]
fn a_public_playground_is_for_every_client() {
    let handler = Playground::new().public();
    let server = TestServer::start(socket::config(1), handler);
    let response = request(
        Client::connect(server.address),
        "/playground/",
        "www.example",
    );
    assert_eq!(response.status, 200);
}

#[test]
fn a_client_that_a_named_proxy_speaks_for_is_not_of_this_machine() {
    let local = "127.0.0.1".parse().expect("an address");
    let config = Config {
        proxies: Proxies::new([local]),
        ..socket::config(1)
    };
    let server = TestServer::start(config, Playground::new());
    let mut client = Client::connect(server.address);
    client.send("GET /playground/ HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n");
    assert_eq!(client.read_response().status, 403);
}

#[test]
fn other_paths_belong_to_the_other_application() {
    let server = TestServer::start(
        socket::config(1),
        WithFallback::new(Playground::new(), Echo),
    );
    let mut client = Client::connect(server.address).upgraded("/anything");
    client.text("Hello");
    assert_eq!(client.read_text(), "Hello");
    assert_eq!(get(&server, "/playground/").status, 200);
}

#[test]
fn pages_of_other_origins_cannot_use_the_playground() {
    let server = server();
    let mut client = Client::connect(server.address);
    client.send(socket::upgrade(
        "/playground/wire",
        "Origin: https://elsewhere.example\r\n",
    ));
    assert!(client.read_head().starts_with("HTTP/1.1 403 "));
}
