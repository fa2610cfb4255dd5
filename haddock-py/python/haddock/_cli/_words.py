"""Words, numbers and times for people."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haddock import HaddockError


def share(value: float | None) -> str:
    """A share, 0 to 1, as a percentage."""
    if value is None:
        return "?"
    return f"{round(value * 100, 2):g}%"


def count(value: int | None) -> str:
    """A number that may be unknown."""
    return "?" if value is None else f"{value}"


def many(number: int, one: str, more: str | None = None) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def length(seconds: float) -> str:
    """A rough length of time."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} d"


def stamp(at: datetime) -> str:
    """A time for a log: UTC, to the second."""
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def precisely(at: datetime) -> str:
    """A time for a log: UTC, to the millisecond."""
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime) -> str:
    """A time for a person at a terminal: local."""
    return at.astimezone().strftime("%H:%M:%S")


def waits(error: HaddockError) -> str:
    """Why a release waits."""
    text = error.message
    return text if text.startswith("waits for") else f"waits: {text}"


def ago(at: datetime, now: datetime | None = None) -> str:
    """How long ago something was."""
    return length(((now or datetime.now(timezone.utc)) - at).total_seconds())


def exactly(seconds: float) -> str:
    """A length of time as in the compose file: `1h30m`."""
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    text = ""
    for unit, millis in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, left = divmod(left, millis)
        text += f"{number}{unit}" if number else ""
    return text
