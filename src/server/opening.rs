//! A connection that speaks HTTP: requests are answered one after the other, until one of them
//! becomes a WebSocket, or the connection ends.
//!
//! ```text
//!   bytes ─▶ http::RequestStream ─┬─ a head that asks for a WebSocket ─▶ admit ─┬─▶ 101, Connection
//!                                 │                                             └─▶ a refusal, Ending
//!                                 ├─ a head with a body behind it ─▶ handler.http_head ─▶ the body, or a refusal, Ending
//!                                 ├─ a whole request ─▶ handler.http ─▶ response ─┬─▶ the next request
//!                                 │                                               └─▶ Ending
//!                                 └─ no request ─▶ a refusal, Ending
//! ```
//!
//! Pipelined requests are answered in order. Responses are written at once. While the client does
//! not take them, it is read up to [`HttpLimits::pipelined_requests_max`] further requests, or
//! until 64 KiB wait; then not before it has taken them all. The bytes that it sends meanwhile stay
//! with the reactor and in the kernel. So a connection holds that much and one response.
//!
//! [`HttpLimits::pipelined_requests_max`]: crate::http::HttpLimits::pipelined_requests_max

use super::access::Granted;
use super::config::Config;
use super::connection::Connection;
use super::diagnostics::RequestRefused;
use super::ending::Ending;
use super::environment::{Environment, Panicked};
use super::failure::Failure;
use super::handler::{AdmissionParts, Handler};
use super::preface::Preface;
use super::recipient::{Recipient, flush_write_queue};
use super::refusal_reason::RefusalReason;
use super::request::Request;
use super::rooms::encoding::{negotiable, window_of};
use super::tls::{TLS_EXPECTED, channel, speaks_tls};
use super::upgrade::Upgrade;
use crate::broadcast::WriteQueue;
use crate::http::{
    self, CONTINUE, HttpVersion, Persistence, Refusal, RequestHead, RequestStream, Response, Status,
};
use crate::proxy::InvalidHeader;
use crate::reactor::{Io, PeerAddress, SocketKey};
use crate::time::Timestamp;
use crate::websocket::Limits;
use crate::websocket::handshake::Accepted;
use std::borrow::Cow;
use std::io;
use std::time::Duration;

/// A connection that speaks HTTP.
pub(super) struct Opening {
    /// A named proxy has to send the address of its client first.
    preface: Option<Preface>,
    tls: Tls,
    requests: RequestStream,
    responses: Responses,
    /// Of the socket's other end, or of the client whom the header of the PROXY protocol names.
    peer_address: PeerAddress,
    /// The server is full: the client gets one response, and nearly always a 503.
    refused: bool,
    /// What the memory budget knows of this connection.
    counted_bytes: usize,
}

/// Whether TLS is between the socket and HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    No,
    /// It, or an observer, begins behind the header of a proxy.
    BehindPreface,
    Begun,
}

/// What has become of input.
pub(super) enum Progress<H: Handler> {
    /// It is consumed, or left for later.
    Waits,
    /// The WebSocket is open. The last `behind` of the received bytes are its first frames.
    Opens {
        connection: Box<Connection<H>>,
        behind: usize,
        /// When it is to be closed.
        ends_at: Option<Timestamp>,
    },
    /// The last response was written, and the connection ends.
    Ends(Ending),
    /// The socket is to be closed without a response.
    Fails,
}

impl Opening {
    /// A connection begins, and its first request is awaited. `refused`: the server is full.
    pub(super) fn new(
        io: &mut Io,
        key: SocketKey,
        peer_address: PeerAddress,
        refused: bool,
        config: &Config,
    ) -> Opening {
        let (head_limits, head_timeout) = (config.head_limits, config.handshake_timeout);
        let has_header = config.proxies.expect_header(peer_address.ip());
        let has_channel = speaks_tls(io, key) || config.observers.is_some();
        let tls = match has_header {
            true if has_channel => Tls::BehindPreface,
            true => Tls::No,
            false => begin_channel(io, key, &[], peer_address, config),
        };
        let opening = Opening {
            preface: has_header.then(Preface::default),
            tls,
            requests: RequestStream::new(head_limits, config.http, head_timeout, io.now()),
            responses: Responses::default(),
            peer_address,
            refused,
            counted_bytes: 0,
        };
        opening.set_timer(io, key);
        opening
    }

    /// Bytes of requests, and maybe of the first frames behind an upgrade.
    pub(super) fn receive<H: Handler>(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        bytes: &[u8],
        environment: &mut Environment<H>,
    ) -> Progress<H> {
        let mut input = bytes;
        match self.receive_preface(io, key, &mut input, environment) {
            Ok(true) => {}
            Ok(false) => {
                self.count_held(environment);
                return Progress::Waits;
            }
            Err(InvalidHeader { .. }) => {
                environment.drop_connection(self.peer_address, RefusalReason::ProxyHeader);
                self.release(environment);
                return Progress::Fails;
            }
        }
        match self.tls {
            Tls::No => {}
            Tls::BehindPreface if self.refused && speaks_tls(io, key) => return Progress::Fails,
            Tls::BehindPreface => {
                let (address, config) = (self.peer_address, &environment.config);
                self.tls = begin_channel(io, key, input, address, config);
                if self.tls == Tls::Begun || io.is_secured(key) {
                    return Progress::Waits;
                }
            }
            Tls::Begun if io.is_secured(key) => {}
            Tls::Begun => {
                let refusal = Refusal::new(Status::BadRequest, TLS_EXPECTED);
                self.respond_last(io, &refusal, environment);
                return Progress::Ends(self.take_ending(environment));
            }
        }
        loop {
            match self.step(io, key, &mut input, environment) {
                Ok(Step::MoreInput) => break,
                Ok(Step::Continues) => {}
                Ok(Step::Responded) if self.must_wait(io, key, environment) => {
                    io.leave_unread(input.len());
                    break;
                }
                Ok(Step::Responded) => {}
                Ok(Step::Ends) => return Progress::Ends(self.take_ending(environment)),
                Ok(Step::Switches(switched)) => {
                    self.release(environment);
                    return self.open(io, switched, input.len(), environment);
                }
                Err(refusal) => {
                    self.respond_last(io, &refusal, environment);
                    return Progress::Ends(self.take_ending(environment));
                }
            }
        }
        self.write(io, key, environment);
        Progress::Waits
    }

    /// Takes the header of the PROXY protocol off the input. False: it is not whole.
    fn receive_preface<H: Handler>(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        input: &mut &[u8],
        environment: &mut Environment<H>,
    ) -> Result<bool, InvalidHeader> {
        let Some(preface) = &mut self.preface else {
            return Ok(true);
        };
        let Some(header) = preface.receive(input)? else {
            return Ok(false);
        };
        self.preface = None;
        if let Some(source) = header.source {
            self.peer_address = source.into();
            if !io.count_for(key, self.peer_address) {
                self.refused = true;
                let reason = RefusalReason::ConnectionsPerAddress;
                environment.refuse_connection(self.peer_address, reason);
            }
        }
        Ok(true)
    }

    /// Takes at most one event from the input, and acts on it.
    ///
    /// # Errors
    /// The last response of the connection.
    fn step<H: Handler>(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        input: &mut &[u8],
        environment: &mut Environment<H>,
    ) -> Result<Step<H>, Refusal> {
        if self.refused {
            return self.step_refused(io, input, environment);
        }
        let peer_address = self.peer_address;
        let progress = self.requests.receive(input, io.now());
        let progress = progress.map_err(|refusal| {
            let refused = Refused::new(RefusalReason::Request, refusal);
            refused.reported(peer_address, None, None, environment)
        })?;
        match progress {
            http::Progress::Incomplete => Ok(Step::MoreInput),
            http::Progress::Head(head) => {
                let client = Client::of(&head, peer_address, &environment.config);
                let head = environment.config.base_path.below(head)?;
                let admitted = admit(io, key, &head, &client, environment).map_err(|refused| {
                    let host = client.host.as_deref();
                    refused.reported(client.address, Some(&head), host, environment)
                })?;
                if admitted.is_none() && head.body_announced() {
                    check_before_body(io, head, client.address, environment)?;
                }
                // It may be left out if the body has begun to come (RFC 9110 §10.1.1).
                if admitted.is_none() && head.expects_continue() && input.is_empty() {
                    self.responses.queue.push(CONTINUE);
                }
                Ok(admitted.map_or(Step::Continues, Step::Switches))
            }
            http::Progress::Request {
                head,
                body,
                persistence,
            } => {
                let config = environment.config.clone();
                let persistence = match environment.shutdown.is_requested() {
                    true => Persistence::Close,
                    false => persistence,
                };
                let client = Client::of(&head, peer_address, &config);
                let head = config.base_path.below(head)?;
                let request = Request::new(head, body, client.address);
                let request = with_tokens(io, request, &config);
                let (response, persistence) = ask(&request, persistence, environment);
                environment.counts.count_request();
                let head_only = request.method() == "HEAD";
                let buffer = self.responses.begin(io);
                let before = buffer.len();
                environment.write_response(io, &response, head_only, persistence, buffer);
                charge_response(io, buffer.len() - before);
                self.requests.next(io.now());
                match persistence {
                    Persistence::Close => Ok(Step::Ends),
                    Persistence::Persist | Persistence::KeepAlive => Ok(Step::Responded),
                }
            }
        }
    }

    /// The server is full. The application answers what must be answered at any time; all else gets a 503.
    fn step_refused<H: Handler>(
        &mut self,
        io: &mut Io,
        input: &mut &[u8],
        environment: &mut Environment<H>,
    ) -> Result<Step<H>, Refusal> {
        let peer_address = self.peer_address;
        let answered = match self.requests.receive(input, io.now()) {
            Ok(http::Progress::Incomplete) => return Ok(Step::MoreInput),
            Ok(http::Progress::Head(head))
                if !asks_for_websocket(&head)
                    && !head.body_announced()
                    && Client::of(&head, peer_address, &environment.config)
                        .check_host(&environment.config)
                        .is_ok()
                    && environment.config.base_path.below(head).is_ok() =>
            {
                return Ok(Step::Continues);
            }
            Ok(http::Progress::Request { head, body, .. }) => {
                let client = Client::of(&head, peer_address, &environment.config);
                let head = environment.config.base_path.below(head)?;
                let request = Request::new(head, body, client.address);
                let asked =
                    environment.ask(peer_address, |handler| handler.http_when_full(&request));
                asked.ok().flatten()
            }
            Ok(http::Progress::Head(_)) | Err(_) => None,
        };
        let response = answered.ok_or_else(overloaded)?;
        environment.counts.count_request();
        let (head_only, buffer) = (self.requests.method_is_head(), self.responses.begin(io));
        environment.write_response(io, &response, head_only, Persistence::Close, buffer);
        Ok(Step::Ends)
    }

    /// A response after which the connection ends.
    fn respond_last<H: Handler>(
        &mut self,
        io: &mut Io,
        refusal: &Refusal,
        environment: &mut Environment<H>,
    ) {
        let response = refusal.to_response();
        let (head_only, buffer) = (self.requests.method_is_head(), self.responses.begin(io));
        environment.write_response(io, &response, head_only, Persistence::Close, buffer);
    }

    /// HTTP ends, and the WebSocket begins. Earlier responses that still wait go first.
    fn open<H: Handler>(
        &mut self,
        io: &Io,
        switched: Switched<H::Session>,
        behind: usize,
        environment: &Environment<H>,
    ) -> Progress<H> {
        let Switched {
            peer_address,
            session,
            accepted,
            pieces,
            lifetime,
        } = switched;
        let mut response = std::mem::take(self.responses.queue.buffer());
        accepted.write_response(&mut response);
        let window = window_of(accepted.deflate());
        let recipient = Recipient::new(peer_address, window, response);
        let websocket = match pieces {
            Some(limits) => accepted.connection(limits).with_pieces(),
            None => accepted.connection(environment.config.limits),
        };
        let connection = Connection::new(websocket, session, recipient, io.now());
        Progress::Opens {
            connection: Box::new(connection),
            behind,
            ends_at: lifetime.map(|lifetime| io.now().plus(lifetime)),
        }
    }

    /// The socket has failed. That of TLS is reported: it tells what the client does not accept. A client that leaves TCP while
    /// it speaks HTTP is nothing to report.
    pub(super) fn failed<H: Handler>(
        &mut self,
        error: io::Error,
        environment: &mut Environment<H>,
    ) {
        let failure = Failure::of_socket(error);
        if let Failure::Tls(_) = &failure {
            environment.report(self.peer_address, &failure);
        }
    }

    fn take_ending<H: Handler>(&mut self, environment: &mut Environment<H>) -> Ending {
        self.release(environment);
        Ending::new(std::mem::take(&mut self.responses.queue))
    }
}

// Memory.
impl Opening {
    /// The memory of the request and of the waiting responses.
    pub(super) fn held_bytes(&self) -> usize {
        let preface_bytes = self.preface.as_ref().map_or(0, Preface::held_bytes);
        preface_bytes + self.requests.held_bytes() + self.responses.queue.held_bytes()
    }

    /// Tells the memory budget what the connection holds now.
    fn count_held<H: Handler>(&mut self, environment: &mut Environment<H>) {
        let (before, now) = (self.counted_bytes, self.held_bytes());
        self.counted_bytes = now;
        environment.memory.changed(before, now);
    }

    /// The connection leaves this state, and what it holds is freed or counted elsewhere.
    fn release<H: Handler>(&mut self, environment: &mut Environment<H>) {
        let before = std::mem::take(&mut self.counted_bytes);
        environment.memory.changed(before, 0);
    }

    /// The memory budget is exceeded. A client whose request is not whole gets a 503. `None`: it does
    /// not take its responses, and the socket is to be closed.
    pub(super) fn end_overloaded<H: Handler>(
        &mut self,
        io: &mut Io,
        environment: &mut Environment<H>,
    ) -> Option<Ending> {
        if !self.responses.queue.is_empty() {
            self.release(environment);
            return None;
        }
        let refused = Refused::new(RefusalReason::Memory, out_of_memory());
        let refusal = refused.reported(self.peer_address, None, None, environment);
        self.respond_last(io, &refusal, environment);
        Some(self.take_ending(environment))
    }
}

// Writing, and the deadlines.
impl Opening {
    /// Whether the rest of the input waits: the client's share of the turn is used up, or it
    /// does not take the responses.
    fn must_wait<H: Handler>(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &Environment<H>,
    ) -> bool {
        let pipelined_max = environment.config.http.pipelined_requests_max.max(1);
        if self.responses.are_many(pipelined_max) {
            self.responses
                .write(io, key, environment.config.close_timeout);
            if self.responses.are_many(pipelined_max) {
                self.responses.pause(io, key);
                return true;
            }
        }
        !io.has_budget()
    }

    /// Writes what the socket takes.
    pub(super) fn write<H: Handler>(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) {
        if self
            .responses
            .write(io, key, environment.config.close_timeout)
        {
            self.requests.responses_written(io.now());
        }
        self.count_held(environment);
        self.set_timer(io, key);
    }

    /// While the client is not read, nothing is awaited of it but that it takes the responses.
    fn set_timer(&self, io: &mut Io, key: SocketKey) {
        let request = match self.responses.is_paused {
            true => None,
            false => self.requests.deadline(),
        };
        match request.into_iter().chain(self.responses.deadline).min() {
            Some(at) => io.set_deadline(key, at),
            None => io.clear_deadline(key),
        }
    }

    /// The deadline has come. A client that has sent a part of a request gets a 408. One that has
    /// sent nothing may not be speaking HTTP, and one that does not take its responses would not
    /// take this one either: `None`, the socket is to be closed.
    pub(super) fn timed_out<H: Handler>(
        &mut self,
        io: &mut Io,
        environment: &mut Environment<H>,
    ) -> Option<Ending> {
        self.release(environment);
        if self.responses.deadline.is_some_and(|at| at <= io.now()) {
            return None;
        }
        let refusal = self.requests.timed_out()?;
        let refused = Refused::new(RefusalReason::Timeout, refusal);
        let refusal = refused.reported(self.peer_address, None, None, environment);
        self.respond_last(io, &refusal, environment);
        Some(self.take_ending(environment))
    }

    /// How long the client has had all its responses without sending a request. `None`: its request has come, as far as its head, or a
    /// response waits.
    pub(super) fn is_without_request_for(&self, now: Timestamp) -> Option<Duration> {
        match self.responses.queue.is_empty() {
            true => self.requests.head_awaited_for(now),
            false => None,
        }
    }

    /// Whether the server was full when the connection began.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether the client has all its responses, and has sent nothing of a further request.
    pub(super) fn is_between_requests(&self) -> bool {
        self.responses.queue.is_empty() && self.requests.is_between_requests()
    }

    /// Whether a request has begun to come, or a response waits.
    pub(super) fn is_serving(&self) -> bool {
        !self.responses.queue.is_empty() || self.requests.timed_out().is_some()
    }

    /// The server ends the connection between two requests. A request that is on its way is discarded, and the client sees FIN.
    pub(super) fn end_idle<H: Handler>(&mut self, environment: &mut Environment<H>) -> Ending {
        self.take_ending(environment)
    }

    /// The connection is closed without a response, because a new one gets its place.
    pub(super) fn replaced<H: Handler>(&mut self, environment: &mut Environment<H>) {
        self.release(environment);
        if !self.refused {
            environment.drop_connection(self.peer_address, RefusalReason::Replaced);
        }
    }

    /// The client has sent FIN, or the server stops. `None`: no response waits, and the socket
    /// is to be closed.
    pub(super) fn end<H: Handler>(
        &mut self,
        client_ended: bool,
        environment: &mut Environment<H>,
    ) -> Option<Ending> {
        self.release(environment);
        let queue = std::mem::take(&mut self.responses.queue);
        match (queue.is_empty(), client_ended) {
            (true, _) => None,
            (false, true) => Some(Ending::after_client(queue)),
            (false, false) => Some(Ending::new(queue)),
        }
    }
}

/// TLS and an observer begin, as far as the connection has them. `received`: bytes of the client that are for them.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If the connection is happening on an HTTPS (HTTP-over-TLS) port,
//# perform a TLS handshake over the connection.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If this fails (e.g., the client indicated a host name in the
//# extended client hello "server_name" extension that the server does
//# not host), then close the connection; otherwise, all further
//# communication for the connection (including the server's
//# handshake) MUST run through the encrypted tunnel
fn begin_channel(
    io: &mut Io,
    key: SocketKey,
    received: &[u8],
    address: PeerAddress,
    config: &Config,
) -> Tls {
    let (tls, secured) = match speaks_tls(io, key) {
        true => (Tls::Begun, channel(config)),
        false => (Tls::No, None),
    };
    let is_observed = tls == Tls::No || secured.is_some();
    let channel = match &config.observers {
        Some(observers) if is_observed => observers.channel(address, secured),
        _ => secured,
    };
    if let Some(channel) = channel {
        io.secure(key, channel, received);
    }
    tls
}

/// The responses that the client has not taken.
#[derive(Default)]
struct Responses {
    queue: WriteQueue,
    /// Responses that were added since the queue was empty.
    count: usize,
    /// When the client must have taken some bytes.
    deadline: Option<Timestamp>,
    /// The client is not read until the queue is empty.
    is_paused: bool,
}

impl Responses {
    /// The buffer to append a response to.
    fn begin(&mut self, io: &mut Io) -> &mut Vec<u8> {
        io.charge(REQUEST_COST_BYTES);
        self.count += 1;
        self.queue.buffer()
    }

    /// Whether so many wait that the client is not read before it has taken them.
    fn are_many(&self, count_max: usize) -> bool {
        !self.queue.is_empty() && (self.count >= count_max || self.queue.bytes() > BYTES_MAX)
    }

    /// Writes what the socket takes. True: nothing waits now.
    fn write(&mut self, io: &mut Io, key: SocketKey, timeout: Duration) -> bool {
        let before = self.queue.bytes();
        if before > 0 {
            flush_write_queue(io, key, &mut self.queue);
        }
        if self.queue.is_empty() {
            (self.count, self.deadline) = (0, None);
            if std::mem::take(&mut self.is_paused) {
                io.resume_reading(key);
            }
            return true;
        }
        if self.queue.bytes() < before || self.deadline.is_none() {
            self.deadline = Some(io.now().plus(timeout));
        }
        false
    }

    fn pause(&mut self, io: &mut Io, key: SocketKey) {
        self.is_paused = true;
        io.pause_reading(key);
    }
}

/// What one event leads to.
enum Step<H: Handler> {
    /// All input is consumed.
    MoreInput,
    /// The same request goes on.
    Continues,
    /// A request was answered, and another one may follow.
    Responded,
    /// A 101, and the session.
    Switches(Switched<H::Session>),
    /// The last response is in the queue.
    Ends,
}

/// A WebSocket that the application has admitted.
struct Switched<S> {
    /// Of the client.
    peer_address: PeerAddress,
    session: S,
    accepted: Accepted,
    /// The limits of a connection whose messages are received in pieces.
    pieces: Option<Limits>,
    /// How long it may stay open.
    lifetime: Option<Duration>,
}

/// RFC 9110 §7.8: a server ignores the Upgrade field of an HTTP/1.0 request, and may ignore any.
/// HEAD asks for the head of the response to GET, and has no meaning for a WebSocket.
fn asks_for_websocket(request: &RequestHead<'_>) -> bool {
    request.wants_websocket()
        && request.version() != HttpVersion::Http10
        && request.method() != "HEAD"
}

/// A request that is refused, and why.
struct Refused {
    reason: RefusalReason,
    refusal: Box<Refusal>,
}

impl Refused {
    fn new(reason: RefusalReason, refusal: Refusal) -> Refused {
        Refused {
            reason,
            refusal: Box::new(refusal),
        }
    }

    /// The refusal, when it is counted and in the log. `host`: as the client, or a named proxy, tells it.
    fn reported<H: Handler>(
        self,
        address: PeerAddress,
        head: Option<&RequestHead<'_>>,
        host: Option<&str>,
        environment: &Environment<H>,
    ) -> Refusal {
        environment.refuse_request(&RequestRefused {
            address,
            reason: self.reason,
            refusal: &self.refusal,
            head,
            host,
        });
        *self.refusal
    }
}

/// Checks a head whose request may be served. `None`: it asks for no WebSocket.
fn admit<H: Handler>(
    io: &mut Io,
    key: SocketKey,
    head: &RequestHead<'_>,
    client: &Client<'_>,
    environment: &mut Environment<H>,
) -> Result<Option<Switched<H::Session>>, Refused> {
    client
        .check_host(&environment.config)
        .map_err(|refusal| Refused::new(RefusalReason::Host, refusal))?;
    if !asks_for_websocket(head) {
        return Ok(None);
    }
    if !io.count_for(key, client.address) {
        environment.counts.count_refused();
        let reason = RefusalReason::ConnectionsPerAddress;
        return Err(Refused::new(reason, overloaded()));
    }
    switch(io, head, client, environment).map(Some)
}

/// §4.2.2: the origin, the token, the application, the subprotocol, the extension; then the 101.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.2
//# To do so, the server MUST simply _Close the WebSocket
//# Connection_ (Section 7.1.1).
fn switch<H: Handler>(
    io: &Io,
    request: &RequestHead<'_>,
    client: &Client<'_>,
    environment: &mut Environment<H>,
) -> Result<Switched<H::Session>, Refused> {
    let because = |reason| move |refusal| Refused::new(reason, refusal);
    let peer_address = client.address;
    let upgrade =
        Upgrade::check(request, peer_address).map_err(because(RefusalReason::Handshake))?;
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# If the server does not wish to accept this connection, it MUST return
    //# an appropriate HTTP error code (e.g., 403 Forbidden) and abort the
    //# WebSocket handshake described in this section.
    let origins = environment
        .ask(peer_address, |handler| handler.origins(request))
        .map_err(internal_error)
        .map_err(because(RefusalReason::Panic))?;
    upgrade
        .check_origin_for(
            origins.as_ref().unwrap_or(&environment.config.origins),
            client.host.as_deref().unwrap_or_default(),
        )
        .map_err(forbidden)
        .map_err(because(RefusalReason::Origin))?;
    let granted = Granted::check(request, &environment.config, io.wall_clock())
        .map_err(because(RefusalReason::Token))?;
    let upgrade = upgrade.granted(&granted);
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# If the server provides multiple services, then the value should be
    //# derived from the resource name given in the client's handshake
    let admitted = environment.ask(peer_address, |handler| handler.admit(&upgrade));
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# If the requested service is not available, the server MUST send an
    //# appropriate HTTP error code (such as 404 Not Found) and abort the
    //# WebSocket handshake.
    let AdmissionParts {
        session,
        subprotocol,
        options,
        pieces,
    } = admitted
        .map_err(internal_error)
        .map_err(because(RefusalReason::Panic))?
        .map_err(because(RefusalReason::Application))?
        .into_parts();
    let subprotocol = subprotocol.or_else(|| granted.subprotocol(&upgrade));
    let options = options.subprotocol(subprotocol);
    let mut options = options.deflate_pool(&environment.deflate_pool);
    if let Some(config) = &environment.config.deflate {
        // The worker compresses what is sent.
        options = options.inflate_only(negotiable(config));
    }
    match upgrade.accept(options) {
        Ok(accepted) => Ok(Switched {
            peer_address,
            session,
            accepted,
            pieces,
            lifetime: granted.lifetime(io.wall_clock()),
        }),
        Err(error) => {
            // Dropping it runs the application's code.
            let _ = environment.ask(peer_address, |_| drop(session));
            Err(Refused::new(RefusalReason::Handshake, error.into()))
        }
    }
}

/// Who sends a request, and to which host, as the named proxies tell it.
struct Client<'a> {
    address: PeerAddress,
    host: Option<Cow<'a, str>>,
    /// It came through a Unix socket.
    is_local: bool,
}

impl<'a> Client<'a> {
    fn of(request: &RequestHead<'a>, peer_address: PeerAddress, config: &Config) -> Client<'a> {
        let told = config.proxies.read(request, peer_address.ip());
        Client {
            address: told.client.map_or(peer_address, PeerAddress::from),
            host: told.host.or(request.host().map(Cow::Borrowed)),
            is_local: peer_address.ip().is_none(),
        }
    }

    /// 421: the request is for another server, so the page that made it may be an attacker's (`http/hosts.rs`).
    fn check_host(&self, config: &Config) -> Result<(), Refusal> {
        if config.hosts_for(self.is_local).allow(self.host.as_deref()) {
            return Ok(());
        }
        let host = self.host.as_deref().unwrap_or_default();
        let host = host.get(..HOST_BYTES_MAX).unwrap_or(host);
        let host: Cow<'_, str> = match host.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Cow::Borrowed(host),
            false => host.escape_default().to_string().into(),
        };
        let reason = format!(
            "this server does not answer for the host {host}; --allow-host (Config::hosts) adds a host"
        );
        Err(Refusal::new(Status::MisdirectedRequest, reason))
    }
}

/// A request that can be asked what its token grants.
#[cfg(feature = "tokens")]
fn with_tokens<'a>(io: &Io, request: Request<'a>, config: &'a Config) -> Request<'a> {
    match &config.tokens {
        Some(tokens) => request.with_tokens(tokens, io.wall_clock()),
        None => request,
    }
}

#[cfg(not(feature = "tokens"))]
fn with_tokens<'a>(_: &Io, request: Request<'a>, _: &'a Config) -> Request<'a> {
    request
}

/// Asks the application about a request whose body follows, so that nothing is read, or awaited, of a request that is refused.
///
/// # Errors
/// The last response of the connection: the client may be sending the body (RFC 9112 §9.6).
fn check_before_body<H: Handler>(
    io: &Io,
    head: RequestHead<'_>,
    address: PeerAddress,
    environment: &mut Environment<H>,
) -> Result<(), Refusal> {
    let config = environment.config.clone();
    let request = with_tokens(io, Request::new(head, &[], address), &config);
    let checked = match request.method() {
        "CONNECT" => Err(no_proxy()),
        _ => environment
            .ask(address, |handler| handler.http_head(&request))
            .unwrap_or_else(|panicked| Err(internal_error(panicked))),
    };
    if checked.is_err() {
        environment.counts.count_request();
    }
    checked
}

/// A proxy's method: a response 200 would begin a tunnel.
fn no_proxy() -> Refusal {
    Refusal::new(Status::NotImplemented, "this server is no proxy")
}

/// The application's response, and what becomes of the connection.
fn ask<H: Handler>(
    request: &Request<'_>,
    persistence: Persistence,
    environment: &mut Environment<H>,
) -> (Response, Persistence) {
    if request.method() == "CONNECT" {
        return (no_proxy().to_response(), Persistence::Close);
    }
    match environment.ask(request.peer_address(), |handler| handler.http(request)) {
        Ok(response) => (response, persistence),
        Err(panicked) => (internal_error(panicked).to_response(), Persistence::Close),
    }
}

/// A long response costs more than its request.
fn charge_response(io: &mut Io, bytes: usize) {
    let cost = bytes.saturating_mul(RESPONSE_BYTE_COST);
    io.charge(cost.saturating_sub(REQUEST_COST_BYTES));
}

/// The response where a method panicked that was to return one.
fn internal_error(_: Panicked) -> Refusal {
    Refusal::new(Status::InternalServerError, "internal error")
}

/// 403, with the setting that an operator has to change.
fn forbidden(refusal: Refusal) -> Refusal {
    let reason = format!(
        "{}; --allow-origin (Config::origins) lets further origins in",
        refusal.reason()
    );
    Refusal::new(refusal.status(), reason)
}

/// A name of DNS has 253 bytes at most.
const HOST_BYTES_MAX: usize = 300;

/// 503, for nearly any request when the server is full. It is sent when the head has come and
/// not before: to many clients a response without a request is an error.
fn overloaded() -> Refusal {
    unavailable("too many connections are open")
}

/// 503, for a request that the memory budget leaves no room for.
fn out_of_memory() -> Refusal {
    unavailable("the server has no memory left for this request")
}

fn unavailable(reason: &'static str) -> Refusal {
    let refusal = Refusal::new(Status::ServiceUnavailable, reason);
    let without_field = refusal.clone();
    refusal
        .field("Retry-After", RETRY_AFTER_SECONDS)
        .unwrap_or(without_field)
}

/// Long enough for some connections to end, short enough to wait for.
const RETRY_AFTER_SECONDS: &str = "5";

/// The bytes of responses above which the client is not read.
const BYTES_MAX: usize = 64 << 10;

/// What a request costs of a read budget, as a message that gets a reply does (`connection.rs`).
const REQUEST_COST_BYTES: usize = 8 << 10;

/// What a byte of a response costs: it is made, copied and written. With the budget of 256 KiB a client has responses of 64 KiB in a turn, which
/// are one write.
const RESPONSE_BYTE_COST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_is_read_up_to_the_limits_of_waiting_responses_and_not_one_past_them() {
        let waiting = |count, bytes: usize| {
            let mut responses = Responses::default();
            responses.queue.push(&vec![b'x'; bytes]);
            responses.count = count;
            responses.are_many(16)
        };
        assert!(!waiting(15, 1));
        assert!(waiting(16, 1));
        assert!(!waiting(1, BYTES_MAX));
        assert!(waiting(1, BYTES_MAX + 1));
        // Nothing waits, however many were written.
        assert!(!waiting(100, 0));
    }
}
