//! Ctrl-C, `kill` and a terminal that closes: the first signal ends the program gracefully,
//! a later one at once.
//!
//! | signal | a client | a server | after another one |
//! |---|---|---|---|
//! | SIGINT | ends | closes all connections | the program ends at once, with 130 |
//! | SIGTERM | ends | closes them over the time of `--drain` | the same |
//! | SIGHUP | ends | as SIGTERM | nothing: shell and kernel both send one when a terminal closes |
//! | SIGHUP, `serve --config` | | reads its settings again | reads them once more |
//!
//! A server that is told to end at once cuts its connections and still says how many those were. If it does not get
//! to that, a third signal ends the process.
//!
//! SIGHUP stays ignored if it was ignored when the program started, as `nohup` does, unless it reads settings. Only
//! Linux reports this; on other systems SIGHUP keeps its default, unless it reads settings.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use procfs_core::FromRead;
use procfs_core::process::Status;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};
use yamabiko::server::{Handler, Server, ServerHandle};

use super::output::{INTERRUPTED, in_sentence};
use super::reloading::Reload;
use super::service_manager;

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

/// The signals of a server, without a thread. `drain`: the time over which SIGTERM and SIGHUP close its connections.
/// `reload`: what SIGHUP does instead. `stopping` is called before the first signal acts. The watchdog of the service manager is answered here, too.
///
/// # Errors
/// The error of the operating system, as text.
pub(super) fn end_server(
    server: &mut Server<impl Handler>,
    drain: Duration,
    reload: Option<Reload>,
    stopping: impl FnMut() + Send + 'static,
) -> Result<EndedAtOnce, String> {
    let start = || -> io::Result<EndedAtOnce> {
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let mut ending = Ending {
            handle: server.handle(),
            drain,
            reload,
            stopping,
            wakes: receiver.try_clone()?,
            signals: Vec::new(),
            has_begun: false,
            at_once: Arc::default(),
            is_watched: service_manager::wake_for_watchdog(sender.try_clone()?)?,
        };
        let at_once = ending.at_once.clone();
        ending.listen(&sender)?;
        server.on_wake(receiver, move || ending.woken())?;
        Ok(EndedAtOnce(at_once))
    };
    start().map_err(cannot_listen)
}

/// Whether a second signal has ended the server at once.
pub(super) struct EndedAtOnce(Arc<AtomicBool>);

impl EndedAtOnce {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far signals have brought a server to its end.
struct Ending<S> {
    handle: ServerHandle,
    drain: Duration,
    /// What SIGHUP does; `None`: as SIGTERM.
    reload: Option<Reload>,
    /// Called before the first signal acts.
    stopping: S,
    /// What wakes the server. Its bytes mean nothing.
    wakes: UnixStream,
    /// The handler of a signal writes a byte to its own socket, and then one to the socket that wakes the server.
    signals: Vec<(i32, UnixStream)>,
    /// A signal has come.
    has_begun: bool,
    /// A second SIGINT or SIGTERM has come: the handler of the next one ends the process.
    at_once: Arc<AtomicBool>,
    /// The service manager wants to know that the event loop makes turns.
    is_watched: bool,
}

impl<S: FnMut()> Ending<S> {
    fn listen(&mut self, wakes: &UnixStream) -> io::Result<()> {
        let mut signals = graceful_signals();
        if self.reload.is_some() && !signals.contains(&SIGHUP) {
            signals.push(SIGHUP);
        }
        for signal in signals {
            let (receiver, sender) = UnixStream::pair()?;
            receiver.set_nonblocking(true)?;
            // The handlers of a signal run in the order of their registration.
            if IMMEDIATE_END.contains(&signal) {
                flag::register_conditional_shutdown(signal, INTERRUPTED, self.at_once.clone())?;
            }
            low_level::pipe::register(signal, sender)?;
            low_level::pipe::register(signal, wakes.try_clone()?)?;
            self.signals.push((signal, receiver));
        }
        Ok(())
    }

    /// Some signals have come, or none: two wakes may be one, and the watchdog wakes the server, too.
    fn woken(&mut self) {
        // Otherwise it would be full one day.
        while matches!(self.wakes.read(&mut [0; 64]), Ok(1..)) {}
        if self.is_watched {
            service_manager::alive();
        }
        let [interrupts, terminations, hangups] =
            [SIGINT, SIGTERM, SIGHUP].map(|signal| self.take(signal));
        let hangups = match &mut self.reload {
            Some(reload) if hangups > 0 => {
                reload();
                0
            }
            _ => hangups,
        };
        let mut immediate = interrupts + terminations;
        if !self.has_begun && immediate + hangups > 0 {
            self.has_begun = true;
            (self.stopping)();
            immediate = immediate.saturating_sub(usize::from(hangups == 0));
            match interrupts > 0 {
                true => self.handle.shutdown(),
                false => self.handle.drain(self.drain),
            }
        }
        if immediate > 0 {
            self.at_once.store(true, Ordering::Relaxed);
            self.handle.cut();
        }
    }

    /// How many signals of this kind have come since the last call.
    fn take(&mut self, signal: i32) -> usize {
        let mut bytes = [0; 16];
        let of_signal = self.signals.iter_mut().find(|(other, _)| *other == signal);
        of_signal.map_or(0, |(_, socket)| socket.read(&mut bytes).unwrap_or(0))
    }
}

fn cannot_listen(error: io::Error) -> String {
    format!("cannot listen to signals: {}", in_sentence(&error))
}

/// Signals that end the program at once if they are not the first.
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
