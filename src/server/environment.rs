//! The environment: what all connections of a worker share.
//!
//! A connection's methods take the environment as an argument, beside the connection that is borrowed in place. All methods of
//! the application are called here, so that a panic is caught (`panics.rs`): [`Environment::call`] builds the [`Context`],
//! [`Environment::ask`] has none, [`Environment::report`] calls [`Config::on_failure`].

use super::buffers::Buffers;
use super::config::Config;
use super::context::{ActsOn, Context};
use super::date::Date;
use super::diagnostics::{self, ConnectionClosed, RequestRefused};
use super::failure::Failure;
use super::fan_out::FanOut;
use super::handler::Handler;
use super::lifetimes::Lifetimes;
use super::live_config::{Follower, LiveConfig};
use super::memory::MemoryBudget;
use super::metrics::{ConnectionCounts, Metrics, MetricsSnapshot, SocketCounts};
use super::panics;
use super::pending::PendingWrites;
use super::rates::Rates;
use super::recipient::Recipient;
use super::refusal_reason::RefusalReason;
use super::shutdown::Shutdown;
use super::timers::Timers;
use super::totals::{ConnectionTotals, Totals};
use super::turn_times::TurnTimes;
use crate::http::{Persistence, Response, WriteOptions};
use crate::reactor::{Io, PeerAddress, SocketKey};
use crate::websocket::deadlines::Timeouts;
use crate::websocket::deflate::DeflatePool;
use crate::websocket::{CloseFrame, Ended};
use std::sync::Arc;

/// What all connections of one worker share. Each part owns its fields; other files call the part's methods.
pub(super) struct Environment<H: Handler> {
    handler: Arc<H>,
    pub(super) config: Arc<Config>,
    follower: Follower,
    /// The part of the configuration that the protocol core applies.
    pub(super) timeouts: Timeouts,
    /// Decompressors for the messages of all connections of the worker.
    pub(super) deflate_pool: DeflatePool,
    pub(super) fan_out: FanOut,
    pub(super) pending: PendingWrites,
    pub(super) buffers: Buffers,
    pub(super) counts: ConnectionCounts,
    pub(super) rates: Rates,
    /// When the tokens of connections expire.
    pub(super) token_ends: Lifetimes,
    /// When the unread input of connections is given up whose client has sent its last byte.
    pub(super) input_ends: Lifetimes,
    /// When connections have been open for long enough.
    pub(super) lifetimes: Lifetimes,
    /// The application's own timers.
    pub(super) timers: Timers,
    pub(super) memory: MemoryBudget,
    pub(super) shutdown: Shutdown,
    pub(super) totals: Totals,
    turn_times: TurnTimes,
    snapshot: Arc<MetricsSnapshot>,
    date: Date,
    /// The number of the last ping, so that each ping has a payload of its own.
    pings: u64,
}

impl<H: Handler> Environment<H> {
    pub(super) fn new(
        handler: Arc<H>,
        live_config: Arc<LiveConfig>,
        mut fan_out: FanOut,
        shutdown: Shutdown,
        memory: MemoryBudget,
        snapshot: Arc<MetricsSnapshot>,
    ) -> Environment<H> {
        let config = live_config.current();
        fan_out.rooms.count_sent(config.connection_totals);
        Environment {
            handler,
            timeouts: config.timeouts(),
            deflate_pool: DeflatePool::in_steps(INFLATED_BYTES_MAX),
            rates: Rates::new(config.rates),
            totals: Totals::new(config.connection_totals),
            turn_times: TurnTimes::default(),
            follower: Follower::new(live_config),
            config,
            fan_out,
            pending: PendingWrites::default(),
            buffers: Buffers::default(),
            counts: ConnectionCounts::default(),
            token_ends: Lifetimes::default(),
            input_ends: Lifetimes::default(),
            lifetimes: Lifetimes::default(),
            timers: Timers::default(),
            shutdown,
            memory,
            snapshot,
            date: Date::default(),
            pings: 0,
        }
    }

    /// Takes the settings that [`ServerHandle::replace_config`](super::ServerHandle::replace_config) has set since the last call.
    /// True: there are some, and all deadlines are to be set anew.
    pub(super) fn follow_config(&mut self) -> bool {
        let Some(config) = self.follower.newer() else {
            return false;
        };
        self.timeouts = config.timeouts();
        self.rates.replace_limits(config.rates);
        self.memory.replace_max(config.memory_bytes_max);
        self.config = config;
        true
    }

    /// Calls one of the handler's methods for a connection. `open`: whether messages may still be sent to it.
    ///
    /// # Errors
    /// The method panicked. The caller ends the connection.
    #[inline(always)]
    pub(super) fn call(
        &mut self,
        key: SocketKey,
        recipient: &mut Recipient,
        open: bool,
        method: impl FnOnce(&H, &mut Context<'_>),
    ) -> Result<Option<CloseFrame<'static>>, Failure> {
        let (handler, bytes_max) = (&*self.handler, self.config.backlog_bytes_max);
        let acts_on = ActsOn {
            recipient,
            fan_out: &mut self.fan_out,
            timers: &mut self.timers,
        };
        let mut context = Context::new(key, open, bytes_max, acts_on);
        panics::catch(|| method(handler, &mut context))?;
        Ok(context.into_close_request())
    }

    /// Calls one of the handler's methods that answer a request. A panic is reported.
    ///
    /// # Errors
    /// The method panicked.
    pub(super) fn ask<R>(
        &mut self,
        peer_address: PeerAddress,
        method: impl FnOnce(&H) -> R,
    ) -> Result<R, Panicked> {
        panics::catch(|| method(&self.handler)).map_err(|failure| {
            self.report(peer_address, &failure);
            Panicked
        })
    }

    /// Reports a failure to [`Config::on_failure`], and counts a panic.
    pub(super) fn report(&mut self, peer_address: PeerAddress, failure: &Failure) {
        if matches!(failure, Failure::Panicked { .. }) {
            self.counts.count_panic();
            diagnostics::handler_panicked(peer_address, failure);
        }
        let Some(on_failure) = &self.config.on_failure else {
            return;
        };
        if panics::catch(|| on_failure.call(peer_address, failure)).is_err() {
            self.counts.count_panic();
        }
    }

    /// The response as bytes, with the date. `head_only`: without its body.
    pub(super) fn write_response(
        &mut self,
        io: &Io,
        response: &Response,
        head_only: bool,
        persistence: Persistence,
        output: &mut Vec<u8>,
    ) {
        let options = WriteOptions {
            date: self.date.at(io.wall_clock()),
            head_only,
            persistence,
        };
        response.write_with(&options, output);
    }

    /// The payload of the next ping.
    pub(super) fn next_ping(&mut self) -> [u8; 8] {
        self.pings += 1;
        self.pings.to_be_bytes()
    }

    /// Whether a read that has begun stops now, because this worker has too many new bytes for another one. A server that has
    /// closed all its connections goes on reading: it waits for the clients' Closes only.
    #[inline(always)]
    pub(super) fn must_stop_mid_read(&self) -> bool {
        !self.shutdown.awaits_answers() && self.fan_out.outbound.must_stop_mid_read()
    }

    /// Whether no client is read, because too many bytes are in flight to a worker. A server that has closed all its connections goes on reading.
    pub(super) fn must_stop_reading(&self) -> bool {
        !self.shutdown.awaits_answers() && self.fan_out.outbound.must_stop_reading()
    }

    /// A connection is beyond a limit.
    pub(super) fn refuse_connection(&mut self, address: PeerAddress, reason: RefusalReason) {
        self.counts.count_refused();
        self.drop_connection(address, reason);
    }

    /// A connection ends without a response.
    pub(super) fn drop_connection(&self, address: PeerAddress, reason: RefusalReason) {
        self.snapshot.count_refusal(reason);
        diagnostics::connection_refused(address, reason);
    }

    /// A request is answered by a refusal.
    pub(super) fn refuse_request(&self, refused: &RequestRefused<'_>) {
        self.snapshot.count_refusal(refused.reason);
        diagnostics::request_refused(refused);
    }

    /// A WebSocket has ended. Returns what it has received and sent, if that is counted.
    pub(super) fn count_closed(
        &mut self,
        io: &Io,
        key: SocketKey,
        address: PeerAddress,
        ended: &Ended,
        failure: Option<&Failure>,
    ) -> Option<ConnectionTotals> {
        self.counts.count_closed();
        self.snapshot.count_close(ended, failure);
        let (sent, room) = self.fan_out.rooms.take_sent(key);
        let totals = self.totals.closed(key.index(), sent, io.now());
        diagnostics::connection_closed(&ConnectionClosed {
            address,
            ended,
            failure,
            totals: totals.as_ref(),
            room: room.as_deref(),
        });
        totals
    }

    /// Publishes the worker's metrics for other threads, when it has written what the turn has brought.
    pub(super) fn publish_metrics(&mut self, io: &Io) {
        let rooms = &self.fan_out.rooms;
        let is_dirty = rooms.is_dirty() || rooms.owes_messages();
        self.turn_times
            .turn_ended(io, rooms.deliveries(), is_dirty, &self.snapshot);
        self.snapshot.publish(self.metrics(io));
        self.fan_out.rooms.publish_lags();
    }

    /// Publishes what this worker holds for other threads. What waits for a flush may count twice, if a subscriber is slow, too.
    pub(super) fn publish_memory(&mut self, io: &Io) {
        let rooms = &self.fan_out.rooms;
        let unflushed_bytes = usize::try_from(rooms.unflushed_bytes()).unwrap_or(usize::MAX);
        let rooms_bytes = rooms.held_bytes().saturating_add(unflushed_bytes);
        let rooms_bytes = rooms_bytes.saturating_add(rooms.kept_bytes());
        let rooms_bytes = rooms_bytes.saturating_add(self.fan_out.pending_bytes());
        self.memory
            .publish(rooms_bytes.saturating_add(io.unread_bytes() + io.secured_bytes()));
    }

    pub(super) fn metrics(&self, io: &Io) -> Metrics {
        let (rooms, compressed) = self.fan_out.rooms.counts();
        let sockets = SocketCounts {
            received_bytes: io.read_bytes(),
            sent_bytes: io.written_bytes(),
            writes: io.writes(),
            open: io.sockets() as u64,
        };
        self.counts.with_others(rooms, compressed, sockets)
    }
}

/// A method of the handler panicked, and that was reported.
pub(super) struct Panicked;

/// The most of a whole message that is inflated before its client's budget is checked, however few bytes that is compressed: 50 µs.
const INFLATED_BYTES_MAX: usize = 32 << 10;
