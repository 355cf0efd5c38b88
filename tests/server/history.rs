//! Rooms that keep messages, and clients that come late or come back. The contract is in `docs/history.md`: ordered, no gap without
//! a notice, no duplicate after a resume, epoch and offset inseparable.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use yamabiko::server::{
    Admission, CloseCode, Config, Context, DeflateConfig, Erasure, Gap, Handler, HistoryLimits,
    LagPolicy, Message, NotJoined, OwnedMessage, Position, Refusal, Replay, Replayed, RoomHistory,
    Upgrade,
};
use yamabiko_testing::inflate::inflate_message;
use yamabiko_testing::socket::{Client, TestServer, config, with_1_and_3_workers};

const ROOM: &str = "kept";

/// A room with history. Each message has its position in front: `epoch-offset text`.
struct Kept(RoomHistory);

impl Handler for Kept {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn history(&self, room: &str) -> Option<RoomHistory> {
        (room == ROOM).then_some(self.0)
    }

    fn numbered(&self, _: &str, at: Position, message: Message<'_>) -> Option<OwnedMessage> {
        let text = message.as_text()?;
        Some(OwnedMessage::Text(format!("{at} {text}")))
    }

    /// `erase epoch-offset text`
    fn erases(&self, _: &str, message: Message<'_>) -> Option<Erasure> {
        let (position, text) = message.as_text()?.strip_prefix("erase ")?.split_once(' ')?;
        Some(Erasure::new(position.parse().ok()?, text))
    }

    /// `latest 7`, `after epoch-offset`, `live`, `leave`; anything else is published.
    fn message(&self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        match text.split_once(' ') {
            Some(("latest", most)) => {
                context.join_from(ROOM, Replay::Latest(most.parse().expect("a number")));
            }
            Some(("after", place)) => {
                context.join_from(ROOM, Replay::After(place.parse().expect("a position")));
            }
            _ if text == "leave" => context.leave(ROOM),
            _ => context.publish(ROOM, message),
        }
    }

    fn joined(
        &self,
        _: &mut (),
        room: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
        assert_eq!(room, ROOM);
        let report = match joined {
            Ok(Replayed {
                position,
                messages,
                gap,
                ..
            }) => format!("joined {position} {messages} {gap:?}"),
            Err(error) => format!("refused {error:?}"),
        };
        context.send(report).expect("it is open");
    }
}

fn with_history(config: Config) -> Config {
    Config {
        history: Some(HistoryLimits::default()),
        ..config
    }
}

fn keeping(messages_max: u64) -> Kept {
    Kept(RoomHistory {
        messages_max,
        ..RoomHistory::default()
    })
}

/// How a subscription has begun.
#[derive(Debug, PartialEq, Eq)]
struct Joined {
    position: Position,
    messages: u64,
    gap: Gap,
}

/// Asks for a subscription and reads how it has begun.
fn join(client: &mut Client, request: &str) -> Joined {
    client.text(request);
    let report = client.read_text();
    let parts: Vec<&str> = report.split(' ').collect();
    let ["joined", position, messages, gap] = parts[..] else {
        panic!("{report}");
    };
    Joined {
        position: position.parse().expect("a position"),
        messages: messages.parse().expect("a number"),
        gap: match gap {
            "None" => Gap::None,
            "Forgotten" => Gap::Forgotten,
            "OtherEpoch" => Gap::OtherEpoch,
            other => panic!("{other}"),
        },
    }
}

fn join_after(client: &mut Client, position: Position) -> Joined {
    join(client, &format!("after {position}"))
}

/// The next message: its position and its text.
fn receive(client: &mut Client) -> (Position, String) {
    let message = client.read_text();
    let (position, text) = message.split_once(' ').expect("a position");
    (position.parse().expect("a position"), text.to_owned())
}

/// The same, if it may be compressed.
fn receive_inflated(client: &mut Client) -> (Position, String) {
    let frame = client.read_frame();
    let bytes = match frame.compressed {
        true => inflate_message(&[], &frame.payload).bytes,
        false => frame.payload,
    };
    let message = String::from_utf8(bytes).expect("a text");
    let (position, text) = message.split_once(' ').expect("a position");
    (position.parse().expect("a position"), text.to_owned())
}

fn receive_texts(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| receive(client).1).collect()
}

/// Publishes these texts, and returns when all workers have them.
fn publish(server: &TestServer, texts: impl Iterator<Item = String>) -> Position {
    let mut client = Client::open(server.address);
    let mut position = join(&mut client, "latest 0").position;
    for text in texts {
        client.text(&text);
        position = receive(&mut client).0;
    }
    position
}

#[test]
fn late_subscriber_gets_the_newest_messages_and_then_the_new_ones() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(with_history(config), keeping(100));
        let last = publish(&server, (1..=9).map(|n| n.to_string()));
        let mut late = Client::open(server.address);
        let joined = join(&mut late, "latest 3");
        assert_eq!((joined.messages, joined.gap), (3, Gap::None));
        assert_eq!(joined.position.plus(3), last);
        publish(&server, ["ten".to_owned()].into_iter());
        assert_eq!(receive_texts(&mut late, 4), ["7", "8", "9", "ten"]);
    });
}

#[test]
fn each_message_has_the_next_offset_in_one_epoch() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(with_history(config), keeping(100));
        publish(&server, (0..20).map(|n| n.to_string()));
        let mut client = Client::open(server.address);
        let mut position = join(&mut client, "latest 100").position;
        assert_eq!(position.offset(), 0);
        for _ in 0..20 {
            position = position.plus(1);
            assert_eq!(receive(&mut client).0, position);
        }
    });
}

/// Cut at any message while several clients publish: no gap, no duplicate, one order.
#[test]
fn clients_that_come_back_again_and_again_have_the_log_of_the_room() {
    const PUBLISHERS: usize = 3;
    const OF_EACH: usize = 120;
    with_1_and_3_workers(|config| {
        let server = TestServer::start(with_history(config), keeping(10_000));
        let begin = join(&mut Client::open(server.address), "latest 0").position;
        let logs: Vec<Vec<String>> = std::thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                let server = &server;
                scope.spawn(move || {
                    let mut client = Client::open(server.address);
                    for number in 0..OF_EACH {
                        client.text(&format!("{publisher}:{number}"));
                    }
                    client.close(1000, "");
                    client.read_until_close();
                });
            }
            let readers: Vec<_> = (1..=4)
                .map(|step| {
                    let server = &server;
                    scope.spawn(move || {
                        let (mut position, mut log) = (begin, Vec::new());
                        while log.len() < PUBLISHERS * OF_EACH {
                            let mut client = Client::open(server.address);
                            let joined = join_after(&mut client, position);
                            assert_eq!((joined.position, joined.gap), (position, Gap::None));
                            // The connection is lost behind so many messages.
                            for _ in 0..(step * 7).min(PUBLISHERS * OF_EACH - log.len()) {
                                let (at, text) = receive(&mut client);
                                assert_eq!(at, position.plus(1));
                                position = at;
                                log.push(text);
                            }
                        }
                        log
                    })
                })
                .collect();
            let logs = readers.into_iter().map(|reader| reader.join());
            logs.collect::<Result<_, _>>().expect("no panic")
        });
        for log in &logs {
            assert_eq!(log, &logs[0]);
            assert_eq!(log.iter().collect::<BTreeSet<_>>().len(), log.len());
        }
    });
}

#[test]
fn client_is_told_that_too_much_is_gone_at_the_first_message_that_is_missing() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(with_history(config), keeping(5));
        let begin = join(&mut Client::open(server.address), "latest 0").position;
        publish(&server, (1..=8).map(|n| n.to_string()));
        let mut whole = Client::open(server.address);
        let joined = join_after(&mut whole, begin.plus(3));
        assert_eq!((joined.messages, joined.gap), (5, Gap::None));
        let mut gone = Client::open(server.address);
        let joined = join_after(&mut gone, begin.plus(2));
        assert_eq!((joined.messages, joined.gap), (5, Gap::Forgotten));
        assert_eq!(joined.position, begin.plus(3));
        assert_eq!(receive_texts(&mut gone, 5), ["4", "5", "6", "7", "8"]);
    });
}

/// A client that names an unknown place is not stuck there: it goes on with a place of this server.
#[test]
fn position_of_another_epoch_is_a_gap_and_never_taken_for_one_of_this_epoch() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(with_history(config.clone()), keeping(5));
        let of_before = publish(&server, (1..=3).map(|n| n.to_string()));
        drop(server);
        let server = TestServer::start(with_history(config), keeping(5));
        let last = publish(&server, (1..=4).map(|n| n.to_string()));
        assert_ne!(of_before.epoch(), last.epoch());
        let mut client = Client::open(server.address);
        let joined = join_after(&mut client, of_before);
        assert_eq!((joined.messages, joined.gap), (4, Gap::OtherEpoch));
        assert_eq!(receive_texts(&mut client, 4), ["1", "2", "3", "4"]);
        let mut again = Client::open(server.address);
        let joined = join_after(&mut again, last);
        assert_eq!((joined.messages, joined.gap), (0, Gap::None));
        // An offset that this epoch has not reached.
        let mut beyond = Client::open(server.address);
        let joined = join_after(&mut beyond, last.plus(9));
        assert_eq!((joined.messages, joined.gap), (4, Gap::Forgotten));
    });
}

#[test]
fn second_join_of_the_same_room_replays_nothing() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(with_history(config), keeping(5));
        publish(&server, (1..=3).map(|n| n.to_string()));
        let mut client = Client::open(server.address);
        client.send([frame("latest 9"), frame("latest 9")].concat());
        assert!(client.read_text().starts_with("joined"));
        // The answer to the second request has no place in the order of the room.
        let (answers, messages): (Vec<_>, Vec<_>) = (0..4)
            .map(|_| client.read_text())
            .partition(|text| text.starts_with("refused"));
        assert_eq!(answers, ["refused AlreadyJoined"]);
        let texts = messages.iter().map(|message| message.split(' ').nth(1));
        assert_eq!(texts.collect::<Vec<_>>(), ["1", "2", "3"].map(Some));
        client.text("end");
        assert_eq!(receive(&mut client).1, "end");
        client.text("leave");
        assert_eq!(join(&mut client, "latest 1").messages, 1);
    });
}

fn frame(text: &str) -> Vec<u8> {
    yamabiko_testing::socket::frame(yamabiko::websocket::frame::Opcode::Text, text.as_bytes())
}

#[test]
fn subscribers_with_and_without_compression_get_the_same_past() {
    with_1_and_3_workers(|config| {
        let config = Config {
            deflate: Some(DeflateConfig {
                threshold_bytes: 1,
                ..DeflateConfig::default()
            }),
            ..with_history(config)
        };
        let server = TestServer::start(config, keeping(100));
        // One of them is large, so that the logs share it.
        let texts = || (0..6).map(|n| n.to_string().repeat([7, 300, 40_000][n % 3]));
        publish(&server, texts());
        for offer in [
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=9",
            "",
        ] {
            let mut client = match offer {
                "" => Client::open(server.address),
                offer => Client::connect(server.address).offering(offer),
            };
            client.text("latest 100");
            assert!(client.read_text().starts_with("joined"));
            for text in texts() {
                // Kept messages are not compressed.
                assert_eq!(receive(&mut client).1, text);
            }
        }
    });
}

#[test]
fn erased_message_keeps_its_offset_and_its_text_is_in_no_log() {
    const SECRET: &str = "the secret words of somebody";
    with_1_and_3_workers(|config| {
        let config = Config {
            deflate: Some(DeflateConfig {
                threshold_bytes: 1,
                ..DeflateConfig::default()
            }),
            ..with_history(config)
        };
        let server = TestServer::start(config, keeping(100));
        let open = |offer: &str| match offer {
            "" => Client::open(server.address),
            offer => Client::connect(server.address).offering(offer),
        };
        // Subscribers of each encoding, so that each log has the messages as they were published.
        let offers = [
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=9",
            "",
        ];
        let mut early = offers.map(&open);
        for client in &mut early {
            client.text("latest 0");
            assert!(client.read_text().starts_with("joined"));
        }
        // A short one, one that is compressed, and one that the logs share.
        let secrets = [1, 100, 2_000].map(|times| SECRET.repeat(times));
        let texts = |secret: &String| ["before".to_owned(), secret.clone(), "behind".to_owned()];
        let last = publish(&server, secrets.iter().flat_map(texts));
        let begin = Position::new(last.epoch(), last.offset() - 9);
        for client in &mut early {
            (0..9).for_each(|_| _ = client.read_frame());
        }
        let erase = |offset: u64| format!("erase {} gone", begin.plus(offset));
        publish(&server, [2, 5, 8].map(erase).into_iter());
        for offer in offers {
            let mut late = open(offer);
            late.text("latest 100");
            assert!(late.read_text().ends_with(" 12 None"));
            for offset in 1..=9 {
                let (position, text) = receive_inflated(&mut late);
                assert_eq!(position, begin.plus(offset));
                match offset % 3 {
                    1 => assert_eq!(text, "before"),
                    2 => assert_eq!(text.trim_end(), "gone"),
                    _ => assert_eq!(text, "behind"),
                }
            }
            assert!(receive_inflated(&mut late).1.starts_with("erase "));
        }
        // Who had the messages before is told by the message that has erased them.
        for client in &mut early {
            for _ in 0..3 {
                assert!(receive_inflated(client).1.starts_with("erase "));
            }
        }
    });
}

#[test]
fn message_that_is_shorter_than_the_text_in_its_place_is_forgotten_with_all_in_front_of_it() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(with_history(config), keeping(100));
        let last = publish(
            &server,
            ["one", "two", "three"].map(str::to_owned).into_iter(),
        );
        let begin = Position::new(last.epoch(), 0);
        let unknown = Position::new(last.epoch().wrapping_add(1), 2);
        let erase = |position: Position| format!("erase {position} gone");
        // A place of another epoch, and places without a message, change nothing.
        let nothing = [unknown, begin, begin.plus(99)].map(erase);
        publish(&server, nothing.into_iter());
        let mut whole = Client::open(server.address);
        assert_eq!(join_after(&mut whole, begin).messages, 6);
        publish(&server, [erase(begin.plus(2))].into_iter());
        let mut late = Client::open(server.address);
        let joined = join_after(&mut late, begin);
        assert_eq!((joined.messages, joined.gap), (5, Gap::Forgotten));
        assert_eq!(receive(&mut late), (begin.plus(3), "three".to_owned()));
        let mut behind = Client::open(server.address);
        assert_eq!(join_after(&mut behind, begin.plus(2)).gap, Gap::None);
    });
}

/// What a client has to catch up is no lag, and it holds no memory of its own.
#[test]
fn many_slow_clients_catch_up_with_more_than_the_lag_policy_allows() {
    let config = Config {
        lag_policy: LagPolicy {
            bytes_max: 4096,
            ..LagPolicy::default()
        },
        ..with_history(config(1))
    };
    let server = TestServer::start(config, keeping(1000));
    let texts = || (0..60).map(|n| format!("{n} {}", "x".repeat(10_000)));
    publish(&server, texts());
    let mut clients: Vec<Client> = (0..20)
        .map(|_| Client::open_narrow(server.address))
        .collect();
    for client in &mut clients {
        client.text("latest 1000");
    }
    for client in &mut clients {
        assert!(client.read_text().starts_with("joined"));
        assert!(texts().eq(receive_texts(client, 60)));
    }
}

#[test]
fn client_that_does_not_read_what_comes_after_its_return_is_disconnected() {
    let config = Config {
        lag_policy: LagPolicy {
            bytes_max: 1 << 16,
            publisher_wait_max: std::time::Duration::ZERO,
            ..LagPolicy::default()
        },
        ..with_history(config(1))
    };
    let server = TestServer::start(config, keeping(1000));
    let large = "x".repeat(30_000);
    publish(&server, (0..30).map(|_| large.clone()));
    let mut slow = Client::open_narrow(server.address);
    slow.text("latest 1000");
    // More than the buffers of its socket take.
    publish(&server, (0..400).map(|_| large.clone()));
    assert_eq!(slow.read_until_close().0, CloseCode::TRY_AGAIN_LATER.get());
}

#[test]
fn clients_that_come_back_at_once_get_every_message_once() {
    const CLIENTS: usize = 300;
    let workers = NonZeroUsize::new(3).expect("not zero");
    let config = Config {
        workers,
        ..with_history(config(3))
    };
    let server = TestServer::start(config, keeping(1000));
    let begin = join(&mut Client::open(server.address), "latest 0").position;
    publish(&server, (0..200).map(|n| n.to_string()));
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::open(server.address)).collect();
    for client in &mut clients {
        client.text(&format!("after {}", begin.plus(100)));
    }
    for client in &mut clients {
        assert!(client.read_text().ends_with(" 100 None"));
        let texts = receive_texts(client, 100);
        assert!((100..200).map(|n| n.to_string()).eq(texts));
    }
}
