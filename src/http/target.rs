//! The request target in its four forms (RFC 9112 §3.2).
//!
//! ```text
//!   /chat?room=1                        origin-form, sent by nearly all clients
//!   http://example.com/chat?room=1      absolute-form, to and through proxies
//!   example.com:443                     authority-form, CONNECT only
//!   *                                   asterisk-form, OPTIONS only
//! ```

use super::authority::Authority;
use super::token::split_at_byte;

/// A target in parts. A form that names no path has an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) authority: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// `None`: no target that this method may have.
    pub(super) fn parse(method: &str, text: &'a str) -> Option<Self> {
        if !text.bytes().all(is_target_byte) {
            return None;
        }
        match method {
            "CONNECT" => Target::authority_form(text),
            "OPTIONS" if text == "*" => Some(Target::resource(None, "")),
            _ if text.starts_with('/') => Some(Target::resource(None, text)),
            _ => Target::absolute_form(text),
        }
    }

    fn absolute_form(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !SCHEMES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
        {
            return None;
        }
        let path_start = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at(path_start);
        Authority::parse(authority).ok()?;
        let mut target = Target::resource(Some(authority), resource);
        if target.path.is_empty() {
            target.path = "/";
        }
        Some(target)
    }

    fn authority_form(text: &'a str) -> Option<Self> {
        let authority = Authority::parse(text).ok()?;
        authority.port?;
        Some(Target::resource(Some(text), ""))
    }

    fn resource(authority: Option<&'a str>, text: &'a str) -> Self {
        let (path, query) = match split_at_byte(text, b'?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        Target {
            authority,
            path,
            query,
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//# (or an absolute HTTP/HTTPS URI containing the /resource name/).
const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

/// What a URL may have on the wire. RFC 3986 leaves out ``\ ^ ` { | }`` too,
/// but browsers send them as they are in a query, so they pass; they do no
/// harm here, where nothing is decoded and nothing is sent back. `#` would
/// begin a fragment, which is never sent.
fn is_target_byte(byte: u8) -> bool {
    TARGET_BYTES[usize::from(byte)]
}

const TARGET_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 0x7F {
        let excluded = matches!(byte, b'#' | b'"' | b'<' | b'>');
        table[byte as usize] = byte.is_ascii_graphic() && !excluded;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_has_four_forms() {
        let table = [
            ("GET", "/", None, "/", None),
            ("GET", "/a/b?c?d", None, "/a/b", Some("c?d")),
            ("GET", "/?", None, "/", Some("")),
            ("GET", "//x", None, "//x", None),
            ("GET", "http://h", Some("h"), "/", None),
            ("GET", "HTTPS://h:1?q", Some("h:1"), "/", Some("q")),
            ("GET", "ws://[::1]:8/p?q", Some("[::1]:8"), "/p", Some("q")),
            ("POST", "wss://h/p", Some("h"), "/p", None),
            ("OPTIONS", "*", None, "", None),
            ("CONNECT", "h:443", Some("h:443"), "", None),
        ];
        for (method, text, authority, path, query) in table {
            let expected = Target {
                authority,
                path,
                query,
            };
            assert_eq!(
                Target::parse(method, text),
                Some(expected),
                "{method} {text}"
            );
        }
    }

    #[test]
    fn target_of_another_form_is_refused() {
        let table = [
            ("GET", ""),
            ("GET", "*"),
            ("GET", "chat"),
            ("GET", "h:443"),
            ("GET", "?q"),
            ("GET", "/a#b"),
            ("GET", "/a\"b"),
            ("GET", "/a<b"),
            ("GET", "/a\tb"),
            ("GET", "/caf\u{e9}"),
            ("GET", "ftp://h/"),
            ("GET", "http:///p"),
            ("GET", "http://u@h/"),
            ("GET", "http://h:x/"),
            ("GET", "http:h"),
            ("CONNECT", "/"),
            ("CONNECT", "h"),
            ("CONNECT", "h:"),
        ];
        for (method, text) in table {
            assert_eq!(Target::parse(method, text), None, "{method} {text}");
        }
    }
}
