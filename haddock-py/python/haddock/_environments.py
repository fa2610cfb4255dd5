"""Environments by name: brought up, used, and taken down."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from . import _git, _native
from ._bridge import wait, wait_async
from ._errors import HaddockError, NotFound, NotSupported
from ._exec import RunningCommand, how, place, run, run_async
from ._ports import ContainerState, state_of
from ._release import Release
from ._results import Result, changed
from ._values import Duration, moment, who

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from typing_extensions import Self

    from ._exec import Input, Writable

_claims: dict[str, _native.Claim] = {}
"""What this process says that it uses."""

Change = Literal["create", "start", "restart", "unpause", "replace", "keep", "remove"]
"""What becomes of a component."""


@dataclass(frozen=True)
class PlannedChange(Result):
    """What becomes of a component when its environment is brought up."""

    component: str
    """The component."""
    change: Change
    """What becomes of it."""
    cause: str
    """Why, for people."""


@dataclass(frozen=True)
class EnvironmentPlan(Result):
    """What bringing an environment up would do."""

    name: str
    """The environment's name."""
    changes: list[PlannedChange]
    """What becomes of each component; what others need comes first."""
    notes: list[str]
    """What the file has that has no effect, and variables that are not set."""

    @staticmethod
    def _of(data: dict[str, Any]) -> EnvironmentPlan:
        return EnvironmentPlan(data["name"], _changes(data), data["notes"])


@dataclass(frozen=True)
class Executed(Result):
    """How a command within a component's container ended."""

    exit_code: int
    """Its exit code."""
    stdout: str
    """What it wrote to standard output. What is no UTF-8 is replaced."""
    stderr: str
    """What it wrote to standard error."""


@dataclass(frozen=True)
class Pruned(Result):
    """What became of an environment when it was looked at."""

    name: str
    """The environment."""
    verdict: Literal["used", "idle", "stop", "remove", "failed"]
    """What became of it, or would; `failed`: it could not be looked at, stopped or removed, and is tried again."""
    idle_for: float
    """For how many seconds it has been idle; 0 if it is in use."""
    why: str
    """Why it counts as in use, or why it failed; empty for others."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Pruned:
        why = data.get("why") or data.get("error", {}).get("message", "")
        return Pruned(data["name"], data["verdict"], data.get("for_ms", 0) / 1000, why)


@dataclass(frozen=True)
class Switched(Result):
    """What came of switching a link, or would."""

    name: str
    """The environment."""
    changes: list[PlannedChange]
    """What became of its components; empty if they went on running."""
    users: list[str]
    """The components that use the link."""
    verified: list[str]
    """Those of them within which the alias was looked up, and found to be the target's alone."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Switched:
        return Switched(data["name"], _changes(data), data["users"], data["verified"])


@dataclass(frozen=True)
class Difference(Result):
    """One thing that is not as the file says."""

    path: str
    """Which, by its keys in the file, such as `services.web.image`; `live.…`: a container that is not as it was made."""
    was: str | None
    """What it is in what runs; `None`: it is not there. Values of environment variables are `***`."""
    now: str | None
    """What the file says; `None`: it is not there."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Difference:
        return Difference(data["path"], data["was"], data["is"])


@dataclass(frozen=True)
class EnvironmentEvent(Result):
    """Something that was done with an environment."""

    at: datetime
    """When it ended, in UTC."""
    deed: Literal["up", "link", "stop", "down"]
    """What: `stop` is by the monitor, because nobody used it."""
    by: str
    """By whom."""
    commit: str | None
    """From which commit it was, with `-dirty` if there were changes."""
    file: str | None
    """From which compose file."""
    spec: str | None
    """The digest of its specification."""
    changes: list[str]
    """What changed, for people."""
    error: HaddockError | None
    """Why it failed, if it did."""

    @staticmethod
    def _of(data: dict[str, Any]) -> EnvironmentEvent:
        error = data.get("error")
        return EnvironmentEvent(
            at=moment(data["at"]),
            deed=data["deed"],
            by=data["by"],
            commit=data.get("commit"),
            file=data.get("file"),
            spec=data.get("spec"),
            changes=data.get("changes", []),
            error=None if error is None else HaddockError._from_dict(error),
        )


class LogLines:
    """A log as it grows, line by line, until the container ends. Iterate with `for` or `async for`, once."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.LogLines) -> None:
        self._native = native

    def __iter__(self) -> LogLines:
        return self

    def __next__(self) -> str:
        line = wait(self._native.next())
        if line is None:
            raise StopIteration
        return line

    def __aiter__(self) -> LogLines:
        return self

    async def __anext__(self) -> str:
        line = await wait_async(self._native.next())
        if line is None:
            raise StopAsyncIteration
        return line


@dataclass(frozen=True)
class EnvironmentComponent(Result):
    """A component of an environment, as its container is."""

    name: str
    """Its name."""
    container: str
    """Its container's name on the runtime."""
    state: ContainerState
    """What it is doing."""
    exit_code: int | None
    """The exit code of one that has exited, or that is restarting."""
    health: Literal["none", "starting", "healthy", "unhealthy"]
    """What its own health check says."""
    addresses: Mapping[int, str]
    """For each port that the file exposes, where it is reached from this machine."""
    published: Mapping[int, str]
    """For each port that is published on the host, where."""

    @staticmethod
    def _of(data: dict[str, Any]) -> EnvironmentComponent:
        state, ended = state_of(data["state"])
        ports = {key: {int(port): at for port, at in data[key].items()} for key in ("addresses", "published")}
        return EnvironmentComponent(
            **changed(data, state=state, exit_code=ended.get("code"), **ports)
        )


@dataclass(frozen=True)
class Environment(Result):
    """An environment that is up. As a context manager, sync or async, it is taken down at the end.

    >>> with haddock.connect(runtime="sim") as h:
    ...     with h.up("compose.yaml", name="pr-42", tag="v1") as environment:
    ...         state = environment.components["web"].state
    ...     left = h.environments()
    >>> state, left
    ('running', [])
    """

    name: str
    """Its name."""
    components: dict[str, EnvironmentComponent]
    """Its components."""
    by: str | None
    """Who asked for it."""
    commit: str | None
    """From which commit it was brought up, with `-dirty` if there were changes."""
    file: str | None
    """From which compose file."""
    changes: list[PlannedChange] = field(default_factory=list[PlannedChange])
    """What the `up` that gave it has done; empty of one that was looked up."""
    notes: list[str] = field(default_factory=list[str])
    """What the file has that has no effect, and variables that are not set."""
    _native: _native.Environments | None = field(default=None, repr=False, compare=False)

    def address(self, component: str, port: int) -> str:
        """Where a port of a component is reached from this machine, as `host:port`.

        Raises `NotFound` if there is no such component or port, or it does not run.
        """
        found = self._component(component)
        address = found.published.get(port) or found.addresses.get(port)
        if address is None:
            known = sorted({*found.addresses, *found.published})
            listed = f"it has {', '.join(map(str, known))}" if known else "it has none"
            what = f"component `{component}` of environment `{self.name}` has no port {port}"
            if found.state == "paused":
                what, listed = f"component `{component}` of environment `{self.name}` is paused", "bring it up again"
            elif found.state != "running":
                what, listed = f"component `{component}` of environment `{self.name}` does not run", "bring it up again"
            raise NotFound(what, hint=f"{listed}; list it under `expose` or `ports`" if known else listed)
        return address

    def logs(self, component: str, tail: int = 100) -> list[str]:
        """The last lines of a component's log, oldest first."""
        return wait(self._environments().logs(self.name, component, tail))

    async def logs_async(self, component: str, tail: int = 100) -> list[str]:
        """As `logs`, in the running loop."""
        return await wait_async(self._environments().logs(self.name, component, tail))

    def follow_logs(self, component: str, tail: int = 100) -> LogLines:
        """The last lines of a component's log, and then each as it is written: for `for` or `async for`."""
        return LogLines(self._environments().follow_logs(self.name, component, tail))

    def links(self) -> dict[str, dict[str, str]]:
        """For each component, where its links lead, by alias: another component, or what takes its place."""
        return wait(self._environments().links(self.name))

    async def links_async(self) -> dict[str, dict[str, str]]:
        """As `links`, in the running loop."""
        return await wait_async(self._environments().links(self.name))

    def history(self) -> list[EnvironmentEvent]:
        """What was done with environments of this name, oldest first; see `Controller.environment_history`."""
        return [EnvironmentEvent._of(each) for each in wait(self._environments().history(which(self.name)))]

    async def history_async(self) -> list[EnvironmentEvent]:
        """As `history`, in the running loop."""
        return [EnvironmentEvent._of(each) for each in await wait_async(self._environments().history(which(self.name)))]

    def exec(
        self,
        component: str,
        command: str | Sequence[str],
        *,
        stdin: Input | None = None,
        stdout: Writable | None = None,
        stderr: Writable | None = None,
        timeout: Duration | None = None,
    ) -> Executed:
        """Runs a command within a component's container, and returns when it has ended.

        What it reads is `stdin`; without, it reads the end at once. What it writes goes to the files `stdout` and `stderr`,
        opened as binary, byte for byte and without a limit; what has no file is in the result, as text. A text as command is
        split as a shell does it; no shell is run. Raises `TimedOut` if it takes longer than `timeout`; it then goes on by
        itself.
        """
        started = self._environments().attach(place(self.name, component), how(command, stdin is not None))
        return Executed(**run(started, stdin, stdout, stderr, timeout))

    async def exec_async(
        self,
        component: str,
        command: str | Sequence[str],
        *,
        stdin: Input | None = None,
        stdout: Writable | None = None,
        stderr: Writable | None = None,
        timeout: Duration | None = None,
    ) -> Executed:
        """As `exec`, in the running loop."""
        started = self._environments().attach(place(self.name, component), how(command, stdin is not None))
        return Executed(**await run_async(started, stdin, stdout, stderr, timeout))

    def attach(
        self, component: str, command: str | Sequence[str], *, stdin: bool = True, terminal: tuple[int, int] | None = None
    ) -> RunningCommand:
        """Starts a command within a component's container, and hands its streams over.

        With `terminal`, a number of columns and rows, it runs on a terminal of that size.
        """
        command_ = how(command, stdin, terminal)
        return RunningCommand(wait(self._environments().attach(place(self.name, component), command_)))

    async def attach_async(
        self, component: str, command: str | Sequence[str], *, stdin: bool = True, terminal: tuple[int, int] | None = None
    ) -> RunningCommand:
        """As `attach`, in the running loop."""
        command_ = how(command, stdin, terminal)
        return RunningCommand(await wait_async(self._environments().attach(place(self.name, component), command_)))

    def promote(self, service: str | None = None, *, by: str | None = None, force: bool = False) -> Release:
        """Releases what runs here as a version of its service, with the production settings of its file.

        The same images by digest, and the same file; each version is launched anew, beside this environment, which stays
        as it is with its own database until it is taken down. Without `by` it is who is asking here. See
        `Controller.promote`.
        """
        asking = by or who()
        return Release(wait(self._environments().promote(which(self.name), service, asking, force)), asking)

    async def promote_async(
        self, service: str | None = None, *, by: str | None = None, force: bool = False
    ) -> Release:
        """As `promote`, in the running loop."""
        asking = by or who()
        promoted = self._environments().promote(which(self.name), service, asking, force)
        return Release(await wait_async(promoted), asking)

    def link(self, component: str, target: str | None, *, live: bool = False) -> Switched:
        """Lets what uses a component use something else in its place; see `Controller.link`."""
        return Switched._of(wait(self._environments().link(which(self.name), component, target, live, False)))

    async def link_async(self, component: str, target: str | None, *, live: bool = False) -> Switched:
        """As `link`, in the running loop."""
        switched = self._environments().link(which(self.name), component, target, live, False)
        return Switched._of(await wait_async(switched))

    def down(self, *, volumes: bool = False) -> None:
        """Stops and removes it; `volumes` its volumes, too. It is no error if that has been done."""
        wait(self._environments().down(which(self.name), volumes))

    async def down_async(self, *, volumes: bool = False) -> None:
        """As `down`, in the running loop."""
        await wait_async(self._environments().down(which(self.name), volumes))

    def __enter__(self) -> Self:
        self._claim()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        _released(self.name)

    async def __aenter__(self) -> Self:
        self._claim()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down_async()
        _released(self.name)

    def to_dict(self) -> dict[str, Any]:
        """The environment as plain data, ready for JSON."""
        data = super().to_dict()
        del data["_native"]
        return {**data, "components": list(data["components"].values())}

    def _claim(self) -> None:
        """Says, for as long as this process lives, that it is in use: `prune` ends what a killed one has left."""
        with suppress(NotSupported):
            _claims[self.name] = self._environments().claim(self.name)

    def _component(self, name: str) -> EnvironmentComponent:
        if name not in self.components:
            known = "`, `".join(self.components)
            raise NotFound(f"environment `{self.name}` has no component `{name}`", hint=f"it has `{known}`")
        return self.components[name]

    def _environments(self) -> _native.Environments:
        assert self._native is not None, "it came from a controller"
        return self._native

    @staticmethod
    def _of(data: dict[str, Any], native: _native.Environments) -> Environment:
        up: dict[str, Any] = data.get("environment", data)
        components = {each["name"]: EnvironmentComponent._of(each) for each in up["components"]}
        told = _changes(data) if "steps" in data else []
        fields = changed(up, components=components, changes=told, notes=data.get("notes", []))
        return Environment(**fields, _native=native)


def _released(name: str) -> None:
    """This process uses it no longer."""
    claim = _claims.pop(name, None)
    if claim is not None:
        claim.release()


def which(
    name: str | None, files: list[str] | None = None, options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Which environment is meant: the one named, or that of the file and the branch its directory is on."""
    nothing: dict[str, Any] = {"tag": None, "images": {}, "variables": {}, "env_files": []}
    directory = os.path.dirname(os.path.abspath(files[0])) if files else os.getcwd()
    branch = _git.branch(directory) if name is None else None
    return {"name": name, "files": files, "branch": branch, "options": options or nothing}


def _changes(data: dict[str, Any]) -> list[PlannedChange]:
    return [PlannedChange(**step) for step in data["steps"]]
