#!/bin/sh
# Makes root.tar, a small Debian, from the mirror that this machine installs from. It takes a minute, once. Needs root and
# debootstrap.
set -eu
cd "$(dirname "$0")"
[ ! -s root.tar ] || exit 0

mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\([^ ]*\) .*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
root=$(mktemp -d)
trap 'rm -rf "$root" root.tar.new' EXIT
debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror"
tar -C "$root" -c . > root.tar.new
mv root.tar.new root.tar
