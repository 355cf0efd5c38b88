//! Whether a failed attempt to connect is repeated, and when.
//!
//! | result | then |
//! |---|---|
//! | no connection, a timeout, an invalid response | again |
//! | 408, 425, 429, 5xx | again, not before `Retry-After` |
//! | any other HTTP response: 3xx, 400, 401, 403, 404, … | the end, with the reason |
//! | a URI or a request that cannot be sent | the end |

use std::time::{Duration, SystemTime};

use yamabiko::client::{ClientError, HttpRefusal};

/// The longest pause that a server can request.
const ASKED_MAX: Duration = Duration::from_secs(3_600);

/// The consequence of a failed attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// The next attempt would have the same result.
    Never,
    /// Not before this time has passed; at most [`ASKED_MAX`].
    After(Duration),
}

impl Retry {
    pub(super) fn of(error: &ClientError) -> Retry {
        match error {
            ClientError::Refused(refusal) => Retry::of_answer(refusal),
            ClientError::Uri(_) | ClientError::TlsNotSupported | ClientError::Request(_) => {
                Retry::Never
            }
            _ => Retry::After(Duration::ZERO),
        }
    }

    fn of_answer(refusal: &HttpRefusal) -> Retry {
        match refusal.response.status {
            408 | 425 | 429 | 500..=599 => Retry::After(asked(refusal, SystemTime::now())),
            _ => Retry::Never,
        }
    }
}

/// What `Retry-After` asks for (RFC 9110 §10.2.3): a number of seconds, or a date, which
/// is compared with the server's own `Date` where there is one, so that two clocks that
/// differ do no harm. What cannot be read asks for nothing.
fn asked(refusal: &HttpRefusal, now: SystemTime) -> Duration {
    let field = |name| refusal.response.text(name);
    let date = |value: &str| httpdate::parse_http_date(value).ok();
    let Some(value) = field("Retry-After").map(str::trim) else {
        return Duration::ZERO;
    };
    let asked = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are a long time, too.
        value.parse().map_or(ASKED_MAX, Duration::from_secs)
    } else {
        let now = field("Date").and_then(date).unwrap_or(now);
        let then = date(value).unwrap_or(now);
        then.duration_since(now).unwrap_or_default()
    };
    asked.min(ASKED_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use yamabiko::client::Step;
    use yamabiko::websocket::handshake::{HttpResponse, OwnedFields};

    fn refusal(status: u16, fields: &[(&str, &str)]) -> HttpRefusal {
        let fields = fields.iter();
        let fields = OwnedFields::new(fields.map(|(name, value)| (*name, value.as_bytes())))
            .expect("valid fields");
        HttpRefusal::new(HttpResponse::new(status, fields), Vec::new())
    }

    #[test]
    fn permanent_refusal_ends_the_attempts() {
        for status in [300, 301, 308, 400, 401, 403, 404, 410, 426, 451, 499] {
            let error = ClientError::Refused(Box::new(refusal(status, &[("Retry-After", "1")])));
            assert_eq!(Retry::of(&error), Retry::Never, "{status}");
        }
        assert_eq!(Retry::of(&ClientError::TlsNotSupported), Retry::Never);
    }

    #[test]
    fn temporary_refusal_and_lost_connection_are_tried_again() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let error = ClientError::Refused(Box::new(refusal(status, &[])));
            assert_eq!(Retry::of(&error), Retry::After(Duration::ZERO), "{status}");
        }
        for error in [
            ClientError::Connect(Vec::new()),
            ClientError::EndedInHandshake(None),
            ClientError::TimedOut(Step::OpeningHandshake),
        ] {
            assert_eq!(Retry::of(&error), Retry::After(Duration::ZERO), "{error}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_up_to_its_limit() {
        let asked = |value| asked(&refusal(503, &[("Retry-After", value)]), SystemTime::now());
        for (value, seconds) in [
            ("0", 0),
            ("120", 120),
            (" 7 ", 7),
            ("3599", 3_599),
            ("3600", 3_600),
            ("3601", 3_600),
            ("99999999999999999999999", 3_600),
            ("", 0),
            ("-1", 0),
            ("1.5", 0),
            ("soon", 0),
        ] {
            assert_eq!(asked(value), Duration::from_secs(seconds), "{value:?}");
        }
    }

    #[test]
    fn retry_after_is_read_as_a_date_by_the_servers_clock_or_the_local_one() {
        let then = "Sun, 06 Nov 1994 08:49:37 GMT";
        let at = |text| httpdate::parse_http_date(text).expect("a date");
        let minute_before = "Sun, 06 Nov 1994 08:48:37 GMT";
        let by_date = [("Retry-After", then), ("Date", minute_before)];
        let far_off = at(then) + Duration::from_secs(100 * 365 * 86_400);
        assert_eq!(
            asked(&refusal(503, &by_date), far_off),
            Duration::from_secs(60)
        );
        let alone = refusal(503, &[("Retry-After", then)]);
        assert_eq!(asked(&alone, at(minute_before)), Duration::from_secs(60));
        assert_eq!(asked(&alone, far_off), Duration::ZERO, "it has passed");
        let day_before = at(then) - Duration::from_secs(86_400);
        assert_eq!(asked(&alone, day_before), ASKED_MAX);
    }
}
