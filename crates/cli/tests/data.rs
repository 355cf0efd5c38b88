//! `serve --data FILE`: the messages of rooms survive the end of the server, however it comes.
//!
//! `TEST_KILLS=10 cargo test --package yamabiko-cli --test data` kills the server so many times while it writes, instead of three
//! times.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use yamabiko::client::Client;
use yamabiko::websocket::Message;
use yamabiko_testing::waiting::{TIMEOUT, bounded, eventually, exit_status};

const PROGRAM: &str = env!("CARGO_BIN_EXE_yamabiko");

/// A folder that is removed with its files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("yamabiko-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn data(&self) -> String {
        self.0.join("rooms.db").display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running server. It is killed when the value is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(data: &str, more: &[&str]) -> Server {
        Server::start_command(command(data, more))
    }

    /// Waits until it is ready.
    fn start_command(mut command: Command) -> Server {
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a line of text");
        let Some((_, rest)) = line.split_once("://") else {
            let mut errors = String::new();
            let output = child.stderr.as_mut().expect("a pipe");
            let _ = output.read_to_string(&mut errors);
            panic!("not ready: {line} {errors}");
        };
        let address = rest.split('/').next().expect("an address").to_owned();
        Server { child, address }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill exists").success());
    }

    /// Ends it, and waits for its end.
    fn end(mut self, signal: &str) {
        self.signal(signal);
        exit_status(&mut self.child, TIMEOUT);
    }

    /// What `/ready` says.
    fn readiness(&self) -> String {
        let mut stream = bounded(TcpStream::connect(&self.address).expect("a server listens"));
        let request = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        response
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &str, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "2",
            "--data",
            data,
        ])
        .args(["--chat-messages-per-second", "0"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A member of the room "lobby".
struct Member(Client);

impl Member {
    /// Enters with the messages behind this position, or with none. Returns the welcome, too.
    fn enter(address: &str, name: &str, after: Option<&str>) -> (Member, Value) {
        let mut request = json!({"type": "enter", "name": name});
        if let Some(after) = after {
            request["after"] = after.into();
        }
        let (member, welcome) = Member::ask(address, "lobby", &request);
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        (member, welcome)
    }

    /// Asks to enter a room. Returns the answer, too.
    fn ask(address: &str, room: &str, request: &Value) -> (Member, Value) {
        let builder = Client::builder(&format!("ws://{address}/chat/{room}"));
        let client = builder
            .subprotocol("yamabiko.chat.v2")
            .read_timeout(TIMEOUT)
            .write_timeout(TIMEOUT)
            .connect()
            .expect("a server");
        let mut member = Member(client);
        member.request(request);
        let answer = member.read().expect("an answer");
        (member, answer)
    }

    fn request(&mut self, request: &Value) {
        self.0
            .send(Message::Text(&request.to_string()))
            .expect("open");
    }

    /// The next message of this type.
    fn read_type(&mut self, kind: &str) -> Value {
        loop {
            let message = self.read().expect("open");
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// `None`: the connection has ended.
    fn read(&mut self) -> Option<Value> {
        let message = self.0.read().ok()??;
        let text = message.as_message().as_text()?.to_owned();
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// The next text.
    fn read_text(&mut self) -> Option<(String, String)> {
        loop {
            let message = self.read()?;
            if message["type"] == "message" {
                return Some((text(&message["position"]), text(&message["text"])));
            }
        }
    }

    fn send(&mut self, text: &str) -> bool {
        let message = json!({"type": "message", "text": text});
        self.0.send(Message::Text(&message.to_string())).is_ok()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn clients_resume_over_a_restart_whether_the_server_ended_in_order_or_was_killed() {
    let folder = Folder::new("data-restart");
    for sync in ["full", "normal", "off"] {
        let more = ["--data-sync", sync];
        let mut server = Server::start(&folder.data(), &more);
        let (mut aki, welcome) = Member::enter(&server.address, "Aki", None);
        let mut last = text(&welcome["history"]["position"]);
        for (number, signal) in ["TERM", "KILL", "INT", "KILL"].into_iter().enumerate() {
            let texts = ["one", "two", "three"].map(|text| format!("{sync} {number} {text}"));
            for text in &texts {
                assert!(aki.send(text));
            }
            for text in &texts {
                assert_eq!(aki.read_text().expect("open").1, *text);
            }
            server.end(signal);
            server = Server::start(&folder.data(), &more);
            // Somebody who has missed all three.
            let (mut bo, welcome) = Member::enter(&server.address, "Bo", Some(&last));
            assert_eq!(welcome["history"]["gap"], "none", "{sync}, {signal}");
            for text in &texts {
                let (position, received) = bo.read_text().expect("open");
                assert_eq!(received, *text);
                assert_eq!(
                    position.split('-').next(),
                    last.split('-').next(),
                    "one epoch"
                );
                last = position;
            }
            aki = Member::enter(&server.address, "Aki", Some(&last)).0;
        }
        server.end("TERM");
        assert!(
            !fs::exists(folder.data() + "-wal").expect("a folder"),
            "one file is left"
        );
    }
}

#[test]
fn no_acknowledged_message_is_missing_and_no_offset_has_two_texts_after_kill_9() {
    let kills = std::env::var("TEST_KILLS").ok();
    let kills: usize = kills.map_or(3, |text| text.parse().expect("a number"));
    let folder = Folder::new("data-kill");
    let more = [
        "--history-messages",
        "1000000",
        "--history-bytes",
        "1GiB",
        "--data-sync",
        "normal",
    ];
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut first = None;
    for round in 0..kills {
        let mut server = Server::start(&folder.data(), &more);
        let (mut publisher, welcome) = Member::enter(&server.address, "Aki", None);
        let first = first.get_or_insert_with(|| text(&welcome["history"]["position"]));
        // Another number of messages in each round, so that the kill comes elsewhere.
        let acknowledged = write_until(&mut publisher, round, 200 + round * 37, || {
            server.child.kill().expect("it runs");
        });
        server.child.wait().expect("it ends");
        known.extend(acknowledged);

        let server = Server::start(&folder.data(), &more);
        let stored = read_all(&server, first, &format!("the end of round {round}"));
        for (position, text) in &known {
            assert_eq!(
                stored.get(position),
                Some(text),
                "at {position}, round {round}"
            );
        }
        let offsets: Vec<u64> = stored.keys().map(|position| offset(position)).collect();
        let mut sorted = offsets.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), offsets.len(), "each offset once");
        known = stored;
        server.end("KILL");
    }
}

/// Sends texts, many at a time, and calls the function after this number of copies. Returns the places of all copies.
fn write_until(
    publisher: &mut Member,
    round: usize,
    copies: usize,
    kill: impl FnOnce(),
) -> BTreeMap<String, String> {
    let mut acknowledged = BTreeMap::new();
    let mut kill = Some(kill);
    let mut sent = 0;
    loop {
        while sent < acknowledged.len() + 64 && kill.is_some() {
            sent += usize::from(publisher.send(&format!("round {round}, text {sent}")));
        }
        let Some((position, text)) = publisher.read_text() else {
            return acknowledged;
        };
        acknowledged.insert(position, text);
        if acknowledged.len() >= copies
            && let Some(kill) = kill.take()
        {
            kill();
        }
    }
}

/// All texts behind this position, by theirs. Publishes a last one.
fn read_all(server: &Server, first: &str, last: &str) -> BTreeMap<String, String> {
    let (mut reader, welcome) = Member::enter(&server.address, "Reader", Some(first));
    assert_eq!(welcome["history"]["gap"], "none");
    assert!(reader.send(last));
    let mut stored = BTreeMap::new();
    while let Some((position, text)) = reader.read_text() {
        let is_last = text == last;
        let before = stored.insert(position.clone(), text);
        assert_eq!(before, None, "{position} twice");
        if is_last {
            break;
        }
    }
    stored
}

fn offset(position: &str) -> u64 {
    let (_, offset) = position.split_once('-').expect("a position");
    offset.parse().expect("a number")
}

#[test]
fn created_rooms_and_the_people_in_them_are_the_same_after_kill_9() {
    let folder = Folder::new("data-rooms");
    let data = folder.data();
    let server = Server::start(&data, &[]);
    let create = json!({
        "type": "enter", "name": "Aiko", "create": "private", "password": "open sesame", "history": 9,
    });
    let (mut aiko, welcome) = Member::ask(&server.address, "den", &create);
    assert_eq!(welcome["moderator"], true, "{welcome}");
    let by_password = json!({"type": "enter", "name": "Bo", "password": "open sesame"});
    let (mut bo, of_bo) = Member::ask(&server.address, "den", &by_password);
    aiko.request(&json!({"type": "slow", "seconds": 7}));
    aiko.request(&json!({"type": "topic", "text": "tea"}));
    assert!(aiko.send("secret"));
    assert_eq!(bo.read_text().expect("open").1, "secret");
    let (_, unlisted) = Member::ask(
        &server.address,
        "quiet",
        &json!({"type": "enter", "name": "Cy", "create": "unlisted"}),
    );
    assert_eq!(unlisted["visibility"], "unlisted", "{unlisted}");
    server.end("KILL");

    let server = Server::start(&data, &[]);
    let session = |welcome: &Value, name: &str| json!({"type": "enter", "name": name, "session": welcome["session"], "history": 9});
    let (_cy, quiet) = Member::ask(&server.address, "quiet", &session(&unlisted, "Cy"));
    let seen = (&quiet["visibility"], &quiet["moderator"]);
    assert_eq!(seen, (&json!("unlisted"), &json!(true)), "{quiet}");
    // Bo was let in before, and is the same person on two connections; somebody else is not.
    let (mut bo, _) = Member::ask(&server.address, "den", &session(&of_bo, "Bo"));
    assert_eq!(bo.read_type("message")["text"], "secret");
    let (_bo, again) = Member::ask(&server.address, "den", &session(&of_bo, "Bo"));
    assert_eq!(again["names"], json!(["Bo"]), "{again}");
    let (_, stranger) = Member::ask(
        &server.address,
        "den",
        &json!({"type": "enter", "name": "Dan"}),
    );
    assert_eq!(stranger["code"], "password_required");
    let (mut dan, stranger) = Member::ask(
        &server.address,
        "den",
        &json!({"type": "enter", "name": "Dan", "password": "open sesame"}),
    );
    assert_eq!(stranger["you"], "Dan", "{stranger}");
    let (mut aiko, welcome) = Member::ask(&server.address, "den", &session(&welcome, "Aiko"));
    let seen = (
        &welcome["moderator"],
        &welcome["slow_seconds"],
        &welcome["topic"]["text"],
    );
    assert_eq!(seen, (&json!(true), &json!(7), &json!("tea")), "{welcome}");
    aiko.request(&json!({"type": "kick", "name": "Dan"}));
    while aiko.read_type("moderated")["name"] != "Dan" {}
    while dan.read().is_some() {}
}

#[test]
fn full_disk_refuses_messages_and_disconnects_nobody_and_it_heals() {
    let folder = Folder::new("data-full");
    // A file may have 256 KiB, and the signal that a longer one brings is ignored: what the system says then is the same as on a full
    // disk, but for its name.
    let mut limited = Command::new("sh");
    limited
        .args([
            "-c",
            "trap '' XFSZ; ulimit -S -f 512; exec \"$0\" \"$@\"",
            PROGRAM,
        ])
        .args(command(&folder.data(), &[]).get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let server = Server::start_command(limited);
    // Who sends nothing stays, whatever becomes of the others.
    let (mut bo, _) = Member::enter(&server.address, "Bo", None);
    let (mut aki, _) = Member::enter(&server.address, "Aki", None);
    let long = "x".repeat(4000);
    // The server is ready again when a shorter message still had room: the reason is of the response that is not ready.
    let (mut sent, mut readiness) = (0, String::new());
    eventually("the data file is full", TIMEOUT, || {
        sent += (0..20).filter(|_| aki.send(&long)).count();
        readiness = server.readiness();
        readiness.starts_with("HTTP/1.1 503")
    });
    assert!(readiness.contains("backplane"), "{readiness}");

    let id = server.child.id().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &id, "--fsize=unlimited"])
        .status();
    assert!(raised.expect("prlimit exists").success());
    eventually("the data file takes messages again", TIMEOUT, || {
        server.readiness().starts_with("HTTP/1.1 200")
    });
    let (mut chie, _) = Member::enter(&server.address, "Chie", None);
    assert!(chie.send("healed"));
    let mut received = 0;
    loop {
        let (_, text) = bo.read_text().expect("open");
        match text == "healed" {
            true => break,
            false => received += 1,
        }
    }
    assert!(received < sent, "some were refused: {received} of {sent}");
    // The member whose messages were refused was told, and is still there.
    while aki.read().expect("open")["code"] != "not_published" {}
    assert!(aki.send("still here"));
    assert_eq!(bo.read_text().expect("open").1, "still here");
}

/// The exit status of a server that does not start, and its line on standard error.
fn refusal(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.spawn().expect("the program starts");
    let status = exit_status(&mut child, TIMEOUT);
    let mut errors = String::new();
    child
        .stderr
        .as_mut()
        .expect("a pipe")
        .read_to_string(&mut errors)
        .expect("text");
    (status.code(), errors)
}

#[test]
fn data_file_that_cannot_be_used_is_one_line_and_an_exit_status() {
    let folder = Folder::new("data-refused");
    let data = folder.data();
    let assert_refused = |command: Command, expected: &str| {
        let line = format!("yamabiko: cannot use the data file {data}: {expected}\n");
        assert_eq!(refusal(command), (Some(1), line));
    };
    let server = Server::start(&data, &[]);
    assert_refused(command(&data, &[]), "another process uses the file");
    server.end("TERM");

    // The version of the tables is in the header of the file.
    set_version(&data, 99);
    let newer = "a newer version of yamabiko has written the file (its tables have version 99)";
    assert_refused(command(&data, &[]), newer);
    set_version(&data, 2);

    // The first page has the tables.
    let whole = fs::read(&data).expect("the file");
    let damaged: Vec<u8> = whole
        .iter()
        .enumerate()
        .map(|(at, &byte)| if at < 100 { byte } else { !byte })
        .collect();
    fs::write(&data, damaged).expect("a file");
    let (status, line) = refusal(command(&data, &[]));
    assert_eq!(status, Some(1), "{line}");
    assert!(
        line.contains("the file is damaged: ") && line.lines().count() == 1,
        "{line}"
    );

    fs::write(&data, "no database, ".repeat(100)).expect("a file");
    assert_refused(command(&data, &[]), "the file is no SQLite database");
    fs::write(&data, whole).expect("a file");

    let (status, line) = refusal(command(&data, &["--takeover", "/tmp/none"]));
    assert_eq!(status, Some(2), "{line}");
    assert!(line.contains("cannot be used together"), "{line}");

    let (status, line) = refusal(command(&data, &["--cluster", "redis://127.0.0.1:1"]));
    assert_eq!(status, Some(2), "{line}");
    assert!(line.contains("cannot be used together"), "{line}");

    fs::remove_dir_all(&folder.0).expect("no folder");
    assert_refused(command(&data, &[]), "its folder does not exist");
    let (status, _) = refusal(command(&data, &["--check"]));
    assert_eq!(status, Some(1), "also without a start");
}

fn set_version(data: &str, version: u32) {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(data)
        .expect("the file");
    file.seek(SeekFrom::Start(60)).expect("a header");
    file.write_all(&version.to_be_bytes()).expect("a header");
}

#[test]
fn data_file_without_the_permission_to_write_is_refused() {
    let folder = Folder::new("data-read-only");
    let data = folder.data();
    Server::start(&data, &[]).end("TERM");
    let mut permissions = fs::metadata(&data).expect("the file").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o444);
    fs::set_permissions(&data, permissions).expect("the file's owner");
    let mut command = command(&data, &[]);
    // The superuser may write to every file.
    if fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0) {
        command.uid(65_534).gid(65_534);
    }
    let expected = format!(
        "yamabiko: cannot use the data file {data}: the file or its folder cannot be written to\n"
    );
    assert_eq!(refusal(command), (Some(1), expected));
}

#[test]
fn thousand_clients_resume_over_a_restart_each_message_once() {
    let folder = Folder::new("data-thousand");
    let more = ["--history-messages", "5000"];
    let server = Server::start(&folder.data(), &more);
    let (mut aki, welcome) = Member::enter(&server.address, "Aki", None);
    let before = text(&welcome["history"]["position"]);
    let texts: Vec<String> = (0..50).map(|number| format!("text {number}")).collect();
    for text in &texts {
        assert!(aki.send(text));
    }
    for text in &texts {
        assert_eq!(aki.read_text().expect("open").1, *text);
    }
    server.end("KILL");
    let server = Server::start(&folder.data(), &more);
    let resume = |number: usize| {
        let (mut member, welcome) =
            Member::enter(&server.address, &format!("member {number}"), Some(&before));
        assert_eq!(welcome["history"]["gap"], "none");
        for text in &texts {
            assert_eq!(member.read_text().expect("open").1, *text);
        }
        member
    };
    // Each thread keeps its members connected while the others come.
    let members: usize = thread::scope(|scope| {
        let crowd = |crowd: usize| move || (0..125).map(|one| resume(crowd * 125 + one)).collect();
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(crowd(number))).collect();
        let ended = threads.into_iter().map(|thread| {
            let members: Vec<Member> = thread.join().expect("each member has all texts");
            members
        });
        ended.collect::<Vec<_>>().iter().map(Vec::len).sum()
    });
    assert_eq!(members, 1000);
}
