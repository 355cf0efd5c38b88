//! Timers of a connection: reminders, and an end of connections that are not used.
//!
//! `cargo run --release --example reminders`, then for instance
//! `websocat ws://127.0.0.1:9001/` and the text `5 drink water`.
//!
//! A text is a number of seconds and a reminder. The client gets the reminder when the time is over. A client that has no
//! reminder and sends nothing for a minute is closed.

use std::collections::HashMap;
use std::time::Duration;
use yamabiko::server::{
    Admission, CloseCode, Config, Context, Handler, Message, Refusal, Server, Upgrade,
};

/// The handler: a timer for each reminder.
pub struct Reminders;

/// The timer of a client that sends nothing. The reminders have the numbers from 1 on.
const IDLE: u32 = 0;
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The reminders of one client, by the number of their timers.
pub type Texts = HashMap<u32, String>;

impl Handler for Reminders {
    type Session = Texts;

    fn admit(&self, _request: &Upgrade<'_>) -> Result<Admission<Texts>, Refusal> {
        Ok(Admission::new(Texts::new()))
    }

    fn opened(&self, _texts: &mut Texts, context: &mut Context<'_>) {
        // It is this connection's first timer.
        let _ = context.set_timer(IDLE, IDLE_MAX);
    }

    fn message(&self, texts: &mut Texts, message: Message<'_>, context: &mut Context<'_>) {
        let _ = context.set_timer(IDLE, IDLE_MAX);
        let answer = match message.as_text().and_then(reminder) {
            Some((after, text)) => remind(texts, after, text, context),
            None => "send a number of seconds and a text, such as \"5 drink water\"",
        };
        // An error means that the client is closing, or does not read.
        let _ = context.send(answer);
    }

    fn timer(&self, texts: &mut Texts, number: u32, context: &mut Context<'_>) {
        if number != IDLE {
            let text = texts.remove(&number).unwrap_or_default();
            let _ = context.send(text);
        } else if texts.is_empty() {
            context.close((CloseCode::NORMAL, "nothing to do"));
        } else {
            let _ = context.set_timer(IDLE, IDLE_MAX);
        }
    }
}

/// A number of seconds and a text.
fn reminder(message: &str) -> Option<(Duration, &str)> {
    let (seconds, text) = message.split_once(' ')?;
    Some((Duration::from_secs(seconds.parse().ok()?), text))
}

fn remind(
    texts: &mut Texts,
    after: Duration,
    text: &str,
    context: &mut Context<'_>,
) -> &'static str {
    let free = (1..).find(|number| !texts.contains_key(number));
    let Some(number) = free else {
        return "there are no more numbers";
    };
    if context.set_timer(number, after).is_err() {
        return "you have too many reminders";
    }
    texts.insert(number, text.to_owned());
    "I will remind you"
}

fn main() -> std::io::Result<()> {
    let config = Config {
        listen: ([127, 0, 0, 1], 9001).into(),
        ..Config::default()
    };
    let server = Server::bind(config, Reminders)?;
    println!("listening on ws://{}/", server.local_address());
    server.run()
}
