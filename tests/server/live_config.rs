//! New settings for a running server: for which connections they hold.

use std::num::NonZeroU32;
use std::time::Duration;
use yamabiko::http::{OriginPattern, Origins};
use yamabiko::server::{Config, LagPolicy, Limits, RateAction, RateLimits};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Deadline, LOOP_TIMEOUT, Running, TIMEOUT, config, eventually, frame, upgrade,
    with_1_and_3_workers,
};

/// The settings of the server, with some changed.
fn change(server: &Running, change: impl FnOnce(Config) -> Config) -> Vec<&'static str> {
    server.handle.replace_config(change(server.handle.config()))
}

fn rates(messages: u32, action: RateAction) -> RateLimits {
    RateLimits {
        messages: NonZeroU32::new(messages),
        burst: Duration::from_secs(1),
        action,
        ..RateLimits::default()
    }
}

#[test]
fn limits_of_messages_hold_for_new_connections() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut old = Client::open(server.address);
        let kept = change(&server, |config| Config {
            limits: Limits {
                message_bytes_max: 5,
                ..config.limits
            },
            ..config
        });
        assert_eq!(kept, Vec::<&str>::new());
        // A worker takes them before it accepts, or in the turn in which it does.
        eventually("the limit holds", TIMEOUT, || {
            let mut new = Client::open(server.address);
            new.text("longer");
            new.read_frame().opcode == Opcode::Close
        });
        old.text("longer than five");
        assert_eq!(old.read_text(), "longer than five");
    });
}

#[test]
fn rates_hold_for_open_connections() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        change(&server, |config| Config {
            rates: rates(1, RateAction::Close),
            ..config
        });
        let deadline = Deadline::after(LOOP_TIMEOUT);
        let code = loop {
            deadline.check("the client is closed");
            client.send([frame(Opcode::Text, b"a"), frame(Opcode::Text, b"b")].concat());
            let frame = client.read_frame();
            if frame.opcode == Opcode::Close {
                break u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
            }
        };
        assert_eq!(code, 1008);
    });
}

#[test]
fn client_that_waits_is_read_when_there_is_no_rate_any_more() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            rates: RateLimits {
                bytes: NonZeroU32::new(1),
                burst: Duration::from_secs(1),
                ..RateLimits::default()
            },
            ..config
        });
        let mut client = Client::open(server.address);
        client.send(frame(Opcode::Text, &[b'a'; 100_000]));
        eventually("the client waits", TIMEOUT, || {
            server.handle.metrics().slowed > 0
        });
        change(&server, |config| Config {
            rates: RateLimits::default(),
            ..config
        });
        assert_eq!(client.read_text().len(), 100_000);
        client.text("at once");
        assert_eq!(client.read_text(), "at once");
    });
}

#[test]
fn pings_begin_on_open_connections_that_are_silent() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut client = Client::open(server.address);
        change(&server, |config| Config {
            ping_interval: Some(Duration::from_millis(1)),
            ..config
        });
        assert_eq!(client.read_frame().opcode, Opcode::Ping);
    });
}

#[test]
fn origins_hold_for_further_requests_and_not_for_open_connections() {
    let server = Running::start(config(1));
    let foreign = "Origin: https://a.example\r\n";
    let status = |fields: &str| {
        let mut client = Client::connect(server.address);
        client.send(upgrade("/", fields));
        client.read_one_response(true).status
    };
    assert_eq!(status(foreign), 403);
    let pattern: OriginPattern = "https://a.example".parse().expect("an origin");
    change(&server, |config| Config {
        origins: Origins::SameHostAnd(vec![pattern]),
        ..config
    });
    eventually("the origin may connect", TIMEOUT, || status(foreign) == 101);
    let mut open = Client::connect(server.address).upgraded_with("/", foreign);
    change(&server, |config| Config {
        origins: Origins::SameHost,
        ..config
    });
    eventually("the origin may not connect", TIMEOUT, || {
        status(foreign) == 403
    });
    open.text("still here");
    assert_eq!(open.read_text(), "still here");
}

#[test]
fn what_cannot_change_is_named_and_the_rest_holds() {
    let server = Running::start(config(1));
    let kept = change(&server, |config| Config {
        connections_max: 5,
        lag_policy: LagPolicy {
            bytes_max: 7,
            ..config.lag_policy
        },
        ..config
    });
    assert_eq!(kept, ["connections_max"]);
    let now = server.handle.config();
    assert_eq!(now.lag_policy.bytes_max, 7);
    assert_eq!(now.connections_max, Config::default().connections_max);
}
