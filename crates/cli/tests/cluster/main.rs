//! Three servers, one Redis: what `docs/cluster.md` promises, with processes that are killed and stopped.
//!
//! ```text
//!   cargo test -p yamabiko-cli --test cluster                          the short form: seconds for each fault
//!   TEST_CLUSTER_PROOF=600 cargo test --release -p yamabiko-cli --test cluster proof:: -- --test-threads 1
//!                                                                      300 members, 30 publishers, ten minutes for each fault
//! ```
//!
//! The long form has a file for each fault in `target/tmp/cluster-proof/`, with what was done so far, and adds each run to it. So it can be
//! stopped at any time: the next one goes on with the rest, and passes over faults that have had all their time.

#![cfg(all(target_os = "linux", feature = "cluster"))]

mod apps;
mod chat;
mod checker;
mod command_line;
mod nodes;
mod proof;
mod rolling;
mod setup;
