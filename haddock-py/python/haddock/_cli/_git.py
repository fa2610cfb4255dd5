"""The commit of the directory that a compose file is in, as the `git` command tells it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def commit(directory: Path) -> str | None:
    """The commit's full id, with `-dirty` if files that git knows have changed; `None` without git or repository."""
    # `--exclude` leaves tags out, so that it is always the id.
    command = ["git", "-C", str(directory), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        # It only looks: without this, `--dirty` may rewrite the index.
        env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        told = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None if told.returncode == 0 else None
