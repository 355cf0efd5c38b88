//! An echo server on `fastwebsockets` and hyper, as its example. Prints its URL.

use std::future::ready;
use std::io;

use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    yamabiko_peers::serve(connection).await
}

async fn connection(stream: TcpStream) {
    let service = service_fn(|mut request: Request<Incoming>| {
        let upgraded = upgrade(&mut request);
        ready(upgraded.map(|(response, socket)| {
            tokio::spawn(echo(socket));
            response
        }))
    });
    let http = http1::Builder::new();
    // Every ending is the end of the client.
    let _ = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn echo(socket: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(socket.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
