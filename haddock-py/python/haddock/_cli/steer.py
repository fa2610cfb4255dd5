"""`haddock pause`, `resume`, `advance`, `abort`: a release while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haddock._cli import _common, _output, _words
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Stopped

if TYPE_CHECKING:
    from haddock import Event, ServiceStatus

DONE = {"pause": "is paused", "resume": "goes on", "advance": "goes to its next stage", "abort": "is aborted"}


@click.command(cls=_common.Command)
@_common.service_argument
@_common.dry_run_option
@_common.options
@settings_of
def pause(settings: Settings, service: str | None, dry_run: bool) -> int:
    """Hold the ramp where it is. Sessions and drains go on."""
    return _ask(settings, service, "pause", dry_run)


@click.command(cls=_common.Command)
@_common.service_argument
@_common.dry_run_option
@_common.options
@settings_of
def resume(settings: Settings, service: str | None, dry_run: bool) -> int:
    """Let a paused ramp go on."""
    return _ask(settings, service, "resume", dry_run)


@click.command(cls=_common.Command)
@_common.service_argument
@_common.dry_run_option
@_common.options
@settings_of
def advance(settings: Settings, service: str | None, dry_run: bool) -> int:
    """Go to the next stage of the ramp at once. While settling, settle at once."""
    return _ask(settings, service, "advance", dry_run)


@click.command(cls=_common.Command)
@_common.service_argument
@_common.dry_run_option
@_common.options
@settings_of
def abort(settings: Settings, service: str | None, dry_run: bool) -> int:
    """Give the candidate's share back and end the release.

    The candidate keeps its share until the version before has it back. Its sessions stay on it until they end. If the
    service is being retired, it serves again.
    """
    from haddock._cli import _follow

    if dry_run:
        return would(settings, service, "abort")
    with settings.connect() as controller:
        name = settings.service(controller, service)
        since = max((event.sequence for event in controller.history(name)), default=0)
        before = controller.status(name)
        controller.abort(name, by=settings.by)
        shown = _follow.show(settings, name)
        try:
            _follow.run(_follow.history(controller, name, shown, since, _has_ended))
        except Stopped as stopped:
            said = ["the abort is in the journal", f"to go on with it, {settings.again('serve')}"]
            raise Stopped(stopped.number, said) from None
        drains = _follow.draining(controller.status(name))
    if settings.json:
        _output.json_line({"kind": "done", "service": name, "verb": "abort", "draining": drains})
        return 0
    if before is not None and before.retiring is not None:
        _output.line(f"`{name}` is not retired, and serves again")
        return 0
    _output.line(f"the release of `{name}` {DONE['abort']}")
    for version, sessions in drains.items():
        _output.line(f"version {version} still drains: {_follow.left(sessions)}")
    return 0


def _has_ended(event: Event) -> bool:
    # One that had nearly settled when the abort came may have settled.
    return event.kind in ("release_aborted", "release_settled", "retirement_aborted")


def _ask(settings: Settings, service: str | None, verb: str, dry_run: bool) -> int:
    if dry_run:
        return would(settings, service, verb)
    with settings.connect() as controller:
        name = settings.service(controller, service)
        getattr(controller, verb)(name, by=settings.by)
        status = controller.status(name)
    if settings.json:
        _output.json_line({"kind": "done", "service": name, "verb": verb, "release": _release(status)})
    else:
        _output.line(f"the release of `{name}` {DONE[verb]}{_where(status)}")
    return 0


def would(settings: Settings, named: str | None, verb: str, to: int | None = None) -> int:
    """Says what a verb would do.

    Raises:
        NothingToDoError: there is no release in progress, and the verb needs one.
    """
    with settings.look() as controller:
        service = settings.service(controller, named)
        how = {} if to is None else {"to": to}
        plan = getattr(controller, verb)(service, dry_run=True, **how)
        status = controller.status(service)
    if settings.json:
        retires = status is not None and status.retiring is not None
        release = None if retires else _release(status)
        _output.json_line({"dry_run": True, "service": service, "verb": verb, "release": release})
        return 0
    for step in plan.steps:
        _output.line(f"would {step}")
    return 0


def _release(status: ServiceStatus | None) -> object:
    return status.release.to_dict() if status is not None and status.release is not None else None


def _where(status: ServiceStatus | None) -> str:
    release = None if status is None else status.release
    if release is None:
        return ""
    version = "" if release.version is None else f"version {release.version}, "
    return f": {version}{release.phase}, {_words.share(release.share_in_force)} of the new sessions"
