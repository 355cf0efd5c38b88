//! The tables under `specs/` (RFC 4180), read by the crate `csv`.

use std::collections::BTreeMap;

/// A row of a table: name of the column → field.
pub type Row = BTreeMap<String, String>;

/// The rows of a table. Its first line names the columns.
///
/// # Panics
/// If a row has more or fewer fields than there are columns.
pub fn rows(table: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let rows: Result<_, _> = reader.deserialize().collect();
    rows.unwrap_or_else(|error| panic!("a table of the requirements: {error}"))
}

#[test]
fn quoted_field_may_have_commas_and_doubled_quotes() {
    let rows = rows("id,quote\nx-1,\"He said \"\"no\"\", twice.\"\nx-2,plain\nx-3,\n");
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["quote"], "He said \"no\", twice.");
    assert_eq!(rows[1]["quote"], "plain");
    assert_eq!(rows[2]["quote"], "");
}

#[test]
#[should_panic(expected = "found record with 3 fields")]
fn line_with_a_field_too_many_is_an_error() {
    rows("id,quote\nx-1,with, an unquoted comma\n");
}
