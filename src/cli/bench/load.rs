//! One thread of the load: a reactor's application with its share of the
//! members.
//!
//! ```text
//!   conductor ── Order ──▶ mailbox ─▶ Load ─▶ Event ──▶ conductor
//!                                      │ ▲
//!                         frames, masked │ frames, judged where they lie
//!                                      ▼ │
//!                                     sockets
//! ```
//!
//! Members are opened elsewhere ([`super::opening`]) and handed in when WebSocket
//! is spoken on them. A read brings many messages; they are judged one after the
//! other, entered in the [`Book`], and then whoever may go on publishes: one
//! write for all that it may send.
//!
//! For a member there are some 300 octets here and in the reactor, and no buffer
//! unless a write was cut short.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use yamabiko::reactor::{Application, End, Io, Reactor, SocketKey};
use yamabiko::websocket::frame::{CloseCode, Opcode, encode};

use super::book::{Book, Crew, Standing, Tally};
use super::inbox::{Arrival, Broken, Inbox};
use super::payload::{Reading, Template};
use super::publishers::Publishers;
use super::randomness::Keys;
use super::time::{Clock, Timeline};

/// What the conductor wants.
pub(super) enum Order {
    /// A member, open, and what came behind the head of the server's answer.
    Member {
        number: u32,
        stream: TcpStream,
        surplus: Vec<u8>,
    },
    /// Measure what happens in this time, and say when that is understood.
    Measure(Timeline),
    /// Publish.
    Begin,
    /// Open loop: something may be due.
    Tick,
    /// The slow members stop reading.
    Stall,
    /// Publish nothing that is due from then on, and tell the goals.
    Stop { at_ns: u64 },
    /// Each publisher sends so many messages in all: tell when all are there.
    Expect(Arc<[u32]>),
    /// The slow members read again.
    Resume,
    /// Close all connections; the run is over.
    Finish,
}

/// What the conductor is told.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection is open, and it took so long.
    Opened(Duration),
    /// A connection could not be opened, and why.
    NotOpened(String),
    /// A thread knows what is to be measured.
    Ready,
    /// A member has ended before its time.
    Ended,
    /// For publishers by number: how many messages each sends in all.
    Goals(Vec<(u32, u32)>),
    /// All of them have come.
    Drained,
    /// The user wants no more.
    Interrupted,
}

/// What a thread shares with those who watch and drive it.
#[derive(Clone, Debug)]
pub(super) struct Wires {
    pub events: Sender<Event>,
    /// Messages that all threads have received so far.
    pub received: Arc<AtomicU64>,
    /// An [`Order::Tick`] is on its way to this thread: no second is needed.
    pub tick_waits: Arc<AtomicBool>,
}

/// What a thread brings home.
pub(super) struct Outcome {
    pub tally: Tally,
    /// For publishers by number: how many messages each has sent.
    pub sent: Vec<(u32, u32)>,
    /// How far the members that read have come, by publisher.
    pub standings: Vec<Standing>,
    /// The same of the slow ones.
    pub slow_standings: Vec<Standing>,
}

/// See the [module's text](self).
pub(super) struct Load {
    crew: Crew,
    clock: Clock,
    template: Template,
    opcode: Opcode,
    keys: Keys,
    book: Book,
    publishers: Publishers,
    /// By their number in the crew. `None`: not there yet, or gone.
    members: Vec<Option<Member>>,
    /// For each slot of the reactor, the member in it.
    by_slot: Vec<usize>,
    /// Frames on their way from here to the kernel.
    batch: Vec<u8>,
    goals: Arc<[u32]>,
    told_drained: bool,
    finished: Option<(Vec<Standing>, Vec<Standing>)>,
    wires: Wires,
}

struct Member {
    key: SocketKey,
    inbox: Inbox,
    /// What the kernel had no room for.
    outbox: Vec<u8>,
    /// A Close has been sent or received.
    closing: bool,
}

impl Load {
    /// # Errors
    /// No randomness, in words.
    pub(super) fn new(
        crew: Crew,
        clock: Clock,
        template: Template,
        wires: Wires,
    ) -> Result<Load, String> {
        Ok(Load {
            clock,
            template,
            opcode: if crew.plan().binary {
                Opcode::Binary
            } else {
                Opcode::Text
            },
            keys: Keys::new()?,
            book: Book::new(crew.clone())?,
            publishers: Publishers::new(crew.clone()),
            members: (0..crew.members()).map(|_| None).collect(),
            by_slot: Vec::new(),
            batch: Vec::new(),
            goals: Arc::new([]),
            told_drained: false,
            finished: None,
            wires,
            crew,
        })
    }

    /// Carries out orders until the last one.
    ///
    /// # Errors
    /// The event loop's, in words.
    pub(super) fn run(mut self, reactor: &mut Reactor<Order>) -> Result<Outcome, String> {
        reactor
            .run(&mut self)
            .map_err(|error| format!("the event loop failed: {}", crate::cli::words(&error)))?;
        let sent = self.publishers.sent();
        let (standings, slow_standings) = self.finished.unwrap_or_default();
        Ok(Outcome {
            tally: self.book.into_tally(),
            sent,
            standings,
            slow_standings,
        })
    }

    /// The conductor may have gone; then nobody has to be told.
    fn tell(&self, event: Event) {
        let _ = self.wires.events.send(event);
    }
}

impl Application for Load {
    type Mail = Order;

    /// Adopted by `take_in`, where it was noted.
    fn opened(&mut self, _io: &mut Io, _key: SocketKey, _peer: SocketAddr) {}

    fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]) {
        if let Some(&member) = self.by_slot.get(key.index()) {
            self.read(io, member, bytes);
        }
    }

    fn ended(&mut self, io: &mut Io, key: SocketKey, _end: End) {
        if let Some(&member) = self.by_slot.get(key.index()) {
            self.note_end(member, NO_CLOSE_CAME);
            self.remove(io, member);
        }
    }

    fn writable(&mut self, io: &mut Io, key: SocketKey) {
        let Some(&place) = self.by_slot.get(key.index()) else {
            return;
        };
        let Some(member) = &mut self.members[place] else {
            return;
        };
        let written = io.write(key, &member.outbox);
        member.outbox.drain(..written);
        if member.outbox.is_empty() {
            member.outbox.shrink_to(OUTBOX_BYTES_KEPT);
            self.publish_from(io, place);
        }
    }

    /// A closing handshake that the server does not end.
    fn timer(&mut self, io: &mut Io, key: SocketKey) {
        if let Some(&member) = self.by_slot.get(key.index()) {
            self.remove(io, member);
        }
    }

    /// The last connections have had their time.
    fn alarm(&mut self, io: &mut Io) {
        io.stop();
    }

    fn mail(&mut self, io: &mut Io, order: Order) {
        match order {
            Order::Member {
                number,
                stream,
                surplus,
            } => self.take_in(io, number, stream, surplus),
            Order::Measure(timeline) => {
                self.book.set_timeline(timeline);
                self.tell(Event::Ready);
            }
            Order::Begin => self.begin(io),
            Order::Tick => self.tick(io),
            Order::Stall => self.for_each_slow(|key| io.pause_reading(key)),
            Order::Stop { at_ns } => self.stop(io, at_ns),
            Order::Expect(goals) => self.expect(goals),
            Order::Resume => self.for_each_slow(|key| io.resume_reading(key)),
            Order::Finish => self.finish(io),
        }
    }

    fn turn_ended(&mut self, io: &mut Io) {
        let received = self.book.take_received();
        if received > 0 {
            self.wires.received.fetch_add(received, Ordering::Relaxed);
        }
        if !self.told_drained && self.book.drained() {
            self.told_drained = true;
            self.tell(Event::Drained);
        }
        if self.finished.is_some() && io.sockets() == 0 {
            io.stop();
        }
    }
}

/// The orders.
impl Load {
    fn take_in(&mut self, io: &mut Io, number: u32, stream: TcpStream, mut surplus: Vec<u8>) {
        let Some(place) = self.crew.member(number).filter(|_| self.finished.is_none()) else {
            return;
        };
        let key = match io.adopt(stream) {
            Ok(key) => key,
            Err(error) => return self.tell(Event::NotOpened(crate::cli::words(&error))),
        };
        if self.by_slot.len() <= key.index() {
            self.by_slot.resize(key.index() + 1, place);
        }
        self.by_slot[key.index()] = place;
        self.members[place] = Some(Member {
            key,
            inbox: Inbox::new(),
            outbox: Vec::new(),
            closing: false,
        });
        if let Some(hello) = self.crew.plan().greeting.hello.clone() {
            self.send(io, place, Opcode::Text, hello.as_bytes());
        }
        self.read(io, place, &mut surplus);
    }

    fn begin(&mut self, io: &mut Io) {
        self.publishers.begin(self.book.timeline());
        self.publish(io);
    }

    fn tick(&mut self, io: &mut Io) {
        self.wires.tick_waits.store(false, Ordering::Relaxed);
        self.publishers.tick(self.clock.now_ns());
        self.publish(io);
    }

    fn stop(&mut self, io: &mut Io, at_ns: u64) {
        let mut timeline = self.book.timeline();
        timeline.to_ns = timeline.to_ns.min(at_ns);
        self.book.set_timeline(timeline);
        self.publishers.stop(at_ns);
        self.publish(io);
        self.tell(Event::Goals(self.publishers.goals()));
    }

    fn expect(&mut self, goals: Arc<[u32]>) {
        self.goals = goals;
        let members = &self.members;
        self.book
            .expect(&self.goals, |place| is_open(members, place));
    }

    fn for_each_slow(&self, mut act: impl FnMut(SocketKey)) {
        let slow = |place: &usize| self.crew.is_slow(*place);
        for place in (0..self.members.len()).filter(slow) {
            if let Some(member) = &self.members[place] {
                act(member.key);
            }
        }
    }

    /// What is there now is what is brought home; then every member says
    /// goodbye, and the server has a moment to answer.
    fn finish(&mut self, io: &mut Io) {
        let (members, crew) = (&self.members, &self.crew);
        let standings = |slow: bool| {
            let counts = |place| is_open(members, place) && crew.is_slow(place) == slow;
            self.book.standings(counts)
        };
        self.finished = Some((standings(false), standings(true)));
        io.set_alarm(Some(io.now().plus(CLOSE_TIMEOUT)));
        for place in 0..self.members.len() {
            self.close(io, place, CloseCode::NORMAL.get());
        }
    }
}

/// What comes in.
impl Load {
    fn read(&mut self, io: &mut Io, place: usize, bytes: &mut [u8]) {
        let now_ns = self.clock.now_ns();
        let mut input = bytes;
        loop {
            let Some(member) = &mut self.members[place] else {
                return;
            };
            match member.inbox.next(&mut input, &self.template) {
                Ok(Some(Arrival::Message(reading))) => self.enter(place, reading, now_ns),
                Ok(Some(Arrival::Control(opcode))) => self.control(io, place, opcode),
                Ok(None) => break,
                Err(broken) => return self.fail(io, place, broken),
            }
        }
        self.publish(io);
    }

    #[inline]
    fn enter(&mut self, place: usize, reading: Reading, now_ns: u64) {
        if let Some(advance) = self.book.enter(place, reading, now_ns) {
            self.publishers.advanced(place, advance);
        }
    }

    fn control(&mut self, io: &mut Io, place: usize, opcode: Opcode) {
        match opcode {
            Opcode::Ping => self.answer_ping(io, place),
            Opcode::Close => self.answer_close(io, place),
            _ => {}
        }
    }

    /// A server that does not read its pongs gets no more of them: the newest
    /// ones are behind those that wait (§5.5.3 asks for no more).
    fn answer_ping(&mut self, io: &mut Io, place: usize) {
        self.book.tally_mut().pings += 1;
        let Some(member) = &self.members[place] else {
            return;
        };
        if member.outbox.len() <= OUTBOX_BYTES_KEPT && !member.closing {
            let payload = member.inbox.control_payload().to_vec();
            self.send(io, place, Opcode::Pong, &payload);
        }
    }

    fn answer_close(&mut self, io: &mut Io, place: usize) {
        let Some(member) = &self.members[place] else {
            return;
        };
        let code = match member.inbox.control_payload() {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => NO_CODE_CAME,
        };
        self.note_end(place, code);
        self.close(io, place, code);
        if let Some(member) = &self.members[place] {
            // It is for the server to end TCP (§7.1.1).
            io.set_deadline(member.key, io.now().plus(CLOSE_TIMEOUT));
        }
    }

    fn fail(&mut self, io: &mut Io, place: usize, broken: Broken) {
        self.note_end(place, NO_CLOSE_CAME);
        self.book
            .tally_mut()
            .broken
            .get_or_insert(broken.to_string());
        self.close(io, place, CloseCode::PROTOCOL_ERROR.get());
        self.remove(io, place);
    }

    /// Counts the end of a member that nobody has asked to end.
    fn note_end(&mut self, place: usize, code: u16) {
        if self.finished.is_some() || !is_open(&self.members, place) {
            return;
        }
        self.book.count_ended(place, code);
        self.book.give_up(place, &self.goals);
        self.publishers.gone(place);
        self.tell(Event::Ended);
    }

    fn remove(&mut self, io: &mut Io, place: usize) {
        if let Some(member) = self.members[place].take() {
            io.close(member.key);
        }
    }
}

/// What goes out.
impl Load {
    fn publish(&mut self, io: &mut Io) {
        while let Some(publisher) = self.publishers.next_ready() {
            self.publish_from(io, publisher);
        }
    }

    /// All that this member may publish and its socket takes.
    fn publish_from(&mut self, io: &mut Io, place: usize) {
        while let Some(member) = &mut self.members[place] {
            let now_ns = self.clock.now_ns();
            let allowed = self.publishers.allowed(place, now_ns);
            if allowed == 0 || member.closing || !member.outbox.is_empty() {
                return;
            }
            self.batch.clear();
            let mut count = 0;
            while count < allowed && self.batch.len() < BATCH_BYTES {
                let head = self.publishers.next_head(place, now_ns);
                self.book.published(head.sent_ns, now_ns);
                let (key, payload) = (self.keys.next_key(), self.template.fill(head));
                encode(true, self.opcode, Some(key), payload, &mut self.batch);
                count += 1;
            }
            let written = io.write(member.key, &self.batch);
            member.outbox.extend_from_slice(&self.batch[written..]);
        }
    }

    fn close(&mut self, io: &mut Io, place: usize, code: u16) {
        if !is_open(&self.members, place) {
            return;
        }
        let code = code.to_be_bytes();
        let body = match CloseCode::new(u16::from_be_bytes(code)) {
            Some(_) => &code[..],
            None => &[],
        };
        self.send(io, place, Opcode::Close, body);
        if let Some(member) = &mut self.members[place] {
            member.closing = true;
        }
    }

    /// A frame behind all that waits.
    fn send(&mut self, io: &mut Io, place: usize, opcode: Opcode, payload: &[u8]) {
        let Some(member) = &mut self.members[place] else {
            return;
        };
        encode(
            true,
            opcode,
            Some(self.keys.next_key()),
            payload,
            &mut member.outbox,
        );
        let written = io.write(member.key, &member.outbox);
        member.outbox.drain(..written);
    }
}

fn is_open(members: &[Option<Member>], place: usize) -> bool {
    matches!(members.get(place), Some(Some(member)) if !member.closing)
}

/// How long the server has to answer a Close, and then to end TCP.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Frames are written in pieces of about this size; with a longer message, one
/// by one.
const BATCH_BYTES: usize = 64 << 10;
const OUTBOX_BYTES_KEPT: usize = 4 << 10;
/// A Close without a body (RFC 6455 §7.1.5).
const NO_CODE_CAME: u16 = 1005;
/// TCP ended without a Close.
const NO_CLOSE_CAME: u16 = 1006;
