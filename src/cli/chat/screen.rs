//! What the user sees: lines above a prompt on a terminal, and plain lines
//! elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

/// Back to the first column, and what stands in the line is erased.
const ERASE_LINE: &str = "\r\x1b[K";
const PROMPT: &str = "> ";

/// Standard output, as the user sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    input_is_terminal: bool,
    output_is_terminal: bool,
}

impl Screen {
    pub(super) fn new() -> Screen {
        Screen::plain(io::stdin().is_terminal(), io::stdout().is_terminal())
    }

    pub(super) fn plain(input_is_terminal: bool, output_is_terminal: bool) -> Screen {
        Screen {
            input_is_terminal,
            output_is_terminal,
        }
    }

    /// A person types, as far as can be known; else it is a program.
    pub(super) fn is_for_a_person(self) -> bool {
        self.input_is_terminal
    }

    /// What the user typed is on the screen already.
    pub(super) fn shows_what_is_typed(self) -> bool {
        self.input_is_terminal && self.output_is_terminal
    }

    /// One line of output. What the user is typing stays in the terminal's line
    /// buffer, though it disappears from sight.
    pub(super) fn show(self, line: &str) -> io::Result<()> {
        let mut output = io::stdout().lock();
        write_line(&mut output, line, self.shows_what_is_typed())
    }

    /// One line about the connection, on standard error.
    pub(super) fn notice(self, line: &str) {
        let erase = if self.shows_what_is_typed() {
            ERASE_LINE
        } else {
            ""
        };
        // Where standard error is closed, there is nobody to tell.
        let _ = writeln!(io::stderr(), "{erase}yamabiko: {line}");
    }

    /// Asks for the next line of input.
    pub(super) fn prompt(self) {
        self.write_if_terminal(PROMPT);
    }

    /// The prompt goes.
    pub(super) fn end(self) {
        self.write_if_terminal(ERASE_LINE);
    }

    /// A text of somebody else, which may have several lines. On a terminal those after
    /// the first are indented, so that none looks like a message of its own; elsewhere a
    /// message stays one line, for a program that reads it.
    pub(super) fn text(self, text: &str) -> String {
        if self.output_is_terminal {
            printable_lines(text)
        } else {
            printable(text)
        }
    }

    fn write_if_terminal(self, text: &str) {
        if self.shows_what_is_typed() {
            let mut output = io::stdout().lock();
            // A terminal that is gone shows in the next line that is written.
            let _ = output
                .write_all(text.as_bytes())
                .and_then(|()| output.flush());
        }
    }
}

/// Before each further line of a text.
const INDENT: &str = "  ";

fn write_line(output: &mut impl Write, line: &str, is_terminal: bool) -> io::Result<()> {
    if is_terminal {
        write!(output, "{ERASE_LINE}{line}\n{PROMPT}")?;
    } else {
        writeln!(output, "{line}")?;
    }
    output.flush()
}

/// The text with everything that could command a terminal, end the line or turn
/// the direction of writing around replaced by its `\u{…}`.
pub(super) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmless(character) {
            line.push(character);
        } else {
            // Writing to a string does not fail.
            let _ = write!(line, "{}", character.escape_unicode());
        }
    }
    line
}

/// The same, but a line feed ends a line, and the next is indented.
fn printable_lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join(&format!("\n{INDENT}"))
}

/// The start of a text, in one line, to say which is meant.
pub(super) fn excerpt(text: &str) -> String {
    let mut characters = text.trim().chars();
    let start: String = characters.by_ref().take(EXCERPT_CHARACTERS_MAX).collect();
    let dots = if characters.next().is_some() {
        "…"
    } else {
        ""
    };
    format!("\"{}{dots}\"", printable(&start))
}

const EXCERPT_CHARACTERS_MAX: usize = 60;

fn is_harmless(character: char) -> bool {
    let turns_direction = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character == '\t' || !(character.is_control() || turns_direction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, is_terminal: bool) -> String {
        let mut output = Vec::new();
        write_line(&mut output, line, is_terminal).expect("memory");
        String::from_utf8(output).expect("text")
    }

    #[test]
    fn line_stands_above_the_prompt_on_a_terminal_and_plain_elsewhere() {
        assert_eq!(written("<Bo> yo", true), "\r\x1b[K<Bo> yo\n> ");
        assert_eq!(written("<Bo> yo", false), "<Bo> yo\n");
    }

    #[test]
    fn printable_keeps_words_and_defuses_controls() {
        assert_eq!(printable("山彦 🏔\tyo"), "山彦 🏔\tyo");
        assert_eq!(
            printable("\x1b]0;\x07\r\n\u{9b}"),
            r"\u{1b}]0;\u{7}\u{d}\u{a}\u{9b}"
        );
    }

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

    #[test]
    fn excerpt_is_one_short_line() {
        assert_eq!(excerpt("yo\nho\n"), r#""yo\u{a}ho""#);
        let (fits, long) = ("x".repeat(60), "x".repeat(61));
        assert_eq!(excerpt(&fits), format!("\"{fits}\""));
        assert_eq!(excerpt(&long), format!("\"{fits}…\""));
    }
}
