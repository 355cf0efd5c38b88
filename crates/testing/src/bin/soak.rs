//! A long run against the program: clients come and go in every way, and one connection carries
//! 200,000 messages. Memory and descriptors must stay flat.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p yamabiko-testing --bin soak -- --program target/release/yamabiko --seconds 3600
//! ```
//!
//! A run consists of rounds. In each round several threads open connections to the page, to a chat
//! room and to a broadcast room, use them, and end them: by a Close, by FIN, by RST, or by RST
//! inside a handshake, a frame or a compressed message. One more connection sends numbered
//! messages to a room of its own and compares what returns. Between two rounds only that
//! connection is open. Then
//!
//! - the program has one descriptor more than without clients,
//! - the chat room is empty,
//! - the memory is at most 4 MiB above that after the second round.
//!
//! `--state FILE` (default `target/soak.state`) keeps the sums of all runs, and the seed of the
//! next one, so that a run can be stopped at any time and continued later.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use yamabiko_testing::deflate::{compressed, stored};
use yamabiko_testing::program::Program;
use yamabiko_testing::properties::wire::{BINARY, WireFrame};
use yamabiko_testing::protocol::{Peer, Role, peer};
use yamabiko_testing::socket::{Client, Frame, upgrade};
use yamabiko_testing::waiting::joined;

/// Threads that open and end connections.
const CHURNERS: u64 = 4;

/// The time of a round, less if the run ends before.
const ROUND: Duration = Duration::from_secs(10);

/// Messages of the long connection, before it is closed and another one takes its place.
const MESSAGES_OF_A_CONNECTION: u64 = 200_000;

/// Messages that are on their way at a time.
const WINDOW: u64 = 64;

/// How much more memory a round may leave than the most that the first rounds left.
const MEMORY_GROWTH_BYTES_MAX: usize = 4 << 20;

/// The memory grows in them: the allocator keeps what the busiest moment so far took. The first one has no busy one before it.
const FIRST_ROUNDS: std::ops::RangeInclusive<u64> = 2..=6;

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("usage: soak --program FILE --seconds N [--state FILE]");
        return ExitCode::from(2);
    };
    let mut state = State::load(&arguments.state);
    run(&arguments, &mut state);
    println!("all runs: {}", state.sentence());
    ExitCode::SUCCESS
}

struct Arguments {
    program: PathBuf,
    seconds: u64,
    state: PathBuf,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Arguments> {
        let (mut program, mut seconds, mut state) = (None, None, "target/soak.state".into());
        while let Some(name) = arguments.next() {
            let value = arguments.next()?;
            match &*name {
                "--program" => program = Some(value.into()),
                "--seconds" => seconds = value.parse().ok(),
                "--state" => state = value.into(),
                _ => return None,
            }
        }
        Some(Arguments {
            program: program?,
            seconds: seconds?,
            state,
        })
    }
}

/// The sums of all runs. It is a file of lines with a name and a number.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    seed: u64,
    seconds: u64,
    rounds: u64,
    connections: u64,
    resets: u64,
    messages: u64,
    /// Connections that carried `MESSAGES_OF_A_CONNECTION` messages.
    long_connections: u64,
    memory_bytes_max: u64,
}

impl State {
    fn load(path: &Path) -> State {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut state = State::default();
        for (name, number) in text.lines().filter_map(|line| line.split_once(' ')) {
            if let (Some(field), Ok(number)) = (state.field(name), number.parse()) {
                *field = number;
            }
        }
        state
    }

    fn save(&mut self, path: &Path) {
        let names = NAMES.iter();
        let lines = names.map(|name| {
            format!(
                "{name} {}\n",
                self.clone().field(name).map_or(0, |field| *field)
            )
        });
        let text: String = lines.collect();
        // A run that is killed leaves the old file or the new one.
        let temporary = path.with_extension("new");
        let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
        written.expect("the state can be written");
    }

    fn field(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "seed" => &mut self.seed,
            "seconds" => &mut self.seconds,
            "rounds" => &mut self.rounds,
            "connections" => &mut self.connections,
            "resets" => &mut self.resets,
            "messages" => &mut self.messages,
            "long-connections" => &mut self.long_connections,
            "memory-bytes-max" => &mut self.memory_bytes_max,
            _ => return None,
        })
    }

    fn sentence(&self) -> String {
        format!(
            "{} s in {} rounds, {} connections of which {} were reset, {} messages on long \
             connections of which {} reached {MESSAGES_OF_A_CONNECTION}, at most {} KiB of memory",
            self.seconds,
            self.rounds,
            self.connections,
            self.resets,
            self.messages,
            self.long_connections,
            self.memory_bytes_max >> 10,
        )
    }
}

const NAMES: [&str; 8] = [
    "seed",
    "seconds",
    "rounds",
    "connections",
    "resets",
    "messages",
    "long-connections",
    "memory-bytes-max",
];

fn run(arguments: &Arguments, state: &mut State) {
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut program = Program::start(&arguments.program, &["serve", "--workers", "2"]);
    let mut long = LongConnection::open(program.address);
    let mut memory_bytes_limit = None;
    for round in 1.. {
        let begun = Instant::now();
        let round_end = end.min(begun + ROUND);
        let churners: Vec<_> = (0..CHURNERS)
            .map(|number| {
                let mut churner = Churner::new(program.address, state.seed + number);
                thread::spawn(move || churner.run(round_end))
            })
            .collect();
        let long_counts = long.run(round_end, program.address);
        for churner in churners {
            let churned = joined("a thread of the round", churner);
            state.connections += churned.connections;
            state.resets += churned.resets;
        }
        state.seed += CHURNERS;
        state.rounds += 1;
        state.seconds += begun.elapsed().as_secs();
        state.messages += long_counts.messages;
        state.long_connections += long_counts.finished;
        let memory_bytes = check_quiet(&mut program);
        state.memory_bytes_max = state.memory_bytes_max.max(memory_bytes as u64);
        state.save(&arguments.state);
        println!(
            "round {round}: {} KiB of memory; {}",
            memory_bytes >> 10,
            state.sentence()
        );
        let within = memory_bytes_limit.is_none_or(|limit| memory_bytes <= limit);
        assert!(within, "the memory has grown since the first rounds");
        if FIRST_ROUNDS.contains(&round) {
            memory_bytes_limit =
                memory_bytes_limit.max(Some(memory_bytes + MEMORY_GROWTH_BYTES_MAX));
        }
        if Instant::now() >= end {
            break;
        }
    }
}

/// Only the long connection is open. Returns the memory in use.
fn check_quiet(program: &mut Program) -> usize {
    program.is_healthy();
    program.closes_all_descriptors_but(1);
    let mut observer = Client::connect(program.address).upgraded("/chat/soak");
    observer.text(r#"{"type":"names"}"#);
    let names = observer.read_text();
    assert!(
        names.contains(r#""count":0"#),
        "people who have left: {names}"
    );
    drop(observer);
    program.closes_all_descriptors_but(1);
    program.memory_bytes()
}

/// A connection whose messages return in their order.
struct LongConnection {
    client: Client,
    sent: u64,
    received: u64,
}

#[derive(Default)]
struct LongCounts {
    messages: u64,
    finished: u64,
}

impl LongConnection {
    fn open(address: SocketAddr) -> LongConnection {
        LongConnection {
            client: Client::connect(address).upgraded("/broadcast/long"),
            sent: 0,
            received: 0,
        }
    }

    fn run(&mut self, end: Instant, address: SocketAddr) -> LongCounts {
        let mut counts = LongCounts::default();
        while Instant::now() < end {
            self.exchange();
            counts.messages += WINDOW;
            if self.received >= MESSAGES_OF_A_CONNECTION {
                self.client.close(1000, "enough");
                assert_eq!(self.client.read_close().0, 1000);
                *self = LongConnection::open(address);
                counts.finished += 1;
            }
        }
        counts
    }

    /// Sends a window of messages and reads them.
    fn exchange(&mut self) {
        let numbers = self.sent..self.sent + WINDOW;
        let frames = numbers.map(|number| CLIENT.binary(message(number)));
        self.client.send(frames.flatten().collect::<Vec<u8>>());
        self.sent += WINDOW;
        while self.received < self.sent {
            let Frame { payload, .. } = self.client.read_frame();
            assert!(
                payload == message(self.received),
                "message {} is another",
                self.received
            );
            self.received += 1;
        }
    }
}

/// A number, followed by up to 2 KiB.
fn message(number: u64) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(8 + (number as usize * 37) % 2048, number as u8);
    bytes
}

/// Opens and ends connections, as its random numbers decide.
struct Churner {
    address: SocketAddr,
    random: Random,
    connections: u64,
    resets: u64,
}

struct Churned {
    connections: u64,
    resets: u64,
}

impl Churner {
    fn new(address: SocketAddr, seed: u64) -> Churner {
        Churner {
            address,
            random: Random::new(seed),
            connections: 0,
            resets: 0,
        }
    }

    fn run(&mut self, end: Instant) -> Churned {
        while Instant::now() < end {
            self.connections += 1;
            let client = Client::connect(self.address);
            match self.random.below(8) {
                0 => self.reset(client),
                1 => self.break_off_the_handshake(client),
                2 => self.request_files(client),
                3 | 4 => self.chat(client),
                _ => self.broadcast(client),
            }
        }
        Churned {
            connections: self.connections,
            resets: self.resets,
        }
    }

    fn reset(&mut self, client: Client) {
        self.resets += 1;
        client.reset();
    }

    fn break_off_the_handshake(&mut self, mut client: Client) {
        let request = upgrade("/broadcast/soak", "");
        client.send(&request[..self.random.below(request.len())]);
        self.end(client);
    }

    fn request_files(&mut self, mut client: Client) {
        for _ in 0..1 + self.random.below(5) {
            client.send("GET /chat.js HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(client.read_one_response(false).status, 200);
        }
        self.end(client);
    }

    fn chat(&mut self, client: Client) {
        let mut client = client.upgraded("/chat/soak");
        let name = self.random.below(1 << 30);
        client.text(&format!(r#"{{"type":"join","name":"{name}"}}"#));
        read_until(&mut client, "welcome");
        for number in 0..self.random.below(10) {
            client.text(&format!(r#"{{"type":"message","text":"{name} {number}"}}"#));
            read_until(&mut client, &format!("{name} {number}"));
        }
        self.end(client);
    }

    fn broadcast(&mut self, client: Client) {
        let deflate = self.random.below(2) == 0;
        let mut client = match deflate {
            true => client.upgraded_with("/broadcast/soak", OFFER),
            false => client.upgraded("/broadcast/soak"),
        };
        let mut wire = Vec::new();
        for _ in 0..self.random.below(10) {
            wire.extend(CLIENT.binary(vec![7; self.random.below(20_000)]));
        }
        wire.extend(CLIENT.ping("all"));
        client.send(wire);
        if self.random.below(2) == 0 {
            read_until_pong(&mut client);
        }
        self.begin_a_message(&mut client, deflate);
        self.end(client);
    }

    /// Sends a part of a message, or nothing.
    fn begin_a_message(&mut self, client: &mut Client, deflate: bool) {
        let whole = match self.random.below(4) {
            0 if deflate => CLIENT.frame(compressed(BINARY, stored(&[7; 3000])).unfinished()),
            1 => CLIENT.frame(WireFrame::new(BINARY, [7; 3000]).unfinished()),
            2 => CLIENT.binary([7; 3000]),
            _ => return,
        };
        // The server may have closed the connection of a member that did not read.
        let _ = client
            .stream
            .write_all(&whole[..self.random.below(whole.len())]);
    }

    /// Ends the connection in one of the ways of clients.
    fn end(&mut self, mut client: Client) {
        match self.random.below(3) {
            0 => self.reset(client),
            1 => drop(client),
            _ => {
                let _ = client.stream.write_all(&CLIENT.close(1000, ""));
            }
        }
    }
}

fn read_until(client: &mut Client, part: &str) {
    while !client.read_text().contains(part) {}
}

/// Reads up to the Pong. The messages of other members come first, or a Close: this member may
/// have been too slow for them.
fn read_until_pong(client: &mut Client) {
    while let Some(frame) = client.next_frame() {
        if frame.opcode.is_control() {
            break;
        }
    }
}

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

const CLIENT: Peer = peer(Role::Server);

/// Pseudorandom numbers: splitmix64. The same seed gives the same numbers.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % bound.max(1) as u64) as usize
    }
}
