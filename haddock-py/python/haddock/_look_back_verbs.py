"""The verbs of a controller that look back at releases and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._bridge import Asked
from ._given import date_time, text, whole
from ._results import TrafficMinute

if TYPE_CHECKING:
    from datetime import datetime

    from . import _native
    from ._values import Duration


class LookBackVerbs:
    """What releases and sessions were like."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: _native.Controller

    def report(self, service: str, version: int | str | None = None, *, timeout: Duration | None = None) -> str:
        """A release as one page of HTML: shares, live sessions and events over time, and figures.

        `version` is the number of a version, or a tag or commit; by default the newest release is shown. The page is
        made from the history and from the gateway's record of sessions by minute. It says what is not known. It has no
        script, and loads nothing from anywhere.

        >>> with haddock.connect(runtime="sim") as h:
        ...     _ = h.release("compose.yaml", tag="v1").wait()
        ...     page = h.report("shop")
        >>> page[:15]
        '<!DOCTYPE html>'
        """
        return self._report(service, version).wait(timeout)

    async def report_async(
        self, service: str, version: int | str | None = None, *, timeout: Duration | None = None
    ) -> str:
        """As `report`, in the running loop."""
        return await self._report(service, version).wait_async(timeout)

    def _report(self, service: str, version: int | str | None) -> Asked[str]:
        which = None if version is None else str(whole(version, "version")) if isinstance(version, int) else text(version, "version")
        return Asked("report", self._native.report(text(service, "service"), which))

    def traffic(
        self, service: str, begin: datetime, end: datetime, *, timeout: Duration | None = None
    ) -> list[TrafficMinute]:
        """The sessions of a service by minute, as the gateway has recorded them: begun, ended, failed.

        `begin` and `end` need a time zone. The gateway keeps the last 90 days. Raises `NotSupportedError` if a locator
        keeps no record.
        """
        return self._traffic(service, begin, end).wait(timeout)

    async def traffic_async(
        self, service: str, begin: datetime, end: datetime, *, timeout: Duration | None = None
    ) -> list[TrafficMinute]:
        """As `traffic`, in the running loop."""
        return await self._traffic(service, begin, end).wait_async(timeout)

    def _traffic(self, service: str, begin: datetime, end: datetime) -> Asked[list[TrafficMinute]]:
        told = self._native.traffic(text(service, "service"), date_time(begin, "begin"), date_time(end, "end"))
        return Asked("traffic", told, lambda data: [TrafficMinute._of(minute) for minute in data["minutes"]])
