#!/bin/sh
# Real WebSocket libraries against yamabiko, with permessage-deflate and without.
#
#   tests/interop/run.sh [TEST...]         such as Echo, or Serve.test_a_chat
#
# ws (JavaScript), websockets and aiohttp (Python) are clients of `yamabiko echo`
# and of the rooms of `yamabiko serve`, and servers of our client. Every octet on
# the wire is read by a third party (wire.py), which knows what was agreed: what it
# may not find is a reference beyond a window, or to an earlier message where the
# sender has promised to forget.
#
# Installs what it needs into ignored folders beside this file (npm and pip, each
# version pinned), and builds the binary and the example client, unless
# YAMABIKO_BINARY and YAMABIKO_CLIENT name them. Uses free ports of the loopback
# interface. Ends what it started, in three minutes at most, and with 0 only if all
# is well. Cost once built and installed: about 25 s.
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

if ! cmp -s "$here/package-lock.json" "$here/node_modules/.yamabiko-lock"; then
    npm ci --prefix "$here" --no-audit --no-fund --loglevel=error
    cp "$here/package-lock.json" "$here/node_modules/.yamabiko-lock"
fi
wanted=$(python3 --version && cat "$here/requirements.txt")
if [ "$(cat "$here/python/.yamabiko-lock" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$here/python"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
        --target "$here/python" --requirement "$here/requirements.txt"
    echo "$wanted" >"$here/python/.yamabiko-lock"
fi

PYTHONPATH=$here/python${PYTHONPATH:+:$PYTHONPATH} exec timeout --kill-after=5 180 python3 -B "$here/interop.py" --verbose "$@"
