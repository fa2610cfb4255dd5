"""Virtual time."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from . import _native
from ._bridge import wait, wait_async
from ._given import date_time
from ._values import moment, seconds

if TYPE_CHECKING:
    from ._values import Duration


class VirtualTime:
    """Virtual time. It passes only while something waits, and then at once.

    >>> time = VirtualTime()
    >>> before = time.now()
    >>> time.advance("8h")
    >>> str(time.now() - before)
    '8:00:00'
    """

    __slots__ = ("_native",)

    def __init__(self, start: datetime | None = None) -> None:
        """Begins at `start`, by default the first of January 2030, midnight in UTC."""
        self._native = _native.VirtualTime(date_time(start or datetime(2030, 1, 1, tzinfo=timezone.utc), "start"))

    def __repr__(self) -> str:
        return f"<haddock.VirtualTime {self.now():%Y-%m-%d %H:%M:%S}>"

    def now(self) -> datetime:
        """The present time, in UTC."""
        return moment(self._native.now())

    def advance(self, duration: Duration) -> None:
        """Lets that much time pass. Everything that is due in it happens."""
        wait(self._native.advance(seconds(duration, "duration")))

    async def advance_async(self, duration: Duration) -> None:
        """As `advance`, in the running loop."""
        await wait_async(self._native.advance(seconds(duration, "duration")))
