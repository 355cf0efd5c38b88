//! The rules for rooms' names.
//!
//! The name is in the path of the WebSocket, percent-encoded, and in the address of the page.
//! It is normalised to NFKC, so that it names the same room however a keyboard composes its
//! letters; upper and lower case are different.

use std::borrow::Cow;

use icu_properties::props::GeneralCategory;
use unicode_normalization::UnicodeNormalization;

use super::characters::{general_category, is_default_ignorable, is_mark};
use super::names::CHARACTERS_COMPOSED_MAX;

/// Maximum characters (Unicode scalar values) in the name of a room, in its normal form: at
/// most 256 bytes of UTF-8.
pub const ROOM_CHARACTERS_MAX: usize = 64;

/// Whether this is a valid name of a room in its normal form (NFKC): 1 to
/// [`ROOM_CHARACTERS_MAX`] letters, marks and digits of any script, `-`, `_` and `.`. The
/// first character must not be a mark. `.` and `..` are not valid: in a path they mean a
/// folder.
///
/// ```
/// use yamabiko::chat::is_room_name;
///
/// assert!(is_room_name("lobby") && is_room_name("会議室"));
/// assert!(!is_room_name("my room") && !is_room_name("a/b"));
/// assert!(!is_room_name("ｌｏｂｂｙ"), "its normal form is lobby");
/// ```
pub fn is_room_name(name: &str) -> bool {
    room_name(name).is_some_and(|normal| normal == name)
}

/// The normal form of a room's name, if it is valid.
pub(super) fn room_name(text: &str) -> Option<Cow<'_, str>> {
    let too_long = CHARACTERS_COMPOSED_MAX * ROOM_CHARACTERS_MAX;
    if text.chars().nth(too_long).is_some() {
        return None;
    }
    let name = match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.nfkc().collect()),
    };
    is_normal_room_name(&name).then_some(name)
}

fn is_normal_room_name(name: &str) -> bool {
    (1..=ROOM_CHARACTERS_MAX).contains(&name.chars().count())
        && name.chars().all(is_allowed)
        && !name.starts_with(is_mark)
        && name != "."
        && name != ".."
}

fn is_allowed(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    }
    let is_letter_or_number = matches!(
        general_category(c),
        GeneralCategory::UppercaseLetter
            | GeneralCategory::LowercaseLetter
            | GeneralCategory::TitlecaseLetter
            | GeneralCategory::ModifierLetter
            | GeneralCategory::OtherLetter
            | GeneralCategory::DecimalNumber
            | GeneralCategory::LetterNumber
            | GeneralCategory::OtherNumber
    );
    (is_letter_or_number || is_mark(c)) && !is_default_ignorable(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_name_has_1_to_64_letters_digits_or_three_other_characters() {
        for good in [
            "a",
            "lobby",
            "A-Z_0.9",
            "...",
            "会議室",
            "二〇二四年",
            "ラウンジ",
            "한국어",
            "تحدث",
            "हिन्दी",
            "café",
            "Привет-2",
            &"x".repeat(ROOM_CHARACTERS_MAX),
            &"𠮷".repeat(ROOM_CHARACTERS_MAX),
        ] {
            assert!(is_room_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a\u{3000}b",
            "a/b",
            "a\0",
            "%41",
            "a?b",
            "a#b",
            "a\u{200D}b",
            "a\u{200B}b",
            "\u{3164}",
            "\u{202E}ab",
            "\u{301}a",
            "\u{FFFD}",
            "\u{E000}",
            "\u{FFFF}",
            "🦊",
            "\u{FF0E}\u{FF0E}", // full stops of full width
            "\u{2025}",         // two dots in one character
            "a\u{FF0F}b",
            &"x".repeat(ROOM_CHARACTERS_MAX + 1),
            &"𠮷".repeat(ROOM_CHARACTERS_MAX + 1),
        ] {
            assert_eq!(room_name(bad), None, "{bad:?}");
            assert!(!is_room_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn room_name_is_the_same_in_any_composition_and_width() {
        for (text, normal) in [
            ("cafe\u{301}", "caf\u{E9}"),
            ("ｌｏｂｂｙ２", "lobby2"),
            ("ﾗｳﾝｼﾞ", "ラウンジ"),
            ("\u{1112}\u{1161}\u{11AB}", "한"),
        ] {
            assert_eq!(room_name(text).as_deref(), Some(normal));
            assert!(is_room_name(normal) && !is_room_name(text));
        }
        assert_ne!(
            room_name("Lobby"),
            room_name("lobby"),
            "case is significant"
        );
    }

    #[test]
    fn length_of_a_room_name_is_that_of_its_normal_form() {
        let composed = "\u{1F82}".repeat(ROOM_CHARACTERS_MAX);
        let decomposed: String = composed.nfd().collect();
        assert_eq!(room_name(&decomposed).as_deref(), Some(&*composed));
        assert_eq!(room_name(&format!("{decomposed}x")), None);
        assert_eq!(room_name(&"\u{FDFA}".repeat(5)), None, "it becomes 90");
    }
}
