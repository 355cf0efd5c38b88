//! Properties of Unicode characters, for the rules of names, rooms and texts.
//!
//! The data is that of `icu_properties`, with one exception: Unicode has no property for a
//! symbol without a glyph, so [`is_blank_symbol`] lists the two that exist. A character that
//! is newer than the data counts as unassigned.

use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic,
    GeneralCategory, JoiningType, NoncharacterCodePoint, PrependedConcatenationMark,
};
use icu_properties::{CodePointMapData, CodePointSetData};

pub(super) fn general_category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Invisible unless it is specially supported: zero-width characters, fillers, variation
/// selectors, tags.
pub(super) fn is_default_ignorable(c: char) -> bool {
    !c.is_ascii() && CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// A combining mark, which modifies the character before it.
pub(super) fn is_mark(c: char) -> bool {
    matches!(
        general_category(c),
        GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
            | GeneralCategory::EnclosingMark
    )
}

/// U+2800 BRAILLE PATTERN BLANK and U+1D159 MUSICAL SYMBOL NULL NOTEHEAD: symbols by their
/// category, and invisible.
pub(super) fn is_blank_symbol(c: char) -> bool {
    matches!(c, '\u{2800}' | '\u{1D159}')
}

/// Whether a character is visible in a text. In doubt it is: a character that is newer than
/// the data may be an emoji.
pub(super) fn is_visible(c: char) -> bool {
    let is_format = |c| {
        general_category(c) == GeneralCategory::Format
            && !CodePointSetData::new::<PrependedConcatenationMark>().contains(c)
    };
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    !(c.is_whitespace()
        || c.is_control()
        || is_default_ignorable(c)
        || is_format(c)
        || is_blank_symbol(c)
        || c == OBJECT_REPLACEMENT
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c))
}

/// Whether the character at this position is a joiner or a variation selector that changes the
/// appearance of the text:
///
/// - ZERO WIDTH NON-JOINER after a virama, or between letters that would join (RFC 5892,
///   appendix A.1);
/// - ZERO WIDTH JOINER after a virama (appendix A.2), or between two pictographs, as in the
///   emoji of a family (UTS #51);
/// - the selectors of text and emoji form after a character that has both.
///
/// ```text
///   👩  U+FE0F?  🏽?  ZWJ  🚀          L or D  T*  ZWNJ  T*  R or D
///   pictograph        ^                           ^
/// ```
pub(super) fn is_joiner_in_place(text: &[char], position: usize) -> bool {
    let (before, rest) = text.split_at(position);
    let Some((joiner, after)) = rest.split_first() else {
        return false;
    };
    match *joiner {
        ZERO_WIDTH_NON_JOINER => ends_in_virama(before) || is_between_joining(before, after),
        ZERO_WIDTH_JOINER => ends_in_virama(before) || is_between_pictographs(before, after),
        TEXT_SELECTOR | EMOJI_SELECTOR => before.last().is_some_and(|c| has_emoji_form(*c)),
        _ => false,
    }
}

fn ends_in_virama(before: &[char]) -> bool {
    let class = |c: &char| CodePointMapData::<CanonicalCombiningClass>::new().get(*c);
    before
        .last()
        .is_some_and(|c| class(c) == CanonicalCombiningClass::Virama)
}

fn is_between_joining(before: &[char], after: &[char]) -> bool {
    let joining = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
    let is_letter = |joining: &JoiningType| *joining != JoiningType::Transparent;
    let left = before.iter().rev().map(joining).find(is_letter);
    let right = after.iter().map(joining).find(is_letter);
    matches!(
        left,
        Some(JoiningType::LeftJoining | JoiningType::DualJoining)
    ) && matches!(
        right,
        Some(JoiningType::RightJoining | JoiningType::DualJoining)
    )
}

fn is_between_pictographs(before: &[char], after: &[char]) -> bool {
    let is_modifier =
        |c: &&char| **c == EMOJI_SELECTOR || CodePointSetData::new::<EmojiModifier>().contains(**c);
    let is_pictograph = |c: &char| CodePointSetData::new::<ExtendedPictographic>().contains(*c);
    before
        .iter()
        .rev()
        .find(|c| !is_modifier(c))
        .is_some_and(is_pictograph)
        && after.first().is_some_and(is_pictograph)
}

fn has_emoji_form(c: char) -> bool {
    CodePointSetData::new::<Emoji>().contains(c)
}

/// A placeholder for an object that is not in the text.
pub(super) const OBJECT_REPLACEMENT: char = '\u{FFFC}';
const ZERO_WIDTH_NON_JOINER: char = '\u{200C}';
const ZERO_WIDTH_JOINER: char = '\u{200D}';
const TEXT_SELECTOR: char = '\u{FE0E}';
const EMOJI_SELECTOR: char = '\u{FE0F}';

#[cfg(test)]
mod tests {
    use super::*;

    /// The result for each joiner of the text.
    fn joiners(text: &str) -> Vec<bool> {
        let characters: Vec<char> = text.chars().collect();
        (0..characters.len())
            .filter(|at| is_default_ignorable(characters[*at]))
            .map(|at| is_joiner_in_place(&characters, at))
            .collect()
    }

    #[test]
    fn joiner_is_in_place_where_it_changes_the_appearance() {
        for (text, expected) in [
            ("\u{915}\u{94D}\u{200D}\u{937}", vec![true]), // Devanagari ka, virama, ZWJ, ssa
            ("\u{915}\u{94D}\u{200C}\u{937}", vec![true]),
            ("علی\u{200C}رضا", vec![true]), // Persian: yeh joins to the left, reh to the right
            ("❤\u{FE0F}", vec![true]),
            ("1\u{FE0F}\u{20E3}", vec![true]),
            ("👩\u{1F3FD}\u{200D}🚀", vec![true]),
            ("❤\u{FE0F}\u{200D}🔥", vec![true, true]),
            ("👨\u{200D}👩\u{200D}👧", vec![true, true]),
        ] {
            assert_eq!(joiners(text), expected, "{text:?}");
        }
    }

    #[test]
    fn joiner_is_out_of_place_where_it_is_invisible() {
        for text in [
            "a\u{200D}b",
            "a\u{200C}b",
            "a\u{FE0F}",
            "❤\u{FE00}",
            "\u{200D}",
            "👩\u{200D}",
            "👩\u{200D}a",
            "\u{627}\u{200C}\u{628}", // alef never joins to the left
            "\u{628}\u{200C}",
            "\u{FE0F}❤",
            "葛\u{E0100}",
        ] {
            assert_eq!(joiners(text), [false], "{text:?}");
        }
    }

    #[test]
    fn spaces_controls_formats_and_blank_symbols_are_not_visible() {
        for c in "a.山\u{300}\u{E000}\u{378}\u{FFFD}\u{600}\u{2801}❤".chars() {
            assert!(is_visible(c), "{c:?}");
        }
        for c in " \n\u{3000}\u{200B}\u{3164}\u{AD}\u{FE0F}\u{2800}\u{1D159}\u{1D173}\u{FFF9}\u{FFFC}\u{FFFF}".chars() {
            assert!(!is_visible(c), "{c:?}");
        }
    }
}
