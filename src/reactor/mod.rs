//! The event loop: sockets, deadlines and messages between threads, without a protocol.
//!
//! A [`Reactor`] is one thread's loop around `mio::Poll` (epoll, kqueue). It owns the sockets
//! that it accepted or adopted, reads them into one shared buffer, and calls an
//! [`Application`] for each event. The application acts through [`Io`]: write, close, set a
//! deadline. Other threads send it messages through a [`Mailbox`].
//!
//! # The turn
//!
//! ```text
//!   run()
//!    │
//!    ├─► 1  sleep     until an event or the next deadline, or without limit;
//!    │                not at all if a socket has more to read
//!    │      clock     read once: it is Io::now() for the whole turn
//!    │   2  deferred  opened()    of adopted sockets
//!    │                ended()     of writes that failed in turn_ended()
//!    │   3  events    edges are remembered;
//!    │                a write to the waker of set_waker() ──► woken()
//!    │                writable sockets, up to a budget    ──► writable()
//!    │   4  read      every ready socket, up to its budget ► before_read(),
//!    │                                                       received(), ended()
//!    │                behind bytes that stay              ► received()
//!    │                into the application's own buffer   ► lend(), filled()
//!    │   5  accept    at most 16 connections             ──► accepted(),
//!    │                                                       opened(), refused()
//!    │   6  messages  what other threads have sent       ──► takes_messages(), message()
//!    │   7  timers    at most 32 deadlines that have come ─► timer()
//!    │   8  alarm     the application's own              ──► alarm()
//!    │   9  deferred  again, so that turn_ended() knows  ──► opened(), ended()
//!    │  10  the end                                      ──► turn_ended()
//!    └─◄── unless stop() was called: then steps 6, 9 and 10 once more
//! ```
//!
//! Input is processed before output. An application that collects its output in steps 2 to 9
//! and writes it in `turn_ended` makes one write per socket for the whole batch of a turn; the
//! batch grows with the load.
//!
//! # What is always true
//!
//! - Callbacks never nest: no method of [`Io`] calls the application. Its events are deferred
//!   to step 2 or 9.
//! - For each key `opened` is the first callback, and there is none after [`Io::close`]. A key
//!   contains a generation, so neither a late use of it nor an event of the same batch reaches
//!   another socket in the same slot.
//! - A socket's edges are remembered until they are used up, so a socket can be paused at any
//!   time and no event is lost.
//! - No socket reads more than its budget in a turn, and the other ready sockets are read
//!   before it reads again. Sockets that become ready have a turn before the sockets that had
//!   more to read than their budget, but not nine turns in succession, and these have a quarter of their budget meanwhile. The numbers of accepted
//!   connections and of timers in a turn are limited too.
//! - Sockets that can be written again are served in this order, until what they write has used up the turn's budget of 128 KiB (a
//!   call costs 16 KiB besides its bytes). The others stay blocked until the next turn. Sockets that become ready to be read have a
//!   turn before them, but not two turns in succession.
//! - A long read and a long series of writes look for sockets that have become ready after each step of about 100 µs, and go on in a
//!   later turn if there are some. Bytes of a secured socket count more, because they are opened and sealed, too.
//! - The application charges further work to the budget ([`Io::charge`]). When the budget is
//!   used up, it leaves the rest of its bytes ([`Io::leave_unread`]), or of work that they have
//!   brought ([`Io::receive_again`]), and receives them first when the socket is read again.
//! - The reactor does not sleep while there is work, and does not wake up without work: an
//!   idle reactor without deadlines sleeps without limit.
//!
//! # Costs
//!
//! A socket is registered, edge-triggered, when it is accepted, and once more when the kernel
//! does not take all of a write for the first time: a message needs no `epoll_ctl` and, when
//! the vectors have grown, no allocation. An incoming message is a part of one `epoll_wait` and
//! one `read` (two on a Unix socket, where a read can end early); an outgoing message is one `send` or `writev`. An open socket takes 32 bytes here
//! (a test allows at most 64), and no buffer. The beginning of what needs several reads can stay
//! in the shared buffer until its end has come ([`Io::await_more`]): the buffer grows with it, to
//! at most a socket's budget and one read, and shrinks when it has not needed that for a while.
//! What is larger can be read into a buffer of the application ([`Application::lend`]). Only
//! bytes that [`Application::received`] leaves unread are copied: less than one read buffer for a
//! socket, and at most 4 KiB when the unread bytes of all sockets exceed 1 MiB.
//!
//! # Where it stops
//!
//! Not included: output buffers (the application keeps the rest of a partial write; it may not
//! need a copy), more than one deadline per socket, outgoing connections (connect, then
//! [`Io::adopt`]), UDP, and any protocol. On 32-bit systems a reactor has at most 1,047,551
//! sockets.
//!
//! It is public because it is of use without WebSocket: the load generator of this project
//! is written on it. Its API lasts as that of the rest of the crate does.
//!
//! # Example
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use yamabiko::reactor::{
//!     Application, End, Io, PeerAddress, Reactor, ReactorConfig, SocketKey, listen,
//! };
//!
//! /// Sends everything back. (A real one keeps the rest of a partial write.)
//! struct Echo;
//!
//! impl Application for Echo {
//!     type Message = ();
//!     fn opened(&mut self, _io: &mut Io, _key: SocketKey, _peer: PeerAddress) {}
//!     fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]) {
//!         io.write(key, bytes);
//!     }
//!     fn ended(&mut self, io: &mut Io, key: SocketKey, _end: End) {
//!         io.close(key);
//!     }
//!     fn message(&mut self, io: &mut Io, _: ()) {
//!         io.stop();
//!     }
//! }
//!
//! let listener = listen("127.0.0.1:0".parse()?)?;
//! let address = listener.local_addr()?;
//! let config = ReactorConfig { listeners: vec![listener.into()], ..ReactorConfig::default() };
//! let mut reactor = Reactor::new(config)?;
//! let mailbox = reactor.mailbox();
//! let thread = std::thread::spawn(move || reactor.run(&mut Echo));
//!
//! let mut client = TcpStream::connect(address)?;
//! client.write_all(b"hello")?;
//! let mut reply = [0; 5];
//! client.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"hello");
//!
//! mailbox.send(())?;
//! thread.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calls;
mod channel;
mod io;
mod limit;
mod listener;
mod mailbox;
mod peer_address;
mod shares;
mod socket;
#[cfg(unix)]
mod unix_socket;
mod unread;
mod wheel;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Waker};

use self::calls::SocketOptions;
#[cfg(unix)]
use self::io::WAKER;
use self::io::{Deferred, FIRST_LISTENER, MAILBOX, STEP_COST_BYTES};
use self::listener::{Accepted, Acceptors};
use self::shares::Budget;
use self::socket::ReadOutcome;
use self::unread::UnreadRest;
use crate::read_buffer::{ReadBuffer, Unread};

pub use self::channel::{Channel, ChannelInput, ChannelState};
pub use self::io::Io;
pub use self::limit::{ConnectionLimit, LimitReached, free_descriptors};
pub use self::listener::{AcceptedConnection, ListenOptions, Listener, listen, listen_with};
pub use self::mailbox::{Full, Mailbox};
pub use self::peer_address::PeerAddress;
pub use self::socket::SocketKey;
#[cfg(unix)]
pub use self::unix_socket::{UnixSocket, UnixSocketPermissions, listen_unix};

/// The callbacks of a [`Reactor`], in the order of the [turn](self#the-turn), on the thread of
/// [`Reactor::run`].
pub trait Application {
    /// The messages that other threads send: see [`Mailbox`].
    type Message: Send + 'static;

    /// A listener has accepted a connection, which is not registered yet. Default: returns
    /// it; it stays in this reactor, and [`opened`](Application::opened) follows. If several
    /// reactors share one listener, the application can keep it instead and send it to another
    /// reactor, which adds it with [`Io::adopt_accepted`].
    fn accepted(&mut self, connection: AcceptedConnection) -> Option<AcceptedConnection> {
        Some(connection)
    }

    /// A connection was accepted, or adopted by [`Io::adopt`]. The application has to call
    /// [`Io::close`] for it.
    fn opened(&mut self, io: &mut Io, key: SocketKey, peer: PeerAddress);

    /// Called before the socket is read. If the application pauses it here
    /// ([`Io::pause_reading`]), it is not read: its bytes stay in the kernel.
    fn before_read(&mut self, _io: &mut Io, _key: SocketKey) {}

    /// A connection was accepted beyond [`ReactorConfig::connection_limit`]. It is otherwise
    /// like one that was [`opened`](Application::opened): the application can write to it, and
    /// has to call [`Io::close`]. Default: closes it.
    fn refused(&mut self, io: &mut Io, key: SocketKey, _peer: PeerAddress) {
        io.close(key);
    }

    /// Bytes have arrived: at least one, unless the application has asked to be called again ([`Io::receive_again`]). They are in the reactor's shared buffer, may be
    /// changed there, and are valid during the call only, except those that
    /// [`Io::leave_unread`] keeps or [`Io::await_more`] lets stay.
    fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]);

    /// A read has filled the shared buffer, and [`received`](Application::received) has
    /// processed all of it, so the socket probably has more. The application can lend a
    /// buffer of its own here: what comes next is read into the room at its end (capacity −
    /// length), and [`filled`](Application::filled) is called. Not used if the room is larger
    /// than the socket's budget. Default: `None`, and the shared buffer is used again.
    fn lend(&mut self, _key: SocketKey) -> Option<&mut Vec<u8>> {
        None
    }

    /// So many bytes were appended to the buffer that the application has
    /// [lent](Application::lend).
    fn filled(&mut self, _io: &mut Io, _key: SocketKey, _count: usize) {}

    /// The connection has ended, completely or on the peer's side: see [`End`].
    fn ended(&mut self, io: &mut Io, key: SocketKey, end: End);

    /// A write was partial, and the kernel has room again: possibly little, or (rarely) none. A later turn calls this if many other
    /// sockets can be written, too; until then a write returns 0.
    fn writable(&mut self, _io: &mut Io, _key: SocketKey) {}

    /// The peer has sent its last byte, or the connection has failed, while the socket is paused. [`ended`](Self::ended) follows
    /// when it is resumed and all bytes before that are read. Called at least once, and again when it is paused again.
    fn end_hidden(&mut self, _io: &mut Io, _key: SocketKey) {}

    /// The socket's deadline ([`Io::set_deadline`]) has come. It is cleared.
    fn timer(&mut self, _io: &mut Io, _key: SocketKey) {}

    /// The application's deadline ([`Io::set_alarm`]) has come. It is cleared.
    fn alarm(&mut self, _io: &mut Io) {}

    /// Whether the application takes a message now. If not, it is asked again in the next turn, which begins without sleeping,
    /// and the messages wait in their order.
    fn takes_messages(&mut self) -> bool {
        true
    }

    /// A message from another thread, sent through a [`Mailbox`].
    fn message(&mut self, _io: &mut Io, _message: Self::Message) {}

    /// Another thread or a signal handler has woken the reactor: see
    /// [`Reactor::set_waker`].
    fn woken(&mut self, _io: &mut Io) {}

    /// All input of this turn has been passed to the application: time to write.
    fn turn_ended(&mut self, _io: &mut Io) {}
}

/// How a connection ended. Each is reported at most once for a key, and `Eof` never after
/// `Failed`.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The peer has sent its last byte. It may still read: the socket can be written until the
    /// application closes it, or a write fails and `Failed` follows.
    Eof,
    /// The connection failed, for example by a reset. The reactor closes the socket when the
    /// callback returns.
    Failed(std::io::Error),
}

/// The settings and limits of a [`Reactor`].
#[derive(Debug)]
pub struct ReactorConfig {
    /// The listeners, at most 512: see [`listen`] and `listen_unix`. Default: none.
    pub listeners: Vec<Listener>,
    /// The maximum of one read, if no bytes [stay](Io::await_more) that are more. Not 0.
    /// Default 64 KiB: few calls for a busy socket, and the buffer stays in the cache.
    pub read_buffer_bytes: usize,
    /// How many bytes one socket may read in a turn before other sockets are read. What the
    /// application [charges](Io::charge) is included. Not 0. Default 256 KiB: four buffers.
    pub read_budget_bytes: usize,
    /// How many messages may wait in the [`Mailbox`]. Default 4096.
    pub mailbox_capacity: usize,
    /// Maximum number of open sockets; further connections wait in the kernel's backlog.
    /// Default 1,048,576. Connections also wait if the system has no more descriptors.
    pub connections_max: usize,
    /// A limit that is shared with other reactors. Connections beyond it are accepted and
    /// [refused](Application::refused). Default: none.
    pub connection_limit: Option<ConnectionLimit>,
    /// How many bytes of one socket the kernel keeps that it has not sent: beyond that it
    /// accepts no more (`TCP_NOTSENT_LOWAT`; Linux only). Default: none; then the kernel keeps
    /// what fits into the socket's send buffer, which it lets grow to some MiB.
    pub unsent_bytes_max: Option<u32>,
    /// A connection fails ("timed out") if nothing of what the kernel has of it is acknowledged for so long
    /// (`TCP_USER_TIMEOUT`; Linux only). Default: none; then the kernel tries for about a quarter of an hour, and a peer that
    /// does not read is never given up.
    pub acknowledgement_timeout: Option<Duration>,
}

impl Default for ReactorConfig {
    fn default() -> Self {
        ReactorConfig {
            listeners: Vec::new(),
            read_buffer_bytes: 64 * 1024,
            read_budget_bytes: 256 * 1024,
            mailbox_capacity: 4096,
            connections_max: 1 << 20,
            connection_limit: None,
            unsent_bytes_max: None,
            acknowledgement_timeout: None,
        }
    }
}

/// One thread's event loop, with messages of type `M` from other threads. See the
/// [module's text](self).
///
/// Dropping it closes its sockets, and drops the messages that wait for it.
pub struct Reactor<M> {
    io: Io,
    /// Registered as long as it is here.
    #[cfg(unix)]
    waker: Option<mio::net::UnixStream>,
    events: Events,
    read_buffer: ReadBuffer,
    read_budget_bytes: usize,
    /// The ready list while it is processed; empty between turns.
    reading: Vec<SocketKey>,
    mailbox: Mailbox<M>,
    messages_wait: bool,
    /// The messages that are being delivered. Between turns it has those that the application does not take yet.
    batch: VecDeque<M>,
}

impl<M: Send + 'static> Reactor<M> {
    /// Creates a reactor. It does nothing until it is [run](Reactor::run), but its time starts
    /// now, and messages can be sent to it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if a size in `config` is 0 that must not be; otherwise the
    /// error of a system call.
    pub fn new(config: ReactorConfig) -> std::io::Result<Reactor<M>> {
        if config.read_buffer_bytes == 0 || config.read_budget_bytes == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        let buffer_bytes_max = config
            .read_buffer_bytes
            .saturating_add(config.read_budget_bytes);
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), MAILBOX)?;
        let options = SocketOptions {
            unsent_bytes_max: config.unsent_bytes_max,
            acknowledgement_timeout: config.acknowledgement_timeout,
        };
        let acceptors = Acceptors::new(config.listeners, options, poll.registry(), FIRST_LISTENER)?;
        Ok(Reactor {
            io: Io::new(
                poll,
                acceptors,
                config.connections_max,
                config.connection_limit,
                options,
            ),
            #[cfg(unix)]
            waker: None,
            events: Events::with_capacity(EVENTS_PER_TURN_MAX),
            read_buffer: ReadBuffer::with_reads_of(config.read_buffer_bytes, buffer_bytes_max),
            read_budget_bytes: config.read_budget_bytes,
            reading: Vec::new(),
            mailbox: Mailbox::new(config.mailbox_capacity, waker),
            messages_wait: false,
            batch: VecDeque::new(),
        })
    }

    /// A mailbox through which any thread can send messages to the application.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox<M> {
        self.mailbox.clone()
    }

    /// The files of [inherited](UnixSocket::inherited) Unix sockets belong to this program from now on, and are removed as those of
    /// [`listen_unix`].
    #[cfg(unix)]
    pub fn own_files(&mut self) {
        self.io.own_files();
    }

    /// A copy of each listener, for a program that goes on accepting when this one stops ([`Io::leave_accepting`]). The files of
    /// Unix sockets do not belong to the copies.
    ///
    /// # Errors
    ///
    /// The system has no more descriptors.
    #[cfg(unix)]
    pub fn copies_of_listeners(&self) -> std::io::Result<Vec<Listener>> {
        self.io.copies_of_listeners()
    }

    /// From now on [`woken`](Application::woken) is called when bytes are written to
    /// the other end of `waker`, or when that end is closed. For signal handlers,
    /// which may do little more than write. Replaces a waker that was set before.
    ///
    /// # Errors
    ///
    /// The error of the system call that registers it.
    #[cfg(unix)]
    pub fn set_waker(&mut self, waker: std::os::unix::net::UnixStream) -> std::io::Result<()> {
        waker.set_nonblocking(true)?;
        let mut waker = mio::net::UnixStream::from_std(waker);
        self.io
            .registry()
            .register(&mut waker, WAKER, mio::Interest::READABLE)?;
        self.waker = Some(waker);
        Ok(())
    }

    /// The reactor's sockets and time outside a turn: to adopt a first socket or to set a first
    /// alarm before it runs.
    pub fn io(&mut self) -> &mut Io {
        &mut self.io
    }

    /// Makes turns until the application calls [`Io::stop`]. It can be called again after that,
    /// and continues.
    ///
    /// # Errors
    ///
    /// The error of a failed poll. No failure of a connection or of the listener ends the
    /// loop.
    pub fn run(&mut self, application: &mut impl Application<Message = M>) -> std::io::Result<()> {
        loop {
            self.turn(application)?;
            if self.io.take_stop() {
                self.deliver_last_messages(application);
                return Ok(());
            }
        }
    }

    /// The messages that were sent before the application stopped: the turn that has ended may have taken its messages before.
    fn deliver_last_messages(&mut self, application: &mut impl Application<Message = M>) {
        // An event that tells of them may be on its way.
        self.messages_wait = true;
        self.deliver_messages(application);
        self.deliver_deferred(application);
        application.turn_ended(&mut self.io);
        self.io.take_stop();
    }

    /// Makes one [turn](self#the-turn), for a caller with a loop of its own. It sleeps as `run`
    /// does.
    ///
    /// # Errors
    ///
    /// As for [`run`](Reactor::run).
    pub fn turn(&mut self, application: &mut impl Application<Message = M>) -> std::io::Result<()> {
        self.io.sleep(&mut self.events)?;
        self.deliver_deferred(application);
        self.take_events(application);
        self.io.order_work();
        self.serve_writable(application);
        self.read_ready(application);
        self.accept(application);
        self.deliver_messages(application);
        self.fire_timers(application);
        if self.io.take_alarm() {
            application.alarm(&mut self.io);
        }
        self.deliver_deferred(application);
        application.turn_ended(&mut self.io);
        Ok(())
    }

    fn take_events(&mut self, application: &mut impl Application<Message = M>) {
        for event in &self.events {
            self.io.take_event(event);
        }
        if self.io.take_waker_edge() {
            application.woken(&mut self.io);
        }
    }

    fn serve_writable(&mut self, application: &mut impl Application<Message = M>) {
        if self.io.postpones_writes() {
            return;
        }
        let begun = self.io.write_cost();
        let (mut cost, mut look_at) = (0, STEP_COST_BYTES);
        while cost < WRITABLE_BUDGET_BYTES {
            let Some(key) = self.io.next_writable() else {
                return;
            };
            application.writable(&mut self.io, key);
            cost = self.io.write_cost().wrapping_sub(begun);
            if cost >= look_at {
                look_at = cost + STEP_COST_BYTES;
                if self.io.has_ready() || !self.io.poll_ready().is_empty() {
                    return;
                }
            }
        }
    }

    fn read_ready(&mut self, application: &mut impl Application<Message = M>) {
        let mut reading = std::mem::take(&mut self.reading);
        self.io.take_ready(&mut reading);
        for (place, &key) in reading.iter().enumerate() {
            let budget = self.io.budget_of(place, self.read_budget_bytes);
            self.read(application, key, budget);
            self.io.leave_queue(key);
            // It has used its budget and has more to read: behind the others.
            self.io.queue_again(key);
        }
        reading.clear();
        self.reading = reading;
    }

    /// Reads one socket until it has no more bytes, its budget is used up, others have become
    /// ready meanwhile, or the application pauses or closes it.
    #[inline(always)]
    fn read(
        &mut self,
        application: &mut impl Application<Message = M>,
        key: SocketKey,
        budget: Budget,
    ) {
        self.io.begin_budget(budget);
        while self.io.budget() > 0 {
            application.before_read(&mut self.io, key);
            if let Some(rest) = self.io.take_unread(key) {
                if self.read_again(application, key, rest) {
                    continue;
                }
                return;
            }
            let room = self.read_buffer.room();
            let size = self.io.read_size(room.len());
            match self.io.read(key, room, size) {
                ReadOutcome::Nothing => break,
                ReadOutcome::Bytes(count) => {
                    self.read_buffer.filled(count);
                    match self.pass(application, key, count) {
                        Passed::All if count == size => self.read_lent(application, key),
                        Passed::All | Passed::Stays => {}
                        Passed::Left => return,
                    }
                    if self.io.take_step() && !self.io.poll_ready().is_empty() {
                        break;
                    }
                }
                ReadOutcome::Ended => {
                    self.pass_rest(application, key);
                    application.ended(&mut self.io, key, End::Eof);
                }
                ReadOutcome::Failed(error) => {
                    self.read_buffer.leave(0);
                    self.failed(application, key, error);
                }
            }
        }
        self.pass_rest(application, key);
    }

    /// Passes the bytes that are in the buffer: the last `count` of them are new.
    #[inline(always)]
    fn pass(
        &mut self,
        application: &mut impl Application<Message = M>,
        key: SocketKey,
        count: usize,
    ) -> Passed {
        let Unread {
            input,
            left_bytes,
            more_bytes_max,
            ..
        } = self.read_buffer.unread();
        self.io.begin_received(count, *left_bytes, more_bytes_max);
        application.received(&mut self.io, key, input);
        let left = self.io.left_unread(input.len());
        if left > 0 || self.io.is_received_again() {
            self.io.keep_unread(key, &input[input.len() - left..]);
            self.read_buffer.leave(0);
            return Passed::Left;
        }
        let staying = self.io.staying_bytes();
        self.read_buffer.leave(staying);
        match staying {
            0 => Passed::All,
            _ => Passed::Stays,
        }
    }

    /// Passes the bytes that have stayed in the buffer, without others behind them.
    #[inline(always)]
    fn pass_rest(&mut self, application: &mut impl Application<Message = M>, key: SocketKey) {
        if !self.read_buffer.is_empty() {
            self.pass_stayed(application, key);
        }
    }

    #[inline(never)]
    fn pass_stayed(&mut self, application: &mut impl Application<Message = M>, key: SocketKey) {
        self.read_buffer.filled(0);
        if self.io.is_open(key) {
            self.pass(application, key, 0);
        }
        self.read_buffer.leave(0);
    }

    /// Reads on into a buffer of the application, as long as it lends one and the socket has
    /// more.
    // Out of the way of small messages, which are read into the shared buffer.
    #[inline(never)]
    fn read_lent(&mut self, application: &mut impl Application<Message = M>, key: SocketKey) {
        while self.io.budget() > 0 {
            application.before_read(&mut self.io, key);
            let budget = self.io.budget();
            let has_room = |buffer: &&mut Vec<u8>| {
                let room = buffer.capacity() - buffer.len();
                (1..=budget).contains(&room)
            };
            let Some(buffer) = application.lend(key).filter(has_room) else {
                return;
            };
            match self.io.read_into(key, buffer) {
                ReadOutcome::Nothing => return,
                ReadOutcome::Bytes(count) => {
                    self.io.charge(count);
                    application.filled(&mut self.io, key, count);
                }
                ReadOutcome::Ended => return application.ended(&mut self.io, key, End::Eof),
                ReadOutcome::Failed(error) => return self.failed(application, key, error),
            }
        }
    }

    /// Passes the bytes that the application left of an earlier read. True: the application
    /// has processed all that the budget allows.
    fn read_again(
        &mut self,
        application: &mut impl Application<Message = M>,
        key: SocketKey,
        mut rest: UnreadRest,
    ) -> bool {
        let bytes = rest.next(self.io.budget());
        let count = bytes.len();
        self.io.begin_received(count, 0, 0);
        application.received(&mut self.io, key, bytes);
        let (left, again) = (self.io.left_unread(count), self.io.is_received_again());
        rest.advance(count - left, again);
        self.io.put_unread(key, rest);
        left == 0 && !again
    }

    fn failed(
        &mut self,
        application: &mut impl Application<Message = M>,
        key: SocketKey,
        error: std::io::Error,
    ) {
        application.ended(&mut self.io, key, End::Failed(error));
        self.io.close(key);
    }

    fn accept(&mut self, application: &mut impl Application<Message = M>) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            match self.io.accept() {
                Accepted::Connection(connection) => {
                    let Some(connection) = application.accepted(connection) else {
                        continue;
                    };
                    let peer = connection.peer;
                    match self.io.register(connection) {
                        Some(key) => self.begin(application, key, peer),
                        None => return,
                    }
                }
                Accepted::Lost => {}
                Accepted::Nothing => return,
            }
        }
    }

    /// Calls `opened`, or `refused` for a connection beyond the limit.
    fn begin(
        &mut self,
        application: &mut impl Application<Message = M>,
        key: SocketKey,
        peer: PeerAddress,
    ) {
        match self.io.is_counted(key) {
            true => application.opened(&mut self.io, key, peer),
            false => application.refused(&mut self.io, key, peer),
        }
    }

    fn deliver_messages(&mut self, application: &mut impl Application<Message = M>) {
        self.messages_wait |= self.io.take_mailbox_edge();
        while application.takes_messages() {
            if let Some(message) = self.batch.pop_front() {
                application.message(&mut self.io, message);
            } else if std::mem::take(&mut self.messages_wait) {
                self.collect_messages();
            } else {
                break;
            }
        }
        self.io
            .set_messages_wait(self.messages_wait || !self.batch.is_empty());
    }

    /// Takes the messages out of the mailbox. Both vectors keep their memory.
    fn collect_messages(&mut self) {
        let mut batch = Vec::from(std::mem::take(&mut self.batch));
        self.mailbox.collect(&mut batch);
        self.batch = batch.into();
    }

    /// Fires the timers that are due. Those that would take too long are due in the next turn, which begins at once.
    fn fire_timers(&mut self, application: &mut impl Application<Message = M>) {
        let mut begun = None;
        for _ in 0..TIMERS_PER_TURN_MAX {
            let Some(key) = self.io.next_due() else {
                return;
            };
            let begun = begun.get_or_insert_with(Instant::now);
            application.timer(&mut self.io, key);
            if begun.elapsed() >= TIMERS_TIME_MAX {
                return;
            }
        }
    }

    fn deliver_deferred(&mut self, application: &mut impl Application<Message = M>) {
        while let Some(deferred) = self.io.next_deferred() {
            match deferred {
                Deferred::Opened(key, peer) => self.begin(application, key, peer),
                Deferred::Failed(key, error) => self.failed(application, key, error),
                Deferred::EndHidden(key) => application.end_hidden(&mut self.io, key),
            }
        }
    }
}

/// What has become of the bytes that were passed to the application.
enum Passed {
    /// All are processed.
    All,
    /// Some stay in the buffer, for the next read.
    Stays,
    /// Some are left for a later turn.
    Left,
}

/// From now on messages to it are dropped: see [`Mailbox`].
impl<M> Drop for Reactor<M> {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// Maximum number of events of one `epoll_wait`; further ones follow with the next.
const EVENTS_PER_TURN_MAX: usize = 1024;
/// What the sockets that can be written again may write in a turn, before other sockets are read.
const WRITABLE_BUDGET_BYTES: usize = 128 << 10;
/// A limit of the timers of a turn: those of many connections can be due at the same time, and each may end its connection.
const TIMERS_PER_TURN_MAX: usize = 32;
/// A turn fires no further timer when its timers have taken so long: to free what a connection holds can take this long alone.
const TIMERS_TIME_MAX: Duration = Duration::from_micros(100);
/// A limit, so that many new connections do not delay the open ones: 150 µs. More in a turn would save little, because a turn without other
/// work costs less than one of them.
const ACCEPTS_PER_TURN_MAX: usize = 16;
