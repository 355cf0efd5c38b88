//! A worker's share of the rooms: the names, their lanes, the members that this
//! worker serves, and the logs that they read from.
//!
//! Publishing is an append to a log; nothing is written to a socket until the
//! turn ends. A room exists on a worker while somebody there is in it, and each of
//! its lanes (see [`Lanes`]) likewise.

use super::compressor::{Compressor, Variant};
use super::handler::Message;
use super::lanes::Lanes;
use super::mail::{ConnectionId, Post};
use super::metrics::{Board, Metrics, RoomLag};
use super::places::{Place, Places};
use super::publication::{Frames, Fresh, Published};
use super::slow::{Ages, SlowPolicy, SlowReaders};
use crate::broadcast::{ChunkPool, Lag, LagBounds, LogLimits, Remainder, Room, Skipped};
use crate::reactor::{Millis, SocketKey};
use crate::websocket::deflate::{DeflateConfig, WindowBits};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// All rooms of one worker.
pub(super) struct Rooms {
    worker: usize,
    /// No room without a lane, and no lane without a member.
    by_name: HashMap<Arc<str>, Lanes>,
    lanes: Vec<Option<Lane>>,
    free: Vec<u32>,
    /// Lanes with something to flush, each once.
    dirty: Vec<u32>,
    /// Bytes that lanes have got since they were flushed.
    gathered_bytes: u64,
    /// Bytes of all messages that this worker's handlers have published.
    pub(super) published_bytes: usize,
    /// Lanes in which somebody is behind, each once.
    watched: Vec<u32>,
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
    dirty: bool,
    watched: bool,
    slow_readers: SlowReaders,
    ages: Ages,
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
            dirty: Vec::new(),
            gathered_bytes: 0,
            published_bytes: 0,
            watched: Vec::new(),
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
            let membership = joined.room.join(key.to_bits());
            places.push(Place { lane, membership });
        }
    }

    /// Lets the connection go. What it had not got of the room, it misses, but
    /// for the rest of a message that was begun: the caller writes that before
    /// anything else.
    #[must_use = "a message that was begun has to be finished"]
    pub(super) fn leave(&mut self, place: Place) -> Option<Remainder> {
        let lane = lane_mut(&mut self.lanes, place.lane)?;
        let missed = lane.room.skip_to_end(place.membership, &mut self.pool);
        self.metrics.abandoned += missed.records;
        lane.room.leave(place.membership, &mut self.pool);
        if lane.room.is_empty() {
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
            if !lane.dirty {
                lane.dirty = true;
                self.dirty.push(index);
            }
            let except = except.filter(|place| place.lane == index);
            self.metrics.deliveries += receivers(&lane.room, except);
            let except = except.map(|place| place.membership);
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
        std::mem::take(&mut self.dirty)
    }

    /// Gives the list back, so that its memory serves the next turn.
    pub(super) fn reuse_dirty(&mut self, mut list: Vec<u32>) {
        if self.dirty.is_empty() {
            list.clear();
            self.dirty = list;
        }
    }

    /// A lane that was dirty, with the pool that its log gives memory back to.
    pub(super) fn clean(&mut self, lane: u32) -> Option<(&mut Room, &mut ChunkPool)> {
        let lane = lane_mut(&mut self.lanes, lane)?;
        lane.dirty = false;
        Some((&mut lane.room, &mut self.pool))
    }

    /// A lane, with the pool that its log gives memory back to.
    pub(super) fn lane(&mut self, lane: u32) -> Option<(&mut Room, &mut ChunkPool)> {
        let lane = lane_mut(&mut self.lanes, lane)?;
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
    pub(super) fn watch(&mut self, index: u32, now: Millis) {
        let Some(lane) = lane_mut(&mut self.lanes, index) else {
            return;
        };
        if lane.room.blocked() == 0 {
            return;
        }
        if let Some(age_max) = lane.slow_readers.age_max {
            lane.ages.mark(lane.room.log().head(), now, age_max);
        }
        if !lane.watched {
            lane.watched = true;
            self.watched.push(index);
        }
    }

    /// The lanes in which somebody is behind. Those that have caught up are
    /// taken off the list first.
    pub(super) fn watched(&mut self) -> &[u32] {
        let mut caught_up = Vec::new();
        let lanes = &mut self.lanes;
        self.watched.retain(|&index| {
            let Some(lane) = lane_mut(lanes, index) else {
                return false;
            };
            lane.watched = lane.room.blocked() > 0;
            if !lane.watched {
                lane.ages.clear();
                caught_up.push(lane.name.clone());
            }
            lane.watched
        });
        for name in caught_up {
            self.drop_lag(&name);
        }
        &self.watched
    }

    /// A lane of the room has caught up, or is gone. Is it the last one?
    fn drop_lag(&self, name: &str) {
        let is_watched = |(_, lane)| lane_of(&self.lanes, lane).is_some_and(|lane| lane.watched);
        let mut lanes = self
            .by_name
            .get(name)
            .copied()
            .unwrap_or(Lanes::NONE)
            .iter();
        if !lanes.any(is_watched) {
            self.board.drop_lag(name);
        }
    }

    /// When the first of those who are behind will be too old.
    pub(super) fn too_old_at(&self) -> Option<Millis> {
        let lanes = self
            .watched
            .iter()
            .filter_map(|&lane| lane_of(&self.lanes, lane));
        lanes
            .filter_map(|lane| lane.ages.due(lane.slow_readers.age_max?))
            .min()
    }

    /// The lane's members that are over the room's bounds.
    pub(super) fn too_slow(&mut self, index: u32, now: Millis, into: &mut Vec<TooSlow>) {
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
        let bounds = match policy {
            SlowPolicy::Latest => LagBounds {
                bytes: u64::MAX,
                records: 1,
                position: 0,
            },
            _ => LagBounds {
                bytes: bytes_max,
                records: messages_max,
                position: too_old,
            },
        };
        let head = lane.room.log().head();
        for membership in lane.room.lagging(&bounds) {
            let (Some(key), Some(lag)) = (lane.room.key(membership), lane.room.lag(membership))
            else {
                continue;
            };
            // Whoever has begun to get the newest message may finish it in time.
            if lag.records > 1 || head - lag.bytes < too_old {
                into.push(TooSlow {
                    key: SocketKey::from_bits(key),
                    place: Place {
                        lane: index,
                        membership,
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
            true => lane.room.skip_to_latest(place.membership, &mut self.pool),
            false => lane.room.skip_to_end(place.membership, &mut self.pool),
        };
        self.metrics.skipped += skipped.records;
        skipped
    }

    /// Shows the worker's numbers to others.
    pub(super) fn show(&mut self) {
        self.board.show(&self.metrics);
        for &lane in &self.watched {
            let lag = lane_of(&self.lanes, lane).and_then(|lane| self.room_lag(&lane.name));
            if let Some(lag) = lag {
                self.board.show_lag(lag);
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
            dirty: false,
            watched: false,
            slow_readers,
            ages: Ages::default(),
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
        self.dirty.retain(|&dirty| dirty != index);
        if lane.watched {
            self.watched.retain(|&watched| watched != index);
            self.drop_lag(&lane.name);
        }
        lane.room.dissolve(&mut self.pool);
        self.free.push(index);
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
