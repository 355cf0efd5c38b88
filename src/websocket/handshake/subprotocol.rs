//! Sec-WebSocket-Protocol (RFC 6455 §1.9, §4.1 item 10, §11.3.4).
//!
//! ```text
//!   request   Sec-WebSocket-Protocol: chat.v2, chat.v1     client's preference
//!   response  Sec-WebSocket-Protocol: chat.v1              one of them, or no field
//! ```

use crate::http::Fields;
use crate::http::token::is_token;

/// The name of the field, in requests and responses.
pub(super) const FIELD: &str = "Sec-WebSocket-Protocol";

/// Subprotocols in one request. Each is compared with each, so the number is
/// bounded; a real client offers one or two.
pub const SUBPROTOCOLS_MAX: usize = 64;

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# The empty string is not the same as the null value for these purposes and
//# is not a legal value for this field.
/// The name of a subprotocol is a token, and so never empty.
pub(super) fn is_valid(subprotocol: &str) -> bool {
    is_token(subprotocol.as_bytes())
}

/// The offered names, most wanted first. Others than tokens are left out; a
/// checked request has none.
pub(super) fn offered(fields: Fields<'_>) -> impl Iterator<Item = &str> {
    fields
        .list(FIELD)
        .filter_map(|name| core::str::from_utf8(name).ok())
        .filter(|name| is_valid(name))
}

/// Checks the offer of a request that has the field: each name a token, no two the
/// same. A list without names, or a name left out between two commas, offers
/// nothing: a recipient takes both (RFC 9110 §5.6.1.2).
///
/// # Errors
///
/// The broken rule.
pub(super) fn check_offer(fields: Fields<'_>) -> Result<(), &'static str> {
    let mut seen: [&[u8]; SUBPROTOCOLS_MAX] = [&[]; SUBPROTOCOLS_MAX];
    for (count, name) in fields.list(FIELD).enumerate() {
        let (earlier, free) = seen.split_at_mut(count);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The elements that comprise this value MUST be non-empty strings with
        //# characters in the range U+0021 to U+007E not including separator
        //# characters as defined in [RFC2616] and MUST all be unique strings.
        if !is_token(name) {
            return Err("a subprotocol is not a token");
        }
        if earlier.contains(&name) {
            return Err("a subprotocol is offered twice");
        }
        *free
            .first_mut()
            .ok_or("too many subprotocols are offered")? = name;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str) -> Result<(), &'static str> {
        check_offer(Fields::of_checked_lines(lines.as_bytes()))
    }

    #[test]
    fn offer_is_a_list_of_different_tokens() {
        for lines in [
            "Sec-WebSocket-Protocol: chat\r\n",
            "Sec-WebSocket-Protocol: ,a,, A ,\r\n",
            "sec-websocket-protocol: a\r\nSec-WebSocket-Protocol:\r\nSEC-WEBSOCKET-PROTOCOL: b\r\n",
            "Sec-WebSocket-Protocol:\r\n",
            "Sec-WebSocket-Protocol: ,\t,\r\n",
        ] {
            assert_eq!(check(lines), Ok(()), "{lines:?}");
        }
        for lines in [
            "Sec-WebSocket-Protocol: a b\r\n",
            "Sec-WebSocket-Protocol: \"a\"\r\n",
            "Sec-WebSocket-Protocol: a, b, a\r\n",
            "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n",
            "Sec-WebSocket-Protocol: caf\u{e9}\r\n",
        ] {
            assert!(check(lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn offer_is_refused_one_past_the_bound() {
        let names: Vec<String> = (0..=SUBPROTOCOLS_MAX).map(|n| format!("p{n}")).collect();
        let line = |names: &[String]| format!("Sec-WebSocket-Protocol: {}\r\n", names.join(","));
        assert_eq!(check(&line(&names[..SUBPROTOCOLS_MAX])), Ok(()));
        assert!(check(&line(&names)).is_err());
    }
}
