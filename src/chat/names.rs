//! What a person may be called, and when two names are the same.
//!
//! A name is trimmed, then checked: 1 to 32 characters (Unicode scalar values,
//! so at most 128 bytes of UTF-8), none of them a control character or one that
//! is invisible or turns the direction of writing. Two names are the same when
//! their *keys* are: lower case, runs of white space as one space, and without
//! the joiners that emoji and some scripts need but no eye sees.
//!
//! It stops there: letters of different scripts that look alike (Latin `a`,
//! Cyrillic `а`) and different compositions of one letter are different names.

/// The most characters (Unicode scalar values) in a name, after trimming.
pub const NAME_CHARACTERS_MAX: usize = 32;

/// A name that may be used: trimmed, visible, at most
/// [`NAME_CHARACTERS_MAX`] characters.
///
/// ```
/// use yamabiko::chat::{Name, NameError};
///
/// let name = Name::parse("  Aiko ")?;
/// assert_eq!(name.as_str(), "Aiko");
/// assert_eq!(name.key(), Name::parse("AIKO")?.key());
/// assert_eq!(Name::parse(" \t "), Err(NameError::Empty));
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Box<str>);

/// Why a string cannot be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing that can be seen is in it.
    Empty,
    /// It has more than [`NAME_CHARACTERS_MAX`] characters.
    TooLong,
    /// It holds a control, invisible or direction-changing character.
    Invalid,
}

impl Name {
    /// Trims and checks. Costs one pass and one allocation.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(name: &str) -> Result<Name, NameError> {
        let name = name.trim();
        if name.chars().nth(NAME_CHARACTERS_MAX).is_some() {
            return Err(NameError::TooLong);
        }
        if name.chars().any(is_refused) {
            return Err(NameError::Invalid);
        }
        if key_of(name).is_empty() {
            return Err(NameError::Empty);
        }
        Ok(Name(name.into()))
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two names are compared by.
    pub fn key(&self) -> String {
        key_of(&self.0)
    }

    /// This name with a number behind it (`Aiko 2`), cut to fit. A number that
    /// is there already is replaced.
    pub(super) fn numbered(&self, number: u32) -> Name {
        let suffix = format!(" {number}");
        let kept = NAME_CHARACTERS_MAX.saturating_sub(suffix.len());
        let stem = self.0.trim_end_matches(|c: char| c.is_ascii_digit());
        let stem = stem.strip_suffix(' ').unwrap_or(&self.0);
        let stem: String = stem.chars().take(kept).collect();
        Name(format!("{}{suffix}", stem.trim_end()).into())
    }
}

fn key_of(name: &str) -> String {
    let seen: String = name.chars().filter(|c| !is_joiner(*c)).collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// Allowed in a name, and not seen by the comparison: the zero-width joiner and
/// non-joiner, and the selectors between text and emoji.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}' | '\u{FE00}'..='\u{FE0F}')
}

/// What would let one name pass for another, or turn the line it stands in.
fn is_refused(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}'     // soft hyphen, grapheme joiner, Arabic mark
            | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' // Hangul fillers
            | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}' | '\u{200E}' | '\u{200F}'   // zero-width space, direction marks
            | '\u{2028}'..='\u{202E}'                // separators, embeddings, overrides
            | '\u{2060}'..='\u{206F}'                // invisible operators, isolates
            | '\u{2800}' | '\u{FEFF}'                // blank Braille, byte order mark
            | '\u{FFF9}'..='\u{FFFB}'                // annotations
            | '\u{E0000}'..='\u{E0FFF}') // tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_may_have_thirty_two_characters_and_not_one_more() {
        let longest = "山".repeat(NAME_CHARACTERS_MAX);
        assert_eq!(Name::parse(&longest).unwrap().as_str(), longest);
        assert_eq!(
            Name::parse(&format!("{longest}彦")),
            Err(NameError::TooLong)
        );
        assert!(Name::parse(&format!("  {longest}  ")).is_ok());
    }

    #[test]
    fn name_without_a_visible_character_is_empty() {
        for name in ["", "   ", "\u{3000}", "\u{200D}", "\u{FE0F} \u{200C}"] {
            assert_eq!(Name::parse(name), Err(NameError::Empty), "{name:?}");
        }
    }

    #[test]
    fn name_with_control_or_invisible_characters_is_invalid() {
        for name in [
            "a\nb",
            "a\0",
            "\u{1b}[31mred",
            "a\u{200B}b",
            "\u{202E}abc",
            "a\u{2066}b",
            "\u{E0041}a",
        ] {
            assert_eq!(Name::parse(name), Err(NameError::Invalid), "{name:?}");
        }
    }

    #[test]
    fn names_are_the_same_whatever_case_spacing_or_joiners() {
        let key = |name| Name::parse(name).unwrap().key();
        assert_eq!(key("Aiko Mori"), key("aiko   MORI"));
        assert_eq!(key("Ai\u{200D}ko"), key("aiko"));
        assert_eq!(key("ÉLODIE"), key("élodie"));
        assert_ne!(key("Aiko"), key("Aiko2"));
    }

    #[test]
    fn number_goes_behind_the_name_and_replaces_an_older_one() {
        let numbered = |name, number| Name::parse(name).unwrap().numbered(number);
        assert_eq!(numbered("Aiko", 2).as_str(), "Aiko 2");
        assert_eq!(numbered("Aiko 2", 3).as_str(), "Aiko 3");
        assert_eq!(numbered("R2D2", 2).as_str(), "R2D2 2");
        assert_eq!(numbered("7", 2).as_str(), "7 2");
        let cut = numbered(&"x".repeat(NAME_CHARACTERS_MAX), 10);
        assert_eq!(cut.as_str(), format!("{} 10", "x".repeat(29)));
    }
}
