//! Whether a client connects again after a failed attempt or the end of a connection, and when.
//!
//! | failed attempt | then |
//! |---|---|
//! | no connection, a timeout, an invalid response | again |
//! | 408, 425, 429, 5xx | again, not before `Retry-After` |
//! | any other HTTP response: 3xx, 400, 401, 403, 404, … | the end, with the reason |
//! | a URI or a request that cannot be sent, a certificate that is not trusted | the end |
//!
//! | end of a connection | then |
//! |---|---|
//! | lost, or no answer in time | again |
//! | closed by the server: 1001, 1005, 1011 to 1014 | again |
//! | closed by the server with another code, or by this end | the end |

use std::time::{Duration, SystemTime};

use super::error::ClientError;
use crate::websocket::handshake::{HttpResponse, TunnelError};
use crate::websocket::{Ended, Side};

/// Whether to connect again, and when: what a failed attempt or the end of a connection leads to.
///
/// ```
/// use std::time::Duration;
/// use yamabiko::client::{Client, Retry};
///
/// match Client::connect("ftp://127.0.0.1/") {
///     Err(error) => assert_eq!(Retry::of(&error), Retry::Never),
///     Ok(_) => unreachable!("not a WebSocket URI"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The next attempt would have the same result.
    Never,
    /// Again, not before this time has passed, which the server has asked for: at most an hour.
    After(Duration),
}

impl Retry {
    /// After a failed attempt to connect. 3xx and 4xx are permanent, such as 401, 403 and 404,
    /// except 408, 425 and 429.
    pub fn of(error: &ClientError) -> Retry {
        match error {
            ClientError::Refused(refusal) => Retry::of_response(&refusal.response),
            ClientError::Proxy(TunnelError::Refused(response)) => Retry::of_response(response),
            ClientError::Uri(_) | ClientError::TlsNotSupported | ClientError::Request(_) => {
                Retry::Never
            }
            #[cfg(feature = "tls")]
            ClientError::Tls(error) if error.is_certificate() => Retry::Never,
            _ => Retry::After(Duration::ZERO),
        }
    }

    /// After the end of a connection.
    ///
    /// ```
    /// use std::time::Duration;
    /// use yamabiko::client::Retry;
    /// use yamabiko::websocket::Ended;
    ///
    /// let lost = Ended::default();
    /// assert_eq!(Retry::of_end(&lost), Retry::After(Duration::ZERO));
    /// ```
    pub fn of_end(ended: &Ended) -> Retry {
        let again = match (ended.first_close, ended.code()) {
            // Only a server that has told a reason can mean that its client is to stay away.
            (None, _) => true,
            (Some(Side::Local), _) => ended.error.is_some(),
            (Some(Side::Peer), code) => matches!(code, 1001 | 1005 | 1006 | 1011..=1014),
        };
        match again {
            true => Retry::After(Duration::ZERO),
            false => Retry::Never,
        }
    }

    fn of_response(response: &HttpResponse) -> Retry {
        match response.status {
            408 | 425 | 429 | 500..=599 => Retry::After(asked(response, SystemTime::now())),
            _ => Retry::Never,
        }
    }
}

/// What `Retry-After` asks for (RFC 9110 §10.2.3): a number of seconds, or a date, which
/// is compared with the server's own `Date` where there is one, so that two clocks that
/// differ do no harm. What cannot be read asks for nothing.
fn asked(response: &HttpResponse, now: SystemTime) -> Duration {
    let field = |name| response.text(name);
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

/// The longest pause that a server can request.
const ASKED_MAX: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::super::error::{HttpRefusal, Step};
    use super::*;
    use crate::websocket::handshake::OwnedFields;
    use crate::websocket::{CloseCode, Connection, Limits};

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
        let asked = |value| {
            asked(
                &refusal(503, &[("Retry-After", value)]).response,
                SystemTime::now(),
            )
        };
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
            asked(&refusal(503, &by_date).response, far_off),
            Duration::from_secs(60)
        );
        let alone = refusal(503, &[("Retry-After", then)]).response;
        assert_eq!(asked(&alone, at(minute_before)), Duration::from_secs(60));
        assert_eq!(asked(&alone, far_off), Duration::ZERO, "it has passed");
        let day_before = at(then) - Duration::from_secs(86_400);
        assert_eq!(asked(&alone, day_before), ASKED_MAX);
    }

    #[test]
    fn close_code_of_the_server_decides_whether_its_client_comes_again() {
        let ended = |code: u16| {
            let mut client = Connection::client(Limits::default(), || [0; 4]);
            let mut close = [0x88, 2, 0, 0];
            close[2..].copy_from_slice(&code.to_be_bytes());
            let received = client.receive(&mut &mut close[..], &mut Vec::new());
            assert!(received.is_ok(), "{code}");
            Retry::of_end(&client.ended())
        };
        for code in [1001, 1011, 1012, 1013, 1014] {
            assert_eq!(ended(code), Retry::After(Duration::ZERO), "{code}");
        }
        for code in [1000, 1002, 1003, 1007, 1008, 1009, 3000, 4000] {
            assert_eq!(ended(code), Retry::Never, "{code}");
        }
        let mut client = Connection::client(Limits::default(), || [0; 4]);
        client
            .close(CloseCode::NORMAL, &mut Vec::new())
            .expect("it is open");
        assert_eq!(Retry::of_end(&client.end_of_input()), Retry::Never);
    }
}
