//! The HTTP API: web servers publish events and ask about channels.
//!
//! | request | file |
//! |---|---|
//! | `POST /apps/{id}/events`, `POST /apps/{id}/batch_events` | `publishing.rs` |
//! | `GET /apps/{id}/channels`, `…/channels/{name}`, `…/channels/{name}/users` | `queries.rs` |
//! | `POST /apps/{id}/users/{user}/terminate_connections` | here |
//!
//! Every request is signed (`authentication.rs`). A request that is refused has no effect, and its response says why (`error.rs`).

mod authentication;
mod error;
mod publishing;
mod queries;

use std::time::{Instant, SystemTime};

use yamabiko::server::{Publisher, Request, Response, Status};

use crate::app_cluster::AppMessage;
use crate::app_state::AppState;
use crate::cluster;
use error::ApiError;
#[cfg(feature = "internals")]
pub(crate) use publishing::checked_event;

/// The time of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) wall_clock: SystemTime,
}

/// A resource of an app.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resource<'p> {
    Events,
    BatchEvents,
    Channels,
    Channel(&'p str),
    Users(&'p str),
    TerminateConnections(&'p str),
}

impl<'p> Resource<'p> {
    /// The resource of these segments of a path, behind `/apps/{id}`.
    pub(crate) fn of(segments: &[&'p str]) -> Option<Resource<'p>> {
        match segments {
            ["events"] => Some(Resource::Events),
            ["batch_events"] => Some(Resource::BatchEvents),
            ["channels"] => Some(Resource::Channels),
            ["channels", name] => Some(Resource::Channel(name)),
            ["channels", name, "users"] => Some(Resource::Users(name)),
            ["users", id, "terminate_connections"] => Some(Resource::TerminateConnections(id)),
            _ => None,
        }
    }

    fn methods(&self) -> &'static str {
        match self {
            Resource::Events | Resource::BatchEvents | Resource::TerminateConnections(_) => "POST",
            _ => "GET, HEAD",
        }
    }
}

/// The response to a request for a resource of this app.
pub(crate) fn respond(
    app: &AppState,
    resource: &Resource<'_>,
    request: &Request<'_>,
    publisher: &Publisher,
    now: Now,
) -> Response {
    let json = answer(app, resource, request, publisher, now);
    let response = json.map(|json| Response::json(Status::Ok, json));
    response.unwrap_or_else(|error| {
        app.totals.requests_refused.add(1);
        error.to_response()
    })
}

/// Whether the body of a request for a resource of this app is to be read.
///
/// # Errors
/// Why not.
pub(crate) fn check_head(
    app: &AppState,
    resource: &Resource<'_>,
    request: &Request<'_>,
    now: SystemTime,
) -> Result<(), ApiError> {
    let checked = check_method(resource, request);
    let checked = checked.and_then(|()| authentication::check_head(app, request, now));
    checked.inspect_err(|_| app.totals.requests_refused.add(1))
}

fn check_method(resource: &Resource<'_>, request: &Request<'_>) -> Result<(), ApiError> {
    let methods = resource.methods();
    match methods.split(", ").any(|method| method == request.method()) {
        true => Ok(()),
        false => Err(ApiError::method_not_allowed(methods)),
    }
}

/// What the first step of [`answer`] decides.
#[cfg(feature = "internals")]
pub(crate) fn authenticate(
    app: &AppState,
    request: &Request<'_>,
    now: SystemTime,
) -> Result<(), ApiError> {
    authentication::check(app, request, now)
}

/// The JSON of the response.
fn answer(
    app: &AppState,
    resource: &Resource<'_>,
    request: &Request<'_>,
    publisher: &Publisher,
    now: Now,
) -> Result<String, ApiError> {
    check_method(resource, request)?;
    authentication::check(app, request, now.wall_clock)?;
    if !app.app.is_enabled() {
        return Err(ApiError::new(Status::Forbidden, "the app is disabled"));
    }
    match resource {
        Resource::Events => publishing::event(app, request, publisher, now.instant),
        Resource::BatchEvents => publishing::batch(app, request, publisher, now.instant),
        Resource::Channels => queries::channels(app, request, now.instant),
        Resource::Channel(name) => queries::channel(app, name, request, now.instant),
        Resource::Users(name) => queries::users(app, name, now.instant),
        Resource::TerminateConnections(user) => terminate(app, user, publisher),
    }
}

/// Closes all connections that have signed in as the user, on all nodes. They do not come back by themselves.
fn terminate(app: &AppState, user: &str, publisher: &Publisher) -> Result<String, ApiError> {
    let message = AppMessage::Terminate {
        app: app.app.id().into(),
        user: user.into(),
    };
    let sent = app
        .cluster()
        .map_or(Ok(()), |cluster| cluster.send(&message));
    match sent.is_ok() && cluster::terminate(app, user, publisher) {
        true => Ok("{}".to_owned()),
        false => Err(ApiError::overloaded()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_an_app_are_resources() {
        assert_eq!(Resource::of(&["events"]), Some(Resource::Events));
        assert_eq!(
            Resource::of(&["channels", "a;b"]),
            Some(Resource::Channel("a;b"))
        );
        for segments in [
            &[][..],
            &["x"],
            &["events", ""],
            &["channels", "a", "x"],
            &["users", "a"],
        ] {
            assert_eq!(Resource::of(segments), None, "{segments:?}");
        }
    }
}
