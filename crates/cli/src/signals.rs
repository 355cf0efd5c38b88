//! Ctrl-C, `kill` and a terminal that closes: the first signal ends the program gracefully,
//! the second one at once.
//!
//! | signal | first | after another one |
//! |---|---|---|
//! | SIGINT, SIGTERM | graceful end | the process ends at once, with 130 |
//! | SIGHUP | the same | nothing: shell and kernel both send one when a terminal closes |
//!
//! SIGHUP stays ignored if it was ignored when the program started, as `nohup` does. Only
//! Linux reports this; on other systems SIGHUP keeps its default.

use std::io;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use procfs_core::FromRead;
use procfs_core::process::Status;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};
use yamabiko::server::{Handler, Server};

use super::output::{INTERRUPTED, in_sentence};

/// The first SIGINT, SIGTERM or SIGHUP calls `stop`; a later SIGINT or SIGTERM ends the
/// process at once.
///
/// # Errors
/// The error of the operating system, as text.
pub(super) fn on_first(stop: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let start = || -> io::Result<()> {
        let mut signals = Signals::new(graceful_signals())?;
        let watch = move || {
            let mut signals = signals.forever();
            if signals.next().is_some() {
                // On its own thread, because `stop` may take long.
                thread::spawn(stop);
            }
            if signals.any(|signal| IMMEDIATE_END.contains(&signal)) {
                process::exit(INTERRUPTED);
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(watch)?;
        Ok(())
    };
    start().map_err(cannot_listen)
}

/// The same for a server, without a thread.
///
/// # Errors
/// The error of the operating system, as text.
pub(super) fn shut_down_on_first(server: &mut Server<impl Handler>) -> Result<(), String> {
    server.shutdown_by(signal_socket()?).map_err(cannot_listen)
}

/// A socket that becomes readable when one of these signals arrives.
fn signal_socket() -> Result<UnixStream, String> {
    let start = || -> io::Result<UnixStream> {
        let (receiver, sender) = UnixStream::pair()?;
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in graceful_signals() {
            // The handlers of a signal run in the order of their registration.
            if IMMEDIATE_END.contains(&signal) {
                flag::register_conditional_shutdown(signal, INTERRUPTED, is_second.clone())?;
            }
            flag::register(signal, is_second.clone())?;
            low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(receiver)
    };
    start().map_err(cannot_listen)
}

fn cannot_listen(error: io::Error) -> String {
    format!("cannot listen to signals: {}", in_sentence(&error))
}

/// Signals that end the process at once if they are not the first.
const IMMEDIATE_END: [i32; 2] = [SIGINT, SIGTERM];

/// Signals that end the program gracefully.
fn graceful_signals() -> Vec<i32> {
    let mut signals = IMMEDIATE_END.to_vec();
    if hangup_is_not_ignored() {
        signals.push(SIGHUP);
    }
    signals
}

/// Whether SIGHUP would end this process.
fn hangup_is_not_ignored() -> bool {
    cfg!(target_os = "linux")
        && Status::from_file("/proc/self/status")
            .is_ok_and(|status| status.sigign & (1 << (SIGHUP - 1)) == 0)
}
