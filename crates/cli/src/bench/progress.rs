//! One line on standard error that says how far the run is; only on a terminal,
//! unless it is asked for.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::numbers::grouped;

/// See the [module's text](self). Dropping it wipes the line.
pub(super) struct Progress {
    shown: bool,
    phase: &'static str,
    /// What is waited for, and how much of it there will be.
    drawn: Option<Instant>,
    received: u64,
    width: usize,
}

impl Progress {
    /// `None`: if standard error is a terminal.
    pub(super) fn new(wanted: Option<bool>) -> Progress {
        Progress {
            shown: wanted.unwrap_or_else(|| io::stderr().is_terminal()),
            phase: "",
            drawn: None,
            received: 0,
            width: 0,
        }
    }

    /// What the run is doing from now on.
    pub(super) fn phase(&mut self, phase: &'static str) {
        self.phase = phase;
        self.drawn = None;
    }

    /// Draws the line, if it is time: what is done of what there is to do, and
    /// how many messages have been received in all.
    pub(super) fn draw(&mut self, done: &str, received: u64) {
        let now = Instant::now();
        let since = self.drawn.map(|drawn| now.duration_since(drawn));
        if !self.shown || since.is_some_and(|since| since < INTERVAL) {
            return;
        }
        let mut line = format!("{} {done}", self.phase);
        if let Some(since) = since.filter(|_| received > 0) {
            let rate = received.saturating_sub(self.received) as f64 / since.as_secs_f64();
            line.push_str(&format!("   {} messages/s received", grouped(rate as u64)));
        }
        self.show(&line);
        self.drawn = Some(now);
        self.received = received;
    }

    /// Over the line before, which may have been longer. That nobody sees it is
    /// no failure.
    fn show(&mut self, line: &str) {
        let width = self.width;
        let _ = write!(io::stderr(), "\r{line:<width$}");
        let _ = io::stderr().flush();
        self.width = line.chars().count();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.width > 0 {
            self.show("");
            let _ = write!(io::stderr(), "\r");
        }
    }
}

const INTERVAL: Duration = Duration::from_millis(250);
