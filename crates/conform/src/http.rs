//! The heads of HTTP/1.1 that open a WebSocket (RFC 6455 §4): written from a [`Template`],
//! read into a [`Head`].
//!
//! A template is a list of lines with placeholders. A case changes single lines of the
//! legal head, so that a head with one illegal line is legal otherwise.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// A request or a response of the suite.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    lines: Vec<Vec<u8>>,
    /// What follows the head; `{length}` in a line is its length.
    body: Vec<u8>,
}

/// The values of the placeholders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// `{scheme}`: `http` or `https`.
    pub scheme: &'static str,
    /// `{host}`: the authority of the URL.
    pub host: String,
    /// `{target}`: its path and query.
    pub target: String,
    /// `{key}`: Sec-WebSocket-Key of this connection.
    pub key: String,
}

/// A head from the peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// The request line or the status line.
    pub first: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Template {
    /// The request of RFC 6455 §4.1.
    pub(crate) fn request() -> Template {
        Template::of(&[
            "GET {target} HTTP/1.1",
            "Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ])
    }

    /// The response of RFC 6455 §4.2.2.
    pub(crate) fn response() -> Template {
        Template::of(&[
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: {accept}",
        ])
    }

    fn of(lines: &[&str]) -> Template {
        Template {
            lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
            body: Vec::new(),
        }
    }

    /// Another request line or status line.
    pub(crate) fn first(mut self, line: &str) -> Template {
        self.lines[0] = line.as_bytes().to_vec();
        self
    }

    /// Without a field.
    pub(crate) fn without(mut self, name: &str) -> Template {
        self.lines.retain(|line| !is_named(line, name));
        self
    }

    /// Another value of a field, in its place.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Template {
        let line = format!("{name}: {value}").into_bytes();
        match self.lines.iter_mut().find(|line| is_named(line, name)) {
            Some(found) => *found = line,
            None => self.lines.push(line),
        }
        self
    }

    /// A further line at the end, in any form.
    pub(crate) fn line(mut self, line: impl AsRef<[u8]>) -> Template {
        self.lines.push(line.as_ref().to_vec());
        self
    }

    /// The fields of these names and values, except those that the head has.
    pub(crate) fn with_fields(mut self, fields: &[(String, String)]) -> Template {
        for (name, value) in fields {
            if !self.lines.iter().any(|line| is_named(line, name)) {
                self.lines.push(format!("{name}: {value}").into_bytes());
            }
        }
        self
    }

    /// A line in place of the one with this name.
    pub(crate) fn replace(mut self, name: &str, line: &str) -> Template {
        for found in self.lines.iter_mut().filter(|found| is_named(found, name)) {
            *found = line.as_bytes().to_vec();
        }
        self
    }

    /// Changes every line but the first.
    pub(crate) fn each_line(mut self, change: fn(&str) -> String) -> Template {
        for line in self.lines.iter_mut().skip(1) {
            *line = change(&String::from_utf8_lossy(line)).into_bytes();
        }
        self
    }

    /// Bytes behind the head, with the same placeholders.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Template {
        self.body = body.into();
        self
    }

    /// The bytes of the head and its body.
    pub(crate) fn bytes(&self, values: &Values) -> Vec<u8> {
        let body = filled(&self.body, values, 0);
        let mut bytes = Vec::new();
        for line in &self.lines {
            bytes.extend(filled(line, values, body.len()));
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend(body);
        bytes
    }
}

impl Head {
    /// The head at the front of `input` and its length; `None`: it is not whole.
    ///
    /// # Errors
    /// What no head of HTTP/1.1 has.
    pub(crate) fn parse(input: &[u8]) -> Result<Option<(Head, usize)>, String> {
        let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return match input.len() {
                0..=HEAD_BYTES_MAX => Ok(None),
                length => Err(format!("{length} bytes without the end of a head")),
            };
        };
        let text = String::from_utf8_lossy(&input[..end]).into_owned();
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Some((Head { first, fields }, end + 4)))
    }

    /// The values of all fields with this name, given in lower case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The elements of all fields with this name, as one list.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.values(name).join(",");
        let elements = values.split(',').map(str::trim);
        elements
            .filter(|element| !element.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Whether a list of tokens has this one, in any case of letters.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        let list = self.list(name);
        list.iter()
            .any(|element| element.eq_ignore_ascii_case(token))
    }

    /// The status code of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        let (version, rest) = self.first.split_once(' ')?;
        let code = rest.get(..3)?;
        let is_http = matches!(version, "HTTP/1.1" | "HTTP/1.0");
        let ends = matches!(rest.as_bytes().get(3), None | Some(b' '));
        code.parse().ok().filter(|_| is_http && ends)
    }

    /// Path and query of a request.
    pub(crate) fn target(&self) -> Option<&str> {
        self.first.split(' ').nth(1)
    }
}

/// Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2).
pub(crate) fn accept_of(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

/// A key from 16 random bytes.
pub(crate) fn key_of(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// The bytes of a key; `None`: it is not Base64.
pub(crate) fn key_bytes(key: &str) -> Option<Vec<u8>> {
    STANDARD.decode(key).ok()
}

fn is_named(line: &[u8], name: &str) -> bool {
    let colon = line.iter().position(|&byte| byte == b':');
    colon.is_some_and(|colon| line[..colon].eq_ignore_ascii_case(name.as_bytes()))
}

fn filled(line: &[u8], values: &Values, body_bytes: usize) -> Vec<u8> {
    // A head can have thousands of lines without one.
    let has_placeholder = line.contains(&b'{');
    let Some(text) = std::str::from_utf8(line).ok().filter(|_| has_placeholder) else {
        return line.to_vec();
    };
    let text = text.replace("{scheme}", values.scheme);
    let text = text.replace("{host}", &values.host);
    let text = text.replace("{target}", &values.target);
    let text = text.replace("{accept}", &accept_of(&values.key));
    let text = text.replace("{length}", &body_bytes.to_string());
    text.replace("{key}", &values.key).into_bytes()
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("the line '{line}' is no field"))?;
    if name.is_empty() || name.contains([' ', '\t']) {
        return Err(format!("'{name}' is no name of a field"));
    }
    Ok((
        name.to_ascii_lowercase(),
        value.trim_matches([' ', '\t']).to_owned(),
    ))
}

/// The longest head of a peer that is read.
const HEAD_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_that_of_the_example_in_the_rfc() {
        let accept = accept_of("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn template_changes_single_lines() {
        let values = Values {
            scheme: "http",
            host: "h".into(),
            target: "/t".into(),
            key: "k".into(),
        };
        let template = Template::request()
            .without("Host")
            .set("upgrade", "x")
            .line("A: b");
        let text = String::from_utf8(template.bytes(&values)).expect("ASCII");
        assert_eq!(
            text,
            "GET /t HTTP/1.1\r\nupgrade: x\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\
             Sec-WebSocket-Version: 13\r\nA: b\r\n\r\n"
        );
    }

    #[test]
    fn head_is_read_when_it_is_whole() {
        let bytes = b"HTTP/1.1 101 Fine\r\nUpgrade: a\r\nUPGRADE:\tb , c\r\n\r\nrest";
        let (head, length) = Head::parse(bytes).expect("legal").expect("whole");
        assert_eq!((head.status(), length), (Some(101), bytes.len() - 4));
        assert_eq!(head.list("upgrade"), ["a", "b", "c"]);
        assert!(Head::parse(&bytes[..40]).expect("legal").is_none());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n").is_err());
    }
}
