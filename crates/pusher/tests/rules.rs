//! `tests/README.md` names a test for each rule of the protocol. The tests must exist.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn each_rule_names_tests_that_exist() {
    let page = read(&package().join("tests/README.md"));
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > 60, "only {} rules", rows.len());
    let of_clients = tests_of_clients();
    for row in rows.into_iter().filter(|row| !row.contains("| tests |")) {
        let (_, tests) = row
            .trim_matches(['|', ' '])
            .split_once(" | ")
            .expect("two cells");
        let code: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        let titles: Vec<&str> = tests.split('"').skip(1).step_by(2).collect();
        assert!(!code.is_empty() || !titles.is_empty(), "no test: {row}");
        for name in code {
            assert!(exists(name), "there is no {name}");
        }
        for title in titles {
            assert!(of_clients.contains(title), "there is no test {title:?}");
        }
    }
}

/// `file::function`: of `tests/protocol/`, of the code, of another crate, or of the tests with a library for Python.
fn exists(name: &str) -> bool {
    let (file, function) = name.split_once("::").expect("a file and a function");
    if file.ends_with(".py") {
        return tests_of_clients().contains(&format!("def {function}("));
    }
    let path = match file {
        _ if file.starts_with("src/") => package().join(file),
        _ if file.starts_with("crates/") => repository().join(file),
        _ => package().join(format!("tests/protocol/{file}.rs")),
    };
    let declared = format!("#[test]\nfn {function}(");
    let text = read(&path).replace("\n    ", "\n");
    text.contains(&declared)
}

/// The files with unmodified clients and libraries.
fn tests_of_clients() -> String {
    let files = fs::read_dir(repository().join("tests/pusher")).expect("a folder");
    let files = files.map(|entry| entry.expect("a file").path());
    let is_test = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with(".test.mjs") || name.ends_with(".py"))
    };
    files.filter(is_test).map(|path| read(&path)).collect()
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn repository() -> PathBuf {
    package().join("../..")
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
