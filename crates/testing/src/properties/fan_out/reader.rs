//! One member the naive way: a queue of bytes, and what its socket has taken.

use std::collections::{BTreeSet, VecDeque};

use yamabiko::broadcast::{Backlog, Remainder, Skipped, SubscriptionId, WriteQueue};

use super::steps::Taken;

/// A record that was appended to the room.
pub struct Record {
    pub start: u64,
    pub bytes: Vec<u8>,
}

/// The model of a member, and the [`WriteQueue`] of its connection.
pub struct Reader {
    pub subscription: SubscriptionId,
    pub key: u64,
    /// The naive queue: all that it is still to get of the room's records.
    pub queue: VecDeque<u8>,
    /// The record that was the next one when it joined.
    first: usize,
    /// The record that it gets next, and how many bytes of it were written.
    pub next: usize,
    pub within: usize,
    pub left_out: BTreeSet<usize>,
    missed: BTreeSet<usize>,
    pub blocked: bool,
    write_queue: WriteQueue,
    /// What is in the write queue: what it belongs to, and the bytes left of it.
    own: VecDeque<(Sent, Vec<u8>)>,
    /// What its socket took, and the records and frames that this should be.
    wire: Vec<u8>,
    sent: Vec<Sent>,
}

/// What may not be interrupted on a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    /// A record of the room's, by its number.
    Record(usize),
    /// A frame to this member alone.
    Own(Vec<u8>),
}

impl Reader {
    pub fn new(subscription: SubscriptionId, key: u64, next: usize) -> Reader {
        Reader {
            subscription,
            key,
            queue: VecDeque::new(),
            first: next,
            next,
            within: 0,
            left_out: BTreeSet::new(),
            missed: BTreeSet::new(),
            blocked: false,
            write_queue: WriteQueue::new(),
            own: VecDeque::new(),
            wire: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// A socket that takes so much of the backlog, which must be the front of
    /// the naive queue: all of it, unless it is in many pieces. It takes nothing
    /// while the write queue waits.
    pub fn write(&mut self, history: &[Record], backlog: Backlog<'_>, taken: Taken) -> usize {
        let slices: Vec<&[u8]> = backlog.slices().collect();
        let offered = slices.concat();
        assert_eq!(offered.len(), backlog.bytes());
        assert!(!slices.iter().any(|slice| slice.is_empty()));
        assert!(slices.len() <= Backlog::SLICES_MAX);
        assert!(slices.len() == Backlog::SLICES_MAX || offered.len() == self.queue.len());
        match backlog.contiguous() {
            Some(bytes) => assert_eq!([bytes], slices.as_slice()),
            None => assert!(slices.len() > 1),
        }
        let front = self.queue.iter().take(offered.len());
        assert!(offered.iter().eq(front), "the front of the naive queue");
        let taken = match self.write_queue.is_empty() {
            true => taken.of(offered.len()),
            false => 0,
        };
        self.got(history, &offered[..taken]);
        self.blocked = taken < offered.len();
        taken
    }

    /// The socket took this of what the room had for it.
    pub fn got(&mut self, history: &[Record], bytes: &[u8]) {
        let queued: Vec<u8> = self.queue.drain(..bytes.len()).collect();
        assert_eq!(bytes, queued);
        self.wire.extend_from_slice(bytes);
        for _ in bytes {
            self.within += 1;
            if self.within == history[self.next].bytes.len() {
                self.sent.push(Sent::Record(self.next));
                self.go_to(self.next + 1);
            }
        }
    }

    fn go_to(&mut self, next: usize) {
        self.next = next;
        self.within = 0;
        self.jump_over_what_is_left_out();
    }

    pub fn jump_over_what_is_left_out(&mut self) {
        while self.within == 0 && self.left_out.contains(&self.next) {
            self.next += 1;
        }
    }

    pub fn unblock_at(&mut self, head: usize) {
        self.blocked &= self.next < head;
    }

    /// Something is said to this member alone.
    pub fn is_told(&mut self, frame: Vec<u8>) {
        if frame.is_empty() {
            return;
        }
        match frame.len() % 2 {
            0 => self.write_queue.push(&frame),
            _ => self.write_queue.buffer().extend_from_slice(&frame),
        }
        self.own.push_back((Sent::Own(frame.clone()), frame));
    }

    /// The socket takes so much of the write queue, which holds what the model holds.
    pub fn write_own(&mut self, taken: Taken) {
        let waiting = self.write_queue.slices().concat();
        let expected: Vec<&[u8]> = self.own.iter().map(|(_, bytes)| &bytes[..]).collect();
        assert_eq!(waiting, expected.concat());
        assert_eq!(waiting.len(), self.write_queue.bytes());
        let mut taken = taken.of(waiting.len());
        self.wire.extend_from_slice(&waiting[..taken]);
        self.write_queue.advance(taken);
        while let Some((sent, bytes)) = self.own.front_mut() {
            bytes
                .drain(..taken.min(bytes.len()))
                .for_each(|_| taken -= 1);
            if !bytes.is_empty() {
                break;
            }
            self.sent.push(sent.clone());
            self.own.pop_front();
        }
        assert_eq!(self.write_queue.is_empty(), self.own.is_empty());
    }

    /// What the connection does with the rest of a record: it goes first.
    pub fn finish_first(&mut self, history: &[Record], remainder: Option<Remainder>) {
        assert_eq!(remainder.is_some(), self.within > 0);
        if let Some(remainder) = remainder {
            let rest = history[self.next].bytes[self.within..].to_vec();
            assert_eq!(remainder.bytes(), rest);
            self.write_queue.finish_first(remainder);
            self.queue.drain(..rest.len());
            self.own.push_front((Sent::Record(self.next), rest));
            self.go_to(self.next + 1);
        }
    }

    /// It was moved to the record `to`.
    pub fn skip(&mut self, history: &[Record], to: usize, skipped: Skipped) {
        if to <= self.next {
            assert_eq!((skipped.bytes, skipped.records), (0, 0));
            assert!(skipped.remainder.is_none());
            return;
        }
        self.finish_first(history, skipped.remainder);
        let missed = (self.next..to).filter(|number| !self.left_out.contains(number));
        let missed: Vec<usize> = missed.collect();
        let bytes: usize = missed
            .iter()
            .map(|&number| history[number].bytes.len())
            .sum();
        assert_eq!(skipped.bytes, bytes as u64);
        assert_eq!(skipped.records, missed.len() as u64);
        self.missed.extend(missed);
        self.queue.drain(..bytes);
        if to > self.next {
            self.go_to(to);
        }
        self.unblock_at(history.len());
    }

    /// On the wire are whole records and frames, none interrupted, and of the
    /// records each one once and in order that was neither left out nor missed.
    pub fn check_wire(&self, history: &[Record]) {
        assert_eq!(self.within, 0);
        let bytes = self.sent.iter().map(|sent| match sent {
            Sent::Record(number) => history[*number].bytes.as_slice(),
            Sent::Own(frame) => frame,
        });
        assert_eq!(self.wire, bytes.collect::<Vec<_>>().concat());

        let received = self.sent.iter().filter_map(|sent| match sent {
            Sent::Record(number) => Some(*number),
            Sent::Own(_) => None,
        });
        let expected = (self.first..self.next)
            .filter(|number| !self.left_out.contains(number) && !self.missed.contains(number));
        assert!(received.eq(expected), "each record once, and in order");
    }
}
