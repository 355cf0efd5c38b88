//! Rooms: all subscribers receive the same sequence, on all workers.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use yamabiko::server::{Config, LagPolicy, Message};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Frame, PATIENCE, Running, eventually, frame, with_1_and_3_workers,
};

#[test]
fn message_reaches_every_subscriber_including_the_sender_and_nobody_else() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut members = server.member_of_each_worker(workers, "hall");
        let mut others = server.member_of_each_worker(workers, "garden");
        for sender in 0..workers {
            members[sender].text("/say hall in the hall");
            for member in &mut members {
                assert_eq!(member.read_text(), "in the hall");
            }
            // By a publisher.
            others[sender].text("/say hall at the door");
            for member in &mut members {
                assert_eq!(member.read_text(), "at the door");
            }
        }
        // The garden has received nothing before: the last message comes first.
        others[0].text("/say garden in the garden");
        for other in &mut others {
            assert_eq!(other.read_text(), "in the garden");
        }
    });
}

/// How many clients publish how many messages at once.
#[derive(Clone, Copy)]
struct Debate {
    publishers: usize,
    /// The messages of each publisher.
    publications: usize,
}

const SMALL_DEBATE: Debate = Debate {
    publishers: 6,
    publications: 200,
};

/// 200 subscribers receive 400 000 messages.
const LARGE_DEBATE: Debate = Debate {
    publishers: 10,
    publications: 200,
};
const LARGE_DEBATE_MEMBERS: usize = 200;

impl Debate {
    /// All publishers, the first of the members, send at once, as fast as they
    /// can. Returns what each member has received.
    fn hold(self, members: &mut [Client]) -> Vec<Vec<String>> {
        self.publish_from_all(members);
        let read_all = |member| self.read_conversation(member);
        members.iter_mut().map(read_all).collect()
    }

    fn publish_from_all(self, members: &mut [Client]) {
        let publishers = members[..self.publishers].iter_mut().enumerate();
        thread::scope(|scope| {
            for (publisher, client) in publishers {
                scope.spawn(move || {
                    for number in 0..self.publications {
                        client.text(&format!("/say hall {publisher} {number}"));
                    }
                });
            }
        });
    }

    fn read_conversation(self, member: &mut Client) -> Vec<String> {
        let words = 0..self.publishers * self.publications;
        words.map(|_| member.read_text()).collect()
    }

    /// Checks that all have received the same, each message once, and each publisher's
    /// messages in their order.
    fn expect_one_conversation(self, conversations: &[Vec<String>]) {
        for conversation in conversations {
            assert!(*conversation == conversations[0], "two members disagree");
        }
        let mut next = BTreeMap::<usize, usize>::new();
        for words in &conversations[0] {
            let (publisher, number) = words.split_once(' ').expect("two numbers");
            let publisher = publisher.parse().expect("a number");
            let expected = next.entry(publisher).or_default();
            assert_eq!(number.parse(), Ok(*expected), "publisher {publisher}");
            *expected += 1;
        }
        assert_eq!(next.len(), self.publishers);
        assert!(next.values().all(|count| *count == self.publications));
    }
}

#[test]
fn all_subscribers_on_all_workers_receive_all_messages_in_one_order() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        // Every worker serves one of the publishers.
        let mut members = server.member_of_each_worker(workers, "hall");
        members.extend(server.members(LARGE_DEBATE_MEMBERS - workers, "hall"));
        let conversations = LARGE_DEBATE.hold(&mut members);
        LARGE_DEBATE.expect_one_conversation(&conversations);
        // And nothing twice: the last message comes next.
        members[0].text("/say hall the end");
        for member in &mut members {
            assert_eq!(member.read_text(), "the end");
        }
    });
}

#[test]
fn workers_under_backpressure_lose_nothing_and_make_progress() {
    with_1_and_3_workers(|config| {
        for worker_backlog_bytes_max in [0, 4096] {
            let server = Running::start(Config {
                mailbox_capacity: 1,
                worker_backlog_bytes_max,
                ping_interval: None,
                ..config.clone()
            });
            let mut members = server.members(12, "hall");
            let conversations = SMALL_DEBATE.hold(&mut members);
            SMALL_DEBATE.expect_one_conversation(&conversations);
            // No client stays paused.
            for member in &mut members {
                member.text("still read");
                assert_eq!(member.read_text(), "still read");
            }
        }
    });
}

#[test]
fn messages_read_before_backpressure_are_delivered_in_order_up_to_the_close() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(Config {
            worker_backlog_bytes_max: 256,
            ..config
        });
        let mut members = server.member_of_each_worker(workers, "hall");
        for mut speaker in server
            .clients_of_each_worker(workers, 1)
            .into_iter()
            .flatten()
        {
            let mut wire = Vec::new();
            for number in 0..500 {
                let words = format!("/say hall {number} {}", "a".repeat(number % 100));
                wire.extend(frame(Opcode::Text, words.as_bytes()));
            }
            wire.extend(frame(Opcode::Close, &1000u16.to_be_bytes()));
            speaker.send(&wire);
            for member in &mut members {
                for number in 0..500 {
                    let words = format!("{number} {}", "a".repeat(number % 100));
                    assert_eq!(member.read_text(), words);
                }
            }
            assert_eq!(speaker.read_close(), (1000, String::new()));
            speaker.expect_end();
        }
    });
}

#[test]
fn publish_except_leaves_out_only_the_sender() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        // One of the workers owns the room; each is the sender's worker once.
        let mut members = server.member_of_each_worker(workers, "hall");
        members.extend(server.members(3, "hall"));
        let bystander = members.len() - 1;
        for sender in 0..members.len() {
            members[sender].text("/say-to-others hall first");
            members[sender].text("/say hall second");
            members[sender].text("/say-to-others hall third");
            members[sender].text("/say hall fourth");
            for (member, client) in members.iter_mut().enumerate() {
                let words = match member == sender {
                    true => &["second", "fourth"][..],
                    false => &["first", "second", "third", "fourth"],
                };
                for expected in words {
                    assert_eq!(client.read_text(), *expected, "{sender} to {member}");
                }
            }
        }
        // All get the message of a client that is not subscribed.
        let mut stranger = Client::open(server.address);
        stranger.text("/say-to-others hall from outside");
        assert_eq!(members[bystander].read_text(), "from outside");
    });
}

#[test]
fn connection_that_joins_twice_receives_each_message_once() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut member = server.members(1, "hall").remove(0);
        member.join("hall");
        member.text("/say hall one");
        member.text("/say hall two");
        assert_eq!(member.read_text(), "one");
        assert_eq!(member.read_text(), "two");
    });
}

#[test]
fn connection_that_left_receives_nothing_until_it_joins_again() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut witnesses = server.member_of_each_worker(workers, "hall");
        let mut member = server.members(1, "hall").remove(0);
        let say = |witnesses: &mut Vec<Client>, words: &str| {
            witnesses[0].text(&format!("/say hall {words}"));
            // Every worker has appended it then.
            for witness in witnesses {
                assert_eq!(witness.read_text(), words);
            }
        };
        say(&mut witnesses, "one");
        assert_eq!(member.read_text(), "one");
        member.text("/leave hall");
        assert_eq!(member.read_text(), "left");
        say(&mut witnesses, "two");
        member.text("/leave hall");
        assert_eq!(member.read_text(), "left");
        member.join("hall");
        say(&mut witnesses, "three");
        assert_eq!(member.read_text(), "three");
    });
}

#[test]
fn new_subscriber_does_not_receive_earlier_messages() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut witnesses = server.member_of_each_worker(workers, "hall");
        for round in 0..10 {
            let before = format!("before {round}");
            witnesses[round % workers].text(&format!("/say hall {before}"));
            for witness in &mut witnesses {
                assert_eq!(witness.read_text(), before);
            }
            let mut newcomer = server.members(1, "hall").remove(0);
            let after = format!("after {round}");
            newcomer.text(&format!("/say hall {after}"));
            assert_eq!(newcomer.read_text(), after);
            for witness in &mut witnesses {
                assert_eq!(witness.read_text(), after);
            }
        }
    });
}

#[test]
fn ended_connections_leave_the_room_to_the_others() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut members = server.members(9, "hall");
        for (number, mut leaver) in members.drain(3..).enumerate() {
            match number % 3 {
                0 => leaver.reset(),
                1 => drop(leaver),
                _ => {
                    leaver.close(1000, "");
                    leaver.read_until_close();
                    leaver.expect_end();
                }
            }
        }
        for _ in 0..6 {
            server.told_closed();
        }
        members[0].text("/say hall three are left");
        for member in &mut members {
            assert_eq!(member.read_text(), "three are left");
        }
    });
}

#[test]
fn room_can_be_joined_again_after_all_have_left() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        for round in 0..3 {
            let mut members = server.members(4, "hall");
            let hello = format!("hello {round}");
            members[round].text(&format!("/say hall {hello}"));
            for member in &mut members {
                // A message to the empty room may still be in flight
                // from another worker.
                let mut heard = member.read_text();
                while heard == "is anybody there?" {
                    heard = member.read_text();
                }
                assert_eq!(heard, hello);
                member.text("/leave hall");
                assert_eq!(member.read_text(), "left");
            }
            members[round].text("/say hall is anybody there?");
            members[round].text("no");
            assert_eq!(members[round].read_text(), "no");
        }
    });
}

#[test]
fn closed_can_publish_to_the_room() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut member = server.members(1, "hall").remove(0);
        let mut leaver = server.members(1, "hall").remove(0);
        leaver.text("/farewell hall");
        leaver.close(1000, "");
        // Its own subscription has ended before the message is published.
        leaver.read_close();
        leaver.expect_end();
        assert_eq!(member.read_text(), "someone has gone");
    });
}

#[test]
fn publisher_reaches_all_subscribers_in_the_same_order() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut members = server.member_of_each_worker(workers, "hall");
        for number in 0..100 {
            let words = format!("news {number}");
            eventually("room in the mailboxes", PATIENCE, || {
                let published = server.publisher.publish("hall", Message::Text(&words));
                published.is_ok()
            });
        }
        for member in &mut members {
            for number in 0..100 {
                assert_eq!(member.read_text(), format!("news {number}"));
            }
            // And clients are read again.
            member.text("thank you");
            assert_eq!(member.read_text(), "thank you");
            member.text("and once more");
            assert_eq!(member.read_text(), "and once more");
        }
    });
}

#[test]
fn subscriber_of_several_rooms_receives_each_room_in_order() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut members = server.members(8, "hall");
        for member in &mut members {
            member.join("garden");
        }
        for number in 0..100 {
            members[0].text(&format!("/say hall hall {number}"));
            members[1].text(&format!("/say garden garden {number}"));
        }
        for member in &mut members {
            let heard: Vec<_> = (0..200).map(|_| member.read_text()).collect();
            for room in ["hall", "garden"] {
                let words = heard.iter().filter(|words| words.starts_with(room));
                let expected = (0..100).map(|number| format!("{room} {number}"));
                assert!(words.cloned().eq(expected), "{room}");
            }
        }
    });
}

fn big_message(bytes: usize) -> Frame {
    Frame::new(Opcode::Binary, vec![0xda; bytes])
}

#[test]
fn big_messages_and_small_ones_arrive_whole_and_in_one_order() {
    with_1_and_3_workers(|config| {
        let server = Running::start(Config {
            backlog_bytes_max: 64 << 20,
            lag_policy: LagPolicy {
                bytes_max: 64 << 20,
                ..LagPolicy::default()
            },
            ..config
        });
        let mut members = server.members(9, "hall");
        let mut publishers: Vec<_> = (0..3).map(|_| Client::open(server.address)).collect();
        for number in 0..10 {
            for (publisher, client) in publishers.iter_mut().enumerate() {
                client.text(&format!("/say hall {publisher} {number}"));
                client.text("/say-bytes 30 hall");
                client.text("/say-bytes 2 hall");
            }
        }
        let read_all =
            |member: &mut Client| -> Vec<Frame> { (0..90).map(|_| member.read_frame()).collect() };
        let heard: Vec<Vec<Frame>> = thread::scope(|scope| {
            let readers: Vec<_> = members
                .iter_mut()
                .map(|member| scope.spawn(move || read_all(member)))
                .collect();
            let heard = readers.into_iter().map(|reader| reader.join());
            heard.map(|frames| frames.expect("whole frames")).collect()
        });
        for frames in &heard {
            assert!(*frames == heard[0], "two members disagree");
        }
        for size in [300_000, 20_000] {
            let big = heard[0].iter().filter(|frame| **frame == big_message(size));
            assert_eq!(big.count(), 30);
        }
        let texts = heard[0].iter().filter(|frame| frame.opcode == Opcode::Text);
        let of_first: Vec<_> = texts.filter(|frame| frame.payload[0] == b'0').collect();
        let expected: Vec<_> = (0..10).map(|n| Frame::text(&format!("0 {n}"))).collect();
        assert!(of_first.into_iter().eq(&expected));
    });
}

#[test]
fn message_published_just_before_the_publishers_close_is_delivered_to_the_others() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut member = server.members(1, "hall").remove(0);
        for _ in 0..10 {
            let mut publisher = Client::open(server.address);
            let mut wire = frame(Opcode::Text, b"/say hall last words");
            wire.extend_from_slice(&frame(Opcode::Close, &1000u16.to_be_bytes()));
            publisher.stream.write_all(&wire).expect("the server reads");
            assert_eq!(member.read_text(), "last words");
        }
    });
}
