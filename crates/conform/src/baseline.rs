//! An earlier report, against which a new one is compared: only new failures count.

use std::collections::BTreeSet;

use crate::case::Level;
use crate::report::{CaseReport, Report, Verdict};

/// The cases that failed in an earlier report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline(BTreeSet<String>);

impl Baseline {
    /// Reads a report as JSON.
    ///
    /// # Errors
    /// What is wrong with the text, as part of a sentence.
    pub fn parse(text: &str) -> Result<Baseline, String> {
        let report: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
        let cases = report["cases"]
            .as_array()
            .ok_or("no report of this suite")?;
        let failed = cases.iter().filter(|case| case["verdict"] != "pass");
        let ids = failed.filter_map(|case| case["id"].as_str());
        Ok(Baseline(ids.map(str::to_owned).collect()))
    }

    /// The cases of this level, or of a more binding one, that have failed or were not run,
    /// though they passed before or did not exist.
    pub fn regressions<'a>(&self, report: &'a Report, level: Level) -> Vec<&'a CaseReport> {
        let is_bad = |case: &&CaseReport| matches!(case.verdict, Verdict::Fail | Verdict::NotRun);
        let cases = report.cases.iter().filter(is_bad);
        cases
            .filter(|case| case.level >= level && !self.0.contains(&case.id))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn only_new_failures_of_the_level_are_regressions() {
        let report = report();
        let ids = |baseline: &Baseline, level| -> Vec<String> {
            let found = baseline.regressions(&report, level);
            found.into_iter().map(|case| case.id.clone()).collect()
        };
        let json =
            |verdict: &str| format!(r#"{{"cases":[{{"id":"framing/a","verdict":"{verdict}"}}]}}"#);
        let before = Baseline::parse(&json("pass")).expect("a report");
        assert_eq!(ids(&before, Level::Must), ["framing/a"]);
        assert_eq!(ids(&before, Level::Quality), ["framing/a", "framing/b"]);
        let before = Baseline::parse(&json("fail")).expect("a report");
        assert_eq!(ids(&before, Level::Must), [""; 0]);
        assert!(Baseline::parse("[]").is_err() && Baseline::parse("x").is_err());
    }
}
