//! `yamabiko bench` from outside: its reports on correct servers, and the faults that it
//! finds in others.
//!
//! There are two kinds of servers: yamabiko's own, which is correct, and a [`Fake`], whose
//! reaction to each message is part of the test.
//! Both listen on a free port of the loopback interface.

#![cfg(unix)]

mod fake;

use std::num::NonZeroUsize;
use std::process::{Command, Output, Stdio};

use fake::{Fake, Members};
use serde_json::Value;
use yamabiko::chat::Chat;
use yamabiko::server::Config;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::socket::TestServer;
use yamabiko_testing::tls::Folder;
#[cfg(target_os = "linux")]
use yamabiko_testing::waiting::joined;
use yamabiko_testing::waiting::{LOOP_TIMEOUT, TIMEOUT, output_of};
use zlib_rs::{Deflate, DeflateFlush};

/// Options of each run besides its scenario: short and without a pause.
const SHORT: &str = "--duration 0.5 --warm-up 0 --settle 0";

/// Runs `yamabiko bench` to its end.
fn bench(arguments: &str) -> Output {
    let child = Command::new(env!("CARGO_BIN_EXE_yamabiko"))
        .arg("bench")
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    output_of(child.expect("the program starts"), LOOP_TIMEOUT)
}

/// Runs a short load on a server that loses nothing, with time for all messages on a busy
/// machine. Returns the exit code, the report and standard error.
fn load(arguments: &str) -> (Option<i32>, Value, String) {
    report_of(&bench(&format!("{arguments} {SHORT} --drain 30 --json")))
}

/// The same for a server that loses messages: the load waits for them for three seconds.
fn lossy_load(arguments: &str) -> (Option<i32>, Value, String) {
    report_of(&bench(&format!("{arguments} {SHORT} --drain 3 --json")))
}

fn report_of(output: &Output) -> (Option<i32>, Value, String) {
    let message = String::from_utf8(output.stderr.clone()).expect("text");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), report, message)
}

/// The number at this place of a report, which is an unsigned integer.
fn count(report: &Value, pointer: &str) -> u64 {
    let value = report.pointer(pointer).unwrap_or(&Value::Null);
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{pointer}: {value}"))
}

/// Lost, doubled, out of order, corrupted, misdelivered.
fn faults(report: &Value) -> [u64; 5] {
    [
        "lost",
        "doubled",
        "out_of_order",
        "corrupted",
        "misdelivered",
    ]
    .map(|fault| count(report, &format!("/checks/{fault}")))
}

/// The library's own server, with the paths of `yamabiko serve` and one worker.
fn server(adjust: impl Fn(&mut Config)) -> TestServer {
    let mut config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        workers: NonZeroUsize::MIN,
        ..Config::default()
    };
    adjust(&mut config);
    TestServer::start(config, Chat::new())
}

/// The room under load.
const ROOM: &str = "/broadcast/bench";

/// Compressed without references to earlier messages (RFC 7692 §7.2.1).
fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut deflate = Deflate::new(1, false, 15);
    let mut output = vec![0; payload.len() + 64];
    deflate
        .compress(payload, &mut output, DeflateFlush::SyncFlush)
        .expect("room");
    output.truncate(usize::try_from(deflate.total_out()).expect("short") - 4);
    output
}

mod compression {
    use super::*;

    /// FIN comes from the fake; RSV1 and text.
    const COMPRESSED_TEXT: u8 = 0x41;
    const LOAD: &str = "--connections 3 --publishers 1 --window 2 --payload json --bytes 100";

    #[test]
    fn compressed_and_plain_messages_are_read_and_bytes_on_the_wire_are_reported() {
        let mut turn = 0_u64;
        let fake = Fake::start(move |members, _, payload| {
            turn += 1;
            let compressed = deflated(payload);
            for member in members.numbers() {
                match turn % 4 {
                    0 => members.text(member, payload),
                    _ => members.frame(member, true, COMPRESSED_TEXT, &compressed),
                }
            }
        });
        let fake = fake.compressing();
        let (code, report, _) = load(&format!("fan-out {} {LOAD} --compress", fake.url()));
        assert_eq!((code, faults(&report)), (Some(0), [0; 5]), "{report}");
        let published = count(&report, "/traffic/published");
        assert_eq!(count(&report, "/traffic/latency_us/samples"), published * 3);
        assert!(count(&report, "/traffic/received_bytes") > 0);
        let ratio = report["traffic"]["compression_ratio"].as_f64();
        assert!(ratio.is_some_and(|ratio| ratio > 1.0), "{report}");
        assert_eq!(report["settings"]["compress"], true);
        assert!(fake.requests().iter().all(|request| {
            request.contains(
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
            )
        }));
    }

    #[test]
    fn yamabikos_server_compresses_for_every_member() {
        let server = server(|config| config.deflate = Some(DeflateConfig::default()));
        for threads in ["1", "2"] {
            let (code, report, _) = load(&format!(
                "fan-out {} --connections 6 --publishers 2 --window 4 --payload json \
                 --compress --threads {threads}",
                server.url(ROOM)
            ));
            assert_eq!((code, faults(&report)), (Some(0), [0; 5]), "{report}");
            let published = count(&report, "/traffic/published");
            assert_eq!(count(&report, "/traffic/latency_us/samples"), published * 6);
            let ratio = report["traffic"]["compression_ratio"].as_f64();
            assert!(ratio.is_some_and(|ratio| ratio > 1.5), "{report}");
        }
    }

    #[test]
    fn changed_message_is_detected_in_compressed_form() {
        let mut turn = 0_u64;
        let fake = Fake::start(move |members, from, payload| {
            turn += 1;
            let mut payload = payload.to_vec();
            if turn == 3 {
                payload[90] ^= 1;
            }
            members.frame(from, true, COMPRESSED_TEXT, &deflated(&payload));
        });
        let fake = fake.compressing();
        let (code, report, _) = lossy_load(&format!(
            "echo {} --connections 1 --rate 50 --payload json --bytes 100 --compress",
            fake.url()
        ));
        assert_eq!(code, Some(1));
        assert_eq!(count(&report, "/checks/corrupted"), 1);
    }

    #[test]
    fn server_that_sends_invalid_deflate_data_breaks_the_protocol() {
        let fake =
            Fake::start(|members, from, _| members.frame(from, true, COMPRESSED_TEXT, &[0x07]));
        let fake = fake.compressing();
        let (code, report, _) = load(&format!("echo {} --connections 1 --compress", fake.url()));
        assert_eq!(code, Some(1));
        let rule = report["checks"]["broken"].as_str().expect("a rule");
        assert!(rule.contains("RFC 7692"), "{rule}");
    }

    #[test]
    fn server_that_declines_compression_is_an_error() {
        let fake = Fake::start(|_, _, _| {});
        let output = bench(&format!("idle {} --compress", fake.url()));
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).expect("text");
        assert!(message.contains("declines permessage-deflate"), "{message}");
    }
}

mod right_servers {
    use super::*;

    #[test]
    fn every_member_receives_every_message_once() {
        let server = server(|_| {});
        for threads in ["1", "3"] {
            let (code, report, message) = load(&format!(
                "fan-out {} --connections 8 --publishers 2 --window 4 --threads {threads}",
                server.url(ROOM)
            ));
            assert_eq!((code, message.as_str()), (Some(0), ""));
            assert_eq!(faults(&report), [0; 5]);
            let published = count(&report, "/traffic/published");
            assert!(published > 0);
            assert_eq!(count(&report, "/traffic/latency_us/samples"), published * 8);
            assert!(count(&report, "/traffic/delivered") <= published * 8);
            assert_eq!(count(&report, "/opening/connections"), 8);
            assert_eq!(count(&report, "/checks/foreign_messages"), 0);
            assert_eq!(report["checks"]["ended"], serde_json::json!({}));
            assert_eq!(report["cut_short"], false);
        }
    }

    #[test]
    fn large_and_binary_messages_are_compared_to_the_last_byte() {
        let server = server(|_| {});
        let (code, report, _) = load(&format!(
            "fan-out {} --connections 3 --publishers 1 --window 2 --bytes 300KiB --binary",
            server.url(ROOM)
        ));
        assert_eq!((code, faults(&report)), (Some(0), [0; 5]));
        let published = count(&report, "/traffic/published");
        assert!(published > 0);
        assert_eq!(count(&report, "/traffic/latency_us/samples"), published * 3);
    }

    #[test]
    fn open_loop_sends_exactly_the_messages_that_are_due() {
        let server = server(|_| {});
        let (code, report, _) = load(&format!(
            "fan-out {} --connections 4 --publishers 3 --rate 200 --threads 2",
            server.url(ROOM)
        ));
        assert_eq!((code, faults(&report)), (Some(0), [0; 5]));
        // 0.5 s at 200 a second, each at 4 members.
        assert_eq!(count(&report, "/traffic/latency_us/samples"), 100 * 4);
        assert_eq!(count(&report, "/traffic/send_delay_us/samples"), 100);
        assert_eq!(count(&report, "/traffic/unsent"), 0);
        assert_eq!(report["settings"]["window"], Value::Null);
    }

    #[test]
    fn idle_connections_stay_open_and_the_servers_process_is_measured() {
        let server = server(|_| {});
        // The server is in this process.
        let pid = std::process::id();
        let output = bench(&format!(
            "idle {} --connections 50 --duration 0.2 --pid {pid} --json",
            server.url(ROOM)
        ));
        let (code, report, _) = report_of(&output);
        assert_eq!(code, Some(0));
        assert_eq!(report["traffic"], Value::Null);
        assert_eq!(count(&report, "/opening/latency_us/samples"), 50);
        assert_eq!(count(&report, "/server/pid"), u64::from(pid));
        assert!(report["opening"]["server_us_per_connection"].is_number());
        for memory in ["before", "connected", "after"] {
            assert!(count(&report, &format!("/server/resident_bytes_{memory}")) > 1 << 20);
        }
        assert_eq!(report["server"]["cpu"]["us_per_delivery"], Value::Null);
    }

    #[test]
    fn cpu_time_is_divided_by_the_deliveries() {
        let server = server(|_| {});
        let pid = std::process::id();
        let (_, report, _) = load(&format!("fan-out {} --pid {pid}", server.url(ROOM)));
        let cost = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64);
        let seconds = cost("/server/cpu/seconds").expect("seconds");
        let delivered = count(&report, "/traffic/delivered") as f64;
        let expected = 1e6 * seconds / delivered;
        let found = cost("/server/cpu/us_per_delivery").expect("a quotient");
        assert!(
            (found - expected).abs() <= expected * 1e-9,
            "{found} {expected}"
        );
    }

    #[test]
    fn server_ends_slow_members_and_the_others_lose_nothing() {
        let server = server(|config| config.backlog_bytes_max = 1 << 20);
        let (code, report, _) = report_of(&bench(&format!(
            "slow {} --connections 6 --publishers 2 --slow-percent 30 --window 8 \
             --bytes 256KiB --duration 4 --warm-up 0 --settle 0 --drain 30 --json",
            server.url(ROOM)
        )));
        assert_eq!((code, faults(&report)), (Some(0), [0; 5]));
        assert_eq!(count(&report, "/slow/members"), 2);
        assert_eq!(count(&report, "/slow/ended/1013"), 2, "{report}");
        assert_eq!(report["checks"]["ended"], serde_json::json!({}));
    }

    #[test]
    fn connections_come_from_the_source_addresses() {
        let fake = Fake::start(|_, _, _| {});
        let output = bench(&format!(
            "idle {} --connections 6 --duration 0.01 --settle 0 --source-addresses 3",
            fake.url()
        ));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let mut peers = fake.peers();
        peers.sort_unstable();
        let expected = [
            "127.0.0.2",
            "127.0.0.2",
            "127.0.0.3",
            "127.0.0.3",
            "127.0.0.4",
            "127.0.0.4",
        ];
        assert_eq!(peers, expected);
    }

    #[test]
    fn connection_sends_the_configured_header_fields_and_first_message() {
        let mut subscribed = 0;
        let fake = Fake::start(move |members, from, payload| {
            assert_eq!(payload, b"subscribe");
            members.text(from, b"welcome");
            subscribed += 1;
            // The test ends when all members have sent it.
            if subscribed == 3 {
                members.numbers().for_each(|member| members.hang_up(member));
            }
        });
        let (_, report, _) = report_of(&bench(&format!(
            "idle {} --connections 3 --duration 3600 --hello subscribe \
             --header X-Key:secret --json",
            fake.url()
        )));
        assert_eq!(count(&report, "/checks/foreign_messages"), 3);
        let requests = fake.requests();
        assert_eq!(requests.len(), 3);
        let has_key = |request: &String| request.contains("X-Key: secret\r\n");
        assert!(requests.iter().all(has_key), "{requests:?}");
    }

    #[test]
    fn fragments_with_pings_between_them_are_no_fault() {
        let fake = Fake::start(|members, from, payload| {
            for member in members.numbers() {
                let (start, end) = payload.split_at(11);
                members.frame(member, false, 0x1, start);
                members.frame(member, true, 0x9, b"ping");
                members.frame(member, true, 0x0, end);
            }
            assert!(from < 2);
        });
        let (code, report, _) = load(&format!(
            "fan-out {} --connections 3 --publishers 2 --window 1",
            fake.url()
        ));
        assert_eq!((code, faults(&report)), (Some(0), [0; 5]));
        let samples = count(&report, "/traffic/latency_us/samples");
        assert_eq!(samples, count(&report, "/traffic/published") * 3);
        assert!(count(&report, "/checks/pings_answered") >= samples);
        assert!(fake.pongs() > 0);
    }

    #[test]
    fn no_echo_measures_a_server_that_skips_the_sender() {
        let fake = Fake::start(|members, from, payload| {
            for member in members.numbers().filter(|&member| member != from) {
                members.text(member, payload);
            }
        });
        let arguments = format!(
            "fan-out {} --connections 4 --publishers 2 --window 3",
            fake.url()
        );
        let (code, report, _) = load(&format!("{arguments} --no-echo"));
        assert_eq!((code, faults(&report)), (Some(0), [0; 5]));
        let published = count(&report, "/traffic/published");
        assert!(published > 6, "the window was refilled");
        assert_eq!(count(&report, "/traffic/latency_us/samples"), published * 3);

        // Without the option, both publishers would wait for their own messages.
        let (code, report, _) = lossy_load(&arguments);
        assert_eq!(code, Some(1));
        assert_eq!(count(&report, "/traffic/published"), 6);
        assert_eq!(faults(&report), [6, 0, 0, 0, 0]);
    }

    #[test]
    fn echo_is_received_by_its_sender_alone() {
        let fake = Fake::start(|members, from, payload| members.text(from, payload));
        let (code, report, _) = load(&format!("echo {} --connections 5 --window 2", fake.url()));
        assert_eq!((code, faults(&report)), (Some(0), [0; 5]));
        let published = count(&report, "/traffic/published");
        assert!(published > 10);
        assert_eq!(count(&report, "/traffic/latency_us/samples"), published);
    }
}

mod wrong_servers {
    use super::*;

    /// The faults of a server that hands each message to three members, except
    /// that the second of them gets what `change` makes of it; one publisher,
    /// one message on its way.
    fn faults_of(change: fn(&mut Members, u32, &[u8])) -> ([u64; 5], String) {
        let fake = Fake::start(move |members, _, payload| {
            for member in [0, 2] {
                members.text(member, payload);
            }
            change(members, sequence(payload), payload);
        });
        let (code, report, message) = load(&format!(
            "fan-out {} --connections 3 --publishers 1 --window 1",
            fake.url()
        ));
        assert_eq!(code, Some(1));
        assert!(count(&report, "/traffic/published") > 10);
        (faults(&report), message)
    }

    fn sequence(payload: &[u8]) -> u32 {
        let digits = std::str::from_utf8(&payload[16..24]).expect("text");
        u32::from_str_radix(digits, 16).expect("hexadecimal")
    }

    #[test]
    fn dropped_message_is_lost() {
        let (faults, message) = faults_of(|members, sequence, payload| {
            if ![3, 7].contains(&sequence) {
                members.text(1, payload);
            }
        });
        assert_eq!(faults, [2, 0, 0, 0, 0]);
        assert_eq!(message, "yamabiko: the server failed: 2 lost\n");
    }

    #[test]
    fn messages_missing_after_the_last_delivery_are_lost() {
        let fake = Fake::start(|members, _, payload| {
            members.text(0, payload);
            if sequence(payload) < 4 {
                members.text(1, payload);
            }
        });
        let (code, report, _) = lossy_load(&format!(
            "fan-out {} --connections 2 --publishers 1 --rate 100",
            fake.url()
        ));
        assert_eq!(code, Some(1));
        // 50 are due in 0.5 s.
        assert_eq!(faults(&report), [46, 0, 0, 0, 0]);
    }

    #[test]
    fn message_that_arrives_twice_is_doubled() {
        let (faults, _) = faults_of(|members, sequence, payload| {
            members.text(1, payload);
            if sequence == 5 {
                members.text(1, payload);
            }
        });
        assert_eq!(faults, [0, 1, 0, 0, 0]);
    }

    #[test]
    fn exchanged_messages_are_out_of_order() {
        let (faults, _) = faults_of(|members, sequence, payload| match sequence {
            5 => members.keep(payload),
            6 => {
                members.text(1, payload);
                let kept = members.kept();
                members.text(1, &kept);
            }
            _ => members.text(1, payload),
        });
        assert_eq!(faults, [0, 0, 1, 0, 0]);
    }

    #[test]
    fn changed_message_is_corrupted_and_lost() {
        let (faults, _) = faults_of(|members, sequence, payload| {
            let mut payload = payload.to_vec();
            if sequence == 5 {
                payload[50] = b'!';
            }
            members.text(1, &payload);
        });
        assert_eq!(faults, [1, 0, 0, 1, 0]);
    }

    #[test]
    fn echo_to_another_connection_is_misdelivered() {
        let fake = Fake::start(|members, from, payload| {
            members.text(from, payload);
            if sequence(payload) == 2 && from == 0 {
                members.text(1, payload);
            }
        });
        let (code, report, _) = load(&format!("echo {} --connections 2 --window 1", fake.url()));
        assert_eq!(code, Some(1));
        assert_eq!(faults(&report), [0, 0, 0, 0, 1]);
    }

    #[test]
    fn connection_that_the_server_closes_has_ended_early() {
        let fake = Fake::start(|members, _, payload| {
            for member in members.numbers() {
                match (member, sequence(payload)) {
                    (1, 3) => members.frame(member, true, 0x8, &1001_u16.to_be_bytes()),
                    (1, 3..) => {}
                    _ => members.text(member, payload),
                }
            }
        });
        let (code, report, message) = load(&format!(
            "fan-out {} --connections 3 --publishers 1 --window 1",
            fake.url()
        ));
        assert_eq!(code, Some(1));
        assert_eq!(count(&report, "/checks/ended/1001"), 1);
        // A message to no member is not lost.
        assert_eq!(faults(&report), [0; 5]);
        assert_eq!(
            message,
            "yamabiko: the server failed: 1 connection ended early\n"
        );
    }

    #[test]
    fn messages_of_a_publisher_that_the_server_ended_are_not_lost() {
        let fake = Fake::start(|members, from, payload| match (from, sequence(payload)) {
            (0, 2) => members.hang_up(0),
            (0, 3..) => {}
            _ => members
                .numbers()
                .for_each(|member| members.text(member, payload)),
        });
        let (code, report, _) = lossy_load(&format!(
            "fan-out {} --connections 3 --publishers 2 --window 4",
            fake.url()
        ));
        assert_eq!((code, faults(&report)), (Some(1), [0; 5]));
        assert_eq!(report["checks"]["ended"], serde_json::json!({"1006": 1}));
    }

    #[test]
    fn broken_protocol_rule_is_named() {
        let fake = Fake::start(|members, from, payload| {
            for member in members.numbers() {
                match (member, sequence(payload)) {
                    (1, 2) => members.frame(member, true, 0x3, b""),
                    (1, 2..) => {}
                    _ => members.text(member, payload),
                }
            }
            assert_eq!(from, 0);
        });
        let (code, report, _) = load(&format!(
            "fan-out {} --connections 3 --publishers 1 --window 1",
            fake.url()
        ));
        assert_eq!(code, Some(1));
        assert_eq!(report["checks"]["broken"], "reserved opcode 0x3 (§5.2)");
        assert_eq!(count(&report, "/checks/ended/1006"), 1);
    }

    #[test]
    fn run_ends_early_when_all_connections_have_ended() {
        let fake = Fake::start(|members, _, payload| {
            if sequence(payload) == 1 {
                members.numbers().for_each(|member| members.hang_up(member));
            } else {
                members
                    .numbers()
                    .for_each(|member| members.text(member, payload));
            }
        });
        let output = bench(&format!(
            "fan-out {} --connections 2 --publishers 1 --window 1 --duration 3600 --warm-up 0 --json",
            fake.url()
        ));
        let (code, report, _) = report_of(&output);
        assert_eq!((code, &report["cut_short"]), (Some(1), &Value::Bool(true)));
        assert_eq!(count(&report, "/checks/ended/1006"), 2);
    }
}

mod no_servers {
    use super::*;

    fn failure(arguments: &str) -> (Option<i32>, String) {
        let output = bench(arguments);
        assert_eq!(output.stdout, b"");
        let message = String::from_utf8(output.stderr).expect("text");
        (output.status.code(), message)
    }

    #[test]
    fn refused_connection_is_an_error() {
        let port = ReservedPort::new();
        let address = port.address();
        let expected = format!(
            "yamabiko: 0 of 100 connections opened: \
             cannot connect to {address}: connection refused\n"
        );
        let arguments = format!("fan-out ws://{address}/ --opening-at-once 1");
        assert_eq!(failure(&arguments), (Some(1), expected));
    }

    #[test]
    fn http_refusal_is_an_error() {
        let server = server(|_| {});
        let address = server.address;
        let (code, message) = failure(&format!("fan-out ws://{address}/nothing"));
        assert_eq!(code, Some(1));
        let expected = format!("{address}: the server answers 404 instead of 101\n");
        assert!(message.ends_with(&expected), "{message}");
    }

    #[test]
    fn silent_server_is_an_error_after_the_open_timeout() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let arguments = format!("idle ws://{address}/ --connections 1 --open-timeout 0.1");
        let (code, message) = failure(&arguments);
        assert_eq!(code, Some(1));
        assert!(
            message.contains("took too long (see --open-timeout)"),
            "{message}"
        );
    }

    #[test]
    fn process_that_does_not_exist_is_an_error() {
        let (code, message) = failure("idle ws://127.0.0.1:9/ --pid 4294967295");
        assert_eq!(code, Some(1));
        assert!(
            message.contains("cannot read /proc/4294967295/"),
            "{message}"
        );
    }

    #[test]
    fn setting_out_of_range_is_a_usage_error() {
        let (code, message) = failure("fan-out ws://127.0.0.1:9/ --bytes 39");
        assert_eq!(code, Some(2));
        assert!(
            message.contains("--bytes '39': expected 40 bytes"),
            "{message}"
        );
    }

    #[test]
    fn too_low_limit_of_open_files_is_reported_before_connections_are_opened() {
        let command = format!(
            "ulimit -n 60; exec {} bench idle ws://127.0.0.1:9/ --connections 100",
            env!("CARGO_BIN_EXE_yamabiko")
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).stdin(Stdio::null());
        let child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let output = output_of(child.expect("a shell"), TIMEOUT);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1));
        let expected =
            "100 connections need 124 open files, and 60 are allowed: run 'ulimit -n 124'";
        assert!(message.contains(expected), "{message}");
    }
}

mod output {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn report_is_a_table_and_progress_is_shown_on_standard_error_on_request() {
        let server = server(|_| {});
        let arguments = format!("fan-out {} --connections 4 {}", server.url(ROOM), SHORT);
        let quiet = bench(&arguments);
        assert_eq!(
            (quiet.status.code(), quiet.stderr.as_slice()),
            (Some(0), &b""[..])
        );
        let table = String::from_utf8(quiet.stdout).expect("text");
        for label in [
            "load",
            "opened",
            "measured",
            "published",
            "delivered",
            "latency",
            "checked",
        ] {
            assert!(table.contains(&format!("\n  {label:<14}")), "{table}");
        }
        assert!(table.contains("lost 0, doubled 0, out of order 0, corrupted 0"));

        let shown = bench(&format!("{arguments} --progress"));
        let progress = String::from_utf8(shown.stderr).expect("text");
        assert_eq!(phases(&progress), PHASES);
    }

    /// The phases of a short run, as plain lines name them.
    const PHASES: [&str; 5] = ["opening", "starting", "measuring", "draining", "closing"];

    /// The first word of each line. Each is a whole line of text alone.
    fn phases(progress: &str) -> Vec<&str> {
        assert!(
            progress.ends_with('\n') && !progress.contains('\x1b'),
            "{progress:?}"
        );
        let mut phases: Vec<&str> = progress
            .lines()
            .map(|line| {
                assert_eq!(line, line.trim(), "{progress:?}");
                line.split([' ', ':']).next().expect("a phase")
            })
            .collect();
        // On a busy machine a phase may have several lines.
        phases.dedup();
        phases
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn terminal_that_cannot_move_its_cursor_shows_plain_lines() {
        let server = server(|_| {});
        let arguments = format!(
            "bench fan-out {} --connections 4 {}",
            server.url(ROOM),
            SHORT
        );
        for term in [None, Some(""), Some("dumb"), Some("xterm")] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_yamabiko"));
            command
                .args(arguments.split_whitespace())
                .env_remove("TERM");
            command.envs(term.map(|term| ("TERM", term)));
            let shown = shown_on_a_terminal(&mut command).replace("\r\n", "\n");
            match term {
                Some("xterm") => assert!(shown.contains('\x1b'), "{shown:?}"),
                _ => assert_eq!(phases(&shown), PHASES),
            }
        }
    }

    /// The bytes that a program writes to standard error, which is a terminal.
    #[cfg(target_os = "linux")]
    fn shown_on_a_terminal(command: &mut Command) -> String {
        use std::fs::File;
        use std::io::Read;
        use std::thread;

        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("ours");
        let name = ptsname(&master, Vec::new()).expect("a terminal");
        let name = name.to_str().expect("a path");
        let end = File::options()
            .read(true)
            .write(true)
            .open(name)
            .expect("a terminal");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(end);
        let child = command.spawn().expect("the program starts");
        // This process must hold no end of the terminal: the reader would never see its end.
        command.stderr(Stdio::null());
        let reading = thread::spawn(move || {
            let (mut shown, mut master) = (Vec::new(), File::from(master));
            // The terminal ends with an error when nobody has it open any more.
            let _ = master.read_to_end(&mut shown);
            String::from_utf8(shown).expect("text")
        });
        assert!(output_of(child, TIMEOUT).status.success());
        joined("the end of the terminal", reading)
    }

    #[test]
    fn token_in_the_url_is_in_no_report_and_no_progress() {
        let fake = Fake::start(|members, from, payload| members.text(from, payload));
        let query = "/?a=1&access_token=Tr6vZ1q8yXw0sB4k ";
        let url = fake.url().replacen("/ ", query, 1);
        for format in ["--json", "--progress"] {
            let output = bench(&format!("echo {url} --connections 2 {SHORT} {format}"));
            assert_eq!(output.status.code(), Some(0));
            let all = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
            assert!(all.contains("?a=1&access_token=[hidden]"), "{all}");
            assert!(!all.contains("Tr6vZ1q8yXw0sB4k"), "{all}");
        }
        let requested = "?a=1&access_token=Tr6vZ1q8yXw0sB4k HTTP/1.1";
        assert!(
            fake.requests()
                .iter()
                .all(|request| request.contains(requested))
        );
    }

    #[test]
    fn interrupt_ends_the_measuring_and_prints_the_report_so_far() {
        let (messages, first) = channel();
        let fake = Fake::start(move |members, from, payload| {
            members.text(from, payload);
            // The test receives the first one only.
            let _ = messages.send(());
        });
        let arguments = format!(
            "bench echo {} --connections 2 --window 1 --duration 3600 --warm-up 0 --json",
            fake.url()
        );
        let child = Command::new(env!("CARGO_BIN_EXE_yamabiko"))
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        first.recv_timeout(TIMEOUT).expect("a message");
        let pid = child.id().to_string();
        let kill = Command::new("kill").args(["-INT", &pid]).status();
        assert!(kill.expect("kill").success());
        let (code, report, message) = report_of(&output_of(child, TIMEOUT));
        assert_eq!((code, message.as_str()), (Some(0), ""));
        assert_eq!(report["cut_short"], true);
        assert_eq!(faults(&report), [0; 5]);
        assert!(count(&report, "/traffic/published") > 0);
    }
}

// ---------------------------------------------------------------------------
// wss
// ---------------------------------------------------------------------------

/// The server with a certificate for `localhost`, its URL, and the file of its authority.
fn secure_server(name: &str) -> (TestServer, String, Folder) {
    let folder = Folder::new(name);
    folder.write("authority.pem", &folder.authority.pem());
    let server = server(|config| {
        config.tls = Some(folder.authority.localhost());
        config.deflate = Some(DeflateConfig::default());
    });
    let url = format!("wss://localhost:{}/broadcast/bench", server.address.port());
    (server, url, folder)
}

#[test]
fn every_scenario_runs_over_wss() {
    let (server, url, folder) = secure_server("bench");
    let ca = folder.file("authority.pem");
    for (scenario, options) in [
        ("fan-out", "--connections 20 --publishers 3 --threads 2"),
        (
            "fan-out",
            "--connections 3 --bytes 20000 --binary --window 1",
        ),
        ("fan-out", "--connections 5 --compress --payload json"),
        ("slow", "--connections 5 --publishers 2 --rate 200"),
    ] {
        let (code, report, error) = load(&format!("{scenario} {url} --ca {ca} {options}"));
        assert_eq!((code, &*error), (Some(0), ""), "{options}: {report}");
        assert_eq!(faults(&report), [0; 5], "{options}");
        assert!(count(&report, "/traffic/delivered") > 0, "{options}");
    }
    let idle = format!("idle {url} --ca {ca} --connections 30 --duration 0.2");
    let output = bench(&idle);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(server.handle.metrics().opened >= 63);
}

#[test]
fn server_over_wss_that_is_not_trusted_is_not_loaded_without_insecure() {
    let (_server, url, folder) = secure_server("bench-trust");
    let (code, report, error) = load(&format!("fan-out {url} --insecure --connections 3"));
    let warning = "yamabiko: --insecure: the certificate of the server is not checked\n";
    assert_eq!((code, &*error), (Some(0), warning), "{report}");
    // An authority that has not signed the certificate.
    let other = Folder::new("bench-other");
    other.write("authority.pem", &other.authority.pem());
    let ca = other.file("authority.pem");
    let output = bench(&format!("fan-out {url} --ca {ca} --connections 3"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(": TLS: ") && error.ends_with(" (see --ca)\n"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    let output = bench(&format!("idle {url} --ca {}", folder.file("localhost.key")));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.ends_with("there is no certificate in it\n"),
        "{error}"
    );
}
