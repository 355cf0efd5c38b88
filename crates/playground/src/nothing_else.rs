//! A server with the playground alone.

use yamabiko::server::{Admission, Context, Handler, Message, Refusal, Status, Upgrade};

/// The application beside a [`Playground`](super::Playground) that is alone on its server: every other path is 404.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingElse;

impl Handler for NothingElse {
    type Session = ();

    fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Err(Refusal::new(Status::NotFound, "there is nothing here"))
    }

    fn message(&self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
}
