//! Members and publishers of one broadcast room on several nodes, and the check of what they have got.
//!
//! A message is `connection number`, with a connection for each publisher and a new one whenever that has ended. A publisher takes its own copy as the acknowledgement. A member notes all messages in the order
//! in which they come; when its connection ends it begins a new *segment*: that is the only way in which a broadcast room
//! tells that messages may be missing. What is checked:
//!
//! - Within a segment a member gets no message twice. Behind a notice it may: a client that comes to another node without a position
//!   begins where that node is, which may be behind.
//! - Behind a message, all members get the same next one. So there is one order, and nothing is missing within a segment.
//! - In a segment the messages of one connection of a publisher rise. Those of a connection that has ended may come behind those of the
//!   next one: its node still sends what Redis had not answered.
//! - A member whose connection has never ended has every message that was acknowledged.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use yamabiko::client::{Client, ClientError};
use yamabiko::websocket::OwnedMessage;
use yamabiko_testing::waiting::{Deadline, LOOP_TIMEOUT, eventually, joined};

/// A connection of a publisher, and the number of the message.
type Name = (usize, usize);

/// How many of each, and how much.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub members: usize,
    pub publishers: usize,
    /// Of each publisher.
    pub messages: usize,
}

/// Members and publishers at work.
pub struct Run {
    shared: Arc<Shared>,
    members: Vec<JoinHandle<Vec<Vec<Name>>>>,
    publishers: Vec<JoinHandle<()>>,
    total: usize,
}

struct Shared {
    open: Box<Open>,
    /// The publishers begin no further message.
    enough: AtomicBool,
    ready: AtomicUsize,
    begun: AtomicBool,
    over: AtomicBool,
    acknowledged: Mutex<BTreeSet<Name>>,
    /// What has become of publications: acknowledged, or their connection has ended.
    decided: AtomicUsize,
}

/// Tries to connect to the room. The number is that of the attempt: a node is chosen by it.
type Open = dyn Fn(usize) -> Option<Client> + Send + Sync;

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    pub acknowledged: usize,
    /// Messages that members have got.
    pub received: usize,
    /// How many segments each member has.
    pub segments: Vec<usize>,
}

impl Run {
    /// Connects the members, member `n` to the node `n` modulo the number of nodes, and then begins to publish. `urls`: of the room, one for
    /// each node.
    pub fn begin(urls: Vec<String>, size: Size) -> Run {
        Run::begin_at(size, move |attempt| {
            let url = &urls[attempt % urls.len()];
            Client::builder(url).connect().ok()
        })
    }

    /// The same, where `open` connects.
    pub fn begin_at(
        size: Size,
        open: impl Fn(usize) -> Option<Client> + Send + Sync + 'static,
    ) -> Run {
        let shared = Arc::new(Shared {
            open: Box::new(open),
            enough: AtomicBool::new(false),
            ready: AtomicUsize::new(0),
            begun: AtomicBool::new(false),
            over: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            decided: AtomicUsize::new(0),
        });
        let spawn = |run: Box<dyn FnOnce(Arc<Shared>) -> Vec<Vec<Name>> + Send>| {
            let shared = shared.clone();
            let thread = thread::Builder::new().stack_size(256 << 10);
            thread.spawn(move || run(shared)).expect("a thread")
        };
        let members = (0..size.members)
            .map(|number| spawn(Box::new(move |shared| shared.member(number))))
            .collect();
        eventually("all members are in the room", LOOP_TIMEOUT, || {
            shared.ready.load(Ordering::SeqCst) == size.members
        });
        shared.begun.store(true, Ordering::SeqCst);
        let publishers = (0..size.publishers).map(|number| {
            let shared = shared.clone();
            thread::spawn(move || shared.publish(number, size.messages))
        });
        Run {
            publishers: publishers.collect(),
            members,
            total: size.publishers * size.messages,
            shared,
        }
    }

    /// Waits until this part of all messages, in percent, has been published.
    pub fn reaches(&self, percent: usize) {
        eventually("the publishers go on", LOOP_TIMEOUT, || {
            self.shared.decided.load(Ordering::SeqCst) >= self.total * percent / 100
        });
    }

    /// The publishers begin no further message.
    pub fn end_publishing(&self) {
        self.shared.enough.store(true, Ordering::SeqCst);
    }

    /// Waits for all publishers and members, and checks what they have got.
    pub fn finish(self) -> Outcome {
        eventually("the publishers have published all", LOOP_TIMEOUT, || {
            self.publishers.iter().all(JoinHandle::is_finished)
        });
        for publisher in self.publishers {
            joined("a publisher", publisher);
        }
        self.shared.over.store(true, Ordering::SeqCst);
        let mut end = Connection::open(&self.shared, 0);
        let deadline = Deadline::after(LOOP_TIMEOUT);
        while !self.members.iter().all(JoinHandle::is_finished) {
            deadline.check("all members have come to the end");
            if end.send("end").is_err() {
                end = Connection::open(&self.shared, 0);
            }
            thread::park_timeout(Duration::from_millis(50));
        }
        let logs: Vec<_> = self
            .members
            .into_iter()
            .map(|member| joined("a member", member))
            .collect();
        let acknowledged = self
            .shared
            .acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        check(&logs, &acknowledged);
        Outcome {
            acknowledged: acknowledged.len(),
            received: logs.iter().flatten().map(Vec::len).sum(),
            segments: logs.iter().map(Vec::len).collect(),
        }
    }
}

/// Panics with what is wrong.
fn check(logs: &[Vec<Vec<Name>>], acknowledged: &BTreeSet<Name>) {
    let mut next: HashMap<Name, Name> = HashMap::new();
    for (member, segments) in logs.iter().enumerate() {
        for segment in segments {
            let mut seen = HashSet::new();
            let mut of_connection: HashMap<usize, usize> = HashMap::new();
            for &(connection, number) in segment {
                let name = (connection, number);
                assert!(seen.insert(name), "member {member} gets {name:?} twice");
                let last = of_connection.insert(connection, number);
                let rises = last.is_none_or(|last| last < number);
                assert!(rises, "member {member} gets {name:?} behind {last:?}");
            }
            for pair in segment.windows(2) {
                let (one, other) = (pair[0], pair[1]);
                let known = *next.entry(one).or_insert(other);
                assert_eq!(
                    known, other,
                    "behind {one:?}, at member {member}: a message is missing or in another order"
                );
            }
            if segments.len() == 1 {
                let missing = acknowledged.iter().find(|name| !seen.contains(*name));
                assert_eq!(missing, None, "member {member} has not all messages");
            }
        }
    }
}

/// A connection to the room on any node.
struct Connection(Client);

impl Connection {
    /// Tries the nodes, beginning with this one, until one takes it.
    fn open(shared: &Shared, first: usize) -> Connection {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        for attempt in first.. {
            if let Some(mut client) = (shared.open)(attempt) {
                client.set_read_timeout(Some(READ_TIMEOUT));
                return Connection(client);
            }
            deadline.check("a node takes a connection");
            thread::park_timeout(Duration::from_millis(5));
        }
        unreachable!("the deadline ends the loop")
    }

    fn send(&mut self, text: &str) -> Result<(), ClientError> {
        self.0.send(text)
    }

    /// The next text. `None`: the connection has ended.
    fn read(&mut self) -> Option<String> {
        match self.0.read() {
            Ok(Some(OwnedMessage::Text(text))) => Some(text),
            Ok(Some(OwnedMessage::Binary(_))) => panic!("nobody sends binary messages"),
            Ok(None) | Err(_) => None,
        }
    }
}

impl Shared {
    /// What a member gets, in segments.
    fn member(&self, number: usize) -> Vec<Vec<Name>> {
        let mut segments = Vec::new();
        let mut is_ready = false;
        loop {
            let mut connection = Connection::open(self, number + segments.len());
            let mut segment = Vec::new();
            let hello = format!("hello {number} {}", segments.len());
            let mut ended = connection.send(&hello).is_err();
            while !ended {
                match connection.read() {
                    None => ended = true,
                    Some(text) if text == hello && !is_ready => {
                        is_ready = true;
                        self.ready.fetch_add(1, Ordering::SeqCst);
                    }
                    Some(text) if text == "end" && self.over.load(Ordering::SeqCst) => {
                        segments.push(segment);
                        return segments;
                    }
                    Some(text) => segment.extend(name(&text)),
                }
            }
            // Nothing counts before the beginning.
            if self.begun.load(Ordering::SeqCst) {
                segments.push(segment);
            }
        }
    }

    /// Sends all messages, some of them at a time, and waits for their copies.
    fn publish(&self, publisher: usize, messages: usize) {
        let mut next = 0;
        let mut lost = 0;
        let has_next = |next| next < messages && !self.enough.load(Ordering::SeqCst);
        while has_next(next) {
            let mut connection = Connection::open(self, publisher + lost);
            let name_of_connection = publisher + lost * PUBLISHERS_MAX;
            let mut in_flight = 0;
            let mut is_open = true;
            while is_open && (has_next(next) || in_flight > 0) {
                while is_open && in_flight < IN_FLIGHT && has_next(next) {
                    is_open = connection
                        .send(&format!("{name_of_connection} {next}"))
                        .is_ok();
                    next += 1;
                    in_flight += 1;
                }
                match connection.read() {
                    Some(text) => {
                        if let Some(name) =
                            name(&text).filter(|(its, _)| *its == name_of_connection)
                        {
                            let mut acknowledged = self
                                .acknowledged
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner);
                            acknowledged.insert(name);
                            in_flight = in_flight.saturating_sub(1);
                            self.decided.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    None => is_open = false,
                }
            }
            // Whether these were published nobody has told.
            self.decided.fetch_add(in_flight, Ordering::SeqCst);
            lost += 1;
        }
    }
}

/// `connection number`; `None`: the text is not a message of a publisher.
fn name(text: &str) -> Option<Name> {
    let (publisher, number) = text.split_once(' ')?;
    Some((publisher.parse().ok()?, number.parse().ok()?))
}

/// The connections of a publisher are its number, and so much more for each that has ended.
const PUBLISHERS_MAX: usize = 1000;
/// Messages of one publisher that are on their way.
const IN_FLIGHT: usize = 16;
/// Longer than any fault.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// The check must find what it is for.
mod finds {
    use super::*;

    fn check_of(logs: &[&[&[Name]]], acknowledged: &[Name]) -> bool {
        let logs: Vec<Vec<Vec<Name>>> = logs
            .iter()
            .map(|segments| segments.iter().map(|segment| segment.to_vec()).collect())
            .collect();
        let acknowledged = acknowledged.iter().copied().collect();
        std::panic::catch_unwind(|| check(&logs, &acknowledged)).is_ok()
    }

    const A: Name = (0, 0);
    const B: Name = (1, 0);
    const C: Name = (0, 1);

    #[test]
    fn check_passes_logs_that_are_equal_and_segments_of_them() {
        assert!(check_of(&[&[&[A, B, C]], &[&[A, B, C]]], &[A, B, C]));
        assert!(check_of(&[&[&[A, B, C]], &[&[A], &[C]]], &[A, B, C]));
    }

    #[test]
    fn check_finds_loss_duplicates_and_another_order() {
        assert!(
            !check_of(&[&[&[A, B, C]], &[&[A, C]]], &[]),
            "a message is missing"
        );
        assert!(
            !check_of(&[&[&[A, B, C]], &[&[A, B]]], &[C]),
            "the last one is missing"
        );
        assert!(!check_of(&[&[&[A, B, A]]], &[]), "a duplicate");
        assert!(
            !check_of(&[&[&[A, B], &[A, C]]], &[]),
            "two messages behind one"
        );
        assert!(
            !check_of(&[&[&[A, B, C]], &[&[B, A, C]]], &[]),
            "another order"
        );
        assert!(
            !check_of(&[&[&[C, A]]], &[]),
            "another order of one publisher"
        );
    }
}
