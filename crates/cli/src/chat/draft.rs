//! The message that is being typed, and the history of earlier messages.
//!
//! A text and a cursor. Every operation leaves the cursor between two grapheme clusters,
//! which users see as characters. This file knows no terminal.

use std::collections::VecDeque;
use std::mem;

use unicode_segmentation::UnicodeSegmentation;

use super::keys::Motion;

/// The longest draft.
pub(super) const DRAFT_BYTES_MAX: usize = 1 << 20;
/// The number of messages in the history.
const HISTORY_MESSAGES_MAX: usize = 100;
/// The number of bytes in the history; the newest message always stays.
const HISTORY_BYTES_MAX: usize = 2 << 20;

/// The text that is typed and not yet entered.
#[derive(Debug, Default)]
pub(super) struct Draft {
    text: String,
    /// 0 ≤ cursor ≤ text.len(), between two grapheme clusters.
    cursor: usize,
    /// The text that Ctrl-U, Ctrl-K or Ctrl-W removed last.
    killed: String,
    history: VecDeque<String>,
    history_bytes: usize,
    /// The index of the history's message that is shown, and the draft that waits meanwhile.
    browsing: Option<(usize, String)>,
}

/// The text would be longer than [`DRAFT_BYTES_MAX`]; nothing was inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Draft {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// In bytes.
    pub(super) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Inserts text at the cursor. A line end of any system becomes a line feed.
    pub(super) fn insert(&mut self, text: &str) -> Result<(), TooLong> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        if text.len() > DRAFT_BYTES_MAX - self.text.len() {
            return Err(TooLong);
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        // A combining character has joined the following text.
        while !self.is_boundary(self.cursor) {
            self.cursor += 1;
        }
        Ok(())
    }

    /// Inserts text instead of so many bytes in front of the cursor, which begin and end between two characters.
    pub(super) fn replace(&mut self, bytes: usize, text: &str) -> Result<(), TooLong> {
        if text.len() > DRAFT_BYTES_MAX - self.text.len() {
            return Err(TooLong);
        }
        self.cut(self.cursor - bytes, self.cursor);
        self.insert(text)
    }

    pub(super) fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    pub(super) fn go(&mut self, motion: Motion) {
        self.cursor = self.end_of(motion);
    }

    /// Removes what is between the cursor and the end of the motion.
    pub(super) fn delete(&mut self, motion: Motion) {
        let end = self.end_of(motion);
        self.cut(end.min(self.cursor), end.max(self.cursor));
    }

    /// The same; [`Draft::yank`] inserts it again.
    pub(super) fn kill(&mut self, motion: Motion) {
        let end = self.end_of(motion);
        let (start, end) = (end.min(self.cursor), end.max(self.cursor));
        if start < end {
            self.killed = self.text[start..end].to_owned();
            self.cut(start, end);
        }
    }

    /// Where the cursor is behind a motion. Home and End stay in the line of the cursor.
    fn end_of(&self, motion: Motion) -> usize {
        match motion {
            Motion::Left => self.before(1),
            Motion::Right => self.after(),
            Motion::WordLeft => self.word_start(),
            Motion::WordRight => self.word_end(),
            Motion::Home => self.line_start(),
            Motion::End => self.line_end(),
        }
    }

    /// Inserts the text that was removed last.
    pub(super) fn yank(&mut self) -> Result<(), TooLong> {
        let killed = mem::take(&mut self.killed);
        let inserted = self.insert(&killed);
        self.killed = killed;
        inserted
    }

    /// Shows the message before the one that is shown.
    pub(super) fn older(&mut self) {
        let (index, waiting) = match self.browsing.take() {
            Some((0, waiting)) => (0, waiting),
            Some((index, waiting)) => (index - 1, waiting),
            None if self.history.is_empty() => return,
            None => (self.history.len() - 1, mem::take(&mut self.text)),
        };
        self.show(self.history[index].clone());
        self.browsing = Some((index, waiting));
    }

    /// Shows the message after the one that is shown; after the last, the draft.
    pub(super) fn newer(&mut self) {
        match self.browsing.take() {
            Some((index, waiting)) if index + 1 < self.history.len() => {
                self.show(self.history[index + 1].clone());
                self.browsing = Some((index + 1, waiting));
            }
            Some((_, waiting)) => self.show(waiting),
            None => {}
        }
    }

    /// The text is entered: it becomes part of the history, and the draft is empty.
    /// A draft that waits while an old message was sent again stays.
    pub(super) fn enter(&mut self) -> String {
        let entered = mem::take(&mut self.text);
        let waiting = self.browsing.take().map(|(_, waiting)| waiting);
        self.show(waiting.unwrap_or_default());
        self.remember(&entered);
        entered
    }

    /// Puts a text that was entered and could not be sent back into the draft. `false`:
    /// another text is being typed; the history has this one.
    pub(super) fn give_back(&mut self, text: &str) -> bool {
        if !self.text.is_empty() || text.len() > DRAFT_BYTES_MAX {
            return false;
        }
        self.show(text.to_owned());
        true
    }

    fn remember(&mut self, text: &str) {
        if text.trim().is_empty() || self.history.back().is_some_and(|last| last == text) {
            return;
        }
        self.history_bytes += text.len();
        self.history.push_back(text.to_owned());
        while self.history.len() > HISTORY_MESSAGES_MAX
            || self.history_bytes > HISTORY_BYTES_MAX && self.history.len() > 1
        {
            let oldest = self.history.pop_front().unwrap_or_default();
            self.history_bytes -= oldest.len();
        }
    }

    fn show(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
    }

    fn cut(&mut self, start: usize, end: usize) {
        self.text.drain(start..end);
        self.cursor = start;
        // The text before and after may have become one cluster.
        while !self.is_boundary(self.cursor) {
            self.cursor += 1;
        }
    }

    fn before(&self, clusters: usize) -> usize {
        let mut starts = self.text[..self.cursor].grapheme_indices(true).rev();
        starts.nth(clusters - 1).map_or(0, |(start, _)| start)
    }

    fn after(&self) -> usize {
        let mut rest = self.text[self.cursor..].graphemes(true);
        self.cursor + rest.next().map_or(0, str::len)
    }

    fn word_start(&self) -> usize {
        let mut words = self.text[..self.cursor].unicode_word_indices();
        words.next_back().map_or(0, |(start, _)| start)
    }

    fn word_end(&self) -> usize {
        let rest = &self.text[self.cursor..];
        let word = rest.unicode_word_indices().next();
        self.cursor + word.map_or(rest.len(), |(start, word)| start + word.len())
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        let rest = &self.text[self.cursor..];
        self.cursor + rest.find('\n').unwrap_or(rest.len())
    }

    fn is_boundary(&self, at: usize) -> bool {
        if !self.text.is_char_boundary(at) {
            return false;
        }
        // A line feed always begins a cluster, so only this line matters.
        let line = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let mut boundaries = self.text[line..].grapheme_indices(true);
        at == self.text.len() || boundaries.any(|(start, _)| line + start == at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A draft, and the keys that are pressed in it.
    impl Draft {
        fn left(&mut self) {
            self.go(Motion::Left);
        }

        fn right(&mut self) {
            self.go(Motion::Right);
        }

        fn home(&mut self) {
            self.go(Motion::Home);
        }

        fn end(&mut self) {
            self.go(Motion::End);
        }

        fn word_left(&mut self) {
            self.go(Motion::WordLeft);
        }

        fn word_right(&mut self) {
            self.go(Motion::WordRight);
        }

        fn backspace(&mut self) {
            self.delete(Motion::Left);
        }

        fn delete_next(&mut self) {
            self.delete(Motion::Right);
        }
    }

    fn draft(text: &str) -> Draft {
        let mut draft = Draft::default();
        draft.insert(text).expect("short");
        draft
    }

    fn typed(text: &str, keys: &[fn(&mut Draft)]) -> (String, usize) {
        let mut draft = draft(text);
        for key in keys {
            key(&mut draft);
        }
        (draft.text().to_owned(), draft.cursor())
    }

    #[test]
    fn cursor_moves_by_grapheme_clusters() {
        let family = "👨\u{200d}👩\u{200d}👧";
        let text = format!("e\u{301}{family}山");
        assert_eq!(typed(&text, &[Draft::left, Draft::left]).1, 3);
        assert_eq!(typed(&text, &[Draft::home, Draft::right]).1, 3);
        let (rest, _) = typed(&text, &[Draft::left, Draft::backspace]);
        assert_eq!(rest, "e\u{301}山");
        let (rest, cursor) = typed(&text, &[Draft::home, Draft::delete_next]);
        assert_eq!((rest, cursor), (format!("{family}山"), 0));
    }

    #[test]
    fn keys_at_the_ends_of_the_text_do_nothing() {
        let at_start: [fn(&mut Draft); 5] = [
            Draft::home,
            Draft::left,
            Draft::backspace,
            Draft::word_left,
            |draft| draft.kill(Motion::Home),
        ];
        assert_eq!(typed("ab", &at_start), ("ab".to_owned(), 0));
        let at_end: [fn(&mut Draft); 4] = [
            Draft::right,
            Draft::delete_next,
            Draft::word_right,
            Draft::end,
        ];
        assert_eq!(typed("ab", &at_end), ("ab".to_owned(), 2));
        assert_eq!(typed("", &at_start), (String::new(), 0));
        assert_eq!(typed("", &[Draft::older, Draft::newer]).1, 0);
    }

    #[test]
    fn home_and_end_stay_in_their_line_and_words_are_words() {
        let text = "one two\nthree";
        assert_eq!(typed(text, &[Draft::home]).1, 8);
        assert_eq!(typed(text, &[Draft::home, Draft::left, Draft::home]).1, 0);
        assert_eq!(typed(text, &[Draft::word_left]).1, 8);
        let to_two = [Draft::word_left as fn(&mut Draft), Draft::word_left];
        assert_eq!(typed(text, &to_two).1, 4);
        let (_, cursor) = typed(text, &[Draft::home, Draft::left, Draft::word_right]);
        assert_eq!(cursor, text.len());
    }

    #[test]
    fn killed_text_is_inserted_by_yank() {
        let mut draft = draft("one two");
        draft.kill(Motion::WordLeft);
        assert_eq!(draft.text(), "one ");
        draft.home();
        draft.yank().expect("short");
        assert_eq!((draft.text(), draft.cursor()), ("twoone ", 3));
        draft.kill(Motion::End);
        assert_eq!(draft.text(), "two");
        draft.kill(Motion::Home);
        assert_eq!(draft.text(), "");
        draft.yank().expect("short");
        assert_eq!(draft.text(), "two");
    }

    #[test]
    fn cursor_is_between_two_characters_after_text_joined_its_neighbour() {
        let mut draft = draft("e");
        draft.insert("\u{301}").expect("short");
        assert_eq!(draft.cursor(), 3);
        let mut draft = super::tests::draft("ax\u{301}");
        draft.home();
        draft.right();
        // Without the x, the accent belongs to the a.
        draft.insert("\n").expect("short");
        draft.backspace();
        assert_eq!(draft.text(), "ax\u{301}");
        assert_eq!(draft.cursor(), 1);
    }

    #[test]
    fn history_is_browsed_in_both_directions_and_the_draft_waits_at_its_end() {
        let mut draft = draft("first");
        assert_eq!(draft.enter(), "first");
        draft.insert("second").expect("short");
        assert_eq!(draft.enter(), "second");
        draft.insert("half").expect("short");
        draft.older();
        assert_eq!(draft.text(), "second");
        draft.older();
        draft.older();
        assert_eq!(draft.text(), "first");
        draft.newer();
        draft.newer();
        assert_eq!((draft.text(), draft.cursor()), ("half", 4));
        draft.newer();
        assert_eq!(draft.text(), "half");
        draft.older();
        assert_eq!(draft.enter(), "second");
        assert_eq!(draft.text(), "half", "the draft is not lost");
    }

    #[test]
    fn history_is_bounded_in_messages_and_bytes_and_keeps_the_newest() {
        let mut draft = Draft::default();
        for number in 0..=HISTORY_MESSAGES_MAX {
            draft.insert(&number.to_string()).expect("short");
            draft.enter();
        }
        assert_eq!(draft.history.len(), HISTORY_MESSAGES_MAX);
        assert_eq!(draft.history[0], "1");
        for letter in ["a", "b", "c"] {
            draft.insert(&letter.repeat(DRAFT_BYTES_MAX)).expect("fits");
            draft.enter();
        }
        assert_eq!(draft.history.len(), 2);
        assert!(draft.history_bytes <= HISTORY_BYTES_MAX);
        assert!(draft.history[1].starts_with('c'));
    }

    #[test]
    fn draft_accepts_text_up_to_its_limit_and_refuses_more() {
        let mut draft = draft(&"x".repeat(DRAFT_BYTES_MAX - 1));
        assert_eq!(draft.insert("山"), Err(TooLong));
        assert_eq!(draft.insert("y"), Ok(()));
        assert_eq!(draft.insert("z"), Err(TooLong));
        assert_eq!(draft.text().len(), DRAFT_BYTES_MAX);
    }

    #[test]
    fn refused_text_is_given_back_unless_another_text_is_being_typed() {
        let mut draft = Draft::default();
        assert!(draft.give_back("refused"));
        assert_eq!((draft.text(), draft.cursor()), ("refused", 7));
        assert!(!draft.give_back("other"));
        assert_eq!(draft.text(), "refused");
    }

    #[test]
    fn line_ends_of_a_paste_become_line_feeds() {
        assert_eq!(draft("a\r\nb\rc\nd").text(), "a\nb\nc\nd");
    }
}
