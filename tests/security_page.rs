//! docs/security.md and docs/limits.md name code and tests. They must exist.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/security.md";
const LIMITS: &str = "docs/limits.md";

#[test]
fn everything_that_the_security_page_names_exists() {
    let page = read(PAGE);
    let names: Vec<&str> = names_in(&page).collect();
    assert!(names.len() > 50, "only {} names in {PAGE}", names.len());
    let missing: Vec<_> = names.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{PAGE} names {missing:#?}");
}

#[test]
fn each_record_of_the_security_page_has_a_source_code_and_a_test() {
    let page = read(PAGE);
    let records = page.lines().filter(|line| line.starts_with("| ["));
    for record in records {
        let cells: Vec<_> = record.trim_matches('|').split(" | ").collect();
        let [source, _, _, tests] = cells[..] else {
            panic!("not four cells: {record}");
        };
        assert!(source.contains("](https://"), "no source: {record}");
        assert!(names_in(tests).next().is_some(), "no test: {record}");
    }
}

/// A row of a limit begins with its name: that of a setting, or one in parentheses.
#[test]
fn each_limit_has_a_test_at_it_and_one_past_it() {
    let page = read(LIMITS);
    let (limits, rest) = page.split_once(TESTS_OF_LIMITS).expect("a section");
    let (tests, _) = rest.split_once("\n## ").expect("the next section");
    let is_row = |line: &&str| line.starts_with("| `") || line.starts_with("| (");
    let names = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(is_row);
        rows.filter_map(|row| Some(row.split('|').nth(1)?.trim().to_owned()))
            .collect()
    };
    assert_eq!(names(limits), names(tests), "limits, and those with tests");
    for row in tests.lines().filter(is_row) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [_, at, past] = cells[..] else {
            panic!("not three cells: {row}");
        };
        for cell in [at, past] {
            let tests: Vec<&str> = names_in(cell).collect();
            assert_eq!(tests.len(), 1, "not one test: {row}");
            assert!(exists(tests[0]), "{LIMITS} names {}", tests[0]);
        }
    }
}

const TESTS_OF_LIMITS: &str = "## The tests of each limit";

/// The parts in backticks that have a path with `::`.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter(|name| name.contains("::") && !matches!(*name, "frames::name" | "file::function"))
}

/// `file::function`, or `category::behaviour` of the robustness suite.
fn exists(name: &str) -> bool {
    let Some((place, item)) = name.split_once("::") else {
        return false;
    };
    if place.ends_with(".rs") {
        return declares(&read(place), item);
    }
    let file = format!("tests/robustness/behaviours/{place}.rs");
    read(&file).contains(&format!("\"{item}\""))
}

fn declares(code: &str, function: &str) -> bool {
    let declaration = format!("fn {function}");
    let mut rests = code.split(&declaration).skip(1);
    rests.any(|rest| rest.starts_with(['(', '<']))
}

fn read(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
