//! Webhooks whose web server fails. It hangs: the program's memory stays flat, and clients are served. It refuses, or closes: the log
//! says why.

#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use yamabiko_testing::program::Program;
use yamabiko_testing::socket::Client;
use yamabiko_testing::tls::Folder;

/// Subscribes to so many new channels with long names, and leaves each: two events of the webhook for each.
fn subscribe_to_new_channels(client: &mut Client, name: char, count: usize) {
    let event = |event: &str, channel: &str| {
        format!(r#"{{"event":"pusher:{event}","data":{{"channel":"{channel}"}}}}"#)
    };
    for batch in (0..count).collect::<Vec<_>>().chunks(100) {
        let channels = batch.iter().map(|number| format!("{name}{number:x>190}"));
        let channels: Vec<String> = channels.collect();
        for channel in &channels {
            client.text(&event("subscribe", channel));
            client.text(&event("unsubscribe", channel));
        }
        for _ in channels {
            assert!(client.read_text().contains("subscription_succeeded"));
        }
    }
}

/// The program with an app that has this webhook.
fn program_with(folder: &Folder, url: &str) -> Program {
    let app = "[[apps]]\nid = \"1\"\nkey = \"app-key\"\nsecret = \"app-secret\"\nsubscription-bytes-per-second = 4294967295";
    folder.write(
        "apps.toml",
        &format!("{app}\n[[apps.webhooks]]\nurl = \"{url}\"\n"),
    );
    let file = folder.file("apps.toml");
    let options = ["serve", "--workers", "1", "--metrics", "--apps-file", &file];
    Program::start(env!("CARGO_BIN_EXE_yamabiko"), &options)
}

/// A client of the app.
fn client_of(program: &Program) -> Client {
    let mut client = Client::connect(program.address).upgraded("/app/app-key?protocol=7");
    client.read_text();
    client
}

/// A number of the program's metrics.
fn metric(program: &Program, name: &str) -> u64 {
    let mut client = Client::connect(program.address);
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let body = String::from_utf8(client.read_response().body).expect("text");
    let value = body.lines().find_map(|line| line.strip_prefix(name));
    value.expect("a metric").trim().parse().expect("a number")
}

#[test]
fn web_server_that_hangs_costs_the_memory_of_a_full_queue_and_no_more() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    let folder = Folder::new("hanging-webhook");
    let program = program_with(&folder, &url);
    let mut client = client_of(&program);

    let discarded = r#"yamabiko_app_webhook_events_discarded_total{app="1"}"#;
    let empty = program.start_counting_memory();
    // An event has about 300 bytes, and the queue 4 MiB.
    subscribe_to_new_channels(&mut client, 'a', 10_000);
    assert!(metric(&program, discarded) > 0, "the queue is full");
    let filled = program.memory_bytes_peak();
    assert!(filled < empty + (16 << 20), "{empty} and {filled}");

    let before = program.start_counting_memory();
    subscribe_to_new_channels(&mut client, 'b', 10_000);
    let after = program.memory_bytes_peak();
    assert!(after < before + (2 << 20), "{before} and {after}");
    assert_eq!(
        metric(
            &program,
            r#"yamabiko_app_webhook_events_sent_total{app="1"}"#
        ),
        0
    );
}

/// A web server whose every answer is 503. It reads what comes at once: the request is short.
fn refusing_web_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = Vec::new();
            let mut byte = [0];
            // The body ends with the list of events.
            while !request.ends_with(b"]}") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                request.push(byte[0]);
            }
            let answer = "HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            // The program may have ended.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn failed_request_is_in_the_log_with_its_reason_and_without_the_secrets_of_the_url() {
    let port = refusing_web_server();
    let folder = Folder::new("refusing-webhook");
    let url = format!("http://user:password@127.0.0.1:{port}/path?token=secret");
    let program = program_with(&folder, &url);
    let mut client = client_of(&program);
    subscribe_to_new_channels(&mut client, 'a', 1);
    let line = program.error_line("webhook failed");
    let expected = format!(
        "WARN webhook failed, it is sent again app=1 host=127.0.0.1:{port} status=503 events=1 attempts=1 next_after_seconds=1"
    );
    assert!(line.ends_with(&expected), "{line}");
    let second = program.error_line("attempts=2 next_after_seconds=2");
    assert!(second.contains("status=503"), "{second}");
}

#[test]
fn web_server_that_closes_without_a_response_is_in_the_log_with_the_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || listener.incoming().for_each(drop));
    let folder = Folder::new("closing-webhook");
    let program = program_with(&folder, &format!("http://127.0.0.1:{port}/"));
    let mut client = client_of(&program);
    subscribe_to_new_channels(&mut client, 'a', 1);
    let line = program.error_line("webhook failed");
    let expected = format!("app=1 host=127.0.0.1:{port} error=\"");
    assert!(line.contains(&expected), "{line}");
}
