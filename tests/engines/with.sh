#!/usr/bin/env bash
# Runs a command beside an engine: `tests/engines/with.sh 28.5 cargo nextest run …`.
#
# Engine and command have a network and processes of their own: when the command ends, nothing of either is left. The
# command finds the engine by DOCKER_HOST, its name in ENGINE, and its `/mnt`, where its data are, in ENGINE_MNT. Files are
# those of this machine; only the engine lives in its own root, which
# `make.sh` makes. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PATH:/usr/sbin:/sbin"

if [ "${1:-}" != --within ]; then
    engine=$1
    "$(dirname "$0")/make.sh" "$engine" >&2
    # Short: the path of a socket has 108 bytes at most.
    run=$(mktemp -d /tmp/engine.XXXXXX)
    trap 'rm -rf "$run"' EXIT
    # With the last process of its own the kernel ends all others, and unmounts what was mounted.
    unshare --net --pid --fork --kill-child --mount-proc --propagation private "$0" --within "$run" "$@"
    exit
fi

run=$2 engine=$3
shift 3
roots=$(cd "${HADDOCK_ENGINES:-${CARGO_TARGET_DIR:-target}/engines}" && pwd)
root="$roots/$engine"
mkdir "$run/data" "$run/exec"
ip link set lo up

case "$engine" in
    podman)
        # Its own choices, crun and systemd, need cgroups that not every machine has.
        start=(podman --runtime /usr/sbin/runc --cgroup-manager cgroupfs --root /mnt/data --runroot /mnt/exec
            --network-config-dir /mnt/networks --log-level info system service -t 0 unix:///mnt/engine.sock) ;;
    *)
        start=(dockerd --data-root /mnt/data --exec-root /mnt/exec --pidfile /mnt/engine.pid -H unix:///mnt/engine.sock) ;;
esac

# Not chroot: with it dockerd starts, and `docker exec` lands outside of the container.
unshare --mount --propagation private bash -c '
    set -e
    root=$1 run=$2
    shift 2
    mount --bind "$root" "$root"
    for of in proc sys dev; do mount --rbind "/$of" "$root/$of"; done
    mount --bind "$run" "$root/mnt"
    # What an engine that was killed left there is no more.
    mount -t tmpfs tmpfs "$root/run"
    cd "$root"
    mkdir -p .old
    pivot_root . .old
    umount -l /.old
    exec "$@"' bash "$root" "$run" "${start[@]}" </dev/null >"$roots/$engine.log" 2>&1 &

answers() {
    perl -MIO::Socket::UNIX -e '
        my $engine = IO::Socket::UNIX->new($ARGV[0]) or exit 1;
        print $engine "GET /_ping HTTP/1.0\r\n\r\n";
        exit(<$engine> =~ / 200 / ? 0 : 1)' "$run/engine.sock" 2>/dev/null
}

deadline=$((SECONDS + 60))
until answers; do
    if [ $SECONDS -ge $deadline ] || ! kill -0 $! 2>/dev/null; then
        tail -n 30 "$roots/$engine.log" >&2
        echo "the engine $engine does not answer; its log is $roots/$engine.log" >&2
        exit 1
    fi
    sleep 0.1
done

unset DOCKER_CONTEXT DOCKER_TLS_VERIFY HADDOCK_DOCKER_HOST
export DOCKER_HOST="unix://$run/engine.sock" ENGINE="$engine" ENGINE_MNT="$run"
"$@"
