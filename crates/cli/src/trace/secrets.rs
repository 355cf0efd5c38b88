//! Secrets in the head of a request or a response: each of their characters becomes `*`, so that the bytes stay as many as they were.
//!
//! Secret are the values of credentials and cookies, the subprotocols that carry a token, and the values of the query. The payload of frames
//! is what the user wants to see: nothing in it is changed.

/// The head with its secrets hidden.
pub(super) fn hidden(head: &[u8]) -> Vec<u8> {
    let mut hidden = Vec::with_capacity(head.len());
    for (index, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match index {
            0 => hide_query(line, &mut hidden),
            _ => hide_value(line, &mut hidden),
        }
    }
    hidden
}

/// `GET /chat?token=******&x=*** HTTP/1.1`
fn hide_query(line: &[u8], hidden: &mut Vec<u8>) {
    let (mut in_query, mut in_value) = (false, false);
    for &byte in line {
        match byte {
            b' ' | b'\r' | b'\n' => (in_query, in_value) = (false, false),
            b'?' if !in_query => in_query = true,
            b'&' => in_value = false,
            b'=' if in_query && !in_value => {
                in_value = true;
                hidden.push(byte);
                continue;
            }
            _ => {}
        }
        hidden.push(if in_value { b'*' } else { byte });
    }
}

fn hide_value(line: &[u8], hidden: &mut Vec<u8>) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return hidden.extend_from_slice(line);
    };
    let (name, value) = line.split_at(colon);
    let secret = |field: &&str| name.trim_ascii().eq_ignore_ascii_case(field.as_bytes());
    if !SECRET_FIELDS.iter().any(secret) {
        let is_protocol = secret(&"sec-websocket-protocol");
        return match is_protocol {
            true => hide_tokens(line, hidden),
            false => hidden.extend_from_slice(line),
        };
    }
    let is_kept = |byte: u8| b": \t\r\n".contains(&byte);
    hidden.extend_from_slice(name);
    hidden.extend(
        value
            .iter()
            .map(|byte| if is_kept(*byte) { *byte } else { b'*' }),
    );
}

/// Subprotocols are names, and some clients send a token as one: what is long, or comes behind a name for tokens.
fn hide_tokens(line: &[u8], hidden: &mut Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
    let (name, value) = line.split_at(colon);
    hidden.extend_from_slice(name);
    for token in value.split_inclusive(|byte| b", :\r\n".contains(byte)) {
        let bytes = token.len();
        let is_secret = bytes > SUBPROTOCOL_BYTES_MAX
            || token.iter().filter(|byte| **byte == b'.').count() > 1 && bytes > 24;
        let is_kept = |byte: u8| !is_secret || b", :\r\n".contains(&byte);
        hidden.extend(
            token
                .iter()
                .map(|byte| if is_kept(*byte) { *byte } else { b'*' }),
        );
    }
}

/// A longer subprotocol is no name.
const SUBPROTOCOL_BYTES_MAX: usize = 40;

const SECRET_FIELDS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "www-authenticate",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_all_else_stays() {
        let head = "GET /a?token=s3cret&b HTTP/1.1\r\nHost: a\r\nCookie: id=1; b=2\r\n\
                    authorization: Bearer s3cret\r\nSec-WebSocket-Protocol: chat.v1, \
                    eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdef\r\n\r\n";
        let text = String::from_utf8(hidden(head.as_bytes())).expect("text");
        assert_eq!(text.len(), head.len());
        assert!(
            text.starts_with("GET /a?token=******&b HTTP/1.1\r\nHost: a\r\n"),
            "{text}"
        );
        assert!(
            text.contains("Cookie: ***** ***\r\nauthorization: ****** ******\r\n"),
            "{text}"
        );
        assert!(
            text.contains("Sec-WebSocket-Protocol: chat.v1, ****"),
            "{text}"
        );
        for secret in ["s3cret", "id=1", "eyJ", "abcdef"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn key_and_accept_of_the_handshake_are_no_secrets() {
        let head = b"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(hidden(head), head);
    }
}
