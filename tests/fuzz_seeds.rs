//! Checks the property of each fuzz target with the target's seeds, so that `cargo test`
//! finds a failing seed without a fuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use yamabiko_testing::properties::ALL;
use yamabiko_testing::properties::seeds::catalogue;

fn directory(target: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.join("fuzz/seeds").join(target)
}

/// The files of one target: name and contents.
fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory(target)).expect("each target has seeds");
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn property_of_each_target_holds_for_each_of_its_seeds() {
    for &(target, property) in ALL {
        let files = files(target);
        assert!(files.len() >= 8, "{target} has {} seeds", files.len());
        for (name, input) in files {
            let holds = std::panic::catch_unwind(|| property(&input));
            assert!(holds.is_ok(), "{target} does not hold for {name}");
        }
    }
}

#[test]
fn each_property_accepts_truncated_seeds() {
    for &(target, property) in ALL {
        for (_, input) in files(target) {
            for end in 0..input.len().min(40) {
                property(&input[..end]);
            }
        }
    }
}

#[test]
fn seed_files_are_the_seeds_of_the_catalogue_and_the_found_ones() {
    if std::env::var_os("TEST_WRITE_SEEDS").is_some() {
        write_seeds();
    }
    for &(target, _) in ALL {
        let described: BTreeSet<_> = catalogue()
            .into_iter()
            .filter(|seed| seed.target == target)
            .map(|seed| (seed.name, seed.input))
            .collect();
        let in_the_tree: BTreeSet<_> = files(target)
            .into_iter()
            .filter(|(name, _)| !name.starts_with("found-"))
            .collect();
        let name = |seeds: Vec<&(String, Vec<u8>)>| {
            let names = seeds.into_iter().map(|(name, _)| name.clone());
            names.collect::<Vec<_>>()
        };
        let differing = name(described.symmetric_difference(&in_the_tree).collect());
        assert!(
            differing.is_empty(),
            "{target}: {differing:?} differ; run with TEST_WRITE_SEEDS=1 to write them"
        );
    }
}

fn write_seeds() {
    for seed in catalogue() {
        let directory = directory(seed.target);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(seed.name), seed.input).unwrap();
    }
}

#[test]
fn each_target_is_in_the_manifest_and_has_a_file_that_calls_its_property() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for &(target, _) in ALL {
        assert!(manifest.contains(&format!("name = \"{target}\"")));
        let file = fuzz.join("fuzz_targets").join(format!("{target}.rs"));
        let source = fs::read_to_string(file).unwrap();
        assert!(source.contains(&format!("{target}(")), "{target}");
    }
}
