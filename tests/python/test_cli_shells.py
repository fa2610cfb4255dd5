"""The completion that `haddock completion --install` writes, in the shells themselves."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import time
import warnings
from pathlib import Path

import pytest

from cli_site import HADDOCK, PATIENCE, clean_environment, run

SHELLS = ("bash", "zsh", "fish")


def place(shell: str, home: Path) -> dict[str, str]:
    """The environment of somebody new, whose shell that is; skips the test where it is not installed."""
    if shutil.which(shell) is None:
        warnings.warn(f"SKIPPED: `{shell}` is not installed", stacklevel=2)
        pytest.skip(f"`{shell}` is not installed")
    kept = {key: value for key, value in clean_environment().items() if not key.startswith(("XDG_", "ZDOTDIR", "BASH_"))}
    return {**kept, "HOME": str(home), "PATH": f"{HADDOCK.parent}:{kept['PATH']}", "TERM": "dumb", "HADDOCK_STATE": str(home / "state")}


def typed(shell: str, env: dict[str, str], keys: str, wanted: str) -> str:
    """What an interactive shell shows when that is typed at its prompt, up to a text that is wanted; all if that never comes."""
    words = {"bash": ["bash", "-i"], "zsh": ["zsh", "-i"]}[shell]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(env["HOME"])
        os.execvpe(words[0], words, {**env, "PS1": "ready> ", "PROMPT": "ready> "})
    shown, sent = "", False
    deadline = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline and not (sent and wanted in shown):
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                shown += os.read(terminal, 4096).decode(errors="replace")
            except OSError:
                break
            if not sent and "ready> " in shown:
                sent, shown = True, ""
                os.write(terminal, keys.encode())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown


def installed(shell: str, env: dict[str, str], *words: str) -> str:
    done = run("completion", shell, *words, cwd=Path(env["HOME"]), env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


FILE = "name: shop\nservices: { web: { image: a }, worker: { image: a } }\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_commands_and_names_are_completed_at_the_prompt(shell: str, tmp_path: Path) -> None:
    env = place(shell, tmp_path)
    (tmp_path / "compose.yaml").write_text(FILE)
    startup = tmp_path / {"bash": ".bashrc", "zsh": ".zshrc"}[shell]
    # bash-completion, where it is there, is loaded as people have it.
    loads = "[ -r /usr/share/bash-completion/bash_completion ] && . /usr/share/bash-completion/bash_completion\n"
    startup.write_text(f"{loads if shell == 'bash' else ''}PS1='ready> '\n")
    assert "new shells have it" in installed(shell, env, "--install")
    assert "all of it is there already" in installed(shell, env, "--install")
    recover = "Usage: haddock recover"
    assert recover in typed(shell, env, "haddock reco\t--help\n", recover)
    # The rest is no argument of the command: nothing is brought up.
    shown = typed(shell, env, "haddock up --only wo\tnothing\n", "unexpected extra argument (nothing)")
    assert "--only worker" in shown and "unexpected extra argument (nothing)" in shown, shown
    installed(shell, env, "--uninstall")
    shown = typed(shell, env, "haddock reco\t--help\n", "there is no command")
    assert "there is no command `reco--help`" in shown, shown


def test_fish_completes_commands_options_and_names(tmp_path: Path) -> None:
    env = place("fish", tmp_path)
    (tmp_path / "compose.yaml").write_text(FILE)

    def completed(line: str) -> list[str]:
        asked = ["fish", "--command", f"complete --do-complete '{line}'"]
        shown = subprocess.run(asked, cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=PATIENCE)
        return [line.partition("\t")[0] for line in shown.stdout.splitlines()]

    assert "recover" not in completed("haddock reco")
    installed("fish", env, "--install")
    assert completed("haddock reco") == ["recover"]
    assert "--dry-run" in completed("haddock retire --d")
    assert completed("haddock logs wo") == ["worker"]
    installed("fish", env, "--uninstall")
    assert "recover" not in completed("haddock reco")
