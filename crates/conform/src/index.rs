//! The report in the form of the Autobahn suite's `index.json`, for scripts that read it.

use serde_json::{Value, json};

use crate::case::Level;
use crate::report::{CaseReport, Report, Verdict};

/// An object with an object for each agent, which has an object for each case.
///
/// | verdict | `behavior` |
/// |---|---|
/// | pass | `OK` |
/// | fail, level must | `FAILED` |
/// | fail, other levels | `NON-STRICT` |
/// | not applicable | `UNIMPLEMENTED` |
/// | not run | `FAILED` |
pub fn index<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Value {
    let mut agents = serde_json::Map::new();
    for report in reports {
        let cases = report
            .cases
            .iter()
            .map(|case| (case.id.clone(), entry(case)));
        agents.insert(report.agent.clone(), Value::Object(cases.collect()));
    }
    Value::Object(agents)
}

fn entry(case: &CaseReport) -> Value {
    let behavior = match (case.verdict, case.level) {
        (Verdict::Pass, _) => "OK",
        (Verdict::Fail, Level::Must) | (Verdict::NotRun, _) => "FAILED",
        (Verdict::Fail, _) => "NON-STRICT",
        (Verdict::NotApplicable, _) => "UNIMPLEMENTED",
    };
    json!({
        "behavior": behavior,
        "behaviorClose": if behavior == "FAILED" { "FAILED" } else { "OK" },
        "duration": case.milliseconds.round() as u64,
        "remoteCloseCode": null,
        "reportfile": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn verdicts_have_the_words_of_the_autobahn_suite() {
        let report = report();
        let index = index([&report]);
        let behavior = |case: &str| index["a<b"][case]["behavior"].clone();
        assert_eq!(behavior("framing/a"), "FAILED");
        assert_eq!(behavior("framing/b"), "NON-STRICT");
        assert_eq!(behavior("framing/c"), "UNIMPLEMENTED");
    }
}
