//! A recorded connection: one JSON object on each line.
//!
//! ```text
//! {"recording":"yamabiko trace","version":1,"url":"ws://127.0.0.1:8080/chat/lobby?token=***"}
//! {"micros":812,"direction":"sent","bytes":"474554202f…"}
//! {"micros":1540,"direction":"received","bytes":"485454502f…"}
//! ```
//!
//! The secrets of the handshake are hidden in it, as they are on the screen, and its bytes are as many as they were. So a replay has
//! the same heads and the same frames. A recording ends at 64 MiB of bytes.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::direction::Direction;
use super::secrets::hidden;

/// Writes a recording.
pub(super) struct Recorder<W> {
    output: W,
    /// The heads that are not whole, by direction.
    heads: [Option<Vec<u8>>; 2],
    bytes: usize,
}

/// Bytes of a recording, with their time since its begin.
#[derive(Debug, PartialEq)]
pub(super) struct Recorded {
    pub at: Duration,
    pub direction: Direction,
    pub bytes: Vec<u8>,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording. `url`: with its secrets.
    ///
    /// # Errors
    /// The output's.
    pub(super) fn begin(mut output: W, url: &str) -> io::Result<Recorder<W>> {
        let url = String::from_utf8_lossy(&hidden(url.as_bytes())).into_owned();
        let first = json!({ "recording": KIND, "version": VERSION, "url": url });
        writeln!(output, "{first}")?;
        Ok(Recorder {
            output,
            heads: [Some(Vec::new()), Some(Vec::new())],
            bytes: 0,
        })
    }

    /// Adds bytes. Those of a head are kept until it is whole, so that its secrets can be hidden.
    ///
    /// # Errors
    /// The output's.
    pub(super) fn add(
        &mut self,
        at: Duration,
        direction: Direction,
        bytes: &[u8],
    ) -> io::Result<()> {
        let head = &mut self.heads[usize::from(direction == Direction::Received)];
        let Some(mut collected) = head.take() else {
            return self.write(at, direction, bytes);
        };
        collected.extend_from_slice(bytes);
        let end = collected.windows(4).position(|four| four == b"\r\n\r\n");
        match end {
            Some(end) => {
                let (head, rest) = collected.split_at(end + 4);
                self.write(at, direction, &[&hidden(head), rest].concat())
            }
            None if collected.len() > HEAD_BYTES_MAX => {
                self.write(at, direction, &hidden(&collected))
            }
            None => {
                *head = Some(collected);
                Ok(())
            }
        }
    }

    fn write(&mut self, at: Duration, direction: Direction, bytes: &[u8]) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > RECORDING_BYTES_MAX {
            return Ok(());
        }
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = json!({ "micros": micros, "direction": direction.name(), "bytes": hex });
        writeln!(self.output, "{line}")
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// The output's.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Whether bytes were left out at the end.
    pub(super) fn is_cut(&self) -> bool {
        self.bytes > RECORDING_BYTES_MAX
    }
}

/// Reads a recording: the URL, and the rest line by line.
///
/// # Errors
/// It is none, in one line.
pub(super) fn read(
    input: impl BufRead,
) -> Result<(String, impl Iterator<Item = Result<Recorded, String>>), String> {
    let mut lines = input.lines();
    let first = lines
        .next()
        .ok_or("the file is empty")?
        .map_err(|error| error.to_string())?;
    let first: Value = serde_json::from_str(&first).map_err(|_| NO_RECORDING)?;
    if first["recording"] != KIND || first["version"] != VERSION {
        return Err(NO_RECORDING.to_owned());
    }
    let url = first["url"].as_str().unwrap_or_default().to_owned();
    let recorded = lines.zip(2..).map(|(line, number)| {
        let line = line.map_err(|error| error.to_string())?;
        parse(&line).ok_or_else(|| format!("line {number} is no part of a recording"))
    });
    Ok((url, recorded))
}

fn parse(line: &str) -> Option<Recorded> {
    let value: Value = serde_json::from_str(line).ok()?;
    let digits = value["bytes"].as_str()?;
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        (pair.len() == 2).then(|| u8::from_str_radix(pair, 16).ok())?
    });
    Some(Recorded {
        at: Duration::from_micros(value["micros"].as_u64()?),
        direction: Direction::of(value["direction"].as_str()?)?,
        bytes: pairs.collect::<Option<Vec<u8>>>()?,
    })
}

const KIND: &str = "yamabiko trace";
const VERSION: u64 = 1;
const NO_RECORDING: &str = "the file is no recording of 'yamabiko trace'";
const HEAD_BYTES_MAX: usize = 64 << 10;
const RECORDING_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::observer::tests::{MASKED_HELLO, REQUEST, RESPONSE};
    use super::*;
    use yamabiko::websocket::{Connection, Event, Limits};

    /// What is written for these pieces.
    fn recorded(pieces: &[(Direction, &[u8])]) -> String {
        let mut written = Vec::new();
        let mut recorder = Recorder::begin(&mut written, "ws://a/?token=abc").expect("a vector");
        for (index, (direction, bytes)) in pieces.iter().enumerate() {
            let at = Duration::from_micros(index as u64);
            recorder.add(at, *direction, bytes).expect("a vector");
        }
        String::from_utf8(written).expect("text")
    }

    #[test]
    fn recording_is_read_as_it_was_written_without_its_secrets() {
        let (head, rest) = REQUEST.split_at(20);
        let text = recorded(&[
            (Direction::Sent, head),
            (Direction::Sent, rest),
            (Direction::Received, RESPONSE),
            (Direction::Sent, MASKED_HELLO),
        ]);
        assert!(!text.contains("616263"), "{text}");
        let (url, parts) = read(text.as_bytes()).expect("a recording");
        assert_eq!(url, "ws://a/?token=***");
        let parts: Vec<Recorded> = parts.collect::<Result<_, _>>().expect("a recording");
        let bytes: Vec<usize> = parts.iter().map(|part| part.bytes.len()).collect();
        assert_eq!(bytes, [REQUEST.len(), RESPONSE.len(), MASKED_HELLO.len()]);
        assert_eq!(parts[2].bytes, MASKED_HELLO);
    }

    #[test]
    fn recorded_bytes_replay_through_the_protocol_core() {
        let frames = b"\x01\x03abc\x89\x00\x80\x02de\x88\x02\x03\xe8";
        let text = recorded(&[
            (Direction::Received, &[RESPONSE, &frames[..7]].concat()),
            (Direction::Received, &frames[7..]),
        ]);
        let (_, parts) = read(text.as_bytes()).expect("a recording");
        let mut received: Vec<u8> = parts.flat_map(|part| part.expect("a part").bytes).collect();
        let mut input = &mut received[RESPONSE.len()..];
        let mut client = Connection::client(Limits::default(), || [0; 4]);
        let mut messages = Vec::new();
        while let Some(event) = client.receive(&mut input, &mut Vec::new()).expect("legal") {
            if let Event::Text(text) = event {
                messages.push(text.to_string());
            }
        }
        assert_eq!(messages, ["abcde"]);
        assert!(client.ended().clean);
    }

    #[test]
    fn file_that_is_no_recording_is_refused_with_its_line() {
        for text in [
            "",
            "{}",
            "x",
            "{\"recording\":\"yamabiko trace\",\"version\":2}",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let text = format!("{}{{\"micros\":1}}\n", recorded(&[]));
        let (_, mut parts) = read(text.as_bytes()).expect("a recording");
        let error = parts.next().expect("a line").expect_err("no part");
        assert_eq!(error, "line 2 is no part of a recording");
    }
}
