//! The value of Accept-Encoding (RFC 9110 §12.5.3): which content codings a client takes.

use super::fields::Fields;

/// Whether gzip is acceptable, and not less than the plain bytes.
///
/// ```text
///   gzip, deflate, br         yes          gzip;q=0                  no
///   *                         yes          *, gzip;q=0               no
///   gzip;q=0.5                yes          gzip;q=0.5, identity      no: it prefers plain bytes
///   (absent)                  no           br                        no
/// ```
pub(super) fn prefers_gzip(fields: Fields<'_>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for element in fields.list("Accept-Encoding") {
        let (coding, weight) = weighted(element);
        match coding {
            _ if coding.eq_ignore_ascii_case(b"gzip") => gzip = Some(weight),
            _ if coding.eq_ignore_ascii_case(b"x-gzip") => gzip = gzip.or(Some(weight)),
            _ if coding.eq_ignore_ascii_case(b"identity") => identity = Some(weight),
            b"*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// `coding [ OWS ";" OWS "q=" qvalue ]`: the coding, and its weight in thousandths. A malformed
/// weight counts as 0.
fn weighted(element: &[u8]) -> (&[u8], u16) {
    let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let coding = parts.next().unwrap_or_default();
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', value @ ..]) => thousandths(value).unwrap_or(0),
        Some(_) => 0,
    };
    (coding, weight)
}

/// `( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    if !decimals.iter().chain([whole]).all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |index: usize| u16::from(decimals.get(index).map_or(0, |digit| digit - b'0'));
    let weight = u16::from(whole - b'0') * 1000 + digit(0) * 100 + digit(1) * 10 + digit(2);
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_clients_that_do_not_prefer_another_form() {
        for (lines, expected) in [
            ("", false),
            ("Accept-Encoding: gzip, deflate, br\r\n", true),
            ("Accept-Encoding: GZIP\r\n", true),
            ("Accept-Encoding: x-gzip\r\n", true),
            (
                "Accept-Encoding: br\r\nAccept-Encoding: gzip;q=1.000\r\n",
                true,
            ),
            ("Accept-Encoding: gzip ; q=0.001\r\n", true),
            ("Accept-Encoding: *\r\n", true),
            ("Accept-Encoding: gzip;q=0.5, identity;q=0.5\r\n", true),
            ("Accept-Encoding:\r\n", false),
            ("Accept-Encoding: br\r\n", false),
            ("Accept-Encoding: identity\r\n", false),
            ("Accept-Encoding: gzip;q=0\r\n", false),
            ("Accept-Encoding: gzip;q=0.000\r\n", false),
            ("Accept-Encoding: *, gzip;Q=0\r\n", false),
            ("Accept-Encoding: gzip;q=0.5, identity\r\n", false),
            ("Accept-Encoding: gzip;q=2\r\n", false),
            ("Accept-Encoding: gzip;q=0.0001\r\n", false),
            ("Accept-Encoding: gzip;q=x\r\n", false),
            ("Accept-Encoding: gzip;level=9\r\n", false),
        ] {
            let fields = Fields::of_checked_lines(lines.as_bytes());
            assert_eq!(prefers_gzip(fields), expected, "{lines:?}");
        }
    }
}
