//! UTF-8 as a sloppy peer checks it.

use super::Peer;

/// What a text is, as far as it has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Text {
    Whole,
    /// It ends inside a character.
    Begun,
    Invalid,
}

/// Checks a text.
pub fn check(text: &[u8], peer: &Peer) -> Text {
    if peer.is("does not check UTF-8") {
        return Text::Whole;
    }
    if peer.is("refuses noncharacters")
        && has(text, |character| {
            character & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&character)
        })
    {
        return Text::Invalid;
    }
    if peer.is("refuses characters of four bytes") && has(text, |character| character > 0xFFFF) {
        return Text::Invalid;
    }
    match std::str::from_utf8(text) {
        Ok(_) => Text::Whole,
        Err(error) => match lenient_length(&text[error.valid_up_to()..], peer) {
            Some(length) => check(&text[error.valid_up_to() + length..], peer),
            None if error.error_len().is_none() => Text::Begun,
            None => Text::Invalid,
        },
    }
}

fn has(text: &[u8], is_meant: fn(u32) -> bool) -> bool {
    let text = String::from_utf8_lossy(text);
    text.chars()
        .any(|character| character != '\u{FFFD}' && is_meant(u32::from(character)))
}

/// The length of an invalid character at the front that the peer accepts.
fn lenient_length(text: &[u8], peer: &Peer) -> Option<usize> {
    let first = text[0];
    if peer.is("skips unexpected continuation bytes") && first & 0xC0 == 0x80 {
        return Some(1);
    }
    if peer.is("accepts the bytes FE and FF") && first >= 0xFE {
        return Some(1);
    }
    let length = match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        0xF8..=0xFB => 5,
        0xFC..=0xFD => 6,
        _ => return None,
    };
    let following = text[1..]
        .iter()
        .take(length - 1)
        .take_while(|byte| *byte & 0xC0 == 0x80)
        .count();
    if following < length - 1 {
        let is_missing = text.len() > following + 1;
        let accepts = is_missing && peer.is("accepts missing continuation bytes");
        return accepts.then_some(following + 1);
    }
    let lead = u32::from(first) & (0x7F >> length);
    let character = text[1..length].iter().fold(lead, |character, byte| {
        character << 6 | u32::from(byte & 0x3F)
    });
    let shortest = [0, 0, 0x80, 0x800, 0x1_0000, 0x20_0000, 0x400_0000][length];
    let is_overlong = character < shortest;
    let accepts = match character {
        0 => peer.is("accepts an overlong NUL"),
        _ if is_overlong => peer.is("accepts overlong characters"),
        0xD800..=0xDFFF => peer.is("accepts surrogates"),
        _ if length > 4 => peer.is("accepts characters of five and six bytes"),
        0x11_0000.. => peer.is("accepts characters beyond U+10FFFF"),
        _ => false,
    };
    accepts.then_some(length)
}
