//! A blocking WebSocket client over `std::net`, on the same protocol core as the
//! server.
//!
//! ```no_run
//! use yamabiko::client::{Client, CloseCode, OwnedMessage};
//!
//! let mut client = Client::connect("ws://127.0.0.1:9001/")?;
//! client.send("やまびこ")?;
//! while let Some(message) = client.read()? {
//!     if let OwnedMessage::Text(text) = message {
//!         println!("{text}");
//!         client.close(CloseCode::NORMAL)?;
//!     }
//! }
//! # Ok::<(), yamabiko::client::ClientError>(())
//! ```
//!
//! # One thread or two
//!
//! One thread can use both directions ([`Client`]), or each direction has its own
//! thread ([`Client::split`]): one [`Reader`] and any number of [`Writer`]s. The
//! reader answers the server's pings and its Close, so keep reading even if no
//! message is expected.
//!
//! ```text
//!                    ┌── lock ────────────────────────┐
//!   socket ──64 KiB──▶ Connection ──▶ event           │──▶ Reader
//!                    │     │ Pong, Close              │
//!   socket ◀── batch ──────┴── SendBuffer ◀── frame ──│◀── Writer, Writer, …
//!                    └────────────────────────────────┘
//! ```
//!
//! No thread sleeps in a system call while it holds the lock, and the reader never
//! waits for a write. So a server that echoes everything blocks neither half while
//! the other one works. A single thread can block in [`Client::send`] if the server
//! stops reading until its own messages are read: then split the client, or set a
//! write timeout.
//!
//! # How a connection closes
//!
//! RFC 6455 §7.1: each side sends a Close frame, and the server closes TCP first.
//!
//! ```text
//!   client                                   server
//!     │ ──────── Close 1000 ─────────────────▶ │   close(); no more messages from here
//!     │ ◀─────── messages under way ────────── │   Reader::read returns them, Client::close discards them
//!     │ ◀─────── Close 1000 ────────────────── │
//!     │ ◀─────── FIN ───────────────────────── │   the client waits for it: TIME_WAIT
//!     │ ──────── FIN ────────────────────────▶ │   stays with the server
//! ```
//!
//! All of it must be complete within the close timeout. [`Ended`] tells which side
//! began, and the code and reason of both Closes.
//!
//! # Costs and limits
//!
//! A client takes a buffer of 64 KiB (up to 320 KiB while it receives larger messages on
//! Linux), two more allocations, and no thread. A message is
//! copied once into its [`OwnedMessage`], and not at all by [`Client::read_with`] and
//! [`Reader::read_with`]. A message of any length passes through the same buffer if the
//! client hands it out in pieces ([`ClientBuilder::pieces`]) or sends it in fragments
//! ([`Client::send_fragment`]).
//! With the feature `tls` the client speaks `wss` (`ClientBuilder::tls`). Not supported: cookies, redirects.
//!
//! # A stream of the caller's own
//!
//! [`ClientBuilder::connect_on`] takes a connected socket, TCP or Unix, and returns the same [`Client`].
//! [`ClientBuilder::connect_over`] takes any stream that can be read and written, and returns a [`StreamClient`].

// The files of this module:
//
// | file | contents |
// |---|---|
// | `blocking.rs` | [`Client`] and [`ClientBuilder`] |
// | `options.rs` | the settings of a connection |
// | `opening.rs`, `permit.rs` | resolve, connect, opening handshake; one at a time for each address |
// | `reader.rs`, `writer.rs`, `progress.rs` | the two halves; how far the reading one has come |
// | `stream_client.rs` | the client on any stream |
// | `shared.rs`, `protocol.rs`, `send_buffer.rs` | their shared state and its deadlines, and which thread may write |
// | `stream.rs`, `transport.rs`, `secure.rs`, `tls.rs`, `waits.rs` | the socket; TLS over it; `traffic.rs`: what observes the bytes |
// | `reconnecting.rs`, `retry.rs`, `backoff.rs` | connecting again: the client, whether, and when |
// | `random.rs` | random bytes for handshakes, masking keys and pauses |
// | `unconfirmed.rs` | messages that the server may not have received |
// | `error.rs` | all errors |

mod backoff;
mod blocking;
mod error;
mod opening;
mod options;
mod permit;
mod progress;
mod protocol;
pub mod random;
mod reader;
mod reconnecting;
mod retry;
mod secure;
mod send_buffer;
mod shared;
mod stream;
mod stream_client;
#[cfg(feature = "tls")]
mod tls;
mod traffic;
mod transport;
mod unconfirmed;
mod waits;
mod writer;

pub use backoff::Backoff;
pub use blocking::{Client, ClientBuilder};
pub use error::{ClientError, HttpRefusal, Step};
pub use permit::{AcquirePermit, ConnectPermit, RemoteHost};
pub use reader::Reader;
pub use reconnecting::{Received, ReconnectingClient};
pub use retry::Retry;
pub use stream::ConnectedSocket;
pub use stream_client::StreamClient;
pub use unconfirmed::Unconfirmed;
pub use writer::Writer;

pub use crate::traffic::Traffic;
pub use crate::websocket::{AsMessage, CloseCode, CloseFrame, Ended, Message, OwnedMessage, Side};
