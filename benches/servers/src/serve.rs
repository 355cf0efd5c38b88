//! One thread that accepts connections and runs a task for each.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, unconstrained};

use crate::arguments::{Arguments, announce};

/// Serves until the process ends. `start` is called once, on the thread, and returns the
/// function that is called for each connection.
pub fn serve<Start, Connection, Task>(start: Start) -> io::Result<()>
where
    Start: FnOnce(Mode) -> Connection,
    Connection: Fn(TcpStream) -> Task,
    Task: Future<Output = ()> + 'static,
{
    serve_modes(&["broadcast", "echo"], |mode| {
        start(match mode {
            "echo" => Mode::Echo,
            _ => Mode::Broadcast,
        })
    })
}

/// The same with other modes: `start` receives the mode of the command line.
///
/// The tasks are unconstrained, as tokio-websockets' documentation recommends for programs
/// that mostly wait for sockets: a task yields when there is nothing to read.
pub fn serve_modes<Start, Connection, Task>(modes: &[&str], start: Start) -> io::Result<()>
where
    Start: FnOnce(&str) -> Connection,
    Connection: Fn(TcpStream) -> Task,
    Task: Future<Output = ()> + 'static,
{
    let arguments = Arguments::from_command_line(modes);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = listen(arguments.port)?;
        announce(listener.local_addr()?);
        let connection = start(&arguments.mode);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            spawn_local(unconstrained(connection(stream)));
        }
    })
}

/// The reaction to a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Send it to all clients.
    Broadcast,
    /// Send it back.
    Echo,
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(4096)
}
