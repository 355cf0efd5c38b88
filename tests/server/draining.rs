//! The end of a server over a time: what clients receive, what is served until then, and how ends are counted.

use std::net::TcpStream;
use std::time::Duration;
use yamabiko::server::{Accept, Config, ServerHandle};
use yamabiko::websocket::frame::Opcode;
use yamabiko_testing::socket::{
    Client, GET, LOOP_TIMEOUT, Report, Running, TIMEOUT, config, eventually, with_1_and_3_workers,
};

/// A window that is over before a test times out.
const SHORT: Duration = Duration::from_millis(200);
/// A window that does not end during a test.
const LONG: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn server_ends(server: &mut Running) {
    let ended = server.join().expect("the server has no fault");
    ended.expect("polling does not fail");
}

/// Waits until every worker has stopped accepting.
fn stops_accepting(server: &Running) {
    eventually("no server listens any more", TIMEOUT, || {
        TcpStream::connect(server.address).is_err()
    });
}

fn accepted(server: &Running, connections: u64) {
    eventually("the connections are accepted", TIMEOUT, || {
        server.handle.metrics().accepted >= connections
    });
}

#[test]
fn drain_closes_every_connection_with_1001_and_counts_them() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(config);
        let mut clients: Vec<_> = (0..30).map(|_| Client::open(server.address)).collect();
        assert!(server.handle.is_ready());
        server.handle.drain(SHORT);
        assert!(!server.handle.is_ready());
        for client in &mut clients {
            assert_eq!(client.read_close(), (1001, "the server is stopping".into()));
            client.close(1001, "");
            client.expect_end();
        }
        drop(clients);
        server_ends(&mut server);
        let drained = server.handle.drained();
        assert_eq!((drained.closed, drained.lost, drained.cut), (30, 0, 0));
    });
}

#[test]
fn drain_for_a_successor_closes_with_1012() {
    with_1_and_3_workers(|config| {
        let server = Running::start(config);
        let mut clients: Vec<_> = (0..6).map(|_| Client::open(server.address)).collect();
        server.handle.drain_for_successor(Duration::ZERO);
        for client in &mut clients {
            let expected = (1012, "the server is restarting".to_owned());
            assert_eq!(client.read_close(), expected);
            client.close(1012, "");
            client.expect_end();
        }
    });
}

#[test]
fn connections_are_served_until_their_close_is_due() {
    with_1_and_3_workers(|config| {
        let workers = config.workers.get();
        let mut server = Running::start(config);
        let mut members = server.subscriber_of_each_worker(workers, "hall");
        server.handle.drain(LONG);
        stops_accepting(&server);
        // Also in rooms that another worker orders, though it may have no connection of its own.
        for sender in 0..workers {
            members[sender].text("/publish hall still here");
            for member in &mut members {
                assert_eq!(member.read_text(), "still here");
            }
        }
        server.shutdown();
        for member in &mut members {
            assert_eq!(member.read_close(), (1001, "the server is stopping".into()));
            member.close(1001, "");
        }
        drop(members);
        server_ends(&mut server);
    });
}

#[test]
fn room_is_ordered_by_its_owner_also_when_the_owner_has_no_connection_left() {
    const WORKERS: usize = 3;
    let mut server = Running::start(config(WORKERS));
    let mut clients = server.clients_of_each_worker(WORKERS, 1);
    server.handle.drain(LONG);
    stops_accepting(&server);
    let mut member = clients[0].pop().expect("a client of the first worker");
    clients.clear();
    eventually("the others have ended", TIMEOUT, || {
        let metrics = server.handle.metrics();
        metrics.opened - metrics.closed == 1
    });
    // Their owners are all workers.
    for room in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        member.join(room);
        member.text(&format!("/publish {room} echo"));
        assert_eq!(member.read_text(), "echo");
    }
    server.shutdown();
    member.read_close();
    member.close(1001, "");
    drop(member);
    server_ends(&mut server);
}

#[test]
fn accepted_connection_gets_its_first_response_which_is_the_last() {
    with_1_and_3_workers(|config| {
        for drain in [
            (|handle| handle.drain(LONG)) as fn(&ServerHandle),
            |handle| handle.drain_for_successor(Duration::ZERO),
        ] {
            let mut server = Running::start(config.clone());
            let mut http = Client::connect(server.address);
            let upgrade = Client::connect(server.address);
            accepted(&server, 2);
            drain(&server.handle);
            stops_accepting(&server);
            http.send("GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let response = http.read_response();
            assert_eq!(response.field("Connection"), Some("close"));
            http.expect_end();
            let mut client = upgrade.upgraded("/");
            client.text("served");
            // Its window may be over.
            match client.read_frame().opcode {
                Opcode::Text => {
                    server.shutdown();
                    client.read_until_close();
                }
                opcode => assert_eq!(opcode, Opcode::Close),
            }
            client.close(1001, "");
            drop((client, http));
            server_ends(&mut server);
        }
    });
}

#[test]
fn connection_handed_over_to_a_draining_worker_is_served() {
    let mut server = Running::start(Config {
        accept: Accept::Shared,
        ..config(2)
    });
    let mut clients = [(); 2].map(|()| Client::open(server.address));
    let lock = server.worker_lock.lock().expect("no thread panics");
    clients[1].text("/wait-for-lock");
    server.wait_for_report(|report| *report == Report::WaitsForLock);
    let mut more: Vec<_> = (0..8).map(|_| Client::connect(server.address)).collect();
    // The other half waits in the mailbox of the second worker.
    accepted(&server, 2 + 4);
    server.handle.drain_for_successor(Duration::ZERO);
    drop(lock);
    for client in &mut more {
        client.send(GET);
        assert!(client.read_head().starts_with("HTTP/1.1 404 "));
    }
    for client in &mut clients {
        assert_eq!(client.read_until_close().0, 1012);
        client.close(1012, "");
    }
    drop((more, clients));
    server_ends(&mut server);
}

#[test]
fn http_connection_between_two_requests_ends_with_fin() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(config);
        let mut client = Client::connect(server.address);
        client.send(GET);
        client.read_one_response(false);
        server.handle.drain(SHORT);
        client.expect_end();
        drop(client);
        server_ends(&mut server);
        assert_eq!(server.handle.drained(), Default::default());
    });
}

#[test]
fn request_that_is_not_whole_at_the_end_is_cut() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(Config {
            drain_timeout: SHORT,
            ..config
        });
        let mut half = Client::connect(server.address);
        half.send("GET / HTTP/1.1\r\n");
        let silent = Client::connect(server.address);
        accepted(&server, 2);
        server.handle.drain(SHORT);
        server_ends(&mut server);
        let drained = server.handle.drained();
        assert_eq!((drained.closed, drained.lost, drained.cut), (0, 0, 1));
        drop((half, silent));
    });
}

#[test]
fn client_that_does_not_answer_is_cut_after_the_drain_timeout() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(Config {
            drain_timeout: SHORT,
            ..config
        });
        let mut mute = Client::open(server.address);
        server.handle.drain(Duration::ZERO);
        server_ends(&mut server);
        assert_eq!(mute.read_close().0, 1001);
        let drained = server.handle.drained();
        assert_eq!((drained.closed, drained.lost, drained.cut), (0, 0, 1));
    });
}

#[test]
fn client_that_vanishes_is_lost() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(config);
        let mut vanishing = Client::open(server.address);
        server.handle.drain(Duration::ZERO);
        vanishing.read_close();
        drop(vanishing);
        server_ends(&mut server);
        let drained = server.handle.drained();
        assert_eq!((drained.closed, drained.lost, drained.cut), (0, 1, 0));
    });
}

#[test]
fn cut_ends_every_connection_at_once() {
    with_1_and_3_workers(|config| {
        let mut server = Running::start(config);
        let mut clients: Vec<_> = (0..6).map(|_| Client::open(server.address)).collect();
        server.handle.drain(LONG);
        server.handle.cut();
        for client in &mut clients {
            client.expect_gone();
        }
        server_ends(&mut server);
        assert_eq!(server.handle.drained().cut, 6);
    });
}

#[test]
fn lag_policy_holds_during_a_drain() {
    let server = Running::start(config(1));
    let [mut publisher, mut slow] = [(); 2].map(|()| Client::open(server.address));
    slow.join("hall");
    server.handle.drain(LONG);
    stops_accepting(&server);
    eventually("the slow subscriber is disconnected", LOOP_TIMEOUT, || {
        publisher.text("/publish-bytes 10 hall");
        server.handle.metrics().disconnected == 1
    });
}
