//! How far a run of the suite is.

/// The number of connections that are done, of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Connections that have ended.
    pub done: usize,
    /// Connections of the whole run.
    pub runs: usize,
}
