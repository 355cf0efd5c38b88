//! A chat of many rooms with axum: the path names the room and the member, and the handlers share
//! the rooms. A room is there while it has members.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --features axum --example axum_chat -- 127.0.0.1:9001
//! cargo run -p yamabiko-tokio --example client -- ws://127.0.0.1:9001/rooms/hut/aki
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};
use yamabiko_tokio::Error;
use yamabiko_tokio::axum::WebSocketUpgrade;
use yamabiko_tokio::hyper::UpgradedWebSocket;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9001");
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!(
        "listening on ws://{}/rooms/ROOM/NAME",
        listener.local_addr()?
    );
    axum::serve(listener, app(Rooms::default())).await
}

/// The routes.
pub fn app(rooms: Rooms) -> Router {
    let room = get(enter);
    Router::new()
        .route("/rooms/{room}/{name}", room)
        .with_state(rooms)
}

async fn enter(
    upgrade: WebSocketUpgrade,
    Path((room, name)): Path<(String, String)>,
    State(rooms): State<Rooms>,
) -> Response {
    upgrade.on_upgrade(|socket| async move {
        let (to_room, from_room) = rooms.enter(&room);
        // Every ending is the end of the member.
        _ = chat(socket, &name, to_room, from_room).await;
        rooms.left(&room);
    })
}

/// `select!` drops the future that is not ready. Neither a message that is being read nor one in
/// the room is lost by that.
async fn chat(
    mut socket: UpgradedWebSocket,
    name: &str,
    to_room: Sender<Arc<str>>,
    mut from_room: Receiver<Arc<str>>,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            read = socket.read() => match read? {
                Some(message) => _ = to_room.send(format!("{name}: {message}").into()),
                None => return Ok(()),
            },
            sent = from_room.recv() => match sent {
                Ok(text) => socket.send(&*text).await?,
                Err(RecvError::Lagged(count)) => {
                    socket.send(format!("{count} messages are missing here")).await?;
                }
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

/// The rooms that have members, by name.
#[derive(Clone, Default)]
pub struct Rooms(pub Arc<Mutex<HashMap<String, Sender<Arc<str>>>>>);

impl Rooms {
    fn enter(&self, room: &str) -> (Sender<Arc<str>>, Receiver<Arc<str>>) {
        let mut rooms = self.lock();
        let room = rooms.entry(room.to_owned());
        let room = room.or_insert_with(|| Sender::new(MESSAGES_BEHIND_MAX));
        (room.clone(), room.subscribe())
    }

    fn left(&self, room: &str) {
        self.lock()
            .retain(|name, members| name != room || members.receiver_count() > 0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Sender<Arc<str>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A member that reads more slowly misses messages.
const MESSAGES_BEHIND_MAX: usize = 100;
