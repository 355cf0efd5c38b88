//! Writes `docs/compliance.md`, the result of the gate as a table.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::citations::Citation;
use crate::gate::{Gate, Standing};
use crate::requirements::Requirement;

const INTRODUCTION: &str = "\
# Compliance

This page lists every requirement of RFC 6455 and RFC 7692 in one row, with the code that implements it and the test that checks it. The rows
come from [the tables of requirements](../specs), the code and the tests from the comments that quote the requirements. A test
([tests/compliance](../tests/compliance/main.rs)) writes this page, and fails if the page differs from the code. After a change:

    COMPLIANCE_WRITE=1 cargo test --test compliance

A requirement *binds* if it is not a permission, an endpoint can be tested for it, and it addresses yamabiko (the
[exceptions](../specs/exceptions.csv) do not). A requirement is *later* if it belongs to a feature that does not exist yet
([milestones](../specs/milestones.csv)). A requirement that has an erratum of the RFC Editor names its number and its status; verified errata decide.
";

/// The whole page.
pub fn markdown(gate: &Gate) -> String {
    let mut page = INTRODUCTION.to_string();
    page.push_str(&totals(gate));
    for rfc in ["6455", "7692"] {
        for section in top_sections(gate, rfc) {
            page.push_str(&chapter(gate, rfc, &section));
        }
    }
    page
}

/// One line for each RFC.
fn totals(gate: &Gate) -> String {
    let mut table = "\n| RFC | requirements | bind | implemented and tested | missing | later |\n\
        | --- | --: | --: | --: | --: | --: |\n"
        .to_string();
    for rfc in ["6455", "7692"] {
        let all: Vec<&Requirement> = of_rfc(gate, rfc).collect();
        let count = |wanted: &dyn Fn(Standing<'_>) -> bool| {
            all.iter()
                .filter(|requirement| wanted(gate.standing(requirement)))
                .count()
        };
        let done = count(&|standing| standing == Standing::Done);
        let missing = count(&|standing| standing == Standing::Missing);
        let later = count(&|standing| matches!(standing, Standing::Later(_)));
        let bind = done + missing + later;
        let all = all.len();
        writeln!(
            table,
            "| {rfc} | {all} | {bind} | {done} | {missing} | {later} |"
        )
        .expect("writing to a string cannot fail");
    }
    table
}

/// All requirements of one top-level section: `5` has 5.1, 5.2, …
fn chapter(gate: &Gate, rfc: &str, section: &str) -> String {
    let mut text = format!(
        "\n## RFC {rfc} §{section}\n\n| id | level | requirement | code | test |\n| --- | --- | --- | --- | --- |\n"
    );
    for requirement in of_rfc(gate, rfc).filter(|one| top_section(one) == section) {
        text.push_str(&row(gate, requirement));
    }
    text
}

fn row(gate: &Gate, requirement: &Requirement) -> String {
    let coverage = gate.coverage(&requirement.id);
    let places = |citations: &[Citation]| {
        let places: BTreeSet<String> = citations.iter().map(place).collect();
        places.into_iter().collect::<Vec<_>>().join(", ")
    };
    let code = places(&coverage.implementations);
    let tests = places(&coverage.tests);
    let remark = match gate.standing(requirement) {
        Standing::Missing if code.is_empty() => "**missing**".into(),
        Standing::Later(milestone) => format!("later: {milestone}"),
        Standing::Excepted(reason) => format!("does not bind: {}", escaped(reason)),
        Standing::NotBinding if code.is_empty() => "does not bind: a permission".into(),
        _ => String::new(),
    };
    let code = [remark, code].into_iter().filter(|part| !part.is_empty());
    let id = requirement.id.split_once('-').map_or("", |(_, id)| id);
    format!(
        "| [{id}]({}) | {} | {} | {} | {tests} |\n",
        requirement.target,
        requirement.level,
        escaped(&summary(requirement)),
        code.collect::<Vec<_>>().join(" "),
    )
}

/// The requirement in our words, with its erratum.
fn summary(requirement: &Requirement) -> String {
    let Requirement {
        summary, erratum, ..
    } = requirement;
    match erratum.is_empty() {
        true => summary.clone(),
        false => format!("{summary} (erratum {})", erratum.replace("EID ", "")),
    }
}

/// A link to the file, with the name of the item. It has no line number, which would
/// change with every edit.
fn place(citation: &Citation) -> String {
    let Citation { file, item, .. } = citation;
    let name = match item.is_empty() {
        true => file.rsplit('/').next().unwrap_or(file),
        false => item,
    };
    format!("[`{name}`](../{file})")
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn of_rfc<'a>(gate: &'a Gate, rfc: &str) -> impl Iterator<Item = &'a Requirement> {
    gate.requirements
        .all()
        .iter()
        .filter(move |requirement| requirement.rfc == rfc)
}

fn top_sections(gate: &Gate, rfc: &str) -> Vec<String> {
    let mut sections: Vec<String> = of_rfc(gate, rfc).map(top_section).collect();
    sections.dedup();
    sections
}

fn top_section(requirement: &Requirement) -> String {
    let section = &requirement.section;
    section
        .split_once('.')
        .map_or(section.as_str(), |(top, _)| top)
        .to_string()
}

#[test]
fn row_links_to_the_code_and_the_test() {
    use crate::citations::Kind;
    use crate::requirements::Requirements;
    use crate::roles::Roles;

    let table = "\
id,rfc,section,line,level,kind,role,testable_by,fail_connection,duvet_auto,effective_level,summary,note,erratum,target,duvet_quote_prefix,quote
rfc6455-5.1-03,6455,5.1,1,MUST,keyword,server,lib,,yes,MUST,Unmasked | closed,,,https://rfc/x#section-5.1,,The server MUST close.
rfc6455-5.1-04,6455,5.1,1,MUST,keyword,server,lib,,yes,MUST,Another,,EID 7 (Verified),https://rfc/x#section-5.1,,The client MUST wait.
";
    let citation = |kind, file: &str, item: &str| Citation {
        kind,
        target: "https://rfc/x#section-5.1".into(),
        quote: "The server MUST close.".into(),
        file: file.into(),
        line: 1,
        item: item.into(),
        roles: Roles::default(),
    };
    let citations = [
        citation(Kind::Implementation, "src/a.rs", "receive"),
        citation(Kind::Test, "tests/a.rs", "server_closes"),
    ];
    let requirements =
        Requirements::of_tables(&[table.into()], "id,reason\n", "id,milestone,reason\n");
    let page = markdown(&Gate::new(requirements, &citations));
    for line in [
        "| 6455 | 2 | 2 | 1 | 1 | 0 |",
        "## RFC 6455 §5",
        "| [5.1-03](https://rfc/x#section-5.1) | MUST | Unmasked \\| closed | [`receive`](../src/a.rs) | [`server_closes`](../tests/a.rs) |",
        "| [5.1-04](https://rfc/x#section-5.1) | MUST | Another (erratum 7 (Verified)) | **missing** |  |",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}
