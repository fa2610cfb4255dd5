"""A simulated world."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._controller import Controller
from .._errors import NotFoundError
from .._locators import SimLocator
from .._runtimes import ContainerRuntime, Sim
from .._time import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from datetime import datetime
    from os import PathLike
    from types import TracebackType
    from typing import Union

    from typing_extensions import Self

    from .. import _native
    from .._gates import Gate
    from .._values import Duration

    Path = Union[str, PathLike[str]]


class World:
    """The real controller on a simulated engine and locator, in virtual time, which passes only while something waits.

    Use it as a context manager, or take the pytest fixture `haddock_sim`.

    >>> with World() as world:
    ...     _ = world.controller.release("compose.yaml", tag="v1").wait()
    ...     person = world.open_session("shop")
    ...     release = world.controller.release("compose.yaml", tag="v2")
    ...     _ = release.wait("settled")
    ...     before = person.request(), person.version
    ...     _ = release.wait("gone", timeout="2h")
    ...     after = person.request(), person.version
    >>> before, after
    (('shop-1-sim', 1), ('shop-2-sim', 2))
    """

    runtime: Sim
    """The engine. Every image exists; `runtime.image()` makes one behave differently."""
    locator: SimLocator
    """The locator, whose sessions are opened by `open_session`."""
    time: VirtualTime
    """The virtual time of both."""
    controller: Controller
    """The controller."""

    def __init__(
        self,
        *,
        runtime: Sim | None = None,
        journal: Path | None = None,
        specs: Path | None = None,
        start: datetime | None = None,
        by: str = "test",
    ) -> None:
        """A new world. With a `journal`, another controller on the same `runtime` can continue it later."""
        self.time = runtime.time if runtime is not None else VirtualTime(start)
        self.runtime = runtime or Sim(time=self.time)
        self.locator = SimLocator(time=self.time)
        self.controller = self.another_controller(journal=journal, specs=specs, by=by)

    def another_controller(
        self,
        *,
        runtime: ContainerRuntime | None = None,
        journal: Path | None = None,
        specs: Path | None = None,
        by: str = "test",
        gates: Mapping[str, Gate] | None = None,
    ) -> Controller:
        """Another controller of this world, on its engine or on a runtime written in Python."""
        return Controller(
            runtime=runtime or self.runtime,
            locator=self.locator,
            journal=journal,
            specs=specs,
            by=by,
            time=self.time,
            gates=gates,
        )

    def __repr__(self) -> str:
        return f"<haddock.testing.World at {self.time.now():%Y-%m-%d %H:%M:%S}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.controller.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.controller.close_async()

    def advance(self, duration: Duration) -> None:
        """Lets that much time pass. Everything that is due in it happens."""
        self.time.advance(duration)

    async def advance_async(self, duration: Duration) -> None:
        """As `advance`, in the running loop."""
        await self.time.advance_async(duration)

    def open_session(self, service: str) -> Session:
        """A new client opens a session, on an instance chosen by the shares.

        Raises `NotFoundError` if no instance has a share or the locator is down: a real client would get 503.
        """
        return Session(self, service)

    def sessions(self, service: str) -> dict[int, int | None]:
        """The live sessions of each version that has instances, as the locator counts them. `None`: unknown."""
        status = self.controller.status(service)
        if status is None:
            return {}
        with_instances = {instance.version for instance in status.instances}
        return {it.version: it.sessions for it in status.versions if it.version in with_instances}

    def _version_of(self, service: str, instance: str) -> int | None:
        status = self.controller.status(service)
        instances = status.instances if status is not None else []
        return next((it.version for it in instances if it.instance == instance), None)


class Session:
    """A client with a session. It expires once it has been idle for the `session.idle` of the compose file."""

    service: str
    """The service."""
    instance: str
    """The instance that served the last request."""
    version: int | None
    """The version of that instance."""
    opened: int
    """How many sessions the client has opened. More than one means that a session has expired or was lost."""

    def __init__(self, world: World, service: str) -> None:
        self.service = service
        self.instance = ""
        self.version = None
        self.opened = 0
        self._world = world
        self._cookie: tuple[int, str, int, int] | None = None
        self.request()

    def __repr__(self) -> str:
        return f"<haddock.testing.Session on {self.instance!r}, version {self.version}>"

    def request(self, *, failed: bool = False) -> str:
        """Requests a page, which is answered at once, with an error if `failed`. Returns the instance."""
        self._end(self._begin(upgraded=False), failed)
        return self.instance

    @contextmanager
    def connected(self) -> Generator[str]:
        """Opens a connection that stays open, such as a WebSocket. While it is open, the session does not expire."""
        connection = self._begin(upgraded=True)
        try:
            yield self.instance
        finally:
            self._end(connection, False)

    def leave(self) -> None:
        """The client leaves: its session expires, and a later request opens another."""
        self._cookie = None

    def _begin(self, *, upgraded: bool) -> _native.SimRequest:
        request = self._world.locator._native.begin(self.service, self._cookie, upgraded)
        if request is None:
            raise NotFoundError(f"no instance of `{self.service}` takes a new session")
        self.opened += request.opened()
        if request.instance() != self.instance:
            self.instance = request.instance()
            self.version = self._world._version_of(self.service, self.instance)
        return request

    def _end(self, request: _native.SimRequest, failed: bool) -> None:
        self._cookie = request.finish(failed)


