//! The sentences of the RFCs that the cases check, from `rules.tsv`: identifier, section,
//! sentence. The identifiers are those of `specs/` in the repository, and a test there
//! compares the sentences.

use std::collections::HashMap;

/// A requirement of an RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// `rfc6455-5.2-03`
    pub id: &'static str,
    /// `RFC 6455 §5.2`
    pub section: Section,
    pub sentence: &'static str,
}

/// A section of an RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Section {
    pub rfc: &'static str,
    pub number: &'static str,
}

impl Section {
    /// The numbers of the RFC and of the section, for the order: 5.2 comes before 5.10.
    pub(crate) fn place(&self) -> Vec<u32> {
        let numbers = [self.rfc].into_iter().chain(self.number.split('.'));
        numbers.map(|number| number.parse().unwrap_or(0)).collect()
    }
}

/// All rules, by their identifier.
pub(crate) fn rules() -> HashMap<&'static str, Rule> {
    let rules = TABLE.lines().filter_map(rule);
    rules.map(|rule| (rule.id, rule)).collect()
}

impl std::fmt::Display for Section {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RFC {} §{}", self.rfc, self.number)
    }
}

fn rule(line: &'static str) -> Option<Rule> {
    let (id, rest) = line.split_once('\t')?;
    let (number, sentence) = rest.split_once('\t')?;
    let rfc = id.strip_prefix("rfc")?.split('-').next()?;
    Some(Rule {
        id,
        section: Section { rfc, number },
        sentence,
    })
}

const TABLE: &str = include_str!("../rules.tsv");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn every_line_of_the_table_is_the_rule_of_a_case_and_every_case_has_one() {
        let rules = rules();
        assert_eq!(rules.len(), TABLE.lines().count());
        let mut unused: Vec<&str> = rules.keys().copied().collect();
        for case in cases::all() {
            assert!(rules.contains_key(case.rule), "{}: {}", case.id, case.rule);
            unused.retain(|&id| id != case.rule);
        }
        assert_eq!(unused, [""; 0]);
    }
}
