//! Tests of the fan-out.
//! [`tests/README.md`](../README.md) is the index.

#![cfg(feature = "server")]

mod model;
