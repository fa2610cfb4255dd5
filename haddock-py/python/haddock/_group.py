"""What takes the requests, as arguments, options and the environment name it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from ._errors import InvalidValueError

DEFAULT_GATEWAY = "http://127.0.0.1:8081"
"""The admin API of `haddock serve`."""


@dataclass(frozen=True)
class Member:
    """One gateway or HAProxy."""

    name: str
    """The name of the locator. It is in the journal, so it stays."""
    kind: Literal["gateway", "haproxy"]
    place: str
    """The URL of the gateway's admin API; or the HAProxy's socket, perhaps with backends: `SOCKET,SERVICE=BACKEND`."""


def members(gateway: str | None, haproxy: str | None, locators: str | None) -> list[Member]:
    """A gateway, an HAProxy, both, or all of a group. What is `None` is taken from its variable."""
    if group := locators or os.environ.get("HADDOCK_LOCATOR"):
        if gateway or haproxy:
            raise InvalidValueError("`locators` names all gateways and HAProxys", hint="leave `gateway` and `haproxy` out")
        return of_group(group)
    found: list[Member] = []
    if front := haproxy or os.environ.get("HADDOCK_HAPROXY"):
        found.append(Member("haproxy", "haproxy", front))
    url = gateway or os.environ.get("HADDOCK_GATEWAY")
    if url or not found:
        found.append(Member("gateway", "gateway", url or DEFAULT_GATEWAY))
    return found


def of_group(text: str) -> list[Member]:
    """The locators of `KIND=PLACE,…`. The second of a kind is called `gateway-2`."""
    found: list[Member] = []
    for item in text.split(","):
        kind, equals, place = item.strip().partition("=")
        if kind not in ("gateway", "haproxy") or not (equals and place):
            hint = "it looks like `gateway=http://10.0.0.1:8081,gateway=http://10.0.0.2:8081,haproxy=/run/haproxy/admin.sock`"
            raise InvalidValueError(f"`{item}` is no locator", hint=hint)
        if any(place == other.place for other in found):
            raise InvalidValueError(f"`{place}` is named twice", hint="name each locator once")
        number = 1 + sum(kind == other.kind for other in found)
        name = kind if number == 1 else f"{kind}-{number}"
        found.append(Member(name, kind, place))
    return found
