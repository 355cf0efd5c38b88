//! For the tests of the server: a server on a port of its own, a client that speaks
//! bytes, and an application that obeys the test.
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

mod application;
mod client;
mod running;

pub use crate::waiting::{
    Deadline, LOOP_PATIENCE, PATIENCE, accepted, bounded, eventually, joined,
};
#[cfg(target_os = "linux")]
pub use crate::waiting::{is_asleep, own_thread};
pub use application::{Application, Gate, Told};
pub use client::{Answer, Client, Frame, GET, frame, in_time, upgrade};
pub use running::{RunResult, TestServer};

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use yamabiko::server::{Config, Handler, LagPolicy, ServerHandle};

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
        lag_policy: LagPolicy {
            age_max: None,
            ..LagPolicy::default()
        },
        ..Config::default()
    }
}

/// Runs a test with one worker, which sends no cross-worker messages, and with three.
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

/// A server with the [`Application`] that the tests share.
pub struct Running {
    server: TestServer,
    told: Receiver<Told>,
    pub gate: Gate,
}

impl Deref for Running {
    type Target = TestServer;

    fn deref(&self) -> &TestServer {
        &self.server
    }
}

impl Running {
    /// Runs the [`Application`].
    pub fn start(config: Config) -> Running {
        let (tell, told) = channel();
        let gate = Gate::default();
        let application = Application::new(tell, gate.clone());
        Running {
            gate,
            ..Running::start_with(config, application, told)
        }
    }

    /// Runs another handler, which reports as the [`Application`] does.
    pub fn start_with(config: Config, handler: impl Handler, told: Receiver<Told>) -> Running {
        Running {
            server: TestServer::start(config, handler),
            told,
            gate: Gate::default(),
        }
    }

    /// In this test the handler is to panic.
    pub fn may_panic(&mut self) {
        self.server.may_panic();
    }

    /// Waits for `run` to return.
    pub fn join(&mut self) -> RunResult {
        self.server.join()
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
