//! A page and an echo on one port, with axum.
//!
//! ```sh
//! cargo run -p yamabiko-tokio --features axum --example axum_echo -- 127.0.0.1:9001
//! ```

use axum::response::{Html, Response};
use axum::{Router, routing::get};
use yamabiko_tokio::axum::WebSocketUpgrade;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9001");
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}/", listener.local_addr()?);
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/echo", get(echo));
    axum::serve(listener, app).await
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Ok(Some(message)) = socket.read().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

const PAGE: &str = "<!doctype html><title>Echo</title>\
    <form><input name=text><button>Send</button></form><pre></pre><script>
    const socket = new WebSocket('/echo'), [form] = document.forms;
    socket.onmessage = ({data}) => document.querySelector('pre').append(data + '\\n');
    form.onsubmit = event => (event.preventDefault(), socket.send(form.text.value), form.reset());
    </script>";
