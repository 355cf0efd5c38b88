//! Nodes of one Redis: servers of this process, clients over real sockets, and a real `redis-server` for each test.
//!
//! The proof with processes of the program that are killed, and with many clients, is `crates/cli/tests/cluster/`.

mod degradation;
mod failures;
mod node;
mod rooms;
#[cfg(feature = "tls")]
mod tls;
