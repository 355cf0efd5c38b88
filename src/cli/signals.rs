//! Ctrl-C and `kill`: the first signal asks, the second insists.

use std::io;
use std::process;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Ended by a second signal: 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// From now on the first SIGINT or SIGTERM calls `stop`, and the second ends the
/// process at once.
///
/// # Errors
/// The operating system's, in words.
pub(super) fn on_first(stop: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let start = || -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let watch = move || {
            let mut signals = signals.forever();
            if signals.next().is_some() {
                // On a thread of its own: it may take its time.
                thread::spawn(stop);
            }
            if signals.next().is_some() {
                process::exit(INTERRUPTED);
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(watch)?;
        Ok(())
    };
    start().map_err(|error| format!("cannot listen to signals: {}", super::words(&error)))
}
