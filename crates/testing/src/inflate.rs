//! Inflates compressed messages beside the library's own code, with the inflater of the
//! conformance suite. It reports the longest distance of a match, which the library does not.

use super::suite_deflate::Inflater;

/// The content of a compressed message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inflated {
    pub bytes: Vec<u8>,
    /// The longest distance of a match, or 0 if there is no match.
    pub distance_max: usize,
}

/// Inflates the payload of a compressed message (RFC 7692 §7.2.2) after the content of earlier
/// messages, to which its matches may refer. Panics if the payload is invalid.
pub fn inflate_message(earlier: &[u8], payload: &[u8]) -> Inflated {
    let message = Inflater::after(earlier).message(payload, usize::MAX);
    let message = message.unwrap_or_else(|error| panic!("{error:?}"));
    Inflated {
        bytes: message.bytes,
        distance_max: message.distance_max,
    }
}
