//! The program `yamabiko`: arguments in, an exit status out.
//!
//! [`arguments`] reads the command line, and each command has a file. A command that fails
//! says why in one line on standard error:
//!
//! | exit status | when |
//! |---|---|
//! | 0 | success |
//! | 1 | failure |
//! | 2 | usage error |
//! | 3 | a server has cut off connections at the end of its drain |
//! | 130 | a second signal ended it at once |

#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod chat;
mod conform;
#[cfg(windows)]
mod console;
mod descriptors;
mod echo;
mod generate;
mod logging;
mod monitoring;
mod output;
mod reloading;
mod serve;
#[cfg_attr(not(unix), path = "no_service_manager.rs")]
mod service_manager;
mod serving;
#[cfg(unix)]
mod signals;
#[cfg_attr(not(target_os = "linux"), path = "no_takeover.rs")]
mod takeover;
mod terminal;
mod tls;
mod trace;

use std::env;
use std::process::ExitCode;

use arguments::{Command, Stop};
#[cfg(windows)]
use console as signals;
use output::{Failure, NAME_AND_VERSION, print, report_error};

fn main() -> ExitCode {
    // The first argument is the program's own name.
    let done = match arguments::parse(env::args_os().skip(1)) {
        Ok(command) => obey(command),
        Err(Stop::Help(text)) => print(&text).map_err(Failure::from),
        Err(Stop::Version) => print(&format!("{NAME_AND_VERSION}\n")).map_err(Failure::from),
        Err(Stop::Usage(message)) => Err(Failure::Usage(message)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report_error(failure.message());
            ExitCode::from(failure.exit_status())
        }
    }
}

fn obey(command: Command) -> Result<(), Failure> {
    let unknown = arguments::unknown_variables();
    match (&command, unknown.first()) {
        (Command::Serve(settings), Some(first)) if settings.check => {
            return Err(Failure::Usage(first.clone()));
        }
        // It may belong to another version of the program: no reason not to serve.
        _ => unknown.iter().for_each(|line| report_error(line)),
    }
    match command {
        Command::Serve(settings) => serve::run(settings)?,
        Command::Config(settings) => print(&arguments::effective(settings))?,
        Command::Echo(settings) => echo::run(settings)?,
        Command::Chat(settings) => chat::run(settings)?,
        Command::Bench(arguments) => bench::run(&arguments)?,
        Command::Conform(arguments) => conform::run(&arguments)?,
        Command::Trace(arguments) => trace::run(&arguments)?,
        Command::Completions { shell } => generate::completions(shell)?,
        Command::Man { directory } => generate::manual(&directory)?,
    }
    Ok(())
}
