//! What was sent and received on one connection, in words, for the report of a failure.

use std::time::{Duration, Instant};

use serde::Serialize;

/// The lines of one connection. The first and the last lines are kept.
#[derive(Clone, Debug)]
pub(crate) struct Transcript {
    started: Instant,
    first: Vec<Line>,
    last: Vec<Line>,
    omitted: u64,
}

/// Something that happened on a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Line {
    /// Milliseconds since the connection was opened.
    pub at_ms: f64,
    /// Who did it.
    pub actor: Actor,
    /// What was sent or noticed, in words.
    pub words: String,
}

/// Who did something on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Actor {
    /// The suite has sent it.
    Suite,
    /// The peer has sent it.
    Peer,
    /// Lines are missing here.
    Nobody,
}

impl Transcript {
    pub(crate) fn new() -> Transcript {
        Transcript {
            started: Instant::now(),
            first: Vec::new(),
            last: Vec::new(),
            omitted: 0,
        }
    }

    pub(crate) fn suite(&mut self, words: impl Into<String>) {
        self.add(Actor::Suite, words.into());
    }

    pub(crate) fn peer(&mut self, words: impl Into<String>) {
        self.add(Actor::Peer, words.into());
    }

    /// The lines, with a note where some were left out.
    pub(crate) fn into_lines(self) -> Vec<Line> {
        let mut lines = self.first;
        if let Some(next) = self.last.first().filter(|_| self.omitted > 0) {
            lines.push(Line {
                at_ms: next.at_ms,
                actor: Actor::Nobody,
                words: format!("{} lines left out", self.omitted),
            });
        }
        lines.extend(self.last);
        lines
    }

    fn add(&mut self, actor: Actor, words: String) {
        let at_ms = milliseconds(self.started.elapsed());
        let line = Line {
            at_ms,
            actor,
            words,
        };
        if self.first.len() < FIRST_LINES {
            self.first.push(line);
            return;
        }
        if self.last.len() == LAST_LINES {
            self.last.remove(0);
            self.omitted += 1;
        }
        self.last.push(line);
    }
}

/// Milliseconds with two decimals.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

const FIRST_LINES: usize = 20;
const LAST_LINES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_the_middle_of_a_long_connection_are_left_out() {
        let mut transcript = Transcript::new();
        for number in 0..40 {
            transcript.suite(number.to_string());
        }
        let lines = transcript.into_lines();
        assert_eq!(lines.len(), FIRST_LINES + 1 + LAST_LINES);
        assert_eq!(lines[FIRST_LINES].words, "8 lines left out");
        assert_eq!(lines[FIRST_LINES + 1].words, "28");
    }
}
