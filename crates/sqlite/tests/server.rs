//! The data file under a server, over sockets.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use yamabiko::server::{
    Admission, Backplane, BackplaneConfig, Config, Context, Gap, Handler, HistoryLimits, Message,
    NotJoined, NotPublished, OwnedMessage, Position, Published, Refusal, Replay, Replayed,
    RoomHistory, Upgrade,
};
use yamabiko_sqlite::{Durability, SqliteBackplane, SqliteSettings};
use yamabiko_testing::socket::{Client, TestServer, config};

/// Rooms with history. Each message has its position in front: `epoch-offset text`.
struct Kept;

impl Handler for Kept {
    type Session = Option<String>;

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<Self::Session>, Refusal> {
        Ok(Admission::new(None))
    }

    fn history(&self, _: &str) -> Option<RoomHistory> {
        Some(RoomHistory::default())
    }

    fn numbered(&self, _: &str, at: Position, message: Message<'_>) -> Option<OwnedMessage> {
        Some(OwnedMessage::Text(format!("{at} {}", message.as_text()?)))
    }

    /// `join ROOM`, `after ROOM POSITION`; anything else is published to the room.
    fn message(&self, room: &mut Self::Session, message: Message<'_>, context: &mut Context<'_>) {
        let parts: Vec<&str> = message
            .as_text()
            .into_iter()
            .flat_map(|text| text.split(' '))
            .collect();
        let (name, replay) = match parts[..] {
            ["join", name] => (name, Replay::Latest(0)),
            ["after", name, place] => (name, Replay::After(place.parse().expect("a position"))),
            _ => {
                let room = room.as_deref().expect("it has joined");
                return context.publish_acknowledged(room, message, 0);
            }
        };
        *room = Some(name.to_owned());
        context.join_from(name, replay);
    }

    fn joined(
        &self,
        _: &mut Self::Session,
        _: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
        let report = match joined {
            Ok(joined) => format!("{} {:?}", joined.position, joined.gap),
            Err(error) => format!("{error:?}"),
        };
        context.send(report).expect("it is open");
    }

    fn published(
        &self,
        _: &mut Self::Session,
        _: &str,
        _: Option<u64>,
        published: Result<Published, NotPublished>,
        context: &mut Context<'_>,
    ) {
        if let Err(error) = published {
            context
                .send(format!("refused {error:?}"))
                .expect("it is open");
        }
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let name = format!("yamabiko-sqlite-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    /// A server with a new start of the data file.
    fn start(
        &self,
        workers: usize,
        settings: SqliteSettings,
    ) -> (TestServer, Arc<SqliteBackplane>) {
        let data = SqliteBackplane::open(self.0.join("rooms.db"), settings).expect("a data file");
        let data = Arc::new(data);
        let config = Config {
            history: Some(HistoryLimits::default()),
            backplane: Some(BackplaneConfig::new(data.clone())),
            ..config(workers)
        };
        (TestServer::start(config, Kept), data)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asks to join, and reads how the subscription has begun.
fn join(client: &mut Client, request: &str) -> (Position, String) {
    client.text(request);
    let report = client.read_text();
    let (position, gap) = report.split_once(' ').expect("a report");
    (position.parse().expect("a position"), gap.to_owned())
}

fn receive(client: &mut Client) -> (Position, String) {
    let message = client.read_text();
    let (position, text) = message.split_once(' ').expect("a position");
    (position.parse().expect("a position"), text.to_owned())
}

#[test]
fn subscribers_of_all_workers_resume_over_restarts_of_the_server() {
    let folder = Folder::new("restarts");
    let (mut last, mut number) = (None, 0);
    for workers in [1, 3, 2] {
        for durability in [Durability::Full, Durability::Normal, Durability::Off] {
            let settings = SqliteSettings {
                durability,
                ..SqliteSettings::default()
            };
            let (mut server, data) = folder.start(workers, settings);
            let mut publisher = Client::open(server.address);
            let (begin, _) = join(&mut publisher, "join hall");
            let last = last.get_or_insert(begin);
            assert_eq!(begin, *last);
            let mut readers: Vec<Client> = (0..6).map(|_| Client::open(server.address)).collect();
            for reader in &mut readers {
                let joined = join(reader, &format!("after hall {last}"));
                assert_eq!(joined, (*last, format!("{:?}", Gap::None)));
            }
            for _ in 0..50 {
                publisher.text(&number.to_string());
                number += 1;
            }
            let mut end = *last;
            for reader in readers.iter_mut().chain([&mut publisher]) {
                end = *last;
                for expected in number - 50..number {
                    end = end.plus(1);
                    assert_eq!(receive(reader), (end, expected.to_string()));
                }
            }
            // One who has only the first of them.
            let mut late = Client::open(server.address);
            let joined = join(&mut late, &format!("after hall {}", last.plus(1)));
            assert_eq!(joined, (last.plus(1), format!("{:?}", Gap::None)));
            for at in 2..=50 {
                assert_eq!(receive(&mut late).0, last.plus(at));
            }
            *last = end;
            server.shutdown();
            drop((publisher, readers, late));
            server
                .join()
                .expect("no fault")
                .expect("polling does not fail");
            assert!(data.state().is_ready);
        }
    }
}

#[test]
fn messages_that_are_published_without_a_subscriber_are_kept() {
    let folder = Folder::new("no-subscriber");
    let (server, _) = folder.start(2, SqliteSettings::default());
    for text in ["one", "two"] {
        server.publisher.publish("hall", text).expect("space");
    }
    let mut reader = Client::open(server.address);
    let (begin, _) = join(&mut reader, "join hall");
    // They may be on their way still: then they come live.
    server.publisher.publish("hall", "three").expect("space");
    let mut received = vec![receive(&mut reader)];
    while received.last().is_some_and(|(_, text)| text != "three") {
        received.push(receive(&mut reader));
    }
    assert_eq!(received.last().map(|(at, _)| at.offset()), Some(3));
    assert_eq!(received[0].0, begin.plus(1));
    let mut late = Client::open(server.address);
    join(
        &mut late,
        &format!("after hall {}", Position::new(begin.epoch(), 0)),
    );
    let texts = [(); 3].map(|()| receive(&mut late).1);
    assert_eq!(texts, ["one", "two", "three"]);
}

#[test]
fn message_that_does_not_fit_into_the_file_is_refused_and_the_next_one_is_not() {
    let folder = Folder::new("too-long");
    let settings = SqliteSettings {
        file_bytes_max: 1 << 20,
        ..SqliteSettings::default()
    };
    let (server, data) = folder.start(1, settings);
    let mut client = Client::open(server.address);
    let (begin, _) = join(&mut client, "join hall");
    client.text("one");
    client.text(&"x".repeat(1 << 20));
    client.text("two");
    assert_eq!(receive(&mut client), (begin.plus(1), "one".to_owned()));
    assert_eq!(client.read_text(), "refused BackplaneRefused");
    assert_eq!(receive(&mut client), (begin.plus(2), "two".to_owned()));
    assert!(data.state().is_ready, "the last message was taken");
}
