//! The list of the cases, without running them.

use std::collections::BTreeMap;
use std::fmt;

use crate::case::Case;
use crate::peer::Peer;
use crate::plan::Plan;
use crate::rules::{Section, rules};

/// The cases of a plan. `Display` writes one line for each: identifier, level, section,
/// title, and the cases of the Autobahn suite that check the same.
#[derive(Clone)]
pub struct Catalogue(Vec<Case>);

impl Catalogue {
    /// The identifiers of the cases.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|case| case.id.to_owned()).collect()
    }

    /// The cases that check what this case of the Autobahn suite checks: for each its identifier, the
    /// section of the RFC whose sentence decides, and the name of that sentence in the tables of `specs/`.
    pub fn of_autobahn(&self, old: &str) -> Vec<(&'static str, String, &'static str)> {
        let rules = rules();
        let is_named = |case: &&Case| case.old_ids().iter().any(|id| id == old);
        let place = |case: &Case| {
            let rule = rules.get(case.rule)?;
            Some((case.id, rule.section.to_string(), case.rule))
        };
        self.0.iter().filter(is_named).filter_map(place).collect()
    }

    /// The sections of the RFCs, such as `RFC 6455 §5.2`, in their order, each with the number of
    /// cases whose rule is in it.
    pub fn sections(&self) -> Vec<(String, usize)> {
        let rules = rules();
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        for rule in self.0.iter().filter_map(|case| rules.get(case.rule)) {
            *counts
                .entry((rule.section.place(), rule.section))
                .or_default() += 1;
        }
        let count = |((_, section), count): ((_, Section), usize)| (section.to_string(), count);
        counts.into_iter().map(count).collect()
    }
}

/// The cases that a plan has for this peer.
pub fn catalogue(plan: &Plan, peer: Peer) -> Catalogue {
    Catalogue(plan.cases(peer))
}

impl fmt::Display for Catalogue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = rules();
        for case in &self.0 {
            let section = rules.get(case.rule).map(|rule| rule.section.to_string());
            let section = section.unwrap_or_default();
            let (id, level, title) = (case.id, case.level, case.title);
            write!(formatter, "{id:<40} {level:<8} {section:<18} {title}")?;
            match case.old {
                [] => writeln!(formatter)?,
                old => writeln!(formatter, " [{}]", old.join(", "))?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.0.iter().map(|case| case.id))
            .finish()
    }
}
