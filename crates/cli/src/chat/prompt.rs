//! The last rows of a terminal: a prompt and the draft. All other output is above them.
//!
//! ```text
//!     <Bo> is anyone there?          print(): erase the draft, write, draw again
//!     > I am, wait a m█              key(): change the draft, draw again
//! ```
//!
//! Two threads write here: one reads keys, one reads from the server. One lock protects the
//! state, so that a message never appears in the middle of a draft, and the sent text is the
//! text that was visible. The terminal is in raw mode from [`Prompt::open`] to
//! [`Prompt::close`]: the kernel does not echo, and does not cut lines at 4,095 bytes.
//!
//! The mark in front of the draft tells whether all sent messages have come back from the room: `>` if so, `…` if not.
//!
//! A draft has at most half of the window's rows, to leave room for messages. Of a longer
//! draft, the rows up to the cursor are drawn. A draft that is entered is written in full.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, Event, KeyEvent, KeyEventKind,
};
use crossterm::{Command, terminal};

use super::completion::Completion;
use super::draft::{DRAFT_BYTES_MAX, Draft, TooLong};
use super::keys::{Key, Motion};
use super::layout::{DELIVERED, Layout, Row, UNDER_WAY};
use super::text::printable;

/// Assumed if the terminal reports no size.
const WINDOW: Window = Window {
    columns: 80,
    rows: 24,
};

/// The prompt of one terminal.
#[derive(Debug)]
pub(super) struct Prompt<Output = io::Stdout> {
    state: Mutex<State<Output>>,
}

#[derive(Debug)]
struct State<Output> {
    output: Output,
    window: Window,
    draft: Draft,
    /// Messages were sent, and have not come back yet.
    under_way: bool,
    /// The rows on the terminal. `None`: no draft is drawn.
    drawn: Option<Drawn>,
    /// No draft is drawn, and text is written unchanged.
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    columns: u16,
    rows: u16,
}

impl Window {
    /// A pseudo terminal without a size reports 0 columns.
    fn of_terminal() -> Window {
        match terminal::size() {
            Ok((columns @ 1.., rows @ 1..)) => Window { columns, rows },
            _ => WINDOW,
        }
    }
}

/// The rows of the draft that are on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Drawn {
    /// How many rows the cursor is below the first.
    cursor_row: usize,
    /// How many rows the last is below the cursor.
    below: usize,
    /// The widest row, in columns.
    width: usize,
}

/// The effect of a key outside the draft.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    /// A text was entered.
    Enter(String),
    /// Complete the word at the end of this text, which is in front of the cursor.
    Complete(String),
    /// Leave at once (Ctrl-C).
    Leave,
    /// Leave when everything has been sent (Ctrl-D).
    Quit,
    /// Suspend the program until the shell continues it.
    Suspend,
}

impl Prompt {
    /// Sets the terminal up and draws an empty prompt.
    ///
    /// # Errors
    /// The operating system's error.
    pub(super) fn open() -> io::Result<Prompt> {
        #[cfg(windows)]
        if !crossterm::ansi_support::supports_ansi() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        terminal::enable_raw_mode()?;
        let prompt = Prompt::new(io::stdout(), Window::of_terminal());
        prompt.lock().begin()?;
        Ok(prompt)
    }

    /// Restores the terminal. The text of the draft stays visible.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        // A terminal that is gone needs no restoring.
        let _ = state.finish();
        let _ = terminal::disable_raw_mode();
    }

    /// Restores the terminal while `wait` runs, and sets it up again.
    ///
    /// # Errors
    /// The operating system's error.
    pub(super) fn pause(&self, wait: impl FnOnce()) -> io::Result<()> {
        let mut state = self.lock();
        if state.closed {
            return Ok(());
        }
        state.finish()?;
        terminal::disable_raw_mode()?;
        wait();
        terminal::enable_raw_mode()?;
        state.window = Window::of_terminal();
        state.begin()
    }
}

impl<Output: Write> Prompt<Output> {
    fn new(output: Output, window: Window) -> Prompt<Output> {
        Prompt {
            state: Mutex::new(State {
                output,
                window,
                draft: Draft::default(),
                under_way: false,
                drawn: None,
                closed: true,
            }),
        }
    }

    /// Writes a text above the draft: whole lines; the last one may lack its line end.
    ///
    /// # Errors
    /// The operating system's error: the terminal is gone.
    pub(super) fn print(&self, text: &str) -> io::Result<()> {
        self.lock().print(text)
    }

    /// Puts a text that could not be sent back into the draft. `false`: another text is
    /// being typed; the history has this one.
    pub(super) fn give_back(&self, text: &str) -> bool {
        let mut state = self.lock();
        let given = state.draft.give_back(text);
        // The next write reports an error.
        let _ = state.redraw();
        given
    }

    /// Completes the word in front of the cursor. Without a candidate, Tab inserts what it is.
    ///
    /// # Errors
    /// The operating system's error: the terminal is gone.
    pub(super) fn complete(&self, completion: Completion) -> io::Result<()> {
        let mut state = self.lock();
        let inserted = match completion {
            Completion::Replace(bytes, text) => state.draft.replace(bytes, &text),
            Completion::Nothing => state.draft.insert("\t"),
            Completion::Choose(names) => {
                let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
                return state.print(&format!("* {}", names.join(", ")));
            }
        };
        state.report(inserted)
    }

    /// Whether messages are on their way: the prompt shows it.
    ///
    /// # Errors
    /// The operating system's error: the terminal is gone.
    pub(super) fn set_under_way(&self, is_under_way: impl FnOnce() -> bool) -> io::Result<()> {
        let mut state = self.lock();
        // Asked under the lock: of two threads that see a change, the later one is right.
        let under_way = is_under_way();
        if state.under_way == under_way {
            return Ok(());
        }
        state.under_way = under_way;
        state.redraw()
    }

    /// Handles a key, a paste or a new size of the window. [`Prompt::draw`] shows the result.
    ///
    /// # Errors
    /// The operating system's error: the terminal is gone.
    pub(super) fn take(&self, event: &Event) -> io::Result<Action> {
        let mut state = self.lock();
        if state.closed {
            return Ok(Action::Nothing);
        }
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => state.key(key),
            Event::Paste(text) => {
                let inserted = state.draft.insert(text);
                state.report(inserted)?;
                Ok(Action::Nothing)
            }
            Event::Resize(columns, rows) => {
                state.resize(Window {
                    columns: *columns,
                    rows: *rows,
                })?;
                Ok(Action::Nothing)
            }
            _ => Ok(Action::Nothing),
        }
    }

    /// Shows what [`Prompt::take`] has changed.
    ///
    /// # Errors
    /// The operating system's error: the terminal is gone.
    pub(super) fn draw(&self) -> io::Result<()> {
        self.lock().redraw()
    }

    /// A panic of another thread can leave wrong rows on the terminal, and no wrong state.
    fn lock(&self) -> MutexGuard<'_, State<Output>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Output: Write> State<Output> {
    fn begin(&mut self) -> io::Result<()> {
        self.closed = false;
        self.write(&ansi(EnableBracketedPaste))?;
        self.redraw()
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut out = String::new();
        if self.draft.text().is_empty() {
            self.erase(&mut out);
        } else if let Some(drawn) = self.drawn.take() {
            out.push_str(&"\r\n".repeat(drawn.below + 1));
        }
        out.push_str(&ansi(DisableBracketedPaste));
        self.closed = true;
        self.write(&out)
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        if self.closed {
            return self.write(&format!("{text}\n"));
        }
        let mut out = String::new();
        self.erase(&mut out);
        out.push_str(&text.replace('\n', "\r\n"));
        out.push_str("\r\n");
        self.draw(&mut out);
        self.write(&out)
    }

    fn redraw(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut out = String::new();
        self.erase(&mut out);
        self.draw(&mut out);
        self.write(&out)
    }

    fn key(&mut self, key: &KeyEvent) -> io::Result<Action> {
        let draft = &mut self.draft;
        let mut inserted = Ok(());
        match Key::of(key) {
            Key::Insert(character) => inserted = draft.insert(character.encode_utf8(&mut [0; 4])),
            Key::NewLine => inserted = draft.insert("\n"),
            Key::Yank => inserted = draft.yank(),
            Key::Move(motion) => draft.go(motion),
            Key::Delete(motion) => draft.delete(motion),
            Key::Kill(motion) => draft.kill(motion),
            Key::DeleteOrQuit if draft.text().is_empty() => return Ok(Action::Quit),
            Key::DeleteOrQuit => draft.delete(Motion::Right),
            Key::Older => draft.older(),
            Key::Newer => draft.newer(),
            Key::ClearScreen => self.clear()?,
            Key::Enter => return self.enter().map(Action::Enter),
            Key::Complete => return Ok(Action::Complete(draft.before_cursor().to_owned())),
            Key::Leave => return Ok(Action::Leave),
            Key::Suspend => return Ok(Action::Suspend),
            Key::Nothing => {}
        }
        self.report(inserted)?;
        Ok(Action::Nothing)
    }

    fn report(&mut self, inserted: Result<(), TooLong>) -> io::Result<()> {
        match inserted {
            Ok(()) => Ok(()),
            Err(TooLong) => self.print(&format!(
                "! a message may have at most {DRAFT_BYTES_MAX} bytes; this was not inserted"
            )),
        }
    }

    /// Writes the draft in full, and begins the next below it.
    fn enter(&mut self) -> io::Result<String> {
        let mut out = String::new();
        self.erase(&mut out);
        let layout = Layout::new(DELIVERED, self.draft.text(), 0, self.columns());
        for row in &layout.rows {
            out.push_str(&row.text);
            out.push_str("\r\n");
        }
        let entered = self.draft.enter();
        self.draw(&mut out);
        self.write(&out)?;
        Ok(entered)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.drawn = None;
        let mut out = "\x1b[H\x1b[2J".to_owned();
        self.draw(&mut out);
        self.write(&out)
    }

    /// The terminal may have broken the old rows anew, so that their number is unknown. The
    /// draft is then drawn below them.
    fn resize(&mut self, window: Window) -> io::Result<()> {
        self.window = window;
        let in_place = self.drawn.is_none_or(|drawn| {
            drawn.width <= usize::from(window.columns)
                && drawn.cursor_row + drawn.below < usize::from(window.rows)
        });
        let mut out = String::new();
        if in_place {
            self.erase(&mut out);
        } else if let Some(drawn) = self.drawn.take() {
            out.push_str(&"\r\n".repeat(drawn.below + 1));
        }
        self.draw(&mut out);
        self.write(&out)
    }

    /// Erases the draft.
    fn erase(&mut self, out: &mut String) {
        if let Some(drawn) = self.drawn.take() {
            out.push('\r');
            if drawn.cursor_row > 0 {
                out.push_str(&format!("\x1b[{}A", drawn.cursor_row));
            }
            out.push_str("\x1b[J");
        }
    }

    /// Writes the draft at the cursor, which is at the start of a row.
    fn draw(&mut self, out: &mut String) {
        let mark = match self.under_way {
            true => UNDER_WAY,
            false => DELIVERED,
        };
        let layout = Layout::new(mark, self.draft.text(), self.draft.cursor(), self.columns());
        let height = usize::from(self.window.rows / 2).max(1);
        let first = (layout.cursor.row + 1).saturating_sub(height);
        let rows = &layout.rows[first..layout.rows.len().min(first + height)];
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                out.push_str("\r\n");
            }
            out.push_str(&row.text);
        }
        let cursor_row = layout.cursor.row - first;
        let below = rows.len() - 1 - cursor_row;
        if below > 0 {
            out.push_str(&format!("\x1b[{below}A"));
        }
        out.push('\r');
        if layout.cursor.column > 0 {
            out.push_str(&format!("\x1b[{}C", layout.cursor.column));
        }
        self.drawn = Some(Drawn {
            cursor_row,
            below,
            width: rows.iter().map(Row::width).max().unwrap_or(0),
        });
    }

    fn columns(&self) -> usize {
        usize::from(self.window.columns).max(1)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }
}

fn ansi(command: impl Command) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = command.write_ansi(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyCode, KeyModifiers};
    use std::num::NonZero;

    /// A prompt, and a terminal that shows its output.
    struct Seen {
        prompt: Prompt<Vec<u8>>,
        terminal: vt100::Parser,
    }

    fn size(cells: u16) -> NonZero<u16> {
        NonZero::new(cells).expect("a window has cells")
    }

    impl Seen {
        fn new(columns: u16, rows: u16) -> Seen {
            let prompt = Prompt::new(Vec::new(), Window { columns, rows });
            prompt.lock().begin().expect("memory");
            let terminal = vt100::Parser::new(size(rows), size(columns), 1_000);
            Seen { prompt, terminal }
        }

        fn event(&mut self, event: Event) -> Action {
            let action = self.prompt.take(&event).expect("memory");
            self.prompt.draw().expect("memory");
            action
        }

        fn key(&mut self, code: KeyCode) -> Action {
            self.event(Event::Key(code.into()))
        }

        fn control(&mut self, character: char) -> Action {
            let key = KeyEvent::new(KeyCode::Char(character), KeyModifiers::CONTROL);
            self.event(Event::Key(key))
        }

        fn paste(&mut self, text: &str) {
            self.event(Event::Paste(text.to_owned()));
        }

        fn print(&mut self, text: &str) {
            self.prompt.print(text).expect("memory");
        }

        /// The rows that have something in them, and the place of the cursor.
        fn screen(&mut self) -> (Vec<String>, (u16, u16)) {
            let mut state = self.prompt.lock();
            let written = std::mem::take(&mut state.output);
            self.terminal.process(&written);
            let screen = self.terminal.screen();
            let columns = screen.size().1;
            let mut rows: Vec<String> = screen.rows(0, columns.get()).collect();
            while rows.last().is_some_and(String::is_empty) {
                rows.pop();
            }
            (rows, screen.cursor_position())
        }

        fn rows(&mut self) -> Vec<String> {
            self.screen().0
        }
    }

    #[test]
    fn message_is_above_the_draft_and_the_cursor_stays_in_it() {
        let mut seen = Seen::new(40, 10);
        seen.paste("half-typed");
        seen.key(KeyCode::Left);
        seen.print("<Bo> hello\n  two lines");
        let (rows, cursor) = seen.screen();
        assert_eq!(rows, ["<Bo> hello", "  two lines", "> half-typed"]);
        assert_eq!(cursor, (2, 11));
        seen.key(KeyCode::Char('X'));
        assert_eq!(seen.rows()[2], "> half-typeXd");
    }

    #[test]
    fn draft_of_several_rows_is_whole_after_each_message() {
        let mut seen = Seen::new(10, 10);
        seen.paste("0123456789abcdef\n山彦");
        let draft = ["> 01234567", "89abcdef", "  山彦"];
        assert_eq!(seen.rows(), draft);
        for _ in 0..3 {
            seen.key(KeyCode::Left);
        }
        seen.print("* Bo has left the room");
        let (rows, cursor) = seen.screen();
        assert_eq!(rows[..3], ["* Bo has l", "eft the ro", "om"]);
        assert_eq!(rows[3..], draft);
        assert_eq!(cursor, (4, 8), "before the line feed");
    }

    #[test]
    fn draft_higher_than_half_of_the_window_shows_the_rows_up_to_the_cursor() {
        let mut seen = Seen::new(10, 4);
        seen.print("<Bo> yo");
        seen.paste("1\n2\n3\n4\n5\n6");
        assert_eq!(seen.rows(), ["<Bo> yo", "  5", "  6"]);
        seen.print("<Bo> ho");
        assert_eq!(seen.rows(), ["<Bo> yo", "<Bo> ho", "  5", "  6"]);
        seen.key(KeyCode::Home);
        for _ in 0..7 {
            seen.key(KeyCode::Left);
        }
        assert_eq!(seen.rows(), ["<Bo> yo", "<Bo> ho", "> 1", "  2"]);
        assert_eq!(
            seen.key(KeyCode::Enter),
            Action::Enter("1\n2\n3\n4\n5\n6".into())
        );
        seen.screen();
        seen.terminal.screen_mut().set_scrollback(4);
        let above: Vec<String> = seen.terminal.screen().rows(0, 10).collect();
        assert_eq!(above, ["<Bo> ho", "> 1", "  2", "  3"]);
    }

    #[test]
    fn entered_draft_stays_visible_and_the_next_one_begins_below_it() {
        let mut seen = Seen::new(40, 10);
        seen.paste("hello");
        assert_eq!(seen.key(KeyCode::Enter), Action::Enter("hello".to_owned()));
        let (rows, cursor) = seen.screen();
        assert_eq!(
            (rows, cursor),
            (vec!["> hello".to_owned(), "> ".to_owned()], (1, 2))
        );
        seen.key(KeyCode::Up);
        assert_eq!(seen.rows()[1], "> hello");
    }

    #[test]
    fn control_keys_edit_and_alt_enter_begins_a_line() {
        let mut seen = Seen::new(40, 10);
        seen.paste("one two");
        seen.control('w');
        seen.control('a');
        seen.control('y');
        let alt_enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::ALT);
        assert_eq!(seen.event(Event::Key(alt_enter)), Action::Nothing);
        assert_eq!(seen.rows(), ["> two", "  one "]);
        assert_eq!(seen.key(KeyCode::Esc), Action::Nothing);
        assert_eq!(seen.control('d'), Action::Nothing, "not empty");
        assert_eq!(seen.rows()[1], "  ne ");
        assert_eq!(seen.control('z'), Action::Suspend);
        assert_eq!(seen.control('c'), Action::Leave);
        seen.control('e');
        seen.control('u');
        seen.key(KeyCode::Backspace);
        seen.control('u');
        assert_eq!(seen.control('d'), Action::Quit);
    }

    #[test]
    fn paste_beyond_the_limit_is_refused_and_reported() {
        let mut seen = Seen::new(40, 10);
        seen.paste("kept");
        seen.paste(&"x".repeat(DRAFT_BYTES_MAX));
        let rows = seen.rows();
        assert!(
            rows[0].starts_with("! a message may have at most"),
            "{rows:?}"
        );
        assert_eq!(rows.last().map(String::as_str), Some("> kept"));
    }

    #[test]
    fn refused_text_is_at_the_prompt_again() {
        let mut seen = Seen::new(40, 10);
        assert!(seen.prompt.give_back("refused"));
        assert_eq!(seen.screen(), (vec!["> refused".to_owned()], (0, 9)));
        assert!(!seen.prompt.give_back("another"));
    }

    #[test]
    fn narrower_window_does_not_change_the_rows_above_the_draft() {
        let mut seen = Seen::new(20, 10);
        seen.print("<Bo> hello");
        seen.paste("0123456789");
        seen.screen();
        for columns in [30, 15, 8] {
            seen.terminal.screen_mut().set_size(size(10), size(columns));
            seen.event(Event::Resize(columns, 10));
            let rows = seen.rows();
            assert_eq!(rows[0], "<Bo> hello"[..10.min(usize::from(columns))]);
            let shown = rows.concat();
            assert!(shown.ends_with("> 0123456789"), "{columns}: {rows:?}");
        }
        // Where it fitted, it stayed in its place.
        let mut seen = Seen::new(20, 10);
        seen.paste("0123456789");
        seen.event(Event::Resize(15, 10));
        assert_eq!(seen.rows(), ["> 0123456789"]);
    }

    #[test]
    fn terminal_is_restored_with_the_draft_visible() {
        let mut seen = Seen::new(40, 10);
        seen.paste("half");
        seen.prompt.lock().finish().expect("memory");
        seen.print("the end");
        assert_eq!(seen.key(KeyCode::Char('x')), Action::Nothing);
        let (rows, _) = seen.screen();
        assert_eq!(rows, ["> half", "the end"]);
        let mut seen = Seen::new(40, 10);
        seen.prompt.lock().finish().expect("memory");
        assert_eq!(seen.screen(), (Vec::new(), (0, 0)));
    }

    #[test]
    fn word_is_completed_in_place_and_a_choice_is_listed_above_the_draft() {
        let mut seen = Seen::new(40, 10);
        seen.paste("hi @ai!");
        seen.key(KeyCode::Left);
        assert_eq!(seen.key(KeyCode::Tab), Action::Complete("hi @ai".into()));
        let aiko = Completion::Replace(2, "Aiko ".to_owned());
        seen.prompt.complete(aiko).expect("memory");
        seen.key(KeyCode::Esc);
        assert_eq!(seen.screen(), (vec!["> hi @Aiko !".to_owned()], (0, 11)));
        let names = Completion::Choose(vec!["Aiko".to_owned(), "Aki\u{1b}".to_owned()]);
        seen.prompt.complete(names).expect("memory");
        assert_eq!(seen.rows(), [r"* Aiko, Aki\u{1b}", "> hi @Aiko !"]);
        seen.prompt.complete(Completion::Nothing).expect("memory");
        seen.key(KeyCode::Esc);
        assert_eq!(seen.rows()[1], "> hi @Aiko     !");
    }

    #[test]
    fn prompt_shows_that_messages_are_under_way() {
        let mut seen = Seen::new(40, 10);
        seen.paste("next");
        seen.prompt.set_under_way(|| true).expect("memory");
        assert_eq!(seen.rows(), ["… next"]);
        seen.prompt.set_under_way(|| false).expect("memory");
        assert_eq!(seen.rows(), ["> next"]);
    }
}
