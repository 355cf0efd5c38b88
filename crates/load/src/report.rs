//! The results of a run as numbers: JSON has them, and the table is made from them.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use yamabiko::websocket::handshake::hide_credentials;

use super::commands::Outcome;
use super::delivery_tracker::Faults;
use super::partition::index;
use super::payload::Payload;
use super::plan::{Pace, Plan, Scenario};
use super::publishers::Sent;
use super::recorder::{Standing, Tally};

/// A run's result. Fields that do not apply are `None`. Times are in the unit of their
/// name. `Display` writes it as a table for people, one line for each part.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of this crate.
    pub yamabiko: &'static str,
    /// The scenario's name.
    pub scenario: &'static str,
    /// The server's URL, without credentials.
    pub url: String,
    /// The plan's settings.
    pub settings: Settings,
    /// The opening of the connections.
    pub opening: Opened,
    /// The run was interrupted, or all connections ended, before the time was up.
    pub cut_short: bool,
    /// Time that was measured.
    pub measured_seconds: f64,
    /// Sent and received messages; `None` for idle.
    pub traffic: Option<Traffic>,
    /// Faults.
    pub checks: Checks,
    /// The members that stopped reading; slow only.
    pub slow: Option<Slow>,
    /// The server's process, if the plan names it.
    pub server: Option<Server>,
    /// CPU time of the process that runs the load.
    pub load: Option<Cost>,
}

/// The settings of a plan, as they are reported.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Settings {
    /// Connections, the members.
    pub connections: u32,
    /// Members that publish.
    pub publishers: u32,
    /// Members that stop reading.
    pub slow_members: u32,
    /// Bytes of a message.
    pub message_bytes: usize,
    /// `letters` or `json`.
    pub payload: &'static str,
    /// Binary messages, not texts.
    pub binary: bool,
    /// permessage-deflate, on every connection.
    pub compress: bool,
    /// The server sends a publisher's messages back to it.
    pub echo: bool,
    /// Closed loop: messages in flight of each publisher.
    pub window: Option<u32>,
    /// Open loop: messages of all publishers together.
    pub rate_per_second: Option<f64>,
    /// Threads of the load.
    pub threads: u32,
    /// Time of load before the measuring.
    pub warm_up_seconds: f64,
    /// Time that was to be measured.
    pub duration_seconds: f64,
}

/// The opening of the connections.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Opened {
    /// How many were opened.
    pub connections: u64,
    /// Time for all of them.
    pub seconds: f64,
    /// TCP and handshake of each.
    pub latency_us: Option<Latency>,
    /// CPU time of the server's process until all were open.
    pub server_us_per_connection: Option<f64>,
}

/// Messages sent and received while measuring.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages that were sent.
    pub published: u64,
    /// The same for each second.
    pub published_per_second: f64,
    /// Messages that were received, each counted at each member that reads.
    pub delivered: u64,
    /// The same for each second.
    pub delivered_per_second: f64,
    /// Bytes of their payloads for each second.
    pub delivered_bytes_per_second: f64,
    /// Received bytes, frame headers and control frames included.
    pub received_bytes: u64,
    /// The same for each delivery.
    pub received_bytes_per_delivery: f64,
    /// The length of the same frames without compression, divided by theirs.
    pub compression_ratio: Option<f64>,
    /// Of every delivery of a message sent while measuring, to members that read.
    pub latency_us: Option<Latency>,
    /// Open loop: the delay of the load itself, which is part of the latency.
    pub send_delay_us: Option<Latency>,
    /// Open loop: messages that were due and that no socket accepted in time.
    pub unsent: u64,
}

/// A distribution of times, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// How many times were recorded.
    pub samples: u64,
    /// Their mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 of 100 values are not above it.
    pub p90: f64,
    /// 99 of 100 are not above it.
    pub p99: f64,
    /// 999 of 1,000 are not above it.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

/// Faults from the first message to the last, the warm-up included. Members that stop
/// reading are counted in [`Slow`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Checks {
    /// Messages that a member should have received and did not.
    pub lost: u64,
    /// Messages that arrived at a member more than once.
    pub doubled: u64,
    /// Messages that arrived at a member after a later one of the same publisher.
    pub out_of_order: u64,
    /// Messages of this run with changed bytes.
    pub corrupted: u64,
    /// Messages that arrived at a member that they were not for.
    pub misdelivered: u64,
    /// Members that ended early, by close code; 1006: without a Close frame.
    pub ended: BTreeMap<u16, u64>,
    /// A rule of RFC 6455 that the server broke.
    pub broken: Option<String>,
    /// For information: messages that are not of this run.
    pub foreign_messages: u64,
    /// For information: pings of the server that were answered.
    pub pings_answered: u64,
}

/// The members that stopped reading.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Slow {
    /// How many there were.
    pub members: u32,
    /// Members that the server ended, by close code.
    pub ended: BTreeMap<u16, u64>,
    /// Messages that the others did not receive, although they read again.
    pub missing_at_those_still_open: u64,
    /// Messages that the server skipped.
    pub skipped: u64,
}

/// The server's process.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Server {
    /// Its number.
    pub pid: u32,
    /// Its CPU time.
    pub cpu: Cost,
    /// Its memory before the first connection.
    pub resident_bytes_before: u64,
    /// Its memory when all connections were open.
    pub resident_bytes_connected: u64,
    /// Its memory at the end.
    pub resident_bytes_after: u64,
    /// Its growth for each connection.
    pub resident_bytes_per_connection: f64,
}

/// CPU time, user and system, while measuring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// CPU time.
    pub seconds: f64,
    /// 100: one core is fully used.
    pub percent: f64,
    /// The same for each delivery.
    pub us_per_delivery: Option<f64>,
}

impl Report {
    /// The report of a run in which nothing was measured yet.
    pub(super) fn new(plan: &Plan) -> Report {
        Report {
            yamabiko: env!("CARGO_PKG_VERSION"),
            scenario: plan.scenario.name(),
            url: hide_credentials(&plan.url.to_string()),
            settings: Settings::of(plan),
            opening: Opened {
                connections: 0,
                seconds: 0.0,
                latency_us: None,
                server_us_per_connection: None,
            },
            cut_short: false,
            measured_seconds: 0.0,
            traffic: None,
            checks: Checks::default(),
            slow: None,
            server: None,
            load: None,
        }
    }

    /// Adds the results of all threads.
    pub(super) fn enter(
        &mut self,
        plan: &Plan,
        outcome: &Outcome,
        totals: &[u32],
        measured: Duration,
    ) {
        let tally = &outcome.tally;
        self.measured_seconds = measured.as_secs_f64();
        self.checks = Checks::of(tally, missing(&outcome.standings, &outcome.sent));
        if plan.scenario != Scenario::Idle {
            self.traffic = Some(Traffic::of(
                plan,
                tally,
                measured,
                unsent(totals, &outcome.sent),
            ));
        }
        if plan.scenario == Scenario::Slow {
            self.slow = Some(Slow {
                members: plan.slow,
                ended: tally.slow.ended.clone(),
                missing_at_those_still_open: missing(&outcome.slow_standings, &outcome.sent),
                skipped: tally.slow.faults.lost,
            });
        }
    }

    /// The cost of this CPU time in this run.
    pub(super) fn cost(&self, cpu: Duration) -> Cost {
        let delivered = self.traffic.as_ref().map_or(0, |traffic| traffic.delivered);
        let seconds = cpu.as_secs_f64();
        Cost {
            seconds,
            percent: ratio(100.0 * seconds, self.measured_seconds),
            us_per_delivery: (delivered > 0).then(|| 1e6 * seconds / delivered as f64),
        }
    }

    /// Adds the cost of the server: its CPU time, and its memory before, when all connections
    /// were open, and after.
    pub(super) fn enter_server(&mut self, pid: u32, cpu: Cost, resident_bytes: [u64; 3]) {
        let [before, connected, after] = resident_bytes;
        let grown = connected as f64 - before as f64;
        self.server = Some(Server {
            pid,
            cpu,
            resident_bytes_before: before,
            resident_bytes_connected: connected,
            resident_bytes_after: after,
            resident_bytes_per_connection: ratio(grown, self.opening.connections as f64),
        });
    }

    /// The faults of the server in one line. `None`: there are none.
    pub fn failure(&self) -> Option<String> {
        let checks = &self.checks;
        let mut parts = Vec::new();
        for (count, what) in [
            (checks.lost, "lost"),
            (checks.doubled, "doubled"),
            (checks.out_of_order, "out of order"),
            (checks.corrupted, "corrupted"),
            (checks.misdelivered, "misdelivered"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        match checks.ended.values().sum::<u64>() {
            0 => {}
            1 => parts.push("1 connection ended early".to_owned()),
            ended => parts.push(format!("{ended} connections ended early")),
        }
        if let Some(rule) = &checks.broken {
            parts.push(format!("a rule was broken: {rule}"));
        }
        (!parts.is_empty()).then(|| format!("the server failed: {}", parts.join(", ")))
    }
}

impl Settings {
    fn of(plan: &Plan) -> Settings {
        let (window, rate_per_second) = match plan.pace {
            Pace::Window(window) => (Some(window.get()), None),
            Pace::Rate(rate) => (None, Some(rate)),
        };
        let publishes = plan.publishers > 0;
        Settings {
            connections: plan.connections,
            publishers: plan.publishers,
            slow_members: plan.slow,
            message_bytes: plan.message_bytes,
            payload: match plan.payload {
                Payload::Letters => "letters",
                Payload::Json => "json",
            },
            binary: plan.binary,
            compress: plan.compress,
            echo: !plan.no_echo,
            window: window.filter(|_| publishes),
            rate_per_second: rate_per_second.filter(|_| publishes),
            threads: plan.threads,
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            duration_seconds: plan.duration.as_secs_f64(),
        }
    }
}

impl Traffic {
    fn of(plan: &Plan, tally: &Tally, measured: Duration, unsent: u64) -> Traffic {
        let seconds = measured.as_secs_f64();
        let delivered_per_second = ratio(tally.delivered as f64, seconds);
        let per_delivery = ratio(tally.received_bytes as f64, tally.delivered as f64);
        let compression_ratio = ratio(frame_bytes(plan.message_bytes) as f64, per_delivery);
        let open_loop = matches!(plan.pace, Pace::Rate(_));
        Traffic {
            published: tally.published,
            published_per_second: ratio(tally.published as f64, seconds),
            delivered: tally.delivered,
            delivered_per_second,
            delivered_bytes_per_second: delivered_per_second * plan.message_bytes as f64,
            received_bytes: tally.received_bytes,
            received_bytes_per_delivery: per_delivery,
            compression_ratio: (plan.compress && tally.delivered > 0).then_some(compression_ratio),
            latency_us: Latency::of(&tally.latency),
            send_delay_us: Latency::of(&tally.send_delay).filter(|_| open_loop),
            unsent,
        }
    }
}

impl Checks {
    fn of(tally: &Tally, missing: u64) -> Checks {
        let Faults {
            lost,
            doubled,
            out_of_order,
            corrupted,
            misdelivered,
        } = tally.faults;
        Checks {
            lost: lost + missing,
            doubled,
            out_of_order,
            corrupted,
            misdelivered,
            ended: tally.ended.clone(),
            broken: tally.broken.clone(),
            foreign_messages: tally.foreign,
            pings_answered: tally.pings,
        }
    }
}

impl Latency {
    /// In microseconds; `None` if nothing was recorded.
    pub(super) fn of(nanos: &Histogram<u64>) -> Option<Latency> {
        if nanos.is_empty() {
            return None;
        }
        let micros = |quantile| nanos.value_at_quantile(quantile) as f64 / 1e3;
        Some(Latency {
            samples: nanos.len(),
            mean: nanos.mean() / 1e3,
            p50: micros(0.5),
            p90: micros(0.9),
            p99: micros(0.99),
            p99_9: micros(0.999),
            max: nanos.max() as f64 / 1e3,
        })
    }
}

/// Messages after the last one that each open member has received. A message that no member
/// has received, of a publisher whose connection the server has ended, may not have reached
/// the server: it is not counted.
fn missing(standings: &[Standing], sent: &[Sent]) -> u64 {
    let missing_of = |sent: &Sent| {
        let standing = standings.get(index(sent.publisher))?;
        let messages = match sent.gone {
            true => standing.furthest,
            false => sent.messages,
        };
        Some((standing.members * u64::from(messages)).saturating_sub(standing.next))
    };
    sent.iter().filter_map(missing_of).sum()
}

fn unsent(totals: &[u32], sent: &[Sent]) -> u64 {
    let unsent_of = |sent: &Sent| {
        let total = totals.get(index(sent.publisher))?;
        Some(u64::from(total.saturating_sub(sent.messages)))
    };
    sent.iter().filter_map(unsent_of).sum()
}

/// The length of a server's frame with a message of this length.
fn frame_bytes(message_bytes: usize) -> usize {
    let header_bytes = match message_bytes {
        ..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    header_bytes + message_bytes
}

/// 0 if the divisor is 0.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::super::recorder::histogram;
    use super::*;

    const STANDINGS: [Standing; 2] = [
        Standing {
            members: 3,
            next: 29,
            furthest: 10,
        },
        Standing {
            members: 3,
            next: 15,
            furthest: 5,
        },
    ];

    /// In no order, as the threads return it.
    fn sent(second: u32, first: u32, gone: bool) -> [Sent; 2] {
        [(1, second, false), (0, first, gone)].map(|(publisher, messages, gone)| Sent {
            publisher,
            messages,
            gone,
        })
    }

    #[test]
    fn messages_that_remaining_members_have_not_received_are_missing() {
        assert_eq!(missing(&STANDINGS, &sent(5, 10, false)), 1);
        assert_eq!(missing(&STANDINGS, &sent(6, 10, false)), 4);
        assert_eq!(missing(&STANDINGS, &sent(5, 9, false)), 0);
        assert_eq!(missing(&[], &[]), 0);
    }

    #[test]
    fn messages_of_an_ended_publisher_that_no_member_received_are_not_missing() {
        assert_eq!(missing(&STANDINGS, &sent(5, 99, true)), 1);
    }

    #[test]
    fn messages_due_and_not_sent_are_unsent() {
        assert_eq!(unsent(&[10, 5], &sent(5, 7, false)), 3);
    }

    #[test]
    fn received_bytes_are_compared_with_uncompressed_frames_of_the_same_messages() {
        let traffic = |plan: Plan| {
            let mut tally = Tally::new();
            (tally.delivered, tally.received_bytes) = (10, 10 * 257);
            Traffic::of(&plan, &tally, Duration::from_secs(1), 0)
        };
        let compressed = traffic(plan(Scenario::FanOut, |plan| {
            plan.payload(Payload::Json).compress()
        }));
        assert_eq!(compressed.received_bytes_per_delivery, 257.0);
        assert_eq!(compressed.compression_ratio, Some(4.0));
        let plain = traffic(plan(Scenario::FanOut, |plan| plan.payload(Payload::Json)));
        assert_eq!(plain.compression_ratio, None);
    }

    #[test]
    fn frame_length_is_message_and_header() {
        let lengths = [125, 126, 65_535, 65_536].map(frame_bytes);
        assert_eq!(lengths, [127, 130, 65_539, 65_546]);
    }

    #[test]
    fn percentiles_are_in_microseconds_and_the_maximum_is_a_recorded_value() {
        let mut nanos = histogram();
        assert_eq!(Latency::of(&nanos), None);
        (1..=1_000).for_each(|micros| nanos.saturating_record(micros * 1_000));
        let latency = Latency::of(&nanos).expect("values");
        assert_eq!(latency.samples, 1_000);
        for (found, wanted) in [
            (latency.mean, 500.5),
            (latency.p50, 500.0),
            (latency.p99, 990.0),
            (latency.max, 1_000.0),
        ] {
            assert!((found / wanted - 1.0).abs() < 0.002, "{found} {wanted}");
        }
    }

    #[test]
    fn server_without_fault_has_no_failure() {
        let plan = plan(Scenario::Idle, |plan| plan);
        let mut report = Report::new(&plan);
        assert_eq!(report.failure(), None);
        report.checks.doubled = 2;
        report.checks.ended.insert(1006, 3);
        assert_eq!(
            report.failure().as_deref(),
            Some("the server failed: 2 doubled, 3 connections ended early")
        );
    }
}
