//! The table of settings, and the configuration that they make.

use super::*;
use crate::arguments::Command;
use crate::arguments::table::{rows, table};
use crate::arguments::tests::{error, parse_line};
use crate::arguments::values::Value;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;
use yamabiko::server::{HistoryLimits, LagAction, RateAction, RateLimits, RoomHistory};

fn configured(line: &str) -> Config {
    match parse_line(line) {
        Ok(Command::Serve(settings)) => settings.config(),
        Ok(Command::Echo(settings)) => settings.config(),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn every_option_reaches_its_setting() {
    let config = configured(
        "--listen [::1]:9 --workers 2 --message-bytes-max 64KiB --backlog-bytes-max 2MiB \
         --worker-backlog-bytes-max 3MiB --lag-action latest --lag-messages-max 100 \
         --lag-age-max 0 --publisher-wait-max 1.5 --publisher-wait-rate-min 9KiB --rooms-max 11 --room-members-max 12 \
         --rooms-per-connection 13 --history-messages 50 --history-rooms 14 --history-memory 3MiB --write-stall-timeout 0 --connection-lifetime-max 3600 --batch-delay 0.005 --connections-max 7 --unsent-bytes-max 128KiB --connections-per-address 5 --connections-per-second 6 --inflate-ratio-max 100 --memory-bytes-max 3GiB --handshake-timeout 0.25 \
         --ping-interval 20 --pong-timeout 1.5 \
         --message-timeout 9 --message-rate-min 2KiB --close-timeout 1 --drain-timeout 86400 --drain 30 \
         --messages-per-second 20 --bytes-per-second 1MiB --inflated-bytes-per-second 4MiB \
         --control-frames-per-second 2 --joins-per-second 3 --rate-burst 2.5 --rate-action close \
         --compress-level 9 --compress-threshold 1KiB --compress-takeover 12 \
         --allow-origin https://A.example:443 --allow-origin https://*.b.example \
         --allow-origin null",
    );
    assert_eq!(config.listen.to_string(), "[::1]:9");
    assert_eq!(Some(config.workers), NonZeroUsize::new(2));
    assert_eq!(config.limits.message_bytes_max, 65_536);
    assert_eq!(config.limits.inflate_ratio_max, 100);
    assert_eq!(config.memory_bytes_max, Some(3 << 30));
    assert_eq!(config.backlog_bytes_max, 2 << 20);
    assert_eq!(config.worker_backlog_bytes_max, 3 << 20);
    assert_eq!(config.lag_policy.action, LagAction::Latest);
    assert_eq!(config.lag_policy.bytes_max, 2 << 20);
    assert_eq!(config.lag_policy.messages_max, Some(100));
    assert_eq!(config.lag_policy.age_max, None);
    let wait_max = config.lag_policy.publisher_wait_max;
    assert_eq!(wait_max, Duration::from_millis(1_500));
    assert_eq!(config.lag_policy.publisher_wait_rate_min, 9 << 10);
    assert_eq!(config.rooms.rooms_max, NonZeroUsize::new(11));
    assert_eq!(config.rooms.members_max, NonZeroUsize::new(12));
    assert_eq!(config.rooms.of_connection_max, 13);
    let history = HistoryLimits {
        rooms_max: 14,
        bytes_max: 3 << 20,
    };
    assert_eq!(config.history, Some(history));
    assert_eq!(config.write_stall_timeout, None);
    assert_eq!(
        config.connection_lifetime_max,
        Some(Duration::from_secs(3600))
    );
    assert_eq!(config.batch_delay, Duration::from_millis(5));
    assert_eq!(config.connections_max, 7);
    assert_eq!(config.connections_per_address, NonZeroUsize::new(5));
    assert_eq!(config.connections_per_second, NonZeroU32::new(6));
    assert_eq!(config.unsent_bytes_max, NonZeroU32::new(128 << 10));
    assert_eq!(config.handshake_timeout, Duration::from_millis(250));
    assert_eq!(config.ping_interval, Some(Duration::from_secs(20)));
    assert_eq!(config.pong_timeout, Duration::from_millis(1_500));
    assert_eq!(config.message_timeout, Some(Duration::from_secs(9)));
    assert_eq!(config.message_bytes_per_second_min, 2048);
    assert_eq!(config.close_timeout, Duration::from_secs(1));
    assert_eq!(config.drain_timeout, Duration::from_secs(86_400));
    let expected = RateLimits {
        messages: NonZeroU32::new(20),
        bytes: NonZeroU32::new(1 << 20),
        inflated_bytes: NonZeroU32::new(4 << 20),
        control_frames: NonZeroU32::new(2),
        joins: NonZeroU32::new(3),
        burst: Duration::from_millis(2_500),
        action: RateAction::Close,
    };
    assert_eq!(config.rates, expected);
    let deflate = config.deflate.expect("compression");
    assert_eq!((deflate.level, deflate.threshold_bytes), (9, 1 << 10));
    assert!(!deflate.client_no_context_takeover);
    assert_eq!(deflate.client_max_window_bits.get(), 12);
    let listed = Origins::same_host_and(["https://a.example", "https://*.b.example", "null"]);
    assert_eq!(Ok(config.origins), listed);
}

#[test]
fn option_without_effect_on_echo_is_refused() {
    for option in [
        "--worker-backlog-bytes-max 1MiB",
        "--batch-delay 0.1",
        "--joins-per-second 9",
        "--lag-messages-max 9",
        "--lag-age-max 9",
        "--publisher-wait-max 9",
        "--publisher-wait-rate-min 9",
        "--rooms-max 9",
        "--room-members-max 9",
        "--rooms-per-connection 9",
        "--history-messages 9",
        "--history-bytes 9KiB",
        "--history-age-max 9",
        "--history-rooms 9",
        "--history-memory 9MiB",
        "--lag-action skip",
    ] {
        assert!(parse_line(&format!("serve {option}")).is_ok(), "{option}");
        let error = error(&format!("echo {option}"));
        let name = option.split(' ').next().expect("a name");
        assert!(
            error.starts_with(&format!("unexpected argument '{name}' found")),
            "{error}"
        );
    }
    let config = configured("echo --backlog-bytes-max 2MiB");
    assert_eq!(config.backlog_bytes_max, 2 << 20);
}

#[test]
fn rooms_of_the_chat_keep_messages_unless_they_are_told_not_to() {
    let history = |line: &str| match parse_line(line) {
        Ok(Command::Serve(settings)) => settings.settings.history.of_room(),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(history("serve"), Some(RoomHistory::default()));
    assert_eq!(configured("serve").history, Some(HistoryLimits::default()));
    assert_eq!(history("serve --history-messages 0"), None);
    assert_eq!(configured("serve --history-messages 0").history, None);
    let set = history("serve --history-messages 9 --history-bytes 2KiB --history-age-max 0");
    let expected = RoomHistory {
        messages_max: 9,
        bytes_max: 2048,
        age_max: None,
    };
    assert_eq!(set, Some(expected));
}

#[test]
fn interval_of_0_means_never() {
    assert_eq!(configured("--ping-interval 0").ping_interval, None);
    assert_eq!(configured("--message-timeout 0").message_timeout, None);
    assert_eq!(configured("--memory-bytes-max 0").memory_bytes_max, None);
    assert_eq!(configured("--batch-delay 0").batch_delay, Duration::ZERO);
}

#[test]
fn servers_compress_unless_they_are_told_not_to() {
    for line in ["serve", "echo"] {
        assert_eq!(configured(line).deflate, Some(DeflateConfig::default()));
    }
    assert_eq!(configured("--no-compress --compress-level 6").deflate, None);
    assert_eq!(configured("--no-compress=true").deflate, None);
    let compresses = configured("--no-compress=false").deflate;
    assert_eq!(compresses, Some(DeflateConfig::default()));
}

#[test]
fn only_pages_of_the_same_host_may_connect_unless_others_are_allowed() {
    assert_eq!(configured("serve").origins, Origins::SameHost);
    let listening = |address: &str| configured(&format!("echo --listen {address}")).origins;
    assert_eq!(listening("0.0.0.0:0"), Origins::SameHost);
    assert_eq!(listening("127.0.0.1:0"), Origins::Any);
    assert_eq!(listening("[::1]:0"), Origins::Any);
    let listed = configured("echo --allow-origin null").origins;
    assert_eq!(Ok(listed), Origins::same_host_and(["null"]));
    let any = configured("--allow-origin null --allow-origin *");
    assert_eq!(any.origins, Origins::Any);
}

/// The value of each setting is given as an option: nothing changes.
#[test]
fn every_value_is_written_in_the_form_in_which_its_option_reads_it() {
    for (command, mut defaults) in [
        ("serve", Settings::default()),
        ("echo", EchoSettings::default().0),
    ] {
        let before = format!("{:?}", defaults.clone().config());
        let mut line = command.to_owned();
        for row in rows(defaults.is_echo) {
            let value = row.value(&mut defaults);
            // An empty list cannot be given. Keys decide about a path for which nothing is set.
            if !matches!(&value, Value::List(values) if values.is_empty())
                && value != Value::Text(String::new())
            {
                line.push_str(&format!(" --{}={value}", row.name));
            }
        }
        let after = match parse_line(&line) {
            Ok(Command::Serve(given)) => given.settings,
            Ok(Command::Echo(given)) => given.0,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(after, defaults, "{line}");
        assert_eq!(format!("{:?}", after.config()), before, "{line}");
    }
}

#[test]
fn every_setting_is_in_the_table_once_with_a_help_text() {
    let mut names: Vec<&str> = table().iter().map(|row| row.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for row in table() {
        assert!(row.help.starts_with(char::is_uppercase), "{}", row.name);
        assert!(!row.reason.ends_with('.'), "{}", row.name);
    }
}

#[test]
fn every_setting_has_a_default_in_the_help() {
    let command = crate::arguments::command();
    for name in ["serve", "echo"] {
        let found = command.find_subcommand(name).expect(name);
        for option in found.get_arguments() {
            let help = option.get_help().expect("a text").to_string();
            let takes_value = option.get_action().takes_values();
            assert_eq!(help.contains(" [default: "), takes_value, "{help}");
        }
    }
}

#[test]
fn setting_that_can_be_switched_off_is_written_none() {
    let config = configured(
        "--connections-per-address none --connections-per-second none --unsent-bytes-max none \
         --messages-per-second none --bytes-per-second none --inflated-bytes-per-second none \
         --control-frames-per-second none --joins-per-second none --lag-messages-max none \
         --compress-takeover none --unix-mode none --unix-owner none",
    );
    let default = Config::default();
    assert_eq!(config.rates, default.rates);
    assert_eq!(config.connections_per_address, None);
    assert_eq!(config.lag_policy.messages_max, None);
    assert_eq!(config.deflate, Some(DeflateConfig::default()));
    let error = error("--messages-per-second 0");
    assert!(
        error.contains("expected a whole number from 1, or none"),
        "{error}"
    );
}

#[test]
fn limits_of_http_are_options() {
    let http = configured(
        "--http-body-bytes-max 1KiB --http-chunk-framing-bytes-max 2KiB --http-body-timeout 3 \
         --http-idle-timeout 4 --http-requests-max 5 --http-requests-per-second 7 --http-pipelined-requests-max 6",
    )
    .http;
    let expected = yamabiko::server::HttpLimits {
        body_bytes_max: 1 << 10,
        chunk_framing_bytes_max: 2 << 10,
        body_timeout: Duration::from_secs(3),
        idle_timeout: Duration::from_secs(4),
        requests_max: 5,
        requests_per_second: NonZeroU32::new(7),
        pipelined_requests_max: 6,
    };
    assert_eq!(format!("{http:?}"), format!("{expected:?}"));
}

#[test]
fn number_of_workers_is_limited() {
    assert_eq!(configured("--workers 1024").workers.get(), 1024);
    assert!(error("--workers 1025").contains("expected a whole number from 1 to 1024"));
}
