"""What is left on an instance that drains."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._result import Result, changed
from ._values import moment, optional_moment


def _short(millis: int) -> str:
    """Whole minutes or hours, as in the compose file."""
    minutes = millis // 60_000
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


@dataclass(frozen=True)
class RemainingSessions(Result):
    """The sessions that are left on an instance that drains, and when they end by themselves."""

    live: int
    """The sessions that are counted."""
    busy: int
    """Those with a request in flight or an open WebSocket. They do not end before that has ended."""
    least_recent: datetime | None
    """The last use of the session that was used least recently, of those that are not busy."""
    most_recent: datetime | None
    """The last use of the session that was used most recently, of those that are not busy."""
    ends_within: dict[str, int]
    """How many end by themselves within `10m`, `1h` and `8h`, if nobody comes back."""
    ends_at: datetime | None
    """When the last one ends that is not busy, if nobody comes back."""
    ended: int
    """How many have ended in the last `watched`."""
    watched: float
    """For how many seconds endings were watched: some ten minutes, less on an instance that is new to the gateway."""

    @staticmethod
    def _of(data: dict[str, Any]) -> RemainingSessions:
        return RemainingSessions(
            live=data["live"],
            busy=data["busy"],
            least_recent=optional_moment(data["least_recent"]),
            most_recent=optional_moment(data["most_recent"]),
            ends_within={_short(each["within"]): each["sessions"] for each in data["ends_within"]},
            ends_at=optional_moment(data["ends_at"]),
            ended=data["ended"],
            watched=data["watched"] / 1000,
        )


@dataclass(frozen=True)
class ApplicationSessions(Result):
    """What the application of an instance that drains says of its sessions (`x-haddock.session.count`)."""

    sessions: int | None
    """How many it has; `None` if nobody can say."""
    unknown: str | None
    """Why nobody can say."""
    at: datetime
    """When it was asked, in UTC."""

    @staticmethod
    def _of(data: dict[str, Any]) -> ApplicationSessions:
        return ApplicationSessions(**changed(data, unknown=data.get("unknown"), at=moment(data["at"])))
