//! Ctrl-C and `kill`: the first signal asks, the second insists.

use std::io;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

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
    start().map_err(cannot_listen)
}

/// The same without a thread: from now on SIGINT and SIGTERM write to the other end of
/// what is returned, and the second ends the process at once.
///
/// # Errors
/// The operating system's, in words.
pub(super) fn bell() -> Result<UnixStream, String> {
    let start = || -> io::Result<UnixStream> {
        let (bell, rope) = UnixStream::pair()?;
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // They are done in this order.
            flag::register_conditional_shutdown(signal, INTERRUPTED, is_second.clone())?;
            flag::register(signal, is_second.clone())?;
            low_level::pipe::register(signal, rope.try_clone()?)?;
        }
        Ok(bell)
    };
    start().map_err(cannot_listen)
}

pub(super) fn cannot_listen(error: io::Error) -> String {
    format!("cannot listen to signals: {}", super::words(&error))
}
