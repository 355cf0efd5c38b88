//! `yamabiko bench`: the load generator, `yamabiko-load`, on the command line.
//!
//! ```text
//!   words ─▶ Options ─▶ yamabiko_load::run ─▶ Report ─▶ table, or JSON
//!                          ▲        └─▶ Progress ─▶ one line on standard error
//!                 Ctrl-C ──┘
//! ```

mod arguments;
mod help;
mod progress;

use std::io;

use yamabiko_load::{Error, Interrupt};

use super::output::{chain, say};
use super::signals;
use progress::Line;

pub(super) use arguments::{Options, Parsed, parse};
pub(super) use help::HELP;

/// Carries the plan out and prints what was found.
///
/// # Errors
/// Nothing could be measured; or the server has failed, of which the printed report
/// tells more.
pub(super) fn run(options: Options) -> Result<(), String> {
    let interrupt = Interrupt::new();
    let on_signal = interrupt.clone();
    signals::on_first(move || on_signal.raise())?;
    let mut line = Line::new(options.progress);
    let report = yamabiko_load::run(&options.plan, &interrupt, |progress| line.draw(progress));
    drop(line);
    let report = report.map_err(|error| chain(&error) + &hint(&error))?;
    if options.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        say(&format!("{text}\n"))?;
    } else {
        say(&format!("yamabiko bench {report}"))?;
    }
    match report.failure() {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// What the user can do about it.
fn hint(error: &Error) -> String {
    match error {
        Error::Opening { source, .. } => hint(source),
        Error::OpenTimeout { .. } => " (see --open-timeout)".to_owned(),
        Error::Connect { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
            ": the ports may have run out (see --source-addresses)".to_owned()
        }
        Error::Connect { source, .. } if source.raw_os_error() == Some(EMFILE) => {
            ": raise the limit with 'ulimit -n'".to_owned()
        }
        Error::OpenFiles {
            needed,
            allowed_max,
            ..
        } => {
            format!(": run 'ulimit -n {needed}' first (without further rights up to {allowed_max})")
        }
        _ => String::new(),
    }
}

/// "Too many open files" on Linux, macOS and the BSDs; std has no kind for it.
const EMFILE: i32 = 24;
