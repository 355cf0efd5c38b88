//! What a handler sees of a request when it admits a client, and what it adds to the response.

use std::sync::mpsc::channel;
use yamabiko::server::{
    Admission, Context, Handler, InvalidField, Message, Refusal, Status, Upgrade,
};
use yamabiko_testing::socket::{Client, Running, upgrade, with_1_and_3_workers};

/// A room for each path `/room/{name}`; greets with the room and the name in the query.
struct Rooms;

impl Handler for Rooms {
    type Session = String;

    fn admit(&self, request: &Upgrade<'_>) -> Result<Admission<String>, Refusal> {
        let segments: Vec<_> = request.path_segments().collect();
        let room = match &segments[..] {
            [first, room] if first == "room" => room,
            _ => return Err(Refusal::new(Status::NotFound, "no room")),
        };
        let name = request.query_value("name").unwrap_or_default();
        Admission::new(format!("{name} in {room}"))
            .field(
                "Set-Cookie",
                format!("name={}", request.query_pairs().count()),
            )
            .and_then(|admission| admission.field("Set-Cookie", "second=1"))
            .map_err(|error| Refusal::new(Status::InternalServerError, error.to_string()))
    }

    fn opened(&self, greeting: &mut String, context: &mut Context<'_>) {
        let _ = context.send(&*greeting);
    }

    fn message(&self, _: &mut String, _: Message<'_>, _: &mut Context<'_>) {}
}

#[test]
fn handler_takes_the_room_from_the_path_and_the_name_from_the_query() {
    with_1_and_3_workers(|config| {
        let (_sender, reports) = channel();
        let server = Running::start_with(config, Rooms, reports);
        for (target, greeting) in [
            ("/room/summit?name=Kai", "Kai in summit"),
            ("/room/caf%C3%A9?x&name=Kai+M.&name=Bo", "Kai M. in café"),
            ("/room/a%2Fb", " in a/b"),
        ] {
            let mut client = Client::connect(server.address);
            client.send(upgrade(target, ""));
            assert!(client.read_head().starts_with("HTTP/1.1 101 "), "{target}");
            assert_eq!(client.read_text(), greeting, "{target}");
        }
        let mut client = Client::connect(server.address);
        client.send(upgrade("/room/a/b", ""));
        assert!(client.read_head().starts_with("HTTP/1.1 404 "));
    });
}

#[test]
fn fields_of_the_admission_are_in_the_response() {
    with_1_and_3_workers(|config| {
        let (_sender, reports) = channel();
        let server = Running::start_with(config, Rooms, reports);
        let mut client = Client::connect(server.address);
        client.send(upgrade("/room/summit?a=1&b=2&name=", ""));
        let head = client.read_head();
        assert!(head.contains("\r\nSet-Cookie: name=3\r\n"), "{head}");
        assert!(head.contains("\r\nSet-Cookie: second=1\r\n"), "{head}");
    });
}

#[test]
fn fields_of_the_handshake_and_fields_of_two_lines_are_refused() {
    let refused =
        |name: &'static str, value: &'static str| Admission::new(()).field(name, value).map(drop);
    assert_eq!(refused("Upgrade", "x"), Err(InvalidField::Reserved));
    assert_eq!(
        refused("sec-websocket-accept", "x"),
        Err(InvalidField::Reserved)
    );
    assert_eq!(refused("A", "b\r\nSet-Cookie: c"), Err(InvalidField::Value));
    assert_eq!(refused("A b", "c"), Err(InvalidField::Name));
    assert_eq!(refused("A", "c"), Ok(()));
}
