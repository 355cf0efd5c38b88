#!/usr/bin/env bash
# Tests the server behind nginx, HAProxy and Caddy, as docs/deploy.md describes it.
#
#     tests/proxies/run.sh            all tests
#     tests/proxies/run.sh Page       one class of tests
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH=$PATH:/usr/sbin
for program in nginx haproxy caddy openssl; do
  command -v "$program" >/dev/null || { echo "missing: $program" >&2; exit 1; }
done
cargo build --locked --package yamabiko-cli
cd tests/proxies
exec python3 -B -m unittest -v "${@/#/test_proxies.}" 
