//! The value of Expect (RFC 9110 §10.1.1): the client waits with the body until the server
//! has seen the head.

use super::token::list_elements;

/// The meaning of all Expect fields of a request together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expectation {
    #[default]
    None,
    /// The client waits for `100 Continue`.
    Continue,
    /// Something else, which gets a 417.
    Unknown,
}

impl Expectation {
    /// A further field.
    pub(super) fn add(&mut self, value: &[u8]) {
        for element in list_elements(value) {
            let is_continue = element.eq_ignore_ascii_case(b"100-continue");
            *self = match (*self, is_continue) {
                (Expectation::Unknown, _) | (_, false) => Expectation::Unknown,
                (_, true) => Expectation::Continue,
            };
        }
    }
}

/// The response that lets the client send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_100_continue_is_known() {
        let table: [(&[&str], Expectation); 5] = [
            (&[], Expectation::None),
            (&["100-Continue"], Expectation::Continue),
            (&["100-continue", "100-continue"], Expectation::Continue),
            (&["200-ok"], Expectation::Unknown),
            (&["200-ok, 100-continue"], Expectation::Unknown),
        ];
        for (values, expected) in table {
            let mut expectation = Expectation::default();
            values
                .iter()
                .for_each(|value| expectation.add(value.as_bytes()));
            assert_eq!(expectation, expected, "{values:?}");
        }
    }
}
