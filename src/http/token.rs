//! The smallest elements of HTTP: tokens, and the characters of field values.
//!
//! RFC 6455 leans on the `token` of RFC 2616 §2.2, any visible ASCII
//! character that is no separator; RFC 9110 §5.6.2 writes the same set as
//! `tchar`. Method names, field names, subprotocols, extensions and their
//! parameters are all made of it.

/// One or more token characters and nothing else.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// A letter, a digit or one of ``!#$%&'*+-.^_`|~``.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

/// What may be sent as a field value: visible characters, bytes above ASCII,
/// and white space between them (RFC 9110 §5.5). CR, LF and NUL cannot pass,
/// so that a value never becomes a second field.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    bytes.trim_ascii().len() == bytes.len() && !bytes.iter().copied().any(is_control)
}

/// The bytes that no line of a head may contain: the control characters
/// without the tab. CR and LF are among them; they only end lines.
pub(crate) fn is_control(byte: u8) -> bool {
    (byte < 0x20) & (byte != b'\t') | (byte == 0x7F)
}

/// Splits a comma-separated list and leaves out its empty elements, as a
/// recipient must (RFC 9110 §5.6.1.2). Only for lists without quoted strings.
pub(crate) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        // In a line that was read, only SP and HTAB are left of ASCII's white space.
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Is this a name, an option or a list, whatever the case of its letters? `lower_case` has letters,
/// digits, hyphens, commas and spaces; `bytes` no control characters. Its length is known to the
/// compiler, so that eight bytes are compared at a time: with 0x20 a letter is in lower case, the
/// others stay the same, and no other byte becomes one of them but a control character.
#[inline]
pub(crate) fn is_same<const BYTES: usize>(bytes: &[u8], lower_case: &[u8; BYTES]) -> bool {
    let Some((own, [])) = bytes.split_first_chunk::<BYTES>() else {
        return false;
    };
    let (own_words, own_rest) = own.as_chunks::<8>();
    let (words, rest) = lower_case.as_chunks::<8>();
    let (own_halves, own_bytes) = own_rest.as_chunks::<4>();
    let (halves, bytes) = rest.as_chunks::<4>();
    let lower = |word: &[u8; 8]| u64::from_ne_bytes(*word) | 0x2020_2020_2020_2020;
    let lower_half = |half: &[u8; 4]| u32::from_ne_bytes(*half) | 0x2020_2020;
    let mut words = own_words.iter().zip(words);
    let mut halves = own_halves.iter().zip(halves);
    let mut bytes = own_bytes.iter().zip(bytes);
    words.all(|(own, word)| lower(own) == u64::from_ne_bytes(*word))
        && halves.all(|(own, half)| lower_half(own) == u32::from_ne_bytes(*half))
        && bytes.all(|(own, byte)| own | 0x20 == *byte)
}

/// `split_once` for a byte of ASCII, faster for the short texts of a head.
pub(crate) fn split_at_byte(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// `iter().position()`, faster: looks at blocks without a branch for each byte,
/// which the compiler turns into vector comparisons. That takes a quarter off
/// the time to read a browser's head.
pub(crate) fn find(bytes: &[u8], matches: impl Fn(u8) -> bool) -> Option<usize> {
    let mut start = 0;
    for block in bytes.chunks(16) {
        if block.iter().fold(false, |any, &byte| any | matches(byte)) {
            let offset = block.iter().position(|&byte| matches(byte))?;
            return Some(start + offset);
        }
        start += block.len();
    }
    None
}

/// One load for each byte instead of a chain of comparisons.
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0x21;
    while byte < 0x7F {
        table[byte as usize] = !matches!(
            byte,
            b'(' | b')'
                | b'<'
                | b'>'
                | b'@'
                | b','
                | b';'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'='
                | b'{'
                | b'}'
        );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_bytes_are_letters_digits_and_fifteen_marks() {
        let marks = b"!#$%&'*+-.^_`|~";
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || marks.contains(&byte);
            assert_eq!(is_token_byte(byte), expected, "{byte:#04x}");
        }
    }

    #[test]
    fn token_is_never_empty() {
        assert!(!is_token(b""));
        assert!(is_token(b"a"));
    }

    #[test]
    fn field_value_holds_no_control_character_and_no_outer_white_space() {
        for good in ["", "a", "a b\tc", "caf\u{e9}"] {
            assert!(is_field_value(good.as_bytes()), "{good:?}");
        }
        for bad in [" a", "a\t", "a\rb", "a\nb", "a\0b", "\x7f"] {
            assert!(!is_field_value(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn find_agrees_with_position() {
        let length_max = if cfg!(miri) { 18 } else { 70 };
        for length in 0..length_max {
            let mut bytes = vec![b'a'; length];
            assert_eq!(find(&bytes, is_control), None);
            for at in (0..length).rev() {
                bytes[at] = b'\r';
                let position = bytes.iter().position(|&byte| is_control(byte));
                assert_eq!(find(&bytes, is_control), position, "{at} of {length}");
            }
        }
    }

    /// One byte of a name is replaced by each byte that is no control character.
    #[test]
    fn same_name_is_one_in_any_case() {
        fn check<const BYTES: usize>(name: &[u8; BYTES]) {
            let texts = (0..BYTES).flat_map(|at| {
                let bytes = (0..=u8::MAX).filter(|&byte| !is_control(byte));
                bytes.map(move |byte| (at, byte))
            });
            for (at, byte) in texts {
                let mut text = *name;
                text[at] = byte;
                assert_eq!(is_same(&text, name), text.eq_ignore_ascii_case(name));
            }
            assert!(!is_same(&name[1..], name));
            assert!(!is_same(&[&name[..], b"a"].concat(), name));
        }
        check(b"a");
        check(b"100-continue");
        check(b"sec-websocket-version");
    }

    #[test]
    fn list_leaves_out_empty_elements() {
        let elements: Vec<&[u8]> = list_elements(b", a ,, b\t,").collect();
        assert_eq!(elements, [b"a", b"b"]);
    }
}
