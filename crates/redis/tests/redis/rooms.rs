//! Rooms of several nodes: one order, no message lost or doubled, and a client that comes back anywhere.

use std::thread;

use yamabiko::server::{Backplane, Position, RoomHistory};
use yamabiko_testing::redis::Redis;
use yamabiko_testing::socket::{TIMEOUT, eventually, joined};

use crate::node::{Node, Peer};

#[test]
fn subscribers_on_all_nodes_get_the_messages_of_all_nodes_in_one_order() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let nodes: Vec<Node> = (0..3).map(|_| Node::start(&redis.url())).collect();
    let mut members: Vec<Peer> = nodes.iter().map(|node| node.member("hall")).collect();
    const MESSAGES: usize = 200;
    let publishers: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(node, at)| {
            let mut client = at.client("hall");
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    client.text(&format!("{node} {number}"));
                }
                for _ in 0..MESSAGES {
                    assert!(client.line().starts_with("taken "));
                }
            })
        })
        .collect();
    let logs: Vec<_> = members
        .iter_mut()
        .map(|member| (0..3 * MESSAGES).map(|_| member.next()).collect::<Vec<_>>())
        .collect();
    publishers
        .into_iter()
        .for_each(|publisher| joined("a publisher", publisher));
    assert!(logs.iter().all(|log| *log == logs[0]), "one order");
    for (place, (position, _)) in (1..).zip(&logs[0]) {
        assert_eq!(position.offset(), place);
    }
    for node in 0..3 {
        let of_node = logs[0]
            .iter()
            .filter(|(_, text)| text.starts_with(&format!("{node} ")));
        let numbers: Vec<&str> = of_node.map(|(_, text)| &text[2..]).collect();
        let expected: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
        assert_eq!(
            numbers, expected,
            "the messages of one publisher keep their order"
        );
    }
}

/// They are in the log as single messages, and come to the nodes as one.
#[test]
fn messages_that_a_node_reads_together_are_published_together() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let (one, other) = (Node::start(&redis.url()), Node::start(&redis.url()));
    let (mut publisher, mut member) = (one.client("hall"), other.member("hall"));
    publisher.publish("first");
    const MESSAGES: usize = 500;
    redis.command("CONFIG RESETSTAT");
    let texts = || (0..MESSAGES).map(|number| number.to_string());
    publisher.texts_at_once(texts());
    assert_eq!(member.next().1, "first");
    assert_eq!(member.texts(MESSAGES), texts().collect::<Vec<_>>());
    let calls = redis.lines("INFO commandstats");
    let calls = |command: &str| -> usize {
        let name = format!("cmdstat_{command}:calls=");
        let line = calls.iter().find_map(|line| line.strip_prefix(&name));
        let number = line.and_then(|line| line.split(',').next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    assert_eq!(calls("xadd"), MESSAGES);
    // A read of the socket may end between two of them, and both nodes publish their beats.
    let published = calls("publish");
    assert!(published < MESSAGES / 5, "{published} publications");
}

#[test]
fn client_that_comes_back_to_another_node_gets_what_it_has_missed() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let (one, other) = (Node::start(&redis.url()), Node::start(&redis.url()));
    let mut publisher = one.client("hall");
    let first = publisher.publish("a");
    publisher.publish("b");
    let last = publisher.publish("c");
    // The other node has had no subscriber in the room.
    let mut back = other.client("hall");
    back.text(&format!("after {first}"));
    assert_eq!(back.line(), format!("joined {first} 2 None"));
    assert_eq!(back.texts(2), ["b", "c"]);
    assert_eq!(publisher.publish("d"), last.plus(1));
    assert_eq!(back.next(), (last.plus(1), "d".to_owned()));
}

/// What a client has got.
type Log = Vec<(Position, String)>;

/// One server after the other is replaced by a new one. Its clients go to the next server with the positions that they have.
#[test]
fn rolling_restart_loses_nothing_for_clients_that_come_back() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let mut nodes: Vec<Node> = (0..3).map(|_| Node::start(&redis.url())).collect();
    // The server of each client, the client, and what it has got.
    let mut clients: Vec<(usize, Peer, Log)> = (0..3)
        .map(|node| (node, nodes[node].member("hall"), Vec::new()))
        .collect();
    let mut sent = 0;
    for restarted in 0..3 {
        let next = (restarted + 1) % 3;
        let mut publisher = nodes[next].client("hall");
        let mut publish = |count| {
            (0..count).for_each(|number| {
                publisher.publish(&(sent + number).to_string());
            });
            sent += count;
        };
        publish(20);
        for (node, client, log) in &mut clients {
            // It has read some of it, and the rest is lost with its connection.
            (0..7).for_each(|_| log.push(client.next()));
            if *node == restarted {
                (*node, *client) = (next, nodes[next].client("hall"));
            }
        }
        nodes[restarted] = Node::start(&redis.url());
        publish(20);
        for (_, client, log) in clients.iter_mut().filter(|(node, ..)| *node == next) {
            let (last, _) = log.last().expect("some messages");
            client.text(&format!("after {last}"));
            let joined = client.answer();
            assert!(
                joined.ends_with(" None") || joined.contains("already"),
                "{joined}"
            );
        }
    }
    for (_, client, log) in &mut clients {
        while log.len() < sent {
            log.push(client.next());
        }
        let numbers = log.iter().map(|(_, text)| text.parse().expect("a number"));
        assert_eq!(
            numbers.collect::<Vec<usize>>(),
            (0..sent).collect::<Vec<_>>()
        );
    }
}

/// The node asks Redis where the room is, because it does not know the position: its members miss nothing meanwhile, and are told of
/// no gap.
#[test]
fn client_with_a_position_of_another_epoch_disturbs_no_member() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let (one, other) = (Node::start(&redis.url()), Node::start(&redis.url()));
    let (mut publisher, mut member) = (one.client("hall"), other.member("hall"));
    let first = publisher.publish("0");
    for number in 1..=50 {
        let mut stranger = other.client("hall");
        stranger.text("after 00000000000000ff-7");
        publisher.text(&number.to_string());
        assert!(stranger.line().ends_with("OtherEpoch"));
    }
    for number in 0..=50 {
        let expected = (first.plus(number), number.to_string());
        assert_eq!(member.next(), expected);
    }
}

#[test]
fn late_client_gets_the_newest_messages_also_on_a_node_that_was_started_later() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let one = Node::start(&redis.url());
    let mut publisher = one.client("hall");
    for number in 0..1100 {
        publisher.publish(&number.to_string());
    }
    let other = Node::start(&redis.url());
    let mut late = other.client("hall");
    late.text("latest 5000");
    let line = late.line();
    assert!(line.ends_with(" 1000 None"), "{line}");
    let expected: Vec<String> = (100..1100).map(|number| number.to_string()).collect();
    assert_eq!(late.texts(1000), expected);
}

#[test]
fn erased_message_is_gone_from_redis_and_its_place_stays() {
    let Some(redis) = Redis::start(&["--rdbcompression", "no"]) else {
        return;
    };
    let has_secret = |snapshot: &str| {
        redis.snapshot(snapshot);
        let bytes = std::fs::read(redis.folder().join(snapshot)).expect("a snapshot");
        bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes())
    };
    let one = Node::start(&redis.url());
    let mut publisher = one.client("hall");
    publisher.publish("one");
    let secret = publisher.publish(SECRET);
    let last = publisher.publish("three");
    assert!(has_secret("before.rdb"));
    // The publisher is told when Redis has done both.
    let erase = format!("erase {secret}");
    assert_eq!(publisher.publish(&erase), last.plus(1));
    assert!(!has_secret("after.rdb"));
    // A node that has never had the message, and one that has it.
    let other = Node::start(&redis.url());
    for node in [&one, &other] {
        let mut late = node.client("hall");
        late.text("latest 100");
        assert!(late.line().ends_with(" 4 None"));
        let texts = late.texts(4);
        let texts: Vec<&str> = texts.iter().map(|text| text.trim_end()).collect();
        assert_eq!(texts, ["one", "gone", "three", &erase]);
    }
    // The order goes on, also behind the erasure of a message that was never there.
    let mut another = other.client("hall");
    let nothing = secret.plus(1000);
    assert_eq!(another.publish(&format!("erase {nothing}")), last.plus(2));
    assert_eq!(another.publish("six"), last.plus(3));
}

/// It is written anew in several steps, while others publish and erase.
#[test]
fn message_of_a_long_log_is_erased_while_others_publish() {
    let Some(redis) = Redis::start(&["--rdbcompression", "no"]) else {
        return;
    };
    let history = RoomHistory {
        messages_max: 5000,
        ..RoomHistory::default()
    };
    let nodes: Vec<Node> = (0..2)
        .map(|_| Node::start_keeping(&redis.url(), history))
        .collect();
    let mut publisher = nodes[0].client("hall");
    let texts = (0..2600).map(|number| match number % 1200 {
        700 => SECRET,
        _ => "filler",
    });
    publisher.texts_at_once(texts.clone().map(str::to_owned));
    let places: Vec<Position> = (0..2600).map(|_| publisher.taken()).collect();
    let secrets = places.iter().zip(texts);
    let secrets = secrets.filter_map(|(place, text)| (text == SECRET).then_some(*place));
    let secrets: Vec<Position> = secrets.collect();
    // Each node erases one of them at the same time, and others publish meanwhile.
    let mut erasing: Vec<Peer> = nodes.iter().map(|node| node.client("hall")).collect();
    for (client, place) in erasing.iter_mut().zip(&secrets) {
        client.text(&format!("erase {place}"));
    }
    for _ in 0..50 {
        publisher.publish("meanwhile");
    }
    for client in &mut erasing {
        client.taken();
    }
    redis.snapshot("after.rdb");
    let bytes = std::fs::read(redis.folder().join("after.rdb")).expect("a snapshot");
    let mut parts = bytes.windows(SECRET.len());
    assert!(!parts.any(|part| part == SECRET.as_bytes()));
    // Nothing else is gone.
    let total = 2600 + 50 + 2;
    let late = Node::start_keeping(&redis.url(), history);
    let mut late = late.client("hall");
    late.text("latest 5000");
    let line = late.line();
    assert!(line.ends_with(&format!(" {total} None")), "{line}");
    let texts = late.texts(total);
    let count = |what: &str| texts.iter().filter(|text| text.trim_end() == what).count();
    let counts = [count("filler"), count("gone"), count("meanwhile")];
    assert_eq!(counts, [2598, 2, 50]);
    let keys = redis.command("KEYS yamabiko:erase:*");
    assert!(!keys.contains("hall"), "{keys}");
}

const SECRET: &str = "a secret that somebody has written by mistake";

#[test]
fn publisher_is_left_out_on_its_own_node_alone() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let (one, other) = (Node::start(&redis.url()), Node::start(&redis.url()));
    let mut publisher = one.member("hall");
    let (mut near, mut far) = (one.member("hall"), other.member("hall"));
    publisher.text("others first");
    assert_eq!(near.texts(1), ["first"]);
    let second = near.publish("second");
    assert_eq!(far.texts(2), ["first", "second"]);
    assert_eq!(publisher.next(), (second, "second".to_owned()));
}

#[test]
fn rooms_are_subscribed_to_with_their_first_subscriber_and_left_after_the_last() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let node = Node::start(&redis.url());
    assert_eq!(redis.number("PUBLISH yamabiko:room:/hall x"), 0);
    let member = node.member("hall");
    assert_eq!(redis.number("PUBLISH yamabiko:room:/hall x"), 1);
    drop(member);
    eventually("the node has left the room", TIMEOUT, || {
        redis.number("PUBLISH yamabiko:room:/hall x") == 0
    });
    // It comes back.
    let mut member = node.member("hall");
    member.publish("again");
}

#[test]
fn nodes_with_different_prefixes_share_nothing() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let one = Node::start(&redis.url());
    let mut settings = yamabiko_redis::RedisSettings::new(redis.url().parse().expect("a URL"));
    settings.prefix = "other".to_owned();
    let other = Node::start_with(settings, 1);
    other.is_ready();
    let (mut here, mut there) = (one.member("hall"), other.member("hall"));
    here.publish("here");
    there.publish("there");
    assert_eq!(here.texts(1), ["here"]);
    assert_eq!(there.texts(1), ["there"]);
}

#[test]
fn data_of_another_program_on_a_channel_is_not_delivered() {
    let Some(redis) = Redis::start(&[]) else {
        return;
    };
    let node = Node::start(&redis.url());
    let mut member = node.member("hall");
    assert_eq!(redis.number("PUBLISH yamabiko:room:/hall nonsense"), 1);
    member.publish("sense");
    eventually("the malformed message is counted", TIMEOUT, || {
        node.backplane.counts().malformed == 1
    });
}
