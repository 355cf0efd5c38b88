//! The claims of a verified token (RFC 7519 §4.1), and what is expected of them.

use super::error::TokenError;
use super::grant::{Grant, RoomPattern};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a token must claim.
#[derive(Clone, Debug)]
pub(super) struct Expectations {
    pub(super) audience: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) leeway: Duration,
}

impl Default for Expectations {
    fn default() -> Expectations {
        Expectations {
            audience: None,
            issuer: None,
            leeway: Duration::from_secs(30),
        }
    }
}

/// The claims that have an effect. A duplicate of one of them is an error, because two programs could read two values.
#[derive(Deserialize)]
pub(super) struct Claims {
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    aud: Option<OneOrMany>,
    iss: Option<String>,
    sub: Option<String>,
    publish: Option<OneOrMany>,
    subscribe: Option<OneOrMany>,
}

impl Claims {
    /// What the token grants at this time.
    pub(super) fn check(
        self,
        expected: &Expectations,
        now: SystemTime,
    ) -> Result<Grant, TokenError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires = self.exp.ok_or(TokenError::Claims)?.0;
        let expires = expires.saturating_add(expected.leeway);
        if expires <= now {
            return Err(TokenError::Expired);
        }
        if self
            .nbf
            .is_some_and(|from| from.0 > now.saturating_add(expected.leeway))
        {
            return Err(TokenError::NotYetValid);
        }
        // RFC 7519 §4.1.3: without an audience of our own, we are not the one that is meant.
        let is_for_us = match (&self.aud, &expected.audience) {
            (None, None) => true,
            (Some(audience), Some(own)) => audience.contains(own),
            _ => false,
        };
        if !is_for_us {
            return Err(TokenError::Audience);
        }
        if expected.issuer.is_some() && self.iss != expected.issuer {
            return Err(TokenError::Issuer);
        }
        Ok(Grant::new()
            .for_subject(self.sub)
            .publish(rooms(self.publish)?)
            .subscribe(rooms(self.subscribe)?)
            .until(UNIX_EPOCH.checked_add(expires)))
    }
}

fn rooms(claim: Option<OneOrMany>) -> Result<Vec<RoomPattern>, TokenError> {
    let Some(claim) = claim else {
        return Ok(Vec::new());
    };
    let patterns = claim.texts().iter().map(|text| text.parse());
    patterns
        .collect::<Result<_, _>>()
        .map_err(|_| TokenError::Claims)
}

/// A text or a list of texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn texts(&self) -> &[String] {
        match self {
            OneOrMany::One(text) => std::slice::from_ref(text),
            OneOrMany::Many(texts) => texts,
        }
    }

    fn contains(&self, wanted: &String) -> bool {
        self.texts().contains(wanted)
    }
}

/// Seconds since 1970-01-01 UTC, perhaps with a fraction (RFC 7519 §2), as the time since then. A time before 1970 is 1970, and
/// one that no clock can show is the last.
struct NumericDate(Duration);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NumericDate, D::Error> {
        deserializer.deserialize_any(NumericDateVisitor)
    }
}

struct NumericDateVisitor;

impl Visitor<'_> for NumericDateVisitor {
    type Value = NumericDate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds")
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
        Ok(NumericDate(Duration::from_secs(seconds)))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<NumericDate, E> {
        Ok(NumericDate(Duration::ZERO))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
        let time = Duration::try_from_secs_f64(seconds.max(0.0));
        Ok(NumericDate(time.unwrap_or(Duration::MAX)))
    }
}
