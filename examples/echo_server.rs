//! Sends every message back to its sender: the smallest application.
//!
//! `cargo run --release --example echo_server`, then
//! `cargo run --release --example echo_client -- ws://127.0.0.1:9001/ hello`.

use yamabiko::server::{Admission, Config, Context, Handler, Message, Refusal, Server, Upgrade};

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        Ok(Admission::new(()))
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        // An error means that the client is closing, or does not read.
        let _ = context.send(message);
    }
}

fn main() -> std::io::Result<()> {
    let config = Config {
        listen: ([127, 0, 0, 1], 9001).into(),
        ..Config::default()
    };
    let server = Server::bind(config, Echo)?;
    println!("listening on ws://{}/", server.local_address());
    server.run()
}
