//! `yamabiko serve`: the chat and its page.

use yamabiko::server::Config;

use super::arguments::ServeSettings;
use super::logging::Log;
use super::output::{Failure, print};
use super::serving;

pub(super) fn run(settings: ServeSettings) -> Result<(), Failure> {
    let (chat, tokens) = settings.settings.access.build()?;
    if settings.check {
        return Ok(print("the settings are valid\n")?);
    }
    let log = Log::start(settings.settings.log)?;
    let drain = settings.settings.drain;
    let config = Config {
        tokens,
        ..settings.config()
    };
    serving::serve(config, chat, &log, drain, "open", "http")
}
