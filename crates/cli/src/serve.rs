//! `yamabiko serve`: the chat and its page.

use yamabiko::chat::Chat;
use yamabiko::server::Config;

use super::arguments::ServerOptions;
use super::serving;

pub(super) fn run(options: ServerOptions) -> Result<(), String> {
    let config = serving::configure(Config::default(), options);
    serving::serve(config, Chat::new(), |address| {
        format!(
            "{}: open {}\n",
            super::NAME_AND_VERSION,
            serving::url("http", address)
        )
    })
}
