//! A worker's share of the rooms: the names, their lanes, the members that this
//! worker serves, and the logs that they read from.
//!
//! Publishing is an append to a log; nothing is written to a socket until the
//! turn ends. A room exists on a worker while somebody there is in it, and each of
//! its lanes (see [`Lanes`]) likewise.

use super::compressor::{Compressor, Variant};
use super::lane_set::LaneSet;
use super::lanes::Lanes;
use super::mail::{ConnectionId, Post};
use super::metrics::{Board, Metrics, RoomLag};
use super::places::{Place, Places};
use super::publication::{Frames, Fresh, Published};
use super::slow::{Ages, SlowPolicy, SlowReaders};
use crate::broadcast::{ChunkPool, Lag, LagLimits, LogLimits, Remainder, Room, Skipped};
use crate::reactor::SocketKey;
use crate::time::Timestamp;
use crate::websocket::Message;
use crate::websocket::deflate::{DeflateConfig, WindowBits};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// All rooms of one worker.
pub(super) struct Rooms {
    worker: usize,
    /// No room without a lane, and no lane without a member.
    by_name: HashMap<Arc<str>, Lanes>,
    lanes: Vec<Option<Lane>>,
    free: Vec<u32>,
    /// Lanes with something to flush.
    dirty: LaneSet,
    /// Bytes that lanes have got since they were flushed.
    gathered_bytes: u64,
    /// Bytes of all messages that this worker's handlers have published.
    pub(super) published_bytes: usize,
    /// Watched lanes of which the board does not show how they are now.
    changed: LaneSet,
    /// When somebody in a watched lane will be too old, for each lane that has such a
    /// time. A turn looks at the first, however many are watched.
    dues: BTreeSet<(Timestamp, u32)>,
    slow_readers: SlowReadersOf,
    pub(super) metrics: Metrics,
    board: Arc<Board>,
    compressor: Compressor,
    pub(super) pool: ChunkPool,
    pub(super) post: Post,
}

/// The members of a room that get its messages in one variant, and their log.
struct Lane {
    name: Arc<str>,
    variant: Variant,
    room: Room,
    /// Somebody is behind, or was when the turn began.
    watched: bool,
    slow_readers: SlowReaders,
    ages: Ages,
    /// The lane's time in `Rooms::dues`.
    due: Option<Timestamp>,
}

/// What a room of this name does with slow readers.
pub(super) type SlowReadersOf = Arc<dyn Fn(&str) -> SlowReaders + Send + Sync>;

/// A member that is over its room's bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooSlow {
    pub(super) key: SocketKey,
    pub(super) place: Place,
    pub(super) policy: SlowPolicy,
    pub(super) lag: Lag,
}

impl Rooms {
    pub(super) fn new(
        worker: usize,
        post: Post,
        board: Arc<Board>,
        slow_readers: SlowReadersOf,
        deflate: Option<DeflateConfig>,
    ) -> Rooms {
        Rooms {
            worker,
            by_name: HashMap::new(),
            lanes: Vec::new(),
            free: Vec::new(),
            dirty: LaneSet::default(),
            gathered_bytes: 0,
            published_bytes: 0,
            changed: LaneSet::default(),
            dues: BTreeSet::new(),
            slow_readers,
            metrics: Metrics::default(),
            board,
            compressor: Compressor::new(deflate),
            pool: ChunkPool::new(LogLimits::default(), IDLE_CHUNKS_MAX),
            post,
        }
    }

    /// Takes the connection into the room, unless `places` says it is there.
    /// `window`: for what is compressed for it, if that was agreed on.
    pub(super) fn join(
        &mut self,
        name: &str,
        key: SocketKey,
        window: Option<WindowBits>,
        places: &mut Places,
    ) {
        if self.place_in(name, places).is_some() {
            return;
        }
        let lane = self.lane_or_new(name, self.compressor.variant(window));
        if let Some(joined) = lane_mut(&mut self.lanes, lane) {
            let subscription = joined.room.subscribe(key.to_bits());
            places.push(Place { lane, subscription });
        }
        if let Some(&lanes) = self.by_name.get(name) {
            self.members_changed(lanes);
        }
    }

    /// Lets the connection go. What it had not got of the room, it misses, but
    /// for the rest of a message that was begun: the caller writes that before
    /// anything else.
    #[must_use = "a message that was begun has to be finished"]
    pub(super) fn leave(&mut self, place: Place) -> Option<Remainder> {
        let lane = lane_mut(&mut self.lanes, place.lane)?;
        let missed = lane.room.skip_to_end(place.subscription, &mut self.pool);
        self.metrics.abandoned += missed.records;
        lane.room.unsubscribe(place.subscription, &mut self.pool);
        if let Some(&lanes) = self.by_name.get(&lane.name) {
            self.members_changed(lanes);
        }
        if lane_of(&self.lanes, place.lane).is_some_and(|lane| lane.room.is_empty()) {
            self.dissolve(place.lane);
        }
        missed.remainder
    }

    /// Which of these places is in the room.
    pub(super) fn place_in(&self, name: &str, places: &Places) -> Option<Place> {
        let lanes = self.by_name.get(name)?;
        places
            .as_slice()
            .iter()
            .find(|place| lanes.contains(place.lane))
            .copied()
    }

    /// Says something to everyone in the room, on all workers, but `except`.
    pub(super) fn publish(
        &mut self,
        name: &str,
        message: Message<'_>,
        except: Option<(ConnectionId, Option<Place>)>,
    ) {
        let bytes = message.as_bytes().len();
        self.published_bytes = self.published_bytes.wrapping_add(bytes);
        let excepted_place = except.and_then(|(_, place)| place);
        if self.post.workers() == 1 {
            self.append(name, Fresh::new(message), excepted_place);
            return;
        }
        let compressible = self.compressor.is_worth_it(bytes);
        let except = except.map(|(id, _)| id);
        let published = Published::new(name, message, except, compressible);
        match home(name, self.post.workers()) {
            home if home == self.worker => self.order(&published, excepted_place),
            home => self.post.send_home(home, published),
        }
    }

    /// At the room's home: this message comes next, for every worker.
    pub(super) fn order(&mut self, published: &Published, except: Option<Place>) {
        self.post.send_to_others(published);
        self.deliver(published, except);
    }

    /// Appends what the room's home has put in order.
    pub(super) fn deliver(&mut self, published: &Published, except: Option<Place>) {
        self.append(&published.room, published, except);
    }

    /// Compresses a message for one client alone, if that was agreed on and pays.
    pub(super) fn compress_for(
        &mut self,
        window: Option<WindowBits>,
        message: Message<'_>,
    ) -> Option<&[u8]> {
        self.compressor
            .compress_for(window, message, &mut self.metrics)
    }

    /// Appends a message to each of the room's lanes, in that lane's variant.
    fn append(&mut self, name: &str, mut frames: impl Frames, except: Option<Place>) {
        let Some(lanes) = self.by_name.get(name) else {
            return;
        };
        for (variant, index) in lanes.iter() {
            let Some(lane) = lane_mut(&mut self.lanes, index) else {
                continue;
            };
            self.dirty.insert(index);
            let except = except.filter(|place| place.lane == index);
            self.metrics.deliveries += receivers(&lane.room, except);
            let except = except.map(|place| place.subscription);
            let before = lane.room.log().head();
            frames
                .frame(variant, &mut self.compressor, &mut self.metrics)
                .append(&mut lane.room, except, &mut self.pool);
            self.gathered_bytes += lane.room.log().head() - before;
        }
    }

    /// Whether so much has gathered that it should be written before more is read:
    /// a turn reads from every client, and from none of them a bounded number of
    /// messages.
    pub(super) fn has_much_gathered(&self) -> bool {
        self.gathered_bytes >= GATHERED_BYTES_MAX
    }

    /// The lanes with something to flush; each is clean afterwards.
    pub(super) fn take_dirty(&mut self) -> Vec<u32> {
        self.gathered_bytes = 0;
        self.dirty.take()
    }

    /// Gives the list back, so that its memory serves the next turn.
    pub(super) fn reuse_dirty(&mut self, list: Vec<u32>) {
        self.dirty.reuse(list);
    }

    /// A lane, with the pool that its log gives memory back to.
    pub(super) fn lane(&mut self, index: u32) -> Option<(&mut Room, &mut ChunkPool)> {
        let lane = lane_mut(&mut self.lanes, index)?;
        if lane.watched {
            self.changed.insert(index);
        }
        Some((&mut lane.room, &mut self.pool))
    }

    /// Whether a lane has something to flush.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The name of the lane's room.
    pub(super) fn name(&self, lane: u32) -> Option<Arc<str>> {
        Some(lane_of(&self.lanes, lane)?.name.clone())
    }

    /// The lane has been flushed: is somebody behind, and since when?
    pub(super) fn watch(&mut self, index: u32, now: Timestamp) {
        let Some(lane) = lane_mut(&mut self.lanes, index) else {
            return;
        };
        let is_behind = lane.room.blocked() > 0;
        if !is_behind && !lane.watched {
            return;
        }
        self.changed.insert(index);
        lane.watched = true;
        if let Some(age_max) = lane.slow_readers.age_max.filter(|_| is_behind) {
            lane.ages.mark(lane.room.log().head(), now, age_max);
        }
        lane.update_due(index, &mut self.dues);
    }

    /// When the first of those who are behind will be too old.
    pub(super) fn too_old_at(&self) -> Option<Timestamp> {
        self.dues.first().map(|&(at, _)| at)
    }

    /// The lanes in which somebody may be too old by now.
    pub(super) fn take_too_old(&mut self, now: Timestamp) -> Vec<u32> {
        let mut too_old = Vec::new();
        while let Some(&(at, index)) = self.dues.first().filter(|(at, _)| *at <= now) {
            self.dues.remove(&(at, index));
            if let Some(lane) = lane_mut(&mut self.lanes, index) {
                lane.due = None;
            }
            too_old.push(index);
        }
        too_old
    }

    /// The lane's members that are over the room's bounds.
    pub(super) fn too_slow(&mut self, index: u32, now: Timestamp, into: &mut Vec<TooSlow>) {
        let Some(lane) = lane_mut(&mut self.lanes, index) else {
            return;
        };
        let SlowReaders {
            policy,
            bytes_max,
            messages_max,
            age_max,
        } = lane.slow_readers;
        let too_old = age_max.map_or(0, |age_max| lane.ages.too_old(now, age_max));
        lane.update_due(index, &mut self.dues);
        let bounds = match policy {
            SlowPolicy::Latest => LagLimits {
                bytes: u64::MAX,
                records: 1,
                position: 0,
            },
            _ => LagLimits {
                bytes: bytes_max,
                records: messages_max,
                position: too_old,
            },
        };
        let head = lane.room.log().head();
        for subscription in lane.room.lagging(&bounds) {
            let (Some(key), Some(lag)) = (lane.room.key(subscription), lane.room.lag(subscription))
            else {
                continue;
            };
            // Whoever has begun to get the newest message may finish it in time.
            if lag.records > 1 || head - lag.bytes < too_old {
                into.push(TooSlow {
                    key: SocketKey::from_bits(key),
                    place: Place {
                        lane: index,
                        subscription,
                    },
                    policy,
                    lag,
                });
            }
        }
    }

    /// A member misses what waits for it, but for the newest message if
    /// `latest`.
    pub(super) fn skip(&mut self, place: Place, latest: bool) -> Skipped {
        let Some(lane) = lane_mut(&mut self.lanes, place.lane) else {
            return Skipped::default();
        };
        let skipped = match latest {
            true => lane.room.skip_to_latest(place.subscription, &mut self.pool),
            false => lane.room.skip_to_end(place.subscription, &mut self.pool),
        };
        self.metrics.skipped += skipped.records;
        self.changed.insert(place.lane);
        skipped
    }

    /// Shows the worker's numbers to others: all counts, and the lags that have changed.
    pub(super) fn show(&mut self) {
        self.board.show(&self.metrics);
        if self.changed.is_empty() {
            return;
        }
        let changed = self.changed.take();
        for &index in &changed {
            let Some(lane) = lane_mut(&mut self.lanes, index) else {
                continue;
            };
            if lane.room.blocked() == 0 {
                lane.watched = false;
                lane.ages.clear();
                lane.update_due(index, &mut self.dues);
            }
            let name = lane.name.clone();
            self.show_lag(&name);
        }
        self.changed.reuse(changed);
    }

    /// Shows how far behind a room is, or that nobody there is.
    fn show_lag(&self, name: &str) {
        let lanes = self.by_name.get(name).copied().unwrap_or(Lanes::NONE);
        let is_watched = |(_, lane)| lane_of(&self.lanes, lane).is_some_and(|lane| lane.watched);
        match lanes.iter().any(is_watched) {
            true => self
                .room_lag(name)
                .into_iter()
                .for_each(|lag| self.board.show_lag(lag)),
            false => self.board.drop_lag(name),
        }
    }

    /// The number of the room's members has changed; the lags that are shown say it.
    fn members_changed(&mut self, lanes: Lanes) {
        for (_, index) in lanes.iter() {
            if lane_of(&self.lanes, index).is_some_and(|lane| lane.watched) {
                self.changed.insert(index);
            }
        }
    }

    /// How far behind a room is, all of its lanes together.
    fn room_lag(&self, name: &str) -> Option<RoomLag> {
        let (name, lanes) = self.by_name.get_key_value(name)?;
        let mut lag = RoomLag {
            room: name.clone(),
            members: 0,
            behind: 0,
            bytes: 0,
            held_bytes: 0,
        };
        for lane in lanes
            .iter()
            .filter_map(|(_, lane)| lane_of(&self.lanes, lane))
        {
            let log = lane.room.log();
            lag.members += lane.room.len();
            lag.behind += lane.room.blocked();
            lag.bytes = lag.bytes.max(log.head() - log.tail());
            lag.held_bytes += log.held_bytes();
        }
        Some(lag)
    }

    fn lane_or_new(&mut self, name: &str, variant: Variant) -> u32 {
        let room = self.by_name.get_key_value(name);
        if let Some(lane) = room.and_then(|(_, lanes)| lanes.get(variant)) {
            return lane;
        }
        let (name, mut lanes) = match room {
            Some((name, lanes)) => (name.clone(), *lanes),
            None => (name.into(), Lanes::NONE),
        };
        let slow_readers = self.slow_readers_of(&name, lanes);
        let index = self.free.pop().unwrap_or_else(|| {
            self.lanes.push(None);
            // Each lane has a member with a socket: there are far fewer.
            (self.lanes.len() - 1) as u32
        });
        self.lanes[index as usize] = Some(Lane {
            name: name.clone(),
            variant,
            room: Room::new(),
            watched: false,
            slow_readers,
            ages: Ages::default(),
            due: None,
        });
        lanes.add(variant, index);
        self.by_name.insert(name, lanes);
        index
    }

    /// What is done with the room's slow readers: asked when the room begins.
    fn slow_readers_of(&self, name: &str, lanes: Lanes) -> SlowReaders {
        let first = lanes.iter().next();
        let first = first.and_then(|(_, lane)| lane_of(&self.lanes, lane));
        first.map_or_else(|| (self.slow_readers)(name), |lane| lane.slow_readers)
    }

    fn dissolve(&mut self, index: u32) {
        let Some(lane) = self.lanes[index as usize].take() else {
            return;
        };
        if let Some(lanes) = self.by_name.get_mut(&lane.name) {
            lanes.remove(lane.variant);
            if lanes.is_empty() {
                self.by_name.remove(&lane.name);
            }
        }
        self.dirty.remove(index);
        self.changed.remove(index);
        if let Some(due) = lane.due {
            self.dues.remove(&(due, index));
        }
        if lane.watched {
            self.show_lag(&lane.name);
        }
        lane.room.dissolve(&mut self.pool);
        self.free.push(index);
    }
}

impl Lane {
    /// Notes in `dues` when somebody here will be too old.
    fn update_due(&mut self, index: u32, dues: &mut BTreeSet<(Timestamp, u32)>) {
        let age_max = self.slow_readers.age_max.filter(|_| self.watched);
        let due = age_max.and_then(|age_max| self.ages.due(age_max));
        if due == self.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut self.due, due) {
            dues.remove(&(old, index));
        }
        dues.extend(due.map(|at| (at, index)));
    }
}

fn lane_of(lanes: &[Option<Lane>], index: u32) -> Option<&Lane> {
    lanes.get(index as usize)?.as_ref()
}

fn lane_mut(lanes: &mut [Option<Lane>], index: u32) -> Option<&mut Lane> {
    lanes.get_mut(index as usize)?.as_mut()
}

/// For how many members a message is.
fn receivers(room: &Room, except: Option<Place>) -> u64 {
    room.len() as u64 - u64::from(except.is_some())
}

/// The worker that puts a room's messages in order: 0 ≤ home < workers.
pub(super) fn home(room: &str, workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    room.hash(&mut hasher);
    usize::try_from(hasher.finish() % workers.max(1) as u64).unwrap_or(0)
}

/// Bytes that gather in the rooms of a worker before they are written in the middle
/// of a turn. Each message that a client has sent may add its length to that.
const GATHERED_BYTES_MAX: u64 = 1 << 20;

/// Chunks of 64 KiB that a worker keeps for reuse: 4 MiB.
const IDLE_CHUNKS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::mail::Mailboxes;
    use super::*;
    use crate::broadcast::Backlog;
    use crate::reactor::{Reactor, ReactorConfig};
    use proptest::prelude::*;
    use std::time::Duration;

    const AGE_MAX: Duration = Duration::from_millis(160);
    const MEMBERS: u64 = 6;

    fn rooms() -> Rooms {
        let reactor = Reactor::new(ReactorConfig::default()).expect("a reactor");
        let mailboxes = Mailboxes::new([reactor.mailbox()].into_iter(), usize::MAX);
        let slow_readers = SlowReaders {
            policy: SlowPolicy::Skip,
            bytes_max: 300,
            age_max: Some(AGE_MAX),
            ..SlowReaders::default()
        };
        Rooms::new(
            0,
            Post::new(0, mailboxes),
            Arc::default(),
            Arc::new(move |_| slow_readers),
            Some(DeflateConfig::default()),
        )
    }

    /// What the end of a turn does with the rooms; `take` says what a socket takes.
    fn end_turn(
        rooms: &mut Rooms,
        now: Timestamp,
        mut take: impl FnMut(u64, Backlog<'_>) -> usize,
    ) {
        let dirty = rooms.take_dirty();
        for &index in &dirty {
            if let Some((room, pool)) = rooms.lane(index) {
                room.flush(pool, &mut take);
            }
            rooms.watch(index, now);
            skip_too_slow(rooms, index, now);
        }
        rooms.reuse_dirty(dirty);
        for index in rooms.take_too_old(now) {
            skip_too_slow(rooms, index, now);
        }
        rooms.show();
    }

    fn skip_too_slow(rooms: &mut Rooms, index: u32, now: Timestamp) {
        let mut too_slow = Vec::new();
        rooms.too_slow(index, now, &mut too_slow);
        for member in too_slow {
            let _ = rooms.skip(member.place, false);
        }
    }

    /// The same, found by looking at every lane.
    fn expected(rooms: &Rooms) -> (Option<Timestamp>, Vec<RoomLag>) {
        let behind = || {
            let lanes = rooms.lanes.iter().flatten();
            lanes.filter(|lane| lane.room.blocked() > 0)
        };
        let due = behind().filter_map(|lane| lane.ages.due(AGE_MAX)).min();
        let names: BTreeSet<_> = behind().map(|lane| lane.name.clone()).collect();
        let lags = names.iter().filter_map(|name| rooms.room_lag(name));
        (due, lags.collect())
    }

    fn shown(rooms: &Rooms) -> (Option<Timestamp>, Vec<RoomLag>) {
        let mut lags = Board::lags(std::slice::from_ref(&rooms.board));
        lags.sort_by(|one, other| one.room.cmp(&other.room));
        (rooms.too_old_at(), lags)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join {
            member: u64,
            room: usize,
        },
        Leave {
            member: u64,
            room: usize,
        },
        Publish {
            room: usize,
        },
        Writable {
            member: u64,
        },
        /// So many milliseconds pass, and these members' sockets take nothing.
        Turn {
            passed: u64,
            blocked: u64,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        let (member, room) = (0..MEMBERS, 0..ROOMS.len());
        prop_oneof![
            3 => (member.clone(), room.clone()).prop_map(|(member, room)| Step::Join { member, room }),
            2 => (member.clone(), room.clone()).prop_map(|(member, room)| Step::Leave { member, room }),
            6 => room.prop_map(|room| Step::Publish { room }),
            2 => member.prop_map(|member| Step::Writable { member }),
            6 => (0..100u64, 0..1u64 << MEMBERS).prop_map(|(passed, blocked)| Step::Turn { passed, blocked }),
        ]
    }

    const ROOMS: [&str; 3] = ["hall", "garden", "attic"];

    proptest! {
        #[test]
        fn lags_and_the_next_time_are_what_a_look_at_every_lane_finds(
            steps in prop::collection::vec(step(), 0..120)
        ) {
            let (mut rooms, mut now) = (rooms(), Timestamp(0));
            let mut places: Vec<Places> = (0..MEMBERS).map(|_| Places::default()).collect();
            for step in steps {
                match step {
                    Step::Join { member, room } => {
                        let window = (member % 2 == 0).then_some(WindowBits::MAX);
                        let key = SocketKey::from_bits(member);
                        rooms.join(ROOMS[room], key, window, &mut places[member as usize]);
                    }
                    Step::Leave { member, room } => {
                        let places = &mut places[member as usize];
                        if let Some(place) = rooms.place_in(ROOMS[room], places) {
                            places.remove(place);
                            let _ = rooms.leave(place);
                        }
                    }
                    Step::Publish { room } => {
                        rooms.publish(ROOMS[room], Message::Binary(&[7; 100]), None);
                    }
                    Step::Writable { member } => {
                        for place in places[member as usize].as_slice() {
                            if let Some((room, pool)) = rooms.lane(place.lane) {
                                room.flush_one(place.subscription, pool, |_, rest| rest.bytes());
                            }
                        }
                    }
                    Step::Turn { passed, blocked } => {
                        now = now.plus(Duration::from_millis(passed));
                        end_turn(&mut rooms, now, |member, backlog| {
                            let takes = blocked & (1 << member) == 0;
                            if takes { backlog.bytes() } else { 0 }
                        });
                        prop_assert_eq!(shown(&rooms), expected(&rooms));
                    }
                }
            }
        }
    }

    #[test]
    fn a_turn_without_news_looks_at_no_room_however_many_are_watched() {
        let mut rooms = rooms();
        let mut places = Places::default();
        for number in 0..1000 {
            let name = number.to_string();
            rooms.join(&name, SocketKey::from_bits(0), None, &mut places);
            rooms.publish(&name, Message::Text("behind"), None);
        }
        end_turn(&mut rooms, Timestamp(0), |_, _| 0);
        assert_eq!(Board::lags(std::slice::from_ref(&rooms.board)).len(), 1000);
        assert!(rooms.changed.is_empty());
        assert_eq!(rooms.take_too_old(Timestamp(0)), [0; 0]);
        // One of them has caught up: it alone is looked at.
        let place = places.as_slice()[500];
        let (room, pool) = rooms.lane(place.lane).expect("a lane");
        assert!(room.flush_one(place.subscription, pool, |_, rest| rest.bytes()));
        assert_eq!(rooms.changed.take(), [place.lane]);
        rooms.changed.insert(place.lane);
        rooms.show();
        assert_eq!(Board::lags(std::slice::from_ref(&rooms.board)).len(), 999);
        assert_eq!(rooms.dues.len(), 999);
        // All end at once, and nothing is left of them.
        for &place in places.as_slice() {
            let _ = rooms.leave(place);
        }
        assert!(rooms.dues.is_empty() && rooms.changed.is_empty() && !rooms.is_dirty());
        assert!(Board::lags(std::slice::from_ref(&rooms.board)).is_empty());
    }
}
