//! Tests of the server, over sockets. `memory.rs` is a binary of its own.
//! [`tests/README.md`](../README.md) is the index.

#![cfg(feature = "server")]

mod accept;
mod admission;
mod backplane;
mod backpressure;
mod closing;
mod cluster;
mod connection_handles;
mod deadlines;
mod deflate;
mod draining;
mod handed_in;
mod handshake;
mod history;
mod hosts;
mod http;
mod http_connections;
mod lag;
mod limits;
// Most of it is about Unix sockets.
#[cfg_attr(not(unix), allow(dead_code, unused_imports))]
mod listeners;
mod live_config;
mod metrics;
mod observers;
mod ordering;
mod overload;
mod panics;
mod pieces;
mod proxies;
mod publisher_waits;
mod rates;
mod room_counts;
mod rooms;
mod smuggling;
mod timers;
mod tls;
#[cfg(feature = "tokens")]
mod tokens;
