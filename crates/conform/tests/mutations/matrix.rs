//! The page that shows which cases fail for which mutation.
//!
//! ```text
//! | the mutation | `a/case`, `another/case` (server) | 2 |
//! ```
//!
//! A case without a word behind it fails in every role that has it. Otherwise the word is the role
//! of the peer whose fault the case has found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use yamabiko_conform::Peer;

/// A case, played with a peer in a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Played {
    pub case: String,
    is_client: bool,
}

impl Played {
    pub fn new(case: impl Into<String>, peer: Peer) -> Played {
        Played {
            case: case.into(),
            is_client: peer == Peer::Client,
        }
    }

    pub fn peer(&self) -> Peer {
        match self.is_client {
            true => Peer::Client,
            false => Peer::Server,
        }
    }
}

/// Mutation → what fails.
#[derive(Clone, Debug, Default)]
pub struct Matrix(BTreeMap<String, BTreeSet<Played>>);

impl Matrix {
    pub fn add(&mut self, mutation: &str, failed: impl IntoIterator<Item = Played>) {
        self.0
            .entry(mutation.to_owned())
            .or_default()
            .extend(failed);
    }

    /// The mutations, each with the number of cases that fail.
    pub fn rows(&self) -> impl Iterator<Item = (&str, usize)> {
        let rows = self.0.iter();
        rows.map(|(mutation, failed)| (mutation.as_str(), failed.len()))
    }

    /// What fails for any mutation.
    pub fn failed(&self) -> BTreeSet<&Played> {
        self.0.values().flatten().collect()
    }

    /// The mutations that fail the case, that with the fewest other cases first.
    pub fn of(&self, played: &Played) -> Vec<&str> {
        let mut rows: Vec<_> = self
            .0
            .iter()
            .filter(|(_, failed)| failed.contains(played))
            .collect();
        rows.sort_by_key(|(_, failed)| failed.len());
        rows.into_iter()
            .map(|(mutation, _)| mutation.as_str())
            .collect()
    }

    /// For each case the mutation that fails the fewest others.
    pub fn shortest_proof(&self) -> BTreeMap<&str, Vec<&Played>> {
        let mut proof: BTreeMap<&str, Vec<&Played>> = BTreeMap::new();
        for played in self.failed() {
            if let [mutation, ..] = self.of(played)[..] {
                proof.entry(mutation).or_default().push(played);
            }
        }
        proof
    }

    /// The page, where `all` are the cases of both roles.
    pub fn page(&self, all: &BTreeSet<Played>) -> String {
        let mut text = HEAD.to_owned();
        for (mutation, failed) in &self.0 {
            let names: BTreeSet<&str> = failed.iter().map(|played| played.case.as_str()).collect();
            let cells: Vec<String> = names.iter().map(|case| cell(case, failed, all)).collect();
            let row = format!("| {mutation} | {} | {} |\n", cells.join(", "), names.len());
            text.push_str(&row);
        }
        text
    }

    /// Reads a page.
    pub fn of_page(text: &str, all: &BTreeSet<Played>) -> Matrix {
        let mut matrix = Matrix::default();
        for row in text.lines().filter(|line| line.starts_with("| ")).skip(1) {
            let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
            let [mutation, failed, _] = cells[..] else {
                panic!("three cells: {row}");
            };
            let elements = failed.split(", ").filter(|element| !element.is_empty());
            matrix.add(mutation, elements.flat_map(|element| played(element, all)));
        }
        matrix
    }
}

fn cell(case: &str, failed: &BTreeSet<Played>, all: &BTreeSet<Played>) -> String {
    let has = |set: &BTreeSet<Played>, peer| set.contains(&Played::new(case, peer));
    let lacks = |peer| has(all, peer) && !has(failed, peer);
    match (lacks(Peer::Server), lacks(Peer::Client)) {
        (true, _) => format!("`{case}` (client)"),
        (_, true) => format!("`{case}` (server)"),
        _ => format!("`{case}`"),
    }
}

fn played(element: &str, all: &BTreeSet<Played>) -> Vec<Played> {
    let mut parts = element.split('`').skip(1);
    let (case, role) = (parts.next().unwrap_or_default(), parts.next());
    let peers = match role.unwrap_or_default().trim() {
        "(server)" => vec![Peer::Server],
        "(client)" => vec![Peer::Client],
        _ => vec![Peer::Server, Peer::Client],
    };
    let mut found: Vec<_> = peers
        .into_iter()
        .map(|peer| Played::new(case, peer))
        .collect();
    if role.is_some_and(str::is_empty) && found.iter().any(|played| all.contains(played)) {
        found.retain(|played| all.contains(played));
    }
    found
}

pub fn path() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("../../docs/conform-mutations.md")
}

pub fn read() -> String {
    fs::read_to_string(path()).expect("docs/conform-mutations.md exists")
}

/// How the page is written.
pub const COMMAND: &str =
    "CONFORM_WRITE=1 cargo test --release --package yamabiko-conform --test mutations each_case";

const HEAD: &str = "\
# Mutations of the conformance suite

Generated by `CONFORM_WRITE=1 cargo test --release --package yamabiko-conform --test mutations each_case`. Do not edit.

The tests of the suite have an echo server and a client that obey every rule except one, the mutation. The table has the cases that fail because of
it, also those that `--full` alone runs. Each case is in at least one row, for each role that it tests: a case for servers and clients has a server
and a client that it finds. Where a case fails in one of its two roles only, the role stands behind it.

A row has cases of other rules where these cases need the broken rule: a peer that does not answer pings fails a case that asks by a ping whether
a frame was ignored, and a server that does not serve the next connection fails each case that opens a fresh one. One test compares the page with the
cases and the mutations; another plays the shortest row of each case again.

| the peer | cases that fail | number |
|---|---|---|
";
