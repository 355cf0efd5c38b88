//! Servers that harm the suite instead of answering it: each run ends by itself, and says what
//! was wrong.
//!
//! The first two connections, with which the suite looks for a server that echoes, are served.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use yamabiko_conform::{Interrupt, Level, Plan, Report, Verdict, test_server};

/// Cases that wait for a response, for a message, for a pong, for Close and for the end of TCP.
const CASES: [&str; 8] = [
    "handshake/response-status",
    "handshake/method",
    "handshake/body-is-no-request",
    "framing/text-lengths",
    "control/ping",
    "resilience/ping-flood",
    "closing/handshake",
    "closing/fin-without-close",
];

#[test]
fn server_that_answers_nothing_fails() {
    let report = run(SHORT, &CASES, |stream, _| {
        drop(stream.read_to_end(&mut Vec::new()))
    });
    all_fail(
        &report,
        "framing/text-lengths",
        "expected the response 101; nothing came",
    );
}

#[test]
fn server_that_resets_fails() {
    let report = run(LONG, &CASES, |stream, _| {
        let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
    });
    all_fail(
        &report,
        "control/ping",
        "expected the response 101; the peer ended TCP (RST)",
    );
}

#[test]
fn server_that_sends_half_a_response_fails() {
    let report = run(SHORT, &CASES, |stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgr");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    all_fail(
        &report,
        "control/ping",
        "expected the response 101; nothing came",
    );
}

#[test]
fn server_whose_response_never_ends_fails() {
    let report = run(LONG, &CASES, |stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nA: ");
        flood(stream, &[b'a'; 65_536]);
    });
    all_fail(&report, "control/ping", "bytes without the end of a head");
}

#[test]
fn server_whose_interim_responses_never_end_fails() {
    let report = run(LONG, &CASES, |stream, _| {
        flood(stream, &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000))
    });
    all_fail(&report, "control/ping", "more than 16 interim responses");
}

#[test]
fn server_that_sends_messages_without_end_fails() {
    let message = [&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[0; 65_536]].concat();
    let report = run(LONG, &CASES, move |stream, key| {
        open(stream, key);
        flood(stream, &message);
    });
    all_fail(
        &report,
        "closing/fin-without-close",
        "that nobody asked for",
    );
}

#[test]
fn server_that_sends_pongs_and_pings_without_end_fails() {
    for frame in [&b"\x8A\x05flood"[..], b"\x89\x01p"] {
        let frames = frame.repeat(10_000);
        let report = run(LONG, &["closing/fin-without-close"], move |stream, key| {
            open(stream, key);
            flood(stream, &frames);
        });
        all_fail(
            &report,
            "closing/fin-without-close",
            "that nobody asked for",
        );
    }
}

#[test]
fn server_that_sends_no_frames_fails() {
    let report = run(LONG, &CASES, |stream, key| {
        open(stream, key);
        flood(stream, &[0xFF; 65_536]);
    });
    for id in ["closing/handshake", "closing/fin-without-close"] {
        all_fail(&report, id, "the peer sent ");
    }
}

#[test]
fn server_that_is_gone_in_the_middle_ends_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    let server = thread::spawn(move || {
        drop(listener.accept());
        let (mut stream, _) = listener.accept().expect("the suite looks for an echo");
        let key = read_request(&mut stream).expect("a request");
        echo_once(&mut stream, &key);
    });
    let plan = Plan::new().patience(LONG).at_once(4);
    let report = test_server(&plan, &url, &Interrupt::new(), |_| {}).expect("it echoes at first");
    server.join().expect("it has served two connections");
    let runs = report.cases.iter().map(|case| case.runs).sum::<u32>();
    let failed = report.failed().map(|case| case.failed_runs).sum::<u32>();
    // And one more for each of the four threads at the most.
    assert!((32..=36).contains(&failed), "{failed} of {runs}");
    let ended = report.ended.as_deref().expect("it was ended");
    assert!(
        ended.starts_with("no WebSocket server that echoes: cannot connect"),
        "{ended}"
    );
    assert!(report.has_failed(Level::Must));
    assert!(
        report.to_string().contains(&format!("({ended})")),
        "{report}"
    );
}

/// Every case has failed, this one for this reason.
fn all_fail(report: &Report, id: &str, reason: &str) {
    let is_failed = |case: &&yamabiko_conform::CaseReport| case.verdict == Verdict::Fail;
    let case = report
        .cases
        .iter()
        .filter(is_failed)
        .find(|case| case.id == id);
    let case = case.unwrap_or_else(|| panic!("{id} has not failed: {report}"));
    assert!(case.reason.contains(reason), "{}", case.reason);
    let passed = report
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Pass);
    // A server that ends TCP has not accepted what it must refuse.
    let passed = passed.filter(|case| {
        !case.id.starts_with("handshake/") && case.id != "closing/fin-without-close"
    });
    assert_eq!(passed.count(), 0, "{report}");
}

/// The patience of a suite that waits in vain.
const SHORT: Duration = Duration::from_millis(100);
/// The patience of a suite for which something comes, however late: what it is decides the reason.
const LONG: Duration = Duration::from_secs(10);

/// Runs these cases with a server that does this on each connection, after it has read a request
/// with this key.
fn run(
    patience: Duration,
    cases: &[&str],
    harm: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static,
) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || serve(&listener, std::sync::Arc::new(harm)));
    let plan = cases.iter().copied().fold(Plan::new(), Plan::only);
    let plan = plan.patience(patience).at_once(4);
    let url = format!("ws://{address}/");
    test_server(&plan, &url, &Interrupt::new(), |_| {}).expect("a server that echoes at first")
}

type Harm = std::sync::Arc<dyn Fn(&mut TcpStream, &str) + Send + Sync>;

fn serve(listener: &TcpListener, harm: Harm) {
    for (number, stream) in listener.incoming().enumerate() {
        let (mut stream, harm) = (stream.expect("a connection"), harm.clone());
        thread::spawn(move || {
            let Some(key) = read_request(&mut stream) else {
                return;
            };
            match number {
                0 | 1 => echo_once(&mut stream, &key),
                _ => harm(&mut stream, &key),
            }
        });
    }
}

/// The key of the request, empty if it has none.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    Some(key.unwrap_or_default().to_owned())
}

fn open(stream: &mut TcpStream, key: &str) {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        STANDARD.encode(hash.finalize())
    );
    let _ = stream.write_all(response.as_bytes());
}

/// Sends the suite's first message back.
fn echo_once(stream: &mut TcpStream, key: &str) {
    open(stream, key);
    let mut frame = [0; 11];
    if stream.read_exact(&mut frame).is_ok() {
        assert_eq!(frame[..2], [0x81, 0x85], "the suite sends 5 bytes of text");
        let (mask, payload) = frame[2..].split_at(4);
        let text = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key);
        let _ = stream.write_all(&[0x81, 5].into_iter().chain(text).collect::<Vec<u8>>());
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Sends this again and again until the suite is gone.
fn flood(stream: &mut TcpStream, bytes: &[u8]) {
    while stream.write_all(bytes).is_ok() {}
}
