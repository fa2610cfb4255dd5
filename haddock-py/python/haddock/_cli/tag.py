"""`haddock tag`: the tag of what is checked out."""

from __future__ import annotations

import click

from haddock._cli import _common, _output
from haddock._cli._common import Settings, settings_of


@click.command(cls=_common.Command)
@click.argument("folder", default=".", metavar="[FOLDER]")
@click.option("--template", metavar="TEMPLATE", default="{branch}-{hash}", show_default=True,
              help="What the tag is made of: text, `{branch}`, `{hash}` (seven digits of the commit), `{commit}` (all).")  # fmt: skip
@_common.options
@settings_of
def tag(settings: Settings, folder: str, template: str) -> int:
    """Print the tag of images that are built from what git has checked out: `main-3f2a1bc`.

    The same commit and branch have the same tag on every machine. If files that git knows differ from the commit, the
    tag ends in `-dirty`. If CI has checked out a commit and no branch, the branch is the one that the CI system names.
    HADDOCK_BRANCH wins over both. `--tag auto` gives this tag to other commands.
    """
    revision = _common.checked_out(folder)
    made = revision.tag(template)
    if settings.json:
        _output.json_line({"tag": made, "branch": revision.branch, "commit": revision.commit, "dirty": revision.dirty})
    else:
        _output.line(made)
    return 0
