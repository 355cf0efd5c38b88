//! A webhook whose web server hangs: the program's memory stays flat, and clients are served.

#![cfg(unix)]

use std::net::TcpListener;

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
    let app = "[[apps]]\nid = \"1\"\nkey = \"app-key\"\nsecret = \"app-secret\"\nsubscription-bytes-per-second = 4294967295";
    folder.write(
        "apps.toml",
        &format!("{app}\n[[apps.webhooks]]\nurl = \"{url}\"\n"),
    );
    let file = folder.file("apps.toml");
    let options = ["serve", "--workers", "1", "--metrics", "--apps-file", &file];
    let program = Program::start(env!("CARGO_BIN_EXE_yamabiko"), &options);
    let mut client = Client::connect(program.address).upgraded("/app/app-key?protocol=7");
    client.read_text();

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
