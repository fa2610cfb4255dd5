"""`haddock report`: a release as a page."""

from __future__ import annotations

import os
import sys

import click

from haddock._cli import _common, _output, _page
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Usage


@click.command(cls=_common.Command)
@_common.release_argument
@click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True), help="The HTML file that is written; `-`: standard output.")
@_common.options
@settings_of
def report(settings: Settings, release: str | None, output: str) -> int:
    """Draw a release as a page: the share and the live sessions of each version over time, what happened, and figures.

    VERSION is the number of a version, as `haddock history` shows it, or a tag or commit. Default: the newest release.

    The page is one HTML file. It has no script, and loads nothing from anywhere. Live sessions and figures are from the
    gateway's record of the last 90 days. The page says what is not known.
    """
    if settings.json and output == "-":
        raise Usage("`--json` and the page would both go to standard output", "name a file by `-o`")
    service, at, version = (release or "").partition("@")
    if at and not version:
        raise click.BadParameter(f"`{release}` is not of the form SERVICE@VERSION, such as `accounting@7`")
    if output != "-":
        _page.check_folder(output, "-o")
    with settings.look() as controller:
        service = settings.service(controller, service or None)
        page = controller.report(service, version or None)
    if output == "-":
        sys.stdout.write(page)
        return 0
    _page.write(output, page)
    if settings.json:
        _output.json_line({"service": service, "file": os.path.abspath(output)})
    elif not settings.quiet:
        _output.line(f"`{output}` shows it")
    return 0
