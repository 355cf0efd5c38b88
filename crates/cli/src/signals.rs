//! Ctrl-C, `kill` and a terminal that closes: the first signal asks, the second insists.
//!
//! | signal | first | after another one |
//! |---|---|---|
//! | SIGINT, SIGTERM | asks for a graceful end | ends the process at once, with 130 |
//! | SIGHUP | the same | nothing: shell and kernel both send one when a terminal closes |
//!
//! SIGHUP stays ignored if it was when the program started, as `nohup` has it. Where that
//! cannot be found out (elsewhere than on Linux), it keeps the system's default.

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

use super::output::{INTERRUPTED, words};

/// From now on the first SIGINT, SIGTERM or SIGHUP calls `stop`, and a later SIGINT or
/// SIGTERM ends the process at once.
///
/// # Errors
/// The operating system's, in words.
pub(super) fn on_first(stop: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let start = || -> io::Result<()> {
        let mut signals = Signals::new(asking())?;
        let watch = move || {
            let mut signals = signals.forever();
            if signals.next().is_some() {
                // On a thread of its own: it may take its time.
                thread::spawn(stop);
            }
            if signals.any(|signal| INSISTING.contains(&signal)) {
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

/// The same for a server, which these signals end gracefully: without a thread.
///
/// # Errors
/// The operating system's, in words.
pub(super) fn shut_down_on_first(server: &mut Server<impl Handler>) -> Result<(), String> {
    server.shutdown_by(bell()?).map_err(cannot_listen)
}

/// From now on these signals write to the other end of what is returned.
fn bell() -> Result<UnixStream, String> {
    let start = || -> io::Result<UnixStream> {
        let (bell, rope) = UnixStream::pair()?;
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in asking() {
            // They are done in this order.
            if INSISTING.contains(&signal) {
                flag::register_conditional_shutdown(signal, INTERRUPTED, is_second.clone())?;
            }
            flag::register(signal, is_second.clone())?;
            low_level::pipe::register(signal, rope.try_clone()?)?;
        }
        Ok(bell)
    };
    start().map_err(cannot_listen)
}

fn cannot_listen(error: io::Error) -> String {
    format!("cannot listen to signals: {}", words(&error))
}

/// The signals that end the process at once if they are not the first.
const INSISTING: [i32; 2] = [SIGINT, SIGTERM];

/// The signals that ask for the end.
fn asking() -> Vec<i32> {
    let mut signals = INSISTING.to_vec();
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
