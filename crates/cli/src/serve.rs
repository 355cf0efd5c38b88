//! `yamabiko serve`: the chat and its page; the apps of Pusher clients and the playground beside it.

#[cfg(feature = "data")]
use std::sync::Arc;

#[cfg(feature = "data")]
use yamabiko::chat::Chat;
#[cfg(any(feature = "cluster", feature = "data"))]
use yamabiko::server::BackplaneConfig;
use yamabiko::server::{Config, WithFallback};
use yamabiko_pusher::Pusher;

use super::arguments::ServeSettings;
#[cfg(feature = "data")]
use super::arguments::Settings;
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
    #[cfg(feature = "data")]
    given.settings.data.check(
        given.settings.restarts.takeover.is_some(),
        config.backplane.is_some(),
    )?;
    if check {
        return Ok(print("the settings are valid\n")?);
    }
    #[cfg(feature = "data")]
    let (chat, config) = with_data_file(&given.settings, chat, config)?;
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

/// With the data file, if there is to be one: it keeps the messages, and the rooms that were created.
#[cfg(feature = "data")]
fn with_data_file(
    settings: &Settings,
    chat: Chat,
    config: Config,
) -> Result<(Chat, Config), Failure> {
    let Some(data) = settings.data.open()? else {
        return Ok((chat, config));
    };
    let data = Arc::new(data);
    let config = Config {
        backplane: Some(BackplaneConfig::new(data.clone())),
        ..config
    };
    Ok((chat.records(data), config))
}
