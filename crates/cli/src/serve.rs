//! `yamabiko serve`: the chat and its page; the apps of Pusher clients and the playground beside it.

#[cfg(feature = "cluster")]
use yamabiko::server::BackplaneConfig;
use yamabiko::server::{Config, WithFallback};
use yamabiko_pusher::Pusher;

use super::arguments::ServeSettings;
use super::output::{Failure, print};
use super::reloading::Reloading;
use super::serving::{self, Serving};

pub(super) fn run(mut settings: ServeSettings) -> Result<(), Failure> {
    let (chat, tokens) = settings.settings.access.build()?;
    let chat = chat.history(settings.settings.history.of_room());
    let pusher = settings.settings.apps.build()?;
    let playground = settings.settings.playground.build();
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
    #[cfg(feature = "cluster")]
    let cluster = settings.settings.cluster.build()?;
    let config = files.apply_to(Config {
        tokens,
        #[cfg(feature = "cluster")]
        backplane: cluster.map(|redis| BackplaneConfig::new(redis)),
        ..settings.config()
    })?;
    serving.reloading = Reloading::new(&given, &config);
    if check {
        return Ok(print("the settings are valid\n")?);
    }
    // Each application is a server of its own type, so that nothing is paid for one that is off.
    match (pusher, playground) {
        (None, None) => serving::serve(config, chat, serving),
        (None, Some(playground)) => {
            serving::serve(config, WithFallback::new(playground, chat), serving)
        }
        (Some(pusher), None) => serving::serve(config, WithFallback::new(pusher, chat), serving),
        (Some(pusher), Some(playground)) => {
            let both = WithFallback::new(pusher, chat);
            serving::serve(config, WithFallback::new(playground, both), serving)
        }
    }
}
