//! The end of a connection, such that the last answer arrives.
//!
//! What is left is written, then FIN is sent, then whatever the client still
//! sends is read and thrown away until it says FIN too. All of it is bounded: in
//! time ([`Config::close_timeout`](super::Config) for each of these steps, and
//! for each write that the client is slow to take), and in bytes.

use super::handler::Handler;
use super::session::{Ending, Session};
use super::worker::{Worker, flush_write_queue};
use crate::reactor::{Io, SocketKey};

impl<H: Handler> Worker<H> {
    /// Writes the last bytes. What follows is [`Session::Ending`].
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    //# An endpoint SHOULD use a method that cleanly closes the TCP connection,
    //# as well as the TLS session, if applicable, discarding any trailing bytes
    //# that may have been received.
    pub(super) fn begin_ending(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        ending: Ending,
    ) -> Option<Session<H::Session>> {
        io.resume_reading(key);
        self.continue_ending(io, key, Box::new(ending))
    }

    /// Writes on; says FIN when all is written.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //# The server MUST close the underlying TCP connection immediately
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    //# The underlying TCP connection, in most normal cases, SHOULD be closed
    //# first by the server
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    //# when a server is
    //# instructed to _Close the WebSocket Connection_ it SHOULD initiate
    //# a TCP Close immediately
    pub(super) fn continue_ending(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut ending: Box<Ending>,
    ) -> Option<Session<H::Session>> {
        flush_write_queue(io, key, &mut ending.write_queue);
        if ending.write_queue.is_empty() {
            if ending.client_ended {
                io.close(key);
                return None;
            }
            io.shutdown_write(key);
        }
        io.set_deadline(key, io.now().plus(self.config.close_timeout));
        Some(Session::Ending(ending))
    }

    /// The client has said FIN. It may still be reading.
    pub(super) fn client_ended(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut ending: Box<Ending>,
    ) -> Option<Session<H::Session>> {
        ending.client_ended = true;
        self.continue_ending(io, key, ending)
    }

    /// Bytes after the end.
    pub(super) fn discard(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut ending: Box<Ending>,
        bytes: usize,
    ) -> Option<Session<H::Session>> {
        ending.discarded_bytes += bytes;
        if ending.discarded_bytes > LINGER_BYTES_MAX {
            io.close(key);
            return None;
        }
        Some(Session::Ending(ending))
    }
}

/// What a client may still send after our Close without one of its own, and again after
/// the end, before it is cut off: more than
/// may be on the way in the buffers of two sockets, so that a reset meets only
/// one that goes on sending.
pub(super) const LINGER_BYTES_MAX: usize = 64 << 20;
