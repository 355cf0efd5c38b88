//! Items in words, beside their bytes.
//!
//! ```text
//! 0.004 → 81 85 37 fa 21 3d      text, 5 bytes, masked with 37 fa 21 3d (RFC 6455 §5.6)
//!         48 65 6c 6c 6f         "Hello"
//! ```

use std::time::Duration;

use yamabiko::websocket::frame::{FrameHeader, Opcode};

use super::direction::Direction;
use super::inflation::{Inflated, NotInflated};
use super::observer::{Frame, Item, Observer};
use crate::output::visible;

/// The lines of an item at a time. `shown_bytes`: of a payload.
pub(super) fn lines(
    at: Duration,
    direction: Direction,
    item: &Item,
    observer: &Observer,
    shown_bytes: usize,
) -> Vec<String> {
    let left = format!("{:9.3} {}", at.as_secs_f64(), direction.arrow());
    let mut rows = match item {
        Item::Head(head) => head_rows(direction, head, observer),
        Item::Frame(frame) => frame_rows(frame, shown_bytes),
        Item::Broken { reason, bytes } => {
            vec![(hex(bytes, shown_bytes), format!("broken: {reason}"))]
        }
        Item::Bytes(bytes) => vec![(hex(bytes, shown_bytes), quoted(bytes, bytes.len() as u64))],
        Item::Gap(bytes) => vec![(
            "…".to_owned(),
            format!("{bytes} bytes are left out: the output is too slow"),
        )],
    };
    let last = rows.len().saturating_sub(1);
    let lines = rows.drain(..).enumerate().map(|(index, (bytes, words))| {
        let begin = if index == 0 {
            left.as_str()
        } else {
            "           "
        };
        let line = match (words.is_empty(), bytes.chars().count() > BYTES_COLUMNS) {
            (true, _) => format!("{begin} {bytes}"),
            (false, false) => format!("{begin} {bytes:<BYTES_COLUMNS$} {words}"),
            (false, true) => format!("{begin} {bytes}\n{:1$}{words}", "", 13 + BYTES_COLUMNS),
        };
        let end = if index == last && last > 1 { "\n" } else { "" };
        format!("{}{end}", line.trim_end())
    });
    lines.collect()
}

/// A line that is about the connection.
pub(super) fn note(at: Duration, words: &str) -> String {
    format!("{:9.3}   {words}", at.as_secs_f64())
}

/// The width of 16 bytes. The words of a longer line are below it.
const BYTES_COLUMNS: usize = 47;

type Row = (String, String);

fn head_rows(direction: Direction, head: &[u8], observer: &Observer) -> Vec<Row> {
    let head = String::from_utf8_lossy(head);
    let lines = head.lines().filter(|line| !line.is_empty());
    let rows = lines.enumerate().map(|(index, line)| {
        let meaning = match line.split_once(':') {
            _ if index == 0 => first_line(direction, line),
            Some((name, value)) => field(&name.trim().to_lowercase(), value.trim(), observer),
            None => "no field: it has no colon (RFC 9112 §5)".to_owned(),
        };
        (visible(line), meaning)
    });
    rows.collect()
}

fn first_line(direction: Direction, line: &str) -> String {
    let mut words = line.split(' ');
    match direction {
        Direction::Sent => {
            "the request: a path of the server, by GET, with HTTP/1.1 (RFC 6455 §4.1)"
        }
        Direction::Received => match words.nth(1) {
            Some("101") => "HTTP ends here, and frames follow (RFC 6455 §4.2.2)",
            Some("401" | "403") => "refused: who asks, or the page's origin, may not connect",
            Some("404") => "refused: there is no WebSocket at this path",
            Some("400" | "426") => "refused: the server does not take this handshake",
            Some("503") => "refused for now: the server is full or stops",
            Some(status) if status.starts_with('3') => {
                "redirected: a client need not follow (§4.1)"
            }
            _ => "no WebSocket: an HTTP response",
        },
    }
    .to_owned()
}

/// What a field of the handshake means.
fn field(name: &str, value: &str, observer: &Observer) -> String {
    match name {
        "host" => "the server's name, as the URL has it (§4.1)",
        "upgrade" => "from HTTP to this protocol (§4.1)",
        "connection" => "this connection is to change its protocol (§4.1)",
        "sec-websocket-key" => {
            "16 random bytes; the response has to prove that they were read (§4.1)"
        }
        "sec-websocket-version" => "13 is RFC 6455 (§4.1)",
        "sec-websocket-protocol" => {
            "subprotocols: offered by the client, one selected by the server (§1.9)"
        }
        "sec-websocket-extensions" => {
            "extensions: offered by the client, agreed on by the server (§9.1)"
        }
        "origin" => "the site of the page that connects; only browsers send it (§10.2)",
        "authorization" | "cookie" | "set-cookie" | "proxy-authorization" => "a credential: hidden",
        "retry-after" => "when to try again",
        "date" => "the server's clock",
        "server" | "user-agent" => "the program",
        "sec-websocket-accept" => match observer.is_right_accept(value) {
            Some(true) => "right: SHA-1 of the key and a fixed text, in Base64 (§4.2.2)",
            Some(false) => "wrong: it is not the SHA-1 of the key and the fixed text (§4.2.2)",
            None => "SHA-1 of the key and a fixed text, in Base64 (§4.2.2)",
        },
        _ => "",
    }
    .to_owned()
}

fn frame_rows(frame: &Frame, shown_bytes: usize) -> Vec<Row> {
    let mut rows = vec![(
        hex(&frame.header_bytes, FrameHeader::BYTES_MAX),
        meaning(frame),
    )];
    let length = frame.header.payload_length;
    if length > 0 {
        let shown = &frame.payload[..frame.payload.len().min(shown_bytes)];
        let words = match frame.header.opcode {
            Opcode::Close => close_words(&frame.payload),
            _ => match &frame.inflated {
                Some(inflated) => inflated_words(inflated, shown_bytes),
                None => quoted(shown, length),
            },
        };
        // 16 bytes on a line, and the words beside the first.
        let mut words = Some(words);
        for chunk in shown.chunks(16) {
            rows.push((hex(chunk, 16), words.take().unwrap_or_default()));
        }
        let left = length.saturating_sub(shown.len() as u64);
        if left > 0 {
            rows.push((format!("… {left} bytes more"), String::new()));
        }
    }
    let faults = frame.faults.iter();
    rows.extend(faults.map(|fault| (String::new(), format!("broken: {fault}"))));
    rows
}

/// What a compressed payload has become.
fn inflated_words(inflated: &Result<Inflated, NotInflated>, shown_bytes: usize) -> String {
    let inflated = match inflated {
        Ok(inflated) => inflated,
        Err(NotInflated::Corrupt) => return "compressed".to_owned(),
        Err(NotInflated::Unknown) => {
            return "compressed: it may refer to bytes that are left out".to_owned();
        }
    };
    let shown = &inflated.bytes[..inflated.bytes.len().min(shown_bytes)];
    let content = match &*quoted(shown, inflated.length) {
        "" => hex(shown, 16),
        text => text.to_owned(),
    };
    format!("inflated, {} bytes: {content}", inflated.length)
}

/// The header in words.
fn meaning(frame: &Frame) -> String {
    let header = &frame.header;
    let kind = match header.opcode {
        Opcode::Text => "text",
        Opcode::Binary => "binary",
        Opcode::Continuation => "continuation",
        Opcode::Close => "close",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
    };
    let section = match header.opcode {
        Opcode::Close => "§5.5.1",
        Opcode::Ping => "§5.5.2",
        Opcode::Pong => "§5.5.3",
        _ if frame.is_fragment => "§5.4",
        _ => "§5.6",
    };
    let mut words = vec![kind.to_owned()];
    if frame.is_fragment {
        let which = match (header.opcode == Opcode::Continuation, header.fin) {
            (false, _) => "the first fragment",
            (true, false) => "a further fragment",
            (true, true) => "the last fragment",
        };
        words.push(which.to_owned());
    }
    if header.rsv & FrameHeader::RSV1 != 0 {
        words.push("compressed (RFC 7692)".to_owned());
    }
    words.push(format!("{} bytes", header.payload_length));
    words.push(match header.masking_key {
        Some(key) => format!("masked with {}", hex(&key, 4)),
        None => "not masked".to_owned(),
    });
    format!("{} ({section})", words.join(", "))
}

fn close_words(body: &[u8]) -> String {
    let [high, low, reason @ ..] = body else {
        return String::new();
    };
    let code = u16::from_be_bytes([*high, *low]);
    let meaning = match code {
        1000 => "the purpose is fulfilled",
        1001 => "going away: the server stops, or the page was left",
        1002 => "the other end broke a rule of the protocol",
        1003 => "a type of data that this end does not take",
        1007 => "data that does not fit its type, such as text that is not UTF-8",
        1008 => "against the policy of this end",
        1009 => "a message that is too big",
        1010 => "the client needs an extension that was not agreed on",
        1011 => "an error in the server",
        1012 => "the server restarts",
        1013 => "try again later",
        1014 => "a bad gateway",
        3000 => "unauthorized",
        3003 => "forbidden",
        3001 | 3002 | 3004..4000 => "a code of the registry",
        4000..5000 => "a code of the application",
        _ => "no code that may be sent",
    };
    match reason {
        [] => format!("{code}: {meaning} (§7.4.1)"),
        reason => format!(
            "{code}: {meaning} (§7.4.1), {}",
            quoted(reason, reason.len() as u64)
        ),
    }
}

/// Bytes as text in quotation marks, if they are text. `length`: of the whole payload.
fn quoted(bytes: &[u8], length: u64) -> String {
    let is_cut = (bytes.len() as u64) < length;
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The end may be in the middle of a character.
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return String::new(),
    };
    let rest = if is_cut { "…" } else { "" };
    format!("\"{}{rest}\"", visible(text))
}

/// At most so many bytes, as pairs of digits.
fn hex(bytes: &[u8], bytes_max: usize) -> String {
    let shown = bytes.iter().take(bytes_max);
    let pairs: Vec<String> = shown.map(|byte| format!("{byte:02x}")).collect();
    let rest = if bytes.len() > bytes_max { " …" } else { "" };
    format!("{}{rest}", pairs.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::observer::tests::{MASKED_HELLO, REQUEST, RESPONSE};
    use super::*;

    fn shown(pieces: &[(Direction, &[u8])], shown_bytes: usize) -> String {
        let mut observer = Observer::new(shown_bytes);
        let mut text = String::new();
        for (direction, bytes) in pieces {
            let mut items = Vec::new();
            observer.receive(*direction, bytes, |item| items.push(item));
            for item in items {
                let lines = lines(
                    Duration::from_millis(4),
                    *direction,
                    &item,
                    &observer,
                    shown_bytes,
                );
                text.push_str(&lines.join("\n"));
                text.push('\n');
            }
        }
        text
    }

    #[test]
    fn handshake_and_frames_are_in_words_beside_their_bytes() {
        let close = b"\x88\x06\x03\xe9bye!";
        let text = shown(
            &[
                (Direction::Sent, REQUEST),
                (Direction::Received, RESPONSE),
                (Direction::Sent, MASKED_HELLO),
                (Direction::Received, close),
            ],
            32,
        );
        for line in [
            "    0.004 → GET /?token=*** HTTP/1.1                        the request: a path",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n",
            " right: SHA-1 of the key",
            "→ 81 85 37 fa 21 3d                               text, 5 bytes, masked with 37 fa 21 3d (§5.6)",
            "  48 65 6c 6c 6f                                  \"Hello\"",
            "← 88 06                                           close, 6 bytes, not masked (§5.5.1)",
            "1001: going away: the server stops, or the page was left (§7.4.1), \"bye!\"",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("abc"), "{text}");
    }

    #[test]
    fn output_of_a_frame_is_bounded_and_cannot_reach_a_terminal_unescaped() {
        let payload = "\u{1b}[2Jé".repeat(30_000);
        let mut bytes = vec![0x81, 127, 0, 0, 0, 0];
        bytes.extend((payload.len() as u32).to_be_bytes());
        bytes.extend(payload.as_bytes());
        let text = shown(
            &[
                (Direction::Received, RESPONSE),
                (Direction::Received, &bytes),
            ],
            20,
        );
        let frame = text.split("← 81").nth(1).expect("the frame");
        assert!(frame.len() < 600, "{frame}");
        assert!(frame.contains("… 179980 bytes more"), "{frame}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
