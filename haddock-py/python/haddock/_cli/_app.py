"""The commands. Help needs no command's code, and a command not that of the others: each is imported when called."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from haddock._cli import _common, _errors


class Entry(NamedTuple):
    """Where a command is, and its line in the help."""

    module: str
    name: str
    line: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Release": {
        "release": Entry("release", "release", "Bring a service to a new version."),
        "promote": Entry("promote", "promote", "Release what runs in a test environment."),
        "rollback": Entry("release", "rollback", "Go back to the version that was good before."),
        "pause": Entry("steer", "pause", "Hold the ramp where it is."),
        "resume": Entry("steer", "resume", "Let a paused ramp go on."),
        "advance": Entry("steer", "advance", "Go to the next stage at once."),
        "abort": Entry("steer", "abort", "Give the candidate's share back and end the release."),
        "retire": Entry("retire", "retire", "Take a service away: it drains, and is forgotten."),
    },
    "Environments": {
        "up": Entry("environment", "up", "Bring an environment up, and wait until it is ready."),
        "down": Entry("environment", "down", "Stop and remove an environment."),
        "diff": Entry("compare", "diff", "Show how what runs differs from what the file says."),
        "show": Entry("compare", "show", "Draw what runs in an environment, and how it is linked."),
        "ls": Entry("environment", "ls", "List environments."),
        "port": Entry("ports", "port", "Show where a component's port, or each port, is reached."),
        "logs": Entry("logs", "logs", "Show the end of the logs, or follow them."),
        "exec": Entry("inside", "exec_", "Run a command within a component's container."),
        "keep": Entry("environment", "keep", "Keep an environment, although nobody uses it."),
        "link": Entry("promote", "link", "Let a running environment use another database, or the like."),
        "prune": Entry("environment", "prune", "End environments that nobody uses."),
    },
    "Look": {
        "status": Entry("look", "status", "Show a service: release, versions, instances."),
        "ps": Entry("look", "ps", "List instances, or the components of an environment."),
        "history": Entry("history", "history", "Show what happened to a service, and who asked for it."),
        "config": Entry("config", "config", "Show the resolved compose file: what is versioned, what shared, and why."),
    },
    "Run": {
        "serve": Entry("serve", "serve", "Run gateway and controller, or one of them."),
        "adopt": Entry("adopt", "adopt", "Take a server that runs already into a service."),
        "recover": Entry("adopt", "recover", "Rebuild a lost journal from what runs."),
        "completion": Entry("completion", "completion", "Let the shell complete commands, options and names."),
        "check": Entry("check", "check", "Check engine, gateway, file and settings: what is wrong, and the fix."),
    },
}
COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Lazy(click.Group):
    """A group that knows its commands' names, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(f"haddock._cli.{entry.module}"), entry.name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else "`haddock --help` lists the commands"
            raise _errors.Usage(f"there is no command `{name}`", hint, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.line) for name, entry in entries.items()], col_spacing=4)


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"haddock {version('haddock')}")
        ctx.exit()


EPILOG = """\
\b
Exit codes: 0 done, 1 the release failed or was aborted, 2 wrong usage, 3 a file or value is wrong,
4 engine, gateway or journal cannot be reached, 5 another acts, 6 there is nothing to do,
7 not done in time, 130 interrupted.
"""


@click.group(
    cls=Lazy,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    no_args_is_help=True,
    subcommand_metavar="COMMAND [OPTIONS] …",
)
@_common.options
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def app() -> None:
    """Zero-downtime releases, on Docker, for services that keep client sessions in memory.

    The options below may stand before or after the command.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and answers with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    settings = _common.Settings()
    if "_HADDOCK_COMPLETE" in os.environ:
        app.main(prog_name="haddock", obj=settings)
    try:
        # Not by `main`, which has its own way with errors and with readers that go away.
        with app.make_context("haddock", words, obj=settings) as ctx:
            result: Any = app.invoke(ctx)
    except BaseException as error:
        # What was not yet read when it failed, such as a wrong option before `--json`.
        settings.json = settings.json or "--json" in words
        return _errors.report(error, settings)
    return result if isinstance(result, int) else 0
