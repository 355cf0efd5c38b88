//! An app: what a page and a web server name to use the service, and what it may do.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::limits::AppLimits;
use crate::webhooks::{InvalidWebhook, Webhook};

/// An app, with its credentials and its settings.
///
/// A page knows the key, a web server also the id and the secret. `ID:KEY:SECRET` is read by `parse`; with serde an app is read
/// from a table of settings (see [`AppLimits`] for the limits, which have hyphens there):
///
/// ```
/// use yamabiko_pusher::{App, AppLimits};
///
/// let app: App = "1:app-key:app-secret".parse()?;
/// let app = app.limits(AppLimits { connections_max: Some(1000), ..AppLimits::default() });
/// assert_eq!((app.id(), app.key()), ("1", "app-key"));
/// # Ok::<(), yamabiko_pusher::InvalidApp>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "AppSettings")]
pub struct App {
    id: String,
    key: String,
    secret: String,
    enabled: bool,
    client_events: bool,
    subscription_counts: bool,
    limits: AppLimits,
    webhooks: Vec<Webhook>,
}

/// Why a text or a table is no app.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidApp {
    /// The text is not `ID:KEY:SECRET`.
    Form,
    /// The id or the key has other characters than letters, digits, `-`, `_` and `.`, or more than 128 of them.
    Name,
    /// The secret is empty, or has more than 1,024 bytes.
    Secret,
    /// Another app has the same id or the same key, which is this one.
    Duplicate(String),
    /// A webhook cannot be used.
    Webhook(InvalidWebhook),
}

/// An app in a file of settings.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct AppSettings {
    id: String,
    key: String,
    secret: String,
    enabled: Option<bool>,
    client_events: Option<bool>,
    subscription_counts: Option<bool>,
    connections_max: Option<u32>,
    channels_max: Option<u32>,
    channels_per_connection_max: Option<u32>,
    event_bytes_max: Option<usize>,
    events_per_second: Option<NonZeroU32>,
    client_events_per_second: Option<NonZeroU32>,
    messages_max: Option<u64>,
    period_seconds: Option<NonZeroU32>,
    presence_members_max: Option<u32>,
    user_info_bytes_max: Option<usize>,
    subscription_bytes_per_second: Option<NonZeroU32>,
    list_bytes_per_second: Option<NonZeroU32>,
    cache_bytes_max: Option<usize>,
    webhooks: Option<Vec<Webhook>>,
}

impl App {
    /// An app with these credentials and the default settings.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn new(
        id: impl Into<String>,
        key: impl Into<String>,
        secret: impl Into<String>,
    ) -> Result<App, InvalidApp> {
        let (id, key, secret) = (id.into(), key.into(), secret.into());
        if !is_name(&id) || !is_name(&key) {
            return Err(InvalidApp::Name);
        }
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return Err(InvalidApp::Secret);
        }
        Ok(App {
            id,
            key,
            secret,
            enabled: true,
            client_events: true,
            subscription_counts: false,
            limits: AppLimits::default(),
            webhooks: Vec::new(),
        })
    }

    /// Whether the app may be used. Default: true. Clients of a disabled app are closed with 4003, its API responds with 403.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> App {
        self.enabled = enabled;
        self
    }

    /// Whether clients may send events to each other. Default: true.
    #[must_use]
    pub fn client_events(mut self, allowed: bool) -> App {
        self.client_events = allowed;
        self
    }

    /// Whether subscribers are told how many they are (`pusher:subscription_count`), and the HTTP API tells it, too. Default:
    /// false.
    #[must_use]
    pub fn subscription_counts(mut self, told: bool) -> App {
        self.subscription_counts = told;
        self
    }

    /// What the app may use.
    #[must_use]
    pub fn limits(mut self, limits: AppLimits) -> App {
        self.limits = limits;
        self
    }

    /// Sends what happens in the app to a URL. May be called for several.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> App {
        self.webhooks.push(webhook);
        self
    }

    /// The id, which the paths of the HTTP API have.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key, which the path of the WebSocket has.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    pub(crate) fn allows_client_events(&self) -> bool {
        self.client_events
    }

    pub(crate) fn tells_subscription_counts(&self) -> bool {
        self.subscription_counts
    }

    pub(crate) fn webhooks(&self) -> &[Webhook] {
        &self.webhooks
    }

    pub(crate) fn app_limits(&self) -> &AppLimits {
        &self.limits
    }
}

/// `ID:KEY:SECRET`. A colon may be in the secret.
impl FromStr for App {
    type Err = InvalidApp;

    fn from_str(text: &str) -> Result<App, InvalidApp> {
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or(InvalidApp::Form);
        let (id, key, secret) = (part()?, part()?, part()?);
        App::new(id, key, secret)
    }
}

impl TryFrom<AppSettings> for App {
    type Error = InvalidApp;

    fn try_from(settings: AppSettings) -> Result<App, InvalidApp> {
        let default = AppLimits::default();
        let period = settings.period_seconds;
        let limits = AppLimits {
            connections_max: settings.connections_max,
            channels_max: settings.channels_max,
            channels_per_connection_max: settings
                .channels_per_connection_max
                .unwrap_or(default.channels_per_connection_max),
            event_bytes_max: settings.event_bytes_max.unwrap_or(default.event_bytes_max),
            events_per_second: settings.events_per_second,
            client_events_per_second: settings
                .client_events_per_second
                .unwrap_or(default.client_events_per_second),
            messages_max: settings.messages_max,
            period: period.map_or(default.period, |seconds| {
                Duration::from_secs(seconds.get().into())
            }),
            presence_members_max: settings
                .presence_members_max
                .unwrap_or(default.presence_members_max),
            user_info_bytes_max: settings
                .user_info_bytes_max
                .unwrap_or(default.user_info_bytes_max),
            subscription_bytes_per_second: settings
                .subscription_bytes_per_second
                .unwrap_or(default.subscription_bytes_per_second),
            list_bytes_per_second: settings
                .list_bytes_per_second
                .unwrap_or(default.list_bytes_per_second),
            cache_bytes_max: settings.cache_bytes_max.unwrap_or(default.cache_bytes_max),
        };
        let app = App::new(settings.id, settings.key, settings.secret)?;
        let webhooks = settings.webhooks.unwrap_or_default();
        let app = webhooks.into_iter().fold(app, App::webhook);
        Ok(app
            .enabled(settings.enabled.unwrap_or(true))
            .client_events(settings.client_events.unwrap_or(true))
            .subscription_counts(settings.subscription_counts.unwrap_or(false))
            .limits(limits))
    }
}

/// A segment of a path that needs no percent-encoding.
fn is_name(text: &str) -> bool {
    let is_in_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_in_names)
}

const NAME_BYTES_MAX: usize = 128;
const SECRET_BYTES_MAX: usize = 1024;

/// The secret is in no log.
impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("id", &self.id)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            InvalidApp::Duplicate(name) => {
                return write!(f, "two apps have the same id or key: {name}");
            }
            InvalidApp::Webhook(reason) => return reason.fmt(f),
            InvalidApp::Form => "expected ID:KEY:SECRET",
            InvalidApp::Name => {
                "the id and the key of an app have 1 to 128 letters, digits, '-', '_' and '.'"
            }
            InvalidApp::Secret => "the secret of an app has 1 to 1024 bytes",
        };
        f.write_str(text)
    }
}

/// The cause that `Display` does not tell.
impl std::error::Error for InvalidApp {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InvalidApp::Webhook(reason) => reason.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_id_key_and_secret() {
        let app: App = "12:the_key:a:secret".parse().expect("an app");
        assert_eq!(
            (app.id(), app.key(), app.secret()),
            ("12", "the_key", "a:secret")
        );
        for (text, error) in [
            ("", InvalidApp::Form),
            ("1:key", InvalidApp::Form),
            (":key:secret", InvalidApp::Name),
            ("1::secret", InvalidApp::Name),
            ("1:a/b:secret", InvalidApp::Name),
            (&format!("1:{}:secret", "k".repeat(129)), InvalidApp::Name),
            ("1:key:", InvalidApp::Secret),
            (&format!("1:key:{}", "s".repeat(1025)), InvalidApp::Secret),
        ] {
            assert_eq!(text.parse::<App>().err(), Some(error), "{text}");
        }
        let longest = format!("{0}:{0}:{1}", "k".repeat(128), "s".repeat(1024));
        assert!(longest.parse::<App>().is_ok());
    }

    #[test]
    fn secret_is_not_in_the_debug_text() {
        let app: App = "1:key:hidden".parse().expect("an app");
        assert_eq!(format!("{app:?}"), r#"App { id: "1", key: "key", .. }"#);
    }

    #[test]
    fn settings_that_are_not_in_a_table_have_their_defaults() {
        let json = r#"{"id":"1","key":"k","secret":"s","connections-max":5,"period-seconds":60,"client-events":false}"#;
        let app: App = serde_json::from_str(json).expect("an app");
        let expected = AppLimits {
            connections_max: Some(5),
            period: Duration::from_secs(60),
            ..AppLimits::default()
        };
        assert_eq!(app.app_limits(), &expected);
        assert!(!app.allows_client_events() && app.is_enabled());
        for json in [
            r#"{"id":"1","key":"k"}"#,
            r#"{"id":"1","key":"k","secret":"s","x":1}"#,
            r#"{"id":"1/2","key":"k","secret":"s"}"#,
        ] {
            assert!(serde_json::from_str::<App>(json).is_err(), "{json}");
        }
    }
}
