//! The signature of a request: it is from an owner of the app's secret, and not older than 10 minutes.
//!
//! What is signed: `METHOD\nPATH\nk1=v1&k2=v2…`, the path as it was sent, and all parameters of the query but the signature, their
//! names in lower case and in order, their values not escaped. The parameter `body_md5` binds the body to it.

use std::time::SystemTime;

use yamabiko::server::Request;

use super::error::ApiError;
use crate::app_state::AppState;
use crate::signature::{equal, md5};

/// The parameters of a query, by name in lower case.
type Parameters = Vec<(String, String)>;

/// # Errors
/// 401, and why.
pub(super) fn check(
    app: &AppState,
    request: &Request<'_>,
    now: SystemTime,
) -> Result<(), ApiError> {
    let decoded = decoded(request);
    check_parameters(app, &decoded, now)?;
    let signed = check_signature(app, request, &decoded);
    // The digest of a long body costs 1.5 ms for each MiB: not for anybody who only knows the key.
    if signed.is_ok() || request.body().len() <= UNSIGNED_BODY_BYTES_MAX {
        check_body(request, &decoded)?;
    }
    signed
}

/// The same before the body has come, if that is a long one. A short one is read: the response can name a wrong digest then.
///
/// # Errors
/// 401, and why.
pub(super) fn check_head(
    app: &AppState,
    request: &Request<'_>,
    now: SystemTime,
) -> Result<(), ApiError> {
    let is_short = |bytes| bytes <= UNSIGNED_BODY_BYTES_MAX as u64;
    if request.body_length().is_some_and(is_short) {
        return Ok(());
    }
    let decoded = decoded(request);
    check_parameters(app, &decoded, now)?;
    check_signature(app, request, &decoded)
}

fn decoded(request: &Request<'_>) -> Parameters {
    let pairs = request.query_pairs();
    parameters(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())))
}

fn check_parameters(
    app: &AppState,
    parameters: &Parameters,
    now: SystemTime,
) -> Result<(), ApiError> {
    check_key(app, parameters)?;
    if value(parameters, "auth_version") != Some("1.0") {
        return Err(ApiError::unauthorized("auth_version must be 1.0"));
    }
    check_time(parameters, now)
}

fn check_signature(
    app: &AppState,
    request: &Request<'_>,
    decoded: &Parameters,
) -> Result<(), ApiError> {
    let Some(signature) = value(decoded, SIGNATURE) else {
        return Err(ApiError::unauthorized("auth_signature is missing"));
    };
    // Some libraries escape the values on the wire, and some do not.
    let raw = || parameters(raw_pairs(request.query().unwrap_or_default()));
    let is_valid =
        verify(app, request, decoded, signature) || verify(app, request, &raw(), signature);
    match is_valid {
        true => Ok(()),
        false => Err(ApiError::unauthorized(
            "auth_signature is not that of this method, path and query",
        )),
    }
}

fn check_key(app: &AppState, parameters: &Parameters) -> Result<(), ApiError> {
    match value(parameters, "auth_key") {
        None => Err(ApiError::unauthorized("auth_key is missing")),
        Some(key) if !equal(key, app.app.key()) => Err(ApiError::unauthorized(
            "auth_key is not the key of this app",
        )),
        Some(_) => Ok(()),
    }
}

fn check_time(parameters: &Parameters, now: SystemTime) -> Result<(), ApiError> {
    let timestamp = value(parameters, "auth_timestamp");
    let timestamp = timestamp.and_then(|text| text.parse::<u64>().ok());
    let Some(timestamp) = timestamp else {
        return Err(ApiError::unauthorized(
            "auth_timestamp must be a number of seconds",
        ));
    };
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    match timestamp.abs_diff(now) <= SECONDS_MAX {
        true => Ok(()),
        false => Err(ApiError::unauthorized(format!(
            "auth_timestamp is more than {SECONDS_MAX} s away from this server's clock, {now}"
        ))),
    }
}

/// A body needs its digest. The digest of no body may be there, too.
fn check_body(request: &Request<'_>, parameters: &Parameters) -> Result<(), ApiError> {
    let body = request.body();
    match value(parameters, "body_md5") {
        None if body.is_empty() => Ok(()),
        None => Err(ApiError::unauthorized("body_md5 is missing")),
        Some(digest) if equal(&digest.to_ascii_lowercase(), &md5(body)) => Ok(()),
        Some(_) => Err(ApiError::unauthorized("body_md5 is not that of the body")),
    }
}

fn verify(app: &AppState, request: &Request<'_>, parameters: &Parameters, signature: &str) -> bool {
    let signed = parameters.iter().filter(|(name, _)| name != SIGNATURE);
    let signed: Vec<String> = signed
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let parts = [
        request.method(),
        "\n",
        request.path(),
        "\n",
        &signed.join("&"),
    ];
    app.secret.verify(signature, &parts)
}

/// In the order of their names.
fn parameters(pairs: impl Iterator<Item = (String, String)>) -> Parameters {
    let mut parameters: Parameters = pairs
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
    parameters
}

/// The pairs of a query as they were sent.
fn raw_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    })
}

fn value<'p>(parameters: &'p Parameters, name: &str) -> Option<&'p str> {
    let found = parameters.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

const SIGNATURE: &str = "auth_signature";
/// The digest of a body up to this length is compared although the signature is wrong, to say what is wrong.
const UNSIGNED_BODY_BYTES_MAX: usize = 16 << 10;
/// A request may be older, or newer, by so many seconds.
const SECONDS_MAX: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use yamabiko::http::{HttpVersion, OwnedRequest};

    const BODY: &str = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
    const TIME: u64 = 1_353_088_179;

    /// The example of the documentation, with these changes.
    fn status(change: (&str, &str), body: &str, seconds_later: i64) -> Option<String> {
        let app = "3:278d425bdf160c739803:7ad3773142a6692b25b8"
            .parse()
            .expect("an app");
        let app = AppState::new(app).expect("no webhook");
        let query = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
             &body_md5=ec365a775a4cd0599faeb73354201b6f\
             &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
        let target = format!("/apps/3/events?{query}").replace(change.0, change.1);
        let request = OwnedRequest::new(
            "POST",
            &target,
            HttpVersion::Http11,
            [("host", &b"localhost"[..])],
        )
        .expect("a request");
        let head = request.head().expect("a head");
        let request = Request::new(head, body.as_bytes(), ([127, 0, 0, 1], 1).into());
        let now =
            SystemTime::UNIX_EPOCH + Duration::from_secs(TIME.saturating_add_signed(seconds_later));
        check(&app, &request, now)
            .err()
            .map(|error| format!("{error:?}"))
    }

    #[test]
    fn example_of_the_documentation_is_accepted_within_ten_minutes() {
        for seconds_later in [0, 600, -600] {
            assert_eq!(status(("", ""), BODY, seconds_later), None);
        }
        for seconds_later in [601, -601] {
            let error = status(("", ""), BODY, seconds_later).expect("refused");
            assert!(error.contains("auth_timestamp"), "{error}");
        }
    }

    #[test]
    fn names_of_parameters_have_any_case() {
        assert_eq!(status(("auth_key=", "Auth_Key="), BODY, 0), None);
        assert_eq!(status(("&body_md5=", "&BODY_MD5="), BODY, 0), None);
    }

    #[test]
    fn wrong_part_of_the_request_is_named() {
        for (change, named) in [
            (("auth_key=2", "auth_key=3"), "auth_key"),
            (("auth_key", "x"), "auth_key is missing"),
            (("1.0", "1.1"), "auth_version"),
            (("auth_timestamp=1", "auth_timestamp=x"), "auth_timestamp"),
            (("body_md5=ec", "body_md5=00"), "body_md5"),
            (("body_md5", "x"), "body_md5 is missing"),
            (("auth_signature=da", "auth_signature=00"), "auth_signature"),
            (("auth_signature=da", "auth_signature=DA"), "auth_signature"),
            (("auth_signature", "x"), "auth_signature is missing"),
            (("/apps/3/events", "/apps/3/batch_events"), "auth_signature"),
            (("auth_version", "x=1&auth_version"), "auth_signature"),
        ] {
            let error = status(change, BODY, 0).expect("refused");
            assert!(
                error.contains(named) && error.contains("Unauthorized"),
                "{change:?}: {error}"
            );
        }
        let error = status(("", ""), &BODY.replace("foo", "bar"), 0).expect("refused");
        assert!(error.contains("body_md5"), "{error}");
    }
}
