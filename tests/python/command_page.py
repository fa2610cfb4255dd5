"""Writes the reference of the `haddock` command from the command itself: `python tests/python/command_page.py`.

`test_cli_help.py` holds the page against it.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from haddock._cli._app import SECTIONS, app
from haddock._cli._common import options

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "command.md"

HEAD = """\
# The `haddock` command

Written from the command itself, by `python tests/python/command_page.py`.

- You can leave out *[SERVICE]* if a compose file is found, which names its service, or if the journal has only one
  service.
- Options for all commands may stand before or after the command's name. The one after it wins. Options win over
  environment variables.
- On a terminal, long work has a live display. Elsewhere it prints one line for each event: time, service, message.
- Error messages are on standard error: `error: FILE:LINE:COLUMN: message`, a `hint:`, and the last lines of a log as
  `log:`.

## Exit codes

| code | |
|---|---|
| 0 | done |
| 1 | the release failed or was aborted; `check` found a problem, `diff` a difference |
| 2 | wrong usage |
| 3 | a file or a value is wrong, names something that does not exist, or needs something that is not supported |
| 4 | engine, gateway, registry, journal or a file of Haddock's cannot be reached |
| 5 | another controller acts |
| 6 | there is nothing to do, such as an abort with no release in progress, or the service was never released |
| 7 | not done in time |
| 70 | a bug of Haddock's |
| 130, 143 | interrupted by Ctrl-C, by SIGTERM. `serve` ends with 0 then, because this is its normal end |

## `--json`

Standard output then has only JSON: one object, or for long work (`release`, `rollback`, `abort`, `history`, `serve`)
one event a line, with `kind`, `sequence`, `at`, `service`, `phase`, `version`, `share`, `share_in_force`, `draining`,
`message` and `data`. The last line of `release`, `rollback` and `abort` has the kind `done`. An error is an object
`{"error": {"kind", "message", "hint", ...}, "exit_code"}` on the last line.

## When it is stopped

Ctrl-C in `release` stops the command, not the release. If `haddock serve` runs, the release goes on there. If this
command acted itself, versions and sessions stay as they are until you run the same command again, or `haddock serve`.
The command prints how to go on, follow the release, or abort it.

## Shell completion

`haddock completion --install` writes the completion script to the place where the shell looks for it. It says where
that is, and how to undo it. A second run changes nothing. The shell then completes commands, options, and the names of
components, environments and services.
"""


def page() -> str:
    """The page."""
    parts = [HEAD, "## Options of all commands\n", _options(_shared(), context()), "\n"]
    for title, entries in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in entries:
            command = app.get_command(context(), name)
            assert command is not None
            parts += _command(command, name)
            if isinstance(command, click.Group):
                for inner, sub in command.commands.items():
                    parts += _command(sub, f"{name} {inner}")
    return "\n".join(parts).rstrip() + "\n"


def context() -> click.Context:
    """What click wants for help."""
    return click.Context(app, info_name="haddock")


def _shared() -> list[click.Parameter]:
    @click.command()
    @options
    def nothing() -> None:
        pass

    return nothing.params


def _command(command: click.Command, name: str) -> list[str]:
    shared = {parameter.name for parameter in _shared()}
    own = [parameter for parameter in command.params if parameter.name not in shared]
    ctx = click.Context(command, info_name=name, parent=context())
    arguments = [p.make_metavar(ctx) for p in own if isinstance(p, click.Argument)]
    words = " ".join(["haddock", name, *arguments, "[OPTIONS]"])
    text = inspect.cleandoc(command.help or "")
    lines = [f"### `haddock {name}`\n", f"```text\n{words}\n```\n", text + "\n"]
    table = _options([p for p in own if isinstance(p, click.Option) and not p.hidden], ctx)
    return [*lines, table + "\n"] if table else lines


def _options(parameters: list[click.Parameter], ctx: click.Context) -> str:
    rows = []
    for parameter in parameters:
        record = parameter.get_help_record(ctx)
        if record is not None:
            names, text = record
            rows.append(f"| `{names.replace('|', chr(92) + '|')}` | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(["| option | |", "|---|---|", *rows]) if rows else ""


if __name__ == "__main__":
    PAGE.write_text(page())
