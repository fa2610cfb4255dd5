"""`haddock retire`: a service is taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haddock._cli import _common, _engine, _output, _words
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Stopped
from haddock._cli.release import timeout_option

if TYPE_CHECKING:
    from haddock import Event


@click.command(cls=_common.Command)
@_common.required_service_argument
@click.option("--wait", type=click.Choice(["gone", "none"]), default="gone", show_default=True,
              help="What to wait for: nothing of the service is left, or nothing.")  # fmt: skip
@timeout_option
@_common.dry_run_option
@_common.options
@settings_of
def retire(settings: Settings, service: str, wait: str, limit: float | None, dry_run: bool) -> int:
    """Take a service away: its instances get no new sessions, and drain as in a release.

    Existing sessions stay where they are until they end, or until the drain's deadline. When the last instance is gone,
    the service is forgotten, and its name can be used again. Its history stays. Until then, `haddock abort` lets it
    serve again. Its shared components stay up: `haddock down` removes them.

    If the command was killed, run it again: it goes on.
    """
    import haddock
    from haddock._cli import _follow

    if dry_run:
        with settings.look() as controller:
            plan = controller.retire(service, dry_run=True)
            assert plan is not None
        if settings.json:
            _output.json_line({"dry_run": True, "service": service, "verb": "retire", "steps": plan.steps})
        else:
            for step in plan.steps:
                _output.line(step)
        return 0
    if wait != "none":
        _engine.require_gateway(settings)
    how_to_go_on = ["the retirement is in the journal", f"to go on with it, {settings.again('serve')}"]
    with settings.connect() as controller:
        since = max((event.sequence for event in controller.history(service)), default=0)
        controller.retire(service, wait=False, by=settings.by)
        if wait == "none":
            _said(settings, service, f"`{service}` is being retired; {how_to_go_on[1]}", gone=False)
            return 0
        try:
            shown = _follow.show(settings, service)
            last = _follow.run(_follow.history(controller, service, shown, since, _has_ended), within=limit)
        except Stopped as stopped:
            raise Stopped(stopped.number, how_to_go_on) from None
        except TimeoutError:
            error = haddock.TimedOutError(f"`{service}` was not gone within {_words.length(limit or 0)}")
            error.hint = "; ".join(how_to_go_on)
            raise error from None
    if last.kind == "retirement_aborted":
        raise haddock.NothingToDoError(f"`{service}` is not retired: {last.message}", hint="look at its history")
    _said(settings, service, f"`{service}` is retired, and its name can be used again", gone=True)
    return 0


def _said(settings: Settings, service: str, text: str, *, gone: bool) -> None:
    if settings.json:
        _output.json_line({"kind": "done", "service": service, "verb": "retire", "gone": gone})
    else:
        _output.line(text)


def _has_ended(event: Event) -> bool:
    return event.kind in ("service_retired", "retirement_aborted")
