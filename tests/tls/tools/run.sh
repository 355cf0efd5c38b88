#!/usr/bin/env bash
# Tests the TLS of the program with curl and with OpenSSL's client, as an operator would.
#
#     tests/tls/tools/run.sh            all tests
#     tests/tls/tools/run.sh Curl       one class of tests
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
for program in curl openssl; do
  command -v "$program" >/dev/null || { echo "missing: $program" >&2; exit 1; }
done
cargo build --locked --package yamabiko-cli
cd tests/tls/tools
exec python3 -B -m unittest -v "${@/#/test_tools.}"
