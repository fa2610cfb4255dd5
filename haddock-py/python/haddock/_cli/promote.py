"""`haddock promote`, `haddock link`: from a test environment to production, and its links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haddock._cli import _common, _complete, _engine, _output, _progress
from haddock._cli._common import Settings, settings_of
from haddock._cli.environment import name_option, plan_of, told
from haddock._cli.release import follow, timeout_option, wait_option

if TYPE_CHECKING:
    from haddock import Switched


@click.command(cls=_common.FileCommand)
@click.argument("environment", required=False, metavar="[ENVIRONMENT]", shell_complete=_complete.environments)
@click.argument("service", required=False, metavar="[SERVICE]")
@name_option
@click.option("--force", is_flag=True, help="Release although the same is released already.")
@wait_option
@timeout_option
@_common.dry_run_option
@_common.options
@settings_of
def promote(
    settings: Settings,
    environment: str | None,
    service: str | None,
    name: str | None,
    force: bool,
    wait: str,
    limit: float | None,
    dry_run: bool,
) -> int:
    """Release a running test environment as a version of its service: the same images, the same file.

    The file's `x-haddock.production` is applied, so that its links lead to production's database. Missing shared
    components are brought up. From then on it is a release like any other. The environment stays as it is, with its
    own database, until `haddock down` removes it.
    """
    name = environment or name
    if wait != "none" and not dry_run:
        _engine.require_gateway(settings)
    with settings.look() if dry_run else settings.connect() as controller:
        if dry_run:
            steps = controller.promote(name, service, file=settings.file, dry_run=True).steps
            if settings.json:
                _output.json_line({"dry_run": True, "verb": "promote", "steps": steps})
                return 0
            _output.steps("a promotion, not carried out:", steps)
            return 0
        with _progress.shown(settings) as on_event:
            handle = controller.promote(
                name, service, file=settings.file, by=settings.by, force=force, on_event=on_event
            )
        return follow(controller, handle, settings, wait, limit)


@click.command(cls=_common.FileCommand)
@click.argument("component", shell_complete=_complete.components)
@click.argument("target", required=False)
@name_option
@click.option("--back", is_flag=True, help="Use the component itself again, instead of a target.")
@click.option("--live", is_flag=True, help="Do not restart the users of the link. They find the target at their next look-up.")
@_common.dry_run_option
@_common.options
@settings_of
def link(
    settings: Settings,
    component: str,
    target: str | None,
    name: str | None,
    back: bool,
    live: bool,
    dry_run: bool,
) -> int:
    """Switch a link of a running environment: components that use COMPONENT use TARGET instead.

    TARGET is `tcp://HOST:PORT`, `ENVIRONMENT/COMPONENT`, or `container:NAME`. It is tried first. Then the users of the
    component are started anew with the new link. If they do not become ready, the old link is restored. Clients that a
    gateway sends to the environment wait meanwhile. COMPONENT itself goes on running, but nothing uses it. The next
    `haddock up` restores what the file says.
    """
    if back == (target is not None):
        raise click.UsageError("name a TARGET, or write `--back`")
    with settings.connect() as controller:
        with _progress.shown(settings) as on_event:
            switched = controller.link(
                component, target, name=name, file=settings.file, live=live, dry_run=dry_run, on_event=on_event
            )
    if settings.json:
        _output.json_line(switched.to_dict())
        return 0
    if dry_run:
        plan_of(switched.changes)
        return 0
    _told(switched, component, target)
    return 0


def _told(switched: Switched, component: str, target: str | None) -> None:
    told(switched.changes)
    users = ", ".join(f"`{user}`" for user in switched.users)
    _output.line(f"{users} of `{switched.name}` use `{target or component}` as `{component}`")
    blind = [user for user in switched.users if user not in switched.verified]
    if blind:
        listed = ", ".join(f"`{user}`" for user in blind)
        _output.note(f"note: {listed} cannot look up names (no `getent` within), so the look-up was not tested")
