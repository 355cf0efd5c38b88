//! A shared log compared with its model: a queue of bytes for each subscription.
//!
//! The same steps are applied to both: subscribe, unsubscribe, records of every kind, writes
//! of every size. After each step every subscription must have received the same bytes, have
//! the same position, and lag at the same limits. The log must not hold a chunk that no
//! subscription needs, and must be empty at the end.
//!
//! | file | contents |
//! |---|---|
//! | `steps.rs` | the steps, and their encoding as bytes |
//! | `reader.rs` | the model of one subscription |
//! | `seeds.rs` | the first inputs of the fuzzer |
//! | `fan_out.rs` | the log and all its subscriptions, step by step |

mod reader;
pub mod seeds;
mod steps;

use std::collections::BTreeSet;

use yamabiko::broadcast::{ChunkPool, FlushBudget, Lag, LagLimits, SharedLog, SubscriptionId};

use self::reader::{Reader, Record};
pub use self::steps::{
    Accepted, HINT_MAX, How, KEEPS, KEPT, OWN_BYTES_MAX, RECORD_BYTES_MAX, SOCKETS_MAX, Setup,
    Step, Which, steps,
};

/// Runs the steps that are encoded in a fuzzer's input.
pub fn fan_out(data: &[u8]) {
    if let Some((&selector, rest)) = data.split_first() {
        let steps: Vec<Step> = steps(rest).take(STEPS_MAX).collect();
        run(selector, &steps);
    }
}

/// Limits, so that each input takes little time.
const STEPS_MAX: usize = 400;
const SUBSCRIPTIONS_MAX: usize = 12;

/// Runs the steps and compares after each. At the end all pending records are delivered, or,
/// with the bit [`DISSOLVED`] in the selector, the log is dissolved.
pub fn run(selector: u8, steps: &[Step]) {
    let mut pair = Pair::new(Setup::of(selector));
    for step in steps {
        pair.apply(step);
        pair.compare();
    }
    if selector & DISSOLVED == 0 {
        pair.deliver_all();
        pair.compare();
        pair.end();
    } else {
        pair.dissolve();
    }
}

/// The bit of the selector that dissolves the log at the end.
pub const DISSOLVED: u8 = 0b1000_0000;

/// The log and its model.
struct Pair {
    shared: SharedLog,
    pool: ChunkPool,
    idle_max: usize,
    /// All records, with their positions in the log.
    history: Vec<Record>,
    head: u64,
    readers: Vec<Reader>,
    /// How many subscriptions there have been.
    subscribed: u64,
    /// How many frames were sent to one connection alone.
    own_frames: u8,
}

/// One step, applied to both.
impl Pair {
    fn new(setup: Setup) -> Pair {
        Pair {
            shared: match setup.keeps {
                true => SharedLog::keeping(),
                false => SharedLog::new(),
            },
            pool: ChunkPool::new(setup.limits, setup.idle_max),
            idle_max: setup.idle_max,
            history: Vec::new(),
            head: 0,
            readers: Vec::new(),
            subscribed: 0,
            own_frames: 0,
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Append { bytes, how, except } => self.append(bytes, how, except),
            Step::Subscribe | Step::SubscribeFrom(_) if self.readers.len() >= SUBSCRIPTIONS_MAX => {
            }
            Step::Subscribe => self.subscribe(),
            Step::SubscribeFrom(Which(records)) => self.subscribe_from(records.into()),
            Step::Flush(ref accepted) => self.flush(accepted),
            Step::FlushWithin(budget, ref accepted) => self.flush_within(budget, accepted),
            _ if self.readers.is_empty() => {}
            Step::Unsubscribe(which) => self.unsubscribe(self.index(which)),
            Step::FlushOne(which, accepted) => self.flush_one(self.index(which), accepted),
            Step::FinishRecord(which, accepted) => self.finish_record(self.index(which), accepted),
            Step::TakeRemainder(which) => self.take_remainder(self.index(which)),
            Step::SkipToEnd(which) => self.skip_to_end(self.index(which)),
            Step::SkipToLatest(which) => self.skip_to_latest(self.index(which)),
            Step::QueueOwn(which, bytes) => self.queue_own(self.index(which), bytes),
            Step::WriteOwn(which, accepted) => self.write_own(self.index(which), accepted),
        }
    }

    fn index(&self, which: Which) -> usize {
        which.of(self.readers.len())
    }

    fn append(&mut self, bytes: usize, how: How, except: Option<Which>) {
        let record = pattern(self.history.len() as u8, bytes);
        let except = except.filter(|_| !self.readers.is_empty());
        let except = except.map(|which| self.index(which));
        let subscription = except.map(|index| self.readers[index].subscription);
        self.append_to_log(&record, how, subscription);
        if record.is_empty() {
            return;
        }
        let number = self.history.len();
        self.history.push(Record {
            start: self.head,
            bytes: record,
        });
        self.head += bytes as u64;
        if self.shared.keeps() {
            let from = self.shared.log().start_of_last(KEPT as u64);
            self.shared.keep_from(from, &mut self.pool);
        }
        for (index, reader) in self.readers.iter_mut().enumerate() {
            if except == Some(index) {
                reader.excluded.insert(number);
                reader.skip_excluded();
            } else {
                reader.queue.extend(&self.history[number].bytes);
            }
        }
    }

    fn append_to_log(&mut self, record: &[u8], how: How, except: Option<SubscriptionId>) {
        let (shared, pool) = (&mut self.shared, &mut self.pool);
        let encode = |bytes: &mut Vec<u8>| bytes.extend_from_slice(record);
        match (how, except) {
            (How::Copied, None) => shared.append(record, pool),
            (How::Copied, Some(except)) => shared.append_except(except, record, pool),
            (How::Encoded(hint), None) => shared.append_with(hint, encode, pool),
            (How::Encoded(hint), Some(except)) => {
                shared.append_with_except(except, hint, encode, pool);
            }
            (How::Shared, None) => shared.append_shared(record.into(), pool),
            (How::Shared, Some(except)) => shared.append_shared_except(except, record.into(), pool),
        }
    }

    fn subscribe(&mut self) {
        self.subscribed += 1;
        let subscription = self.shared.subscribe(self.subscribed);
        self.readers.push(Reader::new(
            subscription,
            self.subscribed,
            self.history.len(),
            &self.history,
        ));
    }

    fn subscribe_from(&mut self, records: usize) {
        self.subscribed += 1;
        let kept = if self.shared.keeps() { KEPT } else { 0 };
        let past = records.min(kept).min(self.history.len());
        let next = self.history.len() - past;
        let position = match past {
            0 => self.head,
            _ => self.history[next].start,
        };
        let subscription = self.shared.subscribe_from(self.subscribed, position);
        assert!(past == 0 || self.shared.has_catch_ups());
        let reader = Reader::new(subscription, self.subscribed, next, &self.history);
        self.readers.push(reader);
    }

    fn unsubscribe(&mut self, index: usize) {
        self.take_remainder(index);
        let mut reader = self.readers.swap_remove(index);
        self.shared.unsubscribe(reader.subscription, &mut self.pool);
        assert_eq!(self.shared.key(reader.subscription), None);
        reader.write_own(Accepted::All);
        reader.check_wire(&self.history);
    }

    fn flush(&mut self, accepted: &[Accepted]) {
        let mut accepted = accepted.iter().cycle();
        let new = self.shared.pending_bytes() > 0;
        let readers = &mut self.readers;
        let history = &self.history;
        let mut offered_to = BTreeSet::new();
        let to_offer = keys(readers, |reader| {
            new && !reader.blocked && !reader.queue.is_empty()
        });
        self.shared.flush(&mut self.pool, |key, backlog| {
            offered_to.insert(key);
            let reader = readers.iter_mut().find(|reader| reader.key == key).unwrap();
            reader.write(history, backlog, *accepted.next().unwrap())
        });
        assert_eq!(self.shared.pending_bytes(), 0);
        assert_eq!(offered_to, to_offer);
    }

    /// Some of the readers that a flush would visit are visited, each once unless it has many slices.
    fn flush_within(&mut self, budget: u8, accepted: &[Accepted]) {
        let mut accepted = accepted.iter().cycle();
        let (readers, history) = (&mut self.readers, &self.history);
        let mut to_offer = keys(readers, |reader| {
            !reader.blocked && !reader.queue.is_empty()
        });
        let mut budget = FlushBudget {
            bytes: budget.into(),
            call_bytes: 1,
        };
        let mut left = budget.bytes;
        let all = self
            .shared
            .flush_within(&mut self.pool, &mut budget, |key, backlog| {
                assert!(left > 0 || !to_offer.contains(&key), "beyond the budget");
                to_offer.remove(&key);
                let reader = readers.iter_mut().find(|reader| reader.key == key).unwrap();
                let written = reader.write(history, backlog, *accepted.next().unwrap());
                left = left.saturating_sub(written + 1);
                written
            });
        assert_eq!(budget.bytes, left);
        assert_eq!(all, self.shared.pending_bytes() == 0);
        let waits = |reader: &Reader| !reader.blocked && !reader.queue.is_empty();
        assert!(!all || !self.readers.iter().any(waits));
        self.catch_up(budget, &mut accepted);
    }

    /// Those that are catching up are served within the same budget.
    fn catch_up<'a>(
        &mut self,
        mut budget: FlushBudget,
        accepted: &mut impl Iterator<Item = &'a Accepted>,
    ) {
        let (readers, history) = (&mut self.readers, &self.history);
        let left = std::cell::Cell::new(budget.bytes);
        let all = self
            .shared
            .catch_up(&mut self.pool, &mut budget, |key, backlog| {
                assert!(left.get() > 0, "beyond the budget");
                let reader = readers.iter_mut().find(|reader| reader.key == key).unwrap();
                assert!(reader.blocked);
                let written = reader.write(history, backlog, *accepted.next().unwrap());
                reader.blocked |= !reader.queue.is_empty();
                left.set(left.get().saturating_sub(written + 1));
                written
            });
        assert_eq!(budget.bytes, left.get());
        assert_eq!(all, !self.shared.has_catch_ups());
        assert!(all || budget.bytes == 0);
    }

    fn flush_one(&mut self, index: usize, accepted: Accepted) {
        let reader = &mut self.readers[index];
        let history = &self.history;
        reader.blocked = false;
        let subscription = reader.subscription;
        let ready = self
            .shared
            .flush_one(subscription, &mut self.pool, |key, backlog| {
                assert_eq!(key, reader.key);
                reader.write(history, backlog, accepted)
            });
        assert_eq!(ready, !reader.blocked);
        assert_eq!(ready, reader.queue.is_empty());
    }

    fn finish_record(&mut self, index: usize, accepted: Accepted) {
        let reader = &mut self.readers[index];
        let history = &self.history;
        let subscription = reader.subscription;
        let finished = self
            .shared
            .finish_record(subscription, &mut self.pool, |key, rest| {
                assert_eq!(key, reader.key);
                assert_eq!(rest, &history[reader.next].bytes[reader.within..]);
                let accepted = accepted.of(rest.len());
                reader.received(history, &rest[..accepted]);
                accepted
            });
        assert_eq!(finished, reader.within == 0);
        reader.unblock_at(history.len());
    }

    fn take_remainder(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        let remainder = self
            .shared
            .take_remainder(reader.subscription, &mut self.pool);
        reader.finish_first(&self.history, remainder);
        reader.unblock_at(self.history.len());
    }

    fn skip_to_end(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        let skipped = self.shared.skip_to_end(reader.subscription, &mut self.pool);
        reader.skip(&self.history, self.history.len(), skipped);
    }

    fn skip_to_latest(&mut self, index: usize) {
        let reader = &mut self.readers[index];
        let skipped = self
            .shared
            .skip_to_latest(reader.subscription, &mut self.pool);
        let owed = |number: &usize| !reader.excluded.contains(number);
        let latest = (reader.next..self.history.len()).rev().find(owed);
        let to = latest.unwrap_or(reader.next);
        reader.skip(&self.history, to, skipped);
    }

    fn queue_own(&mut self, index: usize, bytes: usize) {
        self.own_frames = self.own_frames.wrapping_add(1);
        self.readers[index].queue_own(pattern(!self.own_frames, bytes));
    }

    /// As a connection that writes its own frames before the records that wait.
    fn write_own(&mut self, index: usize, accepted: Accepted) {
        self.finish_record(index, accepted);
        if !self.shared.unfinished(self.readers[index].subscription) {
            self.readers[index].write_own(accepted);
        }
    }
}

/// The end.
impl Pair {
    fn deliver_all(&mut self) {
        for index in 0..self.readers.len() {
            self.write_own(index, Accepted::All);
        }
        self.flush(&[Accepted::All]);
        for index in 0..self.readers.len() {
            self.flush_one(index, Accepted::All);
            assert!(self.readers[index].queue.is_empty());
        }
    }

    fn end(mut self) {
        if self.shared.keeps() {
            return self.dissolve();
        }
        assert_eq!((self.shared.log().held_bytes(), self.pool.lent()), (0, 0));
        while !self.readers.is_empty() {
            self.unsubscribe(0);
        }
        assert!(self.shared.is_empty());
        assert_eq!((self.shared.log().held_bytes(), self.pool.lent()), (0, 0));
    }

    fn dissolve(mut self) {
        self.shared.dissolve(&mut self.pool);
        assert_eq!(self.pool.lent(), 0);
        assert!(self.pool.idle() <= self.idle_max);
    }
}

/// The comparison after each step.
impl Pair {
    fn compare(&self) {
        assert_eq!(self.shared.log().head(), self.head);
        assert_eq!(self.shared.log().records(), self.history.len() as u64);
        assert_eq!(self.shared.len(), self.readers.len());
        assert_eq!(self.shared.blocked(), self.blocked().count());
        for reader in &self.readers {
            assert_eq!(self.shared.key(reader.subscription), Some(reader.key));
            assert_eq!(
                self.shared.unfinished(reader.subscription),
                reader.within > 0
            );
            assert_eq!(self.shared.lag(reader.subscription), Some(self.lag(reader)));
            self.compare_lagging(reader);
        }
        self.compare_memory();
    }

    fn blocked(&self) -> impl Iterator<Item = &Reader> {
        self.readers.iter().filter(|reader| reader.blocked)
    }

    /// The same subscriptions lag, at limits that this one just keeps and at limits that it
    /// just exceeds.
    fn compare_lagging(&self, reader: &Reader) {
        let (Lag { bytes, records }, position) = (self.lag(reader), self.lags_from(reader));
        self.compare_beyond(bytes, records, position);
        self.compare_beyond(bytes.saturating_sub(1), u64::MAX, 0);
        self.compare_beyond(u64::MAX, records.saturating_sub(1), 0);
        self.compare_beyond(u64::MAX, u64::MAX, position + 1);
    }

    fn compare_beyond(&self, bytes: u64, records: u64, position: u64) {
        let slow = self.blocked().filter(|reader| {
            let lag = self.lag(reader);
            lag.bytes > bytes
                || lag.records > records
                || self.lags_from(reader) < position.min(self.head)
        });
        let slow: BTreeSet<u64> = slow.map(|reader| reader.key).collect();
        let lagging = self.shared.lagging(&LagLimits {
            bytes,
            records,
            position,
        });
        let lagging: Vec<u64> = lagging.filter_map(|id| self.shared.key(id)).collect();
        assert_eq!(lagging.len(), slow.len());
        assert_eq!(lagging.into_iter().collect::<BTreeSet<_>>(), slow);
    }

    /// The log begins with the chunk of the slowest subscription; without one it is empty.
    fn compare_memory(&self) {
        let log = self.shared.log();
        let flushed = self.head - self.shared.pending_bytes();
        let needed = self
            .blocked()
            .map(|reader| self.position(reader))
            .fold(flushed.min(self.kept_from()), u64::min);
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

    /// From here on the log keeps all records.
    fn kept_from(&self) -> u64 {
        if !self.shared.keeps() {
            return self.head;
        }
        let first = self.history.len().checked_sub(KEPT);
        first.map_or(0, |first| self.history[first].start)
    }

    /// From here on records are lag.
    fn lags_from(&self, reader: &Reader) -> u64 {
        let until = self.history.get(reader.until);
        let until = until.map_or(self.head, |record| record.start);
        self.position(reader).max(until)
    }

    fn lag(&self, reader: &Reader) -> Lag {
        Lag {
            bytes: self.head - self.lags_from(reader),
            records: (self.history.len() - reader.next.max(reader.until)) as u64,
        }
    }
}

/// Bytes that identify their record and their offset in it.
fn pattern(number: u8, bytes: usize) -> Vec<u8> {
    let byte = |i| number.wrapping_mul(31) ^ i as u8;
    (0..bytes).map(byte).collect()
}

fn keys(readers: &[Reader], which: impl Fn(&Reader) -> bool) -> BTreeSet<u64> {
    let readers = readers.iter().filter(|reader| which(reader));
    readers.map(|reader| reader.key).collect()
}
