//! The keys of the line editor: which key does what.
//!
//! They are those of most shells, in the manner of Emacs. This file knows no terminal and no draft.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Insert(char),
    NewLine,
    Enter,
    Complete,
    Yank,
    Move(Motion),
    Delete(Motion),
    /// As `Delete`; the text can be inserted again.
    Kill(Motion),
    Older,
    Newer,
    ClearScreen,
    /// Leave at once.
    Leave,
    /// Delete the next character; at an empty draft leave when everything has been sent.
    DeleteOrQuit,
    Suspend,
    Nothing,
}

/// A way through the draft, from the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
}

impl Key {
    pub(super) fn of(key: &KeyEvent) -> Key {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Enter if alt => Key::NewLine,
            KeyCode::Enter => Key::Enter,
            KeyCode::Tab => Key::Complete,
            KeyCode::Left if control || alt => Key::Move(Motion::WordLeft),
            KeyCode::Right if control || alt => Key::Move(Motion::WordRight),
            KeyCode::Left => Key::Move(Motion::Left),
            KeyCode::Right => Key::Move(Motion::Right),
            KeyCode::Home => Key::Move(Motion::Home),
            KeyCode::End => Key::Move(Motion::End),
            KeyCode::Up => Key::Older,
            KeyCode::Down => Key::Newer,
            KeyCode::Backspace if control || alt => Key::Kill(Motion::WordLeft),
            KeyCode::Backspace => Key::Delete(Motion::Left),
            KeyCode::Delete => Key::Delete(Motion::Right),
            // Some keyboards write characters with both keys.
            KeyCode::Char(character) if control == alt => Key::Insert(character),
            KeyCode::Char(character) if control => Key::with_control(character),
            KeyCode::Char('b') => Key::Move(Motion::WordLeft),
            KeyCode::Char('f') => Key::Move(Motion::WordRight),
            _ => Key::Nothing,
        }
    }

    fn with_control(character: char) -> Key {
        match character {
            'j' | 'm' => Key::Enter,
            'c' => Key::Leave,
            'd' => Key::DeleteOrQuit,
            'z' => Key::Suspend,
            'l' => Key::ClearScreen,
            'b' => Key::Move(Motion::Left),
            'f' => Key::Move(Motion::Right),
            'a' => Key::Move(Motion::Home),
            'e' => Key::Move(Motion::End),
            'p' => Key::Older,
            'n' => Key::Newer,
            'w' => Key::Kill(Motion::WordLeft),
            'h' => Key::Delete(Motion::Left),
            'u' => Key::Kill(Motion::Home),
            'k' => Key::Kill(Motion::End),
            'y' => Key::Yank,
            _ => Key::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Key {
        Key::of(&KeyEvent::new(code, modifiers))
    }

    #[test]
    fn character_with_control_or_alt_is_a_command_and_with_both_a_character() {
        let both = KeyModifiers::CONTROL | KeyModifiers::ALT;
        let b = KeyCode::Char('b');
        assert_eq!(key(b, KeyModifiers::NONE), Key::Insert('b'));
        assert_eq!(key(b, both), Key::Insert('b'));
        assert_eq!(key(b, KeyModifiers::CONTROL), Key::Move(Motion::Left));
        assert_eq!(key(b, KeyModifiers::ALT), Key::Move(Motion::WordLeft));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), Key::Nothing);
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::ALT), Key::Nothing);
    }

    #[test]
    fn enter_sends_and_with_alt_begins_a_line() {
        assert_eq!(key(KeyCode::Enter, KeyModifiers::NONE), Key::Enter);
        assert_eq!(key(KeyCode::Enter, KeyModifiers::ALT), Key::NewLine);
        assert_eq!(key(KeyCode::Char('m'), KeyModifiers::CONTROL), Key::Enter);
        assert_eq!(key(KeyCode::Esc, KeyModifiers::NONE), Key::Nothing);
    }
}
