"""The logs of several components as one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Union

from ._bridge import wait, wait_async
from ._given import date_time
from ._result import Result
from ._values import Duration, optional_moment, seconds

if TYPE_CHECKING:
    from typing_extensions import Self

    from . import _native

Since = Union[Duration, datetime, None]
"""A point in time, or how long ago it was."""


@dataclass(frozen=True)
class LogLine(Result):
    """A line of a component's log, from standard output or standard error."""

    component: str
    """The component."""
    at: datetime | None
    """The time, in UTC, if the runtime knows it."""
    text: str
    """The text. Bytes that are not UTF-8 are replaced."""

    def __str__(self) -> str:
        return self.text


class Logs:
    """Lines of logs, in the order in which they were written. With `follow`, new lines come as they are written.

    Iterate once, with `for` or `async for`.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Logs) -> None:
        self._native = native

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LogLine:
        line = wait(self._native.next())
        if line is None:
            raise StopIteration
        return _line(line)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LogLine:
        line = await wait_async(self._native.next())
        if line is None:
            raise StopAsyncIteration
        return _line(line)


def _line(data: dict[str, Any]) -> LogLine:
    return LogLine(data["component"], optional_moment(data["at"]), data["text"])


def query(tail: int | None, since: Since, follow: bool) -> dict[str, Any]:
    """Which lines."""
    if since is None:
        at = None
    elif isinstance(since, datetime):
        at = date_time(since, "since")
    else:
        at = max(0, round((time.time() - seconds(since, "since")) * 1000))
    return {"tail": tail, "since": at, "follow": follow}
