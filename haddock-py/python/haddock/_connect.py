"""A controller whose ports the environment names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from ._caller import Caller
from ._controller import Controller
from ._errors import InvalidValueError, IoError
from ._given import path
from ._group import members

if TYPE_CHECKING:
    from ._controller import AnyLocator
    from ._gates import Gate
    from ._given import Path
    from ._runtimes import Docker, Process


def state_directory(state: Path | None) -> str:
    """The directory of the journal, the specifications and the gateway's files."""
    given = path(state, "state") if state is not None else os.environ.get("HADDOCK_STATE")
    if given:
        return given
    if os.geteuid() == 0:
        return "/var/lib/haddock"
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "haddock")


def connect(
    *,
    state: Path | None = None,
    docker_host: str | None = None,
    reach: str | None = None,
    address_pool: str | None = None,
    journal_keep: str | None = None,
    gateway: str | None = None,
    gateway_token_file: Path | None = None,
    gateway_ca: Path | None = None,
    gateway_cert: Path | None = None,
    gateway_key: Path | None = None,
    haproxy: str | None = None,
    locators: str | None = None,
    runtime: Literal["docker", "process", "sim"] | None = None,
    by: str | None = None,
    gates: Mapping[str, Gate] | None = None,
) -> Controller:
    """Makes a controller. A missing argument is taken from a `HADDOCK_*` variable, or else from a default.

    | argument | variable | default |
    |---|---|---|
    | `state` | `HADDOCK_STATE` | `/var/lib/haddock` as root, else `~/.local/state/haddock` |
    | `docker_host` | `HADDOCK_DOCKER_HOST` | the engine of the `docker` command: `DOCKER_HOST`, else the context |
    | `reach` | `HADDOCK_REACH` | `auto`: ask the engine how ports of containers are reached |
    | `address_pool` | `HADDOCK_ADDRESS_POOL` | `10.213.0.0/16,size=26` |
    | `journal_keep` | `HADDOCK_JOURNAL_KEEP` | `400d,100000`: all events of this time, and at least this number |
    | `gateway` | `HADDOCK_GATEWAY` | `http://127.0.0.1:8081`, the admin API of `haddock serve` |
    | `gateway_token_file` | `HADDOCK_GATEWAY_TOKEN_FILE` | no token |
    | `gateway_ca` | `HADDOCK_GATEWAY_CA` | none: needed for an admin API that speaks https |
    | `gateway_cert`, `gateway_key` | `HADDOCK_GATEWAY_CERT`, `HADDOCK_GATEWAY_KEY` | no certificate of yours |
    | `haproxy` | `HADDOCK_HAPROXY` | no HAProxy: `SOCKET[,SERVICE=BACKEND…]` of one that you have |
    | `locators` | `HADDOCK_LOCATOR` | the gateway, or the HAProxy: else a group, such as `gateway=URL,gateway=URL,haproxy=SOCKET` |
    | `runtime` | `HADDOCK_RUNTIME` | `docker` |
    | `by` | `HADDOCK_BY` | user and host |

    With `haproxy`, that HAProxy takes the place of the gateway; if `gateway` is given, too, both serve side by side. With
    `locators`, all that it names serve side by side: each gets each table, and an instance is removed only when nothing is
    left on it at any of them.
    `gates` are the functions that the compose file's `gate: { call: NAME }` asks, by name.

    With the runtime `sim` everything is in memory, on a virtual clock, and every image exists. So you can try out a
    script that releases.
    """
    from ._locators import SimLocator
    from ._runtimes import Docker, Process, Sim

    kind = runtime or os.environ.get("HADDOCK_RUNTIME") or "docker"
    if kind == "sim":
        sim = Sim()
        return Controller(runtime=sim, locator=SimLocator(time=sim.time), by=by, gates=gates)
    if kind not in ("docker", "process"):
        raise InvalidValueError(f"`{kind}` is no runtime", hint="it is `docker`, `process` or `sim`")
    directory = state_directory(state)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        what = f"the state directory `{directory}` cannot be made: {error.strerror}"
        raise IoError(what, hint="name another: `state`, or `HADDOCK_STATE`") from None
    if kind == "docker":
        ours: Docker | Process = Docker(
            docker_host or os.environ.get("HADDOCK_DOCKER_HOST") or None,
            reach=reach or os.environ.get("HADDOCK_REACH") or None,
            address_pool=address_pool or os.environ.get("HADDOCK_ADDRESS_POOL") or None,
        )
    else:
        ours = Process(os.path.join(directory, "process"))
    steered = _steered(directory, Caller.of(gateway_token_file, gateway_ca, gateway_cert, gateway_key), gateway, haproxy, locators)
    return Controller(
        runtime=ours,
        locator=steered["gateway"] if list(steered) == ["gateway"] else steered,
        journal=os.path.join(directory, "journal.db"),
        specs=os.path.join(directory, "specs"),
        by=by,
        journal_keep=journal_keep or os.environ.get("HADDOCK_JOURNAL_KEEP") or None,
        gates=gates,
    )


def _steered(
    directory: str, caller: Caller, gateway: str | None, haproxy: str | None, locators: str | None
) -> dict[str, AnyLocator]:
    """What takes the requests, by name: a gateway, an HAProxy, or all of a group."""
    from ._locators import Haproxy, RemoteGateway

    return {
        it.name: Haproxy._of(it.place, os.path.join(directory, it.name)) if it.kind == "haproxy" else RemoteGateway._called_by(it.place, caller)
        for it in members(gateway, haproxy, locators)
    }
