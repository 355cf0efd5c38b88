//! `yamabiko serve`: the chat and its page.

use yamabiko::server::Config;

use super::arguments::ServeSettings;
use super::output::print;
use super::serving;

pub(super) fn run(settings: ServeSettings) -> Result<(), String> {
    let (chat, tokens) = settings.settings.access.build()?;
    if settings.check {
        return print("the settings are valid\n");
    }
    let config = Config {
        tokens,
        ..settings.config()
    };
    serving::serve(config, chat, "open", "http")
}
