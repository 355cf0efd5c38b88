//! `ws://HOST[:PORT][/PATH][?QUERY]`, or the same with `wss` (RFC 6455 §3).

use crate::error::Error;

/// The parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// It begins with `wss`.
    pub is_secure: bool,
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
    /// It has another form.
    pub(crate) fn parse(url: &str) -> Result<Url, Error> {
        let wrong = || Error::Url(printable(url));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let is_secure = scheme.eq_ignore_ascii_case("wss");
        if !is_secure && !scheme.eq_ignore_ascii_case("ws") || url.contains(['#', ' ']) {
            return Err(wrong());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let default_port = if is_secure { 443 } else { 80 };
        let (host, port) = host_and_port(authority, default_port).ok_or_else(wrong)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Url {
            is_secure,
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

fn host_and_port(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if port.is_empty() => default_port,
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
    fn secure_url_has_another_default_port() {
        let url = Url::parse("WSS://h/a").expect("a URL");
        assert_eq!((url.is_secure, url.port), (true, 443));
        let url = Url::parse("ws://h/a").expect("a URL");
        assert_eq!((url.is_secure, url.port), (false, 80));
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
    }
}
