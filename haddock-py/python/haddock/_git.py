"""Commit and branch of a compose file's directory. Without repository or commit, they are not noted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _native
from ._errors import HaddockError
from ._revision import revision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from ._revision import Revision


def commit(directory: str | PathLike[str]) -> str | None:
    """The commit's full id, with `-dirty` if files that git knows have changed; `None` if it cannot be read."""
    found = _found(directory)
    if found is None:
        return None
    return f"{found.commit}-dirty" if found.dirty else found.commit


def branch(directory: str | PathLike[str]) -> str | None:
    """The branch: `HADDOCK_BRANCH`, or else the one that is checked out, or else the one that CI names. Without a branch,
    the commit's short id."""
    try:
        named = _native.branch(os.fspath(directory), dict(os.environ))
    except HaddockError:
        return None
    if named is not None:
        return named
    found = _found(directory)
    return None if found is None else found.commit[:7]


def files_at(commit: str, files: Sequence[str], folder: str) -> list[str]:
    """Writes the repository of that commit into a folder, and returns the paths of these files there.

    Raises `NotFoundError` if git has no such commit, or the files are in no repository.
    """
    return [os.fspath(path) for path in _native.files_at(commit, list(files), folder)]


def _found(directory: str | PathLike[str]) -> Revision | None:
    try:
        return revision(directory)
    except HaddockError:
        return None
