//! A dashboard of the server itself: its counters, once a second, in every open page.
//!
//! `cargo run --example dashboard`, then open <http://127.0.0.1:8095/>.
//!
//! One thread asks for the numbers and publishes them as JSON. A page that is slow gets the newest
//! ones only. While no page is open nothing is sent, because nobody is in the room.

use std::thread;
use std::time::Duration;
use yamabiko::server::{
    Admission, CloseCode, Config, Context, Handler, LagAction, LagPolicy, Message, Publisher,
    Refusal, Request, Response, Server, ServerHandle, Status, Upgrade,
};

/// Has nothing of its own: the numbers come from outside.
pub struct Dashboard;

impl Handler for Dashboard {
    type Session = ();

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        match request.path() {
            "/numbers" => Ok(Admission::new(())),
            _ => Err(Refusal::new(
                Status::NotFound,
                "the numbers are at /numbers",
            )),
        }
    }

    fn opened(&self, _session: &mut (), context: &mut Context<'_>) {
        context.join(ROOM);
    }

    fn message(&self, _session: &mut (), _message: Message<'_>, context: &mut Context<'_>) {
        context.close((CloseCode::POLICY_VIOLATION, "a dashboard only listens"));
    }

    fn lag_policy(&self, _room: &str) -> Option<LagPolicy> {
        Some(LagPolicy {
            action: LagAction::Latest,
            ..LagPolicy::default()
        })
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => Response::new(Status::Ok)
                .content("text/html; charset=utf-8", PAGE.as_bytes())
                .expect("a media type without line ends"),
            ("GET" | "HEAD", "/reconnecting-websocket.js") => Response::new(Status::Ok)
                .content("text/javascript; charset=utf-8", MODULE.as_bytes())
                .expect("a media type without line ends"),
            _ => Refusal::new(Status::NotFound, "the page is at /").to_response(),
        }
    }
}

fn publish_numbers(server: &ServerHandle, publisher: &Publisher) {
    loop {
        thread::sleep(Duration::from_secs(1));
        if publisher.publish(ROOM, numbers(server)).is_err() {
            return; // the server has stopped
        }
    }
}

/// Names and numbers as JSON.
pub fn numbers(server: &ServerHandle) -> String {
    let metrics = server.metrics();
    let rows = [
        ("connections now", metrics.opened - metrics.closed),
        ("connections so far", metrics.opened),
        ("refused", metrics.refused),
        ("messages received", metrics.received),
        ("deliveries", metrics.deliveries),
        ("skipped for slow readers", metrics.skipped),
        ("bytes held", server.held_bytes() as u64),
    ];
    let rows = rows.map(|(name, number)| format!("\"{name}\":{number}"));
    format!("{{{}}}", rows.join(","))
}

const ROOM: &str = "numbers";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let config = Config {
        listen: address.as_deref().unwrap_or("127.0.0.1:8095").parse()?,
        ..Config::default()
    };
    let server = Server::bind(config, Dashboard)?;
    println!("open http://{}/", server.local_address());
    let (handle, publisher) = (server.handle(), server.publisher());
    thread::spawn(move || publish_numbers(&handle, &publisher));
    Ok(server.run()?)
}

/// A WebSocket that connects again.
const MODULE: &str = include_str!("../browser/reconnecting-websocket.js");

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Dashboard</title>
<style>body { font: 1.2rem system-ui; margin: 2rem } td { padding: .2em 1em } .n { text-align: right; font-variant-numeric: tabular-nums }</style>
<h1>This server</h1><table id="rows"></table><p id="status" role="status">connecting</p>
<script type="module">
import { ReconnectingWebSocket } from "./reconnecting-websocket.js";
const rows = document.getElementById("rows"), status = document.getElementById("status"), cells = new Map();
const onState = ({ kind, reason }) => status.textContent = kind === "open" ? "live, once a second" : reason ?? kind;
const onMessage = data => {
  for (const [name, number] of Object.entries(JSON.parse(data))) {
    if (!cells.has(name)) {
      const row = rows.insertRow(), cell = document.createElement("td");
      row.insertCell().textContent = name;
      cell.className = "n";
      cells.set(name, row.appendChild(cell));
    }
    cells.get(name).textContent = number.toLocaleString();
  }
};
new ReconnectingWebSocket(location.href.replace(/^http/, "ws") + "numbers", { onState, onMessage }).start();
</script>
"#;
