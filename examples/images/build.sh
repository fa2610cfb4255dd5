#!/bin/sh
# Makes the images of examples/speedledger on the local Docker engine, from Debian's packages alone. What is there already
# is kept; `build.sh --again` makes all anew. Needs root, debootstrap and docker.
set -eu
cd "$(dirname "$0")"

[ "${1:-}" = --again ] && again=yes || again=
there() { [ -z "$again" ] && docker image inspect "$1" >/dev/null 2>&1; }

# The mirror that this machine installs from.
mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\([^ ]*\) .*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)

if ! there speedledger/base; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror"
    tar -C "$root" -c . | docker import - speedledger/base
fi
for image in java tomcat speedledger-db speedledger-mq speedledger-app speedledger-proxy; do
    name=speedledger/${image#speedledger-}
    # What a text of ours has changed is built again; its layers that have not changed are the engine's to keep.
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$name" "$image"
done
