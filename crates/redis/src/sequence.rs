//! Where a node is in the sequence of one room, without I/O: what comes from Redis goes in, and what the node's subscribers get
//! comes out.
//!
//! ```text
//!                     load                       the next message
//!   ── subscribed ──▶ Reading(nothing) ──────▶ Following(position) ──▶ Following(position + 1)
//!                          ▲                     │ a message is missing, another epoch, another connection
//!                          │   answer            ▼
//!                          └─────────────── Reading(position)
//! ```
//!
//! Pub/sub loses what it cannot deliver, so every message is compared with the last one: it is the next, or it is old, or messages
//! are missing, and then the room's log is read. While such an answer is awaited, messages of the channel are dropped: the answer
//! and the channel come over one connection, so the answer has all that was published in front of it, and what comes behind it was
//! published later. So there is nothing to buffer, and neither a hole nor a duplicate where both meet. A check reads the log, too, and
//! drops nothing: messages are followed meanwhile, and when the answer comes the node is where Redis was, or something is missing.
//!
//! A message is delivered only behind its predecessor or behind a gap that was told.

use yamabiko::server::Position;

use crate::envelope::Published;

/// Where a node is in the sequence of one room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// The node knows nothing of the room, and has asked.
    #[default]
    Loading,
    /// Behind this position, until an answer comes.
    Reading(Position),
    /// Behind this position; the next message comes by the channel.
    Following(Position),
}

/// Where a room is on Redis, and the messages that were asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer<M> {
    /// The room's last message.
    pub(crate) head: Position,
    /// The last position of the epoch before.
    pub(crate) previous: Option<Position>,
    /// The messages with their offsets, the oldest first. They may end before the head.
    pub(crate) messages: Vec<(u64, M)>,
}

/// What the node's subscribers get.
#[derive(Debug, PartialEq)]
pub(crate) enum Delivery<M> {
    /// The room as it is on Redis: its head, and its newest messages up to there.
    Load(Position, Vec<M>),
    /// Messages behind this position.
    Messages(Position, Vec<M>),
    /// Messages may be missing in front of this position; the next one is behind it.
    Gap(Position),
}

/// What is to be done with something from Redis.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome<M> {
    pub(crate) deliveries: Vec<Delivery<M>>,
    /// The room's log is to be read, behind [`Sequence::position`].
    pub(crate) read: bool,
}

impl Sequence {
    /// The position behind which the log is to be read; `None`: its newest messages.
    pub(crate) fn position(self) -> Option<Position> {
        match self {
            Sequence::Loading => None,
            Sequence::Reading(position) | Sequence::Following(position) => Some(position),
        }
    }

    /// There is another connection: messages of the channel do not count until the log has been read.
    pub(crate) fn reads(&mut self) {
        if let Some(position) = self.position() {
            *self = Sequence::Reading(position);
        }
    }

    /// Messages have come by the room's channel.
    pub(crate) fn published<M>(&mut self, published: Published<M>) -> Outcome<M> {
        let Sequence::Following(position) = *self else {
            return Outcome::default();
        };
        let behind = published.position.offset().checked_sub(1);
        let known = behind.and_then(|behind| position.offset().checked_sub(behind));
        match known.map(usize::try_from) {
            Some(Ok(known)) if published.position.epoch() == position.epoch() => self.deliver(
                position,
                published.messages.into_iter().skip(known).collect(),
            ),
            _ => {
                self.reads();
                Outcome {
                    read: true,
                    ..Outcome::default()
                }
            }
        }
    }

    /// The room's log has been read.
    pub(crate) fn read<M>(&mut self, answer: Answer<M>) -> Outcome<M> {
        match *self {
            Sequence::Loading => self.load(answer),
            Sequence::Reading(position) | Sequence::Following(position) => {
                self.catch_up(position, answer)
            }
        }
    }

    fn load<M>(&mut self, answer: Answer<M>) -> Outcome<M> {
        let Answer { head, messages, .. } = answer;
        *self = Sequence::Following(head);
        // A log with a hole, which only another program can make, counts behind the hole.
        let mut expected = head.offset();
        let newest = messages.into_iter().rev().map_while(|(offset, message)| {
            let is_next = offset == expected;
            expected = expected.saturating_sub(1);
            is_next.then_some(message)
        });
        let mut newest: Vec<M> = newest.collect();
        newest.reverse();
        Outcome {
            deliveries: vec![Delivery::Load(head, newest)],
            read: false,
        }
    }

    fn catch_up<M>(&mut self, from: Position, answer: Answer<M>) -> Outcome<M> {
        let Answer {
            head,
            previous,
            messages,
        } = answer;
        let mut outcome = Outcome::default();
        let mut position = from;
        if position.epoch() != head.epoch() {
            // The epoch has changed. Behind its end the messages have other offsets than here.
            let base = previous.filter(|previous| previous.epoch() == position.epoch());
            let Some(base) = base else {
                *self = Sequence::Following(head);
                return Outcome {
                    deliveries: vec![Delivery::Gap(head)],
                    read: false,
                };
            };
            let (old, new): (Vec<_>, Vec<_>) = messages
                .into_iter()
                .partition(|(offset, _)| *offset <= base.offset());
            let has_old = !old.is_empty();
            position = outcome.append(position, old);
            if has_old && position.offset() < base.offset() {
                // The answer was full.
                *self = Sequence::Reading(position);
                return Outcome {
                    read: true,
                    ..outcome
                };
            }
            position = Position::new(head.epoch(), base.offset());
            outcome.deliveries.push(Delivery::Gap(position));
            position = outcome.append(position, new);
        } else {
            let is_empty = messages.is_empty();
            position = outcome.append(position, messages);
            if is_empty && position.offset() < head.offset() {
                // All of them are gone.
                position = head;
                outcome.deliveries.push(Delivery::Gap(head));
            }
        }
        outcome.read = position.offset() < head.offset();
        *self = match outcome.read {
            true => Sequence::Reading(position),
            false => Sequence::Following(position),
        };
        outcome
    }

    fn deliver<M>(&mut self, position: Position, messages: Vec<M>) -> Outcome<M> {
        *self = Sequence::Following(position.plus(messages.len() as u64));
        let deliveries = match messages.is_empty() {
            true => Vec::new(),
            false => vec![Delivery::Messages(position, messages)],
        };
        Outcome {
            deliveries,
            read: false,
        }
    }
}

impl<M> Default for Outcome<M> {
    fn default() -> Outcome<M> {
        Outcome {
            deliveries: Vec::new(),
            read: false,
        }
    }
}

impl<M> Outcome<M> {
    /// Whether it tells where the room is.
    pub(crate) fn is_load(&self) -> bool {
        matches!(self.deliveries.as_slice(), [Delivery::Load(..)])
    }

    /// Adds messages behind a position, with a gap where some are missing. Returns the position behind the last one.
    fn append(&mut self, mut position: Position, messages: Vec<(u64, M)>) -> Position {
        let mut run = Vec::new();
        let mut begin = position;
        for (offset, message) in messages {
            if offset <= position.offset() {
                continue;
            }
            if offset != position.offset() + 1 {
                self.push_messages(begin, std::mem::take(&mut run));
                begin = Position::new(position.epoch(), offset - 1);
                self.deliveries.push(Delivery::Gap(begin));
            }
            position = Position::new(position.epoch(), offset);
            run.push(message);
        }
        self.push_messages(begin, run);
        position
    }

    fn push_messages(&mut self, position: Position, messages: Vec<M>) {
        if !messages.is_empty() {
            self.deliveries.push(Delivery::Messages(position, messages));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet, VecDeque};

    /// What can happen to one room.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Publish(usize),
        /// Pub/sub loses the newest thing that is on its way and is no answer.
        Lose,
        /// Redis answers the oldest question.
        Answer,
        /// The node takes the oldest thing that is on its way.
        Take,
        /// The connection is lost, and the node connects again.
        Reconnect,
        /// Redis is started again, without its newest messages.
        Restart(u64),
        /// The position is compared.
        Check,
        /// The node subscribes again.
        Subscribe,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (1_usize..4).prop_map(Step::Publish),
            2 => Just(Step::Lose),
            6 => Just(Step::Answer),
            8 => Just(Step::Take),
            1 => Just(Step::Reconnect),
            1 => (0_u64..4).prop_map(Step::Restart),
            1 => Just(Step::Check),
            1 => Just(Step::Subscribe),
        ];
        prop::collection::vec(step, 0..80)
    }

    #[derive(Debug)]
    enum OnItsWay {
        Channel(Published<u64>),
        Answer(u64, Answer<u64>),
    }

    /// Redis as the scripts make it, and a node.
    #[derive(Debug)]
    struct Simulation {
        // Redis: each message is a number that no other one has.
        head: Position,
        previous: Option<Position>,
        log: VecDeque<(u64, u64)>,
        next_message: u64,
        next_epoch: u64,
        /// All that was ever named by a position.
        names: HashMap<Position, u64>,
        // The connection.
        questions: VecDeque<(u64, Option<Position>)>,
        on_its_way: VecDeque<OnItsWay>,
        // The node.
        sequence: Sequence,
        awaits: Option<u64>,
        next_number: u64,
        /// Behind the last message that was delivered.
        position: Option<Position>,
        delivered: HashSet<u64>,
    }

    const LOG_MESSAGES_MAX: usize = 6;
    const PAGE: usize = 2;

    impl Simulation {
        fn new() -> Simulation {
            let mut simulation = Simulation {
                head: Position::new(1, 0),
                previous: None,
                log: VecDeque::new(),
                next_message: 0,
                next_epoch: 2,
                names: HashMap::new(),
                questions: VecDeque::new(),
                on_its_way: VecDeque::new(),
                sequence: Sequence::Loading,
                awaits: None,
                next_number: 0,
                position: None,
                delivered: HashSet::new(),
            };
            simulation.ask();
            simulation
        }

        fn publish(&mut self, count: usize) {
            let position = self.head.plus(1);
            let mut messages = Vec::new();
            for _ in 0..count {
                self.head = self.head.plus(1);
                self.log.push_back((self.head.offset(), self.next_message));
                let named = self.names.insert(self.head, self.next_message);
                assert_eq!(named, None, "a position names one message");
                messages.push(self.next_message);
                self.next_message += 1;
            }
            while self.log.len() > LOG_MESSAGES_MAX {
                self.log.pop_front();
            }
            let published = Published { position, messages };
            self.on_its_way.push_back(OnItsWay::Channel(published));
        }

        /// `read.lua`.
        fn answer(&mut self) {
            let Some((number, known)) = self.questions.pop_front() else {
                return;
            };
            let from = known.and_then(|known| match self.previous {
                _ if known.epoch() == self.head.epoch() => Some(known.offset()),
                Some(previous) if known.epoch() == previous.epoch() => {
                    Some(known.offset().min(previous.offset()))
                }
                _ => None,
            });
            let messages = match (known, from) {
                (None, _) => self.log.iter().rev().take(3).rev().copied().collect(),
                (Some(_), None) => Vec::new(),
                (Some(_), Some(from)) => {
                    let behind = self.log.iter().filter(|(offset, _)| *offset > from);
                    behind.take(PAGE).copied().collect()
                }
            };
            let answer = Answer {
                head: self.head,
                previous: self.previous,
                messages,
            };
            self.on_its_way.push_back(OnItsWay::Answer(number, answer));
        }

        fn restart(&mut self, lost: u64) {
            let kept = self.head.offset().saturating_sub(lost);
            self.log.retain(|(offset, _)| *offset <= kept);
            self.previous = Some(Position::new(self.head.epoch(), kept));
            self.head = Position::new(self.next_epoch, kept);
            self.next_epoch += 1;
            self.reconnect();
        }

        fn reconnect(&mut self) {
            self.questions.clear();
            self.on_its_way.clear();
            self.awaits = None;
            self.sequence.reads();
            self.ask();
        }

        fn ask(&mut self) {
            if self.awaits.is_none() {
                self.next_number += 1;
                self.awaits = Some(self.next_number);
                self.questions
                    .push_back((self.next_number, self.sequence.position()));
            }
        }

        fn take(&mut self) {
            let outcome = match self.on_its_way.pop_front() {
                None => return,
                Some(OnItsWay::Channel(published)) => self.sequence.published(published),
                Some(OnItsWay::Answer(number, answer)) => {
                    if self.awaits != Some(number) {
                        return;
                    }
                    self.awaits = None;
                    self.sequence.read(answer)
                }
            };
            for delivery in outcome.deliveries {
                self.deliver(delivery);
            }
            if outcome.read {
                self.ask();
            }
        }

        /// What the node's subscribers see, checked.
        fn deliver(&mut self, delivery: Delivery<u64>) {
            match delivery {
                Delivery::Load(head, messages) => {
                    let first = head.offset() - messages.len() as u64;
                    for (offset, message) in (first + 1..).zip(&messages) {
                        let named: HashSet<u64> = self
                            .names
                            .iter()
                            .filter(|(position, _)| position.offset() == offset)
                            .map(|(_, message)| *message)
                            .collect();
                        assert!(named.contains(message), "{message} at {offset}");
                    }
                    self.delivered.extend(messages);
                    self.position = Some(head);
                }
                Delivery::Messages(behind, messages) => {
                    assert_eq!(Some(behind), self.position, "a hole without a notice");
                    for (offset, message) in (1..).zip(messages) {
                        let position = behind.plus(offset);
                        assert_eq!(self.names.get(&position), Some(&message), "{position}");
                        assert!(self.delivered.insert(message), "{message} comes twice");
                        self.position = Some(position);
                    }
                }
                Delivery::Gap(position) => {
                    assert_ne!(Some(position), self.position, "a gap of nothing");
                    self.position = Some(position);
                }
            }
        }

        fn settle(&mut self) {
            while !self.questions.is_empty() || !self.on_its_way.is_empty() {
                self.answer();
                self.take();
            }
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Publish(count) => self.publish(count),
                Step::Lose => {
                    if let Some(OnItsWay::Channel(_)) = self.on_its_way.back() {
                        self.on_its_way.pop_back();
                    }
                }
                Step::Answer => self.answer(),
                Step::Take => self.take(),
                Step::Reconnect => self.reconnect(),
                Step::Restart(lost) => self.restart(lost),
                Step::Check => self.ask(),
                Step::Subscribe => {
                    self.sequence = Sequence::Loading;
                    self.awaits = None;
                    self.ask();
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn node_has_every_message_once_and_in_order_or_tells_a_gap(steps in steps()) {
            let mut simulation = Simulation::new();
            for step in steps {
                simulation.step(step);
            }
            simulation.settle();
            // A check finds what is still missing.
            simulation.ask();
            simulation.settle();
            prop_assert_eq!(simulation.position, Some(simulation.head));
            prop_assert_eq!(simulation.sequence, Sequence::Following(simulation.head));
        }
    }

    fn following(offset: u64) -> Sequence {
        Sequence::Following(Position::new(1, offset))
    }

    #[test]
    fn message_that_is_there_already_is_dropped_and_one_that_follows_is_delivered() {
        let mut sequence = following(7);
        let published = |offset, messages: &[u64]| Published {
            position: Position::new(1, offset),
            messages: messages.to_vec(),
        };
        assert_eq!(
            sequence.published(published(6, &[60, 70])),
            Outcome::default()
        );
        let outcome = sequence.published(published(7, &[70, 80]));
        let messages = Delivery::Messages(Position::new(1, 7), vec![80]);
        assert_eq!(outcome.deliveries, [messages]);
        let outcome = sequence.published(published(10, &[100]));
        assert_eq!((outcome.deliveries, outcome.read), (vec![], true));
        assert_eq!(sequence, Sequence::Reading(Position::new(1, 8)));
    }

    #[test]
    fn what_is_left_of_the_old_epoch_is_delivered_in_front_of_the_new_one() {
        let mut sequence = following(7);
        sequence.reads();
        let outcome = sequence.read(Answer {
            head: Position::new(2, 10),
            previous: Some(Position::new(1, 9)),
            messages: vec![(8, 80), (9, 90), (10, 100)],
        });
        let expected = [
            Delivery::Messages(Position::new(1, 7), vec![80, 90]),
            Delivery::Gap(Position::new(2, 9)),
            Delivery::Messages(Position::new(2, 9), vec![100]),
        ];
        assert_eq!(outcome.deliveries, expected);
        assert_eq!(sequence, Sequence::Following(Position::new(2, 10)));
    }
}
