//! Tests of the event loop, on the loopback interface.
//! [`tests/README.md`](../README.md) is the index.

#![cfg(feature = "reactor")]

mod event_loop;
