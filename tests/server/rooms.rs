//! Rooms: all subscribers receive the same sequence, on all workers.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use yamabiko::server::{Config, LagPolicy, Message};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, Frame, Running, TIMEOUT, eventually, frame, with_1_and_3_workers,
};

#[test]
fn message_reaches_every_subscriber_including_the_sender_and_no_other_client() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut subscribers = server.subscriber_of_each_worker(workers, "hall");
        let mut others = server.subscriber_of_each_worker(workers, "garden");
        for sender in 0..workers {
            subscribers[sender].text("/publish hall in the hall");
            for subscriber in &mut subscribers {
                assert_eq!(subscriber.read_text(), "in the hall");
            }
            // From a client that is not subscribed.
            others[sender].text("/publish hall at the door");
            for subscriber in &mut subscribers {
                assert_eq!(subscriber.read_text(), "at the door");
            }
        }
        // The garden has received nothing before: the last message comes first.
        others[0].text("/publish garden in the garden");
        for other in &mut others {
            assert_eq!(other.read_text(), "in the garden");
        }
    });
}

/// The number of clients that publish at once, and the number of their messages.
#[derive(Clone, Copy)]
struct Workload {
    publishers: usize,
    /// The number of messages of each publisher.
    publications: usize,
}

const SMALL_WORKLOAD: Workload = Workload {
    publishers: 6,
    publications: 200,
};

/// 200 subscribers receive 400 000 messages.
const LARGE_WORKLOAD: Workload = Workload {
    publishers: 10,
    publications: 200,
};
const LARGE_WORKLOAD_SUBSCRIBERS: usize = 200;

impl Workload {
    /// The first subscribers publish at once, as fast as they can. Returns the texts that each
    /// subscriber has received.
    fn run(self, subscribers: &mut [Client]) -> Vec<Vec<String>> {
        self.publish_from_all(subscribers);
        let read = |subscriber| self.read_all(subscriber);
        subscribers.iter_mut().map(read).collect()
    }

    fn publish_from_all(self, subscribers: &mut [Client]) {
        let publishers = subscribers[..self.publishers].iter_mut().enumerate();
        thread::scope(|scope| {
            for (publisher, client) in publishers {
                scope.spawn(move || {
                    for number in 0..self.publications {
                        client.text(&format!("/publish hall {publisher} {number}"));
                    }
                });
            }
        });
    }

    fn read_all(self, subscriber: &mut Client) -> Vec<String> {
        let numbers = 0..self.publishers * self.publications;
        numbers.map(|_| subscriber.read_text()).collect()
    }

    /// Checks that all subscribers have received the same sequence, each message once, and each
    /// publisher's messages in their order.
    fn expect_one_order(self, received: &[Vec<String>]) {
        for texts in received {
            assert!(*texts == received[0], "two subscribers disagree");
        }
        let mut next = BTreeMap::<usize, usize>::new();
        for text in &received[0] {
            let (publisher, number) = text.split_once(' ').expect("two numbers");
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
        let mut subscribers = server.subscriber_of_each_worker(workers, "hall");
        subscribers.extend(server.subscribers(LARGE_WORKLOAD_SUBSCRIBERS - workers, "hall"));
        let received = LARGE_WORKLOAD.run(&mut subscribers);
        LARGE_WORKLOAD.expect_one_order(&received);
        // No message is received twice: this message is the next one.
        subscribers[0].text("/publish hall the end");
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.read_text(), "the end");
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
            let mut subscribers = server.subscribers(12, "hall");
            let received = SMALL_WORKLOAD.run(&mut subscribers);
            SMALL_WORKLOAD.expect_one_order(&received);
            // No client stays paused.
            for subscriber in &mut subscribers {
                subscriber.text("still read");
                assert_eq!(subscriber.read_text(), "still read");
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
        let mut subscribers = server.subscriber_of_each_worker(workers, "hall");
        for mut publisher in server
            .clients_of_each_worker(workers, 1)
            .into_iter()
            .flatten()
        {
            let mut wire = Vec::new();
            for number in 0..500 {
                let command = format!("/publish hall {number} {}", "a".repeat(number % 100));
                wire.extend(frame(Opcode::Text, command.as_bytes()));
            }
            wire.extend(frame(Opcode::Close, &1000u16.to_be_bytes()));
            publisher.send(&wire);
            for subscriber in &mut subscribers {
                for number in 0..500 {
                    let text = format!("{number} {}", "a".repeat(number % 100));
                    assert_eq!(subscriber.read_text(), text);
                }
            }
            assert_eq!(publisher.read_close(), (1000, String::new()));
            publisher.expect_end();
        }
    });
}

#[test]
fn publish_except_leaves_out_only_the_sender() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        // One of the workers owns the room; each is the sender's worker once.
        let mut subscribers = server.subscriber_of_each_worker(workers, "hall");
        subscribers.extend(server.subscribers(3, "hall"));
        let bystander = subscribers.len() - 1;
        for sender in 0..subscribers.len() {
            subscribers[sender].text("/publish-except hall first");
            subscribers[sender].text("/publish hall second");
            subscribers[sender].text("/publish-except hall third");
            subscribers[sender].text("/publish hall fourth");
            for (subscriber, client) in subscribers.iter_mut().enumerate() {
                let texts = match subscriber == sender {
                    true => &["second", "fourth"][..],
                    false => &["first", "second", "third", "fourth"],
                };
                for expected in texts {
                    assert_eq!(client.read_text(), *expected, "{sender} to {subscriber}");
                }
            }
        }
        // All get the message of a client that is not subscribed.
        let mut stranger = Client::open(server.address);
        stranger.text("/publish-except hall from outside");
        assert_eq!(subscribers[bystander].read_text(), "from outside");
    });
}

#[test]
fn connection_that_joins_twice_receives_each_message_once() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut subscriber = server.subscribers(1, "hall").remove(0);
        subscriber.join("hall");
        subscriber.text("/publish hall one");
        subscriber.text("/publish hall two");
        assert_eq!(subscriber.read_text(), "one");
        assert_eq!(subscriber.read_text(), "two");
    });
}

#[test]
fn connection_that_left_receives_nothing_until_it_joins_again() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut witnesses = server.subscriber_of_each_worker(workers, "hall");
        let mut subscriber = server.subscribers(1, "hall").remove(0);
        let publish = |witnesses: &mut Vec<Client>, text: &str| {
            witnesses[0].text(&format!("/publish hall {text}"));
            // After that, every worker has appended it.
            for witness in witnesses {
                assert_eq!(witness.read_text(), text);
            }
        };
        publish(&mut witnesses, "one");
        assert_eq!(subscriber.read_text(), "one");
        subscriber.text("/leave hall");
        assert_eq!(subscriber.read_text(), "left");
        publish(&mut witnesses, "two");
        subscriber.text("/leave hall");
        assert_eq!(subscriber.read_text(), "left");
        subscriber.join("hall");
        publish(&mut witnesses, "three");
        assert_eq!(subscriber.read_text(), "three");
    });
}

#[test]
fn new_subscriber_does_not_receive_earlier_messages() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut witnesses = server.subscriber_of_each_worker(workers, "hall");
        for round in 0..10 {
            let before = format!("before {round}");
            witnesses[round % workers].text(&format!("/publish hall {before}"));
            for witness in &mut witnesses {
                assert_eq!(witness.read_text(), before);
            }
            let mut newcomer = server.subscribers(1, "hall").remove(0);
            let after = format!("after {round}");
            newcomer.text(&format!("/publish hall {after}"));
            assert_eq!(newcomer.read_text(), after);
            for witness in &mut witnesses {
                assert_eq!(witness.read_text(), after);
            }
        }
    });
}

#[test]
fn room_serves_the_other_subscribers_after_some_connections_have_ended() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut subscribers = server.subscribers(9, "hall");
        for (number, mut leaver) in subscribers.drain(3..).enumerate() {
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
            server.next_closed();
        }
        subscribers[0].text("/publish hall three are left");
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.read_text(), "three are left");
        }
    });
}

#[test]
fn room_can_be_joined_again_after_all_have_left() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        for round in 0..3 {
            let mut subscribers = server.subscribers(4, "hall");
            let hello = format!("hello {round}");
            subscribers[round].text(&format!("/publish hall {hello}"));
            for subscriber in &mut subscribers {
                // A message to the empty room may still be in flight
                // from another worker.
                let mut received = subscriber.read_text();
                while received == "to an empty room" {
                    received = subscriber.read_text();
                }
                assert_eq!(received, hello);
                subscriber.text("/leave hall");
                assert_eq!(subscriber.read_text(), "left");
            }
            subscribers[round].text("/publish hall to an empty room");
            subscribers[round].text("no");
            assert_eq!(subscribers[round].read_text(), "no");
        }
    });
}

#[test]
fn closed_can_publish_to_the_room() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut subscriber = server.subscribers(1, "hall").remove(0);
        let mut leaver = server.subscribers(1, "hall").remove(0);
        leaver.text("/publish-when-closed hall");
        leaver.close(1000, "");
        // Its own subscription has ended before the message is published.
        leaver.read_close();
        leaver.expect_end();
        assert_eq!(subscriber.read_text(), "someone has left");
    });
}

#[test]
fn publisher_reaches_all_subscribers_in_the_same_order() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let server = Running::start(config);
        let mut subscribers = server.subscriber_of_each_worker(workers, "hall");
        for number in 0..100 {
            let text = format!("news {number}");
            eventually("room in the mailboxes", TIMEOUT, || {
                let published = server.publisher.publish("hall", Message::Text(&text));
                published.is_ok()
            });
        }
        for subscriber in &mut subscribers {
            for number in 0..100 {
                assert_eq!(subscriber.read_text(), format!("news {number}"));
            }
            // Clients are read again.
            subscriber.text("thank you");
            assert_eq!(subscriber.read_text(), "thank you");
            subscriber.text("and once more");
            assert_eq!(subscriber.read_text(), "and once more");
        }
    });
}

#[test]
fn subscriber_of_several_rooms_receives_each_room_in_order() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut subscribers = server.subscribers(8, "hall");
        for subscriber in &mut subscribers {
            subscriber.join("garden");
        }
        for number in 0..100 {
            subscribers[0].text(&format!("/publish hall hall {number}"));
            subscribers[1].text(&format!("/publish garden garden {number}"));
        }
        for subscriber in &mut subscribers {
            let received: Vec<_> = (0..200).map(|_| subscriber.read_text()).collect();
            for room in ["hall", "garden"] {
                let texts = received.iter().filter(|text| text.starts_with(room));
                let expected = (0..100).map(|number| format!("{room} {number}"));
                assert!(texts.cloned().eq(expected), "{room}");
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
        let mut subscribers = server.subscribers(9, "hall");
        let mut publishers: Vec<_> = (0..3).map(|_| Client::open(server.address)).collect();
        for number in 0..10 {
            for (publisher, client) in publishers.iter_mut().enumerate() {
                client.text(&format!("/publish hall {publisher} {number}"));
                client.text("/publish-bytes 30 hall");
                client.text("/publish-bytes 2 hall");
            }
        }
        let read_all = |subscriber: &mut Client| -> Vec<Frame> {
            (0..90).map(|_| subscriber.read_frame()).collect()
        };
        let received: Vec<Vec<Frame>> = thread::scope(|scope| {
            let readers: Vec<_> = subscribers
                .iter_mut()
                .map(|subscriber| scope.spawn(move || read_all(subscriber)))
                .collect();
            let results = readers.into_iter().map(|reader| reader.join());
            results
                .map(|frames| frames.expect("whole frames"))
                .collect()
        });
        for frames in &received {
            assert!(*frames == received[0], "two subscribers disagree");
        }
        for size in [300_000, 20_000] {
            let big = received[0]
                .iter()
                .filter(|frame| **frame == big_message(size));
            assert_eq!(big.count(), 30);
        }
        let texts = received[0]
            .iter()
            .filter(|frame| frame.opcode == Opcode::Text);
        let of_first: Vec<_> = texts.filter(|frame| frame.payload[0] == b'0').collect();
        let expected: Vec<_> = (0..10).map(|n| Frame::text(&format!("0 {n}"))).collect();
        assert!(of_first.into_iter().eq(&expected));
    });
}

#[test]
fn message_published_just_before_the_publishers_close_is_delivered_to_the_others() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut subscriber = server.subscribers(1, "hall").remove(0);
        for _ in 0..10 {
            let mut publisher = Client::open(server.address);
            let mut wire = frame(Opcode::Text, b"/publish hall last message");
            wire.extend_from_slice(&frame(Opcode::Close, &1000u16.to_be_bytes()));
            publisher.stream.write_all(&wire).expect("the server reads");
            assert_eq!(subscriber.read_text(), "last message");
        }
    });
}
