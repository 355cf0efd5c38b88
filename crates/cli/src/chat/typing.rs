//! The thread that reads standard input: keys of a terminal, or the lines of a program.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crossterm::event;

use super::desk::{Desk, Submitted};
use super::entry::{Entry, HELP};
use super::lines::Lines;
use super::prompt::{Prompt, Wish};
use super::screen::Screen;
use super::text::printable;

/// Keys that come within this are drawn together: a paste that the terminal does not
/// mark as one is drawn a few times, and not once for each character.
const SAME_MOMENT: Duration = Duration::from_millis(1);

/// How often a terminal that is silent is looked at. One that has gone (a window that was
/// closed, with SIGHUP ignored) gives neither keys nor an error.
const LOOK: Duration = Duration::from_secs(2);

/// Reads until the input ends, or the user leaves.
pub(super) fn read(desk: &Desk, screen: &Screen) {
    match screen.prompt() {
        Some(prompt) => {
            let _ = screen.show("* /help lists the commands");
            // The terminal is gone, or the user has left.
            let _ = read_keys(prompt, desk, screen);
            screen.close();
            desk.quit();
        }
        None => read_lines(desk, screen),
    }
}

fn read_keys(prompt: &Prompt, desk: &Desk, screen: &Screen) -> io::Result<()> {
    loop {
        while !event::poll(LOOK)? {
            if !io::stdin().is_terminal() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        match prompt.take(&event::read()?)? {
            Wish::Nothing => {}
            Wish::Enter(text) => {
                if enter(&text, desk, screen) == Next::Quit {
                    return Ok(());
                }
            }
            Wish::Quit => return Ok(()),
            Wish::Leave => {
                screen.close();
                desk.leave();
                return Ok(());
            }
            Wish::Suspend => prompt.pause(suspend)?,
        }
        if !event::poll(SAME_MOMENT)? {
            prompt.draw()?;
        }
    }
}

/// Stops this process until the shell continues it.
fn suspend() {
    #[cfg(unix)]
    // If it cannot be stopped, it goes on.
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGTSTP);
}

fn read_lines(desk: &Desk, screen: &Screen) {
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
        Entry::Say(message) => match told(desk.submit(message), text, screen) {
            Some(told) => told,
            None => return Next::Read,
        },
        Entry::Help => HELP.to_owned(),
        Entry::Who if desk.ask_names() => return Next::Read,
        Entry::Who => "! there is no connection to a room with names".to_owned(),
        Entry::Unknown(name) => format!(
            "! there is no command /{}; nothing was sent. /help lists the commands; \
             //... says a text that begins with a slash{}",
            printable(name),
            screen.give_back(text)
        ),
    };
    let _ = screen.show(&told);
    Next::Read
}

/// What to say about a message that is not simply on its way.
fn told(submitted: Submitted, text: &str, screen: &Screen) -> Option<String> {
    match submitted {
        Submitted::OnItsWay => None,
        Submitted::Waits(waiting) => Some(format!(
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
