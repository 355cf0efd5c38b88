//! The test harness of the workspace: what the tests of several crates and the fuzz
//! targets share. Not published.
//!
//! | module | what is in it | used by |
//! |---|---|---|
//! | [`waiting`] | waiting for a fact, with a bound | every test with threads, sockets or processes |
//! | [`protocol`] | frames by hand, an endpoint under test, a rule for both roles | tests of the core |
//! | [`deflate`], [`inflate`] | compressed messages for the endpoint; an inflater of its own | tests of compression |
//! | [`socket`] | a server on a port of its own, a client that speaks bytes, an application that obeys the test | tests of the server, the chat and the load generator |
//! | [`properties`] | what must hold for every input | fuzz targets and their replay |
//!
//! `tests/README.md` is the index of the tests.

#![forbid(unsafe_code)]

pub mod deflate;
pub mod inflate;
pub mod properties;
pub mod protocol;
pub mod socket;
pub mod waiting;
