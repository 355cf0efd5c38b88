//! Several addresses, and Unix sockets: all workers serve them, and the limits hold for all together.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use yamabiko::server::{Accept, CannotListen, Config, ListenAddress, ListenAddresses, Server};
#[cfg(unix)]
use yamabiko::server::{ServerHandle, UnixListen};
use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::socket::{
    Application, Client, GET, Running, WorkerLock, config, with_1_and_3_workers,
};
#[cfg(unix)]
use yamabiko_testing::socket::{TIMEOUT, eventually, joined};

/// A free port of IPv4 and the same of IPv6, if this machine has both.
fn on_any_ports(count: usize) -> ListenAddresses {
    let any = || ListenAddress::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    (0..count).map(|_| any()).collect()
}

/// A folder for sockets, which is removed at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("yamabiko-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a temporary folder");
        Folder(path)
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ip(address: &ListenAddress) -> SocketAddr {
    match address {
        ListenAddress::Ip(address) => *address,
        other => panic!("{other} is no IP address"),
    }
}

#[test]
fn server_serves_every_address_that_it_listens_on() {
    for accept in [Accept::PerWorker, Accept::Shared] {
        with_1_and_3_workers(|config| {
            let server = Running::start(Config {
                listen: on_any_ports(3),
                accept,
                ..config
            });
            let addresses = server.addresses.as_slice();
            assert_eq!((addresses.len(), ip(&addresses[0])), (3, server.address));
            let open = |address| Client::open(ip(address)).joined_to("hall");
            let mut clients: Vec<Client> = addresses.iter().map(open).collect();
            clients[2].text("/publish hall to all");
            for client in &mut clients {
                assert_eq!(client.read_text(), "to all");
            }
        });
    }
}

#[test]
fn each_worker_gets_connections_of_each_address() {
    let server = Running::start(Config {
        listen: on_any_ports(2),
        accept: Accept::Shared,
        ..config(2)
    });
    for address in server.addresses.as_slice() {
        let mut pair = [(); 2].map(|()| Client::open(ip(address)).worker());
        pair.sort_unstable();
        assert_eq!(pair, [0, 1]);
    }
}

#[test]
fn ipv4_and_ipv6_can_have_the_same_port() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        // This machine has no IPv6.
        return;
    }
    let reserved = ReservedPort::new();
    let port = reserved.number();
    let listen = [format!("[::]:{port}"), format!("0.0.0.0:{port}")];
    let listen = listen.iter().map(|text| text.parse::<ListenAddress>());
    let listen: Result<ListenAddresses, _> = listen.collect();
    for workers in [1, 3] {
        let server = Running::start(Config {
            listen: listen.clone().expect("addresses"),
            ..config(workers)
        });
        for address in [format!("[::1]:{port}"), format!("127.0.0.1:{port}")] {
            let mut client = Client::open(address.parse().expect("an address"));
            client.text("echo");
            assert_eq!(client.read_text(), "echo");
        }
        drop(server);
    }
}

#[test]
fn address_that_cannot_be_bound_is_named_and_no_other_stays_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = ReservedPort::new();
    let free_address = ListenAddress::from(free.address());
    let taken_address = ListenAddress::from(taken.local_addr().expect("it is bound"));
    let config = Config {
        listen: [free_address.clone(), taken_address.clone()]
            .into_iter()
            .collect(),
        ..config(2)
    };
    let Err(error) = Server::bind(config, silent()) else {
        panic!("the port is in use");
    };
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let cause: &CannotListen = cause.expect("the address");
    assert_eq!(cause.address(), &taken_address);
    TcpListener::bind(free.address()).expect("it is free again");
}

/// An application that receives no requests.
fn silent() -> Application {
    Application::new(std::sync::mpsc::channel().0, WorkerLock::default())
}

#[test]
fn server_without_an_address_is_an_error() {
    let config = Config {
        listen: ListenAddresses::default(),
        ..config(1)
    };
    let result = Server::bind(config, silent());
    assert_eq!(
        result.err().map(|error| error.kind()),
        Some(ErrorKind::InvalidInput)
    );
}

#[test]
fn limit_of_connections_holds_for_all_listeners_and_workers_together() {
    for accept in [Accept::PerWorker, Accept::Shared] {
        for workers in [1, 3] {
            let server = Running::start(Config {
                listen: on_any_ports(3),
                accept,
                connections_max: 5,
                ..config(workers)
            });
            let addresses: Vec<_> = server.addresses.as_slice().iter().map(ip).collect();
            let open = |index: usize| Client::open(addresses[index % 3]);
            let opened: Vec<Client> = (0..5).map(open).collect();
            for _ in 0..4 {
                for address in &addresses {
                    let mut client = Client::connect(*address);
                    client.send(GET);
                    let response = client.read_response();
                    assert_eq!(response.status, 503);
                    assert!(response.head.contains("\r\nRetry-After: "));
                }
            }
            drop(opened);
        }
    }
}

#[cfg(unix)]
#[test]
fn unix_socket_is_served_by_all_workers_beside_an_ip_address() {
    let folder = Folder::new("served");
    for (workers, name) in [(1, "one"), (3, "three")] {
        let path = folder.socket(name);
        let listen = [
            UnixListen::new(&path).into(),
            on_any_ports(1).as_slice()[0].clone(),
        ];
        let server = Running::start(Config {
            listen: listen.into_iter().collect(),
            ..config(workers)
        });
        assert_ne!(server.address.port(), 0);
        let mut clients: Vec<Client> = (0..workers)
            .map(|_| Client::connect_unix(&path).upgraded("/").joined_to("hall"))
            .collect();
        let mut served_by: Vec<_> = clients.iter_mut().map(Client::worker).collect();
        served_by.sort_unstable();
        assert!(served_by.into_iter().eq(0..workers));
        clients.push(Client::open(server.address).joined_to("hall"));
        clients[0].text("/publish hall over both");
        for client in &mut clients {
            assert_eq!(client.read_text(), "over both");
        }
    }
}

#[cfg(unix)]
#[test]
fn large_messages_pass_a_unix_socket_unchanged() {
    let folder = Folder::new("large");
    let path = folder.socket("x");
    let _server = Running::start(Config {
        listen: UnixListen::new(&path).into(),
        ..config(2)
    });
    let mut client = Client::connect_unix(&path).upgraded("/");
    let text = "やまびこ".repeat(80_000);
    for _ in 0..3 {
        client.text(&text);
        assert!(client.read_text() == text);
    }
}

#[cfg(unix)]
#[test]
fn client_of_a_unix_socket_has_no_address_and_no_limit_for_its_address() {
    let folder = Folder::new("address");
    let path = folder.socket("x");
    let _server = Running::start(Config {
        listen: UnixListen::new(&path).into(),
        connections_per_address: NonZeroUsize::new(1),
        ..config(2)
    });
    let clients: Vec<Client> = (0..5)
        .map(|_| Client::connect_unix(&path).upgraded("/"))
        .collect();
    let mut client = Client::connect_unix(&path);
    client.send(GET.replace("GET / ", "GET /peer "));
    assert_eq!(client.read_response().body, b"unix");
    drop(clients);
}

#[cfg(unix)]
#[test]
fn limit_of_connections_holds_for_unix_sockets() {
    let folder = Folder::new("limit");
    let path = folder.socket("x");
    for workers in [1, 3] {
        let server = Running::start(Config {
            listen: UnixListen::new(&path).into(),
            connections_max: 3,
            ..config(workers)
        });
        let opened: Vec<Client> = (0..3)
            .map(|_| Client::connect_unix(&path).upgraded("/"))
            .collect();
        for _ in 0..4 {
            let mut client = Client::connect_unix(&path);
            client.send(GET);
            assert_eq!(client.read_response().status, 503);
        }
        drop((opened, server));
    }
}

#[cfg(unix)]
#[test]
fn file_of_a_unix_socket_is_removed_when_the_server_begins_to_stop() {
    let folder = Folder::new("stop");
    let path = folder.socket("x");
    let mut server = Running::start(Config {
        listen: UnixListen::new(&path).into(),
        ..config(2)
    });
    let mut client = Client::connect_unix(&path).upgraded("/");
    server.shutdown();
    assert_eq!(client.read_close().0, 1001);
    // The client is open, and the worker with the listener may have its turn later.
    eventually("the file is removed", TIMEOUT, || !path.exists());
    client.close(1001, "");
    client.expect_end();
    drop(client);
    server
        .join()
        .expect("no handler panics")
        .expect("polling does not fail");
}

#[cfg(unix)]
#[test]
fn second_server_cannot_take_the_socket_of_the_first() {
    let folder = Folder::new("second");
    let config = || Config {
        listen: UnixListen::new(folder.socket("x")).into(),
        ..config(1)
    };
    let first = Server::bind(config(), silent()).expect("a free path");
    let second = Server::bind(config(), silent());
    assert_eq!(
        second.err().map(|error| error.kind()),
        Some(ErrorKind::AddrInUse)
    );
    drop(first);
    Server::bind(config(), silent()).expect("a free path");
}

#[cfg(unix)]
#[test]
fn server_that_ends_by_its_handle_frees_the_socket_for_the_next() {
    let folder = Folder::new("next");
    for _ in 0..3 {
        let config = Config {
            listen: UnixListen::new(folder.socket("x")).into(),
            ..config(2)
        };
        let server = Server::bind(config, silent()).expect("a free path");
        let handle: ServerHandle = server.handle();
        let thread = std::thread::spawn(move || server.run());
        handle.shutdown();
        joined("the server ends", thread).expect("polling does not fail");
    }
    assert!(!folder.socket("x").exists());
}
