//! Hostile and broken clients against the built program, over sockets.
//!
//! ```text
//!   behaviours/    a name, which states the rule; the settings of the server; the steps
//!   steps.rs       the steps of a client, such as "send these bytes" and "expect this Close"
//!   programs.rs    `yamabiko serve` and `yamabiko echo`, each used by one behaviour at a time
//!   judgement.rs   executes the steps, and checks answers, memory, descriptors and a fresh client
//! ```
//!
//! Each behaviour is a test of its own. A program serves many behaviours one after the other, and
//! eight behaviours run at a time, each with a program that no other one uses meanwhile. So memory
//! and descriptors that are missing afterwards belong to the behaviour.
//!
//! ```text
//! cargo test -p yamabiko-cli --test robustness                  all behaviours
//! cargo test -p yamabiko-cli --test robustness -- --list        their names
//! cargo test -p yamabiko-cli --test robustness -- compression   those with this word in the name
//! ```
//!
//! Each wait has a time limit, so that the suite cannot hang.

mod behaviours;
mod judgement;
mod programs;
mod steps;

use std::collections::HashSet;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use programs::Programs;
use yamabiko_testing::descriptors::raise_limit;

/// Most of the time a behaviour waits for the program.
const BEHAVIOURS_AT_A_TIME: usize = 8;

fn main() {
    raise_limit();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(BEHAVIOURS_AT_A_TIME);
    let programs = Arc::new(Programs::default());
    let behaviours = behaviours::all();
    let mut names = HashSet::new();
    for (category, behaviour) in &behaviours {
        let is_new = names.insert((*category, behaviour.name));
        assert!(is_new, "two behaviours are named {}", behaviour.name);
    }
    let trials = behaviours
        .into_iter()
        .map(|(category, behaviour)| {
            let programs = Arc::clone(&programs);
            let name = format!("{category}::{}", behaviour.name);
            Trial::test(name, move || judgement::judge(&behaviour, &programs))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // `exit` runs no destructors, and these end the programs.
    drop(programs);
    conclusion.exit();
}
