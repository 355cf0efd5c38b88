//! An extractor for axum: [`WebSocketUpgrade`].
//!
//! ```
//! use axum::response::Response;
//! use axum::{Router, routing::get};
//! use yamabiko_tokio::axum::WebSocketUpgrade;
//!
//! async fn echo(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.on_upgrade(|mut socket| async move {
//!         while let Ok(Some(message)) = socket.read().await {
//!             if socket.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     })
//! }
//!
//! let app: Router = Router::new().route("/echo", get(echo));
//! # let _ = app;
//! ```

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::Request;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use yamabiko::http::Refusal;
use yamabiko::websocket::handshake::{AcceptOptions, Upgrade};

use crate::accept::Acceptor;
use crate::hyper::{UpgradedWebSocket, upgrade_with};

/// The opening handshake in a request: HTTP/1.1, GET. It is refused if the request has none, and
/// if the page that asks has another origin, unless [`WebSocketUpgrade::acceptor`] allows it.
#[derive(Debug)]
#[must_use = "the client waits for the response"]
pub struct WebSocketUpgrade {
    /// Without a body.
    request: Request<()>,
    acceptor: Acceptor,
}

impl WebSocketUpgrade {
    /// The rules for the connection, such as subprotocols, origins and limits, in place of the
    /// default ones.
    pub fn acceptor(self, acceptor: Acceptor) -> WebSocketUpgrade {
        WebSocketUpgrade { acceptor, ..self }
    }

    /// Accepts the connection and hands it to a task of its own. The response is that of the
    /// opening handshake, or a refusal.
    #[must_use = "the client waits for the response"]
    pub fn on_upgrade<F>(
        self,
        handle: impl FnOnce(UpgradedWebSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.on_upgrade_with(|_, options| Ok(options), handle)
    }

    /// As [`WebSocketUpgrade::on_upgrade`], with a decision of the application
    /// ([`Acceptor::accept_with`]).
    #[must_use = "the client waits for the response"]
    pub fn on_upgrade_with<F>(
        mut self,
        decide: impl for<'o> FnOnce(
            &Upgrade<'_>,
            AcceptOptions<'o>,
        ) -> Result<AcceptOptions<'o>, Refusal>,
        handle: impl FnOnce(UpgradedWebSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match upgrade_with(&mut self.request, &self.acceptor, decide) {
            Ok((response, socket)) => {
                tokio::spawn(async move {
                    // If it fails, the client is gone before the response.
                    if let Ok(socket) = socket.await {
                        handle(socket).await;
                    }
                });
                response.map(|()| Body::empty())
            }
            Err(refusal) => refused(&refusal),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = NotAnUpgrade;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotAnUpgrade> {
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        // hyper puts it there if the connection can be upgraded.
        let on_upgrade: Option<OnUpgrade> = parts.extensions.remove();
        let on_upgrade = on_upgrade.ok_or_else(|| NotAnUpgrade(Refusal::upgrade_required()))?;
        request.extensions_mut().insert(on_upgrade);
        Ok(WebSocketUpgrade {
            request,
            acceptor: Acceptor::new(),
        })
    }
}

/// The request does not ask for an upgrade: 426.
#[derive(Debug)]
pub struct NotAnUpgrade(Refusal);

impl IntoResponse for NotAnUpgrade {
    fn into_response(self) -> Response {
        refused(&self.0)
    }
}

fn refused(refusal: &Refusal) -> Response {
    refusal.to_http().map(Body::from)
}
