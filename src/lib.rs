//! WebSocket (RFC 6455) in Rust, written by hand to be read: a protocol core without I/O, a
//! broadcast server, and a client.
//!
//! - **A server**: implement the trait `server::Handler`, and run it with `server::Server`. A
//!   published message is encoded once for all subscribers of a room.
//! - **A client**: `client::Client` connects, sends and reads, on one or two threads.
//! - **The protocol for any I/O**: [`websocket::Connection`] takes bytes and returns events,
//!   without sockets, clocks or threads.
//!
//! ```
//! use yamabiko::websocket::{Connection, Event, Limits};
//!
//! let mut server = Connection::server(Limits::default());
//! let mut replies = Vec::new(); // for the socket: pongs, Close
//! let mut bytes = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; // from the socket
//! let mut input = &mut bytes[..];
//! let event = server.receive(&mut input, &mut replies)?;
//! assert_eq!(event, Some(Event::Text("Hello".into()))); // a slice of `bytes`
//! # Ok::<(), yamabiko::websocket::ProtocolError>(())
//! ```
//!
//! # Features
//!
//! | feature | contents | default |
//! |---|---|---|
//! | (none) | [`websocket`], [`http`](mod@http) and [`time`]: the protocols, for any I/O; `no_std`, with `alloc` | always |
//! | `std` | masks and checks UTF-8 by the instructions that the processor turns out to have | yes |
//! | `deflate` | permessage-deflate ([`websocket::deflate`]); enables `std` | yes |
//! | `server` | `server` and `reactor`: the server, and the trait for applications | yes |
//! | `client` | `client`: the blocking client | yes |
//! | `reactor` | `reactor`: the event loop on `mio` alone | with `server` |
//! | `chat` | `chat`: the chat application on the server; enables `server` and `tokens` | no |
//! | `tokens` | `tokens`: JSON Web Tokens and shared keys, checked for the server or any other program; enables `std` | no |
//! | `tracing` | `server` reports ends of connections, refusals and limits as events of the crate `tracing`; enables `server` | no |
//! | `http` | the opening handshake on the types of the crate `http` ([`websocket::handshake`]) | no |
//! | `internals` | `broadcast`: the fan-out inside the server, for its tests and benchmarks | no |
//!
//! `server`, `client` and `http` enable `std`; `server` and `client` enable `deflate`. With
//! `default-features = false` the crate is the protocol alone, for programs without an operating
//! system: it needs a global allocator, and nothing else.
//! The program `yamabiko`, the load generator and the conformance suite are separate crates,
//! `yamabiko-cli`, `yamabiko-load` and `yamabiko-conform`.
//!
//! # What stays
//!
//! The public items follow [Semantic Versioning](https://semver.org/spec/v2.0.0.html), with two
//! exceptions: `chat` is an application, which changes with the program `yamabiko`; and what is
//! behind the feature `internals` may change in any release. Errors and events are
//! `#[non_exhaustive]`: a later version can add kinds and fields.
//!
//! # Layers
//!
//! Each module is a layer that can be read on its own. A layer uses only the layers below it.
//!
//! ```text
//!     chat       the chat application
//!       │
//!     server     connections, rooms ──────┐        client   blocking I/O
//!       │                                 │           │
//!   reactor   broadcast                   └─ websocket ┘   RFC 6455 and RFC 7692, without I/O
//!   sockets,  logs and                           │
//!   timers    cursors                          http        HTTP/1.1, without I/O
//! ```
//!
//! | module | what it is | what it does not know |
//! |---|---|---|
//! | [`websocket`] | the protocol for both roles: handshake, frames, messages, compression, deadlines | sockets, clocks, threads, randomness |
//! | [`http`](mod@http) | HTTP/1.1: requests with bodies, responses, conditional requests | sockets, clocks, WebSocket frames |
//! | [`time`] | points in time, counted in milliseconds | |
//! | `proxy` | what a proxy tells of a client, and when that is believed | sockets, WebSocket |
//! | `tokens` | what a client may do, by the token of its request | sockets, clocks, WebSocket |
//! | `tls` | TLS for both roles, by rustls | sockets, HTTP, WebSocket |
//! | `broadcast` | fan-out: a room's log, the cursors of its subscriptions, a connection's write queue | frames, sockets, clocks |
//! | `reactor` | the event loop: sockets, timers, messages between threads | WebSocket, rooms |
//! | `server` | sessions, rooms, workers, lag policies, limits, metrics, plain HTTP on the same port | applications |
//! | `client` | a blocking client on the same core | the server |
//! | `chat` | an application on `server`'s public handler trait | bytes on the wire |

#![forbid(unsafe_code)]
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

#[cfg(all(feature = "server", feature = "internals"))]
pub mod broadcast;
// What only its tests and benchmarks use is not used then.
#[cfg(all(feature = "server", not(feature = "internals")))]
#[allow(dead_code, unused_imports)]
mod broadcast;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(feature = "client")]
pub mod client;
pub mod http;
#[cfg(feature = "server")]
pub mod proxy;
#[cfg(feature = "reactor")]
pub mod reactor;
mod read_buffer;
#[cfg(feature = "server")]
pub mod server;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tokens")]
pub mod tokens;
#[cfg(any(feature = "server", feature = "client"))]
mod traffic;
// Without compression some of its parts are not used.
#[cfg_attr(
    not(feature = "deflate"),
    allow(dead_code, unreachable_code, unused_variables)
)]
pub mod websocket;

/// The README's examples are compiled and run as tests.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is that of the README in Japanese.
#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.ja.md")]
struct ReadmeInJapanese;

/// So is that of the page about TLS.
#[cfg(all(doctest, feature = "server", feature = "tls"))]
#[doc = include_str!("../docs/tls.md")]
struct TlsPage;

/// So is that of the page about tokens.
#[cfg(all(doctest, feature = "server", feature = "tokens"))]
#[doc = include_str!("../docs/access.md")]
struct AccessPage;

/// So are those of the book in docs.
#[cfg(all(doctest, feature = "server", feature = "client"))]
mod book {
    macro_rules! pages {
        ($($name:ident: $file:literal,)*) => {
            $(#[doc = include_str!(concat!("../docs/", $file))] struct $name;)*
        };
    }
    pages! {
        ByteByByte: "learn/byte-by-byte.md",
        Closing: "learn/closing.md",
        Compression: "learn/compression.md",
        Fragments: "learn/fragments.md",
        Frames: "learn/frames.md",
        KeepAlive: "learn/keep-alive.md",
        Masking: "learn/masking.md",
        OpeningHandshake: "learn/opening-handshake.md",
        Utf8: "learn/utf8.md",
        WhoMayConnect: "learn/who-may-connect.md",
        Authentication: "guides/authentication.md",
        BlockingSockets: "guides/blocking-sockets.md",
        Client: "guides/client.md",
        Handler: "guides/handler.md",
        Memory: "guides/memory.md",
        TestingAHandler: "guides/testing-a-handler.md",
        WithoutStd: "guides/without-std.md",
        History: "history.md",
        ComingFrom: "coming-from.md",
    }
}
