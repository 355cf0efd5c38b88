#!/usr/bin/env bash
# Installs the Autobahn test suite into a folder of its own.
#
#     tests/autobahn/install.sh FOLDER      afterwards: FOLDER/wstest
#
# The suite needs Python 2.7; the last Debian release with it is 11. The script
# downloads the interpreter and the two libraries that it links as Debian packages,
# and unpacks them without installing them: nothing outside FOLDER changes, and no
# privilege is needed. The suite and its dependencies come from the package index of
# the host's pip, each pinned by its hash (requirements*.txt beside this file).
#
# The first run takes about 20 s and 80 MB; later runs change nothing.
# Needs a Debian host on amd64 (apt-get, dpkg), python3 with pip, and a C compiler for
# the accelerator. Without a C compiler, the suite runs without the accelerator.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
debian_packages=(python2.7-minimal libpython2.7-minimal libpython2.7-stdlib
  libpython2.7-dev libssl1.1 libffi7)

main() {
  [ $# -eq 1 ] || { echo "usage: install.sh FOLDER" >&2; exit 2; }
  mkdir -p "$1"
  folder=$(cd "$1" && pwd)
  # The suite is installed again if the pinned versions or these scripts change.
  fingerprint=$(cat "$here"/install.sh "$here"/wstest.py "$here"/requirements*.txt | sha256sum)
  if [ "$(cat "$folder/installed" 2>/dev/null)" = "$fingerprint" ]; then return; fi

  work=$folder/work
  python=$folder/python
  rm -rf "$work" "$python" "$folder/wstest" "$folder/installed"
  mkdir -p "$work" "$python"
  trap 'rm -rf "$work"' EXIT
  unpack_interpreter
  unpack_pip
  install_suite
  write_command
  "$folder/wstest" --autobahnversion
  echo "$fingerprint" >"$folder/installed"
}

unpack_interpreter() {
  write_apt_configuration
  (
    cd "$work"
    export APT_CONFIG=$work/apt.conf
    apt-get -qq update
    apt-get -qq download "${debian_packages[@]}"
  )
  local package
  for package in "$work"/*.deb; do dpkg -x "$package" "$python"; done
  rm -rf "$python/usr/share" "$python/etc"
}

# Package lists of Debian 11, stored in $work, from the Debian mirrors in the apt
# sources of the host.
write_apt_configuration() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
  mkdir -p "$work/apt/sources" "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
  for mirror in $(debian_mirrors); do
    case $mirror in
      *-security) echo "deb [signed-by=$keyring] $mirror bullseye-security main" ;;
      *) echo "deb [signed-by=$keyring] $mirror bullseye main" ;;
    esac
  done >"$work/apt/sources/bullseye.list"
  if [ ! -s "$work/apt/sources/bullseye.list" ]; then
    echo "autobahn: the apt sources of this host name no Debian mirror" >&2
    exit 1
  fi
  cat >"$work/apt.conf" <<CONFIGURATION
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$work/apt/sources";
Dir::State::Lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
APT::Architecture "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::Check-Valid-Until "false";
CONFIGURATION
}

# The mirrors in both formats of apt sources: `URIs: …` and `deb [options] …`.
debian_mirrors() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    sed -nE 's/^URIs:[[:space:]]*//p; s/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' |
    tr ' ' '\n' | sed 's:/*$::' | grep -E '/debian(-security)?$' | sort -u || true
}

# The host's pip downloads the last pip for Python 2.7. The script unpacks it, because
# pip cannot build the suite's source packages when it runs from its archive.
unpack_pip() {
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --dest "$work/wheels" --requirement "$here/requirements-pip.txt"
  local wheel
  for wheel in "$work"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$work/pip"; done
}

install_suite() {
  pip2 "$here/requirements.txt"
  if ! pip2 "$here/requirements-accelerator.txt" 2>"$work/accelerator.log"; then
    tail -n 5 "$work/accelerator.log" >&2
    echo "autobahn: the accelerator could not be built; the suite will be slower" >&2
  fi
  rm -rf "$python/usr/include"
}

# Installs into the interpreter's own site folder, because Python reads the .pth files
# of namespace packages only there.
pip2() {
  env PYTHONHOME="$python/usr" PYTHONPATH="$work/pip" PYTHONNOUSERSITE=1 \
    LD_LIBRARY_PATH="$python/usr/lib/x86_64-linux-gnu" \
    CPATH="$python/usr/include/python2.7:$python/usr/include" TMPDIR="$work" \
    "$python/usr/bin/python2.7" -W ignore -m pip install --quiet --disable-pip-version-check \
    --no-python-version-warning --no-cache-dir --no-deps --require-hashes \
    --target "$python/usr/lib/python2.7/dist-packages" --requirement "$1"
}

write_command() {
  cp "$here/wstest.py" "$folder/wstest.py"
  cat >"$folder/wstest" <<'COMMAND'
#!/bin/sh
folder=$(cd "$(dirname "$0")" && pwd)
unset PYTHONPATH PYTHONSTARTUP
export PYTHONHOME="$folder/python/usr" PYTHONNOUSERSITE=1 PYTHONUNBUFFERED=1
export LD_LIBRARY_PATH="$folder/python/usr/lib/x86_64-linux-gnu"
exec "$folder/python/usr/bin/python2.7" -W ignore "$folder/wstest.py" "$@"
COMMAND
  chmod +x "$folder/wstest"
}

main "$@"
