//! The report as text: a table of subjects, and each failure with its sentence, the bytes in
//! words, and the command that runs it alone.

use std::fmt;

use crate::case::Level;
use crate::report::{CaseReport, Report, Verdict};
use crate::transcript::{Actor, Line};

/// Passed and applicable cases of a subject, for each level.
struct Row<'a> {
    subject: &'a str,
    cells: [(u32, u32); 3],
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs: u32 = self.cases.iter().map(|case| case.runs).sum();
        writeln!(
            formatter,
            "{} {}: {} cases, {runs} connections, {} s\n",
            self.peer,
            self.agent,
            self.cases.len(),
            self.seconds
        )?;
        write_subjects(self, formatter)?;
        for case in self.failed() {
            write_failure(formatter, case)?;
        }
        write_skipped(self, formatter)?;
        write_not_run(self, formatter)
    }
}

fn write_subjects(report: &Report, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        formatter,
        "  {:<16}{:>12}{:>12}{:>12}",
        "passed of", "must", "should", "quality"
    )?;
    let mut total = [(0, 0); 3];
    for row in rows(report) {
        write_row(formatter, row.subject, row.cells)?;
        for (total, cell) in total.iter_mut().zip(row.cells) {
            *total = (total.0 + cell.0, total.1 + cell.1);
        }
    }
    write_row(formatter, "all", total)
}

fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for case in &report.cases {
        let subject = case.id.split('/').next().unwrap_or_default();
        if rows.last().is_none_or(|row| row.subject != subject) {
            rows.push(Row {
                subject,
                cells: [(0, 0); 3],
            });
        }
        let Some(row) = rows.last_mut() else { continue };
        let cell = &mut row.cells[column(case.level)];
        cell.0 += u32::from(case.verdict == Verdict::Pass);
        cell.1 += u32::from(case.verdict != Verdict::NotApplicable);
    }
    rows
}

fn write_not_run(report: &Report, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let cases = report.cases.iter();
    let count = cases.filter(|case| case.verdict == Verdict::NotRun).count();
    match count {
        0 => Ok(()),
        count => {
            let reason = report.ended.as_deref();
            let reason = reason.unwrap_or("the run was ended early");
            writeln!(formatter, "\nnot run: {count} ({reason})")
        }
    }
}

fn write_skipped(report: &Report, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let cases = report.cases.iter();
    let skipped = cases.filter(|case| case.verdict == Verdict::NotApplicable);
    let mut reasons: Vec<(&str, u32)> = Vec::new();
    for case in skipped {
        match reasons
            .iter_mut()
            .find(|(reason, _)| *reason == case.reason)
        {
            Some((_, count)) => *count += 1,
            None => reasons.push((&case.reason, 1)),
        }
    }
    for (index, (reason, count)) in reasons.iter().enumerate() {
        let line = if index == 0 { "\n" } else { "" };
        writeln!(formatter, "{line}not applicable: {count} ({reason})")?;
    }
    Ok(())
}

fn column(level: Level) -> usize {
    match level {
        Level::Must => 0,
        Level::Should => 1,
        Level::Quality => 2,
    }
}

fn write_row(
    formatter: &mut fmt::Formatter<'_>,
    subject: &str,
    cells: [(u32, u32); 3],
) -> fmt::Result {
    let cell = |(passed, all): (u32, u32)| match all {
        0 => "-".to_owned(),
        all => format!("{passed} of {all}"),
    };
    let [must, should, quality] = cells.map(cell);
    writeln!(
        formatter,
        "  {subject:<16}{must:>12}{should:>12}{quality:>12}"
    )
}

fn write_failure(formatter: &mut fmt::Formatter<'_>, case: &CaseReport) -> fmt::Result {
    writeln!(
        formatter,
        "\nFAIL {} {}: {}",
        case.level, case.id, case.title
    )?;
    for line in failure_lines(case).lines() {
        writeln!(formatter, "  {line}")?;
    }
    Ok(())
}

/// The sentence that decides, the reason, the bytes in words, and the command that runs the
/// case alone.
pub(crate) fn failure_lines(case: &CaseReport) -> String {
    let run = match (case.run.as_str(), case.runs) {
        (_, 1) => String::new(),
        (run, runs) => format!(
            "{} of {runs} connections, first '{run}': ",
            case.failed_runs
        ),
    };
    let mut text = format!(
        "{}: \"{}\"\n{run}{}\n",
        case.section, case.sentence, case.reason
    );
    for Line {
        at_ms,
        actor,
        words,
    } in &case.lines
    {
        let actor = match actor {
            Actor::Suite => "suite:",
            Actor::Peer => "peer:",
            Actor::Nobody => "…",
        };
        text.push_str(&format!("  {at_ms:>9.2} ms  {actor:<6} {words}\n"));
    }
    text + "alone: " + &case.command
}
