//! The end of the server: everyone is told, and everyone is waited for, but not
//! for ever.
//!
//! ```text
//!   shutdown() ──flag──▶ drain: no new connections, 1001 to all
//!                          ├── all have closed ────────▶ stop
//!                          └── drain_timeout ──▶ abandon_all ──▶ stop
//! ```

use super::handler::{Failure, Handler};
use super::session::Session;
use super::worker::Worker;
use crate::reactor::Io;
use crate::websocket::frame::CloseCode;

impl<H: Handler> Worker<H> {
    /// Begins to stop, once.
    pub(super) fn drain(&mut self, io: &mut Io) {
        if self.drained_at.is_some() {
            return;
        }
        io.stop_accepting();
        self.drained_at = Some(io.now().plus(self.config.drain_timeout));
        for key in self.sessions.keys() {
            let session = match self.sessions.take(key) {
                Some(Session::Established(mut connection)) => {
                    self.begin_close(io, key, &mut connection, CloseCode::GOING_AWAY, STOPPING);
                    Some(Session::Established(connection))
                }
                Some(Session::Opening(_)) => {
                    io.close(key);
                    None
                }
                other => other,
            };
            self.sessions.put(key, session);
        }
    }

    /// The end of patience: whoever is still here is closed unheard.
    pub(super) fn abandon_all(&mut self, io: &mut Io) {
        for key in self.sessions.keys() {
            if let Some(Session::Established(connection)) = self.sessions.take(key) {
                self.finish(io, key, *connection, Some(Failure::CloseTimeout));
            }
            io.close(key);
        }
        io.stop();
    }
}

const STOPPING: &str = "the server is stopping";
