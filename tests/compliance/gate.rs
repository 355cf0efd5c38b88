//! Assigns the citations to the requirements, and finds the requirements that lack one.

use std::collections::BTreeMap;
use std::path::Path;

use crate::citations::{self, Citation, Kind};
use crate::requirements::{Requirement, Requirements};
use crate::roles::Roles;

/// The keywords of BCP 14 that oblige.
const KEYWORDS: [&str; 5] = ["MUST", "SHOULD", "SHALL", "REQUIRED", "RECOMMENDED"];

/// The citations of one requirement.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    pub implementations: Vec<Citation>,
    pub tests: Vec<Citation>,
}

impl Coverage {
    fn add(&mut self, citation: &Citation) {
        if citation.kind != Kind::Test {
            self.implementations.push(citation.clone());
        }
        if citation.kind != Kind::Implementation {
            self.tests.push(citation.clone());
        }
    }

    fn complete(&self) -> bool {
        !self.implementations.is_empty() && !self.tests.is_empty()
    }

    /// The roles in which it is tested.
    fn roles(&self) -> Roles {
        let roles = self.tests.iter().map(|test| test.roles);
        roles.fold(Roles::default(), Roles::or)
    }
}

/// The state of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    Done,
    /// Binding, due, and without an implementation or a test.
    Missing,
    /// Part of the milestone of this name.
    Later(&'a str),
    /// Not binding, for this reason in the list of exceptions.
    Excepted(&'a str),
    /// A permission, or a requirement that no test of an endpoint can check.
    NotBinding,
}

/// The requirements and their citations.
#[derive(Debug)]
pub struct Gate {
    pub requirements: Requirements,
    coverage: BTreeMap<String, Coverage>,
    /// The problems of the lists and of the citations, without the missing citations.
    problems: Vec<String>,
}

impl Gate {
    pub fn of_tree(project: &Path) -> Self {
        let (citations, problems) = citations::of_tree(project);
        let mut gate = Self::new(Requirements::of_tree(project), &citations);
        gate.problems.extend(problems);
        gate
    }

    pub fn new(requirements: Requirements, citations: &[Citation]) -> Self {
        let mut coverage: BTreeMap<String, Coverage> = BTreeMap::new();
        let mut problems = requirements.problems();
        for citation in citations {
            match cited(&requirements, citation) {
                Ok(sentence) => {
                    for requirement in sentence {
                        coverage
                            .entry(requirement.id.clone())
                            .or_default()
                            .add(citation);
                    }
                }
                Err(problem) => {
                    let Citation { file, line, .. } = citation;
                    problems.push(format!("{file}:{line}: {problem}: {}", citation.quote));
                }
            }
        }
        Self {
            requirements,
            coverage,
            problems,
        }
    }

    pub fn coverage(&self, id: &str) -> Coverage {
        self.coverage.get(id).cloned().unwrap_or_default()
    }

    pub fn standing(&self, requirement: &Requirement) -> Standing<'_> {
        let id = &requirement.id;
        if let Some(reason) = self.requirements.exceptions.get(id) {
            return Standing::Excepted(reason);
        }
        if !self.requirements.binds(requirement) {
            return Standing::NotBinding;
        }
        if let Some(milestone) = self.requirements.milestones.get(id) {
            return Standing::Later(&milestone.name);
        }
        match self.coverage(id).complete() {
            true => Standing::Done,
            false => Standing::Missing,
        }
    }

    /// Every reason for which the gate fails, one line each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.problems.clone();
        for requirement in self.requirements.all() {
            let Requirement {
                id, level, summary, ..
            } = requirement;
            let coverage = self.coverage(id);
            match self.standing(requirement) {
                Standing::Missing => {
                    let missing = match (&coverage.implementations[..], &coverage.tests[..]) {
                        ([], []) => "implementation and no test",
                        ([], _) => "implementation",
                        (_, _) => "test",
                    };
                    problems.push(format!("{id} {level}: cited by no {missing}: {summary}"));
                }
                Standing::Later(_) if coverage.complete() => problems.push(format!(
                    "milestones.csv: {id} is implemented and tested: remove it from the list"
                )),
                Standing::Done => problems.extend(self.problem_of_roles(requirement)),
                _ => {}
            }
        }
        problems
    }

    /// A requirement of both roles is tested in both, or has a reason for one test.
    fn problem_of_roles(&self, requirement: &Requirement) -> Option<String> {
        let (id, roles) = (&requirement.id, self.coverage(&requirement.id).roles());
        let is_listed = self.requirements.one_test.contains_key(id);
        let needs_both = requirement.of_both_roles && roles != Roles::BOTH;
        match (needs_both, is_listed) {
            (true, false) => Some(format!(
                "{id}: no test as {}: {}",
                roles.missing(),
                requirement.summary
            )),
            (false, true) => Some(format!(
                "one-test.csv: {id} is tested in both roles, or binds one: remove it from the list"
            )),
            _ => None,
        }
    }
}

/// The requirements of the quoted sentence. Requirements of the same sentence (ids that
/// end in `a`, `b`, …) are cited together.
fn cited<'a>(
    requirements: &'a Requirements,
    citation: &Citation,
) -> Result<Vec<&'a Requirement>, &'static str> {
    let quoted: Vec<&Requirement> = requirements
        .all()
        .iter()
        .filter(|requirement| requirement.target == citation.target)
        .filter(|requirement| contains_words(&requirement.sentence, &citation.quote))
        .collect();
    let Some(first) = quoted.first() else {
        return Err("no requirement of that section has this text");
    };
    if quoted.iter().any(|other| other.sentence != first.sentence) {
        return Err("several sentences of that section have this text; quote more");
    }
    if has_keyword(&first.sentence) && !has_keyword(&citation.quote) {
        return Err("the MUST or SHOULD of the sentence is missing");
    }
    Ok(quoted)
}

/// Whether the sentence contains the part, with whole words at both ends.
fn contains_words(sentence: &str, part: &str) -> bool {
    let inside_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    sentence.match_indices(part).any(|(start, _)| {
        let before = sentence[..start].chars().next_back();
        let after = sentence[start + part.len()..].chars().next();
        let cut_before = inside_word(before) && inside_word(part.chars().next());
        let cut_after = inside_word(after) && inside_word(part.chars().next_back());
        !cut_before && !cut_after
    })
}

fn has_keyword(text: &str) -> bool {
    text.split(|character: char| !character.is_alphabetic())
        .any(|word| KEYWORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
id,rfc,section,line,level,kind,role,testable_by,fail_connection,duvet_auto,effective_level,summary,note,erratum,target,duvet_quote_prefix,quote
x-1,1,5,1,MUST,keyword,both,lib,,yes,MUST,closes,,,https://rfc/x#section-5,,An endpoint MUST close at once.
x-2a,1,5,1,MUST,keyword,both,lib,,yes,MUST,short,,,https://rfc/x#section-5,,Control frames MUST be short and MUST NOT be cut.
x-2b,1,5,1,MUST NOT,keyword,both,lib,,yes,MUST NOT,whole,,,https://rfc/x#section-5,,Control frames MUST be short and MUST NOT be cut.
x-3,1,5,1,MAY,keyword,both,lib,,yes,MAY,waits,,,https://rfc/x#section-5,,An endpoint MAY wait.
x-4,1,5,1,MUST,keyword,browser,browser,,yes,MUST,shows,,,https://rfc/x#section-5,,A browser MUST show it.
x-5,1,6,1,MUST,keyword,both,server,,yes,MUST,encrypts,,,https://rfc/x#section-6,,A server MUST use TLS.
";
    const NO_EXCEPTIONS: &str = "id,reason\n";
    const TLS_LATER: &str = "id,milestone,reason\nx-5,tls,comes with TLS\n";

    fn citation(kind: Kind, section: u8, quote: &str) -> Citation {
        Citation {
            kind,
            target: format!("https://rfc/x#section-{section}"),
            quote: quote.into(),
            file: "src/a.rs".into(),
            line: 7,
            item: "a".into(),
            roles: Roles::BOTH,
        }
    }

    fn gate(exceptions: &str, milestones: &str, citations: &[Citation]) -> Gate {
        let requirements = Requirements::of_tables(&[TABLE.into()], exceptions, milestones);
        Gate::new(requirements, citations)
    }

    /// A correct citation for every requirement that is due.
    fn all_due() -> Vec<Citation> {
        vec![
            citation(Kind::Implementation, 5, "An endpoint MUST close at once."),
            citation(Kind::Test, 5, "MUST close at once"),
            citation(Kind::Implication, 5, "MUST NOT be cut"),
        ]
    }

    fn problems(citations: &[Citation]) -> Vec<String> {
        gate(NO_EXCEPTIONS, TLS_LATER, citations).problems()
    }

    fn problems_with(citation: Citation) -> Vec<String> {
        let mut citations = all_due();
        citations.push(citation);
        problems(&citations)
    }

    #[test]
    fn gate_passes_if_every_requirement_that_is_due_is_implemented_and_tested() {
        assert_eq!(problems(&all_due()), [""; 0]);
    }

    #[test]
    fn requirement_without_implementation_fails() {
        assert_eq!(
            problems(&all_due()[1..]),
            ["x-1 MUST: cited by no implementation: closes"]
        );
    }

    #[test]
    fn requirement_without_test_fails() {
        let mut citations = all_due();
        citations.remove(1);
        assert_eq!(problems(&citations), ["x-1 MUST: cited by no test: closes"]);
    }

    #[test]
    fn requirement_of_both_roles_needs_a_test_in_each_or_a_reason() {
        let mut citations = all_due();
        citations[1].roles.client = false;
        assert_eq!(problems(&citations), ["x-1: no test as client: closes"]);
        let requirements = Requirements::of_tables(&[TABLE.into()], NO_EXCEPTIONS, TLS_LATER);
        let listed = requirements.with_one_test("id,reason\nx-1,one function of both\n");
        assert_eq!(Gate::new(listed.clone(), &citations).problems(), [""; 0]);
        citations[1].roles.client = true;
        assert_eq!(
            Gate::new(listed, &citations).problems(),
            ["one-test.csv: x-1 is tested in both roles, or binds one: remove it from the list"]
        );
    }

    #[test]
    fn requirements_of_one_sentence_are_cited_together() {
        let gate = gate(NO_EXCEPTIONS, TLS_LATER, &all_due());
        assert!(gate.coverage("x-2a").complete());
        assert!(gate.coverage("x-2b").complete());
    }

    #[test]
    fn permissions_and_requirements_for_browsers_are_not_binding() {
        let gate = gate(NO_EXCEPTIONS, TLS_LATER, &[]);
        let standing = |number: usize| gate.standing(&gate.requirements.all()[number]);
        assert_eq!(standing(3), Standing::NotBinding);
        assert_eq!(standing(4), Standing::NotBinding);
        assert_eq!(standing(0), Standing::Missing);
        assert_eq!(standing(5), Standing::Later("tls"));
    }

    #[test]
    fn requirement_in_the_list_of_exceptions_needs_no_citation() {
        let exceptions = "id,reason\nx-1,addresses the browser\n";
        let gate = gate(exceptions, TLS_LATER, &all_due()[2..]);
        assert_eq!(gate.problems(), [""; 0]);
    }

    #[test]
    fn quotation_of_no_requirement_is_a_problem() {
        for (section, quote) in [
            (5, "An endpoint MUST close soon."),
            (6, "An endpoint MUST close at once."),
            (9, "MUST close at once"),
            (5, "endpoint MUST clos"),
        ] {
            assert_eq!(
                problems_with(citation(Kind::Test, section, quote)),
                [format!(
                    "src/a.rs:7: no requirement of that section has this text: {quote}"
                )]
            );
        }
    }

    #[test]
    fn quotation_of_two_sentences_is_a_problem() {
        let found = problems_with(citation(Kind::Test, 5, "An endpoint"));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("several sentences"), "{found:?}");
    }

    #[test]
    fn quotation_without_its_keyword_is_a_problem() {
        let found = problems_with(citation(Kind::Test, 5, "close at once."));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("the MUST or SHOULD"), "{found:?}");
    }

    #[test]
    fn completed_requirement_in_the_list_of_milestones_is_a_problem() {
        assert_eq!(
            problems_with(citation(Kind::Implication, 6, "A server MUST use TLS.")),
            ["milestones.csv: x-5 is implemented and tested: remove it from the list"]
        );
    }

    #[test]
    fn lists_with_unknown_or_not_binding_requirements_are_a_problem() {
        let exceptions = "id,reason\nx-9,gone\n";
        let milestones = "id,milestone,reason\nx-5,tls,\nx-3,later,a permission\nx-8,later,gone\n";
        assert_eq!(
            gate(exceptions, milestones, &all_due()).problems(),
            [
                "exceptions.csv: there is no requirement x-9",
                "milestones.csv: x-3 is not binding",
                "milestones.csv: x-5 has no milestone or no reason",
                "milestones.csv: there is no requirement x-8",
            ]
        );
    }
}
