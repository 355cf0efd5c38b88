//! Which pages may connect: the `Origin` header field against a list of patterns (RFC 6454,
//! RFC 6455 §4.2.2, §10.2).
//!
//! ```text
//!   https://app.example          this origin; port 443, because it is https
//!   https://app.example:8443     this origin
//!   https://*.example.org        each subdomain of example.org, and not example.org
//!   null                         pages without an origin: files, sandboxed frames
//! ```
//!
//! An origin is a scheme, a host and a port (RFC 6454 §4). Scheme and host are compared
//! without regard to case, the default port of `http` and `https` is the same as none,
//! and IPv6 addresses are compared as numbers. A pattern that can match no browser's field
//! is an error when it is parsed.
//!
//! A name that resolves to another address the next time is not found out here: see `hosts.rs`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// Which values of the `Origin` header field are admitted (RFC 6455 §4.2.2, §10.2).
///
/// A browser always names the site that a page comes from; the page cannot change that. A client
/// without `Origin` is no browser, and is admitted by every policy: the
/// field protects the user of a browser, not the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Pages of any site.
    Any,
    /// Pages whose host and port are those that the request was sent to.
    #[default]
    SameHost,
    /// As `SameHost`, and these: see [`Origins::same_host_and`].
    SameHostAnd(Vec<OriginPattern>),
}

impl Origins {
    /// Pages of the same host, and of these origins.
    ///
    /// # Errors
    /// The first pattern that no origin can match.
    ///
    /// ```
    /// use yamabiko::http::{InvalidOrigin, Origins};
    ///
    /// let origins = Origins::same_host_and(["https://app.example", "https://*.example.org"])?;
    /// assert!(Origins::same_host_and(["https://example.org/chat"]).is_err());
    /// # Ok::<(), InvalidOrigin>(())
    /// ```
    pub fn same_host_and<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Origins, InvalidOrigin> {
        let patterns = patterns.into_iter().map(str::parse);
        Ok(Origins::SameHostAnd(patterns.collect::<Result<_, _>>()?))
    }

    /// Whether a request for `host` (a Host field, or the authority of the target) from a page of `origin` is admitted.
    ///
    /// ```
    /// use yamabiko::http::Origins;
    ///
    /// let origins = Origins::SameHost;
    /// assert!(origins.allow(Some("https://chat.example"), "chat.example"));
    /// assert!(!origins.allow(Some("https://evil.example"), "chat.example"));
    /// ```
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# A connection attempt lacking this header field SHOULD NOT be interpreted
    //# as coming from a browser client.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
    //# Servers that are not intended to process input from any web page but
    //# only for certain sites SHOULD verify the |Origin| field is an origin
    //# they expect.
    pub fn allow(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin else { return true };
        let listed: &[OriginPattern] = match self {
            Origins::Any => return true,
            Origins::SameHost => &[],
            Origins::SameHostAnd(listed) => listed,
        };
        let Ok(origin) = Origin::parse(origin) else {
            return origin == "null" && listed.contains(&OriginPattern(Pattern::Null));
        };
        origin.is_of_host(host) || listed.iter().any(|pattern| pattern.matches(&origin))
    }
}

/// An origin, all subdomains of one, or `null`: an item of [`Origins::SameHostAnd`].
///
/// ```
/// use yamabiko::http::{InvalidOrigin, OriginPattern};
///
/// let pattern: OriginPattern = "HTTPS://*.Example.org:443".parse()?;
/// assert_eq!(pattern.to_string(), "https://*.example.org");
/// # Ok::<(), InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Null,
    /// In lower case, the default port left out.
    Origin {
        scheme: String,
        /// All subdomains of `host` match, and `host` does not.
        subdomains: bool,
        host: Host<String>,
        port: Option<u16>,
    },
}

/// The parts of the value that a browser sends in `Origin` (RFC 6454 §6.2).
struct Origin<'a> {
    scheme: &'a str,
    host: Host<&'a str>,
    port: Option<u16>,
}

/// A name or an IPv4 address as text; an IPv6 address as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host<S> {
    Name(S),
    Ipv6(Ipv6Addr),
}

/// Why a text is not an [`OriginPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidOrigin {
    /// It does not begin with a scheme and `://`.
    Scheme,
    /// `ws` and `wss` are the schemes of the server, not of a page.
    WebSocketScheme,
    /// A path, a query, a fragment or user information follows.
    NotOnlyHost,
    /// The host is not one that a browser sends.
    Host,
    /// The host is not in ASCII, as browsers send it.
    HostNotAscii,
    /// An asterisk is not the first label of a name with further labels.
    Wildcard,
    /// The port is not a number from 1 to 65535.
    Port,
}

impl FromStr for OriginPattern {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<OriginPattern, InvalidOrigin> {
        if text == "null" {
            return Ok(OriginPattern(Pattern::Null));
        }
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin::Scheme)?;
        let parent = authority.strip_prefix("*.");
        let origin = Origin::of(scheme, parent.unwrap_or(authority))?;
        let host = match origin.host {
            Host::Name(name) if parent.is_some() && is_ipv4(name) => {
                return Err(InvalidOrigin::Wildcard);
            }
            Host::Ipv6(_) if parent.is_some() => return Err(InvalidOrigin::Wildcard),
            Host::Name(name) => Host::Name(name.to_ascii_lowercase()),
            Host::Ipv6(address) => Host::Ipv6(address),
        };
        Ok(OriginPattern(Pattern::Origin {
            scheme: scheme.to_ascii_lowercase(),
            subdomains: parent.is_some(),
            host,
            port: origin.port,
        }))
    }
}

impl OriginPattern {
    fn matches(&self, origin: &Origin<'_>) -> bool {
        let Pattern::Origin {
            scheme,
            subdomains,
            host,
            port,
        } = &self.0
        else {
            return false;
        };
        let host_matches = match (host, origin.host) {
            (Host::Name(parent), Host::Name(name)) if *subdomains => is_subdomain(name, parent),
            (Host::Name(name), Host::Name(other)) => name.eq_ignore_ascii_case(other),
            (Host::Ipv6(address), Host::Ipv6(other)) => *address == other,
            _ => false,
        };
        host_matches && *port == origin.port && scheme.eq_ignore_ascii_case(origin.scheme)
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pattern::Origin {
            scheme,
            subdomains,
            host,
            port,
        } = &self.0
        else {
            return f.write_str("null");
        };
        write!(f, "{scheme}://{}", if *subdomains { "*." } else { "" })?;
        match host {
            Host::Name(name) => f.write_str(name)?,
            Host::Ipv6(address) => write!(f, "[{address}]")?,
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Result<Origin<'a>, InvalidOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin::Scheme)?;
        Origin::of(scheme, authority)
    }

    fn of(scheme: &'a str, authority: &'a str) -> Result<Origin<'a>, InvalidOrigin> {
        if !is_scheme(scheme) {
            return Err(InvalidOrigin::Scheme);
        }
        if ["ws", "wss"]
            .iter()
            .any(|ws| ws.eq_ignore_ascii_case(scheme))
        {
            return Err(InvalidOrigin::WebSocketScheme);
        }
        let (host, port) = split_authority(authority)?;
        Ok(Origin {
            scheme,
            host,
            // RFC 6454 §6.2: the default port is not written.
            port: port.filter(|port| Some(*port) != default_port(scheme)),
        })
    }

    /// Whether this is a web page of `host`, a Host field that has been checked.
    fn is_of_host(&self, host: &str) -> bool {
        let (Some(default_port), Ok((host, port))) =
            (default_port(self.scheme), split_authority(host))
        else {
            return false;
        };
        let same_host = match (self.host, host) {
            (Host::Name(name), Host::Name(other)) => name.eq_ignore_ascii_case(other),
            (host, other) => host == other,
        };
        same_host && self.port == port.filter(|port| *port != default_port)
    }
}

/// RFC 9110 §4.2. Other schemes, such as a browser extension's, have no ports.
fn default_port(scheme: &str) -> Option<u16> {
    [("http", 80), ("https", 443)]
        .iter()
        .find_map(|(name, port)| name.eq_ignore_ascii_case(scheme).then_some(*port))
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// `host [ ":" port ]`. An empty port is none (RFC 3986 §6.2.3).
fn split_authority(text: &str) -> Result<(Host<&str>, Option<u16>), InvalidOrigin> {
    if text.contains(['/', '?', '#', '@']) {
        return Err(InvalidOrigin::NotOnlyHost);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']').ok_or(InvalidOrigin::Host)?;
            let address = address.parse().map_err(|_| InvalidOrigin::Host)?;
            let port = match rest.strip_prefix(':') {
                None if !rest.is_empty() => return Err(InvalidOrigin::Host),
                port => port,
            };
            (Host::Ipv6(address), port)
        }
        None => {
            let (name, port) = match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            };
            check_name(name)?;
            (Host::Name(name), port)
        }
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = digits.parse().ok().filter(|port| *port != 0);
            Some(port.ok_or(InvalidOrigin::Port)?)
        }
        Some(_) => return Err(InvalidOrigin::Port),
    };
    Ok((host, port))
}

/// A name as a browser writes it: in ASCII (RFC 6454 §6.2), of labels that are not empty,
/// and an address of four numbers if the last label is a number.
fn check_name(name: &str) -> Result<(), InvalidOrigin> {
    if name.contains('*') {
        return Err(InvalidOrigin::Wildcard);
    }
    if !name.is_ascii() {
        return Err(InvalidOrigin::HostNotAscii);
    }
    let is_name_byte = |byte: u8| byte.is_ascii_graphic() && !b"\"%<>[\\]^`{|},".contains(&byte);
    let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_name_byte);
    let ends_in_number = name
        .rsplit('.')
        .next()
        .is_some_and(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()));
    if !labels.all(is_label) || ends_in_number && !is_ipv4(name) {
        return Err(InvalidOrigin::Host);
    }
    Ok(())
}

fn is_ipv4(name: &str) -> bool {
    name.parse::<Ipv4Addr>().is_ok()
}

/// `parent` is in lower case and `name` has no empty label.
fn is_subdomain(name: &str, parent: &str) -> bool {
    let Some(split) = name.len().checked_sub(parent.len()) else {
        return false;
    };
    // Both are ASCII.
    let (labels, end) = name.split_at(split);
    labels.len() > 1 && labels.ends_with('.') && end.eq_ignore_ascii_case(parent)
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidOrigin::Scheme => {
                "expected an origin such as https://example.org or http://localhost:3000"
            }
            InvalidOrigin::WebSocketScheme => {
                "the origin of a page begins with http:// or https://, not with ws:// or wss://"
            }
            InvalidOrigin::NotOnlyHost => {
                "an origin is a scheme, a host and perhaps a port, without a path or a user"
            }
            InvalidOrigin::Host => {
                "expected a host such as example.org, 192.0.2.1 or [2001:db8::1]"
            }
            InvalidOrigin::HostNotAscii => {
                "write the host in ASCII, as browsers send it (xn--bcher-kva.example)"
            }
            InvalidOrigin::Wildcard => {
                "'*' stands for subdomains only, first and alone, as in https://*.example.org"
            }
            InvalidOrigin::Port => "expected a port from 1 to 65535",
        })
    }
}

impl core::error::Error for InvalidOrigin {}

#[cfg(test)]
mod tests {
    use super::*;

    fn and(pattern: &str) -> Origins {
        Origins::same_host_and([pattern]).expect(pattern)
    }

    #[test]
    fn pages_of_the_same_host_and_port_are_let_in() {
        let origins = Origins::SameHost;
        assert!(origins.allow(None, "chat.example"));
        for (origin, host) in [
            ("http://chat.example", "chat.example"),
            ("https://Chat.Example", "chat.example:443"),
            ("https://chat.example:443", "CHAT.example"),
            ("http://chat.example", "chat.example:80"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[0:0:0:0:0:0:0:1]:8080"),
        ] {
            assert!(origins.allow(Some(origin), host), "{origin}, {host}");
        }
        for (origin, host) in [
            ("http://127.0.0.1:8081", "127.0.0.1:8080"),
            ("https://evil.example", "chat.example"),
            ("https://chat.example", "chat.example:80"),
            ("http://chat.example.evil.example", "chat.example"),
            ("http://chat.example http://evil.example", "chat.example"),
            ("chrome-extension://chat.example", "chat.example"),
            ("null", "chat.example"),
            ("", "chat.example"),
        ] {
            assert!(!origins.allow(Some(origin), host), "{origin}, {host}");
        }
    }

    #[test]
    fn listed_origins_are_let_in_too() {
        let origins = and("https://app.example");
        assert!(origins.allow(Some("https://app.example"), "ws.example"));
        assert!(origins.allow(Some("https://ws.example"), "ws.example"));
        assert!(!origins.allow(Some("http://app.example"), "ws.example"));
        assert!(!origins.allow(Some("null"), "ws.example"));
        assert!(and("null").allow(Some("null"), "ws.example"));
        assert!(Origins::Any.allow(Some("https://anyone.example"), "ws.example"));
        assert!(Origins::Any.allow(Some("null"), "ws.example"));
    }

    // RFC 6454 §4, §6.2.
    #[test]
    fn scheme_and_host_are_compared_without_case_and_default_ports_are_none() {
        for (pattern, origin) in [
            ("https://example.org:443", "https://example.org"),
            ("https://example.org", "https://example.org:443"),
            ("http://example.org:80", "http://example.org"),
            ("HTTPS://EXAMPLE.ORG", "https://example.org"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("http://localhost:", "http://localhost"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert!(and(pattern).allow(Some(origin), "h"), "{pattern}, {origin}");
        }
        for (pattern, origin) in [
            ("https://example.org:80", "https://example.org"),
            ("http://example.org:443", "http://example.org"),
            ("http://example.org", "https://example.org"),
            ("https://example.org", "https://example.org."),
        ] {
            assert!(
                !and(pattern).allow(Some(origin), "h"),
                "{pattern}, {origin}"
            );
        }
    }

    #[test]
    fn wildcard_matches_exactly_the_subdomains() {
        let origins = and("https://*.Example.org:443");
        for origin in [
            "https://a.example.org",
            "https://a.b.EXAMPLE.org",
            "https://xn--bcher-kva.example.org:443",
        ] {
            assert!(origins.allow(Some(origin), "h"), "{origin}");
        }
        for origin in [
            "https://example.org",
            "https://.example.org",
            "https://evilexample.org",
            "https://a.example.org.evil.example",
            "https://a.example.org:444",
            "http://a.example.org",
            "https://evil.example/.example.org",
            "https://evil.example#.example.org",
            "https://evil.example@a.example.org",
            "https://org",
        ] {
            assert!(!origins.allow(Some(origin), "h"), "{origin}");
        }
    }

    #[test]
    fn pattern_that_no_origin_can_match_is_an_error() {
        use InvalidOrigin::*;
        for (text, error) in [
            ("", Scheme),
            ("*", Scheme),
            ("NULL", Scheme),
            ("example.org", Scheme),
            ("*.example.org", Scheme),
            ("*://example.org", Scheme),
            ("://example.org", Scheme),
            ("wss://example.org", WebSocketScheme),
            ("https://example.org/", NotOnlyHost),
            ("https://example.org?", NotOnlyHost),
            ("https://example.org#", NotOnlyHost),
            ("https://user@example.org", NotOnlyHost),
            ("https://", Host),
            ("https://.", Host),
            ("https://:443", Host),
            ("https://a..example", Host),
            ("https://.example", Host),
            ("https://exam ple.org", Host),
            ("https://127.1", Host),
            ("https://1.2.3.256", Host),
            ("https://[::1", Host),
            ("https://[::1]a", Host),
            ("https://[example.org]", Host),
            ("https://b\u{fc}cher.example", HostNotAscii),
            ("https://*", Wildcard),
            ("https://a*.example.org", Wildcard),
            ("https://a.*.example.org", Wildcard),
            ("https://*.*.example.org", Wildcard),
            ("https://*.127.0.0.1", Wildcard),
            ("https://*.[::1]", Wildcard),
            ("https://*.", Host),
            ("https://example.org:*", Port),
            ("https://example.org:0", Port),
            ("https://example.org:+1", Port),
            ("https://example.org:65536", Port),
            ("https://example.org:1:2", Port),
        ] {
            assert_eq!(text.parse::<OriginPattern>(), Err(error), "{text}");
        }
    }

    #[test]
    fn pattern_is_written_as_it_is_compared() {
        for (text, written) in [
            ("null", "null"),
            ("HTTP://A.Example:80", "http://a.example"),
            ("https://*.example:8443", "https://*.example:8443"),
            ("http://[0::1]:81", "http://[::1]:81"),
        ] {
            let pattern: OriginPattern = text.parse().expect(text);
            assert_eq!(pattern.to_string(), written);
            assert_eq!(written.parse(), Ok(pattern));
        }
    }
}
