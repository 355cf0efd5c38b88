//! What waits for the thread that writes: publications, rooms that begin or end to be subscribed to, and records.
//!
//! ```text
//!   event loops ─ publish ──▶ waiting (bounded; beyond it refused) ── take ──▶ written (one batch) ── finish ──▶ answered
//!                                 │                                              │
//!                                 └── refused after `answer_timeout`             └── unknown after `answer_timeout`   (watch)
//! ```
//!
//! The event loops never wait: a call takes a lock for some instructions. Each publication is answered in a bounded time, also while the
//! disk does not answer: the thread that watches does it. A batch whose publications have been answered may still come to be written, so
//! their result is then unknown.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use yamabiko::server::{BackplanePublication, NotPublished, Position, RoomHistory};

use crate::records::RecordChanges;
use crate::settings::SqliteSettings;
use crate::store::RoomBatch;

/// The queue to the thread that writes.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// For the thread that writes: there is work.
    work: Condvar,
    /// For the thread that watches: a publication waits, or the queue is closed.
    watch: Condvar,
    messages_max: usize,
    bytes_max: usize,
    answer_timeout: Duration,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Their bytes.
    bytes: usize,
    /// The last call for each room: `Some`: it is subscribed to.
    rooms: HashMap<Arc<str>, Option<Subscription>>,
    /// Records that are to be put, or removed: the last call for each name.
    records: RecordChanges,
    /// The batch that is being written, in its order. `None`: answered already.
    written: Vec<BackplanePublication>,
    writing_since: Option<Instant>,
    /// The disk has not answered in time; nothing has been written since.
    is_stalled: bool,
    is_closed: bool,
}

struct Waiting {
    publication: BackplanePublication,
    since: Instant,
}

/// A room has subscribers on this node.
pub(crate) struct Subscription {
    pub(crate) history: Option<RoomHistory>,
}

/// What the thread that writes does next, in this order.
pub(crate) struct Work {
    pub(crate) records: RecordChanges,
    pub(crate) rooms: Vec<(Arc<str>, Option<Subscription>)>,
    pub(crate) batch: Batch,
    /// The queue is closed, and this is the last of it.
    pub(crate) is_last: bool,
}

/// Publications by room.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) rooms: Vec<RoomBatch>,
    /// For each publication of the batch: its room, and its number among the messages of that room.
    places: Vec<(usize, usize)>,
}

impl Queue {
    pub(crate) fn new(settings: &SqliteSettings) -> Queue {
        Queue {
            state: Mutex::default(),
            work: Condvar::new(),
            watch: Condvar::new(),
            messages_max: settings.queue_messages_max.max(1),
            bytes_max: settings.queue_bytes_max,
            answer_timeout: settings.answer_timeout,
        }
    }

    /// Takes a publication, or refuses it: there is no space, or nobody writes.
    pub(crate) fn push(&self, publication: BackplanePublication) {
        let mut state = self.lock();
        let bytes = state.bytes.saturating_add(publication.bytes());
        let is_full = state.waiting.len() >= self.messages_max
            || (bytes > self.bytes_max && !state.waiting.is_empty());
        let refused = match (state.is_closed, is_full || state.is_stalled) {
            (true, _) => Some(NotPublished::BackplaneGone),
            (_, true) => Some(NotPublished::BackplaneBehind),
            _ => None,
        };
        if let Some(reason) = refused {
            // The answer calls the server: not under the lock.
            drop(state);
            return publication.refuse(reason);
        }
        if state.is_idle() {
            self.watch.notify_one();
        }
        state.bytes = bytes;
        let since = Instant::now();
        state.waiting.push_back(Waiting { publication, since });
        drop(state);
        self.work.notify_one();
    }

    /// The room is subscribed to from now on, or not any more.
    pub(crate) fn set_subscription(&self, room: &str, subscription: Option<Subscription>) {
        self.lock().rooms.insert(room.into(), subscription);
        self.work.notify_one();
    }

    /// Puts a record, or removes it.
    pub(crate) fn set_record(&self, name: &str, text: Option<&str>) {
        let mut state = self.lock();
        state.records.insert(name.into(), text.map(Into::into));
        drop(state);
        self.work.notify_one();
    }

    /// Nothing more is taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.work.notify_one();
        self.watch.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Waits for work, at most so long, and takes what is there: all rooms, and a batch of at most so many messages and bytes.
    pub(crate) fn take(&self, most: BatchLimits, timeout: Duration) -> Work {
        let nothing = |state: &mut State| {
            state.waiting.is_empty()
                && state.rooms.is_empty()
                && state.records.is_empty()
                && !state.is_closed
        };
        let waited = self.work.wait_timeout_while(self.lock(), timeout, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let records = mem::take(&mut state.records);
        let rooms = mem::take(&mut state.rooms).into_iter().collect();
        let batch = state.take_batch(most);
        state.writing_since = (!batch.rooms.is_empty()).then(Instant::now);
        let is_last = state.is_closed && state.waiting.is_empty();
        Work {
            records,
            rooms,
            batch,
            is_last,
        }
    }

    /// The batch is written, or it failed: nothing is stalled. The answers are given by [`Batch::answer`].
    pub(crate) fn finish(&self) -> Vec<BackplanePublication> {
        let mut state = self.lock();
        state.writing_since = None;
        state.is_stalled = false;
        mem::take(&mut state.written)
    }

    /// For the thread that watches: waits until publications are not answered in time, and returns them. `None`: the queue is
    /// closed and empty.
    pub(crate) fn wait_for_overdue(&self) -> Option<Overdue> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            match state.first_since().map(|since| since + self.answer_timeout) {
                None if state.is_closed => return None,
                None => {
                    let woken = self.watch.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                }
                Some(due) if due <= now => {
                    return Some(state.take_overdue(now, self.answer_timeout));
                }
                Some(due) => {
                    let woken = self.watch.wait_timeout(state, due - now);
                    (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publications that were not answered in time.
pub(crate) struct Overdue {
    refused: Vec<BackplanePublication>,
    unknown: Vec<BackplanePublication>,
}

impl Overdue {
    /// Whether the disk has not answered for so long.
    pub(crate) fn is_stalled(&self) -> bool {
        !self.unknown.is_empty()
    }

    pub(crate) fn answer(self) {
        let Overdue { refused, unknown } = self;
        refused
            .into_iter()
            .for_each(|one| one.refuse(NotPublished::BackplaneBehind));
        unknown
            .into_iter()
            .for_each(|one| one.refuse(NotPublished::Unknown));
    }
}

impl State {
    /// Whether the thread that watches may be waiting without a time.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.writing_since.is_none()
    }

    /// Since when the publication waits that waits for longest.
    fn first_since(&self) -> Option<Instant> {
        let waiting = self.waiting.front().map(|waiting| waiting.since);
        let written = self.writing_since.filter(|_| !self.written.is_empty());
        waiting.into_iter().chain(written).min()
    }

    fn take_overdue(&mut self, now: Instant, answer_timeout: Duration) -> Overdue {
        let is_due = |since: Instant| since + answer_timeout <= now;
        let mut unknown = Vec::new();
        if self.writing_since.is_some_and(is_due) {
            self.is_stalled = true;
            unknown = mem::take(&mut self.written);
        }
        // The order of a room's messages is kept: what waits is refused from the front.
        let due = self
            .waiting
            .iter()
            .take_while(|waiting| is_due(waiting.since))
            .count();
        let refused: Vec<_> = self
            .waiting
            .drain(..due)
            .map(|one| one.publication)
            .collect();
        self.bytes -= refused
            .iter()
            .map(BackplanePublication::bytes)
            .sum::<usize>();
        Overdue { refused, unknown }
    }

    fn take_batch(&mut self, most: BatchLimits) -> Batch {
        let mut batch = Batch::default();
        let mut by_room = HashMap::new();
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            bytes += next.publication.bytes();
            let is_first = self.written.is_empty();
            if self.written.len() >= most.messages || (bytes > most.bytes && !is_first) {
                break;
            }
            let Some(Waiting { publication, .. }) = self.waiting.pop_front() else {
                break;
            };
            self.bytes -= publication.bytes();
            batch.add(&publication, &mut by_room);
            self.written.push(publication);
        }
        batch
    }
}

impl Batch {
    fn add(&mut self, publication: &BackplanePublication, by_room: &mut HashMap<Arc<str>, usize>) {
        let index = match by_room.get(publication.room()) {
            Some(&index) => index,
            None => self.add_room(publication.room().into(), by_room),
        };
        if let Some(room) = self.rooms.get_mut(index) {
            room.history = publication.history();
            self.places.push((index, room.messages.len()));
            room.messages.push(publication.message().clone());
        }
    }

    fn add_room(&mut self, room: Arc<str>, by_room: &mut HashMap<Arc<str>, usize>) -> usize {
        let index = self.rooms.len();
        by_room.insert(room.clone(), index);
        self.rooms.push(RoomBatch {
            room,
            history: None,
            messages: Vec::new(),
        });
        index
    }

    /// The bytes of its messages.
    pub(crate) fn bytes(&self) -> u64 {
        let messages = self.rooms.iter().flat_map(|room| &room.messages);
        messages.map(|message| message.payload().len() as u64).sum()
    }

    /// Answers the publications of the batch that are not answered yet, all of them or none. `firsts`: the place behind the first
    /// message of each room.
    pub(crate) fn answer(&self, publications: Vec<BackplanePublication>, firsts: &[Position]) {
        for (publication, &(room, number)) in publications.into_iter().zip(&self.places) {
            match firsts.get(room) {
                Some(first) => publication.taken(first.plus(number as u64)),
                None => publication.refuse(NotPublished::BackplaneRefused),
            }
        }
    }
}

/// How much one transaction writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}
