//! The rules for members' names, and when two names are the same.
//!
//! ```text
//!   "  Ａｄｍｉｎ  "     as entered
//!     │ NFKC, spaces as in RFC 8266
//!   "Admin"            displayed
//!     │ lower case      │ skeleton (UTS #39), lower case
//!   key "admin"        skeletons "admin"
//! ```
//!
//! A name is normalised: compatibility composition (NFKC), each run of spaces is one space,
//! and none is at the ends. All members see this form. It is then checked: 1 to 32 characters
//! (Unicode scalar values); each is assigned and no control, format, private-use or
//! default-ignorable character; at least one is visible. Joiners and emoji selectors are
//! allowed where they change the appearance
//! ([`is_joiner_in_place`](super::characters::is_joiner_in_place)).
//!
//! Two names are the same if they are *confusable*: if they have a skeleton of UTS #39 in
//! common, without regard to case. One order of these steps is not enough: the skeleton of
//! `Вob` with a Cyrillic letter is that of `Bob`, but that of its lower case `вob` is not; the
//! lower case of `AIKO` is `aiko`, but its skeleton is that of `AlKO`. So each name has both
//! skeletons, and one in common makes two names the same.
//!
//! All forms are computed once, when the name is parsed: some microseconds, and less for an
//! ASCII name.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use icu_casemap::CaseMapper;
use icu_properties::props::GeneralCategory;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};
use unicode_security::confusable_detection::skeleton;

use super::characters::{
    OBJECT_REPLACEMENT, general_category, is_blank_symbol, is_default_ignorable,
    is_joiner_in_place, is_mark,
};

/// Maximum characters (Unicode scalar values) in a name, in its normal form.
pub const NAME_CHARACTERS_MAX: usize = 32;

/// The highest number in a suggested name.
pub(super) const SUGGESTED_NUMBER_MAX: u32 = 100;

/// No character is composed of more than this many others. So a text with more than this times
/// [`NAME_CHARACTERS_MAX`] characters is too long in every form.
pub(super) const CHARACTERS_COMPOSED_MAX: usize = 4;

/// A valid name in its normal form, with its key and its skeletons. A copy is a pointer.
///
/// ```
/// use yamabiko::chat::{Name, NameError};
///
/// let name = Name::parse("  Ａｉｋｏ ")?;
/// assert_eq!(name.as_str(), "Aiko");
/// assert_eq!(name.key(), Name::parse("AIKO")?.key());
/// assert!(name.is_confusable_with(&Name::parse("Аiko")?), "its first letter is Cyrillic");
/// assert_eq!(Name::parse(" \t "), Err(NameError::Empty));
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Arc<Forms>);

#[derive(Debug, PartialEq, Eq)]
struct Forms {
    shown: Box<str>,
    key: Arc<str>,
    skeletons: Skeletons,
}

/// The skeleton of a name's lower case, and the lower case of its skeleton. They are equal for
/// most names.
pub(super) type Skeletons = [Arc<str>; 2];

/// Why a string is not a valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It has no visible character.
    Empty,
    /// It has more than [`NAME_CHARACTERS_MAX`] characters.
    TooLong,
    /// It contains a character that is not allowed, or a mark or joiner without a character that
    /// it modifies.
    Invalid,
}

impl Name {
    /// Normalises and checks a name. The cost is bounded for any length.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(name: &str) -> Result<Name, NameError> {
        let shown = normal_form(name.trim())?;
        let characters: Vec<char> = shown.chars().collect();
        if characters.len() > NAME_CHARACTERS_MAX {
            return Err(NameError::TooLong);
        }
        if !characters.iter().any(|c| is_base(*c)) {
            return Err(NameError::Empty);
        }
        if is_mark(characters[0]) || !(0..characters.len()).all(|at| is_allowed(&characters, at)) {
            return Err(NameError::Invalid);
        }
        let key = key_of(&shown);
        Ok(Name(Arc::new(Forms {
            skeletons: skeletons_of(&shown, &key),
            key: key.into(),
            shown: shown.into(),
        })))
    }

    /// The name as it is displayed.
    pub fn as_str(&self) -> &str {
        &self.0.shown
    }

    /// The name without case (NFKC_Casefold, UAX #31), by which names are ordered. Names with
    /// the same key are confusable.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// Whether the two names are confusable, so that only one of them is allowed in a room.
    pub fn is_confusable_with(&self, other: &Name) -> bool {
        let theirs = &other.0.skeletons;
        self.0
            .skeletons
            .iter()
            .any(|skeleton| theirs.contains(skeleton))
    }

    pub(super) fn skeletons(&self) -> &Skeletons {
        &self.0.skeletons
    }

    pub(super) fn shared_key(&self) -> Arc<str> {
        self.0.key.clone()
    }

    /// The name without the number at its end, if it has one.
    fn stem(&self) -> &str {
        let name = self.as_str();
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        match stem.strip_suffix(' ') {
            Some(stem) if name.len() > stem.len() + 1 => stem,
            _ => name,
        }
    }
}

/// The beginning of a substitute for a taken name, and the numbers that can follow it.
#[derive(Debug)]
pub(super) struct Stem {
    text: String,
    pub(super) skeletons: Skeletons,
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Stem {
    /// The stems for a taken name, those for lower numbers first: one, or up to three if the
    /// name must be truncated to make room for one to three digits.
    pub(super) fn of(name: &Name) -> Vec<Stem> {
        let stem = name.stem();
        let mut stems: Vec<Stem> = Vec::new();
        for (digits, first, last) in [(1, 2, 9), (2, 10, 99), (3, 100, SUGGESTED_NUMBER_MAX)] {
            let text = first_characters(stem, NAME_CHARACTERS_MAX - 1 - digits);
            match stems.last_mut() {
                Some(before) if before.text == text => before.last = last,
                _ => stems.push(Stem {
                    skeletons: match text == name.as_str() {
                        true => name.skeletons().clone(),
                        false => skeletons_of(text, &key_of(text)),
                    },
                    text: text.to_owned(),
                    first,
                    last,
                }),
            }
        }
        stems
    }

    /// `Aiko 2`. `None` if the truncated name is not valid.
    pub(super) fn numbered(&self, number: u32) -> Option<Name> {
        Name::parse(&format!("{} {number}", self.text)).ok()
    }
}

/// Splits the skeleton of a numbered name into the skeleton of the stem and the number, if the
/// number is one that is suggested. For any name, `skeleton(stem + " " + number)` is
/// `skeleton(stem) + " " + skeleton(number)`.
pub(super) fn numbered_skeleton(skeleton: &str) -> Option<(&str, u32)> {
    let (stem, digits) = skeleton.rsplit_once(' ')?;
    if digits.is_empty() || digits.chars().count() > 3 || digits.starts_with(DIGIT_SKELETONS[0]) {
        return None;
    }
    let number = digits.chars().try_fold(0, |number, c| {
        let digit = DIGIT_SKELETONS.iter().position(|skeleton| *skeleton == c)?;
        Some(number * 10 + digit as u32)
    })?;
    (2..=SUGGESTED_NUMBER_MAX)
        .contains(&number)
        .then_some((stem, number))
}

/// The skeleton of each digit: of 1 it is a small L, of 0 an O.
static DIGIT_SKELETONS: LazyLock<[char; 10]> = LazyLock::new(|| {
    std::array::from_fn(|digit| {
        let digit = char::from(b'0' + digit as u8);
        skeleton_of(digit.encode_utf8(&mut [0; 4]))
            .chars()
            .next()
            .unwrap_or(digit)
    })
});

/// NFKC, and spaces as in RFC 8266 §2.1: each run is one U+0020, and there are none at the
/// ends.
fn normal_form(name: &str) -> Result<String, NameError> {
    if name
        .chars()
        .nth(CHARACTERS_COMPOSED_MAX * NAME_CHARACTERS_MAX)
        .is_some()
    {
        return Err(NameError::TooLong);
    }
    let mut shown = String::with_capacity(name.len());
    let mut after_space = false;
    for c in nfkc(name).chars() {
        if c == ' ' || general_category(c) == GeneralCategory::SpaceSeparator {
            after_space = true;
            continue;
        }
        if after_space && !shown.is_empty() {
            shown.push(' ');
        }
        after_space = false;
        shown.push(c);
    }
    Ok(shown)
}

fn nfkc(text: &str) -> Cow<'_, str> {
    match is_nfkc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfkc().collect()),
    }
}

/// A character that marks and joiners can modify.
fn is_base(c: char) -> bool {
    match c.is_ascii() {
        true => c != ' ',
        false => !is_mark(c) && !is_default_ignorable(c),
    }
}

fn is_allowed(name: &[char], position: usize) -> bool {
    let c = name[position];
    if c.is_ascii() {
        return !c.is_control();
    }
    if is_default_ignorable(c) {
        return is_joiner_in_place(name, position);
    }
    !is_forbidden(c)
}

/// A character that is invisible, differs between systems, or marks a damaged text.
fn is_forbidden(c: char) -> bool {
    matches!(
        general_category(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || is_blank_symbol(c)
        || matches!(c, OBJECT_REPLACEMENT | char::REPLACEMENT_CHARACTER)
}

/// NFKC_Casefold of a text in NFKC.
fn key_of(shown: &str) -> String {
    if shown.is_ascii() {
        return shown.to_ascii_lowercase();
    }
    let seen: String = shown
        .chars()
        .filter(|c| !is_default_ignorable(*c))
        .collect();
    nfkc(&CaseMapper::new().fold_string(&seen)).into_owned()
}

fn skeletons_of(shown: &str, key: &str) -> Skeletons {
    let of_key: Arc<str> = skeleton_of(key).into();
    let of_shown = match shown == key {
        true => of_key.clone(),
        false => skeleton_of(shown).into(),
    };
    [of_key, of_shown]
}

/// The skeleton (UTS #39 §4), without case.
fn skeleton_of(text: &str) -> String {
    match text.is_ascii() {
        true => text
            .bytes()
            .map(|byte| &*ASCII_SKELETONS[byte as usize])
            .collect(),
        false => full_skeleton_of(text),
    }
}

fn full_skeleton_of(text: &str) -> String {
    let skeleton: String = skeleton(text).collect();
    CaseMapper::new().fold_string(&skeleton).into_owned()
}

/// No ASCII character changes the skeleton of another one. So the skeleton of an ASCII text is
/// the sequence of the skeletons of its characters.
static ASCII_SKELETONS: LazyLock<[Box<str>; 128]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let c = char::from(byte as u8);
        full_skeleton_of(c.encode_utf8(&mut [0; 4])).into()
    })
});

/// The first characters, at most so many, without a space or joiner at the end.
fn first_characters(text: &str, characters_max: usize) -> &str {
    let end = text.char_indices().nth(characters_max).map(|(end, _)| end);
    text[..end.unwrap_or(text.len())]
        .trim_end_matches(|c: char| c == ' ' || is_default_ignorable(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        match Name::parse(text) {
            Ok(name) => name,
            Err(error) => panic!("{text:?}: {error:?}"),
        }
    }

    fn same(one: &str, other: &str) -> bool {
        name(one).is_confusable_with(&name(other))
    }

    #[test]
    fn name_may_have_32_characters_and_no_more() {
        let longest = "山".repeat(NAME_CHARACTERS_MAX);
        assert_eq!(name(&longest).as_str(), longest);
        assert_eq!(
            Name::parse(&format!("{longest}彦")),
            Err(NameError::TooLong)
        );
        assert!(Name::parse(&format!("  {longest}  ")).is_ok());
    }

    #[test]
    fn length_is_that_of_the_normal_form() {
        // U+1F82 is composed of four characters, as many as any.
        let composed = "\u{1F82}".repeat(NAME_CHARACTERS_MAX);
        let decomposed: String = composed.nfd().collect();
        assert_eq!(
            decomposed.chars().count(),
            CHARACTERS_COMPOSED_MAX * NAME_CHARACTERS_MAX
        );
        assert_eq!(name(&decomposed).as_str(), composed);
        assert_eq!(
            Name::parse(&format!("{decomposed}x")),
            Err(NameError::TooLong)
        );
        assert_eq!(
            Name::parse("\u{FDFA}\u{FDFA}"), // 18 characters each
            Err(NameError::TooLong)
        );
    }

    #[test]
    fn long_name_is_rejected_by_its_beginning() {
        assert_eq!(Name::parse(&"a".repeat(60_000)), Err(NameError::TooLong));
        let marks = format!("a{}", "\u{301}".repeat(60_000));
        assert_eq!(Name::parse(&marks), Err(NameError::TooLong));
    }

    #[test]
    fn name_without_a_visible_character_is_empty() {
        for text in [
            "",
            "   ",
            "\u{3000}",
            "\u{200D}",
            "\u{FE0F} \u{200C}",
            "\u{301}",
            "\u{301}\u{20E3}",
            "\u{3164}",
            "\u{FFA0}",
            "\u{1D173}",
            "\u{AD}",
            "\u{A8}", // a space with a mark on it
        ] {
            assert_eq!(Name::parse(text), Err(NameError::Empty), "{text:?}");
        }
    }

    #[test]
    fn name_with_a_control_invisible_private_or_unassigned_character_is_invalid() {
        for text in [
            "a\nb",
            "a\0",
            "\u{1b}[31mred",
            "a\u{200B}b",
            "a\u{AD}b",
            "a\u{2028}b",
            "\u{202E}abc",
            "a\u{2066}b",
            "\u{E0041}a",
            "a\u{1D173}b", // musical symbol begin beam
            "\u{1D159}",   // musical symbol null notehead
            "a\u{1D159}b",
            "\u{2800}",  // blank Braille pattern
            "\u{FFF9}a", // interlinear annotation
            "\u{FFFC}",
            "\u{FFFD}",
            "\u{FFFF}",
            "a\u{FDD0}",
            "\u{E000}",
            "a\u{10FFFD}",
            "a\u{378}",   // not assigned
            "a\u{3164}b", // Hangul filler
            "a\u{180B}",
            "\u{301}a",
        ] {
            assert_eq!(Name::parse(text), Err(NameError::Invalid), "{text:?}");
        }
    }

    #[test]
    fn joiner_or_selector_that_changes_nothing_is_invalid() {
        for text in [
            "Ai\u{200D}ko",
            "Ai\u{200C}ko",
            "a\u{FE0F}",
            "Aiko\u{200D}",
            "葛\u{E0100}",
        ] {
            assert_eq!(Name::parse(text), Err(NameError::Invalid), "{text:?}");
        }
    }

    #[test]
    fn names_in_any_language_and_emoji_are_valid_and_unchanged() {
        for text in [
            "山彦",
            "やまびこ",
            "ヤマビコ・エコー",
            "김철수",
            "محمد",
            "عَبْد",
            "علی\u{200C}رضا",
            "क्\u{200D}ष",
            "श्री",
            "ශ්\u{200D}රී",
            "Đặng Thị Bích",
            "Ολυμπία",
            "Алёна",
            "שָׁלוֹם",
            "สมชาย",
            "O’Brien",
            "Jean-Luc",
            "🦊",
            "❤\u{FE0F}",
            "👨\u{200D}👩\u{200D}👧",
            "👩\u{1F3FD}\u{200D}🚀 Mae",
            "🇯🇵",
            "1\u{FE0F}\u{20E3}",
            "⠃⠕⠃",
            "~*Aiko*~",
            "7",
        ] {
            assert_eq!(name(text).as_str(), text);
        }
    }

    #[test]
    fn name_is_displayed_in_its_normal_form() {
        for (typed, shown) in [
            ("  Aiko   Mori ", "Aiko Mori"),
            ("Aiko\u{3000}\u{A0}Mori", "Aiko Mori"),
            ("Ａｉｋｏ", "Aiko"),
            ("ﾔﾏﾋﾞｺ", "ヤマビコ"),
            ("Zoe\u{308}", "Zo\u{EB}"),
            ("\u{1112}\u{1161}\u{11AB}", "한"),
            ("ﬁ①™", "fi1TM"),
        ] {
            assert_eq!(name(typed).as_str(), shown);
        }
    }

    #[test]
    fn names_are_the_same_whatever_case_spacing_joiners_or_composition() {
        for (one, other) in [
            ("Aiko Mori", "aiko   MORI"),
            ("ÉLODIE", "élodie"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "straße"),
            ("ΟΔΥΣΣΕΥΣ", "Οδυσσευς"),
            ("\u{E9}", "e\u{301}"),
            ("한", "\u{1112}\u{1161}\u{11AB}"),
            ("علی\u{200C}رضا", "علیرضا"),
            ("❤\u{FE0F}", "❤"),
        ] {
            assert!(same(one, other), "{one} {other}");
            assert_eq!(name(one).key(), name(other).key());
        }
    }

    #[test]
    fn confusable_names_are_the_same() {
        for (one, other) in [
            ("Admin", "\u{391}dmin"), // Greek Alpha
            ("admin", "\u{391}dmin"),
            ("Chie", "\u{421}hie"), // Cyrillic Es
            ("chie", "\u{441}hie"), // the small one
            ("Bob", "\u{412}ob"),   // Cyrillic Ve, whose lower case looks different
            ("Alice", "AIice"),     // a capital i for a small L
            ("Bob 10", "bob lO"),
            ("paypal", "pay\u{440}al"),
            ("Aiko", "A\u{131}ko"), // dotless i
            ("modern", "rnodern"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn names_that_are_not_confusable_are_different() {
        for (one, other) in [
            ("Aiko", "Aiko2"),
            ("Aiko", "Aiko 2"),
            ("Aiko", "Akio"),
            ("é", "e"),
            ("山", "川"),
            ("はな", "ばな"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    fn substitutes(text: &str, number: u32) -> String {
        let stems = Stem::of(&name(text));
        let fits = |stem: &&Stem| (stem.first..=stem.last).contains(&number);
        let stem = stems.iter().find(fits).unwrap();
        stem.numbered(number).unwrap().as_str().to_owned()
    }

    #[test]
    fn number_follows_the_name_and_replaces_an_earlier_one() {
        assert_eq!(substitutes("Aiko", 2), "Aiko 2");
        assert_eq!(substitutes("Aiko 2", 3), "Aiko 3");
        assert_eq!(substitutes("R2D2", 2), "R2D2 2");
        assert_eq!(substitutes("7", 2), "7 2");
        let longest = "x".repeat(NAME_CHARACTERS_MAX);
        assert_eq!(substitutes(&longest, 9), format!("{} 9", &longest[..30]));
        assert_eq!(substitutes(&longest, 10), format!("{} 10", &longest[..29]));
        assert_eq!(
            substitutes(&longest, 100),
            format!("{} 100", &longest[..28])
        );
        let families = "👩\u{200D}".repeat(15) + "👩x";
        assert_eq!(
            substitutes(&families, 2),
            format!("{}👩 2", "👩\u{200D}".repeat(14))
        );
    }

    #[test]
    fn short_name_has_one_stem_and_a_long_one_three() {
        let ranges = |text: &str| -> Vec<(u32, u32)> {
            let stems = Stem::of(&name(text));
            stems.iter().map(|stem| (stem.first, stem.last)).collect()
        };
        assert_eq!(ranges("Aiko"), [(2, 100)]);
        assert_eq!(ranges(&"x".repeat(28)), [(2, 100)]);
        assert_eq!(ranges(&"x".repeat(29)), [(2, 99), (100, 100)]);
        assert_eq!(
            ranges(&"x".repeat(NAME_CHARACTERS_MAX)),
            [(2, 9), (10, 99), (100, 100)]
        );
    }

    #[test]
    fn skeleton_of_a_numbered_name_is_split_and_no_other() {
        for number in 2..=SUGGESTED_NUMBER_MAX {
            let name = name(&format!("Aiko {number}"));
            for skeleton in name.skeletons() {
                assert!(matches!(numbered_skeleton(skeleton), Some((_, read)) if read == number));
            }
        }
        for text in [
            "Aiko",
            "Aiko 1",
            "Aiko 02",
            "Aiko 101",
            "Aiko 1000",
            "Aiko2",
            "2",
            "Aiko x",
        ] {
            for skeleton in name(text).skeletons() {
                assert_eq!(numbered_skeleton(skeleton), None, "{text}");
            }
        }
    }

    /// Groups of letters with the same key or the same skeleton.
    const LETTERS: [&str; 8] = [
        "aA\u{430}",
        "iI1l",
        "lLI",
        "\u{e9}\u{c9}e",
        "\u{df}s",
        "\u{441}\u{421}cC",
        "\u{3a3}\u{3c3}\u{3c2}",
        "\u{17f}sS",
    ];

    proptest! {
        #[test]
        fn displayed_name_is_valid_and_unchanged(text in "\\PC{0,40}") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert_eq!(Name::parse(name.as_str()), Ok(name));
            }
        }

        #[test]
        fn names_with_the_same_key_are_confusable(
            letters in proptest::collection::vec((0..LETTERS.len(), any::<[u8; 2]>()), 1..=3),
        ) {
            let spelling = |which: usize| -> String {
                let letter = |&(letter, choices): &(usize, [u8; 2])| {
                    let forms: Vec<char> = LETTERS[letter].chars().collect();
                    forms[usize::from(choices[which]) % forms.len()]
                };
                letters.iter().map(letter).collect()
            };
            if let (Ok(one), Ok(other)) = (Name::parse(&spelling(0)), Name::parse(&spelling(1))) {
                prop_assert!(one.key() != other.key() || one.is_confusable_with(&other));
                prop_assert_eq!(one.is_confusable_with(&other), other.is_confusable_with(&one));
            }
        }

        #[test]
        fn fast_path_for_ascii_gives_the_same_skeleton(text in "[ -~]{0,32}") {
            prop_assert_eq!(skeleton_of(&text), full_skeleton_of(&text));
        }

        #[test]
        fn skeletons_of_a_numbered_name_are_those_of_its_stem_and_its_number(
            text in "\\PC{1,40}",
            number in 2..=SUGGESTED_NUMBER_MAX,
        ) {
            let Ok(taken) = Name::parse(&text) else { return Ok(()) };
            let stems = Stem::of(&taken);
            let stem = stems.iter().find(|stem| (stem.first..=stem.last).contains(&number)).unwrap();
            let Some(numbered) = stem.numbered(number) else { return Ok(()) };
            for (skeleton, stem_skeleton) in numbered.skeletons().iter().zip(&stem.skeletons) {
                prop_assert_eq!(numbered_skeleton(skeleton), Some((&**stem_skeleton, number)));
            }
        }
    }
}
