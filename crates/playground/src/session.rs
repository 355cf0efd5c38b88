//! What the server keeps for one page: the inner connection. Commands come in, reports go out; no socket is needed to run it.

use std::time::Instant;

use yamabiko::websocket::frame::{Opcode, encode};

use crate::dissect::dissect;
use crate::examples;
use crate::hexadecimal;
use crate::limits::SENT_BYTES_MAX;
use crate::messages::{Command, Composed, End, Exchange, Report};
use crate::opening;
use crate::rate::Rate;
use crate::wire::{MASKING_KEY, Wire};

/// The state of one page.
#[derive(Debug)]
pub struct Session {
    /// What the browser has sent to open the outer connection.
    request: String,
    wire: Option<Wire>,
    rate: Rate,
}

impl Session {
    pub(crate) fn new(request: String, now: Instant) -> Session {
        Session {
            request,
            wire: None,
            rate: Rate::new(now),
        }
    }

    /// Counts a command. False: the page sends too many.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        self.rate.allows(now)
    }

    /// The first report.
    pub(crate) fn welcome(&self) -> Report {
        Report::Welcome {
            request: self.request.clone(),
            openings: examples::openings(&self.request),
            examples: examples::frames(),
        }
    }

    /// Does what a command asks for. `text`: JSON.
    pub(crate) fn execute(&mut self, text: &str) -> Report {
        let report = match serde_json::from_str(text) {
            Ok(command) => self.command(command),
            Err(error) => Err(format!("the command is not valid: {error}")),
        };
        report.unwrap_or_else(|text| Report::Fault { text })
    }

    fn command(&mut self, command: Command) -> Result<Report, String> {
        match command {
            Command::Open {
                request,
                compress,
                response,
            } => {
                let response = response.as_deref().map(str::as_bytes);
                let (opening, wire) = opening::open(request.as_bytes(), compress, response);
                self.wire = wire;
                Ok(Report::Opening(Box::new(opening)))
            }
            Command::Send { from, bytes } => {
                let bytes = sent_bytes(&bytes)?;
                let wire = self.open_wire()?;
                let steps = wire.carry(from, bytes);
                Ok(exchange(wire, steps))
            }
            Command::Dissect {
                number,
                from,
                bytes,
            } => self.dissection(number, from, &bytes),
            Command::Compose { from, frame } => Ok(Report::Composed {
                from,
                bytes: hexadecimal::written(&composed(from, &frame)?),
            }),
            Command::Cut => {
                let wire = self.open_wire()?;
                wire.cut();
                Ok(exchange(wire, Vec::new()))
            }
        }
    }

    fn dissection(&self, number: u64, from: End, bytes: &str) -> Result<Report, String> {
        let compressed = self.wire.as_ref().is_some_and(Wire::is_compressed);
        let dissection = dissect(from, &sent_bytes(bytes)?, compressed);
        Ok(Report::Dissection {
            number,
            frames: dissection.frames,
            omitted_bytes: dissection.omitted_bytes,
        })
    }

    fn open_wire(&mut self) -> Result<&mut Wire, String> {
        match &mut self.wire {
            Some(wire) if wire.is_open() => Ok(wire),
            Some(_) => {
                Err("TCP has ended: send the request again to open a new connection".to_owned())
            }
            None => Err("there is no connection yet: send the request first".to_owned()),
        }
    }
}

fn exchange(wire: &Wire, steps: Vec<crate::messages::Step>) -> Report {
    Report::Exchange(Exchange {
        steps,
        ends: wire.ends(),
    })
}

fn sent_bytes(text: &str) -> Result<Vec<u8>, String> {
    let bytes = hexadecimal::read(text)?;
    match bytes.len() {
        0 => Err("there are no bytes to send".to_owned()),
        1..=SENT_BYTES_MAX => Ok(bytes),
        count => Err(format!("{count} bytes: at most {SENT_BYTES_MAX} at once")),
    }
}

fn composed(from: End, frame: &Composed) -> Result<Vec<u8>, String> {
    let (opcode, payload) = match frame {
        Composed::Text { text } => (Opcode::Text, text.clone().into_bytes()),
        Composed::Binary { bytes } => (Opcode::Binary, hexadecimal::read(bytes)?),
        Composed::Ping { text } => (Opcode::Ping, text.clone().into_bytes()),
        Composed::Pong { text } => (Opcode::Pong, text.clone().into_bytes()),
        Composed::Close { code, reason } => {
            let mut body = code.map(u16::to_be_bytes).map_or(vec![], Vec::from);
            body.extend(reason.bytes());
            (Opcode::Close, body)
        }
    };
    if payload.len() > SENT_BYTES_MAX - FRAME_BYTES_BEYOND_PAYLOAD {
        return Err(format!(
            "the payload is too long: at most {SENT_BYTES_MAX} bytes with the header"
        ));
    }
    let key = match from {
        End::Client => Some(MASKING_KEY),
        End::Server => None,
    };
    let mut bytes = Vec::new();
    encode(true, opcode, key, &payload, &mut bytes);
    Ok(bytes)
}

/// The header of a payload of up to 64 KiB, with a key.
const FRAME_BYTES_BEYOND_PAYLOAD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hexadecimal::written;
    use serde_json::{Value, json};

    const REQUEST: &str = "GET /playground/wire HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\
         Origin: http://localhost\r\n\r\n";

    fn session() -> Session {
        Session::new(REQUEST.to_owned(), Instant::now())
    }

    fn execute(session: &mut Session, command: &Value) -> Value {
        serde_json::to_value(session.execute(&command.to_string())).expect("a report is JSON")
    }

    fn opened() -> Session {
        let mut session = session();
        let report = execute(
            &mut session,
            &json!({"do": "open", "request": REQUEST, "compress": false}),
        );
        assert_eq!(
            (&report["kind"], &report["accepted"]),
            (&json!("opening"), &json!(true))
        );
        session
    }

    #[test]
    fn every_example_is_legal_or_broken_as_it_says() {
        for example in examples::frames() {
            let mut session = opened();
            let command = json!({"do": "send", "from": example.from, "bytes": example.bytes});
            let report = execute(&mut session, &command);
            let error = &report["steps"][0]["error"];
            assert_eq!(
                error.is_object(),
                example.broken,
                "{}: {report}",
                example.name
            );
        }
    }

    #[test]
    fn every_opening_is_accepted_or_refused_with_a_sentence() {
        for opening in examples::openings(REQUEST) {
            let command = json!({"do": "open", "request": opening.request, "compress": true});
            let report = execute(&mut session(), &command);
            let is_legal =
                ["As your browser has sent it", "The key of the RFC"].contains(&opening.name);
            assert_eq!(report["accepted"], is_legal, "{}: {report}", opening.name);
            assert_eq!(report["rule"].is_object(), !is_legal, "{}", opening.name);
        }
    }

    #[test]
    fn every_response_opens_both_ends_or_fails_the_client_with_a_sentence() {
        let own = json!({"do": "open", "request": REQUEST, "compress": false});
        let own = execute(&mut session(), &own);
        for example in own["responses"].as_array().expect("a list") {
            let mut session = session();
            let command = json!({
                "do": "open", "request": REQUEST, "compress": false, "response": example["response"],
            });
            let report = execute(&mut session, &command);
            let name = example["name"].as_str().expect("a text");
            let is_legal = [examples::AS_SENT, examples::ANOTHER_PHRASE].contains(&name);
            assert_eq!(report["accepted"], is_legal, "{name}: {report}");
            assert_eq!(report["rule"].is_object(), !is_legal, "{name}");
            let cut = execute(&mut session, &json!({"do": "cut"}));
            assert_eq!(cut["kind"] == "exchange", is_legal, "{name}: {cut}");
        }
    }

    #[test]
    fn bytes_are_bounded_at_the_limit_and_past_it() {
        let mut session = opened();
        let at = written(&vec![0x89; SENT_BYTES_MAX]);
        let past = written(&vec![0x89; SENT_BYTES_MAX + 1]);
        for (bytes, kind) in [(&at, "exchange"), (&past, "fault")] {
            let report = execute(
                &mut session,
                &json!({"do": "send", "from": "client", "bytes": bytes}),
            );
            assert_eq!(report["kind"], kind);
        }
        let longest = SENT_BYTES_MAX - FRAME_BYTES_BEYOND_PAYLOAD;
        for (length, kind) in [(longest, "composed"), (longest + 1, "fault")] {
            let frame = json!({"opcode": "text", "text": "a".repeat(length)});
            let report = execute(
                &mut session,
                &json!({"do": "compose", "from": "client", "frame": frame}),
            );
            assert_eq!(report["kind"], kind);
        }
    }

    #[test]
    fn composed_frames_are_masked_for_the_client_only() {
        let frame = json!({"opcode": "close", "code": 1005, "reason": ""});
        let compose = |from| json!({"do": "compose", "from": from, "frame": frame});
        let of_server = execute(&mut session(), &compose("server"));
        assert_eq!(of_server["bytes"], "88 02 03 ed");
        let of_client = execute(&mut session(), &compose("client"));
        assert_eq!(of_client["bytes"], "88 82 37 fa 21 3d 34 17");
    }

    #[test]
    fn commands_that_cannot_be_done_get_a_fault_and_change_nothing() {
        let mut session = opened();
        for command in [
            json!({"do": "send", "from": "client", "bytes": "8"}),
            json!({"do": "send", "from": "client", "bytes": ""}),
            json!({"do": "send", "from": "nobody", "bytes": "81"}),
            json!({"do": "fly"}),
            json!(["do"]),
        ] {
            assert_eq!(
                execute(&mut session, &command)["kind"],
                "fault",
                "{command}"
            );
        }
        let report = execute(&mut session, &json!({"do": "cut"}));
        assert_eq!(report["ends"]["server"]["state"], "lost");
        assert_eq!(
            execute(&mut session, &json!({"do": "cut"}))["kind"],
            "fault"
        );
    }

    #[test]
    fn a_dissection_has_the_number_of_its_command() {
        let command = json!({"do": "dissect", "number": 7, "from": "client", "bytes": "81 85"});
        let report = execute(&mut session(), &command);
        assert_eq!(report["number"], 7);
        assert_eq!(report["frames"][0]["missing_bytes"], 9);
    }
}
