//! The thread that publishes what a node holds, its engine, and the handle for applications.
//!
//! ```text
//!   any thread     hold, release, send ──▶ directory ◀── load, deliver, gap     the engine's thread
//!                                            │    └────▶ Handler::cluster_event
//!   the keeper     next messages, beats ◀────┘ ──▶ Backplane::publish
//! ```
//!
//! The directory has one lock. No call of the engine and none of the application is made under it.

use super::CLUSTER_ROOM;
use super::directory::{Directory, Full};
use super::event::{ClusterEntry, ClusterEvent};
use crate::server::backplane::link::Link;
use crate::server::backplane::{
    Backplane, BackplaneConfig, BackplaneMessage, BackplanePublication, KeptMessages, NodeId,
};
use crate::server::history::Position;
use crate::websocket::Message;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The other nodes: what all of them hold, and messages to them. Cheap to clone, for any thread; no call waits.
///
/// An application gets it by [`Publisher::cluster`](crate::server::Publisher::cluster), and is told of changes by
/// [`Handler::cluster_event`](crate::server::Handler::cluster_event). `docs/cluster.md` of the repository describes what is
/// promised when nodes end and when the engine loses something.
///
/// ```
/// use std::sync::OnceLock;
/// use yamabiko::server::{
///     Admission, Closed, Cluster, ClusterEvent, Context, Handler, Message, Publisher, Refusal, Upgrade,
/// };
///
/// /// Tells whether a user is online on any node. (A user has one connection here.)
/// #[derive(Default)]
/// struct Online(OnceLock<Cluster>);
///
/// impl Handler for Online {
///     type Session = String;
///
///     fn bound(&self, publisher: Publisher) {
///         if let Some(cluster) = publisher.cluster() {
///             let _ = self.0.set(cluster);
///         }
///     }
///     fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<String>, Refusal> {
///         Ok(Admission::new(request.path().to_owned()))
///     }
///     fn opened(&self, user: &mut String, context: &mut Context<'_>) {
///         if let Some(Err(error)) = self.0.get().map(|cluster| cluster.hold(user, b"")) {
///             let _ = context.send(error.to_string());
///         }
///     }
///     fn message(&self, _: &mut String, message: Message<'_>, context: &mut Context<'_>) {
///         let Message::Text(user) = message else { return };
///         let online = self.0.get().is_some_and(|cluster| cluster.holders(user) > 0);
///         let _ = context.send(if online { "online" } else { "offline" });
///     }
///     fn closed(&self, user: String, _: &Closed<'_>, _: &mut Context<'_>) {
///         if let Some(cluster) = self.0.get() {
///             cluster.release(&user);
///         }
///     }
///     fn cluster_event(&self, event: &ClusterEvent) {
///         if event.is_last() {
///             println!("a user is offline: {event:?}");
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Cluster(Arc<Keeper>);

/// Why a node cannot hold an entry, or send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotHeld {
    /// A key has at most 1,024 bytes, a value 64 KiB and a message 1 MiB.
    TooLong,
    /// This node holds 64 MiB already, or too many messages wait for the engine.
    TooMuch,
}

/// What is done with an event.
type OnClusterEvent = Box<dyn Fn(&ClusterEvent) + Send + Sync>;

struct Keeper {
    backplane: BackplaneConfig,
    link: Arc<Link>,
    directory: Mutex<Directory>,
    /// There may be something to publish.
    changed: Condvar,
    on_event: OnClusterEvent,
    /// Bytes of messages that the engine has not answered.
    unanswered_bytes: AtomicUsize,
    /// The time of a beat has come.
    beat_is_due: AtomicBool,
    /// A beat is not answered.
    beats: AtomicBool,
    /// The engine has not taken a message.
    was_refused: AtomicBool,
    ends: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The cluster, as the server has it: it begins with the first application that asks for it.
#[derive(Clone)]
pub(in crate::server) struct ClusterSink(Arc<Keeper>);

/// The same for the engine, which is inside.
pub(in crate::server) struct WeakClusterSink(Weak<Keeper>);

impl WeakClusterSink {
    /// `None`: the server is gone.
    pub(in crate::server) fn upgrade(&self) -> Option<ClusterSink> {
        self.0.upgrade().map(ClusterSink)
    }
}

impl ClusterSink {
    pub(in crate::server) fn new(
        backplane: BackplaneConfig,
        link: Arc<Link>,
        on_event: OnClusterEvent,
    ) -> ClusterSink {
        ClusterSink(Arc::new(Keeper {
            directory: Mutex::new(Directory::new(link.node())),
            backplane,
            link,
            changed: Condvar::new(),
            on_event,
            unanswered_bytes: AtomicUsize::new(0),
            beat_is_due: AtomicBool::new(false),
            beats: AtomicBool::new(false),
            was_refused: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            thread: Mutex::default(),
        }))
    }

    /// The handle for an application. The first call subscribes to the log. `None`: the system has no thread, or the server has stopped.
    pub(in crate::server) fn cluster(&self) -> Option<Cluster> {
        let mut thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.ends.load(Ordering::Acquire) {
            return None;
        }
        if thread.is_none() {
            let (keeper, of_beats) = (Arc::downgrade(&self.0), Arc::downgrade(&self.0));
            let (beat, named) = (self.0.backplane.beat, thread::Builder::new);
            let named = |name: &str| named().name(name.to_owned());
            // It ends within a beat.
            let beats = named("cluster-beats").spawn(move || beats(&of_beats, beat));
            beats.ok()?;
            let started = named("cluster-keeper").spawn(move || keep(&keeper));
            *thread = Some(started.ok()?);
            self.0.engine().subscribe(CLUSTER_ROOM, None);
        }
        Some(Cluster(self.0.clone()))
    }

    /// How many nodes are there.
    pub(in crate::server) fn nodes(&self) -> u64 {
        self.0.lock().nodes().count() as u64
    }

    pub(in crate::server) fn downgrade(&self) -> WeakClusterSink {
        WeakClusterSink(Arc::downgrade(&self.0))
    }

    /// The engine has told where the log is.
    pub(in crate::server) fn loaded(&self, kept: &KeptMessages) {
        self.0.told(|directory| directory.loaded(kept));
    }

    pub(in crate::server) fn delivered(&self, first: Position, messages: &[BackplaneMessage]) {
        self.0
            .told(|directory| directory.delivered(first, messages));
    }

    pub(in crate::server) fn gap(&self, position: Position) {
        self.0.told(|directory| {
            directory.gap(position);
            Vec::new()
        });
    }

    /// The server has stopped. What this node holds ends on all others.
    pub(in crate::server) fn stop(&self) {
        let mut thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.ends.store(true, Ordering::Release);
        let Some(thread) = thread.take() else {
            return;
        };
        self.0.lock().leave();
        self.0.changed.notify_all();
        // It never waits for the engine.
        let _ = thread.join();
    }
}

impl Cluster {
    /// This node.
    pub fn node(&self) -> NodeId {
        self.0.link.node()
    }

    /// This node holds an entry from now on, or another value under the same key. All nodes are told
    /// ([`Handler::cluster_event`](crate::server::Handler::cluster_event)), this one included, in one order; the entries of a node that
    /// ends are released. While the engine cannot be reached the entry is kept here, and the others are told later. Another value is
    /// passed on with the next [beat](crate::server::BackplaneConfig::beat), and only the last one: so a number that changes all the time costs a
    /// message a second.
    ///
    /// Keys of different applications begin differently. Cost: a lock, two copies.
    ///
    /// # Errors
    /// The entry is too long, or this node holds too much. Nothing has changed.
    pub fn hold(&self, key: &str, value: &[u8]) -> Result<(), NotHeld> {
        Ok(self.0.change(|directory| directory.hold(key, value))?)
    }

    /// This node does not hold the entry any more. Does nothing if it has not held it.
    pub fn release(&self, key: &str) {
        self.0.change(|directory| directory.release(key));
    }

    /// Sends a message to all nodes, this one included: each gets [`ClusterEvent::Message`], at most once, in one order with all entries. A
    /// message is lost if the engine does not take it, and for a node that the engine cannot reach for too long.
    ///
    /// # Errors
    /// The message is too long, or too many wait for the engine.
    pub fn send(&self, payload: &[u8]) -> Result<(), NotHeld> {
        Ok(self.0.change(|directory| directory.send(payload))?)
    }

    /// How many nodes hold an entry with this key, as far as this node has been told. Cost: a lock.
    pub fn holders(&self, key: &str) -> usize {
        self.0.lock().holders(key)
    }

    /// All entries whose keys begin like this, in the order of their keys. Cost: a lock, and a small copy of each.
    pub fn entries(&self, prefix: &str) -> Vec<ClusterEntry> {
        self.0.lock().entries(prefix).collect()
    }

    /// The nodes that are there, in the order of their ids.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().nodes().collect()
    }

    /// Whether this node knows what all others hold: not just after its start, and not just after a gap in what the engine has told.
    pub fn is_complete(&self) -> bool {
        self.0.lock().is_following()
    }

    /// Messages of other nodes that this version cannot read.
    pub fn malformed(&self) -> u64 {
        self.0.lock().malformed()
    }
}

impl Keeper {
    fn engine(&self) -> &dyn Backplane {
        &*self.backplane.engine
    }

    fn change<R>(&self, change: impl FnOnce(&mut Directory) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_one();
        result
    }

    /// The engine has told something. The calls are made by one thread at a time.
    fn told(&self, apply: impl FnOnce(&mut Directory) -> Vec<ClusterEvent>) {
        let events = apply(&mut self.lock());
        self.changed.notify_one();
        events.iter().for_each(|event| (self.on_event)(event));
    }

    /// Publishes what there is, as far as the engine answers.
    fn publish(self: &Arc<Self>, directory: &mut Directory) -> Vec<BackplanePublication> {
        let mut publications = Vec::new();
        while self.unanswered_bytes.load(Ordering::Acquire) < UNANSWERED_BYTES_MAX {
            let Some(message) = directory.next_message() else {
                break;
            };
            publications.push(self.publication(&message));
        }
        publications
    }

    fn publication(self: &Arc<Self>, message: &[u8]) -> BackplanePublication {
        let bytes = message.len();
        self.unanswered_bytes.fetch_add(bytes, Ordering::AcqRel);
        let keeper = Arc::downgrade(self);
        let answer = Box::new(move |result: Result<_, _>| {
            let Some(keeper) = Weak::upgrade(&keeper) else {
                return;
            };
            keeper.unanswered_bytes.fetch_sub(bytes, Ordering::AcqRel);
            keeper.beats.store(false, Ordering::Release);
            if result.is_err() {
                keeper.was_refused.store(true, Ordering::Release);
            }
            // Without the lock, which the keeper may have: at worst it looks at the next beat.
            keeper.changed.notify_one();
        });
        let message = BackplaneMessage::new(self.link.next_id(), Message::Binary(message));
        BackplanePublication::new(CLUSTER_ROOM.into(), None, message, answer)
    }

    fn lock(&self) -> MutexGuard<'_, Directory> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the keeper of the time, until the server has stopped, or is gone.
fn beats(keeper: &Weak<Keeper>, beat: Duration) {
    while let Some(keeper) = keeper.upgrade() {
        if keeper.ends.load(Ordering::Acquire) {
            return;
        }
        keeper.beat_is_due.store(true, Ordering::Release);
        keeper.changed.notify_one();
        drop(keeper);
        thread::sleep(beat);
    }
}

/// Until the server has stopped, or is gone.
fn keep(keeper: &Weak<Keeper>) {
    loop {
        let Some(keeper) = keeper.upgrade() else {
            return;
        };
        let ends = keeper.ends.load(Ordering::Acquire);
        let mut directory = keeper.lock();
        if keeper.beat_is_due.swap(false, Ordering::AcqRel) {
            // A refused message is published again with the next beat, and not at once.
            if keeper.was_refused.swap(false, Ordering::AcqRel) {
                directory.refused();
            }
            if !keeper.beats.load(Ordering::Acquire) {
                keeper.beats.store(directory.beat(), Ordering::Release);
            }
        }
        let publications = keeper.publish(&mut directory);
        if publications.is_empty() && !ends {
            drop(keeper.changed.wait_timeout(directory, WAIT_MAX));
            continue;
        }
        drop(directory);
        let engine = keeper.engine();
        publications
            .into_iter()
            .for_each(|publication| engine.publish(publication));
        if ends {
            return;
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.node()).finish()
    }
}

impl fmt::Debug for ClusterSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSink")
    }
}

impl From<Full> for NotHeld {
    fn from(full: Full) -> NotHeld {
        match full {
            Full::TooLong => NotHeld::TooLong,
            Full::TooMuch => NotHeld::TooMuch,
        }
    }
}

impl fmt::Display for NotHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotHeld::TooLong => "the entry or the message is too long for the cluster",
            NotHeld::TooMuch => "this node has too much for the cluster",
        })
    }
}

impl std::error::Error for NotHeld {}

/// Of messages that the engine has not answered.
const UNANSWERED_BYTES_MAX: usize = 1 << 20;
/// So that a keeper whose server is gone ends soon, and misses no beat for longer.
const WAIT_MAX: Duration = Duration::from_millis(250);
