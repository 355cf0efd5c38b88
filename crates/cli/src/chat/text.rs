//! Text of other members, made harmless for a terminal.

use std::fmt::Write;

/// The text, with `\u{…}` instead of each character that could control the terminal, end
/// the line or reverse the direction of writing.
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

/// The start of a text in one line, to identify it.
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

/// Whether a text mentions somebody: the name with or without @, not as a part of a longer word. In upper or lower case.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let is_in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !name.is_empty()
        && text.match_indices(&name).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            before == Some('@') || !is_in_word(before) && !is_in_word(after)
        })
}

/// Whether a terminal only shows it.
pub(super) fn is_harmless(character: char) -> bool {
    let turns_direction = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character == '\t' || !(character.is_control() || turns_direction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_is_kept_and_control_characters_are_escaped() {
        assert_eq!(printable("山彦 🏔\tyo"), "山彦 🏔\tyo");
        assert_eq!(
            printable("\x1b]0;\x07\r\n\u{9b}"),
            r"\u{1b}]0;\u{7}\u{d}\u{a}\u{9b}"
        );
    }

    #[test]
    fn name_is_mentioned_as_a_whole_word_or_behind_an_at_sign() {
        for text in ["@Aki", "hi AKI!", "aki", "@akiさん", "見て、Aki。"] {
            assert!(mentions(text, "Aki"), "{text}");
        }
        for text in ["", "akin", "baki", "Bo"] {
            assert!(!mentions(text, "Aki"), "{text}");
        }
        assert!(!mentions("anything", ""));
    }

    #[test]
    fn excerpt_is_one_short_line() {
        assert_eq!(excerpt("yo\nho\n"), r#""yo\u{a}ho""#);
        let (fits, long) = ("x".repeat(60), "x".repeat(61));
        assert_eq!(excerpt(&fits), format!("\"{fits}\""));
        assert_eq!(excerpt(&long), format!("\"{fits}…\""));
    }
}
