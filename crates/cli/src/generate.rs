//! `yamabiko completions` and `yamabiko man`: what packages install beside the program, from
//! the same description of the command line as the help.

use std::fs;
use std::path::Path;

use clap_complete::Shell;

use super::arguments;
use super::output::{in_sentence, print};

/// Prints the completions for this shell.
pub(super) fn completions(shell: Shell) -> Result<(), String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(), "yamabiko", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Writes a page for the program and one for each command.
pub(super) fn manual(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(arguments::command(), directory))
        .map_err(|error| {
            format!(
                "cannot write to {}: {}",
                directory.display(),
                in_sentence(&error)
            )
        })
}
