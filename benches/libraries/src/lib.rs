//! Other WebSocket libraries beside yamabiko with the same bytes, without a socket.
//!
//! | file | measured |
//! |---|---|
//! | `receive.rs` | bytes from a socket become messages, as server |
//! | `send.rs` | messages become bytes on a socket, as server and as client |
//! | `open.rs` | the opening handshake, as server and as client |
//! | `wire.rs` | the replacements for sockets |
//!
//! Each library is set up as its documentation recommends, with its default buffers, and
//! without timers and compression. Asynchronous code is polled directly, without a runtime.

mod at_once;
#[path = "../../input/mod.rs"]
pub mod input;
pub mod open;
pub mod receive;
pub mod send;
mod wire;

pub use wire::{Arrival, Departure, Drain, Script, Wire};
