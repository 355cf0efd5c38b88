//! RFC 6455 WebSocket, written by hand to be read, and a server that says one
//! thing to many clients as cheaply as the kernel allows.
//!
//! Each module is a layer that can be read without the ones beside it:
//!
//! | module | feature | what it is | what it never knows |
//! |---|---|---|---|
//! | [`websocket`] | always there | the protocol, sans-IO, both roles | sockets, clocks, threads, randomness |
//! | [`time`] | always there | a point in time, as the protocol and the event loop count it | everything else |
//! | `broadcast` | `server` (default) | the fan-out: a room's log and its members' cursors | frames, sockets, clocks |
//! | `reactor` | `reactor` (with `server`) | the event loop: moves bytes and time | WebSocket, rooms |
//! | `server` | `server` (default) | where these meet: sessions, workers, HTTP on the same port | the chat |
//! | `client` | `client` (default) | a blocking client on the same core | the server |
//! | `chat` | `chat` | the chat application, on `server`'s public handler trait | bytes on the wire |
//!
//! With `default-features = false` there is the protocol alone: no `mio`, no sockets.
//! The program `yamabiko` and the load generator are crates of their own.

#![forbid(unsafe_code)]

#[cfg(feature = "server")]
pub mod broadcast;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "reactor")]
pub mod reactor;
#[cfg(feature = "server")]
pub mod server;
pub mod time;
pub mod websocket;

/// The README's examples are compiled and run as tests.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
