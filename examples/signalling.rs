//! Signalling for WebRTC: two browsers find each other by a room, exchange their descriptions and
//! addresses through the server, and then talk directly.
//!
//! `cargo run --example signalling`, then open <http://127.0.0.1:8094/#hut> in two windows.
//!
//! The server passes each text to the other one in the room, unread. It tells the first one when
//! the second has come, who then calls. A third one is refused: the room is full.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use yamabiko::server::{
    Admission, CloseCode, Closed, Config, Context, Handler, Message, Refusal, Request, Response,
    Server, Status, Upgrade,
};

/// The rooms, so that no third one comes in.
#[derive(Default)]
pub struct Signalling {
    /// How many are in each room: 1 or 2.
    rooms: Mutex<HashMap<String, usize>>,
}

/// One of the two in a room.
pub struct Peer {
    room: String,
    is_in: bool,
}

impl Signalling {
    /// How many are in the room with this one; `None`: it is full.
    fn enter(&self, room: &str) -> Option<usize> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let count = rooms.entry(room.to_owned()).or_insert(0);
        if *count == 2 {
            return None;
        }
        *count += 1;
        Some(*count)
    }

    fn leave(&self, room: &str) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = rooms.get_mut(room) {
            *count -= 1;
            if *count == 0 {
                rooms.remove(room);
            }
        }
    }
}

impl Handler for Signalling {
    type Session = Peer;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Peer>, Refusal> {
        let segments: Vec<_> = request.path_segments().collect();
        match &segments[..] {
            [first, room] if first == "signalling" && (1..=60).contains(&room.len()) => {
                Ok(Admission::new(Peer {
                    room: room.to_string(),
                    is_in: false,
                }))
            }
            _ => Err(Refusal::new(Status::NotFound, "/signalling/{room}")),
        }
    }

    fn opened(&self, peer: &mut Peer, context: &mut Context<'_>) {
        let Some(count) = self.enter(&peer.room) else {
            return context.close((CloseCode::TRY_AGAIN_LATER, "two are in this room"));
        };
        peer.is_in = true;
        context.join(&peer.room);
        if count == 2 {
            context.publish_except(&peer.room, "come");
        }
    }

    fn message(&self, peer: &mut Peer, message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(_) => context.publish_except(&peer.room, message),
            Message::Binary(_) => context.close((CloseCode::UNSUPPORTED_DATA, "texts only")),
        }
    }

    fn closed(&self, peer: Peer, _closed: &Closed<'_>, context: &mut Context<'_>) {
        if peer.is_in {
            self.leave(&peer.room);
            context.publish(&peer.room, "gone");
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let config = Config {
        listen: address.as_deref().unwrap_or("127.0.0.1:8094").parse()?,
        ..Config::default()
    };
    let server = Server::bind(config, Signalling::default())?;
    println!("open http://{}/#hut", server.local_address());
    Ok(server.run()?)
}

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Direct talk</title>
<style>body { font: 1rem system-ui; margin: 2rem } input { font: inherit; width: 100% }</style>
<p id="status" role="status">waiting for the other one</p>
<form id="form"><input id="text" aria-label="message" autocomplete="off" disabled></form><ol id="log"></ol>
<script>
const status = document.getElementById("status"), text = document.getElementById("text");
const room = encodeURIComponent(location.hash.slice(1) || "hut");
const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/signalling/" + room);
let peer = null, channel = null;
function show(line) { document.getElementById("log").appendChild(document.createElement("li")).textContent = line }
function tell(message) { socket.send(JSON.stringify(message)) }
function connect() {
  peer = new RTCPeerConnection();
  peer.onicecandidate = ({ candidate }) => candidate && tell({ candidate });
  peer.ondatachannel = event => use(event.channel);
}
function use(newChannel) {
  channel = newChannel;
  channel.onopen = () => { text.disabled = false; text.focus(); status.textContent = "connected directly" };
  channel.onclose = () => { text.disabled = true };
  channel.onmessage = ({ data }) => show("them: " + data);
}
async function describe(description) {
  await peer.setLocalDescription(description);
  tell({ description: peer.localDescription });
}
socket.onmessage = async ({ data }) => {
  if (data === "gone") { status.textContent = "the other one is gone"; peer?.close(); peer = null; return }
  if (!peer) connect();
  if (data === "come") { use(peer.createDataChannel("talk")); return describe(await peer.createOffer()) }
  const { description, candidate } = JSON.parse(data);
  if (candidate) return peer.addIceCandidate(candidate);
  await peer.setRemoteDescription(description);
  if (description.type === "offer") describe(await peer.createAnswer());
};
socket.onclose = event => { if (!channel) status.textContent = "closed: " + event.code + " " + event.reason };
document.getElementById("form").onsubmit = event => {
  event.preventDefault();
  channel.send(text.value);
  show("me: " + text.value);
  text.value = "";
};
</script>
"#;
