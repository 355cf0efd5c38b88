//! The progress of a run on standard error: the phase, and the rate of messages, in one line.
//! It is shown on a terminal only, unless it is asked for.

use std::mem;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use yamabiko_load::numbers::grouped;
use yamabiko_load::{Phase, Progress};

/// See the [module's text](self). Dropping it wipes the line.
pub(super) struct Line {
    bar: ProgressBar,
    /// The progress that is shown, and since when.
    shown: Option<(Progress, Instant)>,
}

impl Line {
    /// `None`: if standard error is a terminal.
    pub(super) fn new(wanted: Option<bool>) -> Line {
        let target = match wanted {
            None => ProgressDrawTarget::stderr(),
            Some(true) => ProgressDrawTarget::term_like(Box::new(Term::stderr())),
            Some(false) => ProgressDrawTarget::hidden(),
        };
        let message_alone = ProgressStyle::with_template("{msg}");
        let style = message_alone.unwrap_or_else(|_| ProgressStyle::default_spinner());
        Line {
            bar: ProgressBar::with_draw_target(None, target).with_style(style),
            shown: None,
        }
    }

    /// Shows the progress, if it is time. A new phase is shown at once.
    pub(super) fn draw(&mut self, progress: Progress) {
        let now = Instant::now();
        let kind = |progress: &Progress| mem::discriminant(&progress.phase);
        let before = self
            .shown
            .filter(|(shown, _)| kind(shown) == kind(&progress));
        let since = before.map(|(shown, at)| (shown, now.duration_since(at)));
        if since.is_some_and(|(_, since)| since < INTERVAL) {
            return;
        }
        let mut line = describe(progress.phase);
        if let (Some((shown, since)), 1..) = (since, progress.received) {
            let received = progress.received.saturating_sub(shown.received);
            let rate = received as f64 / since.as_secs_f64();
            line.push_str(&format!("   {} messages/s received", grouped(rate as u64)));
        }
        self.bar.set_message(line);
        self.shown = Some((progress, now));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn describe(phase: Phase) -> String {
    let remaining = |left: Duration| format!("{:.0} s remaining", left.as_secs_f64().ceil());
    match phase {
        Phase::Opening {
            opened,
            connections,
        } => format!("opening {opened} of {connections} connections"),
        Phase::Settling { left } => format!("settling: {}", remaining(left)),
        Phase::Starting => "starting".to_owned(),
        Phase::WarmingUp { left } => format!("warming up: {}", remaining(left)),
        Phase::Measuring { left } => format!("measuring: {}", remaining(left)),
        Phase::Draining => "draining: waiting for messages in flight".to_owned(),
        Phase::CatchingUp => "slow members read again: waiting for their backlog".to_owned(),
        Phase::Closing => "closing".to_owned(),
        _ => String::new(),
    }
}

const INTERVAL: Duration = Duration::from_millis(250);
