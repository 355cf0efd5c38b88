#!/usr/bin/env bash
# Builds the book in docs/ as a website, runs the commands and programs that it shows, and tests
# the exercises. `tests/documentation.rs` checks the links, and `cargo test --doc` the Rust code.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH=$PATH:$PWD/.mdbook/bin

if ! command -v mdbook >/dev/null; then
  cargo install mdbook --version 0.5.1 --locked --quiet --root .mdbook --no-default-features
fi
mdbook build docs

cargo build --locked --package yamabiko-cli
python3 -B tests/book/transcripts.py "${CARGO_TARGET_DIR:-target}/debug/yamabiko"

exercises() { cargo test --locked --quiet --manifest-path docs/exercises/Cargo.toml --target-dir target/exercises "$@"; }
exercises --features solutions
for exercise in mask header reassemble close fan_out; do
  if exercises --test "$exercise" >target/exercises/output.txt 2>&1; then
    echo "exercise $exercise passes without a solution" >&2
    exit 1
  fi
  # It fails because it is not solved, and not because it does not compile.
  grep --quiet 'not implemented: exercise' target/exercises/output.txt
done
