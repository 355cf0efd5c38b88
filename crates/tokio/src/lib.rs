#![doc = include_str!("../README.md")]
// The files:
//
// | file | contents |
// |---|---|
// | `websocket.rs`, `split.rs` | a connection as one value, and as two halves |
// | `accept.rs`, `connect.rs`, `read_more.rs` | the opening handshake of a server and of a client |
// | `client_stream.rs`, `tls.rs` | the stream of a client: TCP, and TLS for `wss` |
// | `reconnect.rs` | a client that connects again |
// | `input.rs`, `endpoint.rs`, `write_queue.rs` | the protocol core on a stream: its polls, which need no future |
// | `buffers.rs` | read buffers, a few for each thread |
// | `timer.rs`, `options.rs`, `error.rs` | deadlines, settings, errors |
// | `futures_io.rs`, `hyper.rs`, `axum.rs` | streams of other crates |

mod accept;
#[cfg(feature = "axum")]
pub mod axum;
mod buffers;
#[cfg(feature = "client")]
mod client_stream;
#[cfg(feature = "client")]
mod connect;
mod endpoint;
mod error;
#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
pub mod hyper;
mod input;
mod options;
mod read_more;
#[cfg(feature = "client")]
mod reconnect;
mod split;
mod timer;
#[cfg(feature = "tls")]
mod tls;
mod websocket;
mod write_queue;

pub use accept::{AcceptError, Acceptor, accept};
#[cfg(feature = "client")]
pub use client_stream::ClientStream;
#[cfg(feature = "client")]
pub use connect::{Connector, connect};
pub use error::Error;
#[cfg(feature = "futures-io")]
pub use futures_io::FuturesIo;
pub use options::Options;
#[cfg(feature = "client")]
pub use reconnect::ReconnectingClient;
pub use split::{Reader, Writer};
pub use timer::{Sleep, Timer};
pub use websocket::{Replies, WebSocket};

pub use yamabiko;
