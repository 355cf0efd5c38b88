//! `yamabiko echo`: sends every message back, for conformance suites and load
//! tests.

use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Upgrade};
use yamabiko::websocket::Limits;

use super::arguments::ServerOptions;
use super::serving;

pub(super) fn run(options: ServerOptions) -> Result<(), String> {
    let config = serving::configure(defaults(), options);
    serving::serve(config, Echo, |address| {
        format!("{}: echo on ws://{address}/\n", super::NAME_AND_VERSION)
    })
}

/// Messages of 16 MiB, which the Autobahn suite sends and wants back.
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
        // An error says that this client is closing, or reads too slowly; the
        // server sees to that.
        let _ = context.send(message);
    }
}
