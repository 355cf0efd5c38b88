#!/usr/bin/env bash
# Packs a program with its manual pages, completions, units and licences:
#
#     packaging/pack.sh PROGRAM FOLDER      FOLDER/yamabiko-VERSION-ARCH-linux.tar.gz
#
# The program writes manual pages and completions itself, from the texts of its help. So they are not in the repository, and
# cannot be older than the program. The archive has the same bytes for the same program and commit: all its files have the time
# of the commit (SOURCE_DATE_EPOCH).
set -euo pipefail

program=$(realpath "${1:?name a program}")
folder=$(realpath "${2:?name a folder}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$("$program" --version)
name=yamabiko-${version#yamabiko }-$(uname -m)-linux
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/$name

install -D --mode=755 "$program" "$root/bin/yamabiko"
mkdir -p "$root/share/man/man1"
"$program" man "$root/share/man/man1"
completions() {
  mkdir -p "$root/share/$2"
  "$program" completions "$1" >"$root/share/$2/$3"
}
completions bash bash-completion/completions yamabiko
completions zsh zsh/site-functions _yamabiko
completions fish fish/vendor_completions.d yamabiko.fish
for unit in packaging/systemd/*; do install -D --mode=644 "$unit" "$root/lib/systemd/system/$(basename "$unit")"; done
install -D --mode=644 --target-directory "$root/share/doc/yamabiko" \
  README.md CHANGELOG.md SECURITY.md LICENSE-APACHE LICENSE-MIT packaging/container/{Containerfile,compose.yaml}

# Whatever the umask of this user is.
chmod -R u=rwX,go=rX "$root"
tar --create --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner --format=gnu --directory "$work" "$name" |
  gzip --no-name --best >"$folder/$name.tar.gz"
echo "$folder/$name.tar.gz"
