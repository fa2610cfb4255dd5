"""Commit and branch of the directory that a compose file is in, as the `git` command tells them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike


def commit(directory: str | PathLike[str]) -> str | None:
    """The commit's full id, with `-dirty` if files that git knows have changed; `None` without git or repository."""
    # `--exclude` leaves tags out, so that it is always the id.
    return _ask(directory, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")


def branch(directory: str | PathLike[str]) -> str | None:
    """The branch: `HADDOCK_BRANCH`, else what git says; on no branch, as CI often is, the commit's short id."""
    named = os.environ.get("HADDOCK_BRANCH")
    return named or _ask(directory, "branch", "--show-current") or _ask(directory, "rev-parse", "--short", "HEAD")


def _ask(directory: str | PathLike[str], *words: str) -> str | None:
    try:
        # It only looks: without this, `--dirty` may rewrite the index.
        env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        command = ["git", "-C", os.fspath(directory), *words]
        told = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None if told.returncode == 0 else None
