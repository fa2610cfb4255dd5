"""Environments by name: bring up, use and take down."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _git, _native
from ._bridge import Asked, wait, wait_async
from ._environment_results import (
    EnvironmentComponent,
    EnvironmentEvent,
    EnvironmentPlan,
    Executed,
    PlannedChange,
    Switched,
    changes_of,
)
from ._errors import NotFoundError, NotSupportedError, TimedOutError
from ._exec import RunningCommand, how, place, run, run_async
from ._given import flag, optional_text, options_of, path, text, whole
from ._log_lines import Logs, query
from ._logs import LogLines, Search
from ._progress import OnEvent, telling
from ._release import Release
from ._result import Result, changed
from ._results import Plan
from ._values import Address, Duration, port_number, who

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ._arguments import PromoteArguments
    from ._exec import Input, Writable
    from ._given import Texts
    from ._log_lines import Since
    from ._logs import Wanted


_claims: dict[str, _native.Claim] = {}
"""The environments that this process has claimed."""

_WHOLE_LOG = 1_000_000
"""How many past lines are searched for a line that is waited for: all that an engine keeps."""


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
    """What the `up` that returned it has done; empty if it was looked up."""
    notes: list[str] = field(default_factory=list[str])
    """What the file has that has no effect, and variables that are not set."""
    _native: _native.Environments | None = field(default=None, repr=False, compare=False)

    def address(self, component: str, port: int | str | None = None) -> Address:
        """The address of a component's port, as seen from this machine. Without `port`, of its only port.

        The result has `host` and `port`, is `host:port` as a string, and can be unpacked: `host, port = …`. Raises
        `NotFoundError` if there is no such component or port, or the component does not run.
        """
        found = self._component(component)
        of_component = f"component `{component}` of environment `{self.name}`"
        if found.state != "running":
            what = f"{of_component} does not run: it is {found.state}"
            raise NotFoundError(what, hint="look at its log, or bring the environment up again")
        known = {**found.addresses, **found.published}
        listed = ", ".join(map(str, sorted(known)))
        if port is None:
            if len(known) == 1:
                return next(iter(known.values()))
            what = f"{of_component} has {'several ports' if known else 'no ports'}"
            raise NotFoundError(what, hint=f"name one: {listed}" if known else "list one under `expose` or `ports`")
        number = port_number(port)
        if number not in known:
            has = f"its ports are {listed}" if known else "it has no ports"
            what = f"{of_component} has no port {number}"
            raise NotFoundError(what, hint=f"{has}; list others under `expose` or `ports` in the compose file")
        return known[number]

    def url(self, component: str, port: int | str | None = None, path: str = "/", *, scheme: str = "http") -> str:
        """The URL of a path at a component's port, such as `http://127.0.0.1:49153/health`; see `address`."""
        return f"{scheme}://{self.address(component, port)}/{path.removeprefix('/')}"

    def logs(self, component: str, tail: int = 100, *, timeout: Duration | None = None) -> list[str]:
        """The last lines of a component's log, oldest first."""
        return self._logs(component, tail).wait(timeout)

    async def logs_async(self, component: str, tail: int = 100, *, timeout: Duration | None = None) -> list[str]:
        """As `logs`, in the running loop."""
        return await self._logs(component, tail).wait_async(timeout)

    def _logs(self, component: str, tail: int) -> Asked[list[str]]:
        return Asked("logs", self._environments().logs(self.name, text(component, "component"), whole(tail, "tail")))

    def follow_logs(self, component: str, tail: int = 100, *, timeout: Duration | None = None) -> LogLines:
        """The last lines of a component's log, and then each new line, for `for` or `async for`.

        After `timeout`, the wait for the next line raises `TimedOutError`.
        """
        return LogLines(self._environments().follow_logs(
            self.name, text(component, "component"), whole(tail, "tail")
        ), timeout)

    def wait_for_log(self, component: str, wanted: Wanted, *, timeout: Duration = 60.0) -> str:
        """The first line of a component's log that matches `wanted`. If there is none yet, it waits for one.

        `wanted` is a regular expression to find in the line, or a function that gets the line and returns whether it
        matches. Raises `TimedOutError` after `timeout`, and `ContainerExitedError` if the component ends before. Both
        have the last lines in `log_tail`.
        """
        search = self._search(component, wanted, timeout)
        try:
            for line in search.lines:
                if search.found(line):
                    return line
        except NotSupportedError:
            while (line := search.first_of(self.logs(component, _WHOLE_LOG))) is None:
                search.pause()
            return line
        except TimedOutError:
            raise search.late() from None
        raise search.ended()

    async def wait_for_log_async(self, component: str, wanted: Wanted, *, timeout: Duration = 60.0) -> str:
        """As `wait_for_log`, in the running loop."""
        search = self._search(component, wanted, timeout)
        try:
            async for line in search.lines:
                if search.found(line):
                    return line
        except NotSupportedError:
            while (line := search.first_of(await self.logs_async(component, _WHOLE_LOG))) is None:
                await search.pause_async()
            return line
        except TimedOutError:
            raise search.late() from None
        raise search.ended()

    def _search(self, component: str, wanted: Wanted, timeout: Duration) -> Search:
        lines = self.follow_logs(component, _WHOLE_LOG, timeout=timeout)
        return Search(lines, wanted, component, timeout)

    def copy_in(
        self, component: str, source: str | PathLike[str], target: str, *, timeout: Duration | None = None
    ) -> None:
        """Copies a file or folder of this machine into a component's container, to the path `target` there.

        If `target` ends with `/`, it is copied into that folder. The folder has to exist. `tar` has to be in the image.
        Raises `NotFoundError`, `NotSupportedError` and `TimedOutError`.
        """
        # Loaded only when first used, as below: few programs copy files.
        from ._copy import copied, packed

        archive, words = packed(path(source, "source"), text(target, "target"))
        with archive:
            copied(self.exec(component, words, stdin=archive, timeout=timeout), component, f"`{target}`")

    async def copy_in_async(
        self, component: str, source: str | PathLike[str], target: str, *, timeout: Duration | None = None
    ) -> None:
        """As `copy_in`, in the running loop."""
        from ._copy import copied, packed

        archive, words = packed(path(source, "source"), text(target, "target"))
        with archive:
            ran = await self.exec_async(component, words, stdin=archive, timeout=timeout)
        copied(ran, component, f"`{target}`")

    def copy_out(
        self, component: str, source: str, target: str | PathLike[str], *, timeout: Duration | None = None
    ) -> None:
        """Copies a file or folder out of a component's container, to the path `target` on this machine.

        If `target` is a folder, or ends with `/`, it is copied into that folder. `tar` has to be in the image.
        Raises `NotFoundError`, `NotSupportedError` and `TimedOutError`.
        """
        from ._copy import archived, copied, packing, unpacked

        with archived() as archive:
            words = packing(text(source, "source"))
            copied(self.exec(component, words, stdout=archive, timeout=timeout), component, f"`{source}`")
            unpacked(archive, source, path(target, "target"))

    async def copy_out_async(
        self, component: str, source: str, target: str | PathLike[str], *, timeout: Duration | None = None
    ) -> None:
        """As `copy_out`, in the running loop."""
        from ._copy import archived, copied, packing, unpacked

        with archived() as archive:
            words = packing(text(source, "source"))
            ran = await self.exec_async(component, words, stdout=archive, timeout=timeout)
            copied(ran, component, f"`{source}`")
            unpacked(archive, source, path(target, "target"))

    def read_logs(
        self, *components: str, tail: int | None = 100, since: Since = None, follow: bool = False
    ) -> Logs:
        """The merged logs of these components, or of all if none is named, for `for` or `async for`.

        `tail` is the number of last lines of each, `None` for all. `since` is a point in time, or how long ago it was.
        With `follow`, new lines come as they are written, until the containers end.
        """
        found = query(tail, since, follow)
        return Logs(self._environments().read_logs(place(self.name, None), list(components), found))

    def links(self, *, timeout: Duration | None = None) -> dict[str, dict[str, str]]:
        """For each component, the targets of its links by alias: another component, or what replaces it."""
        return wait(self._environments().links(self.name), timeout, "links")

    async def links_async(self, *, timeout: Duration | None = None) -> dict[str, dict[str, str]]:
        """As `links`, in the running loop."""
        return await wait_async(self._environments().links(self.name), timeout, "links")

    def history(self, *, timeout: Duration | None = None) -> list[EnvironmentEvent]:
        """What was done with environments of this name, oldest first; see `Controller.environment_history`."""
        return self._history().wait(timeout)

    async def history_async(self, *, timeout: Duration | None = None) -> list[EnvironmentEvent]:
        """As `history`, in the running loop."""
        return await self._history().wait_async(timeout)

    def _history(self) -> Asked[list[EnvironmentEvent]]:
        return Asked("history", self._environments().history(which(self.name)), EnvironmentEvent._all)

    def exec(
        self,
        component: str,
        command: Texts,
        *,
        stdin: Input | None = None,
        stdout: Writable | None = None,
        stderr: Writable | None = None,
        timeout: Duration | None = None,
    ) -> Executed:
        """Runs a command within a component's container, and returns when it has ended.

        `stdin` is its input; the default is an empty input. Its output goes byte for byte and without a limit to the
        binary files `stdout` and `stderr`. An output without a file is in the result, as text. `command` is a list of
        words, or a command line, which is split into words as a shell does. No shell runs: for pipes and variables
        write `["sh", "-c", "…"]`. A failure of the command raises nothing: look at `exit_code`. Raises `TimedOutError`
        if it takes longer than `timeout`. The command then goes on.
        """
        started = self._environments().attach(place(self.name, component), how(command, stdin is not None))
        return Executed(**run(started, stdin, stdout, stderr, timeout))

    async def exec_async(
        self,
        component: str,
        command: Texts,
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
        self, component: str, command: Texts, *, stdin: bool = True, terminal: tuple[int, int] | None = None
    ) -> RunningCommand:
        """Starts a command within a component's container, and returns its streams.

        With `terminal`, a number of columns and rows, it runs on a terminal of that size.
        """
        command_ = how(command, stdin, terminal)
        return RunningCommand(wait(self._environments().attach(place(self.name, component), command_)))

    async def attach_async(
        self, component: str, command: Texts, *, stdin: bool = True, terminal: tuple[int, int] | None = None
    ) -> RunningCommand:
        """As `attach`, in the running loop."""
        command_ = how(command, stdin, terminal)
        return RunningCommand(await wait_async(self._environments().attach(place(self.name, component), command_)))

    @overload
    def promote(self, service: str | None = None, *, dry_run: Literal[False] = False, **how: Unpack[PromoteArguments]) -> Release: ...
    @overload
    def promote(self, service: str | None = None, *, dry_run: Literal[True], **how: Unpack[PromoteArguments]) -> Plan: ...
    @overload
    def promote(self, service: str | None = None, *, dry_run: bool, **how: Unpack[PromoteArguments]) -> Release | Plan: ...
    def promote(
        self,
        service: str | None = None,
        *,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Release | Plan:
        """Releases this environment as a version of its service, with the production settings of its file.

        The version has the same images by digest and the same file. It is launched anew, beside this environment. This
        environment stays as it is, with its own database, until it is taken down. The default of `by` is the
        controller's. With `dry_run` nothing is done, and the answer is the plan. See `Controller.promote`.
        """
        asked = promoting(self._environments(), which(self.name), service, by or who(), force, dry_run, on_event)
        return asked.wait(timeout)

    @overload
    async def promote_async(self, service: str | None = None, *, dry_run: Literal[False] = False, **how: Unpack[PromoteArguments]) -> Release: ...
    @overload
    async def promote_async(self, service: str | None = None, *, dry_run: Literal[True], **how: Unpack[PromoteArguments]) -> Plan: ...
    @overload
    async def promote_async(self, service: str | None = None, *, dry_run: bool, **how: Unpack[PromoteArguments]) -> Release | Plan: ...
    async def promote_async(
        self,
        service: str | None = None,
        *,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Release | Plan:
        """As `promote`, in the running loop."""
        asked = promoting(self._environments(), which(self.name), service, by or who(), force, dry_run, on_event)
        return await asked.wait_async(timeout)

    def link(
        self,
        component: str,
        target: str | None,
        *,
        live: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> Switched:
        """Makes the users of a component use a target instead; see `Controller.link`."""
        return self._link(component, target, live, dry_run).wait(timeout)

    async def link_async(
        self,
        component: str,
        target: str | None,
        *,
        live: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> Switched:
        """As `link`, in the running loop."""
        return await self._link(component, target, live, dry_run).wait_async(timeout)

    def _link(self, component: str, target: str | None, live: bool, dry_run: bool) -> Asked[Switched]:
        call = self._environments().link(
            which(self.name),
            text(component, "component"),
            optional_text(target, "target"),
            flag(live, "live"),
            flag(dry_run, "dry_run"),
        )
        return Asked("link", call, Switched._of)

    @overload
    def down(self, *, volumes: bool = False, dry_run: Literal[False] = False, timeout: Duration | None = None) -> bool: ...
    @overload
    def down(self, *, volumes: bool = False, dry_run: Literal[True], timeout: Duration | None = None) -> EnvironmentPlan: ...
    @overload
    def down(self, *, volumes: bool = False, dry_run: bool, timeout: Duration | None = None) -> bool | EnvironmentPlan: ...
    def down(
        self, *, volumes: bool = False, dry_run: bool = False, timeout: Duration | None = None
    ) -> bool | EnvironmentPlan:
        """Stops and removes it, and with `volumes` also its volumes. Returns whether it was there.

        With `dry_run` it does nothing and returns the plan.
        """
        return taking_down(self._environments(), which(self.name), volumes, dry_run).wait(timeout)

    @overload
    async def down_async(self, *, volumes: bool = False, dry_run: Literal[False] = False, timeout: Duration | None = None) -> bool: ...
    @overload
    async def down_async(self, *, volumes: bool = False, dry_run: Literal[True], timeout: Duration | None = None) -> EnvironmentPlan: ...
    @overload
    async def down_async(self, *, volumes: bool = False, dry_run: bool, timeout: Duration | None = None) -> bool | EnvironmentPlan: ...
    async def down_async(
        self, *, volumes: bool = False, dry_run: bool = False, timeout: Duration | None = None
    ) -> bool | EnvironmentPlan:
        """As `down`, in the running loop."""
        return await taking_down(self._environments(), which(self.name), volumes, dry_run).wait_async(timeout)

    def __enter__(self) -> Self:
        claim(self._environments(), self.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        unclaim(self.name)

    async def __aenter__(self) -> Self:
        claim(self._environments(), self.name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down_async()
        unclaim(self.name)

    def to_dict(self) -> dict[str, Any]:
        """The environment as plain data, ready for JSON."""
        data = super().to_dict()
        del data["_native"]
        return {**data, "components": list(data["components"].values())}

    def _component(self, name: str) -> EnvironmentComponent:
        if name not in self.components:
            known = "`, `".join(self.components)
            raise NotFoundError(f"environment `{self.name}` has no component `{name}`", hint=f"it has `{known}`")
        return self.components[name]

    def _environments(self) -> _native.Environments:
        assert self._native is not None, "it came from a controller"
        return self._native

    @staticmethod
    def _of(data: dict[str, Any], native: _native.Environments) -> Environment:
        up: dict[str, Any] = data.get("environment", data)
        components = {each["name"]: EnvironmentComponent._of(each) for each in up["components"]}
        told = changes_of(data) if "steps" in data else []
        fields = changed(up, components=components, changes=told, notes=data.get("notes", []))
        return Environment(**fields, _native=native)


def claim(environments: _native.Environments, name: str) -> None:
    """Claims it as in use as long as this process lives. `prune` removes what a killed process has left."""
    with suppress(NotSupportedError):
        _claims[name] = environments.claim(name)


def unclaim(name: str) -> None:
    """Gives up the claim of this process."""
    claimed = _claims.pop(name, None)
    if claimed is not None:
        claimed.release()


def promoting(
    environments: _native.Environments, which: dict[str, Any], service: str | None, by: str, force: bool, dry_run: bool,
    on_event: OnEvent = None,
) -> Asked[Any]:
    """A promotion, or what it would do."""
    if flag(dry_run, "dry_run"):
        return Asked("promote", environments.plan_promote(which, optional_text(service, "service")), Plan._of)
    told = telling(environments, on_event)
    promoted = environments.promote(which, optional_text(service, "service"), text(by, "by"), flag(force, "force"))
    return Asked("promote", promoted, partial(Release, by=by), told)


def taking_down(
    environments: _native.Environments, which: dict[str, Any], volumes: bool, dry_run: bool, on_event: OnEvent = None
) -> Asked[Any]:
    """Taking an environment down, or what that would do."""
    if flag(dry_run, "dry_run"):
        return Asked("down", environments.plan_down(which, flag(volumes, "volumes")), EnvironmentPlan._of)
    told = telling(environments, on_event)
    gone = environments.down(which, flag(volumes, "volumes"))
    return Asked("down", gone, lambda data: data["was_there"], told)


def which(
    name: str | None, files: list[str] | None = None, options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The name of the environment: the given one, or that of the file and its directory's branch."""
    if name is not None:
        text(name, "name")
    directory = os.path.dirname(os.path.abspath(files[0])) if files else os.getcwd()
    branch = _git.branch(directory) if name is None else None
    return {"name": name, "files": files, "branch": branch, "options": options or options_of()}
