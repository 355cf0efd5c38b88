//! For the tests of the server: a server on its own port, a client that sends and parses raw
//! bytes, and an application that executes commands of the test.
//!
//! ```text
//!   test ── Client ──── loopback ──── Running: workers ── Application
//!    ▲                                                        │
//!    └────────────── Report, through a channel ──────────────┘
//! ```
//!
//! No test sleeps. A test waits for bytes, for the end of the stream or for a report of the
//! application. [`TIMEOUT`] only limits how long a test of a broken server runs. The server's
//! deadlines are longer than that by default, so that none of them ends a connection on a busy
//! machine. A test of a deadline sets a short one.

mod application;
mod client;
mod running;

pub use crate::waiting::{Deadline, LOOP_TIMEOUT, TIMEOUT, accepted, bounded, eventually, joined};
#[cfg(target_os = "linux")]
pub use crate::waiting::{is_asleep, own_thread};
pub use application::{Application, FILE, PAGE, Report, WorkerLock};
pub use client::{Client, Frame, GET, Response, frame, in_time, upgrade};
pub use running::{RunResult, TestServer};

use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use yamabiko::server::{Config, Handler, Hosts, HttpLimits, LagPolicy, ServerHandle};

/// For deadlines that must not expire during a test.
const NEVER: Duration = Duration::from_secs(3600);

/// The configuration of a server with this number of workers, on any free port. No deadline
/// expires while a test runs, and no ping is sent.
pub fn config(workers: usize) -> Config {
    Config {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        workers: NonZeroUsize::new(workers).expect("there is at least one worker"),
        handshake_timeout: NEVER,
        ping_interval: None,
        pong_timeout: NEVER,
        message_timeout: None,
        close_timeout: NEVER,
        drain_timeout: NEVER,
        write_stall_timeout: None,
        http: HttpLimits {
            body_timeout: NEVER,
            idle_timeout: NEVER,
            ..HttpLimits::default()
        },
        lag_policy: LagPolicy {
            age_max: None,
            publisher_wait_max: Duration::ZERO,
            ..LagPolicy::default()
        },
        // Tests of the host itself set it back.
        hosts: Some(Hosts::Any),
        ..Config::default()
    }
}

/// Runs a test with one worker, where no cross-worker messages are sent, and with three.
pub fn with_1_and_3_workers(test: impl Fn(Config)) {
    for workers in [1, 3] {
        test(config(workers));
    }
}

/// Whether a subscriber is more than 8 MiB behind in its room. These bytes do not fit into the
/// socket (Linux takes 4 MiB for a connection), so the subscriber stays behind until it reads.
pub fn some_subscriber_is_behind(handle: &ServerHandle) -> bool {
    handle.lags().iter().any(|lag| lag.bytes > 8 << 20)
}

/// A server with the [`Application`] that the tests share.
pub struct Running {
    server: TestServer,
    reports: Receiver<Report>,
    pub worker_lock: WorkerLock,
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
        let (sender, reports) = channel();
        let worker_lock = WorkerLock::default();
        let application = Application::new(sender, worker_lock.clone());
        Running {
            worker_lock,
            ..Running::start_with(config, application, reports)
        }
    }

    /// Runs another handler. `reports` receives its reports, if it sends any.
    pub fn start_with(config: Config, handler: impl Handler, reports: Receiver<Report>) -> Running {
        Running {
            server: TestServer::start(config, handler),
            reports,
            worker_lock: WorkerLock::default(),
        }
    }

    /// Allows the handler to panic in this test.
    pub fn may_panic(&mut self) {
        self.server.may_panic();
    }

    /// Waits for `run` to return.
    pub fn join(&mut self) -> RunResult {
        self.server.join()
    }

    /// The next report of the application.
    pub fn next_report(&self) -> Report {
        self.reports
            .recv_timeout(TIMEOUT)
            .expect("the application sends a report")
    }

    /// The next report of a closed connection.
    pub fn next_closed(&self) -> Report {
        self.wait_for_report(|report| matches!(report, Report::Closed { .. }))
    }

    /// The next report that `wanted` accepts. Discards earlier ones.
    pub fn wait_for_report(&self, wanted: impl Fn(&Report) -> bool) -> Report {
        let deadline = Deadline::after(LOOP_TIMEOUT);
        loop {
            let report = self.next_report();
            if wanted(&report) {
                return report;
            }
            deadline.check("the application sends the report that the test waits for");
        }
    }

    /// Shuts the server down and returns all reports that were not read yet.
    pub fn remaining_reports(&mut self) -> Vec<Report> {
        self.shutdown();
        let ended = self.join().expect("the server has no fault");
        ended.expect("polling does not fail");
        assert_eq!(self.handle.metrics().panics, 0, "no handler panics");
        self.reports.try_iter().collect()
    }

    /// At least `count` clients of each worker, by the number of the worker. The kernel chooses
    /// the worker of a connection, so this opens connections until each worker has enough.
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
        panic!("a worker gets too few connections from the kernel");
    }

    /// This number of subscribers of a room, on any worker.
    pub fn subscribers(&self, count: usize, room: &str) -> Vec<Client> {
        let open_and_join = |_| {
            let mut client = Client::open(self.address);
            client.join(room);
            client
        };
        (0..count).map(open_and_join).collect()
    }

    /// Publishes messages of 100,000 bytes to a room until `condition` holds. Before it publishes
    /// the next message, `reader` has received the last one, so that only a subscriber that does
    /// not read falls behind. Returns the number of messages.
    pub fn publish_until(
        &self,
        room: &str,
        [publisher, reader]: [&mut Client; 2],
        what: &str,
        condition: impl Fn(&ServerHandle) -> bool,
    ) -> u64 {
        let mut published = 0;
        eventually(what, LOOP_TIMEOUT, || {
            publisher.text(&format!("/publish-bytes 10 {room}"));
            assert!(reader.read_frame() == Frame::big());
            published += 1;
            condition(&self.handle)
        });
        published
    }

    /// A subscriber of a room on each worker, by the number of the worker.
    pub fn subscriber_of_each_worker(&self, workers: usize, room: &str) -> Vec<Client> {
        let clients = self.clients_of_each_worker(workers, 1);
        let mut subscribers: Vec<Client> = clients
            .into_iter()
            .filter_map(|of_worker| of_worker.into_iter().next())
            .collect();
        for subscriber in &mut subscribers {
            subscriber.join(room);
        }
        subscribers
    }
}
