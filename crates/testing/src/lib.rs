//! The test harness that the tests of several crates and the fuzz targets share. It is not
//! published.
//!
//! | module | content | used by |
//! |---|---|---|
//! | [`waiting`] | waiting for a condition, with a time limit | every test with threads, sockets or processes |
//! | [`protocol`] | handwritten frames, an endpoint under test, rules for both roles | tests of the core |
//! | [`deflate`], [`inflate`] | compressed messages for the endpoint; the inflater of the conformance suite | tests of compression |
//! | [`engine`] | a simulated engine of the backplane, shared by several servers | tests of the backplane |
//! | [`socket`] | a server on its own port, a client of raw bytes, an application that executes commands | tests of the server, the chat and the load generator |
//! | `tls` | certificates of an authority, a client through TLS (feature `tls`) | tests of TLS |
//! | [`program`] | the program as a process: its memory, its descriptors, its panics | `tests/robustness/` |
//! | [`redis`], [`network`] | a Redis of one test; a network that can be cut | tests of the cluster |
//! | [`descriptors`] | a higher limit of open files | tests with some hundred sockets |
//! | [`port`] | ports on which nobody listens, or that a program gets again | tests of refused connections, of restarts and of the cluster |
//! | [`properties`] | properties that hold for every input | fuzz targets and their replay |
//!
//! `tests/README.md` is the index of the tests.

#![forbid(unsafe_code)]

pub mod deflate;
pub mod descriptors;
pub mod engine;
pub mod inflate;
pub mod network;
pub mod port;
pub mod program;
pub mod properties;
pub mod protocol;
pub mod redis;
pub mod socket;
/// DEFLATE of the conformance suite, as a reference for the library's own: its tests compare it with
/// another implementation. Its source is compiled here because a dependency on the suite would bring
/// its sockets and its TLS into the fuzz targets.
#[allow(dead_code, unused_imports, reason = "the suite uses more of it")]
#[path = "../../conform/src/deflate/mod.rs"]
mod suite_deflate;
#[cfg(feature = "tls")]
pub mod tls;
pub mod waiting;
