"""The verbs of a controller that are about environments."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _git
from ._bridge import Asked
from ._environment_results import Difference, EnvironmentEvent, EnvironmentPlan, Pruned, Switched
from ._environments import Environment, promoting, taking_down, which
from ._given import flag, names, optional_text, optional_whole, options_of, path_of, text
from ._progress import OnEvent, ProgressEvents, telling, told_later
from ._release import Release
from ._results import Plan
from ._values import Duration, optional_seconds, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Unpack

    from . import _native
    from ._arguments import PromoteArguments, UpArguments, UpEventsArguments, UpLikeArguments
    from ._given import Files, Texts


class EnvironmentVerbs:
    """What a controller can do with environments."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: _native.Controller
        _by: str

    @overload
    def up(
        self, file: Files | None = None, *, dry_run: Literal[False] = False, **how: Unpack[UpArguments]
    ) -> Environment: ...
    @overload
    def up(
        self, file: Files | None = None, *, dry_run: Literal[True], **how: Unpack[UpArguments]
    ) -> EnvironmentPlan: ...
    @overload
    def up(
        self, file: Files | None = None, *, dry_run: bool, **how: Unpack[UpArguments]
    ) -> Environment | EnvironmentPlan: ...
    def up(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        only: Texts = (),
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        shared: bool = False,
        take_over: bool = False,
        pull: bool = False,
        keep_on_failure: bool = False,
        renew_anonymous_volumes: bool = False,
        commit: str | None = None,
        by: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Environment | EnvironmentPlan:
        """Brings an environment up as its compose file says, and returns when all of it is ready.

        `name` tells copies apart; by default it is the file's name and the branch. `only` are the components that are
        wanted, with what they need; by default all. `profiles` are active beside those of `COMPOSE_PROFILES`. What is
        there already and as it should be stays, and is started again if it was stopped; what is changed is replaced, with
        what stands on it. Data in volumes without a name follows to the new container, unless `renew_anonymous_volumes`.
        If it fails, takes longer than `timeout` or is interrupted, what was made is removed again, unless
        `keep_on_failure`. `pull` asks registries for newer images. `shared` brings up, or changes, what the instances of
        the file's service share, and nothing else. `commit` is for people; by default it is what git says. An environment
        that was brought up from another folder is refused, unless `take_over`: then the project has moved, and this is
        the same one. `on_event` is called with each `ProgressEvent` while it waits, in the thread that waits; what it
        raises ends the call.

        With `dry_run` images that are missing are pulled, nothing else is done, and the answer is the plan.

        Raises `NeverReadyError` and `ContainerExitedError` with the end of the log in `log_tail`, `NameTakenError`,
        `ImageMissingError`, `TimedOutError`.
        """
        return self._up(
            file, name=name, only=only, tag=tag, images=images, variables=variables, env_files=env_files, profiles=profiles,
            shared=shared, take_over=take_over, pull=pull, keep_on_failure=keep_on_failure,
            renew_anonymous_volumes=renew_anonymous_volumes, commit=commit, by=by, dry_run=dry_run,
            on_event=on_event,
        ).wait(timeout)  # fmt: skip

    @overload
    async def up_async(
        self, file: Files | None = None, *, dry_run: Literal[False] = False, **how: Unpack[UpArguments]
    ) -> Environment: ...
    @overload
    async def up_async(
        self, file: Files | None = None, *, dry_run: Literal[True], **how: Unpack[UpArguments]
    ) -> EnvironmentPlan: ...
    @overload
    async def up_async(
        self, file: Files | None = None, *, dry_run: bool, **how: Unpack[UpArguments]
    ) -> Environment | EnvironmentPlan: ...
    async def up_async(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        only: Texts = (),
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        shared: bool = False,
        take_over: bool = False,
        pull: bool = False,
        keep_on_failure: bool = False,
        renew_anonymous_volumes: bool = False,
        commit: str | None = None,
        by: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Environment | EnvironmentPlan:
        """As `up`, in the running loop."""
        return await self._up(
            file, name=name, only=only, tag=tag, images=images, variables=variables, env_files=env_files, profiles=profiles,
            shared=shared, take_over=take_over, pull=pull, keep_on_failure=keep_on_failure,
            renew_anonymous_volumes=renew_anonymous_volumes, commit=commit, by=by, dry_run=dry_run,
            on_event=on_event,
        ).wait_async(timeout)  # fmt: skip

    def up_events(
        self, file: Files | None = None, *, timeout: Duration | None = None, **how: Unpack[UpEventsArguments]
    ) -> ProgressEvents[Environment]:
        """Brings an environment up as `up` does, and tells what happens meanwhile: for `for` or `async for`.

        It takes what `up` takes, without `dry_run` and `on_event`. It begins with the first event that is asked for; what
        `up` would raise is raised after the last. `wait` and `wait_async` answer with the environment.

        >>> with haddock.connect(runtime="sim") as h:
        ...     events = h.up_events("compose.yaml", name="pr-42", tag="v1")
        ...     kinds = [event.kind for event in events if event.component == "web"]
        ...     environment = events.wait()
        >>> kinds[0], environment.name
        ('creating', 'pr-42')
        """
        return ProgressEvents(self._up(file, on_event=told_later, **how), timeout)

    def _up(
        self,
        file: Files | None,
        *,
        name: str | None = None,
        only: Texts = (),
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        shared: bool = False,
        take_over: bool = False,
        pull: bool = False,
        keep_on_failure: bool = False,
        renew_anonymous_volumes: bool = False,
        commit: str | None = None,
        by: str | None = None,
        dry_run: bool = False,
        on_event: OnEvent = None,
    ) -> Asked[Any]:
        meant = which(name, path_of(file), options_of(tag, images, variables, env_files, profiles))
        how = _how(
            file, only, commit, by or self._by, pull, keep_on_failure, dry_run, shared, renew_anonymous_volumes, take_over
        )
        environments = self._native.environments()
        told = telling(environments, on_event)
        return Asked("up", environments.up(meant, how), _brought_up(environments, how), told)

    @overload
    def up_like(
        self, service: str, version: int | None = None, *, dry_run: Literal[False] = False, **how: Unpack[UpLikeArguments]
    ) -> Environment: ...
    @overload
    def up_like(
        self, service: str, version: int | None = None, *, dry_run: Literal[True], **how: Unpack[UpLikeArguments]
    ) -> EnvironmentPlan: ...
    @overload
    def up_like(
        self, service: str, version: int | None = None, *, dry_run: bool, **how: Unpack[UpLikeArguments]
    ) -> Environment | EnvironmentPlan: ...
    def up_like(
        self,
        service: str,
        version: int | None = None,
        *,
        name: str | None = None,
        only: Texts = (),
        keep_on_failure: bool = False,
        by: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Environment | EnvironmentPlan:
        """Brings up an environment like a version of a service, to look into what is wrong with it.

        The same images by digest and the same file, with the links that the file has for tests: its database is its own.
        By default it is the version that is known good, and `name` the service's with `-like`. With `dry_run` nothing is
        done, and the answer is the plan. Raises `NotFoundError`.
        """
        return self._up_like(
            which(name), _how(None, only, None, by or self._by, False, keep_on_failure, dry_run), service, version,
            on_event,
        ).wait(timeout)

    @overload
    async def up_like_async(
        self, service: str, version: int | None = None, *, dry_run: Literal[False] = False, **how: Unpack[UpLikeArguments]
    ) -> Environment: ...
    @overload
    async def up_like_async(
        self, service: str, version: int | None = None, *, dry_run: Literal[True], **how: Unpack[UpLikeArguments]
    ) -> EnvironmentPlan: ...
    @overload
    async def up_like_async(
        self, service: str, version: int | None = None, *, dry_run: bool, **how: Unpack[UpLikeArguments]
    ) -> Environment | EnvironmentPlan: ...
    async def up_like_async(
        self,
        service: str,
        version: int | None = None,
        *,
        name: str | None = None,
        only: Texts = (),
        keep_on_failure: bool = False,
        by: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Environment | EnvironmentPlan:
        """As `up_like`, in the running loop."""
        return await self._up_like(
            which(name), _how(None, only, None, by or self._by, False, keep_on_failure, dry_run), service, version,
            on_event,
        ).wait_async(timeout)

    def _up_like(
        self, meant: dict[str, Any], how: dict[str, Any], service: str, version: int | None,
        on_event: OnEvent,
    ) -> Asked[Any]:
        environments = self._native.environments()
        told = telling(environments, on_event)
        like = environments.up_like(meant, how, text(service, "service"), optional_whole(version, "version"))
        return Asked("up_like", like, _brought_up(environments, how), told)

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
        """How an environment that runs differs from what the file says, and containers that are not as they were made."""
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
        """What was done with environments of that name, oldest first: the last 200, whether or not there is one now."""
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
        """Stops and removes an environment: the one named, or that of `file` and its branch. Whether there was one.

        `volumes` removes its volumes, too, with all that is in them. With `dry_run` nothing is done, and the answer is the
        plan. Raises `BusyError` if instances of a service share it.
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
        """Lets what uses `component` use something else in its place; without a target, the component itself again.

        `target` is `tcp://HOST:PORT`, `ENVIRONMENT/COMPONENT` or `container:NAME`. It is tried first; then what uses the
        component is started anew with it, or, with `live`, goes on running and finds it at its next look-up. If that does
        not become ready, the old link is back. Clients that a gateway sends to the environment wait meanwhile. The next
        `up` brings back what the file says. With `dry_run` nothing is done, and the answer is what would be.

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
        """Releases what runs in a test environment as a version of its service: the same images, the same file.

        The file's `x-haddock.production` is applied, so that its links lead to production's database; what instances share
        is brought up if it is missing. Each version is launched anew; the environment stays as it is, its own database with
        it, until it is taken down. From there on it is a release as any other. With `dry_run` nothing is done, and the
        answer is the plan.

        Raises `BusyError` if the environment is not as its file says, `ComposeFileError` if versions of it cannot run side
        by side, `NeverReadyError` if what a link is to lead to does not answer. Then nothing has changed.
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
        """Keeps an environment for that long, whether or not anybody uses it; its name. See `prune`.

        With `dry_run` nothing is done, and the answer is the plan.
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
        """Stops, and later removes, environments that nobody uses; what became of each, or would with `dry_run`.

        For how long one may be idle its file says, under `x-haddock.idle`; the arguments are for the others. One is idle
        when two looks in a row say so, and the time between two looks counts for half of a limit at most: call it at
        intervals. A dry run is no look. One whose `with` block was killed is removed at once. What fails for one is in its
        `why`, and the others are looked at all the same. Volumes are kept; instances of services and what they share are
        never touched.
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
        """An environment as it is: the one named, or that of `file` and its branch. Raises `NotFoundError`."""
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
        """The environments that there are, by name."""
        return self._all_environments().wait(timeout)

    async def environments_async(self, *, timeout: Duration | None = None) -> list[Environment]:
        """As `environments`, in the running loop."""
        return await self._all_environments().wait_async(timeout)

    def _all_environments(self) -> Asked[list[Environment]]:
        environments = self._native.environments()
        return Asked(
            "environments", environments.list(), lambda data: [Environment._of(each, environments) for each in data]
        )


def _brought_up(environments: _native.Environments, how: dict[str, Any]) -> Callable[[Any], Environment | EnvironmentPlan]:
    """What is made of the answer of an `up`."""
    if how["dry_run"]:
        return EnvironmentPlan._of
    return lambda data: Environment._of(data, environments)


def _how(
    file: Files | None,
    only: Texts,
    commit: str | None,
    by: str,
    pull: bool,
    keep_on_failure: bool,
    dry_run: bool,
    shared: bool = False,
    renew_anonymous_volumes: bool = False,
    take_over: bool = False,
) -> dict[str, Any]:
    paths = path_of(file)
    directory = os.path.dirname(os.path.abspath(paths[0])) if paths else os.getcwd()
    return {
        "only": names(only, "only"),
        "pull": flag(pull, "pull"),
        "keep_on_failure": flag(keep_on_failure, "keep_on_failure"),
        "commit": _git.commit(directory) if commit is None else text(commit, "commit"),
        "by": text(by, "by"),
        "dry_run": flag(dry_run, "dry_run"),
        "shared": flag(shared, "shared"),
        "renew_anonymous_volumes": flag(renew_anonymous_volumes, "renew_anonymous_volumes"),
        "take_over": flag(take_over, "take_over"),
    }
