"""Progress events of long calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, Union

from . import _native
from ._bridge import wait, wait_async
from ._result import Result
from ._values import optional_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from ._bridge import Asked
    from ._values import Duration

T = TypeVar("T")
E = TypeVar("E")


class Source(Protocol):
    """A native object whose next call has a listener."""

    def tell(self, progress: _native.Progress) -> None:
        """Sets the listener."""



@dataclass(frozen=True)
class ProgressEvent(Result):
    """A progress event of a change to an environment."""

    kind: Literal["pulling", "pulled", "creating", "starting", "waiting", "ready", "silent", "stopping", "removed"]
    """The kind. `pulling` and `waiting` are repeated while they last. `silent`: the component runs but does not
    answer."""
    component: str | None = None
    """The component; `None` for images, because several components may use one."""
    image: str | None = None
    """Which image is pulled."""
    done: int | None = None
    """Bytes of the image that are there already."""
    total: int | None = None
    """The known size of the image in bytes; it may grow."""
    waits_for: str | None = None
    """What the component waits for, for people."""
    why: str | None = None
    """Why it is not ready yet, if known. For `silent`, the port that does not answer."""
    log: str | None = None
    """If the wait is slow, the last line of the log of what it waits for."""

    @staticmethod
    def _of(data: dict[str, Any]) -> ProgressEvent:
        return ProgressEvent(**data)


OnEvent = Union[Callable[[ProgressEvent], object], None]
"""A function that is called with each event, in the thread that waits. An exception in it ends the call."""


class Told(Generic[E]):
    """Passes the events of a call to a listener."""

    __slots__ = ("_made", "_on_event", "_progress")

    def __init__(self, source: Source, on_event: Callable[[E], object], made: Callable[[dict[str, Any]], E]) -> None:
        self._on_event = on_event
        self._made = made
        self._progress = _native.Progress()
        source.tell(self._progress)

    def next(self) -> _native.Call:
        """The next event, as plain data; `None`: the call has ended."""
        return self._progress.next()

    def listen(self) -> None:
        """Passes events on until the call has ended."""
        while (event := wait(self.next())) is not None:
            self._on_event(self._made(event))

    async def listen_async(self) -> None:
        """As `listen`, in the running loop. An `on_event` that is a coroutine function is awaited."""
        while (event := await wait_async(self.next())) is not None:
            answer: Any = self._on_event(self._made(event))
            if hasattr(answer, "__await__"):
                awaitable: Awaitable[object] = answer
                await awaitable


def told_later(event: ProgressEvent) -> None:
    """For callers that read the events in their own loop; see `ProgressEvents`."""


class ProgressEvents(Generic[T]):
    """The progress events of a call. Iterate once, with `for` or `async for`.

    Leaving the loop early does not end the call: `wait` and `wait_async` wait for the rest. If the loop is interrupted
    or cancelled, the call ends and removes what it has made.
    """

    __slots__ = ("_asked", "_limit", "_made")

    def __init__(self, asked: Asked[T], timeout: Duration | None) -> None:
        self._asked = asked
        self._limit = optional_seconds(timeout, "timeout")
        self._made: list[T] = []

    def __repr__(self) -> str:
        return f"<haddock.ProgressEvents of {self._asked.what!r}>"

    def wait(self) -> T:
        """Waits for the end, and returns the result. Events that were not read are dropped."""
        if not self._made:
            self._made.append(self._asked.made(wait(self._asked.call, self._limit, self._asked.what)))
        return self._made[0]

    async def wait_async(self) -> T:
        """As `wait`, in the running loop."""
        if not self._made:
            self._made.append(self._asked.made(await wait_async(self._asked.call, self._limit, self._asked.what)))
        return self._made[0]

    def _next(self) -> _native.Call:
        """Asks for the next event. The first call begins the work."""
        asked = self._asked
        assert asked.told is not None, "somebody is told"
        asked.call.start(self._limit, asked.what)
        return asked.told.next()

    def __iter__(self) -> Iterator[ProgressEvent]:
        return self

    def __next__(self) -> ProgressEvent:
        try:
            event = wait(self._next())
        except BaseException:
            self._asked.give_up()
            raise
        if event is None:
            self.wait()
            raise StopIteration
        return ProgressEvent._of(event)

    def __aiter__(self) -> AsyncIterator[ProgressEvent]:
        return self

    async def __anext__(self) -> ProgressEvent:
        try:
            event = await wait_async(self._next())
        except BaseException:
            await self._asked.give_up_async()
            raise
        if event is None:
            await self.wait_async()
            raise StopAsyncIteration
        return ProgressEvent._of(event)


def telling(environments: _native.Environments, on_event: OnEvent) -> Told[ProgressEvent] | None:
    """Reports the events of the next call, if there is a listener."""
    if on_event is not None and not callable(on_event):
        raise TypeError(f"`on_event` takes a function, not `{type(on_event).__name__}`")
    return None if on_event is None else Told(environments, on_event, ProgressEvent._of)
