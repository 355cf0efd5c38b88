//! The requirement gate: what the RFC demands, where it is obeyed, where it is
//! tested.
//!
//! `specs/requirements-*.csv` has one row for each requirement of the RFCs, with
//! the sentence it comes from. A comment in the code quotes that sentence, or the
//! part of it that decides, right above the branch that obeys it (in `src/`) or
//! above the test that checks it (in `tests/`, or in a test module of `src/` with
//! the second line `= type=test`). The crates in `crates/` have the same two
//! folders. The form is that of the tool duvet, which can
//! draw a report from the same comments (see `.duvet/config.toml`).
//!
//! A requirement binds us when it is no mere permission, an endpoint can be tested
//! for it, and `specs/exceptions.csv` does not say why it addresses somebody else.
//! Each one that binds needs an implementation and a test, unless
//! `specs/milestones.csv` says with what it will come; a requirement that is listed
//! there and complete all the same fails the gate, so that the list stays true.
//!
//! `docs/compliance.md` is the outcome as a table. It is written by
//! `COMPLIANCE_WRITE=1 cargo test --test compliance`, and the gate fails when it is
//! out of date.
//!
//! Where it stops: it proves that a quotation stands above code, not that the code
//! does what is quoted. That remains for the reader and for the named test.

mod citations;
mod gate;
mod report;
mod requirements;
mod table;

use std::fs;
use std::path::Path;

use gate::Gate;
use requirements::Requirements;

const TABLE: &str = "docs/compliance.md";

#[test]
fn every_requirement_that_is_due_is_implemented_and_tested() {
    let gate = Gate::of_tree(project());
    let problems = gate.problems();
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn the_compliance_table_is_up_to_date() {
    let table = report::markdown(&Gate::of_tree(project()));
    let path = project().join(TABLE);
    if std::env::var_os("COMPLIANCE_WRITE").is_some() {
        fs::create_dir_all(path.parent().expect("the table is in a folder")).expect("docs/ exists");
        fs::write(&path, &table).expect("the table can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table,
        "{TABLE} is out of date: run `COMPLIANCE_WRITE=1 cargo test --test compliance`"
    );
}

/// The texts are evidence: what is quoted must be in them, letter by letter.
#[test]
fn every_sentence_of_the_tables_stands_in_the_text_of_its_rfc() {
    for rfc in ["6455", "7692"] {
        let text = fs::read_to_string(project().join(format!("specs/rfc{rfc}.txt")))
            .expect("the RFC is in the tree");
        let text = without_page_breaks(&text);
        for requirement in Requirements::of_tree(project()).all() {
            if requirement.rfc == rfc {
                assert!(
                    text.contains(&requirement.sentence),
                    "{}: not in the RFC: {}",
                    requirement.id,
                    requirement.sentence
                );
            }
        }
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The running text: an RFC is set in pages, each with a footer, a form feed and
/// a header.
fn without_page_breaks(text: &str) -> String {
    let lines = text.lines().filter(|line| {
        let footer = line.contains("Standards Track") && line.ends_with(']');
        let header = line.starts_with("RFC ") || line.starts_with('\u{c}');
        !footer && !header
    });
    citations::folded(&lines.collect::<Vec<_>>().join("\n"))
}
