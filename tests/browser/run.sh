#!/bin/sh
# Tests the chat page and the playground in a real Chromium with the real server.
#
#   tests/browser/run.sh                    test
#   tests/browser/run.sh --screenshot FILE [light|dark] [WIDTHxHEIGHT] [gate]
#
# Installs what it needs (Debian's Chromium and openssl as root, playwright-core from npm)
# and builds the binary, unless YAMABIKO_BINARY names one and CHROMIUM another
# browser. Ends all processes that it started, after at most four minutes, and returns 0 only
# if all tests pass.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$CHROMIUM" ] || ! command -v openssl >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core openssl >/dev/null
fi

if [ -z "${YAMABIKO_BINARY:-}" ]; then
    (cd "$root" && cargo build --release --locked)
    YAMABIKO_BINARY=${CARGO_TARGET_DIR:-$root/target}/release/yamabiko
fi
# The following paths are used in another folder.
case ${2:-} in /* | "") ;; *) set -- "$1" "$PWD/$2" "${3:-light}" "${4:-1200x800}" "${5:-room}" ;; esac
case $YAMABIKO_BINARY in /*) ;; *) YAMABIKO_BINARY=$PWD/$YAMABIKO_BINARY ;; esac
export CHROMIUM YAMABIKO_BINARY

cd "$here"
if ! cmp -s package-lock.json node_modules/.yamabiko-lock; then
    npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.yamabiko-lock
fi

if [ "${1:-}" = --screenshot ]; then
    shift
    exec timeout --kill-after=5 120 node screenshot.mjs "$@"
fi
exec timeout --kill-after=5 240 node --test --test-reporter=spec links.test.mjs connection.test.mjs chat.test.mjs playground.test.mjs tls.test.mjs
