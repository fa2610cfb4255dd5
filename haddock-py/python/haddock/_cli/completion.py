"""`haddock completion`: lets a shell complete commands, options and names."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from haddock._cli import _common, _output
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Usage

SHELLS = ("bash", "zsh", "fish")
MARK = "# completion of haddock"
"""The end of the line that is added to the shell's startup file. It marks the line as ours."""


@dataclass(frozen=True)
class Places:
    """The files for one shell."""

    script: Path
    """The script."""
    startup: Path | None
    """The shell's startup file, if the shell does not find the script by itself."""
    line: str
    """The line in it."""


@click.command(cls=_common.Command)
@click.argument("shell", required=False, type=click.Choice(SHELLS), metavar="[bash|zsh|fish]")
@click.option("--install", is_flag=True, help="Write the script to a place where the shell finds it, and say where.")
@click.option("--uninstall", is_flag=True, help="Remove what `--install` has written.")
@_common.options
@settings_of
def completion(settings: Settings, shell: str | None, install: bool, uninstall: bool) -> int:
    """Let the shell complete commands, options, and the names of components, environments and services.

    Without an option, it prints the script. The default is the shell that SHELL names.
    """
    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise Usage("no shell is named, and `SHELL` names none that is known", f"name one of {', '.join(SHELLS)}")
    if install and uninstall:
        raise Usage("`--install` and `--uninstall` exclude each other", "name one of them")
    places = _places(shell)
    if uninstall:
        gone = _uninstall(places)
        if settings.json:
            _output.json_line({"shell": shell, "removed": gone})
        for path in [] if settings.json else gone or ["nothing was there"]:
            _output.line(path)
        return 0
    script = _script(shell)
    if not install:
        click.echo(script)
        return 0
    written = _install(places, script)
    undo = settings.again("completion", shell, "--uninstall")
    if settings.json:
        _output.json_line({"shell": shell, "written": written, "undo": undo.strip("`")})
        return 0
    for text in written:
        _output.line(text)
    _output.line("new shells have it" if written else "all of it is there already")
    _output.line(f"to undo it, {undo}")
    return 0


def _script(shell: str) -> str:
    from haddock._cli._app import app

    complete = get_completion_class(shell)
    assert complete is not None, "click knows it"
    maker = complete(app, {}, "haddock", "_HADDOCK_COMPLETE")
    # Not `source`: it asks the shell for its version, and the script is written for another process.
    return maker.source_template % maker.source_vars()


def _places(shell: str) -> Places:
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    if shell == "fish":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        return Places(config / "fish" / "completions" / "haddock.fish", None, "")
    if shell == "zsh":
        script = data / "haddock" / "completion.zsh"
        startup = Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
        begin = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"
        quoted = shlex.quote(str(script))
        return Places(script, startup, f"{begin}; [ -r {quoted} ] && source {quoted}  {MARK}")
    user = os.environ.get("BASH_COMPLETION_USER_DIR")
    script = Path(user or data / "bash-completion") / "completions" / "haddock"
    # bash-completion reads the script by itself when it is first needed.
    loads = any(Path(path).exists() for path in ("/usr/share/bash-completion/bash_completion", "/etc/bash_completion"))
    quoted = shlex.quote(str(script))
    return Places(script, None if loads else home / ".bashrc", f"[ -r {quoted} ] && . {quoted}  {MARK}")


def _install(places: Places, script: str) -> list[str]:
    """Writes what is missing, and returns it."""
    told: list[str] = []
    if not places.script.exists() or places.script.read_text() != script:
        places.script.parent.mkdir(parents=True, exist_ok=True)
        places.script.write_text(script)
        told.append(f"wrote {places.script}")
    if places.startup is not None:
        before = places.startup.read_text() if places.startup.exists() else ""
        after = _without(before) + places.line + "\n"
        if places.line not in before.splitlines():
            places.startup.write_text(after)
            told.append(f"added a line to {places.startup}: {places.line}")
    return told


def _uninstall(places: Places) -> list[str]:
    """Removes what is there, and returns it."""
    told: list[str] = []
    if places.script.exists():
        places.script.unlink()
        told.append(f"removed {places.script}")
    for startup in {places.startup, Path.home() / ".bashrc" if places.script.name == "haddock" else None} - {None}:
        assert startup is not None
        before = startup.read_text() if startup.exists() else ""
        if MARK in before:
            startup.write_text(_without(before))
            told.append(f"removed the line from {startup}")
    return told


def _without(text: str) -> str:
    """A shell's file without our line."""
    kept = [line for line in text.splitlines(keepends=True) if not line.rstrip().endswith(MARK)]
    whole = "".join(kept)
    return whole + "\n" if whole and not whole.endswith("\n") else whole
