//! The thread that receives: subscriptions, messages of channels, and what it reads from the logs of rooms.
//!
//! One connection does all of it, in the protocol RESP3: it is subscribed to channels and asks commands. Redis writes answers and
//! messages into it in the order in which it makes them. So an answer has all that was published in front of it, and
//! `sequence.rs` needs no more than that. Questions are on the way while messages are received: reading the log of one room
//! does not delay the others.
//!
//! A node that does not keep up stops reading here. Redis then holds up to 32 MiB for it, closes the connection, and the node
//! reads what it has missed from the logs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;
use yamabiko::server::{BackplaneMessage, BackplaneNode, KeptMessages, RoomHistory};

use crate::backoff::Backoff;
use crate::command::Command;
use crate::envelope::{Malformed, decode, decode_published, position};
use crate::link::{Incoming, Link, LinkError, Refused};
use crate::scripts;
use crate::sequence::{Answer, Delivery, Outcome, Sequence};
use crate::shared::{Order, Shared};

pub(crate) struct Receiver {
    shared: Arc<Shared>,
    node: BackplaneNode,
    rooms: HashMap<Arc<str>, Room>,
    /// Rooms whose log is to be read.
    to_read: VecDeque<Arc<str>>,
    /// Reads that Redis has not answered, the oldest first, with the number that the room had then.
    awaited: VecDeque<(Arc<str>, u64)>,
    next_number: u64,
    /// Rooms in the order in which their positions are compared with those on Redis, with the number that each began with.
    checks: VecDeque<(Arc<str>, u64)>,
    backoff: Backoff,
}

/// A room that the node has subscribed to.
#[derive(Debug)]
struct Room {
    /// Another one if the room has been left in between.
    number: u64,
    history: Option<RoomHistory>,
    sequence: Sequence,
    /// This connection is subscribed to its channel.
    is_subscribed: bool,
    /// The number of the read whose answer counts.
    awaits: Option<u64>,
    is_to_read: bool,
    /// The server waits until it is told where the room is.
    is_to_tell: bool,
}

impl Receiver {
    pub(crate) fn new(shared: Arc<Shared>, node: BackplaneNode) -> Receiver {
        Receiver {
            shared,
            node,
            rooms: HashMap::new(),
            to_read: VecDeque::new(),
            awaited: VecDeque::new(),
            next_number: 0,
            checks: VecDeque::new(),
            backoff: Backoff::new(),
        }
    }

    /// Until the server has stopped.
    pub(crate) fn run(mut self) {
        while !self.shared.queue.is_closed() {
            let began = Instant::now();
            let connected = Link::connect(&self.shared.settings, &self.shared.name(&self.node));
            // One that was connected begins to wait when it is lost.
            let (ended, taken) = match connected {
                Ok(link) => (self.follow(link), Duration::ZERO),
                Err(error) => (Err(error), began.elapsed()),
            };
            if let Err(error) = ended {
                self.shared.status.lost(&error.to_string());
                let random = getrandom::u64().unwrap_or_default();
                self.shared.queue.pause(self.backoff.next(random, taken));
                // So that they do not pile up. Without a connection no channel is left.
                let _ = self.take_orders();
            }
        }
    }

    /// One connection, until its end.
    fn follow(&mut self, mut link: Link) -> Result<(), LinkError> {
        self.shared.count_connection();
        self.backoff.reset();
        let channel = self.shared.names.node(&self.node.id().to_string());
        link.send(&on_channel("SUBSCRIBE", &channel))?;
        self.begin_again();
        let mut is_confirmed = false;
        while !self.shared.queue.is_closed() {
            link.send(&self.take_orders())?;
            link.send(&self.ask(&link)?)?;
            match link.receive()? {
                Incoming::Message(its, beat) if its == channel.as_bytes() => {
                    self.shared.beat_returned(&beat);
                    self.check();
                }
                Incoming::Message(channel, message) => self.published(&channel, &message),
                Incoming::Answer(answer) => self.answered(answer)?,
                // The first one is that of the node's own channel: a beat comes back from now on.
                Incoming::Confirmation if !is_confirmed => {
                    is_confirmed = true;
                    self.shared.queue.wake();
                }
                Incoming::Confirmation => {}
            }
        }
        Ok(())
    }

    /// On a new connection nothing is subscribed to, and all rooms are read.
    fn begin_again(&mut self) {
        self.awaited.clear();
        self.to_read.clear();
        for (name, room) in &mut self.rooms {
            room.is_subscribed = false;
            room.awaits = None;
            room.is_to_read = false;
            room.sequence.reads();
            room.want(name, &mut self.to_read);
        }
    }

    /// Does what the server has ordered. Returns the commands that end subscriptions to channels.
    fn take_orders(&mut self) -> Vec<u8> {
        let mut commands = Vec::new();
        for (name, order) in self.shared.take_orders() {
            match order {
                Order::Subscribe { history, is_new } => self.subscribe(name, history, is_new),
                Order::Unsubscribe => {
                    if self
                        .rooms
                        .remove(&name)
                        .is_some_and(|room| room.is_subscribed)
                    {
                        let channel = self.shared.names.room(&name);
                        commands.extend(on_channel("UNSUBSCRIBE", &channel));
                    }
                }
            }
        }
        commands
    }

    /// The room is loaded. One that the server has gets what it does not have, and is then told where it is.
    fn subscribe(&mut self, name: Arc<str>, history: Option<RoomHistory>, is_new: bool) {
        self.next_number += 1;
        let number = self.next_number;
        let room = self.rooms.entry(name.clone()).or_insert_with(|| {
            self.checks.push_back((name.clone(), number));
            Room::new(number)
        });
        room.history = history;
        room.is_to_tell = true;
        if is_new {
            room.sequence = Sequence::Loading;
        }
        // An answer that is on its way is older than this call.
        room.awaits = None;
        room.want(&name, &mut self.to_read);
    }

    /// The commands that subscribe to channels of rooms and read their logs, as many at a time as may be on the way.
    fn ask(&mut self, link: &Link) -> Result<Vec<u8>, LinkError> {
        let mut commands = Vec::new();
        while self.awaited.len() < AWAITED_MAX {
            let Some(name) = self.to_read.pop_front() else {
                break;
            };
            let Some(room) = self.rooms.get_mut(&name) else {
                continue;
            };
            if !std::mem::take(&mut room.is_to_read) {
                continue;
            }
            if !std::mem::replace(&mut room.is_subscribed, true) {
                let channel = self.shared.names.room(&name);
                commands.extend(on_channel("SUBSCRIBE", &channel));
            }
            room.write_read(&name, &mut commands, link, &self.shared)?;
            self.next_number += 1;
            room.awaits = Some(self.next_number);
            self.awaited.push_back((name, self.next_number));
        }
        Ok(commands)
    }

    /// Compares the positions of some rooms with those on Redis: pub/sub can lose the last message of a room.
    fn check(&mut self) {
        let tenth = self.checks.len().div_ceil(CHECKS_OF_A_ROUND);
        for _ in 0..tenth.min(CHECKS_AT_ONCE_MAX) {
            let Some((name, number)) = self.checks.pop_front() else {
                return;
            };
            // A room that is gone is not checked any more.
            let room = self.rooms.get_mut(&name);
            if let Some(room) = room.filter(|room| room.number == number) {
                room.want(&name, &mut self.to_read);
                self.checks.push_back((name, number));
            }
        }
    }

    fn published(&mut self, channel: &[u8], message: &[u8]) {
        let name = self.shared.names.room_of(channel);
        let Some((name, room)) = name.and_then(|name| {
            let (key, _) = self.rooms.get_key_value(name)?;
            let key = key.clone();
            Some((key, self.rooms.get_mut(name)?))
        }) else {
            return;
        };
        let outcome = match decode_published(message) {
            Ok(published) => room.sequence.published(published),
            Err(Malformed) => {
                self.shared.count_malformed();
                Outcome {
                    read: true,
                    ..Outcome::default()
                }
            }
        };
        self.carry_out(&name, outcome);
    }

    fn answered(&mut self, answer: Result<Value, Refused>) -> Result<(), LinkError> {
        let Some((name, number)) = self.awaited.pop_front() else {
            return Err(LinkError::unexpected("no more than was asked"));
        };
        // The room may be gone, or may have been asked again.
        let room = self.rooms.get_mut(&name);
        let Some(room) = room.filter(|room| room.awaits == Some(number)) else {
            return Ok(());
        };
        room.awaits = None;
        let answer = match answer {
            Ok(answer) => room.parse(answer, &self.shared)?,
            Err(refused) => return Err(LinkError::refused(&refused)),
        };
        let head = answer.head;
        let mut outcome = room.sequence.read(answer);
        if !outcome.read && std::mem::take(&mut room.is_to_tell) && !outcome.is_load() {
            outcome.deliveries.push(Delivery::Load(head, Vec::new()));
        }
        self.carry_out(&name, outcome);
        Ok(())
    }

    /// Gives the node what it is to have.
    fn carry_out(&mut self, name: &Arc<str>, outcome: Outcome<BackplaneMessage>) {
        for delivery in outcome.deliveries {
            self.deliver(name, delivery);
        }
        if let (true, Some(room)) = (outcome.read, self.rooms.get_mut(name)) {
            self.shared.count_read();
            room.want(name, &mut self.to_read);
        }
    }

    /// Tries until the node has taken it: meanwhile nothing is read from Redis.
    fn deliver(&self, room: &str, delivery: Delivery<BackplaneMessage>) {
        match delivery {
            Delivery::Load(head, messages) => {
                let mut kept = KeptMessages { head, messages };
                while let Err(given_back) = self.node.load(room, kept) {
                    kept = given_back;
                    if self.pause() {
                        return;
                    }
                }
            }
            Delivery::Messages(behind, messages) => {
                let mut taken = 0;
                let mut rest = messages.as_slice();
                while let Err(error) = self.node.deliver(room, behind.plus(taken + 1), rest) {
                    taken += error.taken as u64;
                    rest = rest.get(error.taken..).unwrap_or_default();
                    if self.pause() {
                        return;
                    }
                }
            }
            Delivery::Gap(position) => {
                while self.node.gap(room, position).is_err() {
                    if self.pause() {
                        return;
                    }
                }
            }
        }
    }

    /// The server is behind. True: it has stopped.
    fn pause(&self) -> bool {
        self.shared.queue.pause(PAUSE);
        self.shared.queue.is_closed()
    }
}

impl Room {
    fn new(number: u64) -> Room {
        Room {
            number,
            history: None,
            sequence: Sequence::Loading,
            is_subscribed: false,
            awaits: None,
            is_to_read: false,
            is_to_tell: false,
        }
    }

    /// Its log is to be read.
    fn want(&mut self, name: &Arc<str>, to_read: &mut VecDeque<Arc<str>>) {
        // An answer that is awaited has all that has come by the channel until now.
        if !self.is_to_read && self.awaits.is_none() {
            self.is_to_read = true;
            to_read.push_back(name.clone());
        }
    }

    /// The question behind [`Sequence::position`].
    fn write_read(
        &self,
        name: &str,
        commands: &mut Vec<u8>,
        link: &Link,
        shared: &Shared,
    ) -> Result<(), LinkError> {
        let (epoch, offset) = match self.sequence.position() {
            Some(position) => (format!("{:016x}", position.epoch()), position.offset()),
            None => (String::new(), 0),
        };
        let (messages, bytes) = match (self.sequence, self.history) {
            (Sequence::Loading, None) => (0, 0),
            (Sequence::Loading, Some(history)) => (history.messages_max, history.bytes_max),
            _ => (PAGE_MESSAGES, PAGE_BYTES),
        };
        let names = &shared.names;
        scripts::call(commands, &link.read, names, name, &link.generation, 6)
            .arg(scripts::random_epoch()?)
            .arg(epoch)
            .number(offset)
            .number(shared.settings.room_idle.as_secs())
            .number(messages)
            .number(bytes)
            .end();
        Ok(())
    }

    /// The answer of the script. Messages that this version cannot read are left out, and that is a gap.
    fn parse(&self, answer: Value, shared: &Shared) -> Result<Answer<BackplaneMessage>, LinkError> {
        let unexpected = || LinkError::unexpected("a position");
        let Value::Array(parts) = answer else {
            return Err(unexpected());
        };
        let mut parts = parts.into_iter().map(|part| match part {
            Value::BulkString(bytes) => bytes,
            _ => Vec::new(),
        });
        let mut text = || parts.next().and_then(|bytes| String::from_utf8(bytes).ok());
        let head = [text(), text(), text(), text(), text()];
        let [
            Some(epoch),
            Some(offset),
            Some(previous),
            Some(base),
            Some(now),
        ] = head
        else {
            return Err(unexpected());
        };
        let now: u64 = now.parse().map_err(|_| unexpected())?;
        let mut messages = Vec::new();
        while let (Some(id), Some(bytes)) = (parts.next(), parts.next()) {
            let (offset, second) = entry(&id).ok_or_else(unexpected)?;
            if self.is_too_old(now.saturating_sub(second)) {
                continue;
            }
            match decode(&bytes) {
                Ok(message) => messages.push((offset, message)),
                Err(Malformed) => shared.count_malformed(),
            }
        }
        Ok(Answer {
            head: position(&epoch, &offset).map_err(|_| unexpected())?,
            previous: position(&previous, &base).ok(),
            messages,
        })
    }

    /// Only what is loaded has a limit of age: what a subscriber has missed it gets.
    fn is_too_old(&self, age: u64) -> bool {
        let age_max = self.history.and_then(|history| history.age_max);
        self.sequence == Sequence::Loading && age_max.is_some_and(|max| age > max.as_secs())
    }
}

/// The command that subscribes to a channel, or unsubscribes from it.
fn on_channel(name: &str, channel: &str) -> Vec<u8> {
    let mut command = Vec::new();
    Command::new(&mut command, 2).arg(name).arg(channel).end();
    command
}

/// Offset and second of the id of an entry.
fn entry(id: &[u8]) -> Option<(u64, u64)> {
    let (offset, second) = str::from_utf8(id).ok()?.split_once('-')?;
    Some((offset.parse().ok()?, second.parse().ok()?))
}

/// Reads that are on the way at most.
const AWAITED_MAX: usize = 64;
/// What a read brings at most when messages are missing; then the next one follows.
const PAGE_MESSAGES: u64 = 1000;
const PAGE_BYTES: u64 = 1 << 20;
/// All rooms are checked in so many beats, which are 5 s, if they are at most 5,000; a thousand in a second otherwise.
const CHECKS_OF_A_ROUND: usize = 10;
const CHECKS_AT_ONCE_MAX: usize = 500;
/// Until the node is asked again whether it takes something.
const PAUSE: Duration = Duration::from_millis(1);
