//! `yamabiko serve`: the chat and its page.

use yamabiko::chat::Chat;
use yamabiko::server::Config;

use super::arguments::ServerSettings;
use super::output::NAME_AND_VERSION;
use super::serving;

pub(super) fn run(settings: ServerSettings) -> Result<(), String> {
    let config = settings.apply_to(Config::default());
    serving::serve(config, Chat::new(), |address| {
        format!(
            "{}: open {}\n",
            NAME_AND_VERSION,
            serving::url("http", address)
        )
    })
}
