//! The progress of a run on standard error: one line on a terminal that can move its cursor,
//! otherwise nothing, or plain lines if they are asked for.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use yamabiko_conform::Progress;

use crate::output::report_line;
use crate::terminal::can_move_cursor;

/// See the [module's text](self). Dropping it wipes the line that changes.
pub(super) struct Line {
    form: Form,
    shown: Instant,
}

enum Form {
    Hidden,
    Changing(ProgressBar),
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
        Line {
            form,
            shown: Instant::now(),
        }
    }

    /// Shows the progress, if it is time.
    pub(super) fn draw(&mut self, progress: Progress) {
        if self.shown.elapsed() < INTERVAL {
            return;
        }
        let line = format!("{} of {} connections", progress.done, progress.runs);
        match &self.form {
            Form::Hidden => {}
            Form::Changing(bar) => bar.set_message(line),
            Form::Plain => report_line(&line),
        }
        self.shown = Instant::now();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Form::Changing(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

fn changing_line() -> ProgressBar {
    let message_alone = ProgressStyle::with_template("{msg}");
    let style = message_alone.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}

const INTERVAL: Duration = Duration::from_millis(200);
