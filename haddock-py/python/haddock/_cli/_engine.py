"""HTTP requests to the engine and to the gateway's admin API, to find out their state."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from haddock._caller import Caller
    from haddock._cli._common import Settings

PATIENCE = 5.0
"""Seconds for an answer."""
RESTART = 2.0
"""Seconds in which `haddock serve` restarts a gateway that has died."""


class Unreachable(Exception):
    """It does not answer. The text says why."""


class Distrusted(Unreachable):
    """One side does not take the certificate of the other, or there is none."""


def engine_report(settings: Settings) -> dict[str, Any]:
    """The report about the engine that `haddock.connect` finds: its version, how containers are reached, free subnets.

    Raises:
        HaddockError: nothing answers, or not as an engine does.
    """
    from haddock import _native
    from haddock._bridge import wait

    return cast("dict[str, Any]", wait(_native.docker_report(settings.engine(), None, settings.reach, settings.address_pool)))


def gateway_services(url: str, caller: Caller) -> dict[str, Any]:
    """The gateway's report of each service.

    Raises:
        Unreachable: it does not answer, or not as a gateway does.
    """
    answer = _ask_gateway("GET", url, "/v1/services", caller)
    if not isinstance(answer, dict):
        raise Unreachable("its answer is not a JSON object")
    return cast("dict[str, Any]", answer)


def gateway_certificates(url: str, caller: Caller) -> list[dict[str, Any]]:
    """The gateway's certificates: `file`, `names`, and `ends` in milliseconds since the Unix epoch.

    Raises:
        Unreachable: it does not answer, or not as a gateway does.
    """
    return cast("list[dict[str, Any]]", _ask_gateway("GET", url, "/v1/certificates", caller))


def gateway_probe(url: str, caller: Caller) -> str:
    """A token for probe requests that the gateway answers itself.

    Raises:
        Unreachable: it does not answer, or not as a gateway does.
    """
    return str(_ask_gateway("POST", url, "/v1/probe", caller))


def _ask_gateway(method: str, url: str, path: str, caller: Caller) -> Any:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreachable(f"`{url}` is not a URL such as `http://127.0.0.1:8081`")
    headers = {"Content-Type": "application/json"}
    from haddock import HaddockError

    try:
        token, context = caller.token(), caller.context(url)
    except HaddockError as error:
        raise Unreachable(f"{error.message}: {error.hint}") from error
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if context is None:
        return ask(http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE), path, headers, method)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=PATIENCE, context=context)
    return ask(connection, path, headers, method)


def require_gateway(settings: Settings) -> None:
    """Waits a moment for each gateway to answer, because without one a release would wait for ever.

    Raises:
        LocatorUnavailableError: it does not.
    """
    import haddock

    if os.environ.get("HADDOCK_RUNTIME") == "sim":
        return
    deadline = time.monotonic() + RESTART
    # The release itself asks an HAProxy, and says how to fix what it lacks.
    for member in settings.gateways():
        while True:
            try:
                gateway_services(member.place, settings.caller())
                break
            except Unreachable as error:
                if time.monotonic() > deadline:
                    hint = f"start one: {settings.again('serve')}; or name another with `--gateway`"
                    if settings.has_others():
                        hint = "start it: `haddock serve gateway`; or name another group with `--locator`"
                    message = f"no gateway answers at `{member.place}`: {error}"
                    raise haddock.LocatorUnavailableError(message, hint=hint) from None
            time.sleep(0.1)


def ask(connection: http.client.HTTPConnection, path: str, headers: dict[str, str], method: str = "GET") -> Any:
    """The JSON value at that path.

    Raises:
        Unreachable: there is no answer, or none that is JSON with status 200.
    """
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Unreachable(f"it answers {answer.status} {answer.reason}")
        return json.loads(body)
    except ssl.SSLError as error:
        raise Distrusted(error.reason or str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    except ValueError as error:
        raise Unreachable("its answer is not JSON") from error
    finally:
        connection.close()


def is_free(host: str, port: int) -> bool:
    """Whether a program could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True
