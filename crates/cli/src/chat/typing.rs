//! The thread that reads standard input: keys of a terminal, or the lines of a program.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crossterm::event;

use yamabiko::chat::{ClientMessage, Moderation};

use super::completion::complete;
use super::entry::{Entry, HELP};
use super::lines::Lines;
use super::members::Members;
use super::prompt::{Action, Prompt};
use super::screen::Screen;
use super::shared::{Kind, Shared, Submitted};
use super::text::printable;

/// Keys that arrive within this time are drawn together. A paste that the terminal does not
/// mark is then drawn a few times instead of once for each character.
const DRAW_TOGETHER: Duration = Duration::from_millis(1);

/// How often a silent terminal is checked. A terminal that is gone (a closed window, with
/// SIGHUP ignored) sends neither keys nor an error.
const CHECK: Duration = Duration::from_secs(2);

/// Reads until the input ends, or the user leaves.
pub(super) fn read(shared: &Shared, screen: &Screen, members: &Members) {
    match screen.prompt() {
        Some(prompt) => {
            let _ = screen.show("* /help lists the commands");
            // The terminal is gone, or the user has left.
            let _ = read_keys(prompt, shared, screen, members);
            screen.close();
            shared.quit();
        }
        None => read_lines(shared, screen, members),
    }
}

fn read_keys(
    prompt: &Prompt,
    shared: &Shared,
    screen: &Screen,
    members: &Members,
) -> io::Result<()> {
    loop {
        while !event::poll(CHECK)? {
            if !io::stdin().is_terminal() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        match prompt.take(&event::read()?)? {
            Action::Nothing => {}
            Action::Enter(text) => {
                if handle(&text, shared, screen, members) == Next::Quit {
                    return Ok(());
                }
            }
            Action::Complete(before) => prompt.complete(complete(&before, &members.names()))?,
            Action::Quit => return Ok(()),
            Action::Leave => {
                screen.close();
                shared.leave();
                return Ok(());
            }
            Action::Suspend => prompt.pause(suspend)?,
        }
        if !event::poll(DRAW_TOGETHER)? {
            prompt.draw()?;
        }
    }
}

/// Stops this process until the shell continues it.
fn suspend() {
    #[cfg(unix)]
    // A process that cannot be stopped continues.
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGTSTP);
}

fn read_lines(shared: &Shared, screen: &Screen, members: &Members) {
    let mut lines = Lines::new(io::stdin().lock());
    let mut warned = false;
    while let Ok(Some(line)) = lines.next() {
        if line.damaged && !warned {
            screen.notice(
                "the input has bytes that are not UTF-8; each such place is sent as U+FFFD",
            );
            warned = true;
        }
        if !screen.is_for_a_person() {
            if !line.text.trim().is_empty() {
                shared.submit_when_possible(&line.text);
            }
        } else if handle(&line.text, shared, screen, members) == Next::Quit {
            break;
        }
    }
    if screen.is_for_a_person() {
        shared.quit();
    } else {
        shared.end_input();
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Read,
    Quit,
}

/// Handles a line that was entered. A screen that is gone is noticed at the next message of
/// the server.
fn handle(text: &str, shared: &Shared, screen: &Screen, members: &Members) -> Next {
    let line = match Entry::read(text) {
        Entry::Blank => return Next::Read,
        Entry::Quit => return Next::Quit,
        Entry::Message(message) => return submit(message, Kind::Text, text, shared, screen),
        Entry::Action(message) => return submit(message, Kind::Action, text, shared, screen),
        Entry::Help => HELP.to_owned(),
        Entry::Who => return request(&ClientMessage::Names, text, shared, screen),
        Entry::Nick(name) => {
            let rename = ClientMessage::Rename { name: name.into() };
            return request(&rename, text, shared, screen);
        }
        Entry::Topic(Some(topic)) => {
            let topic = if topic == "-" { "" } else { topic };
            let topic = ClientMessage::Topic { text: topic.into() };
            return request(&topic, text, shared, screen);
        }
        Entry::Moderate(moderation) => {
            return request(&ClientMessage::Moderate(moderation), text, shared, screen);
        }
        Entry::Delete(name) => match members.newest_message_of(name) {
            Some(position) => {
                let delete = Moderation::Delete {
                    position: position.into(),
                };
                return request(&ClientMessage::Moderate(delete), text, shared, screen);
            }
            None => format!(
                "! no message of {} is here; nothing was sent{}",
                printable(name),
                screen.give_back(text)
            ),
        },
        Entry::Topic(None) => format!("* {}", members.topic()),
        Entry::Incomplete(form) => {
            format!("! write {form}; nothing was sent{}", screen.give_back(text))
        }
        Entry::Unknown(name) => format!(
            "! there is no command /{}; nothing was sent. /help lists the commands; \
             //... sends a text that begins with a slash{}",
            printable(name),
            screen.give_back(text)
        ),
    };
    let _ = screen.show(&line);
    Next::Read
}

/// Sends a request to the room; the answer is shown when it comes.
fn request(request: &ClientMessage<'_>, text: &str, shared: &Shared, screen: &Screen) -> Next {
    if !shared.request(request) {
        let _ = screen.show(&format!(
            "! there is no connection to a room of the chat; nothing was sent{}",
            screen.give_back(text)
        ));
    }
    Next::Read
}

/// Sends a message. `text`: the line that was entered.
fn submit(message: &str, kind: Kind, text: &str, shared: &Shared, screen: &Screen) -> Next {
    let submitted = shared.submit(message, kind);
    if let Some(line) = notice(submitted, text, screen) {
        let _ = screen.show(&line);
    }
    Next::Read
}

/// The notice about a message that is not sent at once.
fn notice(submitted: Submitted, text: &str, screen: &Screen) -> Option<String> {
    match submitted {
        Submitted::Accepted => None,
        Submitted::Queued(waiting) => Some(format!(
            "* not connected: queued, and sent when the connection is back ({waiting} waiting)"
        )),
        Submitted::QueueFull => Some(format!(
            "! not sent: too much is waiting for the connection{}",
            screen.give_back(text)
        )),
        Submitted::TooLong(max) => Some(format!(
            "! not sent: a text may have at most {max} bytes, and this has {}{}",
            text.len(),
            screen.give_back(text)
        )),
    }
}
