//! A server with a room for each path: `/room/{name}`. Everyone in a room receives what is said
//! there, with the speaker's name from the query.
//!
//! ```sh
//! cargo run --example rooms
//! # in a browser's console, on two pages:
//! socket = new WebSocket("ws://127.0.0.1:9003/room/caf%C3%A9?name=Kai");
//! socket.onmessage = (event) => console.log(event.data);
//! socket.send("hello");
//! ```

use yamabiko::server::{
    Admission, CloseCode, Closed, Config, Context, Handler, Message, Origins, Refusal, Server,
    Status, Upgrade,
};

struct Rooms;

/// What the server keeps for each connection.
struct Visitor {
    room: String,
    name: String,
}

impl Handler for Rooms {
    type Session = Visitor;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<Visitor>, Refusal> {
        let segments: Vec<_> = request.path_segments().collect();
        let room = match &segments[..] {
            [first, room] if first == "room" && !room.is_empty() => room.to_string(),
            _ => {
                return Err(Refusal::new(
                    Status::NotFound,
                    "a room's path is /room/{name}",
                ));
            }
        };
        let name = request.query_value("name").unwrap_or("someone".into());
        let name: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
        Ok(Admission::new(Visitor { room, name }))
    }

    fn opened(&self, visitor: &mut Visitor, context: &mut Context<'_>) {
        context.join(&visitor.room);
        context.publish(&visitor.room, format!("{} is here", visitor.name));
    }

    fn message(&self, visitor: &mut Visitor, message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(text) => {
                context.publish(&visitor.room, format!("{}: {text}", visitor.name));
            }
            Message::Binary(_) => context.close((CloseCode::UNSUPPORTED_DATA, "texts only")),
        }
    }

    fn closed(&self, visitor: Visitor, _closed: &Closed<'_>, context: &mut Context<'_>) {
        context.publish(&visitor.room, format!("{} has left", visitor.name));
    }
}

const NAME_CHARACTERS_MAX: usize = 30;

fn main() -> std::io::Result<()> {
    let listen = ([127, 0, 0, 1], 9003).into();
    let config = Config {
        listen,
        origins: Origins::Any,
        ..Config::default()
    };
    let server = Server::bind(config, Rooms)?;
    println!(
        "rooms on ws://{}/room/{{name}}?name={{you}}",
        server.local_address()
    );
    server.run()
}
