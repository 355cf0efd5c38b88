//! `yamabiko serve`: the chat and its page, and the apps of Pusher clients beside it.

use yamabiko::server::Config;
use yamabiko_pusher::WithFallback;

use super::arguments::ServeSettings;
use super::output::{Failure, print};
use super::reloading::Reloading;
use super::serving::{self, Serving};

pub(super) fn run(mut settings: ServeSettings) -> Result<(), Failure> {
    let (chat, tokens) = settings.settings.access.build()?;
    let pusher = settings.settings.apps.build()?;
    let (check, files) = (settings.check, settings.settings.tls_files());
    let given = settings.clone();
    let managed = serving::managed_sockets(&mut settings.settings)?;
    let mut serving = Serving {
        managed,
        reloading: None,
        log: settings.settings.log,
        monitoring: settings.settings.monitoring.clone(),
        trace: settings.settings.trace.clone(),
        restarts: settings.settings.restarts.clone(),
        offer: "open",
        scheme: "http",
    };
    let config = files.apply_to(Config {
        tokens,
        ..settings.config()
    })?;
    serving.reloading = Reloading::new(&given, &config);
    if check {
        return Ok(print("the settings are valid\n")?);
    }
    match pusher {
        Some(pusher) => serving::serve(config, WithFallback::new(pusher, chat), serving),
        None => serving::serve(config, chat, serving),
    }
}
