//! Figures of the history: what it costs to keep messages in a file, to join a long room, and to come back.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p yamabiko-testing --bin history -- --program target/release/yamabiko
//! ```
//!
//! | table | what is measured |
//! |---|---|
//! | keeping | 10,000 messages a second of 100 bytes to a room, for 10 s: processor time of the server for each, and the time until the publisher has its own copy |
//! | joining | a room with 10,000 messages: the time from the request to the last message, and the memory of the server. The first member after a restart also waits for the file |
//! | coming-back | 1,000 members that ask for 50 messages at the same time: the time until each has them, and the processor time of the server |
//! | idle | the memory of a member that sends nothing |
//!
//! `--write docs/data.md` puts the tables between the marks of that page. About 2 minutes; let nothing else run. The data files are in the folder for temporary files, or in `--folder`: choose one on a disk, because `full`
//! costs what the disk costs. Server and clients share the machine, so the times of many clients include those of the clients.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{Client, frame};

fn main() -> ExitCode {
    let mut program = PathBuf::from("target/release/yamabiko");
    let mut folder = std::env::temp_dir();
    let (mut only, mut page) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (&*argument, arguments.next()) {
            ("--program", Some(path)) => program = path.into(),
            ("--folder", Some(path)) => folder = path.into(),
            ("--only", Some(table)) => only = Some(table),
            ("--write", Some(path)) => page = Some(path),
            _ => {
                eprintln!(
                    "usage: history [--program FILE] [--folder FOLDER] [--only TABLE] [--write PAGE]"
                );
                return ExitCode::from(2);
            }
        }
    }
    let folder = folder.join(format!("yamabiko-history-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let setup = Setup { program, folder };
    let tables: [(&str, Table); 4] = [
        ("keeping", Setup::keeping),
        ("joining", Setup::joining),
        ("coming-back", Setup::coming_back),
        ("idle", Setup::idle),
    ];
    let mut figures = String::new();
    for (name, table) in tables {
        if only.as_deref().is_none_or(|only| only == name) {
            let before = figures.len();
            table(&setup, &mut figures);
            print!("{}", &figures[before..]);
        }
    }
    fs::remove_dir_all(&setup.folder).expect("the folder");
    if let Some(page) = page {
        let text = fs::read_to_string(&page).expect("the page");
        fs::write(&page, with_figures(&text, &figures)).expect("the page");
    }
    ExitCode::SUCCESS
}

/// The page with these figures between its marks.
fn with_figures(page: &str, figures: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("a mark in the page");
    let (_, after) = rest.split_once(END).expect("the other mark");
    format!("{before}{BEGIN}\n{}\n\n{END}{after}", figures.trim())
}

/// The marks in a page.
const BEGIN: &str = "<!-- figures of the history: begin -->";
const END: &str = "<!-- figures of the history: end -->";

/// Measures, and appends a table.
type Table = fn(&Setup, &mut String);

/// Appends a line to a table.
macro_rules! push {
    ($table:ident, $($line:tt)*) => {
        $table.push_str(&(format!($($line)*) + "\n"))
    };
}

struct Setup {
    program: PathBuf,
    folder: PathBuf,
}

impl Setup {
    /// Where the messages are: the name of a row, and the options of the server.
    fn places(&self, test: &str) -> [(&'static str, Vec<String>); 4] {
        let data = |sync: &str| {
            let file = self
                .folder
                .join(format!("{test}-{sync}.db"))
                .display()
                .to_string();
            ["--data", &file, "--data-sync", sync]
                .map(str::to_owned)
                .to_vec()
        };
        [
            ("memory", Vec::new()),
            ("`off`", data("off")),
            ("`normal`", data("normal")),
            ("`full`", data("full")),
        ]
    }

    fn start(&self, options: &[String]) -> Server {
        Server::start(&self.program, options)
    }

    fn keeping(&self, table: &mut String) {
        push!(
            table,
            "| 10,000 messages a second | CPU of each | of a core | copy p50 | p99 | longest |"
        );
        push!(table, "|---|---:|---:|---:|---:|---:|");
        for (name, options) in self.places("keeping") {
            let server = self.start(&options);
            publish_at(&server, 10_000, Duration::from_secs(1));
            let before = server.processor_time();
            let mut lags = publish_at(&server, 10_000, Duration::from_secs(10));
            let used = server.processor_time() - before;
            lags.sort_unstable();
            push!(
                table,
                "| {name} | {:.1} µs | {:.0} % | {} | {} | {} |",
                used.as_secs_f64() * 1e6 / lags.len() as f64,
                used.as_secs_f64() * 10.0,
                milliseconds(percentile(&lags, 50)),
                milliseconds(percentile(&lags, 99)),
                milliseconds(percentile(&lags, 100)),
            );
        }
    }

    fn joining(&self, table: &mut String) {
        push!(
            table,
            "\n| room with 10,000 messages | first join after a restart | next joins p50 | memory of the room |"
        );
        push!(table, "|---|---:|---:|---:|");
        for (name, options) in self.places("joining") {
            let long = ["--history-messages", "10000", "--history-bytes", "16MiB"];
            let options = [options, long.map(str::to_owned).to_vec()].concat();
            let mut server = self.start(&options);
            let before = server.resident_bytes();
            fill(&server, 10_000);
            let memory = server.resident_bytes().saturating_sub(before);
            let mut first = "".to_owned();
            if name != "memory" {
                server.end();
                server = self.start(&options);
                first = milliseconds(join(&server, 0));
            }
            let mut times: Vec<Duration> = (1..=20).map(|number| join(&server, number)).collect();
            times.sort_unstable();
            let p50 = milliseconds(percentile(&times, 50));
            push!(
                table,
                "| {name} | {first} | {p50} | {:.1} MiB |",
                memory as f64 / (1 << 20) as f64
            );
        }
    }

    fn coming_back(&self, table: &mut String) {
        push!(
            table,
            "\n| 1,000 members come back at once | p50 | p99 | longest | CPU of each |"
        );
        push!(table, "|---|---:|---:|---:|---:|");
        for (name, options) in self.places("coming-back") {
            // That each of them enters is a message, too.
            let kept = ["--history-messages", "10000", "--history-bytes", "16MiB"];
            let options = [options, kept.map(str::to_owned).to_vec()].concat();
            let mut server = self.start(&options);
            let position = fill(&server, 50);
            if name != "memory" {
                server.end();
                server = self.start(&options);
            }
            let before = server.processor_time();
            let mut times = come_back(&server, &position, 1000, 50);
            let used = server.processor_time() - before;
            times.sort_unstable();
            push!(
                table,
                "| {name} | {} | {} | {} | {:.0} µs |",
                milliseconds(percentile(&times, 50)),
                milliseconds(percentile(&times, 99)),
                milliseconds(percentile(&times, 100)),
                used.as_secs_f64() * 1e6 / times.len() as f64,
            );
        }
    }

    fn idle(&self, table: &mut String) {
        push!(table, "\n| members | memory of each |");
        push!(table, "|---:|---:|");
        let server = self.start(&[]);
        // The buffers of the workers.
        drop(members(&server, 200));
        let before = server.resident_bytes();
        let count = 2000;
        let members = members(&server, count);
        let bytes = server.resident_bytes().saturating_sub(before);
        push!(
            table,
            "| {count}, in rooms of 20 | {} bytes |",
            bytes / count
        );
        drop(members);
    }
}

/// A running server. It is killed when the value is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(program: &PathBuf, options: &[String]) -> Server {
        let mut child = Command::new(program)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--workers",
                "1",
                "--chat-messages-per-second",
                "0",
                "--log-level",
                "error",
            ])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("a line of text");
        let (_, rest) = line.split_once("://").expect("the server is ready");
        let address = rest.split('/').next().expect("an address");
        Server {
            address: address.parse().expect("an address"),
            child,
        }
    }

    /// Ends it in order.
    fn end(&mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").arg(&id).status().expect("kill exists");
        assert!(sent.success());
        self.child.wait().expect("it ends");
    }

    /// User and system time of all threads.
    fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("Linux");
        let (_, rest) = stat.rsplit_once(')').expect("the name of the program");
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u64>().expect("a number");
        // `USER_HZ` is 100 on all systems that Rust supports.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("Linux");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a line");
        let kib = line.split_whitespace().nth(1).expect("a number");
        kib.parse::<usize>().expect("a number") << 10
    }

    /// A connection to a room that has not entered yet.
    fn connect(&self, room: &str) -> Client {
        upgraded(Client::connect(self.address), room)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn upgraded(client: Client, room: &str) -> Client {
    let path = format!("/chat/{room}");
    client.upgraded_with(&path, "Sec-WebSocket-Protocol: yamabiko.chat.v2\r\n")
}

fn enter(name: &str, more: &str) -> String {
    format!(r#"{{"type":"enter","name":"{name}"{more}}}"#)
}

fn message(text: &str) -> Vec<u8> {
    let json = format!(r#"{{"type":"message","text":"{text}"}}"#);
    frame(Opcode::Text, json.as_bytes())
}

/// The value of a field whose text has no quotes.
fn field<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    let (_, rest) = message.split_once(&format!(r#""{name}":""#))?;
    rest.split('"').next()
}

/// Publishes messages at an even rate. Returns the times after which the publisher has its own copies.
fn publish_at(server: &Server, per_second: u32, span: Duration) -> Vec<Duration> {
    let stream = TcpStream::connect(server.address).expect("the server accepts");
    let mut writer = stream.try_clone().expect("a descriptor");
    let mut client = upgraded(Client::of(stream), "busy");
    client.text(&enter("Aki", ""));
    client.read_text();
    let begun = Instant::now();
    let writing = thread::spawn(move || {
        let mut sent = 0;
        while begun.elapsed() < span {
            let due = (begun.elapsed().as_secs_f64() * f64::from(per_second)) as u32;
            let mut bytes = Vec::new();
            for _ in sent..due {
                let now = begun.elapsed().as_nanos();
                bytes.extend(message(&format!("{now:-<100}")));
            }
            sent = due;
            writer.write_all(&bytes).expect("the server reads");
            thread::sleep(Duration::from_millis(1));
        }
        writer.write_all(&message("end")).expect("the server reads");
    });
    let lags = read_copies(&mut client, begun);
    writing.join().expect("all is sent");
    lags
}

/// Reads texts until `end`: the time of each is in it.
fn read_copies(client: &mut Client, begun: Instant) -> Vec<Duration> {
    let mut lags = Vec::new();
    loop {
        let message = client.read_text();
        let Some(text) = field(&message, "text") else {
            continue;
        };
        if text == "end" {
            return lags;
        }
        let sent = text
            .split('-')
            .next()
            .and_then(|sent| sent.parse().ok())
            .expect("a time");
        lags.push(begun.elapsed().saturating_sub(Duration::from_nanos(sent)));
    }
}

/// Publishes so many messages to a new room. Returns the position in front of them.
fn fill(server: &Server, count: usize) -> String {
    let mut client = server.connect("lobby");
    client.text(&enter("Aki", ""));
    client.read_text();
    client.text(r#"{"type":"message","text":"first"}"#);
    let mut position = None;
    while position.is_none() {
        let copy = client.read_text();
        if field(&copy, "text") == Some("first") {
            position = field(&copy, "position").map(str::to_owned);
        }
    }
    for number in (1..=count).collect::<Vec<_>>().chunks(100) {
        let messages = number
            .iter()
            .map(|number| message(&format!("{number:-<100}")));
        client.send(messages.collect::<Vec<_>>().concat());
        let last = format!("{:-<100}", number.last().expect("a number"));
        while field(&client.read_text(), "text") != Some(&last) {}
    }
    position.expect("a position")
}

/// From the request to the last of 10,000 messages. What the room has besides them is the leaving of earlier members.
fn join(server: &Server, number: usize) -> Duration {
    let mut client = server.connect("lobby");
    let begun = Instant::now();
    client.text(&enter(&format!("reader {number}"), r#","history":10000"#));
    let welcome = client.read_text();
    let (_, rest) = welcome
        .split_once(r#""messages":"#)
        .expect("a number of messages");
    let digits = rest
        .split(|character: char| !character.is_ascii_digit())
        .next();
    let count: usize = digits
        .and_then(|digits| digits.parse().ok())
        .expect("a number");
    (0..count).for_each(|_| drop(client.read_text()));
    begun.elapsed()
}

/// Members that ask for what they have missed at the same time. Returns the time of each.
fn come_back(server: &Server, position: &str, members: usize, messages: usize) -> Vec<Duration> {
    let last = format!("{messages:-<100}");
    let begin = Arc::new(Barrier::new(members));
    let after = format!(r#","after":"{position}""#);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..members)
            .map(|number| {
                let (begin, last, after) = (begin.clone(), &last, &after);
                let member = move || {
                    let mut client = server.connect("lobby");
                    begin.wait();
                    let begun = Instant::now();
                    client.text(&enter(&format!("member {number}"), after));
                    while field(&client.read_text(), "text") != Some(last) {}
                    let elapsed = begun.elapsed();
                    // All stay until each has what it asked for.
                    begin.wait();
                    elapsed
                };
                let small = thread::Builder::new().stack_size(128 << 10);
                small.spawn_scoped(scope, member).expect("a thread")
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a time"))
            .collect()
    })
}

/// Members in rooms of 20, who have read what is there.
fn members(server: &Server, count: usize) -> Vec<Client> {
    let member = |number: usize| {
        let mut client = server.connect(&format!("room-{}", number / 20));
        client.text(&enter(&format!("member {number}"), ""));
        client.read_text();
        client
    };
    (0..count).map(member).collect()
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
