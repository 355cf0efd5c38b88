//! The refusals of the HTTP API: a status, and a sentence that says what is wrong.

use std::borrow::Cow;
use std::time::Duration;

use yamabiko::server::{Refusal, Response, Status};

#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: Status,
    reason: Cow<'static, str>,
    field: Option<(&'static str, String)>,
}

impl ApiError {
    /// The reason may have a part of the request in it: it is cut after [`REASON_CHARACTERS_MAX`].
    pub(super) fn new(status: Status, reason: impl Into<Cow<'static, str>>) -> ApiError {
        let mut reason = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(REASON_CHARACTERS_MAX) {
            let cut = reason.to_mut();
            cut.truncate(end);
            cut.push('\u{2026}');
        }
        ApiError {
            status,
            reason,
            field: None,
        }
    }

    pub(super) fn bad_request(reason: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError::new(Status::BadRequest, reason)
    }

    pub(super) fn unauthorized(reason: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError::new(Status::Unauthorized, reason)
    }

    pub(super) fn method_not_allowed(methods: &'static str) -> ApiError {
        let reason = format!("the method of this path is {methods}");
        ApiError {
            field: Some(("Allow", methods.to_owned())),
            ..ApiError::new(Status::MethodNotAllowed, reason)
        }
    }

    /// The request may be sent again after this time.
    pub(super) fn again(status: Status, reason: &'static str, wait: Duration) -> ApiError {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        ApiError {
            field: Some(("Retry-After", seconds.to_string())),
            ..ApiError::new(status, reason)
        }
    }

    pub(super) fn overloaded() -> ApiError {
        let reason = "the server is behind with its messages";
        ApiError::again(Status::ServiceUnavailable, reason, Duration::ZERO)
    }

    #[cfg(feature = "internals")]
    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// For a request whose body is not read.
    pub(crate) fn to_refusal(&self) -> Refusal {
        let refusal = Refusal::new(self.status, self.reason.clone());
        match self.field.clone() {
            Some((name, value)) => refusal.clone().field(name, value).unwrap_or(refusal),
            None => refusal,
        }
    }

    pub(super) fn to_response(&self) -> Response {
        let response = Response::text(self.status, format!("{}\n", self.reason));
        match self.field.clone() {
            Some((name, value)) => response
                .field(name, value)
                .unwrap_or_else(|_| Response::new(Status::InternalServerError)),
            None => response,
        }
    }
}

/// Our own reasons are shorter.
const REASON_CHARACTERS_MAX: usize = 250;
