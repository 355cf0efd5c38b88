//! The report as a table for people.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::numbers::{bytes, grouped, rate, time};
use super::report::{Cost, Latency, Report, Server, Settings, Slow, Traffic};

/// A heading with scenario and URL, then a label and its values on each line.
impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        Table(self).write(formatter)
    }
}

struct Table<'a>(&'a Report);

impl Table<'_> {
    fn write(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(formatter, "{} {}", report.scenario, report.url)?;
        line(formatter, "load", &settings(&report.settings))?;
        line(formatter, "opened", &self.opened())?;
        line(formatter, "measured", &self.measured())?;
        if let Some(traffic) = &report.traffic {
            write_traffic(formatter, traffic)?;
        }
        if let Some(slow) = &report.slow {
            line(formatter, "slow members", &slow_members(slow))?;
        }
        line(formatter, "checked", &self.checked())?;
        self.write_remarks(formatter)?;
        if let Some(server) = &report.server {
            write_server(formatter, server)?;
        }
        if let Some(cost) = &report.load {
            line(
                formatter,
                "load's CPU",
                &own_cost(cost, report.settings.threads),
            )?;
        }
        Ok(())
    }

    fn opened(&self) -> String {
        let opening = &self.0.opening;
        let text = format!(
            "{} connections in {}",
            grouped(opening.connections),
            time(opening.seconds * 1e6)
        );
        let text = match &opening.latency_us {
            Some(latency) => format!("{text}; each {}", percentiles(latency)),
            None => text,
        };
        match opening.server_us_per_connection {
            Some(cost) => format!("{text}; {} of the server's CPU each", time(cost)),
            None => text,
        }
    }

    fn measured(&self) -> String {
        let cut_short = if self.0.cut_short { ", cut short" } else { "" };
        format!("{:.2} s{cut_short}", self.0.measured_seconds)
    }

    fn checked(&self) -> String {
        let checks = &self.0.checks;
        let ended = match checks.ended.is_empty() {
            true => "none ended early".to_owned(),
            false => format!("ended early: {}", codes(&checks.ended)),
        };
        if self.0.traffic.is_none() {
            return ended;
        }
        let mut text = format!(
            "lost {}, doubled {}, out of order {}, corrupted {}",
            grouped(checks.lost),
            grouped(checks.doubled),
            grouped(checks.out_of_order),
            grouped(checks.corrupted)
        );
        if checks.misdelivered > 0 {
            text.push_str(&format!(", misdelivered {}", grouped(checks.misdelivered)));
        }
        format!("{text}; {ended}")
    }

    fn write_remarks(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let checks = &self.0.checks;
        if let Some(rule) = &checks.broken {
            line(formatter, "broken rule", rule)?;
        }
        if checks.foreign_messages > 0 {
            let text = format!("{} messages of others", grouped(checks.foreign_messages));
            line(formatter, "not counted", &text)?;
        }
        if checks.pings_answered > 0 {
            line(
                formatter,
                "pings",
                &format!("{} answered", grouped(checks.pings_answered)),
            )?;
        }
        Ok(())
    }
}

fn write_traffic(formatter: &mut Formatter<'_>, traffic: &Traffic) -> fmt::Result {
    let published = format!(
        "{} messages, {} /s",
        grouped(traffic.published),
        rate(traffic.published_per_second)
    );
    line(formatter, "published", &published)?;
    let delivered = format!(
        "{} messages, {} /s, {} /s",
        grouped(traffic.delivered),
        rate(traffic.delivered_per_second),
        bytes(traffic.delivered_bytes_per_second)
    );
    line(formatter, "delivered", &delivered)?;
    if let Some(ratio) = traffic.compression_ratio {
        let text = format!(
            "{:.0} bytes for each delivery, {ratio:.2} times less than without compression",
            traffic.received_bytes_per_delivery
        );
        line(formatter, "on the wire", &text)?;
    }
    if let Some(latency) = &traffic.latency_us {
        line(formatter, "latency", &percentiles(latency))?;
    }
    if let Some(delay) = &traffic.send_delay_us {
        line(formatter, "sent late", &percentiles(delay))?;
    }
    if traffic.unsent > 0 {
        let text = format!(
            "{} messages: the server does not take so many; latencies are too low",
            grouped(traffic.unsent)
        );
        line(formatter, "unsent", &text)?;
    }
    Ok(())
}

fn write_server(formatter: &mut Formatter<'_>, server: &Server) -> fmt::Result {
    line(formatter, "server's CPU", &cost(&server.cpu))?;
    let memory = format!(
        "{} before, {} connected ({} each), {} after",
        bytes(server.resident_bytes_before as f64),
        bytes(server.resident_bytes_connected as f64),
        bytes(server.resident_bytes_per_connection),
        bytes(server.resident_bytes_after as f64)
    );
    line(formatter, "its memory", &memory)
}

fn settings(settings: &Settings) -> String {
    let mut text = format!("{} connections", grouped(settings.connections.into()));
    if settings.publishers > 0 {
        let kind = if settings.binary { "binary" } else { "text" };
        let kind = match settings.payload {
            "json" => format!("JSON as {kind}"),
            _ => kind.to_owned(),
        };
        text.push_str(&format!(
            ", {} publish {} bytes of {kind}",
            grouped(settings.publishers.into()),
            settings.message_bytes
        ));
    }
    if settings.slow_members > 0 {
        text.push_str(&format!(
            ", {} stop reading",
            grouped(settings.slow_members.into())
        ));
    }
    if let Some(window) = settings.window {
        text.push_str(&format!(", {window} in flight each"));
    }
    if let Some(per_second) = settings.rate_per_second {
        text.push_str(&format!(", {} /s in all", rate(per_second)));
    }
    if !settings.echo {
        text.push_str(", no echo");
    }
    if settings.compress {
        text.push_str(", compressed by the server");
    }
    text
}

fn slow_members(slow: &Slow) -> String {
    let ended: u64 = slow.ended.values().sum();
    let mut text = format!(
        "{ended} of {} ended by the server",
        grouped(slow.members.into())
    );
    if !slow.ended.is_empty() {
        text.push_str(&format!(" ({})", codes(&slow.ended)));
    }
    if slow.skipped > 0 {
        text.push_str(&format!("; {} messages skipped", grouped(slow.skipped)));
    }
    if slow.missing_at_those_still_open > 0 {
        let missing = grouped(slow.missing_at_those_still_open);
        text.push_str(&format!("; {missing} messages never came to the others"));
    }
    text
}

fn percentiles(latency: &Latency) -> String {
    format!(
        "p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
        time(latency.p50),
        time(latency.p90),
        time(latency.p99),
        time(latency.p99_9),
        time(latency.max)
    )
}

/// `5 with 1013, 1 with 1006`
fn codes(ended: &BTreeMap<u16, u64>) -> String {
    let codes: Vec<_> = ended
        .iter()
        .map(|(code, count)| format!("{} with {code}", grouped(*count)))
        .collect();
    codes.join(", ")
}

fn cost(cost: &Cost) -> String {
    let percent = format!("{:.0} % of a core", cost.percent);
    match cost.us_per_delivery {
        Some(micros) => format!("{percent}, {micros:.4} µs for each delivery"),
        None => percent,
    }
}

/// Reports a load that has reached its own limit, and not the server's.
fn own_cost(own: &Cost, threads: u32) -> String {
    let at_limit = own.percent >= 90.0 * f64::from(threads);
    let remark = if at_limit {
        ": the load is at its limit"
    } else {
        ""
    };
    format!("{}{remark}", cost(own))
}

fn line(formatter: &mut Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    writeln!(formatter, "  {label:<14}{text}")
}

#[cfg(test)]
mod tests {
    use super::super::plan::Scenario;
    use super::super::plan::tests::plan;
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_line_has_its_label_and_an_idle_run_has_fewer_lines() {
        let report = Report::new(&plan(Scenario::Idle, |plan| plan));
        assert_eq!(
            report.to_string(),
            "idle ws://127.0.0.1:9/\n  \
             load          1,000 connections\n  \
             opened        0 connections in 0.00 µs\n  \
             measured      0.00 s\n  \
             checked       none ended early\n"
        );
    }

    #[test]
    fn table_shows_what_an_opening_costs_the_server() {
        let mut report = Report::new(&plan(Scenario::Idle, |plan| plan));
        report.opening.connections = 500;
        report.opening.server_us_per_connection = Some(38.5);
        let line = "  opened        500 connections in 0.00 µs; 38.5 µs of the server's CPU each\n";
        let table = report.to_string();
        assert!(table.contains(line), "{table}");
    }

    #[test]
    fn table_shows_faults_of_the_server() {
        let mut report = Report::new(&plan(Scenario::Idle, |plan| plan));
        report.checks.ended.insert(1013, 2);
        report.checks.ended.insert(1006, 1);
        report.checks.broken = Some("a rule".to_owned());
        let table = report.to_string();
        assert!(table.contains("  checked       ended early: 1 with 1006, 2 with 1013\n"));
        assert!(table.contains("  broken rule   a rule\n"), "{table}");
    }

    #[test]
    fn table_reports_a_load_at_its_own_limit() {
        let mut report = Report::new(&plan(Scenario::Idle, |plan| plan));
        report.measured_seconds = 1.0;
        let cost = |millis| report.cost(Duration::from_millis(millis));
        assert_eq!(own_cost(&cost(899), 1), "90 % of a core");
        assert_eq!(
            own_cost(&cost(900), 1),
            "90 % of a core: the load is at its limit"
        );
        assert_eq!(own_cost(&cost(900), 2), "90 % of a core");
    }
}
