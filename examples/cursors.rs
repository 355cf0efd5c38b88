//! Shared cursors: everyone sees where the others point.
//!
//! `cargo run --example cursors`, then open <http://127.0.0.1:8091/> in two windows.
//!
//! A page sends its position as `x y`, in thousandths of its size. The others get `id x y`, and
//! `id` alone when a page is gone. A newcomer sees a cursor when it moves for the first time: the
//! server keeps no state.

use yamabiko::server::{
    Admission, CloseCode, Closed, Config, Context, Handler, LagAction, LagPolicy, Message, Refusal,
    Request, Response, Server, Status, Upgrade,
};

/// Keeps nothing: a position only passes through.
pub struct Cursors;

impl Handler for Cursors {
    type Session = ();

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
        match request.path() {
            "/cursors" => Ok(Admission::new(())),
            _ => Err(Refusal::new(Status::NotFound, "cursors are at /cursors")),
        }
    }

    fn opened(&self, _session: &mut (), context: &mut Context<'_>) {
        context.join(ROOM);
    }

    fn message(&self, _session: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match position(message) {
            Some((x, y)) => {
                let line = format!("{} {x} {y}", context.id());
                context.publish_except(ROOM, &line);
            }
            None => context.close((CloseCode::INVALID_PAYLOAD, "a position is: x y")),
        }
    }

    fn closed(&self, _session: (), _closed: &Closed<'_>, context: &mut Context<'_>) {
        let line = context.id().to_string();
        context.publish(ROOM, &line);
    }

    /// An old position is worth nothing: a slow page misses some, and gets the next ones.
    fn lag_policy(&self, _room: &str) -> Option<LagPolicy> {
        Some(LagPolicy {
            action: LagAction::Skip,
            messages_max: Some(100),
            ..LagPolicy::default()
        })
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

/// Two numbers from 0 to 1000.
fn position(message: Message<'_>) -> Option<(u16, u16)> {
    let Message::Text(text) = message else {
        return None;
    };
    let (x, y) = text.split_once(' ')?;
    let number = |text: &str| text.parse().ok().filter(|number| *number <= 1000);
    Some((number(x)?, number(y)?))
}

const ROOM: &str = "cursors";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let config = Config {
        listen: address.as_deref().unwrap_or("127.0.0.1:8091").parse()?,
        ..Config::default()
    };
    let server = Server::bind(config, Cursors)?;
    println!("open http://{}/", server.local_address());
    Ok(server.run()?)
}

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Cursors</title>
<style>
  html, body { height: 100%; margin: 0; font: 1rem system-ui; overflow: hidden; touch-action: none }
  p { margin: 1rem }
  i { position: fixed; width: 1rem; height: 1rem; margin: -.5rem; border-radius: 50%; transition: all 50ms linear }
</style>
<p id="status" role="status">Move the pointer here, and open this page again in another window.</p>
<script>
const cursors = new Map(), status = document.getElementById("status");
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "cursors");
let waiting = false;
addEventListener("pointermove", event => {
  if (waiting || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > 0) return;
  waiting = true; // one position for each frame that the screen shows
  requestAnimationFrame(() => waiting = false);
  const part = (at, size) => Math.round(1000 * Math.min(1, Math.max(0, at / size)));
  socket.send(part(event.clientX, innerWidth) + " " + part(event.clientY, innerHeight));
});
socket.onmessage = ({ data }) => {
  const [id, x, y] = data.split(" ");
  if (x === undefined) { cursors.get(id)?.remove(); cursors.delete(id); return }
  if (!cursors.has(id)) {
    const dot = document.body.appendChild(document.createElement("i"));
    dot.style.background = `hsl(${cursors.size * 137} 70% 45%)`;
    cursors.set(id, dot);
  }
  Object.assign(cursors.get(id).style, { left: x / 10 + "%", top: y / 10 + "%" });
};
socket.onclose = event => status.textContent = "closed: " + event.code + " " + event.reason;
</script>
"#;
