//! Entity tags: names of versions of a resource (RFC 9110 §8.8.3).
//!
//! ```text
//!   ETag: "a1b2"              strong: the same bytes
//!   ETag: W/"a1b2"            weak: the same meaning
//!   If-None-Match: "x", W/"y"     If-Match: *
//! ```

/// An entity tag. A strong one names the exact bytes of a response; a weak one names its content,
/// which may be written in other bytes.
///
/// ```
/// use yamabiko::http::EntityTag;
///
/// let tag = EntityTag::parse(b"W/\"a1\"").unwrap();
/// assert!(tag.is_weak() && tag.matches_weakly(&EntityTag::parse(b"\"a1\"").unwrap()));
/// assert!(!tag.matches_strongly(&tag));
/// assert_eq!(EntityTag::parse(b"a1"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    is_weak: bool,
    /// Without the quotation marks.
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// `[ "W/" ] DQUOTE *etagc DQUOTE`, and nothing else.
    pub fn parse(text: &'a [u8]) -> Option<EntityTag<'a>> {
        match EntityTag::split(text)? {
            (tag, []) => Some(tag),
            _ => None,
        }
    }

    /// The tag at the front, and the rest.
    fn split(text: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        let (is_weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&byte| !is_tag_byte(byte))?;
        let (opaque, rest) = inner.split_at(end);
        let tag = EntityTag { is_weak, opaque };
        Some((tag, rest.strip_prefix(b"\"")?))
    }

    /// Whether it begins with `W/`.
    pub fn is_weak(&self) -> bool {
        self.is_weak
    }

    /// The same bytes: both are strong.
    pub fn matches_strongly(&self, other: &EntityTag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    /// The same meaning.
    pub fn matches_weakly(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// The tags of a list, up to the first place where it is malformed.
pub(super) fn tags_of(list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = list;
    core::iter::from_fn(move || {
        while let [b',' | b' ' | b'\t', behind @ ..] = rest {
            rest = behind;
        }
        let (tag, behind) = EntityTag::split(rest)?;
        rest = behind;
        Some(tag)
    })
}

/// `etagc = %x21 / %x23-7E / obs-text`
fn is_tag_byte(byte: u8) -> bool {
    byte == 0x21 || (0x23..=0x7E).contains(&byte) || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn tag(text: &str) -> EntityTag<'_> {
        EntityTag::parse(text.as_bytes()).expect("an entity tag")
    }

    // The table of RFC 9110 §8.8.3.2.
    #[test]
    fn comparison_is_strong_or_weak() {
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            assert_eq!(tag(one).matches_strongly(&tag(other)), strong);
            assert_eq!(tag(one).matches_weakly(&tag(other)), weak);
        }
    }

    #[test]
    fn tag_is_quoted_and_has_no_space() {
        for good in ["\"\"", "\"a,b\"", "\"\u{e9}\"", "W/\"!\""] {
            tag(good);
        }
        for bad in [
            "", "a", "\"a", "a\"", "w/\"a\"", "W/a", "\"a b\"", "\"a\" ", "\"a\"b",
        ] {
            assert_eq!(EntityTag::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn list_may_hold_commas_in_tags_and_empty_elements() {
        let tags: Vec<_> = tags_of(b", \"a,b\",W/\"c\" ,, \"d\"").collect();
        assert_eq!(tags, [tag("\"a,b\""), tag("W/\"c\""), tag("\"d\"")]);
        assert_eq!(tags_of(b"\"a\", b, \"c\"").count(), 1);
    }
}
