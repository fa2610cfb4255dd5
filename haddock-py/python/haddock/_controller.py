"""The controller: its ports and its verbs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _native
from ._bridge import Asked, wait, wait_async
from ._environment_verbs import EnvironmentVerbs
from ._errors import InvalidValueError, NotFoundError, NothingToDoError
from ._follow_verbs import FollowVerbs
from ._gates import checked
from ._given import (
    flag,
    names,
    optional_path,
    optional_text,
    optional_whole,
    options_of,
    path_of,
    text,
    whole,
)
from ._instance_verbs import InstanceVerbs
from ._look_back_verbs import LookBackVerbs
from ._release import Release
from ._results import Event, Finding, Plan, ResolvedFile, ServiceStatus
from ._steering import SteeringVerbs
from ._values import Address, optional_seconds, who

if TYPE_CHECKING:
    from typing import Union

    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ._arguments import RecoverArguments, ReleaseArguments
    from ._gates import Gate
    from ._given import Files, Path, Texts
    from ._locators import Gateway, Haproxy, RemoteGateway, ServiceLocator, SimLocator
    from ._runtimes import ContainerRuntime, Docker, Process, Sim
    from ._time import VirtualTime
    from ._values import Duration

    AnyLocator = Union[Gateway, Haproxy, RemoteGateway, SimLocator, ServiceLocator]

# An adopted server uses no image of the file, but the file's variables have to be filled in.
_ANY_TAG = "adopted"


class Controller(SteeringVerbs, FollowVerbs, LookBackVerbs, EnvironmentVerbs, InstanceVerbs):
    """Releases services. It consists of a container runtime, a service locator and a journal.

    Each verb blocks, and can be interrupted by Ctrl-C. `verb_async()` is the same as a coroutine. Use the controller as
    a context manager, sync or async, or call `close()`. Then others can act for its services at once.

    >>> with haddock.connect(runtime="sim") as h:
    ...     first = h.release("compose.yaml", tag="v1").wait()
    ...     second = h.release("compose.yaml", tag="v2", commit="3f2a1bc", by="ci@build-7")
    ...     shares = [event.share for event in second.events() if event.kind == "stage_reached"]
    ...     good = h.status("shop").known_good
    >>> round(first.seconds), shares, good
    (602, [0.0, 0.1, 0.5], 2)
    """

    __slots__ = ("_by", "_native", "_parts")

    def __init__(
        self,
        *,
        runtime: Docker | Process | Sim | ContainerRuntime,
        locator: AnyLocator | Mapping[str, AnyLocator],
        journal: Path | None = None,
        specs: Path | None = None,
        by: str | None = None,
        time: VirtualTime | None = None,
        tick: Duration | None = None,
        lease: Duration | None = None,
        journal_keep: str | None = None,
        gates: Mapping[str, Gate] | None = None,
    ) -> None:
        """Makes a controller from its parts.

        `locator` may be several, by name: each gets each table, and a version serves once all of them have it. The names
        are in the journal, so keep them. `journal` is a SQLite file; without one the journal is in memory. `specs` is the directory of the resolved
        specifications, which hold values of environment variables. By default it is next to the journal. `by` says who
        asks. `time` is a virtual time. The default is that of a `Sim` or `SimLocator`, or otherwise real time. `tick`
        is the longest time between two observations. `lease` is how long others wait for a controller that has
        vanished, at least 15 s. `journal_keep` says how much of each service's history is kept: all events up to an
        age, and at least a number of the newest ones. The default is `400d,100000`. `gates` are the functions that the
        compose file's `gate: { call: NAME }` asks, by name.
        """
        locators: dict[str, Any] = dict(locator) if isinstance(locator, Mapping) else {"gateway": locator}
        if not locators:
            raise InvalidValueError("a controller needs a locator", hint="name at least one")
        for given, what, parameter in (
            (runtime, "runtime", "_native_runtime"),
            *((each, "locator", "_native_locator") for each in locators.values()),
        ):
            if isinstance(given, type) or not hasattr(given, parameter):
                kind = "the class itself: call it" if isinstance(given, type) else f"`{type(given).__name__}`"
                raise TypeError(f"`{what}` takes a {what} such as `haddock.Sim{'Locator' * (what == 'locator')}()`, not {kind}")
        self._by = text(by, "by") if by else who()
        if time is None:
            times = (getattr(each, "time", None) for each in (runtime, *locators.values()))
            time = next((each for each in times if each), None)
        if specs is None and journal is not None:
            specs = os.path.join(os.path.dirname(os.path.abspath(journal)), "specs")
        # The parts must not be garbage collected while they are used.
        self._parts = (runtime, locator, time)
        self._native = _native.controller(
            runtime._native_runtime(),
            {name: each._native_locator() for name, each in locators.items()},
            optional_path(journal, "journal"),
            optional_path(specs, "specs"),
            f"{self._by}, pid {os.getpid()}",
            None if time is None else time._native,
            optional_seconds(tick, "tick"),
            optional_seconds(lease, "lease"),
            optional_text(journal_keep, "journal_keep"),
            checked(gates),
        )

    def __repr__(self) -> str:
        runtime, locator, _ = self._parts
        return f"<haddock.Controller of {runtime!r} and {locator!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()

    def close(self) -> None:
        """Stops this controller. Releases in progress stay as they are until another controller acts.

        A second call does nothing. After it, all other calls to the controller and to objects that it returned raise
        `ClosedError`.
        """
        wait(self._native.close())

    async def close_async(self) -> None:
        """As `close`, in the running loop."""
        await wait_async(self._native.close())

    @overload
    def release(
        self, file: Files | None = None, *, dry_run: Literal[False] = False, **how: Unpack[ReleaseArguments]
    ) -> Release: ...
    @overload
    def release(
        self, file: Files | None = None, *, dry_run: Literal[True], **how: Unpack[ReleaseArguments]
    ) -> Plan: ...
    @overload
    def release(
        self, file: Files | None = None, *, dry_run: bool, **how: Unpack[ReleaseArguments]
    ) -> Release | Plan: ...
    def release(
        self,
        file: Files | None = None,
        *,
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        built: bool = False,
        commit: str | None = None,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> Release | Plan:
        """Releases what the compose file describes.

        Without `file` it is found as Compose finds it. `tag` is the value of `${TAG}`. `images` names images by
        component: a reference, or `":tag"` for the file's repository with that tag. `variables` are more variables of
        the release. `env_files` are read instead of `.env`. `profiles` are active in addition to those of
        `COMPOSE_PROFILES`. `built` takes the images of components with `build` as `Images.of_file` has built them, and asks
        no registry for them. `timeout` limits the request only. Give `Release.wait` a limit for the release.

        This controller acts, unless another one does. If the same is already being released, the call follows that
        release. So a script that was killed can just be run again. `force` begins a new release. If the gateway does
        not answer, it raises `LocatorUnavailableError` and starts nothing. With `dry_run` it does nothing and returns
        the plan:

        >>> with haddock.connect(runtime="sim") as h:
        ...     print(*h.release("compose.yaml", tag="v1", dry_run=True).steps, sep="\\n")
        pull `shop:v1` for `web`
        launch one instance, and wait until `/health` on port 8080 of `web` answers, for at most 2m
        give it all new sessions at once: nothing else serves
        hold that for 10m; then it has settled
        """
        return self._release(
            file, options_of(tag, images, variables, env_files, profiles, built), commit, by or self._by, force, dry_run
        ).wait(timeout)

    @overload
    async def release_async(
        self, file: Files | None = None, *, dry_run: Literal[False] = False, **how: Unpack[ReleaseArguments]
    ) -> Release: ...
    @overload
    async def release_async(
        self, file: Files | None = None, *, dry_run: Literal[True], **how: Unpack[ReleaseArguments]
    ) -> Plan: ...
    @overload
    async def release_async(
        self, file: Files | None = None, *, dry_run: bool, **how: Unpack[ReleaseArguments]
    ) -> Release | Plan: ...
    async def release_async(
        self,
        file: Files | None = None,
        *,
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        built: bool = False,
        commit: str | None = None,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> Release | Plan:
        """As `release`, in the running loop."""
        return await self._release(
            file, options_of(tag, images, variables, env_files, profiles, built), commit, by or self._by, force, dry_run
        ).wait_async(timeout)

    def _release(
        self, file: Files | None, options: dict[str, Any], commit: str | None, by: str, force: bool, dry_run: bool
    ) -> Asked[Any]:
        if flag(dry_run, "dry_run"):
            return Asked("release", self._native.plan(path_of(file), options), Plan._of)
        call = self._native.release(path_of(file), options, optional_text(commit, "commit"), text(by, "by"), flag(force, "force"))
        return Asked("release", call, partial(Release, by=by))

    def adopt(
        self,
        service: str,
        address: str | Address,
        *,
        file: Files | None = None,
        tag: str | None = None,
        idle: Duration | None = None,
        cookie: str | None = None,
        by: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> Plan | None:
        """Takes over a running server at `address`, with its sessions, as the first version.

        Haddock neither starts nor stops it. The first release drains it, and the event `external_released` says when
        nothing is left on it. `file` is the compose file of the later releases; its settings are used, or the defaults
        without a file. `idle` is the time after which its idle sessions expire. `cookie` is the name of its session
        cookie. Returns when the server has answered its probe. With `dry_run` it does nothing and returns the plan.
        """
        return self._adopt(service, address, file, tag, idle, cookie, by or self._by, dry_run).wait(timeout)

    async def adopt_async(
        self,
        service: str,
        address: str | Address,
        *,
        file: Files | None = None,
        tag: str | None = None,
        idle: Duration | None = None,
        cookie: str | None = None,
        by: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> Plan | None:
        """As `adopt`, in the running loop."""
        return await self._adopt(service, address, file, tag, idle, cookie, by or self._by, dry_run).wait_async(timeout)

    def _adopt(
        self,
        service: str,
        address: str | Address,
        file: Files | None,
        tag: str | None,
        idle: Duration | None,
        cookie: str | None,
        by: str,
        dry_run: bool,
    ) -> Asked[Plan | None]:
        if flag(dry_run, "dry_run"):
            return Asked("adopt", self._native.status(text(service, "service")), partial(_adopting, service, str(address)))
        options, limit = options_of(_ANY_TAG if tag is None else tag), optional_seconds(idle, "idle")
        return Asked(
            "adopt",
            self._native.adopt(
                text(service, "service"),
                str(address) if isinstance(address, Address) else text(address, "address"),
                path_of(file),
                options,
                limit,
                optional_text(cookie, "cookie"),
                text(by, "by"),
            ),
        )

    @overload
    def recover(
        self, service: str, *, dry_run: Literal[False] = False, **how: Unpack[RecoverArguments]
    ) -> ServiceStatus: ...
    @overload
    def recover(
        self, service: str, *, dry_run: Literal[True], **how: Unpack[RecoverArguments]
    ) -> Plan: ...
    @overload
    def recover(
        self, service: str, *, dry_run: bool, **how: Unpack[RecoverArguments]
    ) -> ServiceStatus | Plan: ...
    def recover(
        self,
        service: str,
        *,
        file: Files | None = None,
        tag: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> ServiceStatus | Plan:
        """Rebuilds the lost journal of a service from the labels of its containers and the gateway's table.

        The journal of this controller has to be empty: it takes the lost one's id. If the specifications are lost too,
        give `file` and the `tag` that runs instead. The history is lost. A release that was in progress does not go on:
        its version drains. With `dry_run` it does nothing and returns the plan.
        """
        if flag(dry_run, "dry_run"):
            return self._recovery(service).wait(timeout)
        wait(self._native.recover(text(service, "service"), path_of(file), options_of(tag)), timeout, "recover")
        return _known(service, self.status(service))

    @overload
    async def recover_async(
        self, service: str, *, dry_run: Literal[False] = False, **how: Unpack[RecoverArguments]
    ) -> ServiceStatus: ...
    @overload
    async def recover_async(
        self, service: str, *, dry_run: Literal[True], **how: Unpack[RecoverArguments]
    ) -> Plan: ...
    @overload
    async def recover_async(
        self, service: str, *, dry_run: bool, **how: Unpack[RecoverArguments]
    ) -> ServiceStatus | Plan: ...
    async def recover_async(
        self,
        service: str,
        *,
        file: Files | None = None,
        tag: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> ServiceStatus | Plan:
        """As `recover`, in the running loop."""
        if flag(dry_run, "dry_run"):
            return await self._recovery(service).wait_async(timeout)
        await wait_async(self._native.recover(text(service, "service"), path_of(file), options_of(tag)), timeout, "recover")
        return _known(service, await self.status_async(service))

    def _recovery(self, service: str) -> Asked[Plan]:
        return Asked("recover", self._native.status(text(service, "service")), partial(_recovering, service))

    def status(self, service: str, *, timeout: Duration | None = None) -> ServiceStatus | None:
        """The present state of a service, or `None` if it was never released."""
        return Asked("status", self._native.status(text(service, "service")), _status).wait(timeout)

    async def status_async(self, service: str, *, timeout: Duration | None = None) -> ServiceStatus | None:
        """As `status`, in the running loop."""
        return await Asked("status", self._native.status(text(service, "service")), _status).wait_async(timeout)

    def services(self, *, timeout: Duration | None = None) -> list[str]:
        """The services of the journal."""
        return Asked[list[str]]("services", self._native.services()).wait(timeout)

    async def services_async(self, *, timeout: Duration | None = None) -> list[str]:
        """As `services`, in the running loop."""
        return await Asked[list[str]]("services", self._native.services()).wait_async(timeout)

    def history(
        self, service: str, *, since: int = 0, limit: int | None = None, timeout: Duration | None = None
    ) -> list[Event]:
        """The events, oldest first: up to `limit` events after the one with sequence `since`."""
        return self._history_of(service, since, limit).wait(timeout)

    async def history_async(
        self, service: str, *, since: int = 0, limit: int | None = None, timeout: Duration | None = None
    ) -> list[Event]:
        """As `history`, in the running loop."""
        return await self._history_of(service, since, limit).wait_async(timeout)

    async def _newest_async(self, service: str) -> int:
        """The sequence of a service's newest event; 0 if there is none."""
        return await Asked[int]("newest", self._native.newest(text(service, "service"))).wait_async(None)

    def _history_of(self, service: str, since: int, limit: int | None) -> Asked[list[Event]]:
        told = self._native.history(
            text(service, "service"), whole(since, "since"), optional_whole(limit, "limit")
        )
        return Asked("history", told, lambda data: [Event._of(service, this) for this in data])

    def resolve(
        self,
        file: Files | None = None,
        *,
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        release: bool = True,
        timeout: Duration | None = None,
    ) -> ResolvedFile:
        """The resolved compose file: which components are versioned or shared, and why. It changes nothing.

        The file is checked for a release. With `release=False` it is resolved for a test environment, which needs no
        entry.
        """
        return self._resolve(
            path_of(file), options_of(tag, images, variables, env_files, profiles), release
        ).wait(timeout)

    async def resolve_async(
        self,
        file: Files | None = None,
        *,
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        release: bool = True,
        timeout: Duration | None = None,
    ) -> ResolvedFile:
        """As `resolve`, in the running loop."""
        return await self._resolve(
            path_of(file), options_of(tag, images, variables, env_files, profiles), release
        ).wait_async(timeout)

    def _resolve(self, paths: list[str] | None, options: dict[str, Any], release: bool) -> Asked[ResolvedFile]:
        return Asked("resolve", self._native.resolve(paths, options, flag(release, "release")), ResolvedFile._of)

    def _config(
        self, file: Files | None, options: Mapping[str, Any], *, release: bool, values: bool, yaml: bool
    ) -> str:
        """The resolved compose file as Compose writes it."""
        told = self._native.config(path_of(file), options_of(**options), release, values, yaml)
        return Asked("config", told, str).wait(None)

    def check(self, *, timeout: Duration | None = None) -> list[Finding]:
        """Checks engine, gateway and journal, and says how to fix each problem. It changes nothing.

        >>> with haddock.connect(runtime="sim") as h:
        ...     [(it.name, it.state) for it in h.check()]
        [('engine', 'ok'), ('gateway', 'ok'), ('journal', 'ok')]
        """
        return Asked("check", self._native.check(), Finding._all).wait(timeout)

    async def check_async(self, *, timeout: Duration | None = None) -> list[Finding]:
        """As `check`, in the running loop."""
        return await Asked("check", self._native.check(), Finding._all).wait_async(timeout)

    def serve(self, *, services: Texts | None = None, timeout: Duration | None = None) -> None:
        """Acts for these services, or for every service of the journal, until it is interrupted.

        After `timeout` it stops cleanly and raises `TimedOutError`.
        """
        wait(self._native.serve(None if services is None else names(services, "services")), timeout, "serve")

    async def serve_async(self, *, services: Texts | None = None, timeout: Duration | None = None) -> None:
        """As `serve`, in the running loop, until it is cancelled."""
        served = self._native.serve(None if services is None else names(services, "services"))
        await wait_async(served, timeout, "serve")


def _adopting(service: str, address: str, data: dict[str, Any] | None) -> Plan:
    """What an adoption would do."""
    if data is not None and ServiceStatus._of(data).instances:
        message = f"service `{service}` has instances of its own, or is being released"
        raise NothingToDoError(message, hint="adopt a server before the first release; now release the version that is to serve")
    adopted = f"give it all new sessions: it is an instance of `{service}`, and is neither started nor stopped"
    return Plan(service, {}, [], [], [f"wait until the server at `{address}` answers its probe", adopted])


def _recovering(service: str, data: dict[str, Any] | None) -> Plan:
    """What a recovery would do."""
    if data is not None:
        raise NothingToDoError(f"the journal knows service `{service}`, which is not lost")
    steps = [
        f"look for containers of `{service}`, and ask the gateway what it has in force",
        "take the id of the journal that was lost",
        "write what they are to the journal; nothing is started or stopped",
    ]
    return Plan(service, {}, [], [], steps)


def _known(service: str, status: ServiceStatus | None) -> ServiceStatus:
    if status is None:
        raise NotFoundError(f"nothing is known of service `{service}`")
    return status


def _status(data: dict[str, Any] | None) -> ServiceStatus | None:
    return None if data is None else ServiceStatus._of(data)
