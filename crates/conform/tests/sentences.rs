//! The sentences that the suite quotes are those of the RFCs.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// The tables of `specs/` quote the RFCs; `tests/compliance` compares them with the texts.
#[test]
fn sentences_of_the_rules_are_those_of_the_tables() {
    let rules = fs::read_to_string(project().join("crates/conform/rules.tsv")).expect("it exists");
    let known = known();
    // specs/ has no table for HTTP.
    for line in rules.lines().filter(|line| !line.starts_with("rfc9112")) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, section, sentence] = columns[..] else {
            panic!("three columns: {line}");
        };
        let (known_section, known_sentence) = &known[id];
        assert_eq!(
            (section, sentence),
            (known_section.as_str(), known_sentence.as_str()),
            "{id}"
        );
    }
}

/// Identifier → section and sentence.
fn known() -> HashMap<String, (String, String)> {
    let mut known = HashMap::new();
    for file in ["requirements-6455.csv", "requirements-7692.csv"] {
        let mut table = csv::Reader::from_path(project().join("specs").join(file)).expect(file);
        let headers = table.headers().expect("a head").clone();
        let column = |name| {
            headers
                .iter()
                .position(|header| header == name)
                .expect(name)
        };
        let (id, section, quote) = (column("id"), column("section"), column("quote"));
        for record in table.records() {
            let record = record.expect("a row");
            known.insert(
                record[id].to_owned(),
                (record[section].to_owned(), record[quote].to_owned()),
            );
        }
    }
    known
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
