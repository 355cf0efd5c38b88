#!/usr/bin/env bash
# Checks the units of packaging/systemd, and starts the server by a socket as systemd does. YAMABIKO_BINARY names the program;
# otherwise it is built. The exit status is 77 without the tools of systemd.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for program in systemd-analyze systemd-socket-activate; do
  command -v "$program" >/dev/null || { echo "skipped: no program $program on this host" >&2; exit 77; }
done
if [ -z "${YAMABIKO_BINARY:-}" ]; then
  cargo build --locked --package yamabiko-cli
  YAMABIKO_BINARY=$PWD/target/debug/yamabiko
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"; [ -z "${server:-}" ] || kill "$server"' EXIT

echo "--- verify"
# The program and its manual are not installed here.
sed "s|^ExecStart=/usr/bin/yamabiko|ExecStart=$YAMABIKO_BINARY|; /^Documentation=/d" \
  packaging/systemd/yamabiko.service >"$folder/yamabiko.service"
cp packaging/systemd/yamabiko.socket "$folder"
SYSTEMD_UNIT_PATH="$folder:" systemd-analyze verify "$folder/yamabiko.service" "$folder/yamabiko.socket"

echo "--- security: an exposure of at most 1.0 of 10"
systemd-analyze security --offline=true --threshold=10 --no-pager "$folder/yamabiko.service" | tail -1

echo "--- socket activation"
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
systemd-socket-activate --listen "127.0.0.1:$port" "$YAMABIKO_BINARY" serve --drain 1 >"$folder/output" 2>&1 &
server=$!
# The first connection starts the program, and is served by it.
python3 - "$port" <<'END'
import sys, time, urllib.request

end = time.monotonic() + 30
while True:
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/health", timeout=30).read()
        break
    except OSError:
        # The tool does not listen yet.
        if time.monotonic() > end:
            raise
        time.sleep(0.05)
assert answer == b"ok\n", answer
END
kill "$server"
wait "$server" || { cat "$folder/output"; exit 1; }
server=
grep --fixed-strings "open http://127.0.0.1:$port/" "$folder/output"
