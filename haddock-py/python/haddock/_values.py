"""Values that people write in several ways."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Union

from . import _native

Duration = Union[float, str, timedelta]
"""Seconds, a text as in the compose file (`"1m30s"`, `"8h"`), or a `timedelta`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def seconds(duration: Duration) -> float:
    """The seconds of a duration."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, str):
        return _native.duration(duration)
    return float(duration)


def optional_seconds(duration: Duration | None) -> float | None:
    """The seconds of a duration, if there is one."""
    return None if duration is None else seconds(duration)


def moment(millis: int) -> datetime:
    """A point in time, in UTC, from milliseconds since the Unix epoch."""
    return _EPOCH + timedelta(milliseconds=millis)


def optional_moment(millis: int | None) -> datetime | None:
    """A point in time, if there is one."""
    return None if millis is None else moment(millis)


def millis(moment: datetime) -> int:
    """Milliseconds since the Unix epoch."""
    return round((moment - _EPOCH) / timedelta(milliseconds=1))


def who() -> str:
    """Who runs this program: `HADDOCK_BY`, else user and host."""
    by = os.environ.get("HADDOCK_BY")
    if by:
        return by
    import pwd

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())  # a container may run as anybody
    return f"{user}@{os.uname().nodename}"
