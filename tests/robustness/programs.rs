//! The programs that behaviours use: started when they are needed, and kept for the next behaviour
//! with the same settings.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use yamabiko_testing::program::Program;

/// The command and the options of the program, without the address.
pub type Settings = &'static [&'static str];

/// The programs that no behaviour uses at the moment, by their settings.
#[derive(Default)]
pub struct Programs {
    idle: Mutex<HashMap<Settings, Vec<Program>>>,
}

impl Programs {
    /// A program that nobody else uses.
    pub fn take(&self, settings: Settings) -> Program {
        let idle = self.idle().get_mut(settings).and_then(Vec::pop);
        idle.unwrap_or_else(|| Program::start(env!("CARGO_BIN_EXE_yamabiko"), settings))
    }

    /// Keeps a program for the next behaviour.
    pub fn give_back(&self, settings: Settings, program: Program) {
        self.idle().entry(settings).or_default().push(program);
    }

    /// A failed behaviour does not fail the others.
    fn idle(&self) -> MutexGuard<'_, HashMap<Settings, Vec<Program>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
