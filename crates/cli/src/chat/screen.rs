//! The output: lines above a prompt on a terminal, and plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use super::layout::INDENT;
use super::prompt::Prompt;
use super::text::printable;
use crate::terminal::can_move_cursor;

/// Standard output and standard error, as the user sees them.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    /// `None`: plain lines.
    prompt: Option<Arc<Prompt>>,
    input_is_terminal: bool,
    output_is_terminal: bool,
}

impl Screen {
    /// With a prompt, if standard input and output are a terminal that can move its cursor.
    pub(super) fn open() -> Screen {
        let mut screen = Screen::plain(io::stdin().is_terminal(), io::stdout().is_terminal());
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
            Some(prompt) => prompt.print(text),
            None => {
                let mut output = io::stdout().lock();
                writeln!(output, "{text}")?;
                output.flush()
            }
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
