"""The verbs of a controller for releases that a registry begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._bridge import Asked, wait, wait_async
from ._given import Files, Texts, options_of, path_of
from ._results import Outlook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from . import _native
    from ._values import Duration


class FollowVerbs:
    """Releases that begin by themselves when a registry has a new tag."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: _native.Controller

    def follow(
        self,
        file: Files | None = None,
        *,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        timeout: Duration | None = None,
    ) -> None:
        """Releases each new tag of a registry by itself, as `x-haddock.follow` of the compose file says, until it is interrupted.

        It asks for releases. Somebody has to act for the service, such as `serve` in another thread or process. The file is read
        at each look. If registry or file cannot be read, it tries again. After `timeout` it stops and raises `TimedOutError`.
        """
        wait(self._follow(file, images, variables, env_files, profiles), timeout, "follow")

    async def follow_async(
        self,
        file: Files | None = None,
        *,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        timeout: Duration | None = None,
    ) -> None:
        """As `follow`, in the running loop, until it is cancelled."""
        await wait_async(self._follow(file, images, variables, env_files, profiles), timeout, "follow")

    def _follow(
        self,
        file: Files | None,
        images: Mapping[str, str] | None,
        variables: Mapping[str, str] | None,
        env_files: Files,
        profiles: Texts,
    ) -> _native.Call:
        return self._native.follow(path_of(file), options_of(None, images, variables, env_files, profiles))

    def outlook(
        self,
        file: Files | None = None,
        *,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        timeout: Duration | None = None,
    ) -> Outlook:
        """Says which tag `follow` would release next, and for what it would wait. It does nothing."""
        return self._outlook(file, images, variables, env_files, profiles).wait(timeout)

    async def outlook_async(
        self,
        file: Files | None = None,
        *,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        timeout: Duration | None = None,
    ) -> Outlook:
        """As `outlook`, in the running loop."""
        return await self._outlook(file, images, variables, env_files, profiles).wait_async(timeout)

    def _outlook(
        self,
        file: Files | None,
        images: Mapping[str, str] | None,
        variables: Mapping[str, str] | None,
        env_files: Files,
        profiles: Texts,
    ) -> Asked[Outlook]:
        options = options_of(None, images, variables, env_files, profiles)
        return Asked("outlook", self._native.outlook(path_of(file), options), Outlook._of_look)
