"""What happens while an environment is changed, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union

from . import _native
from ._bridge import wait, wait_async
from ._results import Result

if TYPE_CHECKING:
    from collections.abc import Awaitable


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

    def listen(self) -> None:
        """Tells until the call has ended."""
        while (event := wait(self._progress.next())) is not None:
            self._on_event(ProgressEvent._of(event))

    async def listen_async(self) -> None:
        """As `listen`, in the running loop. An `on_event` that is a coroutine function is awaited."""
        while (event := await wait_async(self._progress.next())) is not None:
            answer: Any = self._on_event(ProgressEvent._of(event))
            if hasattr(answer, "__await__"):
                awaitable: Awaitable[object] = answer
                await awaitable


def telling(environments: _native.Environments, on_event: OnEvent) -> Told | None:
    """Lets the next call of these tell what it does, if anybody wants to know."""
    if on_event is not None and not callable(on_event):
        raise TypeError(f"`on_event` takes a function, not `{type(on_event).__name__}`")
    return None if on_event is None else Told(environments, on_event)
