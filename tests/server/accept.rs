//! One listener for all workers ([`Accept::Shared`]), for systems whose kernel does not distribute
//! connections among several listeners.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use yamabiko::server::{Accept, Config};
use yamabiko_testing::socket::{Client, GET, Report, Running, bounded, config, in_time};

fn shared(workers: usize) -> Config {
    Config {
        accept: Accept::Shared,
        ..config(workers)
    }
}

/// The number of these connections that each worker serves.
fn clients_of_workers(workers: usize, clients: &mut [Client]) -> Vec<usize> {
    let mut counts = vec![0; workers];
    for client in clients {
        counts[client.worker()] += 1;
    }
    counts
}

#[test]
fn shared_listener_gives_each_worker_the_same_number_of_connections() {
    for workers in [1, 2, 3] {
        let server = Running::start(shared(workers));
        let open = |_| Client::open(server.address);
        let mut clients: Vec<Client> = (0..10 * workers).map(open).collect();
        let counts = clients_of_workers(workers, &mut clients);
        assert_eq!(counts, vec![10; workers]);
    }
}

#[test]
fn shared_listener_gives_each_worker_its_share_of_a_burst() {
    const WORKERS: usize = 3;
    const BURST: usize = 240;
    let server = Running::start(shared(WORKERS));
    // All connections are in the listener's backlog before the first one is accepted.
    let mut first = Client::open(server.address);
    assert_eq!(first.worker(), 0);
    let lock = server.worker_lock.lock().expect("no thread panics");
    first.text("/wait-for-lock");
    server.wait_for_report(|report| *report == Report::WaitsForLock);
    let connect = |_| Client::connect(server.address);
    let clients: Vec<Client> = (0..BURST).map(connect).collect();
    drop(lock);
    let mut clients: Vec<Client> = clients
        .into_iter()
        .map(|client| client.upgraded("/"))
        .collect();
    let counts = clients_of_workers(WORKERS, &mut clients);
    assert_eq!(counts, [BURST / WORKERS; WORKERS]);
}

#[test]
fn clients_of_a_shared_listener_share_rooms_across_workers() {
    const WORKERS: usize = 3;
    let server = Running::start(shared(WORKERS));
    let mut subscribers = server.subscriber_of_each_worker(WORKERS, "hall");
    for sender in 0..WORKERS {
        subscribers[sender].text("/publish hall good morning");
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.read_text(), "good morning");
        }
    }
}

#[test]
fn connection_for_a_worker_whose_mailbox_is_full_is_served_by_the_first() {
    let server = Running::start(Config {
        mailbox_capacity: 1,
        ..shared(2)
    });
    let mut clients = [(); 2].map(|()| Client::open(server.address));
    let lock = server.worker_lock.lock().expect("no thread panics");
    clients[1].text("/wait-for-lock");
    server.wait_for_report(|report| *report == Report::WaitsForLock);
    let mut second = Client::open(server.address);
    assert_eq!(second.worker(), 0);
    // It waits in the other worker's mailbox, which is full now.
    let waiting = Client::connect(server.address);
    let mut more = [(); 4].map(|()| Client::open(server.address));
    assert_eq!(clients_of_workers(2, &mut more), [4, 0]);
    drop(lock);
    assert_eq!(waiting.upgraded("/").worker(), 1);
}

#[test]
fn shutdown_with_a_shared_listener_closes_every_connection_and_accepts_no_more() {
    const WORKERS: usize = 3;
    let mut server = Running::start(shared(WORKERS));
    let mut clients: Vec<Client> = (0..2 * WORKERS)
        .map(|_| Client::open(server.address))
        .collect();
    server.shutdown();
    for client in &mut clients {
        assert_eq!(client.read_close().0, 1001);
        client.close(1001, "");
        client.expect_end();
    }
    drop(clients);
    server
        .join()
        .expect("no handler panics")
        .expect("polling does not fail");
    let refused = TcpStream::connect(server.address).expect_err("no server listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn connection_handed_over_to_a_stopping_worker_is_closed() {
    let mut server = Running::start(shared(2));
    let mut clients = [(); 2].map(|()| Client::open(server.address));
    let lock = server.worker_lock.lock().expect("no thread panics");
    clients[1].text("/wait-for-lock");
    server.wait_for_report(|report| *report == Report::WaitsForLock);
    let streams: Vec<TcpStream> = (0..8)
        .map(|_| bounded(TcpStream::connect(server.address).expect("the server listens")))
        .collect();
    let mut last = Client::open(server.address);
    assert_eq!(last.worker(), 0);
    server.shutdown();
    drop(lock);
    for (number, mut stream) in streams.into_iter().enumerate() {
        // The first worker may be quick enough to respond. Every other connection waits for the
        // second worker, which was blocked: it ends, or is reset because the request was not read.
        let _ = stream.write_all(GET.as_bytes());
        let mut response = Vec::new();
        if let Err(error) = stream.read_to_end(&mut response) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        assert!(number % 2 == 0 || response.is_empty(), "{number}");
    }
    for client in clients.iter_mut().chain([&mut last]) {
        let close = in_time("a Close", || Some(client.read_until_close()));
        assert_eq!(close.0, 1001);
        client.close(1001, "");
    }
    drop((clients, last));
    server
        .join()
        .expect("no handler panics")
        .expect("polling does not fail");
}

#[test]
fn many_threads_that_connect_at_once_are_all_served() {
    const WORKERS: usize = 2;
    const THREADS: usize = 8;
    const EACH: usize = 25;
    let server = Running::start(shared(WORKERS));
    let address = server.address;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(move || {
                for _ in 0..EACH {
                    let mut client = Client::open(address);
                    client.text("echo");
                    assert_eq!(client.read_text(), "echo");
                    client.close(1000, "");
                    assert_eq!(client.read_close().0, 1000);
                    client.expect_end();
                }
            });
        }
    });
}
