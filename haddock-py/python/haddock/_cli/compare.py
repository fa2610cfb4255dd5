"""`haddock diff`, `haddock show`: compare an environment with its file, and draw it."""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING

import click

from haddock import _git
from haddock._cli import _common, _output
from haddock._cli._common import Settings, settings_of
from haddock._cli.environment import name_option, ports_of

if TYPE_CHECKING:
    from haddock import Environment


@click.command(cls=_common.FileCommand)
@name_option
@click.option("--commit", metavar="REVISION", help="Compare with the file of that commit, instead of the current file.")
@_common.options
@settings_of
def diff(settings: Settings, name: str | None, commit: str | None) -> int:
    """Show how a running environment differs from its file, and which containers were changed since they were made.

    Exits with 1 if there is a difference. Values of environment variables are not shown.
    """
    with contextlib.ExitStack() as stack:
        controller = stack.enter_context(settings.connect())
        files = settings.file
        if commit is not None:
            # Named before another directory stands for it.
            name = name or controller.environment(file=files).name
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            files = _git.files_at(commit, files or [settings.found_file() or "compose.yaml"], folder)
        found = controller.diff(files, name=name, **settings.file_options())
    if settings.json:
        _output.json_line({"differences": [each.to_dict() for each in found]})
    elif not found:
        _output.line("there is no difference")
    else:
        _output.table(["what", "runs", "file"], [[each.path, each.was or "-", each.now or "-"] for each in found])
    return 1 if found else 0


@click.command(cls=_common.FileCommand)
@name_option
@_common.options
@settings_of
def show(settings: Settings, name: str | None) -> int:
    """Draw the components of an environment: state, address and links of each."""
    with settings.connect() as controller:
        environment = controller.environment(name, file=settings.file)
        links = environment.links()
    if settings.json:
        _output.json_line({**environment.to_dict(), "links": links})
        return 0
    told = [environment.file, environment.commit and environment.commit[:12], environment.by]
    _output.line(f"{environment.name}  ({', '.join(each for each in told if each)})")
    reached = {target for aliases in links.values() for target in aliases.values()}
    # What nothing else reaches comes first; what goes in a circle, or was left out, by itself.
    drawn: set[str] = set()
    for component in sorted(environment.components, key=lambda it: (it in reached, it)):
        if component not in drawn:
            _draw(environment, links, component, component, "", drawn)
    return 0


def _draw(
    environment: Environment, links: dict[str, dict[str, str]], component: str, alias: str, indent: str, drawn: set[str]
) -> None:
    again = component in drawn
    drawn.add(component)
    _output.line(f"{_title(environment, component, alias)}{' …' if again and links.get(component) else ''}")
    if again:
        return
    below = sorted(links.get(component, {}).items())
    for number, (alias, target) in enumerate(below, 1):
        last = number == len(below)
        print(f"{indent}{'└─ ' if last else '├─ '}", end="")
        _draw(environment, links, target, alias, f"{indent}{'   ' if last else '│  '}", drawn)


def _title(environment: Environment, component: str, alias: str) -> str:
    name = component if alias == component else f"{component} as {alias}"
    found = environment.components.get(component)
    if found is None:
        return f"{name}  (outside)"
    state = found.state if found.health in ("none", "healthy") else f"{found.state}, {found.health}"
    ports = [f"{port} at {address}" for port, address in ports_of(found)]
    return "  ".join([name, state, *ports])
