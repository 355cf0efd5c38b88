//! A rolling restart, by the commands of `docs/cluster.md`: each node of the page's set-up in turn, while clients publish.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use yamabiko::client::Client;
use yamabiko::websocket::OwnedMessage;
use yamabiko_testing::waiting::{Deadline, LOOP_TIMEOUT, eventually, joined};

use crate::checker::{Run, Size};
use crate::nodes::PROGRAM;
use crate::setup::{Door, SetUp, block};

/// No client of the chat that resumes loses a message, gets one twice or in another order; members of a plain room are told by a Close where they may
/// have missed some.
#[test]
fn each_node_is_restarted_in_turn_and_clients_that_resume_miss_nothing() {
    let Some(mut set_up) = SetUp::start("rolling", Operator::start) else {
        return;
    };
    let door = set_up.door();
    let plain = {
        let door = door.clone();
        let size = Size {
            members: 6,
            publishers: 2,
            messages: 100_000,
        };
        Run::begin_at(size, move |_| door.connect("/broadcast/plain", None))
    };
    let shared = Arc::new(Shared::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (door, shared) = (door.clone(), shared.clone());
            thread::spawn(move || ChatClient::new(number).run(&door, &shared))
        })
        .collect();
    eventually("all clients are in the room", LOOP_TIMEOUT, || {
        shared.entered.load(Ordering::SeqCst) == CLIENTS
    });
    say(&door, FIRST);

    for node in &mut set_up.nodes {
        let before = shared.acknowledged.load(Ordering::SeqCst);
        node.restart();
        eventually("the publishers go on", LOOP_TIMEOUT, || {
            shared.acknowledged.load(Ordering::SeqCst) > before + PUBLISHERS
        });
    }

    plain.end_publishing();
    let plain = plain.finish();
    assert!(plain.segments.iter().all(|&segments| segments > 1));
    shared.over.store(true, Ordering::SeqCst);
    eventually(
        "the publishers have their last copies",
        LOOP_TIMEOUT,
        || shared.publishers_done.load(Ordering::SeqCst) == PUBLISHERS,
    );
    say(&door, LAST);
    let clients = clients.into_iter().map(|client| joined("a client", client));
    check(&clients.collect::<Vec<_>>());
}

/// Checks what the clients have got: all of them the same messages in the same order, with those that were acknowledged, each once.
fn check(clients: &[ChatClient]) {
    let room = &clients[0].messages;
    for client in clients {
        assert!(client.connections > 1, "client {}", client.number);
        assert!(client.messages == *room, "client {}", client.number);
    }
    let texts: Vec<&str> = room.iter().map(|(_, text)| text.as_str()).collect();
    for publisher in &clients[..PUBLISHERS] {
        let number = publisher.number;
        let of_publisher = |text: &&str| text.strip_prefix(&format!("{number} "))?.parse().ok();
        let published: Vec<usize> = texts.iter().filter_map(of_publisher).collect();
        let rise = published.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(rise, "publisher {number}: {published:?}");
        for text in &publisher.acknowledged {
            assert!(texts.contains(&text.as_str()), "{text}");
        }
    }
}

/// Another client says something in the room, and waits for its own copy.
fn say(door: &Door, text: &str) {
    let deadline = Deadline::after(LOOP_TIMEOUT);
    let mut client = loop {
        deadline.check("the proxy has a server");
        match door.connect("/chat/hall", Some("yamabiko.chat.v2")) {
            Some(client) => break client,
            None => thread::park_timeout(Duration::from_millis(20)),
        };
    };
    let enter = json!({"type": "enter", "name": text});
    client.send(enter.to_string()).expect("it is open");
    read_until(&mut client, |message| message["type"] == "welcome");
    let message = json!({"type": "message", "text": text});
    client.send(message.to_string()).expect("it is open");
    read_until(&mut client, |message| message["text"] == text);
}

fn read_until(client: &mut Client, is_expected: impl Fn(&Value) -> bool) {
    let deadline = Deadline::after(LOOP_TIMEOUT);
    loop {
        deadline.check("the expected message");
        match client.read() {
            Ok(Some(OwnedMessage::Text(text))) => {
                if is_expected(&serde_json::from_str(&text).expect("JSON")) {
                    return;
                }
            }
            other => panic!("the connection is open: {other:?}"),
        }
    }
}

/// An operator of one node: a shell with the commands of the page.
struct Operator {
    shell: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Operator {
    fn start(placed: &dyn Fn(&str) -> String) -> Operator {
        let start = placed(&block("command", "node"));
        let restart = placed(&block("command", "restart"));
        // The server ends with the shell, and the shell with its input.
        let script = format!(
            "trap 'kill -KILL $SERVER' EXIT\ntrap 'exit 1' TERM\n{} & SERVER=$!\n\
             read next || exit\n{restart}\necho restarted\nread next\n",
            start.trim_end()
        );
        let folder = Path::new(PROGRAM).parent().expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .env("PATH", format!("{}:{path}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let input = shell.stdin.take().expect("a pipe");
        let lines = BufReader::new(shell.stdout.take().expect("a pipe")).lines();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = lines.map_while(Result::ok);
            let _ = lines.try_for_each(|line| sender.send(line));
        });
        Operator {
            shell,
            input,
            output,
        }
    }

    /// Does what the page says, and waits until it is done.
    fn restart(&mut self) {
        self.input.write_all(b"next\n").expect("the shell reads");
        let deadline = Deadline::after(LOOP_TIMEOUT);
        while self.output.recv_timeout(LOOP_TIMEOUT).expect("a line") != "restarted" {
            deadline.check("the node is restarted");
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let id = self.shell.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &id]).status();
        let _ = self.shell.wait();
    }
}

#[derive(Default)]
struct Shared {
    entered: AtomicUsize,
    acknowledged: AtomicUsize,
    /// The publishers publish no further message.
    over: AtomicBool,
    publishers_done: AtomicUsize,
}

/// A client of the chat that keeps the position of its last message, and comes back with it. The first [`PUBLISHERS`] publish one
/// message after the other: the next one when they have got their own copy.
struct ChatClient {
    number: usize,
    session: Option<String>,
    /// The messages with their positions, as they came.
    messages: Vec<(String, String)>,
    /// That of the last one that had a position. `joined` and `left` have one, too, and a client gets none of its own.
    position: Option<String>,
    /// Messages of which it has got its own copy.
    acknowledged: Vec<String>,
    next: usize,
    /// The message that it waits for.
    waits_for: Option<String>,
    connections: usize,
    /// It publishes now.
    publishes: bool,
}

impl ChatClient {
    fn new(number: usize) -> ChatClient {
        ChatClient {
            number,
            session: None,
            messages: Vec::new(),
            position: None,
            acknowledged: Vec::new(),
            next: 0,
            waits_for: None,
            connections: 0,
            publishes: false,
        }
    }

    fn run(mut self, door: &Door, shared: &Shared) -> ChatClient {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        loop {
            deadline.check("the client has come to the end");
            let connection = door.connect("/chat/hall", Some("yamabiko.chat.v2"));
            let Some(mut connection) = connection else {
                thread::park_timeout(Duration::from_millis(20));
                continue;
            };
            if connection.send(self.enter().to_string()).is_err() {
                continue;
            }
            // What was on its way has been published, and comes now, or has not.
            self.waits_for = None;
            while let Ok(Some(OwnedMessage::Text(text))) = connection.read() {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                if self.received(&message, &mut connection, shared) {
                    return self;
                }
            }
        }
    }

    fn enter(&self) -> Value {
        let mut enter = json!({"type": "enter", "name": format!("client {}", self.number)});
        if let Some(session) = &self.session {
            enter["session"] = json!(session);
        }
        if let Some(position) = &self.position {
            enter["after"] = json!(position);
        }
        enter
    }

    /// True: this was the last message of the room.
    fn received(&mut self, message: &Value, connection: &mut Client, shared: &Shared) -> bool {
        match message["type"].as_str() {
            Some("welcome") => self.welcomed(message, shared),
            Some("error") if message["code"] == "too_fast" => {
                let wait = message["wait_ms"].as_u64().expect("a time");
                thread::park_timeout(Duration::from_millis(wait));
                self.waits_for = None;
            }
            Some("error") => panic!("client {}: {message}", self.number),
            Some("missed") => panic!("client {} was too slow", self.number),
            _ => {}
        }
        if let Some(position) = message["position"].as_str() {
            self.note(position, message, shared);
        }
        if message["text"] == FIRST {
            self.publishes = self.number < PUBLISHERS;
        }
        self.publish(connection, shared);
        message["text"] == LAST
    }

    fn welcomed(&mut self, message: &Value, shared: &Shared) {
        self.connections += 1;
        self.session = message["session"].as_str().map(str::to_owned);
        let history = &message["history"];
        if self.position.is_some() {
            assert_eq!(history["gap"], "none", "client {}: {message}", self.number);
            return;
        }
        self.position = history["position"].as_str().map(str::to_owned);
        shared.entered.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes a message.
    fn note(&mut self, position: &str, message: &Value, shared: &Shared) {
        let last = self.position.replace(position.to_owned());
        let rises = last.as_deref().map(offset) < Some(offset(position));
        assert!(rises, "client {}: {position} behind {last:?}", self.number);
        let Some(text) = message["text"].as_str() else {
            return;
        };
        if self.waits_for.as_deref() == Some(text) {
            self.waits_for = None;
            self.acknowledged.push(text.to_owned());
            shared.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        self.messages.push((position.to_owned(), text.to_owned()));
    }

    /// Sends the next message, if this client publishes and waits for none.
    fn publish(&mut self, connection: &mut Client, shared: &Shared) {
        if !self.publishes || self.waits_for.is_some() {
            return;
        }
        if shared.over.load(Ordering::SeqCst) {
            self.publishes = false;
            shared.publishers_done.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let text = format!("{} {}", self.number, self.next);
        self.next += 1;
        let message = json!({"type": "message", "text": text});
        self.waits_for = Some(text);
        // If this fails, the connection has ended, and the next read says so.
        let _ = connection.send(message.to_string());
    }
}

/// Epoch and offset of a position. The epoch stays the same in this test.
fn offset(position: &str) -> (&str, u64) {
    let (epoch, offset) = position.split_once('-').expect("a position");
    (epoch, offset.parse().expect("an offset"))
}

const CLIENTS: usize = 12;
const PUBLISHERS: usize = 4;
/// What is said before and behind all messages of the publishers.
const FIRST: &str = "first";
const LAST: &str = "last";
