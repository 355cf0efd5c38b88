#!/usr/bin/env bash
# Tests a server and clients that are hosts of their own, in network namespaces. YAMABIKO_BINARY names the program; otherwise it is
# built. The exit status is 77 where namespaces are forbidden.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH=$PATH:/usr/sbin
for program in ip unshare nsenter; do
  command -v "$program" >/dev/null || { echo "skipped: no program $program on this host" >&2; exit 77; }
done
if ! unshare --user --map-root-user --net --mount ip link add bridge type bridge 2>/dev/null; then
  echo "skipped: this host forbids network namespaces, or has no bridges" >&2
  exit 77
fi
[ -n "${YAMABIKO_BINARY:-}" ] || cargo build --locked --package yamabiko-cli
cd tests/hosts
exec unshare --user --map-root-user --net --mount python3 -B -m unittest -v "${@/#/test_hosts.Hosts.}"
