//! The binary `yamabiko`: `serve`, `chat`, `echo`, `bench`.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
