#!/bin/sh
# build.sh OUT_DIR [tls]: compiles server.cpp with the uWebSockets of crates.io, without
# TLS, to OUT_DIR/uwebsockets; or with the system's OpenSSL to OUT_DIR/uwebsockets-tls. The flags are those of its Makefile. libdeflate, an
# optional library that uWebSockets uses for short messages, is compiled in. zlib is that
# of the system.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
name=uwebsockets
[ "${2:-}" != tls ] || name=uwebsockets-tls
mkdir -p "$out"
# An unchanged server is not built again: a second build would count as a new program.
if [ "$out/$name" -nt "$here/server.cpp" ] && [ "$out/$name" -nt "$0" ] &&
    [ "$out/$name" -nt "$here/Cargo.lock" ]; then
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
tls=-DLIBUS_NO_SSL
libraries=-lz
if [ "$name" = uwebsockets-tls ]; then
    tls=-DLIBUS_USE_OPENSSL
    libraries="-lz -lssl -lcrypto"
    cc -std=c11 -O3 -march=native -flto "$tls" -I"$sockets" -c "$sockets"/crypto/openssl.c
    c++ -std=c++20 -O3 -march=native -flto "$tls" -I"$sockets" -c "$sockets"/crypto/sni_tree.cpp
fi
cc -std=c11 -O3 -march=native -flto "$tls" -I"$sockets" -c \
    "$sockets"/*.c "$sockets"/eventing/epoll_kqueue.c
cc -O3 -march=native -flto -I"$deflate" -c "$deflate"/lib/*.c "$deflate"/lib/x86/*.c
# shellcheck disable=SC2086 # Several libraries.
c++ -std=c++20 -O3 -march=native -flto "$tls" -DUWS_USE_LIBDEFLATE \
    -I"$source/src" -I"$sockets" -I"$deflate" \
    "$here/server.cpp" ./*.o -o "$name.new" $libraries
mv "$name.new" "$name"
rm -f ./*.o
