//! Rooms of a backplane: two servers share an engine, which a test simulates. The contract is in `docs/history.md` and in the docs of
//! `Backplane`: one order at all nodes, no hole without a notice, no duplicate, each publication answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use yamabiko::server::{
    Admission, Backplane, BackplaneConfig, BackplaneNode, BackplanePublication, BackplaneState,
    Config, Context, DeflateConfig, GapNotice, Handler, HistoryLimits, Message, NotJoined,
    NotPublished, OwnedMessage, Position, Published, Refusal, Replay, Replayed, RoomHistory,
    Upgrade,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::engine::{Faults, SimulatedEngine};
use yamabiko_testing::socket::{
    Client, LOOP_TIMEOUT, TIMEOUT, TestServer, config, eventually, frame,
};

const ROOM: &str = "shared";

/// A client chooses by its texts what the handler does with the room.
struct Commands {
    history: Option<RoomHistory>,
    /// Subscribers get a message where messages are missing. Otherwise the default is done.
    tells_gaps: bool,
}

impl Handler for Commands {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn history(&self, _: &str) -> Option<RoomHistory> {
        self.history
    }

    /// Rooms whose names begin with `own` are of this server alone.
    fn shares(&self, room: &str) -> bool {
        !room.starts_with("own")
    }

    fn numbered(&self, _: &str, at: Position, message: Message<'_>) -> Option<OwnedMessage> {
        let text = message.as_text()?;
        Some(OwnedMessage::Text(format!("{at} {text}")))
    }

    fn gap(&self, _: &str, position: Position) -> GapNotice {
        match self.tells_gaps {
            true => GapNotice::Message(OwnedMessage::Text(format!("gap {position}"))),
            false => GapNotice::Disconnect,
        }
    }

    fn message(&self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        match command {
            "latest" => {
                context.join_from(ROOM, Replay::Latest(rest.parse().expect("a number")));
            }
            "after" => {
                context.join_from(ROOM, Replay::After(rest.parse().expect("a position")));
            }
            "join" => {
                context.join(rest);
                context.send("joined").expect("it is open");
            }
            "leave" => context.leave(ROOM),
            "acknowledged" => {
                let (number, text) = rest.split_once(' ').expect("a number and a text");
                context.publish_acknowledged(ROOM, text, number.parse().expect("a number"));
            }
            "acknowledged-in" => {
                let (room, text) = rest.split_once(' ').expect("a room and a text");
                context.publish_acknowledged(room, text, 1);
            }
            "except" => context.publish_except(ROOM, rest),
            "join-and-publish" => {
                context.join(ROOM);
                context.publish(ROOM, rest);
            }
            _ => context.publish(ROOM, rest),
        }
    }

    fn joined(
        &self,
        _: &mut (),
        _: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
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

    fn published(
        &self,
        _: &mut (),
        _: &str,
        number: Option<u64>,
        published: Result<Published, NotPublished>,
        context: &mut Context<'_>,
    ) {
        let number = number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let report = match published {
            Ok(Published { position, .. }) => {
                let position = position.map_or_else(|| "-".to_owned(), |at| at.to_string());
                format!("published {number} {position}")
            }
            Err(error) => format!("refused {number} {error:?}"),
        };
        context.send(report).expect("it is open");
    }
}

/// Keeps all messages of a test.
fn commands() -> Commands {
    Commands {
        history: Some(RoomHistory {
            messages_max: 100_000,
            bytes_max: 64 << 20,
            age_max: None,
        }),
        tells_gaps: true,
    }
}

fn on(backplane: BackplaneConfig, config: Config) -> Config {
    Config {
        history: Some(HistoryLimits::default()),
        backplane: Some(backplane),
        ..config
    }
}

/// Two servers on one engine, one with one worker and one with three.
fn two_nodes(engine: &SimulatedEngine) -> [TestServer; 2] {
    [1, 3].map(|workers| TestServer::start(on(engine.node(), config(workers)), commands()))
}

fn open(server: &TestServer) -> Client {
    Client::open(server.address)
}

/// A subscriber that begins at the end of the room.
fn subscriber(server: &TestServer) -> Client {
    let mut client = open(server);
    client.text("latest 0");
    let report = client.read_text();
    assert!(report.starts_with("joined "), "{report}");
    client
}

/// The next message: its position and its text.
fn receive(client: &mut Client) -> (Position, String) {
    let message = client.read_text();
    let (position, text) = message.split_once(' ').expect("a position");
    (position.parse().expect(&message), text.to_owned())
}

fn receive_texts(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| receive(client).1).collect()
}

/// Publishes a message, and waits until the engine has it.
fn publish(client: &mut Client, text: &str) -> Position {
    client.text(&format!("acknowledged 1 {text}"));
    let report = client.read_text();
    let position = report.strip_prefix("published 1 ").expect(&report);
    position.parse().expect("a position")
}

#[test]
fn subscribers_of_all_nodes_get_the_messages_of_all_nodes_in_one_order() {
    let engine = SimulatedEngine::start(1);
    let nodes = two_nodes(&engine);
    let mut subscribers: Vec<Client> = nodes.iter().map(subscriber).collect();
    thread::scope(|scope| {
        for (number, node) in nodes.iter().enumerate() {
            scope.spawn(move || {
                let mut client = open(node);
                for text in 0..100 {
                    publish(&mut client, &format!("{number}:{text}"));
                }
            });
        }
    });
    let logs = subscribers.iter_mut().map(|client| {
        let messages = (0..200).map(|_| receive(client));
        messages.collect::<Vec<_>>()
    });
    let logs: Vec<_> = logs.collect();
    assert_eq!(logs[0], logs[1]);
    let ordered = engine.ordered(ROOM).into_iter();
    let ordered = ordered.map(|(at, text)| (at, String::from_utf8(text).expect("a text")));
    assert_eq!(logs[0], ordered.collect::<Vec<_>>());
    for number in 0..2 {
        let own = logs[0].iter().filter_map(|(_, text)| {
            let (publisher, text) = text.split_once(':')?;
            (publisher == number.to_string()).then(|| text.parse::<u64>().expect("a number"))
        });
        assert!(
            own.is_sorted(),
            "the messages of node {number} keep their order"
        );
    }
}

#[test]
fn client_resumes_at_another_node_without_a_gap_or_a_duplicate() {
    let engine = SimulatedEngine::start(2);
    let [one, other] = two_nodes(&engine);
    let mut publisher = open(&one);
    let mut client = subscriber(&one);
    publish(&mut publisher, "first");
    let (position, _) = receive(&mut client);
    drop(client);
    publish(&mut publisher, "second");
    publish(&mut publisher, "third");
    let mut client = open(&other);
    client.text(&format!("after {position}"));
    assert_eq!(client.read_text(), format!("joined {position} 2 None"));
    assert_eq!(receive_texts(&mut client, 2), ["second", "third"]);
    publish(&mut publisher, "fourth");
    assert_eq!(receive_texts(&mut client, 1), ["fourth"]);
}

#[test]
fn client_that_joins_and_publishes_at_once_gets_its_own_message() {
    for seed in 3..13 {
        let engine = SimulatedEngine::start(seed);
        for node in two_nodes(&engine) {
            let mut client = open(&node);
            client.text("join-and-publish mine");
            assert_eq!(receive(&mut client).1, "mine");
        }
    }
}

#[test]
fn publisher_is_told_that_the_engine_has_its_message_or_has_refused_it() {
    let engine = SimulatedEngine::start(3);
    for node in two_nodes(&engine) {
        let mut client = open(&node);
        let position = publish(&mut client, "kept");
        let last = engine.ordered(ROOM).pop().expect("a message");
        assert_eq!(last, (position, b"kept".to_vec()));
        let receipt = node.publisher.publish_acknowledged(ROOM, "of a thread");
        let published = receipt
            .expect("it is not behind")
            .wait()
            .expect("published");
        assert_eq!(published.position, Some(position.plus(1)));

        engine.set_gone(true);
        client.text("acknowledged 2 too late");
        assert_eq!(client.read_text(), "refused 2 BackplaneGone");
        client.text("plain too late");
        assert_eq!(client.read_text(), "refused - BackplaneGone");
        let receipt = node.publisher.publish_acknowledged(ROOM, "too late");
        let published = receipt.expect("it is not behind").wait();
        assert_eq!(published, Err(NotPublished::BackplaneGone));
        let counted = node.publisher.publish_counted(ROOM, "how many?");
        assert!(matches!(counted, Err(NotPublished::Uncounted)));
        engine.set_gone(false);
    }
}

#[test]
fn publisher_is_told_in_rooms_of_one_server_too() {
    for workers in [1, 3] {
        let with_history = Config {
            history: Some(HistoryLimits::default()),
            ..config(workers)
        };
        let server = TestServer::start(with_history, commands());
        let mut client = open(&server);
        let first = publish(&mut client, "one");
        assert_eq!(publish(&mut client, "two"), first.plus(1));
        let receipt = server.publisher.publish_acknowledged(ROOM, "three");
        let published = receipt
            .expect("it is not behind")
            .wait()
            .expect("published");
        assert_eq!(published.position, Some(first.plus(2)));

        let server = TestServer::start(config(workers), commands());
        let mut client = open(&server);
        client.text("acknowledged 7 not kept");
        assert_eq!(client.read_text(), "published 7 -");
    }
}

#[test]
fn room_that_the_handler_does_not_share_is_of_its_server_alone() {
    let engine = SimulatedEngine::start(4);
    let [one, other] = two_nodes(&engine);
    let mut subscribers = [&one, &other].map(|node| {
        let mut client = open(node);
        client.text("join own");
        assert_eq!(client.read_text(), "joined");
        client
    });
    for (node, subscriber) in [&one, &other].into_iter().zip(&mut subscribers) {
        let mut client = open(node);
        client.text("acknowledged-in own hello");
        let report = client.read_text();
        let position: Position = report
            .strip_prefix("published 1 ")
            .expect(&report)
            .parse()
            .expect("a position");
        assert_eq!(receive(subscriber), (position, "hello".to_owned()));
    }
    assert!(engine.ordered("own").is_empty());
    assert_eq!(engine.subscribers("own"), 0);
}

/// An engine of one server that can keep nothing.
struct Full;

impl Backplane for Full {
    fn start(&self, _: BackplaneNode) {}

    fn publish(&self, publication: BackplanePublication) {
        publication.refuse(NotPublished::BackplaneRefused);
    }

    fn subscribe(&self, _: &str, _: Option<RoomHistory>) {}

    fn unsubscribe(&self, _: &str) {}

    fn state(&self) -> BackplaneState {
        BackplaneState::ready()
    }

    fn is_shared(&self) -> bool {
        false
    }
}

#[test]
fn engine_of_one_server_gets_no_message_of_a_room_without_history() {
    let backplane = || BackplaneConfig::new(Arc::new(Full));
    for (history, report) in [
        (None, "published 1 -"),
        (commands().history, "refused 1 BackplaneRefused"),
    ] {
        let handler = Commands {
            history,
            ..commands()
        };
        let server = TestServer::start(on(backplane(), config(2)), handler);
        let mut client = open(&server);
        client.text("acknowledged-in hall hello");
        assert_eq!(client.read_text(), report);
    }
}

#[test]
fn publisher_that_is_excepted_gets_no_copy_and_all_others_do() {
    let engine = SimulatedEngine::start(5);
    let [one, other] = two_nodes(&engine);
    for (own, foreign) in [(&one, &other), (&other, &one)] {
        let mut publisher = subscriber(own);
        let mut others = [subscriber(own), subscriber(foreign)];
        publisher.text("except not to me");
        publisher.text("plain to all");
        for client in &mut others {
            assert_eq!(receive_texts(client, 2), ["not to me", "to all"]);
        }
        assert_eq!(receive_texts(&mut publisher, 1), ["to all"]);
    }
}

#[test]
fn node_subscribes_with_the_first_subscriber_and_unsubscribes_some_time_after_the_last() {
    let engine = SimulatedEngine::start(6);
    let nodes = [1, 3].map(|workers| {
        let backplane = BackplaneConfig {
            unsubscribe_after: Duration::from_millis(20),
            ..engine.node()
        };
        TestServer::start(on(backplane, config(workers)), commands())
    });
    publish(&mut open(&nodes[0]), "nobody listens");
    assert_eq!(engine.subscribers(ROOM), 0);
    let clients: Vec<_> = nodes
        .iter()
        .flat_map(|node| [subscriber(node), subscriber(node)])
        .collect();
    assert_eq!(engine.subscribers(ROOM), 2);
    drop(clients);
    eventually("both nodes unsubscribe", TIMEOUT, || {
        engine.subscribers(ROOM) == 0
    });
    // The same again: the room is loaded once more.
    let mut client = subscriber(&nodes[1]);
    publish(&mut open(&nodes[0]), "again");
    assert_eq!(receive_texts(&mut client, 1), ["again"]);
    let counts = nodes[1].handle.backplane_counts().expect("a backplane");
    assert_eq!((counts.rooms, counts.gaps), (1, 0));
}

#[test]
fn subscribers_are_told_of_a_gap_at_its_place_and_go_on_in_the_new_epoch() {
    let engine = SimulatedEngine::start(7);
    let nodes = two_nodes(&engine);
    let deflate = Config {
        deflate: Some(DeflateConfig::default()),
        ..config(3)
    };
    let third = TestServer::start(on(engine.node(), deflate), commands());
    let mut publisher = open(&nodes[0]);
    let mut clients: Vec<Client> = nodes.iter().chain([&third]).map(subscriber).collect();
    let before = publish(&mut publisher, "before");
    engine.restart(ROOM);
    let after = publish(&mut publisher, "after");
    assert_ne!(before.epoch(), after.epoch());
    for client in &mut clients {
        assert_eq!(receive(client), (before, "before".to_owned()));
        let notice = client.read_text();
        let position: Position = notice
            .strip_prefix("gap ")
            .expect(&notice)
            .parse()
            .expect("a position");
        assert_eq!(position.plus(1), after);
        assert_eq!(receive(client), (after, "after".to_owned()));
    }
    // A client that comes back with the old epoch is told.
    let mut client = open(&nodes[1]);
    client.text(&format!("after {before}"));
    let joined = client.read_text();
    assert!(joined.ends_with(" 1 OtherEpoch"), "{joined}");
    assert_eq!(receive(&mut client), (after, "after".to_owned()));
}

#[test]
fn without_a_notice_the_subscribers_of_a_room_with_a_gap_are_disconnected() {
    let engine = SimulatedEngine::start(8);
    let silent = Commands {
        tells_gaps: false,
        ..commands()
    };
    let server = TestServer::start(on(engine.node(), config(3)), silent);
    let mut clients: Vec<Client> = (0..5).map(|_| subscriber(&server)).collect();
    engine.restart(ROOM);
    for client in &mut clients {
        let (code, reason) = client.read_until_close();
        assert_eq!(
            (code, reason.as_str()),
            (1013, "messages of the room are missing")
        );
    }
}

#[test]
fn message_that_the_engine_delivers_twice_is_received_once() {
    let faults = Faults {
        doubled: 1,
        ..Faults::default()
    };
    let engine = SimulatedEngine::with_faults(9, faults);
    let nodes = two_nodes(&engine);
    let mut clients: Vec<Client> = nodes.iter().map(subscriber).collect();
    let mut publisher = open(&nodes[0]);
    for text in ["one", "two", "three"] {
        publish(&mut publisher, text);
    }
    for client in &mut clients {
        assert_eq!(receive_texts(client, 3), ["one", "two", "three"]);
    }
    eventually("all duplicates are dropped", TIMEOUT, || {
        let counts = nodes[1].handle.backplane_counts();
        counts.is_some_and(|counts| counts.duplicates == 3)
    });
}

#[test]
fn engine_that_is_gone_lets_members_stay_and_refuses_publications() {
    let engine = SimulatedEngine::start(10);
    for workers in [1, 3] {
        let server = TestServer::start(on(engine.node(), config(workers)), commands());
        let mut member = subscriber(&server);
        assert!(server.handle.is_ready());
        engine.set_gone(true);
        assert!(!server.handle.is_ready());
        let state = server.handle.backplane_state().expect("a backplane");
        assert_eq!(state.reason.as_deref(), Some("the test has stopped it"));
        member.text("plain into nothing");
        assert_eq!(member.read_text(), "refused - BackplaneGone");

        // The room is loaded already: a client can join it.
        let mut late = open(&server);
        late.text("latest 0");
        assert!(late.read_text().starts_with("joined "));
        engine.set_gone(false);
        assert!(server.handle.is_ready());
        let text = format!("healed {workers}");
        member.text(&format!("plain {text}"));
        assert_eq!(receive_texts(&mut member, 1), [text.as_str()]);
        assert_eq!(receive_texts(&mut late, 1), [text.as_str()]);
    }
}

#[test]
fn join_of_a_room_that_the_engine_does_not_load_fails_and_held_messages_are_refused() {
    let engine = SimulatedEngine::start(11);
    for workers in [1, 3] {
        let backplane = BackplaneConfig {
            load_timeout: Duration::from_millis(50),
            ..engine.node()
        };
        let server = TestServer::start(on(backplane, config(workers)), commands());
        engine.set_gone(true);
        let mut client = open(&server);
        client.text("latest 0");
        assert_eq!(client.read_text(), "refused NotLoaded");
        let mut member = open(&server);
        member.text("join-and-publish held");
        assert_eq!(member.read_text(), "refused - BackplaneGone");
        // The subscription begins when the engine is back.
        engine.set_gone(false);
        // A join that is too slow on a busy machine fails, and is tried again.
        eventually("a client can join again", TIMEOUT, || {
            let mut client = open(&server);
            client.text("latest 0");
            client.read_text().starts_with("joined ")
        });
        publish(&mut open(&server), "healed");
        assert_eq!(receive_texts(&mut member, 1), ["healed"]);
    }
}

#[test]
fn clients_are_not_read_while_the_engine_owes_too_many_answers() {
    const MESSAGES: usize = 20_000;
    let engine = SimulatedEngine::start(12);
    for workers in [1, 3] {
        let limited = Config {
            worker_backlog_bytes_max: 10_000,
            ..config(workers)
        };
        let server = TestServer::start(on(engine.node(), limited), commands());
        let mut client = open(&server);
        engine.pause();
        let before = engine.ordered(ROOM).len();
        let text = format!("plain {}", "x".repeat(1_000));
        let bytes = frame(Opcode::Text, text.as_bytes()).repeat(MESSAGES);
        let rest = client.write_until_refused(&bytes);
        assert!(!rest.is_empty(), "the client is not read");
        let counts = server.handle.backplane_counts().expect("a backplane");
        assert!(counts.pending < 1_000, "{} messages wait", counts.pending);
        let mut of_thread = 0;
        eventually("threads are told", TIMEOUT, || {
            let published = server.publisher.publish(ROOM, "of a thread");
            of_thread += usize::from(published.is_ok());
            published == Err(NotPublished::BackplaneBehind)
        });
        engine.go_on();
        client.send(rest);
        eventually("the engine gets all messages", LOOP_TIMEOUT, || {
            engine.ordered(ROOM).len() == before + MESSAGES + of_thread
        });
    }
}

#[test]
fn engine_is_told_that_the_server_has_stopped() {
    let engine = SimulatedEngine::start(13);
    let mut server = TestServer::start(on(engine.node(), config(3)), commands());
    let member = subscriber(&server);
    assert_eq!(engine.stopped(), 0);
    server.shutdown();
    drop(member);
    server.join().expect("no panic").expect("no error");
    assert_eq!(engine.stopped(), 1);
}

/// What a client has received, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Message(Position, String),
    /// Messages are missing in front of this place.
    Gap(Position),
}

/// A client that comes back again and again, to any node, until it has received `end`.
fn follow(nodes: &[TestServer], seed: usize) -> Vec<Entry> {
    let (mut log, mut position, mut visits) = (Vec::new(), None::<Position>, seed);
    loop {
        visits += 1;
        let mut client = open(&nodes[visits % nodes.len()]);
        match position {
            None => client.text("latest 0"),
            Some(position) => client.text(&format!("after {position}")),
        }
        let joined = client.read_text();
        let parts: Vec<&str> = joined.split(' ').collect();
        let ["joined", at, _, gap] = parts[..] else {
            panic!("{joined}");
        };
        let mut at: Position = at.parse().expect("a position");
        match position {
            Some(position) if gap == "None" => assert_eq!(at, position),
            _ => log.push(Entry::Gap(at)),
        }
        for _ in 0..1 + visits * 7 % 40 {
            let message = client.read_text();
            let (first, text) = message.split_once(' ').expect("two parts");
            if first == "gap" {
                at = text.parse().expect("a position");
                log.push(Entry::Gap(at));
                continue;
            }
            at = first.parse().expect(&message);
            log.push(Entry::Message(at, text.to_owned()));
            if text == "end" {
                return log;
            }
        }
        position = Some(at);
    }
}

/// Each message follows the one before it, or a gap; none comes twice; each is as the engine has ordered it.
fn check(log: &[Entry], ordered: &BTreeMap<(u64, u64), String>) {
    let (mut place, mut seen) = (None::<Position>, BTreeSet::new());
    for entry in log {
        match entry {
            Entry::Gap(at) => place = Some(*at),
            Entry::Message(at, text) => {
                assert_eq!(
                    place.map(|place| place.plus(1)),
                    Some(*at),
                    "no hole without a notice"
                );
                let key = (at.epoch(), at.offset());
                assert!(seen.insert(key), "{at} came twice");
                assert_eq!(ordered.get(&key), Some(text), "{at}");
                place = Some(*at);
            }
        }
    }
}

/// Publishes from both nodes while clients come and go. Returns what the clients have received.
fn explore(seed: u64, faults: Faults) -> (SimulatedEngine, Vec<Vec<Entry>>) {
    const OF_EACH: usize = 150;
    let engine = SimulatedEngine::with_faults(seed, faults);
    let nodes = two_nodes(&engine);
    let logs = thread::scope(|scope| {
        let nodes = &nodes;
        let followers: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || follow(nodes, number)))
            .collect();
        let publishers: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn(move || {
                    let mut client = open(&nodes[number % 2]);
                    let mut acknowledged = Vec::new();
                    for text in 0..OF_EACH {
                        let text = format!("{number}:{text}");
                        client.text(&format!("acknowledged 1 {text}"));
                        let report = client.read_text();
                        if let Some(position) = report.strip_prefix("published 1 ") {
                            let position: Position = position.parse().expect("a position");
                            acknowledged.push((position, text.into_bytes()));
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        let acknowledged: Vec<_> = publishers
            .into_iter()
            .flat_map(|one| one.join().expect("no panic"))
            .collect();
        engine.set_faults(Faults::default());
        engine.reload();
        publish(&mut open(&nodes[0]), "end");
        let ordered: BTreeMap<_, _> = engine
            .ordered(ROOM)
            .into_iter()
            .map(|(at, text)| ((at.epoch(), at.offset()), text))
            .collect();
        for (at, text) in acknowledged {
            assert_eq!(
                ordered.get(&(at.epoch(), at.offset())),
                Some(&text),
                "acknowledged is ordered"
            );
        }
        followers
            .into_iter()
            .map(|one| one.join().expect("no panic"))
            .collect::<Vec<_>>()
    });
    let ordered = engine.ordered(ROOM).into_iter().map(|(at, text)| {
        (
            (at.epoch(), at.offset()),
            String::from_utf8(text).expect("a text"),
        )
    });
    let ordered: BTreeMap<_, _> = ordered.collect();
    logs.iter().for_each(|log| check(log, &ordered));
    (engine, logs)
}

#[test]
fn clients_that_come_back_to_any_node_have_the_log_of_the_engine() {
    for seed in 20..23 {
        let (engine, logs) = explore(seed, Faults::default());
        let ordered = engine.ordered(ROOM);
        for log in logs {
            let gaps = log.iter().filter(|entry| matches!(entry, Entry::Gap(_)));
            assert_eq!(gaps.count(), 1, "the place where it has begun");
            assert!(log.len() <= ordered.len() + 1);
        }
    }
}

#[test]
fn clients_have_the_log_of_the_engine_or_are_told_of_a_gap_whatever_the_engine_loses() {
    for seed in 30..36 {
        explore(
            seed,
            Faults {
                refused: 20,
                lost: 30,
                doubled: 10,
                reloaded: 25,
                restarted: 60,
            },
        );
    }
}
