"""What git has checked out, and the tags of its images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from . import _native
from ._given import text
from ._result import Result
from ._values import optional_moment

if TYPE_CHECKING:
    from os import PathLike

TEMPLATE = "{branch}-{hash}"
"""What tags are made of unless another template is given."""


@dataclass(frozen=True)
class Revision(Result):
    """What images are built from: a commit, on a branch."""

    branch: str | None
    """The branch; `None` if none is checked out, and no CI system names one."""
    commit: str
    """The commit's full id."""
    dirty: bool
    """Whether files that git knows differ from the commit."""
    source: str | None
    """The URL of the remote `origin`, without user and password."""
    committed: datetime | None
    """When the commit was made, in UTC."""

    def tag(self, template: str = TEMPLATE) -> str:
        """The tag of its images, such as `main-3f2a1bc`. It is the same on every machine.

        The template has places for `{branch}`, `{hash}` (seven digits of the commit) and `{commit}` (all of them). If
        files differ from the commit, the tag ends in `-dirty`.

        >>> revision = Revision("feature/Login", "3f2a1bc94d0e", dirty=False, source=None, committed=None)
        >>> revision.tag(), revision.tag("ci-{hash}")
        ('feature-login-3f2a1bc', 'ci-3f2a1bc')
        """
        return _native.tag(self.branch, self.commit, self.dirty, text(template, "template"))


def revision(folder: str | PathLike[str] = ".") -> Revision | None:
    """What git has checked out in the repository that holds the folder; `None` if it is in none.

    The `git` command is not needed. If a CI system has checked out a commit and no branch, the branch is what the
    system says in its environment variables. `HADDOCK_BRANCH` wins over both.

    Raises `NotFoundError` without folder or commit, and `NotSupportedError` if the repository cannot be read.
    """
    data = _native.revision(os.fspath(folder), dict(os.environ))
    if data is None:
        return None
    return Revision(
        branch=data["branch"],
        commit=data["commit"],
        dirty=data["dirty"],
        source=data["source"],
        committed=optional_moment(data["committed"]),
    )
