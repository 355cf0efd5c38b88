//! A node of the tests, and its clients.

use std::collections::VecDeque;
use std::sync::Arc;

use yamabiko::server::{
    Admission, BackplaneConfig, Config, Context, Erasure, GapNotice, Handler, HistoryLimits,
    Message, NotJoined, NotPublished, OwnedMessage, Position, Published, Refusal, Replay, Replayed,
    RoomHistory, Upgrade,
};
use yamabiko::websocket::frame::Opcode;
use yamabiko_redis::{RedisBackplane, RedisSettings};
use yamabiko_testing::socket::{Client, TIMEOUT, TestServer, config, eventually, frame};

/// One room for each path. What a client sends is a command: `join`, `latest 7`, `after epoch-offset`, or a text that is
/// published. It gets `joined POSITION MESSAGES`, `POSITION TEXT`, `taken POSITION`, `refused REASON`, `gap POSITION`.
struct Rooms(Option<RoomHistory>);

impl Handler for Rooms {
    /// The room.
    type Session = String;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<String>, Refusal> {
        Ok(Admission::new(request.path().to_owned()))
    }

    fn history(&self, _: &str) -> Option<RoomHistory> {
        self.0
    }

    /// `erase POSITION` takes the message in front of this place out of the history.
    fn erases(&self, _: &str, message: Message<'_>) -> Option<Erasure> {
        let position = message.as_text()?.strip_prefix("erase ")?;
        Some(Erasure::new(position.parse().ok()?, "gone"))
    }

    fn numbered(&self, _: &str, at: Position, message: Message<'_>) -> Option<OwnedMessage> {
        Some(OwnedMessage::Text(format!("{at} {}", message.as_text()?)))
    }

    fn message(&self, room: &mut String, message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        match text.split_once(' ') {
            Some(("latest", most)) => {
                let most = most.parse().expect("a number");
                context.join_from(room, Replay::Latest(most));
            }
            Some(("after", place)) => {
                let place = place.parse().expect("a position");
                context.join_from(room, Replay::After(place));
            }
            Some(("others", text)) => context.publish_except(room, text),
            _ => context.publish_acknowledged(room, message, 0),
        }
    }

    fn joined(
        &self,
        _: &mut String,
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
            }) => {
                format!("joined {position} {messages} {gap:?}")
            }
            Err(error) => format!("not joined: {error}"),
        };
        let _ = context.send(report);
    }

    fn published(
        &self,
        _: &mut String,
        _: &str,
        _: Option<u64>,
        published: Result<Published, NotPublished>,
        context: &mut Context<'_>,
    ) {
        let report = match published.map(|published| published.position) {
            Ok(Some(position)) => format!("taken {position}"),
            Ok(None) => "taken without a position".to_owned(),
            Err(error) => format!("refused {error:?}"),
        };
        let _ = context.send(report);
    }

    fn gap(&self, _: &str, position: Position) -> GapNotice {
        GapNotice::Message(OwnedMessage::Text(format!("gap {position}")))
    }
}

/// A server that shares its rooms.
pub struct Node {
    pub server: TestServer,
    pub backplane: Arc<RedisBackplane>,
}

impl Node {
    /// With the history of a room by default, and two workers. It is ready.
    pub fn start(url: &str) -> Node {
        let node = Node::start_with(RedisSettings::new(url.parse().expect("a URL")), 2);
        node.is_ready();
        node
    }

    /// With this history of a room. It is ready.
    pub fn start_keeping(url: &str, history: RoomHistory) -> Node {
        let settings = RedisSettings::new(url.parse().expect("a URL"));
        let node = Node::start_of(settings, 2, history);
        node.is_ready();
        node
    }

    /// It may not be ready.
    pub fn start_with(settings: RedisSettings, workers: usize) -> Node {
        Node::start_of(settings, workers, RoomHistory::default())
    }

    fn start_of(settings: RedisSettings, workers: usize, history: RoomHistory) -> Node {
        let backplane = RedisBackplane::new(settings).expect("settings that can be used");
        let backplane = Arc::new(backplane);
        let config = Config {
            history: Some(HistoryLimits::default()),
            backplane: Some(BackplaneConfig::new(backplane.clone())),
            ..config(workers)
        };
        let server = TestServer::start(config, Rooms(Some(history)));
        Node { server, backplane }
    }

    #[track_caller]
    pub fn is_ready(&self) {
        eventually("the node is ready", TIMEOUT, || {
            self.server.handle.is_ready()
        });
    }

    #[track_caller]
    pub fn is_not_ready(&self) {
        eventually("the node is not ready", TIMEOUT, || {
            !self.server.handle.is_ready()
        });
    }

    /// A client of a room that has done nothing yet.
    pub fn client(&self, room: &str) -> Peer {
        let client = Client::connect(self.server.address).upgraded(&format!("/{room}"));
        Peer {
            client,
            passed_over: VecDeque::new(),
        }
    }

    /// A client that is subscribed to the new messages of a room.
    pub fn member(&self, room: &str) -> Peer {
        let mut client = self.client(room);
        client.text("latest 0");
        assert!(client.line().starts_with("joined "));
        client
    }
}

/// A client of a room.
pub struct Peer {
    client: Client,
    /// Messages of the room that came before an answer.
    passed_over: VecDeque<String>,
}

impl Peer {
    /// Sends a command, or a text that is published.
    pub fn text(&mut self, text: &str) {
        self.client.text(text);
    }

    /// Sends texts that are published in one write.
    pub fn texts_at_once(&mut self, texts: impl Iterator<Item = String>) {
        let frames = texts.map(|text| frame(Opcode::Text, text.as_bytes()));
        self.client.send(frames.collect::<Vec<_>>().concat());
    }

    /// The next line.
    pub fn line(&mut self) -> String {
        let passed_over = self.passed_over.pop_front();
        passed_over.unwrap_or_else(|| self.client.read_text())
    }

    /// The next line that is no message of the room, and no notice of a gap: these come in an order of their own.
    #[track_caller]
    pub fn answer(&mut self) -> String {
        loop {
            let line = self.client.read_text();
            let is_message = line
                .split(' ')
                .next()
                .is_some_and(|word| word.parse::<Position>().is_ok());
            if !is_message && !line.starts_with("gap ") {
                return line;
            }
            self.passed_over.push_back(line);
        }
    }

    /// The next message of the room: its position and its text.
    #[track_caller]
    pub fn next(&mut self) -> (Position, String) {
        loop {
            let line = self.line();
            if line.starts_with("taken ") {
                continue;
            }
            let (position, text) = line.split_once(' ').expect("two words");
            let position = position.parse();
            return (
                position.unwrap_or_else(|_| panic!("a message: {line}")),
                text.to_owned(),
            );
        }
    }

    /// The texts of the next messages.
    #[track_caller]
    pub fn texts(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next().1).collect()
    }

    /// The position of the next line, which tells a gap.
    #[track_caller]
    pub fn gap(&mut self) -> Position {
        let line = self.line();
        let gap = line.strip_prefix("gap ").and_then(|gap| gap.parse().ok());
        gap.unwrap_or_else(|| panic!("a gap: {line}"))
    }

    /// Publishes a text, and returns the position that it got.
    #[track_caller]
    pub fn publish(&mut self, text: &str) -> Position {
        self.text(text);
        self.taken()
    }

    /// The position of a text that was published.
    #[track_caller]
    pub fn taken(&mut self) -> Position {
        let answer = self.answer();
        let position = answer
            .strip_prefix("taken ")
            .and_then(|position| position.parse().ok());
        position.unwrap_or_else(|| panic!("{answer}"))
    }
}
