//! Control of devices: an operator sends a command to one device, and sees its acknowledgement.
//!
//! ```text
//! device    connects to /devices/{name}
//!   ← number (4 bytes), command (the rest)
//!   → number (4 bytes), result (1 byte: 0 is success)
//!
//! operator  connects to /operator, and speaks text
//!   → number name command           7 lamp on
//!   ← number name result            7 lamp done
//!   ← + name, - name                a device has come, or has gone
//! ```
//!
//! ```sh
//! cargo run --example devices
//! cargo run --example devices -- 127.0.0.1:8093 lamp     # in another terminal: a device
//! # in a browser: http://127.0.0.1:8093/
//! ```
//!
//! The server keeps no list of commands. An operator that gets no result within some seconds sends
//! the command again with the same number, and the device does a command with a known number only
//! once: at least once on the way, once in effect.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use yamabiko::client::Client;
use yamabiko::server::{
    Admission, CloseCode, Closed, Config, Context, Handler, Message, Refusal, Request, Response,
    Server, Status, Upgrade,
};
use yamabiko::websocket::OwnedMessage;

/// The names of the devices that are connected.
#[derive(Default)]
pub struct Devices {
    connected: Mutex<BTreeSet<String>>,
}

/// Who is on the other side.
pub enum Session {
    /// A device has its name once it is the only one of that name.
    Device {
        /// From the path.
        name: String,
        /// Whether it is in the list of devices.
        is_known: bool,
    },
    /// Sends commands.
    Operator,
}

impl Devices {
    fn connected(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Devices {
    type Session = Session;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Session>, Refusal> {
        let segments: Vec<_> = request.path_segments().collect();
        match &segments[..] {
            [only] if only == "operator" => Ok(Admission::new(Session::Operator)),
            [first, name] if first == "devices" && is_name(name) => {
                Ok(Admission::new(Session::Device {
                    name: name.to_string(),
                    is_known: false,
                }))
            }
            _ => Err(Refusal::new(
                Status::NotFound,
                "/devices/{name} or /operator",
            )),
        }
    }

    fn opened(&self, session: &mut Session, context: &mut Context<'_>) {
        match session {
            Session::Device { name, is_known } => {
                *is_known = self.connected().insert(name.clone());
                if !*is_known {
                    return context.close((CloseCode::POLICY_VIOLATION, "this name is in use"));
                }
                context.join(&room_of(name));
                context.publish(OPERATORS, format!("+ {name}"));
            }
            Session::Operator => {
                context.join(OPERATORS);
                for name in self.connected().iter() {
                    let _ = context.send(format!("+ {name}"));
                }
            }
        }
    }

    fn message(&self, session: &mut Session, message: Message<'_>, context: &mut Context<'_>) {
        let done = match (session, message) {
            (Session::Operator, Message::Text(line)) => self.command(line, context),
            (Session::Device { name, .. }, Message::Binary(result)) => {
                report(name, result, context)
            }
            _ => None,
        };
        if done.is_none() {
            context.close((
                CloseCode::POLICY_VIOLATION,
                "not a command and not a result",
            ));
        }
    }

    fn closed(&self, session: Session, _closed: &Closed<'_>, context: &mut Context<'_>) {
        if let Session::Device {
            name,
            is_known: true,
        } = session
        {
            self.connected().remove(&name);
            context.publish(OPERATORS, format!("- {name}"));
        }
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => Response::new(Status::Ok)
                .content("text/html; charset=utf-8", PAGE.as_bytes())
                .expect("a media type without line ends"),
            _ => Refusal::new(Status::NotFound, "the page is at /").to_response(),
        }
    }
}

impl Devices {
    /// `number name command`: passes it on.
    fn command(&self, line: &str, context: &mut Context<'_>) -> Option<()> {
        let (number, rest) = line.split_once(' ')?;
        let (name, command) = rest.split_once(' ')?;
        let number: u32 = number.parse().ok()?;
        if !self.connected().contains(name) {
            return context
                .send(format!("{number} {name} is not connected"))
                .ok();
        }
        let message = [&number.to_be_bytes(), command.as_bytes()].concat();
        context.publish(&room_of(name), &message);
        Some(())
    }
}

/// A result of a device, for all operators.
fn report(name: &str, result: &[u8], context: &mut Context<'_>) -> Option<()> {
    let (number, result) = result.split_first_chunk::<4>()?;
    let number = u32::from_be_bytes(*number);
    let result = match result {
        [0] => "done".to_owned(),
        [code] => format!("error {code}"),
        _ => return None,
    };
    context.publish(OPERATORS, format!("{number} {name} {result}"));
    Some(())
}

fn is_name(name: &str) -> bool {
    (1..=30).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A room with one member: the device.
fn room_of(name: &str) -> String {
    format!("device {name}")
}

const OPERATORS: &str = "operators";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8093".to_owned());
    if let Some(name) = arguments.next() {
        return device(&format!("ws://{address}/devices/{name}"));
    }
    let config = Config {
        listen: address.parse()?,
        ..Config::default()
    };
    let server = Server::bind(config, Devices::default())?;
    println!("open http://{}/", server.local_address());
    Ok(server.run()?)
}

/// A device that knows the commands `on` and `off`.
fn device(uri: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut client = Client::connect(uri)?;
    let mut last = None;
    while let Some(message) = client.read()? {
        let OwnedMessage::Binary(bytes) = message else {
            continue;
        };
        let Some((number, command)) = bytes.split_first_chunk::<4>() else {
            continue;
        };
        let is_new = last.replace(*number) != Some(*number);
        let result = match command {
            b"on" | b"off" => 0,
            _ => 1,
        };
        if is_new && result == 0 {
            println!("the lamp is {}", String::from_utf8_lossy(command));
        }
        client.send([&number[..], &[result]].concat())?;
    }
    Ok(())
}

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Devices</title>
<style>body { font: 1rem system-ui; margin: 2rem } li { margin: .5rem 0 } output { margin-left: 1rem }</style>
<h1>Devices</h1><ul id="devices"></ul><p id="status" role="status"></p>
<script>
const list = document.getElementById("devices"), status = document.getElementById("status"), waiting = new Map();
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "operator");
let number = 0;
function send(name, command) {
  const mine = ++number, line = `${mine} ${name} ${command}`;
  socket.send(line);
  // The same number again after 3 s without a result: the device does it only once.
  waiting.set(String(mine), setInterval(() => socket.send(line), 3000));
}
socket.onmessage = ({ data }) => {
  const [first, name, ...rest] = data.split(" ");
  if (first === "-") return document.getElementById(name)?.remove();
  if (first === "+") {
    if (document.getElementById(name)) return;
    const item = list.appendChild(document.createElement("li"));
    item.id = name;
    item.append(name + " ");
    for (const command of ["on", "off"]) {
      const button = item.appendChild(document.createElement("button"));
      button.textContent = command;
      button.onclick = () => send(name, command);
    }
    item.append(document.createElement("output"));
    return;
  }
  clearInterval(waiting.get(first));
  const output = document.querySelector(`#${CSS.escape(name)} output`);
  if (output) output.textContent = `${first}: ${rest.join(" ")}`;
};
socket.onclose = event => {
  waiting.forEach(clearInterval);
  status.textContent = "closed: " + event.code + " " + event.reason;
};
</script>
"#;
