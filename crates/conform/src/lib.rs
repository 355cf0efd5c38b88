//! A conformance suite for WebSocket implementations of any language (RFC 6455, RFC 7692): a
//! verdict for each rule, with the sentence of the RFC that decides.
//!
//! `yamabiko conform` is this crate on the command line; `docs/conform.md` of the repository
//! describes the cases, the verdicts and the reports. The suite is on raw frames and sockets,
//! with a writer and a strict reader of its own. It uses nothing of the library `yamabiko`, so
//! that it shares no fault with it.
//!
//! ```no_run
//! use yamabiko_conform::{Depth, Interrupt, Level, Plan, test_server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plan = Plan::new().depth(Depth::Quick).only("utf8/*");
//! let report = test_server(&plan, "ws://127.0.0.1:9001/", &Interrupt::new(), |_progress| {})?;
//! println!("{report}");
//! assert!(!report.has_failed(Level::Must));
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! ```text
//!   cases/ ──▶ Case ──▶ runs: a Script each ──▶ player ⇄ peer
//!                                                 │
//!               Report ◀── verdict of the case ◀──┘ outcome and transcript
//! ```
//!
//! A case is one rule. Its runs are scripts, one connection each: frames to send, and what must
//! happen. The player sends, reads strictly, and compares. A case fails if one of its runs
//! fails.
//!
//! | file | content |
//! |---|---|
//! | `cases/` | the cases, a file for each subject |
//! | `case.rs`, `script.rs`, `peer.rs` | what a case and a script are made of |
//! | `rules.rs`, `rules.tsv` | the sentences of the RFCs |
//! | `frame.rs`, `http.rs` | the writers, which can break every rule; the reader of heads |
//! | `extension.rs`, `deflate/` | permessage-deflate: parameters, and DEFLATE that is measured |
//! | `reader.rs` | the strict reader of frames |
//! | `player.rs`, `socket.rs`, `transport.rs` | a script on a connection, of TCP or TLS |
//! | `plan.rs`, `suite.rs` | which cases are run |
//! | `server.rs`, `url.rs`, `client.rs` | against which peer |
//! | `report.rs`, `table.rs`, `transcript.rs`, `words.rs`, `catalogue.rs` | the results |
//! | `junit.rs`, `html.rs`, `index.rs`, `baseline.rs`, `spec.rs` | other forms of the report; files of the Autobahn suite |
//! | `interrupt.rs`, `progress.rs`, `error.rs`, `random.rs` | the edges of a run |

#![forbid(unsafe_code)]

mod baseline;
mod case;
mod cases;
mod catalogue;
mod client;
mod deflate;
mod error;
mod extension;
mod frame;
mod html;
mod http;
mod index;
mod interrupt;
mod junit;
mod peer;
mod plan;
mod player;
mod progress;
mod random;
mod reader;
mod report;
mod rules;
mod script;
mod server;
mod socket;
mod spec;
mod suite;
mod table;
mod transcript;
mod transport;
mod url;
mod words;

pub use baseline::Baseline;
pub use case::{Depth, Level};
pub use catalogue::{Catalogue, catalogue};
pub use client::{client_runs, test_clients};
pub use error::Error;
pub use html::html;
pub use index::index;
pub use interrupt::Interrupt;
pub use junit::junit;
pub use peer::Peer;
pub use plan::Plan;
pub use progress::Progress;
pub use report::{CaseReport, Counts, Report, Verdict};
pub use server::test_server;
pub use spec::{Spec, SpecServer};
pub use transcript::{Actor, Line};

/// The README's example is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
