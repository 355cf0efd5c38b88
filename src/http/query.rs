//! The path and the query of a request, with their percent-encoding decoded (RFC 3986 §2.1,
//! §3.3, §3.4).
//!
//! ```text
//!   /room/caf%C3%A9?name=Kai+M.&tag=a&tag=%26
//!    └┬─┘ └───┬───┘ └───┬─────┘ └─┬─┘ └─┬───┘
//!    room    café   name, "Kai M."│   tag, "&"
//!                              tag, "a"
//! ```
//!
//! Decoded text is never longer than the target, which [`HeadLimits`](super::HeadLimits)
//! bounds. Text without a percent sign or a plus is borrowed. Bytes that are not UTF-8 are
//! replaced by U+FFFD, as browsers do.

use alloc::borrow::Cow;
use form_urlencoded::parse;
use percent_encoding::percent_decode_str;

/// The segments of a path, between its slashes; without the one in front of the first. None
/// of an empty path.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let segments = path.strip_prefix('/').map(|path| path.split('/'));
    let decode = |segment| percent_decode_str(segment).decode_utf8_lossy();
    segments.into_iter().flatten().map(decode)
}

/// The names and values of a query, in the order in which they stand there.
pub(super) fn pairs(query: Option<&str>) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    parse(query.unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn segments_are_decoded_after_the_path_is_split() {
        let table: [(&str, &[&str]); 8] = [
            ("", &[]),
            ("/", &[""]),
            ("/a", &["a"]),
            ("/a/", &["a", ""]),
            ("//a", &["", "a"]),
            ("/room/caf%C3%A9", &["room", "café"]),
            ("/a%2Fb/%2e%2e/+", &["a/b", "..", "+"]),
            ("/%FF/%/%4", &["\u{fffd}", "%", "%4"]),
        ];
        for (path, expected) in table {
            assert_eq!(segments(path).collect::<Vec<_>>(), expected, "{path}");
        }
    }

    #[test]
    fn pairs_are_decoded_after_the_query_is_split() {
        type Case<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)]);
        let table: [Case<'_>; 7] = [
            (None, &[]),
            (Some(""), &[]),
            (Some("a"), &[("a", "")]),
            (
                Some("a=1&b=&=c&&a=2"),
                &[("a", "1"), ("b", ""), ("", "c"), ("a", "2")],
            ),
            (
                Some("name=Kai+M.&q=%26%3D%2B"),
                &[("name", "Kai M."), ("q", "&=+")],
            ),
            (Some("a=b=c;d"), &[("a", "b=c;d")]),
            (Some("%E5%B1%B1=%C0%80"), &[("山", "\u{fffd}\u{fffd}")]),
        ];
        for (query, expected) in table {
            let pairs: Vec<_> = pairs(query).collect();
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            assert_eq!(pairs, expected, "{query:?}");
        }
    }

    proptest! {
        #[test]
        fn decoded_text_is_what_was_encoded(
            texts in prop::collection::vec("\\PC{0,12}", 1..6),
        ) {
            let encode = crate::websocket::handshake::percent_encode;
            let encoded: Vec<String> = texts.iter().map(|text| encode(text)).collect();
            let path = format!("/{}", encoded.join("/"));
            prop_assert_eq!(segments(&path).collect::<Vec<_>>(), texts.clone());
            let query = encoded.iter().map(|text| format!("n{text}={text}"));
            let query = query.collect::<Vec<_>>().join("&");
            let expected: Vec<_> = texts.iter().map(|text| (format!("n{text}"), text)).collect();
            let found: Vec<_> = pairs(Some(&query)).collect();
            let found: Vec<_> = found.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name, value.clone())).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn decoded_text_is_never_longer_than_the_target(target in "[%+&=/A-Fa-f0-9]{0,60}") {
            let path = format!("/{target}");
            let decoded: usize = segments(&path).map(|segment| segment.len()).sum();
            prop_assert!(decoded <= path.len());
            let decoded = pairs(Some(&target)).map(|(name, value)| name.len() + value.len());
            prop_assert!(decoded.sum::<usize>() <= target.len());
        }
    }
}
