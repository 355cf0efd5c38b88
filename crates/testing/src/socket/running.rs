//! A server with any handler, on its own thread.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use yamabiko::server::{Config, Handler, ListenAddresses, Publisher, Server, ServerHandle};

use crate::descriptors::raise_limit;
use crate::waiting::{TIMEOUT, eventually};

/// The result of [`Server::run`], or its panic.
pub type RunResult = thread::Result<io::Result<()>>;

/// A server that runs on its own thread. Dropping it shuts the server down and checks that it
/// ends without a failure.
pub struct TestServer {
    /// The first IP address.
    pub address: SocketAddr,
    pub addresses: ListenAddresses,
    pub handle: ServerHandle,
    pub publisher: Publisher,
    /// `None` after `join`.
    thread: Option<JoinHandle<io::Result<()>>>,
    may_panic: bool,
}

impl TestServer {
    pub fn start(config: Config, handler: impl Handler) -> TestServer {
        raise_limit();
        TestServer::run(Server::bind(config, handler).expect("a free port can be bound"))
    }

    pub fn run(server: Server<impl Handler>) -> TestServer {
        TestServer {
            address: server.local_address(),
            addresses: server.local_addresses().clone(),
            handle: server.handle(),
            publisher: server.publisher(),
            thread: Some(thread::spawn(move || server.run())),
            may_panic: false,
        }
    }

    /// Allows the handler to panic in this test. Otherwise a panic of the handler, which the server
    /// survives, fails the test when the server is dropped: handlers of tests contain assertions.
    pub fn may_panic(&mut self) {
        self.may_panic = true;
    }

    /// The URL of this path.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Starts the shutdown and does not wait for its end.
    pub fn shutdown(&self) {
        self.handle.shutdown();
    }

    /// Waits until `run` returns. Can be called once.
    #[track_caller]
    pub fn join(&mut self) -> RunResult {
        let thread = self.thread.take().expect("join is called once");
        eventually("run() returns after shutdown()", TIMEOUT, || {
            thread.is_finished()
        });
        thread.join()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.shutdown();
        if self.thread.is_some() && !thread::panicking() {
            let ended = self.join().expect("the server has no fault");
            ended.expect("polling does not fail");
        }
        if !self.may_panic && !thread::panicking() {
            assert_eq!(self.handle.metrics().panics, 0, "the handler has panicked");
        }
    }
}
