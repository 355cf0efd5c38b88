//! One line on standard error that says how far the run is; only on a terminal,
//! unless it is asked for.

use std::io::{self, IsTerminal, Write};
use std::mem;
use std::time::{Duration, Instant};

use yamabiko_load::numbers::grouped;
use yamabiko_load::{Phase, Progress};

/// See the [module's text](self). Dropping it wipes the line.
pub(super) struct Line {
    shown: bool,
    drawn: Option<Drawn>,
    width: usize,
}

/// What was drawn last, and when.
struct Drawn {
    at: Instant,
    progress: Progress,
}

impl Line {
    /// `None`: if standard error is a terminal.
    pub(super) fn new(wanted: Option<bool>) -> Line {
        Line {
            shown: wanted.unwrap_or_else(|| io::stderr().is_terminal()),
            drawn: None,
            width: 0,
        }
    }

    /// Draws the line, if it is time: what is done of what there is to do, and how
    /// many messages have been received in all. A new phase is drawn at once.
    pub(super) fn draw(&mut self, progress: Progress) {
        let now = Instant::now();
        let kind = |progress: &Progress| mem::discriminant(&progress.phase);
        let before = self
            .drawn
            .as_ref()
            .filter(|drawn| kind(&drawn.progress) == kind(&progress));
        let since = before.map(|drawn| now.duration_since(drawn.at));
        if !self.shown || since.is_some_and(|since| since < INTERVAL) {
            return;
        }
        let mut line = describe(progress.phase);
        if let (Some(before), Some(since), 1..) = (before, since, progress.received) {
            let received = progress.received.saturating_sub(before.progress.received);
            let rate = received as f64 / since.as_secs_f64();
            line.push_str(&format!("   {} messages/s received", grouped(rate as u64)));
        }
        self.show(&line);
        self.drawn = Some(Drawn { at: now, progress });
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

impl Drop for Line {
    fn drop(&mut self) {
        if self.width > 0 {
            self.show("");
            let _ = write!(io::stderr(), "\r");
        }
    }
}

fn describe(phase: Phase) -> String {
    let to_go = |left: Duration| format!("{:.0} s to go", left.as_secs_f64().ceil());
    match phase {
        Phase::Opening {
            opened,
            connections,
        } => format!("opening {opened} of {connections} connections"),
        Phase::Settling { left } => format!("settling: {}", to_go(left)),
        Phase::Starting => "starting".to_owned(),
        Phase::WarmingUp { left } => format!("warming up: {}", to_go(left)),
        Phase::Measuring { left } => format!("measuring: {}", to_go(left)),
        Phase::Draining => "draining: waiting for messages on their way".to_owned(),
        Phase::CatchingUp => "slow members read again: waiting for what was held back".to_owned(),
        Phase::Closing => "closing".to_owned(),
        _ => String::new(),
    }
}

const INTERVAL: Duration = Duration::from_millis(250);
