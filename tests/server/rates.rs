//! Rates of one client: at the limit, and one past it.

use std::num::NonZeroU32;
use std::time::Duration;
use yamabiko::server::{Config, DeflateConfig, RateAction, RateLimits};
use yamabiko::websocket::deflate::{DeflateParameters, DeflatePool};
use yamabiko::websocket::frame::Opcode;
use yamabiko::websocket::{Connection, Limits, Message};
use yamabiko_testing::socket::{
    Client, Report, Running, TIMEOUT, config, eventually, frame, with_1_and_3_workers,
};

fn with_rates(rates: RateLimits, config: Config) -> Config {
    Config { rates, ..config }
}

fn texts(count: usize) -> Vec<u8> {
    let text = |number: usize| frame(Opcode::Text, format!("{number}").as_bytes());
    (0..count).flat_map(text).collect()
}

#[test]
fn client_beyond_its_rate_waits_and_gets_every_reply_in_order() {
    with_1_and_3_workers(|config| {
        let rates = RateLimits {
            messages: NonZeroU32::new(50),
            burst: Duration::from_millis(100),
            ..RateLimits::default()
        };
        let server = Running::start(with_rates(rates, config));
        let mut client = Client::open(server.address);
        client.send(texts(20));
        for number in 0..20 {
            assert_eq!(client.read_text(), format!("{number}"));
        }
        assert!(server.handle.metrics().slowed > 0);
    });
}

#[test]
fn client_that_waits_holds_up_nobody_else() {
    with_1_and_3_workers(|config| {
        let rates = RateLimits {
            messages: NonZeroU32::new(1),
            ..RateLimits::default()
        };
        let server = Running::start(with_rates(rates, config));
        let mut flood = Client::open(server.address);
        flood.send(texts(1_000));
        eventually("the flood waits", TIMEOUT, || {
            server.handle.metrics().slowed > 0
        });
        for _ in 0..10 {
            let mut other = Client::open(server.address);
            other.text("served");
            assert_eq!(other.read_text(), "served");
        }
        assert!(server.handle.metrics().received < 1_000);
    });
}

#[test]
fn client_that_waits_and_has_sent_its_last_byte_ends_though_bytes_are_unread() {
    with_1_and_3_workers(|config| {
        let rates = RateLimits {
            messages: NonZeroU32::new(1),
            ..RateLimits::default()
        };
        let server = Running::start(Config {
            close_timeout: Duration::from_millis(40),
            ..with_rates(rates, config)
        });
        // The end comes while the client waits, or before.
        for waits_first in [true, false] {
            let slowed = server.handle.metrics().slowed;
            let mut flood = Client::open(server.address);
            flood.send(texts(1_000));
            if waits_first {
                eventually("the flood waits", TIMEOUT, || {
                    server.handle.metrics().slowed > slowed
                });
            }
            flood.end_output();
            match server.next_closed() {
                Report::Closed {
                    failure: Some(failure),
                    ..
                } => assert_eq!(failure, "TCP ended without a Close"),
                other => panic!("{other:?}"),
            }
        }
        assert!(server.handle.metrics().received < 1_000);
    });
}

#[test]
fn client_that_waits_is_closed_by_a_server_that_stops() {
    with_1_and_3_workers(|config| {
        let rates = RateLimits {
            messages: NonZeroU32::new(1),
            ..RateLimits::default()
        };
        let mut server = Running::start(with_rates(rates, config));
        let mut flood = Client::open(server.address);
        flood.send(texts(1_000));
        eventually("the flood waits", TIMEOUT, || {
            server.handle.metrics().slowed > 0
        });
        server.shutdown();
        assert_eq!(flood.read_until_close().0, 1001);
        flood.close(1001, "");
        flood.expect_end();
        drop(flood);
        let ended = server.join().expect("the server has no fault");
        ended.expect("polling does not fail");
    });
}

#[test]
fn unfinished_message_of_a_client_that_waits_for_its_rate_ends_with_1008() {
    with_1_and_3_workers(|config| {
        let rates = RateLimits {
            control_frames: NonZeroU32::new(20),
            burst: Duration::from_millis(50),
            ..RateLimits::default()
        };
        let config = Config {
            message_timeout: Some(Duration::from_millis(500)),
            ..with_rates(rates, config)
        };
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        client.send([&[0x02, 0x83, 0, 0, 0, 0], &b"cut"[..]].concat());
        // Each ping makes it wait.
        let pings = frame(Opcode::Ping, b"").repeat(500);
        client.send(pings);
        let reason = "a message was not completed in time".to_owned();
        assert_eq!(client.read_until_close(), (1008, reason));
        assert!(server.handle.metrics().slowed > 0);
    });
}

#[test]
fn message_may_take_the_time_that_its_bytes_take_at_the_allowed_rate() {
    with_1_and_3_workers(|config| {
        let rates = RateLimits {
            bytes: NonZeroU32::new(100_000),
            burst: Duration::from_millis(10),
            ..RateLimits::default()
        };
        let config = Config {
            // Shorter than the wait after the first read.
            message_timeout: Some(Duration::from_millis(300)),
            message_bytes_per_second_min: 0,
            ..with_rates(rates, config)
        };
        let server = Running::start(config);
        for opcode in [Opcode::Binary, Opcode::Text] {
            let mut client = Client::open(server.address);
            let message = vec![b'x'; 150_000];
            client.send(frame(opcode, &message));
            assert_eq!(client.read_frame().payload, message);
        }
        assert!(server.handle.metrics().slowed > 0);
    });
}

/// `count` at once. A rate is 1 per second, so that no token comes back while one segment is received.
fn closing(count: u32) -> RateLimits {
    RateLimits {
        burst: Duration::from_secs(count.into()),
        action: RateAction::Close,
        ..RateLimits::default()
    }
}

/// Sends `input`, which is at the limit, and it stays open. `one_more` ends it.
fn expect_limit(rates: RateLimits, input: &[u8], one_more: &[u8], name: &str) {
    let config = Config {
        deflate: Some(DeflateConfig::default()),
        ..config(1)
    };
    let server = Running::start(with_rates(rates, config));
    let open = || Client::connect(server.address).offering("permessage-deflate");
    let mut within = open();
    within.send(input);
    let mut beyond = open();
    beyond.send([input, one_more].concat());
    let reason = format!("too fast: too many {name} in a second");
    assert_eq!(beyond.read_until_close(), (1008, reason));
    beyond.expect_end();
    within.close(1000, "");
    assert_eq!(within.read_until_close().0, 1000, "{name}");
}

#[test]
fn each_rate_allows_its_burst_and_closes_with_1008_one_past_it() {
    const ONE: Option<NonZeroU32> = NonZeroU32::new(1);
    let messages = RateLimits {
        messages: ONE,
        ..closing(5)
    };
    expect_limit(messages, &texts(5), &texts(1), "messages");

    let ping = frame(Opcode::Ping, b"");
    let control_frames = RateLimits {
        control_frames: ONE,
        ..closing(6)
    };
    let within = [ping.repeat(5), frame(Opcode::Pong, b"")].concat();
    expect_limit(control_frames, &within, &ping, "pings and pongs");

    let text = frame(Opcode::Text, b"hello");
    let bytes = RateLimits {
        bytes: ONE,
        ..closing(10 * 11)
    };
    assert_eq!(text.len(), 11);
    expect_limit(bytes, &text.repeat(10), &text, "bytes");

    let join = |room: &str| frame(Opcode::Text, format!("/join {room}").as_bytes());
    let joins = RateLimits {
        joins: ONE,
        ..closing(2)
    };
    // To join a room again does nothing.
    let within = [join("hall"), join("garden"), join("hall")].concat();
    expect_limit(joins, &within, &join("attic"), "joins");
    // Neither does one that the application refuses cost less.
    let refused = frame(Opcode::Text, b"/refuse-join");
    expect_limit(joins, &refused.repeat(2), &refused, "joins");

    let mut compressed = Vec::new();
    let config = DeflateConfig::default();
    let mut client = Connection::client(Limits::default(), || [1, 2, 3, 4]).with_deflate(
        DeflateParameters::default(),
        &config,
        &DeflatePool::default(),
    );
    let zeros = vec![0; 30_000];
    let sent = client.send(Message::Binary(&zeros), &mut compressed);
    sent.expect("the connection is open");
    assert!(compressed.len() < 100);
    let inflated_bytes = RateLimits {
        inflated_bytes: ONE,
        ..closing(60_000)
    };
    // What comes uncompressed does not count.
    let within = [texts(9), compressed.repeat(2)].concat();
    expect_limit(inflated_bytes, &within, &compressed, "inflated bytes");
}
