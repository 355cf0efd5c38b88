//! A server on a thread of its own, with any handler.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use yamabiko::server::{Config, Handler, Publisher, Server, ServerHandle};

use crate::waiting::{PATIENCE, eventually};

/// How [`Server::run`] came back: with its result, or with a panic.
pub type RunResult = thread::Result<io::Result<()>>;

/// A server that runs on a thread of its own. When it is dropped it is shut down, and
/// has to end without a failure.
pub struct TestServer {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    pub publisher: Publisher,
    /// `None`: it was joined.
    thread: Option<JoinHandle<io::Result<()>>>,
    may_panic: bool,
}

impl TestServer {
    pub fn start(config: Config, handler: impl Handler) -> TestServer {
        let server = Server::bind(config, handler).expect("a free port can be bound");
        TestServer {
            address: server.local_address(),
            handle: server.handle(),
            publisher: server.publisher(),
            thread: Some(thread::spawn(move || server.run())),
            may_panic: false,
        }
    }

    /// In this test the handler is to panic. Without this a panic of it, which the server
    /// survives, fails the test in the end: handlers of tests make assertions.
    pub fn may_panic(&mut self) {
        self.may_panic = true;
    }

    /// The URL of this path.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Asks it to stop, and does not wait.
    pub fn shutdown(&self) {
        self.handle.shutdown();
    }

    /// Waits for `run` to return. Once.
    #[track_caller]
    pub fn join(&mut self) -> RunResult {
        let thread = self.thread.take().expect("it is joined once");
        eventually("run() returns after shutdown()", PATIENCE, || {
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
