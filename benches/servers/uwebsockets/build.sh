#!/bin/sh
# build.sh OUT_DIR: compiles server.cpp with the uWebSockets of crates.io, without
# TLS, to OUT_DIR/uwebsockets. The flags are those of its Makefile. libdeflate, an
# optional library that uWebSockets uses for short messages, is compiled in. zlib is that
# of the system.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out"
# An unchanged server is not built again: a second build would count as a new program.
if [ "$out/uwebsockets" -nt "$here/server.cpp" ] && [ "$out/uwebsockets" -nt "$0" ] &&
    [ "$out/uwebsockets" -nt "$here/Cargo.lock" ]; then
    exit 0
fi
cargo fetch --quiet --locked --manifest-path "$here/Cargo.toml"
folder_of() {
    cargo metadata --locked --offline --format-version 1 --manifest-path "$here/Cargo.toml" |
        python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == sys.argv[1]:
        print(os.path.dirname(package["manifest_path"]))' "$1"
}
source=$(folder_of libuwebsockets-sys)/uWebSockets
deflate=$(folder_of libdeflate-sys)/libdeflate
sockets=$source/uSockets/src
cd "$out"
cc -std=c11 -O3 -march=native -flto -DLIBUS_NO_SSL -I"$sockets" -c \
    "$sockets"/*.c "$sockets"/eventing/epoll_kqueue.c
cc -O3 -march=native -flto -I"$deflate" -c "$deflate"/lib/*.c "$deflate"/lib/x86/*.c
c++ -std=c++20 -O3 -march=native -flto -DLIBUS_NO_SSL -DUWS_USE_LIBDEFLATE \
    -I"$source/src" -I"$sockets" -I"$deflate" \
    "$here/server.cpp" ./*.o -o uwebsockets.new -lz
mv uwebsockets.new uwebsockets
rm -f ./*.o
