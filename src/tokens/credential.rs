//! Where a request has its token.

use super::error::TokenError;
use super::place::{COOKIE, QUERY_PARAMETER, SUBPROTOCOL_PREFIX, TokenPlace};
use crate::http::RequestHead;
use std::borrow::Cow;

/// The one token of a request.
///
/// # Errors
/// There are two, or a place for a token has something else.
pub(super) fn find<'a>(request: &RequestHead<'a>) -> Result<Option<Cow<'a, [u8]>>, TokenError> {
    let fields = request.fields();
    let authorization = fields.get_all("Authorization").filter_map(bearer);
    let cookies = fields.get_all("Cookie").flat_map(cookies);
    let subprotocols = fields
        .list("Sec-WebSocket-Protocol")
        .filter_map(|name| name.strip_prefix(SUBPROTOCOL_PREFIX.as_bytes()));
    let mut one = One(None);
    for token in authorization {
        one.add(TokenPlace::Authorization, token.into())?;
    }
    for token in cookies {
        one.add(TokenPlace::Cookie, token.into())?;
    }
    for token in subprotocols {
        one.add(TokenPlace::Subprotocol, token.into())?;
    }
    for (_, token) in request
        .query_pairs()
        .filter(|(name, _)| name == QUERY_PARAMETER)
    {
        let token = match token {
            Cow::Borrowed(token) => Cow::Borrowed(token.as_bytes()),
            Cow::Owned(token) => Cow::Owned(token.into_bytes()),
        };
        one.add(TokenPlace::Query, token)?;
    }
    Ok(one.0.map(|(_, token)| token))
}

/// At most one token.
struct One<'a>(Option<(TokenPlace, Cow<'a, [u8]>)>);

impl<'a> One<'a> {
    fn add(&mut self, place: TokenPlace, token: Cow<'a, [u8]>) -> Result<(), TokenError> {
        if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::Unreadable(place));
        }
        match &self.0 {
            Some((first, _)) => Err(TokenError::Several {
                first: *first,
                second: place,
            }),
            None => {
                self.0 = Some((place, token));
                Ok(())
            }
        }
    }
}

/// The rest of `Bearer TOKEN`. Another scheme is for another program, such as a proxy.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = match value.iter().position(|byte| *byte == b' ') {
        Some(end) => value.split_at(end),
        None => (value, &[][..]),
    };
    scheme
        .eq_ignore_ascii_case(b"Bearer")
        .then(|| rest.trim_ascii())
}

/// The values of our cookie (RFC 6265 §4.2.1), perhaps in quotation marks.
fn cookies(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';').filter_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(COOKIE.as_bytes())?;
        let value = rest.strip_prefix(b"=")?;
        let quoted = value
            .strip_prefix(b"\"")
            .and_then(|v| v.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    })
}
