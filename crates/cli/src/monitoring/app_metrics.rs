//! The metrics of the apps of Pusher clients: those of each app, by its id.

use std::fmt;

use yamabiko_pusher::AppCounts;

use super::families::Families;

/// A number of an app.
type Number = fn(&AppCounts) -> u64;

/// Encodes the numbers of these apps.
pub(super) fn encode(apps: &[AppCounts], families: &mut Families<'_>) -> fmt::Result {
    let label = |counts: &AppCounts| vec![("app", counts.app.clone())];
    for (name, help, number) in GAUGES {
        let values = apps.iter().map(|app| (label(app), number(app) as f64));
        families.gauges(name, help, values)?;
    }
    for (name, help, number) in TOTALS {
        let values = apps.iter().map(|app| (label(app), number(app)));
        families.counters(name, help, values)?;
    }
    Ok(())
}

const GAUGES: [(&str, &str, Number); 3] = [
    (
        "yamabiko_app_connections",
        "Open connections of the app",
        |app| app.connections,
    ),
    (
        "yamabiko_app_channels",
        "Channels of the app that have subscribers",
        |app| app.channels,
    ),
    (
        "yamabiko_app_messages_in_period",
        "Events of the app in the present period, which a limit holds for",
        |app| app.messages_in_period,
    ),
];

const TOTALS: [(&str, &str, Number); 11] = [
    (
        "yamabiko_app_connections_refused",
        "Connections of the app that were refused",
        |app| app.connections_refused,
    ),
    (
        "yamabiko_app_subscriptions",
        "Subscriptions to channels of the app",
        |app| app.subscriptions,
    ),
    (
        "yamabiko_app_subscriptions_refused",
        "Subscriptions that were refused",
        |app| app.subscriptions_refused,
    ),
    (
        "yamabiko_app_events",
        "Events of the HTTP API, one for each channel",
        |app| app.events,
    ),
    (
        "yamabiko_app_client_events",
        "Events of clients for other clients",
        |app| app.client_events,
    ),
    (
        "yamabiko_app_client_events_refused",
        "Events of clients that were refused",
        |app| app.client_events_refused,
    ),
    (
        "yamabiko_app_requests_refused",
        "Requests of the HTTP API that were refused",
        |app| app.requests_refused,
    ),
    (
        "yamabiko_app_webhook_events_sent",
        "Events of webhooks that the web server has taken",
        |app| app.webhook_events_sent,
    ),
    (
        "yamabiko_app_webhook_requests_failed",
        "Requests of webhooks that got no 2xx",
        |app| app.webhook_requests_failed,
    ),
    (
        "yamabiko_app_webhook_events_given_up",
        "Events of webhooks that the web server has not taken for five minutes",
        |app| app.webhook_events_given_up,
    ),
    (
        "yamabiko_app_webhook_events_discarded",
        "Events of webhooks for which the queue had no room",
        |app| app.webhook_events_discarded,
    ),
];
