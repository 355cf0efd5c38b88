//! `yamabiko serve`: the chat and its page.

use yamabiko::chat::Chat;

use super::arguments::ServeSettings;
use super::output::print;
use super::serving;

pub(super) fn run(settings: ServeSettings) -> Result<(), String> {
    if settings.check {
        return print("the settings are valid\n");
    }
    serving::serve(settings.config(), Chat::new(), "open", "http")
}
