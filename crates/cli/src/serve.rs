//! `yamabiko serve`: the chat and its page.

use yamabiko::server::Config;

use super::arguments::ServeSettings;
use super::output::{Failure, print};
use super::serving::{self, Serving};

pub(super) fn run(settings: ServeSettings) -> Result<(), Failure> {
    let (chat, tokens) = settings.settings.access.build()?;
    if settings.check {
        return Ok(print("the settings are valid\n")?);
    }
    let serving = Serving {
        log: settings.settings.log,
        monitoring: settings.settings.monitoring.clone(),
        drain: settings.settings.drain,
        offer: "open",
        scheme: "http",
    };
    let config = Config {
        tokens,
        ..settings.config()
    };
    serving::serve(config, chat, serving)
}
