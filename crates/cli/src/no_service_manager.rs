//! Windows has no service manager that opens sockets for a program, or listens to its messages.

use yamabiko::server::ListeningSocket;

/// # Errors
/// None.
pub(super) fn sockets() -> Result<Vec<ListeningSocket>, String> {
    Ok(Vec::new())
}

pub(super) fn ready() {}

pub(super) fn reloading() {}

pub(super) fn stopping() {}
