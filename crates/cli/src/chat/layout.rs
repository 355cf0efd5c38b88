//! The position of each character of the draft on the terminal.
//!
//! ```text
//!   columns = 8          > The ec      row 0
//!                        ho comes      row 1: the line went on, no indent
//!                          back        row 2: a line feed, and an indent
//! ```
//!
//! Rows are broken here and not by the terminal, so that their number is known: that many
//! rows are erased before a message is written above them.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::text::printable;

/// In front of a draft: all messages have come back from the room.
pub(super) const DELIVERED: &str = "> ";
/// Some messages were sent and have not come back yet.
pub(super) const UNDER_WAY: &str = "… ";
/// Before each further line of a text, of a draft as of a message.
pub(super) const INDENT: &str = "  ";
const TAB: &str = "    ";

/// The rows of a draft behind its prompt, and the place of the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// At least one.
    pub(super) rows: Vec<Row>,
    pub(super) cursor: Place,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) text: String,
    /// In columns.
    width: usize,
}

/// Row and column, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
}

impl Row {
    pub(super) fn width(&self) -> usize {
        self.width
    }
}

impl Layout {
    /// `prompt` is in front of the text. `cursor` is in bytes, between two characters of the text.
    pub(super) fn new(prompt: &str, text: &str, cursor: usize, columns: usize) -> Layout {
        let mut layout = Layout {
            rows: vec![Row::default()],
            cursor: Place::default(),
        };
        layout.put(prompt, columns);
        for (start, cluster) in text.grapheme_indices(true) {
            if start == cursor {
                layout.cursor = layout.next_place(columns);
            }
            match cluster {
                "\n" => layout.break_line(columns),
                "\t" => layout.put(TAB, columns),
                cluster => layout.put(&printable(cluster), columns),
            }
        }
        if cursor >= text.len() {
            layout.cursor = layout.next_place(columns);
        }
        layout
    }

    fn break_line(&mut self, columns: usize) {
        self.rows.push(Row::default());
        self.put(INDENT, columns);
    }

    fn put(&mut self, text: &str, columns: usize) {
        for cluster in text.graphemes(true) {
            let width = cluster.width();
            if self.last().width + width > columns && self.last().width > 0 {
                self.rows.push(Row::default());
            }
            let row = self.last();
            row.text.push_str(cluster);
            row.width += width;
        }
    }

    /// The place of the next character. After a full row it is the next row, because the
    /// cursor cannot be behind the last column.
    fn next_place(&mut self, columns: usize) -> Place {
        if self.last().width >= columns {
            self.rows.push(Row::default());
        }
        Place {
            row: self.rows.len() - 1,
            column: self.last().width,
        }
    }

    fn last(&mut self) -> &mut Row {
        if self.rows.is_empty() {
            self.rows.push(Row::default());
        }
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(text: &str, cursor: usize, columns: usize) -> (Vec<String>, (usize, usize)) {
        let layout = Layout::new(DELIVERED, text, cursor, columns);
        let rows = layout.rows.into_iter().map(|row| row.text).collect();
        (rows, (layout.cursor.row, layout.cursor.column))
    }

    fn rows(rows: &[&str]) -> Vec<String> {
        rows.iter().map(|row| (*row).to_owned()).collect()
    }

    #[test]
    fn short_draft_is_one_row_behind_the_prompt() {
        assert_eq!(laid_out("yo", 2, 80), (rows(&["> yo"]), (0, 4)));
        assert_eq!(laid_out("yo", 0, 80), (rows(&["> yo"]), (0, 2)));
        assert_eq!(laid_out("", 0, 80), (rows(&["> "]), (0, 2)));
    }

    #[test]
    fn row_is_broken_at_the_last_column_and_the_cursor_goes_to_the_next_row() {
        assert_eq!(laid_out("abcde", 5, 8), (rows(&["> abcde"]), (0, 7)));
        assert_eq!(laid_out("abcdef", 6, 8), (rows(&["> abcdef", ""]), (1, 0)));
        assert_eq!(laid_out("abcdef", 5, 8), (rows(&["> abcdef"]), (0, 7)));
        assert_eq!(
            laid_out("abcdefg", 7, 8),
            (rows(&["> abcdef", "g"]), (1, 1))
        );
        assert_eq!(
            laid_out("abcdefg", 6, 8),
            (rows(&["> abcdef", "g"]), (1, 0))
        );
    }

    #[test]
    fn wide_character_that_does_not_fit_goes_to_the_next_row() {
        assert_eq!(laid_out("山彦は", 9, 7), (rows(&["> 山彦", "は"]), (1, 2)));
        // Narrower than any character: one in each row, and no endless loop.
        assert_eq!(laid_out("山", 0, 1).0, rows(&[">", " ", "山"]));
    }

    #[test]
    fn line_feed_begins_a_row_with_an_indent() {
        assert_eq!(laid_out("a\nb", 3, 8), (rows(&["> a", "  b"]), (1, 3)));
        assert_eq!(laid_out("a\nb", 1, 8), (rows(&["> a", "  b"]), (0, 3)));
        assert_eq!(laid_out("a\n", 2, 8), (rows(&["> a", "  "]), (1, 2)));
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        let (shown, _) = laid_out("a\x1b[2J\tb", 0, 80);
        assert_eq!(shown, rows(&[r"> a\u{1b}[2J    b"]));
    }
}
