#!/bin/sh
# Tests yamabiko with three WebSocket libraries, with and without permessage-deflate.
#
#   tests/interop/run.sh [TEST...]         such as Echo or Client
#
# ws (JavaScript), websockets and aiohttp (Python) are clients of `yamabiko echo`
# and of the rooms of `yamabiko serve`, and servers for yamabiko's client. wire.py
# checks every byte on the wire. It knows the agreed parameters, and finds a reference
# beyond the window, or to an earlier message if there is no context takeover.
#
# Installs the libraries (install.sh), and builds the binary and the example client, unless
# YAMABIKO_BINARY and YAMABIKO_CLIENT name them. Uses free ports of the loopback
# interface. Ends all processes that it started, after at most ten minutes. The exit
# status is 0 only if all tests pass. A run without builds takes about 25 s.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ -z "${YAMABIKO_BINARY:-}" ] || [ -z "${YAMABIKO_CLIENT:-}" ]; then
    (cd "$root" && cargo build --release --locked --quiet --bin yamabiko --example autobahn_client)
    case ${CARGO_TARGET_DIR:-target} in /*) target=$CARGO_TARGET_DIR ;; *) target=$root/${CARGO_TARGET_DIR:-target} ;; esac
    YAMABIKO_BINARY=${YAMABIKO_BINARY:-$target/release/yamabiko}
    YAMABIKO_CLIENT=${YAMABIKO_CLIENT:-$target/release/examples/autobahn_client}
fi
export YAMABIKO_BINARY YAMABIKO_CLIENT

"$here/install.sh"

PYTHONPATH=$here/python${PYTHONPATH:+:$PYTHONPATH} exec timeout --kill-after=5 600 python3 -B "$here/interop.py" --verbose "$@"
