//! What `serve` and `echo` share: flags into a [`Config`], with compression by
//! default, one line when the server is ready, and its end by a signal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use yamabiko::server::{Config, DeflateConfig, Handler, Origins, Server};

use super::arguments::{AllowedOrigin, ServerOptions};
use super::output::{say, words};
use super::signals;

/// The flags that were given, over the defaults.
pub(super) fn configure(defaults: Config, options: ServerOptions) -> Config {
    let mut config = defaults;
    config.deflate = deflate(&options);
    set(&mut config.listen, options.listen);
    set(&mut config.workers, options.workers);
    set(
        &mut config.limits.message_bytes_max,
        options.message_bytes_max,
    );
    set(&mut config.backlog_bytes_max, options.backlog_bytes_max);
    set(
        &mut config.worker_backlog_bytes_max,
        options.worker_backlog_bytes_max,
    );
    set(
        &mut config.slow_readers.bytes_max,
        options.backlog_bytes_max.map(|bytes| bytes as u64),
    );
    let slow_readers = &mut config.slow_readers;
    set(&mut slow_readers.policy, options.slow_readers);
    set(&mut slow_readers.messages_max, options.slow_messages_max);
    set(&mut slow_readers.age_max, options.slow_age_max);
    set(&mut config.gather_delay, options.gather_delay);
    set(&mut config.connections_max, options.connections_max);
    set(&mut config.handshake_timeout, options.handshake_timeout);
    set(&mut config.ping_interval, options.ping_interval);
    set(&mut config.pong_timeout, options.pong_timeout);
    set(&mut config.close_timeout, options.close_timeout);
    set(&mut config.drain_timeout, options.drain_timeout);
    set(&mut config.origins, origins(options.allow_origins));
    config
}

/// Serves until a signal comes. `ready` makes the line that says where.
///
/// # Errors
/// What went wrong, in words.
pub(super) fn serve(
    config: Config,
    handler: impl Handler,
    ready: fn(SocketAddr) -> String,
) -> Result<(), String> {
    let listen = config.listen;
    let mut server = Server::bind(config, handler)
        .map_err(|error| format!("cannot listen on {listen}: {}", words(&error)))?;
    signals::shut_down_on_first(&mut server)?;
    say(&ready(server.local_address()))?;
    server
        .run()
        .map_err(|error| format!("the server failed: {}", words(&error)))
}

/// A URL under which this machine can open the server. One that listens on all addresses
/// has none of its own: then it is the loopback address, with the other one behind it.
pub(super) fn url(scheme: &str, listening: SocketAddr) -> String {
    let loopback = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => return format!("{scheme}://{listening}/"),
    };
    let address = SocketAddr::new(loopback, listening.port());
    format!("{scheme}://{address}/ (listening on {listening})")
}

/// Compression: there unless it is not wanted.
fn deflate(options: &ServerOptions) -> Option<DeflateConfig> {
    let mut deflate = DeflateConfig::default();
    set(&mut deflate.level, options.compress_level);
    set(&mut deflate.threshold_bytes, options.compress_threshold);
    set(
        &mut deflate.client_max_window_bits,
        options.compress_takeover,
    );
    deflate.client_no_context_takeover = options.compress_takeover.is_none();
    Some(deflate).filter(|_| !options.no_compress)
}

fn set<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}

/// `None`: the flag was not given.
fn origins(allowed: Vec<AllowedOrigin>) -> Option<Origins> {
    if allowed.is_empty() {
        return None;
    }
    let pattern = |allowed| match allowed {
        AllowedOrigin::Any => None,
        AllowedOrigin::Pattern(pattern) => Some(pattern),
    };
    let patterns: Option<Vec<_>> = allowed.into_iter().map(pattern).collect();
    Some(patterns.map_or(Origins::Any, Origins::SameHostAnd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Command, Topic, parse};
    use crate::{echo, help};
    use std::num::NonZeroUsize;
    use std::time::Duration;

    fn configured(line: &str) -> Config {
        match parse(line.split_whitespace().map(Into::into)) {
            Ok(Command::Serve(options)) => configure(Config::default(), options),
            Ok(Command::Echo(options)) => echo::configure(options),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_flag_reaches_its_setting() {
        let config = configured(
            "--listen [::1]:9 --workers 2 --message-bytes-max 3 --backlog-bytes-max 4 --worker-backlog-bytes-max 11 \
             --connections-max 5 --handshake-timeout 6 --ping-interval 7 --pong-timeout 8 \
             --close-timeout 9 --drain-timeout 10 --allow-origin https://a.example",
        );
        assert_eq!(config.listen.to_string(), "[::1]:9");
        assert_eq!(Some(config.workers), NonZeroUsize::new(2));
        assert_eq!(config.limits.message_bytes_max, 3);
        assert_eq!(config.backlog_bytes_max, 4);
        assert_eq!(config.worker_backlog_bytes_max, 11);
        assert_eq!(config.connections_max, 5);
        assert_eq!(config.handshake_timeout, Duration::from_secs(6));
        assert_eq!(config.ping_interval, Some(Duration::from_secs(7)));
        assert_eq!(config.pong_timeout, Duration::from_secs(8));
        assert_eq!(config.close_timeout, Duration::from_secs(9));
        assert_eq!(config.drain_timeout, Duration::from_secs(10));
        let listed = Origins::same_host_and(["https://a.example"]);
        assert_eq!(Ok(config.origins), listed);
    }

    #[test]
    fn url_can_be_opened_also_when_the_server_listens_on_all_addresses() {
        for (address, expected) in [
            ("192.0.2.1:80", "http://192.0.2.1:80/"),
            ("[::1]:8080", "http://[::1]:8080/"),
            ("[::]:8080", "http://[::1]:8080/ (listening on [::]:8080)"),
            ("0.0.0.0:1", "http://127.0.0.1:1/ (listening on 0.0.0.0:1)"),
        ] {
            assert_eq!(url("http", address.parse().expect("an address")), expected);
        }
    }

    #[test]
    fn compression_is_there_unless_it_is_not_wanted() {
        for line in ["serve", "echo"] {
            assert_eq!(configured(line).deflate, Some(DeflateConfig::default()));
        }
        let deflate = configured("--compress-level 6 --compress-threshold 1KiB").deflate;
        let deflate = deflate.expect("compression");
        assert_eq!((deflate.level, deflate.threshold_bytes), (6, 1 << 10));
        assert!(deflate.client_no_context_takeover);
        let deflate = configured("--compress-takeover 10").deflate;
        let deflate = deflate.expect("compression");
        assert!(!deflate.client_no_context_takeover);
        assert_eq!(deflate.client_max_window_bits.get(), 10);
        assert_eq!(configured("--no-compress --compress-level 6").deflate, None);
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

    #[test]
    fn help_states_the_defaults_that_hold() {
        for (topic, line) in [(Topic::Serve, "serve"), (Topic::Echo, "echo")] {
            let config = configured(line);
            let ping_interval = config.ping_interval.expect("pings by default");
            let mebibytes = |bytes: usize| format!("{}MiB", bytes >> 20);
            let seconds = |duration: Duration| duration.as_secs().to_string();
            let deflate = config.deflate.expect("compression by default");
            for (flag, default) in [
                ("--listen", config.listen.to_string()),
                (
                    "--message-bytes-max",
                    mebibytes(config.limits.message_bytes_max),
                ),
                ("--backlog-bytes-max", mebibytes(config.backlog_bytes_max)),
                (
                    "--worker-backlog-bytes-max",
                    mebibytes(config.worker_backlog_bytes_max),
                ),
                (
                    "--slow-readers",
                    format!("{:?}", config.slow_readers.policy).to_lowercase(),
                ),
                (
                    "--slow-age-max",
                    seconds(config.slow_readers.age_max.expect("a bound")),
                ),
                ("--gather-delay", seconds(config.gather_delay)),
                ("--compress-level", deflate.level.to_string()),
                ("--compress-threshold", deflate.threshold_bytes.to_string()),
                ("--connections-max", config.connections_max.to_string()),
                ("--handshake-timeout", seconds(config.handshake_timeout)),
                ("--ping-interval", seconds(ping_interval)),
                ("--pong-timeout", seconds(config.pong_timeout)),
                ("--close-timeout", seconds(config.close_timeout)),
                ("--drain-timeout", seconds(config.drain_timeout)),
            ] {
                let text = help::text(topic);
                let paragraph = text
                    .split("\n  --")
                    .find(|part| part.starts_with(&flag[2..]));
                let paragraph = paragraph.expect(flag);
                assert!(
                    paragraph.contains(&format!("[{default}]")),
                    "{flag}: {default}"
                );
            }
        }
    }
}
