//! A broadcast of prices to any number of browsers.
//!
//! `cargo run --release --example ticker`, then open <http://127.0.0.1:8090/> in any number of
//! tabs. One thread generates prices and publishes them. A new browser first receives the last
//! price of each share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use yamabiko::server::{
    Admission, CloseCode, Config, Context, Handler, Message, Publisher, Refusal, Request, Response,
    Server, Status, Upgrade,
};

/// The last price of each share, in cents.
type Prices = Arc<Mutex<BTreeMap<&'static str, i64>>>;

struct Ticker {
    prices: Prices,
}

impl Handler for Ticker {
    type Session = ();

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        match request.path() {
            "/prices" => Ok(Admission::new(())),
            _ => Err(Refusal::new(Status::NotFound, "prices are at /prices")),
        }
    }

    fn opened(&self, _session: &mut (), context: &mut Context<'_>) {
        // Subscribe before the snapshot: prices published meanwhile follow it.
        context.join(ROOM);
        for (share, cents) in self
            .prices
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let _ = context.send(line(share, *cents));
        }
    }

    fn message(&self, _session: &mut (), _message: Message<'_>, context: &mut Context<'_>) {
        context.close((
            CloseCode::POLICY_VIOLATION,
            "this server accepts no messages",
        ));
    }

    fn http(&self, request: &Request<'_>) -> Response {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => Response::new(Status::Ok)
                .content("text/html; charset=utf-8", PAGE.as_bytes())
                .expect("a media type without line ends"),
            ("GET" | "HEAD", "/reconnecting-websocket.js") => Response::new(Status::Ok)
                .content("text/javascript; charset=utf-8", MODULE.as_bytes())
                .expect("a media type without line ends"),
            ("GET" | "HEAD", "/prices") => Refusal::upgrade_required().to_response(),
            ("GET" | "HEAD", _) => Refusal::new(Status::NotFound, "the page is at /").to_response(),
            _ => Refusal::new(Status::MethodNotAllowed, "only GET and HEAD").to_response(),
        }
    }
}

fn main() -> std::io::Result<()> {
    let prices: Prices = Arc::default();
    let handler = Ticker {
        prices: prices.clone(),
    };
    let config = Config {
        listen: ([127, 0, 0, 1], 8090).into(),
        ..Config::default()
    };
    let server = Server::bind(config, handler)?;
    println!("open http://{}/", server.local_address());
    let publisher = server.publisher();
    thread::spawn(move || generate_prices(&prices, &publisher));
    server.run()
}

/// A random walk, with a generator that is good enough for an example.
fn generate_prices(prices: &Prices, publisher: &Publisher) {
    let mut random = 88_172_645_463_325_252_u64;
    loop {
        for share in ["KODAMA", "FUJI", "HIBIKI", "TANI"] {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let step = i64::try_from(random % 201).unwrap_or(0) - 100;
            let cents = {
                let mut prices = prices.lock().unwrap_or_else(PoisonError::into_inner);
                let cents = prices.entry(share).or_insert(10_000);
                *cents = (*cents + step).max(1);
                *cents
            };
            if publisher.publish(ROOM, line(share, cents)).is_err() {
                eprintln!("the server does not keep up; a price was not published");
            }
        }
        thread::sleep(Duration::from_millis(250));
    }
}

fn line(share: &str, cents: i64) -> String {
    format!("{share} {}.{:02}", cents / 100, cents % 100)
}

const ROOM: &str = "prices";

/// A WebSocket that connects again.
const MODULE: &str = include_str!("../browser/reconnecting-websocket.js");

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Ticker</title>
<style>body{font:1.5rem system-ui;margin:2rem} td{padding:.2em 1em} .n{text-align:right;font-variant-numeric:tabular-nums}</style>
<h1>Prices</h1><table id="prices"></table><p id="status" role="status"></p>
<script type="module">
import { ReconnectingWebSocket } from "./reconnecting-websocket.js";
const table = document.getElementById("prices"), status = document.getElementById("status");
const onState = ({ kind, reason }) => status.textContent = kind === "open" ? "live" : reason ?? kind;
const onMessage = data => {
  const [share, price] = data.split(" ");
  let row = document.getElementById(share);
  if (!row) { row = table.insertRow(); row.id = share; row.insertCell().textContent = share; row.insertCell().className = "n"; }
  row.cells[1].textContent = price;
};
new ReconnectingWebSocket(location.href.replace(/^http/, "ws") + "prices", { onState, onMessage }).start();
</script>
"#;
