"""Following the logs of components, and waiting for a line."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Union

from . import _native
from ._bridge import wait, wait_async
from ._errors import ContainerExitedError, TimedOutError
from ._values import optional_seconds, seconds

if TYPE_CHECKING:
    from ._values import Duration

Wanted = Union[str, "re.Pattern[str]", Callable[[str], object]]
"""How a line is matched: a regular expression that is found in it, or a function that returns whether it matches."""

_LOOK = 0.2
"""Seconds between two looks at a log that cannot be followed."""

_KEPT = 20
"""How many of the last log lines an error shows."""


class LogLines:
    """The lines of a log as they come, until the container ends. Iterate once, with `for` or `async for`.

    With a time limit, waiting for a line after that time raises `TimedOutError`.
    """

    __slots__ = ("_deadline", "_native", "_timeout")

    def __init__(self, native: _native.LogLines, timeout: Duration | None = None) -> None:
        self._native = native
        self._timeout = optional_seconds(timeout, "timeout")
        self._deadline = None if self._timeout is None else time.monotonic() + self._timeout

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def __iter__(self) -> LogLines:
        return self

    def __next__(self) -> str:
        line = wait(self._native.next(), self._left(), "follow_logs")
        if line is None:
            raise StopIteration
        return line

    def __aiter__(self) -> LogLines:
        return self

    async def __anext__(self) -> str:
        line = await wait_async(self._native.next(), self._left(), "follow_logs")
        if line is None:
            raise StopAsyncIteration
        return line


class Search:
    """A search in a log for the first line that matches."""

    def __init__(self, lines: LogLines, wanted: Wanted, component: str, timeout: Duration) -> None:
        self.lines = lines
        self._component = component
        self._timeout = timeout
        self._fits = matcher(wanted)
        self._words = f"`{getattr(wanted, 'pattern', wanted)}`" if isinstance(wanted, (str, re.Pattern)) else "is wanted"
        self._last: deque[str] = deque(maxlen=_KEPT)

    def found(self, line: str) -> bool:
        """Whether this line matches."""
        self._last.append(line)
        return bool(self._fits(line))

    def first_of(self, lines: list[str]) -> str | None:
        """The first of these lines that matches, for a log that cannot be followed."""
        self._last.clear()
        return next((line for line in lines if self.found(line)), None)

    def pause(self) -> None:
        """Waits a moment before the next look. Raises `TimedOutError` when time is up."""
        self._check()
        time.sleep(_LOOK)

    async def pause_async(self) -> None:
        """As `pause`, in the running loop."""
        from asyncio import sleep

        self._check()
        await sleep(_LOOK)

    def _check(self) -> None:
        if self.lines._left() == 0:
            raise self.late()

    def late(self) -> TimedOutError:
        """The line did not come in time."""
        what = f"component `{self._component}` printed no line with {self._words} within {seconds(self._timeout, 'timeout'):g} s"
        return TimedOutError(what, hint="look at the last lines of its log, or wait for longer", log_tail=self._last)

    def ended(self) -> ContainerExitedError:
        """The log has ended without the line."""
        what = f"component `{self._component}` ended before it printed a line with {self._words}"
        return ContainerExitedError(what, hint="look at the last lines of its log", log_tail=self._last)


def matcher(wanted: Wanted) -> Callable[[str], object]:
    """Makes the function that says whether a line matches."""
    if isinstance(wanted, str):
        try:
            return re.compile(wanted).search
        except re.error as error:
            from ._errors import InvalidValueError

            hint = "write it for the module `re`: a backslash before `.`, `*`, `(` and the like takes them as they are"
            raise InvalidValueError(f"`{wanted}` is not a regular expression: {error}", hint=hint) from None
    if isinstance(wanted, re.Pattern):
        return wanted.search
    if callable(wanted):
        return wanted
    raise TypeError(f"`wanted` takes a regular expression or a function, not `{type(wanted).__name__}`")
