//! A chat in one room: each message goes to all others.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --example chat -- 127.0.0.1:9001
//! ```

use std::error::Error;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::broadcast::{self, Sender, error::RecvError};
use yamabiko_tokio::yamabiko::websocket::CloseCode;

/// A message, and the number of the member who has sent it.
pub type Sent = (u64, Arc<str>);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001")).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let room = Sender::new(100);
    for member in 0.. {
        let (stream, _) = listener.accept().await?;
        let room = room.clone();
        tokio::spawn(async move {
            if let Err(error) = join(member, stream, room).await {
                println!("member {member}: {error}");
            }
        });
    }
    Ok(())
}

/// `select!` drops the future that is not ready. Neither a message that is being read nor one in
/// the room is lost by that.
pub async fn join(
    member: u64,
    stream: TcpStream,
    room: Sender<Sent>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut socket = yamabiko_tokio::accept(stream).await?;
    let mut messages = broadcast::Sender::subscribe(&room);
    loop {
        select! {
            read = socket.read() => match read? {
                Some(message) => _ = room.send((member, message.to_string().into())),
                None => return Ok(()),
            },
            sent = messages.recv() => match sent {
                Ok((sender, text)) if sender != member => {
                    socket.send(format!("{sender}: {text}")).await?;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => {
                    let reason = format!("{count} messages behind");
                    socket.close((CloseCode::TRY_AGAIN_LATER, reason)).await?;
                    return Ok(());
                }
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}
