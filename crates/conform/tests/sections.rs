//! `docs/conform.md` has the number of cases of each section of the RFCs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use yamabiko_conform::{Depth, Peer, Plan, catalogue};

/// `CONFORM_WRITE=1` writes the table.
#[test]
fn table_of_the_sections_is_that_of_the_cases() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/conform.md");
    let page = fs::read_to_string(&path).expect("the page exists");
    let (before, rest) = page.split_once(BEGIN).expect("the table begins");
    let (_, after) = rest.split_once(END).expect("the table ends");
    let expected = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("CONFORM_WRITE").is_some() {
        fs::write(&path, expected).expect("the page can be written");
        return;
    }
    let command = "CONFORM_WRITE=1 cargo test --package yamabiko-conform --test sections";
    assert!(
        page == expected,
        "the table is not that of the cases; '{command}' writes it"
    );
}

fn table() -> String {
    let plan = Plan::new().depth(Depth::Full);
    let server = catalogue(&plan, Peer::Server).sections();
    let client = catalogue(&plan, Peer::Client).sections();
    let count_of = |sections: &[(String, usize)]| -> BTreeMap<String, usize> {
        sections.iter().cloned().collect()
    };
    let (of_server, of_client) = (count_of(&server), count_of(&client));
    let mut names: Vec<&String> = server.iter().map(|(name, _)| name).collect();
    let others = client.iter().map(|(name, _)| name);
    names.extend(others.filter(|name| !of_server.contains_key(*name)));
    names.sort_by_key(|name| place(name));
    let row =
        |name: &str, server: usize, client: usize| format!("| {name} | {server} | {client} |\n");
    let count = |counts: &BTreeMap<String, usize>, name| counts.get(name).copied().unwrap_or(0);
    let rows = names
        .into_iter()
        .map(|name| row(name, count(&of_server, name), count(&of_client, name)));
    let all = row("all", of_server.values().sum(), of_client.values().sum());
    format!("{HEAD}{}{all}", rows.collect::<String>())
}

/// `RFC 6455 §5.10` comes after `RFC 6455 §5.2`.
fn place(section: &str) -> Vec<u32> {
    let numbers = section.split(|letter: char| !letter.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

const HEAD: &str = "| section | cases for a server | cases for a client |\n|---|---|---|\n";
const BEGIN: &str = "<!-- sections -->\n";
const END: &str = "<!-- end of sections -->\n";
