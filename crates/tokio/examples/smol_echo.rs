//! An echo on smol: the traits of `futures-io`, and no runtime of tokio.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --features futures-io --example smol_echo -- 127.0.0.1:9001
//! ```

use std::error::Error;

use smol::net::{TcpListener, TcpStream};
use yamabiko_tokio::{Acceptor, FuturesIo, Timer};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9001").to_owned();
    smol::block_on(async move {
        let listener = TcpListener::bind(address).await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept().await?;
            smol::spawn(async move {
                if let Err(error) = echo(stream).await {
                    println!("{peer}: {error}");
                }
            })
            .detach();
        }
    })
}

async fn echo(stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let timer = Timer::new(|wait| Box::pin(async move { _ = smol::Timer::after(wait).await }));
    let acceptor = Acceptor::new().timer(timer);
    let mut socket = acceptor.accept(FuturesIo(stream)).await?;
    while let Some(message) = socket.read().await? {
        socket.send(message).await?;
    }
    Ok(())
}
