//! Standard input from a program, in lines of at most 64 KiB.
//!
//! A longer line becomes several messages, cut between two characters. Bytes that are not
//! UTF-8 become U+FFFD, and are reported.

use std::io::{self, BufRead, Read};
use std::mem;

/// A longer line of input is sent as several messages.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;

/// The lines of an input.
#[derive(Debug)]
pub(super) struct Lines<Input> {
    input: Input,
    /// The start of a character that was cut off.
    rest: Vec<u8>,
}

/// A line, or a part of a long one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Without its line end.
    pub(super) text: String,
    /// Some bytes were not UTF-8.
    pub(super) damaged: bool,
}

impl<Input: BufRead> Lines<Input> {
    pub(super) fn new(input: Input) -> Lines<Input> {
        let rest = Vec::new();
        Lines { input, rest }
    }

    /// The next line; `None`: the input has ended.
    ///
    /// # Errors
    /// The operating system's error.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = mem::take(&mut self.rest);
        // At most 4 bytes are left over, far below the limit.
        let room = (LINE_BYTES_MAX - line.len()) as u64;
        (&mut self.input).take(room).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if pop_if_last(&mut line, b'\n') {
            pop_if_last(&mut line, b'\r');
        } else if line.len() == LINE_BYTES_MAX {
            self.rest = line.split_off(cut(&line));
        }
        let text = String::from_utf8_lossy(&line);
        Ok(Some(Line {
            damaged: matches!(text, std::borrow::Cow::Owned(_)),
            text: text.into_owned(),
        }))
    }
}

/// Removes the last byte if it is this one.
fn pop_if_last(line: &mut Vec<u8>, byte: u8) -> bool {
    let is_last = line.last() == Some(&byte);
    if is_last {
        line.pop();
    }
    is_last
}

/// The end of a piece: before a character whose last bytes are missing, and before a
/// carriage return, which may be part of the line end.
fn cut(line: &[u8]) -> usize {
    for back in 1..=3.min(line.len()) {
        let start = line.len() - back;
        let length = match line[start] {
            b'\r' if back == 1 => return start,
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { start } else { line.len() };
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(input);
        let mut all = Vec::new();
        while let Some(line) = lines.next().expect("memory") {
            all.push(line);
        }
        all
    }

    fn texts(input: &str) -> Vec<String> {
        let lines = lines(input.as_bytes()).into_iter();
        lines
            .inspect(|line| assert!(!line.damaged, "{line:.80?}"))
            .map(|line| line.text)
            .collect()
    }

    #[test]
    fn lines_end_at_any_line_end_and_the_last_needs_none() {
        assert_eq!(texts("a\nb\r\n\nc"), ["a", "b", "", "c"]);
        assert_eq!(texts(""), [""; 0]);
    }

    #[test]
    fn long_line_is_cut_between_two_characters() {
        for character in ["x", "é", "山", "🏔"] {
            for offset in 0..4 {
                let line = format!("{}{}", "a".repeat(offset), character.repeat(70_000));
                let pieces = texts(&line);
                assert!(pieces.len() > 1);
                assert!(pieces[0].len() > LINE_BYTES_MAX - 4);
                assert!(pieces.iter().all(|piece| piece.len() <= LINE_BYTES_MAX));
                assert!(pieces.concat() == line);
            }
        }
    }

    #[test]
    fn line_at_the_limit_is_whole_and_a_longer_one_is_cut() {
        let whole = "x".repeat(LINE_BYTES_MAX - 1);
        assert_eq!(texts(&format!("{whole}\nnext")), [&whole, "next"]);
        let cut = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(texts(&format!("{cut}y")), [&cut, "y"]);
        // The line end is not in the first piece, and carries nothing.
        assert_eq!(texts(&format!("{cut}\nnext")), [&cut, "", "next"]);
        let (start, _) = cut.split_at(LINE_BYTES_MAX - 1);
        assert_eq!(texts(&format!("{start}\r\nnext")), [start, "", "next"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_and_reported() {
        let read = lines(b"a\xffb\nc\n\xc3");
        let expected = [("a\u{fffd}b", true), ("c", false), ("\u{fffd}", true)];
        let expected = expected.map(|(text, damaged)| Line {
            text: text.to_owned(),
            damaged,
        });
        assert_eq!(read, expected);
        // Continuation bytes without a start do not keep a piece from ending.
        let wrong = lines(&vec![0x80; LINE_BYTES_MAX + 1]);
        assert_eq!(wrong.len(), 2);
    }
}
