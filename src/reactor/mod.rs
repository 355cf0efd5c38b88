//! The event loop: moves bytes and time, and knows nothing of what they mean.
//!
//! A [`Reactor`] is one thread's loop around `mio::Poll` (epoll, kqueue). It
//! owns the sockets that it accepted or was handed, reads them into one shared
//! buffer, and calls an [`Application`] with what has happened. The application
//! answers through [`Io`]: write, close, set a deadline. Other threads speak to
//! it through a [`Mailbox`].
//!
//! # The turn
//!
//! ```text
//!   run()
//!    │
//!    ├─► 1  sleep     until an event, or the next deadline, or for ever;
//!    │                not at all if a socket has more to read
//!    │      clock     read, once: it is Io::now() for the whole turn
//!    │   2  deferred  opened()    of sockets handed in by adopt()
//!    │                ended()     of writes that failed in turn_ended()
//!    │   3  events    read edges are noted, write edges  ──► writable()
//!    │                a write to the waker of set_waker() ──► woken()
//!    │   4  read      every ready socket, up to its budget ► before_read(),
//!    │                                                       received(), ended()
//!    │   5  accept    at most 64 connections             ──► accepted(),
//!    │                                                       opened(), refused()
//!    │   6  messages  all that other threads have sent   ──► message()
//!    │   7  timers    every deadline that has come       ──► timer()
//!    │   8  alarm     the application's own              ──► alarm()
//!    │   9  deferred  again, so that turn_ended() knows  ──► opened(), ended()
//!    │  10  the end                                      ──► turn_ended()
//!    └─◄── unless stop() was called
//! ```
//!
//! Input comes before output: an application that only notes in steps 2 to 9
//! what is to be written, and writes it in `turn_ended`, makes one write per
//! socket of all that a turn has brought, the larger the busier it is.
//!
//! # What is always true
//!
//! - Callbacks never nest: no method of [`Io`] calls the application. What it
//!   has to say later waits for step 2 or 9.
//! - For each key `opened` comes first, and after [`Io::close`] nothing comes.
//!   A key carries a generation, so neither a late use of it nor an event of
//!   the same batch reaches another socket in the same slot.
//! - A socket's edges are remembered until they are used up; so it may be
//!   paused at any moment and nothing is missed.
//! - No socket reads more than its budget in a turn, and the others that are
//!   ready have their turn before it reads again. Accepting is bounded too.
//!   Those that become ready have a turn to themselves before sockets that had
//!   more to read than their budget, but not two turns on end.
//!   What bytes do not show of the work that they cause, the application charges
//!   to the budget ([`Io::charge`]); when it is spent it leaves the rest of what
//!   it was given ([`Io::leave_unread`]) and gets that first when it is the
//!   socket's turn again.
//! - The reactor does not sleep while it knows of work, and does not wake
//!   without: with no deadline set, an idle one sleeps for ever.
//!
//! # What it costs
//!
//! A socket is registered once, edge-triggered, for both directions: there is
//! no `epoll_ctl` per message and, when its vectors have grown, no allocation
//! either. A message in is a share of one `epoll_wait` and one `read`; a
//! message out is one `send` or `writev`. An open socket takes 32 bytes here
//! (at most 64, a test holds it to that), and no buffer. Only what
//! [`Application::received`] leaves unread is copied: less than one read buffer
//! for a socket, and 4 KiB at most once all of them together hold 1 MiB.
//!
//! # Where it stops
//!
//! Absent on purpose: output buffers (a short write is the application's, which
//! may have a better idea than a copy), more than one deadline per socket,
//! outgoing connections (connect, then [`Io::adopt`]), UDP, any protocol. It is
//! for 64-bit machines.
//!
//! # Example
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{SocketAddr, TcpStream};
//! use yamabiko::reactor::{Application, End, Io, Reactor, ReactorConfig, SocketKey, listen};
//!
//! /// Says everything back. (A real one keeps what `write` did not take.)
//! struct Echo;
//!
//! impl Application for Echo {
//!     type Message = ();
//!     fn opened(&mut self, _io: &mut Io, _key: SocketKey, _peer: SocketAddr) {}
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
//! let listener = listen("127.0.0.1:0".parse()?, false)?;
//! let address = listener.local_addr()?;
//! let config = ReactorConfig { listener: Some(listener), ..ReactorConfig::default() };
//! let mut reactor = Reactor::new(config)?;
//! let mailbox = reactor.mailbox();
//! let thread = std::thread::spawn(move || reactor.run(&mut Echo));
//!
//! let mut mountain = TcpStream::connect(address)?;
//! mountain.write_all(b"yahoo")?;
//! let mut answer = [0; 5];
//! mountain.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"yahoo");
//!
//! mailbox.send(())?;
//! thread.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calls;
mod io;
mod limit;
mod listener;
mod mailbox;
mod socket;
mod unread;
mod wheel;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use mio::{Events, Poll, Waker};

use self::io::{Deferred, LISTENER, MAILBOX, WAKER};
use self::listener::{Accepted, Acceptor};
use self::socket::ReadOutcome;
use self::unread::Remainder;

pub use self::io::Io;
pub use self::limit::ConnectionLimit;
pub use self::listener::{AcceptedConnection, listen};
pub use self::mailbox::{Full, Mailbox};
pub use self::socket::SocketKey;

/// What a [`Reactor`] calls: each method where the [turn](self#the-turn) says,
/// on the thread of [`Reactor::run`].
pub trait Application {
    /// The messages that other threads send: see [`Mailbox`].
    type Message: Send + 'static;

    /// The listener has a new connection, which this reactor does not watch yet. Default:
    /// it is returned, stays here, and [`opened`](Application::opened) follows. Where several
    /// reactors share one listener, the application can keep it instead and send it to
    /// another one, which takes it with [`Io::adopt_accepted`].
    fn accepted(&mut self, connection: AcceptedConnection) -> Option<AcceptedConnection> {
        Some(connection)
    }

    /// A connection was accepted, or handed in by [`Io::adopt`]. From now on
    /// the application owes the key an [`Io::close`].
    fn opened(&mut self, io: &mut Io, key: SocketKey, peer: SocketAddr);

    /// The socket is about to be read. If it is paused here
    /// ([`Io::pause_reading`]), it is not: its bytes stay in the kernel.
    fn before_read(&mut self, _io: &mut Io, _key: SocketKey) {}

    /// A connection was accepted, and [`ReactorConfig::connection_limit`] has no place for
    /// it. Otherwise it is as one that was [`opened`](Application::opened): the application
    /// may answer, and owes it an [`Io::close`]. Default: it is closed.
    fn refused(&mut self, io: &mut Io, key: SocketKey, _peer: SocketAddr) {
        io.close(key);
    }

    /// Bytes have arrived: at least one. They lie in the reactor's shared
    /// buffer, may be changed there, and are gone after the call, except for
    /// those that [`Io::leave_unread`] names.
    fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]);

    /// The connection has ended, wholly or on the peer's side: see [`End`].
    fn ended(&mut self, io: &mut Io, key: SocketKey, end: End);

    /// A write had been cut short, and there is room again. It may be little,
    /// or (rarely) none.
    fn writable(&mut self, _io: &mut Io, _key: SocketKey) {}

    /// The socket's deadline ([`Io::set_deadline`]) has come. It is used up.
    fn timer(&mut self, _io: &mut Io, _key: SocketKey) {}

    /// The application's deadline ([`Io::set_alarm`]) has come. It is used up.
    fn alarm(&mut self, _io: &mut Io) {}

    /// A message from another thread, sent through a [`Mailbox`].
    fn message(&mut self, _io: &mut Io, _message: Self::Message) {}

    /// Another thread or a signal handler has woken the reactor: see
    /// [`Reactor::set_waker`].
    fn woken(&mut self, _io: &mut Io) {}

    /// All of this turn's input has been handed over: the place to write.
    fn turn_ended(&mut self, _io: &mut Io) {}
}

/// How a connection ended. Each is said once at most for a key, and `Eof`
/// never after `Failed`.
#[derive(Debug)]
pub enum End {
    /// The peer has sent its last byte. It may still be listening: the socket
    /// can be written to, until it is closed by the application or a write
    /// fails, and then `Failed` follows.
    Eof,
    /// The connection broke, for example by a reset. Nothing can be done with
    /// it any more: the reactor closes the socket when the callback returns.
    Failed(std::io::Error),
}

/// The bounds of a [`Reactor`].
#[derive(Debug)]
pub struct ReactorConfig {
    /// Where to accept connections; see [`listen`]. It is made non-blocking.
    /// Default: nowhere.
    pub listener: Option<TcpListener>,
    /// The shared read buffer, and the most that one `received` brings. Not 0.
    /// Default 64 KiB: fewer calls for a busy socket, and still in the cache.
    pub read_buffer_bytes: usize,
    /// What one socket may read in a turn before the others have theirs, or what
    /// the application [charges](Io::charge) it for instead. Not 0. Default
    /// 256 KiB, four buffers.
    pub read_budget_bytes: usize,
    /// How many messages may wait in the [`Mailbox`]. Default 4096.
    pub mailbox_capacity: usize,
    /// How many sockets may be open; beyond it, connections wait in the
    /// kernel's backlog. Default 1,048,576: often the system has fewer
    /// descriptors to give, and then they wait as well.
    pub connections_max: usize,
    /// A limit shared with other reactors; connections beyond it are accepted and
    /// [refused](Application::refused). Default: none.
    pub connection_limit: Option<ConnectionLimit>,
}

impl Default for ReactorConfig {
    fn default() -> Self {
        ReactorConfig {
            listener: None,
            read_buffer_bytes: 64 * 1024,
            read_budget_bytes: 256 * 1024,
            mailbox_capacity: 4096,
            connections_max: 1 << 20,
            connection_limit: None,
        }
    }
}

/// One thread's event loop, with messages of type `M` from other threads. See the
/// [module's text](self).
///
/// Dropping it closes its sockets, and drops the messages that wait for it.
pub struct Reactor<M> {
    io: Io,
    /// Watched for as long as it is here.
    #[cfg(unix)]
    waker: Option<mio::net::UnixStream>,
    events: Events,
    read_buffer: Box<[u8]>,
    read_budget_bytes: usize,
    /// The ready list while it is worked off; empty between turns.
    reading: Vec<SocketKey>,
    mailbox: Mailbox<M>,
    messages_wait: bool,
    /// The messages while they are delivered; empty between turns.
    batch: Vec<M>,
}

impl<M: Send + 'static> Reactor<M> {
    /// Makes a reactor. It does nothing until it is [run](Reactor::run), but
    /// its time starts now and messages can be sent to it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if a size in `config` that must not be 0 is;
    /// else what the system says when asked to watch things.
    pub fn new(config: ReactorConfig) -> std::io::Result<Reactor<M>> {
        if config.read_buffer_bytes == 0 || config.read_budget_bytes == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), MAILBOX)?;
        let acceptor = match config.listener {
            Some(listener) => Some(Acceptor::new(listener, poll.registry(), LISTENER)?),
            None => None,
        };
        Ok(Reactor {
            io: Io::new(
                poll,
                acceptor,
                config.connections_max,
                config.connection_limit,
            ),
            #[cfg(unix)]
            waker: None,
            events: Events::with_capacity(EVENTS_PER_TURN_MAX),
            read_buffer: vec![0; config.read_buffer_bytes].into_boxed_slice(),
            read_budget_bytes: config.read_budget_bytes,
            reading: Vec::new(),
            mailbox: Mailbox::new(config.mailbox_capacity, waker),
            messages_wait: false,
            batch: Vec::new(),
        })
    }

    /// A mailbox through which any thread can send messages to the application.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox<M> {
        self.mailbox.clone()
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

    /// The reactor's sockets and time, outside a turn: to adopt a first socket
    /// or set a first alarm before it runs.
    pub fn io(&mut self) -> &mut Io {
        &mut self.io
    }

    /// Takes turns until the application calls [`Io::stop`]. It may be called
    /// again after that, and goes on where it was.
    ///
    /// # Errors
    ///
    /// What the system says when polling fails; no failure of a connection or
    /// of the listener ends the loop.
    pub fn run(&mut self, application: &mut impl Application<Message = M>) -> std::io::Result<()> {
        loop {
            self.turn(application)?;
            if self.io.take_stop() {
                return Ok(());
            }
        }
    }

    /// Takes one [turn](self#the-turn), for a caller with a loop of its own.
    /// It sleeps as `run` would.
    ///
    /// # Errors
    ///
    /// As for [`run`](Reactor::run).
    pub fn turn(&mut self, application: &mut impl Application<Message = M>) -> std::io::Result<()> {
        self.io.sleep(&mut self.events)?;
        self.deliver_deferred(application);
        self.take_events(application);
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
            match event.token() {
                MAILBOX => self.messages_wait = true,
                LISTENER => self.io.listener_edge(),
                WAKER => application.woken(&mut self.io),
                token => {
                    let key = SocketKey::from_token(token);
                    if self.io.take_edges(key, event) {
                        application.writable(&mut self.io, key);
                    }
                }
            }
        }
    }

    fn read_ready(&mut self, application: &mut impl Application<Message = M>) {
        let mut reading = std::mem::take(&mut self.reading);
        self.io.take_ready(&mut reading);
        for &key in &reading {
            self.io.leave_queue(key);
            self.read(application, key);
            // With its budget spent it has more to read: behind the others.
            self.io.queue_again(key);
        }
        reading.clear();
        self.reading = reading;
    }

    /// Reads one socket until it has no more, or its budget is spent, or the
    /// application pauses or closes it.
    #[inline(always)]
    fn read(&mut self, application: &mut impl Application<Message = M>, key: SocketKey) {
        self.io.begin_budget(self.read_budget_bytes);
        while self.io.budget() > 0 {
            application.before_read(&mut self.io, key);
            if let Some(remainder) = self.io.take_unread(key) {
                if self.read_again(application, key, remainder) {
                    continue;
                }
                return;
            }
            let size = self.io.read_size(self.read_buffer.len());
            match self.io.read(key, &mut self.read_buffer[..size]) {
                ReadOutcome::Nothing => return,
                ReadOutcome::Bytes(count) => {
                    let bytes = &mut self.read_buffer[..count];
                    self.io.begin_received(count);
                    application.received(&mut self.io, key, bytes);
                    let left = self.io.left_unread(count);
                    if left > 0 {
                        let left = &self.read_buffer[count - left..count];
                        self.io.keep_unread(key, left);
                        return;
                    }
                }
                ReadOutcome::Ended => application.ended(&mut self.io, key, End::Eof),
                ReadOutcome::Failed(error) => self.failed(application, key, error),
            }
        }
    }

    /// Hands over what the application had left of an earlier read. True: all that
    /// the budget allows is looked at now.
    fn read_again(
        &mut self,
        application: &mut impl Application<Message = M>,
        key: SocketKey,
        mut remainder: Remainder,
    ) -> bool {
        let bytes = remainder.next(self.io.budget());
        let count = bytes.len();
        self.io.begin_received(count);
        application.received(&mut self.io, key, bytes);
        let left = self.io.left_unread(count);
        remainder.advance(count - left);
        self.io.put_unread(key, remainder);
        left == 0
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
                    match self.io.take_in(connection) {
                        Some(key) => self.begin(application, key, peer),
                        None => return,
                    }
                }
                Accepted::Lost => {}
                Accepted::Nothing => return,
            }
        }
    }

    /// A connection is here, with a place or without.
    fn begin(
        &mut self,
        application: &mut impl Application<Message = M>,
        key: SocketKey,
        peer: SocketAddr,
    ) {
        match self.io.has_place(key) {
            true => application.opened(&mut self.io, key, peer),
            false => application.refused(&mut self.io, key, peer),
        }
    }

    fn deliver_messages(&mut self, application: &mut impl Application<Message = M>) {
        if !std::mem::take(&mut self.messages_wait) {
            return;
        }
        self.mailbox.collect(&mut self.batch);
        for message in self.batch.drain(..) {
            application.message(&mut self.io, message);
        }
    }

    fn fire_timers(&mut self, application: &mut impl Application<Message = M>) {
        while let Some(key) = self.io.next_due() {
            application.timer(&mut self.io, key);
        }
    }

    fn deliver_deferred(&mut self, application: &mut impl Application<Message = M>) {
        while let Some(deferred) = self.io.next_deferred() {
            match deferred {
                Deferred::Opened(key, peer) => self.begin(application, key, peer),
                Deferred::Failed(key, error) => self.failed(application, key, error),
            }
        }
    }
}

/// From now on messages to it are dropped: see [`Mailbox`].
impl<M> Drop for Reactor<M> {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// What one `epoll_wait` brings at most; the rest comes with the next.
const EVENTS_PER_TURN_MAX: usize = 1024;
/// So that a flood of connections does not keep the open ones waiting.
const ACCEPTS_PER_TURN_MAX: usize = 64;
