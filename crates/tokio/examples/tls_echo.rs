//! An echo server over TLS. New certificates are read when the program starts; `ServerTls::replace` changes them while it runs.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --features tls --example tls_echo -- cert.pem key.pem 127.0.0.1:9443
//! ```

use std::error::Error;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use yamabiko_tokio::Acceptor;
use yamabiko_tokio::yamabiko::tls::{Certificate, ServerTls};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [certificate, key, address] = &arguments[..] else {
        return Err("usage: tls_echo CERTIFICATE KEY IP:PORT".into());
    };
    let certificate = Certificate::from_pem(&std::fs::read(certificate)?, &std::fs::read(key)?)?;
    let tls = TlsAcceptor::from(ServerTls::new(vec![certificate])?.rustls_config());
    let listener = TcpListener::bind(address).await?;
    println!("listening on wss://{}/", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let tls = tls.clone();
        tokio::spawn(async move {
            if let Err(error) = echo(&tls, stream).await {
                println!("{peer}: {error}");
            }
        });
    }
}

async fn echo(tls: &TlsAcceptor, stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(stream).await?;
    let mut socket = Acceptor::new().accept(stream).await?;
    while let Some(message) = socket.read().await? {
        socket.send(message).await?;
    }
    Ok(())
}
