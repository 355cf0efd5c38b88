//! The data file as a [`Backplane`] and as the place of [`Records`]: it starts the threads, passes calls on to them, and ends them.

use std::fmt;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use yamabiko::server::{
    Backplane, BackplaneNode, BackplanePublication, BackplaneState, Records, RoomHistory,
};

use crate::error::OpenError;
use crate::file::DataFile;
use crate::health::Health;
use crate::queue::{Queue, Subscription};
use crate::settings::SqliteSettings;
use crate::store::Store;
use crate::writer::{Writer, reason};

/// Rooms of one server, kept in a SQLite file.
///
/// Cost: two threads, the cache of SQLite (2 MiB), and some hundred bytes for each room that is used. A message costs a
/// share of a transaction, which all messages that wait are in; a message that comes alone costs one of its own.
pub struct SqliteBackplane {
    queue: Arc<Queue>,
    health: Arc<Health>,
    settings: SqliteSettings,
    /// The records of the file, until the application takes them.
    records: Mutex<Vec<(String, String)>>,
    /// The file until the server starts.
    store: Mutex<Option<Store>>,
    /// Is disconnected when the file is closed.
    closed: Mutex<Option<mpsc::Receiver<()>>>,
    #[cfg(test)]
    pub(crate) before_commit: crate::before_commit::BeforeCommit,
}

impl SqliteBackplane {
    /// Opens a data file, or creates it. It is locked until the server has stopped.
    ///
    /// If messages of the last run may be missing (see [`Durability`](crate::Durability)), the whole file is checked first, which
    /// takes about a second for each GiB.
    ///
    /// # Errors
    /// The file cannot be used; see [`OpenErrorReason`](crate::OpenErrorReason).
    pub fn open(
        path: impl AsRef<Path>,
        settings: SqliteSettings,
    ) -> Result<SqliteBackplane, OpenError> {
        let path = path.as_ref();
        let store = Store::new(DataFile::open(path, &settings)?);
        let records = store.records();
        let records = records.map_err(|error| OpenError::new(path, error))?;
        Ok(SqliteBackplane {
            queue: Arc::new(Queue::new(&settings)),
            health: Arc::default(),
            settings,
            records: Mutex::new(records),
            store: Mutex::new(Some(store)),
            closed: Mutex::default(),
            #[cfg(test)]
            before_commit: crate::before_commit::BeforeCommit::default(),
        })
    }

    /// Starts the thread that writes and the thread that watches it.
    fn start_threads(&self, store: Store, node: BackplaneNode) -> io::Result<()> {
        let (queue, health) = (self.queue.clone(), self.health.clone());
        let (alive, closed) = mpsc::channel();
        #[allow(unused_mut)]
        let mut writer = Writer::new(store, queue, health.clone(), node, &self.settings);
        #[cfg(test)]
        writer.before_commit(self.before_commit.clone());
        let ends = EndsQueue {
            queue: self.queue.clone(),
            health: health.clone(),
        };
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        named("data").spawn(move || {
            let _alive: mpsc::Sender<()> = alive;
            let _ends = ends;
            writer.run();
        })?;
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(closed);
        let queue = self.queue.clone();
        named("data-watch").spawn(move || watch(&queue, &health))?;
        Ok(())
    }

    fn take_store(&self) -> Option<Store> {
        self.store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Backplane for SqliteBackplane {
    fn start(&self, node: BackplaneNode) {
        let Some(store) = self.take_store() else {
            return;
        };
        self.health.report_to(node.clone());
        if let Err(error) = self.start_threads(store, node) {
            self.health
                .failed(&format!("no thread for the data file: {error}"));
            self.queue.close();
        }
    }

    fn publish(&self, publication: BackplanePublication) {
        self.queue.push(publication);
    }

    fn subscribe(&self, room: &str, history: Option<RoomHistory>) {
        self.queue
            .set_subscription(room, Some(Subscription { history }));
    }

    fn unsubscribe(&self, room: &str) {
        self.queue.set_subscription(room, None);
    }

    fn state(&self) -> BackplaneState {
        self.health.state()
    }

    fn is_shared(&self) -> bool {
        false
    }

    /// Writes what waits, and closes the file. Waits for the disk for at most 10 s.
    fn stop(&self) {
        self.queue.close();
        let closed = self
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(closed) = closed {
            // Nothing is sent: it is disconnected, or the disk does not answer.
            let _ = closed.recv_timeout(STOP_TIMEOUT);
        }
    }
}

impl Records for SqliteBackplane {
    fn load(&self) -> Vec<(String, String)> {
        mem::take(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, name: &str, text: &str) {
        self.queue.set_record(name, Some(text));
    }

    fn remove(&self, name: &str) {
        self.queue.set_record(name, None);
    }
}

/// A server that has never started leaves the file as one that has ended in order.
impl Drop for SqliteBackplane {
    fn drop(&mut self) {
        self.stop();
        if let Some(Err(error)) = self.take_store().map(Store::close) {
            self.health.failed(&reason(&error));
        }
    }
}

impl fmt::Debug for SqliteBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBackplane")
            .field("settings", &self.settings)
            .field("state", &self.health.state())
            .finish_non_exhaustive()
    }
}

/// Answers publications that the disk keeps waiting.
fn watch(queue: &Queue, health: &Health) {
    while let Some(overdue) = queue.wait_for_overdue() {
        if overdue.is_stalled() {
            health.failed("the disk does not answer");
        }
        overdue.answer();
    }
}

/// When the thread that writes has ended, also by a panic, nothing more is taken.
struct EndsQueue {
    queue: Arc<Queue>,
    health: Arc<Health>,
}

impl Drop for EndsQueue {
    fn drop(&mut self) {
        if !self.queue.is_closed() {
            self.health.failed("the thread of the data file has ended");
            self.queue.close();
        }
    }
}

/// The disk has this time to answer when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
