#!/usr/bin/env bash
# Makes the root file systems that the engines run in, from Debian's packages alone.
#
#   tests/engines/make.sh 28.5 podman      those; without arguments all of them
#
# What is there already is kept. A root takes a minute or two and about 400 MB. They are in `target/engines`, or where
# HADDOCK_ENGINES says. Needs root and debootstrap.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PATH:/usr/sbin:/sbin"

roots="${HADDOCK_ENGINES:-${CARGO_TARGET_DIR:-target}/engines}"
mkdir -p "$roots"

# The mirror that this machine installs from.
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\([^ ]*\) .*/\2/p' | grep -m 1 debian || true)

# What an engine is called here, and the suite and packages that have it. `sid` moves on: then another engine comes.
made_of() {
    case "$1" in
        20.10) echo bookworm docker.io ;;
        26.1) echo trixie docker.io ;;
        28.5) echo sid docker.io ;;
        # `crun`, which podman would take by itself, refuses hybrid cgroups.
        podman) echo sid podman,runc,netavark,aardvark-dns ;;
        *) echo "there is no engine \`$1\`: 20.10, 26.1, 28.5, podman" >&2 && return 64 ;;
    esac
}

make_root() {
    local engine=$1 suite packages root="$roots/$1"
    read -r suite packages < <(made_of "$engine")
    [ -e "$root.made" ] && return
    # Two who make the same one take turns, and the second finds it.
    exec 9>"$root.lock"
    flock 9
    [ -e "$root.made" ] && return
    rm -rf "$root"
    # One without keys of a newer suite, as Debian 12 is, cannot check its signature.
    debootstrap --variant=minbase --include="$packages,iptables,nftables,ca-certificates" "$suite" "$root" "$mirror" ||
        { rm -rf "$root" &&
            debootstrap --no-check-gpg --variant=minbase --include="$packages,iptables,nftables,ca-certificates" \
                "$suite" "$root" "$mirror"; }
    rm -rf "$root"/var/cache/apt/archives/*.deb
    touch "$root.made"
}

[ $# -gt 0 ] || set -- 20.10 26.1 28.5 podman
for engine; do made_of "$engine" >/dev/null; done
for engine; do (make_root "$engine"); done
