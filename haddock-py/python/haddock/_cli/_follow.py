"""Following long work: events as they come, the status, and a clean end at a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from haddock._cli import _output, _words
from haddock._cli._errors import Stopped
from haddock._cli._rate import Rate

if TYPE_CHECKING:
    from haddock import Controller, Event, Release, ReleaseResult, ServiceStatus
    from haddock._cli._common import Settings

T = TypeVar("T")
LOOK = 0.5
"""Seconds between two looks at the status. Each asks the gateway for its figures."""
REMIND = 30.0
"""Seconds between two lines about a drain, without a terminal."""

BLIND = "waits for the gateway, which does not answer"


class Show(Protocol):
    """A display of events and status."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def status(self, status: ServiceStatus | None, at: float) -> None:
        """The present state of the service; `at` is in seconds of a monotonic clock."""

    def close(self) -> None:
        """The end."""


class Nothing:
    """Shows nothing."""

    def event(self, event: Event) -> None:
        pass

    def status(self, status: ServiceStatus | None, at: float) -> None:
        pass

    def close(self) -> None:
        pass


class Json(Nothing):
    """One event a line."""

    def event(self, event: Event) -> None:
        _output.json_line(event.to_dict())


DETAILS = ("shares_asked", "stage_reached", "instance_serving")
"""Kinds of events that another event makes superfluous: the one that says that the shares are in force."""


def is_detail(event: Event) -> bool:
    """Whether it is left out without `-v`. A stage of the ramp is one line: the shares, once they are in force."""
    if event.kind != "shares_in_force":
        return event.kind in DETAILS
    # At the beginning, instances are listed without a share. At the end, the line about settling says the same. So does
    # each table that is sent while old versions drain.
    return event.phase in (None, "settled") or event.phase in ("ramping", "settling") and not 0 < event.share_in_force < 1


class Plain:
    """One event a line, for a log: time and message. While only sessions leave, it prints a line now and then."""

    def __init__(self, details: bool = False) -> None:
        self.details = details
        self.drains = Drains()
        self.reminded: float | None = None
        self.blind = False

    def event(self, event: Event) -> None:
        self.reminded = None
        if self.details or not is_detail(event):
            _output.line(f"{_words.stamp(event.at)} {event.service}: {event.message}")

    def status(self, status: ServiceStatus | None, at: float) -> None:
        self.drains.add(status, at)
        if is_blind(status) != self.blind:
            self.blind = not self.blind
            _output.line(BLIND if self.blind else "the gateway answers again")
        if self.reminded is None:
            self.reminded = at
        elif at - self.reminded >= REMIND:
            self.reminded = at
            for text in self.drains.lines(status):
                _output.line(text)

    def close(self) -> None:
        pass


class Drains:
    """How fast the sessions of each version that drains leave."""

    def __init__(self) -> None:
        self.rates: dict[int, Rate] = {}

    def add(self, status: ServiceStatus | None, at: float) -> None:
        """Notes how many sessions are left now."""
        for version, left in draining(status).items():
            self.rates.setdefault(version, Rate()).add(at, left)

    def left(self, version: int) -> float | None:
        """The seconds until the version is drained at this rate, if known."""
        rate = self.rates.get(version)
        return None if rate is None else rate.left()

    def lines(self, status: ServiceStatus | None) -> list[str]:
        """A line for each version that drains."""
        lines: list[str] = []
        for version, sessions in draining(status).items():
            text = f"version {version} drains: {left(sessions)}"
            seconds = self.left(version)
            if seconds:
                text += f", about {_words.length(seconds)} at this rate"
            lines.append(text)
        return lines


def left(sessions: int | None) -> str:
    """How many sessions are left."""
    if sessions is None:
        return "the number of its sessions is not known"
    return f"{_words.many(sessions, 'session') if sessions else 'no session'} left"


def is_blind(status: ServiceStatus | None) -> bool:
    """Whether the gateway does not answer. Without it, shares and sessions are unknown."""
    instances = status.instances if status is not None else []
    return bool(instances) and all(instance.share_in_force is None for instance in instances)


def draining(status: ServiceStatus | None) -> dict[int, int | None]:
    """The sessions on instances that drain, by version; `None` where one of them is not known."""
    versions: dict[int, int | None] = {}
    for instance in status.instances if status is not None else []:
        if instance.phase == "draining":
            before, sessions = versions.get(instance.version, 0), instance.sessions
            versions[instance.version] = None if before is None or sessions is None else before + sessions
    return versions


def show(settings: Settings, service: str) -> Show:
    """The display: JSON if asked for, a live display on a terminal, else lines: a few, or all with `-v`."""
    if settings.json:
        return Json()
    if settings.quiet:
        return Nothing()
    if _output.terminal():
        from haddock._cli._live import Live

        return Live(service)
    return Plain(details=settings.verbose > 0)


async def release(controller: Controller, handle: Release, shown: Show, until: Any) -> ReleaseResult:
    """Follows a release until it has settled, or until only its version is left."""

    async def events() -> ReleaseResult:
        async for event in handle.events(until=until):
            shown.event(event)
        return await handle.wait_async(until)

    return await beside(controller, handle.service, shown, events())


async def history(
    controller: Controller, service: str, shown: Show, since: int, enough: Callable[[Event], bool]
) -> Event:
    """Follows a service's history after that event, until the event that is waited for."""

    async def events() -> Event:
        after = since
        while True:
            for event in await controller.history_async(service, since=after):
                after = event.sequence
                shown.event(event)
                if enough(event):
                    return event
            await asyncio.sleep(LOOK / 2)

    return await beside(controller, service, shown, events())


async def beside(controller: Controller, service: str, shown: Show, work: Coroutine[Any, Any, T]) -> T:
    """Looks at the status while the work goes on."""
    import haddock

    async def look() -> None:
        now = asyncio.get_running_loop().time
        while True:
            # If the status cannot be read now, it is read at the next look. The work itself reports errors.
            with suppress(haddock.HaddockError):
                shown.status(await controller.status_async(service), now())
            await asyncio.sleep(LOOK)

    looking = asyncio.create_task(look())
    try:
        result = await work
        # The last picture is that of the end.
        with suppress(haddock.HaddockError):
            shown.status(await controller.status_async(service), asyncio.get_running_loop().time())
        return result
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        shown.close()


def run(work: Coroutine[Any, Any, T], *, within: float | None = None) -> T:
    """Does the work. SIGINT and SIGTERM cancel it and become `Stopped`. `within` is a time limit in seconds.

    Raises:
        Stopped: a signal came.
        TimeoutError: it was not done in time.
    """
    caught: list[int] = []

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)

        def stop(number: int) -> None:
            caught.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        return await asyncio.wait_for(task, within)

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if caught:
            raise Stopped(caught[0]) from None
        raise
    except asyncio.TimeoutError:
        # Before Python 3.11 it is a class of its own.
        raise TimeoutError from None
