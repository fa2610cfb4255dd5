"""The images of a tree of Dockerfiles: build, push, pull and prune."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Callable, Literal, Union

from . import _native
from ._bridge import Asked, wait
from ._given import flag, names, optional_path, optional_text, options_of, path, path_of, texts_by_name, whole
from ._progress import Told
from ._result import Result
from ._values import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from ._given import Files, Path, Texts
    from ._values import Duration

BuildAction = Literal["build", "keep", "pull"]
"""What is done with an image: it is built, it is on the host and stays, or it is taken from its registry."""


@dataclass(frozen=True)
class TreeImage(Result):
    """An image of a tree."""

    name: str
    """Its name in the tree."""
    path: str
    """Its Dockerfile, relative to the root of the tree."""
    base: str | None
    """What it stands on, as its Dockerfile says; `None` for `scratch`."""
    depends_on: list[str]
    """The images of the tree that it needs, by name."""
    reference: str
    """The name that people use."""
    state: Literal["there", "changed", "missing", "unknown"]
    """What the host has: an image of the present inputs, one of other inputs, none. `unknown`: the engine does not answer."""


@dataclass(frozen=True)
class PlannedImage(Result):
    """What would be done with an image."""

    name: str
    """Its name in the tree."""
    action: BuildAction
    """What."""
    because: str
    """Why, for people."""
    reference: str
    """The name that people use."""


@dataclass(frozen=True)
class BuiltImage(Result):
    """What was done with an image."""

    name: str
    """Its name in the tree."""
    action: BuildAction
    """What."""
    because: str
    """Why, for people."""
    reference: str
    """The name that people use."""
    id: str | None
    """Its id on the host; `None` if only its registry has it."""
    digest: str | None
    """Its digest in the registry, if it was pushed."""


@dataclass(frozen=True)
class TransferredImage(Result):
    """An image that was pushed or pulled."""

    name: str
    """Its name in the tree."""
    reference: str
    """The name that people use."""
    digest: str | None
    """Its digest in the registry: a name of this image for ever."""


@dataclass(frozen=True)
class PrunedImage(Result):
    """An image that was, or would be, removed."""

    id: str
    """Its id."""
    tags: list[str]
    """All its names."""
    size: int
    """What it takes on disk, in bytes. What it shares with images that stay is counted, too."""
    stays: str | None
    """Why it is still there, if the engine did not remove it. It may have lost some of its names."""


@dataclass(frozen=True)
class PrunedFromRegistry(Result):
    """An image that was, or would be, deleted from its registry."""

    reference: str
    """Its name by its digest."""
    tags: list[str]
    """All its tags. The image of all of them is deleted."""
    created: datetime | None
    """When it was built."""
    size: int
    """The bytes of its layers, compressed. What it shares with images that stay is counted, too."""
    stays: str | None
    """Why it is still there, if it was not deleted."""

    @staticmethod
    def _of(data: dict[str, Any]) -> PrunedFromRegistry:
        created = data.pop("created")
        return PrunedFromRegistry(created=None if created is None else moment(created), **data)


@dataclass(frozen=True)
class BuildEvent(Result):
    """A progress event of one image."""

    kind: Literal[
        "planned", "building", "step", "line", "pulling", "pushing", "transfer", "built", "pulled", "pushed", "warning"
    ]
    """The kind."""
    image: str
    """The image's name in its tree, or the reference of an image outside."""
    action: BuildAction | None = None
    """For `planned`: what is done."""
    because: str | None = None
    """For `planned`: why."""
    text: str | None = None
    """The instruction of a step, a line that it prints, or a warning."""
    number: int | None = None
    """Which step it is, from 1."""
    of: int | None = None
    """How many steps there are."""
    done: int | None = None
    """For `transfer`: the bytes that have moved."""
    total: int | None = None
    """For `transfer`: the known size in bytes; it may grow."""
    digest: str | None = None
    """For `pushed`: the digest in the registry."""

    @staticmethod
    def _of(data: dict[str, Any]) -> BuildEvent:
        return BuildEvent(**data)


OnBuildEvent = Union[Callable[[BuildEvent], object], None]
"""A function that is called with each event, in the thread that waits. An exception in it ends the call."""


@dataclass(frozen=True)
class _How:
    """The arguments of a build, as the native half takes them."""

    images: list[str] = field(default_factory=list[str])
    push: bool = False
    changed: bool = False
    pull: bool = False
    no_cache: bool = False
    allow_dirty: bool = False

    def plain(self) -> dict[str, Any]:
        flags = {name: flag(getattr(self, name), name) for name in ("push", "changed", "pull", "no_cache", "allow_dirty")}
        return {"images": names(self.images, "images"), **flags}


class Images:
    """The images of a tree of Dockerfiles, at one tag, on one engine.

    The tree is read from the Dockerfiles: `FROM` says which image stands on which. Only what has changed is built.

    >>> images = haddock.Images("images", tag="main-3f2a1bc")
    >>> [(image.name, image.base) for image in images.list()]
    [('base', None), ('app', 'base')]
    """

    __slots__ = ("_native", "dirty", "tag")

    tag: str
    """The tag of the images. Those of a compose file have each their own."""
    dirty: bool
    """Whether the tree differs from its commit."""

    def __init__(
        self,
        folder: Path = ".",
        *,
        tag: str | None = None,
        args: Mapping[str, str] | None = None,
        docker_host: str | None = None,
        context: str | None = None,
        memory: Path | None = None,
    ) -> None:
        """Reads the Dockerfiles below `folder`, and `haddock-images.yaml` there, if it exists.

        Without `tag`, or with `auto`, the tag is made of branch and commit. It is `latest` if the folder is in no
        repository. `args` are values of `ARG`, for each image whose Dockerfile takes one; they win over those of the file.
        `docker_host` and `context` name the engine as those of `Docker` do. `memory` is a folder in which is
        kept what each image was built from; with it, reasons name the files that have changed, and files that have not
        changed are not read again.

        Raises `ImageTreeError` with the place if a Dockerfile or the tree is wrong. If no engine answers, only `list`
        works.
        """
        asked = _native.images(
            path(folder, "folder"), optional_text(tag, "tag"), texts_by_name(args, "args"), optional_text(docker_host, "docker_host"),
            optional_text(context, "context"), optional_path(memory, "memory"),
        )  # fmt: skip
        self._native: _native.Images = wait(asked)
        self._take_facts()

    @classmethod
    def of_file(
        cls,
        file: Files | None = None,
        *,
        release: bool = False,
        only: Texts = (),
        tag: str | None = None,
        images: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env_files: Files = (),
        profiles: Texts = (),
        docker_host: str | None = None,
        context: str | None = None,
        memory: Path | None = None,
    ) -> Self:
        """The images that the components of a compose file are built from: those with `build`.

        Each has the name of its component, and the reference of its `image`. The file is resolved for a test environment,
        or with `release` for a release. `only` names components; the default is all. One whose
        image is named by `images` is not built. With `auto` as `tag`, the tag is made of branch and commit. The arguments
        that fill the file in
        are those of `Controller.up`.

        >>> images = haddock.Images.of_file("compose.yaml", tag="v1")
        >>> [(image.name, image.reference) for image in images.list()]
        []

        Raises `ComposeFileError`, `ImageTreeError`, and `NotSupportedError` for keys of `build` that no builder here takes.
        """
        asked = _native.component_images(
            path_of(file), options_of(tag, images, variables, env_files, profiles), flag(release, "release"),
            names(only, "only"), optional_text(docker_host, "docker_host"), optional_text(context, "context"),
            optional_path(memory, "memory"),
        )  # fmt: skip
        made = cls.__new__(cls)
        made._native = wait(asked)
        made._take_facts()
        return made

    def _take_facts(self) -> None:
        facts = self._native.facts()
        self.tag = facts["tag"]
        self.dirty = facts["dirty"]

    def __repr__(self) -> str:
        return f"<haddock.Images at {self.tag!r}>"

    def list(self, *, timeout: Duration | None = None) -> list[TreeImage]:
        """The images, each after what it needs, and what the engine has of them. No registry is asked."""
        return self._list().wait(timeout)

    async def list_async(self, *, timeout: Duration | None = None) -> list[TreeImage]:
        """As `list`, in the running loop."""
        return await self._list().wait_async(timeout)

    def _list(self) -> Asked[list[TreeImage]]:
        return Asked("list", self._native.states(), lambda data: [TreeImage(**each) for each in data])

    def svg(self, *, timeout: Duration | None = None) -> str:
        """The images as an SVG picture: arrows lead from each to those that need it, and colours and words show what the
        engine has of them. No registry is asked."""
        return self._svg().wait(timeout)

    async def svg_async(self, *, timeout: Duration | None = None) -> str:
        """As `svg`, in the running loop."""
        return await self._svg().wait_async(timeout)

    def _svg(self) -> Asked[str]:
        return Asked("svg", self._native.svg(), str)

    def plan(
        self,
        *images: str,
        push: bool = False,
        changed: bool = False,
        pull: bool = False,
        no_cache: bool = False,
        timeout: Duration | None = None,
    ) -> list[PlannedImage]:
        """What `build` would do with these images and all that they need, and why; without names, with all."""
        return self._plan(_How(list(images), push, changed, pull, no_cache)).wait(timeout)

    async def plan_async(
        self,
        *images: str,
        push: bool = False,
        changed: bool = False,
        pull: bool = False,
        no_cache: bool = False,
        timeout: Duration | None = None,
    ) -> list[PlannedImage]:
        """As `plan`, in the running loop."""
        return await self._plan(_How(list(images), push, changed, pull, no_cache)).wait_async(timeout)

    def _plan(self, how: _How) -> Asked[list[PlannedImage]]:
        return Asked("plan", self._native.plan(how.plain()), lambda data: [PlannedImage(**each) for each in data])

    def build(
        self,
        *images: str,
        push: bool = False,
        changed: bool = False,
        pull: bool = False,
        no_cache: bool = False,
        allow_dirty: bool = False,
        on_event: OnBuildEvent = None,
        timeout: Duration | None = None,
    ) -> list[BuiltImage]:
        """Builds what has changed of these images and of all that they need, and gives all of them the tag; without
        names, of all.

        Several are built at the same time, and each as soon as what it needs is there. With `push`, each is pushed as
        soon as it is there. `changed` leaves alone what has not changed: it gets no new tag, and is not pushed, unless its
        registry does not have it. `pull`
        asks registries whether images outside of the tree have moved. `no_cache` builds all anew. `allow_dirty` pushes
        although the tree differs from its commit.

        Raises `BuildFailedError` with the last lines of the step that failed, `ImageMissingError`,
        `RegistryRefusedError`, `RegistryUnavailableError`.
        """
        how = _How(list(images), push, changed, pull, no_cache, allow_dirty)
        return self._build(how, on_event).wait(timeout)

    async def build_async(
        self,
        *images: str,
        push: bool = False,
        changed: bool = False,
        pull: bool = False,
        no_cache: bool = False,
        allow_dirty: bool = False,
        on_event: OnBuildEvent = None,
        timeout: Duration | None = None,
    ) -> list[BuiltImage]:
        """As `build`, in the running loop."""
        how = _How(list(images), push, changed, pull, no_cache, allow_dirty)
        return await self._build(how, on_event).wait_async(timeout)

    def _build(self, how: _How, on_event: OnBuildEvent) -> Asked[list[BuiltImage]]:
        plain, told = how.plain(), self._told(on_event)
        return Asked("build", self._native.build(plain), lambda data: [BuiltImage(**each) for each in data], told)

    def push(
        self,
        *images: str,
        allow_dirty: bool = False,
        on_event: OnBuildEvent = None,
        timeout: Duration | None = None,
    ) -> list[TransferredImage]:
        """Gives these images to their registries, at the tag; without names, all.

        Raises `ImageMissingError` if one was not built at this tag, `RegistryRefusedError`, `RegistryUnavailableError`.
        """
        return self._push(images, allow_dirty, on_event).wait(timeout)

    async def push_async(
        self,
        *images: str,
        allow_dirty: bool = False,
        on_event: OnBuildEvent = None,
        timeout: Duration | None = None,
    ) -> list[TransferredImage]:
        """As `push`, in the running loop."""
        return await self._push(images, allow_dirty, on_event).wait_async(timeout)

    def _push(self, images: Texts, allow_dirty: bool, on_event: OnBuildEvent) -> Asked[list[TransferredImage]]:
        told = self._told(on_event)
        return Asked("push", self._native.push(names(images, "images"), flag(allow_dirty, "allow_dirty")), _transferred, told)

    def pull(
        self, *images: str, on_event: OnBuildEvent = None, timeout: Duration | None = None
    ) -> list[TransferredImage]:
        """Gets these images from their registries, at the tag; without names, all.

        Raises `ImageMissingError`, `RegistryRefusedError`, `RegistryUnavailableError`.
        """
        return self._pull(images, on_event).wait(timeout)

    async def pull_async(
        self, *images: str, on_event: OnBuildEvent = None, timeout: Duration | None = None
    ) -> list[TransferredImage]:
        """As `pull`, in the running loop."""
        return await self._pull(images, on_event).wait_async(timeout)

    def _pull(self, images: Texts, on_event: OnBuildEvent) -> Asked[list[TransferredImage]]:
        told = self._told(on_event)
        return Asked("pull", self._native.pull(names(images, "images")), _transferred, told)

    def prune_registry(
        self, keep: int, *, also: Texts = (), dry_run: bool = True, timeout: Duration | None = None
    ) -> list[PrunedFromRegistry]:
        """The old images of this tree in its registries. With `dry_run=False` they are deleted.

        These stay: the `keep` ones of each repository that were built last, those at the tag of these images, those that
        containers of the engine were made of, those with an id, a digest or a name in `also`, and those that another one
        that stays is built on. Images that Haddock did not build are not touched. An image stays if one of its tags does.

        Raises `NotSupportedError` if a registry does not allow it, `RegistryRefusedError`, `RegistryUnavailableError`.
        """
        return self._prune_registry(keep, also, dry_run).wait(timeout)

    async def prune_registry_async(
        self, keep: int, *, also: Texts = (), dry_run: bool = True, timeout: Duration | None = None
    ) -> list[PrunedFromRegistry]:
        """As `prune_registry`, in the running loop."""
        return await self._prune_registry(keep, also, dry_run).wait_async(timeout)

    def _prune_registry(self, keep: int, also: Texts, dry_run: bool) -> Asked[list[PrunedFromRegistry]]:
        asked = self._native.prune_registry(whole(keep, "keep"), set(names(also, "also")), flag(dry_run, "dry_run"))
        return Asked("prune_registry", asked, lambda data: [PrunedFromRegistry._of(each) for each in data])

    def _told(self, on_event: OnBuildEvent) -> Told[BuildEvent] | None:
        if on_event is not None and not callable(on_event):
            raise TypeError(f"`on_event` takes a function, not `{type(on_event).__name__}`")
        return None if on_event is None else Told(self._native, on_event, BuildEvent._of)


def _transferred(data: list[dict[str, Any]]) -> list[TransferredImage]:
    return [TransferredImage(**each) for each in data]


def prune_images(
    keep: int,
    *,
    also: Texts = (),
    dry_run: bool = False,
    docker_host: str | None = None,
    context: str | None = None,
    memory: Path | None = None,
    timeout: Duration | None = None,
) -> list[PrunedImage]:
    """Removes images that Haddock has built on an engine and that nobody needs any more.

    These stay: the `keep` ones of each repository that were last given a tag, those that containers were made of, those
    with an id, a digest or a name in `also`, and those that another one that stays is built on. An image with names in
    several repositories stays if one of them keeps it. Other images are not touched. `memory` is the folder that `Images`
    was given; without it, images that have lost all their names stay. With `dry_run` nothing is removed.
    `Controller.status` has the ids of a service's versions: `digests`.
    """
    return _prune_images(keep, also, dry_run, docker_host, context, memory).wait(timeout)


async def prune_images_async(
    keep: int,
    *,
    also: Texts = (),
    dry_run: bool = False,
    docker_host: str | None = None,
    context: str | None = None,
    memory: Path | None = None,
    timeout: Duration | None = None,
) -> list[PrunedImage]:
    """As `prune_images`, in the running loop."""
    return await _prune_images(keep, also, dry_run, docker_host, context, memory).wait_async(timeout)


def _prune_images(
    keep: int, also: Texts, dry_run: bool, docker_host: str | None, context: str | None, memory: Path | None
) -> Asked[list[PrunedImage]]:
    asked = _native.prune_images(
        optional_text(docker_host, "docker_host"), optional_text(context, "context"), whole(keep, "keep"),
        set(names(also, "also")), flag(dry_run, "dry_run"), optional_path(memory, "memory"),
    )  # fmt: skip
    return Asked("prune_images", asked, lambda data: [PrunedImage(**each) for each in data])
