//! Clients that send half of a large message, and then a byte now and then: they stay within the memory budget, everyone else is
//! served, and they are gone by the deadline of a message.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p yamabiko-testing --bin half_messages -- --program target/release/yamabiko
//! ```
//!
//! 500 clients send 512 KiB of a message of 1 MiB, and a byte every 5 s. Each byte renews the clock of silence, so that neither a ping nor a
//! pong ends them. The run is made twice, 45 s each: with the default budget of 1 GiB, in which all of them have room, and with 64 MiB.
//! `tests/server/overload.rs` has the same with few clients and a short deadline.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::program::Program;
use yamabiko_testing::socket::{Client, frame};
use yamabiko_testing::waiting::eventually;

const CLIENTS: usize = 500;
const MESSAGE_BYTES: usize = (1 << 20) - 100;
const PAUSE: Duration = Duration::from_secs(5);

/// The server's deadline of 30 s, two pauses for the bytes that it has to see, and the time of a busy machine.
const GONE_AFTER_MAX: Duration = Duration::from_secs(60);

/// Of the program without the messages: code, stacks, 500 connections, buffers.
const OTHER_BYTES_MAX: usize = 48 << 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some("--program"), Some(program), None) = (
        arguments.next().as_deref(),
        arguments.next().map(PathBuf::from),
        arguments.next(),
    ) else {
        eprintln!("usage: half_messages --program FILE");
        return ExitCode::from(2);
    };
    run(&program, "1GiB", 1 << 30);
    run(&program, "64MiB", 64 << 20);
    ExitCode::SUCCESS
}

fn run(file: &Path, budget: &str, budget_bytes: usize) {
    let mut program = Program::start(
        file,
        &["serve", "--workers", "2", "--memory-bytes-max", budget],
    );
    let mut witness = Client::connect(program.address).upgraded("/broadcast/witness");
    program.start_counting_memory();
    let begun = Instant::now();
    let mut clients = begin_messages(&program);
    let sent_after = begun.elapsed();
    let mut open = clients.len();
    while open > 0 {
        thread::sleep(PAUSE);
        // The second byte after the end shows a reset.
        clients.retain_mut(|client| client.stream.write_all(&[0]).is_ok());
        open = clients.len();
        // A new client may be refused while the memory is used.
        witness.text("served");
        assert_eq!(witness.read_text(), "served");
        let elapsed = begun.elapsed();
        println!("{budget}: {open} clients after {} s", elapsed.as_secs());
        assert!(
            elapsed <= sent_after + GONE_AFTER_MAX,
            "they are gone by the deadline"
        );
    }
    let peak = program.memory_bytes_peak();
    println!("{budget}: at most {} MiB of memory", peak >> 20);
    assert!(
        peak <= budget_bytes + OTHER_BYTES_MAX,
        "they stay within the budget"
    );
    program.serves_a_fresh_client();
    program.closes_all_descriptors_but(1);
    program.is_healthy();
}

/// All clients have sent their half. Those that the budget has no room for are ended by the server.
fn begin_messages(program: &Program) -> Vec<Client> {
    let message = frame(Opcode::Binary, &vec![7; MESSAGE_BYTES]);
    let half = &message[..MESSAGE_BYTES / 2];
    let mut clients = Vec::new();
    eventually("all clients have sent", Duration::from_secs(120), || {
        // A server without memory refuses some of them.
        let mut client = Client::connect(program.address);
        client.send(yamabiko_testing::socket::upgrade("/broadcast/half", ""));
        let head = client.try_read_head();
        if head.is_some_and(|head| head.starts_with("HTTP/1.1 101 ")) {
            let _ = client.stream.write_all(half);
            clients.push(client);
        }
        clients.len() == CLIENTS
    });
    clients
}
