//! Executes a behaviour and checks what holds for each of them. No behaviour can leave a check out:
//!
//! | check | when |
//! |---|---|
//! | the behaviour expects something of the server | before it begins |
//! | the expected answers | at their steps |
//! | the program has at most one descriptor for each client, and a few | at each step |
//! | it runs, and has not panicked | afterwards |
//! | all descriptors of clients are closed | afterwards |
//! | a fresh client is served | afterwards |
//! | the peak of the memory was within the limit | afterwards |
//!
//! Descriptors and memory are measured on Linux only.

use std::panic::{AssertUnwindSafe, catch_unwind};

use libtest_mimic::Failed;
use yamabiko_testing::program::Program;

use crate::behaviours::Behaviour;
use crate::programs::Programs;
use crate::steps::{Stage, Step};

/// # Errors
/// The step that failed, and the reason. The program is not used again.
pub fn judge(behaviour: &Behaviour, programs: &Programs) -> Result<(), Failed> {
    if !behaviour.steps.iter().any(Step::expects) {
        return Err("the behaviour expects nothing of the server".into());
    }
    let mut program = programs.take(behaviour.settings);
    // The fresh client of the judgement before may be among them.
    attempt("before", || program.closes_all_descriptors_but(0))?;
    let memory_bytes_before = program.start_counting_memory();
    perform(&behaviour.steps, &program)?;
    attempt("afterwards", || {
        program.is_healthy();
        program.closes_all_descriptors_but(0);
        program.serves_a_fresh_client();
        // The system counts pages of each thread apart, and adds them now and then.
        let grown = program
            .memory_bytes_peak()
            .saturating_sub(memory_bytes_before);
        let max = behaviour.memory_bytes_max;
        assert!(
            grown <= max,
            "{grown} bytes of memory, and the limit is {max}"
        );
    })?;
    programs.give_back(behaviour.settings, program);
    Ok(())
}

/// All clients have closed their connections when this returns.
fn perform(steps: &[Step], program: &Program) -> Result<(), Failed> {
    let mut stage = Stage::new(program);
    for (index, step) in steps.iter().enumerate() {
        let title = format!("step {} of {}, {step}", index + 1, steps.len());
        attempt(&title, || step.execute(&mut stage))?;
    }
    Ok(())
}

/// Adds the title to a failed assertion.
fn attempt(title: &str, action: impl FnOnce()) -> Result<(), Failed> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let reason = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Failed::from(format!("{title}: {}", reason.unwrap_or("a panic")))
    })
}
