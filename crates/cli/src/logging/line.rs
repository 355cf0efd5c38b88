//! An event as one line: text or JSON.
//!
//! Fields can have texts of clients: paths, origins, reasons, names of rooms. Each text is cut after 256 bytes. Control
//! characters, line separators, and characters that change the direction of a text or have no width are written as escapes, so a client
//! can neither begin a line nor send a terminal a command, and what is displayed is what is there.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Format {
    /// `2026-11-29T08:30:00.125Z INFO connection closed by=client code=1000`
    #[default]
    Text,
    /// One object for each line.
    Json,
}

/// An event, before it is written in a format.
pub(super) struct Line {
    time: SystemTime,
    level: Level,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

enum Value {
    /// A number or a truth value, as both formats write it.
    Plain(String),
    Text(String),
}

impl Line {
    pub(super) fn of(event: &Event<'_>, time: SystemTime) -> Line {
        let level = *event.metadata().level();
        let mut line = Line::new(level, String::new(), time);
        event.record(&mut line);
        line
    }

    fn new(level: Level, message: String, time: SystemTime) -> Line {
        Line {
            time,
            level,
            message,
            fields: Vec::new(),
        }
    }

    /// Reports lines of a kind that were not written.
    pub(super) fn suppressed(kind: &'static str, count: u64) -> Line {
        let message = "lines suppressed".to_owned();
        let mut line = Line::new(Level::WARN, message, SystemTime::now());
        line.fields.push(("kind", Value::Text(kind.to_owned())));
        line.fields.push(("lines", Value::Plain(count.to_string())));
        line
    }

    /// Reports lines that did not fit into the queue.
    pub(super) fn dropped(count: u64) -> Line {
        let message = "lines dropped: standard error was not read in time".to_owned();
        let mut line = Line::new(Level::WARN, message, SystemTime::now());
        line.fields.push(("lines", Value::Plain(count.to_string())));
        line
    }

    pub(super) fn in_format(&self, format: Format) -> String {
        match format {
            Format::Text => self.text(),
            Format::Json => self.json(),
        }
    }

    fn text(&self) -> String {
        let mut line = format!("{} {} ", rfc_3339(self.time), self.level);
        escape(&self.message, "\\", &mut line);
        for (name, value) in &self.fields {
            line.push_str(&format!(" {name}="));
            match value {
                Value::Plain(value) => line.push_str(value),
                Value::Text(text) if is_bare(text) => line.push_str(text),
                Value::Text(text) => quote(text, &mut line),
            }
        }
        line
    }

    fn json(&self) -> String {
        let mut line = format!("{{\"time\":\"{}\",\"level\":", rfc_3339(self.time));
        quote(&self.level.as_str().to_lowercase(), &mut line);
        line.push_str(",\"message\":");
        quote_json(&self.message, &mut line);
        for (name, value) in &self.fields {
            line.push_str(&format!(",\"{name}\":"));
            match value {
                Value::Plain(value) => line.push_str(value),
                Value::Text(text) => quote_json(text, &mut line),
            }
        }
        line.push('}');
        line
    }

    fn add(&mut self, field: &Field, value: Value) {
        self.fields.push((field.name(), value));
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = cut(value);
        match field.name() {
            "message" => self.message = text,
            _ => self.add(field, Value::Text(text)),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity.
        let finite = if value.is_finite() { value } else { 0.0 };
        self.add(field, Value::Plain(format!("{finite:.3}")));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Plain(value.to_string()));
    }
}

/// At most [`TEXT_BYTES_MAX`] bytes of a text, with a sign that there were more.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES_MAX)
        .rev()
        .find(|&end| text.is_char_boundary(end));
    format!("{}…", &text[..end.unwrap_or(0)])
}

/// Whether a text can be written without quotation marks, and be read as one word.
fn is_bare(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/[]+*@%~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_safe)
}

fn quote(text: &str, line: &mut String) {
    line.push('"');
    escape(text, "\\\"", line);
    line.push('"');
}

/// `also`: ASCII characters that get a backslash, too.
fn escape(text: &str, also: &str, line: &mut String) {
    for character in text.chars() {
        if also.contains(character) {
            line.push('\\');
            line.push(character);
        } else if is_visible(character) {
            line.push(character);
        } else {
            line.extend(character.escape_default());
        }
    }
}

fn quote_json(text: &str, line: &mut String) {
    line.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            character if is_visible(character) => line.push(character),
            hidden => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    // A String takes every write.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.push('"');
}

/// Whether a character can be displayed as it is. Not: control characters, line separators, marks of direction, characters without
/// width.
fn is_visible(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `2026-11-29T08:30:00.125Z`
fn rfc_3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    // The format of HTTP has the names of months: one date, in numbers.
    let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(since.as_secs()));
    let text = date.to_string();
    let parts: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, clock, _] = parts[..] else {
        return text;
    };
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = months.iter().position(|name| *name == month).unwrap_or(0) + 1;
    let millis = since.subsec_millis();
    format!("{year}-{month:02}-{day}T{clock}.{millis:03}Z")
}

/// A text of a field may be this long.
const TEXT_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let mut line = Line::new(Level::INFO, "closed".to_owned(), UNIX_EPOCH);
        line.fields.push(("reason", Value::Text(cut(text))));
        line
    }

    #[test]
    fn text_of_a_client_can_neither_begin_a_line_nor_reach_a_terminal_unescaped() {
        let hostile =
            "a\r\n2026 INFO forged\t\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2028}\u{200b}\0\"b=\\";
        let text = line(hostile).text();
        let json = line(hostile).json();
        for written in [&text, &json] {
            assert!(written.chars().all(is_visible), "{written}");
        }
        assert!(
            text.ends_with(
                "reason=\"a\\r\\n2026 INFO forged\\t\\u{1b}[2J\\u{9b}31m\\u{7f}\\u{202e}\
                 \\u{2028}\\u{200b}\\u{0}\\\"b=\\\\\""
            ),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["reason"], hostile);
    }

    #[test]
    fn every_text_is_the_same_in_json() {
        for text in ["", "é会議室😀", "\u{10ffff}\u{e0041}", "'", "e\u{301}"] {
            let value: serde_json::Value = serde_json::from_str(&line(text).json()).expect("JSON");
            assert_eq!(value["reason"], text);
        }
    }

    #[test]
    fn text_is_cut_after_256_bytes_between_two_characters() {
        let longest = "x".repeat(256);
        assert_eq!(cut(&longest), longest);
        assert_eq!(cut(&format!("{longest}y")), format!("{longest}…"));
        let cut_at_a_character = cut(&format!("{}é", "x".repeat(255)));
        assert_eq!(cut_at_a_character, format!("{}…", "x".repeat(255)));
    }

    #[test]
    fn words_are_bare_and_other_texts_quoted() {
        assert!(
            line("203.0.113.7:80")
                .text()
                .ends_with("reason=203.0.113.7:80")
        );
        for text in ["", "two words", "a=b", "é", "a\"b"] {
            assert!(line(text).text().ends_with('"'), "{text}");
        }
    }

    #[test]
    fn times_are_in_utc_with_milliseconds() {
        let at = |seconds, millis| {
            let since = Duration::from_secs(seconds) + Duration::from_millis(millis);
            rfc_3339(UNIX_EPOCH + since)
        };
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400, 7), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(1_796_371_199, 999), "2026-12-04T07:59:59.999Z");
    }
}
