"""The verbs of a controller that bring environments up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _git
from ._bridge import Asked
from ._environment_results import EnvironmentPlan
from ._environments import Environment, which
from ._given import flag, names, optional_whole, options_of, path_of, text
from ._progress import OnEvent, ProgressEvents, telling, told_later
from ._values import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Unpack

    from . import _native
    from ._arguments import UpArguments, UpEventsArguments, UpLikeArguments
    from ._given import Files, Texts


class UpVerbs:
    """The verbs of a controller that bring environments up."""

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
        built: bool = False,
        pull: bool = False,
        keep_on_failure: bool = False,
        renew_anonymous_volumes: bool = False,
        commit: str | None = None,
        by: str | None = None,
        dry_run: bool = False,
        timeout: Duration | None = None,
        on_event: OnEvent = None,
    ) -> Environment | EnvironmentPlan:
        """Brings an environment up as its compose file says, and returns when every component is ready.

        `name` distinguishes copies; by default it is made of the file's name and the branch. `only` names the
        components to bring up, with those that they need; the default is all. `profiles` are active in addition to
        those of `COMPOSE_PROFILES`. Unchanged components stay, and are started again if they were stopped. Changed
        components are replaced, together with those that depend on them. A new container keeps the volumes without a
        name of the old one, unless `renew_anonymous_volumes`. If the call fails, takes longer than `timeout` or is
        interrupted, it removes what it has made, unless `keep_on_failure`. `pull` asks registries for newer images.
        `built` takes the images of components with `build` as `Images.of_file` has built them, and asks no registry for
        them.
        `shared` brings up, or changes, only the shared components of the file's service. `commit` is for people; by
        default it is the commit that git reports. An environment that was brought up from another folder is refused,
        unless `take_over` says that the project has moved. `on_event` is called with each `ProgressEvent`, in the
        thread that waits. An exception in it ends the call.

        With `dry_run` it only pulls missing images, and returns the plan.

        Raises `NeverReadyError` and `ContainerExitedError` with the end of the log in `log_tail`, `NameTakenError`,
        `ImageMissingError`, `TimedOutError`.
        """
        return self._up(
            file, name=name, only=only, tag=tag, images=images, variables=variables, env_files=env_files, profiles=profiles,
            shared=shared, take_over=take_over, built=built, pull=pull, keep_on_failure=keep_on_failure,
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
        built: bool = False,
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
            shared=shared, take_over=take_over, built=built, pull=pull, keep_on_failure=keep_on_failure,
            renew_anonymous_volumes=renew_anonymous_volumes, commit=commit, by=by, dry_run=dry_run,
            on_event=on_event,
        ).wait_async(timeout)  # fmt: skip

    def up_events(
        self, file: Files | None = None, *, timeout: Duration | None = None, **how: Unpack[UpEventsArguments]
    ) -> ProgressEvents[Environment]:
        """Brings an environment up as `up` does, and yields its events, for `for` or `async for`.

        It takes the arguments of `up`, without `dry_run` and `on_event`. The work begins when the first event is asked
        for. An exception of `up` is raised after the last event. `wait` and `wait_async` return the environment.

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
        built: bool = False,
        pull: bool = False,
        keep_on_failure: bool = False,
        renew_anonymous_volumes: bool = False,
        commit: str | None = None,
        by: str | None = None,
        dry_run: bool = False,
        on_event: OnEvent = None,
    ) -> Asked[Any]:
        meant = which(name, path_of(file), options_of(tag, images, variables, env_files, profiles, built))
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
        """Brings up a copy of a service's version as an environment, to find out what is wrong with it.

        It has the same images by digest and the same file, with the file's links for tests, so it has its own database.
        The default version is the known good one. The default `name` is the service's name with `-like`. With `dry_run`
        it does nothing and returns the plan. Raises `NotFoundError`.
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


def _brought_up(environments: _native.Environments, how: dict[str, Any]) -> Callable[[Any], Environment | EnvironmentPlan]:
    """Makes the environment from the result of an `up`."""
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
