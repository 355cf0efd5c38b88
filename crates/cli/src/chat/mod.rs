//! `yamabiko chat`: the chat in a terminal.
//!
//! ```text
//!   keys, or lines ──▶ typing ──┐                      ┌──▶ screen, its prompt
//!                               ▼                      │
//!   Ctrl-C ──────────────▶ shared: queue, Writer   Reader: conversation
//!                               │                      ▲
//!                               └──▶ server ───────────┘
//! ```
//!
//! Four threads: this one reads from the server, one reads standard input, one sends, one
//! waits for signals. They share the state in [`Shared`] and the [`Screen`]. A connection
//! that is lost is opened again, after the pauses that RFC 6455 §7.2.3 asks for. Messages
//! that are entered meanwhile are queued.
//!
//! | file | content |
//! |---|---|
//! | `address` | which server and which room the user means |
//! | `conversation` | one connection: joining, and the reaction to each message |
//! | `room` | the room: from the server's messages to lines |
//! | `members` | the names and the topic, for the line editor |
//! | `ending` | how a connection ended, and what follows |
//! | `shared` | state of all threads: connection, queue, unconfirmed messages |
//! | `typing` | the thread that reads standard input |
//! | `entry` | a message or a command |
//! | `lines` | input from a program, in lines |
//! | `screen` | plain output, or a prompt |
//! | `style` | colours and times |
//! | `json` | the output of `--json` |
//! | `prompt`, `keys`, `draft`, `layout`, `completion` | the line editor: the terminal, its keys, the text, its rows, completing words |
//! | `retry` | whether a failed attempt to connect is repeated, and when |

mod address;
mod completion;
mod conversation;
mod draft;
mod ending;
mod entry;
mod errors;
mod json;
mod keys;
mod layout;
mod lines;
mod members;
mod prompt;
mod room;
mod screen;
mod shared;
mod style;
mod text;
mod typing;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use yamabiko::chat::{SUBPROTOCOL, SUBPROTOCOL_V2};
use yamabiko::client::{Backoff, Client, ClientError, Retry};
use yamabiko::tls::ClientTls;
use yamabiko::websocket::deflate::DeflateConfig;

use super::arguments::ChatSettings;
use super::signals;
use super::tls;
use address::{invitation_of, uri_of};
use conversation::{Conversation, Keys};
use ending::Outcome;
use errors::explain;
use members::Members;
use screen::Screen;
use shared::Shared;
use text::excerpt;

/// Chats until the input ends, a signal arrives, or the server ends the connection for good.
pub(super) fn run(settings: ChatSettings) -> Result<(), String> {
    let token = settings.token()?;
    let keys = Keys {
        password: settings.password()?,
        invitation: invitation_of(&settings.url).map(str::to_owned),
    };
    let name = match settings.name {
        Some(name) => name,
        None => format!("guest-{:04}", random()? % 10_000),
    };
    let members = Members::default();
    let mut conversation = Conversation::new(name, secret()?, keys, members.clone());
    let server = Server {
        tls: tls::trusted(&settings.trust)?,
        uri: uri_of(&settings.url),
        token,
        origin: settings.origin,
        headers: settings.headers,
        subprotocols: settings.subprotocols,
        compresses: !settings.no_compress,
    };
    let client = server.connect().map_err(|error| explain(&error))?;
    let shared = Arc::new(Shared::default());
    let screen = Screen::open(settings.json, settings.listen_only);
    let reads_input = !settings.listen_only;
    let result = start_threads(&shared, &screen, reads_input.then_some(members))
        .and_then(|()| stay(&server, client, &mut conversation, &shared, &screen));
    screen.close();
    report(result, &shared, &screen)
}

/// `members`: of the room, for the thread that reads standard input. `None`: nothing reads it.
fn start_threads(
    shared: &Arc<Shared>,
    screen: &Screen,
    members: Option<Members>,
) -> Result<(), String> {
    let (leaving, closing) = (Arc::clone(shared), screen.clone());
    signals::on_first(move || {
        closing.close();
        leaving.leave();
    })?;
    let (sending, seen) = (Arc::clone(shared), screen.clone());
    thread::spawn(move || {
        let sent = || seen.set_under_way(|| sending.has_unconfirmed());
        sending.send_all(sent, |message| {
            if seen.is_for_a_person() {
                // A screen that is gone is noticed at the next message of the server.
                let _ = seen.show(&format!(
                    "* the connection has ended: queued, and sent when it is back: {}",
                    excerpt(&message.text)
                ));
            }
        });
    });
    let (typing, seen) = (Arc::clone(shared), screen.clone());
    if let Some(members) = members {
        thread::spawn(move || typing::read(&typing, &seen, &members));
    }
    Ok(())
}

/// Keeps a connection: opens a new one when it is lost.
fn stay(
    server: &Server,
    client: Client,
    conversation: &mut Conversation,
    shared: &Shared,
    screen: &Screen,
) -> Result<(), String> {
    let mut backoff = Backoff::new();
    let mut client = Some(client);
    loop {
        let (lost, asked) = match client.take() {
            Some(client) => match conversation.run(client, shared, screen, &mut backoff) {
                Outcome::Done => return Ok(()),
                Outcome::Failed(why) => return Err(why),
                Outcome::Lost(why) => (why, Duration::ZERO),
            },
            None => match server.connect() {
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
        if shared.wait_to_leave(pause) {
            return Ok(());
        }
    }
}

/// The pause of the backoff, or the server's `Retry-After` if that is longer. To the latter
/// up to five seconds are added, because the server may have sent it to all its clients.
fn pause(backoff: &mut Backoff, asked: Duration) -> Result<Duration, String> {
    Ok(backoff.next_delay_after(asked, random()?))
}

/// Reports messages that were never sent. From a program, messages that were refused or may
/// be lost are an error.
fn report(result: Result<(), String>, shared: &Shared, screen: &Screen) -> Result<(), String> {
    let unsent = shared.unsent();
    for message in &unsent {
        screen.notice(&format!("not sent: {}", excerpt(&message.text)));
    }
    result?;
    let failures = shared.failures();
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

/// The server, which certificates of it are trusted, and what the request to it has.
struct Server {
    uri: String,
    tls: Option<ClientTls>,
    token: Option<String>,
    origin: Option<String>,
    headers: Vec<(String, String)>,
    /// Instead of those of the chat, if there are any.
    subprotocols: Vec<String>,
    /// Compression is offered.
    compresses: bool,
}

impl Server {
    fn connect(&self) -> Result<Client, ClientError> {
        let mut client = Client::builder(&self.uri).keep_alive(SILENCE, ANSWER);
        if self.compresses {
            client = client.deflate(DeflateConfig::default());
        }
        let own = self.subprotocols.iter().map(String::as_str);
        let of_chat = [SUBPROTOCOL_V2, SUBPROTOCOL].into_iter();
        let chosen: Vec<&str> = match self.subprotocols.is_empty() {
            true => of_chat.collect(),
            false => own.collect(),
        };
        for subprotocol in chosen {
            client = client.subprotocol(subprotocol);
        }
        if let Some(token) = &self.token {
            client = client.field("Authorization", &format!("Bearer {token}"));
        }
        if let Some(origin) = &self.origin {
            client = client.origin(origin);
        }
        for (name, value) in &self.headers {
            client = client.field(name, value);
        }
        match &self.tls {
            Some(tls) => client.tls(tls.clone()).connect(),
            None => client.connect(),
        }
    }
}

/// A server that is gone without a word, such as behind a cut cable, is noticed after these two times. A server pings more often
/// than that by default.
const SILENCE: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(15);

fn random() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("no random numbers: {error}"))
}

/// 16 random bytes, as text.
fn secret() -> Result<String, String> {
    Ok(format!("{:016x}{:016x}", random()?, random()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_is_at_least_the_servers_retry_after_plus_a_random_part() {
        for _ in 0..100 {
            let asked = Duration::from_secs(60);
            let pause = pause(&mut Backoff::new(), asked).expect("random");
            assert!(pause >= asked && pause < asked + Duration::from_secs(5));
        }
        let own = pause(&mut Backoff::new(), Duration::ZERO).expect("random");
        assert!(own < Duration::from_secs(5));
    }
}
