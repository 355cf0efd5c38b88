//! Tests of the chat.
//! [`tests/README.md`](../README.md) is the index.

#![cfg(all(feature = "chat", feature = "client"))]

mod access;
mod cluster;
mod http_api;
mod person;
mod protocol;
mod resume;
mod rooms;
