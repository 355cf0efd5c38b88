//! `yamabiko echo`: a server that sends every message back, for test suites and load tests.

use yamabiko::server::{Admission, Context, Handler, Message, Refusal, Upgrade};

use super::arguments::EchoSettings;
use super::logging::Log;
use super::output::Failure;
use super::serving;

pub(super) fn run(settings: EchoSettings) -> Result<(), Failure> {
    let log = Log::start(settings.0.log)?;
    let drain = settings.0.drain;
    serving::serve(settings.config(), Echo, &log, drain, "echo on", "ws")
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
