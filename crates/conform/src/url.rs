//! `ws://HOST[:PORT][/PATH][?QUERY]` (RFC 6455 §3).

use crate::error::Error;

/// The parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// As the field Host has it.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// It has another form, or begins with `wss`.
    pub(crate) fn parse(url: &str) -> Result<Url, Error> {
        let wrong = || Error::Url(printable(url));
        if url
            .get(..6)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("wss://"))
        {
            return Err(Error::Secure(printable(url)));
        }
        let scheme = url.get(..5).ok_or_else(wrong)?;
        if !scheme.eq_ignore_ascii_case("ws://") || url.contains(['#', ' ']) {
            return Err(wrong());
        }
        let rest = &url[5..];
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = host_and_port(authority).ok_or_else(wrong)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Url {
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            target: format!("{slash}{target}"),
        })
    }
}

/// A URL as it is printed and reported: the value of `access_token` (RFC 6750 §2.3) is hidden.
pub(crate) fn printable(url: &str) -> String {
    match url.split_once(TOKEN) {
        None => url.to_owned(),
        Some((before, value)) => {
            let rest = value.find('&').map_or("", |at| &value[at..]);
            format!("{before}{TOKEN}[hidden]{}", printable(rest))
        }
    }
}

const TOKEN: &str = "access_token=";

fn host_and_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if port.is_empty() => 80,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, u16, String, String) {
        let url = Url::parse(url).expect(url);
        (url.host, url.port, url.authority, url.target)
    }

    #[test]
    fn parts_of_a_url_are_found() {
        let expected = ("h".into(), 80, "h".into(), "/".into());
        assert_eq!(parts("ws://h"), expected);
        let expected = ("::1".into(), 9, "[::1]:9".into(), "/a?b".into());
        assert_eq!(parts("WS://[::1]:9/a?b"), expected);
        let expected = ("h".into(), 80, "h".into(), "/?q".into());
        assert_eq!(parts("ws://h?q"), expected);
    }

    #[test]
    fn token_of_a_url_is_not_printed() {
        let url = "ws://h/?a=1&access_token=51d2&b=2&access_token=51d2";
        let expected = "ws://h/?a=1&access_token=[hidden]&b=2&access_token=[hidden]";
        assert_eq!(printable(url), expected);
        assert_eq!(printable("ws://h/a?b=c"), "ws://h/a?b=c");
    }

    #[test]
    fn other_urls_are_errors() {
        for url in [
            "",
            "http://h/",
            "ws://",
            "ws://h:x/",
            "ws://h/#a",
            "ws://[::1",
            "h:9001",
        ] {
            assert!(matches!(Url::parse(url), Err(Error::Url(_))), "{url}");
        }
        assert!(matches!(Url::parse("wss://h/"), Err(Error::Secure(_))));
    }
}
