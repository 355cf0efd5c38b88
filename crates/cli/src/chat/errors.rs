//! Errors of the client in one line for the screen.

use yamabiko::client::{ClientError, HttpRefusal};

use super::text::printable;
use crate::output::{chain, without_numbers};

/// An error of the client in one line. For an HTTP response: also its Location, and the
/// first line of its body.
pub(super) fn explain(error: &ClientError) -> String {
    let mut line = without_numbers(&chain(error));
    if let ClientError::Refused(refusal) = error {
        if let Some(location) = location(refusal) {
            line = format!("{line}, Location: {location}");
        }
        let body = String::from_utf8_lossy(&refusal.body_start);
        if let Some(first) = body.lines().next() {
            line = format!("{line}: {}", printable(first));
        }
    }
    line
}

/// The target of a redirection. It is shown and not followed: RFC 6455 §4.1 leaves that
/// open, and the target may be on a host that the user did not name.
fn location(refusal: &HttpRefusal) -> Option<String> {
    if !(300..400).contains(&refusal.response.status) {
        return None;
    }
    let location = String::from_utf8_lossy(refusal.response.field("Location")?);
    let start: String = location.chars().take(LOCATION_CHARACTERS_MAX).collect();
    Some(printable(&start))
}

/// The part of a Location that is shown.
const LOCATION_CHARACTERS_MAX: usize = 200;
