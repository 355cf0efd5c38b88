//! Where Redis is, and the bounds and times of the backplane.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, ProtocolVersion, RedisResult};

/// Where Redis is, and the bounds and times of the backplane.
///
/// ```
/// use std::time::Duration;
/// use yamabiko_redis::{RedisSettings, RedisUrl};
///
/// let url: RedisUrl = "redis://10.0.0.5:6379/0".parse()?;
/// let settings = RedisSettings {
///     publish_wait: Duration::from_secs(3),
///     ..RedisSettings::new(url)
/// };
/// assert_eq!(settings.prefix, "yamabiko");
/// # Ok::<(), yamabiko_redis::InvalidRedisUrl>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RedisSettings {
    /// Where Redis is.
    pub url: RedisUrl,
    /// The authorities that `rediss://` trusts, in PEM. Default: those of this machine.
    pub authorities: Option<String>,
    /// What the names of all keys and channels begin with: nodes with the same prefix share their rooms. Default `yamabiko`.
    pub prefix: String,
    /// The name of this node in Redis' list of clients and in the log. Default: a random one.
    pub node: Option<String>,
    /// Publications that wait for Redis; further ones are refused. Default 65,536.
    pub queue_publications_max: usize,
    /// Bytes of these publications. Default 16 MiB.
    pub queue_bytes_max: usize,
    /// How long a publication waits for a Redis that cannot be reached. Then it is refused, and so are others at once until Redis is
    /// there again. Default 8 s.
    pub publish_wait: Duration,
    /// A connection on which Redis does not answer for this long is given up. Default 5 s.
    pub silence_max: Duration,
    /// The node is ready while its last round trip through Redis, from the connection that publishes to the one that receives, is not
    /// older than this. Default 2 s.
    pub ready_within: Duration,
    /// How long Redis keeps what it knows of a room that is not used. Then the room begins a new epoch. At least the age up to
    /// which the rooms keep their messages. Default 48 h.
    pub room_idle: Duration,
}

impl RedisSettings {
    /// The defaults, with this Redis.
    pub fn new(url: RedisUrl) -> RedisSettings {
        RedisSettings {
            url,
            authorities: None,
            prefix: "yamabiko".to_owned(),
            node: None,
            queue_publications_max: 65_536,
            queue_bytes_max: 16 << 20,
            publish_wait: Duration::from_secs(8),
            silence_max: Duration::from_secs(5),
            ready_within: Duration::from_secs(2),
            room_idle: Duration::from_secs(48 * 60 * 60),
        }
    }

    /// What makes connections. Nothing is connected.
    pub(crate) fn client(&self) -> RedisResult<Client> {
        let info = self.url.connection_info();
        match &self.authorities {
            #[cfg(feature = "tls")]
            Some(authorities) => {
                let certificates = redis::TlsCertificates {
                    client_tls: None,
                    root_cert: Some(authorities.clone().into_bytes()),
                };
                Client::build_with_tls(info, certificates)
            }
            _ => Client::open(info),
        }
    }
}

/// The address of a Redis: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]`, `rediss://…` with TLS (feature `tls`), or
/// `unix:///PATH`. Its text forms, also that for debugging, do not show the password.
#[derive(Clone)]
pub struct RedisUrl {
    /// With [`HIDDEN`] in the place of the password.
    shown: String,
    info: ConnectionInfo,
}

/// A text is no address of a Redis; the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRedisUrl(String);

impl RedisUrl {
    /// The same address with this password.
    #[must_use]
    pub fn with_password(self, password: &str) -> RedisUrl {
        let redis = self.info.redis_settings().clone().set_password(password);
        let info = self.info.set_redis_settings(redis);
        RedisUrl { info, ..self }
    }

    /// With the protocol in which one connection both receives and asks.
    fn connection_info(&self) -> ConnectionInfo {
        let redis = self.info.redis_settings().clone();
        let redis = redis.set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = self.info.clone().set_redis_settings(redis);
        info.set_tcp_settings(tcp)
    }
}

impl FromStr for RedisUrl {
    type Err = InvalidRedisUrl;

    fn from_str(text: &str) -> Result<RedisUrl, InvalidRedisUrl> {
        let (shown, password) = without_password(text);
        if password == Some(HIDDEN) {
            let hidden = format!("the password is hidden: write it in the place of {HIDDEN}");
            return Err(InvalidRedisUrl(hidden));
        }
        // The reasons of the crate name neither the password nor the form.
        let info: ConnectionInfo = text.parse().map_err(|error: redis::RedisError| {
            let expected = "expected redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH";
            InvalidRedisUrl(format!("{expected} ({})", error.category()))
        })?;
        Ok(RedisUrl { shown, info })
    }
}

/// The URL without its password, and the password as it stands there.
fn without_password(url: &str) -> (String, Option<&str>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some(at) = authority.rfind('@') else {
        return (url.to_owned(), None);
    };
    let (user, behind) = rest.split_at(at);
    match user.split_once(':') {
        Some((user, password)) => (
            format!("{scheme}://{user}:{HIDDEN}{behind}"),
            Some(password),
        ),
        None => (url.to_owned(), None),
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}

/// The same address with the same credentials.
impl PartialEq for RedisUrl {
    fn eq(&self, other: &RedisUrl) -> bool {
        let credentials = |url: &RedisUrl| {
            let redis = url.info.redis_settings();
            (
                redis.username().map(str::to_owned),
                redis.password().map(str::to_owned),
            )
        };
        self.shown == other.shown && credentials(self) == credentials(other)
    }
}

/// Settings that cannot be used; the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRedisSettings(String);

impl InvalidRedisSettings {
    pub(crate) fn of(error: &redis::RedisError) -> InvalidRedisSettings {
        InvalidRedisSettings(format!(
            "Redis cannot be connected to: {}",
            error.category()
        ))
    }
}

impl fmt::Display for InvalidRedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRedisSettings {}

impl fmt::Display for InvalidRedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRedisUrl {}

/// What is shown for a password. It is refused as one: a file that was printed needs the password.
const HIDDEN: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_of_a_url_is_used_and_never_shown() {
        for (text, shown) in [
            ("redis://127.0.0.1:1", "redis://127.0.0.1:1"),
            ("redis://:se%40cret@host/2", "redis://:***@host/2"),
            ("redis://user:se%40cret@host", "redis://user:***@host"),
        ] {
            let url: RedisUrl = text.parse().expect("a URL");
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("{shown:?}"));
            let password = url.info.redis_settings().password();
            assert_eq!(password, text.contains("se%40cret").then_some("se@cret"));
            let settings = format!("{:?}", RedisSettings::new(url.with_password("other")));
            assert!(
                !settings.contains("cret") && !settings.contains("other"),
                "{settings}"
            );
        }
    }

    #[test]
    fn hidden_password_is_refused_and_so_is_a_text_that_is_no_url() {
        let hidden = "redis://user:***@host".parse::<RedisUrl>();
        assert!(hidden.is_err_and(|error| error.to_string().contains("hidden")));
        for text in [
            "",
            "host:6379",
            "http://host",
            "redis://",
            "redis://:secret@host:port",
        ] {
            let error = text.parse::<RedisUrl>().expect_err(text).to_string();
            assert!(error.starts_with("expected redis://"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn urls_with_different_passwords_differ() {
        let url = |text: &str| text.parse::<RedisUrl>().expect("a URL");
        assert_eq!(url("redis://:a@host"), url("redis://:a@host"));
        assert_ne!(url("redis://:a@host"), url("redis://:b@host"));
        assert_ne!(url("redis://host"), url("redis://host").with_password("a"));
    }
}
