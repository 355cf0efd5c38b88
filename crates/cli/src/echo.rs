//! `yamabiko echo`: a server that sends every message back, for test suites and load tests.

use yamabiko::server::{Admission, Context, Handler, Message, Refusal, Upgrade};

use super::arguments::EchoSettings;
use super::output::Failure;
use super::serving::{self, Serving};

pub(super) fn run(mut settings: EchoSettings) -> Result<(), Failure> {
    let files = settings.0.tls_files();
    let serving = Serving {
        managed: serving::managed_sockets(&mut settings.0)?,
        log: settings.0.log,
        monitoring: settings.0.monitoring.clone(),
        apps: None,
        trace: settings.0.trace.clone(),
        restarts: settings.0.restarts.clone(),
        // It has no settings file.
        reloading: None,
        offer: "echo on",
        scheme: "ws",
    };
    let config = files.apply_to(settings.config())?;
    serving::serve(config, Echo, serving)
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
