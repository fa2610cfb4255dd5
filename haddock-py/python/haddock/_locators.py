"""Service locators, which decide where a new session goes, and count sessions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Union

from . import _native
from ._bridge import wait, wait_async
from ._caller import Caller
from ._errors import InvalidValueError
from ._given import mapping, names, optional_path, optional_text, path, text, texts_by_name
from ._ports import InstanceFigures, LocatorCapabilities, LocatorReport, FencingToken, RoutingTable, plain_answer
from ._results import Finding
from ._time import VirtualTime
from ._values import optional_seconds, seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping
    from types import TracebackType
    from typing import TypeVar

    from typing_extensions import Self

    from ._given import Path, Texts
    from ._values import Duration

    T = TypeVar("T")
    Answer = Union[T, Awaitable[T]]


class Gateway:
    """The embedded sticky HTTP proxy, with its locator inside, in this process. Use it as a context manager."""

    __slots__ = ("_native", "admin_address", "listen_address")

    listen_address: str
    """Where clients connect, as `host:port`."""
    admin_address: str | None
    """Where the admin API listens."""

    def __init__(
        self,
        *,
        state: Path,
        listen: str = "127.0.0.1:8080",
        admin: str | None = "127.0.0.1:0",
        services: Mapping[str, Texts] | None = None,
        token_file: Path | None = None,
        admin_tls: tuple[Path, Path] | None = None,
        admin_client_ca: Path | None = None,
        key_file: Path | None = None,
        trust_proxy: Texts = (),
        worker_threads: int | None = None,
        sessions: int | None = None,
        tcp_keepalive: Duration | None = 60,
        tunnel_idle: Duration | None = None,
        allow_trace: bool = False,
        tls: Iterable[tuple[Path, Path]] = (),
        redirect: str | None = None,
        strict_transport: Duration | None = None,
        handed_over: bool = False,
        hand_over: bool = False,
    ) -> None:
        """Starts to listen.

        `state` is the directory in which tables and closed marks survive a restart. `services` has the host names of
        each service; one service may have none. `token_file` holds the token of the admin API. Other addresses than the
        loopback need it, or callers with certificates. `key_file` holds the key that signs the cookies. `trust_proxy`
        are networks whose `Forwarded` headers are trusted. `sessions` is the largest number of sessions that can be
        counted for each service. After `tcp_keepalive` of silence, the gateway tests whether the other end of a
        connection is still there, and ends the connection if not; with `None` it never tests. It ends a WebSocket over
        which nothing was sent for `tunnel_idle`; with `None` it never does. TRACE is refused without `allow_trace`.

        `tls` are pairs of files, a certificate chain and its key as PEM. With at least one, clients connect by https, with
        HTTP/2 or HTTP/1.1. With several, the name that a client asks for decides. Changed files are used within some
        seconds. Clients that come to the address `redirect` by http are sent to https. `strict_transport` tells clients to
        use nothing but https for this long.

        With `admin_tls`, a certificate chain and its key, the admin API speaks https, and nothing else. With
        `admin_client_ca`, a file with authorities, each of its callers needs a certificate that one of them has signed for
        clients, and the token as well if there is one.

        With `handed_over` it uses the
        listening socket that this process was started with, if there is one, instead of `listen`, for instance that of
        a systemd socket unit. Clients that connect while no gateway runs then wait for the next one.

        With `hand_over` it takes the place of a gateway that runs with the same `state`, and gives its own to the next one
        that is started so. No request fails, and no session is forgotten. The one that was replaced has `is_replaced`, and
        `shutdown` waits until its last connection has ended. Without, a second gateway with that `state` is refused.

        Raises `PortTakenError`, and `BusyError` if another gateway has `state` and does not give it.
        """
        self._native: _native.Locator = wait(
            _native.gateway(
                listen,
                handed_over,
                admin,
                path(state, "state"),
                {
                    name: names(hosts, f'services["{name}"]')
                    for name, hosts in mapping(services or {}, "services").items()
                },
                optional_path(token_file, "token_file"),
                None
                if admin_tls is None
                else (path(admin_tls[0], "the certificate of admin_tls"), path(admin_tls[1], "the key of admin_tls")),
                optional_path(admin_client_ca, "admin_client_ca"),
                optional_path(key_file, "key_file"),
                names(trust_proxy, "trust_proxy"),
                worker_threads,
                sessions,
                optional_seconds(tcp_keepalive, "tcp_keepalive"),
                optional_seconds(tunnel_idle, "tunnel_idle"),
                allow_trace,
                [
                    (path(certificate, "a certificate of tls"), path(key, "a key of tls"))
                    for certificate, key in tls
                ],
                optional_text(redirect, "redirect"),
                optional_seconds(strict_transport, "strict_transport"),
                hand_over,
            )
        )
        self.listen_address = self._native.listen_address() or ""
        self.admin_address = self._native.admin_address()

    def __repr__(self) -> str:
        return f"<haddock.Gateway on {self.listen_address}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(0)

    @property
    def is_replaced(self) -> bool:
        """Whether another gateway has taken the place of this one."""
        return self._native.is_replaced()

    def shutdown(self, grace: Duration = 10) -> None:
        """Takes no more connections, gives requests in flight `grace` to end, and then cuts the rest."""
        wait(self._native.shutdown(seconds(grace, "grace")))

    async def shutdown_async(self, grace: Duration = 10) -> None:
        """As `shutdown`, in the running loop."""
        await wait_async(self._native.shutdown(seconds(grace, "grace")))

    def _native_locator(self) -> _native.Locator:
        return self._native


class RemoteGateway:
    """A gateway in another process, by the address of its admin API."""

    __slots__ = ("_native", "url")

    url: str
    """The address of its admin API."""

    def __init__(
        self,
        url: str,
        token_file: Path | None = None,
        *,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """The gateway at `url`, such as `http://127.0.0.1:8081`, with the token in `token_file`, if it needs one.

        One at `https://…` is known by the authority `ca` of its certificate, or by that certificate itself. `cert` and `key`
        are your own certificate and its key, if it wants one. All are files with PEM.
        """
        own = None if cert is None or key is None else (path(cert, "cert"), path(key, "key"))
        if own is None and (cert is not None or key is not None):
            raise InvalidValueError("one of `cert` and `key` is given", hint="a certificate needs its key")
        caller = Caller(optional_path(token_file, "token_file"), optional_path(ca, "ca"), own)
        self.url = text(url, "url")
        self._native = _native.remote_gateway(self.url, caller.token(), caller.authority_for(self.url), caller.own)

    @classmethod
    def _called_by(cls, url: str, caller: Caller) -> RemoteGateway:
        cert, key = caller.own or (None, None)
        return cls(url, caller.token_file, ca=caller.authority, cert=cert, key=key)

    def __repr__(self) -> str:
        return f"<haddock.RemoteGateway at {self.url}>"

    def _native_locator(self) -> _native.Locator:
        return self._native


class Haproxy:
    """An HAProxy of yours (2.6 or newer), over its runtime API. `docs/haproxy.md` has the lines of its file."""

    __slots__ = ("_native", "socket")

    socket: str
    """Its socket."""

    def __init__(self, socket: str, *, state: Path, backends: Mapping[str, str] | None = None) -> None:
        """The HAProxy whose `stats socket` is `socket`: a path, or `tcp://HOST:PORT`.

        What HAProxy does not keep is in the directory `state`. All processes that use this HAProxy have to use the same
        one. `backends` names the backends of services, where they differ from the services' names.
        """
        self.socket = text(socket, "socket")
        self._native = _native.haproxy(self.socket, path(state, "state"), texts_by_name(backends, "backends"))

    def __repr__(self) -> str:
        return f"<haddock.Haproxy at {self.socket}>"

    @staticmethod
    def _of(front: str, state: Path) -> Haproxy:
        """That of `SOCKET[,SERVICE=BACKEND…]`."""
        socket, *pairs = front.split(",")
        backends: dict[str, str] = {}
        for pair in pairs:
            service, equals, backend = pair.partition("=")
            if not (service and equals and backend):
                raise InvalidValueError(f"`{pair}` is no backend of a service", hint="it looks like `shop=shop_servers`")
            backends[service] = backend
        return Haproxy(socket, state=state, backends=backends)

    def check(self, service: str, *, idle: Duration = 1800, cookie: str | None = None) -> list[Finding]:
        """What HAProxy's file lacks for a service whose application forgets a session after `idle`, with the fixes.

        `cookie` is the cookie by which the application knows a session. It is in the lines that are shown, and
        `JSESSIONID` by default. Nothing is changed.
        """
        asked = self._native.advice("haproxy", text(service, "service"), seconds(idle, "idle"), optional_text(cookie, "cookie"))
        return Finding._all(wait(asked))

    def _native_locator(self) -> _native.Locator:
        return self._native


class SimLocator:
    """A simulated locator: sessions as data, on a virtual clock, with faults by script."""

    __slots__ = ("_native", "time")

    time: VirtualTime
    """The virtual time that it lives in."""

    def __init__(self, *, time: VirtualTime | None = None) -> None:
        """An empty locator. Give it the time of the `Sim` that it works with."""
        self.time = time or VirtualTime()
        self._native = _native.SimLocator(self.time._native)

    def __repr__(self) -> str:
        return "<haddock.SimLocator>"

    def _native_locator(self) -> _native.SimLocator:
        return self._native

    def down(self) -> None:
        """From now on it does not answer. What it knows stays."""
        self._native.set_down(True)

    def up(self) -> None:
        """It answers again."""
        self._native.set_down(False)

    def fail_next(self, calls: int) -> None:
        """The next `calls` calls are refused as if it were down."""
        self._native.fail_next(calls)

    def lose_next_answers(self, calls: int) -> None:
        """The next `calls` calls take effect, and their answers are lost."""
        self._native.lose_next_answers(calls)

    def restart(self) -> None:
        """Restarts its process: its counts are lost; tables and closed marks were on disk."""
        self._native.restart()


class ServiceLocator(ABC):
    """A service locator written in Python. Subclass it, and give an instance to a `Controller`.

    Methods may be `async`: they run in an event loop of Haddock's, on a thread of its own. All methods may be called
    from several threads at once. The contract, which `haddock.testing.locator_suite` checks:

    - `apply`, `close` and `evict` carry a number. A number older than the newest that was seen for that service raises
      `StaleNumberError` and changes nothing. The newest number, the table and the closed marks survive a restart.
    - A new session goes to a listed instance in proportion to the shares. A request of a session goes to its instance
      as long as that is listed and not closed.
    - A closed instance never gets a request again.
    - A request that has a cookie of the application and none of the locator goes to the `adopted` instance, until all
      sessions from before have been seen or have expired.
    - A locator that does not answer raises `LocatorUnavailableError` within 5 seconds.

    Any exception other than a `HaddockError` counts as `LocatorRefusedError`, with its type and text.
    """

    capabilities: LocatorCapabilities = LocatorCapabilities()
    """What it can do."""

    @abstractmethod
    def apply(self, table: RoutingTable) -> Answer[None]:
        """Puts the whole table of a service into force, atomically."""

    @abstractmethod
    def close(self, service: str, instance: str, number: FencingToken) -> Answer[InstanceFigures | None]:
        """Closes the instance if it has share 0 (or is not listed) and has no live session, no request in flight and no
        upgraded connection. Returns `None` then, and otherwise the figures of the instance."""

    @abstractmethod
    def evict(self, service: str, instance: str, number: FencingToken) -> Answer[None]:
        """Closes the instance even if sessions are left on it. They are counted, and begin anew elsewhere."""

    @abstractmethod
    def observe(self, service: str) -> Answer[LocatorReport]:
        """The figures of a service. For an unknown service they are empty, at number 0.0."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _call(self, method: str, arguments: list[Any]) -> Any:
        from ._background import finished

        if method == "apply":
            arguments = [RoutingTable._of(arguments[0])]
        elif method in ("close", "evict"):
            arguments = [*arguments[:2], FencingToken(**arguments[2])]
        answer = finished(getattr(self, method)(*arguments))
        if method == "close":
            return "closed" if answer is None else {"busy": plain_answer(answer)}
        return plain_answer(answer)

    def _native_locator(self) -> _native.Locator:
        able = self.capabilities
        return _native.python_locator(
            repr(self), self._call, able.keeps_sticky_at_zero, able.session_count, able.atomic_close, able.adoption,
            able.counts_by_table, able.follows_unseen, able.counts_by_policy, able.by_client, able.closes_in_rounds,
        )  # fmt: skip


