//! The tables under `specs/`: RFC 4180 without line breaks inside a field.

use std::collections::BTreeMap;

/// A line of a table: column name to field.
pub type Row = BTreeMap<String, String>;

/// The lines of a table whose first line names the columns.
///
/// # Panics
/// On a line with more or fewer fields than there are columns.
pub fn rows(table: &str) -> Vec<Row> {
    let mut lines = table.lines().filter(|line| !line.trim().is_empty());
    let columns = fields(lines.next().unwrap_or_default());
    lines
        .map(|line| {
            let fields = fields(line);
            assert_eq!(columns.len(), fields.len(), "fields in the line {line:?}");
            columns.iter().cloned().zip(fields).collect()
        })
        .collect()
}

/// `a,"b ""c"", d"` has the fields `a` and `b "c", d`.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let doubled = quoted && character == '"' && characters.peek() == Some(&'"');
        match character {
            '"' if doubled => {
                characters.next();
                push(&mut fields, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => push(&mut fields, character),
        }
    }
    assert!(!quoted, "a quoted field does not end in the line {line:?}");
    fields
}

fn push(fields: &mut [String], character: char) {
    fields
        .last_mut()
        .expect("there is always a field")
        .push(character);
}

#[test]
fn a_quoted_field_may_have_commas_and_doubled_quotes() {
    let rows = rows("id,quote\nx-1,\"He said \"\"no\"\", twice.\"\nx-2,plain\nx-3,\n");
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["quote"], "He said \"no\", twice.");
    assert_eq!(rows[1]["quote"], "plain");
    assert_eq!(rows[2]["quote"], "");
}

#[test]
#[should_panic(expected = "fields in the line")]
fn a_line_with_a_field_too_many_is_an_error() {
    rows("id,quote\nx-1,with, an unquoted comma\n");
}
