//! The thread that reads standard input: what a person types, or the lines of a program.

use std::io;

use super::desk::{Desk, Submitted};
use super::entry::{Entry, HELP};
use super::lines::Lines;
use super::screen::{Screen, printable};

/// Reads until the input ends, or the user leaves.
pub(super) fn read(desk: &Desk, screen: &Screen) {
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
                desk.submit_waiting(&line.text);
            }
        } else if enter(&line.text, desk, screen) == Next::Quit {
            break;
        }
        screen.prompt();
    }
    if screen.is_for_a_person() {
        desk.quit();
    } else {
        desk.end_input();
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Read,
    Quit,
}

/// Does what was entered. A screen that is gone shows in what the server sends next.
fn enter(text: &str, desk: &Desk, screen: &Screen) -> Next {
    let told = match Entry::read(text) {
        Entry::Blank => return Next::Read,
        Entry::Quit => return Next::Quit,
        Entry::Say(message) => match told(desk.submit(message), text) {
            Some(told) => told,
            None => return Next::Read,
        },
        Entry::Help => HELP.to_owned(),
        Entry::Who if desk.ask_names() => return Next::Read,
        Entry::Who => "! there is no connection to a room with names".to_owned(),
        Entry::Unknown(name) => format!(
            "! there is no command /{}; nothing was sent. /help lists the commands; \
             //... says a text that begins with a slash",
            printable(name)
        ),
    };
    let _ = screen.show(&told);
    Next::Read
}

/// What to say about a message that is not simply on its way.
fn told(submitted: Submitted, text: &str) -> Option<String> {
    match submitted {
        Submitted::OnItsWay => None,
        Submitted::Waits(waiting) => Some(format!(
            "* not connected: queued, and sent when the connection is back ({waiting} waiting)"
        )),
        Submitted::QueueFull => {
            Some("! not sent: too much is waiting for the connection".to_owned())
        }
        Submitted::TooLong(max) => Some(format!(
            "! not sent: a text may have at most {max} bytes, and this has {}",
            text.len()
        )),
    }
}
