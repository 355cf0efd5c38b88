//! `yamabiko serve`: the chat and its page.

use yamabiko::chat::Chat;
use yamabiko::server::Config;

use super::arguments::ServerOptions;
use super::output::NAME_AND_VERSION;
use super::serving;

pub(super) fn run(options: ServerOptions) -> Result<(), String> {
    let config = serving::configure(Config::default(), options);
    serving::serve(config, Chat::new(), |address| {
        format!(
            "{}: open {}\n",
            NAME_AND_VERSION,
            serving::url("http", address)
        )
    })
}
