//! The events of webhooks, as they are written.

use std::sync::Arc;

use serde::Serialize;

/// Something that has happened in an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(crate) enum WebhookEvent {
    ChannelOccupied {
        channel: Arc<str>,
    },
    ChannelVacated {
        channel: Arc<str>,
    },
    MemberAdded {
        channel: Arc<str>,
        user_id: Arc<str>,
    },
    MemberRemoved {
        channel: Arc<str>,
        user_id: Arc<str>,
    },
    ClientEvent {
        channel: Arc<str>,
        event: Arc<str>,
        /// JSON as the client sent it, or the text that it sent.
        data: Arc<str>,
        socket_id: Arc<str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<Arc<str>>,
    },
    CacheMiss {
        channel: Arc<str>,
    },
    SubscriptionCount {
        channel: Arc<str>,
        subscription_count: u32,
    },
}

impl WebhookEvent {
    /// The memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let texts: [&str; 5] = match self {
            WebhookEvent::ChannelOccupied { channel }
            | WebhookEvent::ChannelVacated { channel }
            | WebhookEvent::CacheMiss { channel }
            | WebhookEvent::SubscriptionCount { channel, .. } => [channel, "", "", "", ""],
            WebhookEvent::MemberAdded { channel, user_id }
            | WebhookEvent::MemberRemoved { channel, user_id } => [channel, user_id, "", "", ""],
            WebhookEvent::ClientEvent {
                channel,
                event,
                data,
                socket_id,
                user_id,
            } => [
                channel,
                event,
                data,
                socket_id,
                user_id.as_deref().unwrap_or_default(),
            ],
        };
        size_of::<Self>() + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_their_names_and_fields() {
        let text = |text: &str| Arc::<str>::from(text);
        let added = WebhookEvent::MemberAdded {
            channel: text("presence-a"),
            user_id: text("1"),
        };
        let json = serde_json::to_string(&added).expect("JSON");
        assert_eq!(
            json,
            r#"{"name":"member_added","channel":"presence-a","user_id":"1"}"#
        );
        let event = WebhookEvent::ClientEvent {
            channel: text("private-a"),
            event: text("client-x"),
            data: text("{\"a\":1}"),
            socket_id: text("1.2"),
            user_id: None,
        };
        let json = serde_json::to_string(&event).expect("JSON");
        assert_eq!(
            json,
            r#"{"name":"client_event","channel":"private-a","event":"client-x","data":"{\"a\":1}","socket_id":"1.2"}"#
        );
        assert_eq!(event.bytes(), size_of::<WebhookEvent>() + 27);
    }
}
