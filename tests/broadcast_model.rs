//! A room beside what it replaces: a queue of bytes for each member.
//!
//! Random joins, leaves, records of every kind and writes of every size go to
//! both. After each step every member must have got the same bytes, stand at
//! the same place, and be named slow at the same bound; the log must hold no
//! chunk that nobody needs, and at the end none at all.

#![cfg(feature = "server")]

use std::collections::{BTreeSet, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use yamabiko::broadcast::{
    Backlog, ChunkPool, Lag, LagBounds, LogLimits, Membership, Remainder, Room, Skipped,
};

/// Small enough that records fill chunks, chunks fill the pool, and backlogs
/// have more slices than are offered at once.
const LIMITS: LogLimits = LogLimits {
    chunk_bytes: 32,
    shared_bytes_min: 12,
};
const IDLE_MAX: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Append {
        bytes: usize,
        how: How,
        except: Option<Index>,
    },
    Join,
    Leave(Index),
    Flush(Vec<Taken>),
    FlushOne(Index, Taken),
    FinishRecord(Index, Taken),
    TakeRemainder(Index),
    SkipToEnd(Index),
    SkipToLatest(Index),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Copied,
    /// Encoded into the log, with this hint of its length.
    Encoded(usize),
    Shared,
}

/// What a socket takes of what it is offered.
#[derive(Clone, Copy, Debug)]
enum Taken {
    All,
    AtMost(usize),
}

impl Taken {
    fn of(self, offered: usize) -> usize {
        match self {
            Taken::All => offered,
            Taken::AtMost(bytes) => bytes.min(offered),
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        8 => (0..40_usize, any_how(), proptest::option::weighted(0.4, index()))
            .prop_map(|(bytes, how, except)| Step::Append { bytes, how, except }),
        2 => Just(Step::Join),
        1 => index().prop_map(Step::Leave),
        4 => vec(any_taken(), 1..5).prop_map(Step::Flush),
        3 => (index(), any_taken()).prop_map(|(index, taken)| Step::FlushOne(index, taken)),
        1 => (index(), any_taken()).prop_map(|(index, taken)| Step::FinishRecord(index, taken)),
        1 => index().prop_map(Step::TakeRemainder),
        1 => index().prop_map(Step::SkipToEnd),
        1 => index().prop_map(Step::SkipToLatest),
    ]
}

fn any_how() -> impl Strategy<Value = How> {
    prop_oneof![
        3 => Just(How::Copied),
        2 => (0..50_usize).prop_map(How::Encoded),
        1 => Just(How::Shared),
    ]
}

fn any_taken() -> impl Strategy<Value = Taken> {
    prop_oneof![
        3 => Just(Taken::All),
        1 => Just(Taken::AtMost(0)),
        3 => (1..60_usize).prop_map(Taken::AtMost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn room_equals_a_queue_for_each_member(steps in vec(any_step(), 1..120)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.take(step);
            pair.compare();
        }
        pair.deliver_all();
        pair.compare();
        for mut reader in std::mem::take(&mut pair.readers) {
            pair.room.leave(reader.membership, &mut pair.pool);
            reader.check_wire(&pair.history);
        }
        prop_assert_eq!(pair.room.log().held_bytes(), 0);
        prop_assert_eq!(pair.pool.lent(), 0);
    }
}

/// The room and its model.
struct Pair {
    room: Room,
    pool: ChunkPool,
    /// All records, and where in the log each begins.
    history: Vec<Record>,
    head: u64,
    readers: Vec<Reader>,
    joined: u64,
}

struct Record {
    start: u64,
    bytes: Vec<u8>,
}

/// The model of a member.
struct Reader {
    membership: Membership,
    key: u64,
    /// The naive queue: all that it is still to get.
    queue: VecDeque<u8>,
    /// The record that it gets next, and how many bytes of it were written.
    next: usize,
    within: usize,
    left_out: BTreeSet<usize>,
    blocked: bool,
    /// What its socket took, and the records that this should be.
    wire: Vec<u8>,
    delivered: Vec<usize>,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            room: Room::new(),
            pool: ChunkPool::new(LIMITS, IDLE_MAX),
            history: Vec::new(),
            head: 0,
            readers: Vec::new(),
            joined: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append { bytes, how, except } => self.append(bytes, how, except),
            Step::Join => self.join(),
            Step::Flush(taken) => self.flush(&taken),
            _ if self.readers.is_empty() => {}
            Step::Leave(index) => self.leave(index),
            Step::FlushOne(index, taken) => self.flush_one(index, taken),
            Step::FinishRecord(index, taken) => self.finish_record(index, taken),
            Step::TakeRemainder(index) => self.take_remainder(index),
            Step::SkipToEnd(index) => self.skip_to_end(index),
            Step::SkipToLatest(index) => self.skip_to_latest(index),
        }
    }

    fn append(&mut self, bytes: usize, how: How, except: Option<Index>) {
        let number = self.history.len() as u8;
        let record: Vec<u8> = (0..bytes)
            .map(|i| number.wrapping_mul(31) ^ i as u8)
            .collect();
        let except = except.filter(|_| !self.readers.is_empty());
        let except = except.map(|index| index.index(self.readers.len()));
        self.append_to_room(
            &record,
            how,
            except.map(|index| self.readers[index].membership),
        );
        if record.is_empty() {
            return;
        }
        for (index, reader) in self.readers.iter_mut().enumerate() {
            if except == Some(index) {
                reader.left_out.insert(self.history.len());
            } else {
                reader.queue.extend(&record);
            }
        }
        self.history.push(Record {
            start: self.head,
            bytes: record,
        });
        self.head += bytes as u64;
        self.jump_over_what_is_left_out();
    }

    fn append_to_room(&mut self, record: &[u8], how: How, except: Option<Membership>) {
        let (room, pool) = (&mut self.room, &mut self.pool);
        let encode = |bytes: &mut Vec<u8>| bytes.extend_from_slice(record);
        match (how, except) {
            (How::Copied, None) => room.append(record, pool),
            (How::Copied, Some(except)) => room.append_except(except, record, pool),
            (How::Encoded(hint), None) => room.append_with(hint, encode, pool),
            (How::Encoded(hint), Some(except)) => {
                room.append_with_except(except, hint, encode, pool);
            }
            (How::Shared, None) => room.append_shared(record.into(), pool),
            (How::Shared, Some(except)) => room.append_shared_except(except, record.into(), pool),
        }
    }

    fn join(&mut self) {
        self.joined += 1;
        self.readers.push(Reader {
            membership: self.room.join(self.joined),
            key: self.joined,
            queue: VecDeque::new(),
            next: self.history.len(),
            within: 0,
            left_out: BTreeSet::new(),
            blocked: false,
            wire: Vec::new(),
            delivered: Vec::new(),
        });
    }

    fn leave(&mut self, index: Index) {
        self.take_remainder(index);
        let mut reader = self.readers.swap_remove(index.index(self.readers.len()));
        self.room.leave(reader.membership, &mut self.pool);
        reader.check_wire(&self.history);
        assert_eq!(self.room.key(reader.membership), None);
    }

    fn flush(&mut self, taken: &[Taken]) {
        let mut taken = taken.iter().cycle();
        let new = self.room.pending_bytes() > 0;
        let readers = &mut self.readers;
        let history = &self.history;
        let mut offered_to = Vec::new();
        let blocked_before: Vec<u64> = keys(readers, |reader| reader.blocked);
        let to_offer: BTreeSet<u64> = keys(readers, |reader| {
            new && !reader.blocked && !reader.queue.is_empty()
        })
        .into_iter()
        .collect();
        self.room.flush(&mut self.pool, |key, backlog| {
            offered_to.push(key);
            let reader = readers.iter_mut().find(|reader| reader.key == key).unwrap();
            reader.write(history, backlog, *taken.next().unwrap())
        });
        assert_eq!(self.room.pending_bytes(), 0);
        assert!(blocked_before.iter().all(|key| !offered_to.contains(key)));
        assert_eq!(offered_to.into_iter().collect::<BTreeSet<_>>(), to_offer);
    }

    fn flush_one(&mut self, index: Index, taken: Taken) {
        let reader = index.get_mut_of(&mut self.readers);
        let history = &self.history;
        reader.blocked = false;
        let membership = reader.membership;
        let ready = self
            .room
            .flush_one(membership, &mut self.pool, |key, backlog| {
                assert_eq!(key, reader.key);
                reader.write(history, backlog, taken)
            });
        assert_eq!(ready, !reader.blocked);
        assert_eq!(ready, reader.queue.is_empty());
    }

    fn finish_record(&mut self, index: Index, taken: Taken) {
        let reader = index.get_mut_of(&mut self.readers);
        let history = &self.history;
        let membership = reader.membership;
        let finished = self
            .room
            .finish_record(membership, &mut self.pool, |key, rest| {
                assert_eq!(key, reader.key);
                assert_eq!(rest, &history[reader.next].bytes[reader.within..]);
                let taken = taken.of(rest.len());
                reader.got(history, &rest[..taken]);
                taken
            });
        assert_eq!(finished, reader.within == 0);
        reader.unblock_at(history.len());
    }

    fn take_remainder(&mut self, index: Index) {
        let reader = index.get_mut_of(&mut self.readers);
        let remainder = self.room.take_remainder(reader.membership, &mut self.pool);
        reader.finish(&self.history, remainder);
        reader.unblock_at(self.history.len());
    }

    fn skip_to_end(&mut self, index: Index) {
        let reader = index.get_mut_of(&mut self.readers);
        let skipped = self.room.skip_to_end(reader.membership, &mut self.pool);
        reader.skip(&self.history, self.history.len(), skipped);
    }

    fn skip_to_latest(&mut self, index: Index) {
        let reader = index.get_mut_of(&mut self.readers);
        let skipped = self.room.skip_to_latest(reader.membership, &mut self.pool);
        let owed = |number: &usize| !reader.left_out.contains(number);
        let latest = (reader.next..self.history.len()).rev().find(owed);
        let to = latest.unwrap_or(reader.next);
        reader.skip(&self.history, to, skipped);
    }

    fn deliver_all(&mut self) {
        self.flush(&[Taken::All]);
        for reader in 0..self.readers.len() {
            let history = &self.history;
            let reader = &mut self.readers[reader];
            reader.blocked = false;
            let membership = reader.membership;
            let ready = self
                .room
                .flush_one(membership, &mut self.pool, |_, backlog| {
                    reader.write(history, backlog, Taken::All)
                });
            assert!(ready && reader.queue.is_empty());
        }
    }

    fn jump_over_what_is_left_out(&mut self) {
        for reader in &mut self.readers {
            reader.jump_over_what_is_left_out();
        }
    }

    fn compare(&self) {
        assert_eq!(self.room.log().head(), self.head);
        assert_eq!(self.room.log().records(), self.history.len() as u64);
        assert_eq!(self.room.len(), self.readers.len());
        let blocked = self.readers.iter().filter(|reader| reader.blocked);
        assert_eq!(self.room.blocked(), blocked.count());
        for reader in &self.readers {
            assert_eq!(self.room.key(reader.membership), Some(reader.key));
            assert_eq!(self.room.unfinished(reader.membership), reader.within > 0);
            self.compare_lag(reader);
        }
        self.compare_memory();
    }

    /// At the bound nobody is slow; one past it this member is.
    fn compare_lag(&self, reader: &Reader) {
        let lag = self.lag(reader);
        assert_eq!(self.room.lag(reader.membership), Some(lag));
        let named = |bytes, records| {
            let mut slow = self.room.lagging(&LagBounds {
                bytes,
                records,
                position: 0,
            });
            slow.any(|membership| membership == reader.membership)
        };
        assert!(!named(lag.bytes, lag.records));
        if reader.blocked {
            assert!(named(lag.bytes - 1, u64::MAX));
            assert!(named(u64::MAX, lag.records - 1));
        } else {
            assert!(!named(0, 0));
        }
    }

    fn compare_memory(&self) {
        let log = self.room.log();
        let flushed = self.head - self.room.pending_bytes();
        let blocked = self.readers.iter().filter(|reader| reader.blocked);
        let needed = blocked
            .map(|reader| self.position(reader))
            .fold(flushed, u64::min);
        let first_chunk = log.slices(0).next().map_or(0, <[u8]>::len) as u64;
        if needed == self.head {
            assert_eq!((log.held_bytes(), self.pool.lent()), (0, 0));
        } else {
            assert!(log.tail() <= needed && needed < log.tail() + first_chunk);
        }
        assert!(self.pool.idle() <= IDLE_MAX);
        let held = log.slices(0).map(<[u8]>::len).sum::<usize>() as u64;
        assert_eq!(log.tail() + held, self.head);
    }

    fn position(&self, reader: &Reader) -> u64 {
        let start = self.history.get(reader.next).map(|record| record.start);
        start.unwrap_or(self.head) + reader.within as u64
    }

    fn lag(&self, reader: &Reader) -> Lag {
        Lag {
            bytes: self.head - self.position(reader),
            records: (self.history.len() - reader.next) as u64,
        }
    }
}

impl Reader {
    /// A socket that takes so much of the backlog, which must be the front of
    /// the naive queue: all of it, unless it is in many pieces.
    fn write(&mut self, history: &[Record], backlog: Backlog<'_>, taken: Taken) -> usize {
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
        let taken = taken.of(offered.len());
        self.got(history, &offered[..taken]);
        self.blocked = taken < offered.len();
        taken
    }

    fn got(&mut self, history: &[Record], bytes: &[u8]) {
        let queued: Vec<u8> = self.queue.drain(..bytes.len()).collect();
        assert_eq!(bytes, queued);
        self.wire.extend_from_slice(bytes);
        for _ in bytes {
            self.within += 1;
            if self.within == history[self.next].bytes.len() {
                self.delivered.push(self.next);
                self.go_to(self.next + 1);
            }
        }
    }

    fn go_to(&mut self, next: usize) {
        self.next = next;
        self.within = 0;
        self.jump_over_what_is_left_out();
    }

    fn jump_over_what_is_left_out(&mut self) {
        while self.within == 0 && self.left_out.contains(&self.next) {
            self.next += 1;
        }
    }

    fn unblock_at(&mut self, head: usize) {
        self.blocked &= self.next < head;
    }

    /// What the connection does with the rest of a record.
    fn finish(&mut self, history: &[Record], remainder: Option<Remainder>) {
        assert_eq!(remainder.is_some(), self.within > 0);
        if let Some(remainder) = remainder {
            assert_eq!(remainder.bytes(), &history[self.next].bytes[self.within..]);
            self.got(history, remainder.bytes());
        }
    }

    fn skip(&mut self, history: &[Record], to: usize, skipped: Skipped) {
        if to <= self.next {
            assert_eq!((skipped.bytes, skipped.records), (0, 0));
            assert!(skipped.remainder.is_none());
            return;
        }
        self.finish(history, skipped.remainder);
        let missed = (self.next..to).filter(|number| !self.left_out.contains(number));
        let missed: Vec<usize> = missed.map(|number| history[number].bytes.len()).collect();
        let bytes: usize = missed.iter().sum();
        assert_eq!(skipped.bytes, bytes as u64);
        assert_eq!(skipped.records, missed.len() as u64);
        self.queue.drain(..bytes);
        if to > self.next {
            self.go_to(to);
        }
        self.unblock_at(history.len());
    }

    /// Whole records only, in order, none that was left out.
    fn check_wire(&mut self, history: &[Record]) {
        assert_eq!(self.within, 0);
        assert!(self.delivered.is_sorted_by(|one, next| one < next));
        assert!(
            self.delivered
                .iter()
                .all(|number| !self.left_out.contains(number))
        );
        let records = self
            .delivered
            .iter()
            .map(|number| history[*number].bytes.as_slice());
        assert_eq!(self.wire, records.collect::<Vec<_>>().concat());
    }
}

fn keys(readers: &[Reader], which: impl Fn(&Reader) -> bool) -> Vec<u64> {
    readers
        .iter()
        .filter(|reader| which(reader))
        .map(|reader| reader.key)
        .collect()
}

trait GetMutOf {
    fn get_mut_of(self, readers: &mut [Reader]) -> &mut Reader;
}

impl GetMutOf for Index {
    fn get_mut_of(self, readers: &mut [Reader]) -> &mut Reader {
        let index = self.index(readers.len());
        &mut readers[index]
    }
}
