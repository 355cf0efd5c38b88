//! Sec-WebSocket-Extensions (RFC 6455 §9.1, §11.3.2).
//!
//! ```text
//!   permessage-deflate; client_max_window_bits; server_max_window_bits="10", x-other
//!   └── extension ───────────────────────────────────────────────────────┘  └─────┘
//!       name            parameter                parameter      value
//! ```
//!
//! The grammar is RFC 2616's, so white space may be around every separator,
//! the equals sign included, and a quoted value must be a token once its
//! backslashes are taken out. What an extension's parameters mean is for the
//! extension to judge.

use crate::http::Fields;
use crate::http::token::is_token_byte;
use alloc::borrow::Cow;

/// The name of the field, in requests and responses.
pub(super) const FIELD: &str = "Sec-WebSocket-Extensions";

/// One extension with its parameters, as the peer wrote it; well-formed.
///
/// ```
/// use yamabiko::websocket::handshake::{HeadLimits, RequestReader, Upgrade};
///
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10\r\n\r\n";
/// let (head, _) = RequestReader::new(HeadLimits::default()).read(bytes)?.unwrap();
/// let upgrade = Upgrade::check(&head)?;
///
/// let offer = upgrade.extensions().next().unwrap();
/// assert_eq!(offer.name(), "permessage-deflate");
/// let (name, value) = offer.parameters().next().unwrap();
/// assert_eq!((name, value.as_deref()), ("client_max_window_bits", Some("10")));
/// # Ok::<(), yamabiko::websocket::handshake::Refusal>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    name: &'a str,
    /// From the first semicolon on; checked.
    parameters: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The extension's name, a token.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Names and values in the order in which they were sent; a name can stand
    /// there twice. Allocates only for a value that was quoted with
    /// backslashes.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a str, Option<Cow<'a, str>>)> + use<'a> {
        let mut cursor = Cursor {
            rest: self.parameters,
        };
        core::iter::from_fn(move || {
            cursor.eat(b';').then_some(())?;
            cursor.parameter().ok()
        })
    }
}

/// All extensions in fields of this name, the most wanted first. Reading stops
/// at the first one that is malformed; checked fields have none.
pub(super) fn listed(fields: Fields<'_>) -> impl Iterator<Item = Extension<'_>> {
    fields.get_all(FIELD).flat_map(|value| {
        let mut cursor = Cursor { rest: value };
        core::iter::from_fn(move || cursor.next_extension().ok().flatten())
    })
}

/// Checks the grammar of fields that are there. A list without extensions is one: a
/// recipient takes empty elements, and so a list of nothing else (RFC 9110
/// §5.6.1.2).
pub(super) fn check(fields: Fields<'_>) -> Result<(), MalformedExtensions> {
    for value in fields.get_all(FIELD) {
        let mut cursor = Cursor { rest: value };
        while cursor.next_extension()?.is_some() {}
    }
    Ok(())
}

/// The field breaks the grammar of §9.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedExtensions;

/// What is left to read of one field's value.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// `extension = token *( ";" parameter )`, up to the next comma or the end.
    fn next_extension(&mut self) -> Result<Option<Extension<'a>>, MalformedExtensions> {
        while self.eat(b',') {}
        if self.rest.is_empty() {
            return Ok(None);
        }
        let name = self.token()?;
        let from_parameters = self.rest;
        while self.eat(b';') {
            self.parameter()?;
        }
        let parameters_bytes = from_parameters.len() - self.rest.len();
        match self.rest.first() {
            None | Some(b',') => Ok(Some(Extension {
                name,
                parameters: &from_parameters[..parameters_bytes],
            })),
            Some(_) => Err(MalformedExtensions),
        }
    }

    /// `parameter = token [ "=" ( token / quoted-string ) ]`
    fn parameter(&mut self) -> Result<(&'a str, Option<Cow<'a, str>>), MalformedExtensions> {
        self.skip_white_space();
        let name = self.token()?;
        if !self.eat(b'=') {
            return Ok((name, None));
        }
        let value = if self.eat(b'"') {
            self.quoted()?
        } else {
            self.skip_white_space();
            Cow::Borrowed(self.token()?)
        };
        Ok((name, Some(value)))
    }

    fn token(&mut self) -> Result<&'a str, MalformedExtensions> {
        let end = self.rest.iter().position(|&byte| !is_token_byte(byte));
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if token.is_empty() {
            return Err(MalformedExtensions);
        }
        self.rest = rest;
        core::str::from_utf8(token).map_err(|_| MalformedExtensions)
    }

    /// Reads behind the opening quotation mark, up to and with the closing one.
    fn quoted(&mut self) -> Result<Cow<'a, str>, MalformedExtensions> {
        let mut value = Cow::Borrowed("");
        loop {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
            //# When using the quoted-string syntax variant, the value ;after
            //# quoted-string unescaping MUST conform to the ;'token' ABNF.
            match *self.rest {
                [b'"', ref rest @ ..] if !value.is_empty() => {
                    self.rest = rest;
                    return Ok(value);
                }
                [b'\\', byte, ref rest @ ..] if is_token_byte(byte) => {
                    value.to_mut().push(char::from(byte));
                    self.rest = rest;
                }
                [byte, ..] if is_token_byte(byte) => value += self.token()?,
                _ => return Err(MalformedExtensions),
            }
        }
    }

    /// Takes this separator and nothing else, with white space before it.
    fn eat(&mut self, separator: u8) -> bool {
        self.skip_white_space();
        match self.rest.split_first() {
            Some((&first, rest)) if first == separator => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn skip_white_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

// Also obeyed by `quoted`:
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.3
//# When using the quoted-string syntax variant, the value ; after
//# quoted-string unescaping MUST conform to the ; 'token' ABNF.

#[cfg(test)]
mod tests {
    use super::*;

    /// As `name[parameter=value|parameter]` for each extension.
    fn read(lines: &str) -> Result<Vec<String>, MalformedExtensions> {
        let fields = Fields::of_checked_lines(lines.as_bytes());
        check(fields)?;
        Ok(listed(fields).map(|extension| show(&extension)).collect())
    }

    fn show(extension: &Extension<'_>) -> String {
        let parameters: Vec<String> = extension
            .parameters()
            .map(|(name, value)| match value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            })
            .collect();
        format!("{}[{}]", extension.name(), parameters.join("|"))
    }

    #[test]
    fn extensions_are_a_list_of_names_with_parameters() {
        let table: [(&str, &[&str]); 11] = [
            ("", &[]),
            (", \t,", &[]),
            ("a", &["a[]"]),
            (",a,, b ,", &["a[]", "b[]"]),
            ("a;b", &["a[b]"]),
            ("a; b; c=1, d;e=\"2\"", &["a[b|c=1]", "d[e=2]"]),
            ("a \t;\tb\t =  1 ; c = \"2\" , d", &["a[b=1|c=2]", "d[]"]),
            (r#"a; b="\1\0x""#, &["a[b=10x]"]),
            (r#"a; b="x\1""#, &["a[b=x1]"]),
            ("a; b=1; b=1", &["a[b=1|b=1]"]),
            ("a;b=1,a;b=2,a", &["a[b=1]", "a[b=2]", "a[]"]),
        ];
        for (value, expected) in table {
            let read = read(&format!("Sec-WebSocket-Extensions: {value}\r\n"));
            assert_eq!(read.expect(value), expected, "{value}");
        }
    }

    #[test]
    fn extensions_may_stand_in_several_fields() {
        let lines = "Sec-WebSocket-Extensions: a;b=1\r\nX: y\r\n\
                     sec-websocket-extensions:\r\nSEC-WEBSOCKET-EXTENSIONS: c, d\r\n";
        assert_eq!(
            read(lines),
            Ok(vec!["a[b=1]".into(), "c[]".into(), "d[]".into()])
        );
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
    //= type=test
    //# When using the quoted-string syntax variant, the value ;after
    //# quoted-string unescaping MUST conform to the ;'token' ABNF.
    #[test]
    fn extensions_against_the_grammar_are_malformed() {
        let table = [
            ";",
            ";a",
            "a;",
            "a;;b",
            "a;,b",
            "a b",
            "a=b",
            "a/b",
            "\"a\"",
            "a; b=",
            "a; =1",
            "a; b c",
            "a; b=1 2",
            "a; b=\"",
            "a; b=\"1",
            "a; b=\"\"",
            "a; b=\"1 2\"",
            "a; b=\"1,2\"",
            "a; b=\" 1\"",
            "a; b=\"1\"2",
            "a; b=1\"2\"",
            "a; b=\"\\",
            "a; b=\"\\\"\"",
            "a; b=\"\\\\\"",
            "a; b=(1)",
            "a; caf\u{e9}",
        ];
        for value in table {
            let read = read(&format!("Sec-WebSocket-Extensions: {value}\r\n"));
            assert_eq!(read, Err(MalformedExtensions), "{value:?}");
        }
    }
}
