"""Help: what it says, that the reference says the same, and that it is there at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cli_site import HADDOCK, clean_environment, run
from command_page import PAGE, page
from haddock._cli._app import COMMANDS, app

SNAPSHOTS = Path(__file__).parent / "snapshots"
CALLS = ["", *COMMANDS, "serve gateway", "serve controller"]


@pytest.mark.parametrize("call", CALLS)
def test_help(call: str) -> None:
    shown = run(*call.split(), "--help")
    assert shown.returncode == 0, shown.stderr
    snapshot = SNAPSHOTS / f"help-{call.replace(' ', '-') or 'haddock'}.txt"
    if os.environ.get("HADDOCK_UPDATE_SNAPSHOTS"):
        snapshot.write_text(shown.stdout)
    assert shown.stdout == snapshot.read_text(), "HADDOCK_UPDATE_SNAPSHOTS=1 takes the new text over"


def test_no_snapshot_is_left_over() -> None:
    wanted = {f"help-{call.replace(' ', '-') or 'haddock'}.txt" for call in CALLS}
    assert {path.name for path in SNAPSHOTS.glob("help-*.txt")} == wanted


def test_the_reference_is_what_the_command_says() -> None:
    assert PAGE.read_text() == page(), "python tests/python/command_page.py writes it anew"


def test_the_help_s_lines_are_the_commands_first_lines() -> None:
    import click

    ctx = click.Context(app)
    for name, entry in COMMANDS.items():
        command = app.get_command(ctx, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(limit=200).rstrip(".").split(":")[0].split(",")[0]
        assert entry.line.endswith(".")


def test_help_loads_little_more_than_the_library_that_reads_its_options() -> None:
    """What is loaded is what takes the time, on whatever machine and however busy that is."""

    def loaded(code: str) -> int:
        code = f"import sys\n{code}\nprint(len(sys.modules), file=sys.stderr)"
        python = HADDOCK.parent / "python"
        return int(subprocess.run([python, "-c", code], env=clean_environment(), capture_output=True, check=True).stderr)

    assert loaded("from haddock._cli import main; main(['--help'])") - loaded("import click") < 45


def test_help_imports_no_command_and_no_picture() -> None:
    code = (
        "import sys; from haddock._cli import main; main(['--help']);"
        "print([m for m in sys.modules if m in ('asyncio', 'rich', 'haddock._cli.release', 'http.client')],"
        " file=sys.stderr)"
    )
    python = HADDOCK.parent / "python"
    shown = subprocess.run([python, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True)
    assert shown.stderr.strip() == "[]"


def test_the_version() -> None:
    shown = run("--version")
    assert shown.returncode == 0
    assert shown.stdout.startswith("haddock ")


def test_words_are_completed() -> None:
    env = {**clean_environment(), "_HADDOCK_COMPLETE": "bash_complete", "COMP_WORDS": "haddock re", "COMP_CWORD": "1"}
    shown = run(env=env)
    assert shown.returncode == 0, shown.stderr
    assert [line.partition(",")[2] for line in shown.stdout.split()] == ["release", "rehearse", "resume", "retire", "report", "recover"]
