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
#[path = "../../examples/jobs.rs"]
mod jobs;
#[allow(dead_code)]
#[path = "../../examples/one_port.rs"]
mod one_port;
#[allow(dead_code)]
#[path = "../../examples/reminders.rs"]
mod reminders;
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
fn jobs_are_done_on_a_thread_and_answered_to_the_client_that_asked() {
    let (jobs, waiting) = jobs::Jobs::with_queue(1);
    let server = TestServer::start(config(1), jobs);
    let (mut anna, mut ben) = (open(&server, "/"), open(&server, "/"));
    anna.text("600851475143");
    anna.text("one too many");
    assert_eq!(anna.read_text(), "send a number from 2 on");
    ben.text("12");
    assert_eq!(ben.read_text(), "there are too many jobs; try again later");
    let worker = std::thread::spawn(move || jobs::work(&waiting.into()));
    assert_eq!(anna.read_text(), "6857");
    drop((anna, ben));
    drop(server);
    worker.join().expect("the queue has ended");
}

#[test]
fn reminders_come_when_their_time_is_over() {
    let server = TestServer::start(config(1), reminders::Reminders);
    let mut client = open(&server, "/");
    client.text("drink water");
    assert!(client.read_text().starts_with("send a number of seconds"));
    client.text("0 drink water");
    assert_eq!(client.read_text(), "I will remind you");
    assert_eq!(client.read_text(), "drink water");
    // One timer is for the client itself.
    for _ in 1..yamabiko::server::Context::TIMERS_MAX {
        client.text("3600 later");
        assert_eq!(client.read_text(), "I will remind you");
    }
    client.text("3600 later");
    assert_eq!(client.read_text(), "you have too many reminders");
}

#[test]
fn one_port_serves_websocket_and_lines() {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    let server = TestServer::start(config(1), one_port::Echo);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, handle) = (
        listener.local_addr().expect("an address"),
        server.handle.clone(),
    );
    let serving = std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            one_port::serve(stream.expect("a client"), &handle).expect("a protocol");
        }
    });
    let mut client = Client::connect(address).upgraded("/");
    client.text("a message");
    assert_eq!(client.read_text(), "a message");
    let mut lines = TcpStream::connect(address).expect("the listener listens");
    lines.write_all(b"one\ntwo\n").expect("it reads");
    lines
        .shutdown(std::net::Shutdown::Write)
        .expect("an open socket");
    let mut answer = String::new();
    lines.read_to_string(&mut answer).expect("it writes");
    assert_eq!(answer, "one\ntwo\n");
    serving.join().expect("both were served");
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
