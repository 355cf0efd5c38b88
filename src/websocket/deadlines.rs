//! The deadlines of a connection: silence, a missing pong, an unanswered Close, an unfinished message.
//!
//! ```text
//!             `ping` without                 `pong` later, all is sent
//!             a sign of life                                            ┌──▶ Overdue::Pong
//!   ┌───────────────────────▶ Pong ─────────────────────────────────────┘
//!   │                        │   ▲
//!  Silence ◀── sign of life ─┤   │ `pong` later, all is sent
//!   │                        │   │
//!   │                        ▼   │ `pong` later, bytes are unsent
//!   │                        Acknowledgement    (then the transport watches)
//!   │  any of them: closing()
//!   └──────────────────────────────────▶ Close ── `close` later ───────────▶ Overdue::Close
//! ```
//!
//! `ping`, `pong` and `close` are the fields of [`Timeouts`].
//!
//! A state without input, output or clock, as the crate quinn-proto does it: an event goes in with the time at which it
//! happened, the next deadline comes out, and when it has come, [`Deadlines::handle_timeout`] returns what is due. So a
//! test of an hour takes no time, and server and client keep the same rules.
//!
//! # The rules
//!
//! - **Silence.** After [`Timeouts::ping`] without a sign of life a ping is due.
//! - **Sign of life.** Every byte that comes counts, not only the pong: the pong may be behind a large message that the
//!   peer is sending. So does every acknowledgement of bytes that the peer was slow to take.
//! - **Pong.** [`Timeouts::pong`] after the ping without a sign of life the peer is given up, if the ping has left. A
//!   peer that reads slowly has the ping behind other bytes. Then the transport watches whether the peer acknowledges
//!   anything (on Linux `TCP_USER_TIMEOUT`), and the time for the pong begins again when all has been sent.
//! - **Pause.** While the owner does not read the connection because of something else than the peer, the peer's pong
//!   may lie in the kernel. The time stands still, except that of the closing handshake.
//! - **Throttle.** While the owner does not read the connection because the peer sends too much, the time for the pong
//!   stands still, and that of an unfinished message goes on: otherwise a peer that always sends too much could keep an
//!   unfinished message for ever. The owner adds the time that the message itself takes at the allowed rate. In place of
//!   [`Overdue::Pong`] another ping is due: the transport reports a peer that is gone when something is sent to it.
//! - **Closing handshake.** [`Timeouts::close`] after the first Close the connection is given up, and earlier if the
//!   peer sends more than [`Timeouts::closing_bytes_max`] instead of its Close.
//! - **Unfinished message.** [`Timeouts::message`] after the first byte of a message its last one must have come. The
//!   time begins again with each part that comes at [`Timeouts::message_bytes_per_second_min`] or faster: a long message
//!   may take long, and has to go on. Pings between its fragments do not count.
//!
//! # How it is used
//!
//! The owner keeps one timer for each connection. It sets the timer to [`Deadlines::deadline`] at the beginning, after
//! each call of [`Deadlines::handle_timeout`], and where a method says so. A deadline moves back by itself, with each
//! byte that comes: the timer need not follow, because [`Deadlines::handle_timeout`] answers [`Due::Nothing`] when it
//! is called too early. So a message costs one store, and no timer is moved.
//!
//! ```
//! use std::time::Duration;
//! use yamabiko::time::Timestamp;
//! use yamabiko::websocket::deadlines::{Deadlines, Due, Overdue, Timeouts};
//!
//! let timeouts = Timeouts {
//!     ping: Some(Duration::from_secs(25)),
//!     pong: Duration::from_secs(20),
//!     ..Timeouts::default()
//! };
//! let mut deadlines = Deadlines::new(Timestamp(0));
//! assert_eq!(deadlines.deadline(&timeouts), Some(Timestamp(25_000)));
//!
//! let nothing_is_unsent = || false;
//! let due = deadlines.handle_timeout(Timestamp(25_000), &timeouts, nothing_is_unsent);
//! assert_eq!(due, Due::Ping);
//! assert_eq!(deadlines.deadline(&timeouts), Some(Timestamp(45_000)));
//!
//! let due = deadlines.handle_timeout(Timestamp(45_000), &timeouts, nothing_is_unsent);
//! assert_eq!(due, Due::Fail(Overdue::Pong));
//! ```
//!
//! It costs 24 bytes a connection and nothing on the heap. What it does not know: sockets, frames, and whether the
//! state of the [`Connection`](super::Connection) beside it is still open.

use super::frame::CloseCode;
use crate::time::Timestamp;
use core::fmt;
use core::time::Duration;

/// The timeouts of a connection. All connections can share one value: [`Deadlines`] takes it
/// by reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Silence after which a ping is due. Default 25 s: below the 30 and 60 s after
    /// which proxies and NATs drop an idle connection. `None`: no pings.
    pub ping: Option<Duration>,
    /// After a ping, for a sign of life. Default 20 s.
    pub pong: Duration,
    /// For the closing handshake, from the first Close on. Default 5 s.
    pub close: Duration,
    /// For one message, from its first byte to its last; the header's bytes count. The time
    /// begins again whenever so much of the message has come that it comes at
    /// `message_bytes_per_second_min`. Default 30 s. `None`: a message may take any time.
    pub message: Option<Duration>,
    /// The least rate of an unfinished message, in bytes of payload (compressed, if they are)
    /// per second. Default 1,024, so 30 KiB in each 30 s: the slowest mobile link is four
    /// times as fast. Without this rate a peer could keep the memory of a message for as long
    /// as it sends a byte now and then. 0: whatever comes, the time does not begin again.
    pub message_bytes_per_second_min: u32,
    /// Bytes that may come after our Close without the peer's Close. Default 64 MiB:
    /// more than the buffers of two sockets hold, so that only a peer that keeps
    /// sending gets a TCP reset.
    pub closing_bytes_max: u32,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            ping: Some(Duration::from_secs(25)),
            pong: Duration::from_secs(20),
            close: Duration::from_secs(5),
            message: Some(Duration::from_secs(30)),
            message_bytes_per_second_min: 1 << 10,
            closing_bytes_max: 64 << 20,
        }
    }
}

/// The deadlines of one connection; see the [module's page](self).
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    awaited: Awaited,
    pause: Pause,
    /// Whether `message_since` means something.
    message_unfinished: bool,
    /// While a message is unfinished: its bytes that had come at `message_since`, modulo 2^32.
    /// After our Close: what has been received since.
    bytes: u32,
    /// When the time for `awaited` began.
    since: Timestamp,
    /// When the time for the unfinished message began; in [`Pause::ByOwner`] how much of it had passed before.
    message_since: Timestamp,
}

/// Why the owner does not read the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// It does.
    No,
    /// The peer sends too much.
    ByPeer,
    /// Something else than the peer.
    ByOwner,
}

/// What a connection waits for; drawn on the [module's page](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Awaited {
    /// For nothing: silence is measured.
    Silence,
    /// For a sign of life after a ping.
    Pong,
    /// For a sign of life while bytes are unsent. The transport watches whether the
    /// peer acknowledges any of them.
    Acknowledgement,
    /// For the peer's Close, and then for the end of TCP.
    Close,
    /// For nothing any more: the connection was given up.
    End,
}

/// What is due: [`Deadlines::handle_timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Due {
    /// Nothing: the deadline has moved.
    Nothing,
    /// Send a ping. The time for its pong has begun.
    Ping,
    /// Bytes are unsent: have the transport end the connection if the peer acknowledges
    /// none of them for [`Timeouts::pong`]. An owner whose transport cannot do that
    /// gives up the connection: its peer has taken nothing for that long.
    WatchAcknowledgements,
    /// All has been sent: have the transport stop that. The time for the pong begins
    /// again.
    UnwatchAcknowledgements,
    /// The time is over: give up the connection. No deadline follows.
    Fail(Overdue),
}

/// What has not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overdue {
    /// A sign of life after a ping.
    Pong,
    /// The end of the closing handshake; or too much came instead.
    Close,
    /// The rest of a message.
    Message,
}

impl Deadlines {
    /// The opening handshake was completed `now`.
    pub const fn new(now: Timestamp) -> Deadlines {
        Deadlines {
            awaited: Awaited::Silence,
            pause: Pause::No,
            message_unfinished: false,
            bytes: 0,
            since: now,
            message_since: now,
        }
    }

    /// The time at which [`Deadlines::handle_timeout`] is to be called, or any time
    /// after it. `None`: nothing is waited for.
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<Timestamp> {
        let deadlines = [self.awaited_at(timeouts), self.message_at(timeouts)];
        deadlines.into_iter().flatten().min()
    }

    /// What the connection waits for.
    pub const fn awaited(&self) -> Awaited {
        self.awaited
    }

    /// Returns what is due `now`, and goes on to the next deadline.
    ///
    /// `has_unsent`: whether bytes that were written have not left this host, in the
    /// owner's buffers or in the kernel's. It is asked when a pong is missing and at no
    /// other time, so it may cost system calls.
    pub fn handle_timeout(
        &mut self,
        now: Timestamp,
        timeouts: &Timeouts,
        has_unsent: impl FnOnce() -> bool,
    ) -> Due {
        if is_past(self.message_at(timeouts), now) {
            return self.fail(Overdue::Message);
        }
        if !is_past(self.awaited_at(timeouts), now) {
            return Due::Nothing;
        }
        match self.awaited {
            Awaited::Silence => {
                self.wait_for(Awaited::Pong, now);
                Due::Ping
            }
            Awaited::Pong | Awaited::Acknowledgement => self.pong_is_missing(now, has_unsent),
            Awaited::Close => self.fail(Overdue::Close),
            Awaited::End => Due::Nothing,
        }
    }

    /// The peer has shown that it is there: bytes came from it, or it took bytes that it
    /// was slow to take. Cost: one store.
    ///
    /// Returns the sign of life that was awaited until now, if one was. Then set the timer
    /// again; after [`Awaited::Acknowledgement`] also have the transport stop watching.
    #[inline]
    pub fn peer_is_alive(&mut self, now: Timestamp) -> Option<Awaited> {
        match self.awaited {
            Awaited::Silence => {
                self.since = now;
                None
            }
            Awaited::Pong | Awaited::Acknowledgement => {
                let awaited = self.awaited;
                self.wait_for(Awaited::Silence, now);
                Some(awaited)
            }
            Awaited::Close | Awaited::End => None,
        }
    }

    /// The owner reads the connection no more, because of something else than the peer:
    /// for example other workers have too much to do.
    pub fn pause(&mut self, now: Timestamp) {
        if self.pause != Pause::ByOwner {
            self.pause = Pause::ByOwner;
            self.message_since = Timestamp(now.0.saturating_sub(self.message_since.0));
        }
    }

    /// The owner does not read the connection for a while, because the peer exceeds a rate. The
    /// time of an unfinished message goes on; see [`Deadlines::extend_message`].
    pub fn throttle(&mut self) {
        if self.pause == Pause::No {
            self.pause = Pause::ByPeer;
        }
    }

    /// Whether [`Deadlines::pause`] or [`Deadlines::throttle`] holds.
    pub const fn is_paused(&self) -> bool {
        !matches!(self.pause, Pause::No)
    }

    /// The owner reads the connection again. As [`Deadlines::peer_is_alive`]: the peer
    /// was not silent while it was not read. Set the timer again.
    pub fn resume(&mut self, now: Timestamp) -> Option<Awaited> {
        if self.pause == Pause::ByOwner {
            let passed = self.message_since;
            self.message_since = Timestamp(now.0.saturating_sub(passed.0));
        }
        self.pause = Pause::No;
        self.peer_is_alive(now)
    }

    /// A message, or a frame, has begun and is not complete: to be called at the end of
    /// each read that leaves one unfinished
    /// ([`Connection::has_unfinished_input`](super::Connection::has_unfinished_input)).
    /// `message_bytes`: how many bytes of its payload have come so far
    /// ([`Connection::unfinished_message_bytes`](super::Connection)).
    ///
    /// Returns whether to set the timer again: the message is new, and its deadline is the
    /// first one. (With the default timeouts it never is.)
    pub fn message_is_unfinished(
        &mut self,
        now: Timestamp,
        message_bytes: usize,
        timeouts: &Timeouts,
    ) -> bool {
        if self.is_closing() {
            return false;
        }
        // Only differences count, so the number may wrap around.
        let bytes = message_bytes as u32;
        let is_new = !self.message_unfinished;
        let progress = u64::from(bytes.wrapping_sub(self.bytes));
        if is_new || progress >= timeouts.message_progress_bytes() {
            self.message_unfinished = true;
            self.message_since = match self.pause {
                Pause::ByOwner => Timestamp(0),
                Pause::No | Pause::ByPeer => now,
            };
            self.bytes = bytes;
        }
        let others = self.awaited_at(timeouts).unwrap_or(Timestamp(u64::MAX));
        is_new && self.message_at(timeouts).is_some_and(|at| at < others)
    }

    /// The peer may take so much longer for the unfinished message: the time that what has come of
    /// it takes at the rate that the owner allows. The timer need not be set.
    pub fn extend_message(&mut self, by: Duration) {
        if self.pause != Pause::ByOwner {
            self.message_since = self.message_since.plus(by);
        }
    }

    /// How long the unfinished message has made no progress: since its first byte, or since the last of its parts that came at the
    /// least rate. Zero if no message is unfinished, or the owner does not read it.
    pub fn message_stands_for(&self, now: Timestamp) -> Duration {
        match self.message_runs() {
            true => now.since(self.message_since),
            false => Duration::ZERO,
        }
    }

    /// The message is complete, or no message is under way.
    #[inline]
    pub fn message_is_finished(&mut self) {
        self.message_unfinished = false;
    }

    /// The closing handshake has begun: a Close was sent or received. The first call
    /// counts. Set the timer again.
    pub fn closing(&mut self, now: Timestamp) {
        if !self.is_closing() {
            self.wait_for(Awaited::Close, now);
            self.message_unfinished = false;
            self.bytes = 0;
        }
    }

    /// Bytes have been received. They count if the closing handshake is under way.
    ///
    /// # Errors
    /// [`Overdue::Close`]: the peer has sent more than [`Timeouts::closing_bytes_max`]
    /// since our Close. Give up the connection; no deadline follows.
    #[inline]
    pub fn received_while_closing(
        &mut self,
        bytes: usize,
        timeouts: &Timeouts,
    ) -> Result<(), Overdue> {
        if self.awaited != Awaited::Close {
            return Ok(());
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= timeouts.closing_bytes_max {
            return Ok(());
        }
        self.awaited = Awaited::End;
        Err(Overdue::Close)
    }
}

impl Deadlines {
    fn awaited_at(&self, timeouts: &Timeouts) -> Option<Timestamp> {
        let timeout = match self.awaited {
            Awaited::Silence => timeouts.ping?,
            Awaited::Pong | Awaited::Acknowledgement => timeouts.pong,
            Awaited::Close => timeouts.close,
            Awaited::End => return None,
        };
        Some(self.since.plus(timeout))
    }

    /// A connection that closes has [`Timeouts::close`] for all that still comes.
    fn message_at(&self, timeouts: &Timeouts) -> Option<Timestamp> {
        match timeouts.message {
            Some(timeout) if self.message_runs() => Some(self.message_since.plus(timeout)),
            _ => None,
        }
    }

    fn message_runs(&self) -> bool {
        self.message_unfinished && self.pause != Pause::ByOwner && !self.is_closing()
    }

    fn is_closing(&self) -> bool {
        matches!(self.awaited, Awaited::Close | Awaited::End)
    }

    fn pong_is_missing(&mut self, now: Timestamp, has_unsent: impl FnOnce() -> bool) -> Due {
        if self.pause == Pause::ByOwner {
            self.since = now;
            return Due::Nothing;
        }
        match (self.awaited, has_unsent()) {
            (Awaited::Acknowledgement, true) => {
                self.since = now;
                Due::Nothing
            }
            (_, true) => {
                self.wait_for(Awaited::Acknowledgement, now);
                Due::WatchAcknowledgements
            }
            // The ping may have left just now.
            (Awaited::Acknowledgement, false) => {
                self.wait_for(Awaited::Pong, now);
                Due::UnwatchAcknowledgements
            }
            (_, false) if self.pause == Pause::ByPeer => {
                self.since = now;
                Due::Ping
            }
            (_, false) => self.fail(Overdue::Pong),
        }
    }

    fn wait_for(&mut self, awaited: Awaited, now: Timestamp) {
        self.awaited = awaited;
        self.since = now;
    }

    fn fail(&mut self, overdue: Overdue) -> Due {
        self.awaited = Awaited::End;
        Due::Fail(overdue)
    }
}

impl Timeouts {
    /// The bytes of an unfinished message with which its time begins again.
    fn message_progress_bytes(&self) -> u64 {
        match (self.message, self.message_bytes_per_second_min) {
            (None, _) | (_, 0) => u64::MAX,
            (Some(timeout), rate) => {
                let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                let bytes = millis.saturating_mul(rate.into()).div_ceil(1000);
                // At most half of the range in which the number of bytes wraps around.
                bytes.clamp(1, 1 << 31)
            }
        }
    }
}

impl Overdue {
    /// The code of the Close to send; `None` where one was sent already.
    pub const fn close_code(self) -> Option<CloseCode> {
        match self {
            Overdue::Pong | Overdue::Message => Some(CloseCode::POLICY_VIOLATION),
            Overdue::Close => None,
        }
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Overdue::Pong => "no pong came in time",
            Overdue::Close => "the closing handshake was not answered in time",
            Overdue::Message => "a message was not completed in time",
        })
    }
}

impl core::error::Error for Overdue {}

fn is_past(deadline: Option<Timestamp>, now: Timestamp) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_of_a_connection_have_24_bytes() {
        assert_eq!(size_of::<Deadlines>(), 24);
    }
}
