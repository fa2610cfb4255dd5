"""What happens while an environment is changed, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Union

from . import _native
from ._bridge import wait, wait_async
from ._results import Result
from ._values import optional_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from ._bridge import Asked
    from ._values import Duration

T = TypeVar("T")


@dataclass(frozen=True)
class ProgressEvent(Result):
    """Something that happens while an environment is changed."""

    kind: Literal["pulling", "pulled", "creating", "starting", "waiting", "ready", "silent", "stopping", "removed"]
    """What. `pulling` and `waiting` come again while they last; what is `silent` runs, and does not answer."""
    component: str | None = None
    """With which component; `None` for images, which several may have."""
    image: str | None = None
    """Which image is pulled."""
    done: int | None = None
    """Bytes of the image that are there already."""
    total: int | None = None
    """Bytes of the image that are known to be wanted; more may be found."""
    waits_for: str | None = None
    """What the component waits for, for people."""
    why: str | None = None
    """Why that is not so yet, if known; of what is `silent`, which port does not answer."""
    log: str | None = None
    """The last line of the log of what it waits for, once that is slow."""

    @staticmethod
    def _of(data: dict[str, Any]) -> ProgressEvent:
        return ProgressEvent(**data)


OnEvent = Union[Callable[[ProgressEvent], object], None]
"""A function that is called with each event, in the thread that waits. What it raises ends the call."""


class Told:
    """Who is told of what a call does."""

    __slots__ = ("_on_event", "_progress")

    def __init__(self, environments: _native.Environments, on_event: Callable[[ProgressEvent], object]) -> None:
        self._on_event = on_event
        self._progress = _native.Progress()
        environments.tell(self._progress)

    def next(self) -> _native.Call:
        """The next event, as plain data; `None`: the call has ended."""
        return self._progress.next()

    def listen(self) -> None:
        """Tells until the call has ended."""
        while (event := wait(self.next())) is not None:
            self._on_event(ProgressEvent._of(event))

    async def listen_async(self) -> None:
        """As `listen`, in the running loop. An `on_event` that is a coroutine function is awaited."""
        while (event := await wait_async(self.next())) is not None:
            answer: Any = self._on_event(ProgressEvent._of(event))
            if hasattr(answer, "__await__"):
                awaitable: Awaitable[object] = answer
                await awaitable


def told_later(event: ProgressEvent) -> None:
    """Who reads the events does so in a loop of their own; see `ProgressEvents`."""


class ProgressEvents(Generic[T]):
    """What happens while something is done, one after the other. Iterate with `for` or `async for`, once.

    A loop that is left early does not end it: `wait` and `wait_async` wait for the rest. One that is interrupted or cancelled
    does: what was made is removed again.
    """

    __slots__ = ("_asked", "_limit", "_made")

    def __init__(self, asked: Asked[T], timeout: Duration | None) -> None:
        self._asked = asked
        self._limit = optional_seconds(timeout, "timeout")
        self._made: list[T] = []

    def __repr__(self) -> str:
        return f"<haddock.ProgressEvents of {self._asked.what!r}>"

    def wait(self) -> T:
        """Waits for the end, and answers with what has come of it; events that nobody has asked for are passed over."""
        if not self._made:
            self._made.append(self._asked.made(wait(self._asked.call, self._limit, self._asked.what)))
        return self._made[0]

    async def wait_async(self) -> T:
        """As `wait`, in the running loop."""
        if not self._made:
            self._made.append(self._asked.made(await wait_async(self._asked.call, self._limit, self._asked.what)))
        return self._made[0]

    def _next(self) -> _native.Call:
        """Asks for the next event; the first begins what is done."""
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


def telling(environments: _native.Environments, on_event: OnEvent) -> Told | None:
    """Lets the next call of these tell what it does, if anybody wants to know."""
    if on_event is not None and not callable(on_event):
        raise TypeError(f"`on_event` takes a function, not `{type(on_event).__name__}`")
    return None if on_event is None else Told(environments, on_event)
