//! `yamabiko bench` from outside: what it reports of servers that are right, and
//! that it finds out those that are not.
//!
//! The servers are of two kinds: the crate's own, which broadcasts and echoes as
//! it should, and a [`Fake`], which does with each message what the test says.
//! Both listen on a free port of the loopback interface.

#![cfg(unix)]

mod fake;

use std::num::NonZeroUsize;
use std::process::{Command, Output, Stdio};

use fake::{Fake, Post};
use serde_json::Value;
use yamabiko::chat::Chat;
use yamabiko::server::Config;
use yamabiko::websocket::deflate::DeflateConfig;
use yamabiko_testing::socket::TestServer;
use yamabiko_testing::waiting::{LOOP_PATIENCE, PATIENCE, output_of};
use zlib_rs::{Deflate, DeflateFlush};

/// What each run of a test has besides its scenario: short and without a pause.
const SHORT: &str = "--duration 0.5 --warm-up 0 --settle 0";

/// Runs `yamabiko bench` to its end.
fn bench(words: &str) -> Output {
    let child = Command::new(env!("CARGO_BIN_EXE_yamabiko"))
        .arg("bench")
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    output_of(child.expect("the program starts"), LOOP_PATIENCE)
}

/// Runs a short load whose messages all come in the end, however busy the machine is:
/// exit code, the report, and what was said on standard error.
fn load(words: &str) -> (Option<i32>, Value, String) {
    report_of(&bench(&format!("{words} {SHORT} --drain 30 --json")))
}

/// The same for a server whose missing messages the load waits for, until none has
/// come for three seconds.
fn lossy_load(words: &str) -> (Option<i32>, Value, String) {
    report_of(&bench(&format!("{words} {SHORT} --drain 3 --json")))
}

fn report_of(output: &Output) -> (Option<i32>, Value, String) {
    let complaint = String::from_utf8(output.stderr.clone()).expect("text");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), report, complaint)
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

/// The room that is loaded.
const ROOM: &str = "/broadcast/bench";

/// As a server sends it that refers to no earlier message (RFC 7692 §7.2.1).
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
    fn compressed_and_plain_messages_are_understood_and_octets_on_the_wire_are_told() {
        let mut turn = 0_u64;
        let fake = Fake::start(move |post, _, payload| {
            turn += 1;
            let compressed = deflated(payload);
            for member in post.members() {
                match turn % 4 {
                    0 => post.text(member, payload),
                    _ => post.frame(member, true, COMPRESSED_TEXT, &compressed),
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
    fn the_crates_own_server_compresses_for_every_member() {
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
    fn a_changed_message_is_found_though_it_comes_compressed() {
        let mut turn = 0_u64;
        let fake = Fake::start(move |post, from, payload| {
            turn += 1;
            let mut payload = payload.to_vec();
            if turn == 3 {
                payload[90] ^= 1;
            }
            post.frame(from, true, COMPRESSED_TEXT, &deflated(&payload));
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
    fn a_server_that_sends_no_deflate_has_broken_a_rule() {
        let fake = Fake::start(|post, from, _| post.frame(from, true, COMPRESSED_TEXT, &[0x07]));
        let fake = fake.compressing();
        let (code, report, _) = load(&format!("echo {} --connections 1 --compress", fake.url()));
        assert_eq!(code, Some(1));
        let rule = report["checks"]["broken"].as_str().expect("a rule");
        assert!(rule.contains("RFC 7692"), "{rule}");
    }

    #[test]
    fn a_server_that_declines_is_an_error() {
        let fake = Fake::start(|_, _, _| {});
        let output = bench(&format!("idle {} --compress", fake.url()));
        assert_eq!(output.status.code(), Some(1));
        let complaint = String::from_utf8(output.stderr).expect("text");
        assert!(
            complaint.contains("declines permessage-deflate"),
            "{complaint}"
        );
    }
}

mod right_servers {
    use super::*;

    #[test]
    fn every_member_hears_every_message_once() {
        let server = server(|_| {});
        for threads in ["1", "3"] {
            let (code, report, complaint) = load(&format!(
                "fan-out {} --connections 8 --publishers 2 --window 4 --threads {threads}",
                server.url(ROOM)
            ));
            assert_eq!((code, complaint.as_str()), (Some(0), ""));
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
    fn an_open_loop_sends_what_is_due_and_no_more() {
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
    fn idle_connections_stay_and_the_servers_process_is_looked_at() {
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
    fn cpu_time_is_divided_by_what_was_delivered() {
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
    fn slow_members_are_ended_by_the_server_and_the_others_lose_nothing() {
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
    fn connections_come_from_the_addresses_that_are_asked_for() {
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
    fn a_connection_greets_the_server_as_it_is_told() {
        let mut subscribed = 0;
        let fake = Fake::start(move |post, from, payload| {
            assert_eq!(payload, b"subscribe");
            post.text(from, b"welcome");
            subscribed += 1;
            // When all have said it, there is nothing more to wait for.
            if subscribed == 3 {
                post.members().for_each(|member| post.hang_up(member));
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
    fn fragments_and_pings_between_them_are_no_fault() {
        let fake = Fake::start(|post, from, payload| {
            for member in post.members() {
                let (start, end) = payload.split_at(11);
                post.frame(member, false, 0x1, start);
                post.frame(member, true, 0x9, b"ping");
                post.frame(member, true, 0x0, end);
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
    fn a_server_that_leaves_out_the_sender_is_loaded_without_echo() {
        let fake = Fake::start(|post, from, payload| {
            for member in post.members().filter(|&member| member != from) {
                post.text(member, payload);
            }
        });
        let words = format!(
            "fan-out {} --connections 4 --publishers 2 --window 3",
            fake.url()
        );
        let (code, report, _) = load(&format!("{words} --no-echo"));
        assert_eq!((code, faults(&report)), (Some(0), [0; 5]));
        let published = count(&report, "/traffic/published");
        assert!(published > 6, "the window was refilled");
        assert_eq!(count(&report, "/traffic/latency_us/samples"), published * 3);

        // Without the flag, both publishers wait for themselves in vain.
        let (code, report, _) = lossy_load(&words);
        assert_eq!(code, Some(1));
        assert_eq!(count(&report, "/traffic/published"), 6);
        assert_eq!(faults(&report), [6, 0, 0, 0, 0]);
    }

    #[test]
    fn an_echo_is_heard_by_its_sender_alone() {
        let fake = Fake::start(|post, from, payload| post.text(from, payload));
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
    /// that the second of them gets what `mischief` makes of it; one publisher,
    /// one message on its way.
    fn faults_of(mischief: fn(&mut Post, u32, &[u8])) -> ([u64; 5], String) {
        let fake = Fake::start(move |post, _, payload| {
            for member in [0, 2] {
                post.text(member, payload);
            }
            mischief(post, sequence(payload), payload);
        });
        let (code, report, complaint) = load(&format!(
            "fan-out {} --connections 3 --publishers 1 --window 1",
            fake.url()
        ));
        assert_eq!(code, Some(1));
        assert!(count(&report, "/traffic/published") > 10);
        (faults(&report), complaint)
    }

    fn sequence(payload: &[u8]) -> u32 {
        let digits = std::str::from_utf8(&payload[16..24]).expect("text");
        u32::from_str_radix(digits, 16).expect("hexadecimal")
    }

    #[test]
    fn a_message_that_is_dropped_is_lost() {
        let (faults, complaint) = faults_of(|post, sequence, payload| {
            if ![3, 7].contains(&sequence) {
                post.text(1, payload);
            }
        });
        assert_eq!(faults, [2, 0, 0, 0, 0]);
        assert_eq!(complaint, "yamabiko: the server failed: 2 lost\n");
    }

    #[test]
    fn messages_that_never_come_after_the_last_that_did_are_lost() {
        let fake = Fake::start(|post, _, payload| {
            post.text(0, payload);
            if sequence(payload) < 4 {
                post.text(1, payload);
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
    fn a_message_that_comes_twice_is_doubled() {
        let (faults, _) = faults_of(|post, sequence, payload| {
            post.text(1, payload);
            if sequence == 5 {
                post.text(1, payload);
            }
        });
        assert_eq!(faults, [0, 1, 0, 0, 0]);
    }

    #[test]
    fn messages_that_change_places_are_out_of_order() {
        let (faults, _) = faults_of(|post, sequence, payload| match sequence {
            5 => post.keep(payload),
            6 => {
                post.text(1, payload);
                let kept = post.kept();
                post.text(1, &kept);
            }
            _ => post.text(1, payload),
        });
        assert_eq!(faults, [0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_message_that_is_changed_is_corrupted_and_so_it_is_lost() {
        let (faults, _) = faults_of(|post, sequence, payload| {
            let mut payload = payload.to_vec();
            if sequence == 5 {
                payload[50] = b'!';
            }
            post.text(1, &payload);
        });
        assert_eq!(faults, [1, 0, 0, 1, 0]);
    }

    #[test]
    fn an_echo_to_somebody_else_is_misdelivered() {
        let fake = Fake::start(|post, from, payload| {
            post.text(from, payload);
            if sequence(payload) == 2 && from == 0 {
                post.text(1, payload);
            }
        });
        let (code, report, _) = load(&format!("echo {} --connections 2 --window 1", fake.url()));
        assert_eq!(code, Some(1));
        assert_eq!(faults(&report), [0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_connection_that_the_server_closes_has_ended_early() {
        let fake = Fake::start(|post, _, payload| {
            for member in post.members() {
                match (member, sequence(payload)) {
                    (1, 3) => post.frame(member, true, 0x8, &1001_u16.to_be_bytes()),
                    (1, 3..) => {}
                    _ => post.text(member, payload),
                }
            }
        });
        let (code, report, complaint) = load(&format!(
            "fan-out {} --connections 3 --publishers 1 --window 1",
            fake.url()
        ));
        assert_eq!(code, Some(1));
        assert_eq!(count(&report, "/checks/ended/1001"), 1);
        // What is sent to nobody is not lost.
        assert_eq!(faults(&report), [0; 5]);
        assert_eq!(
            complaint,
            "yamabiko: the server failed: 1 connection ended early\n"
        );
    }

    #[test]
    fn what_a_publisher_had_sent_when_the_server_ended_it_is_not_lost() {
        let fake = Fake::start(|post, from, payload| match (from, sequence(payload)) {
            (0, 2) => post.hang_up(0),
            (0, 3..) => {}
            _ => post.members().for_each(|member| post.text(member, payload)),
        });
        let (code, report, _) = lossy_load(&format!(
            "fan-out {} --connections 3 --publishers 2 --window 4",
            fake.url()
        ));
        assert_eq!((code, faults(&report)), (Some(1), [0; 5]));
        assert_eq!(report["checks"]["ended"], serde_json::json!({"1006": 1}));
    }

    #[test]
    fn a_server_that_breaks_the_protocol_is_told_which_rule() {
        let fake = Fake::start(|post, from, payload| {
            for member in post.members() {
                match (member, sequence(payload)) {
                    (1, 2) => post.frame(member, true, 0x3, b""),
                    (1, 2..) => {}
                    _ => post.text(member, payload),
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
    fn a_run_whose_connections_have_all_ended_is_cut_short() {
        let fake = Fake::start(|post, _, payload| {
            if sequence(payload) == 1 {
                post.members().for_each(|member| post.hang_up(member));
            } else {
                post.members().for_each(|member| post.text(member, payload));
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

    fn failure(words: &str) -> (Option<i32>, String) {
        let output = bench(words);
        assert_eq!(output.stdout, b"");
        let complaint = String::from_utf8(output.stderr).expect("text");
        (output.status.code(), complaint)
    }

    #[test]
    fn nobody_listens() {
        let address = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address")
        };
        let expected = format!(
            "yamabiko: 0 of 100 connections opened: \
             cannot connect to {address}: connection refused\n"
        );
        let words = format!("fan-out ws://{address}/ --opening-at-once 1");
        assert_eq!(failure(&words), (Some(1), expected));
    }

    #[test]
    fn there_is_no_websocket_at_this_path() {
        let server = server(|_| {});
        let address = server.address;
        let (code, complaint) = failure(&format!("fan-out ws://{address}/nothing"));
        assert_eq!(code, Some(1));
        let expected = format!("{address}: the server answers 404 instead of 101\n");
        assert!(complaint.ends_with(&expected), "{complaint}");
    }

    #[test]
    fn a_server_that_says_nothing_is_not_waited_for_forever() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let words = format!("idle ws://{address}/ --connections 1 --open-timeout 0.1");
        let (code, complaint) = failure(&words);
        assert_eq!(code, Some(1));
        assert!(
            complaint.contains("took too long (see --open-timeout)"),
            "{complaint}"
        );
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_cpu_time() {
        let (code, complaint) = failure("idle ws://127.0.0.1:9/ --pid 4294967295");
        assert_eq!(code, Some(1));
        assert!(
            complaint.contains("cannot read /proc/4294967295/"),
            "{complaint}"
        );
    }

    #[test]
    fn words_that_make_no_sense_are_a_usage_error() {
        let (code, complaint) = failure("fan-out ws://127.0.0.1:9/ --bytes 39");
        assert_eq!(code, Some(2));
        assert!(
            complaint.contains("--bytes '39': expected 40 bytes"),
            "{complaint}"
        );
    }

    #[test]
    fn too_few_open_files_are_noticed_before_anything_is_opened() {
        let command = format!(
            "ulimit -n 60; exec {} bench idle ws://127.0.0.1:9/ --connections 100",
            env!("CARGO_BIN_EXE_yamabiko")
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).stdin(Stdio::null());
        let child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let output = output_of(child.expect("a shell"), PATIENCE);
        let complaint = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1));
        let expected =
            "100 connections need 124 open files, and 60 are allowed: run 'ulimit -n 124'";
        assert!(complaint.contains(expected), "{complaint}");
    }
}

mod output {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn the_table_is_for_people_and_progress_goes_to_standard_error_when_asked_for() {
        let server = server(|_| {});
        let words = format!("fan-out {} --connections 4 {}", server.url(ROOM), SHORT);
        let quiet = bench(&words);
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

        let shown = bench(&format!("{words} --progress"));
        let progress = String::from_utf8(shown.stderr).expect("text");
        let start = progress.trim_start();
        assert!(
            start.starts_with("opening 0 of 4 connections"),
            "{progress:?}"
        );
        assert!(progress.contains("measuring: "), "{progress:?}");
    }

    #[test]
    fn an_interrupt_ends_the_measuring_and_what_there_is_is_printed() {
        let (messages, first) = channel();
        let fake = Fake::start(move |post, from, payload| {
            post.text(from, payload);
            // The test hears of the first one only.
            let _ = messages.send(());
        });
        let words = format!(
            "bench echo {} --connections 2 --window 1 --duration 3600 --warm-up 0 --json",
            fake.url()
        );
        let child = Command::new(env!("CARGO_BIN_EXE_yamabiko"))
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        first.recv_timeout(PATIENCE).expect("a message");
        let pid = child.id().to_string();
        let kill = Command::new("kill").args(["-INT", &pid]).status();
        assert!(kill.expect("kill").success());
        let (code, report, complaint) = report_of(&output_of(child, PATIENCE));
        assert_eq!((code, complaint.as_str()), (Some(0), ""));
        assert_eq!(report["cut_short"], true);
        assert_eq!(faults(&report), [0; 5]);
        assert!(count(&report, "/traffic/published") > 0);
    }
}
