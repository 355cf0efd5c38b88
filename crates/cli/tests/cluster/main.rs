//! Three servers, one Redis: what `docs/cluster.md` promises, with processes that are killed and stopped.
//!
//! ```text
//!   cargo test -p yamabiko-cli --test cluster                          the short form: seconds for each fault
//!   TEST_CLUSTER_PROOF=600 cargo test --release -p yamabiko-cli --test cluster proof:: -- --test-threads 1
//!                                                                      300 members, 30 publishers, ten minutes for each fault
//! ```
//!
//! The long form writes a file for each fault that it has finished, in `target/cluster-proof/`, and passes over those that are there.

#![cfg(all(target_os = "linux", feature = "cluster"))]

mod checker;
mod command_line;
mod nodes;
mod proof;
mod setup;
