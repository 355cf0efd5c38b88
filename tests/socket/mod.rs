//! What the server's tests stand on: a server on a port of its own, a client
//! that speaks bytes, and an application that does what it is told.
//!
//! ```text
//!   test ── Client ──── loopback ──── Running: workers ── Application
//!    ▲                                                        │
//!    └────────────────── Told, through a channel ─────────────┘
//! ```
//!
//! Nothing here sleeps. A test waits for bytes, for the end of the stream or for
//! what the application was told, and [`PATIENCE`] only bounds how long a broken
//! server can hold it up. Deadlines of the server that a test is not about lie
//! beyond that, so that none of them ends a connection on a busy machine.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

mod application;
mod client;
#[path = "../common/waiting.rs"]
mod waiting;

pub use application::{Application, Gate, Told};
pub use client::{Answer, Client, Frame, GET, frame, in_time, upgrade};
pub use waiting::{Deadline, LOOP_PATIENCE, PATIENCE, accepted, bounded, eventually, joined};
#[cfg(target_os = "linux")]
pub use waiting::{is_asleep, own_thread};

use std::any::Any;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use yamabiko::server::{Config, Handler, Publisher, Server, ServerHandle, SlowReaders};

/// For the deadlines of a server that a test is not about: they do not come.
const NEVER: Duration = Duration::from_secs(3600);

/// Settings for a server with so many workers, on any free port. No deadline comes
/// while a test runs, and no ping is sent.
pub fn config(workers: usize) -> Config {
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        workers: NonZeroUsize::new(workers).expect("there is at least one worker"),
        handshake_timeout: NEVER,
        ping_interval: None,
        pong_timeout: NEVER,
        close_timeout: NEVER,
        drain_timeout: NEVER,
        slow_readers: SlowReaders {
            age_max: None,
            ..SlowReaders::default()
        },
        ..Config::default()
    }
}

/// Runs a test with one worker, which has no mail, and with three.
pub fn with_1_and_3_workers(test: impl Fn(Config)) {
    for workers in [1, 3] {
        test(config(workers));
    }
}

/// Whether some member is far behind in its room: more than a socket that is read
/// takes a moment later.
pub fn some_member_is_behind(handle: &ServerHandle) -> bool {
    handle.lags().iter().any(|lag| lag.bytes > 1 << 20)
}

/// How [`Server::run`] came back: with its result, or with a panic.
type RunResult = Result<io::Result<()>, Box<dyn Any + Send>>;

/// A server that runs on a thread of its own, and is shut down when dropped.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    returned: Receiver<RunResult>,
    has_returned: bool,
    may_panic: bool,
    told: Receiver<Told>,
    pub gate: Gate,
    pub publisher: Publisher,
}

impl Running {
    /// Runs the [`Application`] that the tests share.
    pub fn start(config: Config) -> Running {
        let (tell, told) = channel();
        let gate = Gate::default();
        let application = Application::new(tell, gate.clone());
        let running = Running::start_with(config, application, told);
        running.with(gate)
    }

    fn with(mut self, gate: Gate) -> Running {
        self.gate = gate;
        self
    }

    /// Runs another handler.
    pub fn start_with(config: Config, handler: impl Handler, told: Receiver<Told>) -> Running {
        let server = Server::bind(config, handler).expect("a free port can be bound");
        let (address, handle) = (server.local_address(), server.handle());
        let publisher = server.publisher();
        let (give_back, returned) = channel();
        thread::spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| server.run());
            give_back.send(std::panic::catch_unwind(run))
        });
        Running {
            address,
            handle,
            returned,
            has_returned: false,
            may_panic: false,
            told,
            gate: Gate::default(),
            publisher,
        }
    }

    /// In this test the handler is to panic. Without this a panic of it, which the server
    /// survives, fails the test in the end: handlers of tests make assertions.
    pub fn may_panic(&mut self) {
        self.may_panic = true;
    }

    /// Asks it to stop, and does not wait.
    pub fn shutdown(&self) {
        self.handle.shutdown();
    }

    /// Waits for `run` to return.
    pub fn join(&mut self) -> RunResult {
        self.has_returned = true;
        self.returned
            .recv_timeout(PATIENCE)
            .expect("run() returns after shutdown()")
    }

    /// What the application was told next.
    pub fn told(&self) -> Told {
        self.told
            .recv_timeout(PATIENCE)
            .expect("the application is told something")
    }

    /// The next ending that the application was told of.
    pub fn told_closed(&self) -> Told {
        self.told_next(|told| matches!(told, Told::Closed { .. }))
    }

    /// The next of these that the application was told, others skipped.
    pub fn told_next(&self, wanted: impl Fn(&Told) -> bool) -> Told {
        let deadline = Deadline::after(LOOP_PATIENCE);
        loop {
            let told = self.told();
            if wanted(&told) {
                return told;
            }
            deadline.check("the application is told what the test waits for");
        }
    }

    /// Everything else that the application was told, when the server is gone.
    pub fn all_told(&mut self) -> Vec<Told> {
        self.shutdown();
        let ended = self.join().expect("the server has no fault");
        ended.expect("polling does not fail");
        assert_eq!(self.handle.metrics().panics, 0, "no handler panics");
        self.told.try_iter().collect()
    }

    /// Clients that the kernel has given to different workers: at least
    /// `count` for each, in the workers' order.
    pub fn clients_of_each_worker(&self, workers: usize, count: usize) -> Vec<Vec<Client>> {
        let mut clients: Vec<Vec<Client>> = (0..workers).map(|_| Vec::new()).collect();
        for _ in 0..1000 {
            let mut client = Client::open(self.address);
            let worker = client.worker();
            clients[worker].push(client);
            if clients.iter().all(|of_worker| of_worker.len() >= count) {
                return clients;
            }
        }
        panic!("the kernel gives no client to some worker");
    }

    /// So many members of a room, wherever the kernel puts them.
    pub fn members(&self, count: usize, room: &str) -> Vec<Client> {
        let open_and_join = |_| {
            let mut client = Client::open(self.address);
            client.join(room);
            client
        };
        (0..count).map(open_and_join).collect()
    }

    /// Publishes big messages to a room, in step with a reader, until what is waited
    /// for has come of it: so many as the sockets of a member that does not read take,
    /// whatever the system's buffers hold. Returns how many these were.
    pub fn publish_until(
        &self,
        room: &str,
        [publisher, reader]: [&mut Client; 2],
        what: &str,
        has_come: impl Fn(&ServerHandle) -> bool,
    ) -> u64 {
        let mut published = 0;
        eventually(what, LOOP_PATIENCE, || {
            publisher.text(&format!("/say-bytes 10 {room}"));
            assert!(reader.read_frame() == Frame::big());
            published += 1;
            has_come(&self.handle)
        });
        published
    }

    /// A member of a room on each worker, in the workers' order.
    pub fn member_of_each_worker(&self, workers: usize, room: &str) -> Vec<Client> {
        let clients = self.clients_of_each_worker(workers, 1);
        let mut members: Vec<Client> = clients
            .into_iter()
            .filter_map(|of_worker| of_worker.into_iter().next())
            .collect();
        for member in &mut members {
            member.join(room);
        }
        members
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        if !self.has_returned && !thread::panicking() {
            let ended = self.join().expect("the server has no fault");
            ended.expect("polling does not fail");
        }
        if !self.may_panic && !thread::panicking() {
            assert_eq!(self.handle.metrics().panics, 0, "the handler has panicked");
        }
    }
}
