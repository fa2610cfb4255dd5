"""`haddock logs`: of all components as one, as Compose shows them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from haddock._cli import _common, _complete, _output, _words
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Usage
from haddock._cli.environment import name_option
from haddock._cli.inside import instance_option, service_option

if TYPE_CHECKING:
    from haddock import Controller, LogLine, Logs

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green",
           "bright_magenta", "bright_blue")  # fmt: skip
"""Of one component after the other, as Compose has them."""


def _tail(_ctx: click.Context, _parameter: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    if not value.isdigit() or int(value) < 1:
        raise click.BadParameter(f"`{value}` is neither a number of lines nor `all`")
    return int(value)


@click.command(cls=_common.FileCommand)
@click.argument("components", nargs=-1, metavar="[COMPONENT]...", shell_complete=_complete.components)
@click.option("--tail", default="100", metavar="LINES", show_default=True, callback=_tail,
              help="How many lines of each component, or `all`.")  # fmt: skip
@click.option("--since", "since", metavar="DURATION", callback=_common.seconds,
              help="Only lines of this last time, such as `10m`.")  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines, until the containers end.")
@click.option("-t", "--timestamps", is_flag=True, help="Show the time of each line.")
@click.option("--no-log-prefix", is_flag=True, help="Do not show the component before each line.")
@click.option("--no-color", is_flag=True, help="Do not colour the components.")
@service_option
@instance_option
@name_option
@_common.options_without("-f")
@settings_of
def logs(
    settings: Settings,
    components: tuple[str, ...],
    tail: int | None,
    since: float | None,
    follow: bool,
    timestamps: bool,
    no_log_prefix: bool,
    no_color: bool,
    service: str | None,
    instance: str | None,
    name: str | None,
) -> int:
    """Show the end of the logs of an environment, or of an instance of a service, in the order in which it was written.

    It shows all components, or those that you name. If it is only one, its name is not shown before each line. After
    the command's name, `-f` is `--follow`, as in Compose. With `--json` it prints one object, or with `--follow` one
    object a line.
    """
    if instance is not None and service is None:
        raise Usage("`--instance` needs `--service`", "say of which service it is an instance")
    with settings.connect() as controller:
        found = _find(controller, settings, components, (name, service, instance), (tail, since, follow))
        if settings.json:
            return _as_json(found, components, follow)
        width = max((len(each) for each in components), default=0)
        coloured = not no_color and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        colours: dict[str, str] = {}
        for line in found:
            text = line.text
            if timestamps:
                text = f"{_words.precisely(line.at) if line.at else '?'} {text}"
            if len(components) != 1 and not no_log_prefix:
                colour = colours.setdefault(line.component, COLOURS[len(colours) % len(COLOURS)])
                width = max(width, len(line.component))
                prefix = f"{line.component:<{width}} | "
                text = (click.style(prefix, fg=colour) if coloured else prefix) + text
            _output.line(text)
    return 0


def _find(
    controller: Controller, settings: Settings, components: tuple[str, ...],
    where: tuple[str | None, str | None, str | None], which: tuple[int | None, float | None, bool],
) -> Logs:  # fmt: skip
    (name, service, instance), (tail, since, follow) = where, which
    if service is not None:
        return controller.read_logs(service, *components, instance=instance, tail=tail, since=since, follow=follow)
    environment = controller.environment(name, file=settings.file)
    return environment.read_logs(*components, tail=tail, since=since, follow=follow)


def _as_json(found: Logs, components: tuple[str, ...], follow: bool) -> int:
    def plain(line: LogLine) -> dict[str, str | None]:
        at = None if line.at is None else _words.precisely(line.at)
        return {"component": line.component, "at": at, "line": line.text}

    if follow:
        for line in found:
            _output.json_line(plain(line))
    elif len(components) == 1:
        _output.json_line({"component": components[0], "lines": [line.text for line in found]})
    else:
        _output.json_line({"lines": [plain(line) for line in found]})
    return 0
