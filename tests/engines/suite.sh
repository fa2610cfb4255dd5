#!/usr/bin/env bash
# What has to pass on every engine; `with.sh ENGINE tests/engines/suite.sh` runs it beside one.
#
#   suite.sh          the runtime's suite, and environments that come up and go down
#   suite.sh all      that, the random walk for a minute, and a release under load
set -euo pipefail
cd "$(dirname "$0")/../.."
export HADDOCK_TEST_REQUIRE=1

# The engine has no network beyond its own, and what the tests need has been built.
export CARGO_NET_OFFLINE=true
# Of the whole workspace, so that what was compiled for its other tests is taken as it is.
tests='package(haddock-tests) & (binary(docker_runtime) | binary(docker_options) | binary(dockerfiles) | binary(launch) & test(/^docker::/) | binary(environments) & test(/^docker::/))'
if [ "${ENGINE:-}" = podman ]; then
    # systemd runs its health checks, and here is none; and it removes a network under containers that do not run.
    tests="($tests) - test(/health_checks_decide|check_of_an_image|unhealthy_dependency|remove_network_again/)"
fi
cargo nextest run --workspace --all-features --no-fail-fast -E "$tests"

if [ "${1:-}" = all ]; then
    HADDOCK_WALK_SECONDS=60 cargo nextest run --workspace --all-features --no-tests fail \
        -E 'package(haddock-tests) & binary(walk)'
    cargo run -p haddock-examples --example release -- --docker
fi
