//! docs/security.md names code and tests. They must exist.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/security.md";

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
