"""Names that a shell completes, if they can be found quickly. Otherwise nothing is completed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from haddock._cli._common import Settings

if TYPE_CHECKING:
    from haddock import Controller


def _matching(names: Callable[[Settings, click.Context], Iterable[str]]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        settings = ctx.find_object(Settings) or Settings()
        try:
            return sorted(name for name in names(settings, ctx) if name.startswith(incomplete))
        except Exception:
            # A shell has no place for errors.
            return []

    return complete


def _components(settings: Settings, ctx: click.Context) -> Iterable[str]:
    """The components of the running environment, or else those of the file."""
    import haddock

    controller = _known(settings)
    if controller is not None:
        with suppress(haddock.HaddockError):
            return list(controller.environment(ctx.params.get("name"), file=settings.file).components)
    return [component.name for component in settings.resolve(tag="unnamed", release=False).components]


def _known(settings: Settings) -> Controller | None:
    """The existing names. Nothing is created for this."""
    return settings.look() if (settings.state_directory() / "journal.db").exists() else None


def _environments(settings: Settings, _ctx: click.Context) -> Iterable[str]:
    controller = _known(settings)
    return [] if controller is None else [environment.name for environment in controller.environments()]


def _services(settings: Settings, _ctx: click.Context) -> Iterable[str]:
    controller = _known(settings)
    return [] if controller is None else controller.services()


components = _matching(_components)
environments = _matching(_environments)
services = _matching(_services)
