//! The tables of states in `docs/learn/` are those of the code.
//!
//! Each table is made by driving real endpoints, in both roles: every input in every state. `TEST_WRITE_STATES=1 cargo test --test
//! websocket state_tables` writes the tables into the chapters, in English and in Japanese.

use std::{env, fs};

use yamabiko::websocket::handshake::{
    ClientHandshake, ClientHandshakeError, HeadLimits, RequestReader, Upgrade, WebSocketUri,
};
use yamabiko_testing::protocol::{
    CloseCode, Endpoint, Received, Role, TEXT, WireFrame, open, peer, text,
};

/// What each input does in each state.
struct Table {
    inputs: Vec<&'static str>,
    states: Vec<(&'static str, Vec<String>)>,
}

/// Something that happens to an endpoint, and what it reports.
type Input = (&'static str, fn(&mut Endpoint) -> Vec<Received>);

#[test]
fn table_of_closing_is_that_of_the_code() {
    both_roles_in("closing.md", closing);
}

#[test]
fn table_of_receiving_is_that_of_the_code() {
    both_roles_in("fragments.md", receiving);
}

#[test]
fn table_of_the_opening_is_that_of_the_code() {
    let table = Table {
        inputs: vec![
            "a part of the head",
            "a correct handshake",
            "one that breaks a rule",
            "another message of HTTP",
        ],
        states: vec![
            ("server, connecting", REQUESTS.map(server_decides).to_vec()),
            ("client, connecting", RESPONSES.map(client_decides).to_vec()),
        ],
    };
    table.is_in("opening-handshake.md");
}

#[test]
fn tables_of_the_rules_of_the_opening_are_those_of_the_code() {
    let of = |rules: &[Broken], name, decide: fn(&str) -> String, correct| Table {
        inputs: rules.iter().map(|(rule, _, _)| *rule).collect(),
        states: vec![(
            name,
            rules
                .iter()
                .map(|(_, from, to)| decide(&changed(correct, from, to)))
                .collect(),
        )],
    };
    let requests = of(&BROKEN_REQUESTS, "the server", refusal_of, REQUESTS[1]);
    requests.is_in_block("opening-handshake.md", "requests");
    let responses = of(&BROKEN_RESPONSES, "the client", error_of, RESPONSES[1]);
    responses.is_in_block("opening-handshake.md", "responses");
}

fn both_roles_in(chapter: &str, table: fn(Role) -> Table) {
    let [server, client] = [Role::Server, Role::Client].map(table);
    assert_eq!(server.text(), client.text(), "one table for both roles");
    server.is_in(chapter);
}

/// Every input in every state. `state` tells what an endpoint does at an input.
fn table<const S: usize, const I: usize>(
    role: Role,
    states: [Input; S],
    inputs: [Input; I],
    effect: fn(Endpoint, Input) -> String,
) -> Table {
    let column = |(name, enter): Input| {
        let after = inputs.map(|input| {
            let mut endpoint = open(role);
            enter(&mut endpoint);
            endpoint.replies.clear();
            effect(endpoint, input)
        });
        (name, after.to_vec())
    };
    Table {
        inputs: inputs.map(|(name, _)| name).to_vec(),
        states: states.map(column).to_vec(),
    }
}

// ---- closing ----

fn closing(role: Role) -> Table {
    let states: [Input; 5] = [
        ("Open", nothing),
        ("Closing", we_close),
        ("Closed", a_close_comes),
        ("Failed", a_rule_is_broken),
        ("Lost", tcp_ends),
    ];
    let inputs: [Input; 5] = [
        ("we close", we_close),
        ("a Close comes", a_close_comes),
        ("a rule is broken", a_rule_is_broken),
        ("TCP ends", tcp_ends),
        ("a message comes", |endpoint| {
            endpoint.receive(peer(endpoint.role).text("Hello"))
        }),
    ];
    table(role, states, inputs, |mut endpoint, (_, act)| {
        let before = endpoint.connection.state();
        let events = act(&mut endpoint);
        let after = endpoint.connection.state();
        let sends = if endpoint.replies.is_empty() {
            ""
        } else {
            ", sends Close"
        };
        match before == after {
            true if events == [text("Hello")] => "received".to_owned(),
            true => "–".to_owned(),
            false => format!("{after:?}{sends}"),
        }
    })
}

fn nothing(_: &mut Endpoint) -> Vec<Received> {
    Vec::new()
}

fn we_close(endpoint: &mut Endpoint) -> Vec<Received> {
    // An endpoint that is not open sends none.
    let _ = endpoint
        .connection
        .close(CloseCode::NORMAL, &mut endpoint.replies);
    Vec::new()
}

fn a_close_comes(endpoint: &mut Endpoint) -> Vec<Received> {
    endpoint.receive(peer(endpoint.role).close(1000, ""))
}

fn a_rule_is_broken(endpoint: &mut Endpoint) -> Vec<Received> {
    endpoint.receive(peer(endpoint.role).frame(WireFrame::new(TEXT, "").rsv(0b010)))
}

fn tcp_ends(endpoint: &mut Endpoint) -> Vec<Received> {
    endpoint.connection.end_of_input();
    Vec::new()
}

// ---- receiving ----

fn receiving(role: Role) -> Table {
    let states: [Input; 3] = [
        ("no message", nothing),
        ("in a text", |endpoint| {
            endpoint.receive(peer(endpoint.role).text_begins("a"))
        }),
        ("in binary data", |endpoint| {
            endpoint.receive(peer(endpoint.role).binary_begins("a"))
        }),
    ];
    let inputs: [Input; 7] = [
        ("text, FIN 0", |endpoint| {
            endpoint.receive(peer(endpoint.role).text_begins("b"))
        }),
        ("text, FIN 1", |endpoint| {
            endpoint.receive(peer(endpoint.role).text("b"))
        }),
        ("binary, FIN 0", |endpoint| {
            endpoint.receive(peer(endpoint.role).binary_begins("b"))
        }),
        ("binary, FIN 1", |endpoint| {
            endpoint.receive(peer(endpoint.role).binary("b"))
        }),
        ("continuation, FIN 0", |endpoint| {
            endpoint.receive(peer(endpoint.role).goes_on("b"))
        }),
        ("continuation, FIN 1", |endpoint| {
            endpoint.receive(peer(endpoint.role).ends("b"))
        }),
        ("ping", |endpoint| {
            endpoint.receive(peer(endpoint.role).ping(""))
        }),
    ];
    table(role, states, inputs, |mut endpoint, (_, act)| {
        match &act(&mut endpoint)[..] {
            [Received::Failed(code)] => format!("fails, {code}"),
            [Received::Ping(_)] if !endpoint.replies.is_empty() => {
                format!("{}, pong", message_under_way(&mut endpoint))
            }
            [Received::Text(_)] => format!("{}, a text", message_under_way(&mut endpoint)),
            [Received::Binary(_)] => format!("{}, binary data", message_under_way(&mut endpoint)),
            [] => message_under_way(&mut endpoint).to_owned(),
            other => unreachable!("{other:?}"),
        }
    })
}

/// The state, found by ending the message that is under way.
fn message_under_way(endpoint: &mut Endpoint) -> &'static str {
    match &endpoint.receive(peer(endpoint.role).ends(""))[..] {
        [Received::Failed(1002)] => "no message",
        [Received::Text(_)] => "in a text",
        [Received::Binary(_)] => "in binary data",
        other => unreachable!("{other:?}"),
    }
}

// ---- the opening ----

/// By column: a part, a correct one, one that breaks a rule of WebSocket, plain HTTP.
const REQUESTS: [&str; 4] = [
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

const RESPONSES: [&str; 4] = [
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
];

fn server_decides(request: &str) -> String {
    let head = RequestReader::new(HeadLimits::default()).read(request.as_bytes());
    let Some((head, _)) = head.expect("a head of HTTP") else {
        return "waits".to_owned();
    };
    match Upgrade::check(&head) {
        Ok(_) => "Open, sends 101".to_owned(),
        Err(refusal) if head.wants_websocket() => format!("refuses, {}", refusal.status().code()),
        Err(_) => "HTTP goes on, no WebSocket".to_owned(),
    }
}

/// A broken rule: its name, and what in a correct head becomes what.
type Broken = (&'static str, &'static str, &'static str);

const BROKEN_REQUESTS: [Broken; 16] = [
    ("another method", "GET", "POST"),
    ("an old version of HTTP", "HTTP/1.1", "HTTP/1.0"),
    ("no Host", "Host: a\r\n", ""),
    ("two Host", "Host: a\r\n", "Host: a\r\nHost: a\r\n"),
    ("a space before a colon", "Host:", "Host :"),
    ("a line that goes on", "Host: a", "Host:\r\n a"),
    ("no Upgrade", "Upgrade: websocket\r\n", ""),
    ("another Upgrade", "Upgrade: websocket", "Upgrade: h2c"),
    ("no Connection", "Connection: Upgrade\r\n", ""),
    (
        "another Connection",
        "Connection: Upgrade",
        "Connection: close",
    ),
    (
        "no key",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "",
    ),
    (
        "a key of 15 bytes",
        "dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25j",
    ),
    ("no version", "Sec-WebSocket-Version: 13\r\n", ""),
    ("another version", "Version: 13", "Version: 8"),
    (
        "malformed extensions",
        "Host: a",
        "Host: a\r\nSec-WebSocket-Extensions: x;",
    ),
    (
        "malformed subprotocols",
        "Host: a",
        "Host: a\r\nSec-WebSocket-Protocol: a b",
    ),
];

const BROKEN_RESPONSES: [Broken; 10] = [
    ("an old version of HTTP", "HTTP/1.1", "HTTP/1.0"),
    ("no Upgrade", "Upgrade: websocket\r\n", ""),
    ("another Upgrade", "Upgrade: websocket", "Upgrade: h2c"),
    ("no Connection", "Connection: Upgrade\r\n", ""),
    (
        "no accept key",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "",
    ),
    (
        "another accept key",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ),
    (
        "a subprotocol that was not offered",
        "Upgrade\r\n",
        "Upgrade\r\nSec-WebSocket-Protocol: chat\r\n",
    ),
    (
        "an extension that was not offered",
        "Upgrade\r\n",
        "Upgrade\r\nSec-WebSocket-Extensions: x\r\n",
    ),
    ("a line without a colon", "Upgrade: websocket", "Upgrade"),
    (
        "another status",
        "101 Switching Protocols",
        "503 Service Unavailable",
    ),
];

fn changed(correct: &str, from: &str, to: &str) -> String {
    let changed = correct.replacen(from, to, 1);
    assert_ne!(changed, correct, "{from} is in it");
    changed
}

fn refusal_of(request: &str) -> String {
    let mut reader = RequestReader::new(HeadLimits::default());
    let refusal = match reader.read(request.as_bytes()) {
        Ok(Some((head, _))) => Upgrade::check(&head).map(|_| ()).err(),
        Ok(None) => None,
        Err(refusal) => Some(refusal),
    };
    refusal.expect("the rule is broken").to_string()
}

fn error_of(response: &str) -> String {
    client_receives(response)
        .expect_err("the rule is broken")
        .to_string()
}

fn client_receives(response: &str) -> Result<bool, ClientHandshakeError> {
    let uri: WebSocketUri = "ws://a/".parse().expect("an address");
    let mut handshake = ClientHandshake::new(&uri, *b"the sample nonce");
    let established = handshake.receive(response.as_bytes())?;
    Ok(established.is_some())
}

fn client_decides(response: &str) -> String {
    match client_receives(response) {
        Ok(false) => "waits",
        Ok(true) => "Open",
        Err(ClientHandshakeError::NotSwitched(_)) => "fails, reports the status",
        Err(_) => "fails, ends TCP",
    }
    .to_owned()
}

// ---- the chapters ----

impl Table {
    /// A line for each input, a column for each state, each column as wide as its longest cell.
    fn text(&self) -> String {
        let mut lines = vec![String::new(); self.inputs.len() + 1];
        append_column(&mut lines, &[&[""], &self.inputs[..]].concat());
        for (state, cells) in &self.states {
            let cells = cells.iter().map(String::as_str);
            append_column(
                &mut lines,
                &[*state].into_iter().chain(cells).collect::<Vec<_>>(),
            );
        }
        let lines = lines.iter().map(|line| line.trim_end());
        lines.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn is_in(&self, chapter: &str) {
        self.is_in_block(chapter, "states");
    }

    /// Checks, or writes, the one block of code of this kind in a chapter, in both languages.
    #[track_caller]
    fn is_in_block(&self, chapter: &str, kind: &str) {
        let begin = format!("\n```{kind}\n");
        for folder in ["learn", "ja"] {
            let path = format!("{}/docs/{folder}/{chapter}", env!("CARGO_MANIFEST_DIR"));
            let page = fs::read_to_string(&path).expect("a chapter");
            let (before, rest) = page.split_once(&begin).expect("a table of states");
            let (_, behind) = rest.split_once(END).expect("its end");
            let new = format!("{before}{begin}{}{END}{behind}", self.text());
            if env::var_os("TEST_WRITE_STATES").is_some() {
                fs::write(&path, &new).expect("the chapter can be written");
            }
            let page = fs::read_to_string(&path).expect("a chapter");
            assert_eq!(
                page, new,
                "{path}: run TEST_WRITE_STATES=1 cargo test --test websocket state_tables"
            );
        }
    }
}

fn append_column(lines: &mut [String], cells: &[&str]) {
    let longest = cells.iter().map(|cell| cell.chars().count()).max();
    let width = longest.unwrap_or_default() + GAP;
    for (line, cell) in lines.iter_mut().zip(cells) {
        line.push_str(&format!("{cell:width$}"));
    }
}

const GAP: usize = 3;
const END: &str = "\n```\n";
