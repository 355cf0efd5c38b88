//! The thread that publishes: batches of publications, one script call for all messages of a room, and their answers.
//!
//! ```text
//!   queue ──▶ a batch ──▶ groups by room ──▶ EVALSHA, EVALSHA, …, PUBLISH beat ──▶ Redis
//!                            ▲                                                       │
//!                            └── what has no answer is sent again ◀── answers ◀──────┘
//! ```
//!
//! One batch is on its way at a time, and the next one collects meanwhile: the slower Redis is, the more messages a call has. If the
//! connection is lost, the same groups are sent again over the next one. Each message has a number of this node, its *sequence
//! number*, and Redis keeps the last one for each room and node. So a group that had arrived gets its first answer again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;
use yamabiko::server::{
    BackplaneMessage, BackplaneNode, Erasure, Message, NodeId, NotPublished, Position, RoomHistory,
};

use crate::backoff::Backoff;
use crate::command::Command;
use crate::envelope::{Envelope, position};
use crate::link::{Incoming, Link, LinkError, Refused};
use crate::queue::{Taken, Waiting};
use crate::scripts;
use crate::shared::{Shared, kept_messages, kept_seconds};

pub(crate) struct Sender {
    shared: Arc<Shared>,
    node: BackplaneNode,
    /// The field of this node in the record of a room.
    producer: String,
    link: Option<Link>,
    backoff: Backoff,
    /// What Redis has not answered, in its order.
    groups: Vec<Group>,
    /// What is sent next: its memory is used again, because memory that is new costs more than the copies.
    commands: Vec<u8>,
    next_sequence: u64,
    next_beat: Instant,
    /// Since when there is no connection.
    gone: Option<Instant>,
}

/// Messages of one room that are published in one step. They stay together until they are answered or given up.
struct Group {
    room: Arc<str>,
    /// The sequence number of the first one.
    first: u64,
    waiting: Vec<Waiting>,
    /// Redis may have it.
    is_sent: bool,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>, node: BackplaneNode) -> Sender {
        Sender {
            producer: format!("p:{}", node.id()),
            shared,
            node,
            link: None,
            backoff: Backoff::new(),
            groups: Vec::new(),
            commands: Vec::new(),
            next_sequence: 1,
            next_beat: Instant::now(),
            gone: Some(Instant::now()),
        }
    }

    /// Until the server has stopped and all that was taken is answered.
    pub(crate) fn run(mut self) {
        loop {
            if self.link.is_none() && !self.connect() {
                if self.shared.queue.is_closed() {
                    return self.give_up();
                }
                continue;
            }
            let closed = self.collect();
            if let Err(error) = self.exchange(closed) {
                self.lose(&error);
            } else if closed && self.groups.is_empty() {
                return;
            }
            self.tell_state();
        }
    }

    /// Connects, or waits before the next attempt.
    fn connect(&mut self) -> bool {
        let began = Instant::now();
        match Link::connect(&self.shared.settings, &self.shared.name(&self.node)) {
            Ok(link) => {
                self.shared.count_connection();
                self.link = Some(link);
                self.gone = None;
                self.next_beat = Instant::now();
                self.shared.queue.set_gone(false);
                self.backoff.reset();
                true
            }
            Err(error) => {
                self.lose(&error);
                self.refuse_old();
                self.tell_state();
                let random = getrandom::u64().unwrap_or_default();
                let pause = self.backoff.next(random, began.elapsed());
                self.shared.queue.pause(pause);
                false
            }
        }
    }

    fn lose(&mut self, error: &LinkError) {
        self.link = None;
        self.gone.get_or_insert_with(Instant::now);
        self.shared.status.lost(&error.to_string());
    }

    fn tell_state(&self) {
        if self.shared.status.change() {
            self.node.state_changed();
        }
    }

    /// Takes the next batch, if all of the last one is answered. True: the queue is closed, and this is the last one.
    fn collect(&mut self) -> bool {
        if !self.groups.is_empty() {
            return false;
        }
        let taken = self
            .shared
            .queue
            .take(BATCH_PUBLICATIONS, BATCH_BYTES, self.next_beat);
        let Taken {
            publications,
            wake,
            closed,
        } = taken;
        if wake || closed {
            self.next_beat = Instant::now();
        }
        let is_last = closed && publications.is_empty();
        self.group(publications);
        is_last
    }

    /// One group for each room. Messages of one room keep their order.
    fn group(&mut self, publications: Vec<Waiting>) {
        let mut of_room: HashMap<Arc<str>, usize> = HashMap::new();
        let mut last = 0;
        for waiting in publications {
            let room = waiting.publication.room();
            // Several messages of one room mostly come one behind the other.
            let is_of_last = |group: &Group| &*group.room == room;
            if !self.groups.get(last).is_some_and(is_of_last) {
                last = match of_room.get(room) {
                    Some(&index) => index,
                    None => {
                        let room: Arc<str> = room.into();
                        of_room.insert(room.clone(), self.groups.len());
                        self.groups.push(Group::new(room));
                        self.groups.len() - 1
                    }
                };
            }
            if let Some(group) = self.groups.get_mut(last) {
                group.waiting.push(waiting);
            }
        }
        for group in &mut self.groups {
            group.first = self.next_sequence;
            self.next_sequence += group.waiting.len() as u64;
        }
    }

    /// Sends all groups, and a beat if it is time, and takes the answers.
    fn exchange(&mut self, is_last: bool) -> Result<(), LinkError> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let commands = &mut self.commands;
        commands.clear();
        commands.shrink_to(COMMANDS_BYTES_KEPT);
        for group in &mut self.groups {
            group.write(commands, link, &self.shared, &self.producer)?;
            group.is_sent = true;
        }
        let is_time = self.next_beat <= Instant::now() || is_last;
        if is_time {
            let channel = self.shared.names.node(&self.node.id().to_string());
            let beat = self.shared.beat();
            Command::new(commands, 3)
                .arg("PUBLISH")
                .arg(channel)
                .arg(beat)
                .end();
            self.next_beat = Instant::now() + BEAT;
        }
        link.send(commands)?;
        let mut groups = std::mem::take(&mut self.groups).into_iter();
        let mut erasing = Vec::new();
        let mut failed = None;
        for group in groups.by_ref() {
            match answer(link) {
                Ok(answer) if group.erasures().next().is_some() => erasing.push((group, answer)),
                Ok(answer) => group.answered(&self.shared, answer),
                Err(error) => {
                    failed = Some(error);
                    self.groups.push(group);
                    break;
                }
            }
        }
        if failed.is_none() && is_time {
            failed = answer(link).err();
        }
        // Behind all answers. Both, or both again: to erase twice is to erase.
        for (group, published) in erasing {
            if failed.is_none() {
                failed = group.erase(link, &self.shared, self.node.id()).err();
            }
            match failed {
                None => group.answered(&self.shared, published),
                Some(_) => self.groups.push(group),
            }
        }
        self.groups.extend(groups);
        self.groups.sort_by_key(|group| group.first);
        failed.map_or(Ok(()), Err)
    }

    /// Without a connection: refuses what waits for too long, and from then on all at once.
    fn refuse_old(&mut self) {
        let wait = self.shared.settings.publish_wait;
        let Some(limit) = Instant::now().checked_sub(wait) else {
            return;
        };
        let queue = &self.shared.queue;
        let (old, young) =
            std::mem::take(&mut self.groups)
                .into_iter()
                .partition(|group: &Group| {
                    group
                        .waiting
                        .first()
                        .is_some_and(|first| first.since < limit)
                });
        self.groups = young;
        for group in old {
            group.given_up(queue);
        }
        if self.gone.is_some_and(|since| since < limit) {
            queue.set_gone(true);
        }
        for waiting in queue.take_older(limit) {
            queue.done(1, waiting.publication.bytes());
            waiting.publication.refuse(NotPublished::BackplaneGone);
        }
    }

    /// The server has stopped, and Redis cannot be reached.
    fn give_up(mut self) {
        let queue = &self.shared.queue;
        for group in std::mem::take(&mut self.groups) {
            group.given_up(queue);
        }
        let rest = queue.take(usize::MAX, usize::MAX, Instant::now());
        for waiting in rest.publications {
            waiting.publication.refuse(NotPublished::BackplaneGone);
        }
    }
}

/// The answer to the next command.
fn answer(link: &mut Link) -> Result<Result<Value, Refused>, LinkError> {
    loop {
        if let Incoming::Answer(answer) = link.receive()? {
            return Ok(answer);
        }
    }
}

impl Group {
    fn new(room: Arc<str>) -> Group {
        Group {
            room,
            first: 0,
            waiting: Vec::new(),
            is_sent: false,
        }
    }

    fn write(
        &self,
        commands: &mut Vec<u8>,
        link: &Link,
        shared: &Shared,
        producer: &str,
    ) -> Result<(), LinkError> {
        let history = self.history();
        let idle = shared.settings.room_idle;
        let (names, room) = (&shared.names, &*self.room);
        let further = 7 + self.waiting.len();
        let mut call = scripts::call(
            commands,
            &link.publish,
            names,
            room,
            &link.generation,
            further,
        )
        .arg(scripts::random_epoch()?)
        .arg(producer)
        .number(self.first)
        .number(kept_messages(history))
        .number(kept_seconds(history, idle))
        .number(idle.as_secs())
        .arg(names.room(room));
        for waiting in &self.waiting {
            let envelope = Envelope::new(waiting.publication.message());
            call = call.arg_of(envelope.len(), |bytes| envelope.write(bytes));
        }
        call.end();
        Ok(())
    }

    /// Messages of the past that are erased by those of this group.
    fn erasures(&self) -> impl Iterator<Item = &Erasure> {
        let messages = self.waiting.iter();
        messages.filter_map(|waiting| waiting.publication.message().erases())
    }

    /// Erases them. What Redis does not erase is a message that it does not keep any more. Others publish in between: a call of the script does
    /// a part of it.
    fn erase(&self, link: &mut Link, shared: &Shared, node: NodeId) -> Result<(), LinkError> {
        let history = self.history();
        let idle = shared.settings.room_idle;
        for erasure in self.erasures() {
            let instead = BackplaneMessage::new(0, Message::Text(&erasure.instead));
            let envelope = Envelope::new(&instead);
            let position = erasure.position;
            let mut before = Vec::new();
            loop {
                let mut command = Vec::new();
                let names = &shared.names;
                scripts::call_erase(
                    &mut command,
                    &link.erase,
                    names,
                    &self.room,
                    &link.generation,
                    node,
                )
                .arg(format!("{:016x}", position.epoch()))
                .number(position.offset())
                .arg_of(envelope.len(), |bytes| envelope.write(bytes))
                .number(kept_seconds(history, idle))
                .number(ERASED_AT_ONCE)
                .arg(&before)
                .end();
                link.send(&command)?;
                match answer(link)? {
                    Ok(Value::BulkString(more)) => before = more,
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// How much the room keeps.
    fn history(&self) -> Option<RoomHistory> {
        let first = self.waiting.first();
        first.and_then(|first| first.publication.history())
    }

    fn bytes(&self) -> usize {
        self.waiting.iter().map(|one| one.publication.bytes()).sum()
    }

    fn answered(self, shared: &Shared, answer: Result<Value, Refused>) {
        shared.queue.done(self.waiting.len(), self.bytes());
        let mut position = answer.map(|value| first_position(&value));
        for waiting in self.waiting {
            match &mut position {
                Ok(Some(next)) => {
                    waiting.publication.taken(*next);
                    *next = next.plus(1);
                }
                // It has it, and this version cannot read the answer.
                Ok(None) => drop(waiting.publication),
                Err(_) => waiting.publication.refuse(NotPublished::BackplaneRefused),
            }
        }
    }

    fn given_up(self, queue: &crate::queue::Queue) {
        queue.done(self.waiting.len(), self.bytes());
        for waiting in self.waiting {
            match self.is_sent {
                true => waiting.publication.refuse(NotPublished::Unknown),
                false => waiting.publication.refuse(NotPublished::BackplaneGone),
            }
        }
    }
}

/// The position of the first message, as the script tells it.
fn first_position(answer: &Value) -> Option<Position> {
    let Value::Array(parts) = answer else {
        return None;
    };
    match parts.as_slice() {
        [Value::BulkString(epoch), Value::BulkString(offset)] => {
            let (epoch, offset) = (str::from_utf8(epoch).ok()?, str::from_utf8(offset).ok()?);
            position(epoch, offset).ok()
        }
        _ => None,
    }
}

/// What one batch has at most: Redis works on nothing else meanwhile, 3 to 5 µs a message. Messages that come back together are written to
/// the subscribers together: ten publishers with 64 in flight are in one batch.
const BATCH_PUBLICATIONS: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;
/// A buffer for commands that is larger is given back to the system.
const COMMANDS_BYTES_KEPT: usize = 256 << 10;
/// Entries of a log that are copied in one step when one of them is erased, some 4 µs each.
const ERASED_AT_ONCE: u64 = 500;
/// How often a beat is sent.
const BEAT: Duration = Duration::from_millis(500);
