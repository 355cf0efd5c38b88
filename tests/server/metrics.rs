//! Metrics: what a connection has received and sent, how connections end, why requests are refused, how long turns take.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use yamabiko::server::{
    Admission, ClosedBy, Config, ConnectionTotals, Context, Handler, Message, Origins, Refusal,
    RefusalReason, Status, Upgrade,
};
use yamabiko::server::{Closed, Metrics};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Running, TIMEOUT, config, eventually, frame, upgrade, with_1_and_3_workers,
};

/// Joins, leaves and publishes as its clients say; sends all other texts back. Reports the totals of connections that end.
struct Rooms(Sender<Option<ConnectionTotals>>);

impl Handler for Rooms {
    type Session = ();

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        match request.path() {
            "/refused" => Err(Refusal::new(Status::Forbidden, "not here")),
            _ => Ok(Admission::new(())),
        }
    }

    fn message(&self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else {
            return;
        };
        match text.split_once(' ') {
            Some(("join", room)) => context.join(room),
            Some(("leave", room)) => context.leave(room),
            Some(("publish", room)) => context.publish(room, Message::Text("12345678")),
            Some(("others", room)) => context.publish_except(room, Message::Text("1234")),
            _ => drop(context.send(message)),
        }
    }

    fn closed(&self, (): (), closed: &Closed<'_>, _: &mut Context<'_>) {
        // The test may have ended.
        let _ = self.0.send(closed.totals);
    }
}

/// Sends a message that is sent back: everything before it has arrived.
fn synchronize(client: &mut Client) {
    client.text("sync");
    while client.read_text() != "sync" {}
}

#[test]
fn totals_of_a_connection_count_exactly_what_it_received_and_was_sent() {
    with_1_and_3_workers(|config| {
        let (sender, ended) = channel();
        let config = Config {
            connection_totals: true,
            ..config
        };
        let server = Running::start_with(config, Rooms(sender), channel().1);
        let mut client = Client::open(server.address);
        client.text("join r");
        synchronize(&mut client);
        client.text("publish r");
        assert_eq!(client.read_text(), "12345678");
        let mut other = Client::open(server.address);
        other.text("join r");
        synchronize(&mut other);
        // Not for this client.
        client.text("others r");
        // The first message may have been on its way between two workers when this client joined.
        while other.read_text() != "1234" {}
        client.text("leave r");
        synchronize(&mut client);
        other.text("publish r");
        assert_eq!(other.read_text(), "12345678");
        client.close(1000, "");
        let totals = ended.recv_timeout(TIMEOUT).expect("it ends");
        let totals = totals.expect("they are counted");
        let received = ["join r", "sync", "publish r", "others r", "leave r", "sync"];
        let header_bytes = 6;
        let bytes: usize = received.iter().map(|text| text.len() + header_bytes).sum();
        let close_bytes = 8;
        assert_eq!(totals.messages_received, 6);
        assert_eq!(totals.bytes_received, (bytes + close_bytes) as u64);
        assert_eq!(totals.messages_sent, 3);
        assert_eq!(totals.bytes_sent, 2 * (2 + 4) + 2 + 8);
    });
}

#[test]
fn totals_are_not_counted_without_the_setting() {
    let (sender, ended) = channel();
    let server = Running::start_with(config(1), Rooms(sender), channel().1);
    let mut client = Client::open(server.address);
    synchronize(&mut client);
    client.close(1000, "");
    assert_eq!(ended.recv_timeout(TIMEOUT).expect("it ends"), None);
}

/// The metrics, when they are as wanted.
fn metrics_when(server: &Running, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
    let mut metrics = server.handle.metrics();
    eventually(what, TIMEOUT, || {
        metrics = server.handle.metrics();
        wanted(&metrics)
    });
    metrics
}

#[test]
fn ends_are_counted_by_the_end_that_closed_its_code_and_its_failure() {
    let (sender, _ended) = channel();
    let server = Running::start_with(config(1), Rooms(sender), channel().1);
    let mut polite = Client::open(server.address);
    polite.close(1001, "");
    let mut wrong = Client::open(server.address);
    wrong.send(frame(Opcode::Text, b"\xff"));
    let mut lost = Client::open(server.address);
    synchronize(&mut lost);
    drop(lost);
    let metrics = metrics_when(&server, "all have ended", |metrics| metrics.closed == 3);
    let closes: Vec<_> = metrics
        .closes()
        .filter(|(_, _, count)| *count > 0)
        .collect();
    assert_eq!(
        closes,
        [
            (ClosedBy::Client, Some(1001), 1),
            (ClosedBy::Server, Some(1007), 1),
            (ClosedBy::Neither, Some(1006), 1),
        ]
    );
    let failures = metrics.failures().filter(|(_, count)| *count > 0);
    let failures: Vec<_> = failures.collect();
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert_eq!(failures[0], ("protocol", 1));
}

#[test]
fn refusals_are_counted_by_reason() {
    let (sender, _ended) = channel();
    let config = Config {
        origins: Origins::SameHost,
        connections_max: 2,
        ..config(1)
    };
    let server = Running::start_with(config, Rooms(sender), channel().1);
    let status = |request: &str| {
        let mut client = Client::connect(server.address);
        client.send(request);
        client.read_response().status
    };
    assert_eq!(status(&upgrade("/refused", "")), 403);
    assert_eq!(
        status(&upgrade("/", "Origin: https://foreign.example\r\n")),
        403
    );
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    let both = [(); 2].map(|()| Client::open(server.address));
    assert_eq!(status(&upgrade("/", "")), 503);
    drop(both);
    let metrics = metrics_when(&server, "all are counted", |metrics| metrics.refused == 1);
    let refusals = metrics.refusals().filter(|(_, count)| *count > 0);
    assert_eq!(
        refusals.collect::<Vec<_>>(),
        [
            (RefusalReason::Connections, 1),
            (RefusalReason::Request, 1),
            (RefusalReason::Origin, 1),
            (RefusalReason::Application, 1),
        ]
    );
}

#[test]
fn rooms_subscriptions_bytes_and_times_are_in_the_metrics() {
    with_1_and_3_workers(|config| {
        let (sender, _ended) = channel();
        let server = Running::start_with(config, Rooms(sender), channel().1);
        let mut clients = [(); 3].map(|()| Client::open(server.address));
        for client in &mut clients {
            client.text("join r");
            client.text("join s");
            synchronize(client);
        }
        clients[0].text("publish r");
        for client in &mut clients {
            assert_eq!(client.read_text(), "12345678");
        }
        // A worker counts a delivery's time before it publishes its other counts.
        let metrics = metrics_when(&server, "all is counted", |metrics| {
            (metrics.latencies.count(), metrics.deliveries) == (3, 3)
                && (metrics.received, metrics.sent) == (10, 3)
        });
        assert_eq!((metrics.subscriptions, metrics.sockets), (6, 3));
        assert!((2..=6).contains(&metrics.rooms), "{}", metrics.rooms);
        assert!(metrics.writes >= 6 && metrics.sent_bytes > 3 * 10 + 3 * 6);
        assert!(metrics.received_bytes > 10 * 6);
        assert!(metrics.turns.count() > 0 && metrics.turns.sum() > Duration::ZERO);
        assert_eq!(metrics.lagging_subscriptions, 0);
        for client in &mut clients {
            client.text("leave s");
            synchronize(client);
        }
        let left = |metrics: &Metrics| metrics.subscriptions == 3;
        metrics_when(&server, "the subscriptions have ended", left);
    });
}
