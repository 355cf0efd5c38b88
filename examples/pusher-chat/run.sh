#!/bin/sh
# Runs the chat: yamabiko as the server of Pusher clients, and the web server with the page.
#
#   examples/pusher-chat/run.sh             then open http://127.0.0.1:3000/ in two windows
#
# Installs pusher-js and the library for Node from npm, and builds the program unless YAMABIKO_BINARY names it. Ctrl-C ends both.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ -z "${YAMABIKO_BINARY:-}" ]; then
    (cd "$root" && cargo build --release --quiet --bin yamabiko)
    YAMABIKO_BINARY=$root/target/release/yamabiko
fi
"$here/install.sh"

export PUSHER_HOST=127.0.0.1 PUSHER_PORT="${PUSHER_PORT:-8080}"
YAMABIKO_APP=1:app-key:app-secret "$YAMABIKO_BINARY" serve --listen "127.0.0.1:$PUSHER_PORT" &
yamabiko=$!
trap 'kill "$yamabiko"' EXIT INT TERM
node "$here/server.mjs"
