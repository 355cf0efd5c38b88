//! Memory of the process while the messages of one read publish far more bytes than a room's log
//! may hold. This test has its own binary, because the memory of other tests would be counted too.
#![cfg(all(feature = "server", target_os = "linux"))]

use std::sync::mpsc::channel;
use yamabiko::server::{
    Admission, Config, Context, Handler, LagAction, LagPolicy, Message, Refusal, Upgrade,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{Client, Running, TIMEOUT, config, eventually, frame};

/// Publishes 64 KiB to the room for each message.
struct Amplifier;

const PUBLISHED_BYTES: usize = 64 << 10;

impl Handler for Amplifier {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn opened(&self, _session: &mut (), context: &mut Context<'_>) {
        context.join("valley");
    }

    fn message(&self, _session: &mut (), _message: Message<'_>, context: &mut Context<'_>) {
        context.publish("valley", Message::Binary(&[7; PUBLISHED_BYTES]));
    }
}

/// The maximum of the memory that this process has used so far.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|value| value.trim().strip_suffix(" kB"));
    let kibibytes = number.and_then(|number| number.parse::<usize>().ok());
    kibibytes.expect("the peak is given in kB") << 10
}

#[test]
fn messages_of_one_read_are_flushed_before_logs_and_cross_worker_queues_grow_large() {
    for workers in [1, 3] {
        // No connection is closed, so that only skipped messages leave the log.
        let lag_policy = LagPolicy {
            action: LagAction::Skip,
            ..LagPolicy::default()
        };
        let (_sender, reports) = channel();
        let server = Running::start_with(
            Config {
                lag_policy,
                ..config(workers)
            },
            Amplifier,
            reports,
        );
        let _subscribers_that_do_not_read: Vec<_> =
            (0..4).map(|_| Client::open(server.address)).collect();
        let mut publisher = Client::open(server.address);
        let messages = 4096;
        let wire = frame(Opcode::Binary, b"!").repeat(messages); // less than one read
        let before = peak_bytes();
        publisher.send(&wire);
        eventually("all messages are received", TIMEOUT, || {
            server.handle.metrics().received >= messages as u64
        });
        let grown = peak_bytes() - before;
        let published = messages * PUBLISHED_BYTES;
        assert!(
            grown < published / 8,
            "{workers} workers: {grown} bytes for {published}"
        );
    }
}
