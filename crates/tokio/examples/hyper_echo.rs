//! An echo in a server of hyper.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --features hyper --example hyper_echo -- 127.0.0.1:9001
//! ```

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use yamabiko_tokio::Acceptor;
use yamabiko_tokio::hyper::{Upgrading, upgrade};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9001");
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(serve))
                .with_upgrades();
            if let Err(error) = connection.await {
                println!("{error}");
            }
        });
    }
}

/// Answers a request; one for a WebSocket gets an echo.
pub async fn serve(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match upgrade(&mut request, &Acceptor::new()) {
        Ok((response, socket)) => {
            tokio::spawn(echo(socket));
            response.map(|()| Full::default())
        }
        Err(refusal) => refusal.to_http().map(Full::from),
    })
}

async fn echo(socket: Upgrading) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut socket = socket.await?;
    while let Some(message) = socket.read().await? {
        socket.send(message).await?;
    }
    Ok(())
}
