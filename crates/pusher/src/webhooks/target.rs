//! The settings of a webhook: where its events go, and which.

use std::fmt;

use serde::Deserialize;
use ureq::http::Uri;

#[cfg(feature = "tls")]
use super::authorities::Authorities;

/// A URL to which events of an app are sent.
///
/// ```
/// use yamabiko_pusher::{Webhook, WebhookKind};
///
/// let webhook = Webhook::new("http://127.0.0.1:3000/webhooks")?
///     .kinds([WebhookKind::ChannelOccupied, WebhookKind::ChannelVacated])
///     .batched(true);
/// # drop(webhook);
/// # Ok::<(), yamabiko_pusher::InvalidWebhook>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WebhookSettings")]
pub struct Webhook {
    url: String,
    /// The host and the port of the URL, without a user's name and password.
    host: String,
    /// `None`: all.
    kinds: Option<Vec<WebhookKind>>,
    batched: bool,
    #[cfg(feature = "tls")]
    authorities: Authorities,
}

/// What a webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookKind {
    /// A channel has got its first subscriber.
    ChannelOccupied,
    /// The last subscriber of a channel has gone, and none has come for three seconds.
    ChannelVacated,
    /// A user has come to a presence channel with its first connection.
    MemberAdded,
    /// A user has gone with its last connection, and not come back for three seconds.
    MemberRemoved,
    /// A client has sent an event to other clients.
    ClientEvent,
    /// Somebody has subscribed to a cache channel that keeps no event.
    CacheMiss,
    /// The number of a channel's subscribers has changed. Only of apps that tell it.
    SubscriptionCount,
}

/// Why there is no such webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidWebhook {
    /// The URL does not begin with `http://` or `https://`, has no host, has a port that is no number of a port, or has other
    /// characters than those of ASCII that are visible.
    Url,
    /// The URL begins with `https://`, or there are authorities, and this program was built without the feature `tls`.
    WithoutTls,
    /// The authorities that a web server's certificate may be from cannot be read: why.
    Authorities(String),
}

/// A webhook in a file of settings.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WebhookSettings {
    url: String,
    events: Option<Vec<WebhookKind>>,
    batched: Option<bool>,
    authorities: Option<String>,
}

impl Webhook {
    /// A webhook that gets all events, each in a request of its own.
    ///
    /// With `https://`, the feature `tls` is needed. The web server must have a certificate of an authority that this machine
    /// trusts.
    ///
    /// # Errors
    /// [`InvalidWebhook::Url`], [`InvalidWebhook::WithoutTls`].
    pub fn new(url: impl Into<String>) -> Result<Webhook, InvalidWebhook> {
        let url = url.into();
        Ok(Webhook {
            host: host_of(&url)?,
            url,
            kinds: None,
            batched: false,
            #[cfg(feature = "tls")]
            authorities: Authorities::default(),
        })
    }

    /// Trusts these authorities alone, in PEM, instead of those that this machine trusts.
    ///
    /// # Errors
    /// [`InvalidWebhook::Authorities`]: one of them cannot be read, or there is none.
    #[cfg(feature = "tls")]
    pub fn authorities(mut self, pem: &[u8]) -> Result<Webhook, InvalidWebhook> {
        self.authorities = Authorities::from_pem(pem).map_err(InvalidWebhook::Authorities)?;
        Ok(self)
    }

    /// Sends events of these kinds only.
    #[must_use]
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = WebhookKind>) -> Webhook {
        self.kinds = Some(kinds.into_iter().collect());
        self
    }

    /// Whether several events are sent in one request: those of 250 ms, 20 at most. Default: false.
    #[must_use]
    pub fn batched(mut self, batched: bool) -> Webhook {
        self.batched = batched;
        self
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where the requests go, for a log: nothing that is secret is in it.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The authorities, if the web server needs a certificate.
    #[cfg(feature = "tls")]
    pub(super) fn trusted(&self) -> Option<&Authorities> {
        self.url.starts_with(HTTPS).then_some(&self.authorities)
    }

    pub(super) fn is_batched(&self) -> bool {
        self.batched
    }

    pub(super) fn wants(&self, kind: WebhookKind) -> bool {
        let kinds = self.kinds.as_ref();
        kinds.is_none_or(|kinds| kinds.contains(&kind))
    }
}

impl TryFrom<WebhookSettings> for Webhook {
    type Error = InvalidWebhook;

    fn try_from(settings: WebhookSettings) -> Result<Webhook, InvalidWebhook> {
        let webhook = Webhook::new(settings.url)?;
        let webhook = webhook.batched(settings.batched.unwrap_or(false));
        let webhook = match settings.authorities {
            Some(pem) => with_authorities(webhook, &pem)?,
            None => webhook,
        };
        Ok(match settings.events {
            Some(kinds) => webhook.kinds(kinds),
            None => webhook,
        })
    }
}

/// The host and the port of a URL that a webhook can have.
fn host_of(url: &str) -> Result<String, InvalidWebhook> {
    let is_http = url.starts_with(HTTP) || url.starts_with(HTTPS);
    if !is_http || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidWebhook::Url);
    }
    let uri: Uri = url.parse().map_err(|_| InvalidWebhook::Url)?;
    let authority = uri.authority().ok_or(InvalidWebhook::Url)?;
    let host = match (authority.host(), authority.port()) {
        ("", _) => return Err(InvalidWebhook::Url),
        (host, Some(port)) => format!("{host}:{port}"),
        // What is behind the host is no port.
        (host, None) if !authority.as_str().ends_with(host) => return Err(InvalidWebhook::Url),
        (host, None) => host.to_owned(),
    };
    match url.starts_with(HTTPS) && !cfg!(feature = "tls") {
        true => Err(InvalidWebhook::WithoutTls),
        false => Ok(host),
    }
}

#[cfg(feature = "tls")]
fn with_authorities(webhook: Webhook, pem: &str) -> Result<Webhook, InvalidWebhook> {
    webhook.authorities(pem.as_bytes())
}

#[cfg(not(feature = "tls"))]
fn with_authorities(_: Webhook, _: &str) -> Result<Webhook, InvalidWebhook> {
    Err(InvalidWebhook::WithoutTls)
}

const HTTP: &str = "http://";
const HTTPS: &str = "https://";

impl fmt::Display for InvalidWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidWebhook::Url => {
                "the URL of a webhook is http:// or https:// and a host, with a port or none, and has no spaces"
            }
            InvalidWebhook::WithoutTls => "this program was built without TLS",
            InvalidWebhook::Authorities(reason) => {
                return write!(f, "the authorities of a webhook cannot be used: {reason}");
            }
        })
    }
}

impl std::error::Error for InvalidWebhook {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_http_or_https_with_a_host() {
        for url in ["http://a", "http://127.0.0.1:3000/x?y", "http://[::1]/"] {
            assert!(Webhook::new(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "a",
            "http://",
            "https://",
            "http:///x",
            "https:///x",
            "HTTP://a",
            "ftp://a",
            "http://a b",
            "http://a/\n",
            "http://a:b/",
            "http://a:/",
            "http://a:65536/",
            "http://user:pass/word@a/",
        ] {
            assert_eq!(Webhook::new(url), Err(InvalidWebhook::Url), "{url}");
        }
        let has_tls = cfg!(feature = "tls");
        assert_eq!(Webhook::new("https://a:3000/x").is_ok(), has_tls);
        assert_eq!(Webhook::new("https://a b"), Err(InvalidWebhook::Url));
    }

    #[test]
    fn host_has_the_port_and_no_password() {
        for (url, host) in [
            ("http://a", "a"),
            ("http://a.example:3000/x?token=secret", "a.example:3000"),
            ("http://user:password@a:80/", "a:80"),
            ("http://user:pass@word@a/", "a"),
            ("http://[::1]:3000/", "[::1]:3000"),
            ("http://user@[::1]", "[::1]"),
        ] {
            let webhook = Webhook::new(url).expect(url);
            assert_eq!(webhook.host(), host, "{url}");
        }
    }

    #[test]
    fn authorities_are_certificates_in_pem() {
        for pem in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA",
        ] {
            let json = serde_json::json!({"url": "https://a/", "authorities": pem}).to_string();
            let error = serde_json::from_str::<Webhook>(&json).expect_err(pem);
            let expected = match cfg!(feature = "tls") {
                true => "the authorities of a webhook cannot be used: ",
                false => "this program was built without TLS",
            };
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }

    #[test]
    fn webhook_wants_all_kinds_or_the_listed_ones() {
        let all: Webhook = serde_json::from_str(r#"{"url":"http://a/"}"#).expect("a webhook");
        assert!(all.wants(WebhookKind::CacheMiss) && !all.is_batched());
        let json =
            r#"{"url":"http://a/","events":["channel_occupied","member_added"],"batched":true}"#;
        let some: Webhook = serde_json::from_str(json).expect("a webhook");
        assert!(some.wants(WebhookKind::MemberAdded) && !some.wants(WebhookKind::CacheMiss));
        assert!(some.is_batched());
        assert!(serde_json::from_str::<Webhook>(r#"{"url":"http://a/","events":["x"]}"#).is_err());
    }
}
