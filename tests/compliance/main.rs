//! The requirement gate: it checks that every requirement of the RFCs is implemented
//! and tested.
//!
//! `specs/requirements-*.csv` has one row for each requirement of the RFCs, with its
//! sentence. A comment in the code quotes that sentence, or the deciding part of it,
//! directly above the branch that obeys it (in `src/`) or above the test that checks
//! it (in `tests/`, or in a test module of `src/` with the second line `= type=test`).
//! The crates in `crates/` have the same two folders. The format of the comments is
//! that of the tool duvet, which creates a report from them (see `.duvet/config.toml`).
//!
//! A requirement binds yamabiko if it is not a permission, an endpoint can be tested
//! for it, and `specs/exceptions.csv` does not list it with a reason. Each binding
//! requirement needs an implementation and a test, unless `specs/milestones.csv` names
//! the milestone that will bring them. A requirement for both roles needs a test as server
//! and a test as client, or a reason in `specs/one-test.csv`. The gate fails if a requirement in that list is
//! already implemented and tested, so the list stays correct.
//!
//! `docs/compliance.md` shows the result as a table.
//! `COMPLIANCE_WRITE=1 cargo test --test compliance` writes it; the gate fails if it is
//! out of date.
//!
//! Limit: the gate proves that a quotation is above some code. It does not prove that
//! the code obeys the quoted sentence; reviewers and the named test check that.

mod citations;
mod gate;
mod report;
mod requirements;
mod roles;
mod table;

use std::fs;
use std::path::Path;

use gate::{Gate, Standing};
use requirements::{Requirement, Requirements};
use yamabiko::websocket::ProtocolError;
use yamabiko::websocket::frame::FrameError;

const TABLE: &str = "docs/compliance.md";

#[test]
fn every_binding_requirement_is_implemented_and_tested() {
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
fn compliance_table_is_up_to_date() {
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

/// Permissions need no reason, and neither does what code obeys without being bound.
#[test]
fn every_demand_that_does_not_bind_has_a_reason_or_code() {
    let gate = Gate::of_tree(project());
    let has_no_reason = |one: &&Requirement| {
        let has_code = !gate.coverage(&one.id).implementations.is_empty();
        gate.standing(one) == Standing::NotBinding && one.level != "MAY" && !has_code
    };
    let demands = gate.requirements.all().iter().filter(has_no_reason);
    assert_eq!(demands.map(|one| &*one.id).collect::<Vec<_>>(), [""; 0]);
}

/// Each sentence is in the text of its RFC, letter by letter.
#[test]
fn every_sentence_of_the_tables_is_in_the_text_of_its_rfc() {
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

/// Each sentence that an error of the core quotes is in the text of its RFC, in the section that it names.
#[test]
fn every_sentence_that_an_error_quotes_is_in_its_section() {
    let frames = [
        FrameError::ReservedOpcode(3),
        FrameError::ReservedBits(0b100),
        FrameError::NotMasked,
        FrameError::Masked,
        FrameError::ControlFrameFragmented,
        FrameError::ControlFrameTooLong,
        FrameError::LengthNotMinimal,
        FrameError::LengthOver63Bits,
    ];
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX];
    let others = [
        ProtocolError::ContinuationWithoutMessage,
        ProtocolError::MessageInsideMessage,
        ProtocolError::CloseBodyOneByte,
        ProtocolError::CloseReasonNotUtf8,
        ProtocolError::TextNotUtf8,
        ProtocolError::CompressedDataCorrupt,
        ProtocolError::MessageTooBig,
        ProtocolError::InflatedTooMuch,
        ProtocolError::TooManyFragments,
        ProtocolError::TooManyStreams,
    ];
    let errors = frames.map(ProtocolError::Frame).into_iter();
    let errors = errors.chain(codes.map(ProtocolError::CloseCodeForbidden));
    for error in errors.chain(others) {
        let rule = error.rule();
        let text = fs::read_to_string(project().join(format!("specs/rfc{}.txt", rule.rfc)))
            .expect("the RFC is in the tree");
        let section = section(&text, rule.section);
        assert!(
            without_page_breaks(section).contains(rule.sentence),
            "{error:?}: not in section {}: {}",
            rule.section,
            rule.sentence
        );
    }
}

/// From the heading of a section to the next heading.
fn section<'t>(text: &'t str, number: &str) -> &'t str {
    let is_heading = |line: &str| {
        let digits = line.split_once(".  ").map_or("", |(number, _)| number);
        line.starts_with(|first: char| first.is_ascii_digit())
            && digits.split('.').all(|part| part.parse::<u8>().is_ok())
    };
    let mut lines = text.match_indices('\n').map(|(at, _)| at + 1);
    let heading = format!("{number}.  ");
    let start = lines
        .by_ref()
        .find(|at| text[*at..].starts_with(&heading))
        .unwrap_or_else(|| panic!("there is no section {number}"));
    let end = lines.find(|at| is_heading(text[*at..].lines().next().unwrap_or_default()));
    &text[start..end.unwrap_or(text.len())]
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text without the footer, the form feed and the header of each page.
fn without_page_breaks(text: &str) -> String {
    let lines = text.lines().filter(|line| {
        let footer = line.contains("Standards Track") && line.ends_with(']');
        let header = line.starts_with("RFC ") || line.starts_with('\u{c}');
        !footer && !header
    });
    citations::folded(&lines.collect::<Vec<_>>().join("\n"))
}
