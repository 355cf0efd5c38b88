#!/usr/bin/env bash
# Checks what packaging/ makes. YAMABIKO_BINARY names the program; otherwise it is built.
#
#     tests/packages/run.sh            the archive: its files, and that it has the same bytes when it is packed again
#     tests/packages/run.sh static     the static program: built in two directories, with the same bytes; needs musl
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

archive() {
  local program=${YAMABIKO_BINARY:-}
  if [ -z "$program" ]; then
    cargo build --locked --package yamabiko-cli
    program=target/debug/yamabiko
  fi
  mkdir "$folder/first" "$folder/second"
  # Both of one commit, whatever happens in this folder meanwhile.
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  export SOURCE_DATE_EPOCH
  packaging/pack.sh "$program" "$folder/first"
  (umask 077 && packaging/pack.sh "$program" "$folder/second")
  cmp "$folder"/first/*.tar.gz "$folder"/second/*.tar.gz

  tar --extract --file "$folder"/first/*.tar.gz --directory "$folder"
  cd "$folder"/yamabiko-*-linux
  bin/yamabiko --version
  local file missing=""
  for file in share/man/man1/yamabiko{,-serve,-config,-echo,-chat,-bench,-conform,-trace}.1 \
    share/bash-completion/completions/yamabiko share/zsh/site-functions/_yamabiko share/fish/vendor_completions.d/yamabiko.fish \
    lib/systemd/system/yamabiko.{service,socket} \
    share/doc/yamabiko/{README.md,CHANGELOG.md,SECURITY.md,LICENSE-APACHE,LICENSE-MIT,Containerfile,compose.yaml}; do
    [ -s "$file" ] || missing+=" $file"
  done
  [ -z "$missing" ] || { echo "missing:$missing" >&2; return 1; }
  bash -n share/bash-completion/completions/yamabiko
}

# The program, built from a copy of the sources in a directory of its own.
build_in() {
  local directory=$folder/$1
  mkdir -p "$directory"
  git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$directory"
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) "$directory/packaging/release.sh"
}

static() {
  local target
  target=$(uname -m)-unknown-linux-musl
  if ! command -v musl-gcc >/dev/null || ! command -v rustup >/dev/null; then
    echo "skipped: no musl-gcc (Debian: musl-tools) or no rustup on this host" >&2
    return 77
  fi
  rustup target add "$target"
  build_in one
  build_in two/in/a/longer/path
  local one=$folder/one/target/release-static two=$folder/two/in/a/longer/path/target/release-static
  sha256sum "$one"/yamabiko "$two"/yamabiko "$one"/*.tar.gz "$two"/*.tar.gz
  cmp "$one/yamabiko" "$two/yamabiko"
  cmp "$one"/*.tar.gz "$two"/*.tar.gz

  # Nothing of this system is loaded, so it runs in an empty root.
  local rest
  rest=$(od -An -c "$one/yamabiko" | grep -c 'l *d *- *l *i *n *u *x' || true)
  [ "$rest" = 0 ] || { echo "the program names a dynamic loader" >&2; return 1; }
  mkdir "$folder/root"
  cp "$one/yamabiko" "$folder/root"
  unshare --user --map-root-user chroot "$folder/root" /yamabiko --version
  mkdir -p "$root/target/release-static"
  cp "$one"/yamabiko "$one"/*.tar.gz "$root/target/release-static"
}

"${1:-archive}"
