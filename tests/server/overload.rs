//! The memory budget: who ends when it is exceeded, and that everyone else goes on.

use std::io::Write;
use std::time::Duration;
use yamabiko::server::{Config, LagPolicy};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, GET, LOOP_TIMEOUT, Report, Running, TIMEOUT, config, eventually, frame,
    with_1_and_3_workers,
};

const BUDGET: usize = 4 << 20;

fn with_budget(config: Config) -> Config {
    Config {
        memory_bytes_max: Some(BUDGET),
        lag_policy: LagPolicy {
            bytes_max: 64 << 20,
            age_max: None,
            ..LagPolicy::default()
        },
        close_timeout: Duration::from_millis(100),
        ..config
    }
}

/// A message of 1 MiB in two parts, of which the first holds all of the memory.
fn parts() -> (Vec<u8>, Vec<u8>) {
    let mut first = frame(Opcode::Binary, &[0xda; 1 << 20]);
    let rest = first.split_off(900_000);
    (first, rest)
}

#[test]
fn unfinished_messages_beyond_the_budget_end_with_1013_and_everyone_else_goes_on() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_budget(config));
        let mut witness = Client::open(server.address);
        let (first, rest) = parts();
        let mut clients: Vec<Client> = (0..4).map(|_| Client::open(server.address)).collect();
        clients.iter_mut().for_each(|client| client.send(&first));
        eventually("the budget is used up", TIMEOUT, || {
            server.handle.held_bytes() == BUDGET
        });
        assert_eq!(server.handle.metrics().closed, 0, "at the budget");
        witness.send(&first);
        let reason = "the server has no memory left".to_owned();
        match server.next_closed() {
            Report::Closed { failure, .. } => assert_eq!(failure, Some(reason.clone())),
            other => panic!("{other:?}"),
        }
        // What was freed may be in use again at once: the parts of four clients fill the budget.
        clients.push(witness);
        let mut ended = 0;
        for mut client in clients {
            // An ended client may have been reset meanwhile.
            let sent = std::io::Write::write_all(&mut client.stream, &rest);
            if sent.is_ok() && client.stream.peek(&mut [0]).is_ok() {
                let reply = client.read_frame();
                if reply.opcode == Opcode::Binary {
                    assert_eq!(reply.payload.len(), 1 << 20);
                    client.text("still here");
                    assert_eq!(client.read_text(), "still here");
                    continue;
                }
                assert_eq!(reply.opcode, Opcode::Close);
                assert_eq!(reply.payload[..2], 1013_u16.to_be_bytes());
            }
            ended += 1;
        }
        assert!((1..=3).contains(&ended), "{ended} of 5 had to end");
    });
}

#[test]
fn new_connections_get_503_while_the_budget_is_nearly_used() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_budget(config));
        let (first, _) = parts();
        let mut clients: Vec<Client> = (0..4).map(|_| Client::open(server.address)).collect();
        clients.iter_mut().for_each(|client| client.send(&first));
        eventually("the budget is used up", TIMEOUT, || {
            server.handle.held_bytes() == BUDGET
        });
        let status = || {
            let mut client = Client::connect(server.address);
            client.send(GET);
            let response = client.read_response();
            (response.status, response.field("Retry-After").is_some())
        };
        assert_eq!(status(), (503, true));
        drop(clients);
        eventually("new connections are served", TIMEOUT, || {
            status() == (404, false)
        });
        eventually("the memory is free", TIMEOUT, || {
            server.handle.held_bytes() == 0
        });
    });
}

#[test]
fn unfinished_messages_that_stand_still_make_room_for_new_connections() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_budget(config));
        let mut witness = Client::open(server.address);
        let (first, _) = parts();
        let mut clients: Vec<Client> = (0..4).map(|_| Client::open(server.address)).collect();
        clients.iter_mut().for_each(|client| client.send(&first));
        eventually("the budget is used up", TIMEOUT, || {
            server.handle.held_bytes() == BUDGET
        });
        let status = |request: &str| {
            let mut client = Client::connect(server.address);
            client.send(request);
            client.read_response().status
        };
        // The memory is within the budget, and nobody sends anything more.
        assert_eq!(status(GET), 503);
        assert_eq!(status(&GET.replace(" / ", " /health ")), 200);
        eventually("new connections are served", TIMEOUT, || status(GET) == 404);
        match server.next_closed() {
            Report::Closed { failure, .. } => {
                assert_eq!(failure.as_deref(), Some("the server has no memory left"));
            }
            other => panic!("{other:?}"),
        }
        assert!(server.handle.held_bytes() < BUDGET - BUDGET / 8);
        let mut newcomer = Client::open(server.address);
        for client in [&mut witness, &mut newcomer] {
            client.text("still here");
            assert_eq!(client.read_text(), "still here");
        }
        assert!(server.handle.metrics().closed < 4, "not all have to end");
    });
}

#[test]
fn slowest_subscriber_ends_when_the_budget_is_exceeded_and_the_others_receive_everything() {
    with_1_and_3_workers(|config| {
        let server = Running::start(with_budget(config));
        let mut slow = Client::open_narrow(server.address);
        slow.join("valley");
        let mut reader = Client::open(server.address);
        reader.join("valley");
        let mut publisher = Client::open(server.address);
        let clients = [&mut publisher, &mut reader];
        let what = "the slow subscriber is closed";
        let published = server.publish_until("valley", clients, what, |handle| {
            handle.metrics().disconnected == 1
        });
        assert!(published * 100_000 > BUDGET as u64);
        match server.next_closed() {
            Report::Closed { failure, .. } => {
                assert_eq!(failure.as_deref(), Some("the server has no memory left"));
            }
            other => panic!("{other:?}"),
        }
        publisher.text("/publish valley goes on");
        assert_eq!(reader.read_text(), "goes on");
        eventually("the memory is free", TIMEOUT, || {
            server.handle.held_bytes() == 0
        });
    });
}

#[test]
fn longest_write_queue_ends_when_the_budget_is_exceeded() {
    let server = Running::start(Config {
        backlog_bytes_max: 16 << 20,
        ..with_budget(config(1))
    });
    let mut witness = Client::open(server.address);
    let mut slow = Client::open_narrow(server.address);
    slow.text("/flood 65536");
    match server.next_closed() {
        Report::Closed { failure, .. } => {
            assert_eq!(failure.as_deref(), Some("the server has no memory left"));
        }
        other => panic!("{other:?}"),
    }
    eventually("the memory is free", TIMEOUT, || {
        server.handle.held_bytes() == 0
    });
    witness.text("still here");
    assert_eq!(witness.read_text(), "still here");
    slow.expect_gone();
}

#[test]
fn without_a_budget_nobody_ends() {
    let server = Running::start(Config {
        memory_bytes_max: None,
        ..with_budget(config(1))
    });
    let (first, rest) = parts();
    let mut clients: Vec<Client> = (0..8).map(|_| Client::open(server.address)).collect();
    clients.iter_mut().for_each(|client| client.send(&first));
    eventually("all messages are there", TIMEOUT, || {
        server.handle.held_bytes() == 2 * BUDGET
    });
    for client in &mut clients {
        client.send(&rest);
        assert_eq!(client.read_frame().payload.len(), 1 << 20);
    }
}

#[test]
fn half_messages_of_many_clients_stay_within_the_budget_and_end_by_the_deadline_though_bytes_come()
{
    with_1_and_3_workers(|config| {
        const CLIENTS: u64 = 24;
        let workers = config.workers.get();
        let server = Running::start(Config {
            message_timeout: Some(Duration::from_millis(300)),
            message_bytes_per_second_min: 1 << 20,
            ..with_budget(config)
        });
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::open(server.address)).collect();
        let half = &frame(Opcode::Binary, &[0xda; 1 << 20])[..512 << 10];
        // 12 MiB, with a budget of 4. A client that has ended takes no more.
        for client in &mut clients {
            let _ = client.stream.write_all(half);
        }
        // What a worker reads before it looks at the sum again.
        let held_max = BUDGET + workers * (1 << 20);
        eventually("all have ended", LOOP_TIMEOUT, || {
            for client in &mut clients {
                let _ = client.stream.write(&[0xda]);
            }
            let held = server.handle.held_bytes();
            assert!(held <= held_max, "{held} bytes are held");
            server.handle.metrics().closed == CLIENTS
        });
        eventually("all is free", TIMEOUT, || server.handle.held_bytes() == 0);
        let mut fresh = Client::open(server.address);
        fresh.text("served");
        assert_eq!(fresh.read_text(), "served");
    });
}
