"""The verbs of a controller for environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from ._bridge import Asked
from ._environment_results import Difference, EnvironmentEvent, EnvironmentPlan, Pruned, Switched
from ._environments import Environment, promoting, taking_down, which
from ._given import flag, optional_text, options_of, path_of, text
from ._progress import OnEvent, telling
from ._release import Release
from ._results import Plan
from ._up_verbs import UpVerbs
from ._values import Duration, optional_seconds, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from ._arguments import PromoteArguments
    from ._given import Files, Texts


class EnvironmentVerbs(UpVerbs):
    """The verbs of a controller for environments."""

    __slots__ = ()

    def diff(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        timeout: Duration | None = None,
    ) -> list[Difference]:
        """How a running environment differs from its file, and which containers were changed since they were made."""
        return self._diff(
            which(name, path_of(file), options_of(tag, images, variables, env_files, profiles))
        ).wait(timeout)

    async def diff_async(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        timeout: Duration | None = None,
    ) -> list[Difference]:
        """As `diff`, in the running loop."""
        return await self._diff(
            which(name, path_of(file), options_of(tag, images, variables, env_files, profiles))
        ).wait_async(timeout)

    def _diff(self, meant: dict[str, Any]) -> Asked[list[Difference]]:
        return Asked("diff", self._native.environments().diff(meant), Difference._all)

    def environment_history(
        self, name: str | None = None, *, file: Files | None = None, timeout: Duration | None = None
    ) -> list[EnvironmentEvent]:
        """What was done with environments of that name, oldest first: the last 200 events, even if the environment is
        gone."""
        return self._history(which(name, path_of(file))).wait(timeout)

    async def environment_history_async(
        self, name: str | None = None, *, file: Files | None = None, timeout: Duration | None = None
    ) -> list[EnvironmentEvent]:
        """As `environment_history`, in the running loop."""
        return await self._history(which(name, path_of(file))).wait_async(timeout)

    def _history(self, meant: dict[str, Any]) -> Asked[list[EnvironmentEvent]]:
        return Asked("environment_history", self._native.environments().history(meant), EnvironmentEvent._all)

    @overload
    def down(
        self, name: str | None = None, *, file: Files | None = None, volumes: bool = False, dry_run: Literal[False] = False, timeout: Duration | None = None, on_event: OnEvent = None
    ) -> bool: ...
    @overload
    def down(
        self, name: str | None = None, *, file: Files | None = None, volumes: bool = False, dry_run: Literal[True], timeout: Duration | None = None, on_event: OnEvent = None
    ) -> EnvironmentPlan: ...
    @overload
    def down(
        self, name: str | None = None, *, file: Files | None = None, volumes: bool = False, dry_run: bool, timeout: Duration | None = None, on_event: OnEvent = None
    ) -> bool | EnvironmentPlan: ...
    def down(
        self,
        name: str | None = None,
        *,
        file: Files | None = None,
        volumes: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> bool | EnvironmentPlan:
        """Stops and removes the named environment, or that of `file` and its branch. Returns whether there was one.

        `volumes` removes its volumes, too, with all their data. With `dry_run` it does nothing and returns the plan.
        Raises `BusyError` if instances of a service share it.
        """
        return taking_down(self._native.environments(), which(name, path_of(file)), volumes, dry_run, on_event).wait(timeout)

    @overload
    async def down_async(
        self, name: str | None = None, *, file: Files | None = None, volumes: bool = False, dry_run: Literal[False] = False, timeout: Duration | None = None, on_event: OnEvent = None
    ) -> bool: ...
    @overload
    async def down_async(
        self, name: str | None = None, *, file: Files | None = None, volumes: bool = False, dry_run: Literal[True], timeout: Duration | None = None, on_event: OnEvent = None
    ) -> EnvironmentPlan: ...
    @overload
    async def down_async(
        self, name: str | None = None, *, file: Files | None = None, volumes: bool = False, dry_run: bool, timeout: Duration | None = None, on_event: OnEvent = None
    ) -> bool | EnvironmentPlan: ...
    async def down_async(
        self,
        name: str | None = None,
        *,
        file: Files | None = None,
        volumes: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> bool | EnvironmentPlan:
        """As `down`, in the running loop."""
        asked = taking_down(self._native.environments(), which(name, path_of(file)), volumes, dry_run, on_event)
        return await asked.wait_async(timeout)

    def link(
        self,
        component: str,
        target: str | None,
        *,
        name: str | None = None,
        file: Files | None = None,
        live: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Switched:
        """Makes the users of `component` use a target instead; without a target, the component itself again.

        `target` is `tcp://HOST:PORT`, `ENVIRONMENT/COMPONENT` or `container:NAME`. It is tried first. Then the users of
        the component are started anew with it. With `live` they go on running, and find it at their next look-up. If
        they do not become ready, the old link is restored. Clients that a gateway sends to the environment wait
        meanwhile. The next `up` restores what the file says. With `dry_run` it does nothing and returns what it would
        do.

        Raises `NotFoundError`, and `NeverReadyError` if the target does not answer.
        """
        return self._link(which(name, path_of(file)), component, target, live, dry_run, on_event).wait(timeout)

    async def link_async(
        self,
        component: str,
        target: str | None,
        *,
        name: str | None = None,
        file: Files | None = None,
        live: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Switched:
        """As `link`, in the running loop."""
        return await self._link(which(name, path_of(file)), component, target, live, dry_run, on_event).wait_async(timeout)

    def _link(
        self, meant: dict[str, Any], component: str, target: str | None, live: bool, dry_run: bool, on_event: OnEvent
    ) -> Asked[Switched]:
        environments = self._native.environments()
        told = telling(environments, on_event)
        call = environments.link(
            meant,
            text(component, "component"),
            optional_text(target, "target"),
            flag(live, "live"),
            flag(dry_run, "dry_run"),
        )
        return Asked("link", call, Switched._of, told)

    @overload
    def promote(
        self, name: str | None = None, service: str | None = None, *, dry_run: Literal[False] = False, file: Files | None = None, **how: Unpack[PromoteArguments]
    ) -> Release: ...
    @overload
    def promote(
        self, name: str | None = None, service: str | None = None, *, dry_run: Literal[True], file: Files | None = None, **how: Unpack[PromoteArguments]
    ) -> Plan: ...
    @overload
    def promote(
        self, name: str | None = None, service: str | None = None, *, dry_run: bool, file: Files | None = None, **how: Unpack[PromoteArguments]
    ) -> Release | Plan: ...
    def promote(
        self,
        name: str | None = None,
        service: str | None = None,
        *,
        file: Files | None = None,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Release | Plan:
        """Releases a running test environment as a version of its service: the same images, the same file.

        The file's `x-haddock.production` is applied, so that its links lead to production's database. Missing shared
        components are brought up. The version is launched anew. The environment stays as it is, with its own database,
        until it is taken down. From then on it is a release like any other. With `dry_run` it does nothing and returns
        the plan.

        Raises `BusyError` if the environment is not as its file says, `ComposeFileError` if versions of it cannot run
        side by side, and `NeverReadyError` if the target of a link does not answer. Then nothing has changed.
        """
        return promoting(
            self._native.environments(), which(name, path_of(file)), service, by or self._by, force, dry_run, on_event
        ).wait(timeout)

    @overload
    async def promote_async(
        self, name: str | None = None, service: str | None = None, *, dry_run: Literal[False] = False, file: Files | None = None, **how: Unpack[PromoteArguments]
    ) -> Release: ...
    @overload
    async def promote_async(
        self, name: str | None = None, service: str | None = None, *, dry_run: Literal[True], file: Files | None = None, **how: Unpack[PromoteArguments]
    ) -> Plan: ...
    @overload
    async def promote_async(
        self, name: str | None = None, service: str | None = None, *, dry_run: bool, file: Files | None = None, **how: Unpack[PromoteArguments]
    ) -> Release | Plan: ...
    async def promote_async(
        self,
        name: str | None = None,
        service: str | None = None,
        *,
        file: Files | None = None,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Release | Plan:
        """As `promote`, in the running loop."""
        return await promoting(
            self._native.environments(), which(name, path_of(file)), service, by or self._by, force, dry_run, on_event
        ).wait_async(timeout)

    @overload
    def keep(
        self, name: str | None = None, *, file: Files | None = None, time: Duration, dry_run: Literal[False] = False, timeout: Duration | None = None
    ) -> str: ...
    @overload
    def keep(
        self, name: str | None = None, *, file: Files | None = None, time: Duration, dry_run: Literal[True], timeout: Duration | None = None
    ) -> EnvironmentPlan: ...
    @overload
    def keep(
        self, name: str | None = None, *, file: Files | None = None, time: Duration, dry_run: bool, timeout: Duration | None = None
    ) -> str | EnvironmentPlan: ...
    def keep(
        self,
        name: str | None = None,
        *,
        file: Files | None = None,
        time: Duration,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> str | EnvironmentPlan:
        """Keeps an environment for that long, even if nobody uses it. Returns its name. See `prune`.

        With `dry_run` it does nothing and returns the plan.
        """
        return self._keep(which(name, path_of(file)), time, dry_run).wait(timeout)

    @overload
    async def keep_async(
        self, name: str | None = None, *, file: Files | None = None, time: Duration, dry_run: Literal[False] = False, timeout: Duration | None = None
    ) -> str: ...
    @overload
    async def keep_async(
        self, name: str | None = None, *, file: Files | None = None, time: Duration, dry_run: Literal[True], timeout: Duration | None = None
    ) -> EnvironmentPlan: ...
    @overload
    async def keep_async(
        self, name: str | None = None, *, file: Files | None = None, time: Duration, dry_run: bool, timeout: Duration | None = None
    ) -> str | EnvironmentPlan: ...
    async def keep_async(
        self,
        name: str | None = None,
        *,
        file: Files | None = None,
        time: Duration,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> str | EnvironmentPlan:
        """As `keep`, in the running loop."""
        return await self._keep(which(name, path_of(file)), time, dry_run).wait_async(timeout)

    def _keep(self, meant: dict[str, Any], time: Duration, dry_run: bool) -> Asked[Any]:
        environments, length = self._native.environments(), seconds(time, "time")
        if flag(dry_run, "dry_run"):
            note = f"it is kept for {length:g} s, whether or not anybody uses it"
            return Asked("keep", environments.get(meant), lambda data: EnvironmentPlan(data["name"], [], [note]))
        return Asked("keep", environments.keep(meant, length), lambda data: data["name"])

    def prune(
        self,
        *,
        stop_after: Duration | None = None,
        remove_after: Duration | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> list[Pruned]:
        """Stops, and later removes, environments that nobody uses. Returns what it did, or would do with `dry_run`.

        The limits are in each file under `x-haddock.idle`. The arguments are for files without them. An environment is
        idle if two checks in a row find it idle, and the time between them counts for at most half of a limit. So call
        this at intervals. A dry run does not count as a check. An environment whose `with` block was killed is removed
        at once. A failure of one is in its `why`, and the others are still checked. Volumes are kept. Instances of
        services and their shared environments are never touched.
        """
        return self._prune(stop_after, remove_after, dry_run).wait(timeout)

    async def prune_async(
        self,
        *,
        stop_after: Duration | None = None,
        remove_after: Duration | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
    ) -> list[Pruned]:
        """As `prune`, in the running loop."""
        return await self._prune(stop_after, remove_after, dry_run).wait_async(timeout)

    def _prune(
        self, stop_after: Duration | None, remove_after: Duration | None, dry_run: bool
    ) -> Asked[list[Pruned]]:
        times = optional_seconds(stop_after, "stop_after"), optional_seconds(remove_after, "remove_after")
        return Asked("prune", self._native.environments().prune(*times, flag(dry_run, "dry_run")), Pruned._all)

    def environment(
        self, name: str | None = None, *, file: Files | None = None, timeout: Duration | None = None
    ) -> Environment:
        """The present state of the named environment, or of that of `file` and its branch. Raises `NotFoundError`."""
        return self._environment(which(name, path_of(file))).wait(timeout)

    async def environment_async(
        self, name: str | None = None, *, file: Files | None = None, timeout: Duration | None = None
    ) -> Environment:
        """As `environment`, in the running loop."""
        return await self._environment(which(name, path_of(file))).wait_async(timeout)

    def _environment(self, meant: dict[str, Any]) -> Asked[Environment]:
        environments = self._native.environments()
        return Asked("environment", environments.get(meant), lambda data: Environment._of(data, environments))

    def environments(self, *, timeout: Duration | None = None) -> list[Environment]:
        """All environments, by name."""
        return self._all_environments().wait(timeout)

    async def environments_async(self, *, timeout: Duration | None = None) -> list[Environment]:
        """As `environments`, in the running loop."""
        return await self._all_environments().wait_async(timeout)

    def _all_environments(self) -> Asked[list[Environment]]:
        environments = self._native.environments()
        return Asked(
            "environments", environments.list(), lambda data: [Environment._of(each, environments) for each in data]
        )
