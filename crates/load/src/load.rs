//! One thread of the load: a reactor's application with its share of the
//! members.
//!
//! ```text
//!   coordinator ── Command ──▶ mailbox ─▶ Load ─▶ Event ──▶ coordinator
//!                                         │ ▲
//!                          frames, masked │ │ frames, checked in the read buffer
//!                                         ▼ │
//!                                       sockets
//! ```
//!
//! [`super::opening`] opens the connections and hands them in after the opening
//! handshake. A read brings many messages, which are checked one after the other and
//! recorded ([`Recorder`]). Then each publisher that may continue sends all messages that
//! it may send, with one write.
//!
//! A member needs about 330 bytes, here and in the reactor, and has no buffer unless
//! the kernel took only a part of a write. Over TLS it needs the keys of its session besides.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use yamabiko::reactor::{Application, End, Io, PeerAddress, Reactor, SocketKey};
use yamabiko::websocket::MaskingKeys;
use yamabiko::websocket::frame::{CloseCode, Opcode, encode};

use super::commands::{Command, Event, Links, Outcome};
use super::error::Error;
use super::frame_reader::{Arrival, Broken, Checker};
use super::inflater::Inflater;
use super::member::Member;
use super::partition::Partition;
use super::payload::{Reading, Template};
use super::publishers::Publishers;
use super::randomness::{self, Keys};
use super::recorder::{Recorder, Standing};
use super::secure::Secured;
use super::time::Clock;

/// See the [module's text](self).
pub(super) struct Load {
    partition: Partition,
    clock: Clock,
    checker: Checker,
    opcode: Opcode,
    keys: Keys,
    recorder: Recorder,
    publishers: Publishers,
    /// By their index in the partition. `None`: not open yet, or ended.
    members: Vec<Option<Member>>,
    /// For each slot of the reactor, the member in it.
    by_slot: Vec<usize>,
    /// Frames for the next write.
    batch: Vec<u8>,
    totals: Arc<[u32]>,
    reported_drained: bool,
    finished: Option<(Vec<Standing>, Vec<Standing>)>,
    links: Links,
}

impl Load {
    /// # Errors
    /// No randomness.
    pub(super) fn new(
        partition: Partition,
        clock: Clock,
        template: Template,
        links: Links,
    ) -> Result<Load, Error> {
        Ok(Load {
            clock,
            checker: Checker {
                inflater: partition.plan().compress.then(|| Inflater::new(&template)),
                template,
            },
            opcode: if partition.plan().binary {
                Opcode::Binary
            } else {
                Opcode::Text
            },
            keys: randomness::keys()?,
            recorder: Recorder::new(partition.clone()),
            publishers: Publishers::new(partition.clone()),
            members: (0..partition.members()).map(|_| None).collect(),
            by_slot: Vec::new(),
            batch: Vec::new(),
            totals: Arc::new([]),
            reported_drained: false,
            finished: None,
            links,
            partition,
        })
    }

    /// Carries out commands until the last one.
    ///
    /// # Errors
    /// The event loop's.
    pub(super) fn run(mut self, reactor: &mut Reactor<Command>) -> Result<Outcome, Error> {
        reactor.run(&mut self).map_err(Error::EventLoop)?;
        let sent = self.publishers.sent();
        let (standings, slow_standings) = self.finished.unwrap_or_default();
        Ok(Outcome {
            tally: self.recorder.into_tally(),
            sent,
            standings,
            slow_standings,
        })
    }

    /// If the coordinator has ended, the event is dropped.
    fn report(&self, event: Event) {
        let _ = self.links.events.send(event);
    }
}

impl Application for Load {
    type Message = Command;

    /// `take_in` has done this part.
    fn opened(&mut self, _io: &mut Io, _key: SocketKey, _peer: PeerAddress) {}

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

    /// The server has not completed a closing handshake in time.
    fn timer(&mut self, io: &mut Io, key: SocketKey) {
        if let Some(&member) = self.by_slot.get(key.index()) {
            self.remove(io, member);
        }
    }

    /// The last connections have not ended in time.
    fn alarm(&mut self, io: &mut Io) {
        io.stop();
    }

    fn message(&mut self, io: &mut Io, command: Command) {
        match command {
            Command::Member {
                number,
                stream,
                secured,
                surplus,
            } => self.take_in(io, number, stream, secured, surplus),
            Command::Measure(timeline) => {
                self.recorder.set_timeline(timeline);
                self.report(Event::Ready);
            }
            Command::Begin => self.begin(io),
            Command::Tick => self.tick(io),
            Command::Stall => self.for_each_slow(|key| io.pause_reading(key)),
            Command::Stop { at_ns } => self.stop(io, at_ns),
            Command::Expect(totals) => self.expect(totals),
            Command::Resume => self.for_each_slow(|key| io.resume_reading(key)),
            Command::Finish => self.finish(io),
        }
    }

    fn turn_ended(&mut self, io: &mut Io) {
        let received = self.recorder.take_received();
        if received > 0 {
            self.links.received.fetch_add(received, Ordering::Relaxed);
        }
        if !self.reported_drained && self.recorder.drained() {
            self.reported_drained = true;
            self.report(Event::Drained);
        }
        if self.finished.is_some() && io.sockets() == 0 {
            io.stop();
        }
    }
}

/// Carrying out commands.
impl Load {
    fn take_in(
        &mut self,
        io: &mut Io,
        number: u32,
        stream: TcpStream,
        secured: Option<Secured>,
        mut surplus: Vec<u8>,
    ) {
        let Some(place) = self
            .partition
            .member(number)
            .filter(|_| self.finished.is_none())
        else {
            return;
        };
        let key = match io.adopt(stream) {
            Ok(key) => key,
            Err(error) if has_ended(&error) => return self.count_end(place, NO_CLOSE_CAME),
            Err(error) => return self.report(Event::NotOpened(Error::EventLoop(error))),
        };
        if let Some(secured) = secured {
            secured.take_over(io, key);
        }
        if self.by_slot.len() <= key.index() {
            self.by_slot.resize(key.index() + 1, place);
        }
        self.by_slot[key.index()] = place;
        let mut member = Member::new(key);
        if let Some(hello) = &self.partition.plan().greeting.hello {
            member.send(io, &mut self.keys, Opcode::Text, hello.as_bytes());
        }
        self.members[place] = Some(member);
        self.read(io, place, &mut surplus);
    }

    fn begin(&mut self, io: &mut Io) {
        self.publishers.begin(self.recorder.timeline());
        self.publish(io);
    }

    fn tick(&mut self, io: &mut Io) {
        self.links.tick_waits.store(false, Ordering::Relaxed);
        self.publishers.tick(self.clock.now_ns());
        self.publish(io);
    }

    fn stop(&mut self, io: &mut Io, at_ns: u64) {
        let mut timeline = self.recorder.timeline();
        timeline.to_ns = timeline.to_ns.min(at_ns);
        self.recorder.set_timeline(timeline);
        self.publishers.stop(at_ns);
        self.publish(io);
        self.report(Event::Totals(self.publishers.totals()));
    }

    fn expect(&mut self, totals: Arc<[u32]>) {
        self.totals = totals;
        let members = &self.members;
        self.recorder
            .expect(&self.totals, |place| is_open(members, place));
    }

    fn for_each_slow(&self, mut act: impl FnMut(SocketKey)) {
        let slow = |place: &usize| self.partition.is_slow(*place);
        for place in (0..self.members.len()).filter(slow) {
            if let Some(member) = &self.members[place] {
                act(member.key);
            }
        }
    }

    /// Takes the result so far. Every member sends a Close frame, and the server has a moment
    /// to respond.
    fn finish(&mut self, io: &mut Io) {
        let (members, partition) = (&self.members, &self.partition);
        let standings = |slow: bool| {
            let counts = |place| is_open(members, place) && partition.is_slow(place) == slow;
            self.recorder.standings(counts)
        };
        self.finished = Some((standings(false), standings(true)));
        io.set_alarm(Some(io.now().plus(CLOSE_TIMEOUT)));
        for member in self.members.iter_mut().flatten() {
            member.close(io, &mut self.keys, CloseCode::NORMAL.get());
        }
    }
}

/// Receiving.
impl Load {
    fn read(&mut self, io: &mut Io, place: usize, bytes: &mut [u8]) {
        let now_ns = self.clock.now_ns();
        self.recorder.record_bytes(place, bytes.len(), now_ns);
        let mut input = bytes;
        loop {
            let Some(member) = &mut self.members[place] else {
                return;
            };
            match member.reader.next(&mut input, &mut self.checker) {
                Ok(Some(Arrival::Message(reading))) => self.record(place, reading, now_ns),
                Ok(Some(Arrival::Control(opcode))) => self.control(io, place, opcode),
                Ok(None) => break,
                Err(broken) => return self.fail(io, place, broken),
            }
        }
        self.publish(io);
    }

    #[inline]
    fn record(&mut self, place: usize, reading: Reading, now_ns: u64) {
        if let Some(advance) = self.recorder.record(place, reading, now_ns) {
            self.publishers.advanced(place, advance);
        }
    }

    fn control(&mut self, io: &mut Io, place: usize, opcode: Opcode) {
        let Some(member) = &mut self.members[place] else {
            return;
        };
        match opcode {
            Opcode::Ping => {
                self.recorder.tally_mut().pings += 1;
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
        let rule = &mut self.recorder.tally_mut().broken;
        rule.get_or_insert_with(|| broken.to_string());
        self.end(io, place, NO_CLOSE_CAME, CloseCode::PROTOCOL_ERROR.get());
        self.remove(io, place);
    }

    /// A member has ended with one close code and responds with another one. Then the server
    /// has to end TCP (RFC 6455 §7.1.1).
    fn end(&mut self, io: &mut Io, place: usize, code: u16, answer: u16) {
        self.note_end(place, code);
        if let Some(member) = &mut self.members[place] {
            member.close(io, &mut self.keys, answer);
            io.set_deadline(member.key, io.now().plus(CLOSE_TIMEOUT));
        }
    }

    /// Counts a connection that has ended, unless the run is over.
    fn note_end(&mut self, place: usize, code: u16) {
        if self.finished.is_none() && is_open(&self.members, place) {
            self.count_end(place, code);
        }
    }

    /// Counts a connection that has ended before the run.
    fn count_end(&mut self, place: usize, code: u16) {
        self.recorder.count_ended(place, code);
        self.recorder.give_up(place, &self.totals);
        self.publishers.gone(place);
        self.report(Event::Ended);
    }

    fn remove(&mut self, io: &mut Io, place: usize) {
        if let Some(member) = self.members[place].take() {
            io.close(member.key);
        }
    }
}

/// Publishing.
impl Load {
    fn publish(&mut self, io: &mut Io) {
        while let Some(publisher) = self.publishers.next_ready() {
            self.publish_from(io, publisher);
        }
    }

    /// Publishes all messages that this member may send and its socket accepts.
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
                self.recorder.published(head.sent_ns, now_ns);
                let (key, payload) = (self.keys.next_key(), self.checker.template.fill(head));
                encode(true, self.opcode, Some(key), payload, &mut self.batch);
                count += 1;
            }
            member.write(io, &self.batch);
        }
    }
}

/// Whether a socket could not be taken in because the server has reset it already.
fn has_ended(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | NotConnected
    )
}

fn is_open(members: &[Option<Member>], place: usize) -> bool {
    matches!(members.get(place), Some(Some(member)) if member.is_open())
}

/// The server's time to answer a Close, and then to end TCP.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Frames are written in pieces of about this size, and longer messages one by one.
const BATCH_BYTES: usize = 64 << 10;
/// TCP ended without a Close frame.
const NO_CLOSE_CAME: u16 = 1006;
