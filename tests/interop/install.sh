#!/bin/sh
# Installs the libraries ws (JavaScript), websockets and aiohttp (Python) into folders beside
# this file that git ignores: `node_modules` by npm and `python` by pip, in pinned versions. Does
# nothing if they are there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

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
