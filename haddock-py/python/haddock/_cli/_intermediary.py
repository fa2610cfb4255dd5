"""Checks what is between clients and the gateway: a proxy, a load balancer, a content delivery network.

A request goes to the address that clients use. The gateway answers it itself, with the request as it arrived. If that
differs from the request as it was sent, something in between would break sessions, WebSockets, or the headers about
clients.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

from haddock._cli import _engine

if TYPE_CHECKING:
    from typing import Literal

    from haddock._caller import Caller

    State = Literal["ok", "warning", "problem"]

COOKIE = "haddock-probe"
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""The headers with which a browser opens a WebSocket. HAProxy refuses requests with fewer."""


class Found(NamedTuple):
    """A finding: its state, its text, and the fix."""

    state: State
    says: str
    fix: str | None = None


class Answer(NamedTuple):
    """What came back."""

    arrived: dict[str, Any]
    set_cookies: list[str]


def look(url: str, gateway_url: str, caller: Caller) -> Iterator[Found]:
    """Sends requests to `url` that the gateway answers, and yields what was changed on the way."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield Found("problem", f"`{url}` is not an address that clients use", "such as `https://shop.example.com/`")
        return
    try:
        word = _engine.gateway_probe(gateway_url, caller)
    except _engine.Unreachable as error:
        yield Found("problem", f"the gateway at `{gateway_url}` cannot be asked: {error}", "it has to run, and must have the same version as this command")
        return
    try:
        first, second = _ask(parts, word, {}), _ask(parts, word, WEBSOCKET)
    except _engine.Unreachable as error:
        yield Found("problem", f"`{url}` does not lead to this gateway: {error}", "check where its name, its port and its path lead")
        return
    found = list(_compare(parts, first, second))
    yield from found
    if all(each.state == "ok" for each in found):
        yield Found("ok", f"`{url}` leads to the gateway, and requests of clients arrive unchanged")


def _ask(parts: SplitResult, word: str, more: dict[str, str]) -> Answer:
    """Sends a request with two cookies. Returns what arrived, and what came back.

    Raises:
        Unreachable: the gateway did not answer it.
    """
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_engine.PATIENCE)
    query = f"{parts.query}&" if parts.query else ""
    path = f"{parts.path or '/'}?{query}haddock-probe={word}"
    try:
        connection.request("GET", path, headers={"Cookie": f"other=1; {COOKIE}={word}", **more})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status in (301, 302, 303, 307, 308):
            raise _engine.Unreachable(f"it answers {answer.status} and leads to `{answer.getheader('Location')}`")
        if answer.status != 200:
            raise _engine.Unreachable(f"it answers {answer.status} {answer.reason}")
        arrived = json.loads(body)
    except (OSError, http.client.HTTPException) as error:
        raise _engine.Unreachable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    except ValueError as error:
        raise _engine.Unreachable("something else answers") from error
    finally:
        connection.close()
    if not isinstance(arrived, dict) or "attributes" not in arrived:
        raise _engine.Unreachable("something else answers")
    return Answer(cast("dict[str, Any]", arrived), answer.headers.get_all("Set-Cookie") or [])


def _compare(parts: SplitResult, first: Answer, second: Answer) -> Iterator[Found]:
    """Yields what differs from what was sent."""
    arrived = first.arrived
    if second.arrived["number"] == arrived["number"]:
        yield Found(
            "problem", "it answers out of a cache what is `Cache-Control: private`: clients would share sessions",
            "configure it to cache no answer that has `Set-Cookie` or `private`",
        )  # fmt: skip
    if not arrived["cookies"]:
        yield Found(
            "problem", "cookies of clients do not arrive: each request would open a session",
            "configure it to pass the `Cookie` header on unchanged",
        )  # fmt: skip
    yield from _cookie_found(first)
    if not second.arrived["upgrade"]:
        yield Found(
            "problem", "`Upgrade` does not arrive: WebSockets cannot be opened",
            "let it pass upgrades on; in nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
            "proxy_set_header Connection $connection_upgrade;`",
        )  # fmt: skip
    if arrived["version"] == "1.0":
        yield Found(
            "warning", "it speaks HTTP/1.0 to the gateway: each request takes a connection of its own",
            "let it speak HTTP/1.1; in nginx: `proxy_http_version 1.1; proxy_set_header Connection \"\";`",
        )  # fmt: skip
    yield from _client_found(parts, arrived)
    host, named = str(arrived["host"] or ""), parts.netloc.rpartition("@")[2]
    if _plain(host, parts.scheme) != _plain(named, parts.scheme) and arrived["forwarded_host"] is None:
        yield Found(
            "warning", f"it asks the gateway for `{host}` where clients ask for `{named}`: links that the application makes lead there",
            "let it pass the `Host` header on; in nginx: `proxy_set_header Host $http_host;`",
        )  # fmt: skip
    if arrived["service"] is None:
        yield Found(
            "problem", f"the gateway serves no service under `{host}`",
            f"name it: `haddock serve --service NAME={host.rpartition(':')[0] or host}`, or let `Host` be passed on",
        )  # fmt: skip


def _cookie_found(answer: Answer) -> Iterator[Found]:
    ours = [cookie for cookie in answer.set_cookies if cookie.startswith(f"{COOKIE}=")]
    if not ours:
        yield Found(
            "problem", "the cookie that the gateway sets does not come back: each request would open a session",
            "configure it to pass `Set-Cookie` on unchanged, with the same cookie name",
        )  # fmt: skip
        return
    wanted, got = ({part.strip().lower() for part in text.split(";")} for text in (answer.arrived["attributes"], ours[0].partition(";")[2]))
    if wanted != got:
        changes = [f"adds `{text}`" for text in sorted(got - wanted)] + [f"takes away `{text}`" for text in sorted(wanted - got)]
        yield Found(
            "problem", f"it changes the cookie that the gateway sets: it {' and '.join(changes)}",
            "configure it to pass `Set-Cookie` on unchanged; set the cookie's attributes in `x-haddock.session`",
        )  # fmt: skip


def _client_found(parts: SplitResult, arrived: dict[str, Any]) -> Iterator[Found]:
    """Checks the headers that tell the application about its client."""
    peer = str(arrived["peer"])
    speaks = any(arrived[key] is not None for key in ("forwarded_for", "forwarded_proto", "forwarded_host", "forwarded"))
    if not arrived["trusted"]:
        # Where the gateway has the certificates, nobody has to tell it.
        untold = parts.scheme == "https" and not arrived["https"]
        if untold or speaks:
            believed = "that clients come by https" if untold else "who its clients are"
            yield Found(
                "problem", f"connections come from `{peer}`, which is not trusted: the application does not learn {believed}",
                f"say that it is a proxy of yours: `haddock serve --trust-proxy {peer}/{128 if ':' in peer else 32}`",
            )  # fmt: skip
        return
    if parts.scheme == "https" and not arrived["https"]:
        said = arrived["forwarded_proto"]
        yield Found(
            "problem", f"it says {'nothing' if said is None else f'`{said}`'} of clients that come by https: the application "
            "makes links that lead to http, or sends people round in circles",
            "let it set `X-Forwarded-Proto: https`; in nginx: `proxy_set_header X-Forwarded-Proto $scheme;`",
        )  # fmt: skip
    if arrived["forwarded_for"] is None and arrived["forwarded"] is None:
        yield Found(
            "warning", "it does not say who its clients are: to the application all have its address",
            "let it set `X-Forwarded-For`; in nginx that clients reach: `proxy_set_header X-Forwarded-For $remote_addr;`",
        )  # fmt: skip


def _plain(host: str, scheme: str) -> str:
    """A host without the default port of its protocol."""
    return host.lower().removesuffix(":443" if scheme == "https" else ":80")
