//! The names of this server: the Host of a request against a list (RFC 9110 §7.2).
//!
//! ```text
//!   1  the user opens http://evil.example:8080/, which resolves to the attacker's server
//!   2  the attacker's page connects to ws://evil.example:8080/, which resolves to 127.0.0.1 now
//!   3  this server gets  Host: evil.example:8080   Origin: http://evil.example:8080
//! ```
//!
//! Both fields have the same host, so a comparison of them admits the page (DNS rebinding). Only the server knows that the name is
//! not one of its own. A page cannot choose Host: it is the name that the browser has looked up. The
//! list protects servers that the attacker cannot reach without the user's browser: those on a
//! loopback address, and those in a private network.

use super::authority::Authority;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// The names by which clients may ask for this server. The port does not matter.
///
/// ```
/// use yamabiko::http::{Hosts, InvalidHost};
///
/// let hosts = Hosts::loopback_and(["chat.example", "*.chat.example"])?;
/// for host in ["chat.example:8080", "a.chat.example", "localhost:8080", "127.0.0.1", "[::1]"] {
///     assert!(hosts.allow(Some(host)));
/// }
/// assert!(!hosts.allow(Some("evil.example:8080")));
/// # Ok::<(), InvalidHost>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hosts {
    /// Every name.
    Any,
    /// `localhost` and names below it (RFC 6761 §6.3), 127.0.0.0/8 and `[::1]`.
    Loopback,
    /// As `Loopback`, and these: see [`Hosts::loopback_and`].
    LoopbackAnd(Vec<HostPattern>),
}

impl Hosts {
    /// Loopback names, and these.
    ///
    /// # Errors
    /// The first pattern that is none.
    pub fn loopback_and<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Hosts, InvalidHost> {
        let patterns = patterns.into_iter().map(str::parse);
        Ok(Hosts::LoopbackAnd(patterns.collect::<Result<_, _>>()?))
    }

    /// Whether a request for `host` (a Host field, or the authority of the target) is for this server. A request
    /// without one is of no browser.
    pub fn allow(&self, host: Option<&str>) -> bool {
        let listed: &[HostPattern] = match self {
            Hosts::Any => return true,
            Hosts::Loopback => &[],
            Hosts::LoopbackAnd(listed) => listed,
        };
        let Some(host) = host else { return true };
        let Ok(authority) = Authority::parse(host) else {
            return false;
        };
        let host = Host::of(authority.host);
        host.is_loopback() || listed.iter().any(|pattern| pattern.matches(host))
    }
}

/// A name of this server, all names below one, or an address: an item of [`Hosts::LoopbackAnd`].
///
/// ```
/// use yamabiko::http::{HostPattern, InvalidHost};
///
/// let pattern: HostPattern = "*.Chat.Example".parse()?;
/// assert_eq!(pattern.to_string(), "*.chat.example");
/// # Ok::<(), InvalidHost>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Address(IpAddr),
    /// In lower case, without a dot at the end.
    Name {
        name: Box<str>,
        /// All names below it match, and the name does not.
        below: bool,
    },
}

impl HostPattern {
    fn matches(&self, host: Host<'_>) -> bool {
        match (&self.0, host) {
            (Pattern::Address(own), Host::Address(address)) => *own == address,
            (Pattern::Name { name, below: false }, Host::Name(host)) => {
                name.eq_ignore_ascii_case(host)
            }
            (Pattern::Name { name, below: true }, Host::Name(host)) => is_below(host, name),
            _ => false,
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<HostPattern, InvalidHost> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>() {
            return Ok(HostPattern(Pattern::Address(address.to_canonical())));
        }
        let parent = text.strip_prefix("*.");
        let name = parent.unwrap_or(text);
        if name.contains('*') {
            return Err(InvalidHost::Wildcard);
        }
        if !name.is_ascii() {
            return Err(InvalidHost::NotAscii);
        }
        let authority = Authority::parse(name).map_err(|_| InvalidHost::Name)?;
        if authority.host.len() < name.len() {
            return Err(InvalidHost::Port);
        }
        match Host::of(name) {
            Host::Name(name) if !name.is_empty() && !name.split('.').any(str::is_empty) => {
                Ok(HostPattern(Pattern::Name {
                    name: name.to_ascii_lowercase().into(),
                    below: parent.is_some(),
                }))
            }
            Host::Address(_) => Err(InvalidHost::Wildcard),
            Host::Name(_) => Err(InvalidHost::Name),
        }
    }
}

/// A host of a request.
#[derive(Clone, Copy)]
enum Host<'a> {
    Address(IpAddr),
    /// Without a dot at the end: it means the same name.
    Name(&'a str),
}

impl Host<'_> {
    /// `text`: of an [`Authority`].
    fn of(text: &str) -> Host<'_> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let address = match bare {
            Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => text.parse::<Ipv4Addr>().map(IpAddr::V4),
        };
        match address {
            Ok(address) => Host::Address(address.to_canonical()),
            Err(_) => Host::Name(text.strip_suffix('.').unwrap_or(text)),
        }
    }

    fn is_loopback(self) -> bool {
        match self {
            Host::Address(address) => address.is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case(LOCALHOST) || is_below(name, LOCALHOST),
        }
    }
}

const LOCALHOST: &str = "localhost";

/// Whether `name` is `parent` with further labels in front.
fn is_below(name: &str, parent: &str) -> bool {
    let Some(split) = name.len().checked_sub(parent.len()) else {
        return false;
    };
    let Some((labels, end)) = name.split_at_checked(split) else {
        return false;
    };
    labels.len() > 1 && labels.ends_with('.') && end.eq_ignore_ascii_case(parent)
}

/// Why a text is no [`HostPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHost {
    /// It is neither a name nor an address.
    Name,
    /// It is not in ASCII, as browsers send it.
    NotAscii,
    /// An asterisk is not the first label of a name.
    Wildcard,
    /// A port follows.
    Port,
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Pattern::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Pattern::Name { name, below } => {
                write!(f, "{}{name}", if *below { "*." } else { "" })
            }
        }
    }
}

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidHost::Name => "expected a host such as example.org, 192.0.2.1 or [2001:db8::1]",
            InvalidHost::NotAscii => {
                "write the host in ASCII, as browsers send it (xn--bcher-kva.example)"
            }
            InvalidHost::Wildcard => "'*' stands for names below one only, as in *.example.org",
            InvalidHost::Port => "a host is written without a port: every port is meant",
        })
    }
}

impl core::error::Error for InvalidHost {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_ours_whatever_their_form() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "localhost.",
            "chat.localhost",
            "127.0.0.1",
            "127.255.0.1:80",
            "[::1]:8080",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(Hosts::Loopback.allow(Some(host)), "{host}");
        }
        assert!(Hosts::Loopback.allow(None));
    }

    #[test]
    fn other_names_are_not_ours() {
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evillocalhost",
            ".localhost",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io",
            "128.0.0.1",
            "0.0.0.0",
            "127.1",
            "0x7f000001",
            "2130706433",
            "[::]",
            "[::2]",
            "[::ffff:192.0.2.1]",
            "localhost@evil.example",
            "",
            ":80",
        ] {
            assert!(!Hosts::Loopback.allow(Some(host)), "{host}");
            assert!(Hosts::Any.allow(Some(host)), "{host}");
        }
    }

    #[test]
    fn listed_names_and_addresses_are_ours_with_every_port() {
        let hosts = Hosts::loopback_and([
            "Chat.Example",
            "*.example.org",
            "192.0.2.1",
            "[2001:db8::1]",
        ]);
        let hosts = hosts.expect("hosts");
        for host in [
            "chat.example",
            "CHAT.example.:81",
            "a.example.org",
            "a.b.EXAMPLE.org:1",
            "192.0.2.1:80",
            "[2001:DB8:0::1]:80",
            "localhost",
        ] {
            assert!(hosts.allow(Some(host)), "{host}");
        }
        for host in [
            "example.org",
            "xexample.org",
            "a.chat.example",
            "chat.example.evil.example",
            "192.0.2.2",
            "[2001:db8::2]",
        ] {
            assert!(!hosts.allow(Some(host)), "{host}");
        }
    }

    #[test]
    fn pattern_that_is_no_host_is_an_error() {
        for (text, error) in [
            ("", InvalidHost::Name),
            (".", InvalidHost::Name),
            ("a..b", InvalidHost::Name),
            ("a b", InvalidHost::Name),
            ("https://a", InvalidHost::Name),
            ("a/b", InvalidHost::Name),
            ("user@a", InvalidHost::Name),
            ("[::1", InvalidHost::Name),
            ("a:80", InvalidHost::Port),
            ("a:", InvalidHost::Port),
            ("[::1]:80", InvalidHost::Port),
            ("*", InvalidHost::Wildcard),
            ("*.", InvalidHost::Name),
            ("a.*", InvalidHost::Wildcard),
            ("*.*.a", InvalidHost::Wildcard),
            ("*.127.0.0.1", InvalidHost::Wildcard),
            ("b\u{fc}cher.example", InvalidHost::NotAscii),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
        }
    }

    #[test]
    fn pattern_is_written_as_it_is_compared() {
        for (text, written) in [
            ("A.Example.", "a.example"),
            ("*.A", "*.a"),
            ("::1", "[::1]"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            let pattern: HostPattern = text.parse().expect(text);
            assert_eq!(pattern.to_string(), written);
            assert_eq!(written.parse(), Ok(pattern));
        }
    }
}
