//! `serve --trace`: the connections of a running server, as `yamabiko trace` shows one.
//!
//! ```text
//!   worker ──bytes──▶ Tap ──▶ queue: at most 4 MiB ──▶ thread: Observer ──▶ describe ──▶ standard output
//!                      └─ no room: left out up to the next frame, and counted
//! ```
//!
//! The worker copies the bytes, and finds the frames if it has to leave some out. All else is the thread's: frames, texts and
//! compressed messages. So a slow reader of the output costs bytes of the trace, and never time of the clients.
//!
//! A connection is traced if its first request asks for a WebSocket, from an address and for a room that are named, if any are.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use yamabiko::server::{ConnectionObserver, Observers, PeerAddress, Traffic, percent_decode};

use super::boundaries::Boundaries;
use super::direction::Direction;
use super::observer::{Observer, field};
use super::{describe, render};
use crate::arguments::TraceSettings;
use crate::output::{in_sentence, print};

/// The trace of a server. It ends when the value is [finished](ServerTrace::finish).
pub(crate) struct ServerTrace {
    settings: Arc<TraceSettings>,
    queue: Arc<Queue>,
}

impl ServerTrace {
    /// Starts the thread that prints. `None`: nothing is traced.
    ///
    /// # Errors
    /// The system has no thread; as text.
    pub(crate) fn start(settings: &TraceSettings) -> Result<Option<ServerTrace>, String> {
        if !settings.is_on() {
            return Ok(None);
        }
        let (queue, events) = Queue::new();
        let shown_bytes = settings.shown_bytes();
        let (thread, of_thread) = (thread::Builder::new(), queue.clone());
        let spawned = thread
            .name("trace".to_owned())
            .spawn(move || print_events(&events, &of_thread, shown_bytes));
        spawned.map_err(|error| format!("cannot trace: {}", in_sentence(&error)))?;
        Ok(Some(ServerTrace {
            settings: Arc::new(settings.clone()),
            queue,
        }))
    }

    /// What observes the connections.
    pub(crate) fn observers(&self) -> Observers {
        let (settings, queue) = (self.settings.clone(), self.queue.clone());
        Observers::new(move |address| {
            names_address(&settings, &address)
                .then(|| Tap::new(address, settings.clone(), queue.clone()))
        })
    }

    /// Waits until everything is printed, at most for a second: nobody may be reading it. A line if bytes were left out.
    pub(crate) fn finish(self) -> Option<String> {
        let (done, wait) = channel();
        if self.queue.sender.send(Event::Flush(done)).is_ok() {
            // An error: the reader is too slow.
            let _ = wait.recv_timeout(FINISH_TIMEOUT);
        }
        let dropped = self.queue.dropped.load(Ordering::Relaxed);
        (dropped > 0)
            .then(|| format!("the trace has left out {dropped} bytes: its output is too slow"))
    }
}

/// What the thread gets.
enum Event {
    Connection {
        number: u64,
        at: Duration,
        news: News,
    },
    /// Everything before it is to be printed.
    Flush(Sender<()>),
}

enum News {
    Began(PeerAddress),
    Bytes(Direction, Vec<u8>),
    /// So many bytes were left out, and the next ones begin a frame.
    Gap(Direction, u64),
    Ended,
}

/// The events that wait for the thread.
struct Queue {
    sender: Sender<Event>,
    /// 0 ≤ waiting ≤ [`QUEUE_BYTES_MAX`], with [`EVENT_BYTES`] for each event.
    waiting: AtomicUsize,
    /// Bytes of connections that were left out.
    dropped: AtomicU64,
    connections: AtomicU64,
    began: Instant,
}

impl Queue {
    fn new() -> (Arc<Queue>, Receiver<Event>) {
        let (sender, events) = channel();
        let queue = Queue {
            sender,
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            began: Instant::now(),
        };
        (Arc::new(queue), events)
    }

    /// Room for so many bytes and an event. False: there is none.
    fn reserve(&self, bytes: usize) -> bool {
        let needed = bytes + EVENT_BYTES;
        let reserved =
            |waiting: usize| Some(waiting + needed).filter(|sum| *sum <= QUEUE_BYTES_MAX);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserved)
            .is_ok()
    }

    /// Adds an event for which there is room.
    fn push(&self, number: u64, news: News) {
        let at = self.began.elapsed();
        // An error: the thread has ended, and nothing more is printed.
        let _ = self.sender.send(Event::Connection { number, at, news });
    }

    /// The thread has taken an event.
    fn taken(&self, news: &News) {
        let bytes = match news {
            News::Bytes(_, bytes) => bytes.len(),
            _ => 0,
        };
        self.waiting
            .fetch_sub(bytes + EVENT_BYTES, Ordering::Relaxed);
    }
}

/// Observes one connection, in the event loop.
struct Tap {
    address: PeerAddress,
    settings: Arc<TraceSettings>,
    queue: Arc<Queue>,
    state: TapState,
}

enum TapState {
    /// What has come of the first request's head.
    Head(Vec<u8>),
    Traced {
        number: u64,
        sent: Side,
        received: Side,
    },
    Ended,
}

/// One direction, as the client sees it.
struct Side {
    boundaries: Boundaries,
    /// Bytes that were left out since the last event.
    left_out: u64,
}

impl Tap {
    fn new(address: PeerAddress, settings: Arc<TraceSettings>, queue: Arc<Queue>) -> Tap {
        Tap {
            address,
            settings,
            queue,
            state: TapState::Head(Vec::new()),
        }
    }

    /// Bytes of the first request. `Break`: it is not to be traced.
    fn receive_head(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        let TapState::Head(head) = &mut self.state else {
            return ControlFlow::Continue(());
        };
        head.extend_from_slice(bytes);
        let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match head.len() <= HEAD_BYTES_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            };
        };
        let is_chosen = names_request(&self.settings, &String::from_utf8_lossy(&head[..end]));
        // Room for the end, too.
        let has_room = || self.queue.reserve(0) && self.queue.reserve(0);
        if !is_chosen || !has_room() {
            if is_chosen {
                self.queue
                    .dropped
                    .fetch_add(head.len() as u64, Ordering::Relaxed);
            }
            return ControlFlow::Break(());
        }
        let all = std::mem::take(head);
        self.begin();
        self.add(Direction::Sent, &all);
        ControlFlow::Continue(())
    }

    fn begin(&mut self) {
        let number = 1 + self.queue.connections.fetch_add(1, Ordering::Relaxed);
        self.queue.push(number, News::Began(self.address));
        let side = || Side {
            boundaries: Boundaries::Head(0),
            left_out: 0,
        };
        self.state = TapState::Traced {
            number,
            sent: side(),
            received: side(),
        };
    }

    /// Further bytes of a traced connection.
    fn add(&mut self, direction: Direction, mut bytes: &[u8]) {
        let TapState::Traced {
            number,
            sent,
            received,
        } = &mut self.state
        else {
            return;
        };
        let side = match direction {
            Direction::Sent => sent,
            Direction::Received => received,
        };
        let first_frame = side.boundaries.pass(bytes);
        if side.left_out > 0 {
            let Some(first) = first_frame.filter(|_| self.queue.reserve(0)) else {
                return side.leave_out(&self.queue, bytes);
            };
            side.leave_out(&self.queue, &bytes[..first]);
            bytes = &bytes[first..];
            let left_out = std::mem::take(&mut side.left_out);
            self.queue.push(*number, News::Gap(direction, left_out));
        }
        match bytes {
            [] => {}
            bytes if self.queue.reserve(bytes.len()) => {
                let news = News::Bytes(direction, bytes.to_vec());
                self.queue.push(*number, news);
            }
            bytes => side.leave_out(&self.queue, bytes),
        }
    }
}

impl Side {
    fn leave_out(&mut self, queue: &Queue, bytes: &[u8]) {
        self.left_out += bytes.len() as u64;
        queue
            .dropped
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

impl ConnectionObserver for Tap {
    fn observe(&mut self, traffic: Traffic<'_>) -> ControlFlow<()> {
        match (&self.state, traffic) {
            (TapState::Head(_), Traffic::Received(bytes)) => return self.receive_head(bytes),
            (_, Traffic::Received(bytes)) => self.add(Direction::Sent, bytes),
            (_, Traffic::Sent(bytes)) => self.add(Direction::Received, bytes),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let TapState::Traced { number, .. } = std::mem::replace(&mut self.state, TapState::Ended)
        {
            self.queue.push(number, News::Ended);
        }
    }
}

fn names_address(settings: &TraceSettings, address: &PeerAddress) -> bool {
    let is_named = |ip| {
        settings
            .addresses
            .iter()
            .any(|network| network.contains(ip))
    };
    settings.addresses.is_empty() || address.ip().is_some_and(is_named)
}

/// Whether the request asks for a WebSocket, and for one of the rooms.
fn names_request(settings: &TraceSettings, head: &str) -> bool {
    let upgrade = field(head, "upgrade").unwrap_or_default();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let is_named = |room| settings.rooms.contains(&room);
    upgrade.to_ascii_lowercase().contains("websocket")
        && (settings.rooms.is_empty() || room_of(path).is_some_and(is_named))
}

/// The room of `/chat/ROOM` or `/broadcast/ROOM`, also below a path of the server.
fn room_of(target: &str) -> Option<String> {
    let path = target.split('?').next().unwrap_or_default();
    let mut segments = path.rsplit('/');
    let room = segments.next()?;
    let kind = segments.next()?;
    ["chat", "broadcast"]
        .contains(&kind)
        .then(|| percent_decode(room).map(|room| room.into_owned()))?
}

/// The thread: prints until the server is gone.
fn print_events(events: &Receiver<Event>, queue: &Queue, shown_bytes: usize) {
    let mut printer = Printer {
        observers: HashMap::new(),
        shown_bytes,
    };
    while let Ok(first) = events.recv() {
        let mut text = String::new();
        let mut done = Vec::new();
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Flush(flushed) => done.push(flushed),
                Event::Connection { number, at, news } => {
                    queue.taken(&news);
                    printer.write(number, at, news, &mut text);
                }
            }
            next = match text.len() < TEXT_BYTES {
                true => events.try_recv().ok(),
                false => None,
            };
        }
        // An error: nobody reads the output any more.
        let _ = print(&text);
        for flushed in done {
            // An error: nobody waits any more.
            let _ = flushed.send(());
        }
    }
}

/// The connections that are printed.
struct Printer {
    observers: HashMap<u64, Observer>,
    shown_bytes: usize,
}

impl Printer {
    /// Appends the lines of an event, each behind the number of its connection.
    fn write(&mut self, number: u64, at: Duration, news: News, text: &mut String) {
        let shown_bytes = self.shown_bytes;
        let mut lines = |direction, observer: &Observer, items: Vec<super::observer::Item>| {
            for line in render(at, direction, &items, observer, shown_bytes) {
                push_lines(number, &line, text);
            }
        };
        match news {
            News::Began(address) => {
                self.observers.insert(number, Observer::new(shown_bytes));
                push_lines(
                    number,
                    &describe::note(at, &format!("connection of {address}")),
                    text,
                );
            }
            News::Bytes(direction, bytes) => {
                if let Some(observer) = self.observers.get_mut(&number) {
                    let mut items = Vec::new();
                    observer.receive(direction, &bytes, |item| items.push(item));
                    lines(direction, observer, items);
                }
            }
            News::Gap(direction, bytes) => {
                if let Some(observer) = self.observers.get_mut(&number) {
                    let item = observer.skip(direction, bytes);
                    lines(direction, observer, vec![item]);
                }
            }
            News::Ended => {
                self.observers.remove(&number);
                push_lines(number, &describe::note(at, "ended"), text);
            }
        }
    }
}

/// Appends lines behind the number of their connection.
fn push_lines(number: u64, lines: &str, text: &mut String) {
    for line in lines.lines().filter(|line| !line.is_empty()) {
        text.push_str(&format!("#{number:<5} {line}\n"));
    }
}

/// What may wait for the thread: some thousands of frames.
const QUEUE_BYTES_MAX: usize = 4 << 20;

/// An event, besides its bytes.
const EVENT_BYTES: usize = 128;

/// The server's own limit of a head is lower.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// About so much is printed at once.
const TEXT_BYTES: usize = 64 << 10;

/// How long the end of the program waits for the output.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::observer::tests::{MASKED_HELLO, REQUEST, RESPONSE};
    use super::*;

    fn settings(rooms: &[&str]) -> Arc<TraceSettings> {
        Arc::new(TraceSettings {
            all: true,
            rooms: rooms.iter().map(|room| (*room).to_owned()).collect(),
            ..TraceSettings::default()
        })
    }

    fn tap(settings: Arc<TraceSettings>, queue: &Arc<Queue>) -> Tap {
        let address = PeerAddress::from(([192, 0, 2, 7], 4711));
        Tap::new(address, settings, queue.clone())
    }

    /// The lines of all events that wait.
    fn printed(queue: &Queue, events: &Receiver<Event>) -> String {
        let mut printer = Printer {
            observers: HashMap::new(),
            shown_bytes: 16,
        };
        let mut text = String::new();
        for event in events.try_iter() {
            if let Event::Connection { number, at, news } = event {
                queue.taken(&news);
                printer.write(number, at, news, &mut text);
            }
        }
        text
    }

    #[test]
    fn connection_is_printed_as_trace_prints_it_behind_its_number() {
        let (queue, events) = Queue::new();
        let mut tap = tap(settings(&[]), &queue);
        let (first, rest) = REQUEST.split_at(30);
        for bytes in [first, rest] {
            assert!(tap.observe(Traffic::Received(bytes)).is_continue());
        }
        assert!(tap.observe(Traffic::Sent(RESPONSE)).is_continue());
        assert!(tap.observe(Traffic::Received(MASKED_HELLO)).is_continue());
        drop(tap);
        let text = printed(&queue, &events);
        for part in [
            "connection of 192.0.2.7:4711\n",
            "→ GET /?token=*** HTTP/1.1",
            "← HTTP/1.1 101 Switching Protocols",
            "text, 5 bytes, masked with 37 fa 21 3d (§5.6)\n",
            "\"Hello\"\n",
            "ended\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.lines().all(|line| line.starts_with("#1 ")), "{text}");
        assert!(!text.contains("abc"), "{text}");
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn only_websockets_of_named_rooms_are_traced() {
        let upgrade = |path: &str| format!("GET {path} HTTP/1.1\r\nUpgrade: WebSocket\r\n");
        let named = settings(&["lobby", "会議室"]);
        for path in [
            "/chat/lobby",
            "/broadcast/lobby?x=1",
            "/talk/chat/lobby",
            "/chat/%E4%BC%9A%E8%AD%B0%E5%AE%A4",
        ] {
            assert!(names_request(&named, &upgrade(path)), "{path}");
        }
        for path in [
            "/chat/lobby2",
            "/other/lobby",
            "/",
            "/chat/",
            "lobby",
            "/chat/%E4",
        ] {
            assert!(!names_request(&named, &upgrade(path)), "{path}");
        }
        assert!(names_request(&settings(&[]), &upgrade("/")));
        assert!(!names_request(
            &settings(&[]),
            "GET / HTTP/1.1\r\nHost: a\r\n"
        ));
    }

    #[test]
    fn connection_that_is_not_named_leaves_nothing_in_the_queue() {
        let (queue, events) = Queue::new();
        let mut tap = tap(settings(&["x"]), &queue);
        assert!(tap.observe(Traffic::Received(REQUEST)).is_break());
        drop(tap);
        assert_eq!(printed(&queue, &events), "");
    }

    #[test]
    fn only_named_networks_are_traced() {
        let settings = TraceSettings {
            addresses: vec!["192.0.2.0/24".parse().expect("a network")],
            ..TraceSettings::default()
        };
        assert!(names_address(
            &settings,
            &PeerAddress::from(([192, 0, 2, 9], 1))
        ));
        assert!(!names_address(
            &settings,
            &PeerAddress::from(([198, 51, 100, 9], 1))
        ));
        assert!(!names_address(&settings, &PeerAddress::Unix));
    }

    #[test]
    fn bytes_wait_up_to_the_limit_and_one_byte_more_is_left_out_up_to_the_next_frame() {
        let (queue, events) = Queue::new();
        let mut tap = tap(settings(&[]), &queue);
        assert!(tap.observe(Traffic::Received(REQUEST)).is_continue());
        assert!(tap.observe(Traffic::Sent(RESPONSE)).is_continue());
        let room = QUEUE_BYTES_MAX - queue.waiting.load(Ordering::Relaxed) - EVENT_BYTES;
        let mut full = vec![0x82, 127];
        full.extend((room as u64 - 10).to_be_bytes());
        full.resize(room, 7);
        assert!(tap.observe(Traffic::Sent(&full)).is_continue());
        assert_eq!(queue.waiting.load(Ordering::Relaxed), QUEUE_BYTES_MAX);
        // The rest of this frame, and the next one.
        assert!(tap.observe(Traffic::Sent(b"\x81\x05lo")).is_continue());
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 4);
        let before = printed(&queue, &events);
        assert!(before.contains("binary, "), "{before}");
        assert!(tap.observe(Traffic::Sent(b"st!\x81\x02ok")).is_continue());
        let (_, after) = (queue.dropped.load(Ordering::Relaxed), events);
        let text: Vec<News> = after
            .try_iter()
            .filter_map(|event| match event {
                Event::Connection { news, .. } => Some(news),
                Event::Flush(_) => None,
            })
            .collect();
        assert!(
            matches!(&text[..], [News::Gap(Direction::Received, 7), News::Bytes(_, bytes)] if bytes == b"\x81\x02ok"),
            "{}",
            text.len()
        );
    }

    #[test]
    fn gap_is_a_line_and_the_next_frames_are_shown() {
        let mut observer = Observer::new(16);
        observer.receive(Direction::Received, RESPONSE, |_| {});
        observer.receive(Direction::Received, b"\x01\x03abc", |_| {});
        let gap = observer.skip(Direction::Received, 7);
        let mut items = vec![gap];
        observer.receive(Direction::Received, b"\x80\x01d\x81\x02ok", |item| {
            items.push(item)
        });
        let lines = render(Duration::ZERO, Direction::Received, &items, &observer, 16);
        let text = lines.concat();
        assert!(text.contains("7 bytes are left out"), "{text}");
        assert!(text.contains("\"ok\""), "{text}");
        assert!(!text.contains("broken"), "{text}");
    }

    #[test]
    fn end_of_the_trace_waits_for_the_output_and_counts_what_was_left_out() {
        let (queue, events) = Queue::new();
        queue.dropped.store(5, Ordering::Relaxed);
        let of_thread = queue.clone();
        let printing = thread::spawn(move || print_events(&events, &of_thread, 16));
        let trace = ServerTrace {
            settings: settings(&[]),
            queue,
        };
        let line = trace.finish().expect("a line");
        assert_eq!(
            line,
            "the trace has left out 5 bytes: its output is too slow"
        );
        drop(printing);
    }
}
