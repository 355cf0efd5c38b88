//! The adapter between two ends of a pipe in memory, and over sockets.

mod cancel;
mod connection;
mod deadlines;
mod examples;
#[cfg(all(unix, feature = "futures-io"))]
mod futures_io;
mod opening;
mod pipe;
mod reconnect;
mod split;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "axum")]
mod upgrade;
