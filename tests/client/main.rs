//! Tests of the client.
//! [`tests/README.md`](../README.md) is the index.

#![cfg(feature = "client")]

mod blocking;
mod proxy;
mod reconnecting;
mod streams;
#[cfg(feature = "tls")]
mod tls;
