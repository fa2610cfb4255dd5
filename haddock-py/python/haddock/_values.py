"""Values that people write in several ways."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, Union

from . import _native

Duration = Union[float, str, timedelta]
"""Seconds, a text as in the compose file (`"1m30s"`, `"8h"`), or a `timedelta`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Address(NamedTuple):
    """An address: a host and a port.

    >>> address = Address("127.0.0.1", 8080)
    >>> str(address), address.host, address.port
    ('127.0.0.1:8080', '127.0.0.1', 8080)
    >>> host, port = address
    >>> str(Address("::1", 80))
    '[::1]:80'
    """

    host: str
    """The host: an IP address."""
    port: int
    """The port."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @staticmethod
    def _of(text: str) -> Address:
        host, _, port = text.rpartition(":")
        return Address(host.strip("[]"), int(port))


def port_number(port: Any) -> int:
    """A port, as a number or as a text such as `8080` or `8080/tcp`."""
    if isinstance(port, bool) or not isinstance(port, (int, str)):
        raise TypeError(f"`port` takes a number, not `{type(port).__name__}`")
    digits = str(port).removesuffix("/tcp")
    if not digits.isdecimal() or not 0 < int(digits) < 65_536:
        from ._errors import InvalidValueError

        raise InvalidValueError(f"`{port}` is not a TCP port", hint="a port is a number from 1 to 65535")
    return int(digits)


def seconds(duration: Duration, parameter: str) -> float:
    """The seconds of a duration."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, str):
        return _native.duration(duration)
    given: Any = duration
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        kind = "None" if given is None else f"`{type(given).__name__}`"
        raise TypeError(f'`{parameter}` takes a duration, not {kind}: seconds, a text such as "90s", or a timedelta')
    return float(given)


def optional_seconds(duration: Duration | None, parameter: str) -> float | None:
    """The seconds of a duration, if there is one."""
    return None if duration is None else seconds(duration, parameter)


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
