//! The applications in examples/, over sockets. Each is compiled into this test, and its handler is
//! run by the harness.

use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{Client, Frame, TestServer, config, frame};

// What only their programs use is not used here.
#[allow(dead_code)]
#[path = "../../examples/cursors.rs"]
mod cursors;
#[allow(dead_code)]
#[path = "../../examples/dashboard.rs"]
mod dashboard;
#[allow(dead_code)]
#[path = "../../examples/devices.rs"]
mod devices;
#[allow(dead_code)]
#[path = "../../examples/game.rs"]
mod game;
#[allow(dead_code)]
#[path = "../../examples/signalling.rs"]
mod signalling;

fn open(server: &TestServer, path: &str) -> Client {
    Client::connect(server.address).upgraded(path)
}

/// The page, and nothing else, is served by HTTP.
fn serves_its_page(server: &TestServer) {
    for (path, status) in [("/", 200), ("/other", 404)] {
        let mut client = Client::connect(server.address);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        let response = client.read_response();
        assert_eq!(response.status, status);
    }
}

#[test]
fn cursors_go_to_the_others_and_end_with_their_page() {
    let server = TestServer::start(config(1), cursors::Cursors);
    serves_its_page(&server);
    let (mut anna, mut ben) = (open(&server, "/cursors"), open(&server, "/cursors"));

    anna.text("500 1000");
    let line = ben.read_text();
    let (id, position) = line.split_once(' ').expect("an id");
    assert_eq!(position, "500 1000");

    anna.close(1000, "");
    assert_eq!(
        anna.read_close(),
        (1000, String::new()),
        "anna does not get her own"
    );
    assert_eq!(ben.read_text(), id);
}

#[test]
fn cursors_refuse_what_is_no_position() {
    let server = TestServer::start(config(1), cursors::Cursors);
    for text in ["", "1", "1 1001", "a b", "1 2 3"] {
        let mut client = open(&server, "/cursors");
        client.text(text);
        assert_eq!(client.read_close().0, 1007, "{text:?}");
    }
}

#[test]
fn game_moves_the_players_in_their_directions() {
    let world = game::World::default();
    let server = TestServer::start(
        config(1),
        game::Game {
            world: world.clone(),
        },
    );
    serves_its_page(&server);
    let mut player = open(&server, "/game");
    assert_eq!(player.read_frame(), Frame::new(Opcode::Binary, vec![0, 0]));
    let mut other = open(&server, "/game");
    assert_eq!(other.read_frame(), Frame::new(Opcode::Binary, vec![0, 1]));

    player.send(frame(Opcode::Binary, &[2]));
    player.send(frame(Opcode::Ping, b"")); // its pong: the server has seen the direction
    assert_eq!(player.read_frame().opcode, Opcode::Pong);
    assert_eq!(world.players().tick(), [0, 0, 131, 128, 0, 1, 128, 128]);
    for _ in 0..100 {
        world.players().tick();
    }
    assert_eq!(
        world.players().tick()[..4],
        [0, 0, 255, 128],
        "the field has a border"
    );

    server
        .publisher
        .publish("game", b"state".as_slice())
        .expect("a running server");
    assert_eq!(
        other.read_frame(),
        Frame::new(Opcode::Binary, b"state".to_vec())
    );

    other.send(frame(Opcode::Binary, &[5]));
    assert_eq!(other.read_close().0, 1003);
}

#[test]
fn devices_get_commands_and_operators_get_results() {
    let server = TestServer::start(config(1), devices::Devices::default());
    serves_its_page(&server);
    let mut operator = open(&server, "/operator");
    operator.text("1 lamp on");
    assert_eq!(operator.read_text(), "1 lamp is not connected");

    let mut lamp = open(&server, "/devices/lamp");
    assert_eq!(operator.read_text(), "+ lamp");
    operator.text("7 lamp on");
    assert_eq!(
        lamp.read_frame(),
        Frame::new(Opcode::Binary, b"\0\0\0\x07on".to_vec())
    );
    lamp.send(frame(Opcode::Binary, &[0, 0, 0, 7, 0]));
    assert_eq!(operator.read_text(), "7 lamp done");

    let mut second = open(&server, "/devices/lamp");
    assert_eq!(
        second.read_close(),
        (1008, "this name is in use".to_owned())
    );
    let mut late = open(&server, "/operator");
    assert_eq!(
        late.read_text(),
        "+ lamp",
        "the first lamp is still connected"
    );

    lamp.close(1000, "");
    assert_eq!(operator.read_text(), "- lamp");
}

#[test]
fn signalling_connects_two_and_refuses_a_third() {
    let server = TestServer::start(config(1), signalling::Signalling::default());
    serves_its_page(&server);
    let mut first = open(&server, "/signalling/hut");
    let mut second = open(&server, "/signalling/hut");
    assert_eq!(first.read_text(), "come");
    let mut third = open(&server, "/signalling/hut");
    assert_eq!(third.read_close().0, 1013);

    first.text("offer");
    assert_eq!(second.read_text(), "offer");
    second.text("answer");
    assert_eq!(first.read_text(), "answer");

    second.close(1000, "");
    assert_eq!(first.read_text(), "gone");
    let _again = open(&server, "/signalling/hut");
    assert_eq!(first.read_text(), "come");
}

#[test]
fn dashboard_has_the_numbers_of_its_server() {
    let server = TestServer::start(config(1), dashboard::Dashboard);
    serves_its_page(&server);
    let mut page = open(&server, "/numbers");
    let numbers = dashboard::numbers(&server.handle);
    server
        .publisher
        .publish("numbers", &numbers)
        .expect("a running server");
    let text = page.read_text();
    assert!(
        text.starts_with("{\"connections now\":") && text.ends_with('}'),
        "{text}"
    );

    page.text("a question");
    assert_eq!(page.read_close().0, 1008);
}
