#!/bin/sh
# Tests the chat page, the playground and the module for pages, in a real Chromium and a real Firefox, with real servers.
#
#   tests/browser/run.sh                    test
#   tests/browser/run.sh --screenshot FILE [light|dark] [WIDTHxHEIGHT] [gate]
#
# Installs what it needs (Debian's Chromium, Firefox and openssl as root, playwright-core and puppeteer-core
# from npm) and builds the binary and two examples of yamabiko-tokio, unless YAMABIKO_BINARY and
# TOKIO_EXAMPLES (their folder) name them, and CHROMIUM and FIREFOX other browsers. Ends all processes that it started, after at most fifteen minutes, and returns 0 only
# if all tests pass.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
CHROMIUM=$CHROMIUM "$here/install.sh"

FIREFOX=${FIREFOX:-/usr/bin/firefox-esr}
if [ ! -x "$FIREFOX" ] || ! command -v openssl >/dev/null; then
    "$root/.ci/debian-packages" firefox-esr openssl
fi

if [ -z "${YAMABIKO_BINARY:-}" ]; then
    (cd "$root" && cargo build --release --locked)
    YAMABIKO_BINARY=${CARGO_TARGET_DIR:-$root/target}/release/yamabiko
fi
if [ -z "${TOKIO_EXAMPLES:-}" ]; then
    (cd "$root" && cargo build --release --locked -p yamabiko-tokio --features axum --example echo --example axum_echo)
    TOKIO_EXAMPLES=${CARGO_TARGET_DIR:-$root/target}/release/examples
fi
# The following paths are used in another folder.
case ${2:-} in /* | "") ;; *) set -- "$1" "$PWD/$2" "${3:-light}" "${4:-1200x800}" "${5:-room}" ;; esac
case $YAMABIKO_BINARY in /*) ;; *) YAMABIKO_BINARY=$PWD/$YAMABIKO_BINARY ;; esac
case $TOKIO_EXAMPLES in /*) ;; *) TOKIO_EXAMPLES=$PWD/$TOKIO_EXAMPLES ;; esac
export CHROMIUM FIREFOX YAMABIKO_BINARY TOKIO_EXAMPLES

cd "$here"
if [ "${1:-}" = --screenshot ]; then
    shift
    exec timeout --kill-after=5 120 node screenshot.mjs "$@"
fi
exec timeout --kill-after=5 900 node --test --test-reporter=spec links.test.mjs texts.test.mjs connection.test.mjs module.test.mjs chat.test.mjs features.test.mjs resume.test.mjs playground.test.mjs tls.test.mjs
