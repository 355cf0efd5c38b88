#!/usr/bin/env bash
# Builds the program as a static executable for Linux, and packs it with all that belongs to it.
#
#     packaging/release.sh [FOLDER]      FOLDER/yamabiko, and FOLDER/yamabiko-VERSION-ARCH-linux.tar.gz
#
# FOLDER is target/release-static if none is named. The same commit and the same compilers give the same bytes, in whatever
# directory it is built. It needs the target ARCH-unknown-linux-musl (`rustup target add`) and a C compiler for it (`musl-gcc`).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(uname -m)-unknown-linux-musl
folder=${1:-target/release-static}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# No path of this machine is in the program.
export RUSTFLAGS="--remap-path-prefix=$PWD=/yamabiko --remap-path-prefix=$cargo_home=/cargo"
export CFLAGS="-ffile-prefix-map=$PWD=/yamabiko -ffile-prefix-map=$cargo_home=/cargo"
export CARGO_INCREMENTAL=0

cargo build --locked --package yamabiko-cli --profile dist --target "$target"
mkdir -p "$folder"
cp "${CARGO_TARGET_DIR:-target}/$target/dist/yamabiko" "$folder"
packaging/pack.sh "$folder/yamabiko" "$folder"
