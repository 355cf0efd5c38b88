//! A room beside what it replaces: a queue of bytes for each member.
//!
//! Joins, leaves, records of every kind and writes of every size go to both. After
//! each step every member must have got the same bytes, stand at the same place, and
//! be named slow at the same bounds; the log must hold no chunk that nobody needs,
//! and at the end none at all.
//!
//! | file | what is in it |
//! |---|---|
//! | `steps.rs` | what can happen, and the bytes that stand for it |
//! | `reader.rs` | one member the naive way |
//! | `seeds.rs` | the stories that the fuzzer starts from |
//! | `fan_out.rs` | the room and all its members, step by step |

mod reader;
pub mod seeds;
mod steps;

use std::collections::BTreeSet;

use yamabiko::broadcast::{ChunkPool, Lag, LagLimits, Room, SubscriptionId};

use self::reader::{Reader, Record};
pub use self::steps::{
    Cut, HINT_MAX, How, RECORD_BYTES_MAX, SAID_BYTES_MAX, SOCKETS_MAX, Step, Taken, Who, steps,
};

/// Plays the steps that the bytes of a fuzzer's input describe.
pub fn fan_out(data: &[u8]) {
    if let Some((&selector, rest)) = data.split_first() {
        let steps: Vec<Step> = steps(rest).take(STEPS_MAX).collect();
        play(selector, &steps);
    }
}

/// What a fuzzer's input may hold, so that each one takes little time.
const STEPS_MAX: usize = 400;
const MEMBERS_MAX: usize = 12;

/// Plays the steps and compares after each. Then, as the selector says, all that is
/// left is delivered, or the room is dissolved as it stands.
pub fn play(selector: u8, steps: &[Step]) {
    let mut pair = Pair::new(Cut::of(selector));
    for step in steps {
        pair.take(step);
        pair.compare();
    }
    if selector & DISSOLVED == 0 {
        pair.deliver_all();
        pair.compare();
        pair.part();
    } else {
        pair.dissolve();
    }
}

/// The bit of the selector that dissolves the room at the end.
pub const DISSOLVED: u8 = 0b1000_0000;

/// The room and its model.
struct Pair {
    room: Room,
    pool: ChunkPool,
    idle_max: usize,
    /// All records, and where in the log each begins.
    history: Vec<Record>,
    head: u64,
    readers: Vec<Reader>,
    joined: u64,
    /// Frames that were said to one member alone.
    said: u8,
}

/// One step, on both.
impl Pair {
    fn new(cut: Cut) -> Pair {
        Pair {
            room: Room::new(),
            pool: ChunkPool::new(cut.limits, cut.idle_max),
            idle_max: cut.idle_max,
            history: Vec::new(),
            head: 0,
            readers: Vec::new(),
            joined: 0,
            said: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append { bytes, how, except } => self.append(bytes, how, except),
            Step::Join if self.readers.len() < MEMBERS_MAX => self.join(),
            Step::Join => {}
            Step::Flush(ref taken) => self.flush(taken),
            _ if self.readers.is_empty() => {}
            Step::Leave(who) => self.leave(self.place(who)),
            Step::FlushOne(who, taken) => self.flush_one(self.place(who), taken),
            Step::FinishRecord(who, taken) => self.finish_record(self.place(who), taken),
            Step::TakeRemainder(who) => self.take_remainder(self.place(who)),
            Step::SkipToEnd(who) => self.skip_to_end(self.place(who)),
            Step::SkipToLatest(who) => self.skip_to_latest(self.place(who)),
            Step::Say(who, bytes) => self.say(self.place(who), bytes),
            Step::WriteOwn(who, taken) => self.write_own(self.place(who), taken),
        }
    }

    fn place(&self, who: Who) -> usize {
        who.of(self.readers.len())
    }

    fn append(&mut self, bytes: usize, how: How, except: Option<Who>) {
        let record = pattern(self.history.len() as u8, bytes);
        let except = except.filter(|_| !self.readers.is_empty());
        let except = except.map(|who| self.place(who));
        let subscription = except.map(|place| self.readers[place].subscription);
        self.append_to_room(&record, how, subscription);
        if record.is_empty() {
            return;
        }
        let number = self.history.len();
        self.history.push(Record {
            start: self.head,
            bytes: record,
        });
        self.head += bytes as u64;
        for (place, reader) in self.readers.iter_mut().enumerate() {
            if except == Some(place) {
                reader.left_out.insert(number);
                reader.jump_over_what_is_left_out();
            } else {
                reader.queue.extend(&self.history[number].bytes);
            }
        }
    }

    fn append_to_room(&mut self, record: &[u8], how: How, except: Option<SubscriptionId>) {
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
        let subscription = self.room.subscribe(self.joined);
        let next = self.history.len();
        self.readers
            .push(Reader::new(subscription, self.joined, next));
    }

    fn leave(&mut self, place: usize) {
        self.take_remainder(place);
        let mut reader = self.readers.swap_remove(place);
        self.room.unsubscribe(reader.subscription, &mut self.pool);
        assert_eq!(self.room.key(reader.subscription), None);
        reader.write_own(Taken::All);
        reader.check_wire(&self.history);
    }

    fn flush(&mut self, taken: &[Taken]) {
        let mut taken = taken.iter().cycle();
        let new = self.room.pending_bytes() > 0;
        let readers = &mut self.readers;
        let history = &self.history;
        let mut offered_to = BTreeSet::new();
        let to_offer = keys(readers, |reader| {
            new && !reader.blocked && !reader.queue.is_empty()
        });
        self.room.flush(&mut self.pool, |key, backlog| {
            offered_to.insert(key);
            let reader = readers.iter_mut().find(|reader| reader.key == key).unwrap();
            reader.write(history, backlog, *taken.next().unwrap())
        });
        assert_eq!(self.room.pending_bytes(), 0);
        assert_eq!(offered_to, to_offer);
    }

    fn flush_one(&mut self, place: usize, taken: Taken) {
        let reader = &mut self.readers[place];
        let history = &self.history;
        reader.blocked = false;
        let subscription = reader.subscription;
        let ready = self
            .room
            .flush_one(subscription, &mut self.pool, |key, backlog| {
                assert_eq!(key, reader.key);
                reader.write(history, backlog, taken)
            });
        assert_eq!(ready, !reader.blocked);
        assert_eq!(ready, reader.queue.is_empty());
    }

    fn finish_record(&mut self, place: usize, taken: Taken) {
        let reader = &mut self.readers[place];
        let history = &self.history;
        let subscription = reader.subscription;
        let finished = self
            .room
            .finish_record(subscription, &mut self.pool, |key, rest| {
                assert_eq!(key, reader.key);
                assert_eq!(rest, &history[reader.next].bytes[reader.within..]);
                let taken = taken.of(rest.len());
                reader.got(history, &rest[..taken]);
                taken
            });
        assert_eq!(finished, reader.within == 0);
        reader.unblock_at(history.len());
    }

    fn take_remainder(&mut self, place: usize) {
        let reader = &mut self.readers[place];
        let remainder = self
            .room
            .take_remainder(reader.subscription, &mut self.pool);
        reader.finish_first(&self.history, remainder);
        reader.unblock_at(self.history.len());
    }

    fn skip_to_end(&mut self, place: usize) {
        let reader = &mut self.readers[place];
        let skipped = self.room.skip_to_end(reader.subscription, &mut self.pool);
        reader.skip(&self.history, self.history.len(), skipped);
    }

    fn skip_to_latest(&mut self, place: usize) {
        let reader = &mut self.readers[place];
        let skipped = self
            .room
            .skip_to_latest(reader.subscription, &mut self.pool);
        let owed = |number: &usize| !reader.left_out.contains(number);
        let latest = (reader.next..self.history.len()).rev().find(owed);
        let to = latest.unwrap_or(reader.next);
        reader.skip(&self.history, to, skipped);
    }

    fn say(&mut self, place: usize, bytes: usize) {
        self.said = self.said.wrapping_add(1);
        self.readers[place].is_told(pattern(!self.said, bytes));
    }

    /// What a connection does when its own frames are to pass the log.
    fn write_own(&mut self, place: usize, taken: Taken) {
        self.finish_record(place, taken);
        if !self.room.unfinished(self.readers[place].subscription) {
            self.readers[place].write_own(taken);
        }
    }
}

/// The end.
impl Pair {
    fn deliver_all(&mut self) {
        for place in 0..self.readers.len() {
            self.write_own(place, Taken::All);
        }
        self.flush(&[Taken::All]);
        for place in 0..self.readers.len() {
            self.flush_one(place, Taken::All);
            assert!(self.readers[place].queue.is_empty());
        }
    }

    fn part(mut self) {
        assert_eq!((self.room.log().held_bytes(), self.pool.lent()), (0, 0));
        while !self.readers.is_empty() {
            self.leave(0);
        }
        assert!(self.room.is_empty());
        assert_eq!((self.room.log().held_bytes(), self.pool.lent()), (0, 0));
    }

    fn dissolve(mut self) {
        self.room.dissolve(&mut self.pool);
        assert_eq!(self.pool.lent(), 0);
        assert!(self.pool.idle() <= self.idle_max);
    }
}

/// What both must agree on after each step.
impl Pair {
    fn compare(&self) {
        assert_eq!(self.room.log().head(), self.head);
        assert_eq!(self.room.log().records(), self.history.len() as u64);
        assert_eq!(self.room.len(), self.readers.len());
        assert_eq!(self.room.blocked(), self.blocked().count());
        for reader in &self.readers {
            assert_eq!(self.room.key(reader.subscription), Some(reader.key));
            assert_eq!(self.room.unfinished(reader.subscription), reader.within > 0);
            assert_eq!(self.room.lag(reader.subscription), Some(self.lag(reader)));
            self.compare_lagging(reader);
        }
        self.compare_memory();
    }

    fn blocked(&self) -> impl Iterator<Item = &Reader> {
        self.readers.iter().filter(|reader| reader.blocked)
    }

    /// The same members are named, at bounds that this one just keeps and at
    /// those that it just breaks.
    fn compare_lagging(&self, reader: &Reader) {
        let (Lag { bytes, records }, position) = (self.lag(reader), self.position(reader));
        self.compare_beyond(bytes, records, position);
        self.compare_beyond(bytes.saturating_sub(1), u64::MAX, 0);
        self.compare_beyond(u64::MAX, records.saturating_sub(1), 0);
        self.compare_beyond(u64::MAX, u64::MAX, position + 1);
    }

    fn compare_beyond(&self, bytes: u64, records: u64, position: u64) {
        let slow = self.blocked().filter(|reader| {
            let lag = self.lag(reader);
            lag.bytes > bytes || lag.records > records || self.position(reader) < position
        });
        let slow: BTreeSet<u64> = slow.map(|reader| reader.key).collect();
        let named = self.room.lagging(&LagLimits {
            bytes,
            records,
            position,
        });
        let named: Vec<u64> = named.filter_map(|who| self.room.key(who)).collect();
        assert_eq!(named.len(), slow.len());
        assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), slow);
    }

    /// The log begins with the chunk of the slowest, and is empty without one.
    fn compare_memory(&self) {
        let log = self.room.log();
        let flushed = self.head - self.room.pending_bytes();
        let needed = self
            .blocked()
            .map(|reader| self.position(reader))
            .fold(flushed, u64::min);
        let first_chunk = log.slices(0).next().map_or(0, <[u8]>::len) as u64;
        if needed == self.head {
            assert_eq!((log.held_bytes(), self.pool.lent()), (0, 0));
        } else {
            assert!(log.tail() <= needed && needed < log.tail() + first_chunk);
        }
        assert!(self.pool.idle() <= self.idle_max);
        assert!(self.pool.lent() <= log.slices(0).count());
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

/// Bytes that say where they belong.
fn pattern(number: u8, bytes: usize) -> Vec<u8> {
    let byte = |i| number.wrapping_mul(31) ^ i as u8;
    (0..bytes).map(byte).collect()
}

fn keys(readers: &[Reader], which: impl Fn(&Reader) -> bool) -> BTreeSet<u64> {
    let readers = readers.iter().filter(|reader| which(reader));
    readers.map(|reader| reader.key).collect()
}
