"""`haddock up`, `down`, `ls`, `keep`, `prune`: environments by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haddock._cli import _common, _complete, _components, _output, _progress
from haddock._cli._common import Settings, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haddock import Environment, EnvironmentComponent, EnvironmentPlan, PlannedChange, Pruned

name_option = click.option(
    "--name", metavar="NAME", envvar="HADDOCK_ENVIRONMENT", show_envvar=True, shell_complete=_complete.environments,
    help="The environment. Default: the one of the file and of its directory's branch.",
)  # fmt: skip


@click.command(cls=_common.FileCommand)
@name_option
@click.option("--only", metavar="COMPONENT", multiple=True, shell_complete=_complete.components, help="Only this component and what it needs. May be repeated.")
@click.option("--pull", is_flag=True, help="Ask registries for newer images.")
@click.option("--keep-on-failure", is_flag=True, help="If it fails, do not remove what was made.")
@click.option("-V", "--renew-anon-volumes", "renew", is_flag=True,
              help="Replaced containers get new volumes without a name, and do not keep their old ones.")  # fmt: skip
@click.option("--commit", metavar="ID", envvar="HADDOCK_COMMIT", show_envvar=True,
              help="The commit that it is brought up from. Default: the current commit of the file's directory.")  # fmt: skip
@click.option("--shared", is_flag=True,
              help="Bring up only the shared components of the file's service. Nothing else changes them.")  # fmt: skip
@click.option("--take-over", is_flag=True,
              help="Accept that it was brought up from another folder, because the project has moved.")  # fmt: skip
@click.option("--like", metavar="SERVICE[@VERSION]",
              help="Copy that version of a service, with the links for tests. No file is read. Default name: SERVICE-like.")  # fmt: skip
@_components.build_option
@_common.dry_run_option
@_common.options
@settings_of
def up(
    settings: Settings,
    name: str | None,
    only: tuple[str, ...],
    pull: bool,
    keep_on_failure: bool,
    renew: bool,
    commit: str | None,
    shared: bool,
    take_over: bool,
    like: str | None,
    build: bool,
    dry_run: bool,
) -> int:
    """Bring an environment up as its compose file says, and wait until every component is ready.

    A component is ready when its health check passes. Without a health check, it is ready when each port that the file
    names takes connections. Unchanged components stay, and are started again if they were stopped. Changed components
    are replaced, together with those that depend on them. A new container keeps the volumes without a name of the old
    one. If `up` fails, it removes what it has made. Any number of copies run side by side, each with its own name.

    If the file needs `${TAG}`, and no tag, image or variable is given, the tag is that of what git has checked out, as
    `haddock tag` prints it.
    """
    built = None
    if like is None:
        settings.tag_by_default(release=False, required=not only)
        if build:
            built = _components.of(settings, release=shared, only=only, pull=pull, dry_run=dry_run)
            if dry_run and not built.are_there:
                return _not_yet_built(settings, built)
    with settings.connect() as controller:
        if like is not None:
            given = {"--build": build, "--pull": pull, "--renew-anon-volumes": renew, "--shared": shared, "--take-over": take_over}
            _refuse([option for option, is_given in given.items() if is_given], "--like")
            service, version = _version(like)
            if dry_run:
                return _plan(settings, controller.up_like(service, version, name=name, only=only, dry_run=True))
            with _progress.shown(settings) as on_event:
                environment = controller.up_like(
                    service, version, name=name, only=only, keep_on_failure=keep_on_failure, on_event=on_event
                )
            return _up(settings, environment)
        if dry_run:
            plan = controller.up(
                settings.file, dry_run=True, name=name, only=only, shared=shared, take_over=take_over, built=build, pull=pull,
                **settings.file_options(),
            )
            return _plan(settings, plan, built)
        with _progress.shown(settings) as on_event:
            environment = controller.up(
                settings.file, name=name, only=only, shared=shared, take_over=take_over, built=build, pull=pull,
                keep_on_failure=keep_on_failure,
                commit=commit, renew_anonymous_volumes=renew, on_event=on_event, **settings.file_options(),
            )  # fmt: skip
    return _up(settings, environment, built)


def _images(built: _components.Components | None) -> dict[str, object]:
    """What `--build` adds to the JSON."""
    return {} if built is None else {"images": built.to_dict()}


def _not_yet_built(settings: Settings, built: _components.Components) -> int:
    """What changes in the environment depends on images that do not exist yet."""
    if settings.json:
        _output.json_line({"images": built.to_dict()})
        return 0
    built.show()
    _output.line("what changes in the environment is known when these images are there")
    return 0


def _version(like: str) -> tuple[str, int | None]:
    """`accounting@v7`, or without a version."""
    service, at, version = like.partition("@")
    number = version.removeprefix("v")
    if at and not number.isdigit():
        raise click.BadParameter(f"`{like}` is not of the form SERVICE@VERSION, such as `accounting@7`")
    return service, int(number) if at else None


def _refuse(options: list[str], beside: str) -> None:
    """Refuses options that have no effect together with another one."""
    if options:
        raise click.UsageError(f"`{options[0]}` has no effect with `{beside}`: leave one of them out")


def _plan(settings: Settings, plan: EnvironmentPlan, built: _components.Components | None = None) -> int:
    if settings.json:
        _output.json_line({**plan.to_dict(), **_images(built)})
    else:
        plan_of(plan.changes)
    return 0


def _up(settings: Settings, environment: Environment, built: _components.Components | None = None) -> int:
    if settings.json:
        _output.json_line({**environment.to_dict(), **_images(built)})
        return 0
    for note in environment.notes:
        _output.note(f"note: {note}")
    told(environment.changes)
    _output.line(f"environment `{environment.name}` is up")
    _output.table(TITLES, _rows(environment))
    return 0


@click.command(cls=_common.FileCommand)
@name_option
@click.option("--volumes", is_flag=True, help="Also remove its volumes, with all their data.")
@_common.dry_run_option
@_common.options
@settings_of
def down(settings: Settings, name: str | None, volumes: bool, dry_run: bool) -> int:
    """Stop and remove an environment: its containers and its networks.

    Volumes stay, unless you give `--volumes`. Containers that need others are stopped first. Haddock touches only what
    it has made. If the environment does not exist, that is no error. A service's shared environment is not removed
    while instances run.
    """
    with settings.connect() as controller:
        if dry_run:
            return _planned(settings, controller.down(name, file=settings.file, volumes=volumes, dry_run=True))
        with _progress.shown(settings) as on_event:
            there = controller.down(name, file=settings.file, volumes=volumes, on_event=on_event)
    if settings.json:
        _output.json_line({"was_there": there})
    else:
        _output.line("it is down" if there else "it was not there")
    return 0


@click.command(cls=_common.Command)
@_common.options
@settings_of
def ls(settings: Settings) -> int:
    """List the environments that were brought up with this state directory and still exist."""
    with settings.connect() as controller:
        environments = controller.environments()
    if settings.json:
        _output.json_line({"environments": [environment.to_dict() for environment in environments]})
        return 0
    rows = [
        [
            environment.name,
            str(len(environment.components)),
            str(sum(component.state == "running" for component in environment.components.values())),
            (environment.commit or "-")[:12],
            environment.by or "-",
            environment.file or "-",
        ]
        for environment in environments
    ]
    _output.table(["environment", "components", "running", "commit", "by", "file"], rows)
    return 0


@click.command(cls=_common.Command)
@click.option("--idle", is_flag=True, required=True, help="Select environments that nobody uses.")
@click.option("--stop-after", metavar="TIME", help="Stop an environment that is idle for that long. Its file's own limit wins.")
@click.option("--remove-after", metavar="TIME", help="Remove an environment that is idle for that long. Its file's own limit wins.")
@_common.dry_run_option
@_common.options
@settings_of
def prune(
    settings: Settings, idle: bool, stop_after: str | None, remove_after: str | None, dry_run: bool
) -> int:
    """Stop, and later remove, environments that nobody uses. Their volumes stay.

    An environment is in use if it has a connection from outside, if a command runs within it, if a living process has
    claimed it, or if it uses more processor time or network traffic than its programs and health checks cause when
    idle. One that cannot be inspected counts as in use. Two checks in a row must find it idle, and the time between
    them counts for at most half of a limit. So run this command at intervals. A dry run does not count as a check. An
    environment whose CI job was killed is removed at once. Instances of services and their shared environments are
    never touched.
    """
    with settings.connect() as controller:
        pruned = controller.prune(stop_after=stop_after, remove_after=remove_after, dry_run=dry_run)
    # A failure of one environment does not end the pass for the others, but sets the exit code.
    code = 1 if any(each.verdict == "failed" for each in pruned) else 0
    if settings.json:
        _output.json_line({"environments": [each.to_dict() for each in pruned]})
        return code
    _output.table(["environment", "verdict", "because"], [[each.name, each.verdict, _because(each)] for each in pruned])
    return code


@click.command(cls=_common.FileCommand)
@click.option("--for", "time", required=True, metavar="TIME", help="How long, such as 48h.")
@name_option
@_common.dry_run_option
@_common.options
@settings_of
def keep(settings: Settings, time: str, name: str | None, dry_run: bool) -> int:
    """Keep an environment, even if nobody uses it."""
    with settings.connect() as controller:
        if dry_run:
            return _planned(settings, controller.keep(name, file=settings.file, time=time, dry_run=True))
        kept = controller.keep(name, file=settings.file, time=time)
    if settings.json:
        _output.json_line({"name": kept})
    else:
        _output.line(f"environment `{kept}` is kept for {time}")
    return 0


def components(settings: Settings, name: str) -> int:
    """Shows the components of an environment: their state, their health and the addresses of their ports."""
    with settings.connect() as controller:
        environment = controller.environment(name)
    if settings.json:
        _output.json_line(environment.to_dict())
    else:
        _output.table(TITLES, _rows(environment))
    return 0


TITLES = ["component", "state", "health", "ports"]


def _rows(environment: Environment) -> list[list[str]]:
    return [[each.name, _state(each), each.health, _ports(each) or "-"] for each in environment.components.values()]


def _because(pruned: Pruned) -> str:
    return pruned.why or f"idle for {pruned.idle_for:.0f} s"


def _state(component: EnvironmentComponent) -> str:
    return component.state if component.exit_code is None else f"{component.state} {component.exit_code}"


def _ports(component: EnvironmentComponent) -> str:
    return ", ".join(f"{port} at {address}" for port, address in ports_of(component))


def ports_of(component: EnvironmentComponent) -> list[tuple[int, str]]:
    """Its ports and the address of each: on the host, if it is published there."""
    return sorted((port, str(at)) for port, at in {**component.addresses, **component.published}.items())


def _planned(settings: Settings, plan: EnvironmentPlan) -> int:
    """Shows what would be done to an environment."""
    if settings.json:
        _output.json_line(plan.to_dict())
        return 0
    _output.line(f"environment `{plan.name}`, and nothing is done:")
    if plan.changes:
        plan_of(plan.changes)
    for note in plan.notes:
        _output.line(note)
    return 0


def plan_of(changes: Sequence[PlannedChange]) -> None:
    """Shows what would be done to each component, and why."""
    _output.table(["change", "component", "because"], [[it.change, it.component, it.cause] for it in changes])


def told(changes: Sequence[PlannedChange]) -> None:
    """Says what was done to each component that did not stay as it was."""
    for change in changes:
        if change.change != "keep":
            _output.line(f"{change.change} {change.component}: {change.cause}")
