//! Places in the order of a room: messages that are published under a lock, marks, and what a [`Publisher`] does from outside.

use std::sync::{Arc, Mutex};
use yamabiko::server::{
    Admission, CloseCode, Config, ConnectionId, Context, Handler, Message, Origins, Publication,
    Publisher, Refusal, RequestHead, Server, Upgrade,
};
use yamabiko_testing::socket::{Client, TestServer, config, upgrade, with_1_and_3_workers};

const ROOM: &str = "sum";

/// Each client gets the sum at first, then each number that any client adds.
#[derive(Default)]
struct Sum {
    sum: Mutex<i64>,
}

impl Handler for Sum {
    type Session = i64;

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<i64>, Refusal> {
        Ok(Admission::new(0))
    }

    fn opened(&self, at_mark: &mut i64, context: &mut Context<'_>) {
        let sum = self.sum.lock().expect("no panic");
        *at_mark = *sum;
        context.mark_order(ROOM, 7);
    }

    fn order_reached(&self, at_mark: &mut i64, room: &str, number: u64, context: &mut Context<'_>) {
        assert_eq!((room, number), (ROOM, 7));
        context.join(room);
        context.send(format!("={at_mark}")).expect("it is open");
    }

    fn message(&self, _: &mut i64, message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        let mut sum = self.sum.lock().expect("no panic");
        *sum += text.parse::<i64>().expect("a number");
        context.publish_ordered(ROOM, message);
    }
}

#[test]
fn subscriber_gets_the_state_at_its_mark_and_every_later_change_once() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(config, Sum::default());
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let mut client = Client::open(server.address);
                        let sum = client.read_text();
                        let mut known: i64 = sum[1..].parse().expect("a number");
                        // The state and the changes are in one order: the first number that is not in the sum
                        // continues it, because every client adds 1.
                        client.text("1");
                        let mut numbers = 0;
                        while numbers < 3 {
                            known += client.read_text().parse::<i64>().expect("a number");
                            numbers += 1;
                            client.text("1");
                        }
                        assert!(known >= numbers);
                        // Without it a reset could overtake the last message.
                        client.close(1000, "");
                        client.read_until_close();
                    }
                });
            }
        });
        let mut last = Client::open(server.address);
        // 60 clients have added 4 each.
        assert_eq!(last.read_text(), "=240");
    });
}

/// All subscribers know the same sum after the same number of changes.
#[test]
fn changes_arrive_in_the_order_in_which_they_were_made() {
    with_1_and_3_workers(|config| {
        let server = TestServer::start(config, Sum::default());
        let mut subscribers: Vec<_> = (0..4).map(|_| Client::open(server.address)).collect();
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.read_text(), "=0");
        }
        std::thread::scope(|scope| {
            for start in [0, 1000, 2000] {
                let server = &server;
                scope.spawn(move || {
                    let mut client = Client::open(server.address);
                    (0..50).for_each(|number| client.text(&(start + number).to_string()));
                    // All of its messages have come back.
                    let mut own = 0;
                    while own < 50 {
                        let text = client.read_text();
                        let number = text.parse::<i64>();
                        own += i64::from(number.is_ok_and(|number| number / 1000 * 1000 == start));
                    }
                });
            }
        });
        let sequences: Vec<Vec<String>> = subscribers
            .iter_mut()
            .map(|subscriber| (0..150).map(|_| subscriber.read_text()).collect())
            .collect();
        for sequence in &sequences {
            assert_eq!(sequence, &sequences[0]);
        }
    });
}

/// Clients join the rooms, and get their connection's number in a table.
#[derive(Default)]
struct Reached {
    connections: Table,
}

type Table = Arc<Mutex<Vec<ConnectionId>>>;

impl Handler for Reached {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn opened(&self, _: &mut (), context: &mut Context<'_>) {
        context.join("all");
        context.join("other");
        let mut connections = self.connections.lock().expect("no panic");
        context
            .send(connections.len().to_string())
            .expect("it is open");
        connections.push(context.id());
    }

    fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}

    fn origins(&self, request: &RequestHead<'_>) -> Option<Origins> {
        (request.path() == "/any").then_some(Origins::Any)
    }
}

/// A server, and the table of its connections.
fn reached(config: Config) -> (TestServer, Table) {
    let reached = Reached::default();
    let table = reached.connections.clone();
    (TestServer::start(config, reached), table)
}

fn opened(server: &TestServer, table: &Table) -> (Client, ConnectionId) {
    let mut client = Client::open(server.address);
    let number: usize = client.read_text().parse().expect("a number");
    let id = table.lock().expect("no panic")[number];
    (client, id)
}

#[test]
fn publisher_leaves_one_connection_out_and_closes_one() {
    with_1_and_3_workers(|config| {
        let (server, table) = reached(config);
        let (mut one, one_id) = opened(&server, &table);
        let (mut two, two_id) = opened(&server, &table);
        server
            .publisher
            .publish_except("all", "for two", one_id)
            .expect("published");
        server
            .publisher
            .publish_except("all", "for one", two_id)
            .expect("published");
        assert_eq!(
            (one.read_text(), two.read_text()),
            ("for one".into(), "for two".into())
        );
        let close = (CloseCode::new(4009).expect("a code"), "bye");
        server.publisher.close(one_id, close).expect("it keeps up");
        assert_eq!(one.read_close(), (4009, "bye".to_owned()));
        server
            .publisher
            .publish("all", "for all")
            .expect("published");
        assert_eq!(two.read_text(), "for all");
    });
}

#[test]
fn publications_together_are_published_in_order() {
    with_1_and_3_workers(|config| {
        let (server, table) = reached(config);
        let (mut client, id) = opened(&server, &table);
        let publication = |room, text, except| Publication {
            room,
            message: Message::Text(text),
            except,
        };
        let all = [
            publication("all", "1", None),
            publication("nobody", "2", None),
            publication("all", "3", Some(id)),
            publication("all", "4", None),
        ];
        server.publisher.publish_all(all).expect("published");
        assert_eq!(client.read_text(), "1");
        assert_eq!(client.read_text(), "4");
        server
            .publisher
            .publish_all([])
            .expect("nothing to publish");
    });
}

#[test]
fn publications_together_are_all_refused_if_an_owner_does_not_keep_up() {
    let config = Config {
        worker_backlog_bytes_max: 1,
        ..config(1)
    };
    // It does not run: nothing is taken.
    let server = Server::bind(config, Sum::default()).expect("a server");
    let publisher: Publisher = server.publisher();
    let publication = Publication {
        room: "all",
        message: Message::Text("x"),
        except: None,
    };
    assert!(publisher.publish_all([publication; 3]).is_ok());
    assert_eq!(publisher.publish_all([publication]).map_err(drop), Err(()));
    assert_eq!(publisher.publish("all", "x").map_err(drop), Err(()));
}

#[test]
fn handler_may_have_other_origins_for_a_path() {
    let (server, _) = reached(config(1));
    let ask = |path: &str| {
        let mut client = Client::connect(server.address);
        client.send(upgrade(path, "Origin: https://elsewhere.example\r\n"));
        let head = client.read_head();
        head.split(' ').nth(1).map(str::to_owned).expect("a status")
    };
    assert_eq!(
        (ask("/any").as_str(), ask("/other").as_str()),
        ("101", "403")
    );
}
