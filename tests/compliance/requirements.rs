//! The requirements of the RFCs, and the lists of those that are not binding or not yet due.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::citations::folded;
use crate::table::{self, Row};

/// One row of `specs/requirements-*.csv`.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// RFC, section, and number of the sentence in the section; then `a`, `b`, … if one
    /// sentence has several requirements: `rfc6455-5.5-01a`.
    pub id: String,
    pub rfc: String,
    pub section: String,
    /// `MUST`, `SHOULD`, …, after the verified errata.
    pub level: String,
    pub summary: String,
    /// The erratum of the sentence, with its status; may be empty.
    pub erratum: String,
    /// The address of the section, as in a citation.
    pub target: String,
    /// The whole sentence, with white space folded.
    pub sentence: String,
    /// Whether it binds endpoints and a test can check it.
    pub testable: bool,
    /// Whether it binds servers and clients.
    pub of_both_roles: bool,
}

/// The row of `specs/milestones.csv` for a requirement that is not due yet.
#[derive(Clone, Debug)]
pub struct Milestone {
    pub name: String,
    pub reason: String,
}

/// All tables of `specs/`.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    all: Vec<Requirement>,
    /// id → the reason for which it is not binding.
    pub exceptions: BTreeMap<String, String>,
    /// id → the reason for which one test is enough for both roles.
    pub one_test: BTreeMap<String, String>,
    /// id → the milestone that it is part of.
    pub milestones: BTreeMap<String, Milestone>,
}

impl Requirements {
    pub fn of_tree(project: &Path) -> Self {
        let read = |name: &str| {
            let path = project.join("specs").join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Self::of_tables(
            &[read("requirements-6455.csv"), read("requirements-7692.csv")],
            &read("exceptions.csv"),
            &read("milestones.csv"),
        )
        .with_one_test(&read("one-test.csv"))
    }

    pub fn of_tables(requirements: &[String], exceptions: &str, milestones: &str) -> Self {
        Self {
            all: requirements
                .iter()
                .flat_map(|table| table::rows(table))
                .map(|row| requirement(&row))
                .collect(),
            exceptions: reasons(exceptions),
            one_test: BTreeMap::new(),
            milestones: table::rows(milestones)
                .into_iter()
                .map(|row| (row["id"].clone(), milestone(&row)))
                .collect(),
        }
    }

    /// With the list of the requirements of both roles for which one test is enough.
    pub fn with_one_test(mut self, one_test: &str) -> Self {
        self.one_test = reasons(one_test);
        self
    }

    pub fn all(&self) -> &[Requirement] {
        &self.all
    }

    /// Whether it is binding, now or with a later milestone.
    pub fn binds(&self, requirement: &Requirement) -> bool {
        requirement.testable
            && requirement.level != "MAY"
            && !self.exceptions.contains_key(&requirement.id)
    }

    /// The faults of the lists.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (list, ids) in [
            ("exceptions.csv", &self.exceptions),
            ("one-test.csv", &self.one_test),
        ] {
            for id in ids.keys() {
                if !self.all.iter().any(|requirement| requirement.id == *id) {
                    problems.push(format!("{list}: there is no requirement {id}"));
                }
            }
        }
        for (id, milestone) in &self.milestones {
            match self.all.iter().find(|requirement| requirement.id == *id) {
                None => problems.push(format!("milestones.csv: there is no requirement {id}")),
                Some(requirement) if !self.binds(requirement) => {
                    problems.push(format!("milestones.csv: {id} is not binding"));
                }
                Some(_) if milestone.name.is_empty() || milestone.reason.is_empty() => {
                    problems.push(format!(
                        "milestones.csv: {id} has no milestone or no reason"
                    ));
                }
                Some(_) => {}
            }
        }
        problems
    }
}

fn requirement(row: &Row) -> Requirement {
    Requirement {
        id: row["id"].clone(),
        rfc: row["rfc"].clone(),
        section: row["section"].clone(),
        level: row["effective_level"].clone(),
        summary: row["summary"].clone(),
        erratum: row["erratum"].clone(),
        target: row["target"].clone(),
        sentence: folded(&row["quote"]),
        testable: ["lib", "server", "client"].contains(&row["testable_by"].as_str()),
        of_both_roles: row["role"] == "both",
    }
}

/// id → reason.
fn reasons(table: &str) -> BTreeMap<String, String> {
    table::rows(table)
        .into_iter()
        .map(|row| (row["id"].clone(), row["reason"].clone()))
        .collect()
}

fn milestone(row: &Row) -> Milestone {
    Milestone {
        name: row["milestone"].clone(),
        reason: row["reason"].clone(),
    }
}
