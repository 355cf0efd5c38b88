//! A game with a tick: the server moves all players twenty times a second, and sends the new state
//! as one binary message.
//!
//! `cargo run --example game`, then open <http://127.0.0.1:8092/> in two windows and use the arrow
//! keys.
//!
//! ```text
//! page → server   1 byte: the direction (0 none, 1 left, 2 right, 3 up, 4 down)
//! server → page   2 bytes for a newcomer alone: its number
//!                 for each player 4 bytes: its number (2), x, y
//! ```
//!
//! A player whose network is slow gets the newest state only ([`LagAction::Latest`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use yamabiko::server::{
    Admission, CloseCode, Closed, Config, Context, Handler, LagAction, LagPolicy, Message,
    Publisher, Refusal, Request, Response, Server, Status, Upgrade,
};

/// The players, for the workers and for the tick.
#[derive(Clone, Default)]
pub struct World(Arc<Mutex<Players>>);

/// The players by number.
#[derive(Default)]
pub struct Players {
    by_number: BTreeMap<u16, Player>,
}

#[derive(Clone, Copy)]
struct Player {
    x: u8,
    y: u8,
    direction: u8,
}

impl World {
    /// The players, while nobody else changes them.
    pub fn players(&self) -> MutexGuard<'_, Players> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Players {
    /// The number of a new player; `None`: the field is full.
    fn enter(&mut self) -> Option<u16> {
        let number = (0..PLAYERS_MAX).find(|number| !self.by_number.contains_key(number))?;
        let middle = Player {
            x: 128,
            y: 128,
            direction: 0,
        };
        self.by_number.insert(number, middle);
        Some(number)
    }

    /// Moves everyone one step, and writes the state.
    pub fn tick(&mut self) -> Vec<u8> {
        let mut state = Vec::with_capacity(4 * self.by_number.len());
        for (number, player) in &mut self.by_number {
            match player.direction {
                1 => player.x = player.x.saturating_sub(STEP),
                2 => player.x = player.x.saturating_add(STEP),
                3 => player.y = player.y.saturating_sub(STEP),
                4 => player.y = player.y.saturating_add(STEP),
                _ => {}
            }
            state.extend_from_slice(&number.to_be_bytes());
            state.extend_from_slice(&[player.x, player.y]);
        }
        state
    }
}

/// The handler.
pub struct Game {
    /// Shared with the tick.
    pub world: World,
}

impl Handler for Game {
    /// The player's number.
    type Session = Option<u16>;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Option<u16>>, Refusal> {
        match request.path() {
            "/game" => Ok(Admission::new(None)),
            _ => Err(Refusal::new(Status::NotFound, "the game is at /game")),
        }
    }

    fn opened(&self, session: &mut Option<u16>, context: &mut Context<'_>) {
        let Some(number) = self.world.players().enter() else {
            return context.close((CloseCode::TRY_AGAIN_LATER, "the field is full"));
        };
        *session = Some(number);
        let _ = context.send(number.to_be_bytes());
        context.join(ROOM);
    }

    fn message(&self, session: &mut Option<u16>, message: Message<'_>, context: &mut Context<'_>) {
        let Message::Binary([direction @ 0..=4]) = message else {
            return context.close((CloseCode::UNSUPPORTED_DATA, "one byte, 0 to 4"));
        };
        let mut players = self.world.players();
        let player = session.and_then(|number| players.by_number.get_mut(&number));
        if let Some(player) = player {
            player.direction = *direction;
        }
    }

    fn closed(&self, session: Option<u16>, _closed: &Closed<'_>, _context: &mut Context<'_>) {
        if let Some(number) = session {
            self.world.players().by_number.remove(&number);
        }
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
            _ => Refusal::new(Status::NotFound, "the page is at /").to_response(),
        }
    }
}

/// The state goes out on time, whatever the clients do.
fn run_ticks(world: &World, publisher: &Publisher) {
    loop {
        thread::sleep(TICK);
        let state = world.players().tick();
        if !state.is_empty() {
            // An error means that the server is behind or has stopped: the next state is newer.
            let _ = publisher.publish(ROOM, &state);
        }
    }
}

const ROOM: &str = "game";
const TICK: Duration = Duration::from_millis(50);
const STEP: u8 = 3;
const PLAYERS_MAX: u16 = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let config = Config {
        listen: address.as_deref().unwrap_or("127.0.0.1:8092").parse()?,
        ..Config::default()
    };
    let world = World::default();
    let game = Game {
        world: world.clone(),
    };
    let server = Server::bind(config, game)?;
    println!("open http://{}/", server.local_address());
    let publisher = server.publisher();
    thread::spawn(move || run_ticks(&world, &publisher));
    Ok(server.run()?)
}

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Game</title>
<style>body { font: 1rem system-ui; margin: 1rem } canvas { border: 1px solid; image-rendering: pixelated }</style>
<canvas id="field" width="264" height="264" tabindex="0" aria-label="the field: move with the arrow keys"></canvas>
<p id="status" role="status">connecting</p>
<script>
const status = document.getElementById("status"), draw = document.getElementById("field").getContext("2d");
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "game");
socket.binaryType = "arraybuffer";
let number = null, state = null;
socket.onopen = () => status.textContent = "use the arrow keys";
socket.onmessage = ({ data }) => {
  if (number === null) { number = new DataView(data).getUint16(0); return }
  if (state === null) requestAnimationFrame(show);
  state = new DataView(data); // the newest is enough
};
function show() {
  draw.clearRect(0, 0, 264, 264);
  for (let at = 0; at < state.byteLength; at += 4) {
    const player = state.getUint16(at);
    draw.fillStyle = `hsl(${player * 137} 70% 45%)`;
    draw.fillRect(state.getUint8(at + 2), state.getUint8(at + 3), 8, 8);
    if (player === number) draw.strokeRect(state.getUint8(at + 2) - 1, state.getUint8(at + 3) - 1, 10, 10);
  }
  state = null;
}
const directions = { ArrowLeft: 1, ArrowRight: 2, ArrowUp: 3, ArrowDown: 4 };
function steer(event, direction) {
  if (!(event.key in directions) || event.repeat || socket.readyState !== WebSocket.OPEN) return;
  event.preventDefault();
  socket.send(Uint8Array.of(direction));
}
addEventListener("keydown", event => steer(event, directions[event.key]));
addEventListener("keyup", event => steer(event, 0));
socket.onclose = event => status.textContent = "closed: " + event.code + " " + event.reason;
</script>
"#;
