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
//! For a member there are some 330 octets here and in the reactor, and no buffer
//! unless a write was cut short.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use yamabiko::reactor::{Application, End, Io, Reactor, SocketKey};
use yamabiko::websocket::frame::{CloseCode, Opcode, encode};

use super::book::{Book, Standing};
use super::crew::Crew;
use super::error::Error;
use super::inbox::{Arrival, Broken, Judge};
use super::member::Member;
use super::orders::{Event, Order, Outcome, Wires};
use super::payload::{Reading, Template};
use super::publishers::Publishers;
use super::randomness::Keys;
use super::time::Clock;
use super::unpacking::Unpacking;

/// See the [module's text](self).
pub(super) struct Load {
    crew: Crew,
    clock: Clock,
    judge: Judge,
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

impl Load {
    /// # Errors
    /// No randomness.
    pub(super) fn new(
        crew: Crew,
        clock: Clock,
        template: Template,
        wires: Wires,
    ) -> Result<Load, Error> {
        Ok(Load {
            clock,
            judge: Judge {
                unpacking: crew.plan().compress.then(|| Unpacking::new(&template)),
                template,
            },
            opcode: if crew.plan().binary {
                Opcode::Binary
            } else {
                Opcode::Text
            },
            keys: Keys::new()?,
            book: Book::new(crew.clone()),
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
    /// The event loop's.
    pub(super) fn run(mut self, reactor: &mut Reactor<Order>) -> Result<Outcome, Error> {
        reactor.run(&mut self).map_err(Error::EventLoop)?;
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
        member.flush(io, &mut self.keys);
        self.publish_from(io, place);
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
            Err(error) => return self.tell(Event::NotOpened(Error::EventLoop(error))),
        };
        if self.by_slot.len() <= key.index() {
            self.by_slot.resize(key.index() + 1, place);
        }
        self.by_slot[key.index()] = place;
        let mut member = Member::new(key);
        if let Some(hello) = &self.crew.plan().greeting.hello {
            member.send(io, &mut self.keys, Opcode::Text, hello.as_bytes());
        }
        self.members[place] = Some(member);
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
        for member in self.members.iter_mut().flatten() {
            member.close(io, &mut self.keys, CloseCode::NORMAL.get());
        }
    }
}

/// What comes in.
impl Load {
    fn read(&mut self, io: &mut Io, place: usize, bytes: &mut [u8]) {
        let now_ns = self.clock.now_ns();
        self.book.came(place, bytes.len(), now_ns);
        let mut input = bytes;
        loop {
            let Some(member) = &mut self.members[place] else {
                return;
            };
            match member.inbox.next(&mut input, &mut self.judge) {
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
        let Some(member) = &mut self.members[place] else {
            return;
        };
        match opcode {
            Opcode::Ping => {
                self.book.tally_mut().pings += 1;
                member.answer_ping(io, &mut self.keys);
            }
            Opcode::Close => {
                let code = member.close_code();
                self.end(io, place, code, code);
            }
            _ => {}
        }
    }

    fn fail(&mut self, io: &mut Io, place: usize, broken: Broken) {
        let rule = &mut self.book.tally_mut().broken;
        rule.get_or_insert_with(|| broken.to_string());
        self.end(io, place, NO_CLOSE_CAME, CloseCode::PROTOCOL_ERROR.get());
        self.remove(io, place);
    }

    /// A member has ended with a code, and answers with another. Then it is for
    /// the server to end TCP (RFC 6455 §7.1.1).
    fn end(&mut self, io: &mut Io, place: usize, code: u16, answer: u16) {
        self.note_end(place, code);
        if let Some(member) = &mut self.members[place] {
            member.close(io, &mut self.keys, answer);
            io.set_deadline(member.key, io.now().plus(CLOSE_TIMEOUT));
        }
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
            if allowed == 0 || !member.is_clear() {
                return;
            }
            self.batch.clear();
            let mut count = 0;
            while count < allowed && self.batch.len() < BATCH_BYTES {
                let head = self.publishers.next_head(place, now_ns);
                self.book.published(head.sent_ns, now_ns);
                let (key, payload) = (self.keys.next_key(), self.judge.template.fill(head));
                encode(true, self.opcode, Some(key), payload, &mut self.batch);
                count += 1;
            }
            member.write(io, &self.batch);
        }
    }
}

fn is_open(members: &[Option<Member>], place: usize) -> bool {
    matches!(members.get(place), Some(Some(member)) if member.is_open())
}

/// How long the server has to answer a Close, and then to end TCP.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Frames are written in pieces of about this size; with a longer message, one
/// by one.
const BATCH_BYTES: usize = 64 << 10;
/// TCP ended without a Close.
const NO_CLOSE_CAME: u16 = 1006;
