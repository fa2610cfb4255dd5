"""`haddock up`, `down`, `ls`, `keep`, `prune`: environments by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haddock._cli import _common, _complete, _output, _progress
from haddock._cli._common import Settings, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haddock import Environment, EnvironmentComponent, EnvironmentPlan, PlannedChange, Pruned

name_option = click.option(
    "--name", metavar="NAME", envvar="HADDOCK_ENVIRONMENT", show_envvar=True, shell_complete=_complete.environments,
    help="Which environment. Default: that of the file and the branch its directory is on.",
)  # fmt: skip


@click.command(cls=_common.FileCommand)
@name_option
@click.option("--only", metavar="COMPONENT", multiple=True, shell_complete=_complete.components, help="Only this component and what it needs. May be repeated.")
@click.option("--pull", is_flag=True, help="Ask registries for newer images.")
@click.option("--keep-on-failure", is_flag=True, help="Leave what was made, if it fails, for a look.")
@click.option("-V", "--renew-anon-volumes", "renew", is_flag=True,
              help="What is made anew gets new volumes in place of those without a name that it had.")  # fmt: skip
@click.option("--commit", metavar="ID", envvar="HADDOCK_COMMIT", show_envvar=True,
              help="The commit that it is brought up from. Default: what git says of the file's directory.")  # fmt: skip
@click.option("--shared", is_flag=True,
              help="What the instances of the file's service share, and nothing else: only this changes it.")  # fmt: skip
@click.option("--take-over", is_flag=True,
              help="Although it was brought up from another folder: the project has moved.")  # fmt: skip
@click.option("--like", metavar="SERVICE[@VERSION]",
              help="As that version of a service, with the links of tests. No file is read. Default name: SERVICE-like.")  # fmt: skip
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
    dry_run: bool,
) -> int:
    """Bring an environment up as its compose file says, and wait until all of it is ready.

    A component is ready when its health check passes; without one, when each port that the file names takes connections.
    What is there already and as it should be stays, and is started again if it was stopped; what has changed is replaced,
    with what stands on it, and data in volumes without a name follows to the new container. If it fails, what was made is
    removed again. Any number of copies run side by side, each under a name of its own.
    """
    with settings.connect() as controller:
        if like is not None:
            given = {"--pull": pull, "--renew-anon-volumes": renew, "--shared": shared, "--take-over": take_over}
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
                settings.file, dry_run=True, name=name, only=only, shared=shared, take_over=take_over, pull=pull,
                **settings.file_options(),
            )
            return _plan(settings, plan)
        with _progress.shown(settings) as on_event:
            environment = controller.up(
                settings.file, name=name, only=only, shared=shared, take_over=take_over, pull=pull,
                keep_on_failure=keep_on_failure,
                commit=commit, renew_anonymous_volumes=renew, on_event=on_event, **settings.file_options(),
            )  # fmt: skip
    return _up(settings, environment)


def _version(like: str) -> tuple[str, int | None]:
    """`accounting@v7`, or without a version."""
    service, at, version = like.partition("@")
    number = version.removeprefix("v")
    if at and not number.isdigit():
        raise click.BadParameter(f"`{like}` is not of the form SERVICE@VERSION, such as `accounting@7`")
    return service, int(number) if at else None


def _refuse(options: list[str], beside: str) -> None:
    """Options that say nothing beside another one are not ignored."""
    if options:
        raise click.UsageError(f"`{options[0]}` has no effect with `{beside}`: leave one of them out")


def _plan(settings: Settings, plan: EnvironmentPlan) -> int:
    if settings.json:
        _output.json_line(plan.to_dict())
    else:
        plan_of(plan.changes)
    return 0


def _up(settings: Settings, environment: Environment) -> int:
    if settings.json:
        _output.json_line(environment.to_dict())
        return 0
    for note in environment.notes:
        _output.note(f"note: {note}")
    told(environment.changes)
    _output.line(f"environment `{environment.name}` is up")
    _output.table(TITLES, _rows(environment))
    return 0


@click.command(cls=_common.FileCommand)
@name_option
@click.option("--volumes", is_flag=True, help="Its volumes, too, with all that is in them.")
@_common.dry_run_option
@_common.options
@settings_of
def down(settings: Settings, name: str | None, volumes: bool, dry_run: bool) -> int:
    """Stop and remove an environment: its containers, those first that need others, and its networks.

    Its volumes stay, unless told otherwise. Nothing that is not Haddock's own is touched. One that is not there is no error;
    what instances of a service share is refused.
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
    """List environments: all that were brought up with this state directory's journal and are still there."""
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
@click.option("--idle", is_flag=True, required=True, help="Those that nobody uses.")
@click.option("--stop-after", metavar="TIME", help="Stop those that are idle for that long, where their files say nothing.")
@click.option("--remove-after", metavar="TIME", help="Remove those that are idle for that long, where their files say nothing.")
@_common.dry_run_option
@_common.options
@settings_of
def prune(
    settings: Settings, idle: bool, stop_after: str | None, remove_after: str | None, dry_run: bool
) -> int:
    """Stop, and later remove, environments that nobody uses. Their volumes stay.

    In use is one with a connection from outside, a command within it, a claim of a process that lives, or more work than
    such programs do by themselves; and what cannot be looked at. It takes two looks in a row to find one idle, and the time
    between two looks counts for half of a limit at most: run this at intervals. A dry run is no look. One whose CI job was
    killed is removed at once. Instances of services and what they share are never touched.
    """
    with settings.connect() as controller:
        pruned = controller.prune(stop_after=stop_after, remove_after=remove_after, dry_run=dry_run)
    # What fails for one does not end the pass for the others, and is not passed over in silence.
    code = 1 if any(each.verdict == "failed" for each in pruned) else 0
    if settings.json:
        _output.json_line({"environments": [each.to_dict() for each in pruned]})
        return code
    _output.table(["environment", "verdict", "because"], [[each.name, each.verdict, _because(each)] for each in pruned])
    return code


@click.command(cls=_common.FileCommand)
@click.option("--for", "time", required=True, metavar="TIME", help="For how long, such as 48h.")
@name_option
@_common.dry_run_option
@_common.options
@settings_of
def keep(settings: Settings, time: str, name: str | None, dry_run: bool) -> int:
    """Keep an environment, whether or not anybody uses it."""
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
    """What the components of an environment do, how they are, and where their ports are reached."""
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
    """Its ports, and where each is reached: on the host, if it is published there."""
    return sorted((port, str(at)) for port, at in {**component.addresses, **component.published}.items())


def _planned(settings: Settings, plan: EnvironmentPlan) -> int:
    """Shows what would become of an environment."""
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
    """Shows what would become of each component, and why."""
    _output.table(["change", "component", "because"], [[it.change, it.component, it.cause] for it in changes])


def told(changes: Sequence[PlannedChange]) -> None:
    """Says what became of each component that did not stay as it was."""
    for change in changes:
        if change.change != "keep":
            _output.line(f"{change.change} {change.component}: {change.cause}")
