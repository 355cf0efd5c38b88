//! Members that read too slowly: what their room's policy does with them, at
//! which bound, and what the server's numbers say of it.

use std::sync::mpsc::channel;
use std::time::Duration;
use yamabiko::server::{
    Admission, Closed, Config, Context, Handler, LagAction, LagPolicy, Limits, Message, Missed,
    Refusal, Upgrade,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Frame, LOOP_PATIENCE, PATIENCE, Running, eventually, frame, some_member_is_behind,
    with_1_and_3_workers,
};

fn is_big(frame: &Frame) -> bool {
    *frame == Frame::big()
}

/// Publishes, in step with a reader, until a slow member has missed something.
fn publish_until_some_is_skipped(server: &Running, room: &str, clients: [&mut Client; 2]) -> u64 {
    server.publish_until(room, clients, "messages are skipped", |handle| {
        handle.metrics().skipped > 0
    })
}

fn number_behind(words: &str, text: &str) -> Option<u64> {
    let rest = text.strip_prefix(words)?;
    rest.split(' ').next()?.parse().ok()
}

/// What a slow member has got, until all that was published is accounted for:
/// messages, and numbers of missed ones.
fn read_account(member: &mut Client, published: u64) -> (Vec<String>, u64) {
    let (mut big, mut missed, mut texts) = (0, 0, Vec::new());
    while big + missed + (texts.len() as u64) < published {
        let frame = member.read_frame();
        if is_big(&frame) {
            big += 1;
            continue;
        }
        assert_eq!(frame.opcode, Opcode::Text, "a message is torn");
        let text = String::from_utf8(frame.payload).expect("text is UTF-8");
        match number_behind("missed ", &text) {
            Some(number) => missed += number,
            None => texts.push(text),
        }
    }
    (texts, missed)
}

#[test]
fn a_room_that_skips_tells_how_many_messages_were_missed_and_goes_on() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut slow = Client::open_narrow(server.address);
        slow.join("skip");
        let mut reader = server.members(1, "skip").remove(0);
        let mut publisher = Client::open(server.address);
        let published =
            publish_until_some_is_skipped(&server, "skip", [&mut publisher, &mut reader]);
        let (_, missed) = read_account(&mut slow, published);
        assert!(missed > 0);
        publisher.text("/say skip and it goes on");
        assert_eq!(slow.read_text(), "and it goes on");
        slow.text("still here");
        assert_eq!(slow.read_text(), "still here");
    });
}

#[test]
fn a_room_of_the_latest_keeps_only_the_newest_for_who_is_behind() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut slow = Client::open_narrow(server.address);
        slow.join("latest");
        let mut reader = server.members(1, "latest").remove(0);
        let mut publisher = Client::open(server.address);
        let published =
            publish_until_some_is_skipped(&server, "latest", [&mut publisher, &mut reader]);
        // Nothing of the last two can have begun: the sockets were full before.
        for text in ["last but one", "the last"] {
            publisher.text(&format!("/say latest {text}"));
            assert_eq!(reader.read_text(), text);
        }
        // The slow one's worker has got them, too, before there is room again.
        eventually("the slow one's worker has the last two", PATIENCE, || {
            server.handle.metrics().deliveries >= 2 * (published + 2)
        });
        let (texts, missed) = read_account(&mut slow, published + 2);
        assert!(missed > 0);
        assert_eq!(texts, ["the last"]);
    });
}

#[test]
fn what_is_missed_is_counted_and_every_delivery_is_accounted_for() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut slow = Client::open_narrow(server.address);
        slow.join("skip");
        let mut reader = server.members(1, "skip").remove(0);
        let mut publisher = Client::open(server.address);
        let published =
            publish_until_some_is_skipped(&server, "skip", [&mut publisher, &mut reader]);
        let behind: usize = server.handle.lags().iter().map(|lag| lag.behind).sum();
        assert!(behind <= 1);
        let (_, missed) = read_account(&mut slow, published);
        slow.text("the numbers are shown when a turn has ended");
        slow.read_text();
        reader.text("on this worker too");
        reader.read_text();
        let metrics = server.handle.metrics();
        assert_eq!(metrics.deliveries, 2 * published);
        assert_eq!(metrics.skipped, missed);
        assert_eq!((metrics.abandoned, metrics.disconnected), (0, 0));
        assert_eq!((metrics.opened, metrics.closed), (3, 0));
    });
}

#[test]
fn a_reader_of_nothing_is_closed_when_what_waits_is_too_old() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            lag_policy: LagPolicy {
                action: LagAction::Disconnect,
                bytes_max: u64::MAX,
                messages_max: u64::MAX,
                age_max: Some(Duration::from_millis(200)),
            },
            ping_interval: None,
            ..config
        });
        let mut slow = Client::open_narrow(server.address);
        slow.join("hall");
        let mut reader = server.members(1, "hall").remove(0);
        let mut publisher = Client::open(server.address);
        let clients = [&mut publisher, &mut reader];
        let behind = "the slow one is behind, or disconnected by now";
        let published = server.publish_until("hall", clients, behind, |handle| {
            some_member_is_behind(handle) || handle.metrics().disconnected > 0
        });
        // Nobody says anything more: time alone decides.
        eventually("the slow one is disconnected", PATIENCE, || {
            server.handle.metrics().disconnected > 0
        });
        let mut whole = 0;
        let close = loop {
            let frame = slow.read_frame();
            match frame.opcode {
                Opcode::Close => break frame,
                _ => assert!(is_big(&frame)),
            }
            whole += 1;
        };
        assert!(whole < published);
        assert_eq!(close.payload[..2], 1013u16.to_be_bytes());
        slow.send(frame(Opcode::Close, &close.payload[..2]));
        slow.expect_end();
    });
}

#[test]
fn a_single_message_over_the_bound_is_no_lag() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            lag_policy: LagPolicy {
                bytes_max: 1,
                ..config.lag_policy
            },
            limits: Limits {
                message_bytes_max: 64 << 20,
                ..Limits::default()
            },
            ..config
        });
        let mut slow = Client::open_narrow(server.address);
        slow.join("hall");
        let mut publisher = Client::open(server.address);
        let bytes = 1200 * 10_000; // more than the sockets take
        publisher.text("/say-bytes 1200 hall");
        let frame = slow.read_frame();
        assert_eq!(frame.payload.len(), bytes);
        slow.text("still here");
        assert_eq!(slow.read_text(), "still here");
    });
}

#[test]
fn what_gathers_is_written_later_and_whole() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            batch_delay: Duration::from_millis(20),
            ..config
        });
        let mut members = server.members(3, "hall");
        let mut publisher = Client::open(server.address);
        for number in 0..50 {
            publisher.text(&format!("/say hall {number}"));
        }
        for member in &mut members {
            for number in 0..50 {
                assert_eq!(member.read_text(), number.to_string());
            }
        }
    });
}

/// Publishes what is binary to `hall`, and to `gaps` that a member was too slow there.
struct Announcer;

impl Handler for Announcer {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(room) => {
                context.join(room.trim_start_matches("/join "));
                let joined = context.send(Message::Text("joined"));
                joined.expect("there is room for a word");
            }
            Message::Binary(_) => context.publish("hall", message),
        }
    }

    fn missed(&self, _: &mut (), room: &str, _: Missed, context: &mut Context<'_>) {
        context.publish("gaps", Message::Text(&format!("too slow for {room}")));
    }

    fn closed(&self, _: (), closed: &Closed<'_>, context: &mut Context<'_>) {
        if closed.failure.is_some() {
            context.publish("gaps", Message::Text("too slow for hall"));
        }
    }
}

#[test]
fn a_message_published_from_missed_arrives_without_any_other_event() {
    for action in [LagAction::Disconnect, LagAction::Skip, LagAction::Latest] {
        with_1_and_3_workers(|config| {
            let (_tell, told) = channel();
            let config = Config {
                lag_policy: LagPolicy {
                    action,
                    bytes_max: u64::MAX,
                    messages_max: u64::MAX,
                    age_max: Some(Duration::from_millis(200)),
                },
                close_timeout: Duration::from_millis(200),
                ping_interval: None,
                ..config
            };
            let server = Running::start_with(config, Announcer, told);
            let mut watchers = server.members(8, "gaps");
            let mut slow = Client::open_narrow(server.address);
            slow.join("hall");
            let mut publisher = Client::open(server.address);
            let message = frame(Opcode::Binary, &Frame::big().payload);
            eventually("the slow client has been behind", LOOP_PATIENCE, || {
                publisher.send(&message);
                let metrics = server.handle.metrics();
                some_member_is_behind(&server.handle) || metrics.skipped + metrics.disconnected > 0
            });
            // From here on only time passes.
            for watcher in &mut watchers {
                assert_eq!(watcher.read_text(), "too slow for hall", "{action:?}");
            }
        });
    }
}
