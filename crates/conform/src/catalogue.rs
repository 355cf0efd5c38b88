//! The list of the cases, without running them.

use std::fmt;

use crate::case::Case;
use crate::plan::Plan;
use crate::player::Peer;
use crate::rules::rules;

/// The cases of a plan. `Display` writes one line for each: identifier, level, section,
/// title, and the cases of the Autobahn suite that check the same.
#[derive(Clone)]
pub struct Catalogue(Vec<Case>);

impl Catalogue {
    /// The identifiers of the cases.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|case| case.id.to_owned()).collect()
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
