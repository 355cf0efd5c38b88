//! The metrics of a server as text in the format OpenMetrics 1.0, which Prometheus and its like read.
//!
//! All numbers are what the workers have published: some hundred loads for each of them, however many connections there are. Every label has
//! values that the code lists, or is the id of an app, so a client cannot add time series. `docs/monitoring.md` has the meaning of each metric;
//! a test compares the two.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use yamabiko::server::Metrics;
use yamabiko_pusher::AppCounts;

use super::app_metrics;
use super::backplane_metrics::BackplaneNumbers;
use super::families::Families;
use super::process::Process;
use crate::logging::LogCounts;

/// What an exposition is made of.
#[derive(Debug)]
pub(super) struct Numbers {
    pub metrics: Metrics,
    pub is_ready: bool,
    pub held_bytes: usize,
    pub memory_bytes_max: Option<usize>,
    pub connections_max: usize,
    pub log: LogCounts,
    /// `None`: there is no backplane.
    pub backplane: Option<BackplaneNumbers>,
    /// The apps of Pusher clients, if there are any.
    pub apps: Option<Vec<AppCounts>>,
    pub process: Process,
    pub started: SystemTime,
}

/// The media type of the format.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Numbers {
    /// All metrics as text.
    pub(super) fn exposition(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        // A String takes every write.
        let _ = text::encode(&mut written, &registry);
        written
    }
}

impl Collector for Numbers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.connections(&mut families)?;
        self.messages(&mut families)?;
        self.slow_subscribers(&mut families)?;
        self.work(&mut families)?;
        self.server(&mut families)?;
        if let Some(backplane) = &self.backplane {
            backplane.encode(&mut families)?;
        }
        if let Some(apps) = &self.apps {
            app_metrics::encode(apps, &mut families)?;
        }
        self.process(&mut families)
    }
}

impl Numbers {
    fn connections(&self, families: &mut Families<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        families.gauge("yamabiko_sockets", "Open sockets", metrics.sockets as f64)?;
        let open = metrics.opened.saturating_sub(metrics.closed);
        families.gauge("yamabiko_websockets", "Open WebSockets", open as f64)?;
        families.counter(
            "yamabiko_connections_accepted",
            "Connections that were accepted and served",
            metrics.accepted,
        )?;
        families.counter(
            "yamabiko_websockets_opened",
            "WebSockets that were opened",
            metrics.opened,
        )?;
        let closes = metrics.closes().map(|(by, code, count)| {
            let code = code.map_or("other".to_owned(), |code| code.to_string());
            (vec![("by", by.name().to_owned()), ("code", code)], count)
        });
        families.counters(
            "yamabiko_websockets_closed",
            "WebSockets that have ended, by the end that closed and the code of the first Close",
            closes,
        )?;
        let failures = metrics.failures();
        families.counters(
            "yamabiko_failures",
            "WebSockets that have failed, by kind",
            failures.map(|(name, count)| (vec![("kind", name.to_owned())], count)),
        )?;
        let refusals = metrics.refusals();
        families.counters(
            "yamabiko_refusals",
            "Connections and requests that were refused, by reason",
            refusals.map(|(reason, count)| (vec![("reason", reason.name().to_owned())], count)),
        )?;
        families.counter(
            "yamabiko_http_requests",
            "HTTP requests that were answered",
            metrics.requests,
        )
    }

    fn messages(&self, families: &mut Families<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        families.counter(
            "yamabiko_messages_received",
            "Messages of clients",
            metrics.received,
        )?;
        families.counter(
            "yamabiko_messages_sent",
            "Messages to single clients",
            metrics.sent,
        )?;
        families.counter(
            "yamabiko_deliveries",
            "Messages of rooms, each times its subscribers",
            metrics.deliveries,
        )?;
        families.counter(
            "yamabiko_received_bytes",
            "Bytes from all sockets",
            metrics.received_bytes,
        )?;
        families.counter(
            "yamabiko_sent_bytes",
            "Bytes to all sockets",
            metrics.sent_bytes,
        )?;
        families.counter("yamabiko_writes", "Writes to sockets", metrics.writes)?;
        families.counter(
            "yamabiko_compressed_frames",
            "Frames that were compressed",
            metrics.compressed,
        )?;
        families.counter(
            "yamabiko_compression_input_bytes",
            "Bytes before compression",
            metrics.compressed_from_bytes,
        )?;
        families.counter(
            "yamabiko_compression_output_bytes",
            "Bytes after compression",
            metrics.compressed_to_bytes,
        )?;
        families.gauge(
            "yamabiko_rooms",
            "Rooms with subscribers, each on each worker",
            metrics.rooms as f64,
        )?;
        families.gauge(
            "yamabiko_subscriptions",
            "Subscriptions of all rooms",
            metrics.subscriptions as f64,
        )
    }

    fn slow_subscribers(&self, families: &mut Families<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        families.counter(
            "yamabiko_deliveries_skipped",
            "Deliveries that were skipped because the subscriber was too slow",
            metrics.skipped,
        )?;
        families.counter(
            "yamabiko_deliveries_abandoned",
            "Deliveries that were still waiting when the subscription ended",
            metrics.abandoned,
        )?;
        families.counter(
            "yamabiko_slow_subscribers_disconnected",
            "Connections that were closed because a subscription was too slow",
            metrics.disconnected,
        )?;
        families.counter(
            "yamabiko_clients_slowed",
            "Times that a client was not read for a while because it exceeded a rate",
            metrics.slowed,
        )?;
        families.gauge(
            "yamabiko_lagging_rooms",
            "Rooms in which a subscription is behind",
            metrics.lagging_rooms as f64,
        )?;
        families.gauge(
            "yamabiko_lagging_subscriptions",
            "Subscriptions that are behind",
            metrics.lagging_subscriptions as f64,
        )?;
        families.gauge(
            "yamabiko_lagging_bytes",
            "Memory that logs hold for subscriptions that are behind",
            metrics.lagging_bytes as f64,
        )
    }

    fn work(&self, families: &mut Families<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        families.histogram(
            "yamabiko_turn_seconds",
            "Time of a turn of an event loop, without its sleep",
            &metrics.turns,
        )?;
        families.histogram(
            "yamabiko_delivery_seconds",
            "Time from reading a message to offering it to the sockets of its subscribers, for each delivery",
            &metrics.latencies,
        )?;
        families.counter(
            "yamabiko_handler_panics",
            "Panics of the application",
            metrics.panics,
        )
    }

    fn server(&self, families: &mut Families<'_>) -> fmt::Result {
        let ready = f64::from(u8::from(self.is_ready));
        families.gauge(
            "yamabiko_ready",
            "1 while the server takes new clients",
            ready,
        )?;
        families.gauge(
            "yamabiko_connections_max",
            "Limit of open connections",
            self.connections_max as f64,
        )?;
        families.gauge(
            "yamabiko_memory_held_bytes",
            "Memory that counts for the memory budget",
            self.held_bytes as f64,
        )?;
        if let Some(max) = self.memory_bytes_max {
            families.gauge("yamabiko_memory_max_bytes", "The memory budget", max as f64)?;
        }
        families.counter(
            "yamabiko_log_lines_written",
            "Lines of the log",
            self.log.written,
        )?;
        families.counter(
            "yamabiko_log_lines_dropped",
            "Lines of the log that nobody read in time",
            self.log.dropped,
        )?;
        families.counter(
            "yamabiko_log_lines_suppressed",
            "Lines of the log beyond those of a kind in a second",
            self.log.suppressed,
        )?;
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        families.gauges(
            "yamabiko_build",
            "1, with the version as a label",
            [(version, 1.0)],
        )
    }

    /// Names and meaning as in the clients of Prometheus.
    fn process(&self, families: &mut Families<'_>) -> fmt::Result {
        let process = &self.process;
        let since = self.started.duration_since(UNIX_EPOCH);
        families.gauge(
            "process_start_time_seconds",
            "Start of the program, in seconds since 1970",
            since.unwrap_or(Duration::ZERO).as_secs_f64(),
        )?;
        if let Some(seconds) = process.cpu_seconds {
            families.seconds("process_cpu_seconds", "Time of all processors", seconds)?;
        }
        if let Some(bytes) = process.resident_bytes {
            families.gauge(
                "process_resident_memory_bytes",
                "Memory in use",
                bytes as f64,
            )?;
        }
        if let Some(count) = process.open_descriptors {
            families.gauge("process_open_fds", "Open descriptors", count as f64)?;
        }
        match process.descriptors_max {
            Some(max) => families.gauge("process_max_fds", "Limit of open descriptors", max as f64),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use yamabiko::server::BackplaneCounts;

    /// The families of an exposition by name, each with its type and its samples. Fails where the text breaks a rule of the format.
    pub(crate) fn parsed(text: &str) -> BTreeMap<String, (String, Vec<(String, f64)>)> {
        let mut families = BTreeMap::new();
        let mut current = String::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if line == "# EOF" {
                assert_eq!(lines.next(), None, "the end is the last line");
                return families;
            }
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect(line);
                assert!(is_name(name) && !help.is_empty(), "{line}");
                let declared = lines.next().expect("a type");
                let declared = declared.strip_prefix("# TYPE ").expect(declared);
                let (typed, kind) = declared.split_once(' ').expect(declared);
                assert_eq!(typed, name);
                assert!(
                    ["counter", "gauge", "histogram"].contains(&kind),
                    "{declared}"
                );
                let before = families.insert(name.to_owned(), (kind.to_owned(), Vec::new()));
                assert!(before.is_none(), "{name} is declared twice");
                current = name.to_owned();
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').expect(line);
            let value: f64 = value.parse().expect(line);
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            assert!(is_name(name) && labels.ends_with('}'), "{line}");
            for label in labels
                .trim_end_matches('}')
                .split(',')
                .filter(|label| !label.is_empty())
            {
                let (label, value) = label.split_once("=\"").expect(line);
                let value = value.strip_suffix('"').expect(line);
                assert!(
                    is_name(label) && !value.contains(['"', '\\', '\n']),
                    "{line}"
                );
            }
            let (kind, samples) = families.get_mut(&current).expect("declared before");
            let ends: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let end = name.strip_prefix(&current).expect(line);
            assert!(ends.contains(&end), "{line}");
            let is_new = samples.iter().all(|(other, _)| other != sample);
            assert!(is_new && value >= 0.0, "{line}");
            samples.push((sample.to_owned(), value));
        }
        panic!("the text has no end");
    }

    fn is_name(text: &str) -> bool {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        text.bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit())
            && text.bytes().next().is_some_and(is_letter)
    }

    fn app(id: &str) -> AppCounts {
        let mut counts = AppCounts::default();
        counts.app = id.to_owned();
        counts.channels = 3;
        counts
    }

    /// With a round trip, whose metric is absent before the first one.
    fn backplane_counts() -> BackplaneCounts {
        let mut counts = BackplaneCounts::default();
        counts.engine.round_trip = Some(Duration::from_millis(2));
        counts
    }

    fn numbers() -> Numbers {
        Numbers {
            metrics: Metrics::default(),
            is_ready: true,
            held_bytes: 7,
            memory_bytes_max: Some(100),
            connections_max: 9,
            log: LogCounts::default(),
            backplane: Some(BackplaneNumbers {
                is_ready: true,
                counts: backplane_counts(),
            }),
            apps: Some(vec![app("1"), app("two")]),
            process: Process {
                cpu_seconds: Some(1.5),
                resident_bytes: Some(1 << 20),
                open_descriptors: Some(12),
                descriptors_max: Some(1024),
            },
            started: UNIX_EPOCH,
        }
    }

    #[test]
    fn exposition_obeys_the_format_and_has_every_label_from_the_start() {
        let families = parsed(&numbers().exposition());
        assert!(families.len() > 35, "{}", families.len());
        assert_eq!(
            families["yamabiko_ready"].1,
            [("yamabiko_ready".to_owned(), 1.0)]
        );
        assert_eq!(families["yamabiko_websockets_closed"].1.len(), 3 * 16);
        let (kind, turns) = &families["yamabiko_turn_seconds"];
        assert_eq!((kind.as_str(), turns.len()), ("histogram", 2 + 17));
        let last = turns.last().expect("buckets");
        assert_eq!(last.0, "yamabiko_turn_seconds_bucket{le=\"+Inf\"}");
        // No more time series than these, whatever clients do.
        let series: usize = families.values().map(|(_, samples)| samples.len()).sum();
        assert!(series < 230, "{series}");
    }

    #[test]
    fn each_app_has_its_numbers_and_a_server_without_apps_has_none() {
        let families = parsed(&numbers().exposition());
        let channels = |id| (format!("yamabiko_app_channels{{app=\"{id}\"}}"), 3.0);
        assert_eq!(
            families["yamabiko_app_channels"].1,
            [channels("1"), channels("two")]
        );
        let without = Numbers {
            apps: None,
            ..numbers()
        };
        let families = parsed(&without.exposition());
        assert!(families.keys().all(|name| !name.contains("_app_")));
    }

    #[test]
    fn page_about_monitoring_has_each_metric_and_no_other() {
        let families = parsed(&numbers().exposition());
        let exposed: BTreeSet<String> = families.into_keys().collect();
        let page = include_str!("../../../../docs/monitoring.md");
        let rows = page.lines().filter_map(|line| {
            let cell = line.strip_prefix("| `")?.split('`').next()?;
            let is_metric = cell.starts_with("yamabiko_") || cell.starts_with("process_");
            is_metric.then(|| cell.split('{').next().unwrap_or(cell))
        });
        let documented: BTreeSet<String> = rows
            .map(|name| name.trim_end_matches("_total").to_owned())
            .collect();
        assert_eq!(documented, exposed);
    }
}
