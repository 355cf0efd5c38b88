//! The service manager (systemd, and others that speak its protocols): sockets that it has opened, and messages about the state of
//! the server.
//!
//! | protocol | variables | use |
//! |---|---|---|
//! | socket activation | `LISTEN_FDS`, `LISTEN_PID` | its sockets take the place of `--listen`. They stay open while no server runs, so clients wait and are not refused |
//! | notification | `NOTIFY_SOCKET` | `READY=1`, `STOPPING=1`, `RELOADING=1` |
//! | watchdog | `WATCHDOG_USEC`, `WATCHDOG_PID` | `WATCHDOG=1` by the first worker's event loop, twice in each interval: the manager restarts a server whose loop stands still |
//!
//! Without these variables nothing happens.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use yamabiko::server::ListeningSocket;

use super::output::in_sentence;

/// The sockets that the service manager has opened; none without one. Only the first call has them.
///
/// # Errors
/// One of them does not listen; as text.
pub(super) fn sockets() -> Result<Vec<ListeningSocket>, String> {
    let mut descriptors = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..descriptors.len() {
        let socket = take(&mut descriptors, index).map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::InvalidInput => "it is no socket that listens".to_owned(),
                _ => in_sentence(&error),
            };
            format!("cannot use socket {index} of the service manager: {reason}")
        })?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn take(descriptors: &mut ListenFd, index: usize) -> io::Result<ListeningSocket> {
    // It asks the kernel of which kind the socket is, and keeps it if it is of another kind.
    if let Ok(Some(listener)) = descriptors.take_tcp_listener(index) {
        return ListeningSocket::of(listener.into());
    }
    match descriptors.take_unix_listener(index)? {
        Some(listener) => ListeningSocket::of(listener.into()),
        None => Err(ErrorKind::InvalidInput.into()),
    }
}

/// The server is about to accept.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The server reads its settings again; [`ready`] follows.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// The server ends.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The event loop has made a turn.
pub(super) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// A service manager that does not listen is no reason to end.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// If the service manager watches, wakes the server at the other end of this socket twice in each interval. True: it does.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn wake_for_watchdog(mut wakes: UnixStream) -> io::Result<bool> {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return Ok(false);
    };
    let wake = move || {
        loop {
            thread::sleep(interval / 2);
            if let Err(error) = wakes.write(&[0])
                && error.kind() != ErrorKind::WouldBlock
            {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("watchdog".to_owned());
    thread.spawn(wake).map(|_| true)
}
