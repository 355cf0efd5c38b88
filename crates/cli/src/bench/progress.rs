//! The progress of a run on standard error: the phase, and the rate of messages.
//!
//! | standard error | form | shown |
//! |---|---|---|
//! | a terminal that can move its cursor | one line, which changes and is wiped at the end | unless it is declined |
//! | any other terminal | plain lines | unless it is declined |
//! | no terminal: a file, a pipe | plain lines | if it is asked for |

use std::io::{self, IsTerminal};
use std::mem;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use yamabiko_load::numbers::grouped;
use yamabiko_load::{Phase, Progress};

use crate::output::report_line;
use crate::terminal::can_move_cursor;

/// See the [module's text](self). Dropping it wipes the line that changes.
pub(super) struct Line {
    form: Form,
    /// The progress that is shown, and since when.
    shown: Option<(Progress, Instant)>,
}

enum Form {
    Hidden,
    /// One line that changes.
    Changing(ProgressBar),
    /// A new line each time.
    Plain,
}

impl Line {
    /// `None`: if standard error is a terminal.
    pub(super) fn new(wanted: Option<bool>) -> Line {
        let is_terminal = io::stderr().is_terminal();
        let form = match wanted.unwrap_or(is_terminal) {
            false => Form::Hidden,
            true if is_terminal && can_move_cursor() => Form::Changing(changing_line()),
            true => Form::Plain,
        };
        Line { form, shown: None }
    }

    /// Shows the progress, if it is time. A new phase is shown at once.
    pub(super) fn draw(&mut self, progress: Progress) {
        let now = Instant::now();
        let kind = |progress: &Progress| mem::discriminant(&progress.phase);
        let before = self
            .shown
            .filter(|(shown, _)| kind(shown) == kind(&progress));
        let since = before.map(|(shown, at)| (shown, now.duration_since(at)));
        if since.is_some_and(|(_, since)| since < self.form.interval()) {
            return;
        }
        let mut line = describe(progress.phase);
        if let (Some((shown, since)), 1..) = (since, progress.received) {
            let received = progress.received.saturating_sub(shown.received);
            let rate = received as f64 / since.as_secs_f64();
            line.push_str(&format!("   {} messages/s received", grouped(rate as u64)));
        }
        match &self.form {
            Form::Hidden => {}
            Form::Changing(bar) => bar.set_message(line),
            Form::Plain => report_line(&line),
        }
        self.shown = Some((progress, now));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Form::Changing(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

impl Form {
    /// The time between two lines about one phase.
    fn interval(&self) -> Duration {
        match self {
            Form::Hidden | Form::Changing(_) => Duration::from_millis(250),
            Form::Plain => Duration::from_secs(5),
        }
    }
}

fn changing_line() -> ProgressBar {
    let message_alone = ProgressStyle::with_template("{msg}");
    let style = message_alone.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
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
