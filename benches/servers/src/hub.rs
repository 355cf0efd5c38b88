//! The connected clients and the messages of the current turn. The hub batches as well as
//! possible for a library whose connection is a `Stream` and `Sink` of messages.
//!
//! ```text
//!  readable sockets -> reader tasks -> batch -> hub task, once per turn:
//!                                               each member: queue all, flush once
//! ```
//!
//! The reader tasks of all sockets that became readable run before the hub's
//! task, because they were woken before it. So a turn has all messages that have arrived,
//! and waits for no others. There is no channel, no task and no wake-up per
//! member: the hub calls the library's `start_send` for each message and
//! `poll_flush` once. Everything is on one thread, without a lock.
//!
//! Limit: messages that a member's library does not accept yet are kept, up to
//! [`BACKLOG_BYTES_MAX`]; beyond that the member is disconnected.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::{Sink, Stream};
use tokio::net::TcpStream;

use crate::arguments::BACKLOG_BYTES_MAX;

/// The parts of a library that the hub needs.
pub struct Library<S, M> {
    /// Bytes of a text or binary message; `None` for a control frame.
    pub data_bytes: fn(&M) -> Option<usize>,
    /// Ends a connection whose client is too far behind, so that its reader ends.
    pub disconnect: fn(&mut S),
}

/// All members, and the messages of this turn.
pub struct Hub<S, M> {
    library: Library<S, M>,
    seats: RefCell<Vec<Option<Seat<S, M>>>>,
    vacant: RefCell<Vec<usize>>,
    batch: RefCell<Vec<M>>,
    hub_task: Cell<Option<Waker>>,
    behind: Cell<usize>,
}

struct Seat<S, M> {
    member: Rc<RefCell<S>>,
    /// Messages that the library has not accepted yet, oldest first.
    waiting: VecDeque<M>,
    waiting_bytes: usize,
    is_behind: bool,
}

impl<S, M> Hub<S, M>
where
    S: Sink<M> + Unpin + 'static,
    M: Clone + 'static,
{
    /// An empty hub, whose task is started on the current `LocalSet`.
    pub fn start(library: Library<S, M>) -> Rc<Hub<S, M>> {
        let hub = Rc::new(Hub {
            library,
            seats: RefCell::default(),
            vacant: RefCell::default(),
            batch: RefCell::default(),
            hub_task: Cell::default(),
            behind: Cell::new(0),
        });
        let turns = Rc::clone(&hub);
        tokio::task::spawn_local(tokio::task::unconstrained(poll_fn(move |context| {
            turns.turn(context);
            Poll::<()>::Pending
        })));
        hub
    }

    /// The seat's number, for [`Hub::leave`].
    pub fn join(&self, member: Rc<RefCell<S>>) -> usize {
        let seat = Some(Seat {
            member,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            is_behind: false,
        });
        let mut seats = self.seats.borrow_mut();
        match self.vacant.borrow_mut().pop() {
            Some(number) => {
                seats[number] = seat;
                number
            }
            None => {
                seats.push(seat);
                seats.len() - 1
            }
        }
    }

    /// Gives up a seat. Its number may be given to the next member.
    pub fn leave(&self, number: usize) {
        self.seats.borrow_mut()[number] = None;
        self.vacant.borrow_mut().push(number);
    }

    /// Sends a message to all members at the end of this turn.
    pub fn publish(&self, message: M) {
        self.batch.borrow_mut().push(message);
        self.wake();
    }

    /// To be called when a reader has been polled: it may have been woken because
    /// its socket is writable again, in the hub's place.
    pub fn reader_polled(&self) {
        if self.behind.get() > 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        // Taken: once per turn is enough.
        if let Some(hub_task) = self.hub_task.take() {
            hub_task.wake();
        }
    }

    fn turn(&self, context: &mut Context<'_>) {
        let mut batch = self.batch.take();
        let mut behind = 0;
        for seat in self.seats.borrow_mut().iter_mut().flatten() {
            if batch.is_empty() && !seat.is_behind {
                continue;
            }
            if seat.deliver(&batch, &self.library, context).is_err() {
                (self.library.disconnect)(&mut seat.member.borrow_mut());
                seat.is_behind = false;
                seat.waiting.clear();
                seat.waiting_bytes = 0;
            }
            behind += usize::from(seat.is_behind);
        }
        batch.clear();
        self.batch.replace(batch);
        self.behind.set(behind);
        self.hub_task.set(Some(context.waker().clone()));
    }
}

/// The connection has failed, or its client is too far behind.
struct Gone;

impl<S, M> Seat<S, M>
where
    S: Sink<M> + Unpin,
    M: Clone,
{
    fn deliver(
        &mut self,
        batch: &[M],
        library: &Library<S, M>,
        context: &mut Context<'_>,
    ) -> Result<(), Gone> {
        let mut member = self.member.borrow_mut();
        let mut member = Pin::new(&mut *member);
        while let Some(message) = self.waiting.front() {
            if !is_ready(member.as_mut().poll_ready(context))? {
                break;
            }
            self.waiting_bytes -= (library.data_bytes)(message).unwrap_or(0);
            if let Some(message) = self.waiting.pop_front() {
                member.as_mut().start_send(message).map_err(|_| Gone)?;
            }
        }
        let mut fresh = batch.iter();
        while self.waiting.is_empty() && !fresh.as_slice().is_empty() {
            if !is_ready(member.as_mut().poll_ready(context))? {
                break;
            }
            if let Some(message) = fresh.next() {
                let message = message.clone();
                member.as_mut().start_send(message).map_err(|_| Gone)?;
            }
        }
        for message in fresh {
            self.waiting_bytes += (library.data_bytes)(message).unwrap_or(0);
            self.waiting.push_back(message.clone());
        }
        let is_flushed = is_ready(member.as_mut().poll_flush(context))?;
        self.is_behind = !is_flushed || !self.waiting.is_empty();
        if self.waiting_bytes > BACKLOG_BYTES_MAX {
            return Err(Gone);
        }
        Ok(())
    }
}

fn is_ready<E>(poll: Poll<Result<(), E>>) -> Result<bool, Gone> {
    match poll {
        Poll::Ready(Ok(())) => Ok(true),
        Poll::Ready(Err(_)) => Err(Gone),
        Poll::Pending => Ok(false),
    }
}

/// [`Library::disconnect`] for a library that gives its socket.
pub fn shut_down(socket: &TcpStream) {
    // Fails only where the connection has ended already.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// One member from joining to leaving: each of its messages is published.
pub async fn broadcast<S, M, E>(hub: Rc<Hub<S, M>>, member: S)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin + 'static,
    M: Clone + 'static,
{
    let member = Rc::new(RefCell::new(member));
    let number = hub.join(Rc::clone(&member));
    poll_fn(|context| {
        loop {
            let next = Pin::new(&mut *member.borrow_mut()).poll_next(context);
            match next {
                Poll::Ready(Some(Ok(message))) => {
                    if (hub.library.data_bytes)(&message).is_some() {
                        hub.publish(message);
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => {
                    hub.reader_polled();
                    return Poll::Pending;
                }
            }
        }
    })
    .await;
    hub.leave(number);
}

/// Sends every message back: reads all messages that have arrived, then queues all replies
/// and flushes once. (tokio-websockets flushes whenever it reads while something is
/// queued, so nothing is queued before everything is read.)
pub async fn echo<S, M, E>(socket: S, data_bytes: fn(&M) -> Option<usize>)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    let mut echo = Echo {
        socket,
        data_bytes,
        replies: VecDeque::new(),
    };
    // Every ending is the end of the client.
    let _ = poll_fn(|context| echo.poll(context)).await;
}

/// Maximum of waiting replies of one connection; beyond it the connection is not read.
const REPLIES_MAX: usize = 1024;

struct Echo<S, M> {
    socket: S,
    data_bytes: fn(&M) -> Option<usize>,
    replies: VecDeque<M>,
}

impl<S, M, E> Echo<S, M>
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Gone> {
        loop {
            let read = self.read(context);
            if !self.reply(context) {
                return match read {
                    Poll::Ready(Err(Gone)) => Poll::Ready(Gone),
                    _ => Poll::Pending,
                };
            }
            match read {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Gone)) => return Poll::Ready(Gone),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// All messages that have arrived, or as many as may wait.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while self.replies.len() < REPLIES_MAX {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(message)) if (self.data_bytes)(&message).is_some() => {
                    self.replies.push_back(message);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether all replies have been written. The next read reports an error.
    fn reply(&mut self, context: &mut Context<'_>) -> bool {
        self.try_reply(context).unwrap_or_else(|Gone| {
            self.replies.clear();
            true
        })
    }

    fn try_reply(&mut self, context: &mut Context<'_>) -> Result<bool, Gone> {
        let mut socket = Pin::new(&mut self.socket);
        while !self.replies.is_empty() && is_ready(socket.as_mut().poll_ready(context))? {
            if let Some(reply) = self.replies.pop_front() {
                socket.as_mut().start_send(reply).map_err(|_| Gone)?;
            }
        }
        let is_flushed = is_ready(socket.as_mut().poll_flush(context))?;
        Ok(is_flushed && self.replies.is_empty())
    }
}
