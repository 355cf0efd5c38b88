#!/bin/sh
# Installs Debian's Chromium (as root), unless CHROMIUM names another one, and playwright-core and
# puppeteer-core (npm, pinned versions) into a folder beside this file that git ignores. Does
# nothing if they are there.
set -eu
cd "$(dirname "$0")"

if [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
    ../../.ci/debian-packages chromium fonts-dejavu-core
fi
if ! cmp -s package-lock.json node_modules/.yamabiko-lock; then
    npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.yamabiko-lock
fi
