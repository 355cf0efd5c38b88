//! What the system calls of a blocking socket have in common: timeouts and interruptions.

use std::io::{self, ErrorKind};
use std::time::Duration;

/// Whether a socket timeout has passed. On Unix that is `WouldBlock`, and `TimedOut`
/// means that TCP itself has ended the connection; Windows reports `TimedOut` for both.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == ErrorKind::WouldBlock || (cfg!(windows) && kind == ErrorKind::TimedOut)
}

/// At least a millisecond: zero means "without limit" to the operating system, and std
/// rejects it.
pub(super) fn not_zero(timeout: Duration) -> Duration {
    timeout.max(Duration::from_millis(1))
}

/// Repeats a system call that a signal handler interrupted.
pub(super) fn retry_interrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
