//! How heads are shown in `Debug`, which is for logs: text as text, and no credentials.

use alloc::format;
use core::fmt;

/// A string literal, of bytes where they are not UTF-8.
pub(crate) struct TextOrBytes<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for TextOrBytes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(self.0) {
            Ok(text) => write!(formatter, "{text:?}"),
            Err(_) => write!(formatter, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

/// A field as a line, without the value of a credential.
pub(crate) struct FieldLine<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a [u8],
}

impl fmt::Debug for FieldLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldLine { name, value } = self;
        if has_credentials(name, value) {
            return write!(formatter, "{name}: [hidden]");
        }
        match core::str::from_utf8(value) {
            Ok(text) => write!(formatter, "{name}: {}", text.escape_debug()),
            Err(_) => write!(formatter, "{name}: {}", value.escape_ascii()),
        }
    }
}

/// Names and values that are text, as a list of lines.
pub(crate) struct FieldLines<'a, N, V>(pub(crate) &'a [(N, V)]);

impl<N: AsRef<str>, V: AsRef<str>> fmt::Debug for FieldLines<'_, N, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.iter().map(|(name, value)| FieldLine {
            name: name.as_ref(),
            value: value.as_ref().as_bytes(),
        });
        formatter.debug_list().entries(lines).finish()
    }
}

/// A request target, a request line or a URI, in which the value of `access_token` in the query is hidden (RFC 6750 §2.3).
pub(crate) struct WithoutToken<'a>(pub(crate) &'a str);

impl fmt::Display for WithoutToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((before, query)) = self.0.split_once('?') else {
            return formatter.write_str(self.0);
        };
        formatter.write_str(before)?;
        let mut separator = '?';
        for pair in query.split('&') {
            write!(formatter, "{separator}")?;
            separator = '&';
            match pair.split_once('=').filter(|(name, _)| is_token(name)) {
                None => formatter.write_str(pair)?,
                Some((name, value)) => {
                    // What follows the target in a request line.
                    let behind = value.find(' ').map_or("", |at| &value[at..]);
                    write!(formatter, "{name}=[hidden]{behind}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for WithoutToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"")?;
        for character in format!("{self}").chars() {
            write!(formatter, "{}", character.escape_debug())?;
        }
        write!(formatter, "\"")
    }
}

/// Whether this is the name of the pair, however it is encoded.
fn is_token(name: &str) -> bool {
    let mut pairs = form_urlencoded::parse(name.as_bytes());
    pairs.next().is_some_and(|(name, _)| name == "access_token")
}

/// Whether the values of this field authenticate somebody (RFC 9110 §11, RFC 6265).
/// Sec-WebSocket-Key does not: it is no secret. A subprotocol can be a token, since a page
/// can set no other field.
fn has_credentials(name: &str, value: &[u8]) -> bool {
    let is_known = CREDENTIALS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known));
    let is_subprotocol = name.eq_ignore_ascii_case("Sec-WebSocket-Protocol");
    is_known || is_subprotocol && value.windows(TOKEN.len()).any(|bytes| bytes == TOKEN)
}

/// The beginning of a subprotocol that is a token (`tokens/credential.rs`).
const TOKEN: &[u8] = b"yamabiko.token.";

const CREDENTIALS: [&str; 4] = [
    "Authorization",
    "Cookie",
    "Proxy-Authorization",
    "Set-Cookie",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text_and_other_bytes_are_escaped() {
        assert_eq!(format!("{:?}", TextOrBytes("山\n".as_bytes())), r#""山\n""#);
        assert_eq!(format!("{:?}", TextOrBytes(b"a\xff")), r#"b"a\xff""#);
    }

    #[test]
    fn values_of_credentials_are_hidden_whatever_the_case_of_the_name() {
        let fields = [
            ("Accept", "*/*"),
            ("authorization", "Bearer 51d2"),
            ("COOKIE", "session=51d2"),
            ("Proxy-Authorization", "Basic 51d2"),
            ("set-cookie", "session=51d2"),
            ("Sec-WebSocket-Protocol", "chat, yamabiko.token.51d2"),
            ("Sec-WebSocket-Protocol", "chat, yamabiko.token"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let shown = format!("{:?}", FieldLines(&fields));
        assert!(!shown.contains("51d2"), "{shown}");
        assert!(shown.contains("COOKIE: [hidden]"), "{shown}");
        for shown_value in [
            "Accept: */*",
            "Protocol: chat, yamabiko.token",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert!(shown.contains(shown_value), "{shown}");
        }
    }

    #[test]
    fn token_in_a_query_is_hidden_however_its_name_is_encoded() {
        for (text, shown) in [
            (
                "/a?b=c&access_token=51d2&d",
                "/a?b=c&access_token=[hidden]&d",
            ),
            ("/?access%5ftoken=51d2", "/?access%5ftoken=[hidden]"),
            (
                "/?access_token=51d2?51d2&access_token=51d2",
                "/?access_token=[hidden]&access_token=[hidden]",
            ),
            (
                "GET /?access_token=51d2 HTTP/1.1",
                "GET /?access_token=[hidden] HTTP/1.1",
            ),
            ("/?access_token", "/?access_token"),
            ("/access_token=a", "/access_token=a"),
            ("/?my_access_token=a", "/?my_access_token=a"),
            ("/", "/"),
        ] {
            assert_eq!(WithoutToken(text).to_string(), shown);
        }
        assert_eq!(format!("{:?}", WithoutToken("/\"\n")), r#""/\"\n""#);
    }
}
