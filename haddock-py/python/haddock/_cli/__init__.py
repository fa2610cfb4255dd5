"""The `haddock` command. It stands on nothing but what `haddock` itself shows to everybody.

| file | part |
|---|---|
| `_app` | the commands and their lines of help; each is imported when it is called |
| `_common` | options that every command takes, and what follows from them |
| `_errors` | errors for people and for programs, exit codes |
| `_output`, `_words` | tables, JSON, and how things are called |
| `_follow`, `_live`, `_rate` | following long work: lines, the picture on a terminal, when a drain will end |
| `_engine`, `_intermediary` | what is asked of others: the engine's version, a proxy in front |
| `_processes`, `_supervise` | the processes of `serve` |
| `_settings`, `_wanted`, `_complete` | the settings as a table, what a gateway is to be, completion at the prompt |
| the others | the commands; `SECTIONS` in `_app` says which module has which command (`status` is in `look`) |
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and answers with its exit code. `arguments` default to the process's own."""
    from haddock._cli._app import run

    return run(arguments)
