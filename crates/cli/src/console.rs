//! Ctrl-C and Ctrl-Break on Windows: the first asks, the second insists. The part of
//! `signals.rs` that a console has.
//!
//! | event | first | after another one |
//! |---|---|---|
//! | Ctrl-C, Ctrl-Break | asks for a graceful end | ends the process at once, with 130 |
//! | the console window closes, the user logs off, Windows shuts down | the same; but Windows ends the process as soon as it has been told, mostly before it is done | |

use std::process;
use std::thread;

use yamabiko::server::{Handler, Server};

use super::output::INTERRUPTED;

/// From now on the first event calls `stop`, and a later one ends the process at once.
///
/// # Errors
/// The operating system's, in words.
pub(super) fn on_first(stop: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let mut stop = Some(stop);
    // Called on a thread that waits for the events.
    let handle = move || match stop.take() {
        // On a thread of its own: it may take its time.
        Some(stop) => drop(thread::spawn(stop)),
        None => process::exit(INTERRUPTED),
    };
    ctrlc::set_handler(handle).map_err(|error| format!("cannot listen to signals: {error}"))
}

/// The same for a server, which these events end gracefully.
///
/// # Errors
/// The operating system's, in words.
pub(super) fn shut_down_on_first(server: &mut Server<impl Handler>) -> Result<(), String> {
    let handle = server.handle();
    on_first(move || handle.shutdown())
}
