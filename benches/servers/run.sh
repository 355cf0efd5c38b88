#!/bin/sh
# run.sh [quick|full] [arguments for measure.py]
# run.sh tls [quick|full] [arguments for tls.py]
# run.sh tokio [arguments for measure.py]
#
# Builds yamabiko and all other servers, measures them on this machine, and writes
# docs/benchmarks.md. Fetched and built files are in folders that git ignores:
# ../../target, target, build, results. After the build, `quick` takes about five minutes,
# `full` about forty minutes. If an interrupted run is started again, it continues with the
# missing measurements.
#
# `tls` measures what TLS costs, and writes docs/benchmarks-tls.md: about two minutes, or ten with `full`.
# `tokio` measures yamabiko-tokio beside the other libraries for tokio, and writes docs/benchmarks-tokio.md: about ten
# minutes, with the counts of instructions if there is valgrind.
#
# Needs Linux, cargo, python3 and taskset; npm and node for bun and ws, a C++ compiler
# and zlib's headers for uWebSockets, pip and apt-get for gorilla. Another server that cannot
# be built is left out, with a message.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
level=${1:-quick}
[ $# -eq 0 ] || shift

left_out() {
    echo "LEFT OUT $1: $2" >&2
}

what=servers
if [ "$level" = tls ]; then
    what=tls
    level=${1:-quick}
    [ $# -eq 0 ] || shift
fi

cargo build --release --locked --manifest-path "$root/Cargo.toml"
# The other servers are compiled for the processor of this machine, as several of them
# recommend; yamabiko is compiled like its releases.
RUSTFLAGS="-C target-cpu=native" \
    cargo build --release --locked --manifest-path "$here/Cargo.toml"
target=$(cargo metadata --no-deps --format-version 1 --manifest-path "$root/Cargo.toml" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

if [ "$level" = tokio ]; then
    python3 "$here/measure.py" tokio --yamabiko "$target/release/yamabiko" "$@"
    if command -v valgrind >/dev/null; then
        RUSTFLAGS="-C target-cpu=x86-64-v3" cargo build --release --locked --manifest-path "$here/Cargo.toml" \
            --target-dir "$here/target/counted" --bin yamabiko-tokio --bin fastwebsockets --bin sockudo-ws \
            --bin tokio-websockets --bin tokio-tungstenite
        python3 "$here/instructions.py" "$here/results/tokio"
    else
        left_out "the counts of instructions" "there is no valgrind (Debian: valgrind)"
    fi
    exec python3 "$here/tokio_report.py" "$here/results/tokio" "$root/docs/benchmarks-tokio.md"
fi

if [ "$what" = tls ]; then
    "$here/uwebsockets/build.sh" "$here/build/uwebsockets" tls ||
        left_out uWebSockets "it could not be compiled with OpenSSL (Debian: libssl-dev)"
    exec python3 "$here/tls.py" "$level" --yamabiko "$target/release/yamabiko" \
        --page "$root/docs/benchmarks-tls.md" "$@"
fi

"$here/uwebsockets/build.sh" "$here/build/uwebsockets" ||
    left_out uWebSockets "its source could not be fetched or compiled"
mkdir -p "$here/build/javascript"
cp "$here/javascript/package.json" "$here/javascript/package-lock.json" "$here/build/javascript"
# bun's package contains the program, so its install script is not needed.
(cd "$here/build/javascript" && npm ci --ignore-scripts --no-audit --no-fund) ||
    left_out "bun and ws" "npm could not install them"
"$here/gorilla/build.sh" "$here/build/gorilla" ||
    left_out gorilla "Go (from PyPI) or gorilla (from Debian) could not be fetched"

python3 "$here/measure.py" "$level" --yamabiko "$target/release/yamabiko" "$@"
python3 "$here/report.py" "$here/results/$level" "$root/docs"
