//! Bytes in words, for people who read a report.

/// `5 bytes "Hello"`, or `3 bytes 00 ff 80` for bytes that are no printable text. Long
/// payloads are cut.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let more = if bytes.len() > SHOWN_BYTES {
        " …"
    } else {
        ""
    };
    let length = self::bytes(bytes.len());
    match std::str::from_utf8(shown) {
        Ok(text) if !text.chars().any(char::is_control) => {
            format!("{length} \"{text}\"{more}")
        }
        _ => format!("{length} {}{more}", hexadecimal(shown)),
    }
}

/// `1 byte`, `7 bytes`
pub(crate) fn bytes(count: usize) -> String {
    match count {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    }
}

/// `00 ff 80`
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// Lines of a head, each on its own, with everything else than ASCII escaped.
pub(crate) fn head_lines(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(HEAD_SHOWN_BYTES)];
    let text = shown.escape_ascii().to_string();
    let more = if bytes.len() > HEAD_SHOWN_BYTES {
        "…"
    } else {
        ""
    };
    let text = text.replace("\\r\\n", "⏎ ").replace("\\\"", "\"");
    format!("{}{more}", text.trim_end())
}

/// `1002 or 1007`; 1005 is what a Close frame without a code is reported as.
pub(crate) fn alternatives(codes: &[u16]) -> String {
    let codes: Vec<String> = codes.iter().map(|&code| code_words(code)).collect();
    codes.join(" or ")
}

fn code_words(code: u16) -> String {
    match code {
        1005 => "no code".to_owned(),
        code => code.to_string(),
    }
}

const SHOWN_BYTES: usize = 40;
const HEAD_SHOWN_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_other_bytes_are_hexadecimal() {
        assert_eq!(quoted(b"Hello"), "5 bytes \"Hello\"");
        assert_eq!(quoted(b"\x00\xff"), "2 bytes 00 ff");
        assert_eq!(
            quoted(&[b'a'; 41]),
            format!("41 bytes \"{}\" …", "a".repeat(40))
        );
        assert_eq!(
            head_lines(b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n"),
            "GET / HTTP/1.1⏎ A: \\x00⏎ ⏎"
        );
    }
}
