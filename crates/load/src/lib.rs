//! Load for any WebSocket server: it opens connections, sends messages, checks every
//! delivery, and reports rates, latencies and faults.
//!
//! Every message contains its publisher, its number and its time. The load counts the
//! messages that a server loses, doubles, reorders, changes or delivers to the wrong
//! connection, and records the latency of every delivery. `yamabiko bench` is this crate
//! on the command line; `docs/bench.md` of the repository describes its measurements and
//! its limits.
//!
//! ```
//! use std::time::Duration;
//! use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};
//! use yamabiko_load::{Interrupt, Plan, Scenario, run};
//!
//! /// A server that sends every message back.
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = ();
//!     fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
//!         Ok(Admission::new(()))
//!     }
//!     fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
//!         let _ = context.send(message);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
//! let server = Server::bind(config, Echo)?;
//! let (url, handle) = (format!("ws://{}/", server.local_address()), server.handle());
//! let thread = std::thread::spawn(move || server.run());
//!
//! let plan = Plan::builder(Scenario::Echo, url)
//!     .connections(4)
//!     .warm_up(Duration::ZERO)
//!     .duration(Duration::from_millis(50))
//!     .build()?;
//! let report = run(&plan, &Interrupt::new(), |_progress| {})?;
//! assert_eq!(report.failure(), None);
//! println!("{report}");
//!
//! handle.shutdown();
//! thread.join().unwrap()?;
//! # Ok(())
//! # }
//! ```
//!
//! The crate reads no arguments, no environment and no signals, and prints nothing. The
//! settings are in a [`Plan`], an [`Interrupt`] ends a run early, and a callback receives
//! the [`Progress`]. On Linux, it reads CPU time and memory from `/proc`.
//!
//! With the feature `tls` it loads servers of `wss`, too: `PlanBuilder::tls` has the authorities that it trusts.
//!
//! # How it works
//!
//! ```text
//!   Plan ─▶ coordinator ──commands──▶ load (a thread: reactor, members) ⇄ server
//!              │ ▲                     │ │
//!              │ └───────events────────┘ └─▶ recorder: delivery tracker, histograms
//!              ▼
//!           Report ─▶ table, or any format of serde
//! ```
//!
//! | file | content |
//! |---|---|
//! | `plan.rs` | the settings, checked |
//! | `coordinator.rs`, `commands.rs`, `quiet_timeout.rs` | the phases of a run, and its messages between threads |
//! | `interrupt.rs`, `progress.rs`, `error.rs` | the early end of a run; its progress; errors |
//! | `opening.rs`, `secure.rs` | TCP, TLS and the opening handshake |
//! | `load.rs`, `partition.rs`, `member.rs` | one thread's members, on the same reactor as the server |
//! | `publishers.rs`, `pacer.rs`, `time.rs` | which publisher sends when: closed loop, open loop |
//! | `payload.rs`, `frame_reader.rs`, `inflater.rs` | the content of messages; bytes into messages; compressed messages |
//! | `delivery_tracker.rs`, `recorder.rs` | lost, doubled and late messages; latencies |
//! | `process.rs` | the server's CPU and memory |
//! | `report.rs`, `table.rs`, `numbers.rs` | the result |

#![forbid(unsafe_code)]

mod commands;
mod coordinator;
mod delivery_tracker;
mod error;
mod frame_reader;
mod inflater;
mod interrupt;
mod load;
mod member;
pub mod numbers;
mod opening;
mod pacer;
mod partition;
mod payload;
mod plan;
mod process;
mod progress;
mod publishers;
mod quiet_timeout;
mod randomness;
mod recorder;
mod report;
#[cfg_attr(not(feature = "tls"), path = "plain.rs")]
mod secure;
mod table;
mod time;

pub use coordinator::run;
pub use error::Error;
pub use interrupt::Interrupt;
pub use payload::Payload;
pub use plan::{MESSAGE_BYTES, Pace, Plan, PlanBuilder, RATES, Scenario};
pub use progress::{Phase, Progress};
pub use report::{Checks, Cost, Latency, Opened, Report, Server, Settings, Slow, Traffic};

/// The README's example is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
