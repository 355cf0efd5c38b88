//! The output of `--json`: each message of the server as one line of JSON.
//!
//! In a room of the chat that is the message as the server has sent it (docs/chat-protocol.md). A text of a plain room becomes
//! `{"type":"text","text":"…"}`, and a binary message `{"type":"binary","bytes":5}`.
//!
//! A line is safe on a terminal: characters that could control it are escaped, as JSON allows in every string.

use serde_json::json;
use yamabiko::client::OwnedMessage;

use super::shared::Format;
use super::text::is_harmless;

/// A message as one line.
pub(super) fn json_line(message: &OwnedMessage, format: Format) -> String {
    let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    match (message, format) {
        (OwnedMessage::Text(json), Format::Chat) if is_json(json) => one_line(json),
        (OwnedMessage::Text(text), _) => {
            one_line(&json!({"type": "text", "text": text}).to_string())
        }
        (OwnedMessage::Binary(bytes), _) => {
            json!({"type": "binary", "bytes": bytes.len()}).to_string()
        }
    }
}

/// Line ends and tabs of valid JSON are between its values; other control characters are in strings.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\n' | '\r' | '\t' => line.push(' '),
            harmless if is_harmless(harmless) => line.push(harmless),
            other => line.push_str(&format!("\\u{:04x}", u32::from(other))),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, format: Format) -> String {
        json_line(&OwnedMessage::Text(text.to_owned()), format)
    }

    #[test]
    fn message_of_the_chat_is_one_line_that_means_the_same() {
        assert_eq!(line(r#"{"a":"山"}"#, Format::Chat), r#"{"a":"山"}"#);
        let sent = "{\n\t\"a\": \"x\u{9b}2J\u{202e}\"\r\n}";
        let shown = line(sent, Format::Chat);
        assert!(!shown.contains(char::is_control), "{shown:?}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&shown), read(sent));
    }

    #[test]
    fn other_messages_become_objects_with_a_type() {
        assert_eq!(
            line("a\n\"b\"", Format::Plain),
            r#"{"text":"a\n\"b\"","type":"text"}"#
        );
        assert_eq!(
            line("no JSON", Format::Chat),
            r#"{"text":"no JSON","type":"text"}"#
        );
        let binary = json_line(&OwnedMessage::Binary(vec![0; 5]), Format::Plain);
        assert_eq!(binary, r#"{"bytes":5,"type":"binary"}"#);
    }
}
