//! The cases, by subject: one file each, and in a file a table and the runs of its rows.

mod closing;
mod compression;
mod control;
mod fragmentation;
mod framing;
mod handshake;
mod limits;
mod masking;
mod negotiation;
mod payloads;
mod resilience;
mod utf8;

use crate::case::Case;

/// All cases, in the order of the report.
pub(crate) fn all() -> Vec<Case> {
    [
        handshake::CASES,
        framing::CASES,
        masking::CASES,
        fragmentation::CASES,
        utf8::CASES,
        control::CASES,
        closing::CASES,
        negotiation::CASES,
        compression::CASES,
        limits::CASES,
        resilience::CASES,
    ]
    .concat()
}
