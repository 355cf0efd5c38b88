//! WebSocket, byte by byte: a page that takes a connection apart, on the public API of yamabiko's server.
//!
//! A browser shows a page no bytes of its WebSocket. So the page has an *outer* connection to the server, and each session keeps an
//! *inner* connection: both of its ends, as the core has them, without a socket between them. The page sends commands; the session carries
//! the bytes from one end to the other and reports what each end made of them. `docs/learn/playground.md` of the repository shows the page.
//!
//! # How it works
//!
//! ```text
//!   page ◀── outer WebSocket: commands, reports (JSON) ──▶ Playground, the handler
//!                                                              │
//!                                                           Session ── opening ─▶ request → 101 or a refusal
//!                                                              │
//!                                          Wire: Connection (client) ◀── bytes ──▶ Connection (server), an echo
//!                                                              │
//!                                          dissect: bytes → parts with their meaning
//! ```
//!
//! | file | content |
//! |---|---|
//! | `messages.rs` | the commands and the reports as types |
//! | `hexadecimal.rs` | bytes as text |
//! | `dissect.rs` | the parts of a frame, legal or not, with their meaning |
//! | `wire.rs` | the two ends of the inner connection, and the bytes between them |
//! | `rules.rs` | the sentence of the RFC behind a refused request |
//! | `opening.rs` | a request as text: the response, and the meaning of each line |
//! | `examples.rs` | frames and requests to begin with |
//! | `session.rs` | what is kept for a page; commands into reports |
//! | `rate.rs`, `limits.rs` | how much one page, and all together, may ask for |
//! | `page.rs` | the files of the page |
//! | `handler.rs` | the handler |
//!
//! It costs nothing while nobody has the page open. A session has at most some 20 KiB, and with compression the two compressors of
//! DEFLATE. It reads no file, no socket and, apart from the rate of commands, no clock.

#![forbid(unsafe_code)]

mod dissect;
mod examples;
mod handler;
mod hexadecimal;
mod limits;
mod messages;
mod opening;
mod page;
mod rate;
mod rules;
mod session;
mod wire;

pub use handler::{Playground, PlaygroundSession};
pub use session::Session;

/// The README's example is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
