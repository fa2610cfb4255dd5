"""Commit and branch of the directory that a compose file is in, as the `git` command tells them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

from ._errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


def commit(directory: str | PathLike[str]) -> str | None:
    """The commit's full id, with `-dirty` if files that git knows have changed; `None` without git or repository."""
    # `--exclude` leaves tags out, so that it is always the id.
    return _ask(directory, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")


def branch(directory: str | PathLike[str]) -> str | None:
    """The branch: `HADDOCK_BRANCH`, else what git says; on no branch, as CI often is, the commit's short id."""
    named = os.environ.get("HADDOCK_BRANCH")
    return named or _ask(directory, "branch", "--show-current") or _ask(directory, "rev-parse", "--short", "HEAD")


def files_at(revision: str, files: Sequence[str], folder: str) -> list[str]:
    """Puts the repository as it was at that revision into a folder, and answers where these files are there.

    Raises `NotFoundError` if git has no such revision, or the files are in no repository.
    """
    first = os.path.dirname(os.path.abspath(files[0]))
    root = _ask(first, "rev-parse", "--show-toplevel")
    found = root and _ask(first, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not (root and found):
        raise NotFoundError(f"git has no revision `{revision}` of `{files[0]}`", hint="name a commit, a tag or a branch")
    packed = subprocess.run(["git", "-C", root, "archive", found], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return [os.path.join(folder, os.path.relpath(os.path.abspath(path), os.path.realpath(root))) for path in files]


def _ask(directory: str | PathLike[str], *words: str) -> str | None:
    try:
        # It only looks: without this, `--dirty` may rewrite the index.
        env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        command = ["git", "-C", os.fspath(directory), *words]
        told = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None if told.returncode == 0 else None
