//! The output: lines above a prompt on a terminal, and plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use super::layout::INDENT;
use super::prompt::Prompt;
use super::style::Style;
use super::text::printable;
use crate::terminal::can_move_cursor;

/// Standard output and standard error, as the user sees them.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    /// `None`: plain lines.
    prompt: Option<Arc<Prompt>>,
    input_is_terminal: bool,
    output_is_terminal: bool,
    style: Style,
    /// Messages are shown as JSON, and nothing else on standard output.
    is_json: bool,
    /// Standard input is not read.
    only_listens: bool,
}

impl Screen {
    /// With a prompt, if standard input and output are a terminal that can move its cursor.
    ///
    /// `is_json`: messages are shown as JSON. `only_listens`: standard input is not read.
    pub(super) fn open(is_json: bool, only_listens: bool) -> Screen {
        let input_is_terminal = io::stdin().is_terminal() && !is_json && !only_listens;
        let mut screen = Screen::plain(input_is_terminal, io::stdout().is_terminal());
        screen.is_json = is_json;
        screen.only_listens = only_listens;
        if screen.output_is_terminal && !is_json {
            screen.style = Style::of_terminal();
        }
        if screen.shows_what_is_typed() && can_move_cursor() {
            // A terminal that cannot be set up gets plain lines.
            screen.prompt = Prompt::open().ok().map(Arc::new);
        }
        screen
    }

    pub(super) fn plain(input_is_terminal: bool, output_is_terminal: bool) -> Screen {
        Screen {
            prompt: None,
            input_is_terminal,
            output_is_terminal,
            style: Style::default(),
            is_json: false,
            only_listens: false,
        }
    }

    /// A terminal with this style.
    #[cfg(test)]
    pub(super) fn styled(style: Style) -> Screen {
        Screen {
            style,
            ..Screen::plain(true, true)
        }
    }

    pub(super) fn style(&self) -> &Style {
        &self.style
    }

    /// A connection that is lost for a temporary reason is opened again: nothing that was sent may be lost with it, or a person sees it.
    pub(super) fn waits_for_the_server(&self) -> bool {
        self.input_is_terminal || self.only_listens
    }

    /// Shows a message as JSON, if the output is that.
    pub(super) fn show_json(&self, line: impl FnOnce() -> String) -> io::Result<()> {
        match self.is_json {
            true => write_line(&line()),
            false => Ok(()),
        }
    }

    /// Whether messages are on their way.
    pub(super) fn set_under_way(&self, is_under_way: impl FnOnce() -> bool) {
        if let Some(prompt) = &self.prompt {
            // A terminal that is gone is noticed at the next message.
            let _ = prompt.set_under_way(is_under_way);
        }
    }

    pub(super) fn prompt(&self) -> Option<&Arc<Prompt>> {
        self.prompt.as_ref()
    }

    /// The input comes from a person, and not from a program: it is a terminal.
    pub(super) fn is_for_a_person(&self) -> bool {
        self.input_is_terminal
    }

    /// The terminal shows the user's own input.
    pub(super) fn shows_what_is_typed(&self) -> bool {
        self.input_is_terminal && self.output_is_terminal
    }

    /// One line of output, or several.
    ///
    /// # Errors
    /// The operating system's error: standard output is gone.
    pub(super) fn show(&self, text: &str) -> io::Result<()> {
        match &self.prompt {
            _ if self.is_json => Ok(()),
            Some(prompt) => prompt.print(text),
            None => write_line(text),
        }
    }

    /// One line about the connection or the input, on standard error.
    pub(super) fn notice(&self, line: &str) {
        let line = format!("yamabiko: {line}");
        // If standard error is closed, the notice is dropped.
        let _ = match &self.prompt {
            Some(prompt) if io::stderr().is_terminal() => prompt.print(&line),
            _ => writeln!(io::stderr(), "{line}"),
        };
    }

    /// Puts a text that could not be sent back at the prompt. Returns a note on its place.
    pub(super) fn give_back(&self, text: &str) -> &'static str {
        match &self.prompt {
            Some(prompt) if prompt.give_back(text) => "; it is at the prompt again",
            Some(_) => "; arrow up brings it back",
            None => "",
        }
    }

    /// Removes the prompt.
    pub(super) fn close(&self) {
        if let Some(prompt) = &self.prompt {
            prompt.close();
        }
    }

    /// A text of another member, which may have several lines. A terminal gets an indent
    /// before each further line, so that none looks like another message. A program gets one
    /// line.
    pub(super) fn text(&self, text: &str) -> String {
        if self.output_is_terminal {
            printable_lines(text)
        } else {
            printable(text)
        }
    }
}

fn write_line(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// As [`printable`], but a line feed ends a line, and the next is indented.
fn printable_lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join(&format!("\n{INDENT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_feed_is_a_line_break_with_an_indent_on_a_terminal_and_escaped_elsewhere() {
        let screen = |output_is_terminal| Screen::plain(true, output_is_terminal);
        let text = "one\r\ntwo\n<Bo> three\rx\u{1b}[2J";
        assert_eq!(
            screen(true).text(text),
            "one\n  two\n  <Bo> three\\u{d}x\\u{1b}[2J"
        );
        assert_eq!(
            screen(false).text(text),
            r"one\u{d}\u{a}two\u{a}<Bo> three\u{d}x\u{1b}[2J"
        );
    }
}
