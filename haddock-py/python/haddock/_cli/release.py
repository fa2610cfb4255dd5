"""`haddock release`, `haddock rollback`: to another version."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haddock import _git
from haddock._cli import _common, _components, _engine, _output, _words
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Stopped

if TYPE_CHECKING:
    from haddock import Controller, Plan, Release, ServiceStatus

wait_option = click.option(
    "--wait", type=click.Choice(["settled", "gone", "none"]), default="settled", show_default=True,
    help="What to wait for: the version has settled, only this version is left, or nothing.",
)  # fmt: skip
timeout_option = click.option(
    "--timeout", "limit", metavar="DURATION", callback=_common.seconds,
    help="Follow no longer than this, such as `30m`. The release itself goes on.",
)  # fmt: skip


@click.command(cls=_common.FileCommand)
@click.option("--commit", metavar="ID", envvar="HADDOCK_COMMIT", show_envvar=True,
              help="The commit that is released, for the history. Default: the current commit of the file's directory.")  # fmt: skip
@click.option("--force", is_flag=True, help="Release even if it would change nothing.")
@_components.build_option
@click.option("--rehearse", is_flag=True,
              help="First rehearse it, as `haddock rehearse` does, and ask whether to go on.")  # fmt: skip
@click.option("--yes", is_flag=True, help="With --rehearse: go on without asking.")
@wait_option
@timeout_option
@_common.dry_run_option
@_common.options
@settings_of
def release(
    settings: Settings, commit: str | None, force: bool, build: bool, rehearse: bool, yes: bool, wait: str,
    limit: float | None, dry_run: bool,
) -> int:  # fmt: skip
    """Bring a service to a new version, as its compose file describes it.

    The new version gets new sessions, a few at first and then more. Existing sessions stay where they are until they
    end. Then the version before is removed. If `haddock serve` runs, it does the work and this command follows.
    Otherwise this command does it until the version has settled.

    If the file needs `${TAG}`, and no tag, image or variable is given, the tag is that of what git has checked out, as
    `haddock tag` prints it.

    If the command was killed, run it again: it goes on.
    """
    # A wrong file is reported even if engine or gateway do not answer.
    settings.tag_by_default(release=True)
    environment = settings.resolve()
    if commit is None:
        commit = _git.commit(Path(environment.file).absolute().parent)
    settings.say_more(f"{environment.file}, of commit {commit or 'unknown'}")
    options = settings.file_options()
    if yes and not rehearse:
        raise click.UsageError("--yes belongs to --rehearse")
    if rehearse and not _rehearsed(settings, ask=not yes and not dry_run):
        return 1
    if dry_run:
        built = _components.of(settings, release=True, dry_run=True) if build else None
        with settings.look() as controller:
            _plan(controller.release(settings.file, dry_run=True, built=build, **options), settings, built)
        return 0
    if wait != "none":
        _engine.require_gateway(settings)
    if build:
        built = _components.of(settings, release=True, dry_run=False)
        if settings.json:
            _output.json_line({"kind": "built", "images": built.to_dict()})
    with settings.connect() as controller:
        handle = controller.release(settings.file, built=build, commit=commit, by=settings.by, force=force, **options)
        return follow(controller, handle, settings, wait, limit)


def _rehearsed(settings: Settings, *, ask: bool) -> bool:
    """Rehearses the release, and returns whether to go on."""
    import haddock
    from haddock._cli.rehearse import figures, show

    if ask and (settings.json or not sys.stdin.isatty()):
        raise click.UsageError("--rehearse asks whether to go on, and nobody can answer: add --yes")
    told = haddock.rehearse(settings.file, **settings.file_options())
    if settings.json:
        _output.json_line({"kind": "rehearsed", **figures(told)})
        return True
    show(told)
    _output.line()
    return not ask or click.confirm("release it?", default=False)


@click.command(cls=_common.Command)
@_common.service_argument
@click.option("--to", type=click.IntRange(min=1), metavar="VERSION", help="Go back to this version.")
@wait_option
@timeout_option
@_common.dry_run_option
@_common.options
@settings_of
def rollback(settings: Settings, service: str | None, to: int | None, wait: str, limit: float | None, dry_run: bool) -> int:
    """Go back to the version that was good before.

    During a release, this aborts it. After a release, the version before gets its share back. If it does not run any
    more, it is started again from the same images. If the newest version was already given up, only --to goes back
    further.
    """
    if dry_run:
        from haddock._cli.steer import would

        return would(settings, service, "rollback", to)
    if wait != "none":
        _engine.require_gateway(settings)
    with settings.connect() as controller:
        name = settings.service(controller, service)
        handle = controller.rollback(name, to=to, by=settings.by)
        return follow(controller, handle, settings, wait, limit)


def another(status: ServiceStatus | None) -> str | None:
    """The process that acts for the service, as text, if it is another one than this."""
    acting = None if status is None else status.acting
    return None if acting is None or acting.endswith(f", pid {os.getpid()}") else acting


def follow(controller: Controller, handle: Release, settings: Settings, wait: str, limit: float | None) -> int:
    """Follows a release as far as `wait` says, and says what is left to do."""
    import haddock
    from haddock._cli import _follow

    service = handle.service
    other = another(controller.status(service))
    if wait == "none":
        _submitted(handle, settings, other)
        return 0
    if not settings.json and other:
        _output.note(f"`{other}` acts for `{service}`, and this command follows")
    shown = _follow.show(settings, service)
    try:
        result = _follow.run(_follow.release(controller, handle, shown, wait), within=limit)
    except Stopped as stopped:
        raise Stopped(stopped.number, _how_to_go_on(controller, service, settings)) from None
    except TimeoutError:
        error = haddock.TimedOutError(f"`{service}` was not {wait} within {_words.length(limit or 0)}")
        error.hint = "; ".join(_how_to_go_on(controller, service, settings))
        raise error from None
    status = controller.status(service)
    other, drains = another(status), _follow.draining(status)
    if settings.json:
        _output.json_line({"kind": "done", **result.to_dict(), "draining": drains})
        return 0
    reached = "has settled" if wait == "settled" else "is the only version left"
    _output.line(f"version {result.version} {reached}, {_words.length(result.seconds)} after the release began")
    for version, sessions in drains.items():
        _output.line(f"version {version} still drains: {_follow.left(sessions)}")
    if drains and other:
        _output.line(f"`{other}` removes it when its last session has ended")
    elif drains:
        gone = settings.again("release", "--wait", "gone")
        _output.line(f"{settings.again('serve')} finishes it, if it runs; else run it, or wait here with {gone}")
    return 0


def _submitted(handle: Release, settings: Settings, other: str | None) -> None:
    if settings.json:
        _output.json_line({"kind": "submitted", "service": handle.service, "request": handle.request, "acting": other})
        return
    _output.line(f"the request for `{handle.service}` is in the journal")
    if other is None:
        _output.line(f"nobody acts for it yet: run {settings.again('serve')}")


def _how_to_go_on(controller: Controller, service: str, settings: Settings) -> list[str]:
    status = controller.status(service)
    other = another(status)
    under_way = status is None or status.release is not None
    lines: list[str] = []
    if not under_way:
        lines.append("the release is over; what is left is a drain")
    if other:
        lines.append(f"`{other}` goes on with it; to follow, {settings.again('history', service, '--follow')}")
    else:
        lines.append(f"nobody else acts for `{service}` at this moment; versions and sessions stay as they are")
        lines.append(f"{settings.again('serve')} goes on with it, if it runs; else run it, or the same command again")
    if under_way:
        lines.append(f"to give it up, {settings.again('abort', service)}")
    return lines


def _plan(plan: Plan, settings: Settings, built: _components.Components | None) -> None:
    if settings.json:
        images = {} if built is None else {"images": built.to_dict()}
        _output.json_line({**plan.to_dict(), **images})
        return
    if built is not None:
        built.show()
    _output.steps(f"release of `{plan.service}`, not carried out:", plan.steps)
