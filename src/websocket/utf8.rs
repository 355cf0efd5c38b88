//! UTF-8, checked as it arrives (RFC 6455 §5.6, §8.1; RFC 3629).
//!
//! A text message may be cut anywhere, also inside a character. The validator
//! keeps the 1 to 3 bytes of a character that is cut, and fails at the first byte that
//! no text could have there: it never waits for the end of a frame.
//!
//! The bulk of a piece is checked by `simdutf8`, at tens of gigabytes a second
//! for ASCII; the cut characters at either end by the standard library, whose
//! errors distinguish "wrong" from "not complete yet". Each piece is checked once and
//! returned as `str`, so that a buffered message is not checked again.

use core::fmt;

/// Checks a stream of bytes for UTF-8, in pieces of any size.
///
/// ```
/// use yamabiko::websocket::utf8::Utf8Validator;
///
/// let mut validator = Utf8Validator::default();
/// assert!(validator.push(b"\xe5\xb1").is_ok()); // two thirds of 山
/// assert!(validator.finish().is_err());
/// assert!(validator.push(b"\xb1").is_ok());
/// assert!(validator.finish().is_ok());
/// assert!(validator.push(b"\xc0").is_err()); // never legal
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utf8Validator {
    /// The bytes of a character that is not complete: a legal beginning.
    cut: [u8; 4],
    /// 0 ≤ cut_length ≤ 3
    cut_length: u8,
}

/// What a piece of valid text consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded<'p> {
    /// The character that earlier pieces began and this one completed.
    pub carried: Option<char>,
    /// The whole characters of this piece, behind `carried`.
    pub text: &'p str,
}

/// The bytes are not UTF-8, and no further bytes can change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidUtf8;

impl Utf8Validator {
    /// Checks the next piece. Cost: one pass.
    ///
    /// # Errors
    /// [`InvalidUtf8`] if a byte of the piece cannot be part of UTF-8 at its place. Do not use
    /// the validator after that.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        self.decode(piece).map(|_| ())
    }

    /// Checks the next piece and gives its whole characters as text.
    ///
    /// # Errors
    /// As [`Utf8Validator::push`].
    pub fn decode<'p>(&mut self, piece: &'p [u8]) -> Result<Decoded<'p>, InvalidUtf8> {
        let (carried, piece) = self.complete_cut(piece)?;
        let (whole, rest) = piece.split_at(last_cut(piece));
        let text = simdutf8::basic::from_utf8(whole).map_err(|_| InvalidUtf8)?;
        if !rest.is_empty() {
            self.keep_cut(rest)?;
        }
        Ok(Decoded { carried, text })
    }

    /// The text ends here: no character may be left incomplete.
    ///
    /// # Errors
    /// [`InvalidUtf8`] if one is.
    pub fn finish(&self) -> Result<(), InvalidUtf8> {
        match self.cut_length {
            0 => Ok(()),
            _ => Err(InvalidUtf8),
        }
    }

    /// The bytes of a character that is not complete.
    pub(crate) fn cut(&self) -> &[u8] {
        &self.cut[..usize::from(self.cut_length)]
    }

    /// Adds bytes to the cut character until it is complete or `piece` ends.
    fn complete_cut<'p>(
        &mut self,
        mut piece: &'p [u8],
    ) -> Result<(Option<char>, &'p [u8]), InvalidUtf8> {
        while let (1.., [byte, rest @ ..]) = (self.cut_length, piece) {
            let length = usize::from(self.cut_length);
            self.cut[length] = *byte;
            self.cut_length += 1;
            piece = rest;
            match prefix(&self.cut[..=length])? {
                Prefix::Complete(character) => {
                    self.cut_length = 0;
                    return Ok((Some(character), piece));
                }
                Prefix::Incomplete => {}
            }
        }
        Ok((None, piece))
    }

    /// Keeps the 1 to 3 bytes of a character that goes on in the next piece.
    fn keep_cut(&mut self, rest: &[u8]) -> Result<(), InvalidUtf8> {
        prefix(rest)?;
        self.cut[..rest.len()].copy_from_slice(rest);
        self.cut_length = rest.len() as u8;
        Ok(())
    }
}

enum Prefix {
    Complete(char),
    Incomplete,
}

/// Whether these 1 to 4 bytes are one character, or a legal beginning of one.
fn prefix(bytes: &[u8]) -> Result<Prefix, InvalidUtf8> {
    match core::str::from_utf8(bytes) {
        Ok(text) => text.chars().next().map(Prefix::Complete).ok_or(InvalidUtf8),
        Err(error) if error.error_len().is_none() => Ok(Prefix::Incomplete),
        Err(_) => Err(InvalidUtf8),
    }
}

/// Where the last character of `piece` begins if it needs more bytes than are
/// there; else the piece's length.
///
/// ```text
/// 0xxxxxxx              1 byte      1110xxxx 10xxxxxx 10xxxxxx            3
/// 110xxxxx 10xxxxxx     2            11110xxx 10xxxxxx 10xxxxxx 10xxxxxx   4
/// ```
fn last_cut(piece: &[u8]) -> usize {
    let length = piece.len();
    for (behind, &byte) in piece.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0b1000_0000..=0b1011_1111 => continue, // a lead byte is further left
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000.. => 4,
            _ => 1,
        };
        let there = behind + 1;
        return if there < needed {
            length - there
        } else {
            length
        };
    }
    length
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not UTF-8 (§8.1)")
    }
}

impl core::error::Error for InvalidUtf8 {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many bytes can be pushed one at a time before the validator fails.
    fn accepted(bytes: &[u8]) -> usize {
        let mut validator = Utf8Validator::default();
        bytes
            .iter()
            .take_while(|byte| validator.push(&[**byte]).is_ok())
            .count()
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be_right() {
        assert_eq!(accepted(b"\xc0\x80"), 0); // overlong, seen at the lead byte
        assert_eq!(accepted(b"\xe0\x80\x80"), 1); // overlong, seen at the second
        assert_eq!(accepted(b"\xed\xa0\x80"), 1); // a surrogate
        assert_eq!(accepted(b"\xf4\x90\x80\x80"), 1); // above U+10FFFF
        assert_eq!(accepted(b"\xf5"), 0);
        assert_eq!(accepted(b"a\x80"), 1); // a continuation without a lead
        assert_eq!(accepted("山彦🗻".as_bytes()), 10);
    }

    #[test]
    fn text_may_be_cut_at_every_byte() {
        let text = "aé山🗻z";
        for cut in 0..=text.len() {
            let (left, right) = text.as_bytes().split_at(cut);
            let mut validator = Utf8Validator::default();
            let mut joined = String::new();
            for piece in [left, right] {
                let decoded = validator.decode(piece).expect("valid so far");
                joined.extend(decoded.carried);
                joined.push_str(decoded.text);
            }
            assert_eq!((joined.as_str(), validator.finish()), (text, Ok(())));
        }
    }

    proptest! {
        #[test]
        fn any_cutting_says_the_same_as_the_standard_library(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "\\PC{0,40}".prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(1..9_usize, 1..9),
        ) {
            let mut validator = Utf8Validator::default();
            let mut rest = &bytes[..];
            let mut valid = true;
            for cut in cuts.iter().cycle() {
                if rest.is_empty() || !valid { break; }
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                valid = validator.push(piece).is_ok();
                rest = behind;
            }
            valid = valid && validator.finish().is_ok();
            prop_assert_eq!(valid, core::str::from_utf8(&bytes).is_ok());
        }
    }
}
