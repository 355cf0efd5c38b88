//! The value of Content-Length (RFC 9110 §8.6).
//!
//! Two readers that find two lengths in one request read two different requests
//! (request smuggling, RFC 9112 §11.2). So a length is decimal digits and nothing else: no
//! sign, no white space inside, no empty element of a list. Equal lengths are one.

/// The meaning of all Content-Length fields of a message together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ContentLength {
    #[default]
    Absent,
    Bytes(u64),
    /// More than a `u64` can hold.
    TooLarge,
    /// A value is no number.
    Invalid,
    /// Two values differ.
    Conflicting,
}

impl ContentLength {
    /// A further field. A list counts as several fields.
    pub(super) fn add(&mut self, value: &[u8]) {
        for element in value.split(|&byte| byte == b',') {
            *self = self.and(ContentLength::parse(element.trim_ascii()));
        }
    }

    fn and(self, other: ContentLength) -> ContentLength {
        match (self, other) {
            (ContentLength::Absent, other) => other,
            (ContentLength::Invalid, _) | (_, ContentLength::Invalid) => ContentLength::Invalid,
            (one, other) if one == other => one,
            _ => ContentLength::Conflicting,
        }
    }

    fn parse(digits: &[u8]) -> ContentLength {
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return ContentLength::Invalid;
        }
        let add_digit = |length: u64, digit: &u8| {
            length
                .checked_mul(10)?
                .checked_add(u64::from(*digit - b'0'))
        };
        match digits.iter().try_fold(0, add_digit) {
            Some(length) => ContentLength::Bytes(length),
            None => ContentLength::TooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_decimal_digits_and_equal_lengths_are_one() {
        let table: [(&[&str], ContentLength); 20] = [
            (&[], ContentLength::Absent),
            (&["0"], ContentLength::Bytes(0)),
            (&["42"], ContentLength::Bytes(42)),
            (&["007"], ContentLength::Bytes(7)),
            (&["42", "42"], ContentLength::Bytes(42)),
            (&["42, 42"], ContentLength::Bytes(42)),
            (&["18446744073709551615"], ContentLength::Bytes(u64::MAX)),
            (&["18446744073709551616"], ContentLength::TooLarge),
            (&["42", "43"], ContentLength::Conflicting),
            (&["42, 43"], ContentLength::Conflicting),
            (&["42", "43", "42"], ContentLength::Conflicting),
            (&[""], ContentLength::Invalid),
            (&["-1"], ContentLength::Invalid),
            (&["+1"], ContentLength::Invalid),
            (&["1 2"], ContentLength::Invalid),
            (&["0x10"], ContentLength::Invalid),
            (&["1.0"], ContentLength::Invalid),
            (&["1,"], ContentLength::Invalid),
            (&["1;q=1"], ContentLength::Invalid),
            (&["\u{664}"], ContentLength::Invalid),
        ];
        for (values, expected) in table {
            let mut length = ContentLength::default();
            values.iter().for_each(|value| length.add(value.as_bytes()));
            assert_eq!(length, expected, "{values:?}");
        }
    }
}
