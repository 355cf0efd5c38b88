#!/bin/sh
# build.sh OUT_DIR: compiles server.cpp with the uWebSockets of crates.io, without
# TLS and compression, to OUT_DIR/uwebsockets. The flags are those of its Makefile.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out"
# Built once: another build of the same would be measured as another program.
if [ "$out/uwebsockets" -nt "$here/server.cpp" ] && [ "$out/uwebsockets" -nt "$0" ] &&
    [ "$out/uwebsockets" -nt "$here/Cargo.lock" ]; then
    exit 0
fi
cargo fetch --quiet --locked --manifest-path "$here/Cargo.toml"
source=$(cargo metadata --locked --offline --format-version 1 --manifest-path "$here/Cargo.toml" |
    python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "libuwebsockets-sys":
        print(os.path.join(os.path.dirname(package["manifest_path"]), "uWebSockets"))')
sockets=$source/uSockets/src
cd "$out"
cc -std=c11 -O3 -march=native -flto -DLIBUS_NO_SSL -I"$sockets" -c \
    "$sockets"/*.c "$sockets"/eventing/epoll_kqueue.c
c++ -std=c++20 -O3 -march=native -flto -DLIBUS_NO_SSL -DUWS_NO_ZLIB -I"$source/src" -I"$sockets" \
    "$here/server.cpp" ./*.o -o uwebsockets.new
mv uwebsockets.new uwebsockets
rm -f ./*.o
