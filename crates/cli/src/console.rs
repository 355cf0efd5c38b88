//! Ctrl-C and Ctrl-Break on Windows: the first one ends the program gracefully, the second
//! one at once. On Unix, `signals.rs` has this part.
//!
//! | event | first | after another one |
//! |---|---|---|
//! | Ctrl-C, Ctrl-Break | graceful end | the process ends at once, with 130 |
//! | the console window closes, the user logs off, Windows shuts down | the same; but Windows ends the process as soon as it has been notified, usually before the end is complete | |

use std::process;
use std::thread;
use std::time::Duration;

use yamabiko::server::{Handler, Server};

use super::output::INTERRUPTED;
use super::reloading::Reload;

/// The first event calls `stop`; a later one ends the process at once.
///
/// # Errors
/// The error of the operating system, as text.
pub(super) fn on_first(stop: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let mut stop = Some(stop);
    // Called on a thread that waits for the events.
    let handle = move || match stop.take() {
        // On its own thread, because `stop` may take long.
        Some(stop) => drop(thread::spawn(stop)),
        None => process::exit(INTERRUPTED),
    };
    ctrlc::set_handler(handle).map_err(|error| format!("cannot listen to signals: {error}"))
}

/// The same for a server, which these events end gracefully. There is no event that asks to close its connections over a
/// time, or to read its settings again.
///
/// # Errors
/// The error of the operating system, as text.
pub(super) fn end_server(
    server: &mut Server<impl Handler>,
    _drain: Duration,
    _reload: Option<Reload>,
    mut stopping: impl FnMut() + Send + 'static,
) -> Result<EndedAtOnce, String> {
    let handle = server.handle();
    on_first(move || {
        stopping();
        handle.shutdown();
    })?;
    Ok(EndedAtOnce)
}

/// A second event ends the process, so the server never reports it.
pub(super) struct EndedAtOnce;

impl EndedAtOnce {
    pub(super) fn get(&self) -> bool {
        false
    }
}
