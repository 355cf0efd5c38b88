//! The settings of a webhook: where its events go, and which.

use std::fmt;

use serde::Deserialize;

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
    /// `None`: all.
    kinds: Option<Vec<WebhookKind>>,
    batched: bool,
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

/// Why a text is no URL of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidWebhook;

/// A webhook in a file of settings.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WebhookSettings {
    url: String,
    events: Option<Vec<WebhookKind>>,
    batched: Option<bool>,
}

impl Webhook {
    /// A webhook that gets all events, each in a request of its own.
    ///
    /// # Errors
    /// The URL does not begin with `http://`, or has no host.
    pub fn new(url: impl Into<String>) -> Result<Webhook, InvalidWebhook> {
        let url = url.into();
        let host = url
            .strip_prefix("http://")
            .and_then(|rest| rest.split(['/', '?', '#']).next());
        let is_text = |url: &str| url.bytes().all(|byte| byte.is_ascii_graphic());
        match host.is_some_and(|host| !host.is_empty()) && is_text(&url) {
            true => Ok(Webhook {
                url,
                kinds: None,
                batched: false,
            }),
            false => Err(InvalidWebhook),
        }
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
        Ok(match settings.events {
            Some(kinds) => webhook.kinds(kinds),
            None => webhook,
        })
    }
}

impl fmt::Display for InvalidWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the URL of a webhook is http:// and a host, and has no spaces")
    }
}

impl std::error::Error for InvalidWebhook {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_http_with_a_host() {
        for url in ["http://a", "http://127.0.0.1:3000/x?y", "http://[::1]/"] {
            assert!(Webhook::new(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "a",
            "http://",
            "http:///x",
            "ftp://a",
            "http://a b",
            "http://a/\n",
        ] {
            assert_eq!(Webhook::new(url), Err(InvalidWebhook), "{url}");
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
