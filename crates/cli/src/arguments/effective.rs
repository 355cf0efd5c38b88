//! The settings in effect as a file: what `yamabiko config` prints; and the defaults that the help names.
//!
//! Both come from [`values`], which writes a configuration in the form in which options read it. So each value can be set
//! again: a setting that is switched off is `none`.

use std::num::NonZeroU32;

use clap::{Arg, Args};
use yamabiko::server::{Config, Hosts, ListenAddresses, Origins, Proxies};

use super::access::quoted;
use super::file::UNIX_MODE;
use super::settings::{ServeSettings, ServerSettings, fields_name};
use super::values::{Interval, NONE, bytes_text, seconds_text};

/// The defaults that the help names: the option's name and its value. An option that the
/// command does not have is not used.
pub(super) fn defaults(config: &Config, origins: &str) -> Vec<(&'static str, String)> {
    let mut defaults = values(config, &ServerSettings::default());
    for (id, text) in [
        ("workers", "one for each core"),
        ("allow_origins", origins),
        ("proxies", NONE),
        (
            "allow_hosts",
            "on loopback addresses loopback names, otherwise every host",
        ),
        // The programs compress; the library does not unless it is told to.
        ("no_compress", "false"),
        ("file", NONE),
    ] {
        defaults.retain(|(other, _)| *other != id);
        defaults.push((id, text.to_owned()));
    }
    defaults
}

/// Each option with its value in a configuration, as it is written. `settings`: for values without effect in the
/// configuration, such as the level of a server that does not compress.
fn values(config: &Config, settings: &ServerSettings) -> Vec<(&'static str, String)> {
    let deflate = settings.compression();
    let (lag, rates, http) = (&config.lag_policy, &config.rates, &config.http);
    let interval = |time| Interval(time).to_string();
    let takeover = (!deflate.client_no_context_takeover).then_some(deflate.client_max_window_bits);
    let bytes_limit =
        |rate: Option<NonZeroU32>| optional_text(rate.map(|rate| bytes_text(rate.get() as usize)));
    vec![
        ("listen", listen_text(&config.listen)),
        (
            "unix_mode",
            optional_text(settings.unix_mode.and_then(|mode| mode.0)),
        ),
        (
            "unix_owner",
            optional_text(settings.unix_owner.and_then(|owner| owner.0)),
        ),
        ("workers", config.workers.to_string()),
        ("connections_max", config.connections_max.to_string()),
        (
            "connections_per_address",
            optional_text(config.connections_per_address),
        ),
        (
            "connections_per_second",
            optional_text(config.connections_per_second),
        ),
        (
            "message_bytes_max",
            bytes_text(config.limits.message_bytes_max),
        ),
        (
            "inflate_ratio_max",
            config.limits.inflate_ratio_max.to_string(),
        ),
        (
            "memory_bytes_max",
            bytes_text(config.memory_bytes_max.unwrap_or(0)),
        ),
        (
            "worker_backlog_bytes_max",
            bytes_text(config.worker_backlog_bytes_max),
        ),
        ("backlog_bytes_max", bytes_text(config.backlog_bytes_max)),
        ("lag_messages_max", optional_text(lag.messages_max)),
        ("lag_age_max", interval(lag.age_max)),
        ("lag_action", format!("{:?}", lag.action).to_lowercase()),
        ("messages_per_second", optional_text(rates.messages)),
        ("bytes_per_second", bytes_limit(rates.bytes)),
        (
            "inflated_bytes_per_second",
            bytes_limit(rates.inflated_bytes),
        ),
        (
            "control_frames_per_second",
            optional_text(rates.control_frames),
        ),
        ("joins_per_second", optional_text(rates.joins)),
        ("rate_burst", seconds_text(rates.burst)),
        ("rate_action", format!("{:?}", rates.action).to_lowercase()),
        ("unsent_bytes_max", bytes_limit(config.unsent_bytes_max)),
        ("http_body_bytes_max", bytes_text(http.body_bytes_max)),
        (
            "http_chunk_framing_bytes_max",
            bytes_text(http.chunk_framing_bytes_max),
        ),
        ("http_body_timeout", seconds_text(http.body_timeout)),
        ("http_idle_timeout", seconds_text(http.idle_timeout)),
        ("http_requests_max", http.requests_max.to_string()),
        (
            "http_pipelined_requests_max",
            http.pipelined_requests_max.to_string(),
        ),
        ("handshake_timeout", seconds_text(config.handshake_timeout)),
        ("ping_interval", interval(config.ping_interval)),
        ("pong_timeout", seconds_text(config.pong_timeout)),
        ("message_timeout", interval(config.message_timeout)),
        (
            "message_rate_min",
            bytes_text(config.message_bytes_per_second_min as usize),
        ),
        ("close_timeout", seconds_text(config.close_timeout)),
        ("drain_timeout", seconds_text(config.drain_timeout)),
        ("batch_delay", seconds_text(config.batch_delay)),
        ("no_compress", config.deflate.is_none().to_string()),
        ("compress_level", deflate.level.to_string()),
        ("compress_threshold", deflate.threshold_bytes.to_string()),
        (
            "compress_takeover",
            optional_text(takeover.map(|bits| bits.get())),
        ),
        ("allow_origins", origins_text(&config.origins)),
        ("allow_hosts", hosts_text(config.hosts.as_ref())),
        ("proxies", proxies_text(&config.proxies)),
        (
            "proxy_fields",
            fields_name(config.proxies.set_fields()).to_owned(),
        ),
        (
            "proxy_protocol",
            config.proxies.use_proxy_protocol().to_string(),
        ),
    ]
}

/// A setting that may be switched off.
fn optional_text(value: Option<impl ToString>) -> String {
    value.map_or(NONE.to_owned(), |value| value.to_string())
}

/// One address, or several as they are written in a settings file.
fn listen_text(addresses: &ListenAddresses) -> String {
    match addresses.as_slice() {
        [address] => address.to_string(),
        several => {
            let quoted = several.iter().map(|address| format!("\"{address}\""));
            format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The origins as they are written in a settings file.
fn origins_text(origins: &Origins) -> String {
    match origins {
        Origins::Any => "[\"*\"]".to_owned(),
        Origins::SameHostAnd(patterns) => {
            let patterns = patterns.iter().map(|pattern| format!("\"{pattern}\""));
            format!("[{}]", patterns.collect::<Vec<_>>().join(", "))
        }
        _ => "[]".to_owned(),
    }
}

/// The proxies as they are written in a settings file.
fn proxies_text(proxies: &Proxies) -> String {
    let networks = proxies.networks().iter().map(ToString::to_string);
    let unix = proxies.include_unix().then(|| "unix".to_owned());
    let texts = networks.chain(unix).map(|text| format!("\"{text}\""));
    format!("[{}]", texts.collect::<Vec<_>>().join(", "))
}

/// The hosts as they are written in a settings file.
fn hosts_text(hosts: Option<&Hosts>) -> String {
    match hosts {
        Some(Hosts::Any) => "[\"*\"]".to_owned(),
        Some(Hosts::LoopbackAnd(patterns)) => {
            let patterns = patterns.iter().map(|pattern| format!("\"{pattern}\""));
            format!("[{}]", patterns.collect::<Vec<_>>().join(", "))
        }
        _ => "[]".to_owned(),
    }
}

/// The settings file that has the same effect as these settings of `serve`, with each option's
/// help as a comment.
pub(crate) fn effective(settings: ServeSettings) -> String {
    let mut values = settings.access.values();
    let server = settings.server.clone();
    values.extend(self::values(&settings.config(), &server));
    let command = ServeSettings::augment_args(clap::Command::new("serve"));
    let mut text = String::from(EFFECTIVE);
    for heading in headings(&command) {
        if let Some(heading) = heading {
            text.push_str(&format!("\n# ── {heading} ──\n"));
        }
        let under_it = |option: &&Arg| option.get_help_heading() == heading;
        for option in command.get_arguments().filter(under_it) {
            let id = option.get_id().as_str();
            let Some((_, value)) = values.iter().find(|(other, _)| *other == id) else {
                continue;
            };
            let help = option.get_help().map(ToString::to_string);
            let key = option.get_long().unwrap_or_default();
            text.push_str(&format!("\n# {}\n", help.unwrap_or_default()));
            text.push_str(&line(key, value));
        }
    }
    text
}

/// The headings of the options, each once, in the order of their first options.
fn headings(command: &clap::Command) -> Vec<Option<&str>> {
    let mut headings = Vec::new();
    for option in command.get_arguments() {
        if !headings.contains(&option.get_help_heading()) {
            headings.push(option.get_help_heading());
        }
    }
    headings
}

/// A setting as a line of a settings file. The numbers of TOML end at 2^63; a larger one is a text.
fn line(key: &str, value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok()
        || value.contains('.') && value.bytes().all(|byte| b".0123456789".contains(&byte));
    let is_bare = is_number && key != UNIX_MODE
        || value.starts_with(['[', '"'])
        || ["true", "false"].contains(&value);
    match is_bare {
        true => format!("{key} = {value}\n"),
        false => format!("{key} = {}\n", quoted(value)),
    }
}

const EFFECTIVE: &str = "\
# The settings of 'yamabiko serve' as they are in effect. This is a settings file:
# 'yamabiko serve --config FILE' reads it. The command line and environment variables win.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::tests::parse_line;
    use crate::arguments::{Command, parse};
    use std::ffi::OsString;
    use std::fs;

    fn settings(line: &str) -> ServeSettings {
        match parse_line(line) {
            Ok(Command::Serve(settings)) => settings,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// What a configuration and the access to the paths are.
    fn described(settings: ServeSettings) -> String {
        let access = settings.access.values();
        let compression = settings.server.compression();
        let config = settings.config();
        format!("{config:?} {compression:?} {access:?}")
    }

    /// The settings of this file.
    fn read(name: &str, text: &str) -> ServeSettings {
        let file = std::env::temp_dir().join(format!("yamabiko-{}-{name}", std::process::id()));
        fs::write(&file, text).expect("a temporary file");
        let arguments = [
            OsString::from("serve"),
            "--config".into(),
            file.clone().into(),
        ];
        let parsed = parse(arguments);
        fs::remove_file(&file).expect("a temporary file");
        match parsed {
            Ok(Command::Serve(settings)) => settings,
            other => panic!("{other:?}\n{text}"),
        }
    }

    #[test]
    fn effective_settings_are_a_file_with_the_same_effect() {
        for (index, line) in [
            "serve",
            "serve --workers 3 --connections-per-address 5 --bytes-per-second 64KiB --no-compress --lag-age-max 0 \
             --allow-origin https://a.example --allow-origin null --lag-messages-max 7 --rate-action close",
            "serve --allow-origin * --compress-takeover 12 --ping-interval 0 --memory-bytes-max 0",
            "serve --no-compress --compress-level 9 --compress-threshold 1KiB --compress-takeover 15",
            "serve --message-bytes-max 18446744073709551615 --lag-messages-max 18446744073709551615 \
             --connections-max 18446744073709551615 --memory-bytes-max 9223372036854775808",
            "serve --listen :1 --listen [::1]:2,unix:/run/x --unix-mode 660 --unix-owner 7:8",
            "serve --listen unix:/run/x --unix-mode 600 --http-requests-max 9 --http-body-timeout 0.5",
            "serve --allow-host a.example,*.b.example --broadcast off --chat open --presence off",
            "serve --publish-per-second 7 --token-audience a\"b\\c --token-leeway 0",
        ]
        .into_iter()
        .enumerate()
        {
            let settings = settings(line);
            let expected = described(settings.clone());
            let text = effective(settings);
            let found = read(&format!("effective-{index}"), &text);
            assert_eq!(described(found), expected, "{line}\n{text}");
        }
    }

    /// No line is an example: what the file says is in effect.
    #[test]
    fn every_line_of_the_effective_settings_is_a_comment_a_setting_or_empty() {
        let text = effective(ServeSettings::default());
        let settings = text.lines().filter(|line| line.contains(" = "));
        let uncommented: String = settings
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        let found = read("uncommented", &uncommented);
        assert_eq!(described(found), described(ServeSettings::default()));
        for line in text.lines() {
            let is_comment = line.is_empty() || line.starts_with("# ");
            assert_ne!(is_comment, line.contains(" = "), "{line}");
        }
    }

    #[test]
    fn every_setting_of_serve_is_in_the_effective_settings_once_with_a_comment() {
        let text = effective(ServeSettings::default());
        let command = crate::arguments::command();
        let serve = command.find_subcommand("serve").expect("serve");
        let not_settings = ["config", "check", "help", "version"];
        for option in serve.get_arguments() {
            let long = option.get_long().expect("an option");
            let count = text.matches(&format!("\n{long} = ")).count();
            assert_eq!(count, usize::from(!not_settings.contains(&long)), "{long}");
        }
    }

    #[test]
    fn every_heading_of_the_effective_settings_is_written_once() {
        let text = effective(ServeSettings::default());
        let mut headings: Vec<&str> = text.lines().filter(|line| line.contains("──")).collect();
        let count = headings.len();
        headings.sort_unstable();
        headings.dedup();
        assert_eq!((headings.len(), count > 5), (count, true));
    }
}
