//! Connections that the server of hyper has upgraded from HTTP/1.1.
//!
//! ```no_run
//! use std::convert::Infallible;
//!
//! use http_body_util::Full;
//! use hyper::body::{Bytes, Incoming};
//! use hyper::service::service_fn;
//! use hyper::{Request, Response};
//! use hyper_util::rt::TokioIo;
//! use yamabiko_tokio::{Acceptor, hyper::upgrade};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
//!     loop {
//!         let (stream, _) = listener.accept().await?;
//!         let server = hyper::server::conn::http1::Builder::new();
//!         let connection = server.serve_connection(TokioIo::new(stream), service_fn(serve));
//!         tokio::spawn(connection.with_upgrades());
//!     }
//! }
//!
//! async fn serve(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     Ok(match upgrade(&mut request, &Acceptor::new()) {
//!         Ok((response, socket)) => {
//!             tokio::spawn(async move {
//!                 let mut socket = socket.await?;
//!                 while let Some(message) = socket.read().await? {
//!                     socket.send(message).await?; // an echo
//!                 }
//!                 Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//!             });
//!             response.map(|()| Full::default())
//!         }
//!         Err(refusal) => refusal.to_http().map(Full::from),
//!     })
//! }
//! ```
//!
//! It needs the crates `http-body-util`, `hyper` with the features `http1` and `server`, and `hyper-util` with the
//! feature `tokio`. Without `with_upgrades`, `socket` becomes an error.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use yamabiko::http::Refusal;
use yamabiko::websocket::handshake::{AcceptOptions, Accepted, OwnedRequest, Upgrade};

use crate::accept::Acceptor;
use crate::websocket::WebSocket;

/// A connection that hyper has upgraded.
pub type UpgradedWebSocket = WebSocket<TokioIo<Upgraded>>;

/// Accepts the opening handshake in a request. Returns the response to send, and a future of the
/// connection, which hyper completes when it has sent the response: await it in a task of its own.
///
/// # Errors
/// The [`Refusal`] to answer with: [`Refusal::to_http`] makes a response of it.
pub fn upgrade<B>(
    request: &mut Request<B>,
    acceptor: &Acceptor,
) -> Result<(Response<()>, Upgrading), Refusal> {
    upgrade_with(request, acceptor, |_, options| Ok(options))
}

/// As [`upgrade`], with a decision of the application ([`Acceptor::accept_with`]).
///
/// # Errors
/// As [`upgrade`].
pub fn upgrade_with<B>(
    request: &mut Request<B>,
    acceptor: &Acceptor,
    decide: impl for<'o> FnOnce(&Upgrade<'_>, AcceptOptions<'o>) -> Result<AcceptOptions<'o>, Refusal>,
) -> Result<(Response<()>, Upgrading), Refusal> {
    let on_upgrade = hyper::upgrade::on(&mut *request);
    let owned = OwnedRequest::try_from(&*request)?;
    let accepted = acceptor.decide(&Upgrade::check(&owned.head()?)?, decide)?;
    let response = accepted.to_http();
    let upgrading = Upgrading {
        on_upgrade,
        accepted,
        acceptor: acceptor.clone(),
    };
    Ok((response, upgrading))
}

/// The connection, when hyper has sent the response: [`upgrade`].
#[must_use = "a future does nothing until it is polled"]
pub struct Upgrading {
    on_upgrade: OnUpgrade,
    accepted: Accepted,
    acceptor: Acceptor,
}

impl Future for Upgrading {
    type Output = Result<UpgradedWebSocket, hyper::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let upgraded = ready!(Pin::new(&mut this.on_upgrade).poll(cx))?;
        let stream = TokioIo::new(upgraded);
        let socket = this.acceptor.connection(stream, &this.accepted, &[]);
        Poll::Ready(Ok(socket))
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading")
            .field("accepted", &self.accepted)
            .finish_non_exhaustive()
    }
}
