#!/bin/sh
# Installs pusher-js and the library for Node from npm, in pinned versions. Does nothing if they are there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# npm writes this file at the end.
[ -f "$here/node_modules/.package-lock.json" ] || npm ci --prefix "$here" --no-audit --no-fund --loglevel=error
