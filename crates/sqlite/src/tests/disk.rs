//! A server with a data file on a slow disk.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use yamabiko::server::{
    Admission, Backplane, BackplaneConfig, Config, Context, Handler, HistoryLimits, Message,
    NotPublished, Receipt, Refusal, RoomHistory, Upgrade,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{Client, Frame, TestServer, config, frame};
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use super::Folder;
use crate::SqliteBackplane;
use crate::settings::SqliteSettings;

/// Every client is in the room "hall".
struct Hall;

impl Handler for Hall {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn history(&self, _: &str) -> Option<RoomHistory> {
        Some(RoomHistory::default())
    }

    fn opened(&self, _: &mut (), context: &mut Context<'_>) {
        context.join("hall");
    }

    fn message(&self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        context.publish("hall", message);
    }
}

/// A server whose disk answers when the test lets it.
fn start_with_disk(
    folder: &Folder,
    settings: SqliteSettings,
) -> (TestServer, Arc<SqliteBackplane>, Disk) {
    let data = Arc::new(SqliteBackplane::open(folder.file(), settings).expect("a data file"));
    let (begun, begins) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    data.before_commit.set(move || {
        let _ = begun.send(());
        // An error: the test is over.
        let _ = answers.recv();
    });
    let config = Config {
        history: Some(HistoryLimits::default()),
        backplane: Some(BackplaneConfig::new(data.clone())),
        ..config(1)
    };
    (
        TestServer::start(config, Hall),
        data,
        Disk { begins, answer },
    )
}

struct Disk {
    begins: mpsc::Receiver<()>,
    answer: mpsc::Sender<()>,
}

impl Disk {
    fn has_begun(&self) {
        self.begins
            .recv_timeout(TIMEOUT)
            .expect("a transaction begins");
    }

    fn answer(&self) {
        self.answer.send(()).expect("the thread runs");
    }
}

#[test]
fn slow_disk_refuses_messages_in_a_bounded_time_and_everything_else_is_served_meanwhile() {
    let folder = Folder::new("slow");
    let settings = SqliteSettings {
        answer_timeout: Duration::from_millis(20),
        ..SqliteSettings::default()
    };
    let (server, data, disk) = start_with_disk(&folder, settings);
    let mut member = Client::open(server.address);
    let publish = |text: &str| server.publisher.publish_acknowledged("hall", text);
    let first = publish("one").expect("space");
    disk.has_begun();
    // It is being written, so nobody knows.
    assert_eq!(first.wait(), Err(NotPublished::Unknown));
    eventually("the disk is reported", TIMEOUT, || !data.state().is_ready);
    let refused = publish("two").map(Receipt::wait);
    assert_eq!(refused, Ok(Err(NotPublished::BackplaneBehind)));
    // The loop does not wait: the member is answered.
    member.send(frame(Opcode::Ping, b"?"));
    assert_eq!(member.read_frame(), Frame::new(Opcode::Pong, b"?".to_vec()));
    disk.answer();
    assert_eq!(
        member.read_text(),
        "one",
        "what was unknown came in the end"
    );
    eventually("the disk is well", TIMEOUT, || data.state().is_ready);
    drop(disk);
    eventually("messages are taken again", TIMEOUT, || {
        publish("three").is_ok_and(|receipt| receipt.wait().is_ok())
    });
    assert_eq!(member.read_text(), "three");
}

#[test]
fn queue_takes_messages_up_to_its_limit_and_refuses_one_more() {
    let folder = Folder::new("queue");
    let settings = SqliteSettings {
        queue_messages_max: 3,
        answer_timeout: Duration::from_secs(3600),
        ..SqliteSettings::default()
    };
    let (server, _, disk) = start_with_disk(&folder, settings);
    let publish = |text: &str| {
        server
            .publisher
            .publish_acknowledged("hall", text)
            .expect("space")
    };
    let first = publish("being written");
    disk.has_begun();
    let waiting = ["one", "two", "three"].map(publish);
    assert_eq!(
        publish("one more").wait(),
        Err(NotPublished::BackplaneBehind)
    );
    drop(disk);
    let offsets = [first].into_iter().chain(waiting).map(|receipt| {
        let published = receipt.wait().expect("the disk answers");
        published.position.expect("a position").offset()
    });
    assert_eq!(offsets.collect::<Vec<_>>(), [1, 2, 3, 4]);
}
