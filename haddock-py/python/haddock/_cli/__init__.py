"""The `haddock` command. It stands on nothing but what `haddock` itself shows to everybody.

| file | part |
|---|---|
| `_app` | the commands and their lines of help; each is imported when it is called |
| `_common` | options that every command takes, and what follows from them |
| `_errors` | errors for people and for programs, exit codes |
| `_output`, `_words` | tables, JSON, and how things are called |
| `_follow`, `_live`, `_rate` | following long work: lines, the picture on a terminal, when a drain will end |
| `_git`, `_engine`, `_probe` | what is asked of others: the commit, the engine's version, ports |
| `release`, `steer`, `look`, `adopt`, `config`, `serve`, `gateway`, `controller`, `check` | the commands |
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and answers with its exit code. `arguments` default to the process's own."""
    from haddock._cli._app import run

    return run(arguments)
