//! `yamabiko serve`: the chat and its page; the apps of Pusher clients and the playground beside it.

use yamabiko::server::Config;
use yamabiko_pusher::{Pusher, WithFallback};

use super::arguments::ServeSettings;
use super::output::{Failure, print};
use super::reloading::Reloading;
use super::serving::{self, Serving};

pub(super) fn run(mut settings: ServeSettings) -> Result<(), Failure> {
    let (chat, tokens) = settings.settings.access.build()?;
    let chat = chat.history(settings.settings.history.of_room());
    let pusher = settings.settings.apps.build()?;
    let playground = settings.settings.playground.clone();
    let (check, files) = (settings.check, settings.settings.tls_files());
    let given = settings.clone();
    let managed = serving::managed_sockets(&mut settings.settings)?;
    let mut serving = Serving {
        managed,
        reloading: None,
        log: settings.settings.log,
        monitoring: settings.settings.monitoring.clone(),
        apps: pusher.as_ref().map(Pusher::counts),
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
    // Each application is a server of its own type, so that nothing is paid for one that is off.
    match (pusher, playground.enabled) {
        (None, false) => serving::serve(config, chat, serving),
        (None, true) => serving::serve(config, playground.with_fallback(chat), serving),
        (Some(pusher), false) => serving::serve(config, WithFallback::new(pusher, chat), serving),
        (Some(pusher), true) => {
            let both = WithFallback::new(pusher, chat);
            serving::serve(config, playground.with_fallback(both), serving)
        }
    }
}
