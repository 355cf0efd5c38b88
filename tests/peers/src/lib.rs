//! A listener for the echo servers on tokio.

use std::future::Future;
use std::io;

use tokio::net::{TcpListener, TcpStream};

/// Prints the URL, and runs a task for each connection.
///
/// # Errors
/// Those of the operating system.
pub async fn serve<Task>(connection: impl Fn(TcpStream) -> Task) -> io::Result<()>
where
    Task: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream));
    }
}
