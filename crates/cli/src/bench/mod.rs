//! `yamabiko bench`: the load generator, `yamabiko-load`, on the command line.
//!
//! ```text
//!   BenchArguments ─▶ Plan ─▶ yamabiko_load::run ─▶ Report ─▶ table, or JSON
//!                                ▲         └─▶ Progress ─▶ one line on standard error
//!                       Ctrl-C ──┘
//! ```

mod progress;

use std::io;

use yamabiko::tls::TlsError;
use yamabiko_load::{Error, Interrupt, Plan};

use super::arguments::{BenchArguments, see_help};
use super::output::{Failure, chain, print};
use super::signals;
use super::tls::trusted;
use progress::Line;

/// Runs the load and prints the report.
///
/// # Errors
/// The arguments make no plan, nothing could be measured, or the server has failed. The
/// printed report describes the failure of the server.
pub(super) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let plan = arguments.plan(trusted(&arguments.trust)?);
    let plan = plan.map_err(|message| Failure::Usage(see_help(&message, Some("bench"))))?;
    Ok(measure(&plan, arguments)?)
}

fn measure(plan: &Plan, arguments: &BenchArguments) -> Result<(), String> {
    let interrupt = Interrupt::new();
    let on_signal = interrupt.clone();
    signals::on_first(move || on_signal.raise())?;
    let mut line = Line::new(arguments.shows_progress());
    let report = yamabiko_load::run(plan, &interrupt, |progress| line.draw(progress));
    drop(line);
    let report = report.map_err(|error| chain(&error) + &hint(&error))?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        print(&format!("{text}\n"))?;
    } else {
        print(&format!("yamabiko bench {report}"))?;
    }
    match report.failure() {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// A remedy for the user.
fn hint(error: &Error) -> String {
    match error {
        Error::Opening { source, .. } => hint(source),
        Error::HandshakeTransport { source, .. } if is_not_trusted(source) => {
            " (see --ca)".to_owned()
        }
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

/// Whether the server's certificate was not accepted.
fn is_not_trusted(error: &io::Error) -> bool {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<TlsError>());
    cause.is_some_and(TlsError::is_certificate)
}

/// "Too many open files" on Linux, macOS and the BSDs; std has no kind for it.
const EMFILE: i32 = 24;
