//! `yamabiko echo`: a server that sends every message back, for test suites and load tests.

use yamabiko::server::{Admission, Config, Context, Handler, Message, Origins, Refusal, Upgrade};
use yamabiko::websocket::Limits;

use super::arguments::ServerSettings;
use super::output::NAME_AND_VERSION;
use super::serving;

pub(super) fn run(settings: ServerSettings) -> Result<(), String> {
    serving::serve(configure(settings), Echo, |address| {
        format!(
            "{}: echo on {}\n",
            NAME_AND_VERSION,
            serving::url("ws", address)
        )
    })
}

/// The settings over the defaults. On a loopback address pages of every origin may connect
/// if no origin is named, also those of a file (`Origin: null`): a test page can be anywhere,
/// and this server sends a page only what the page has sent.
pub(super) fn configure(settings: ServerSettings) -> Config {
    let names_origins = !settings.allow_origins.is_empty();
    let mut config = settings.apply_to(defaults());
    if !names_origins && config.listen.ip().is_loopback() {
        config.origins = Origins::Any;
    }
    config
}

/// Messages of up to 16 MiB: the Autobahn suite sends them.
pub(super) fn defaults() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 9001).into(),
        limits: Limits {
            message_bytes_max: 16 << 20,
            ..Limits::default()
        },
        backlog_bytes_max: 64 << 20,
        ..Config::default()
    }
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        // An error: the client is closing, or reads too slowly. The server acts on both.
        let _ = context.send(message);
    }
}
