//! `yamabiko chat`: the chat in a terminal.
//!
//! ```text
//!   keys, or lines ──▶ typing ──┐                      ┌──▶ screen, its prompt
//!                               ▼                      │
//!   Ctrl-C ──────────────▶ desk: queue, Writer   Reader: conversation
//!                               │                      ▲
//!                               └──▶ server ───────────┘
//! ```
//!
//! Four threads: this one reads what the server says, one reads standard input, one
//! sends, one waits for signals. They meet at the [`Desk`], which knows whether there is
//! a connection to write to, and at the [`Screen`]. A connection that is lost is opened
//! again, after the pauses that RFC 6455 §7.2.3 asks for; messages entered meanwhile
//! wait.
//!
//! | file | what is in it |
//! |---|---|
//! | `conversation` | one connection: from the server's messages to lines |
//! | `desk` | what the threads share: the queue, what has not come back |
//! | `typing` | the thread that reads standard input |
//! | `entry` | a message or a command |
//! | `lines` | input that is no terminal, in pieces |
//! | `screen` | plain output, or a prompt |
//! | `prompt`, `draft`, `layout` | the line editor: the terminal, the text, its rows |
//! | `retry` | which failure is worth another attempt, and when |

mod conversation;
mod desk;
mod draft;
mod entry;
mod errors;
mod layout;
mod lines;
mod prompt;
mod retry;
mod screen;
mod text;
mod typing;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use yamabiko::chat::SUBPROTOCOL;
use yamabiko::client::{Backoff, Client, ClientError};
use yamabiko::websocket::deflate::DeflateConfig;

use super::arguments::ChatSettings;
use super::signals;
use conversation::{Conversation, Outcome};
use desk::Desk;
use errors::explain;
use retry::Retry;
use screen::Screen;
use text::excerpt;

/// Chats until the input ends, a signal comes, or the server wants no more.
pub(super) fn run(settings: ChatSettings) -> Result<(), String> {
    let mut conversation = Conversation::new(match settings.name {
        Some(name) => name,
        None => format!("guest-{:04}", random()? % 10_000),
    });
    let client = connect(&settings.url).map_err(|error| explain(&error))?;
    let desk = Arc::new(Desk::default());
    let screen = Screen::open();
    let result = start_threads(&desk, &screen)
        .and_then(|()| stay(&settings.url, client, &mut conversation, &desk, &screen));
    screen.close();
    account(result, &desk, &screen)
}

fn start_threads(desk: &Arc<Desk>, screen: &Screen) -> Result<(), String> {
    let (leaving, closing) = (Arc::clone(desk), screen.clone());
    signals::on_first(move || {
        closing.close();
        leaving.leave();
    })?;
    let (sending, seen) = (Arc::clone(desk), screen.clone());
    thread::spawn(move || {
        sending.send_all(|message| {
            if seen.is_for_a_person() {
                // A screen that is gone shows in what the server sends next.
                let _ = seen.show(&format!(
                    "* the connection has ended: queued, and sent when it is back: {}",
                    excerpt(&message.text)
                ));
            }
        });
    });
    let (typing, seen) = (Arc::clone(desk), screen.clone());
    thread::spawn(move || typing::read(&typing, &seen));
    Ok(())
}

/// One connection after the other, until it is time to go.
fn stay(
    url: &str,
    client: Client,
    conversation: &mut Conversation,
    desk: &Desk,
    screen: &Screen,
) -> Result<(), String> {
    let mut backoff = Backoff::new();
    let mut client = Some(client);
    loop {
        let (lost, asked) = match client.take() {
            Some(client) => match conversation.hold(client, desk, screen, &mut backoff) {
                Outcome::Done => return Ok(()),
                Outcome::Failed(why) => return Err(why),
                Outcome::Lost(why) => (why, Duration::ZERO),
            },
            None => match connect(url) {
                Ok(opened) => {
                    client = Some(opened);
                    continue;
                }
                Err(error) => match Retry::of(&error) {
                    Retry::Never => return Err(explain(&error)),
                    Retry::After(asked) => (explain(&error), asked),
                },
            },
        };
        let pause = pause(&mut backoff, asked)?;
        screen.notice(&format!("{lost}; again in {:.1} s", pause.as_secs_f64()));
        if desk.leaves_within(pause) {
            return Ok(());
        }
    }
}

/// The backoff's own pause, or what the server asks for if that is longer; then up to
/// five seconds more, because it may have asked all its clients for the same.
fn pause(backoff: &mut Backoff, asked: Duration) -> Result<Duration, String> {
    let delay = backoff.next_delay(random()?);
    if asked <= delay {
        return Ok(delay);
    }
    Ok(asked + Backoff::new().next_delay(random()?))
}

/// What was never sent is told. A program that sent something that was refused, or that
/// may be lost, ends with an error.
fn account(result: Result<(), String>, desk: &Desk, screen: &Screen) -> Result<(), String> {
    let unsent = desk.unsent();
    for message in &unsent {
        screen.notice(&format!("not sent: {}", excerpt(&message.text)));
    }
    result?;
    let failures = desk.failures();
    if !unsent.is_empty() {
        Err(format!("messages that were not sent: {}", unsent.len()))
    } else if failures > 0 && !screen.is_for_a_person() {
        Err(format!(
            "messages that were refused, or may be lost: {failures}"
        ))
    } else {
        Ok(())
    }
}

fn connect(url: &str) -> Result<Client, ClientError> {
    Client::builder(url)
        .subprotocol(SUBPROTOCOL)
        .deflate(DeflateConfig::default())
        .connect()
}

fn random() -> Result<u32, String> {
    getrandom::u32().map_err(|error| format!("no random numbers: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_is_at_least_what_the_server_asks_for_and_spread_beyond_it() {
        for _ in 0..100 {
            let asked = Duration::from_secs(60);
            let pause = pause(&mut Backoff::new(), asked).expect("random");
            assert!(pause >= asked && pause < asked + Duration::from_secs(5));
        }
        let own = pause(&mut Backoff::new(), Duration::ZERO).expect("random");
        assert!(own < Duration::from_secs(5));
    }
}
