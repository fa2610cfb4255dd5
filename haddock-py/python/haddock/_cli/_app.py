"""The commands. Each command's module is imported when the command is called; the help imports none."""

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
    """The module and name of a command, and its line in the help."""

    module: str
    name: str
    line: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Release": {
        "release": Entry("release", "release", "Bring a service to a new version."),
        "rehearse": Entry("rehearse", "rehearse", "Try a release in virtual time: how long, and who is harmed."),
        "promote": Entry("promote", "promote", "Release what runs in a test environment."),
        "rollback": Entry("release", "rollback", "Go back to the version that was good before."),
        "pause": Entry("steer", "pause", "Hold the ramp where it is."),
        "resume": Entry("steer", "resume", "Let a paused ramp go on."),
        "advance": Entry("steer", "advance", "Go to the next stage at once."),
        "abort": Entry("steer", "abort", "Give the candidate's share back and end the release."),
        "retire": Entry("retire", "retire", "Take a service away: it drains and is then forgotten."),
    },
    "Environments": {
        "up": Entry("environment", "up", "Bring an environment up, and wait until it is ready."),
        "down": Entry("environment", "down", "Stop and remove an environment."),
        "diff": Entry("compare", "diff", "Show how an environment differs from its file."),
        "show": Entry("compare", "show", "Draw the components of an environment and their links."),
        "ls": Entry("environment", "ls", "List environments."),
        "port": Entry("ports", "port", "Show where a component's port, or each port, is reached."),
        "logs": Entry("logs", "logs", "Show the end of the logs, or follow them."),
        "exec": Entry("inside", "exec_", "Run a command within a component's container."),
        "keep": Entry("environment", "keep", "Keep an environment, even if nobody uses it."),
        "link": Entry("promote", "link", "Switch a link of a running environment, for instance to another database."),
        "prune": Entry("environment", "prune", "End environments that nobody uses."),
    },
    "Images": {
        "images": Entry("images", "images", "Show the images of a tree of Dockerfiles, and what this host has of them."),
        "build": Entry("images", "build", "Build what has changed, and all that stands on it."),
        "push": Entry("images", "push", "Push the images of a tree to their registries."),
        "pull": Entry("images", "pull", "Pull the images of a tree from their registries."),
        "tag": Entry("tag", "tag", "Print the tag of what git has checked out."),
        "images prune": Entry("images", "prune", "Remove old images that Haddock has built."),
    },
    "Look": {
        "status": Entry("look", "status", "Show a service: release, versions, instances."),
        "ps": Entry("look", "ps", "List instances, or the components of an environment."),
        "history": Entry("history", "history", "Show what happened to a service, and who asked for it."),
        "report": Entry("report", "report", "Draw a release as a page with charts, in one HTML file."),
        "config": Entry("config", "config", "Show the resolved compose file, and which components are versioned or shared."),
    },
    "Run": {
        "serve": Entry("serve", "serve", "Run gateway and controller, or one of them."),
        "adopt": Entry("adopt", "adopt", "Make a running server the first instance of a service."),
        "recover": Entry("adopt", "recover", "Rebuild a lost journal from the running containers."),
        "completion": Entry("completion", "completion", "Let the shell complete commands, options and names."),
        "check": Entry("check", "check", "Check engine, gateway, file and settings, and say how to fix problems."),
    },
}
COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Lazy(click.Group):
    """A group that knows its commands' names, and imports a command when it is called."""

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
        if (two_words := " ".join(args[:2])) in COMMANDS and len(args) > 1:
            return two_words, self.get_command(ctx, two_words), args[2:]
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
    """Runs the command and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    settings = _common.Settings()
    if "_HADDOCK_COMPLETE" in os.environ:
        app.main(prog_name="haddock", obj=settings)
    try:
        # Not by `main`, which handles errors and closed pipes in its own way.
        with app.make_context("haddock", words, obj=settings) as ctx:
            result: Any = app.invoke(ctx)
    except BaseException as error:
        # `--json` may not have been read yet, for instance if a wrong option stands before it.
        settings.json = settings.json or "--json" in words
        return _errors.report(error, settings)
    return result if isinstance(result, int) else 0
