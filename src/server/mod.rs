//! The server: where the protocol, the fan-out and the event loop meet.
//!
//! ```text
//!                 ┌──────────────── worker (one thread) ───────────────┐
//!   clients ◀──▶  │ reactor ──bytes──▶ session ──events──▶ handler     │
//!                 │    ▲                  │                   │        │
//!                 │    └──── flush ◀── outbox, room logs ◀── publish   │
//!                 └──────────────────────────▲─────────────────────────┘
//!                                            │ mail, in batches
//!                                      other workers
//! ```
//!
//! An application implements [`Handler`] and runs it:
//!
//! ```no_run
//! use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
//!
//! /// Whatever anyone says, everyone hears.
//! struct Megaphone;
//!
//! impl Handler for Megaphone {
//!     type Session = ();
//!
//!     fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
//!         Ok(Admission::new(()))
//!     }
//!     fn opened(&self, _session: &mut (), context: &mut Context<'_>) {
//!         context.join("everyone");
//!     }
//!     fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
//!         context.publish("everyone", message);
//!     }
//! }
//!
//! let server = Server::bind(Config::default(), Megaphone)?;
//! println!("listening on {}", server.local_address());
//! server.run()?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What is absent: the chat, any parsing, any system call.

mod config;
mod context;
mod ending;
mod established;
mod handler;
mod mail;
mod opening;
mod publisher;
mod rooms;
mod session;
mod worker;

pub use crate::websocket::frame::CloseCode;
pub use crate::websocket::handshake::{
    HeadLimits, Refusal, RequestHead, Response, Status, Upgrade,
};
pub use crate::websocket::{Limits, ProtocolError};
pub use config::{Config, Origins};
pub use context::{Context, SendError};
pub use handler::{Admission, Closed, Failure, Handler, Message};
pub use mail::ConnectionId;
pub use publisher::{MailboxFull, Publisher};

use crate::reactor::{Mailbox, Reactor, ReactorConfig, listen};
use mail::{Mail, Post};
use rooms::Rooms;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use worker::Worker;

/// A server that is bound to its address and not running yet.
pub struct Server<H: Handler> {
    local_address: SocketAddr,
    workers: Vec<(Reactor<Mail>, Worker<H>)>,
    handle: ServerHandle,
}

impl<H: Handler> Server<H> {
    /// Binds the address and prepares the workers. Clients that connect from
    /// now on wait until [`Server::run`].
    ///
    /// # Errors
    /// The address is in use or not ours, or the system is out of descriptors.
    pub fn bind(config: Config, handler: H) -> io::Result<Server<H>> {
        let listeners = listen_for_each(&config)?;
        let local_address = listeners
            .first()
            .map_or(Ok(config.listen), |l| l.local_addr())?;
        let mut reactors = Vec::new();
        for listener in listeners {
            reactors.push(Reactor::new(ReactorConfig {
                listener: Some(listener),
                mailbox_capacity: config.mailbox_capacity,
                connections_max: config.connections_max,
                ..ReactorConfig::default()
            })?);
        }
        let mailboxes: Vec<_> = reactors.iter().map(Reactor::mailbox).collect();
        let (config, handler) = (Arc::new(config), Arc::new(handler));
        let workers = reactors.into_iter().enumerate().map(|(index, reactor)| {
            let post = Post::new(mailboxes.clone(), config.mailbox_capacity);
            let rooms = Rooms::new(index, post);
            (
                reactor,
                Worker::new(index, handler.clone(), config.clone(), rooms),
            )
        });
        let workers = workers.collect();
        Ok(Server {
            local_address,
            workers,
            handle: ServerHandle { mailboxes },
        })
    }

    /// Where clients can connect: the port that was taken if port 0 was asked.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Stops the server from another thread.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Publishes from threads that serve no connection.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.handle.mailboxes.clone())
    }

    /// Serves until [`ServerHandle::shutdown`], the first worker on this thread
    /// and the others on threads of their own.
    ///
    /// # Errors
    /// A thread cannot be started, or the system's polling fails.
    pub fn run(self) -> io::Result<()> {
        let Server {
            workers, handle, ..
        } = self;
        thread::scope(|scope| {
            let mut workers = workers.into_iter().enumerate();
            let first = workers.next();
            let mut threads = Vec::new();
            for (index, (mut reactor, mut worker)) in workers {
                let named = thread::Builder::new().name(format!("yamabiko-{index}"));
                let started = named.spawn_scoped(scope, move || reactor.run(&mut worker));
                threads.push(started.inspect_err(|_| handle.shutdown())?);
            }
            let mut result = Ok(());
            if let Some((_, (mut reactor, mut worker))) = first {
                result = reactor.run(&mut worker).inspect_err(|_| handle.shutdown());
            }
            for thread in threads {
                let ended = thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(ended);
            }
            result
        })
    }
}

/// Reaches a running server from other threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    mailboxes: Vec<Mailbox<Mail>>,
}

impl ServerHandle {
    /// Stops the server gracefully: no new connections, a Close with 1001 to
    /// every client, and a wait for them of at most
    /// [`Config::drain_timeout`]. Then [`Server::run`] returns. Does not wait
    /// itself; calling it again changes nothing.
    pub fn shutdown(&self) {
        for mailbox in &self.mailboxes {
            // A full mailbox is being emptied by its worker.
            while mailbox.post(Mail::Stop).is_err() {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// A listening socket for each worker; the kernel spreads the clients.
fn listen_for_each(config: &Config) -> io::Result<Vec<std::net::TcpListener>> {
    let workers = config.workers.get();
    if workers == 1 {
        return Ok(vec![listen(config.listen, false)?]);
    }
    // With SO_REUSEPORT another server's socket would not be in the way: ask
    // without it first, so that a port in use is an error.
    drop(listen(config.listen, false)?);
    let first = listen(config.listen, true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers {
        listeners.push(listen(address, true)?);
    }
    Ok(listeners)
}
