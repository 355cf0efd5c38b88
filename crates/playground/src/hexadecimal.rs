//! Bytes as hexadecimal text, two digits each.

use std::fmt::Write;

/// `81 05 48`.
pub(crate) fn written(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        // Writing to a String does not fail.
        let _ = write!(text, "{space}{byte:02x}");
    }
    text
}

/// The bytes of a text with two digits each. White space between bytes is skipped.
///
/// # Errors
/// The part that is no byte, in a sentence.
pub(crate) fn read(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for word in text.split_ascii_whitespace() {
        if !word.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(format!("“{}” is not hexadecimal", beginning(word)));
        }
        if word.len() % 2 != 0 {
            let word = beginning(word);
            return Err(format!(
                "“{word}” ends with half a byte: each byte has two digits"
            ));
        }
        let digits = word.as_bytes().chunks_exact(2);
        bytes.extend(digits.map(|pair| value(pair[0]) << 4 | value(pair[1])));
    }
    Ok(bytes)
}

fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn beginning(word: &str) -> String {
    word.chars().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_any_grouping_and_case() {
        for text in ["81 05 fA", "8105fa", " 81\n05FA\t"] {
            assert_eq!(read(text), Ok(vec![0x81, 0x05, 0xfa]), "{text:?}");
        }
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(written(&[0x81, 0x05, 0xfa]), "81 05 fa");
    }

    #[test]
    fn other_text_is_refused_with_the_part_that_is_wrong() {
        assert_eq!(read("81 0g"), Err("“0g” is not hexadecimal".to_owned()));
        assert_eq!(read("é"), Err("“é” is not hexadecimal".to_owned()));
        let half = "“815” ends with half a byte: each byte has two digits".to_owned();
        assert_eq!(read("815"), Err(half));
    }

    #[test]
    fn every_byte_is_read_as_it_was_written() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(read(&written(&all)), Ok(all));
    }
}
