"""The two processes: gateway and controller."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from haddock._cli import _follow, _output
from haddock._cli._common import Settings
from haddock._cli._errors import Stopped
from haddock._cli._followed import check_followed

if TYPE_CHECKING:
    from typing import Any

    from types import FrameType

    from haddock import Controller
    from haddock._cli._wanted import Wanted

FOLLOW_AGAIN = 10.0
"""Seconds before a compose file that could not be read is read again."""
LOOK = 0.5
"""Seconds between two looks: at the history for new events, or whether a gateway was replaced."""


def run_gateway(settings: Settings, wanted: Wanted, until_stdin_ends: bool) -> int:
    """Runs the gateway until a signal comes, or another gateway has taken its place."""
    import haddock

    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    gateway = haddock.Gateway(
        listen=wanted.listen,
        admin=wanted.admin,
        state=settings.state_directory() / "gateway",
        services={name: list(hosts) for name, hosts in wanted.services.items()} or None,
        token_file=settings.token_file,
        admin_tls=wanted.admin_tls,
        admin_client_ca=wanted.admin_client_ca,
        trust_proxy=list(wanted.trust_proxy),
        tcp_keepalive=wanted.tcp_keepalive or None,
        tunnel_idle=wanted.tunnel_idle or None,
        allow_trace=wanted.allow_trace,
        tls=list(wanted.tls),
        redirect=wanted.redirect,
        strict_transport=wanted.strict_transport or None,
        handed_over=True,
        # One that `haddock serve` started would be started again.
        hand_over=not until_stdin_ends,
    )
    ready = {"kind": "ready", "process": "gateway", "listen": str(gateway.listen_address),
             "admin": str(gateway.admin_address), "pid": os.getpid()}  # fmt: skip
    if settings.json:
        _output.json_line(ready)
    else:
        _output.line(f"gateway: clients at {ready['listen']}, admin API at {ready['admin']}")
    if until_stdin_ends:
        _at_end_of_stdin()
    # Without a limit, a wait on an event cannot be interrupted everywhere.
    while not ended.wait(LOOK) and not gateway.is_replaced:
        pass
    if gateway.is_replaced:
        if settings.json:
            _output.json_line({"kind": "replaced", "process": "gateway", "pid": os.getpid()})
        else:
            _output.line("gateway: another one has taken over; this one ends with its last connection")
    gateway.shutdown(wanted.grace)
    return 0


def run_controller(
    settings: Settings,
    services: Sequence[str],
    monitor: float,
    until_stdin_ends: bool,
    followed: Sequence[list[str] | None] = (),
) -> int:
    """Acts until a signal comes."""
    # A file that says nothing about it is reported before anything begins.
    for file in followed:
        check_followed(settings, file)
    with settings.connect() as controller:
        if settings.json:
            _output.json_line({"kind": "ready", "process": "controller", "pid": os.getpid()})
        else:
            _output.line("controller: acts for " + (", ".join(services) or "every service of the journal"))
        if until_stdin_ends:
            _at_end_of_stdin()
        with suppress(Stopped):
            _follow.run(_act(controller, services, settings, monitor, followed))
    return 0


async def _act(
    controller: Controller,
    services: Sequence[str],
    settings: Settings,
    monitor: float,
    followed: Sequence[list[str] | None],
) -> None:
    beside = [asyncio.create_task(_tell(controller, services, settings))]
    if monitor > 0:
        beside.append(asyncio.create_task(_monitor(controller, settings, monitor)))
    beside += [asyncio.create_task(_follow_file(controller, settings, file)) for file in followed]
    try:
        await controller.serve_async(services=list(services) or None)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _follow_file(controller: Controller, settings: Settings, file: list[str] | None) -> None:
    """Releases new tags by themselves, as a compose file says, and says first what comes next."""
    import haddock

    options = settings.file_options()
    given: dict[str, Any] = {"images": options["images"], "env_files": options["env_files"], "variables": options["variables"]}
    with suppress(haddock.HaddockError):
        found = await controller.outlook_async(file, **given)
        if settings.json:
            _output.json_line({"kind": "follows", **found.to_dict()})
        else:
            waits = "" if found.waits is None else f", which waits: {found.waits}"
            first = "nothing is newer than what serves" if found.tag is None else f"`{found.tag}` is next{waits}"
            _output.line(f"controller: follows {found.of}; {first}")
    while True:
        # It ends only if the file cannot be read when it begins. It could be read a moment ago.
        with suppress(haddock.HaddockError):
            await controller.follow_async(file, **given)
        await asyncio.sleep(FOLLOW_AGAIN)


async def _monitor(controller: Controller, settings: Settings, every: float) -> None:
    """Ends test environments that nobody uses, if their files say so."""
    import haddock

    failed: dict[str, str] = {}
    while True:
        await asyncio.sleep(every)
        # If the engine does not answer, it is tried again.
        with suppress(haddock.HaddockError):
            all_pruned = await controller.prune_async()
            failed_before = failed
            failed = {pruned.name: pruned.why for pruned in all_pruned if pruned.verdict == "failed"}
            for pruned in all_pruned:
                # A failure that is repeated is reported once.
                is_news = pruned.verdict == "failed" and failed_before.get(pruned.name) != pruned.why
                if pruned.verdict not in ("stop", "remove") and not is_news:
                    continue
                if settings.json:
                    _output.json_line({"kind": "pruned", **pruned.to_dict()})
                elif pruned.verdict == "failed":
                    _output.line(f"environment `{pruned.name}` cannot be inspected or ended: {pruned.why}")
                else:
                    done = "stopped" if pruned.verdict == "stop" else "removed"
                    _output.line(f"environment `{pruned.name}` is {done}: nobody used it for {pruned.idle_for:.0f} s")


async def _tell(controller: Controller, services: Sequence[str], settings: Settings) -> None:
    """Prints new events, one a line."""
    import haddock

    shown: _follow.Show = _follow.Json() if settings.json else _follow.Plain()
    after: dict[str, int] = {}
    first = True
    while True:
        # The journal may be busy or its disk full for a while. Then the events are printed later.
        with suppress(haddock.HaddockError):
            names = services or await controller.services_async()
            for service in names:
                if service not in after:
                    # `haddock history` shows the events from before this process began.
                    after[service] = await controller._newest_async(service) if first else 0  # pyright: ignore[reportPrivateUsage]
            first = False
            for service in names:
                for event in await controller.history_async(service, since=after[service]):
                    after[service] = event.sequence
                    shown.event(event)
        await asyncio.sleep(LOOK)


def _at_end_of_stdin() -> None:
    """Ends this process when its parent is gone."""

    def watch() -> None:
        # Not through `sys.stdin`, whose lock must be free when the interpreter ends.
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="until-stdin-ends", daemon=True).start()
