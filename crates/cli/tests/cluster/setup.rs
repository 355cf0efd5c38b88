//! The set-up of `docs/cluster.md`, as it stands there: three nodes, HAProxy, Redis. Addresses and paths are replaced by those of the
//! test.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};

use yamabiko::client::Client;
use yamabiko::tls::ClientTls;
use yamabiko::websocket::OwnedMessage;
use yamabiko_testing::port::ReservedPort;
use yamabiko_testing::redis::Redis;
use yamabiko_testing::tls::Folder;
use yamabiko_testing::waiting::{TIMEOUT, eventually};

use crate::nodes::Node;

/// A block of the page, by the comment in front of it.
pub fn block(kind: &str, name: &str) -> String {
    let page = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/cluster.md"
    ));
    let page = page.expect("the page");
    let (_, behind) = page
        .split_once(&format!("<!-- {kind}: {name} -->\n```"))
        .expect("the block");
    let (_, text) = behind.split_once('\n').expect("the language");
    let (text, _) = text.split_once("```\n").expect("the end of the block");
    text.to_owned()
}

/// The text with each of these replaced. Each is there.
fn replaced(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements
        .iter()
        .fold(text.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}: {text}");
            text.replace(from, to)
        })
}

struct HaProxy(Child);

impl HaProxy {
    /// `None`: there is no such program.
    fn start(file: &str) -> Option<HaProxy> {
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("haproxy")
            .env("PATH", format!("{path}:/usr/sbin"))
            .args(["-db", "-f", file])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(HaProxy(child)),
            Err(error) => {
                let needed = std::env::var_os("TEST_NEEDS_REDIS").is_some();
                assert!(!needed, "haproxy cannot be started: {error}");
                eprintln!("skipped: haproxy cannot be started on this host: {error}");
                None
            }
        }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The options of a configuration file of Redis, without the address.
fn redis_options(file: &str) -> Vec<String> {
    let lines = file
        .lines()
        .filter(|line| !line.starts_with("bind ") && !line.starts_with("port "));
    let options = lines.flat_map(|line| {
        let mut words = line.split(' ');
        let name = words.next().map(|name| format!("--{name}"));
        name.into_iter().chain(words.map(str::to_owned))
    });
    options.collect()
}

fn read(client: &mut Client) -> Option<String> {
    match client.read() {
        Ok(Some(OwnedMessage::Text(text))) => Some(text),
        _ => None,
    }
}

/// The set-up of the page, with its nodes one, two and three.
pub struct SetUp<N> {
    pub nodes: Vec<N>,
    _proxy: HaProxy,
    _redis: Redis,
    _files: Folder,
    tls: ClientTls,
    port: ReservedPort,
    /// Of the nodes. They are reserved for as long as the nodes run.
    _ports: [[ReservedPort; 3]; 2],
}

impl<N> SetUp<N> {
    /// `name`: of the test. `start` starts a node by the page's command. It gets a function that puts the node's address and paths into a text of the page. `None`:
    /// this host does not have the programs.
    pub fn start(name: &str, start: impl Fn(&dyn Fn(&str) -> String) -> N) -> Option<SetUp<N>> {
        let options = redis_options(&block("file", "redis"));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let redis = Redis::start(&options)?;
        let files = Folder::new(name);
        files.issue("chat.example.org");
        let issued = files.authority.issue(&["chat.example.org"]);
        files.write("both.pem", &format!("{}{}", issued.certificate, issued.key));
        files.write("redis-password", "long-and-random\n");
        files.write("session-key", "a random text of more than 32 bytes\n");

        let port = ReservedPort::new();
        let ports: [ReservedPort; 3] = std::array::from_fn(|_| ReservedPort::new());
        let operators: [ReservedPort; 3] = std::array::from_fn(|_| ReservedPort::new());
        let configuration = replaced(
            &block("file", "haproxy"),
            &[
                (":443", &local(&port)),
                (
                    "/etc/ssl/chat.example.org.both.pem",
                    &files.file("both.pem"),
                ),
                ("10.0.0.11:8080", &local(&ports[0])),
                ("10.0.0.12:8080", &local(&ports[1])),
                ("10.0.0.13:8080", &local(&ports[2])),
            ],
        );
        files.write("haproxy.cfg", &configuration);
        let nodes = [("one", 0), ("two", 1), ("three", 2)].map(|(name, index)| {
            let file = replaced(
                &block("file", "node"),
                &[
                    ("10.0.0.11:8080", &local(&ports[index])),
                    ("127.0.0.1:9100", &local(&operators[index])),
                    ("10.0.0.4", "127.0.0.1"),
                    ("redis://10.0.0.5:6379", &redis.url()),
                    (
                        "/etc/yamabiko/redis-password",
                        &files.file("redis-password"),
                    ),
                    ("/etc/yamabiko/session-key", &files.file("session-key")),
                    ("\"one\"", &format!("{name:?}")),
                    ("drain = 10", "drain = 2"),
                ],
            );
            let name = format!("{name}.toml");
            files.write(&name, &file);
            start(&|text| {
                text.replace("/etc/yamabiko/yamabiko.toml", &files.file(&name))
                    .replace("127.0.0.1:9100", &local(&operators[index]))
            })
        });
        Some(SetUp {
            nodes: nodes.into(),
            port,
            _ports: [ports, operators],
            tls: ClientTls::authorities(files.authority.pem().as_bytes()).expect("an authority"),
            _proxy: HaProxy::start(&files.file("haproxy.cfg"))?,
            _files: files,
            _redis: redis,
        })
    }

    /// Connects clients through the proxy.
    pub fn door(&self) -> Door {
        Door {
            port: self.port.number(),
            tls: self.tls.clone(),
        }
    }
}

/// The proxy as clients see it.
#[derive(Clone)]
pub struct Door {
    port: u16,
    tls: ClientTls,
}

impl Door {
    /// `None`: the proxy has no server for the client now.
    pub fn connect(&self, path: &str, subprotocol: Option<&str>) -> Option<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let url = format!("wss://chat.example.org{path}");
        let client = Client::builder(&url)
            .tls(self.tls.clone())
            .read_timeout(TIMEOUT);
        let client = match subprotocol {
            Some(name) => client.subprotocol(name),
            None => client,
        };
        client.connect_on(stream).ok()
    }
}

fn local(port: &ReservedPort) -> String {
    port.address().to_string()
}

#[test]
fn set_up_of_the_page_serves_one_room_and_goes_on_without_one_of_its_nodes() {
    let start =
        |placed: &dyn Fn(&str) -> String| Node::start_command(&placed(&block("command", "node")));
    let Some(mut set_up) = SetUp::start("cluster", start) else {
        return;
    };
    let door = set_up.door();
    let connect = || door.connect("/broadcast/hall", None);
    let mut clients = Vec::new();
    eventually("the proxy has servers", TIMEOUT, || {
        clients.extend(connect());
        clients.len() == 6
    });
    for (number, client) in clients.iter_mut().enumerate() {
        let hello = format!("hello {number}");
        client.send(hello.as_str()).expect("it is open");
        eventually("its own copy", TIMEOUT, || {
            read(client).as_deref() == Some(&hello)
        });
    }
    clients[0].send("one order").expect("it is open");
    for client in &mut clients {
        eventually("all have it", TIMEOUT, || {
            read(client).as_deref() == Some("one order")
        });
    }

    set_up.nodes[1].kill();
    // The members of that node come back to the others.
    let is_there =
        |client: &mut Client| client.send("still here").is_ok() && read(client).is_some();
    let there = clients
        .iter_mut()
        .map(is_there)
        .filter(|&there| there)
        .count();
    assert!(
        there >= 4,
        "two of six were on the node that was killed: {there}"
    );
    let mut back = None;
    eventually("the proxy has another server", TIMEOUT, || {
        back = connect();
        back.is_some()
    });
    let mut back = back.expect("a client");
    back.send("back").expect("it is open");
    eventually("its own copy", TIMEOUT, || {
        read(&mut back).as_deref() == Some("back")
    });
}
