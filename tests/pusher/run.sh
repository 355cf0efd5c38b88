#!/bin/sh
# Tests `yamabiko serve` with unmodified clients and libraries of the Pusher protocol.
#
#   tests/pusher/run.sh
#
# pusher-js and Laravel Echo are clients, in Node and in pages of Chromium; the libraries for Node and Python publish, ask about
# channels and check webhooks.
#
# Installs them into folders beside this file that git ignores (npm and pip, pinned versions) and Debian's Chromium and openssl as
# root, and builds the binary, unless YAMABIKO_BINARY names it, and CHROMIUM another browser. Uses free ports of the loopback
# interface. Ends all processes that it started, after at most half an hour. The exit status is 0 only if all tests pass.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ -z "${YAMABIKO_BINARY:-}" ]; then
    (cd "$root" && cargo build --release --locked --quiet --bin yamabiko)
    case ${CARGO_TARGET_DIR:-target} in /*) target=$CARGO_TARGET_DIR ;; *) target=$root/${CARGO_TARGET_DIR:-target} ;; esac
    YAMABIKO_BINARY=$target/release/yamabiko
fi
export YAMABIKO_BINARY

CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
if { [ ! -x "$CHROMIUM" ] || ! command -v openssl >/dev/null; } && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    "$root/.ci/debian-packages" chromium openssl
fi
export CHROMIUM

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

cd "$here"
PYTHONPATH=$here/python${PYTHONPATH:+:$PYTHONPATH} timeout --kill-after=5 180 python3 -B test_library.py
set -- clients.test.mjs echo.test.mjs page.test.mjs reconnecting.test.mjs
if [ -x "$CHROMIUM" ]; then
    set -- "$@" browser.test.mjs
else
    echo "skipped: the tests in pages, for want of Chromium" >&2
fi
timeout --kill-after=5 600 node --test --test-reporter=spec "$@"
if [ -x "$CHROMIUM" ]; then
    "$root/examples/pusher-chat/install.sh"
    timeout --kill-after=5 300 node --test --test-reporter=spec example.test.mjs
fi

# The same clients and library over wss and https, with a certificate that they trust.
if ! command -v openssl >/dev/null; then
    echo "skipped: the tests over wss, for want of openssl" >&2
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>/dev/null
cat "$folder/certificate.pem" "$folder/key.pem" >"$folder/both.pem"
TLS_CERTIFICATE=$folder/both.pem NODE_EXTRA_CA_CERTS=$folder/certificate.pem \
    timeout --kill-after=5 600 node --test --test-reporter=spec "$@"
