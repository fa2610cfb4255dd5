"""`haddock port`: the addresses of ports, for people, shells and Java."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from haddock._cli import _common, _complete, _output
from haddock._cli._common import Settings, settings_of
from haddock._cli.environment import name_option, ports_of

if TYPE_CHECKING:
    from haddock import Environment


@click.command(cls=_common.FileCommand)
@click.argument("component", required=False, shell_complete=_complete.components)
@click.argument("port", required=False, type=click.IntRange(1, 65535))
@click.option("--format", "form", type=click.Choice(["env", "properties"]),
              help="Print every port, or the given one, as an env file or as Java properties.")  # fmt: skip
@name_option
@_common.options
@settings_of
def port(settings: Settings, component: str | None, port: int | None, form: str | None, name: str | None) -> int:
    """Show the address of a component's port on this machine, as ADDRESS:PORT. Without COMPONENT, show every port.

    It is the address on the host if the file publishes the port, and otherwise the address of the container.
    """
    if component is not None and port is None:
        raise click.UsageError("name the PORT, too")
    with settings.connect() as controller:
        environment = controller.environment(name, file=settings.file)
    if component is not None and port is not None:
        found = [(component, port, str(environment.address(component, port)))]
    else:
        found = _all(environment)
    if form is not None:
        for line in _lines(form, found):
            _output.line(line)
    elif settings.json and component is not None:
        _output.json_line({"component": component, "port": port, "address": found[0][2]})
    elif settings.json:
        _output.json_line({"ports": [{"component": of, "port": at, "address": address} for of, at, address in found]})
    elif component is not None:
        _output.line(found[0][2])
    else:
        _output.table(["component", "port", "address"], [[of, str(at), address] for of, at, address in found])
    return 0


def _all(environment: Environment) -> list[tuple[str, int, str]]:
    return [
        (component.name, port, address)
        for component in environment.components.values()
        for port, address in ports_of(component)
    ]


def _lines(form: str, found: list[tuple[str, int, str]]) -> list[str]:
    """`DB_5432=10.0.0.2:5432`, its host and its port; or `db.5432=…` likewise."""
    lines: list[str] = []
    for component, port, address in found:
        host, _, number = address.rpartition(":")
        host = host.strip("[]")
        if form == "env":
            key = f"{re.sub('[^A-Za-z0-9]', '_', component).upper()}_{port}"
            lines += [f"{key}={address}", f"{key}_HOST={host}", f"{key}_PORT={number}"]
        else:
            key = f"{component}.{port}"
            lines += [f"{key}={address}", f"{key}.host={host}", f"{key}.port={number}"]
    return lines
