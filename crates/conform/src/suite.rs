//! From a plan to the runs of its cases, and from their results to a report.

use crate::case::{Case, Task};
use crate::error::Error;
use crate::peer::Peer;
use crate::plan::Plan;
use crate::report::{CaseReport, RunResult};
use crate::rules::rules;

/// The cases of a plan with their runs.
pub(crate) struct Suite {
    cases: Vec<Case>,
    /// The runs of all cases, each with the place of its case and its place in the case.
    tasks: Vec<Task>,
}

impl Suite {
    /// The suite of this plan.
    ///
    /// # Errors
    /// The plan names no case.
    pub(crate) fn new(plan: &Plan, peer: Peer) -> Result<Suite, Error> {
        let cases = plan.cases(peer);
        if cases.is_empty() {
            return Err(Error::NoCase);
        }
        let setting = plan.setting();
        let runs = |(case, row): (usize, &Case)| {
            let runs = (row.runs)(&setting).into_iter().enumerate();
            runs.map(move |(run, script)| Task { case, run, script })
        };
        let tasks = cases.iter().enumerate().flat_map(runs).collect();
        Ok(Suite { cases, tasks })
    }

    pub(crate) fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    pub(crate) fn case(&self, task: &Task) -> &Case {
        &self.cases[task.case]
    }

    /// Whether the run moves megabytes.
    pub(crate) fn is_heavy(&self, task: &Task) -> bool {
        self.cases[task.case].is_heavy
    }

    /// The reports of all cases, from the results of their runs in any order.
    pub(crate) fn reports(&self, mut results: Vec<RunResult>) -> Vec<CaseReport> {
        let rules = rules();
        results.sort_by_key(|result| (result.case, result.run));
        let of_case = |index: usize| {
            let first = results.partition_point(|result| result.case < index);
            let end = results.partition_point(|result| result.case <= index);
            &results[first..end]
        };
        let reports = self.cases.iter().enumerate();
        reports
            .filter_map(|(index, case)| {
                let rule = rules.get(case.rule)?;
                let runs = self.tasks.iter().filter(|task| task.case == index).count();
                Some(CaseReport::new(case, rule, runs, of_case(index)))
            })
            .collect()
    }
}
