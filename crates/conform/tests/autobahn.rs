//! `docs/autobahn.md` has each case of the Autobahn suite with its results, and with the cases of this
//! suite and the tests of the library that check the same.
//!
//! The results are those of `tests/autobahn/results.csv`, the cases those of the catalogue, the tests
//! those of `docs/compliance.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use yamabiko_conform::{Catalogue, Depth, Peer, Plan, catalogue};

/// `CONFORM_WRITE=1` writes the page.
#[test]
fn page_of_the_autobahn_suite_is_that_of_its_results_and_of_the_cases() {
    let expected = page(&results());
    let path = project().join("docs/autobahn.md");
    if std::env::var_os("CONFORM_WRITE").is_some() {
        fs::write(&path, expected).expect("the page can be written");
        return;
    }
    let command = "CONFORM_WRITE=1 cargo test --package yamabiko-conform --test autobahn";
    let written = fs::read_to_string(&path).expect("the page exists");
    assert!(
        written == expected,
        "the page is not that of the results and the cases; '{command}' writes it"
    );
}

#[test]
fn each_of_the_517_cases_has_no_failure_in_either_role_and_a_case_of_this_suite() {
    let results = results();
    assert_eq!(results.len(), 517);
    let names: BTreeSet<_> = results.iter().map(|result| &result.case).collect();
    assert_eq!(names.len(), 517, "each case once");
    for result in &results {
        let case = &result.case;
        assert!(!same(case).is_empty(), "{case}");
        for verdict in [&result.server, &result.client] {
            let verdict = verdict.split(", ").next().unwrap_or_default();
            let is_good = ["OK", "INFORMATIONAL", NOT_RUN].contains(&verdict);
            assert!(is_good, "{case}: {verdict}");
        }
    }
}

/// A case of the Autobahn suite, and what it says about yamabiko in both roles.
struct Outcome {
    case: String,
    server: String,
    client: String,
}

fn results() -> Vec<Outcome> {
    let path = project().join("tests/autobahn/results.csv");
    let mut table = csv::Reader::from_path(path).expect("the results");
    let head = table.headers().expect("a head").clone();
    let row = |record: csv::StringRecord| {
        let cell = |name: &str| {
            let place = head.iter().position(|column| column == name);
            record[place.unwrap_or_else(|| panic!("a column {name}"))].to_owned()
        };
        let verdict = |role: &str| {
            let [of_messages, of_close, code] =
                ["", "_close", "_code"].map(|column| cell(&format!("{role}{column}")));
            let verdict = match of_messages == of_close || of_messages == NOT_RUN {
                true => of_messages,
                false => format!("{of_messages}, its end {of_close}"),
            };
            match code.as_str() {
                "" => verdict,
                code => format!("{verdict}, {code}"),
            }
        };
        Outcome {
            case: cell("case"),
            server: verdict("server"),
            client: verdict("client"),
        }
    };
    table
        .records()
        .map(|record| row(record.expect("a row")))
        .collect()
}

/// The cases of both roles that check what a case of the Autobahn suite checks, each with the section
/// and the requirement that decide.
fn same(case: &str) -> BTreeMap<&'static str, (String, &'static str)> {
    let plan = Plan::new().depth(Depth::Full);
    let of = |catalogue: Catalogue| catalogue.of_autobahn(case);
    let found = [Peer::Server, Peer::Client].map(|peer| of(catalogue(&plan, peer)));
    let place = |(id, section, rule)| (id, (section, rule));
    found.into_iter().flatten().map(place).collect()
}

fn page(results: &[Outcome]) -> String {
    let mut text = HEAD.to_owned();
    let is_left_out =
        |result: &&Outcome| [&result.server, &result.client].contains(&&NOT_RUN.to_owned());
    match results.iter().filter(is_left_out).count() {
        0 => {}
        count => {
            let _ = write!(text, "\n{count} cases were not in the last recorded run.\n");
        }
    }
    let mut group = "";
    let mut ours = BTreeMap::new();
    for result in results {
        let first = result.case.split('.').next().unwrap_or_default();
        if first != group {
            group = first;
            let subject = GROUPS.iter().find(|(number, _)| *number == group);
            let subject = subject.map_or("", |(_, subject)| subject);
            let _ = write!(text, "\n## Group {group}: {subject}\n\n{COLUMNS}");
        }
        let same = same(&result.case);
        let names: Vec<String> = same.keys().map(|id| format!("`{id}`")).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            result.case,
            result.server,
            result.client,
            names.join(", ")
        );
        ours.extend(same);
    }
    text.push_str(TESTS);
    let tests = tests();
    for (id, (section, rule)) in ours {
        // The page has a heading for each chapter: `RFC 6455 §5`.
        let chapter = section.split('.').next().unwrap_or_default();
        let anchor = chapter.to_lowercase().replace(' ', "-").replace('§', "");
        let of_rule = tests.get(rule).map_or("", String::as_str);
        let _ = writeln!(
            text,
            "| `{id}` | [{section}](compliance.md#{anchor}) | {of_rule} |"
        );
    }
    text
}

/// Requirement → the links to its tests, as `docs/compliance.md` has them.
fn tests() -> BTreeMap<String, String> {
    let page = fs::read_to_string(project().join("docs/compliance.md")).expect("the page exists");
    let mut tests = BTreeMap::new();
    let mut rfc = String::new();
    for line in page.lines() {
        if let Some(section) = line.strip_prefix("## RFC ") {
            rfc = section.split(' ').next().unwrap_or_default().to_owned();
        }
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        if let ([id, ..], [.., last]) = (&cells[..], &cells[..])
            && let Some((id, _)) = id.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            && last.contains("](../")
        {
            tests.insert(format!("rfc{rfc}-{id}"), (*last).to_owned());
        }
    }
    tests
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the table of results says about a case that the last recorded run has left out.
const NOT_RUN: &str = "not run";

/// As `tests/autobahn/cases.py` names them.
const GROUPS: [(&str, &str); 11] = [
    ("1", "framing"),
    ("2", "pings and pongs"),
    ("3", "reserved bits"),
    ("4", "reserved opcodes"),
    ("5", "fragmentation"),
    ("6", "UTF-8"),
    ("7", "closing handshake"),
    ("9", "limits and performance"),
    ("10", "automatic fragmentation"),
    ("12", "compression"),
    ("13", "compression parameters"),
];

const COLUMNS: &str =
    "| case | as server | as client | cases of `yamabiko conform` |\n| --- | --- | --- | --- |\n";

const HEAD: &str = "\
# The Autobahn suite, case by case

Generated by `CONFORM_WRITE=1 cargo test --package yamabiko-conform --test autobahn`. Do not edit.

The [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) 25.10.1 has 517 cases. Each row has what the suite says about
yamabiko: its verdict on the messages and on the close, and the close code that yamabiko sent. INFORMATIONAL is a case in which the suite
accepts every behaviour. The last column has the cases of [`yamabiko conform`](conform.md) that check the same rule; the [last table](#rules-and-tests)
has their sentences and the tests of the library.

The results are in `tests/autobahn/results.csv`. After a run of all cases (`tests/autobahn/run.sh both full`), this writes them again:

    tests/autobahn/run.sh --results >tests/autobahn/results.csv
";

const TESTS: &str = "
## Rules and tests

The cases of `yamabiko conform` in the tables above. The section has the sentence that decides; the tests are those of its requirement in
[compliance.md](compliance.md).

| case | sentence of | tests |
| --- | --- | --- |
";
