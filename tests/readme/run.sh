#!/bin/sh
# Compiles the programs of crates/tokio/README.md in a project of their own, with the dependencies
# that the README names, and lets ws, websockets and Chromium talk to its servers.
#
#   tests/readme/run.sh
#
# The project is in target/readme. Installs the other programs (tests/interop/install.sh,
# tests/browser/install.sh). Uses free ports of the loopback interface. Ends all processes that it
# started, after at most ten minutes behind the build. A run without builds takes about 10 s.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

"$root/tests/interop/install.sh"
"$root/tests/browser/install.sh"
python3 -B "$here/project.py" "$root/target/readme"
cargo build --quiet --manifest-path "$root/target/readme/Cargo.toml" --target-dir "$root/target/readme/target"

export PYTHONPATH="$root/tests/interop/python${PYTHONPATH:+:$PYTHONPATH}"
export NODE_PATH="$root/tests/interop/node_modules"
exec timeout --kill-after=5 600 python3 -B "$here/peers.py" --verbose "$@"
