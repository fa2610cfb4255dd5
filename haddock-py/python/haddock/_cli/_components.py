"""`--build` of `haddock up` and `haddock release`: the images of components first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from haddock._cli import _build_progress, _output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haddock import BuiltImage, PlannedImage
    from haddock._cli._common import Settings

build_option = click.option(
    "--build", is_flag=True,
    help="First build the images of components with `build`: what has changed since they were last built.",
)  # fmt: skip


@dataclass
class Components:
    """The images of the components with `build`: as they were built, or with a dry run what would be done."""

    images: Sequence[BuiltImage | PlannedImage]

    @property
    def are_there(self) -> bool:
        """Whether nothing is left to build or to pull."""
        return all(image.action == "keep" for image in self.images)

    def to_dict(self) -> list[dict[str, Any]]:
        """As plain data."""
        return [image.to_dict() for image in self.images]

    def show(self) -> None:
        """What would be done, as a table."""
        _output.table(["image", "action", "because"], [[it.name, it.action, it.because] for it in self.images])


def of(settings: Settings, *, release: bool, only: Sequence[str] = (), pull: bool = False, dry_run: bool) -> Components:
    """Builds the images of the components, or says what would be done. Without any, a note says so."""
    import haddock

    memory = settings.state_directory() / "images"
    images = haddock.Images.of_file(
        settings.file, release=release, only=only, docker_host=settings.engine(), memory=memory,
        **settings.file_options(),
    )  # fmt: skip
    if dry_run:
        found = Components(images.plan(pull=pull))
    else:
        with _build_progress.shown(settings) as on_event:
            found = Components(images.build(pull=pull, on_event=on_event))
    if not found.images and not settings.quiet:
        _output.note("no component has a `build`, so nothing is built")
    return found
