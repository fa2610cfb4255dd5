"""The verbs of a controller that are about environments."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _git, _native
from ._bridge import wait, wait_async
from ._environments import Difference, Environment, EnvironmentEvent, EnvironmentPlan, Pruned, Switched, which
from ._release import Release
from ._values import Duration, optional_seconds, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike
    from typing import Union

    Path = Union[str, PathLike[str]]
    Files = Union[str, PathLike[str], "Sequence[Path]"]


class EnvironmentVerbs:
    """What a controller can do with environments."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: _native.Controller
        _by: str

    def up(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        only: Iterable[str] = (),
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Iterable[Path] = (),
        shared: bool = False,
        pull: bool = False,
        keep_on_failure: bool = False,
        commit: str | None = None,
        by: str | None = None,
    ) -> Environment:
        """Brings an environment up as its compose file says, and returns when all of it is ready.

        `name` tells copies apart; by default it is the file's name and the branch. `only` are the components that are
        wanted, with what they need; by default all. What is there already and as it should be stays; what is changed is
        replaced, with what stands on it. If it fails, what was made is removed again, unless `keep_on_failure`. `pull`
        asks registries for newer images. `shared` brings up, or changes, what the instances of the file's service share,
        and nothing else. `commit` is for people; by default it is what git says.

        Raises `NeverReady` and `ContainerExited` with the end of the log, `NameTaken`, `ImageMissing`.
        """
        environments = self._native.environments()
        meant = which(name, path_of(file), options_of(tag, images, variables, env_files))
        how = _how(file, only, pull, keep_on_failure, commit, by or self._by, shared=shared)
        return Environment._of(wait(environments.up(meant, how)), environments)

    async def up_async(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        only: Iterable[str] = (),
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Iterable[Path] = (),
        shared: bool = False,
        pull: bool = False,
        keep_on_failure: bool = False,
        commit: str | None = None,
        by: str | None = None,
    ) -> Environment:
        """As `up`, in the running loop."""
        environments = self._native.environments()
        meant = which(name, path_of(file), options_of(tag, images, variables, env_files))
        how = _how(file, only, pull, keep_on_failure, commit, by or self._by, shared=shared)
        return Environment._of(await wait_async(environments.up(meant, how)), environments)

    def plan_up(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        only: Iterable[str] = (),
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Iterable[Path] = (),
        shared: bool = False,
        pull: bool = False,
    ) -> EnvironmentPlan:
        """What `up` would do. Images that are missing are pulled; nothing else is done."""
        meant = which(name, path_of(file), options_of(tag, images, variables, env_files))
        how = _how(file, only, pull, False, None, self._by, dry_run=True, shared=shared)
        return EnvironmentPlan._of(wait(self._native.environments().up(meant, how)))

    async def plan_up_async(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        only: Iterable[str] = (),
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Iterable[Path] = (),
        shared: bool = False,
        pull: bool = False,
    ) -> EnvironmentPlan:
        """As `plan_up`, in the running loop."""
        meant = which(name, path_of(file), options_of(tag, images, variables, env_files))
        how = _how(file, only, pull, False, None, self._by, dry_run=True, shared=shared)
        return EnvironmentPlan._of(await wait_async(self._native.environments().up(meant, how)))

    def up_like(
        self,
        service: str,
        version: int | None = None,
        *,
        name: str | None = None,
        only: Iterable[str] = (),
        keep_on_failure: bool = False,
        by: str | None = None,
    ) -> Environment:
        """Brings up an environment like a version of a service, to look into what is wrong with it.

        The same images by digest and the same file, with the links that the file has for tests: its database is its own.
        By default it is the version that is known good, and `name` the service's with `-like`. Raises `NotFound`.
        """
        how = _how(None, only, False, keep_on_failure, None, by or self._by)
        environments = self._native.environments()
        return Environment._of(wait(environments.up_like(which(name), how, service, version)), environments)

    async def up_like_async(
        self,
        service: str,
        version: int | None = None,
        *,
        name: str | None = None,
        only: Iterable[str] = (),
        keep_on_failure: bool = False,
        by: str | None = None,
    ) -> Environment:
        """As `up_like`, in the running loop."""
        how = _how(None, only, False, keep_on_failure, None, by or self._by)
        environments = self._native.environments()
        like = environments.up_like(which(name), how, service, version)
        return Environment._of(await wait_async(like), environments)

    def diff(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Iterable[Path] = (),
    ) -> list[Difference]:
        """How an environment that runs differs from what the file says, and containers that are not as they were made."""
        meant = which(name, path_of(file), options_of(tag, images, variables, env_files))
        return [Difference._of(each) for each in wait(self._native.environments().diff(meant))]

    async def diff_async(
        self,
        file: Files | None = None,
        *,
        name: str | None = None,
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Iterable[Path] = (),
    ) -> list[Difference]:
        """As `diff`, in the running loop."""
        meant = which(name, path_of(file), options_of(tag, images, variables, env_files))
        return [Difference._of(each) for each in await wait_async(self._native.environments().diff(meant))]

    def environment_history(self, name: str | None = None, *, file: Files | None = None) -> list[EnvironmentEvent]:
        """What was done with environments of that name, oldest first: the last 200, whether or not there is one now."""
        found = wait(self._native.environments().history(which(name, path_of(file))))
        return [EnvironmentEvent._of(each) for each in found]

    async def environment_history_async(
        self, name: str | None = None, *, file: Files | None = None
    ) -> list[EnvironmentEvent]:
        """As `environment_history`, in the running loop."""
        found = await wait_async(self._native.environments().history(which(name, path_of(file))))
        return [EnvironmentEvent._of(each) for each in found]

    def down(self, name: str | None = None, *, file: Files | None = None, volumes: bool = False) -> bool:
        """Stops and removes an environment: the one named, or that of `file` and its branch. Whether there was one.

        `volumes` removes its volumes, too, with all that is in them. Raises `Busy` if instances of a service share it.
        """
        return wait(self._native.environments().down(which(name, path_of(file)), volumes))["was_there"]

    async def down_async(
        self, name: str | None = None, *, file: Files | None = None, volumes: bool = False
    ) -> bool:
        """As `down`, in the running loop."""
        return (await wait_async(self._native.environments().down(which(name, path_of(file)), volumes)))["was_there"]

    def link(
        self,
        component: str,
        target: str | None,
        *,
        name: str | None = None,
        file: Files | None = None,
        live: bool = False,
        dry_run: bool = False,
    ) -> Switched:
        """Lets what uses `component` use something else in its place; without a target, the component itself again.

        `target` is `tcp://HOST:PORT`, `ENVIRONMENT/COMPONENT` or `container:NAME`. It is tried first; then what uses the
        component is started anew with it, or, with `live`, goes on running and finds it at its next look-up. If that does
        not become ready, the old link is back. Clients that a gateway sends to the environment wait meanwhile. The next
        `up` brings back what the file says.

        Raises `NotFound`, and `NeverReady` if the target does not answer.
        """
        environments = self._native.environments()
        return Switched._of(wait(environments.link(which(name, path_of(file)), component, target, live, dry_run)))

    async def link_async(
        self,
        component: str,
        target: str | None,
        *,
        name: str | None = None,
        file: Files | None = None,
        live: bool = False,
        dry_run: bool = False,
    ) -> Switched:
        """As `link`, in the running loop."""
        switched = self._native.environments().link(which(name, path_of(file)), component, target, live, dry_run)
        return Switched._of(await wait_async(switched))

    def promote(
        self,
        name: str | None = None,
        service: str | None = None,
        *,
        file: Files | None = None,
        by: str | None = None,
        force: bool = False,
    ) -> Release:
        """Releases what runs in a test environment as a version of its service: the same images, the same file.

        The file's `x-haddock.production` is applied, so that its links lead to production's database; what instances share
        is brought up if it is missing. Each version is launched anew; the environment stays as it is, its own database with
        it, until it is taken down. From there on it is a release as any other.

        Raises `Busy` if the environment is not as its file says, `ComposeFile` if versions of it cannot run side by side,
        `NeverReady` if what a link is to lead to does not answer. Then nothing has changed.
        """
        who = by or self._by
        promoted = self._native.environments().promote(which(name, path_of(file)), service, who, force)
        return Release(wait(promoted), who)

    async def promote_async(
        self,
        name: str | None = None,
        service: str | None = None,
        *,
        file: Files | None = None,
        by: str | None = None,
        force: bool = False,
    ) -> Release:
        """As `promote`, in the running loop."""
        who = by or self._by
        promoted = self._native.environments().promote(which(name, path_of(file)), service, who, force)
        return Release(await wait_async(promoted), who)

    def plan_promote(
        self, name: str | None = None, service: str | None = None, *, file: Files | None = None
    ) -> list[str]:
        """What `promote` would do, step by step, for people."""
        return wait(self._native.environments().plan_promote(which(name, path_of(file)), service))["steps"]

    async def plan_promote_async(
        self, name: str | None = None, service: str | None = None, *, file: Files | None = None
    ) -> list[str]:
        """As `plan_promote`, in the running loop."""
        planned = self._native.environments().plan_promote(which(name, path_of(file)), service)
        return (await wait_async(planned))["steps"]

    def keep(self, name: str | None = None, *, file: Files | None = None, time: Duration) -> str:
        """Keeps an environment for that long, whether or not anybody uses it; its name. See `prune`."""
        kept = self._native.environments().keep(which(name, path_of(file)), seconds(time))
        return wait(kept)["name"]

    async def keep_async(self, name: str | None = None, *, file: Files | None = None, time: Duration) -> str:
        """As `keep`, in the running loop."""
        kept = self._native.environments().keep(which(name, path_of(file)), seconds(time))
        return (await wait_async(kept))["name"]

    def prune(
        self, *, stop_after: Duration | None = None, remove_after: Duration | None = None, dry_run: bool = False
    ) -> list[Pruned]:
        """Stops, and later removes, environments that nobody uses; what became of each.

        For how long one may be idle its file says, under `x-haddock.idle`; the arguments are for the others. One is idle
        when two looks in a row say so, and the time between two looks counts for half of a limit at most: call it at
        intervals. A dry run is no look. One whose `with` block was killed is removed at once. What fails for one is in its
        `why`, and the others are looked at all the same. Volumes are kept; instances of services and what they share are
        never touched.
        """
        times = (optional_seconds(stop_after), optional_seconds(remove_after))
        return [Pruned._of(each) for each in wait(self._native.environments().prune(*times, dry_run))]

    async def prune_async(
        self, *, stop_after: Duration | None = None, remove_after: Duration | None = None, dry_run: bool = False
    ) -> list[Pruned]:
        """As `prune`, in the running loop."""
        times = (optional_seconds(stop_after), optional_seconds(remove_after))
        return [Pruned._of(each) for each in await wait_async(self._native.environments().prune(*times, dry_run))]

    def environment(self, name: str | None = None, *, file: Files | None = None) -> Environment:
        """An environment as it is: the one named, or that of `file` and its branch. Raises `NotFound`."""
        environments = self._native.environments()
        return Environment._of(wait(environments.get(which(name, path_of(file)))), environments)

    async def environment_async(self, name: str | None = None, *, file: Files | None = None) -> Environment:
        """As `environment`, in the running loop."""
        environments = self._native.environments()
        return Environment._of(await wait_async(environments.get(which(name, path_of(file)))), environments)

    def environments(self) -> list[Environment]:
        """The environments that there are, by name."""
        environments = self._native.environments()
        return [Environment._of(each, environments) for each in wait(environments.list())]

    async def environments_async(self) -> list[Environment]:
        """As `environments`, in the running loop."""
        environments = self._native.environments()
        return [Environment._of(each, environments) for each in await wait_async(environments.list())]


def _how(
    file: Files | None,
    only: Iterable[str],
    pull: bool,
    keep_on_failure: bool,
    commit: str | None,
    by: str,
    *,
    dry_run: bool = False,
    shared: bool = False,
) -> dict[str, Any]:
    paths = path_of(file)
    directory = os.path.dirname(os.path.abspath(paths[0])) if paths else os.getcwd()
    return {
        "only": list(only),
        "pull": pull,
        "keep_on_failure": keep_on_failure,
        "commit": commit or _git.commit(directory),
        "by": by,
        "dry_run": dry_run,
        "shared": shared,
    }


def path_of(file: Files | None) -> list[str] | None:
    """The path, or the paths, as texts."""
    if file is None:
        return None
    return [os.fspath(file)] if isinstance(file, (str, os.PathLike)) else [os.fspath(each) for each in file]


def options_of(
    tag: str | None,
    images: Mapping[str, str] | None,
    variables: Mapping[str, str] | None,
    env_files: Iterable[Path],
) -> dict[str, Any]:
    """What fills a compose file in."""
    return {
        "tag": tag,
        "images": dict(images or {}),
        "variables": dict(variables or {}),
        "env_files": [os.fspath(path) for path in env_files],
    }
