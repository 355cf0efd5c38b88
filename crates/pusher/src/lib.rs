//! A server for Pusher clients, on the public API of yamabiko's server.
//!
//! Pages subscribe to channels by `pusher-js` or Laravel Echo, and web servers publish events by HTTP with the library of their
//! language. With an app's id, key and secret, all of that works against this server: only host and port are to be changed.
//! `docs/pusher.md` of the repository describes how; [`Pusher`] is the handler.
//!
//! # How it works
//!
//! ```text
//!   page ──WebSocket──▶ messages ──▶ subscribing ─────▶ channels: who is where     ──▶ rooms of the server
//!                          │    └──▶ client events ──────────────────────────────▶      │
//!                          └───────▶ signing in ──────▶ users                           ▼
//!   web server ──HTTP──▶ api ──▶ publishing ──────────▶ cache ──────────────────▶ all subscribers
//! ```
//!
//! A channel is a room of the server. An event is encoded once, and goes into the room's log as every broadcast does.
//!
//! | file | content |
//! |---|---|
//! | `wire.rs` | the facts of the protocol, and its messages as types |
//! | `app.rs`, `limits.rs`, `counts.rs` | an app: settings, limits, counts |
//! | `name.rs`, `socket_id.rs`, `signature.rs` | names of channels and connections; signatures |
//! | `members.rs`, `channels.rs`, `cache.rs`, `users.rs` | who is where; kept events; signed-in users |
//! | `due_counts.rs`, `subscription_counts.rs` | telling subscribers how many they are |
//! | `app_state.rs`, `connection.rs` | all that is kept for an app, and for a connection |
//! | `app_cluster.rs`, `cluster.rs` | what the other nodes are told, and what they tell |
//! | `subscribing.rs`, `client_events.rs`, `signing_in.rs`, `messages.rs` | what a client can do |
//! | `api/` | the HTTP API |
//! | `webhooks/` | what happens, sent to the web server |
//! | `properties.rs` | properties of the parsers, for the fuzz targets |
//! | `handler.rs` | the handler |
//!
//! It sees no frame, no socket and no thread of the server. Time is an input, read in `handler.rs` and `messages.rs`.

#![forbid(unsafe_code)]

mod api;
mod app;
mod app_cluster;
mod app_state;
mod cache;
mod channels;
mod client_events;
mod cluster;
mod connection;
mod counts;
mod due_counts;
mod handler;
mod limits;
mod members;
mod messages;
mod name;
#[cfg(feature = "internals")]
pub mod properties;
mod signature;
mod signing_in;
mod socket_id;
mod subscribing;
mod subscription_counts;
mod users;
mod webhooks;
mod wire;

pub use app::{App, InvalidApp};
pub use counts::AppCounts;
pub use handler::{CountsReader, Pusher, Session};
pub use limits::AppLimits;
pub use webhooks::{InvalidWebhook, Webhook, WebhookKind};

/// The README's example is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
