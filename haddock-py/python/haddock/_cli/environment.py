"""`haddock up`, `down`, `ls`, `port`, `logs`: environments by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haddock._cli import _common, _output
from haddock._cli._common import Settings, settings_of

if TYPE_CHECKING:
    from haddock import Environment, EnvironmentComponent

name_option = click.option(
    "--name", metavar="NAME", envvar="HADDOCK_ENVIRONMENT", show_envvar=True,
    help="Which environment. Default: that of the file and the branch its directory is on.",
)  # fmt: skip


@click.command(cls=_common.FileCommand)
@name_option
@click.option("--only", metavar="COMPONENT", multiple=True, help="Only this component and what it needs. May be repeated.")
@click.option("--pull", is_flag=True, help="Ask registries for newer images.")
@click.option("--keep-on-failure", is_flag=True, help="Leave what was made, if it fails, for a look.")
@click.option("--commit", metavar="ID", envvar="HADDOCK_COMMIT", show_envvar=True,
              help="The commit that it is brought up from. Default: what git says of the file's directory.")  # fmt: skip
@_common.dry_run_option
@_common.options
@settings_of
def up(
    settings: Settings,
    name: str | None,
    only: tuple[str, ...],
    pull: bool,
    keep_on_failure: bool,
    commit: str | None,
    dry_run: bool,
) -> int:
    """Bring an environment up as its compose file says, and wait until all of it is ready.

    A component is ready when its health check passes; without one, when each port that the file names takes connections.
    What is there already and as it should be stays; what has changed is replaced, with what stands on it. If it fails,
    what was made is removed again. Any number of copies run side by side, each under a name of its own.
    """
    with settings.connect() as controller:
        if dry_run:
            plan = controller.plan_up(settings.file, name=name, only=only, pull=pull, **settings.file_options())
            if settings.json:
                _output.json_line(plan.to_dict())
                return 0
            _output.table(["change", "component", "because"], [[it.change, it.component, it.cause] for it in plan.changes])
            return 0
        environment = controller.up(
            settings.file, name=name, only=only, pull=pull, keep_on_failure=keep_on_failure, commit=commit,
            **settings.file_options(),
        )  # fmt: skip
    if settings.json:
        _output.json_line(environment.to_dict())
        return 0
    for note in environment.notes:
        _output.note(f"note: {note}")
    for change in environment.changes:
        if change.change != "keep":
            _output.line(f"{change.change} {change.component}: {change.cause}")
    _output.line(f"environment `{environment.name}` is up")
    _output.table(TITLES, _rows(environment))
    return 0


@click.command(cls=_common.FileCommand)
@name_option
@_common.options
@settings_of
def down(settings: Settings, name: str | None) -> int:
    """Stop and remove an environment: its containers, those first that need others, and its network.

    Nothing that is not Haddock's own is touched. One that is not there is no error.
    """
    with settings.connect() as controller:
        there = controller.down(name, file=settings.file)
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


@click.command(cls=_common.FileCommand)
@click.argument("component")
@click.argument("port", type=click.IntRange(1, 65535))
@name_option
@_common.options
@settings_of
def port(settings: Settings, component: str, port: int, name: str | None) -> int:
    """Show where a component's port is reached from this machine, as ADDRESS:PORT.

    That is the port on the host if the file publishes it, and else the container itself.
    """
    with settings.connect() as controller:
        address = controller.environment(name, file=settings.file).address(component, port)
    if settings.json:
        _output.json_line({"component": component, "port": port, "address": address})
    else:
        _output.line(address)
    return 0


@click.command(cls=_common.FileCommand)
@click.argument("component")
@click.option("--tail", type=click.IntRange(min=1), default=100, metavar="LINES", show_default=True, help="How many lines.")
@name_option
@_common.options
@settings_of
def logs(settings: Settings, component: str, tail: int, name: str | None) -> int:
    """Show the end of a component's log, oldest line first."""
    with settings.connect() as controller:
        lines = controller.environment(name, file=settings.file).logs(component, tail)
    if settings.json:
        _output.json_line({"component": component, "lines": lines})
        return 0
    for line in lines:
        _output.line(line)
    return 0


TITLES = ["component", "state", "health", "ports"]


def _rows(environment: Environment) -> list[list[str]]:
    return [[each.name, _state(each), each.health, _ports(each) or "-"] for each in environment.components.values()]


def _state(component: EnvironmentComponent) -> str:
    return component.state if component.exit_code is None else f"{component.state} {component.exit_code}"


def _ports(component: EnvironmentComponent) -> str:
    addresses = {**component.addresses, **component.published}
    return ", ".join(f"{port} at {address}" for port, address in sorted(addresses.items()))
