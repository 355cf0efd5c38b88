//! The result: a verdict for each case, with the sentence that decides and, of a failure,
//! what was sent and received.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::case::{Case, Level, Task};
use crate::error::Error;
use crate::peer::Peer;
use crate::player::{Outcome, Played};
use crate::rules::Rule;
use crate::transcript::{Line, milliseconds};

/// The verdicts of a run of the suite, in any format of serde.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Name and version of this suite.
    pub suite: &'static str,
    /// `server` or `client`: the side that was tested.
    pub peer: &'static str,
    /// The peer's name.
    pub agent: String,
    /// The URL of the server, or the address that clients connect to.
    pub address: String,
    /// Duration of the run in seconds.
    pub seconds: f64,
    /// Why the run was ended early, if the server was the reason: it no longer echoes.
    pub ended: Option<String>,
    /// Cases of each level and verdict.
    pub counts: BTreeMap<Level, Counts>,
    /// Cases by the section of their sentence.
    pub sections: BTreeMap<String, u32>,
    /// The cases in the order of the suite.
    pub cases: Vec<CaseReport>,
}

/// The number of cases with each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// The peer obeys the rule.
    pub pass: u32,
    /// The peer breaks the rule.
    pub fail: u32,
    /// The rule does not concern this peer.
    pub not_applicable: u32,
    /// Not all connections of the case were made.
    pub not_run: u32,
}

/// The verdict of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The peer obeys the rule.
    Pass,
    /// The peer breaks the rule.
    Fail,
    /// The rule does not concern this peer.
    NotApplicable,
    /// Not all connections of the case were made: the run was ended early.
    NotRun,
}

/// A case and its verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CaseReport {
    /// Subject and name: `framing/reserved-opcodes-data`.
    pub id: String,
    /// What a good peer does.
    pub title: String,
    /// How binding the rule is.
    pub level: Level,
    /// The identifier of the sentence in the tables of the repository.
    pub rule: String,
    /// `RFC 6455 §5.2`
    pub section: String,
    /// The sentence of the RFC that decides.
    pub sentence: String,
    /// The cases of the Autobahn suite that check the same.
    pub old: Vec<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// The connections of the case.
    pub runs: u32,
    /// The connections on which the peer broke the rule.
    pub failed_runs: u32,
    /// The first of these, by its parameter.
    pub run: String,
    /// Why the case failed on it, or why it does not apply.
    pub reason: String,
    /// What happened on it.
    pub lines: Vec<Line>,
    /// Milliseconds of all connections together.
    pub milliseconds: f64,
    /// A command that runs this case alone.
    pub command: String,
}

/// What a run of a case has shown.
#[derive(Clone, Debug)]
pub(crate) struct RunResult {
    /// The place of the case in the plan, and of the run in the case.
    pub case: usize,
    pub run: usize,
    pub label: String,
    pub played: Played,
    pub duration: std::time::Duration,
}

impl RunResult {
    pub(crate) fn is_of(&self, task: &Task) -> bool {
        (self.case, self.run) == (task.case, task.run)
    }
}

impl Report {
    /// Whether any case of this level or a more binding one has failed, or was not run.
    pub fn has_failed(&self, level: Level) -> bool {
        let is_bad = |case: &CaseReport| matches!(case.verdict, Verdict::Fail | Verdict::NotRun);
        let mut bad = self.cases.iter().filter(|case| is_bad(case));
        bad.any(|case| case.level >= level)
    }

    /// The cases that have failed.
    pub fn failed(&self) -> impl Iterator<Item = &CaseReport> {
        let cases = self.cases.iter();
        cases.filter(|case| case.verdict == Verdict::Fail)
    }

    /// The report of these cases. `options` are those of a command that runs one alone.
    pub(crate) fn new(
        peer: Peer,
        agent: String,
        address: String,
        options: &str,
        seconds: f64,
        mut cases: Vec<CaseReport>,
    ) -> Report {
        let mut counts: BTreeMap<Level, Counts> = BTreeMap::new();
        let mut sections = BTreeMap::new();
        for case in &mut cases {
            case.command = match peer {
                Peer::Server => format!(
                    "yamabiko conform server {address}{options} --case {}",
                    case.id
                ),
                Peer::Client => format!(
                    "yamabiko conform client --listen {address}{options} --case {}",
                    case.id
                ),
            };
            let counts = counts.entry(case.level).or_default();
            match case.verdict {
                Verdict::Pass => counts.pass += 1,
                Verdict::Fail => counts.fail += 1,
                Verdict::NotApplicable => counts.not_applicable += 1,
                Verdict::NotRun => counts.not_run += 1,
            }
            *sections.entry(case.section.clone()).or_insert(0) += 1;
        }
        Report {
            suite: SUITE,
            peer: match peer {
                Peer::Server => "server",
                Peer::Client => "client",
            },
            agent,
            address,
            seconds: (seconds * 100.0).round() / 100.0,
            ended: None,
            counts,
            sections,
            cases,
        }
    }

    /// The same report, of a run that this error has ended.
    pub(crate) fn ended_by(self, error: Option<Error>) -> Report {
        let ended = error.map(|error| error.to_string());
        Report { ended, ..self }
    }
}

impl CaseReport {
    /// The report of a case with so many runs, of which these, in their order, had results.
    pub(crate) fn new(case: &Case, rule: &Rule, runs: usize, results: &[RunResult]) -> CaseReport {
        let decisive = decisive(results);
        let failed = results.iter().filter(|result| is_failure(result)).count();
        let duration = results.iter().map(|result| result.duration).sum();
        let (verdict, reason) = match decisive.map(|result| &result.played.outcome) {
            Some(Outcome::Fail(words)) => (Verdict::Fail, words.clone()),
            _ if results.len() < runs => (
                Verdict::NotRun,
                format!("{} of {runs} connections were made", results.len()),
            ),
            Some(Outcome::NotApplicable(words)) => (Verdict::NotApplicable, words.clone()),
            Some(Outcome::Pass) => (Verdict::Pass, String::new()),
            None => (
                Verdict::NotApplicable,
                "no run without the option that it names".to_owned(),
            ),
        };
        let shown = decisive.filter(|_| verdict == Verdict::Fail);
        CaseReport {
            id: case.id.to_owned(),
            title: case.title.to_owned(),
            level: case.level,
            rule: rule.id.to_owned(),
            section: rule.section.to_string(),
            sentence: rule.sentence.to_owned(),
            old: case.old_ids(),
            verdict,
            runs: runs as u32,
            failed_runs: failed as u32,
            run: shown.map(|result| result.label.clone()).unwrap_or_default(),
            reason,
            lines: shown
                .map(|result| result.played.lines.clone())
                .unwrap_or_default(),
            milliseconds: milliseconds(duration),
            command: String::new(),
        }
    }
}

fn is_failure(result: &RunResult) -> bool {
    matches!(result.played.outcome, Outcome::Fail(_))
}

/// The first run that failed; otherwise the first that passed; otherwise the first.
pub(crate) fn decisive(results: &[RunResult]) -> Option<&RunResult> {
    let passed = |result: &&RunResult| result.played.outcome == Outcome::Pass;
    let failure = results.iter().find(|result| is_failure(result));
    failure
        .or_else(|| results.iter().find(passed))
        .or_else(|| results.first())
}

const SUITE: &str = concat!("yamabiko-conform ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with a failure of each of two levels, and a case that does not apply.
    pub(crate) fn report() -> Report {
        let case = |id: &str, level, verdict, reason: &str| CaseReport {
            id: id.to_owned(),
            title: "A peer does it.".to_owned(),
            level,
            rule: "rfc6455-5.2-03".to_owned(),
            section: "RFC 6455 §5.2".to_owned(),
            sentence: "It MUST.".to_owned(),
            old: Vec::new(),
            verdict,
            runs: 1,
            failed_runs: 1,
            run: String::new(),
            reason: reason.to_owned(),
            lines: Vec::new(),
            milliseconds: 1.5,
            command: String::new(),
        };
        let cases = vec![
            case("framing/a", Level::Must, Verdict::Fail, "it sent \"x\""),
            case("framing/b", Level::Quality, Verdict::Fail, "nothing came"),
            case(
                "framing/c",
                Level::Must,
                Verdict::NotApplicable,
                "no option",
            ),
        ];
        Report::new(Peer::Server, "a<b".into(), "ws://h/".into(), "", 1.0, cases)
    }

    #[test]
    fn cases_are_counted_by_level_and_section_and_have_a_command() {
        let report = report();
        assert_eq!(report.counts[&Level::Must].fail, 1);
        assert_eq!(report.counts[&Level::Must].not_applicable, 1);
        assert_eq!(report.sections["RFC 6455 §5.2"], 3);
        assert_eq!(
            report.cases[0].command,
            "yamabiko conform server ws://h/ --case framing/a"
        );
        assert!(report.has_failed(Level::Must) && report.has_failed(Level::Quality));
    }
}
