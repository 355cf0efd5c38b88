//! RFC 6455 WebSocket, written by hand to be read, and a server that says one
//! thing to many clients as cheaply as the kernel allows.
//!
//! The crate is a house of layers; each folder is a chapter that can be read
//! without opening the ones beside it.
//!
//! | module | what it is | what it never knows |
//! |---|---|---|
//! | [`websocket`] | the protocol, sans-IO, both roles | sockets, clocks, threads, randomness |
//! | `broadcast` | the fan-out: a room's log and its members' cursors | frames, sockets, clocks |
//! | `reactor` | the event loop: moves bytes and time | WebSocket, rooms |
//! | `server` | where these meet: sessions, workers, HTTP on the same port | the chat |
//! | `chat` | the chat application, on `server`'s public handler trait | bytes on the wire |
//! | `client` | a blocking client on the same core | the server |

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
pub mod websocket;

/// The README's examples are compiled and run as tests.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
