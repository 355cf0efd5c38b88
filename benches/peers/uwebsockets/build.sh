#!/bin/sh
# build.sh OUT_DIR: compiles server.cpp with the uWebSockets of crates.io, without
# TLS and compression, to OUT_DIR/uwebsockets. The flags are those of its Makefile.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out"
cargo fetch --quiet --locked --manifest-path "$here/Cargo.toml"
source=$(cargo metadata --locked --offline --format-version 1 --manifest-path "$here/Cargo.toml" |
    python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "libuwebsockets-sys":
        print(os.path.join(os.path.dirname(package["manifest_path"]), "uWebSockets"))')
sockets=$source/uSockets/src
cd "$out"
cc -std=c11 -O3 -flto -DLIBUS_NO_SSL -I"$sockets" -c \
    "$sockets"/*.c "$sockets"/eventing/epoll_kqueue.c
c++ -std=c++2b -O3 -flto -DLIBUS_NO_SSL -DUWS_NO_ZLIB -I"$source/src" -I"$sockets" \
    "$here/server.cpp" ./*.o -o uwebsockets
rm -f ./*.o
