//! A recorded session replays to the same bytes and events, in both roles.
//!
//! The protocol core has no clock, no randomness and no I/O, so a session is its inputs: the
//! bytes of the peer with their cuts, the calls of the application, and the time. A recording
//! is a text: a line for each input (`>`) and for each result (`<`).
//!
//! | input | | result | |
//! |---|---|---|---|
//! | `> open client deflate` | role and extension | `< event …` | what [`Connection::receive`] has returned |
//! | `> time 25000` | milliseconds | `< output 8900` | the bytes to send |
//! | `> bytes 8105` | of the peer | `< due …` | what [`Deadlines::handle_timeout`] has returned |
//! | `> text Hello` … | calls | `< deadline …` | the next deadline, where it has moved |
//!
//! The recordings in `recordings/` are compared with what the code does now.
//! `TEST_WRITE_RECORDINGS=1 cargo test --test websocket replay` writes their results again.

use proptest::prelude::*;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use yamabiko::time::Timestamp;
use yamabiko::websocket::deadlines::{Deadlines, Due, Timeouts};
use yamabiko::websocket::deflate::DeflatePool;
use yamabiko_testing::deflate::{EAGER, TAKEOVER};
use yamabiko_testing::protocol::*;

/// Replays the inputs of a recording, and writes the recording again.
fn replay(recording: &str, pool: &DeflatePool) -> String {
    let mut session = None;
    let mut transcript = String::new();
    for line in recording.lines() {
        let Some(input) = line.strip_prefix("> ") else {
            if !line.starts_with('<') {
                let _ = writeln!(transcript, "{line}");
            }
            continue;
        };
        let _ = writeln!(transcript, "{line}");
        match input.strip_prefix("open ") {
            Some(kind) => session = Some(Session::open(kind, pool)),
            None => session.as_mut().expect("it is open").input(input),
        }
        session
            .as_mut()
            .expect("it is open")
            .report(&mut transcript);
    }
    transcript
}

/// A connection with its deadlines, and what they have given for the last input.
struct Session {
    connection: Connection,
    deadlines: Deadlines,
    timeouts: Timeouts,
    now: Timestamp,
    output: Vec<u8>,
    results: Vec<String>,
    deadline: Option<Timestamp>,
}

impl Session {
    fn open(kind: &str, pool: &DeflatePool) -> Session {
        let (role, extension) = kind.split_once(' ').unwrap_or((kind, ""));
        let limits = Limits {
            message_bytes_max: 4096,
            unsent_reply_bytes_max: 64,
            ..Limits::default()
        };
        let plain = match role {
            "server" => Connection::server(limits),
            "client" => Connection::client(limits, counting_keys()),
            other => panic!("no role: {other}"),
        };
        let timeouts = Timeouts {
            message: Some(std::time::Duration::from_secs(60)),
            ..Timeouts::default()
        };
        Session {
            connection: match extension {
                "deflate" => plain.with_deflate(TAKEOVER, &EAGER, pool),
                _ => plain,
            },
            deadlines: Deadlines::new(Timestamp(0)),
            timeouts,
            now: Timestamp(0),
            output: Vec::new(),
            results: Vec::new(),
            deadline: None,
        }
    }

    fn input(&mut self, input: &str) {
        let (verb, rest) = input.split_once(' ').unwrap_or((input, ""));
        let output = &mut self.output;
        match verb {
            "time" => self.pass_time(Timestamp(rest.parse().expect("milliseconds"))),
            "bytes" => self.receive(&mut bytes_of(rest)),
            "end" => self.end(),
            "resume" => self.connection.resume_replies(output),
            "text" => self.called(|connection, output| connection.send(rest, output)),
            "binary" => {
                let bytes = bytes_of(rest);
                self.called(|connection, output| connection.send(&bytes, output));
            }
            "fragment" | "last" => {
                let piece = Fragment::text(rest.as_bytes());
                let last = verb == "last";
                self.called(|connection, output| {
                    connection.send_fragment(piece.last_if(last), output)
                });
            }
            "ping" => self.called(|connection, output| connection.ping(rest.as_bytes(), output)),
            "pong" => self.called(|connection, output| connection.pong(rest.as_bytes(), output)),
            "close" => self.close(rest),
            other => panic!("no input: {other}"),
        }
    }

    fn pass_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        loop {
            let due = self
                .deadlines
                .handle_timeout(self.now, &self.timeouts, || false);
            match due {
                Due::Nothing => return,
                Due::Ping => self.called(|connection, output| connection.ping(b"", output)),
                _ => {}
            }
            self.results.push(format!("due {due:?}"));
            if let Due::Fail(_) = due {
                return self.end();
            }
        }
    }

    fn receive(&mut self, bytes: &mut [u8]) {
        self.deadlines.peer_is_alive(self.now);
        let overdue = self
            .deadlines
            .received_while_closing(bytes.len(), &self.timeouts);
        assert_eq!(overdue, Ok(()));
        let mut input = &mut bytes[..];
        loop {
            let received = self.connection.receive(&mut input, &mut self.output);
            let is_event = matches!(received, Ok(Some(_)));
            let closes = matches!(received, Ok(Some(Event::Close(_))) | Err(_));
            match &received {
                Ok(None) => {}
                Ok(Some(event)) => self.results.push(format!("event {event:?}")),
                Err(error) => self.results.push(format!("broken rule: {error}")),
            }
            if closes {
                self.deadlines.closing(self.now);
            }
            if !is_event {
                break;
            }
        }
        match self.connection.has_unfinished_input() {
            true => {
                let bytes = self.connection.unfinished_message_bytes();
                self.deadlines
                    .message_is_unfinished(self.now, bytes, &self.timeouts);
            }
            false => self.deadlines.message_is_finished(),
        }
    }

    /// `1000 bye`, or nothing.
    fn close(&mut self, arguments: &str) {
        let (code, reason) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let code = code.parse().ok().and_then(CloseCode::new);
        let close = code.map_or(CloseFrame::EMPTY, |code| CloseFrame::new(code, reason));
        self.called(|connection, output| connection.close(close, output));
        if self.connection.state() != State::Open {
            self.deadlines.closing(self.now);
        }
    }

    fn end(&mut self) {
        let ended = self.connection.end_of_input();
        self.results.push(format!("ended: {ended}"));
    }

    fn called(
        &mut self,
        call: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) {
        if let Err(error) = call(&mut self.connection, &mut self.output) {
            self.results.push(format!("error: {error}"));
        }
    }

    /// Writes the results of the last input; the output counts as sent.
    fn report(&mut self, transcript: &mut String) {
        for result in self.results.drain(..) {
            let _ = writeln!(transcript, "< {result}");
        }
        if !self.output.is_empty() {
            let _ = writeln!(transcript, "< output {}", hexadecimal(&self.output));
            self.output.clear();
        }
        let deadline = self.deadlines.deadline(&self.timeouts);
        if deadline != self.deadline {
            self.deadline = deadline;
            let shown = deadline.map_or("none".to_owned(), |Timestamp(at)| at.to_string());
            let _ = writeln!(transcript, "< deadline {shown}");
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(|pair| byte(pair).expect("two digits")).collect()
}

#[test]
fn recorded_sessions_replay_to_the_same_bytes_and_events() {
    for name in ["server", "client", "server_deflate", "client_deflate"] {
        let file = folder().join(name).with_extension("txt");
        let recording = fs::read_to_string(&file).expect("there is a recording");
        let replayed = replay(&recording, &DeflatePool::default());
        if std::env::var_os("TEST_WRITE_RECORDINGS").is_some() {
            fs::write(&file, &replayed).expect("it can be written");
        } else {
            assert_eq!(replayed, recording, "{name}");
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/websocket/recordings")
}

/// The inputs of a session: frames of the peer that are mostly legal, cut anywhere, between
/// calls of the application and steps of the time.
fn inputs(role: Role, extension: &str) -> impl Strategy<Value = String> + use<> {
    let open = match role {
        Role::Server => format!("> open server {extension}"),
        Role::Client => format!("> open client {extension}"),
    };
    let wire = prop::collection::vec(frame(role), 0..12).prop_map(|frames| frames.concat());
    let calls = prop::collection::vec(call(), 0..12);
    let cuts = prop::collection::vec(any::<u8>(), 1..6);
    (wire, calls, cuts).prop_map(move |(wire, calls, cuts)| {
        let mut lines = vec![open.trim_end().to_owned()];
        let pieces: Vec<&[u8]> = cut(&wire, &cuts);
        let mut calls = calls.into_iter();
        for piece in pieces {
            lines.push(format!("> bytes {}", hexadecimal(piece)));
            lines.extend(calls.next());
        }
        lines.extend(calls);
        lines.push("> end".to_owned());
        lines.join("\n")
    })
}

fn frame(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let peer = peer(role);
    let payload = || prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        4 => "\\PC{0,40}".prop_map(move |text| peer.text(text)),
        2 => payload().prop_map(move |bytes| peer.binary(bytes)),
        2 => payload().prop_map(move |bytes| [peer.binary_begins(&bytes), peer.ping("p"), peer.ends(&bytes)].concat()),
        2 => "[a-z]{0,20}".prop_map(move |text| peer.ping(text)),
        1 => "[a-z]{0,20}".prop_map(move |text| peer.pong(text)),
        2 => Just(peer.frame(yamabiko_testing::deflate::compressed(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00"))),
        1 => "[a-z]{0,20}".prop_map(move |reason| peer.close(1000, reason)),
        1 => payload(),
    ]
}

fn call() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z ]{0,60}".prop_map(|text| format!("> text {text}")),
        2 => prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| format!("> binary {}", hexadecimal(&bytes))),
        1 => "[a-z]{0,9}".prop_map(|piece| format!("> fragment {piece}")),
        1 => "[a-z]{0,9}".prop_map(|piece| format!("> last {piece}")),
        1 => "[a-z]{0,9}".prop_map(|payload| format!("> ping {payload}")),
        1 => Just("> resume".to_owned()),
        1 => "[a-z]{0,9}".prop_map(|reason| format!("> close 1001 {reason}")),
        3 => (0_u64..200_000).prop_map(|at| format!("> time {at}")),
    ]
}

proptest! {
    /// The second time on another thread, where the pool has been used before.
    #[test]
    fn any_session_replays_to_the_same_bytes_and_events(
        inputs in prop_oneof![
            inputs(Role::Server, ""),
            inputs(Role::Client, ""),
            inputs(Role::Server, "deflate"),
            inputs(Role::Client, "deflate"),
        ],
    ) {
        let pool = DeflatePool::default();
        let recording = replay(&inputs, &pool);
        let copy = recording.clone();
        let replaying = std::thread::spawn(move || replay(&copy, &pool));
        prop_assert_eq!(replaying.join().expect("it replays"), recording);
    }
}
