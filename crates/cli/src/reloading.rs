//! SIGHUP with `--config`: the settings are read again, and a running server takes them.
//!
//! ```text
//!   SIGHUP ──▶ a thread: the arguments, the environment, the settings file, the files of keys and certificates
//!                 │
//!                 ├─ something is wrong ──▶ nothing changes, and one line of the log says what is wrong
//!                 └─ all of it is valid ──▶ certificates and settings for the server; one line names what has changed, and what
//!                                           needs a restart
//! ```
//!
//! The settings file has to be a regular one then: a pipe is empty when it is read again, or nobody writes to it.
//!
//! No connection ends. The files are read on a thread of their own, so no worker waits for a disk. Signals that come meanwhile
//! make it read once more.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use yamabiko::server::{Config, ServerHandle};
use yamabiko::tls::{Certificate, ServerTls};

use super::arguments::{self, Changes, Command, ServeSettings, Settings, Stop};
use super::output::in_sentence;
use super::service_manager;

/// What a server has started with, to be compared with what its files say later.
pub(super) struct Reloading {
    file: PathBuf,
    started: Settings,
    /// `None`: the server has started without certificates, so it has no address for TLS.
    tls: Option<ServerTls>,
}

impl Reloading {
    /// `None`: there is no settings file.
    pub(super) fn new(settings: &ServeSettings, config: &Config) -> Option<Reloading> {
        let file = settings.file.clone()?;
        Some(Reloading {
            file,
            started: settings.settings.clone(),
            tls: config.tls.clone(),
        })
    }

    /// The function that reads all settings again for this server. It does not wait.
    pub(super) fn of(self, server: ServerHandle) -> Reload {
        let reloader = Arc::new(Reloader {
            server,
            file: self.file,
            tls: self.tls,
            current: Mutex::new(self.started.clone()),
            started: self.started,
            requests: AtomicUsize::new(0),
        });
        Box::new(move || reloader.request())
    }
}

/// Reads the settings again.
pub(super) type Reload = Box<dyn FnMut() + Send>;

struct Reloader {
    server: ServerHandle,
    file: PathBuf,
    tls: Option<ServerTls>,
    started: Settings,
    current: Mutex<Settings>,
    /// Since the thread has begun to read.
    requests: AtomicUsize,
}

/// Settings and the content of their files, all of it valid.
struct Fresh {
    settings: Settings,
    config: Config,
    certificates: Vec<Certificate>,
}

impl Reloader {
    /// One thread reads at a time.
    fn request(self: &Arc<Self>) {
        if self.requests.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let reloader = self.clone();
        let named = thread::Builder::new().name("reload".to_owned());
        if let Err(error) = named.spawn(move || reloader.work()) {
            self.requests.store(0, Ordering::Release);
            not_reloaded(&in_sentence(&error));
        }
    }

    fn work(&self) {
        let mut served = self.requests.load(Ordering::Acquire);
        while served > 0 {
            service_manager::reloading();
            match read(&self.file) {
                Ok(fresh) => self.apply(fresh),
                Err(reason) => not_reloaded(&reason),
            }
            service_manager::ready();
            served = self.requests.fetch_sub(served, Ordering::AcqRel) - served;
        }
    }

    fn apply(&self, fresh: Fresh) {
        if let Some(tls) = self.tls.as_ref().filter(|_| !fresh.certificates.is_empty())
            && let Err(error) = tls.replace(fresh.certificates)
        {
            return not_reloaded(&error.to_string());
        }
        // What the program itself has set when it started.
        let running = self.server.config();
        self.server.replace_config(Config {
            observers: running.observers,
            on_failure: running.on_failure,
            backplane: running.backplane,
            ..fresh.config
        });
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let has_tls = self.tls.is_some();
        let changes = Changes::between(&self.started, &current, &fresh.settings, has_tls);
        *current = fresh.settings;
        report(&changes);
    }
}

/// # Errors
/// What is wrong in the command line, the environment or a file, in one line.
fn read(file: &Path) -> Result<Fresh, String> {
    if file.exists() && !file.is_file() {
        let file = file.display();
        return Err(format!("{file} is no file that can be read again"));
    }
    // The first argument is the program's own name.
    let settings = match arguments::parse(env::args_os().skip(1)) {
        Ok(Command::Serve(settings)) => settings,
        Err(Stop::Usage(reason)) => return Err(reason),
        // The arguments are those that have started the server.
        Ok(_) | Err(Stop::Help(_) | Stop::Version) => return Err("no settings".to_owned()),
    };
    let (_, tokens) = settings.settings.access.build()?;
    // They need a restart, but what is wrong in their files is found now.
    settings.settings.apps.build()?;
    Ok(Fresh {
        certificates: settings.settings.tls_files().read()?,
        settings: settings.settings.clone(),
        config: Config {
            tokens,
            ..settings.config()
        },
    })
}

/// The names of settings, and no values: these may be secret.
fn report(changes: &Changes) {
    let list = |names: &[&str]| (!names.is_empty()).then(|| names.join(", "));
    let (changed, kept) = (list(&changes.changed), list(&changes.need_restart));
    let changed = changed.as_deref();
    match kept.as_deref() {
        None => tracing::info!(name: "settings_reloaded", changed, "settings reloaded"),
        needs_restart => tracing::warn!(
            name: "settings_reloaded", changed, needs_restart, "settings reloaded, some need a restart"
        ),
    }
}

fn not_reloaded(reason: &str) {
    tracing::error!(name: "settings_not_reloaded", reason, "settings not reloaded, nothing has changed");
}
