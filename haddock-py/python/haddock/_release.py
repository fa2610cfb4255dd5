"""A release that was asked for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from ._bridge import Asked, wait, wait_async
from ._errors import HaddockError, ReleaseAbortedError, ReleaseSupersededError, TimedOutError
from ._given import whole
from ._results import Event, ReleaseResult, ReleaseStatus
from ._values import optional_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from . import _native
    from ._values import Duration

Until = Literal["settled", "gone"]
"""What to wait for: the release has settled, or also all instances of other versions are gone."""


class Release:
    """A handle of a release. It may be dropped and made again without any effect on the release."""

    __slots__ = ("_by", "_native", "request", "service")

    service: str
    """The service."""
    request: str
    """The id of the request."""

    def __init__(self, native: _native.Release, by: str) -> None:
        self._native = native
        self._by = by
        self.service = native.service()
        self.request = native.request()

    def _now(self) -> float:
        """The time in seconds of the release's clock, real or virtual."""
        return self._native.now()

    def __repr__(self) -> str:
        return f"<haddock.Release {self.request!r} of {self.service!r}>"

    def events(
        self, *, until: Until | None = "settled", since: int = 0, timeout: Duration | None = None
    ) -> Events:
        """The events from the request on, until the release has settled or other versions are gone. `None`: for ever.

        Iterate with `for` or `async for`. Events with a sequence up to `since` are skipped. Raises
        `ReleaseAbortedError` if the release was aborted, the subclass `ReleaseSupersededError` if a newer release
        replaced it, and the error of the refusal if it was refused. Raises `TimedOutError` when `timeout` has passed
        since this call; the release goes on then.
        """
        return Events(self, self._native.follow(until, whole(since, "since")), timeout)

    def wait(self, until: Until = "settled", timeout: Duration | None = None) -> ReleaseResult:
        """Waits until the release has settled, or until other versions are gone.

        Raises `ReleaseAbortedError` if it was aborted, the subclass `ReleaseSupersededError` if a newer release
        replaced it, and the error of the refusal if it was refused. Raises `TimedOutError` after `timeout`; the release
        goes on then. A rollback during a release has settled when that release is aborted.
        """
        return _Waiting(self, until, timeout).result_of(wait(self._waited(until, timeout)))

    async def wait_async(self, until: Until = "settled", timeout: Duration | None = None) -> ReleaseResult:
        """As `wait`, in the running loop."""
        return _Waiting(self, until, timeout).result_of(await wait_async(self._waited(until, timeout)))

    def _waited(self, until: Until, timeout: Duration | None) -> _native.Call:
        return self._native.wait(until, optional_seconds(timeout, "timeout"))

    def status(self, *, timeout: Duration | None = None) -> ReleaseStatus:
        """The present state of the release."""
        return self._status().wait(timeout)

    async def status_async(self, *, timeout: Duration | None = None) -> ReleaseStatus:
        """As `status`, in the running loop."""
        return await self._status().wait_async(timeout)

    def _status(self) -> Asked[ReleaseStatus]:
        return Asked("status", self._native.status(), ReleaseStatus._of)

    def pause(self, *, timeout: Duration | None = None) -> None:
        """Holds the ramp where it is.

        Raises `NothingToDoError` if this release is over or has not begun. Other releases are not touched.
        """
        self._ask("pause").wait(timeout)

    async def pause_async(self, *, timeout: Duration | None = None) -> None:
        """As `pause`, in the running loop."""
        await self._ask("pause").wait_async(timeout)

    def resume(self, *, timeout: Duration | None = None) -> None:
        """Goes on with the ramp.

        Raises `NothingToDoError` if this release is over or has not begun. Other releases are not touched.
        """
        self._ask("resume").wait(timeout)

    async def resume_async(self, *, timeout: Duration | None = None) -> None:
        """As `resume`, in the running loop."""
        await self._ask("resume").wait_async(timeout)

    def advance(self, *, timeout: Duration | None = None) -> None:
        """Ends this stage, or the settling, at once.

        Raises `NothingToDoError` if this release is over or has not begun. Other releases are not touched.
        """
        self._ask("advance").wait(timeout)

    async def advance_async(self, *, timeout: Duration | None = None) -> None:
        """As `advance`, in the running loop."""
        await self._ask("advance").wait_async(timeout)

    def abort(self, *, timeout: Duration | None = None) -> None:
        """Ends the release and gives its share back. A waiting release is dropped. Returns when that is decided;
        sessions drain.

        Raises `NothingToDoError` if this release is over. Another release in progress is not touched.
        """
        self._ask("abort").wait(timeout)

    async def abort_async(self, *, timeout: Duration | None = None) -> None:
        """As `abort`, in the running loop."""
        await self._ask("abort").wait_async(timeout)

    def _ask(self, verb: str) -> Asked[None]:
        return Asked(verb, self._native.ask(verb, self._by))


def _raised(release: Release, end: dict[str, Any]) -> HaddockError:
    """The error for an end other than the one that was waited for."""
    error = end["error"]
    cause = None if error is None else HaddockError._from_dict(error)
    if end["end"] == "refused" and cause is not None:
        return cause
    version = end["version"]
    what = f"the release of `{release.service}`" if version is None else f"version {version} of `{release.service}`"
    aborted = (ReleaseSupersededError if end["end"] == "superseded" else ReleaseAbortedError)(
        f"{what} did not settle: {end['reason']}",
        hint=None if cause is None else cause.hint,
        log_tail=() if cause is None else cause.log_tail,
        release=release,
        version=version,
        cause=cause,
    )
    aborted.__cause__ = cause
    return aborted


class _Waiting:
    def __init__(self, release: Release, until: Until, timeout: Duration | None) -> None:
        self.release = release
        self.until: Until = until
        self.timeout = timeout

    def result_of(self, waited: dict[str, Any] | None) -> ReleaseResult:
        if waited is None:
            raise TimedOutError(
                f"the release of `{self.release.service}` was not {self.until} within {optional_seconds(self.timeout, 'timeout'):g} s",
                hint="it goes on: wait for longer, or abort it",
            )
        end = waited["end"]
        if end["end"] != "reached":
            raise _raised(self.release, end)
        return ReleaseResult(self.release.service, end["version"], self.until, waited["millis"] / 1_000)


class Events:
    """The events of a release. Iterate once, with `for` or `async for`."""

    __slots__ = ("_deadline", "_end", "_native", "_ready", "_release")

    def __init__(self, release: Release, native: _native.Following, timeout: Duration | None = None) -> None:
        limit = optional_seconds(timeout, "timeout")
        self._deadline = None if limit is None else release._now() + limit
        self._release = release
        self._native = native
        self._ready: deque[Event] = deque()
        self._end: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<haddock.Events of {self._release!r}>"

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - self._release._now())

    def _take(self, page: dict[str, Any]) -> None:
        service = self._release.service
        self._ready.extend(Event._of(service, told) for told in page["events"])
        self._end = page["end"]

    def _next(self) -> Event | None:
        """The next event that is ready. `None`: there may be more later."""
        if self._ready:
            return self._ready.popleft()
        if self._end is None:
            return None
        if self._end["end"] == "reached":
            raise StopIteration
        raise _raised(self._release, self._end)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while True:
            event = self._next()
            if event is not None:
                return event
            self._take(wait(self._native.next(), self._left(), "events"))

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while True:
            try:
                event = self._next()
            except StopIteration:
                raise StopAsyncIteration from None
            if event is not None:
                return event
            self._take(await wait_async(self._native.next(), self._left(), "events"))
