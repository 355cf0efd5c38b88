//! `yamabiko bench`: load for any WebSocket server, and what it makes of it.
//!
//! ```text
//!   words ─▶ Plan ─▶ conductor ──orders──▶ load (a thread: reactor, members) ⇄ server
//!                       │ ▲                   │
//!                       │ └──────events───────┘
//!                       ▼                    └─▶ book: ledger, histogram
//!                    Report ─▶ table, or JSON
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `arguments.rs`, `plan.rs`, `help.rs` | words into a checked [`Plan`] |
//! | `conductor.rs`, `orders.rs`, `patience.rs` | the phases of a run, and what is said in them |
//! | `opening.rs` | TCP and the opening handshake |
//! | `load.rs`, `crew.rs`, `member.rs` | one thread's members, on the same reactor as the server |
//! | `publishers.rs`, `pacer.rs`, `time.rs` | who sends when: closed loop, open loop |
//! | `payload.rs`, `inbox.rs`, `unpacking.rs` | what a message is, bytes into messages, compressed ones |
//! | `ledger.rs`, `book.rs` | what was lost, doubled, late; latencies |
//! | `process.rs` | the server's CPU and memory |
//! | `report.rs`, `table.rs`, `numbers.rs`, `progress.rs` | what is said |
//!
//! It is a measuring instrument, so it checks what it measures: every message at
//! every member. What it measures and where it stops is in `docs/bench.md`.

mod arguments;
mod book;
mod conductor;
mod crew;
mod help;
mod inbox;
mod ledger;
mod load;
mod member;
mod numbers;
mod opening;
mod orders;
mod pacer;
mod patience;
mod payload;
mod plan;
mod process;
mod progress;
mod publishers;
mod randomness;
mod report;
mod table;
mod time;
mod unpacking;

pub(super) use arguments::parse;
pub(super) use help::HELP;
pub(super) use plan::Plan;

use super::output::say;
use table::Table;

/// Carries the plan out and prints what was found.
///
/// # Errors
/// Nothing could be measured; or the server has failed, of which the printed
/// report tells more.
pub(super) fn run(plan: Plan) -> Result<(), String> {
    let json = plan.json;
    let report = conductor::conduct(plan)?;
    if json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        say(&format!("{text}\n"))?;
    } else {
        say(&Table(&report).to_string())?;
    }
    match report.complaint() {
        Some(complaint) => Err(complaint),
        None => Ok(()),
    }
}
