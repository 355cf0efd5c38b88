//! The model of one subscription: a queue of bytes, and the bytes that its socket accepted.

use std::collections::{BTreeSet, VecDeque};

use yamabiko::broadcast::{Backlog, Remainder, Skipped, SubscriptionId, WriteQueue};

use super::steps::Accepted;

/// A record that was appended to the log.
pub struct Record {
    pub start: u64,
    pub bytes: Vec<u8>,
}

/// The model of a subscription, and the [`WriteQueue`] of its connection.
pub struct Reader {
    pub subscription: SubscriptionId,
    pub key: u64,
    /// The bytes of the log's records that it has not received.
    pub queue: VecDeque<u8>,
    /// The next record when it subscribed.
    first: usize,
    /// The record that it receives next, and how many bytes of it were written.
    pub next: usize,
    pub within: usize,
    /// It was in the past when it subscribed: records before this one are no lag.
    pub until: usize,
    pub excluded: BTreeSet<usize>,
    skipped: BTreeSet<usize>,
    pub blocked: bool,
    write_queue: WriteQueue,
    /// The content of the write queue: each item, and the bytes left of it.
    own: VecDeque<(Sent, Vec<u8>)>,
    /// The bytes that its socket accepted, and the records and frames in them.
    wire: Vec<u8>,
    sent: Vec<Sent>,
}

/// An item that must not be interrupted on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    /// A record of the log's, by its number.
    Record(usize),
    /// A frame for this connection alone.
    Own(Vec<u8>),
}

impl Reader {
    /// A subscription that receives `next` first, of `records` records.
    pub fn new(subscription: SubscriptionId, key: u64, next: usize, records: &[Record]) -> Reader {
        let past = &records[next..];
        Reader {
            subscription,
            key,
            queue: past
                .iter()
                .flat_map(|record| record.bytes.clone())
                .collect(),
            first: next,
            next,
            within: 0,
            until: records.len(),
            excluded: BTreeSet::new(),
            skipped: BTreeSet::new(),
            blocked: !past.is_empty(),
            write_queue: WriteQueue::new(),
            own: VecDeque::new(),
            wire: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// The socket accepts a part of the backlog. The backlog must be the front of the model's
    /// queue: all of it, unless it consists of many slices. The socket accepts nothing while
    /// the write queue is not empty.
    pub fn write(&mut self, history: &[Record], backlog: Backlog<'_>, accepted: Accepted) -> usize {
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
        assert!(offered.iter().eq(front), "the front of the queue");
        let accepted = match self.write_queue.is_empty() {
            true => accepted.of(offered.len()),
            false => 0,
        };
        self.received(history, &offered[..accepted]);
        self.blocked = accepted < offered.len();
        accepted
    }

    /// The socket accepted these bytes of the log's records.
    pub fn received(&mut self, history: &[Record], bytes: &[u8]) {
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
        self.skip_excluded();
    }

    pub fn skip_excluded(&mut self) {
        while self.within == 0 && self.excluded.contains(&self.next) {
            self.next += 1;
        }
    }

    pub fn unblock_at(&mut self, head: usize) {
        self.blocked &= self.next < head;
    }

    /// Adds a frame for this connection alone to the write queue.
    pub fn queue_own(&mut self, frame: Vec<u8>) {
        if frame.is_empty() {
            return;
        }
        match frame.len() % 2 {
            0 => self.write_queue.push(&frame),
            _ => self.write_queue.buffer().extend_from_slice(&frame),
        }
        self.own.push_back((Sent::Own(frame.clone()), frame));
    }

    /// The socket accepts a part of the write queue, which must equal that of the model.
    pub fn write_own(&mut self, accepted: Accepted) {
        let waiting = self.write_queue.slices().concat();
        let expected: Vec<&[u8]> = self.own.iter().map(|(_, bytes)| &bytes[..]).collect();
        assert_eq!(waiting, expected.concat());
        assert_eq!(waiting.len(), self.write_queue.bytes());
        let mut accepted = accepted.of(waiting.len());
        self.wire.extend_from_slice(&waiting[..accepted]);
        self.write_queue.advance(accepted);
        while let Some((sent, bytes)) = self.own.front_mut() {
            bytes
                .drain(..accepted.min(bytes.len()))
                .for_each(|_| accepted -= 1);
            if !bytes.is_empty() {
                break;
            }
            self.sent.push(sent.clone());
            self.own.pop_front();
        }
        assert_eq!(self.write_queue.is_empty(), self.own.is_empty());
    }

    /// As a connection: the rest of a record goes first.
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

    /// The cursor was moved to the record `to`.
    pub fn skip(&mut self, history: &[Record], to: usize, skipped: Skipped) {
        if to <= self.next {
            assert_eq!((skipped.bytes, skipped.records), (0, 0));
            assert!(skipped.remainder.is_none());
            return;
        }
        self.finish_first(history, skipped.remainder);
        let skipped_records = (self.next..to).filter(|number| !self.excluded.contains(number));
        let skipped_records: Vec<usize> = skipped_records.collect();
        let bytes: usize = skipped_records
            .iter()
            .map(|&number| history[number].bytes.len())
            .sum();
        assert_eq!(skipped.bytes, bytes as u64);
        assert_eq!(skipped.records, skipped_records.len() as u64);
        self.skipped.extend(skipped_records);
        self.queue.drain(..bytes);
        if to > self.next {
            self.go_to(to);
        }
        self.unblock_at(history.len());
    }

    /// The wire contains whole records and frames, none interrupted; and each record once and
    /// in order that was neither excluded nor skipped.
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
            .filter(|number| !self.excluded.contains(number) && !self.skipped.contains(number));
        assert!(received.eq(expected), "each record once, and in order");
    }
}
