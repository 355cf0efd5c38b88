//! A client that loses its connection at any byte, again and again, has the messages of its room: each once, in order, none missing
//! without a notice. With one worker and with three, over sockets.
//!
//! ```text
//!   input    | workers, how many messages the room keeps | steps ...
//!   step     0 … 127: so many messages are published     128 … 255: the client comes back, and reads so many bytes
//! ```
//!
//! The two servers are started once. Each input has a room of its own.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use yamabiko::server::{
    Admission, Context, Gap, Handler, HistoryLimits, Message, NotJoined, OwnedMessage, Position,
    Refusal, Replay, Replayed, RoomHistory, Upgrade,
};

use crate::socket::{TestServer, config, upgrade};
use crate::waiting::{Deadline, LOOP_TIMEOUT, bounded, eventually};

/// See the file.
pub fn resume(data: &[u8]) {
    let Some((&selector, steps)) = data.split_first() else {
        return;
    };
    let server = server(selector & 1 == 1);
    let mut room = Room::new(server, selector >> 1 & 1 == 1);
    let mut reader = Reader::new(&room);
    for &step in steps.iter().take(STEPS_MAX) {
        match step {
            0..=127 => room.publish(usize::from(step) % 16 + 1),
            128.. => reader.come_back(&room, usize::from(step - 128) * BYTES_OF_STEP),
        }
    }
    reader.come_back(&room, usize::MAX);
    assert_eq!(
        reader.offset(&room),
        room.texts.len() as u64,
        "all messages"
    );
    assert_eq!(server.handle.metrics().panics, 0);
}

fn server(has_several_workers: bool) -> &'static TestServer {
    static SERVERS: [OnceLock<TestServer>; 2] = [const { OnceLock::new() }; 2];
    SERVERS[usize::from(has_several_workers)].get_or_init(|| {
        let workers = if has_several_workers { 3 } else { 1 };
        let mut config = config(workers);
        config.history = Some(HistoryLimits {
            rooms_max: 16,
            ..HistoryLimits::default()
        });
        config.workers = NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN);
        TestServer::start(config, Rooms)
    })
}

/// A room of this input, and what was published to it.
struct Room {
    server: &'static TestServer,
    name: String,
    texts: Vec<String>,
    /// Without a limit that is reached, no message is ever forgotten.
    keeps_all: bool,
}

impl Room {
    fn new(server: &'static TestServer, keeps_all: bool) -> Room {
        static ROOMS: AtomicU64 = AtomicU64::new(0);
        let number = ROOMS.fetch_add(1, Ordering::Relaxed);
        let keeps = if keeps_all { "all" } else { "few" };
        Room {
            server,
            name: format!("{keeps}-{number}"),
            texts: Vec::new(),
            keeps_all,
        }
    }

    fn publish(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.texts.len();
            // Frames with both forms of a length.
            let text = format!("{number}{}", "-".repeat(number * 37 % 300));
            eventually("the owner takes a message", LOOP_TIMEOUT, || {
                self.server.publisher.publish(&self.name, &text).is_ok()
            });
            self.texts.push(text);
        }
    }
}

/// What a client keeps between its connections.
struct Reader {
    /// In front of the first message of the room.
    begin: Position,
    /// Behind the last message that it has.
    last: Position,
}

impl Reader {
    fn new(room: &Room) -> Reader {
        let mut connection = Connection::open(room, "latest");
        let report = connection.read_message().expect("a report");
        let begin = Report::read(&report).expect("a report").position;
        Reader { begin, last: begin }
    }

    /// How many messages of the room it has passed.
    fn offset(&self, room: &Room) -> u64 {
        let offset = self.last.offset() - self.begin.offset();
        assert!(offset <= room.texts.len() as u64);
        offset
    }

    /// Reads so many bytes, or up to the newest message. Then the connection breaks.
    fn come_back(&mut self, room: &Room, bytes: usize) {
        let mut connection = Connection::open(room, &self.last.to_string());
        connection.unread = bytes;
        let Some(report) = connection.read_message() else {
            return;
        };
        self.begin_again(room, &Report::read(&report).expect("a report"));
        while self.offset(room) < room.texts.len() as u64 {
            let Some(message) = connection.read_message() else {
                return;
            };
            let (position, text) = message.split_once(' ').expect("a position");
            let next = self.last.plus(1);
            assert_eq!(position.parse(), Ok(next), "no gap and no duplicate");
            let index = usize::try_from(self.offset(room)).expect("a few messages");
            assert_eq!(text, room.texts[index]);
            self.last = next;
        }
    }

    fn begin_again(&mut self, room: &Room, report: &Report) {
        if report.gap == format!("{:?}", Gap::None) {
            assert_eq!(report.position, self.last);
            return;
        }
        assert!(
            !room.keeps_all,
            "{} messages are within the limits",
            room.texts.len()
        );
        assert_eq!(report.gap, format!("{:?}", Gap::Forgotten));
        assert_eq!(report.position.epoch(), self.last.epoch());
        assert!(
            report.position.offset() > self.last.offset(),
            "what is gone was missed"
        );
        self.last = report.position;
    }
}

/// How a subscription has begun: `position gap`.
struct Report {
    position: Position,
    gap: String,
}

impl Report {
    fn read(text: &str) -> Option<Report> {
        let (position, gap) = text.split_once(' ')?;
        Some(Report {
            position: position.parse().ok()?,
            gap: gap.to_owned(),
        })
    }
}

/// A connection that breaks behind a number of bytes.
struct Connection {
    stream: TcpStream,
    /// How many bytes are read before it breaks.
    unread: usize,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(room: &Room, after: &str) -> Connection {
        let stream = TcpStream::connect(room.server.address).expect("the server accepts");
        stream.set_nodelay(true).expect("an open socket");
        let mut stream = bounded(stream);
        let path = format!("/?room={}&after={after}", room.name);
        let request = upgrade(&path, "");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it is sent");
        let mut connection = Connection {
            stream,
            unread: usize::MAX,
            buffer: Vec::new(),
        };
        connection.read_head();
        connection
    }

    fn read_head(&mut self) {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        loop {
            let end = self
                .buffer
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                self.buffer.drain(..end + 4);
                return;
            }
            deadline.check("the response has an end");
            assert!(self.read_more(), "the handshake succeeds");
        }
    }

    /// The next text. `None`: the connection breaks before its end.
    fn read_message(&mut self) -> Option<String> {
        loop {
            if let Some((text, length)) = first_text(&self.buffer) {
                self.unread = self.unread.checked_sub(length)?;
                self.buffer.drain(..length);
                return Some(text);
            }
            if self.buffer.len() >= self.unread {
                return None;
            }
            assert!(self.read_more(), "the server does not end the connection");
        }
    }

    fn read_more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // No more than the client has read when its connection breaks.
        let most = self
            .unread
            .saturating_sub(self.buffer.len())
            .clamp(1, bytes.len());
        // The clock of a fuzzer sends signals.
        let count = loop {
            match self.stream.read(&mut bytes[..most]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read.expect("bytes within the time limit"),
            }
        };
        self.buffer.extend_from_slice(&bytes[..count]);
        count > 0
    }
}

/// The text of the first frame, which a server does not mask, and the length of the frame.
fn first_text(bytes: &[u8]) -> Option<(String, usize)> {
    let (header, length) = match bytes {
        [0x81, 126, high, low, ..] => (4, usize::from(*high) << 8 | usize::from(*low)),
        [0x81, length @ 0..=125, ..] => (2, usize::from(*length)),
        [0x81] | [0x81, 126, ..] | [] => return None,
        other => panic!("no text: {:?}", &other[..2]),
    };
    let text = bytes.get(header..header + length)?;
    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
    Some((text, header + length))
}

/// The room is in the path, and the position behind which a client begins.
struct Rooms;

impl Handler for Rooms {
    type Session = (String, Replay);

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Self::Session>, Refusal> {
        let room = request.query_value("room").unwrap_or_default();
        let after = request.query_value("after").unwrap_or_default();
        let replay = after.parse().map_or(Replay::Latest(0), Replay::After);
        Ok(Admission::new((room.into_owned(), replay)))
    }

    fn opened(&self, (room, replay): &mut Self::Session, context: &mut Context<'_>) {
        context.join_from(room, *replay);
    }

    fn joined(
        &self,
        _: &mut Self::Session,
        _: &str,
        joined: Result<Replayed, NotJoined>,
        context: &mut Context<'_>,
    ) {
        let joined = joined.expect("there is no limit of rooms");
        let report = format!("{} {:?}", joined.position, joined.gap);
        context.send(report).expect("it is open");
    }

    fn message(&self, _: &mut Self::Session, _: Message<'_>, _: &mut Context<'_>) {}

    fn history(&self, room: &str) -> Option<RoomHistory> {
        Some(RoomHistory {
            messages_max: if room.starts_with("all") { 10_000 } else { 5 },
            bytes_max: 16 << 20,
            age_max: None,
        })
    }

    fn numbered(&self, _: &str, at: Position, message: Message<'_>) -> Option<OwnedMessage> {
        Some(OwnedMessage::Text(format!("{at} {}", message.as_text()?)))
    }
}

/// A few hundred messages.
const STEPS_MAX: usize = 32;

/// So that 127 of them are longer than some messages.
const BYTES_OF_STEP: usize = 7;

pub(super) fn seeds() -> impl Iterator<Item = (String, Vec<u8>)> {
    let cuts = |first: u8| (0..16).map(move |cut| first + cut * 3);
    let one_by_one: Vec<u8> = cuts(128).flat_map(|cut| [0, cut]).collect();
    let many: Vec<u8> = [15, 15].into_iter().chain(cuts(200)).collect();
    let forgotten: Vec<u8> = [3, 160, 15, 170, 15, 255, 1, 140, 15, 15].to_vec();
    let nothing = vec![128, 129, 130, 255];
    let cases = [
        ("one-by-one", one_by_one),
        ("cut-in-the-past", many),
        ("more-than-is-kept", forgotten),
        ("no-messages", nothing),
    ];
    cases.into_iter().flat_map(|(name, steps)| {
        SELECTORS
            .map(|(selector, suffix)| (format!("{name}-{suffix}"), [&[selector], &*steps].concat()))
    })
}

/// The first byte: several workers, and whether the room keeps all.
const SELECTORS: [(u8, &str); 4] = [(0, "1-few"), (1, "3-few"), (2, "1-all"), (3, "3-all")];
